// SPDX-License-Identifier: Apache-2.0
// Publishes announcements and keeps their names: probing, simultaneous probes, announcing, conflict
// handling afterwards. RFC 6762 §8 and §9. Each claim progresses on each link by itself, but a
// conflict on one link renames it on all: a name should be the same everywhere.
//
// The rules are in conflict.h, goodbyes in goodbyes.h, records and claims in own_records.h.
#pragma once

#include <map>
#include <set>

#include "mdns/native/goodbyes.h"
#include "mdns/native/responder.h"

namespace outrider::mdns {

class Publisher {
 public:
  enum class Outcome : std::uint8_t {
    announced,
    conflict,  // given up: another host has the name
    host_renamed,
  };
  struct Event {
    AnnouncementId id = 0;
    Outcome outcome = Outcome::announced;
    std::string label;
    std::string before;  // of a renamed host
  };

  Publisher(OwnRecords& own, Responder& responder, const Links& links, Random& random,
            ConflictPolicy policy, std::string machine)
      : own_(own),
        responder_(responder),
        links_(links),
        random_(random),
        policy_(policy),
        machine_(std::move(machine)),
        goodbyes_(own, links) {}

  /// Publishes, or changes what was published; `host_label` is for an instance. A change of TXT,
  /// port, priority, weight or subtypes is announced (§8.4); any other change is a new claim.
  void publish(TimePoint now, AnnouncementId id, const Announcement& wanted,
               const std::string& host_label);
  void withdraw(TimePoint now, AnnouncementId id);
  void withdraw_all(TimePoint now);
  std::size_t size() const { return by_id_.size(); }
  bool has(AnnouncementId id) const { return by_id_.contains(id); }
  /// Null if it is not published.
  const Claim* claim(AnnouncementId id) const;
  /// True while goodbyes are still to be sent.
  bool saying_goodbye() const { return !goodbyes_.empty(); }

  struct LinkChange {
    std::vector<Link> before;
    std::set<std::uint32_t> fresh;        // new, or possibly on another network than before
    std::set<std::uint32_t> readdressed;  // some addresses changed, some stayed
  };
  void on_links_changed(TimePoint now, const LinkChange& change);

  /// What was sent on the link was evidently lost: announces what is established there once more.
  void announce_again(TimePoint now, const Link& link);

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
  struct Batch {
    std::vector<Slot> probes;
    std::vector<Slot> announcements;
  };

  void add_instance(TimePoint now, AnnouncementId id, const Announcement& wanted,
                    const std::string& host_label);
  void add_name(TimePoint now, AnnouncementId id, const Announcement& wanted);
  /// Whether a name may not have this label.
  bool is_taken(const std::string& label) const;

  void begin(TimePoint now, Claim& claim, const Link& link);
  void begin_everywhere(TimePoint now, Claim& claim);
  void announce_again(TimePoint now, Claim& claim);
  void schedule(Claim& claim, ClaimOnLink& state, TimePoint due);
  void unschedule(Claim& claim, ClaimOnLink& state);
  void step(TimePoint now, Claim& claim, ClaimOnLink& state, Batch& batch);
  void note_announced(Claim& claim);
  void send_probes(const Link& link, const std::vector<Slot>& slots, Outlet& outlet);
  void send_announcements(TimePoint now, const Link& link, const std::vector<Slot>& slots,
                          Outlet& outlet);

  void resolve_conflict(TimePoint now, Claim& claim, ClaimOnLink& state);
  void leave_name(TimePoint now, const Claim& claim, const ClaimOnLink& lost_on);
  void rename(TimePoint now, Claim& claim);
  void leave_links(TimePoint now, Claim& claim);
  void remove(TimePoint now, Slot slot);

  OwnRecords& own_;
  Responder& responder_;
  const Links& links_;
  Random& random_;
  ConflictPolicy policy_;
  std::string machine_;
  Goodbyes goodbyes_;
  std::map<AnnouncementId, Slot> by_id_;
  std::set<Due> due_;
  TimePoint pause_until_{};                    // between bursts
  std::map<std::uint32_t, TimePoint> starts_;  // per link: the first probe of the gathering batch
  std::vector<Event> events_;
};

}  // namespace outrider::mdns
