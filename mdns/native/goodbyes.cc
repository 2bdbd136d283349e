// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/goodbyes.h"

#include <algorithm>

#include "mdns/native/limits.h"

namespace outrider::mdns {

void Goodbyes::add(TimePoint due, const Claim& claim, const Link& link) {
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
  add(due, std::move(goodbye));
}

void Goodbyes::add(TimePoint due, Goodbye goodbye) {
  if (goodbye.records.empty()) return;
  if (waiting_.size() >= kGoodbyesMax) waiting_.erase(waiting_.begin());
  waiting_.emplace(due, std::move(goodbye));
}

void Goodbyes::add_everywhere(TimePoint due, const Claim& claim) {
  if (!claim.announced) return;
  for (const ClaimOnLink& state : claim.links)
    if (const Link* link = links_.find(state.link)) add(due, claim, *link);
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

void Goodbyes::on_links_changed() {
  std::erase_if(waiting_,
                [&](const auto& item) { return links_.find(item.second.link) == nullptr; });
}

bool Goodbyes::is_ours_again(const dns::Record& record, const Link& link) const {
  const auto key = own_.find(record, link);
  return key && own_.belongs(*own_.claim(key->slot), link);
}

void Goodbyes::run(TimePoint now, Outlet& outlet) {
  if (now < pause_until_) return;
  std::map<std::uint32_t, std::vector<dns::Record>> records;
  std::map<std::uint32_t, std::size_t> said;  // by link: each has neighbours of its own
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
  if (waiting_.empty()) return std::nullopt;
  return std::max(waiting_.begin()->first, pause_until_);
}

}  // namespace outrider::mdns
