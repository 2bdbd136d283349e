// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/places.h"

#include <algorithm>
#include <memory>

#include "agent/cli/machine.h"
#include "agent/cli/run/look_up.h"
#include "agent/registry/name_grammar.h"
#include "base/json_members.h"
#include "base/text.h"
#include "base/uv/sock_diag.h"

namespace outrider::cli {
namespace {

/// The first that is an address with a port.
std::optional<Endpoint> first_endpoint(const json::Array& texts) {
  for (const json::Value& text : texts)
    if (text.as_string() != nullptr)
      if (const auto endpoint = Endpoint::parse(*text.as_string())) return endpoint;
  return std::nullopt;
}

/// Where this agent listens for the page and the bridge, or for the bridge alone ("tls_listen").
std::optional<Endpoint> web_of(const json::Value& status, std::string_view which) {
  const json::Value* const listed = status.find("web");
  auto web = listed == nullptr ? std::nullopt : first_endpoint(list_at(*listed, which));
  if (web && web->address.is_any()) web->address = IpAddress::loopback(IpAddress::Family::v4);
  return web;
}

/// Whether a program of this host listens on the port at every address, and so at loopback.
bool is_open_on_loopback(std::uint16_t port) {
  const auto listeners = uv::list_listeners();
  return listeners && std::ranges::any_of(*listeners, [port](const uv::TcpListener& listener) {
           return listener.local.port == port && listener.local.address.is_any();
         });
}

}  // namespace

std::optional<beside::TrialPlan> plan_for(const json::Value& instance,
                                          const json::Value& explanation,
                                          const json::Value& status) {
  std::vector<IpAddress> addresses;
  for (const json::Value& text : list_at(instance, "addresses"))
    if (text.as_string() != nullptr)
      if (const auto address = IpAddress::parse(*text.as_string())) addresses.push_back(*address);
  const auto port = static_cast<std::uint16_t>(number_at(instance, "port"));
  if (addresses.empty() || port == 0) return std::nullopt;
  beside::TrialPlan plan;
  plan.label = registry::label_of(text_at(instance, "service"));
  const json::Array& names = list_at(explanation, "dns");
  plan.dns_name = names.empty() ? plan.label + ".svc" : text_at(names.front(), "name");
  plan.here = {addresses.front(), port};
  const auto outer =
      std::ranges::find_if(addresses, [](const auto& address) { return !address.is_loopback(); });
  if (outer != addresses.end() && text_at(instance, "scope") != "host") {
    plan.lan = Endpoint{*outer, port};
    plan.lan_host = text_at(instance, "local_name");
  }
  if (flag_at(instance, "this_host") && is_open_on_loopback(port))
    plan.here.address = IpAddress::loopback(IpAddress::Family::v4);
  plan.web = web_of(status, "listen");
  if (!plan.web) plan.web = Endpoint::parse("127.0.0.1:5380");  // that of another agent
  plan.speaks_tls = equal_fold(text_at(instance, "protocol"), "https");
  plan.web_tls = web_of(status, "tls_listen");
  return plan;
}

std::vector<beside::Places> try_places(const std::vector<beside::TrialPlan>& plans) {
  std::vector<beside::Places> found(plans.size());
  if (plans.empty()) return found;
  Machine machine;
  std::vector<std::unique_ptr<beside::Trial>> trials;
  std::size_t left = plans.size();
  for (std::size_t i = 0; i < plans.size(); ++i)
    trials.push_back(std::make_unique<beside::Trial>(
        machine.env, plans[i], beside::system_look_up(machine.loop, machine.env),
        [&, i](beside::Places places) {
          found[i] = std::move(places);
          if (--left == 0) machine.loop.stop();
        }));
  machine.loop.run();
  return found;
}

}  // namespace outrider::cli
