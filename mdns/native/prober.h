// SPDX-License-Identifier: Apache-2.0
// Claims names and keeps them: probing, simultaneous probes, announcing, conflicts for ever after,
// goodbye. RFC 6762 §8, §9 and §10.1. Each claim is on its way on each link by itself; a conflict
// anywhere counts everywhere, since a name should be the same on all links.
#pragma once

#include <map>
#include <set>

#include "mdns/native/responder.h"

namespace outrider::mdns {

class Prober {
 public:
  struct Event {
    AnnouncementId id = 0;
    bool announced = false;  // else: given up
    std::string label;
  };

  Prober(OwnRecords& own, Responder& responder, const Links& links, Random& random,
         ConflictPolicy policy)
      : own_(own), responder_(responder), links_(links), random_(random), policy_(policy) {}

  /// Publishes, or changes what was published: TXT, port, priority, weight and subtypes are
  /// announced anew (§8.4), anything else is a new claim.
  void publish(TimePoint now, AnnouncementId id, const Announcement& wanted,
               const std::string& host_label);
  void withdraw(TimePoint now, AnnouncementId id);
  void withdraw_all(TimePoint now);
  std::size_t instances() const { return by_id_.size(); }
  bool has(AnnouncementId id) const { return by_id_.contains(id); }
  /// Null for one that is not published.
  const Claim* claim(AnnouncementId id) const;
  bool saying_goodbye() const { return !goodbyes_.empty(); }

  struct LinkChange {
    std::vector<Link> before;
    std::set<std::uint32_t> fresh;        // new, or on another network than before
    std::set<std::uint32_t> readdressed;  // other addresses, but not all of them
  };
  /// links_ has changed.
  void links_changed(TimePoint now, const LinkChange& change);

  void on_query(TimePoint now, const Link& link, const Packet& packet);
  void on_response(TimePoint now, const Link& link, const Packet& packet);

  void run(TimePoint now, Outlet& outlet);
  std::optional<TimePoint> next_due() const;
  std::vector<Event> take_events() { return std::exchange(events_, {}); }

 private:
  struct Due {
    TimePoint at;
    Slot slot;
    std::uint32_t link;
    auto operator<=>(const Due&) const = default;
  };
  struct Goodbye {
    std::uint32_t link;
    unsigned left;
    std::vector<dns::Record> records;
  };
  struct Batch {
    std::vector<Slot> probes;
    std::vector<Slot> announcements;
  };

  void begin(TimePoint now, Claim& claim, const Link& link);
  void begin_everywhere(TimePoint now, Claim& claim);
  void announce_again(TimePoint now, Claim& claim);
  void schedule(Claim& claim, ClaimOnLink& state, TimePoint due);
  void unschedule(Claim& claim, ClaimOnLink& state);
  void step(TimePoint now, Claim& claim, ClaimOnLink& state, Batch& batch);
  void announced(Claim& claim);
  void send_probes(const Link& link, const std::vector<Slot>& slots, Outlet& outlet);
  void send_announcements(TimePoint now, const Link& link, const std::vector<Slot>& slots,
                          Outlet& outlet);
  void run_goodbyes(TimePoint now, Outlet& outlet);

  bool wins(const Claim& claim, const Link& link, const std::vector<dns::Record>& theirs) const;
  bool conflicts(const Claim& claim, const ClaimOnLink& state, const Link& link,
                 const dns::Record& record) const;
  void conflict(TimePoint now, Claim& claim, ClaimOnLink& state);
  void leave_name(TimePoint now, const Claim& claim, const ClaimOnLink& lost_on);
  void rename(TimePoint now, Claim& claim);
  void say_goodbye(TimePoint now, const Claim& claim);
  void say_goodbye(TimePoint now, const Claim& claim, const Link& link);
  void say_goodbye_to_addresses(TimePoint now, const Claim& host, const Link& before,
                                const Link& link);
  void leave_links(TimePoint now, Claim& claim);
  bool stands(const dns::Record& record, const Link& link) const;
  void remove(TimePoint now, Slot slot, bool goodbye);

  OwnRecords& own_;
  Responder& responder_;
  const Links& links_;
  Random& random_;
  ConflictPolicy policy_;
  std::map<AnnouncementId, Slot> by_id_;
  std::set<Due> due_;
  TimePoint pause_until_{};                     // between bursts
  std::map<std::uint32_t, TimePoint> starts_;   // per link: when the gathering batch probes first
  std::multimap<TimePoint, Goodbye> goodbyes_;  // by when they are due
  TimePoint goodbye_pause_until_{};
  std::vector<Event> events_;
};

}  // namespace outrider::mdns
