// SPDX-License-Identifier: Apache-2.0
// A descriptor held back for when the limit is reached: it is given up for one socket, and taken
// again when that socket has been closed. Taken early, its number is low, so that it also serves
// when the limit is lowered while the process runs.
#pragma once

#include <fcntl.h>

#include "base/uv/socket.h"

namespace outrider::uv {

class ReservedDescriptor {
 public:
  /// False: it is in use.
  bool release() {
    if (!fd_) return false;
    fd_.reset();
    return true;
  }
  /// Takes one again if one can be had.
  void refill() {
    if (!fd_) fd_ = FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }

 private:
  FileDescriptor fd_;
};

/// So that neither clients nor probes can take all of them.
struct DescriptorReserve {
  ReservedDescriptor accept, connect;
  void refill() {
    accept.refill();
    connect.refill();
  }
};

}  // namespace outrider::uv
