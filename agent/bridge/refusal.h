// SPDX-License-Identifier: Apache-2.0
// The answer to a client that the bridge cannot connect: a page for browsers, JSON for programs
// that prefer it, plain text for the rest (curl). It gives the reason in the words of `why`. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/http/accept.h"

namespace outrider::bridge {

/// The Content-Security-Policy of what the bridge itself answers.
inline constexpr const char* kRefusalPolicy = "default-src 'none'; style-src 'unsafe-inline'";

/// Lines about instances in one answer.
inline constexpr std::size_t kLinesMax = 32;

struct Refusal {
  int status = 502;
  std::string service;  // empty: none was named
  std::string why;      // a sentence
  /// "web-1", "not in the answer: critical for 3s, check http: HTTP 503"
  std::vector<std::pair<std::string, std::string>> lines;
};

/// A whole response that ends the connection. `head_only`: for HEAD.
std::string write_refusal(const Refusal& refusal, http::Form form, bool head_only);

}  // namespace outrider::bridge
