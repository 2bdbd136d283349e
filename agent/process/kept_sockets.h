// SPDX-License-Identifier: Apache-2.0
// The listening sockets of DNS and of the bridge survive a restart of the agent in the file
// descriptor store of systemd (FileDescriptorStoreMax= in the unit): what clients send between two
// processes waits in the kernel for the next one.
//
//   configured, and not handed over ▸ bind ▸ InheritedSockets ▸ FDSTORE=1
//   handed over from the store, and not configured any more ▸ close ▸ FDSTOREREMOVE=1
//
// The agent then opens the address as usual and gets the socket that is there. A socket is bound
// here with the options that the agent itself would have set. One that cannot be bound is left to
// the agent, which reports why and tries again.
#pragma once

#include "agent/config/config.h"
#include "agent/process/service_manager.h"
#include "base/uv/inherited.h"

namespace outrider {

/// As FileDescriptorStoreMax= of our units; further addresses are not kept.
inline constexpr std::size_t kKeptSocketsMax = 32;

void keep_sockets(ServiceManager& manager, uv::InheritedSockets& sockets, const Config& config);

}  // namespace outrider
