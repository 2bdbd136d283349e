// SPDX-License-Identifier: Apache-2.0
// How frameworks write an instance into etcd, a layout each: pure translations between a key with
// its value and entries.
//
//   layout.h      the promise, limits, and what layouts share
//   kratos.cc, goframe.cc, gozero.cc, forge.cc
//
// Values come from other programs: what cannot be read yields no entry. What is written must never
// break a reader of that framework: Kratos refuses a whole service for one value that is not JSON,
// GoFrame panics at an IPv6 endpoint.
//
// To add a layout: its struct in options.h, a file with a subclass, a line in make_layouts(), its
// cases in tests/registries/etcd/layout_test.cc and in the fuzz target.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registries/entry_parts.h"
#include "registries/etcd/options.h"

namespace outrider::registries::etcd {

inline constexpr std::size_t kKeyBytesMax = 1'024;
inline constexpr std::size_t kValueBytesMax = 64U << 10;

struct KeyValue {
  std::string key, value;
  std::int64_t lease = 0;
  std::int64_t mod_revision = 0;
  bool operator==(const KeyValue&) const = default;
};

class Layout {
 public:
  virtual ~Layout() = default;
  /// "kratos": a literal.
  virtual std::string_view name() const = 0;
  /// What is read: all keys that begin with one of these.
  virtual std::vector<std::string> prefixes() const = 0;
  /// Whether the key itself tells which agent has written it.
  virtual bool names_writer() const { return false; }
  /// The instances of a key; none if it cannot be read. Their `key` tells them apart below this
  /// key; `place` is empty.
  virtual std::vector<Entry> read(const KeyValue& kv) const = 0;
  /// Nothing if this layout cannot express the registration. `unix_seconds` is the time now.
  virtual std::optional<KeyValue> write(const Entry& entry, const std::string& writer,
                                        std::int64_t unix_seconds) const = 0;
};

std::vector<std::unique_ptr<Layout>> make_layouts(const Layouts& layouts);
std::unique_ptr<Layout> make_kratos(KratosLayout options);
std::unique_ptr<Layout> make_goframe(GoframeLayout options);
std::unique_ptr<Layout> make_gozero(GozeroLayout options);
std::unique_ptr<Layout> make_forge(ForgeLayout options);

// --- what layouts share ------------------------------------------------------------------------

/// "/a" and "/a/" alike become "/a/".
std::string as_folder(std::string_view prefix);
/// The first key behind all keys with this prefix, which is not empty (etcd's range_end).
std::string end_of_prefix(std::string_view prefix);
/// Readers of etcd do not know about warnings: such an instance is their last choice.
std::uint16_t weight_by_health(const Entry& entry);
/// A service or id that can be one part of a key.
bool is_key_part(std::string_view text);

}  // namespace outrider::registries::etcd
