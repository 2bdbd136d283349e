// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/echoes.h"

#include "mdns/native/limits.h"

namespace outrider::mdns {
namespace {

std::uint64_t hash_of(IpAddress::Family family, Bytes payload) {
  return std::hash<std::string_view>{}(as_text(payload)) * 2 +
         (family == IpAddress::Family::v6 ? 1 : 0);
}

}  // namespace

void Echoes::expect(TimePoint now, std::uint32_t link, IpAddress::Family family, Bytes payload) {
  prune(now);
  if (order_.size() >= kEchoesMax) return;
  const std::uint64_t hash = hash_of(family, payload);
  Sent& sent = sent_[hash];
  ++sent.by_link[link];
  ++sent.count;
  order_.emplace_back(now + kEchoLife, hash);
}

bool Echoes::take(TimePoint now, const Link& link, const Packet& packet, Bytes payload) {
  prune(now);
  if (!packet.from_here) return false;
  const auto found = sent_.find(hash_of(packet.family, payload));
  if (found == sent_.end()) return false;
  const auto own = found->second.by_link.find(link.index);
  if (own == found->second.by_link.end()) return true;
  if (own->second == 0) return false;  // the same octets from another agent of this host
  --own->second;
  return true;
}

void Echoes::prune(TimePoint now) {
  for (; !order_.empty() && order_.front().first <= now; order_.pop_front()) {
    const auto found = sent_.find(order_.front().second);
    if (--found->second.count == 0) sent_.erase(found);
  }
}

}  // namespace outrider::mdns
