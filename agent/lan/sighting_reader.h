// SPDX-License-Identifier: Apache-2.0
// Turns an mDNS sighting into the registry's form. Accepts sightings with TXT keys of Outrider or
// FARP and those of a configured type, so that printers do not become services. Sightings without a
// usable name or id are counted and end here.
//
// Anyone on the link can copy a text: TXT never decides that a sighting is of this host.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "agent/farp/txt.h"
#include "agent/registry/registry.h"
#include "mdns/provider.h"

namespace outrider {

/// TXT records remembered because their publisher's heartbeat shortens them later.
inline constexpr std::size_t kShrinkingTxtsMax = 1'024;

class SightingReader {
 public:
  explicit SightingReader(std::vector<std::string> wanted_types);

  /// Nothing for a sighting that is no service to the registry.
  std::optional<registry::Sighting> read(const mdns::Sighting& sighting);
  void forget(const mdns::SightingKey& key) { shrinking_.erase(place_key(key)); }
  void set_wanted_types(std::vector<std::string> types);
  /// Every address of this host, on any interface.
  void set_own_addresses(std::set<IpAddress> addresses) { own_addresses_ = std::move(addresses); }
  static std::string place_key(const mdns::SightingKey& key);

  std::uint64_t ignored() const { return ignored_; }      // of other kinds of service
  std::uint64_t malformed() const { return malformed_; }  // without a usable name, id or port

 private:
  struct Remembered {
    std::string host;
    std::uint16_t port = 0;
    farp::TxtMap txt;
  };
  farp::TxtMap whole_txt(const mdns::Sighting& sighting);
  bool is_on_this_host(const mdns::Sighting& sighting) const;

  std::set<std::string> wanted_types_;
  std::set<IpAddress> own_addresses_;  // without scopes
  std::map<std::string, Remembered> shrinking_;
  std::uint64_t ignored_ = 0, malformed_ = 0;
};

}  // namespace outrider
