// SPDX-License-Identifier: Apache-2.0
// Columns for people. Cells are escaped.
#pragma once

#include <string>
#include <vector>

#include "agent/cli/output.h"

namespace outrider::cli {

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
