// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 messages as values and as text: what needs no parser (RFC 9110, RFC 9112).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace outrider::http {

inline constexpr std::size_t kParametersMax = 512;  // of a query, as Target has them

enum class Error : std::uint8_t {
  malformed,       // not HTTP/1, or against the rules above: 400
  version,         // 505
  method,          // not a method that we know: 501
  head_too_long,   // 431
  body_too_long,   // 413
  host,            // a request without exactly one valid Host: 400
  target,          // a request for something else than a path: 400
  parameters,      // more than kParametersMax: 400
  framing,         // Content-Length and Transfer-Encoding contradict: 400
  coding,          // a request with another Transfer-Encoding than "chunked": 501
  bare_line_feed,  // in the head of a response: LF without CR
  cut_short,       // the peer ended before the message did
};
const char* to_string(Error error);
/// The status to refuse a request with; 502 for responses' errors is up to the caller.
int status_of(Error error);

struct Headers {
  std::vector<std::pair<std::string, std::string>> fields;  // in order; names as sent
  /// First value of a name, case-blind; empty if absent.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const;
};

struct Request {
  std::string method;
  std::string target;  // origin-form as sent: "/v1/x?y=z"
  Headers headers;
  std::string body;
  bool keep_alive = true;
};

struct Response {
  int status = 0;
  std::string reason;
  Headers headers;
  std::string body;         // up to the limit; see body_cut
  bool body_cut = false;    // more came than was wanted
  bool keep_alive = false;  // the connection may be used again after this message
};

/// Head and body of a request; Content-Length is added when there is a body. Header names and
/// values must be clean (no CR, LF, NUL): check with valid_header first if they come from outside.
std::string write_request(std::string_view method, std::string_view target, std::string_view host,
                          const std::vector<std::pair<std::string, std::string>>& headers,
                          std::string_view body, bool keep_alive);
/// With Content-Length.
std::string write_response(int status,
                           const std::vector<std::pair<std::string, std::string>>& headers,
                           std::string_view body, bool keep_alive);
const char* reason_phrase(int status);
bool valid_header(std::string_view name, std::string_view value);

/// "/a/b?x=1&y" split and percent-decoded; fails on bad escapes and on decoded NUL.
struct Target {
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;
  std::string_view get(std::string_view key) const;
  bool has(std::string_view key) const;
};
Result<Target, Error> parse_target(std::string_view target);

}  // namespace outrider::http
