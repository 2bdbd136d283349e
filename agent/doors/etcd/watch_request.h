// SPDX-License-Identifier: Apache-2.0
// What a client sends on a watch stream, whichever face decodes it.
#pragma once

#include <utility>
#include <variant>

#include "agent/doors/etcd/rpc.h"

namespace outrider::doors::etcd {

struct WatchProgressRequest {};
using WatchRequest = std::variant<WatchCreateRequest, WatchCancelRequest, WatchProgressRequest>;

/// The stream may be destroyed by it.
inline void pass_on(WatchRequest request, WatchStream& stream) {
  if (auto* create = std::get_if<WatchCreateRequest>(&request))
    stream.create(std::move(*create));
  else if (const auto* cancel = std::get_if<WatchCancelRequest>(&request))
    stream.cancel(*cancel);
  else
    stream.progress();
}

}  // namespace outrider::doors::etcd
