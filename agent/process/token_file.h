// SPDX-License-Identifier: Apache-2.0
// The token for changes over loopback TCP, in a file that its clients read. Agents of one user that
// share a directory share the token.
#pragma once

#include <string>

#include "base/random.h"

namespace outrider {

inline constexpr std::size_t kTokenBytesMin = 32, kTokenBytesMax = 128;

/// The token in the file; empty unless it is a regular file of this user that others cannot read.
std::string read_token(const std::string& path);

/// 128 random bits, in hexadecimal.
std::string make_token(Random& random);

struct TokenFile {
  std::string token;     // in the file by now; empty: it cannot be written
  bool written = false;  // it was `wanted`
};
/// Takes over the token of an earlier start or of another agent, so that clients keep theirs, or
/// else writes `wanted`. When several agents do so at once, all get the same token.
TokenFile settle_token(const std::string& path, const std::string& wanted);

}  // namespace outrider
