// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <utility>

#include <sys/random.h>

#include "base/assert.h"
#include "base/uv/system.h"

namespace outrider::uv {

std::uint64_t SystemRandom::u64() {
  if (left_ == 0) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(pool_.data());
    std::size_t have = 0;
    while (have < sizeof pool_) {
      const ssize_t got = ::getrandom(bytes + have, sizeof pool_ - have, 0);
      OUTRIDER_ASSERT(got > 0 || errno == EINTR);
      if (got > 0) have += static_cast<std::size_t>(got);
    }
    left_ = pool_.size();
  }
  // Values that were handed out must not stay in memory, where they could be read later.
  return std::exchange(pool_[--left_], 0);
}

}  // namespace outrider::uv
