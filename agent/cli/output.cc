// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/output.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include "base/log.h"

namespace outrider::cli {
namespace {

bool use_colour() {
  static const bool yes = [] {
    const char* refused = std::getenv("NO_COLOR");
    return ::isatty(STDOUT_FILENO) == 1 && (refused == nullptr || *refused == '\0');
  }();
  return yes;
}

const char* code_of(Tint tint) {
  switch (tint) {
    case Tint::plain:
      return "";
    case Tint::good:
      return "\x1b[32m";
    case Tint::fair:
      return "\x1b[33m";
    case Tint::bad:
      return "\x1b[31m";
    case Tint::faint:
      return "\x1b[2m";
    case Tint::strong:
      return "\x1b[1m";
  }
  return "";
}

}  // namespace

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

int complain(std::string_view message, Exit code) {
  (void)std::fflush(stdout);  // what was printed before comes before, also through a pipe
  std::fprintf(stderr, "outrider: %s\n", escape_untrusted(message).c_str());
  return code;
}

std::string tinted(std::string_view text, Tint tint) {
  std::string clean = escape_untrusted(text);
  if (tint == Tint::plain || !use_colour()) return clean;
  return code_of(tint) + clean + "\x1b[0m";
}

Tint tint_of(std::string_view health) {
  if (health == "passing") return Tint::good;
  if (health == "critical") return Tint::bad;
  return health.empty() ? Tint::plain : Tint::fair;
}

std::string shown_json(std::string_view text) {
  // In UTF-8: the leading octets, the range of the last one, and the code point at its start.
  // Outside of strings JSON is ASCII.
  struct Range {
    std::string_view lead;
    unsigned char first, last;
    unsigned code;
  };
  static constexpr Range kObeyed[] = {
      {"", 0x7f, 0x7f, 0x7f},           {"\xc2", 0x80, 0x9f, 0x80},
      {"\xd8", 0x9c, 0x9c, 0x61c},      {"\xe2\x80", 0x8e, 0x8f, 0x200e},
      {"\xe2\x80", 0xaa, 0xae, 0x202a}, {"\xe2\x81", 0xa6, 0xa9, 0x2066}};
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto found =
        std::find_if(std::begin(kObeyed), std::end(kObeyed), [&](const Range& range) {
          if (text.size() <= range.lead.size() || !text.starts_with(range.lead)) return false;
          const auto octet = static_cast<unsigned char>(text[range.lead.size()]);
          return octet >= range.first && octet <= range.last;
        });
    if (found == std::end(kObeyed)) {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    const auto octet = static_cast<unsigned char>(text[found->lead.size()]);
    std::array<char, 8> escape{};
    std::snprintf(escape.data(), escape.size(), "\\u%04x", found->code + octet - found->first);
    out += escape.data();
    text.remove_prefix(found->lead.size() + 1);
  }
  return out;
}

void print_json(std::string_view text) {
  print(shown_json(text));
}

}  // namespace outrider::cli
