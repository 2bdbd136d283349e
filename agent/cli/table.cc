// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/table.h"

#include <algorithm>

#include "base/log.h"

namespace outrider::cli {

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
