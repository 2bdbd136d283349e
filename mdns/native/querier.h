// SPDX-License-Identifier: Apache-2.0
// Decides what is asked and what of the answers is kept: RFC 6762 §5 and §10, RFC 6763 §4 to §9.
// Service types are browsed with back-off for as long as there is a reason; an instance that a
// browse finds is resolved once and then kept fresh. Unwanted records are not cached, so that the
// chatter of a printer costs nothing.
//
// Flow: on_response ▸ wanted records go into the cache ▸ what depends on them is notified:
// the browsed types (here), instances (Sightings), lookups of hosts (HostLookups) ▸ they assemble
// and report, or ask through Questions for what is missing.
// To browse for another reason: a field of BrowseReasons.
#pragma once

#include <map>
#include <set>
#include <variant>

#include "mdns/native/packet.h"
#include "mdns/native/sightings.h"

namespace outrider::mdns {

/// An instance that was heard so recently is not asked for because another one has its host and
/// port: a print server has one port for all its printers.
inline constexpr Duration kRivalFresh = std::chrono::seconds(2);

/// Why a service type is browsed. Without a reason it is not.
struct BrowseReasons {
  bool configured = false;  // browse() names it
  bool enumerated = false;  // the cache has its enumeration PTR (RFC 6763 §9)
  bool asked = false;       // ask() wanted it less than kAskLife ago, or a sighting was lost
  bool alive = false;  // the cache has an instance of it, also after a goodbye for its enumeration
  bool any() const { return configured || enumerated || asked || alive; }
};

class Querier {
 public:
  using Event = std::variant<Sighted, Lost, HostAnswer>;

  /// Our own announcements (`own`, optional) are ignored.
  Querier(const Links& links, Random& random, const OwnRecords* own = nullptr);
  Querier(const Querier&) = delete;
  Querier& operator=(const Querier&) = delete;

  /// Replaces the configured types. Sightings of types that come or go are reported again.
  void browse(TimePoint now, const std::vector<ServiceType>& types);
  /// Asks for a type now, and browses it for kAskLife if it is not browsed yet.
  void ask(TimePoint now, const ServiceType& type);
  /// Asks for a type now if it is browsed.
  void ask_again(TimePoint now, const dns::Name& type);
  BrowseReasons reasons(const dns::Name& type) const;

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

  /// When a record that was heard on the link last expired without a goodbye.
  std::optional<TimePoint> last_expired(std::uint32_t link) const;
  /// TXT records that were refused because they exceed kCacheRdataMax.
  std::uint64_t refused_texts() const { return refused_texts_; }
  const dns::Name& last_refused_text() const { return last_refused_text_; }
  std::size_t sightings() const { return sightings_.size(); }
  const Cache& cache() const { return cache_; }
  bool has_asked() const { return questions_.has_asked(); }

 private:
  void update_browsing(TimePoint now, const dns::Name& type);
  void stop_browsing(const dns::Name& type);
  bool make_type_room(const BrowseReasons& newcomer);
  void browse_for_a_while(TimePoint now, const dns::Name& type);
  void on_enumeration(TimePoint now, const dns::Name& type);
  void end_asking(TimePoint now);
  void follow_losses(TimePoint now);
  void follow_rivals(TimePoint now);
  void settle(TimePoint now);

  bool is_wanted(const Link& link, const dns::Record& record) const;
  void take(TimePoint now, const Link& link, const Packet& packet, const dns::Record& record);
  Cache::Put put(TimePoint now, const Link& link, const Packet& packet, const dns::Record& record);
  void on_record_changed(TimePoint now, const dns::Name& owner, dns::RrType type,
                         const dns::Name* target, LostReason reason);
  void on_address_refreshed(TimePoint now, const dns::Name& host);
  void on_cache_events(TimePoint now, const std::vector<Cache::Event>& events, LostReason reason);
  void refresh(TimePoint now, const dns::Name& owner, dns::RrType type);
  bool has_room(TimePoint now, const dns::Record& record);
  bool make_room(TimePoint now);

  void on_question(TimePoint now, const Link& link, const Packet& packet,
                   const dns::Question& asked, const KnownRdata& known);
  void note_unanswered(TimePoint now, CachedRecord& record);
  void confirm(TimePoint now, const CachedRecord& record);
  void confirm_instance(TimePoint now, const dns::Name& instance);

  const OwnRecords* own_;
  Cache cache_;
  Questions questions_;
  HostLookups lookups_;
  Sightings sightings_;
  std::set<dns::Name> configured_;
  std::map<dns::Name, TimePoint> asked_;     // until when; at most kAskedTypesMax
  std::map<dns::Name, TimePoint> searched_;  // until when (Questions::search); as many
  std::unordered_map<dns::Name, std::uint64_t, dns::NameHash> browsed_;  // at most kBrowsedTypesMax
  std::map<std::uint64_t, const dns::Name*> by_age_;                     // of these
  std::uint64_t next_age_ = 0;
  std::map<std::uint32_t, TimePoint> expired_;  // by link
  std::uint64_t refused_texts_ = 0;
  dns::Name last_refused_text_;
};

}  // namespace outrider::mdns
