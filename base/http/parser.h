// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 framing, both sides, incremental, strict. parser.cc is the only includer of the parser
// library. The rules on top of it are ours (RFC 9112): version 1.0 or 1.1, CRLF only, exactly one
// Host, origin-form, one Content-Length or "Transfer-Encoding: chunked" and never both, no NUL and
// no bare CR, bounded heads and bodies. The chunks of a request are decoded; their extensions and
// its trailers are checked and forgotten.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/http/text.h"
#include "base/result.h"

namespace outrider::http {

inline constexpr std::size_t kHeadBytesMax = 16U << 10;
inline constexpr std::size_t kHeadersMax = 64;

/// Takes bytes as they arrive and yields complete requests, pipelined ones one after another.
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
  /// The client has sent only the head and waits for "100 Continue" before it sends the body (RFC
  /// 9110 §10.1.1).
  bool awaits_continue() const;
  /// The finished request; the parser is then ready for the next one.
  Request take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The head of a request that is passed on as it came.
struct RequestHead {
  std::string method;
  std::string target;  // as sent: "/x?y=z", or "*"
  Headers headers;
  std::size_t bytes = 0;  // its length, with the empty line
};

/// Reads the head of one request for a bridge, which leaves everything behind it to the two ends:
/// all methods but CONNECT, and bodies of any length and coding.
class HeadParser {
 public:
  HeadParser();
  ~HeadParser();
  HeadParser(HeadParser&&) noexcept;

  /// True: the head is complete. After an error nothing more is taken.
  Result<bool, Error> feed(Bytes bytes);
  /// True when some bytes of a head have come.
  bool in_message() const;
  /// Of a complete head.
  RequestHead take();

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
  /// The peer has ended: completes a body that runs to the end of the connection.
  Result<void, Error> finish();
  bool head_complete() const;
  bool complete() const;
  /// True when some bytes of a response have come but not all.
  bool in_message() const;
  /// The body that has come since the last call, for a caller that wants it in pieces. Only what
  /// has not been taken counts for the limit.
  std::string take_body();
  /// What has been read so far; the whole response once complete().
  const Response& response() const;
  Response take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace outrider::http
