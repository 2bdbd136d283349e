// SPDX-License-Identifier: Apache-2.0
// Output for people: columns, and colours on terminals only. Everything that is put in is escaped,
// for names and texts come from the network.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace outrider::cli {

enum class Tint { plain, good, fair, bad, faint, strong };
/// `text`, escaped, in colour if stdout is a terminal and NO_COLOR is not set.
std::string tinted(std::string_view text, Tint tint);
/// The colour that a health has.
Tint tint_of(std::string_view health);

struct Cell {
  std::string text;
  Tint tint = Tint::plain;
};

class Table {
 public:
  explicit Table(std::vector<std::string> heads) : heads_(std::move(heads)) {}
  void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.empty(); }
  /// Columns two spaces apart; no trailing spaces.
  std::string text() const;

 private:
  std::vector<std::string> heads_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace outrider::cli
