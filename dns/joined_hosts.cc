// SPDX-License-Identifier: Apache-2.0
#include "dns/joined_hosts.h"

namespace outrider::dns {

struct JoinedHosts::Waiter final : Pending {
  ~Waiter() override {
    if (joined != nullptr) joined->leave(host, *this);
  }
  JoinedHosts* joined = nullptr;
  std::string host;
  Answer answer;
};

std::unique_ptr<Pending> JoinedHosts::lookup(const std::string& host, Duration wait,
                                             Answer answer) {
  auto waiter = std::make_unique<Waiter>();
  waiter->joined = this;
  waiter->host = host;
  waiter->answer = std::move(answer);
  Lookup& lookup = lookups_[host];
  lookup.waiters.push_back(waiter.get());
  if (lookup.waiters.size() > 1) return waiter;
  lookup.token = hosts_.lookup(host, wait, [this, host](const auto& found, Duration ttl) {
    const auto done = lookups_.extract(host);
    // All are detached first: an answer may destroy tokens.
    std::vector<Answer> answers;
    for (Waiter* const each : done.mapped().waiters) {
      each->joined = nullptr;
      answers.push_back(std::move(each->answer));
    }
    for (Answer& each : answers)
      each(found, ttl);
  });
  return waiter;
}

void JoinedHosts::leave(const std::string& host, const Waiter& waiter) {
  const auto lookup = lookups_.find(host);
  std::erase(lookup->second.waiters, &waiter);
  if (lookup->second.waiters.empty()) lookups_.erase(lookup);  // cancels
}

}  // namespace outrider::dns
