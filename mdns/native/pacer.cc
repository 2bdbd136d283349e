// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/pacer.h"

#include <algorithm>

namespace outrider::mdns {

void Pacer::send(TimePoint now, const Link& link, IpAddress::Family family, Bytes payload,
                 Outlet& outlet) {
  Queue& queue = queues_[{link.index, family}];
  if (queue.waiting.empty() && queue.next <= now) {
    queue.next = now + kQuestionPause;
    queue.sent = 0;
  }
  if (!queue.waiting.empty() || queue.sent == kQuestionBurst) {
    if (queue.waiting.size() < kQuestionDatagramsMax)
      queue.waiting.emplace_back(payload.begin(), payload.end());
    return;
  }
  ++queue.sent;
  outlet.multicast(link, family, payload);
}

std::size_t Pacer::room(const Link& link, IpAddress::Family family) const {
  const auto found = queues_.find({link.index, family});
  const std::size_t waiting = found == queues_.end() ? 0 : found->second.waiting.size();
  return kQuestionDatagramsMax - std::min(waiting, kQuestionDatagramsMax);
}

void Pacer::run(TimePoint now, const Links& links, Outlet& outlet) {
  std::erase_if(queues_, [&](const auto& item) {
    return links.find(item.first.first) == nullptr ||
           (item.second.waiting.empty() && item.second.next <= now);
  });
  for (auto& [key, queue] : queues_) {
    if (queue.waiting.empty() || queue.next > now) continue;
    queue.next = now + kQuestionPause;
    for (queue.sent = 0; queue.sent < kQuestionBurst && !queue.waiting.empty(); ++queue.sent) {
      outlet.multicast(*links.find(key.first), key.second, queue.waiting.front());
      queue.waiting.pop_front();
    }
  }
}

std::optional<TimePoint> Pacer::next_due() const {
  std::optional<TimePoint> due;
  for (const auto& [key, queue] : queues_)
    if (!queue.waiting.empty() && (!due || queue.next < *due)) due = queue.next;
  return due;
}

}  // namespace outrider::mdns
