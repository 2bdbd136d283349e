// SPDX-License-Identifier: Apache-2.0
// What the doors may ask of the agent.
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
  view.ttl = std::chrono::seconds(config_.dns.ttl);
  view.answers = config_.dns.answers;
  view.serving = config_.dns.serving;
  return view;
}

Agent::Done Agent::done(Result<registry::Changes, RegistryError> result) {
  if (!result) return failure(result.error());
  apply(std::move(*result));
  return {};
}

Result<std::string, RegistryError> Agent::put(const registry::ServiceSpec& spec) {
  auto changes = registry_.put(spec, now());
  if (!changes) return failure(changes.error());
  const std::string id = (spec.id ? *spec.id : automatic_id(spec, registry_.host_name())).text();
  apply(std::move(*changes));
  // Whoever registers while we leave is kept, but not announced any more.
  if (stopping_) return set_draining(id, true).map([&] { return id; });
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

Agent::Done Agent::renew(std::string_view id, std::string_view check_id,
                         registry::CheckHealth health, std::string output) {
  const registry::InstancePtr instance = registry_.find_own(id);
  if (!instance) return failure(RegistryError::unknown_instance);
  const registry::CheckState* state = nullptr;
  for (const registry::CheckState& check : instance->checks)
    if (check.spec.id == check_id) state = &check;
  if (state == nullptr) return failure(RegistryError::unknown_check);
  if (!checks_.renew(std::string(id), std::string(check_id), health, output))
    return failure(RegistryError::not_ttl);
  heartbeats_.renew(id, env_.now());
  // The runner tells a verdict only when it changes; output and time of a heartbeat come from here.
  const auto status = checks_.runner().status(registry::runner_id(id, check_id));
  const auto verdict = status ? to_registry(status->health) : health;
  return done(registry_.set_check(id, check_id, verdict, std::move(output), now()));
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
  const auto status = checks_.runner().status(registry::runner_id(id, check_id));
  if (!status) return report;
  for (const probes::Outcome& outcome : status->outcomes) {
    // Probes are stamped in monotonic time; people want to know when that was.
    const WallTime wall = env_.clock.wall() - (env_.now() - outcome.at);
    report.probes.push_back(
        {wall, outcome.passed(), to_string(outcome.kind), outcome.output, outcome.latency});
  }
  report.successes = status->successes;
  report.failures = status->failures;
  report.flapping = status->flapping;
  if (status->next > env_.now()) report.next = status->next - env_.now();
  return report;
}

registry::Load Agent::load(std::span<const Endpoint> endpoints) const {
  return parts_.load ? parts_.load(endpoints) : registry::Load{};
}

namespace {

const char* state_name(mdns::ProviderState state) {
  switch (state) {
    case mdns::ProviderState::starting:
      return "starting";
    case mdns::ProviderState::running:
      return "running";
    case mdns::ProviderState::down:
      return "down";
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace

void Agent::write_status(json::Writer& out) const {
  out.member("version", OUTRIDER_VERSION).member("host", registry_.host_name());
  out.member("ready", ready_).member("stopping", stopping_).member("summary", summary());
  out.member("revision", registry_.revision());
  out.key("dns").begin_object();
  out.key("listen").begin_array();
  for (const Endpoint& endpoint : config_.dns.listen)
    out.value(endpoint.to_string());
  out.end_array().key("bound").begin_array();
  for (const Endpoint& endpoint : service_dns_.bound())
    out.value(endpoint.to_string());
  out.end_array().member("names", std::uint64_t{service_dns_.name_count()});
  const dns::StubCounters& dns = service_dns_.counters();
  out.member("queries_udp", dns.queries_udp).member("queries_tcp", dns.queries_tcp);
  out.member("answers", dns.answers).member("nodata", dns.nodata);
  out.member("nxdomain", dns.nxdomain).member("refused", dns.refused);
  out.member("formerr", dns.formerr).member("dropped", dns.dropped);
  const dns::ForwardCounters& forward = forwarding_.counters();
  out.key("forwarding").begin_object().member("on", forwarding_.on());
  out.key("upstreams").begin_array();
  for (const Endpoint& server : forwarding_.upstreams())
    out.value(server.to_string());
  out.end_array();
  out.member("forwarded", dns.forwarded).member("cache_hits", forward.hits);
  out.member("sent", forward.sent).member("failed", forward.failed);
  out.member("stale", forward.stale).member("blocked", forward.rebind_blocked);
  out.member("loops", forward.loops).end_object().end_object();

  out.key("mdns").begin_object();
  out.member("state", state_name(link_state_)).member("why", link_why_);
  out.member("announcements", std::uint64_t{announcer_.size()});
  out.member("waiting", std::uint64_t{announcer_.waiting()});
  out.member("sightings_ignored", reader_.ignored());
  out.member("sightings_malformed", reader_.malformed());
  out.member("sightings_refused", registry_.refused_sightings());
  out.key("live").begin_array();
  for (const registry::InstancePtr& instance : registry_.own())
    for (const Announcer::Live& live : announcer_.live(instance->id.text())) {
      out.begin_object().member("instance", instance->id.text()).member("type", live.type);
      out.member("label", live.label).member("announced", live.announced);
      out.member("conflict", live.conflict).end_object();
    }
  out.end_array().end_object();

  out.key("probes").begin_object();
  out.member("checks", std::uint64_t{checks_.runner().size()});
  out.member("in_flight", std::uint64_t{checks_.runner().in_flight()});
  out.member("outcomes", checks_.outcomes()).member("failed", checks_.failed_outcomes());
  out.end_object();
  out.key("heartbeats").begin_object().member("count", std::uint64_t{heartbeats_.size()});
  out.member("lost_percent", heartbeats_.loss_percent());
  out.member("protection", to_string(heartbeats_.protection())).end_object();
  out.key("addresses").begin_array();
  for (const IpAddress& address : host_.addresses)
    out.value(address.to_string());
  out.end_array();
}

void Agent::write_metrics(doors::Metrics& out) const {
  const dns::StubCounters& dns = service_dns_.counters();
  constexpr std::string_view kQueries = "outrider_dns_queries_total";
  constexpr std::string_view kQueriesHelp = "DNS questions by transport.";
  out.counter(kQueries, kQueriesHelp, dns.queries_udp, {{"transport", "udp"}});
  out.counter(kQueries, kQueriesHelp, dns.queries_tcp, {{"transport", "tcp"}});
  const std::pair<const char*, std::uint64_t> results[] = {
      {"answer", dns.answers},  {"nodata", dns.nodata},     {"nxdomain", dns.nxdomain},
      {"refused", dns.refused}, {"formerr", dns.formerr},   {"notimp", dns.notimp},
      {"badvers", dns.badvers}, {"servfail", dns.servfail}, {"truncated", dns.truncated},
      {"dropped", dns.dropped}};
  for (const auto& [result, count] : results)
    out.counter("outrider_dns_replies_total", "DNS replies by kind.", count, {{"kind", result}});
  const dns::ForwardCounters& forward = forwarding_.counters();
  const std::pair<const char*, std::uint64_t> forwards[] = {{"hit", forward.hits},
                                                            {"miss", forward.misses},
                                                            {"joined", forward.joined},
                                                            {"stale", forward.stale},
                                                            {"sent", forward.sent},
                                                            {"failed", forward.failed},
                                                            {"bad_answer", forward.bad_answers},
                                                            {"blocked", forward.rebind_blocked},
                                                            {"loop", forward.loops}};
  for (const auto& [event, count] : forwards)
    out.counter("outrider_dns_forward_total", "Forwarding, by event.", count, {{"event", event}});
  out.gauge("outrider_dns_names", "Names in our zones.",
            static_cast<double>(service_dns_.name_count()));
  out.gauge("outrider_dns_bound", "Addresses that DNS listens on.",
            static_cast<double>(service_dns_.bound().size()));
  out.counter("outrider_probes_total", "Probes that ended.", checks_.outcomes());
  out.counter("outrider_probes_failed_total", "Probes that did not pass.",
              checks_.failed_outcomes());
  out.gauge("outrider_checks", "Checks that are probed or renewed.",
            static_cast<double>(checks_.runner().size()));
  out.gauge("outrider_checks_flapping", "Checks that need more passes, for changing so often.",
            static_cast<double>(checks_.runner().flapping()));
  out.gauge("outrider_mdns_running", "1 while the link is there.",
            link_state_ == mdns::ProviderState::running ? 1 : 0);
  out.gauge("outrider_announcements", "Records of registrations on the link.",
            static_cast<double>(announcer_.size()));
  out.gauge("outrider_announcements_waiting",
            "Registrations that are not announced because the link is full.",
            static_cast<double>(announcer_.waiting()));
  constexpr std::size_t kReasons = std::size(decltype(lost_by_reason_){});
  for (std::size_t i = 0; i < kReasons; ++i)
    out.counter("outrider_sightings_lost_total", "Sightings lost, by reason.", lost_by_reason_[i],
                {{"reason", to_string(static_cast<mdns::LostReason>(i))}});
  out.gauge("outrider_heartbeats", "Registrations that renew by heartbeat.",
            static_cast<double>(heartbeats_.size()));
  out.gauge("outrider_heartbeats_protected", "1 while silent heartbeats are not evicted.",
            heartbeats_.protection() == registry::Heartbeats::Protection::none ? 0 : 1);
  out.counter("outrider_sightings_malformed_total", "Sightings without a usable name or id.",
              reader_.malformed());
}

std::optional<std::string> Agent::farp_manifest(std::string_view id) const {
  return farp_.manifest(id);
}

std::string Agent::farp_services() const {
  return farp_.services();
}

std::optional<std::string> Agent::farp_routes(std::string_view gateway) const {
  const auto known = farp::parse_gateway(gateway.empty() ? "bastion" : gateway);
  if (!known) return std::nullopt;
  return farp_.routes(*known);
}

}  // namespace outrider
