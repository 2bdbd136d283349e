// SPDX-License-Identifier: Apache-2.0
// The announcements, and the daemon's entry group for each of them. Groups are created again after
// every restart of the daemon or of the bus.
//
// The interface of the daemon has no SRV priority and weight: they stay 0. Weights that matter are
// in the TXT.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mdns/avahi/client.h"
#include "mdns/link.h"
#include "mdns/provider.h"

namespace outrider::mdns::avahi {

/// The least time between TXT updates of one group, and after its establishment.
inline constexpr Duration kTxtInterval = 1s;
/// A group that the daemon refused is tried again after this.
inline constexpr Duration kGroupRetry = 10s;

/// Takes commands, and numbers objects.
class Sender {
 public:
  virtual void send(Command command) = 0;
  Object next_object() { return ++last_object_; }

 protected:
  ~Sender() = default;

 private:
  Object last_object_ = 0;
};

class Publications {
 public:
  struct Options {
    std::string host;
    std::string cookie;
    std::string machine;      // no name takes the machine's own
    bool only_links = false;  // announce on our links, not on all interfaces of the daemon
    ConflictPolicy conflict = ConflictPolicy::rename;
  };
  enum class Outcome : std::uint8_t { announced, conflict, refused };
  struct Event {
    AnnouncementId id;
    Outcome outcome;
    std::string text;  // the label, or why it was refused
  };

  Publications(Sender& sender, Options options) : sender_(sender), options_(std::move(options)) {}

  /// Why it cannot be published: mdns::check(), or too many groups.
  std::optional<PublishError> check(AnnouncementId id, const Announcement& wanted) const;
  void publish(TimePoint now, AnnouncementId id, const Announcement& wanted);
  void withdraw(AnnouncementId id);
  void withdraw_all();
  bool has(AnnouncementId id) const { return items_.contains(id); }

  void on_links_changed(TimePoint now, const std::vector<Link>& links);
  /// The daemon runs: creates the groups.
  void open(TimePoint now);
  /// The daemon claims its host name again: frees the groups, as it demands.
  void pause();
  /// The daemon is gone, and all groups with it.
  void close();

  void on_group(TimePoint now, const GroupChanged& change);
  void run(TimePoint now);
  std::optional<TimePoint> next_due() const;
  std::vector<Event> take_events() { return std::exchange(events_, {}); }
  /// Names that turned out to be other hosts', since the last call.
  std::vector<SightingKey> take_lost_names() { return std::exchange(lost_names_, {}); }

  /// Whether the daemon's own instance of this name is ours.
  bool is_own(const ServiceType& type, const std::string& label) const;

 private:
  enum class Stage : std::uint8_t { none, registering, established, refused, lost_name };
  struct Group {
    std::vector<AddressEntry> addresses;
    std::vector<ServiceEntry> services;
    bool empty() const { return addresses.empty() && services.empty(); }
  };
  struct Item {
    Announcement wanted;
    std::string label;
    std::string reported;  // the label that was reported as announced
    unsigned renames = 0;
    Stage stage = Stage::none;
    Object object = 0;
    Group group;  // as the daemon has it
    bool txt_changed = false;
    TimePoint txt_free;  // no TXT update before
    TimePoint retry;     // of a refused group
  };

  Group group_of(const Item& item) const;
  Group group_of_name(const Item& item) const;
  /// `first`, or for a name with a label that is taken the next one, from `number` on.
  std::string label_for(const Announcement& wanted, const std::string& first,
                        unsigned number) const;
  std::vector<const Link*> links_of(const Announcement& wanted) const;
  void make(Item& item, AnnouncementId id);
  void drop(Item& item);
  void renew(Item& item, AnnouncementId id);
  void on_collision(Item& item, AnnouncementId id);

  Sender& sender_;
  Options options_;
  std::vector<Link> links_;
  std::map<AnnouncementId, Item> items_;
  std::unordered_map<Object, AnnouncementId> objects_;
  std::vector<Event> events_;
  std::vector<SightingKey> lost_names_;
  bool open_ = false;
};

}  // namespace outrider::mdns::avahi
