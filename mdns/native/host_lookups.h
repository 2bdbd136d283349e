// SPDX-License-Identifier: Apache-2.0
// Addresses of hosts by name, for callers that wait for them: RFC 6762 §3 and §5.3.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <unordered_map>

#include "mdns/native/questions.h"
#include "mdns/provider.h"

namespace outrider::mdns {

/// The live addresses that the cache has for a host.
struct HostAddresses {
  std::vector<SightedAddress> all;  // IPv4 first, global before link-local, loopback last
  TimePoint expire{};               // when the last of them does
  /// Keeps one of those that were heard on several links.
  void drop_duplicates();
};
HostAddresses addresses_of(const Cache& cache, const dns::Name& host);

struct HostAnswer {
  std::uint64_t lookup;
  std::vector<SightedAddress> addresses;  // empty: no answer came
  Duration ttl;
};

class HostLookups {
 public:
  /// Whether the addresses of a host are wanted for an instance as well.
  using IsWatched = std::function<bool(const dns::Name& host)>;

  HostLookups(const Cache& cache, Questions& questions, IsWatched is_watched)
      : cache_(cache),
        questions_(questions),
        is_watched_(std::move(is_watched)),
        hosts_(0, cache.name_hash()) {}

  /// Answered by take_answers(), at `deadline` at the latest. Lookups of one host share its
  /// questions. False: kHostLookupsMax hosts or kHostWaitersMax lookups wait.
  bool start(TimePoint now, std::uint64_t id, const dns::Name& host, TimePoint deadline);
  void cancel(std::uint64_t id);

  /// Whether address records of the host are wanted: it is looked up, or was and is still cached.
  bool knows(const dns::Name& host) const { return hosts_.contains(host); }
  bool waits_for(const dns::Name& host) const;
  /// The cache has another set of addresses for the host, or has heard them again.
  void on_address(const dns::Name& host);
  void forget(const dns::Name& host) { hosts_.erase(host); }

  void settle(TimePoint now);
  std::optional<TimePoint> next_due() const;
  std::vector<HostAnswer> take_answers() { return std::exchange(answers_, {}); }

 private:
  struct Host {
    std::set<std::uint64_t> lookups;
    TimePoint one_family_until{};  // no address of the other family was announced
  };
  struct Lookup {
    dns::Name host;
    TimePoint deadline;
  };

  void settle_host(TimePoint now, const dns::Name& host, std::vector<std::uint64_t>& done);
  void answer(TimePoint now, std::uint64_t id);
  bool has(const dns::Name& host, dns::RrType type) const { return cache_.has_live(host, type); }

  const Cache& cache_;
  Questions& questions_;
  IsWatched is_watched_;
  std::unordered_map<dns::Name, Host, dns::NameHash> hosts_;
  std::size_t waiting_hosts_ = 0;  // hosts with lookups
  std::map<std::uint64_t, Lookup> lookups_;
  std::set<dns::Name> dirty_;
  std::vector<HostAnswer> answers_;
};

}  // namespace outrider::mdns
