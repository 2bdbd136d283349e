// SPDX-License-Identifier: Apache-2.0
// Chooses between the two providers.
#pragma once

#include <memory>

#include "base/env.h"
#include "mdns/native/native_provider.h"

namespace outrider::mdns {

enum class ProviderKind : std::uint8_t {
  automatic,  // native, unless port 5353 cannot be shared
  native,
  avahi,
};

/// `automatic` checks the port now: a daemon that forbids other stacks on it (avahi's
/// disallow-other-stacks) keeps it while it runs. Where it is held without such a daemon, it is
/// looked at again (waiting_provider.h). If `avahi` is wanted and its module is missing, the
/// provider is down and reports why.
std::unique_ptr<Provider> make_provider(Env& env, ProviderKind kind, const NativeOptions& options);

}  // namespace outrider::mdns
