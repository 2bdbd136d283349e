// SPDX-License-Identifier: Apache-2.0
#include "agent/embed/call.h"

#include "base/http/url.h"
#include "base/json.h"
#include "base/json_members.h"

namespace outrider::embed {
namespace {

constexpr std::size_t kDocumentBytesMax = 64U << 20;

int code_of(int status) {
  if (status == 404) return OUTRIDER_ENOTFOUND;
  if (status == 400 || status == 405 || status == 413 || status == 414 || status == 431)
    return OUTRIDER_EINVAL;
  if (status == 403 || status == 409 || status == 429 || status == 503 || status == 507)
    return OUTRIDER_EREFUSED;
  return OUTRIDER_EFAILED;
}

std::string path(std::string_view folder, const char* name) {
  std::string target = "/v1/outrider/" + std::string(folder);
  if (name != nullptr) target += '/' + http::percent_encode(name);
  return target;
}

std::string with_query(std::string target, const char* query) {
  if (query == nullptr || *query == '\0') return target;
  target += target.find('?') == std::string::npos ? '?' : '&';
  return target + query;
}

}  // namespace

Outcome outcome_of(int status, std::string body) {
  if (body.ends_with('\n')) body.pop_back();
  if (status == 200) return body;
  const auto document = json::parse_foreign(body, kDocumentBytesMax);
  std::string text = document ? json::text_at(*document, "error") : std::string();
  // An unknown name is explained, too.
  if (text.empty() && document && !json::text_at(*document, "summary").empty()) return body;
  if (text.empty()) text = "the agent answers " + std::to_string(status);
  return failure(Failure{code_of(status), std::move(text)});
}

Request register_request(std::string_view json) {
  return {"PUT", "/v1/outrider/register", std::string(json)};
}

Request change_request(std::string_view action, std::string_view id, std::string query) {
  return {"PUT", with_query(path(action, std::string(id).c_str()), query.c_str())};
}

Request get_request(const char* name, const char* filter) {
  return {"GET", with_query(path("instances", name), filter)};
}

Request list_request(const char* filter) {
  return {"GET", with_query("/v1/outrider/services", filter)};
}

Request select_request(const char* name, const char* filter) {
  return {"GET", with_query(path("select", name), filter)};
}

Request why_request(const char* name) {
  return {"GET", path("why", name)};
}

Request manifest_request(const char* id) {
  std::string target = "/v1/outrider/farp/manifest";
  if (id != nullptr) target += "?id=" + http::percent_encode(id);
  return {"GET", std::move(target)};
}

std::string parameter(std::string_view key, const char* value) {
  if (value == nullptr) return {};
  return std::string(key) + '=' + http::percent_encode(value);
}

std::string list_target(const char* name, const char* filter) {
  return with_query(path("watch", name) + "?list", filter);
}

std::size_t count_instances(const std::string& list) {
  const auto document = json::parse_foreign(list, kDocumentBytesMax);
  return document ? json::list_at(*document, "instances").size() : 0;
}

std::vector<std::string> registered_ids(const std::string& answer) {
  std::vector<std::string> ids;
  if (const auto document = json::parse_foreign(answer, kDocumentBytesMax))
    for (const json::Value& id : json::list_at(*document, "registered"))
      if (id.as_string() != nullptr) ids.push_back(*id.as_string());
  return ids;
}

}  // namespace outrider::embed
