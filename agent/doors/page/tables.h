// SPDX-License-Identifier: Apache-2.0
// What the page shows without JavaScript, in w3m, lynx and on paper: plain tables, written a few
// rows at a time.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/control.h"
#include "agent/doors/why.h"

namespace outrider::doors::page {

/// Every service, the failing ones first.
class ServicesTable {
 public:
  explicit ServicesTable(const Control& control);

  /// Looks at `instances` or some more; true: the table is complete.
  bool write(std::size_t instances);
  std::string text() const;

 private:
  enum class Standing : std::uint8_t { not_served, partly, served };
  static constexpr std::size_t kStandings = 3;
  struct Group {
    std::size_t count = 0;
    std::string rows;
  };
  void write_row(const std::string& label, const std::vector<registry::InstancePtr>& instances);

  const Control* control_;
  /// By label, with the registrations that are not listed.
  std::vector<std::pair<std::string, std::vector<registry::InstancePtr>>> services_;
  std::size_t next_ = 0;
  std::array<Group, kStandings> groups_;  // by standing
};

/// One service, with what DNS answers and the reason for each instance.
class ServiceTable {
 public:
  ServiceTable(const Control& control, std::string_view name)
      : name_(name), explaining_(view_of(control), name, nullptr) {}

  bool write(std::size_t instances);
  std::string text() const { return text_; }

 private:
  std::string name_;
  Explaining explaining_;
  std::string text_;
};

}  // namespace outrider::doors::page
