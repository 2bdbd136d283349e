// SPDX-License-Identifier: Apache-2.0
// The server name that a TLS client asks for (RFC 8446 §4.1.2, RFC 6066 §3), from the bytes of its
// first message: as much of TLS as is needed to pass a connection on without ending it here. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace outrider::bridge {

/// Bytes of a greeting; further ones are refused. Clients send less than 2,000.
inline constexpr std::size_t kHelloBytesMax = 16U << 10;

enum class HelloError : std::uint8_t {
  cut_short,  // more bytes are needed
  malformed,  // not TLS, or against its grammar
  no_name,    // it names no server
};

/// In lower case.
Result<std::string, HelloError> read_server_name(Bytes bytes);

/// Alerts (RFC 8446 §6.2) as a whole record that ends a connection.
enum class Alert : std::uint8_t { decode_error = 50, internal_error = 80, unrecognized_name = 112 };
std::string write_alert(Alert alert);

}  // namespace outrider::bridge
