// SPDX-License-Identifier: Apache-2.0
// Decides what is asked and what of the answers is kept: RFC 6762 §5 and §10, RFC 6763 §4 to §9.
// Service types are browsed for ever with back-off; an instance that a browse finds is resolved
// once and then kept fresh. Unwanted records are not cached, so that the chatter of a printer costs
// nothing.
//
// Flow: on_response ▸ wanted records go into the cache ▸ what depends on them is notified:
// the browsed types (here), instances (Sightings), lookups of hosts (HostLookups) ▸ they assemble
// and report, or ask through Questions for what is missing.
// To browse for another reason: a field of BrowseReasons.
#pragma once

#include <variant>

#include "mdns/native/packet.h"
#include "mdns/native/sightings.h"

namespace outrider::mdns {

/// Why a service type is browsed. Without a reason it is not.
struct BrowseReasons {
  bool configured = false;  // browse() names it
  bool enumerated = false;  // the cache has its enumeration PTR (RFC 6763 §9)
  bool asked = false;       // ask() wanted it
  bool any() const { return configured || enumerated || asked; }
};

class Querier {
 public:
  using Event = std::variant<Sighted, Lost, HostAnswer>;

  /// Our own announcements (`own`, optional) are ignored.
  Querier(const Links& links, Random& random, const OwnRecords* own = nullptr);
  Querier(const Querier&) = delete;
  Querier& operator=(const Querier&) = delete;

  /// Replaces the configured types.
  void browse(TimePoint now, const std::vector<ServiceType>& types);
  /// Asks for a type now, and browses it if it is not browsed yet.
  void ask(TimePoint now, const ServiceType& type);
  /// Asks for a type now if it is browsed.
  void ask_again(TimePoint now, const dns::Name& type);
  BrowseReasons reasons(const dns::Name& type) const;

  void reconfirm(TimePoint now, const SightingKey& key);
  /// Answered by an event, at `deadline` at the latest. False: kHostLookupsMax reached.
  bool lookup_host(TimePoint now, std::uint64_t id, const dns::Name& host, TimePoint deadline);
  void cancel_lookup(std::uint64_t id);

  void on_response(TimePoint now, const Link& link, const Packet& packet);
  void on_query(TimePoint now, const Link& link, const Packet& packet);
  /// Asks everything from the beginning: a link is new.
  void restart(TimePoint now);
  /// After a sleep: confirms everything that is known, and restarts.
  void on_resume(TimePoint now);
  void drop_link(TimePoint now, std::uint32_t link);

  void run(TimePoint now, Outlet& outlet);
  std::optional<TimePoint> next_due() const;
  std::vector<Event> take_events();

  std::size_t sightings() const { return sightings_.size(); }
  const Cache& cache() const { return cache_; }
  bool has_asked() const { return questions_.has_asked(); }

 private:
  void update_browsing(TimePoint now, const dns::Name& type);
  void stop_browsing(const dns::Name& type);

  bool is_wanted(const Link& link, const dns::Record& record) const;
  void take(TimePoint now, const Link& link, const Packet& packet, const dns::Record& record);
  void on_record_changed(TimePoint now, const dns::Name& owner, dns::RrType type,
                         const dns::Name* target, LostReason reason);
  void on_address_refreshed(TimePoint now, const dns::Name& host);
  void on_cache_events(TimePoint now, const std::vector<Cache::Event>& events, LostReason reason);
  void refresh(TimePoint now, const dns::Name& owner, dns::RrType type);
  bool has_room(TimePoint now, const dns::Record& record);
  bool make_room(TimePoint now);

  void note_unanswered(TimePoint now, CachedRecord& record);
  void confirm(TimePoint now, const CachedRecord& record);
  void confirm_instance(TimePoint now, const dns::Name& instance);

  const OwnRecords* own_;
  Cache cache_;
  Questions questions_;
  HostLookups lookups_;
  Sightings sightings_;
  std::unordered_set<dns::Name, dns::NameHash> configured_;
  std::unordered_set<dns::Name, dns::NameHash> asked_;
  std::unordered_set<dns::Name, dns::NameHash> browsed_;  // at most kBrowsedTypesMax of these
};

}  // namespace outrider::mdns
