// SPDX-License-Identifier: Apache-2.0
// How long a TCP connection may be silent: the kernel's options behind ConnectOptions, for sockets
// of base/uv and of libcurl alike.
#pragma once

#include "base/time.h"

namespace outrider {

/// See ConnectOptions::keep_alive and unacknowledged_max; zero: as the system has it. Best effort:
/// all of the options exist since Linux 2.6.37.
void limit_silence(int fd, Duration keep_alive, Duration unacknowledged_max);

}  // namespace outrider
