// SPDX-License-Identifier: Apache-2.0
// The provider through avahi-daemon for as long as there is a reason for it: another program keeps
// port 5353 to itself. When that program has let go of the port and no daemon runs, the native
// provider takes over, with all that was published and browsed, for good.
#pragma once

#include <functional>
#include <memory>

#include "base/env.h"
#include "mdns/provider.h"

namespace outrider::mdns {

/// How often the port is looked at while no daemon runs, and only then.
inline constexpr Duration kPortLook = std::chrono::seconds(2);
/// A daemon that ran once may be restarting: taking its port would keep it from coming back.
inline constexpr Duration kDaemonPatience = std::chrono::seconds(60);

struct WaitingParts {
  std::function<bool()> port_is_held;
  std::function<std::unique_ptr<Provider>()> make_native;
};

std::unique_ptr<Provider> make_waiting_provider(Env& env, std::unique_ptr<Provider> avahi,
                                                WaitingParts parts);

}  // namespace outrider::mdns
