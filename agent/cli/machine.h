// SPDX-License-Identifier: Apache-2.0
// A loop and its environment, for one request of the command line.
#pragma once

#include "base/env.h"
#include "base/log.h"
#include "base/uv/loop.h"
#include "base/uv/system.h"

namespace outrider::cli {

struct Machine {
  uv::Loop loop;
  uv::SystemRandom random;
  NullLog log;
  Env env{loop.clock(), loop.timers(), loop.network(), random, log};
};

/// Waits, with nothing else to do.
inline void rest(Duration time) {
  Machine machine;
  const Timer timer = machine.env.after(time, [&machine] { machine.loop.stop(); });
  machine.loop.run();
}

}  // namespace outrider::cli
