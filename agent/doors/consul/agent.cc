// SPDX-License-Identifier: Apache-2.0
// /v1/agent/*: the registrations of this agent.
#include <algorithm>
#include <unordered_set>

#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/doors/instance_json.h"
#include "agent/registry/served.h"

namespace outrider::doors {
namespace {

using namespace consul;
using registry::InstancePtr;
using registry::RegistryError;

http::Answer unknown_service(std::string_view id) {
  return text_error(404, "Unknown service ID \"" + std::string(id) +
                             "\". Ensure that the service ID is passed, not the service name.");
}
http::Answer unknown_check(std::string_view id) {
  return text_error(404, "Unknown check ID \"" + std::string(id) +
                             "\". Ensure that the check ID is passed, not the check name.");
}
http::Answer empty_answer() {
  return http::json_answer({});
}

http::Answer result_answer(const Control::Done& result, std::string_view id) {
  if (result) return empty_answer();
  switch (result.error()) {
    case RegistryError::unknown_instance:
      return unknown_service(id);
    case RegistryError::unknown_check:
      return unknown_check(id);
    case RegistryError::too_many:
    case RegistryError::duplicate_id:
    case RegistryError::not_ttl:
    case RegistryError::alias_ring:
      return text_error(doors::status_of(result.error()), registry::to_string(result.error()));
  }
  OUTRIDER_UNREACHABLE();
}

// --- reading ----------------------------------------------------------------------------------

void show_agent(Api& api, http::Call call) {
  const registry::HostView host = api.control().host();
  const std::string address =
      host.addresses.empty() ? "127.0.0.1" : host.addresses.front().to_string();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().key("Config").begin_object();
  out.member("Datacenter", api.options().datacenter).member("PrimaryDatacenter", "");
  out.member("NodeName", own_node(host)).member("NodeID", "").member("Server", false);
  out.member("Revision", "").member("Version", OUTRIDER_VERSION).end_object();
  out.key("Coord").null().key("Member").begin_object();
  out.member("Name", own_node(host)).member("Addr", address).member("Port", 0);
  out.key("Tags").begin_object().member("role", "node").end_object();
  out.member("Status", 1).end_object();
  out.key("Meta").begin_object().end_object().end_object();
  call.exchange.answer(std::move(answer));
}

void list_members(Api& api, http::Call call) {
  const registry::HostView host = api.control().host();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_array().begin_object().member("Name", own_node(host));
  out.member("Addr", host.addresses.empty() ? "127.0.0.1" : host.addresses.front().to_string());
  out.member("Port", 0).key("Tags").begin_object().end_object().member("Status", 1);
  out.end_object().end_array();
  call.exchange.answer(std::move(answer));
}

/// The registrations that are listed, as members of one object.
Api::List object_of_own(Api& api) {
  Api::List list;
  list.instances = api.control().registry().own();
  std::erase_if(list.instances, [](const InstancePtr& instance) { return instance->dropped; });
  list.begin = [](json::Writer& out) { out.begin_object(); };
  list.end = [](json::Writer& out) { out.end_object(); };
  return list;
}

void list_services(Api& api, http::Call call) {
  auto filter = parse_filter_of(call, Rows::service);
  if (!filter) return;
  Api::List list = object_of_own(api);
  list.row = [host = api.control().host(), filter = std::move(*filter)](
                 json::Writer& out, const registry::Instance& instance) {
    write_row(out, filter, instance.id.text(),
              [&](json::Writer& row) { encode_service(row, instance, host); });
  };
  api.answer_list(std::move(call.exchange), std::move(list));
}

void show_service(Api& api, http::Call call) {
  const InstancePtr instance = api.control().registry().find_own(call.rest);
  if (instance == nullptr || instance->dropped)
    return call.exchange.answer(text_error(404, "unknown service ID: " + std::string(call.rest)));
  http::Answer answer;
  json::Writer out(answer.body);
  encode_service(out, *instance, api.control().host());
  call.exchange.answer(std::move(answer));
}

void list_checks(Api& api, http::Call call) {
  auto filter = parse_filter_of(call, Rows::checks);
  if (!filter) return;
  Api::List list = object_of_own(api);
  list.row = [host = api.control().host(), filter = std::move(*filter),
              keys = std::unordered_set<std::string>()](
                 json::Writer& out, const registry::Instance& instance) mutable {
    for (const registry::CheckState& check : instance.checks) {
      std::string key = check_key(instance.id.text(), check.spec);
      // Two instances may have checks of the same name, but a key can occur only once.
      if (keys.contains(key)) key = "service:" + instance.id.text() + ':' + check.spec.id;
      write_row(out, filter, key,
                [&](json::Writer& row) { encode_check(row, instance, check, host); });
      keys.insert(std::move(key));
    }
  };
  api.answer_list(std::move(call.exchange), std::move(list));
}

/// As in Consul: 200 if passing, 429 if warning, 503 if critical or in maintenance.
int health_status(std::string_view status) {
  if (status == "passing") return 200;
  return status == "warning" ? 429 : 503;
}

void encode_health(json::Writer& out, Api& api, const registry::Instance& instance) {
  const registry::HostView host = api.control().host();
  out.begin_object().member("AggregatedStatus", consul::status_of(instance));
  out.key("Service");
  encode_service(out, instance, host);
  out.key("Checks");
  encode_checks(out, instance, host);
  out.end_object();
}

/// One instance is an object, the instances of a name are a list.
enum class HealthForm : std::uint8_t { object, list };

void answer_health(Api& api, http::Call call, std::vector<InstancePtr> instances, HealthForm form) {
  std::erase_if(instances, [](const InstancePtr& instance) {
    return instance == nullptr || !instance->own() || instance->dropped;
  });
  const bool as_text = call.request.target.get("format") == "text";
  const bool as_list = form == HealthForm::list;
  if (instances.empty()) {
    http::Answer none =
        as_text ? http::text_answer(404, "critical") : http::json_answer(as_list ? "[]" : "null");
    none.status = 404;
    return call.exchange.answer(std::move(none));
  }
  const auto worst =
      std::max_element(instances.begin(), instances.end(),
                       [](const auto& a, const auto& b) { return a->health < b->health; });
  const char* status = consul::status_of(**worst);
  if (as_text) return call.exchange.answer(http::text_answer(health_status(status), status));
  http::Answer answer;
  answer.status = health_status(status);
  json::Writer out(answer.body);
  if (as_list) out.begin_array();
  for (const InstancePtr& instance : instances) {
    encode_health(out, api, *instance);
    if (!as_list) break;
  }
  if (as_list) out.end_array();
  call.exchange.answer(std::move(answer));
}

void show_health_by_id(Api& api, http::Call call) {
  std::vector<InstancePtr> found = {api.control().registry().find_own(call.rest)};
  answer_health(api, std::move(call), std::move(found), HealthForm::object);
}

void show_health_by_name(Api& api, http::Call call) {
  std::vector<InstancePtr> found = api.control().registry().instances(label_of(call.rest));
  answer_health(api, std::move(call), std::move(found), HealthForm::list);
}

void show_metrics(Api& api, http::Call call) {
  Metrics all;
  api.write_metrics(all);
  call.exchange.answer(http::text_answer(200, all.text()));
}

// --- writing ----------------------------------------------------------------------------------

/// Consul keeps checks that were registered separately, unless the client says otherwise.
void keep_other_checks(Api& api, registry::ServiceSpec& spec) {
  const InstancePtr before = api.control().registry().find_own(spec.id->text());
  if (before == nullptr) return;
  for (const registry::CheckState& old : before->checks) {
    const bool there = std::any_of(spec.checks.begin(), spec.checks.end(),
                                   [&](const auto& check) { return check.id == old.spec.id; });
    if (!there && spec.checks.size() < registry::kChecksPerInstanceMax)
      spec.checks.push_back(old.spec);
  }
}

void register_service(Api& api, http::Call call) {
  const auto body = parse_body(call.request);
  if (!body) return call.exchange.answer(text_error(400, "Request decode failed: " + body.error()));
  auto spec = decode_service(*body);
  if (!spec) return call.exchange.answer(text_error(400, "Invalid service: " + spec.error()));
  if (!is_set(call.request.target, "replace-existing-checks")) keep_other_checks(api, *spec);
  const auto id = api.control().put(*spec);
  if (id) return call.exchange.answer(empty_answer());
  call.exchange.answer(text_error(doors::status_of(id.error()), registry::to_string(id.error())));
}

void register_check(Api& api, http::Call call) {
  const auto body = parse_body(call.request);
  if (!body) return call.exchange.answer(text_error(400, "Request decode failed: " + body.error()));
  const auto check = decode_check(*body);
  if (!check) return call.exchange.answer(text_error(400, "Invalid check: " + check.error()));
  if (check->instance_id.empty())
    return call.exchange.answer(text_error(400, "Invalid check: ServiceID is required here"));
  call.exchange.answer(
      result_answer(api.control().put_check(check->instance_id, check->check), check->instance_id));
}

void deregister_service(Api& api, http::Call call) {
  call.exchange.answer(result_answer(api.control().remove(call.rest), call.rest));
}

void deregister_check(Api& api, http::Call call) {
  const auto address = find_check(api.control().registry(), call.rest);
  if (!address) return call.exchange.answer(unknown_check(call.rest));
  call.exchange.answer(result_answer(
      api.control().remove_check(address->instance_id, address->check_id), call.rest));
}

void answer_heartbeat(Api& api, http::Call call, CheckHealth health, std::string note) {
  call.exchange.answer(
      result_answer(report_check(api.control(), call.rest, health, std::move(note)), call.rest));
}

template <CheckHealth health>
void report_check_as(Api& api, http::Call call) {
  std::string note(call.request.target.get("note"));
  answer_heartbeat(api, std::move(call), health, std::move(note));
}

void update_check(Api& api, http::Call call) {
  const auto body = parse_body(call.request);
  if (!body) return call.exchange.answer(text_error(400, "Request decode failed: " + body.error()));
  const json::Value* status = member(*body, "status");
  const json::Value* output = member(*body, "output");
  const std::string* text = status != nullptr ? status->as_string() : nullptr;
  const auto health = text != nullptr ? parse_check_health(*text) : std::nullopt;
  if (!health || *health == CheckHealth::starting) {
    return call.exchange.answer(
        text_error(400, "Invalid check status: expected passing, warning or critical"));
  }
  const std::string* note = output != nullptr ? output->as_string() : nullptr;
  answer_heartbeat(api, std::move(call), *health, note != nullptr ? *note : std::string());
}

void set_maintenance(Api& api, http::Call call) {
  const std::string_view enable = call.request.target.get("enable");
  if (enable.empty()) return call.exchange.answer(text_error(400, "Missing value for enable"));
  if (enable != "true" && enable != "false") {
    return call.exchange.answer(
        text_error(400, "Invalid value for enable: " + std::string(enable)));
  }
  const std::string reason(call.request.target.get("reason"));
  call.exchange.answer(
      result_answer(api.control().set_maintenance(call.rest, enable == "true", reason), call.rest));
}

// --- routes -----------------------------------------------------------------------------------

using http::Effect;
using http::Parameter;

constexpr Parameter kFilter[] = {
    {"filter", "only what this expression holds for"},
};
constexpr Parameter kFormat[] = {
    {"format", "text: the status alone"},
};
constexpr Parameter kReplace[] = {
    {"replace-existing-checks", "drop checks that were registered separately"},
};
constexpr Parameter kNote[] = {
    {"note", "the output of the check, for people"},
};
constexpr Parameter kMaintenance[] = {
    {"enable", "true or false"},
    {"reason", "why, for people"},
};

// Heartbeats and deregistrations are GET too, as in Consul before 1.0 and as python-consul still
// sends them.
constexpr Route kRoutes[] = {
    // Before "/v1/agent/service/{id}", which fits these paths too.
    {"PUT", "/v1/agent/service/register", register_service, Effect::changes, "Register a service",
     kReplace, "a service definition, with Check or Checks"},
    {"PUT", "/v1/agent/service/deregister/{id}", deregister_service, Effect::changes,
     "Deregister a service by its id"},
    {"GET", "/v1/agent/service/deregister/{id}", deregister_service, Effect::changes,
     "Deregister a service by its id"},
    {"PUT", "/v1/agent/service/maintenance/{id}", set_maintenance, Effect::changes,
     "Put a service into maintenance, or back into service", kMaintenance},

    {"PUT", "/v1/agent/check/register", register_check, Effect::changes,
     "Add a check to a registered service", http::kNoParameters,
     "a check definition with ServiceID"},
    {"PUT", "/v1/agent/check/update/{check}", update_check, Effect::changes, "Report a TTL check",
     http::kNoParameters, "{\"Status\": \"passing\", \"Output\": \"...\"}"},
    {"PUT", "/v1/agent/check/pass/{check}", report_check_as<CheckHealth::passing>, Effect::changes,
     "Report a TTL check as passing", kNote},
    {"GET", "/v1/agent/check/pass/{check}", report_check_as<CheckHealth::passing>, Effect::changes,
     "Report a TTL check as passing", kNote},
    {"PUT", "/v1/agent/check/warn/{check}", report_check_as<CheckHealth::warning>, Effect::changes,
     "Report a TTL check as warning", kNote},
    {"GET", "/v1/agent/check/warn/{check}", report_check_as<CheckHealth::warning>, Effect::changes,
     "Report a TTL check as warning", kNote},
    {"PUT", "/v1/agent/check/fail/{check}", report_check_as<CheckHealth::critical>, Effect::changes,
     "Report a TTL check as critical", kNote},
    {"GET", "/v1/agent/check/fail/{check}", report_check_as<CheckHealth::critical>, Effect::changes,
     "Report a TTL check as critical", kNote},
    {"PUT", "/v1/agent/check/deregister/{check}", deregister_check, Effect::changes,
     "Remove a check"},
    {"GET", "/v1/agent/check/deregister/{check}", deregister_check, Effect::changes,
     "Remove a check"},

    {"GET", "/v1/agent/self", show_agent, Effect::reads, "Show the agent's name and version"},
    {"GET", "/v1/agent/members", list_members, Effect::reads, "List members: this agent"},
    {"GET", "/v1/agent/services", list_services, Effect::reads, "List this agent's services",
     kFilter},
    {"GET", "/v1/agent/service/{id}", show_service, Effect::reads, "Show a service of this agent"},
    {"GET", "/v1/agent/checks", list_checks, Effect::reads, "List this agent's checks", kFilter},
    {"GET", "/v1/agent/health/service/id/{id}", show_health_by_id, Effect::reads,
     "Show the health of a service of this agent", kFormat},
    {"GET", "/v1/agent/health/service/name/{service}", show_health_by_name, Effect::reads,
     "Show the health of this agent's services of a name", kFormat},
    {"GET", "/v1/agent/metrics", show_metrics, Effect::reads,
     "Show metrics in Prometheus' text format"},
};

}  // namespace

void add_consul_agent_routes(Api& api) {
  api.router().add(kRoutes);
}

}  // namespace outrider::doors
