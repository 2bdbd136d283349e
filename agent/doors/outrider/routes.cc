// SPDX-License-Identifier: Apache-2.0
// Our own part of the API: /v1/outrider/*, /metrics, /healthz.
#include <algorithm>
#include <charconv>

#include "agent/doors/actions.h"
#include "agent/doors/api.h"
#include "agent/doors/instance_json.h"
#include "agent/doors/why.h"
#include "agent/registry/served.h"

namespace outrider::doors {
namespace {

using registry::InstancePtr;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

/// What the request asks for, with the service of the path; answers 400 and gives nothing if it
/// makes no sense.
std::optional<Search> search_of(const http::ServerRequest& request, std::string_view service,
                                http::Exchange& exchange) {
  auto search = Search::parse(request.target);
  if (!search) {
    exchange.answer(http::error_answer(400, search.error()));
    return std::nullopt;
  }
  if (!service.empty()) search->name = label_of(service);
  return std::move(*search);
}

// --- reading ----------------------------------------------------------------------------------

void instances(Api& api, const http::ServerRequest& request, std::string_view service,
               http::Exchange exchange) {
  const auto search = search_of(request, service, exchange);
  if (!search) return;
  const registry::Registry& registry = api.control().registry();
  if (!service.empty() && !registry.knows(search->name) &&
      registry.instances(search->name).empty()) {
    return exchange.answer(
        http::error_answer(404, "nothing is known of \"" + std::string(service) + '"'));
  }
  const registry::HostView host = api.control().host();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().member("revision", registry.revision()).key("instances").begin_array();
  for (const InstancePtr& instance : find(registry, *search))
    write_instance(out, *instance, host);
  out.end_array().end_object();
  answer.body += '\n';
  exchange.answer(std::move(answer));
}

void services(Api& api, const http::ServerRequest& request, http::Exchange exchange) {
  const auto search = search_of(request, {}, exchange);
  if (!search) return;
  const registry::Registry& registry = api.control().registry();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().member("revision", registry.revision()).key("services").begin_array();
  for (const std::string& label : registry.services()) {
    std::size_t known = 0;
    std::size_t served = 0;
    std::size_t here = 0;
    std::vector<std::string> tags;
    std::string text = label;
    for (const InstancePtr& instance : registry.instances(label)) {
      if (!search->wants(*instance)) continue;
      if (++known == 1) text = instance->service.text();
      served += instance->served() ? 1 : 0;
      here += instance->on_this_host ? 1 : 0;
      tags.insert(tags.end(), instance->tags.begin(), instance->tags.end());
    }
    if (known == 0) continue;
    std::sort(tags.begin(), tags.end());
    tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
    out.begin_object().member("name", text).member("label", label);
    out.member("instances", static_cast<std::uint64_t>(known));
    out.member("served", static_cast<std::uint64_t>(served));
    out.member("this_host", static_cast<std::uint64_t>(here));
    out.key("tags").begin_array();
    for (const std::string& tag : tags)
      out.value(tag);
    out.end_array().end_object();
  }
  out.end_array().end_object();
  answer.body += '\n';
  exchange.answer(std::move(answer));
}

void checks(Api& api, http::Exchange exchange) {
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().key("checks").begin_array();
  for (const InstancePtr& instance : api.control().registry().own()) {
    for (const registry::CheckState& check : instance->checks) {
      out.begin_object();
      out.member("check", check_key(instance->id.text(), check.spec));
      out.member("instance", instance->id.text()).member("service", instance->service.text());
      out.member("id", check.spec.id).member("kind", kind_name(check.spec));
      out.member("health", to_string(check.health)).member("output", check.output);
      out.member("since", format_wall_time(check.since.wall));
      out.member("interval", format_duration(check.spec.interval)).end_object();
    }
  }
  out.end_array().end_object();
  answer.body += '\n';
  exchange.answer(std::move(answer));
}

void select(Api& api, const http::ServerRequest& request, std::string_view service,
            http::Exchange exchange) {
  auto search = search_of(request, service, exchange);
  if (!search) return;
  const std::string_view wanted = request.target.get("strategy");
  const auto strategy = wanted.empty() ? std::optional(registry::Strategy::round_robin)
                                       : registry::parse_strategy(wanted);
  if (!strategy) {
    std::string names;
    for (const std::string_view name : registry::strategy_names())
      names += (names.empty() ? "" : ", ") + std::string(name);
    return exchange.answer(http::error_answer(400, "strategy must be one of " + names));
  }
  search->healthy = true;
  const registry::HostView host = api.control().host();
  std::vector<InstancePtr> found = find(api.control().registry(), *search);
  std::erase_if(found, [&](const InstancePtr& instance) {
    return instance->port == 0 || served_addresses(*instance, host).empty();
  });
  // Warning ones only where there is nothing better, except that p2c weighs them itself.
  const bool any_passing = std::any_of(found.begin(), found.end(), [](const auto& instance) {
    return instance->health == registry::Health::passing;
  });
  if (any_passing && *strategy != registry::Strategy::p2c) {
    std::erase_if(
        found, [](const auto& instance) { return instance->health != registry::Health::passing; });
  }
  std::vector<registry::Candidate> candidates;
  std::vector<Endpoint> endpoints;
  for (const InstancePtr& instance : found) {
    const Endpoint endpoint{served_addresses(*instance, host).front(), instance->port};
    endpoints.push_back(endpoint);
    candidates.push_back({instance->id.text(), endpoint, instance->weight,
                          instance->health == registry::Health::warning});
  }
  const bool weighs =
      *strategy == registry::Strategy::p2c || *strategy == registry::Strategy::least_connections;
  const registry::Load load = weighs ? api.control().load(endpoints) : registry::Load{};
  const auto picked = api.selector().pick(search->name, *strategy, candidates, load,
                                          request.target.get("key"), api.env().now());
  if (!picked) {
    const std::string why = api.control().registry().why(search->name);
    return exchange.answer(http::error_answer(404, "no usable instance of \"" +
                                                       std::string(service) + "\"" +
                                                       (why.empty() ? "" : ": " + why)));
  }
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().member("service", found[*picked]->service.text());
  out.member("strategy", to_string(*strategy));
  out.member("candidates", static_cast<std::uint64_t>(candidates.size()));
  out.member("endpoint", endpoints[*picked].to_string());
  if (const auto known = load.find(endpoints[*picked]); known != load.end()) {
    out.member("connections", static_cast<std::uint64_t>(known->second.connections));
    out.member("rtt_ms", static_cast<double>(known->second.rtt.count()) / 1e6);
  }
  out.key("instance");
  write_instance(out, *found[*picked], host);
  out.end_object();
  answer.body += '\n';
  exchange.answer(std::move(answer));
}

/// Label names are [a-zA-Z_][a-zA-Z0-9_]*.
std::string label_name(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    out += good ? c : '_';
  }
  return out;
}

void answer_farp_manifest(Api& api, const http::ServerRequest& request, http::Exchange exchange) {
  const std::string_view id = request.target.get("id");
  if (auto document = api.control().farp_manifest(id))
    return exchange.answer(http::json_answer(std::move(*document) + "\n"));
  exchange.answer(http::error_answer(
      404, id.empty() ? "no registration here speaks FARP, or several do; add ?id=ID"
                      : "no manifest of instance \"" + std::string(id) + '"'));
}

void answer_farp_services(Api& api, http::Exchange exchange) {
  exchange.answer(http::json_answer(api.control().farp_services() + "\n"));
}

void answer_farp_routes(Api& api, const http::ServerRequest& request, http::Exchange exchange) {
  const std::string_view gateway = request.target.get("gateway");
  if (auto document = api.control().farp_routes(gateway))
    return exchange.answer(http::json_answer(std::move(*document) + "\n"));
  exchange.answer(http::error_answer(404, "unknown gateway: \"" + std::string(gateway) + '"'));
}

/// Prometheus' http_sd: targets that are served, or all of them with ?all.
void http_sd(Api& api, const http::ServerRequest& request, http::Exchange exchange) {
  auto search = search_of(request, {}, exchange);
  if (!search) return;
  search->healthy = !is_set(request.target, "all");
  const registry::HostView host = api.control().host();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_array();
  for (const InstancePtr& instance : find(api.control().registry(), *search)) {
    const std::vector<IpAddress> addresses = served_addresses(*instance, host);
    if (addresses.empty() || instance->port == 0) continue;
    out.begin_object().key("targets").begin_array();
    out.value(Endpoint{addresses.front(), instance->port}.to_string()).end_array();
    out.key("labels").begin_object();
    out.member("__meta_outrider_service", instance->service.text());
    out.member("__meta_outrider_instance", instance->id.text());
    out.member("__meta_outrider_health", to_string(instance->health));
    out.member("__meta_outrider_version", instance->version);
    out.member("__meta_outrider_protocol", instance->protocol);
    std::string tags = ",";
    for (const std::string& tag : instance->tags)
      tags += tag + ',';
    out.member("__meta_outrider_tags", tags);
    std::vector<std::string> taken;
    for (const auto& [key, value] : instance->metadata) {
      std::string name = "__meta_outrider_metadata_" + label_name(key);
      if (std::find(taken.begin(), taken.end(), name) != taken.end()) continue;
      out.member(name, value);
      taken.push_back(std::move(name));
    }
    out.end_object().end_object();
  }
  out.end_array();
  exchange.answer(std::move(answer));
}

void status(Api& api, http::Exchange exchange) {
  const registry::Registry& registry = api.control().registry();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object();
  api.control().write_status(out);
  out.key("registry").begin_object();
  out.member("services", static_cast<std::uint64_t>(registry.service_count()));
  out.member("instances", static_cast<std::uint64_t>(registry.instance_count()));
  out.member("registrations", static_cast<std::uint64_t>(registry.own_count())).end_object();
  out.key("api").begin_object();
  out.member("waiting", static_cast<std::uint64_t>(api.waiting()));
  out.member("watching", static_cast<std::uint64_t>(api.watching())).end_object();
  out.end_object();
  answer.body += '\n';
  exchange.answer(std::move(answer));
}

void watch(Api& api, const http::ServerRequest& request, std::string_view service,
           http::Exchange exchange) {
  if (request.method == "HEAD") return exchange.answer({200, {}, "text/event-stream", {}});
  std::string label = service.empty() ? std::string() : label_of(service);
  if (label.empty() && request.target.has("name")) label = label_of(request.target.get("name"));
  std::string_view since = request.headers.get("Last-Event-ID");
  if (since.empty()) since = request.target.get("since");
  api.begin_watch(std::move(label), number(since), std::move(exchange));
}

void metrics(Api& api, http::Exchange exchange) {
  Metrics all;
  api.write_metrics(all);
  http::Answer answer;
  answer.body = all.text();
  answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  exchange.answer(std::move(answer));
}

// --- writing ----------------------------------------------------------------------------------

/// One service in the form of the configuration, or {"services": […]}; all or, on an error of form,
/// nothing.
void put_services(Api& api, const http::ServerRequest& request, http::Exchange exchange) {
  const auto body = json::parse(request.body, json::kBodyBytesMax);
  if (!body) return exchange.answer(http::error_answer(400, body.error().message));
  std::vector<registry::ServiceSpec> specs;
  const json::Value* list = body->find("services");
  const std::size_t count = list != nullptr && list->as_array() ? list->as_array()->size() : 1;
  for (std::size_t i = 0; i < count; ++i) {
    const bool many = list != nullptr && list->as_array() != nullptr;
    const json::Value& one = many ? (*list->as_array())[i] : *body;
    auto spec = registry::ServiceSpec::parse(
        one, many ? "services[" + std::to_string(i) + ']' : std::string());
    if (!spec) return exchange.answer(http::error_answer(400, spec.error().to_string()));
    if (const auto why = forbidden_over_api(*spec))
      return exchange.answer(http::error_answer(403, *why));
    specs.push_back(std::move(*spec));
  }
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().key("registered").begin_array();
  for (const registry::ServiceSpec& spec : specs) {
    const auto id = api.control().put(spec);
    if (!id) return exchange.answer(refused(id.error()));
    out.value(*id);
  }
  out.end_array().end_object();
  answer.body += '\n';
  exchange.answer(std::move(answer));
}

void answer_done(const Control::Done& done, http::Exchange exchange) {
  exchange.answer(done ? http::json_answer("{}\n") : refused(done.error()));
}

void heartbeat(Api& api, const http::ServerRequest& request, std::string_view check,
               registry::CheckHealth health, http::Exchange exchange) {
  const auto address = find_check(api.control().registry(), check);
  if (!address)
    return exchange.answer(http::error_answer(404, "no check \"" + std::string(check) + '"'));
  answer_done(api.control().renew(address->instance_id, address->check_id, health,
                                  std::string(request.target.get("note"))),
              std::move(exchange));
}

void maintenance(Api& api, const http::ServerRequest& request, std::string_view id,
                 http::Exchange exchange) {
  const std::string_view enable = request.target.get("enable");
  if (enable != "true" && enable != "false")
    return exchange.answer(http::error_answer(400, "enable must be true or false"));
  answer_done(api.control().set_maintenance(id, enable == "true",
                                            std::string(request.target.get("reason"))),
              std::move(exchange));
}

void drain(Api& api, const http::ServerRequest& request, std::string_view id,
           http::Exchange exchange) {
  if (id.empty()) {
    api.control().drain_all();
    return exchange.answer(http::json_answer("{}\n"));
  }
  answer_done(api.control().set_draining(id, request.target.get("enable") != "false"),
              std::move(exchange));
}

void add_reading_routes(Api& api) {
  http::Router& router = api.router();
  router.add("GET", "/healthz",
             [](const http::ServerRequest&, std::string_view, http::Exchange exchange) {
               exchange.answer(http::text_answer(200, "ok\n"));
             });
  router.add("GET", "/metrics",
             [&api](const http::ServerRequest&, std::string_view, http::Exchange exchange) {
               metrics(api, std::move(exchange));
             });
  router.add("GET", "/v1/outrider/status",
             [&api](const http::ServerRequest&, std::string_view, http::Exchange exchange) {
               status(api, std::move(exchange));
             });
  router.add("GET", "/v1/outrider/services",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange exchange) {
               services(api, request, std::move(exchange));
             });
  for (const char* pattern : {"/v1/outrider/instances", "/v1/outrider/instances/*"}) {
    router.add(
        "GET", pattern,
        [&api](const http::ServerRequest& request, std::string_view rest, http::Exchange exchange) {
          instances(api, request, rest, std::move(exchange));
        });
  }
  router.add("GET", "/v1/outrider/checks",
             [&api](const http::ServerRequest&, std::string_view, http::Exchange exchange) {
               checks(api, std::move(exchange));
             });
  router.add("GET", "/v1/outrider/select/*",
             [&api](const http::ServerRequest& request, std::string_view rest,
                    http::Exchange exchange) { select(api, request, rest, std::move(exchange)); });
  router.add("GET", "/v1/outrider/why/*",
             [&api](const http::ServerRequest&, std::string_view rest, http::Exchange exchange) {
               Explanation explanation = explain(api.control(), rest);
               http::Answer answer = http::json_answer(std::move(explanation.json) + "\n");
               answer.status = explanation.known ? 200 : 404;
               exchange.answer(std::move(answer));
             });
  router.add("GET", "/v1/outrider/farp/manifest",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange exchange) {
               answer_farp_manifest(api, request, std::move(exchange));
             });
  router.add("GET", "/v1/outrider/farp/services",
             [&api](const http::ServerRequest&, std::string_view, http::Exchange exchange) {
               answer_farp_services(api, std::move(exchange));
             });
  router.add("GET", "/v1/outrider/farp/routes",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange exchange) {
               answer_farp_routes(api, request, std::move(exchange));
             });
  router.add("GET", "/v1/outrider/http_sd",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange exchange) {
               http_sd(api, request, std::move(exchange));
             });
  for (const char* pattern : {"/v1/outrider/watch", "/v1/outrider/watch/*"}) {
    router.add("GET", pattern,
               [&api](const http::ServerRequest& request, std::string_view rest,
                      http::Exchange exchange) { watch(api, request, rest, std::move(exchange)); });
  }
}

void add_writing_routes(Api& api) {
  http::Router& router = api.router();
  router.add("PUT", "/v1/outrider/register",
             [&api](const http::ServerRequest& request, std::string_view, http::Exchange exchange) {
               put_services(api, request, std::move(exchange));
             });
  router.add("PUT", "/v1/outrider/deregister/*",
             [&api](const http::ServerRequest&, std::string_view id, http::Exchange exchange) {
               answer_done(api.control().remove(id), std::move(exchange));
             });
  using registry::CheckHealth;
  for (const auto& [verb, health] :
       {std::pair("pass", CheckHealth::passing), std::pair("warn", CheckHealth::warning),
        std::pair("fail", CheckHealth::critical)}) {
    router.add("PUT", std::string("/v1/outrider/check/") + verb + "/*",
               [&api, kept = health](const http::ServerRequest& request, std::string_view check,
                                     http::Exchange exchange) {
                 heartbeat(api, request, check, kept, std::move(exchange));
               });
  }
  router.add(
      "PUT", "/v1/outrider/maintenance/*",
      [&api](const http::ServerRequest& request, std::string_view id, http::Exchange exchange) {
        maintenance(api, request, id, std::move(exchange));
      });
  for (const char* pattern : {"/v1/outrider/drain", "/v1/outrider/drain/*"}) {
    router.add("PUT", pattern,
               [&api](const http::ServerRequest& request, std::string_view id,
                      http::Exchange exchange) { drain(api, request, id, std::move(exchange)); });
  }
}

}  // namespace

void add_outrider_routes(Api& api) {
  add_reading_routes(api);
  add_writing_routes(api);
}

}  // namespace outrider::doors
