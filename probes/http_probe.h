// SPDX-License-Identifier: Apache-2.0
// HTTP over plain TCP or a Unix socket. A run: connect with the request ▸ read until the answer is
// complete, kOutputBytesMax of its body have arrived, or the timeout is over ▸ judge ▸ close with
// RST, so that ten thousand targets leave no TIME_WAIT behind. Redirects are an answer, never
// followed.
//
// With HttpOptions::reuse the connection is kept between runs; if the peer has closed it in the
// meantime, the run connects again within the same timeout.
#pragma once

#include <memory>

#include "base/http/parser.h"
#include "probes/check.h"

namespace outrider::probes {

/// For a valid check without TLS; copies what it needs of `check`.
std::unique_ptr<Prober> make_http_prober(const HttpCheck& check);

/// Sets kind, status and output; the caller sets the rest. The identity is judged before the
/// status, the status before the body.
Outcome judge(const http::Response& response, const HttpExpectation& expected);

/// The Host header of a check: as configured, otherwise from its target.
std::string host_of(const HttpCheck& check);

}  // namespace outrider::probes
