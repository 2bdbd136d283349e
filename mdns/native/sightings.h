// SPDX-License-Identifier: Apache-2.0
// From cached records to sightings: RFC 6763 §4 to §6. An instance is known from its first PTR on;
// whole, with SRV, TXT and an address, it is reported as a sighting.
//
// Flow: the querier reports which records have changed ▸ the instances that they belong to become
// dirty ▸ settle() assembles each of them, reports what is new or lost, asks for what is missing.
#pragma once

#include <deque>
#include <variant>

#include "mdns/native/host_lookups.h"

namespace outrider::mdns {

struct Sighted {
  Sighting sighting;
};
struct Lost {
  SightingKey key;
  LostReason reason;
};

class Sightings {
 public:
  using Event = std::variant<Sighted, Lost>;

  Sightings(const Links& links, Cache& cache, Questions& questions, HostLookups& lookups)
      : links_(links), cache_(cache), questions_(questions), lookups_(lookups) {}

  // What has changed in the cache. `reason`: why the instance is lost, if this was the change that
  // ends it.
  /// A PTR to the instance, which may be the first one.
  void on_pointer(const dns::Name& instance, LostReason reason);
  /// A record of an instance; nothing if it is not known.
  void on_record(const dns::Name& instance, LostReason reason);
  void on_address(const dns::Name& host, LostReason reason);
  /// An address was heard again: only the expiry of the host's instances changes. With many of them
  /// that is done once per kRefreshGather, because each of a thousand announcements carries the
  /// address of their host.
  void on_address_refreshed(TimePoint now, const dns::Name& host);
  /// The instance is being confirmed (RFC 6762 §10.4). False if it is not known.
  bool on_reconfirm(const dns::Name& instance);

  /// Makes the hosts of dirty instances wanted, ahead of settle().
  void watch_hosts();
  void settle(TimePoint now);
  /// The same, with the instances whose refreshed addresses were gathered.
  void run(TimePoint now);
  std::optional<TimePoint> next_due() const;
  std::vector<Event> take_events() { return std::exchange(events_, {}); }

  bool has(const dns::Name& instance) const { return instances_.contains(instance); }
  bool has_host(const dns::Name& host) const { return hosts_.contains(host); }
  std::size_t size() const { return instances_.size(); }
  std::vector<dns::Name> names() const;

 private:
  struct Instance {
    dns::Name name;  // as in the PTR
    SightingKey key;
    std::optional<Sighting> reported;
    std::optional<dns::Name> host;            // under which hosts_ has it
    LostReason reason = LostReason::expired;  // of the latest change
    bool reconfirming = false;
  };
  /// An SRV target.
  struct Host {
    std::unordered_set<dns::Name, dns::NameHash> instances;  // not empty
    bool gathering = false;                                  // is in gathered_
  };

  void settle_instance(TimePoint now, Instance& instance);
  std::optional<Sighting> assemble(Instance& instance);
  std::vector<SightedAddress> addresses_for(const Instance& instance,
                                            HostAddresses addresses) const;
  const CachedRecord* best(const dns::Name& name, dns::RrType type, std::uint32_t link) const;
  void watch_host(Instance& instance, const dns::Name& host);
  void leave_host(Instance& instance);
  void ask_for_missing(TimePoint now, const Instance& instance);
  void remove(const dns::Name& instance);
  void lose(Instance& instance);

  const Links& links_;
  Cache& cache_;
  Questions& questions_;
  HostLookups& lookups_;
  std::unordered_map<dns::Name, Instance, dns::NameHash> instances_;
  std::unordered_map<dns::Name, Host, dns::NameHash> hosts_;
  std::unordered_set<dns::Name, dns::NameHash> dirty_;
  std::deque<std::pair<TimePoint, dns::Name>> gathered_;  // hosts, and when they are settled
  std::vector<Event> events_;
};

}  // namespace outrider::mdns
