// SPDX-License-Identifier: Apache-2.0
// HTTP over plain TCP or a Unix socket. A run: connect with the request ▸ read until the answer is
// whole, kOutputBytesMax of its body have come, or the timeout is over ▸ judge ▸ close by RST, so
// that ten thousand targets leave no TIME_WAIT behind. Redirects are an answer, never followed.
//
// With HttpCheck::reuse the connection is kept between runs; when the peer has closed it in the
// meantime the run connects anew within the same timeout.
#pragma once

#include <memory>

#include "base/http/parser.h"
#include "probes/check.h"

namespace outrider::probes {

/// For a valid check without TLS; `check` is not kept.
std::unique_ptr<Prober> make_http_prober(const HttpCheck& check);

/// What an answer has to be like.
struct HttpExpectation {
  std::vector<int> status;  // empty: 2xx passes, 429 warns
  std::string body;
  std::optional<std::pair<std::string, std::string>> header;
};
HttpExpectation expectation_of(const HttpCheck& check);
/// Kind, status and output; the rest is up to the caller. Identity comes before status, status
/// before body.
Outcome judge(const http::Response& response, const HttpExpectation& expected);

/// The Host header of a check: as given, else of its target.
std::string host_of(const HttpCheck& check);

}  // namespace outrider::probes
