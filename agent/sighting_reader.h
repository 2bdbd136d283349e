// SPDX-License-Identifier: Apache-2.0
// From what mDNS saw to what the registry is told. Takes what carries Outrider's or FARP's TXT
// keys or was asked for by type, so that printers do not become services; everything that is
// outside's mistake (no usable name, no usable id) ends here, counted.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "agent/farp/txt.h"
#include "agent/registry/registry.h"
#include "mdns/provider.h"

namespace outrider {

/// TXT records remembered because their publisher is known to cut them down later.
inline constexpr std::size_t kShrinkingTxtsMax = 1'024;

class SightingReader {
 public:
  SightingReader(std::vector<std::string> wanted_types, std::string host_cookie);

  /// Nothing for what is no service of ours to know.
  std::optional<registry::Sighting> read(const mdns::Sighting& sighting);
  void forget(const mdns::SightingKey& key) { shrinking_.erase(place_key(key)); }
  void set_wanted_types(std::vector<std::string> types);
  static std::string place_key(const mdns::SightingKey& key);

  std::uint64_t ignored() const { return ignored_; }      // of other kinds
  std::uint64_t malformed() const { return malformed_; }  // meant for us, but not usable

 private:
  struct Remembered {
    std::string host;
    std::uint16_t port = 0;
    farp::TxtMap txt;
  };
  farp::TxtMap whole_txt(const mdns::Sighting& sighting);

  std::set<std::string> wanted_types_;
  std::string host_cookie_;
  std::unordered_map<std::string, Remembered> shrinking_;
  std::uint64_t ignored_ = 0, malformed_ = 0;
};

}  // namespace outrider
