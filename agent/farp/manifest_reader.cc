// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/manifest_reader.h"

#include <algorithm>
#include <optional>

#include "agent/farp/txt.h"
#include "base/http/client.h"
#include "base/http/url.h"

namespace outrider::farp {

// States: resting (timer), waiting (its key is in waiting_), under way (request), refused (none).
struct ManifestReader::Entry {
  std::string key;
  std::string announced;
  http::Url url;
  Endpoint from;
  std::optional<ManifestReading> reading;
  std::string trouble;
  Timer timer;
  std::unique_ptr<Pending> request;
};

ManifestReader::ManifestReader(Env& env) : env_(env) {}

ManifestReader::~ManifestReader() = default;

void ManifestReader::watch(const std::string& key, const std::string& announced,
                           const std::vector<IpAddress>& addresses) {
  const auto found = entries_.find(key);
  const bool known = found != entries_.end();
  if (announced.empty() || addresses.empty()) return forget(key);
  const std::string text = with_reachable_host(announced, addresses.front());
  if (known && found->second->announced == text) return;
  forget(key);
  if (entries_.size() >= kManifestsReadMax) {
    env_.log.record(LogEvent::farp_manifest_failed,
                    {{"instance", key}, {"reason", "too many manifests"}});
    return;
  }
  auto& entry = *(entries_[key] = std::make_unique<Entry>());
  entry.key = key;
  entry.announced = text;
  const auto url = http::parse_url(text);
  const auto host = url ? IpAddress::parse(url->host) : std::nullopt;
  if (!url || url->scheme != "http") {
    entry.trouble = "not an http URL";
  } else if (!host || std::ranges::find(addresses, *host) == addresses.end()) {
    entry.trouble = "the URL does not point at the instance's own address";
  } else if (const auto allowed = check_reach(Endpoint{*host, url->port}, {}, Reach::lan);
             !allowed) {
    entry.trouble = explain(allowed.error());
  } else {
    entry.url = *url;
    entry.from = {*host, url->port};
    waiting_.push_back(key);
    entry.timer = env_.after(0s, [this] { start_waiting(); });
  }
}

void ManifestReader::forget(const std::string& key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  if (found->second->request) --under_way_;
  entries_.erase(found);
  std::erase(waiting_, key);
  start_waiting();  // one of them may take the place
}

const ManifestReading* ManifestReader::find(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() || !found->second->reading ? nullptr : &*found->second->reading;
}

std::string ManifestReader::trouble(const std::string& key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? std::string() : found->second->trouble;
}

void ManifestReader::start_waiting() {
  while (!waiting_.empty() && under_way_ < kManifestFetchesMax) {
    const std::string key = waiting_.front();
    waiting_.erase(waiting_.begin());
    fetch(*entries_.at(key));
  }
}

void ManifestReader::fetch(Entry& entry) {
  http::ClientRequest request;
  request.to = entry.from;
  request.reach = Reach::lan;
  request.target = entry.url.path;
  request.timeout = kManifestTimeout;
  request.body_bytes_max = kManifestBytesMax;
  request.headers = {{"Accept", "application/json"}, {"User-Agent", "outrider/" OUTRIDER_VERSION}};
  ++under_way_;
  entry.request = http::fetch(env_, std::move(request), [this, &entry](auto result) {
    if (!result) return done(entry, result.error().text);
    // 503 means "not yet" and 404 "never": readers fall back to the TXT either way.
    if (result->status != 200) return done(entry, "HTTP " + std::to_string(result->status));
    const auto document = json::parse_foreign(result->body, kManifestBytesMax);
    if (!document) return done(entry, "not JSON: " + document.error().message);
    entry.reading = read_manifest(*document);
    done(entry, {});
  });
}

void ManifestReader::done(Entry& entry, std::string trouble) {
  entry.request.reset();
  --under_way_;
  const Duration wait = trouble.empty() ? kManifestRefresh : kManifestRetry;
  if (!trouble.empty())
    env_.log.record(LogEvent::farp_manifest_failed, {{"instance", entry.key}, {"reason", trouble}});
  entry.trouble = std::move(trouble);
  entry.timer = env_.after(env_.random.jitter(wait, 10), [this, key = entry.key] {
    waiting_.push_back(key);
    start_waiting();
  });
  start_waiting();
}

}  // namespace outrider::farp
