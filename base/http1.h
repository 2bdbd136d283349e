// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 framing, both sides, incremental, strict. http1.cc is the only includer of the parser
// library; the rules on top of it are ours (RFC 9112): version 1.0 or 1.1, CRLF only, exactly one
// Host, origin-form, no request Transfer-Encoding, agreeing Content-Length only, no NUL and no bare
// CR, bounded heads and bodies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace outrider::http1 {

inline constexpr std::size_t kHeadBytesMax = 16U << 10;
inline constexpr std::size_t kHeadersMax = 64;

enum class Error : std::uint8_t {
  malformed,      // not HTTP/1, or against the rules above: 400
  version,        // 505
  method,         // not a method that we know: 501
  head_too_long,  // 431
  body_too_long,  // 413
  no_length,      // a request with Transfer-Encoding: 411
  cut_short,      // the peer ended before the message did
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

/// Takes bytes as they come and yields whole requests, pipelined ones one after another.
class RequestParser {
 public:
  explicit RequestParser(std::size_t body_bytes_max);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;

  /// Consumes bytes up to the end of one message at most; returns how many. After an error nothing
  /// more is taken.
  Result<std::size_t, Error> feed(Bytes bytes);
  bool complete() const;
  /// True when some bytes of a message have come but not all.
  bool in_message() const;
  /// The client has sent the head alone and waits to be told that it may send the body (RFC 9110
  /// §10.1.1).
  bool awaits_continue() const;
  /// The finished request; the parser is then ready for the next one.
  Request take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Reads one response at a time. A body longer than the limit is cut, not refused: complete() then
/// turns true early and the connection must not be used again.
class ResponseParser {
 public:
  ResponseParser(std::size_t body_bytes_max, bool to_head_request);
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;

  Result<std::size_t, Error> feed(Bytes bytes);
  /// The peer ended: completes a body that runs to the end of the connection.
  Result<void, Error> finish();
  bool head_complete() const;
  bool complete() const;
  /// What is there so far; whole once complete().
  const Response& response() const;
  Response take();

 private:
  struct State;
  std::unique_ptr<State> state_;
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

}  // namespace outrider::http1
