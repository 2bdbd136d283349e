// SPDX-License-Identifier: Apache-2.0
// Passes when a connection can be made. Says only that a kernel accepts: an HTTP probe says more.
#pragma once

#include <memory>

#include "probes/check.h"

namespace outrider::probes {

std::unique_ptr<Prober> make_tcp_prober(const TcpCheck& check);

}  // namespace outrider::probes
