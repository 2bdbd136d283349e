// SPDX-License-Identifier: Apache-2.0
// /api/*: the dialect of github.com/skyhackvip/service_discovery, a small registry in Go modelled
// on bilibili's discovery, known from the article that explains it. Every call is a POST with a
// JSON body, named register, renew, cancel, fetch, fetchall or nodes. The answer is always HTTP
// 200; the body has the code: {"code":200,"message":"","data":…}. Served only with api.article.
#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/doors/instance_json.h"
#include "agent/doors/legacy/app_record.h"

namespace outrider::doors {
namespace {

using app::Record;
using registry::InstancePtr;

/// The application that its servers register themselves as.
constexpr std::string_view kSelf = "Kavin.discovery";

/// A member of the body in any case, as Go's decoder takes it.
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

Record decode_record(const json::Value& body) {
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

void encode_instance(json::Writer& out, Api& api, const registry::Instance& instance,
                     std::string_view env) {
  out.begin_object();
  app::write_members(out, instance, api.control().host(), env, "");
  out.end_object();
}

http::Answer fetch_app(Api& api, const json::Value& body) {
  const Record record = decode_record(body);
  const json::Value* status = consul::member(body, "status");
  const std::int64_t mask = status != nullptr && status->as_int() ? *status->as_int() : app::kUp;
  const auto found = app::find(api, record.env, record.appid, mask);
  if (found.empty()) return failed(404, "not found");
  std::string data;
  json::Writer out(data);
  out.begin_object().key("instances").begin_array();
  for (const InstancePtr& instance : found)
    encode_instance(out, api, *instance, record.env);
  out.end_array().member("latest_timestamp", api.index_of(label_of(record.appid))).end_object();
  return envelope(200, "", data);
}

/// Of all environments if the client names none.
http::Answer fetch_all_apps(Api& api, const json::Value& body) {
  const std::string env = text_of(body, "env");
  std::string data;
  json::Writer out(data);
  out.begin_object();
  for (const std::string& label : api.control().registry().services()) {
    const auto found = app::find(api, env, label, app::kUp | app::kWaiting);
    if (found.empty()) continue;
    out.key(found.front()->service.text()).begin_array();
    for (const InstancePtr& instance : found)
      encode_instance(out, api, *instance, env.empty() ? app::env_of(*instance) : env);
    out.end_array();
  }
  out.end_object();
  return envelope(200, "", data);
}

/// The record that a change is about, or the error to answer with.
Result<Record, http::Answer> decode_changed(const json::Value& body) {
  Record record = decode_record(body);
  if (record.appid.empty() || record.hostname.empty())
    return failure(failed(400, "appid and hostname are required"));
  return record;
}

http::Answer register_app(Api& api, const json::Value& body) {
  const auto record = decode_changed(body);
  if (!record) return record.error();
  const auto done = app::put(api, *record);
  return done ? envelope(200, "") : failed(400, done.error());
}

http::Answer renew_app(Api& api, const json::Value& body) {
  const auto record = decode_changed(body);
  if (!record) return record.error();
  return app::renew(api, *record) ? envelope(200, "") : failed(404, "not found");
}

http::Answer cancel_app(Api& api, const json::Value& body) {
  const auto record = decode_changed(body);
  if (!record) return record.error();
  return app::cancel(api, *record) ? envelope(200, "") : failed(404, "not found");
}

/// Calls `answer` with the body; none is an empty object.
template <http::Answer (*answer)(Api&, const json::Value&)>
void with_body(Api& api, http::Call call) {
  if (call.request.body.empty())
    return call.exchange.answer(answer(api, json::Value(json::Object())));
  const auto body = parse_body(call.request);
  call.exchange.answer(body ? answer(api, *body) : failed(400, body.error()));
}

/// This agent is the only node, at the address that the client used.
void list_nodes(Api& api, http::Call call) {
  const std::string_view host = call.request.headers.get("Host");
  std::string data;
  json::Writer out(data);
  out.begin_object().key("instances").begin_array().begin_object();
  out.member("env", "").member("appid", kSelf);
  out.member("hostname", api.control().host().name).key("addrs").begin_array();
  out.value("http://" + std::string(host)).end_array();
  out.member("version", OUTRIDER_VERSION).member("status", app::kUp);
  for (const char* time :
       {"reg_timestamp", "up_timestamp", "renew_timestamp", "dirty_timestamp", "latest_timestamp"})
    out.member(time, 1);
  out.end_object().end_array().member("latest_timestamp", 1).end_object();
  call.exchange.answer(envelope(200, "", data));
}

// --- routes -----------------------------------------------------------------------------------

using http::Effect;

constexpr std::string_view kRecord = "an object with env, appid, hostname, addrs, version, status";
constexpr std::string_view kWhich = "an object with env, appid and hostname";

constexpr Route kRoutes[] = {
    {"POST", "/api/register", with_body<register_app>, Effect::changes,
     "Register an instance of an application", http::kNoParameters, kRecord},
    {"POST", "/api/renew", with_body<renew_app>, Effect::changes, "Renew an instance",
     http::kNoParameters, kWhich},
    {"POST", "/api/cancel", with_body<cancel_app>, Effect::changes, "Deregister an instance",
     http::kNoParameters, kWhich},
    {"POST", "/api/fetch", with_body<fetch_app>, Effect::reads, "List instances of an application",
     http::kNoParameters, "an object with env, appid and status (bit mask: 1 up, 2 waiting)"},
    {"POST", "/api/fetchall", with_body<fetch_all_apps>, Effect::reads,
     "List instances of all applications", http::kNoParameters, "an object with env"},
    {"POST", "/api/nodes", list_nodes, Effect::reads, "List nodes: this agent"},
};

}  // namespace

void add_article_routes(Api& api) {
  api.router().add(kRoutes);
}

}  // namespace outrider::doors
