// SPDX-License-Identifier: Apache-2.0
// Passes if a connection can be made. That proves only that the kernel accepts connections; an HTTP
// probe proves more.
#pragma once

#include <memory>

#include "probes/check.h"

namespace outrider::probes {

std::unique_ptr<Prober> make_tcp_prober(const TcpCheck& check);

}  // namespace outrider::probes
