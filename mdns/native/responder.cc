// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/responder.h"

#include <algorithm>

#include "mdns/native/limits.h"

namespace outrider::mdns {
namespace {

constexpr OwnKind kOwnKinds[] = {OwnKind::type_ptr, OwnKind::subtype_ptr, OwnKind::services_ptr,
                                 OwnKind::srv,      OwnKind::txt,         OwnKind::address,
                                 OwnKind::nsec};
static_assert(std::size(kOwnKinds) == static_cast<std::size_t>(OwnKind::nsec) + 1);

void sort_unique(std::vector<OwnKey>& keys) {
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
}

bool contains(const std::vector<OwnKey>& sorted, const OwnKey& key) {
  return std::binary_search(sorted.begin(), sorted.end(), key);
}

}  // namespace

std::vector<OwnKey> Responder::known_answers(const Link& link, const Packet& packet) const {
  std::vector<OwnKey> known;
  for (const dns::Record& record : packet.answers) {
    const auto key = own_.find(record, link);
    if (!key) continue;
    // §7.1: only if at least half of the correct TTL is left.
    const auto ours = own_.record(*key, link);
    if (ours && record.ttl >= ours->ttl / 2) known.push_back(*key);
  }
  sort_unique(known);
  return known;
}

void Responder::on_query(TimePoint now, const Link& link, const Packet& packet, Outlet& outlet) {
  if (packet.legacy) return answer_legacy(link, packet, outlet);
  const std::vector<OwnKey> known = known_answers(link, packet);
  const ChannelId channel = channel_id(link, packet.family);

  if (packet.questions.empty()) {
    // §7.2: more known answers of an earlier question.
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return;
    std::erase_if(found->second.waiting, [&](const auto& item) {
      return item.second.asked_by == packet.from && contains(known, item.first);
    });
    if (packet.truncated) wait_for_more(now, packet.from, found->second);
    return refresh_due(found->second);
  }

  const bool probe = !packet.authorities.empty();
  std::vector<OwnKey> multicast;
  std::vector<OwnKey> unicast;
  for (const dns::Question& question : packet.questions) {
    std::vector<OwnKey> keys;
    own_.collect(question, link, keys);
    for (const OwnKey& key : keys) {
      if (contains(known, key)) continue;
      // §5.4; but a probe is answered by multicast: unicast to a port that several stacks share
      // may reach the wrong one, and both hosts would take the name. At most kBurst answers go by
      // unicast, to fit one receive buffer; the rest is multicast in bursts.
      const bool alone = question.unicast_response && !probe && unicast.size() < kBurst &&
                         link.is_neighbour(packet.from.address) &&
                         recently_multicast(now, channel, key, link);
      (alone ? unicast : multicast).push_back(key);
    }
  }
  sort_unique(multicast);
  sort_unique(unicast);
  if (!unicast.empty()) answer_unicast(link, packet, unicast, outlet);

  // §6: at once if every answer is unique to us; else after a random delay, so that answers of
  // other hosts can suppress ours.
  const bool shared = std::any_of(multicast.begin(), multicast.end(),
                                  [](const OwnKey& key) { return OwnRecords::shared(key.kind); });
  Duration delay{};
  if (packet.truncated)
    delay = random_.between(kTruncatedDelayMin, kTruncatedDelayMax);
  else if (shared)
    delay = random_.between(kSharedDelayMin, kSharedDelayMax);
  const Duration again_after = probe ? kMulticastProbedAgainAfter : kMulticastAgainAfter;
  for (const OwnKey& key : multicast)
    enqueue(now, channel, key, delay, again_after,
            packet.truncated ? std::optional(packet.from) : std::nullopt);
}

/// §7.2: the delay starts again with each packet that has the TC bit, up to kTruncatedDelayLimit.
void Responder::wait_for_more(TimePoint now, const Endpoint& asker, Channel& channel) {
  const TimePoint until = now + random_.between(kTruncatedDelayMin, kTruncatedDelayMax);
  for (auto& [key, pending] : channel.waiting) {
    if (pending.asked_by != asker) continue;
    pending.due = std::max(pending.due, std::min(until, pending.asked + kTruncatedDelayLimit));
    pending.earliest = pending.due;
  }
}

bool Responder::recently_multicast(TimePoint now, ChannelId channel, const OwnKey& key,
                                   const Link& link) const {
  const auto sent = sent_.find({key, channel});
  const auto record = own_.record(key, link);
  if (sent == sent_.end() || !record) return false;
  return now - sent->second <= std::chrono::seconds(record->ttl) / 4;  // §5.4
}

void Responder::enqueue(TimePoint now, ChannelId channel, const OwnKey& key, Duration delay,
                        Duration again_after, std::optional<Endpoint> asked_by) {
  Channel& queue = channels_[channel];
  if (queue.waiting.size() >= kPendingAnswersMax) return;
  Pending fresh{now + delay, now, std::move(asked_by), now};
  if (fresh.asked_by) fresh.earliest = fresh.due;
  if (const auto sent = sent_.find({key, channel}); sent != sent_.end()) {
    // §6: once a second; the answer is sent at the end of that second.
    fresh.earliest = std::max(fresh.earliest, sent->second + again_after);
    fresh.due = std::max(fresh.due, fresh.earliest);
  }
  const auto [at, added] = queue.waiting.emplace(key, fresh);
  if (!added) {
    // A second asker: neither waits longer than alone, and the first one's late known answers
    // (§7.2) say nothing about what the second one knows.
    at->second.due = std::min(at->second.due, fresh.due);
    at->second.earliest = std::min(at->second.earliest, fresh.earliest);
    if (at->second.asked_by != fresh.asked_by) at->second.asked_by.reset();
  }
  if (!queue.due || at->second.due < *queue.due) queue.due = at->second.due;
}

std::vector<Group> Responder::group(const std::vector<OwnKey>& keys, const Link& link) const {
  std::map<Slot, Group> by_slot;
  for (const OwnKey& key : keys) {
    Group& group = by_slot[key.slot];
    group.answers.push_back(key);
    own_.collect_additional(key, link, group.additionals);
  }
  std::vector<Group> groups;
  groups.reserve(by_slot.size());
  for (auto& [slot, group] : by_slot)
    groups.push_back(std::move(group));
  return groups;
}

void Responder::answer_legacy(const Link& link, const Packet& packet, Outlet& outlet) {
  std::vector<OwnKey> keys;
  for (const dns::Question& question : packet.questions)
    own_.collect(question, link, keys);
  sort_unique(keys);
  if (keys.empty()) return;
  std::vector<dns::Question> echo = packet.questions;
  for (dns::Question& question : echo)
    question.unicast_response = false;
  const ResponseShape shape{packet.id, echo, true};
  bool first = true;
  Emit emit = [&](Bytes payload) {
    // §6.7: such a querier takes one packet for its answer and has forgotten the socket after it.
    if (std::exchange(first, false)) outlet.unicast(link, packet.from, payload);
  };
  pack_groups(own_, link, link.payload(packet.family), group(keys, link), shape, emit);
}

void Responder::answer_unicast(const Link& link, const Packet& packet,
                               const std::vector<OwnKey>& keys, Outlet& outlet) {
  Emit emit = [&](Bytes payload) { outlet.unicast(link, packet.from, payload); };
  pack_groups(own_, link, link.payload(packet.family), group(keys, link), {}, emit);
}

void Responder::on_response(TimePoint now, const Link& link, const Packet& packet) {
  const ChannelId channel = channel_id(link, packet.family);
  bool suppressed = false;
  for (const auto* section : {&packet.answers, &packet.additionals}) {
    for (const dns::Record& record : *section) {
      const auto key = own_.find(record, link);
      if (!key) continue;
      const auto ours = own_.record(*key, link);
      if (record.ttl == 0) {
        // A goodbye of another host for a record that we have too: announce that it still exists.
        if (own_.answers(*own_.claim(key->slot), link))
          enqueue(now, channel, *key, random_.between(kSharedDelayMin, kSharedDelayMax),
                  kMulticastAgainAfter, std::nullopt);
        continue;
      }
      const auto queue = channels_.find(channel);
      if (queue == channels_.end() || !ours || record.ttl < ours->ttl) continue;
      if (queue->second.waiting.erase(*key) == 0) continue;
      sent_[{*key, channel}] = now;  // §7.4
      suppressed = true;
    }
  }
  if (suppressed) refresh_due(channels_.at(channel));
}

void Responder::refresh_due(Channel& channel) {
  channel.due.reset();
  for (const auto& [key, pending] : channel.waiting)
    if (!channel.due || pending.due < *channel.due) channel.due = pending.due;
}

void Responder::send_due(TimePoint now, Channel& channel, const Link& link,
                         IpAddress::Family family, Outlet& outlet) {
  std::vector<OwnKey> keys;
  for (auto at = channel.waiting.begin(); at != channel.waiting.end();) {
    // §6.4: answers that would be due a little later are sent along.
    if (at->second.earliest <= now && keys.size() == kBurst) {
      at->second.due = at->second.earliest = now + kBurstPause;
      ++at;
    } else if (at->second.earliest <= now) {
      keys.push_back(at->first);
      at = channel.waiting.erase(at);
    } else {
      ++at;
    }
  }
  refresh_due(channel);
  if (keys.empty()) return;
  const std::vector<Group> groups = group(keys, link);
  const ChannelId id = channel_id(link, family);
  for (const Group& each : groups) {
    for (const OwnKey& key : each.answers)
      sent_[{key, id}] = now;
    for (const OwnKey& key : each.additionals)
      sent_[{key, id}] = now;
  }
  Emit emit = [&](Bytes payload) { outlet.multicast(link, family, payload); };
  pack_groups(own_, link, link.payload(family), groups, {}, emit);
}

void Responder::run(TimePoint now, Outlet& outlet) {
  for (auto at = channels_.begin(); at != channels_.end();) {
    Channel& channel = at->second;
    if (channel.due && *channel.due <= now) {
      const auto family = at->first % 2 == 1 ? IpAddress::Family::v6 : IpAddress::Family::v4;
      const Link* link = links_.find(static_cast<std::uint32_t>(at->first / 2));
      if (link != nullptr && link->has(family))
        send_due(now, channel, *link, family, outlet);
      else
        channel.waiting.clear();
    }
    at = channel.waiting.empty() ? channels_.erase(at) : std::next(at);
  }
}

std::optional<TimePoint> Responder::next_due() const {
  std::optional<TimePoint> due;
  for (const auto& [id, channel] : channels_)
    if (channel.due && (!due || *channel.due < *due)) due = channel.due;
  return due;
}

void Responder::note_sent(TimePoint now, const Link& link, std::span<const Group> groups) {
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
    if (!link.has(family)) continue;
    const ChannelId id = channel_id(link, family);
    const auto queue = channels_.find(id);
    for (const Group& group : groups) {
      for (const OwnKey& key : group.answers) {
        sent_[{key, id}] = now;
        if (queue != channels_.end()) queue->second.waiting.erase(key);
      }
    }
    if (queue != channels_.end()) refresh_due(queue->second);
  }
}

void Responder::forget(Slot slot) {
  // By ranges: when all instances are withdrawn at once, each would otherwise search what was sent
  // of all others.
  for (const OwnKind kind : kOwnKinds) {
    const OwnKey first{kind, slot, 0};
    const OwnKey next{kind, static_cast<Slot>(slot + 1), 0};
    sent_.erase(sent_.lower_bound({first, 0}), sent_.lower_bound({next, 0}));
    for (auto& [id, channel] : channels_) {
      const std::size_t before = channel.waiting.size();
      channel.waiting.erase(channel.waiting.lower_bound(first), channel.waiting.lower_bound(next));
      if (channel.waiting.size() != before) refresh_due(channel);
    }
  }
}

void Responder::drop_link(std::uint32_t index) {
  std::erase_if(sent_, [&](const auto& item) { return item.first.channel / 2 == index; });
  std::erase_if(channels_, [&](const auto& item) { return item.first / 2 == index; });
}

}  // namespace outrider::mdns
