// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace outrider::doors {
namespace {

/// Backslash, line feed and, in label values, the quote.
std::string escaped(std::string_view text, bool quote) {
  std::string out;
  for (const char c : text)
    if (c == '\\')
      out += "\\\\";
    else if (c == '\n')
      out += "\\n";
    else if (c == '"' && quote)
      out += "\\\"";
    else
      out += c;
  return out;
}

}  // namespace

void Metrics::sample(std::string_view name, std::string_view help, const char* type,
                     std::string_view value, const Labels& labels) {
  auto family = std::find_if(families_.begin(), families_.end(),
                             [&](const Family& known) { return known.name == name; });
  if (family == families_.end()) {
    families_.push_back({std::string(name), std::string(help), {}, type});
    family = std::prev(families_.end());
  }
  std::string& out = family->samples;
  out += name;
  char before = '{';
  for (const auto& [label, content] : labels) {
    out += before;
    out += label;
    out += "=\"" + escaped(content, true) + '"';
    before = ',';
  }
  if (!labels.empty()) out += '}';
  out += ' ';
  out += value;
  out += '\n';
}

void Metrics::counter(std::string_view name, std::string_view help, std::uint64_t value,
                      const Labels& labels) {
  sample(name, help, "counter", std::to_string(value), labels);
}

void Metrics::gauge(std::string_view name, std::string_view help, double value,
                    const Labels& labels) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  sample(name, help, "gauge",
         std::string_view(text.data(), static_cast<std::size_t>(end.ptr - text.data())), labels);
}

std::string Metrics::text() const {
  std::string out;
  for (const Family& family : families_) {
    out += "# HELP " + family.name + ' ' + escaped(family.help, false) + '\n';
    out += "# TYPE " + family.name + ' ' + family.type + '\n';
    out += family.samples;
  }
  return out;
}

}  // namespace outrider::doors
