// SPDX-License-Identifier: Apache-2.0
// Answers questions about our records: RFC 6762 §6 and §7. Answers wait per interface and family,
// so that they can be combined or suppressed. The one-second rule of §6 delays an answer and does
// not drop it: a host that asks within that second has not received the first answer.
#pragma once

#include <map>
#include <unordered_map>

#include "base/random.h"
#include "mdns/native/outlet.h"
#include "mdns/native/packer.h"
#include "mdns/native/packet.h"

namespace outrider::mdns {

class Responder {
 public:
  Responder(const OwnRecords& own, const Links& links, Random& random)
      : own_(own), links_(links), random_(random) {}

  /// Legacy and unicast answers are sent at once through `outlet`.
  void on_query(TimePoint now, const Link& link, const Packet& packet, Outlet& outlet);
  /// Another host has sent an answer that we were about to send (§7.4), or a goodbye for a record
  /// that we have too.
  void on_response(TimePoint now, const Link& link, const Packet& packet);

  void run(TimePoint now, Outlet& outlet);
  std::optional<TimePoint> next_due() const;

  /// These were sent by multicast on all families of the link.
  void note_sent(TimePoint now, const Link& link, std::span<const Group> groups);
  void forget(Slot slot);
  void drop_link(std::uint32_t index);

 private:
  struct Pending {
    TimePoint due{};                   // when it is sent at the latest
    TimePoint earliest{};              // when it may be sent along with another answer
    std::optional<Endpoint> asked_by;  // the only asker, whose known answers may follow (§7.2)
    TimePoint asked{};                 // when
  };
  struct Channel {
    std::map<OwnKey, Pending> waiting;
    std::optional<TimePoint> due;
  };
  struct SentKey {
    OwnKey key;
    ChannelId channel;
    auto operator<=>(const SentKey&) const = default;
  };

  void answer_legacy(const Link& link, const Packet& packet, Outlet& outlet);
  void answer_unicast(const Link& link, const Packet& packet, const std::vector<OwnKey>& keys,
                      Outlet& outlet);
  void enqueue(TimePoint now, ChannelId channel, const OwnKey& key, Duration delay,
               Duration again_after, std::optional<Endpoint> asked_by);
  void wait_for_more(TimePoint now, const Endpoint& asker, Channel& channel);
  std::vector<OwnKey> known_answers(const Link& link, const Packet& packet) const;
  std::vector<Group> group(const std::vector<OwnKey>& keys, const Link& link) const;
  bool recently_multicast(TimePoint now, ChannelId channel, const OwnKey& key,
                          const Link& link) const;
  void send_due(TimePoint now, Channel& channel, const Link& link, IpAddress::Family family,
                Outlet& outlet);
  static void refresh_due(Channel& channel);

  const OwnRecords& own_;
  const Links& links_;
  Random& random_;
  std::map<ChannelId, Channel> channels_;
  std::map<SentKey, TimePoint> sent_;  // bounded by own records times channels
};

}  // namespace outrider::mdns
