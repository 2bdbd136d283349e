// SPDX-License-Identifier: Apache-2.0
// What the doors may ask of the agent: reads, and changes of registrations.
#include "agent/agent.h"

namespace outrider {

using registry::RegistryError;

registry::Moment Agent::now() const {
  return {env_.now(), env_.clock.wall()};
}

doors::DnsView Agent::dns() const {
  doors::DnsView view;
  for (const dns::Name& domain : config_.dns.domains)
    view.domains.push_back(domain.to_display());
  for (const Endpoint& endpoint : service_dns_.bound())
    view.listen.push_back(endpoint.to_string());
  // Another user's agent answers there for the whole host.
  for (const Endpoint& endpoint : dns_neighbours_.shared())
    view.listen.push_back(endpoint.to_string());
  view.ttl = std::chrono::seconds(config_.dns.ttl);
  view.answers = config_.dns.answers;
  view.serving = config_.dns.serving;
  view.order = service_dns_.order();
  view.bridged = &service_dns_.bridged();
  return view;
}

Agent::Done Agent::done(Result<registry::Changes, RegistryError> result) {
  if (!result) return failure(result.error());
  apply(std::move(*result));
  return {};
}

Result<std::string, RegistryError> Agent::put(const registry::ServiceSpec& spec) {
  if (!fits_into_announcement(spec)) return failure(RegistryError::too_large);
  if (!spec.door->door.empty() && spec.id) {
    const auto kept = kept_for_doors_.extract(spec.id->text());
    if (!kept.empty()) return put(spec, &kept.mapped());
  }
  return put(spec, nullptr);
}

Agent::Done Agent::would_take(std::span<const registry::ServiceSpec> specs) const {
  for (const registry::ServiceSpec& spec : specs)
    if (!fits_into_announcement(spec)) return failure(RegistryError::too_large);
  return registry_.would_take(specs, {});
}

bool Agent::fits_into_announcement(const registry::ServiceSpec& spec) const {
  const bool announced = lan_.announces() && spec.port != 0 && spec.scope != registry::Scope::host;
  if (!announced) return true;
  const registry::InstanceId id = spec.id ? *spec.id : automatic_id(spec, registry_.host());
  return farp::fits_into_txt(spec, id, announcement_profile());
}

Result<std::string, RegistryError> Agent::put(const registry::ServiceSpec& spec,
                                              const registry::Kept* kept) {
  auto changes = registry_.put(spec, now(), exposure_watch_.of(spec), kept);
  if (!changes) return failure(changes.error());
  const std::string id = (spec.id ? *spec.id : automatic_id(spec, registry_.host())).text();
  apply(std::move(*changes));
  if (kept != nullptr && kept->dropped) (void)done(registry_.drop(id, now()));
  // A service registered while the agent drains is kept, but not announced any more.
  if (stopping()) return set_draining(id, true).map([&] { return id; });
  return id;
}

Agent::Done Agent::remove(std::string_view id) {
  return done(registry_.remove(id, now()));
}

Agent::Done Agent::put_check(std::string_view id, const registry::CheckSpec& check) {
  return done(registry_.put_check(id, check, now()));
}

Agent::Done Agent::remove_check(std::string_view id, std::string_view check_id) {
  return done(registry_.remove_check(id, check_id, now()));
}

Agent::Done Agent::renew(std::string_view id, std::string_view check_id, CheckHealth health,
                         std::string output) {
  const registry::InstancePtr instance = registry_.find_own(id);
  if (!instance) return failure(RegistryError::unknown_instance);
  const registry::CheckState* state = nullptr;
  for (const registry::CheckState& check : instance->checks)
    if (check.spec.id == check_id) state = &check;
  if (state == nullptr) return failure(RegistryError::unknown_check);
  // on_check stores it in the registry.
  if (!checks_.renew({instance->id.text(), std::string(check_id)}, health, std::move(output)))
    return failure(RegistryError::not_ttl);
  evictor_.on_heartbeat(instance->id.text());
  persistence_.touch_later(instance->id.text());
  return {};
}

Agent::Done Agent::set_maintenance(std::string_view id, bool on, std::string reason) {
  return done(registry_.set_maintenance(id, on, std::move(reason), now()));
}

Agent::Done Agent::set_draining(std::string_view id, bool on) {
  return done(registry_.set_draining(id, on, now()));
}

void Agent::drain_all() {
  apply(registry_.drain_all(now()));
}

doors::CheckReport Agent::check_report(std::string_view id, std::string_view check_id) const {
  doors::CheckReport report;
  const auto status = checks_.runner().status({std::string(id), std::string(check_id)});
  if (!status) return report;
  // Probes are stamped in monotonic time; people read wall time.
  const WallTime wall = env_.clock.wall();
  const auto wall_of = [&, now = env_.now()](TimePoint at) { return wall - (now - at); };
  for (const probes::Outcome& outcome : status->outcomes)
    report.probes.push_back({wall_of(outcome.at), outcome.passed(), to_string(outcome.kind),
                             outcome.output, outcome.latency});
  for (const probes::Tick& tick : status->ticks)
    report.ticks.push_back({wall_of(tick.at), tick.kind == probes::OutcomeKind::pass,
                            to_string(tick.kind), tick.latency});
  report.successes = status->successes;
  report.failures = status->failures;
  report.flapping = status->flapping;
  if (status->next > env_.now()) report.next = status->next - env_.now();
  return report;
}

std::optional<Duration> Agent::probe_time(std::string_view id, std::string_view check_id) const {
  return checks_.runner().median({std::string(id), std::string(check_id)});
}

Result<std::vector<std::string>, RegistryError> Agent::probe_now(std::string_view id) {
  const registry::InstancePtr instance = registry_.find_own(id);
  if (!instance) return failure(RegistryError::unknown_instance);
  std::vector<std::string> checks;
  for (const CheckKey& key : checks_.probe_now(*instance))
    checks.push_back(key.check);
  return checks;
}

doors::Control::Asked Agent::asked(std::string_view service_label) const {
  const auto asked = service_dns_.asked(service_label);
  if (asked.times == 0) return {};
  return {asked.times, env_.clock.wall() - (env_.now() - asked.last), asked.by};
}

registry::Load Agent::load(std::span<const Endpoint> endpoints) const {
  return parts_.load ? parts_.load(endpoints) : registry::Load{};
}

std::optional<std::string> Agent::farp_manifest(std::string_view id) const {
  return farp_.manifest(id);
}

doors::Control::Document Agent::farp_services() const {
  return farp_.services();
}

std::optional<doors::Control::Document> Agent::farp_routes(std::string_view gateway) const {
  const auto known = farp::parse_gateway(gateway.empty() ? "bastion" : gateway);
  if (!known) return std::nullopt;
  return farp_.routes(*known);
}

}  // namespace outrider
