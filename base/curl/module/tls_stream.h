// SPDX-License-Identifier: Apache-2.0
// TLS over TCP by libcurl, which connects and shakes hands (CURLOPT_CONNECT_ONLY) and then takes
// and gives bytes; the descriptor is watched by our loop.
//
//   Connecting (Handle in a Multi) ▸ on_done ▸ SecureStream, which takes the Handle over
//
// Each connection has a Multi of its own, half of the 62 kB that it takes: in a shared one, libcurl
// closes a connection that has input waiting when another one is made, since it takes it for one
// that is not used.
#pragma once

#include <memory>

#include "base/curl/curl.h"

namespace outrider::curl {

/// What one turn of the loop reads from a stream at most.
inline constexpr std::size_t kTurnBytesMax = std::size_t{256} << 10;

std::unique_ptr<Pending> make_tls_connect(Env& env, const TlsConnect& options,
                                          TlsCallback callback);

}  // namespace outrider::curl
