// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/own_voice.h"

#include <algorithm>

#include "mdns/native/limits.h"

namespace outrider::mdns {

void OwnVoice::on_sent(TimePoint now, const Link& link) {
  if (link.loopback) return;
  State& state = by_link_[link.index];
  if (!state.unheard_since) state.unheard_since = now;
}

bool OwnVoice::on_heard(TimePoint now, const Link& link) {
  const auto known = by_link_.find(link.index);
  if (known == by_link_.end()) return false;
  State& state = known->second;
  const bool was_deaf = state.unheard_since && now - *state.unheard_since >= kDeafAfter;
  state.heard = true;
  state.unheard_since.reset();
  if (was_deaf) state.loopback_until = now + kLoopbackKept;
  return was_deaf;
}

bool OwnVoice::needs_loopback(TimePoint now, const Links& links) {
  for (auto& [index, state] : by_link_) {
    if (state.unheard_since && now - *state.unheard_since >= kDeafAfter) state.heard = false;
    if (state.loopback_until && *state.loopback_until <= now) state.loopback_until.reset();
  }
  return std::ranges::any_of(links.all, [&](const Link& link) {
    if (link.loopback) return false;
    const auto known = by_link_.find(link.index);
    return known == by_link_.end() || !known->second.heard ||
           known->second.loopback_until.has_value();
  });
}

std::optional<TimePoint> OwnVoice::next_due() const {
  std::optional<TimePoint> due;
  const auto sooner = [&](TimePoint at) {
    if (!due || at < *due) due = at;
  };
  for (const auto& [index, state] : by_link_) {
    if (state.heard && state.unheard_since) sooner(*state.unheard_since + kDeafAfter);
    if (state.loopback_until) sooner(*state.loopback_until);
  }
  return due;
}

}  // namespace outrider::mdns
