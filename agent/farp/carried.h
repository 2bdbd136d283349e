// SPDX-License-Identifier: Apache-2.0
// Metadata and tags that plain TXT strings cannot hold: keys that the record uses itself or that
// are not valid TXT keys (RFC 6763 §6.4), values longer than a string, tags with a comma. They
// travel under keys of our own, which other programs keep as metadata:
//
// clang-format off
//   meta.KEY=VALUE      octets of KEY other than a-z, 0-9, "-", "_" and "." are %XX
//   meta+1.KEY=VALUE    the part that did not fit into the previous string, and so on
//   tags+0=A,B          all tags, if "tags" cannot hold all of them; in each, "%", "," and octets
//   tags+1=,C           that are not printable ASCII are %XX
// clang-format on
//
// These values never contain kAddressMark within one string, so that readers do not replace it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace outrider::farp {

using Strings = std::vector<std::pair<std::string, std::string>>;  // key, value

/// Whether "key=value" can be put into a TXT record unchanged, as metadata: a valid key that has no
/// other meaning there.
bool is_plain(std::string_view key, std::string_view value);
/// Whether "tags" can hold all of them unchanged.
bool are_plain(const std::vector<std::string>& tags);

/// Nothing if the key is too long to be carried.
std::optional<Strings> carry_metadata(std::string_view key, std::string_view value);
Strings carry_tags(const std::vector<std::string>& tags);

/// Puts together again what was carried.
class CarriedReader {
 public:
  /// Whether the string is one of those above, and is kept.
  bool take(std::string_view key, std::string_view value);

  /// Parts that miss one before them are not among these.
  std::vector<std::pair<std::string, std::string>> metadata() const;
  /// Nothing if none were carried.
  std::optional<std::vector<std::string>> tags() const;

 private:
  using Parts = std::map<unsigned, std::string>;  // by number, from 0
  static std::optional<std::string> whole(const Parts& parts);

  std::map<std::string, Parts> metadata_;
  Parts tags_;
};

}  // namespace outrider::farp
