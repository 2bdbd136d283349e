// SPDX-License-Identifier: Apache-2.0
// Passes if a connection can be made. That proves only that the kernel accepts connections; an HTTP
// probe proves more.
#pragma once

#include <memory>

#include "probes/check.h"

namespace outrider::probes {

/// After a probe, the server has this long to close its end, and may send this much. A server that
/// speaks first (SMTP, MySQL) would get a reset for its greeting from a closed socket.
inline constexpr Duration kTcpCloseWait = std::chrono::seconds(1);
inline constexpr std::size_t kTcpGreetingBytesMax = 4'096;

std::unique_ptr<Prober> make_tcp_prober(const TcpCheck& check);

}  // namespace outrider::probes
