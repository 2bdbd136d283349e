// SPDX-License-Identifier: Apache-2.0
// Absolute http and https URLs (RFC 3986), as configuration and peers write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace outrider::http {

struct Url {
  std::string scheme;      // lower case
  std::string host;        // without brackets
  std::uint16_t port = 0;  // the scheme's default when not given
  std::string path;        // with query, starts with '/'
  std::string to_string() const;
  /// "host:port", the port also where it is the scheme's default.
  std::string authority() const;
};
/// http and https only; nothing with user info, fragment, blanks or control characters.
std::optional<Url> parse_url(std::string_view text);

/// Escapes everything but unreserved characters (RFC 3986 §2.3), so that the text is one part of a
/// path or of a query.
std::string percent_encode(std::string_view text);

}  // namespace outrider::http
