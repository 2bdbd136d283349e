// SPDX-License-Identifier: Apache-2.0
#include "base/http/refusal.h"

#include "base/assert.h"
#include "base/http/server.h"
#include "base/text.h"

namespace outrider::http {
namespace {

std::string kibibytes(std::size_t bytes) {
  return std::to_string(bytes >> 10U) + " KiB";
}

}  // namespace

std::string explain_refusal(Error error) {
  return explain_refusal(error, kRequestBodyBytesMax);
}

std::string explain_refusal(Error error, std::size_t body_bytes_max) {
  switch (error) {
    case Error::malformed:
      return "malformed request: neither its lines nor its chunks may break the syntax of HTTP/1.1 "
             "(RFC 9112), and TLS is not spoken here";
    case Error::host:
      return "malformed request: exactly one Host field with a host and an optional port is needed";
    case Error::target:
      return "malformed request: the target must be a path with valid percent-encoding, such as "
             "/healthz?x=y; the absolute form is for proxies";
    case Error::parameters:
      return "a query may have " + counted(kParametersMax, "parameter");
    case Error::framing:
      return "malformed request: its length must be stated once, either by Content-Length or, in "
             "HTTP/1.1, by Transfer-Encoding";
    case Error::coding:
      return "the only Transfer-Encoding that is accepted is \"chunked\"";
    case Error::version:
      return "only HTTP/1.1 and HTTP/1.0 are spoken here";
    case Error::method:
      return "unknown method; known are GET, HEAD, POST, PUT, DELETE, PATCH and OPTIONS";
    case Error::head_too_long:
      return "the head of a request, or what frames its body, may have " +
             kibibytes(kHeadBytesMax) + " and " + counted(kHeadersMax, "field");
    case Error::body_too_long:
      return "the body of a request may have " + kibibytes(body_bytes_max);
    case Error::bare_line_feed:
      return "malformed: a line must end with CR and LF";
    case Error::cut_short:
      return "the message ended early";
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace outrider::http
