// SPDX-License-Identifier: Apache-2.0
// Whether the list of a place beyond the link is believed at once. A store that lost its data, or a
// client that lost the right to read, looks like a store in which everything has left. Pure.
//
//   believed        single entries are missing
//   asked again     nothing is left of two entries or more, of one service or of all: 2 s and 10 s
//                   later
//   asked again     entries are missing in a new life of the store: a TTL later, so that their
//                   owners have the time to come back; more than half: 2 s and 10 s later, too
//
// Until the last of these lists, the caller keeps what is missing, marked as stale. If more is
// missing in a later list, the doubt begins again.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/time.h"

namespace outrider {

inline constexpr Duration kFirstDoubt = std::chrono::seconds(2);
inline constexpr Duration kLastDoubt = std::chrono::seconds(10);

class ListTrust {
 public:
  /// What is known before a list, what the list has, and what of the known it lacks.
  struct List {
    std::size_t known = 0, listed = 0, missing = 0;
    bool service_emptied = false;  // nothing is left of a service that had two entries or more
  };

  /// The place began a new life. Owners write their entries again within `ttl`.
  void on_restarted(TimePoint now, Duration ttl) { new_life_until_ = now + ttl; }
  bool believes(const List& list, TimePoint now);
  /// When to list again; nothing while there is no doubt.
  std::optional<TimePoint> ask_at() const {
    return looks_.empty() ? std::nullopt : std::optional(looks_.front());
  }
  bool doubts() const { return !looks_.empty(); }

 private:
  TimePoint new_life_until_{};
  std::vector<TimePoint> looks_;  // still to come
  std::size_t missing_ = 0;       // in the last list that is doubted
};

}  // namespace outrider
