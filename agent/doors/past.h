// SPDX-License-Identifier: Apache-2.0
// The agent as it was at a moment that its history knows, for everything that explains answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/findings.h"
#include "agent/registry/history.h"

namespace outrider::doors {

/// Labels of all services that `name` may mean, whichever of them exist; nothing for addresses and
/// names of hosts, which may mean any.
std::optional<std::vector<std::string>> labels_meant(std::string_view name,
                                                     const std::vector<std::string>& domains);

class PastMoment {
 public:
  /// The moment before the change at `place`, called `when`, as far as `labels` are concerned.
  PastMoment(const Control& control, registry::History::Place place, WallTime when,
             const std::optional<std::vector<std::string>>& labels);
  /// Valid for as long as this.
  const View& view() const { return view_; }

 private:
  registry::History::Past past_;
  View view_;
};

/// "2026-01-31T09:30:00.123Z", or how long ago: "5m".
std::optional<WallTime> parse_moment(std::string_view text, WallTime now);

}  // namespace outrider::doors
