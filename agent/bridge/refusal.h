// SPDX-License-Identifier: Apache-2.0
// The answer to a client that the bridge cannot connect: a page for browsers, JSON for programs
// that prefer it, plain text for the rest (curl). It gives the reason in the words of `why`. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outrider::bridge {

/// Lines about instances in one answer.
inline constexpr std::size_t kLinesMax = 32;

struct Refusal {
  int status = 502;
  std::string service;  // empty: none was named
  std::string why;      // a sentence
  /// "web-1", "not in the answer: critical for 3s, check http: HTTP 503"
  std::vector<std::pair<std::string, std::string>> lines;
};

enum class Form : std::uint8_t { text, json, page };
/// By the Accept field (RFC 9110 §12.5.1): the form with the highest weight; a page only where
/// text/html is named, JSON only where application/json is.
Form preferred_form(std::string_view accept);

/// A whole response that ends the connection. `head_only`: for HEAD.
std::string write_refusal(const Refusal& refusal, Form form, bool head_only);

/// Markup in text becomes text (&lt;), control characters become U+FFFD.
std::string escape_markup(std::string_view text);

}  // namespace outrider::bridge
