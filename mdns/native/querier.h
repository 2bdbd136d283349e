// SPDX-License-Identifier: Apache-2.0
// Asks, and makes sightings of what is heard: RFC 6762 §5 and §10, RFC 6763 §4 to §9. Service types
// are browsed for ever with back-off; what a browse finds is resolved once and then kept fresh.
//
// Flow: on_response ▸ the records that somebody wants go into the cache ▸ instances that they touch
// become dirty ▸ settle() looks at each dirty one, tells what changed, asks for what is missing.
// Records that nobody wants are not kept, so that a printer's chatter costs nothing.
#pragma once

#include <deque>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include "mdns/native/cache.h"
#include "mdns/native/pacer.h"
#include "mdns/native/responder.h"

namespace outrider::mdns {

class Querier {
 public:
  struct Sighted {
    Sighting sighting;
  };
  struct Lost {
    SightingKey key;
    LostReason reason;
  };
  struct HostAnswer {
    std::uint64_t lookup;
    std::vector<SightedAddress> addresses;
    Duration ttl;
  };
  using Event = std::variant<Sighted, Lost, HostAnswer>;

  /// What is announced by `own`, if it is given, is no news to us.
  Querier(const Links& links, Random& random, const OwnRecords* own = nullptr)
      : links_(links), random_(random), own_(own), cache_(random) {}

  /// Replaces the types that are browsed on request.
  void browse(TimePoint now, const std::vector<ServiceType>& types);
  void ask(TimePoint now, const ServiceType& type);
  /// The same, if it is browsed anyway.
  void ask_again(TimePoint now, const dns::Name& type);
  void reconfirm(TimePoint now, const SightingKey& key);
  /// Answered by an event, at `deadline` at the latest. False: kHostLookupsMax reached.
  bool lookup_host(TimePoint now, std::uint64_t id, const dns::Name& host, TimePoint deadline);
  void cancel_lookup(std::uint64_t id);

  void on_response(TimePoint now, const Link& link, const Packet& packet);
  void on_query(TimePoint now, const Link& link, const Packet& packet);
  /// Asks everything anew, as at the start: a link has come, or the machine has slept.
  void restart(TimePoint now);
  /// After a sleep: everything that is known must be confirmed, and everything is asked anew.
  void resumed(TimePoint now);
  void drop_link(TimePoint now, std::uint32_t link);

  void run(TimePoint now, Outlet& outlet);
  std::optional<TimePoint> next_due() const;
  std::vector<Event> take_events() { return std::exchange(events_, {}); }

  std::size_t sightings() const { return instances_.size(); }
  std::size_t browsed_types() const { return browsed_.size(); }
  const Cache& cache() const { return cache_; }
  /// True once the first questions have gone out.
  bool has_asked() const { return has_asked_; }

 private:
  struct QuestionKey {
    dns::Name name;
    dns::RrType type;
    bool operator==(const QuestionKey&) const = default;
  };
  struct QuestionHash {
    std::size_t operator()(const QuestionKey& key) const {
      return key.name.hash() * 31 + static_cast<std::size_t>(key.type);
    }
  };
  struct Question {
    TimePoint due{};
    Duration interval{};
    unsigned tries_left = 0;  // 0: for ever
    bool scheduled = false;
    // §7.3: where somebody else has asked the same, and when.
    std::vector<std::pair<std::uint64_t, TimePoint>> heard;
  };
  using KnownRdata = std::unordered_set<std::string>;
  using Questions = std::unordered_map<QuestionKey, Question, QuestionHash>;

  struct Instance {
    dns::Name name;  // as in the PTR
    SightingKey key;
    std::optional<Sighting> told;
    std::optional<dns::Name> host;            // that hosts_ knows us by
    LostReason reason = LostReason::expired;  // of what went last
    bool reconfirming = false;
  };
  struct HostWatch {
    std::unordered_set<dns::Name, dns::NameHash> instances;
    std::set<std::uint64_t> lookups;
    TimePoint one_family_until{};  // nobody told us addresses of the other
    bool gathering = false;        // known to gathered_
  };
  struct Lookup {
    dns::Name host;
    TimePoint deadline;
  };

  void start_browsing(TimePoint now, const dns::Name& type);
  void stop_browsing(const dns::Name& type);
  void enumerated(TimePoint now, const dns::Name& type);
  void start(TimePoint now, const dns::Name& name, dns::RrType type, unsigned tries);
  void forget_question(const dns::Name& name, dns::RrType type);
  void schedule(const QuestionKey& key, Question& question, TimePoint due);
  bool wanted(const Link& link, const dns::Record& record) const;
  void take(TimePoint now, const Link& link, const Packet& packet, const dns::Record& record);
  void answered(TimePoint now, const dns::Name& name, dns::RrType type);
  void denied(const dns::Record& nsec);
  void touched(TimePoint now, const dns::Name& owner, dns::RrType type, const dns::Name* target,
               LostReason reason);
  void refreshed_address(TimePoint now, const dns::Name& host);
  void settle_gathered(TimePoint now);
  void touched_pointer(const dns::Name& target, LostReason reason);
  bool room_for(TimePoint now, const dns::Record& record);
  bool make_room(TimePoint now);
  bool still_wanted(const dns::Name& owner, dns::RrType type) const;

  void settle(TimePoint now);
  void settle_instance(TimePoint now, Instance& instance);
  std::optional<Sighting> assemble(Instance& instance);
  std::vector<SightedAddress> addresses_of(const dns::Name& host, TimePoint* last) const;
  const CachedRecord* best(const dns::Name& name, dns::RrType type, std::uint32_t link) const;
  void watch_hosts();
  void watch_host(Instance& instance, const dns::Name* host);
  void ask_for_missing(TimePoint now, const Instance& instance);
  void lose(Instance& instance, LostReason reason);
  void settle_lookups(TimePoint now);
  bool has_address(const dns::Name& host, dns::RrType type) const;

  void cache_events(TimePoint now, const std::vector<Cache::Event>& events, LostReason reason);
  void suppress_duplicate(TimePoint now, const Link& link, const Packet& packet,
                          const dns::Question& asked, const KnownRdata& known);
  void unanswered(TimePoint now, CachedRecord& record);
  void confirm(TimePoint now, const CachedRecord& record);
  void send_questions(TimePoint now, const std::vector<QuestionKey>& keys, Outlet& outlet);
  std::vector<dns::Record> known_answers(TimePoint now, const Link& link,
                                         const QuestionKey& key) const;

  const Links& links_;
  Random& random_;
  const OwnRecords* own_;
  Cache cache_;
  Questions questions_;
  std::set<std::pair<TimePoint, const QuestionKey*>> schedule_;
  Pacer pacer_;
  std::unordered_set<dns::Name, dns::NameHash> configured_;
  std::unordered_set<dns::Name, dns::NameHash> browsed_;  // configured and enumerated
  std::unordered_map<dns::Name, Instance, dns::NameHash> instances_;
  std::unordered_map<dns::Name, HostWatch, dns::NameHash> hosts_;
  std::unordered_set<dns::Name, dns::NameHash> dirty_;
  std::map<std::uint64_t, Lookup> lookups_;
  std::unordered_set<dns::Name, dns::NameHash> dirty_hosts_;
  /// Hosts of many instances whose addresses live longer than was told, and when that is told.
  std::deque<std::pair<TimePoint, dns::Name>> gathered_;
  std::vector<Event> events_;
  bool has_asked_ = false;
};

}  // namespace outrider::mdns
