// SPDX-License-Identifier: Apache-2.0
// /api/*: the registry of the article: POST with JSON, always HTTP 200, the code in the body.
#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/doors/instance_json.h"
#include "agent/doors/legacy/app_record.h"

namespace outrider::doors {
namespace {

using app::Record;
using registry::InstancePtr;

/// The member of a body whatever its case, as Go's decoder takes it.
std::string text_of(const json::Value& body, std::string_view key) {
  const json::Value* found = consul::member(body, key);
  const std::string* text = found != nullptr ? found->as_string() : nullptr;
  return text != nullptr ? *text : std::string();
}

http::Answer envelope(int code, std::string_view message, std::string_view data = "\"\"") {
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().member("code", code).member("message", message).end_object();
  answer.body.insert(answer.body.size() - 1, ",\"data\":" + std::string(data));
  return answer;
}
http::Answer failed(int code, std::string_view what) {
  return envelope(code, "code: " + std::to_string(code) + ", error info: " + std::string(what));
}

Record read_record(const json::Value& body) {
  Record record;
  record.env = text_of(body, "env");
  record.appid = text_of(body, "appid");
  record.hostname = text_of(body, "hostname");
  record.version = text_of(body, "version");
  if (const json::Value* addrs = consul::member(body, "addrs"); addrs && addrs->as_array()) {
    for (const json::Value& addr : *addrs->as_array())
      if (const std::string* text = addr.as_string()) record.addrs.push_back(*text);
  }
  if (const json::Value* status = consul::member(body, "status"); status && status->as_int())
    record.status = *status->as_int();
  return record;
}

void write_instance(json::Writer& out, Api& api, const registry::Instance& instance,
                    std::string_view env) {
  out.begin_object();
  app::write_members(out, instance, api.control().host(), env, "");
  out.end_object();
}

http::Answer fetch(Api& api, const json::Value& body) {
  const Record record = read_record(body);
  const json::Value* status = consul::member(body, "status");
  const std::int64_t mask = status != nullptr && status->as_int() ? *status->as_int() : app::kUp;
  const auto found = app::find(api, record.env, record.appid, mask);
  if (found.empty()) return failed(404, "not found");
  std::string data;
  json::Writer out(data);
  out.begin_object().key("instances").begin_array();
  for (const InstancePtr& instance : found)
    write_instance(out, api, *instance, record.env);
  out.end_array().member("latest_timestamp", api.index_of(label_of(record.appid))).end_object();
  return envelope(200, "", data);
}

http::Answer fetch_all(Api& api, const json::Value& body) {
  const std::string env = text_of(body, "env");
  std::string data;
  json::Writer out(data);
  out.begin_object();
  for (const std::string& label : api.control().registry().services()) {
    const auto found = app::find(api, env, label, app::kUp | app::kWaiting);
    if (found.empty()) continue;
    out.key(found.front()->service.text()).begin_array();
    for (const InstancePtr& instance : found)
      write_instance(out, api, *instance, env);
    out.end_array();
  }
  out.end_object();
  return envelope(200, "", data);
}

http::Answer change(Api& api, std::string_view verb, const json::Value& body) {
  const Record record = read_record(body);
  if (record.appid.empty() || record.hostname.empty())
    return failed(400, "appid and hostname are required");
  if (verb == "register") {
    if (const auto done = app::put(api, record); !done) return failed(400, done.error());
    return envelope(200, "");
  }
  const bool known = verb == "renew" ? app::renew(api, record) : app::cancel(api, record);
  return known ? envelope(200, "") : failed(404, "not found");
}

http::Answer nodes(const http::ServerRequest& request) {
  std::string data;
  json::Writer out(data);
  out.begin_array().begin_object().member("addr", request.headers.get("Host"));
  out.member("status", 0).end_object().end_array();
  return envelope(200, "", data);
}

http::Answer answer(Api& api, std::string_view verb, const http::ServerRequest& request) {
  json::Value body{json::Object()};
  if (!request.body.empty()) {
    auto parsed = json::parse(request.body, json::kBodyBytesMax);
    if (!parsed) return failed(400, parsed.error().message);
    body = std::move(*parsed);
  }
  if (verb == "nodes") return nodes(request);
  if (verb == "fetch") return fetch(api, body);
  return verb == "fetchall" ? fetch_all(api, body) : change(api, verb, body);
}

}  // namespace

void add_article_routes(Api& api) {
  for (const char* verb : {"register", "fetch", "renew", "cancel", "fetchall", "nodes"}) {
    api.router().add("POST", std::string("/api/") + verb,
                     [&api, verb](const http::ServerRequest& request, std::string_view,
                                  http::Exchange e) { e.answer(answer(api, verb, request)); });
  }
}

}  // namespace outrider::doors
