// SPDX-License-Identifier: Apache-2.0
// /v1/agent/*: what this agent is responsible for.
#include <algorithm>

#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/doors/consul/filter.h"
#include "agent/doors/instance_json.h"

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

http::Answer done(const Control::Done& result, std::string_view id) {
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

void self(Api& api, http::Exchange exchange) {
  const registry::HostView host = api.control().host();
  const std::string address =
      host.addresses.empty() ? "127.0.0.1" : host.addresses.front().to_string();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().key("Config").begin_object();
  out.member("Datacenter", api.options().datacenter).member("PrimaryDatacenter", "");
  out.member("NodeName", host.name).member("NodeID", "").member("Server", false);
  out.member("Revision", "").member("Version", OUTRIDER_VERSION).end_object();
  out.key("Coord").null().key("Member").begin_object();
  out.member("Name", host.name).member("Addr", address).member("Port", 0);
  out.key("Tags").begin_object().member("role", "node").end_object();
  out.member("Status", 1).end_object();
  out.key("Meta").begin_object().end_object().end_object();
  exchange.answer(std::move(answer));
}

void members(Api& api, http::Exchange exchange) {
  const registry::HostView host = api.control().host();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_array().begin_object().member("Name", host.name);
  out.member("Addr", host.addresses.empty() ? "127.0.0.1" : host.addresses.front().to_string());
  out.member("Port", 0).key("Tags").begin_object().end_object().member("Status", 1);
  out.end_object().end_array();
  exchange.answer(std::move(answer));
}

void services(Api& api, const http::ServerRequest& request, http::Exchange exchange) {
  const auto filter = Filter::parse(request.target.get("filter"));
  if (!filter) return exchange.answer(text_error(400, filter.error()));
  const registry::HostView host = api.control().host();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object();
  for (const InstancePtr& instance : api.control().registry().own()) {
    if (instance->dropped || !filter->wants(*instance, host)) continue;
    out.key(instance->id.text());
    encode_service(out, *instance, host);
  }
  out.end_object();
  exchange.answer(std::move(answer));
}

void service(Api& api, std::string_view id, http::Exchange exchange) {
  const InstancePtr instance = api.control().registry().find_own(id);
  if (instance == nullptr || instance->dropped)
    return exchange.answer(text_error(404, "unknown service ID: " + std::string(id)));
  http::Answer answer;
  json::Writer out(answer.body);
  encode_service(out, *instance, api.control().host());
  exchange.answer(std::move(answer));
}

void checks(Api& api, http::Exchange exchange) {
  const registry::HostView host = api.control().host();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object();
  std::vector<std::string> told;
  for (const InstancePtr& instance : api.control().registry().own()) {
    if (instance->dropped) continue;
    for (const registry::CheckState& check : instance->checks) {
      std::string key = check_key(instance->id.text(), check.spec);
      // Two instances may have given one name to their checks; a key may stand once only.
      if (std::find(told.begin(), told.end(), key) != told.end())
        key = "service:" + instance->id.text() + ':' + check.spec.id;
      out.key(key);
      encode_check(out, *instance, check, host);
      told.push_back(std::move(key));
    }
  }
  out.end_object();
  exchange.answer(std::move(answer));
}

/// The status decides the answer's: 200 passing, 429 warning, 503 critical or maintenance.
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

void health(Api& api, const http::ServerRequest& request, std::vector<InstancePtr> instances,
            bool by_name, http::Exchange exchange) {
  std::erase_if(instances, [](const InstancePtr& instance) {
    return instance == nullptr || !instance->own() || instance->dropped;
  });
  const bool as_text = request.target.get("format") == "text";
  if (instances.empty()) {
    http::Answer none =
        as_text ? http::text_answer(404, "critical") : http::json_answer(by_name ? "[]" : "null");
    none.status = 404;
    return exchange.answer(std::move(none));
  }
  const auto worst =
      std::max_element(instances.begin(), instances.end(),
                       [](const auto& a, const auto& b) { return a->health < b->health; });
  const char* status = consul::status_of(**worst);
  if (as_text) return exchange.answer(http::text_answer(health_status(status), status));
  http::Answer answer;
  answer.status = health_status(status);
  json::Writer out(answer.body);
  if (by_name) out.begin_array();
  for (const InstancePtr& instance : instances) {
    encode_health(out, api, *instance);
    if (!by_name) break;
  }
  if (by_name) out.end_array();
  exchange.answer(std::move(answer));
}

// --- writing ----------------------------------------------------------------------------------

/// Consul keeps checks that were registered apart, unless the caller says otherwise.
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

void register_service(Api& api, const http::ServerRequest& request, http::Exchange exchange) {
  const auto body = json::parse(request.body, json::kBodyBytesMax);
  if (!body)
    return exchange.answer(text_error(400, "Request decode failed: " + body.error().message));
  auto spec = decode_service(*body);
  if (!spec) return exchange.answer(text_error(400, "Invalid service: " + spec.error()));
  if (!is_set(request.target, "replace-existing-checks")) keep_other_checks(api, *spec);
  const auto id = api.control().put(*spec);
  if (id) return exchange.answer(empty_answer());
  exchange.answer(text_error(doors::status_of(id.error()), registry::to_string(id.error())));
}

void register_check(Api& api, const http::ServerRequest& request, http::Exchange exchange) {
  const auto body = json::parse(request.body, json::kBodyBytesMax);
  if (!body)
    return exchange.answer(text_error(400, "Request decode failed: " + body.error().message));
  const auto check = decode_check(*body);
  if (!check) return exchange.answer(text_error(400, "Invalid check: " + check.error()));
  if (check->instance_id.empty())
    return exchange.answer(text_error(400, "Invalid check: ServiceID is required here"));
  exchange.answer(
      done(api.control().put_check(check->instance_id, check->check), check->instance_id));
}

void deregister_check(Api& api, std::string_view id, http::Exchange exchange) {
  const auto address = find_check(api.control().registry(), id);
  if (!address) return exchange.answer(unknown_check(id));
  exchange.answer(done(api.control().remove_check(address->instance_id, address->check_id), id));
}

void heartbeat(Api& api, std::string_view id, registry::CheckHealth health, std::string output,
               http::Exchange exchange) {
  const auto address = find_check(api.control().registry(), id);
  if (!address) return exchange.answer(unknown_check(id));
  exchange.answer(done(
      api.control().renew(address->instance_id, address->check_id, health, std::move(output)), id));
}

void update_check(Api& api, const http::ServerRequest& request, std::string_view id,
                  http::Exchange exchange) {
  const auto body = json::parse(request.body, json::kBodyBytesMax);
  if (!body)
    return exchange.answer(text_error(400, "Request decode failed: " + body.error().message));
  const json::Value* status = member(*body, "status");
  const json::Value* output = member(*body, "output");
  const std::string* text = status != nullptr ? status->as_string() : nullptr;
  const auto health = text != nullptr ? registry::parse_check_health(*text) : std::nullopt;
  if (!health || *health == registry::CheckHealth::starting) {
    return exchange.answer(
        text_error(400, "Invalid check status: expected passing, warning or critical"));
  }
  const std::string* told = output != nullptr ? output->as_string() : nullptr;
  heartbeat(api, id, *health, told != nullptr ? *told : std::string(), std::move(exchange));
}

void maintenance(Api& api, const http::ServerRequest& request, std::string_view id,
                 http::Exchange exchange) {
  const std::string_view enable = request.target.get("enable");
  if (enable.empty()) return exchange.answer(text_error(400, "Missing value for enable"));
  if (enable != "true" && enable != "false")
    return exchange.answer(text_error(400, "Invalid value for enable: " + std::string(enable)));
  exchange.answer(done(api.control().set_maintenance(id, enable == "true",
                                                     std::string(request.target.get("reason"))),
                       id));
}

/// For kChangingPrefixes: PUT, and GET as Consul had it before 1.0.
template <class Handler>
void add_change(http::Router& router, std::string_view pattern, Handler handler) {
  router.add("PUT", pattern, handler);
  router.add("GET", pattern,
             [handler](const http::ServerRequest& request, std::string_view id, http::Exchange e) {
               if (request.method == "HEAD")
                 return e.answer(http::error_answer(405, "not with this method"));
               handler(request, id, std::move(e));
             });
}

void add_reading_routes(Api& api) {
  http::Router& router = api.router();
  router.add("GET", "/v1/agent/self",
             [&api](const http::ServerRequest&, std::string_view, http::Exchange e) {
               self(api, std::move(e));
             });
  router.add("GET", "/v1/agent/members",
             [&api](const http::ServerRequest&, std::string_view, http::Exchange e) {
               members(api, std::move(e));
             });
  router.add("GET", "/v1/agent/services",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange e) {
               services(api, request, std::move(e));
             });
  router.add("GET", "/v1/agent/service/*",
             [&api](const http::ServerRequest&, std::string_view id, http::Exchange e) {
               service(api, id, std::move(e));
             });
  router.add("GET", "/v1/agent/checks",
             [&api](const http::ServerRequest&, std::string_view, http::Exchange e) {
               checks(api, std::move(e));
             });
  router.add("GET", "/v1/agent/health/service/id/*",
             [&api](const http::ServerRequest& request, std::string_view id, http::Exchange e) {
               health(api, request, {api.control().registry().find_own(id)}, false, std::move(e));
             });
  router.add("GET", "/v1/agent/health/service/name/*",
             [&api](const http::ServerRequest& request, std::string_view name, http::Exchange e) {
               health(api, request, api.control().registry().instances(label_of(name)), true,
                      std::move(e));
             });
  router.add("GET", "/v1/agent/metrics",
             [&api](const http::ServerRequest&, std::string_view, http::Exchange e) {
               Metrics all;
               api.write_metrics(all);
               e.answer(http::text_answer(200, all.text()));
             });
}

void add_check_routes(Api& api) {
  using registry::CheckHealth;
  http::Router& router = api.router();
  for (const auto& [verb, health] :
       {std::pair("pass", CheckHealth::passing), std::pair("warn", CheckHealth::warning),
        std::pair("fail", CheckHealth::critical)}) {
    add_change(router, std::string("/v1/agent/check/") + verb + "/*",
               [&api, kept = health](const http::ServerRequest& request, std::string_view id,
                                     http::Exchange e) {
                 heartbeat(api, id, kept, std::string(request.target.get("note")), std::move(e));
               });
  }
  router.add("PUT", "/v1/agent/check/update/*",
             [&api](const http::ServerRequest& request, std::string_view id, http::Exchange e) {
               update_check(api, request, id, std::move(e));
             });
  router.add("PUT", "/v1/agent/check/register",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange e) {
               register_check(api, request, std::move(e));
             });
  add_change(router, "/v1/agent/check/deregister/*",
             [&api](const http::ServerRequest&, std::string_view id, http::Exchange e) {
               deregister_check(api, id, std::move(e));
             });
}

}  // namespace

void add_consul_agent_routes(Api& api) {
  // The writing ones first: "/v1/agent/service/*" would take their paths.
  http::Router& router = api.router();
  router.add("PUT", "/v1/agent/service/register",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange e) {
               register_service(api, request, std::move(e));
             });
  add_change(router, "/v1/agent/service/deregister/*",
             [&api](const http::ServerRequest&, std::string_view id, http::Exchange e) {
               e.answer(done(api.control().remove(id), id));
             });
  router.add("PUT", "/v1/agent/service/maintenance/*",
             [&api](const http::ServerRequest& request, std::string_view id, http::Exchange e) {
               maintenance(api, request, id, std::move(e));
             });
  add_check_routes(api);
  add_reading_routes(api);
}

}  // namespace outrider::doors
