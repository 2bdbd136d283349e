// SPDX-License-Identifier: Apache-2.0
// Whether a program reads what is typed at a terminal, as far as /proc tells: the keys of
// `outrider run` are named only where they are not the program's.
#pragma once

#include <cstdint>
#include <span>

namespace outrider::cli::beside {

/// Descriptors of one poll(2) or select(2) that are looked at.
inline constexpr std::size_t kPolledMax = 256;

/// Whether a thread of one of these processes waits in the kernel for input from the terminal that
/// `terminal` is: in read, poll, select or epoll. False where the kernel does not tell.
bool waits_for_input(std::span<const std::int64_t> processes, int terminal);

}  // namespace outrider::cli::beside
