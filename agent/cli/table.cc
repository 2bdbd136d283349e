// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/table.h"

#include <algorithm>
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

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const std::string& head : heads_)
    widths.push_back(head.size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], escape_untrusted(row[i].text).size());
  std::string out;
  const auto line = [&](const std::vector<Cell>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      out += tinted(cells[i].text, cells[i].tint);
      if (i + 1 < cells.size())
        out.append(widths[i] - escape_untrusted(cells[i].text).size() + 2, ' ');
    }
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
  };
  std::vector<Cell> heads;
  for (const std::string& head : heads_)
    heads.push_back({head, Tint::faint});
  line(heads);
  for (const auto& row : rows_)
    line(row);
  return out;
}

}  // namespace outrider::cli
