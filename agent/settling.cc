// SPDX-License-Identifier: Apache-2.0
#include "agent/settling.h"

#include <utility>

namespace outrider {

Settling::Settling(Env& env, const Lan& lan, const Engines& engines)
    : env_(env), lan_(lan), engines_(engines) {}

void Settling::start(Callback<void()> settled) {
  callback_ = std::move(settled);
  patient_until_ = env_.now() + kSettlePatience;
  look();
}

/// Sources settle in their own time and say nothing of it; a look costs less than an event of each.
void Settling::look() {
  const bool heard = !lan_.is_in_first_round() && engines_.are_settled();
  if (!heard && env_.now() < patient_until_) {
    timer_ = env_.after(kSettleInterval, [this] { look(); });
    return;
  }
  settled_ = true;
  if (auto callback = std::exchange(callback_, nullptr)) callback();
}

}  // namespace outrider
