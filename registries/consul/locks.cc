// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/locks.h"

#include "base/base64.h"
#include "base/http/url.h"
#include "base/json.h"
#include "base/json_members.h"
#include "base/text.h"
#include "base/utf8.h"
#include "registries/consul/messages.h"

namespace outrider::registries::consul {
namespace {

constexpr std::string_view kPrefix = "outrider/";
constexpr std::string_view kKeys = "/v1/kv/";

}  // namespace

/// Without the check of the node, which would end the session while its holder does not know: its
/// renewals alone count.
std::string session_request(const std::string& writer, Duration ttl) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("Name", "outrider agent " + writer);
  out.member("TTL", seconds_text(ttl)).member("LockDelay", seconds_text(kLockDelay));
  out.member("Behavior", "delete").key("Checks").begin_array().end_array().end_object();
  return text;
}

std::string renew_target(const std::string& session) {
  return "/v1/session/renew/" + http::percent_encode(session);
}

std::string destroy_target(const std::string& session) {
  return "/v1/session/destroy/" + http::percent_encode(session);
}

std::string acquire_target(const std::string& claim, const std::string& session) {
  return lock_target(claim) + "?acquire=" + http::percent_encode(session);
}

/// Of labels and slashes, which need no escapes.
std::string lock_target(const std::string& claim) {
  return std::string(kKeys) + std::string(kPrefix) + claim;
}

std::string release_target(const std::string& claim, std::uint64_t revision) {
  return lock_target(claim) + "?cas=" + std::to_string(revision);
}

std::string locks_target(std::uint64_t index) {
  std::string target = std::string(kKeys) + std::string(kPrefix) + "?recurse";
  if (index != 0) target += "&index=" + std::to_string(index) + "&wait=" + seconds_text(kWait);
  return target;
}

std::optional<std::vector<Lock>> read_locks(std::string_view body) {
  const auto document = json::parse_foreign(body, kLocksBytesMax);
  if (!document || document->as_array() == nullptr) return std::nullopt;
  std::vector<Lock> locks;
  for (const json::Value& row : *document->as_array()) {
    const std::string key = text_at(row, "Key");
    if (!key.starts_with(kPrefix)) continue;
    Lock& lock = locks.emplace_back();
    lock.claim = key.substr(kPrefix.size());
    lock.session = text_at(row, "Session");
    lock.holder = base64_decode(text_at(row, "Value")).value_or("");
    cut_text_to(lock.holder, kHolderBytesMax);
    lock.revision = static_cast<std::uint64_t>(number_at(row, "ModifyIndex"));
  }
  return locks;
}

std::string read_session(std::string_view body) {
  const auto document = json::parse_foreign(body, kAnswerBytesMax);
  return document ? text_at(*document, "ID") : "";
}

bool read_acquired(std::string_view body) {
  return body.starts_with("true");
}

bool is_without_sessions(int status) {
  return status == 404 || status == 405 || status == 501;
}

bool is_unknown_session(int status, std::string_view text) {
  return status >= 500 && text.find("invalid session") != std::string_view::npos;
}

}  // namespace outrider::registries::consul
