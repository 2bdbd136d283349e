// SPDX-License-Identifier: Apache-2.0
#include "dns/upstream_servers.h"

#include <algorithm>
#include <utility>

namespace outrider::dns {

bool is_own(Network& network, const std::vector<Endpoint>& own, const Endpoint& server) {
  const auto is_here = [&network](const IpAddress& address) {
    if (address.is_loopback()) return true;
    const auto interfaces = network.interfaces();
    return std::ranges::any_of(interfaces, [&address](const Interface& interface) {
      return std::ranges::any_of(interface.addresses, [&address](const Prefix& prefix) {
        return prefix.address.with_scope(0) == address.with_scope(0);
      });
    });
  };
  return std::ranges::any_of(own, [&](const Endpoint& endpoint) {
    if (endpoint.port != server.port) return false;
    return endpoint.address == server.address ||
           (endpoint.address.is_any() && endpoint.address.family() == server.address.family() &&
            is_here(server.address));
  });
}

void UpstreamServers::set(std::vector<Endpoint> servers, Order order) {
  if (servers.size() > kUpstreamsMax) servers.resize(kUpstreamsMax);
  std::erase_if(health_, [&servers](const auto& entry) {
    return std::ranges::find(servers, entry.first) == servers.end();
  });
  servers_ = std::move(servers);
  order_ = order;
}

Endpoint UpstreamServers::choose(std::size_t start, std::span<const Endpoint> tried) const {
  const auto rank = [&](const Endpoint& server) {
    const auto found = health_.find(server);
    const TimePoint until = found == health_.end() ? TimePoint{} : found->second.ask_last_until;
    const auto tries = std::ranges::count(tried, server);
    return std::pair(tries, until > env_.now() ? until : TimePoint{});
  };
  const auto from_start = [&](std::size_t i) -> const Endpoint& {
    return servers_[(start + i) % servers_.size()];
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < servers_.size(); ++i)
    if (rank(from_start(i)) < rank(from_start(best))) best = i;
  return from_start(best);
}

bool UpstreamServers::has_untried(std::span<const Endpoint> tried) const {
  return std::ranges::any_of(servers_, [&](const Endpoint& server) {
    return std::ranges::find(tried, server) == tried.end();
  });
}

void UpstreamServers::note_failure(const Endpoint& server, const std::string& why) {
  Health& health = health_[server];
  // Lookups that failed together, or because no better server was left, are one failure.
  if (health.ask_last_until > env_.now()) return;
  const unsigned doublings = std::min(health.failures, 5U);
  ++health.failures;
  health.ask_last_until = env_.now() + std::min(kBackOffMin * (1 << doublings), kBackOffMax);
  if (health.failures == 1)
    env_.log.record(LogEvent::upstream_failed, {{"peer", server.to_string()}, {"reason", why}});
}

bool UpstreamServers::answered_since(const Health& health, TimePoint sent) const {
  return health.last_answer && *health.last_answer > sent;
}

void UpstreamServers::note_silence(const Endpoint& server, const Name& name, TimePoint sent,
                                   const std::string& why) {
  Health& health = health_[server];
  if (answered_since(health, sent)) return;
  if (health.failures > 0 || (health.silent_about && *health.silent_about != name))
    note_failure(server, why);
  else
    health.silent_about = name;
}

void UpstreamServers::note_outrun(const Endpoint& server, TimePoint sent, const std::string& why) {
  if (!answered_since(health_[server], sent)) note_failure(server, why);
}

void UpstreamServers::note_answer(const Endpoint& server) {
  Health& health = health_[server];
  health.last_answer = env_.now();
  health.silent_about.reset();
  if (health.failures == 0) return;
  health.failures = 0;
  health.ask_last_until = {};
  env_.log.record(LogEvent::upstream_recovered, {{"peer", server.to_string()}});
}

bool UpstreamServers::folds_case(const Endpoint& server) const {
  const auto found = health_.find(server);
  return found != health_.end() && found->second.folds_case;
}

void UpstreamServers::note_folds_case(const Endpoint& server) {
  health_[server].folds_case = true;
  env_.log.record(LogEvent::upstream_case_folded, {{"peer", server.to_string()}});
}

}  // namespace outrider::dns
