// SPDX-License-Identifier: Apache-2.0
// Relays between sockets. A little is copied through the loop's one read buffer, which costs an
// idle or chatty connection no memory; as soon as a read fills that buffer, the bytes of that
// direction go through a pipe by splice(2) and are not copied at all. Pipes come from a pool: one
// is held only while bytes wait in it.
#pragma once

#include <memory>

#include "base/relay.h"

namespace outrider::uv {

/// Bytes that a pipe holds, and with it what waits for a slow reader.
inline constexpr int kPipeBytes = 256 * 1024;
/// Pipes in use together; further directions copy. The kernel gives an unprivileged user 64 MiB
/// (pipe-user-pages-soft).
inline constexpr std::size_t kPipesMax = 128;
/// Empty pipes that are kept for the next use.
inline constexpr std::size_t kPipesKept = 8;
/// Portions of one direction that are moved when its socket is ready; the rest follows in the next
/// turn, after the other sockets.
inline constexpr int kRelayPortionsMax = 4;

/// For streams of the network of a Loop; they all belong to the same one. Outlives its relays.
/// splice(2) raises SIGPIPE where a peer is gone: the thread of the loop ignores or blocks it.
std::unique_ptr<Relays> make_relays(std::size_t pipes_max = kPipesMax);

}  // namespace outrider::uv
