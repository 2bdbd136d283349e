// SPDX-License-Identifier: Apache-2.0
// The port of a program that takes any: the same at every start, so that bookmarks, cookies and
// callbacks stay right. Nothing is kept for that; the port follows from what runs where. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace outrider::cli::beside {

/// Below the ports that kernels give to outgoing connections, above those of well-known services.
inline constexpr std::uint16_t kPortFirst = 20'000;
inline constexpr std::uint16_t kPortCount = 12'000;
/// Ports that are tried before the kernel chooses one: one for each program of that name that runs
/// in that folder.
inline constexpr unsigned kPortAttempts = 16;

/// The first free port of those that belong to a service and a folder; 0 if none is free.
std::uint16_t choose_port(std::string_view service, std::string_view folder,
                          const std::function<bool(std::uint16_t)>& is_free);

}  // namespace outrider::cli::beside
