// SPDX-License-Identifier: Apache-2.0
// TlsOptions in libcurl's options, and libcurl's errors in our words.
#pragma once

#include <string>

#include <curl/curl.h>

#include "base/curl/curl.h"

namespace outrider::curl {

/// Whom to trust, and the client's own certificate.
void set_tls(CURL* easy, const TlsOptions& tls);
/// What holds for every handle: no proxy, no signal, nothing from the environment.
void set_privacy(CURL* easy);

/// `text`: what CURLOPT_ERRORBUFFER holds; empty: libcurl's own words for the code.
Failure failure_of(CURL* easy, CURLcode code, std::string text);

/// The same as a sentence for the user of a TlsStream, that names the option which helps. `name`:
/// of the server, as its certificate should have it.
Failure explain(CURL* easy, CURLcode code, std::string text, const TlsOptions& tls,
                const std::string& name);

}  // namespace outrider::curl
