// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/goodbyes.h"

#include <algorithm>

#include "mdns/native/limits.h"

namespace outrider::mdns {

void Goodbyes::add(TimePoint due, const Claim& claim, const Link& link) {
  add(due, goodbye_of(claim, link));
}

Goodbyes::Goodbye Goodbyes::goodbye_of(const Claim& claim, const Link& link) const {
  std::vector<OwnKey> keys;
  own_.collect_revocable(claim, link, keys);
  own_.collect_subtypes(claim, keys);
  Goodbye goodbye{link.index, kGoodbyeCount, {}};
  for (const OwnKey& key : keys) {
    auto record = own_.record(key, link);
    if (!record || key.kind == OwnKind::nsec) continue;
    record->ttl = 0;
    goodbye.records.push_back(std::move(*record));
  }
  return goodbye;
}

void Goodbyes::add(TimePoint due, Goodbye goodbye) {
  if (goodbye.records.empty()) return;
  if (waiting_.size() >= kGoodbyesMax) waiting_.erase(waiting_.begin());
  waiting_.emplace(due, std::move(goodbye));
}

void Goodbyes::add_everywhere(TimePoint due, const Claim& claim) {
  for (const ClaimOnLink& state : claim.links) {
    const Link* link = links_.find(state.link);
    if (link == nullptr) continue;
    if (claim.announced || state.phase != Phase::probing)
      add(due, claim, *link);
    else
      add_doubtful(due, claim, state, *link);
  }
}

void Goodbyes::add_doubtful(TimePoint due, const Claim& claim, const ClaimOnLink& state,
                            const Link& link) {
  // §8.2, §8.1: another host is about to take the name, or all names that were tried are taken.
  if (claim.not_before > due) return;
  if (doubtful_.size() >= kGoodbyesMax) return;
  // A probe that was sent is answered by the time at which the next step is due.
  Doubtful fresh{due, state.sent > 0, goodbye_of(claim, link)};
  if (state.scheduled) fresh.due = std::max(due, state.due);
  settle_at_ = std::min(settle_at_, fresh.due);
  doubtful_.emplace(claim.name, std::move(fresh));
}

void Goodbyes::add_lost_addresses(TimePoint due, const Claim& host, const Link& before,
                                  const Link& link) {
  if (!host.is_host || !host.addresses.empty()) return;
  const bool some_stay =
      std::any_of(before.addresses.begin(), before.addresses.end(), [&](const IpAddress& address) {
        return std::find(link.addresses.begin(), link.addresses.end(), address) !=
               link.addresses.end();
      });
  std::vector<OwnKey> keys;
  own_.collect_revocable(host, before, keys);
  Goodbye goodbye{link.index, kGoodbyeCount, {}};
  for (const OwnKey& key : keys) {
    auto record = own_.record(key, before);
    if (!record || key.kind != OwnKind::address || own_.find(*record, link)) continue;
    // If no address stays, the old ones are better than none until the new ones are announced,
    // which flushes them. A family that the link has lost will announce nothing.
    const bool v4 = record->type == dns::RrType::a;
    if (!some_stay && link.has(v4 ? IpAddress::Family::v4 : IpAddress::Family::v6)) continue;
    record->ttl = 0;
    goodbye.records.push_back(std::move(*record));
  }
  add(due, std::move(goodbye));
}

void Goodbyes::on_response(const Packet& packet) {
  if (doubtful_.empty()) return;
  for (const auto* section : {&packet.answers, &packet.additionals})
    for (const dns::Record& record : *section)
      if (record.ttl > 0) doubtful_.erase(record.name);
}

void Goodbyes::on_probe(const Packet& packet) {
  if (doubtful_.empty()) return;
  for (const dns::Record& record : packet.authorities) {
    const auto [first, last] = doubtful_.equal_range(record.name);
    // Equal data is our own probe, returned over another link.
    const bool returned = std::any_of(first, last, [&](const auto& item) {
      return std::ranges::any_of(item.second.goodbye.records,
                                 [&](const dns::Record& ours) { return ours.same_as(record); });
    });
    if (!returned) doubtful_.erase(first, last);
  }
}

void Goodbyes::on_links_changed() {
  std::erase_if(waiting_,
                [&](const auto& item) { return links_.find(item.second.link) == nullptr; });
  std::erase_if(doubtful_,
                [&](const auto& item) { return links_.find(item.second.goodbye.link) == nullptr; });
}

bool Goodbyes::is_probed_for_again(const dns::Name& name, std::uint32_t link) const {
  const Claim* claim = own_.claim_named(name);
  const ClaimOnLink* state = claim == nullptr ? nullptr : claim->on(link);
  return state != nullptr && state->phase == Phase::probing;
}

Proposal Goodbyes::proposal_of(const dns::Name& name, const Goodbye& goodbye) const {
  Proposal out{name, {}};
  for (dns::Record record : goodbye.records) {
    if (record.name != name) continue;  // the pointers to it are shared
    record.ttl = own_.ttls().host;
    out.records.push_back(std::move(record));
  }
  return out;
}

/// Probes for the names in doubt that are due, and adds the goodbyes of those that no host answered
/// for.
void Goodbyes::settle(TimePoint now, ByLink& said, Outlet& outlet) {
  if (now < settle_at_) return;
  settle_at_ = TimePoint::max();
  std::map<std::uint32_t, std::vector<Proposal>> proposals;
  for (auto it = doubtful_.begin(); it != doubtful_.end();) {
    auto& [name, one] = *it;
    if (one.due <= now) {
      const std::uint32_t link = one.goodbye.link;
      if (is_probed_for_again(name, link)) {
        one.asked = true;
        one.due = now + kProbeInterval;
      } else if (one.asked) {
        add(now, std::move(one.goodbye));
        it = doubtful_.erase(it);
        continue;
      } else if (said[link]++ < kBurst) {
        proposals[link].push_back(proposal_of(name, one.goodbye));
        one.asked = true;
        one.due = now + kProbeInterval;
      } else {
        one.due = now + kBurstPause;
      }
    }
    settle_at_ = std::min(settle_at_, one.due);
    ++it;
  }
  for (const auto& [index, all] : proposals) {
    const Link* link = links_.find(index);
    for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
      if (link == nullptr || !link->has(family)) continue;
      Emit emit = [&](Bytes payload) { outlet.multicast(*link, family, payload); };
      pack_probes(all, link->payload(family), emit);
    }
  }
}

bool Goodbyes::is_ours_again(const dns::Record& record, const Link& link) const {
  const auto key = own_.find(record, link);
  return key && own_.belongs(*own_.claim(key->slot), link);
}

void Goodbyes::run(TimePoint now, Outlet& outlet) {
  if (now < pause_until_) return;
  std::map<std::uint32_t, std::vector<dns::Record>> records;
  ByLink said;  // each link has neighbours of its own
  settle(now, said, outlet);
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    if (said[waiting_.begin()->second.link]++ == kBurst) {
      pause_until_ = now + kBurstPause;
      break;
    }
    auto node = waiting_.extract(waiting_.begin());
    Goodbye& goodbye = node.mapped();
    const Link* link = links_.find(goodbye.link);
    std::erase_if(goodbye.records, [&](const dns::Record& record) {
      return link == nullptr || is_ours_again(record, *link);
    });
    auto& all = records[goodbye.link];
    all.insert(all.end(), goodbye.records.begin(), goodbye.records.end());
    if (--goodbye.left == 0) continue;
    node.key() = now + kGoodbyeInterval;
    waiting_.insert(std::move(node));
  }
  for (const auto& [index, all] : records)
    if (const Link* link = links_.find(index); link != nullptr && !all.empty())
      send(*link, all, outlet);
}

void Goodbyes::send(const Link& link, std::span<const dns::Record> records, Outlet& outlet) const {
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
    if (!link.has(family)) continue;
    Emit emit = [&](Bytes payload) { outlet.multicast(link, family, payload); };
    pack_records(records, link.payload(family), emit);
  }
}

std::optional<TimePoint> Goodbyes::next_due() const {
  if (empty()) return std::nullopt;
  TimePoint due = doubtful_.empty() ? TimePoint::max() : settle_at_;
  if (!waiting_.empty()) due = std::min(due, waiting_.begin()->first);
  return std::max(due, pause_until_);
}

}  // namespace outrider::mdns
