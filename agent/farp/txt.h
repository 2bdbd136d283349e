// SPDX-License-Identifier: Apache-2.0
// Reading the TXT records of FARP programs, which do not agree with each other. Two rules of
// parsing (RFC 6763 §6.4 and Forge's) and two layouts of keys (plain, and the farp.meta.* one of
// the reference library's mDNS backend). txt_writer.h writes ours.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace outrider::farp {

inline constexpr std::size_t kTxtStringMax = 255;  // RFC 1035 §3.3.14
/// Key of an instance that an agent has copied to the link: the engine that it is from.
inline constexpr std::string_view kViaKey = "outrider.via";

enum class TxtRules : std::uint8_t {
  strict,  // RFC 6763 §6.4: keys case-blind, the first of equal ones counts, "key" alone is present
  forge,   // keys case-sensitive, the last of equal ones counts, strings without '=' are ignored
};

/// One string. "key" is a flag: the attribute is present, without a value; "key=" has an empty one
/// (RFC 6763 §6.4).
struct TxtEntry {
  std::string key;
  std::string value;  // empty for a flag
  bool flag = false;
  bool operator==(const TxtEntry&) const = default;
};

/// Keys with their values, in the order of first appearance.
class TxtMap {
 public:
  static TxtMap parse(const std::vector<std::string>& strings, TxtRules rules = TxtRules::strict);

  /// Null if absent. A flag has an empty value.
  const std::string* find(std::string_view key) const;
  std::string get(std::string_view key) const;
  const std::vector<TxtEntry>& entries() const { return entries_; }
  /// In place of what the key had.
  void set(const TxtEntry& entry);

 private:
  std::vector<TxtEntry>::const_iterator place_of(std::string_view key) const;

  TxtRules rules_ = TxtRules::strict;
  std::vector<TxtEntry> entries_;
};

/// What a sighting's TXT says, whatever its layout.
struct TxtFacts {
  bool enabled = false;  // farp.enabled=true
  bool library = false;  // the farp.id / farp.meta.* layout
  std::string name;      // service name; empty: not said
  std::string id;
  std::string version;
  std::string status;  // farp.status; empty: not said
  std::vector<std::string> tags;
  std::vector<std::string> capabilities;
  std::string manifest;                                   // URL
  std::string openapi, asyncapi, graphql;                 // URLs
  std::string openapi_path, asyncapi_path, graphql_path;  // paths
  bool grpc_reflection = false;
  std::string health;  // path; farp.health, else farp.health.path
  /// Everything else, as it came (without the farp.meta. prefix), and what was carried.
  std::vector<TxtEntry> metadata;
};
TxtFacts read_txt(const TxtMap& txt);

/// Whether a key means something of its own in our records, so that it is no metadata.
bool is_reserved_key(std::string_view key);

/// The reference library's publisher replaces its TXT by four keys after its first heartbeat. While
/// host and port stay, what was known before still holds: `next`, with the gaps filled from `last`.
TxtMap survive_shrink(const TxtMap& last, const TxtMap& next);

/// "[rest grpc]", "rest,grpc", "rest, grpc", "rest": all are in the wild.
std::vector<std::string> parse_capabilities(std::string_view text);

/// The same URL with the host of the sighting if its own is loopback, unspecified or "localhost":
/// publishers that listen on every address write such URLs. Anything that is no URL stays as it is.
std::string with_reachable_host(std::string_view url, const IpAddress& seen_at);

}  // namespace outrider::farp
