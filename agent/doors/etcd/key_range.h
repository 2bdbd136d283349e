// SPDX-License-Identifier: Apache-2.0
// The keys that a request of etcd means.
#pragma once

#include <string>
#include <string_view>

namespace outrider::doors::etcd {

/// `end`: empty: the one key; "\0": all keys from `first` on; else all keys in [first, end).
struct KeyRange {
  std::string first, end;

  bool is_single() const { return end.empty(); }
  bool is_open() const { return end.size() == 1 && end[0] == '\0'; }
  bool contains(std::string_view key) const {
    if (is_single()) return key == first;
    return key >= first && (is_open() || key < end);
  }
  /// Whether it has keys that begin with `prefix`, which is not empty and does not end in 0xff.
  bool meets_prefix(std::string_view prefix) const {
    if (is_single()) return std::string_view(first).starts_with(prefix);
    std::string behind(prefix);
    behind.back() = static_cast<char>(behind.back() + 1);
    return first < behind && (is_open() || end > prefix);
  }
};

}  // namespace outrider::doors::etcd
