// SPDX-License-Identifier: Apache-2.0
// A value or the reason why it is missing. Each room has its own small closed error enum; no
// exception crosses a room. Only this file changes once std::expected can be used.
#pragma once

#include <tl/expected.hpp>

namespace outrider {

template <class T, class E>
using Result = tl::expected<T, E>;

template <class E>
[[nodiscard]] constexpr auto failure(E&& error) {
  return tl::unexpected<std::decay_t<E>>(std::forward<E>(error));
}

}  // namespace outrider
