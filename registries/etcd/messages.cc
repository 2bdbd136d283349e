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

std::vector<WatchEvent> read_events(const json::Value& object) {
  std::vector<WatchEvent> events;
  for (const json::Value& event : list_at(object, "events"))
    if (const json::Value* kv = event.find("kv"))
      events.push_back({text_at(event, "type") == "DELETE", read_kv(*kv)});
  return events;
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
  message.events = read_events(*result);
  return message;
}

std::optional<std::vector<WatchEvent>> read_watch_events(std::string_view part) {
  const auto document = json::parse_foreign(part, kObjectBytesMax);
  if (!document) return std::nullopt;
  return read_events(*document);
}

// --- cutting a stream --------------------------------------------------------------------------

/// Whether the bracket at scanned_ follows "events":
bool ObjectSplitter::begins_events() const {
  static constexpr std::string_view kName = "\"events\"";
  const std::string_view before = std::string_view(text_).substr(start_, scanned_ - start_);
  const std::size_t colon = before.find_last_not_of(" \t\r\n");
  if (colon == before.npos || before[colon] != ':') return false;
  const std::size_t name = before.substr(0, colon).find_last_not_of(" \t\r\n");
  return name != before.npos && before.substr(0, name + 1).ends_with(kName);
}

/// A character outside of strings.
void ObjectSplitter::see(char c) {
  if (c == '"') {
    in_string_ = true;
  } else if (c == '{') {
    if (depth_++ == 0) start_ = scanned_;
    if (in_events_ && depth_ == 3 && brackets_ == 1) events_.push_back({scanned_, 0});
  } else if (c == '}') {
    if (in_events_ && depth_ == 3 && !events_.empty()) events_.back().end = scanned_ + 1;
    --depth_;
  } else if (c == '[') {
    if (brackets_++ == 0) in_events_ = depth_ == 2 && events_.empty() && begins_events();
  } else if (c == ']' && brackets_ > 0) {
    if (--brackets_ == 0) in_events_ = false;
  }
}

std::optional<ObjectSplitter::Span> ObjectSplitter::scan() {
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
    see(c);
    if (depth_ == 0) return Span{start_, ++scanned_};
  }
  if (depth_ == 0) {
    drop(text_.size());
  } else if (scanned_ - start_ > kObjectBytesMax) {
    failed_ = true;
    text_ = {};
  }
  return std::nullopt;
}

void ObjectSplitter::drop(std::size_t count) {
  text_.erase(0, count);
  scanned_ = start_ = 0;
  events_.clear();
  in_events_ = false;
  brackets_ = 0;
}

std::string ObjectSplitter::take() {
  const auto object = scan();
  if (!object) return {};
  std::string text = text_.substr(object->begin, object->end - object->begin);
  drop(object->end);
  return text;
}

RawMessage ObjectSplitter::take_message() {
  const auto object = scan();
  if (!object) return {};
  RawMessage message;
  const std::string_view text = text_;
  const auto cut = [&](std::size_t begin, std::size_t end) {
    return text.substr(begin, end - begin);
  };
  const bool whole = std::ranges::all_of(events_, [](const Span& each) { return each.end != 0; });
  if (!whole) events_.clear();  // no JSON
  if (events_.empty()) {
    message.envelope = cut(object->begin, object->end);
  } else {
    message.envelope = cut(object->begin, events_.front().begin);
    message.envelope += cut(events_.back().end, object->end);
  }
  for (std::size_t first = 0; first < events_.size(); first += kEventsPerPart) {
    const std::size_t last = std::min(first + kEventsPerPart, events_.size()) - 1;
    std::string& part = message.events.emplace_back(R"({"events":[)");
    part += cut(events_[first].begin, events_[last].end);
    part += "]}";
  }
  drop(object->end);
  return message;
}

}  // namespace outrider::registries::etcd
