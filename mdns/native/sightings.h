// SPDX-License-Identifier: Apache-2.0
// From cached records to sightings: RFC 6763 §4 to §6. An instance is known from its first PTR on;
// whole, with SRV, TXT and an address, it is reported as a sighting. If it is not whole within
// kResolveLife, it is forgotten with its PTR; when room is scarce, earlier than anything else.
//
// Flow: the querier reports which records have changed ▸ the instances that they belong to become
// dirty ▸ settle() assembles each of them, reports what is new or lost, asks for what is missing.
#pragma once

#include <deque>
#include <map>
#include <set>
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
      : links_(links),
        cache_(cache),
        questions_(questions),
        lookups_(lookups),
        instances_(0, cache.name_hash()),
        hosts_(0, cache.name_hash()) {}

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

  /// Reports every sighting of the type once more.
  void report_again(const ServiceType& type);
  /// Forgets instances that are not whole, the oldest first. False: all are whole.
  bool evict_unresolved();
  /// Types of which a sighting was lost without a goodbye, since the last call.
  std::set<dns::Name> take_lost_types() { return std::exchange(lost_types_, {}); }

  /// Types of which an instance was forgotten because it was not whole, since the last call.
  std::set<dns::Name> take_forgotten_types() { return std::exchange(forgotten_types_, {}); }

  /// Instances at a host and port where another one of their type was reported after them, since
  /// the last call: a program that was started again under another label, unless their owner says
  /// so.
  std::set<dns::Name> take_rivals() { return std::exchange(rivals_, {}); }

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
  struct ByName {
    bool operator()(const dns::Name* a, const dns::Name* b) const { return *a < *b; }
  };
  /// A port of a host that one program of a type holds.
  struct Spot {
    ServiceType type;
    std::uint16_t port = 0;
    auto operator<=>(const Spot&) const = default;
  };
  /// An SRV target.
  struct Host {
    std::set<const dns::Name*, ByName> instances;  // their names; not empty
    bool gathering = false;                        // is in gathered_
    bool spreading = false;                        // is in spreading_
    bool changed_again = false;                    // meanwhile
    LostReason reason = LostReason::expired;       // of the latest change
    std::map<Spot, const dns::Name*> latest;       // the instance that was reported last
  };
  using Hosts = std::unordered_map<dns::Name, Host, dns::NameHash>;
  struct Instance {
    const dns::Name* name = nullptr;  // as in the PTR: the key of instances_
    std::optional<Sighting> reported;
    Hosts::value_type* host = nullptr;        // the target of its SRV, in hosts_
    std::optional<Spot> spot;                 // of the host
    LostReason reason = LostReason::expired;  // of the latest change
    bool reconfirming = false;
    std::optional<TimePoint> forgotten_at;  // while it is not whole
    bool asking = false;                    // for what is missing
    bool was_whole = false;
  };
  /// A changed host whose instances become dirty, some at a time.
  struct Spread {
    dns::Name host;
    std::optional<dns::Name> after;  // the last instance so far
  };

  void spread();
  void settle_instance(TimePoint now, Instance& instance);
  std::optional<Sighting> assemble(Instance& instance);
  std::vector<SightedAddress> addresses_for(const Instance& instance,
                                            HostAddresses addresses) const;
  const CachedRecord* best(const dns::Name& name, dns::RrType type, std::uint32_t link) const;
  void watch_host(Instance& instance, const dns::Name& host);
  void leave_host(Instance& instance);
  void take_spot(Instance& instance, Spot spot);
  void leave_spot(Instance& instance);
  void ask_for_missing(TimePoint now, const Instance& instance);
  void wait_for_missing(TimePoint now, Instance& instance);
  void stop_waiting(Instance& instance);
  void ask_next(TimePoint now);
  void forget(Instance& instance);
  void remove(const dns::Name& instance);
  void lose(Instance& instance);

  const Links& links_;
  Cache& cache_;
  Questions& questions_;
  HostLookups& lookups_;
  std::unordered_map<dns::Name, Instance, dns::NameHash> instances_;
  Hosts hosts_;
  std::set<dns::Name> dirty_;
  std::deque<Spread> spreading_;
  std::set<std::pair<TimePoint, Instance*>> unresolved_;  // by forgotten_at
  std::set<std::pair<TimePoint, Instance*>> unasked_;     // of these
  std::size_t asking_ = 0;                                // instances; see kResolvingMax
  std::set<dns::Name> lost_types_, forgotten_types_;
  std::set<dns::Name> rivals_;                            // their names
  std::deque<std::pair<TimePoint, dns::Name>> gathered_;  // hosts, and when they are settled
  std::vector<Event> events_;
};

}  // namespace outrider::mdns
