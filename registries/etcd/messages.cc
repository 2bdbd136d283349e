// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/messages.h"

#include <algorithm>

#include "base/base64.h"
#include "base/json_members.h"
#include "base/text.h"

namespace outrider::registries::etcd {
namespace {

std::string number(std::int64_t value) {
  return std::to_string(value);
}

/// A number, which the gateway writes as a text; 0 if there is none.
std::int64_t int64_at(const json::Value& object, std::string_view key) {
  const json::Value* member = object.find(key);
  if (member == nullptr) return 0;
  if (const std::int64_t* value = member->as_int()) return *value;
  const std::string* text = member->as_string();
  return text != nullptr ? parse_number<std::int64_t>(*text).value_or(0) : 0;
}

std::string octets_at(const json::Value& object, std::string_view key) {
  return base64_decode(text_at(object, key)).value_or("");
}

std::int64_t revision_of(const json::Value& answer) {
  const json::Value* header = answer.find("header");
  return header != nullptr ? int64_at(*header, "revision") : 0;
}

KeyValue read_kv(const json::Value& object) {
  return {.key = octets_at(object, "key"),
          .value = octets_at(object, "value"),
          .lease = int64_at(object, "lease"),
          .mod_revision = int64_at(object, "mod_revision")};
}

void read_kvs(const json::Value& range, std::vector<KeyValue>& kvs) {
  for (const json::Value& each : list_at(range, "kvs"))
    kvs.push_back(read_kv(each));
}

/// {"compare":[…],"success":[…],"failure":[{"request_range":{"key":…}},…]}, with one element for
/// each key: what `compare` and `success` add for it.
template <class Compare, class Success>
std::string transaction(const std::vector<std::string>& encoded, Compare compare, Success success) {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("compare").begin_array();
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    out.begin_object().member("key", encoded[i]).member("result", "EQUAL");
    compare(out, i);
    out.end_object();
  }
  out.end_array().key("success").begin_array();
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    out.begin_object();
    success(out, i);
    out.end_object();
  }
  out.end_array().key("failure").begin_array();
  for (const std::string& key : encoded)
    out.begin_object()
        .key("request_range")
        .begin_object()
        .member("key", key)
        .end_object()
        .end_object();
  out.end_array().end_object();
  return text;
}

/// The answer itself, or what a stream wraps it in.
const json::Value& unwrapped(const json::Value& document) {
  const json::Value* result = document.find("result");
  return result != nullptr ? *result : document;
}

void read_members(const json::Value& answer, std::vector<std::string>& urls) {
  for (const json::Value& member : list_at(answer, "members"))
    for (const json::Value& url : list_at(member, "clientURLs"))
      if (url.as_string() != nullptr && urls.size() < kEndpointsMax)
        urls.push_back(*url.as_string());
}

}  // namespace

std::string range_request(std::string_view first, std::string_view end, std::size_t limit,
                          std::int64_t revision) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("key", base64_encode(first)).member("range_end", base64_encode(end));
  out.member("limit", std::to_string(limit));
  if (revision != 0) out.member("revision", number(revision));
  out.end_object();
  return text;
}

std::string count_request(std::string_view key) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("key", base64_encode(key)).member("count_only", true).end_object();
  return text;
}

std::string put_request(const std::vector<Put>& puts, std::int64_t lease) {
  std::vector<std::string> encoded;
  for (const Put& put : puts)
    encoded.push_back(base64_encode(put.kv->key));
  return transaction(
      encoded,
      [&](json::Writer& out, std::size_t i) {
        if (puts[i].revision == 0)
          out.member("target", "CREATE").member("create_revision", "0");
        else
          out.member("target", "MOD").member("mod_revision", number(puts[i].revision));
      },
      [&](json::Writer& out, std::size_t i) {
        out.key("request_put").begin_object().member("key", encoded[i]);
        out.member("value", base64_encode(puts[i].kv->value)).member("lease", number(lease));
        out.end_object();
      });
}

std::string remove_request(const std::vector<std::string>& keys, std::int64_t lease) {
  std::vector<std::string> encoded;
  for (const std::string& key : keys)
    encoded.push_back(base64_encode(key));
  return transaction(
      encoded,
      [&](json::Writer& out, std::size_t) {
        out.member("target", "LEASE").member("lease", number(lease));
      },
      [&](json::Writer& out, std::size_t i) {
        out.key("request_delete_range").begin_object().member("key", encoded[i]).end_object();
      });
}

std::string grant_request(Duration ttl) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(ttl).count();
  std::string text;
  json::Writer(text).begin_object().member("TTL", number(seconds)).end_object();
  return text;
}

std::string lease_request(std::int64_t lease) {
  std::string text;
  json::Writer(text).begin_object().member("ID", number(lease)).end_object();
  return text;
}

std::string lease_keys_request(std::int64_t lease) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("ID", number(lease)).member("keys", true).end_object();
  return text;
}

std::string authenticate_request(std::string_view user, std::string_view password) {
  std::string text;
  json::Writer(text).begin_object().member("name", user).member("password", password).end_object();
  return text;
}

std::string watch_request(std::string_view prefix, std::int64_t start_revision, unsigned number_) {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("create_request").begin_object();
  out.member("key", base64_encode(prefix))
      .member("range_end", base64_encode(end_of_prefix(prefix)));
  out.member("start_revision", number(start_revision));
  out.member("watch_id", std::to_string(number_)).end_object().end_object();
  return text;
}

std::optional<Answer> read_answer(std::string_view body, std::size_t bytes_max) {
  const auto document = json::parse_foreign(body, bytes_max);
  // A stream that fails after its head says so in its body.
  if (!document || document->as_object() == nullptr || document->find("error") != nullptr)
    return std::nullopt;
  const json::Value& result = unwrapped(*document);
  Answer answer;
  if (const json::Value* header = result.find("header"))
    answer.cluster_id = text_at(*header, "cluster_id");
  answer.revision = revision_of(result);
  read_kvs(result, answer.kvs);
  answer.count = int64_at(result, "count");
  answer.succeeded = flag_at(result, "succeeded");
  for (const json::Value& response : list_at(result, "responses"))
    if (const json::Value* range = response.find("response_range")) read_kvs(*range, answer.kvs);
  answer.lease = int64_at(result, "ID");
  const auto seconds = [&](const char* key) {
    return std::clamp<std::int64_t>(int64_at(result, key), -1, kTtlSecondsMax);
  };
  answer.ttl = seconds("TTL");
  answer.granted_ttl = seconds("grantedTTL");
  for (const json::Value& key : list_at(result, "keys"))
    if (key.as_string() != nullptr)
      answer.keys.push_back(base64_decode(*key.as_string()).value_or(""));
  answer.token = text_at(result, "token");
  read_members(result, answer.client_urls);
  return answer;
}

Refusal read_refusal(int status, std::string_view body) {
  Refusal refusal;
  const auto document = json::parse_foreign(body, kAnswerBytesMax);
  if (document) {
    refusal.code = int64_at(*document, "code");
    refusal.text = text_at(*document, "error");
    if (refusal.text.empty()) refusal.text = text_at(*document, "message");
  } else {
    refusal.text = first_line(body).substr(0, 200);
  }
  if (refusal.text.empty())
    refusal.text = "the server refuses with status " + std::to_string(status);
  return refusal;
}

std::optional<WatchMessage> read_watch_message(std::string_view object) {
  const auto document = json::parse_foreign(object, kObjectBytesMax);
  if (!document) return std::nullopt;
  WatchMessage message;
  if (const json::Value* error = document->find("error")) {
    message.error = true;
    message.reason = text_at(*error, "message");
    if (message.reason.empty() && error->as_string() != nullptr)
      message.reason = *error->as_string();
    return message;
  }
  const json::Value* result = document->find("result");
  if (result == nullptr) return std::nullopt;
  message.revision = revision_of(*result);
  message.number = int64_at(*result, "watch_id");
  message.created = flag_at(*result, "created");
  message.canceled = flag_at(*result, "canceled");
  message.reason = text_at(*result, "cancel_reason");
  message.compact_revision = int64_at(*result, "compact_revision");
  for (const json::Value& event : list_at(*result, "events"))
    if (const json::Value* kv = event.find("kv"))
      message.events.push_back({text_at(event, "type") == "DELETE", read_kv(*kv)});
  return message;
}

std::string ObjectSplitter::take() {
  for (; scanned_ < text_.size() && !failed_; ++scanned_) {
    const char c = text_[scanned_];
    if (in_string_) {
      if (escaped_)
        escaped_ = false;
      else if (c == '\\')
        escaped_ = true;
      else if (c == '"')
        in_string_ = false;
      continue;
    }
    if (depth_ == 0 && c != '{') continue;
    if (c == '"') in_string_ = true;
    if (c == '{' && depth_++ == 0) start_ = scanned_;
    if (c == '}' && --depth_ == 0) {
      std::string object = text_.substr(start_, scanned_ + 1 - start_);
      text_.erase(0, scanned_ + 1);
      scanned_ = start_ = 0;
      return object;
    }
  }
  if (depth_ == 0) {
    text_.clear();
    scanned_ = 0;
  } else if (scanned_ - start_ > kObjectBytesMax) {
    failed_ = true;
    text_ = {};
  }
  return {};
}

}  // namespace outrider::registries::etcd
