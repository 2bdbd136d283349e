// SPDX-License-Identifier: Apache-2.0
// /discovery/*: the dialect of github.com/bilibili/discovery, as its naming SDK and Kratos' client
// use it: register, renew, cancel, set, fetch, fetchs, fetch/all, poll, polls and nodes; what only
// its servers say to each other is not served. Parameters come in the query, in a form body or in a
// JSON body. The answer is always HTTP 200; the code is in the body and in the header
// kratos-status-code. A client begins by polling for infra.discovery in its own zone and waits
// until it is sent a node; this agent answers as that node. Served only with api.bilibili.
#include <algorithm>
#include <charconv>

#include "agent/doors/actions.h"
#include "agent/doors/instance_json.h"
#include "agent/doors/legacy/app_record.h"
#include "base/text.h"

namespace outrider::doors {
namespace {

using app::Record;
using registry::InstancePtr;

constexpr Duration kPollWait = std::chrono::seconds(30);
constexpr std::size_t kPollAppsMax = 128;
constexpr std::string_view kSelf = "infra.discovery";
enum Code : int { kOk = 0, kNotModified = -304, kBadRequest = -400, kNotFound = -404 };
/// fetch and poll ask for one application and get its data, fetchs and polls for several and get an
/// object of them.
enum class Apps : std::uint8_t { one, several };

http::Answer with_code(int code, std::string body) {
  http::Answer answer = http::json_answer(std::move(body));
  answer.headers.emplace_back("kratos-status-code", std::to_string(code));
  return answer;
}
/// {"code":0,"message":"0","ttl":1,"data":…}; without data if it is empty.
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
    return parse_number<std::int64_t>(get(key));
  }
};

/// The name of a parameter for a member of a JSON body, which Go's decoder takes in any case.
std::string parameter_name(std::string_view member) {
  std::string flat;
  for (const char c : member)
    if (c != '_') flat += lower(c);
  if (flat == "latesttimestamp") return "latest_timestamp";
  if (flat == "dirtytimestamp") return "dirty_timestamp";
  return flat;
}

void add_field(Form& form, const std::string& name, const json::Value& value) {
  if (value.is_null()) return;
  if (const json::Array* list = value.as_array()) {
    for (const json::Value& one : *list)
      add_field(form, name, one);
    return;
  }
  std::string text;
  if (value.as_string() != nullptr)
    text = *value.as_string();
  else
    json::Writer(text).value(value);
  form.fields.emplace_back(name, std::move(text));
}

std::optional<Form> decode_form(const http::ServerRequest& request) {
  Form form{request.target.query};
  if (request.body.empty()) return form;
  if (equal_fold(request.headers.get("Content-Type").substr(0, 16), "application/json")) {
    const auto body = json::parse(request.body, json::kBodyBytesMax);
    if (!body || body->as_object() == nullptr) return std::nullopt;
    for (const auto& [member, value] : *body->as_object())
      add_field(form, parameter_name(member), value);
    return form;
  }
  // In a form "+" is a space; our query parser keeps it.
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

Result<registry::Metadata, std::string> decode_metadata(const std::string& text) {
  const std::string wrong = "metadata must be a JSON object of strings";
  registry::Metadata metadata;
  if (text.empty()) return metadata;
  const auto value = json::parse(text, json::kBodyBytesMax);
  if (!value || value->as_object() == nullptr) return failure(wrong);
  for (const auto& [key, content] : *value->as_object()) {
    if (content.as_string() == nullptr) return failure(wrong);
    metadata.emplace(key, *content.as_string());
  }
  return metadata;
}

Result<Record, std::string> decode_record(const Form& form) {
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
  auto metadata = decode_metadata(form.get("metadata"));
  if (!metadata) return failure(std::move(metadata.error()));
  record.metadata = std::move(*metadata);
  record.status = form.number("status").value_or(app::kUp);
  return record;
}

void encode_instance(json::Writer& out, Api& api, const registry::Instance& instance,
                     std::string_view env, std::string_view zone) {
  out.begin_object();
  app::write_members(out, instance, api.control().host(), env, zone);
  out.key("metadata").begin_object();
  for (const auto& [key, value] : app::own_metadata(instance))
    out.member(key, value);
  out.end_object().end_object();
}

/// This agent as a node, in the client's zone and environment, at the address that it used.
std::string encode_self(const http::ServerRequest& request, const Form& form) {
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

std::string encode_app(Api& api, const std::vector<InstancePtr>& found, std::string_view env,
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
      if (zone_of(*instance) == each) encode_instance(out, api, *instance, env, each);
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

using Request = http::ServerRequest;

http::Answer register_app(Api& api, const Request&, const Form& form) {
  const auto record = decode_record(form);
  if (!record) return envelope(kBadRequest, {}, record.error());
  if (record->addrs.empty()) return envelope(kBadRequest, {}, "addrs is required");
  const auto done = app::put(api, *record);
  return done ? envelope(kOk) : envelope(kBadRequest, {}, done.error());
}

http::Answer cancel_app(Api& api, const Request&, const Form& form) {
  const auto record = decode_record(form);
  if (!record) return envelope(kBadRequest, {}, record.error());
  return envelope(app::cancel(api, *record) ? kOk : kNotFound);
}

/// Status and metadata of the instances at several host names: none or one for each.
http::Answer set_app(Api& api, const Request&, const Form& form) {
  auto record = decode_record(form);
  if (!record) return envelope(kBadRequest, {}, record.error());
  const std::vector<std::string> hostnames = form.all("hostname");
  const std::vector<std::string> statuses = form.all("status");
  const std::vector<std::string> metadata = form.all("metadata");
  for (const auto* list : {&statuses, &metadata})
    if (!list->empty() && list->size() != hostnames.size())
      return envelope(kBadRequest, {}, "as many status and metadata as hostname are required");
  std::vector<std::int64_t> wanted;
  for (const std::string& text : statuses) {
    const auto status = parse_number<std::int64_t>(text).value_or(0);
    if (status != app::kUp && status != app::kWaiting)
      return envelope(kBadRequest, {}, "status must be 1 or 2");
    wanted.push_back(status);
  }
  std::vector<registry::Metadata> added;
  for (const std::string& text : metadata) {
    auto decoded = decode_metadata(text);
    if (!decoded) return envelope(kBadRequest, {}, decoded.error());
    added.push_back(std::move(*decoded));
  }
  for (std::size_t i = 0; i < hostnames.size(); ++i) {
    record->hostname = hostnames[i];
    if (!added.empty())
      if (const auto done = app::add_metadata(api, *record, added[i]); !done)
        return envelope(kBadRequest, {}, done.error());
    if (wanted.empty()) continue;
    if (!app::set_status(api, *record, wanted[i]))
      return envelope(kBadRequest, {}, "unknown instance \"" + app::id_of(*record) + '"');
  }
  return envelope(kOk);
}

http::Answer renew_app(Api& api, const Request&, const Form& form) {
  const auto record = decode_record(form);
  if (!record) return envelope(kBadRequest, {}, record.error());
  if (!app::renew(api, *record)) return envelope(kNotFound);
  const InstancePtr instance = app::find_registration(api, *record);
  std::string data;
  json::Writer out(data);
  encode_instance(out, api, *instance, record->env, record->zone);
  return envelope(kOk, data);
}

/// Adds "appid": `content` to the members of an object that is not closed yet.
void add_app(std::string& data, const std::string& appid, const std::string& content) {
  std::string key;
  json::Writer(key).value(appid);
  data += (data.empty() ? "{" : ",") + key + ':' + content;
}

template <Apps shape>
http::Answer fetch_apps(Api& api, const Request& request, const Form& form) {
  const std::int64_t mask = form.number("status").value_or(app::kUp);
  const std::string env = form.get("env");
  std::string data;
  for (const std::string& appid : form.all("appid")) {
    const auto found = in_zone(app::find(api, env, appid, mask), form.get("zone"));
    const bool self = appid == kSelf;
    if (found.empty() && !self) continue;
    const std::string content =
        self ? encode_self(request, form) : encode_app(api, found, env, appid, form.get("zone"));
    if (shape == Apps::one) return envelope(kOk, content);
    add_app(data, appid, content);
  }
  if (shape == Apps::one) return envelope(kNotFound);
  return envelope(kOk, data.empty() ? "{}" : data + '}');
}

http::Answer fetch_all_apps(Api& api, const Request&, const Form&) {
  std::string data;
  json::Writer out(data);
  out.begin_object();
  for (const std::string& label : api.control().registry().services()) {
    const auto found = app::find(api, "", label, app::kUp | app::kWaiting);
    if (found.empty()) continue;
    out.key(found.front()->service.text()).begin_array();
    for (const InstancePtr& instance : found) {
      const auto env = instance->metadata.find("env");
      encode_instance(out, api, *instance, env == instance->metadata.end() ? "" : env->second, "");
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
  std::string self;  // this agent as a node; empty if not asked for, or sent before
  Apps shape = Apps::one;
};

/// What is new for the client, or -304.
http::Answer answer_to(Api& api, const Poll& poll) {
  std::string data;
  std::string missing;
  for (const Poll::App& wanted : poll.apps) {
    if (wanted.appid == kSelf) {
      if (poll.self.empty()) continue;
      if (poll.shape == Apps::one) return envelope(kOk, poll.self);
      add_app(data, wanted.appid, poll.self);
      continue;
    }
    const auto found = in_zone(app::find(api, poll.env, wanted.appid, app::kUp), poll.zone);
    if (found.empty()) {
      if (poll.shape == Apps::one) return envelope(kNotFound, {}, wanted.appid + " not found");
      std::string name;
      json::Writer(name).value(wanted.appid);
      missing += (missing.empty() ? "" : ",") + name;
      continue;
    }
    if (wanted.index == api.index_of(label_of(wanted.appid))) continue;
    const std::string content = encode_app(api, found, poll.env, wanted.appid, poll.zone);
    if (poll.shape == Apps::one) return envelope(kOk, content);
    add_app(data, wanted.appid, content);
  }
  if (data.empty()) return envelope(kNotModified);
  std::string body = "{\"code\":0,\"message\":\"0\",\"data\":" + data + "},\"error\":";
  body += missing.empty() ? "null" : "{\"-404\":[" + missing + "]}";
  return with_code(kOk, body + "}");
}

/// True if the poll can be answered without waiting.
bool is_due(Api& api, const Poll& poll) {
  if (!poll.self.empty()) return true;
  return std::any_of(poll.apps.begin(), poll.apps.end(), [&](const Poll::App& wanted) {
    if (wanted.appid == kSelf) return false;
    const bool there =
        !in_zone(app::find(api, poll.env, wanted.appid, app::kUp), poll.zone).empty();
    // poll is answered at once if the application is unknown; polls waits for it.
    return there ? wanted.index != api.index_of(label_of(wanted.appid)) : poll.shape == Apps::one;
  });
}

http::Answer malformed_form() {
  return envelope(kBadRequest, {}, "malformed form body");
}

template <Apps shape>
void poll_apps(Api& api, http::Call call) {
  const auto decoded = decode_form(call.request);
  if (!decoded) return call.exchange.answer(malformed_form());
  const Form& form = *decoded;
  const std::vector<std::string> appids = form.all("appid");
  const std::vector<std::string> stamps = form.all("latest_timestamp");
  if (appids.empty() || appids.size() > kPollAppsMax || form.get("env").empty() ||
      form.get("hostname").empty() || (!stamps.empty() && stamps.size() != appids.size())) {
    return call.exchange.answer(envelope(kBadRequest, {},
                                         "env, hostname and appid are required, and "
                                         "as many latest_timestamp as appid"));
  }
  Poll wanted{form.get("env"), form.get("zone"), {}, {}, shape};
  Api::Until until;
  until.wait = kPollWait;
  for (std::size_t i = 0; i < appids.size(); ++i) {
    std::uint64_t stamp = 0;
    if (!stamps.empty())
      std::from_chars(stamps[i].data(), stamps[i].data() + stamps[i].size(), stamp);
    if (appids[i] == kSelf) {
      if (stamp == 0) wanted.self = encode_self(call.request, form);
      wanted.apps.push_back({appids[i], 0});
      continue;
    }
    wanted.apps.push_back({appids[i], stamp});
    until.keys.push_back({label_of(appids[i]), api.index_of(label_of(appids[i]))});
  }
  // A change in another zone or environment, which alone would be answered with nothing.
  until.differs = [&api, wanted] { return is_due(api, wanted); };
  if (is_due(api, wanted)) return call.exchange.answer(answer_to(api, wanted));
  api.answer_when(
      std::move(until), std::move(call.exchange),
      [&api, wanted = std::move(wanted)] { return answer_to(api, wanted); },
      [] { return envelope(kNotModified); });
}

/// This agent is the only node, at the address that the client used.
http::Answer list_nodes(Api&, const Request& request, const Form&) {
  std::string data;
  json::Writer out(data);
  out.begin_array().begin_object().member("addr", request.headers.get("Host"));
  out.member("status", 0).member("zone", "").end_object().end_array();
  return envelope(kOk, data);
}

template <http::Answer (*answer)(Api&, const Request&, const Form&)>
void with_form(Api& api, http::Call call) {
  const auto form = decode_form(call.request);
  call.exchange.answer(form ? answer(api, call.request, *form) : malformed_form());
}

// --- routes -----------------------------------------------------------------------------------

using http::Effect;
using http::Parameter;

constexpr Parameter kRecord[] = {
    {"env", "the environment, such as dev"},
    {"zone", "the zone of the instance"},
    {"appid", "the application"},
    {"hostname", "the host; one instance of an application each"},
    {"region", "the region of the instance"},
    {"addrs", "where the instance is, such as http://192.168.1.10:8000; may be repeated"},
    {"version", "the version of the application"},
    {"status", "1: up, 2: waiting"},
    {"metadata", "a JSON object of strings"},
};
constexpr Parameter kWhich[] = {
    {"env", "the environment"},
    {"zone", "the zone of the instance"},
    {"appid", "the application"},
    {"hostname", "the host"},
};
constexpr Parameter kSet[] = {
    {"env", "the environment"},
    {"zone", "the zone of the instance"},
    {"appid", "the application"},
    {"hostname", "the host; may be repeated"},
    {"status", "1: up, 2: waiting; none, or one for each hostname"},
    {"metadata", "a JSON object of strings to add; none, or one for each hostname"},
};
constexpr Parameter kFetch[] = {
    {"env", "the environment"},
    {"appid", "the application; fetchs: may be repeated"},
    {"zone", "only instances of this zone"},
    {"status", "bit mask: 1 up, 2 waiting; default: 1"},
};
constexpr Parameter kPoll[] = {
    {"env", "the environment"},
    {"appid", "the application; polls: may be repeated"},
    {"hostname", "the host that polls"},
    {"latest_timestamp", "that of the last answer, one for each appid; 0 at first"},
    {"zone", "only instances of this zone"},
};

constexpr Route kRoutes[] = {
    {"POST", "/discovery/register", with_form<register_app>, Effect::changes,
     "Register an instance of an application", kRecord},
    {"POST", "/discovery/renew", with_form<renew_app>, Effect::changes, "Renew an instance",
     kWhich},
    {"POST", "/discovery/cancel", with_form<cancel_app>, Effect::changes, "Deregister an instance",
     kWhich},
    {"POST", "/discovery/set", with_form<set_app>, Effect::changes,
     "Set whether instances are up or waiting, and their metadata", kSet},
    {"GET", "/discovery/fetch", with_form<fetch_apps<Apps::one>>, Effect::reads,
     "List instances of an application", kFetch},
    {"GET", "/discovery/fetchs", with_form<fetch_apps<Apps::several>>, Effect::reads,
     "List instances of applications", kFetch},
    {"GET", "/discovery/fetch/all", with_form<fetch_all_apps>, Effect::reads,
     "List instances of all applications"},
    {"GET", "/discovery/poll", poll_apps<Apps::one>, Effect::reads,
     "Wait until an application changes, for at most 30 seconds", kPoll},
    {"GET", "/discovery/polls", poll_apps<Apps::several>, Effect::reads,
     "Wait until one of the applications changes, for at most 30 seconds", kPoll},
    {"GET", "/discovery/nodes", with_form<list_nodes>, Effect::reads, "List nodes: this agent"},
};

}  // namespace

void add_bilibili_routes(Api& api) {
  api.router().add(kRoutes);
}

}  // namespace outrider::doors
