// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "agent/doors/actions.h"
#include "agent/doors/outrider/handlers.h"
#include "agent/registry/dropped.h"
#include "agent/registry/target.h"

namespace outrider::doors {
namespace {

using registry::InstancePtr;

struct ServiceRow {
  explicit ServiceRow(std::string its_label) : label(std::move(its_label)) {}
  void add(const registry::Instance& instance) {
    if (name.empty()) name = instance.service.text();
    if (instance.dropped) {
      ++dropped;
    } else {
      ++known;
      served += instance.served() ? 1 : 0;
      here += instance.on_this_host ? 1 : 0;
    }
    tags.insert(instance.tags.begin(), instance.tags.end());
  }
  void write(json::Writer& out) const {
    out.begin_object().member("name", name).member("label", label);
    out.member("instances", known).member("served", served).member("this_host", here);
    if (dropped > 0) out.member("dropped", dropped);
    out.key("tags").begin_array();
    for (const std::string& tag : tags)
      out.value(tag);
    out.end_array().end_object();
  }

  std::string label, name;
  std::uint64_t known = 0, served = 0, here = 0, dropped = 0;
  std::set<std::string> tags;
};

}  // namespace

std::optional<Search> parse_search(Api& api, http::Call& call) {
  auto search = Search::parse(call.request.target);
  if (!search) {
    call.exchange.answer(http::error_answer(400, search.error()));
    return std::nullopt;
  }
  if (!call.rest.empty()) {
    if (call.request.target.has("name")) {
      call.exchange.answer(http::error_answer(400, "the path names the service; leave out name="));
      return std::nullopt;
    }
    const Control& control = api.control();
    search->meaning =
        registry::read_given_name(call.rest, control.dns().domains, control.registry()).meaning;
    search->name = search->meaning->service;
  }
  return std::move(*search);
}

void answer_done(const Control::Done& done, std::string_view id, http::Exchange exchange) {
  if (done) return exchange.answer(http::json_answer("{}\n"));
  if (done.error() != registry::RegistryError::unknown_instance)
    return exchange.answer(refused(done.error()));
  exchange.answer(http::error_answer(404, "no registration \"" + std::string(id) +
                                              "\" at this agent; its id is expected, as "
                                              "/v1/outrider/instances shows it"));
}

void list_services(Api& api, http::Call call) {
  const auto search = parse_search(api, call);
  if (!search) return;
  const registry::Registry& registry = api.control().registry();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().member("revision", registry.revision()).key("services").begin_array();
  for (const auto& [label, dropped] : labels_with_dropped(registry)) {
    ServiceRow row(label);
    for (const auto& instances : {registry.instances(label), dropped})
      for (const InstancePtr& instance : instances)
        if (search->wants(*instance)) row.add(*instance);
    if (!row.name.empty()) row.write(out);
  }
  out.end_array().end_object();
  answer.body += '\n';
  call.exchange.answer(std::move(answer));
}

void list_instances(Api& api, http::Call call) {
  const auto search = parse_search(api, call);
  if (!search) return;
  const registry::Registry& registry = api.control().registry();
  if (!call.rest.empty() && !registry.knows(search->name) &&
      registry.instances(search->name).empty()) {
    return call.exchange.answer(
        http::error_answer(404, "unknown service \"" + std::string(call.rest) + '"'));
  }
  Api::List list;
  list.instances = find_instances(registry, *search);
  list.begin = [revision = registry.revision()](json::Writer& out) {
    out.begin_object().member("revision", revision).key("instances").begin_array();
  };
  list.row = [&api, host = api.control().host()](json::Writer& out,
                                                 const registry::Instance& instance) {
    write_instance(out, instance, host, {}, api.control().written_places(instance));
  };
  list.end = [](json::Writer& out) { out.end_array().end_object(); };
  api.answer_list(std::move(call.exchange), std::move(list));
}

namespace {

std::string member_path(std::size_t index) {
  return "services[" + std::to_string(index) + ']';
}

/// The first of `specs` that cannot be registered together with those before it.
std::optional<http::Answer> refuse_any(const Control& control,
                                       std::span<const registry::ServiceSpec> specs) {
  const auto done = control.would_take(specs);
  if (done) return std::nullopt;
  std::vector<std::size_t> places(specs.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  const auto fits = [&](std::size_t place) {
    return control.would_take(specs.first(place + 1)).has_value();
  };
  const auto first = std::ranges::partition_point(places, fits);
  const auto count = static_cast<std::size_t>(first - places.begin()) + 1;
  return refused(control.would_take(specs.first(count)).error(), member_path(count - 1));
}

/// Registers a few services with each call.
struct Registering {
  Control& control;
  std::vector<registry::ServiceSpec> specs;
  bool from_list = false;
  std::vector<std::string> ids = {};

  std::optional<http::Answer> operator()() {
    for (std::size_t i = 0; i < kRegistrationsPerTurn && ids.size() < specs.size(); ++i) {
      auto id = control.put(specs[ids.size()]);
      if (!id) return refused(id.error(), from_list ? member_path(ids.size()) : "");
      ids.push_back(std::move(*id));
    }
    if (ids.size() < specs.size()) return std::nullopt;
    http::Answer answer;
    json::Writer out(answer.body);
    out.begin_object().key("registered").begin_array();
    for (const std::string& id : ids)
      out.value(id);
    out.end_array().end_object();
    answer.body += '\n';
    return answer;
  }
};

}  // namespace

/// One service in the form of the configuration, or {"services": […]}. If one of them cannot be
/// registered, none is.
void register_services(Api& api, http::Call call) {
  const auto body = parse_body(call.request);
  if (!body) return call.exchange.answer(http::error_answer(400, body.error()));
  const std::vector<IpAddress> own = addresses_of_host(api.control().host(), api.env().network);
  std::vector<registry::ServiceSpec> specs;
  const json::Value* list = body->find("services");
  const std::size_t count = list != nullptr && list->as_array() ? list->as_array()->size() : 1;
  for (std::size_t i = 0; i < count; ++i) {
    const bool many = list != nullptr && list->as_array() != nullptr;
    const json::Value& one = many ? (*list->as_array())[i] : *body;
    auto spec = registry::ServiceSpec::parse(one, many ? member_path(i) : std::string());
    if (!spec) return call.exchange.answer(http::error_answer(400, spec.error().to_string()));
    if (const auto why = forbidden_over_api(*spec))
      return call.exchange.answer(http::error_answer(403, *why));
    if (const auto why = registry::unreachable_check(*spec, own))
      return call.exchange.answer(http::error_answer(400, *why));
    if (const auto why = forbidden_farp(*spec, own))
      return call.exchange.answer(http::error_answer(403, *why));
    specs.push_back(std::move(*spec));
  }
  if (list != nullptr)
    if (auto refusal = refuse_any(api.control(), specs))
      return call.exchange.answer(std::move(*refusal));
  const bool few = specs.size() <= kRegistrationsPerTurn;
  Registering registering{api.control(), std::move(specs), list != nullptr};
  if (few) return call.exchange.answer(*registering());
  api.answer_in_turns(std::move(call.exchange), std::move(registering), Api::IfGone::finish);
}

namespace {

/// Of a change that was made, with what its caller may not expect of it.
void answer_with_note(http::Exchange exchange, const std::string& note) {
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object();
  if (!note.empty()) out.member("note", note);
  out.end_object();
  answer.body += '\n';
  exchange.answer(std::move(answer));
}

}  // namespace

void deregister_instance(Api& api, http::Call call) {
  const Control::Done done = api.control().remove(call.rest);
  answer_done(done, call.rest, std::move(call.exchange));
}

void set_maintenance(Api& api, http::Call call) {
  const http::Target& target = call.request.target;
  if (!target.has("enable"))
    return call.exchange.answer(
        http::error_answer(400, "missing parameter enable; expected true or false"));
  const std::string reason(target.get("reason"));
  const bool on = is_set(target, "enable");
  const auto done = api.control().set_maintenance(call.rest, on, reason);
  if (!done) return answer_done(done, call.rest, std::move(call.exchange));
  const auto instance = api.control().registry().find_own(call.rest);
  const bool drains = !on && instance != nullptr && instance->draining;
  answer_with_note(std::move(call.exchange),
                   drains ? std::string(call.rest) + " is draining, not in maintenance" : "");
}

void drain_instance(Api& api, http::Call call) {
  const http::Target& target = call.request.target;
  if (call.rest == registry::kNodeId)
    return call.exchange.answer(http::error_answer(
        400, "the host as a whole cannot be drained; set maintenance, or drain all registrations"));
  const bool on = !target.has("enable") || is_set(target, "enable");
  const Control::Done done = api.control().set_draining(call.rest, on);
  answer_done(done, call.rest, std::move(call.exchange));
}

void drain_all(Api& api, http::Call call) {
  api.control().drain_all();
  call.exchange.answer(http::json_answer("{}\n"));
}

}  // namespace outrider::doors
