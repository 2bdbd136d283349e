// SPDX-License-Identifier: Apache-2.0
// /discovery/*: bilibili's discovery, as its naming SDK and Kratos' client speak it. Parameters are
// taken from the query and from a form body alike; always HTTP 200, the code in the body and in the
// header kratos-status-code. A client begins by polling for infra.discovery in its own zone and
// waits until it hears of a node: that is us.
#include <algorithm>
#include <charconv>

#include "agent/doors/actions.h"
#include "agent/doors/instance_json.h"
#include "agent/doors/legacy/app_record.h"

namespace outrider::doors {
namespace {

using app::Record;
using registry::InstancePtr;

constexpr Duration kPollWait = std::chrono::seconds(30);
constexpr std::size_t kPollAppsMax = 128;
constexpr std::string_view kSelf = "infra.discovery";
enum Code : int { kOk = 0, kNotModified = -304, kBadRequest = -400, kNothing = -404 };

http::Answer with_code(int code, std::string body) {
  http::Answer answer = http::json_answer(std::move(body));
  answer.headers.emplace_back("kratos-status-code", std::to_string(code));
  return answer;
}
/// {"code":0,"message":"0","ttl":1,"data":…}; data left out when empty.
http::Answer envelope(int code, std::string_view data = {}, std::string_view message = {}) {
  std::string body;
  json::Writer(body)
      .begin_object()
      .member("code", code)
      .member("message", message.empty() ? std::to_string(code) : std::string(message))
      .member("ttl", 1)
      .end_object();
  if (!data.empty()) body.insert(body.size() - 1, ",\"data\":" + std::string(data));
  return with_code(code, std::move(body));
}

/// Query and form body together.
struct Form {
  std::vector<std::pair<std::string, std::string>> fields;

  std::string get(std::string_view key) const {
    for (const auto& [name, value] : fields)
      if (name == key) return value;
    return {};
  }
  std::vector<std::string> all(std::string_view key) const {
    std::vector<std::string> out;
    for (const auto& [name, value] : fields)
      if (name == key && !value.empty()) out.push_back(value);
    return out;
  }
  std::optional<std::int64_t> number(std::string_view key) const {
    const std::string text = get(key);
    std::int64_t value = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || end.ec != std::errc() || end.ptr != text.data() + text.size())
      return std::nullopt;
    return value;
  }
};

std::optional<Form> read_form(const http::ServerRequest& request) {
  Form form{request.target.query};
  if (request.body.empty()) return form;
  // In a form '+' is a space; in our query parser it is a plus.
  std::string body = request.body;
  std::replace(body.begin(), body.end(), '+', ' ');
  std::string escaped;
  for (const char c : body)
    if (c == ' ')
      escaped += "%20";
    else
      escaped += c;
  const auto target = http::parse_target("/?" + escaped);
  if (!target) return std::nullopt;
  form.fields.insert(form.fields.end(), target->query.begin(), target->query.end());
  return form;
}

Result<Record, std::string> read_record(const Form& form) {
  Record record;
  record.env = form.get("env");
  record.appid = form.get("appid");
  record.hostname = form.get("hostname");
  record.region = form.get("region");
  record.zone = form.get("zone");
  record.version = form.get("version");
  record.addrs = form.all("addrs");
  for (const std::string* required : {&record.env, &record.appid, &record.hostname, &record.zone})
    if (required->empty()) return failure(std::string("env, appid, hostname, zone are required"));
  if (const std::string text = form.get("metadata"); !text.empty()) {
    const auto value = json::parse(text, json::kBodyBytesMax);
    if (!value || value->as_object() == nullptr)
      return failure(std::string("metadata must be a JSON object of strings"));
    for (const auto& [key, content] : *value->as_object()) {
      if (content.as_string() == nullptr)
        return failure(std::string("metadata must be a JSON object of strings"));
      record.metadata.emplace(key, *content.as_string());
    }
  }
  record.status = form.number("status").value_or(app::kUp);
  return record;
}

void write_instance(json::Writer& out, Api& api, const registry::Instance& instance,
                    std::string_view env, std::string_view zone) {
  out.begin_object();
  app::write_members(out, instance, api.control().host(), env, zone);
  out.key("metadata").begin_object();
  for (const auto& [key, value] : app::own_metadata(instance))
    out.member(key, value);
  out.end_object().end_object();
}

/// Ourselves, in the zone and environment of whoever asks, where he asked.
std::string self_info(const http::ServerRequest& request, const Form& form) {
  std::string zone = form.get("zone");
  if (zone.empty()) zone = "zone";
  std::string text;
  json::Writer out(text);
  out.begin_object().key("instances").begin_object().key(zone).begin_array().begin_object();
  out.member("region", "").member("zone", zone).member("env", form.get("env"));
  out.member("appid", kSelf).member("hostname", "outrider");
  out.key("addrs").begin_array();
  out.value("http://" + std::string(request.headers.get("Host"))).end_array();
  out.member("version", OUTRIDER_VERSION).member("status", app::kUp);
  out.key("metadata").begin_object().end_object().end_object().end_array().end_object();
  out.member("latest_timestamp", 1).end_object();
  return text;
}

std::string info(Api& api, const std::vector<InstancePtr>& found, std::string_view env,
                 std::string_view appid, std::string_view zone) {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("instances").begin_object();
  std::vector<std::string> zones;
  const auto zone_of = [&](const registry::Instance& instance) {
    const auto kept = instance.metadata.find("zone");
    return kept == instance.metadata.end() ? std::string(zone) : kept->second;
  };
  for (const InstancePtr& instance : found)
    zones.push_back(zone_of(*instance));
  std::sort(zones.begin(), zones.end());
  zones.erase(std::unique(zones.begin(), zones.end()), zones.end());
  for (const std::string& each : zones) {
    out.key(each).begin_array();
    for (const InstancePtr& instance : found)
      if (zone_of(*instance) == each) write_instance(out, api, *instance, env, each);
    out.end_array();
  }
  out.end_object().member("latest_timestamp", api.index_of(label_of(appid))).end_object();
  return text;
}

std::vector<InstancePtr> in_zone(std::vector<InstancePtr> found, const std::string& zone) {
  if (zone.empty()) return found;
  std::erase_if(found, [&](const InstancePtr& instance) {
    const auto kept = instance->metadata.find("zone");
    return kept != instance->metadata.end() && kept->second != zone;
  });
  return found;
}

http::Answer change(Api& api, std::string_view verb, const Form& form) {
  const auto record = read_record(form);
  if (!record) return envelope(kBadRequest, {}, record.error());
  if (verb == "register") {
    if (record->addrs.empty()) return envelope(kBadRequest, {}, "addrs is required");
    const auto done = app::put(api, *record);
    return done ? envelope(kOk) : envelope(kBadRequest, {}, done.error());
  }
  if (verb == "cancel") return envelope(app::cancel(api, *record) ? kOk : kNothing);
  if (verb == "set") {
    const bool known = app::set_status(api, *record, record->status);
    return envelope(known ? kOk : kBadRequest);
  }
  if (!app::renew(api, *record)) return envelope(kNothing);
  const InstancePtr instance = api.control().registry().find_own(app::id_of(*record));
  std::string data;
  json::Writer out(data);
  write_instance(out, api, *instance, record->env, record->zone);
  return envelope(kOk, data);
}

/// fetch of one application, fetchs of several.
http::Answer fetch(Api& api, const http::ServerRequest& request, const Form& form, bool many) {
  const std::int64_t mask = form.number("status").value_or(app::kUp);
  const std::string env = form.get("env");
  std::string data;
  for (const std::string& appid : form.all("appid")) {
    const auto found = in_zone(app::find(api, env, appid, mask), form.get("zone"));
    const bool self = appid == kSelf;
    if (found.empty() && !self) continue;
    const std::string one =
        self ? self_info(request, form) : info(api, found, env, appid, form.get("zone"));
    if (!many) return envelope(kOk, one);
    std::string key;
    json::Writer(key).value(appid);
    data += (data.empty() ? "{" : ",") + key + ':' + one;
  }
  if (!many) return envelope(kNothing);
  return envelope(kOk, data.empty() ? "{}" : data + '}');
}

http::Answer fetch_all(Api& api) {
  std::string data;
  json::Writer out(data);
  out.begin_object();
  for (const std::string& label : api.control().registry().services()) {
    const auto found = api.control().registry().instances(label);
    out.key(found.front()->service.text()).begin_array();
    for (const InstancePtr& instance : found) {
      const auto env = instance->metadata.find("env");
      write_instance(out, api, *instance, env == instance->metadata.end() ? "" : env->second, "");
    }
    out.end_array();
  }
  out.end_object();
  return envelope(kOk, data);
}

// --- long polls -------------------------------------------------------------------------------

struct Poll {
  struct App {
    std::string appid;
    std::uint64_t index = 0;
  };
  std::string env, zone;
  std::vector<App> apps;
  std::string self;  // what is told of ourselves; empty when not asked or told already
  bool many = false;
};

/// What is new for it, or -304.
http::Answer poll_answer(Api& api, const Poll& poll) {
  std::string data;
  std::string missing;
  const auto add = [&](const std::string& appid, const std::string& one) {
    std::string key;
    json::Writer(key).value(appid);
    data += (data.empty() ? "{" : ",") + key + ':' + one;
  };
  for (const Poll::App& wanted : poll.apps) {
    if (wanted.appid == kSelf) {
      if (poll.self.empty()) continue;
      if (!poll.many) return envelope(kOk, poll.self);
      add(wanted.appid, poll.self);
      continue;
    }
    const auto found = in_zone(app::find(api, poll.env, wanted.appid, app::kUp), poll.zone);
    if (found.empty()) {
      if (!poll.many) return envelope(kNothing, {}, wanted.appid + " not found");
      std::string name;
      json::Writer(name).value(wanted.appid);
      missing += (missing.empty() ? "" : ",") + name;
      continue;
    }
    if (wanted.index == api.index_of(label_of(wanted.appid))) continue;
    const std::string one = info(api, found, poll.env, wanted.appid, poll.zone);
    if (!poll.many) return envelope(kOk, one);
    add(wanted.appid, one);
  }
  if (data.empty()) return envelope(kNotModified);
  std::string body = "{\"code\":0,\"message\":\"0\",\"data\":" + data + "},\"error\":";
  body += missing.empty() ? "null" : "{\"-404\":[" + missing + "]}";
  return with_code(kOk, body + "}");
}

/// True if there is something to tell without waiting.
bool is_due(Api& api, const Poll& poll) {
  if (!poll.self.empty()) return true;
  return std::any_of(poll.apps.begin(), poll.apps.end(), [&](const Poll::App& wanted) {
    if (wanted.appid == kSelf) return false;
    const bool there = !app::find(api, poll.env, wanted.appid, app::kUp).empty();
    // /poll of an unknown application is told so at once; /polls waits for it.
    return there ? wanted.index != api.index_of(label_of(wanted.appid)) : !poll.many;
  });
}

void poll(Api& api, const http::ServerRequest& request, const Form& form, bool many,
          http::Exchange exchange) {
  const std::vector<std::string> appids = form.all("appid");
  const std::vector<std::string> stamps = form.all("latest_timestamp");
  if (appids.empty() || appids.size() > kPollAppsMax || form.get("env").empty() ||
      form.get("hostname").empty() || (!stamps.empty() && stamps.size() != appids.size())) {
    return exchange.answer(envelope(kBadRequest, {},
                                    "env, hostname and appid are required, and "
                                    "as many latest_timestamp as appid"));
  }
  Poll wanted{form.get("env"), form.get("zone"), {}, {}, many};
  Api::Until until;
  until.wait = kPollWait;
  for (std::size_t i = 0; i < appids.size(); ++i) {
    std::uint64_t stamp = 0;
    if (!stamps.empty())
      std::from_chars(stamps[i].data(), stamps[i].data() + stamps[i].size(), stamp);
    if (appids[i] == kSelf) {
      if (stamp == 0) wanted.self = self_info(request, form);
      wanted.apps.push_back({appids[i], 0});
      continue;
    }
    wanted.apps.push_back({appids[i], stamp});
    until.keys.push_back({label_of(appids[i]), api.index_of(label_of(appids[i]))});
  }
  if (is_due(api, wanted)) return exchange.answer(poll_answer(api, wanted));
  api.answer_when(
      std::move(until), std::move(exchange),
      [&api, wanted = std::move(wanted)] { return poll_answer(api, wanted); },
      [] { return envelope(kNotModified); });
}

http::Answer nodes(const http::ServerRequest& request) {
  std::string data;
  json::Writer out(data);
  out.begin_array().begin_object().member("addr", request.headers.get("Host"));
  out.member("status", 0).member("zone", "").end_object().end_array();
  return envelope(kOk, data);
}

void answer(Api& api, std::string_view verb, const http::ServerRequest& request,
            http::Exchange exchange) {
  const auto form = read_form(request);
  if (!form) return exchange.answer(envelope(kBadRequest, {}, "the form cannot be read"));
  if (verb == "poll" || verb == "polls")
    return poll(api, request, *form, verb == "polls", std::move(exchange));
  if (verb == "fetch" || verb == "fetchs")
    return exchange.answer(fetch(api, request, *form, verb == "fetchs"));
  if (verb == "fetch/all") return exchange.answer(fetch_all(api));
  if (verb == "nodes") return exchange.answer(nodes(request));
  exchange.answer(change(api, verb, *form));
}

}  // namespace

void add_bilibili_routes(Api& api) {
  const auto add = [&api](const char* method, const char* verb) {
    api.router().add(method, std::string("/discovery/") + verb,
                     [&api, verb](const http::ServerRequest& request, std::string_view,
                                  http::Exchange e) { answer(api, verb, request, std::move(e)); });
  };
  for (const char* verb : {"register", "renew", "cancel", "set"})
    add("POST", verb);
  for (const char* verb : {"fetch", "fetchs", "fetch/all", "poll", "polls", "nodes"})
    add("GET", verb);
}

}  // namespace outrider::doors
