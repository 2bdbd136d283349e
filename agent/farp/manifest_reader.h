// SPDX-License-Identifier: Apache-2.0
// Fetches the manifests that others announce, where the configuration asks for it (farp.read). A
// TXT record is anybody's word, so a URL in it is followed only as far as it points back at its
// sender: plain http, a literal address that the sighting has and that is within Reach::lan, no
// redirects, bounded in size and time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/farp/manifest.h"
#include "base/env.h"

namespace outrider::farp {

inline constexpr std::size_t kManifestsReadMax = 1'024;
inline constexpr std::size_t kManifestFetchesMax = 8;  // under way at once
inline constexpr Duration kManifestTimeout = std::chrono::seconds(10);
inline constexpr Duration kManifestRefresh = std::chrono::minutes(5);
inline constexpr Duration kManifestRetry = std::chrono::seconds(30);

class ManifestReader {
 public:
  explicit ManifestReader(Env& env);
  ~ManifestReader();

  /// `url` as announced; loopback hosts in it stand for the first address. A changed URL is read
  /// again. trouble() says why a URL is refused or beyond kManifestsReadMax.
  void watch(const std::string& key, const std::string& url,
             const std::vector<IpAddress>& addresses);
  void forget(const std::string& key);

  /// The last good reading; null if there is none.
  const ManifestReading* find(const std::string& key) const;
  std::string trouble(const std::string& key) const;

 private:
  struct Entry;
  void start_waiting();
  void fetch(Entry& entry);
  void done(Entry& entry, std::string trouble);

  Env& env_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  std::vector<std::string> waiting_;  // keys, first come first served
  std::size_t under_way_ = 0;
};

}  // namespace outrider::farp
