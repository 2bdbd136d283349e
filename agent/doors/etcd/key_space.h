// SPDX-License-Identifier: Apache-2.0
// What a key means: an instance, as one of the frameworks writes it, or nothing in particular.
// Pure.
//
// A *root* is a beginning of keys below which a framework keeps instances: "/microservices/" of
// Kratos, "/service/" of GoFrame, "/services/" of Forge; of go-zero, which has no common one, each
// "NAME.rpc/".
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/etcd/key_range.h"
#include "registries/etcd/layout.h"

namespace outrider::doors::etcd {

/// Roots of go-zero, which clients make by asking.
inline constexpr std::size_t kGozeroRootsMax = 256;

class KeySpace {
 public:
  explicit KeySpace(registries::etcd::Layouts layouts);

  /// The root that a key is below; nothing: it is no instance.
  std::optional<std::string> root_of(std::string_view key) const;
  /// The roots that a range has keys of. Of go-zero, the one that it is within.
  std::vector<std::string> roots_in(const KeyRange& range) const;
  /// Of a root that one of the above has returned; null if there are too many.
  const registries::etcd::Layout* layout_of(const std::string& root);
  bool has_room() const { return layouts_.size() - fixed_.size() < kGozeroRootsMax; }
  /// Of go-zero, that layout_of() has made.
  std::vector<std::string> single_roots() const;
  /// Forgets one of these.
  void drop(const std::string& root) { layouts_.erase(root); }
  /// Below this root there are instances of one service alone: as it is read there ("prod/order"),
  /// and as it is written ("order"). Both are empty if there are those of all services.
  struct Single {
    std::string read, written;
  };
  Single single_of(const std::string& root) const;
  /// "/microservices/, /service/, NAME.rpc/", for people.
  std::string describe() const;

 private:
  bool is_gozero_root(std::string_view root) const;

  registries::etcd::Layouts options_;
  std::map<std::string, std::unique_ptr<registries::etcd::Layout>> layouts_;  // by root
  std::set<std::string, std::less<>> fixed_;  // of these, which are always there
};

}  // namespace outrider::doors::etcd
