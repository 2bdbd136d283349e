// SPDX-License-Identifier: Apache-2.0
// Which of the two providers it is to be.
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

/// `automatic` looks once, now: a daemon that forbids other stacks on its port (avahi's
/// disallow-other-stacks) holds it for as long as it runs. Where Avahi was asked for and its module
/// is not there, the provider is down and says why.
std::unique_ptr<Provider> make_provider(Env& env, ProviderKind kind, const NativeOptions& options);

}  // namespace outrider::mdns
