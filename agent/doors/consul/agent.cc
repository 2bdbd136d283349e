// SPDX-License-Identifier: Apache-2.0
// /v1/agent/*: the registrations of this agent.
#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_set>

#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/doors/instance_json.h"
#include "agent/doors/lease.h"
#include "agent/registry/served.h"
#include "agent/registry/target.h"

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
    case RegistryError::too_large:
      return text_error(doors::status_of(result.error()), registry::to_string(result.error()));
  }
  OUTRIDER_UNREACHABLE();
}

// --- reading ----------------------------------------------------------------------------------

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

/// Nothing if no such service is registered.
std::optional<HashedService> find_service(Api& api, std::string_view id) {
  const InstancePtr instance = api.control().registry().find_own(id);
  if (instance == nullptr || instance->dropped) return std::nullopt;
  return encode_hashed_service(*instance, api.control().host(), api.options().datacenter);
}

http::Answer service_answer(Api& api, const std::string& id) {
  auto service = find_service(api, id);
  if (!service) return text_error(404, "unknown service ID: " + id);
  const InstancePtr instance = api.control().registry().find_own(id);
  http::Answer answer = with_index(api, instance->service.label(), std::move(service->body));
  answer.headers.emplace_back("X-Consul-ContentHash", std::move(service->hash));
  return answer;
}

/// Blocks while the hash of the service is the given one.
void show_service(Api& api, http::Call call) {
  std::string id(call.rest), hash(call.request.target.get("hash"));
  const auto wait = parse_wait(api, call.request.target);
  if (!wait) return call.exchange.answer(text_error(400, wait.error()));
  const auto now = find_service(api, id);
  if (!now || now->hash != hash) return call.exchange.answer(service_answer(api, id));
  const std::string label = api.control().registry().find_own(id)->service.label();
  Api::Until until;
  until.keys.push_back({label, api.index_of(label)});
  until.wait = *wait;
  until.differs = [&api, id, hash = std::move(hash)] {
    const auto next = find_service(api, id);
    return !next || next->hash != hash;
  };
  api.answer_when(std::move(until), std::move(call.exchange),
                  [&api, id = std::move(id)] { return service_answer(api, id); });
}

void list_checks(Api& api, http::Call call) {
  auto parsed = parse_filter_of(call, Rows::checks);
  if (!parsed) return;
  auto filter = std::make_shared<const Filter>(std::move(*parsed));
  auto keys = std::make_shared<std::unordered_set<std::string>>();
  Api::List list = object_of_own(api);
  const registry::HostView host = api.control().host();
  list.begin = [keys, filter, host, node = node_in(api.control().registry())](json::Writer& out) {
    out.begin_object();
    for (const CheckEntry& check : node_checks_of(*node)) {
      keys->insert(check.id);
      write_row(out, *filter, check.id,
                [&](json::Writer& row) { encode_check(row, check, *node, host); });
    }
  };
  list.row = [keys, filter, host](json::Writer& out, const registry::Instance& instance) {
    for (const CheckEntry& check : checks_of(instance)) {
      std::string key = check.id;
      // Two instances may have checks of the same name, but a key can occur only once.
      if (keys->contains(key)) key = "service:" + instance.id.text() + ':' + check.id;
      write_row(out, *filter, key,
                [&](json::Writer& row) { encode_check(row, check, instance, host); });
      keys->insert(std::move(key));
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
  encode_checks(out, instance, *node_in(api.control().registry()), host);
  out.end_object();
}

/// One instance is an object, the instances of a name are a list.
enum class HealthForm : std::uint8_t { object, list };

void answer_health(Api& api, http::Call call, std::vector<InstancePtr> instances, HealthForm form) {
  std::erase_if(instances, [](const InstancePtr& instance) {
    return instance == nullptr || !instance->own() || instance->dropped;
  });
  const std::string_view format = call.request.target.get("format");
  if (!format.empty() && format != "text" && format != "json")
    return call.exchange.answer(text_error(400, "Invalid format: expected text or json"));
  const bool as_text = format == "text";
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

// --- writing ----------------------------------------------------------------------------------

std::vector<IpAddress> own_of(Api& api) {
  return addresses_of_host(api.control().host(), api.env().network);
}

void register_service(Api& api, http::Call call) {
  const auto body = parse_body(call.request, RepeatedKeys::last_counts);
  if (!body) return call.exchange.answer(text_error(400, "Request decode failed: " + body.error()));
  const auto replace = parse_flag(call.request.target, "replace-existing-checks");
  if (!replace) return call.exchange.answer(text_error(400, replace.error()));
  auto spec = decode_service(*body, api.control().host());
  if (!spec) return call.exchange.answer(text_error(400, "Invalid service: " + spec.error()));
  if (const auto why = registry::unreachable_check(*spec, own_of(api)))
    return call.exchange.answer(text_error(400, "Invalid check: " + *why));
  // Consul keeps checks that were registered separately, unless the client says otherwise.
  if (!*replace && !keep_other_checks(api.control().registry(), *spec))
    return call.exchange.answer(text_error(
        400, "Invalid service: more than " + std::to_string(registry::kChecksPerInstanceMax) +
                 " checks with those that were registered separately; send "
                 "?replace-existing-checks=true to drop them"));
  const auto id = api.control().put(*spec);
  if (id) return call.exchange.answer(empty_answer());
  call.exchange.answer(text_error(doors::status_of(id.error()), registry::to_string(id.error())));
}

void register_check(Api& api, http::Call call) {
  const auto body = parse_body(call.request, RepeatedKeys::last_counts);
  if (!body) return call.exchange.answer(text_error(400, "Request decode failed: " + body.error()));
  const auto request = decode_check(*body, api.control().host());
  if (!request) return call.exchange.answer(text_error(400, "Invalid check: " + request.error()));
  const std::string& id = request->instance_id;
  const InstancePtr instance = api.control().registry().find_own(id);
  if (instance == nullptr) return call.exchange.answer(unknown_service(id));
  if (const auto why = registry::unreachable_check(request->check, *instance, own_of(api)))
    return call.exchange.answer(text_error(400, "Invalid check: " + *why));
  call.exchange.answer(result_answer(api.control().put_check(id, request->check), id));
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
  const auto body = parse_body(call.request, RepeatedKeys::last_counts);
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

void answer_maintenance(Api& api, http::Call call, std::string id) {
  const http::Target& target = call.request.target;
  if (target.get("enable").empty())
    return call.exchange.answer(text_error(400, "Missing value for enable: true or false"));
  const auto enable = parse_flag(target, "enable");
  if (!enable) return call.exchange.answer(text_error(400, enable.error()));
  const auto done = api.control().set_maintenance(id, *enable, std::string(target.get("reason")));
  call.exchange.answer(result_answer(done, id));
}

void set_maintenance(Api& api, http::Call call) {
  std::string id(call.rest);
  answer_maintenance(api, std::move(call), std::move(id));
}

void set_node_maintenance(Api& api, http::Call call) {
  answer_maintenance(api, std::move(call), std::string(registry::kNodeId));
}

// --- routes -----------------------------------------------------------------------------------

using http::Effect;
using http::Parameter;

constexpr Parameter kFilter[] = {
    {"filter", "only entries that match this expression"},
};
constexpr Parameter kHash[] = {
    {"hash", "wait until X-Consul-ContentHash differs from this"},
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
     kReplace, "a service definition, with Check or Checks", kNoForm, "ConsulServiceDefinition"},
    {"PUT", "/v1/agent/service/deregister/{id}", deregister_service, Effect::changes,
     "Deregister a service by its id"},
    {"GET", "/v1/agent/service/deregister/{id}", deregister_service, Effect::changes,
     "Deregister a service by its id"},
    {"PUT", "/v1/agent/service/maintenance/{id}", set_maintenance, Effect::changes,
     "Put a service into maintenance, or back into service", kMaintenance},

    {"PUT", "/v1/agent/maintenance", set_node_maintenance, Effect::changes,
     "Put all services of this agent into maintenance, or back into service", kMaintenance},

    {"PUT", "/v1/agent/check/register", register_check, Effect::changes,
     "Add a check to a registered service, or to all services of this agent", http::kNoParameters,
     "a check definition; without ServiceID it is a check of the node", kNoForm,
     "ConsulCheckDefinition"},
    {"PUT", "/v1/agent/check/update/{check}", update_check, Effect::changes, "Report a TTL check",
     http::kNoParameters, "{\"Status\": \"passing\", \"Output\": \"...\"}", kNoForm,
     "ConsulCheckUpdate"},
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

    {"GET", "/v1/agent/services", list_services, Effect::reads, "List this agent's services",
     kFilter, kNoBody, "ConsulServicesById"},
    {"GET", "/v1/agent/service/{id}", show_service, Effect::reads, "Show a service of this agent",
     kHash, kNoBody, "ConsulService"},
    {"GET", "/v1/agent/checks", list_checks, Effect::reads, "List this agent's checks", kFilter,
     kNoBody, "ConsulChecksById"},
    {"GET", "/v1/agent/health/service/id/{id}", show_health_by_id, Effect::reads,
     "Show the health of a service of this agent", kFormat, kNoBody, "ConsulServiceHealth"},
    {"GET", "/v1/agent/health/service/name/{service}", show_health_by_name, Effect::reads,
     "Show the health of this agent's services of a name", kFormat, kNoBody,
     "ConsulServiceHealths"},
};

}  // namespace

void add_consul_agent_routes(Api& api) {
  api.router().add(kRoutes, consul::refuse_parameters);
}

}  // namespace outrider::doors
