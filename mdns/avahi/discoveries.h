// SPDX-License-Identifier: Apache-2.0
// Sightings, assembled from the events of the daemon: a type is enumerated ▸ browsed ▸ an instance
// is found on an interface and family (an observation) ▸ resolved ▸ all observations of an instance
// make one sighting. Sightings outlive the daemon: after its restart they are searched for again,
// and only those that do not come back are lost.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "mdns/avahi/client.h"
#include "mdns/avahi/publications.h"
#include "mdns/limits.h"
#include "mdns/link.h"

namespace outrider::mdns::avahi {

/// The daemon does not report TTLs, but removes what has expired: a sighting expires after the
/// longest TTL of RFC 6762 §10, and is reported again after half of it.
inline constexpr Duration kSightingLife = std::chrono::minutes(75);
/// After a restart of the daemon, sightings that have not come back by then are lost. All are lost
/// when the daemon has been gone for the TTL of an address.
inline constexpr Duration kFindAgain = 15s;
inline constexpr Duration kDaemonGone = 120s;
/// The delay before an unanswered resolver is tried again, doubling from the first to the second.
inline constexpr Duration kResolveRetry = 5s;
inline constexpr Duration kResolveRetryMax = std::chrono::minutes(5);
/// How often an instance that has none of the kResolversHeld resolvers is resolved again.
inline constexpr Duration kResolveAgain = std::chrono::minutes(1);
/// Octets of a TXT; an instance with more counts as not answering.
inline constexpr std::size_t kTxtTakenMax = 4'096;
inline constexpr std::size_t kObservationsMax = 2 * kSightingsMax;

class Discoveries {
 public:
  struct Lost {
    SightingKey key;
    LostReason reason;
  };
  using Event = std::variant<Sighting, Lost>;
  using IsOwn = std::function<bool(const ServiceType& type, const std::string& label)>;

  Discoveries(Sender& sender, IsOwn is_own) : sender_(sender), is_own_(std::move(is_own)) {}

  void browse(TimePoint now, const std::vector<ServiceType>& types);
  void ask(TimePoint now, const ServiceType& type);
  void on_links_changed(TimePoint now, const std::vector<Link>& links);

  void open(TimePoint now);
  void close(TimePoint now);

  void on_type(TimePoint now, const TypeChanged& change);
  void on_instance(TimePoint now, const InstanceChanged& change);
  /// A name of ours is another host's now. The daemon goes on to report the one instance.
  void on_name_lost(TimePoint now, const SightingKey& key);
  void on_browser_failed(TimePoint now, const BrowserFailed& failed);
  void on_resolved(TimePoint now, const Resolved& resolved);
  void on_resolve_failed(TimePoint now, Object object);
  void run(TimePoint now);
  std::optional<TimePoint> next_due() const;
  std::vector<Event> take_events() { return std::exchange(events_, {}); }

  std::size_t held() const { return resolvers_.size() - resolving_; }
  /// TXT records that were refused because they exceed kTxtTakenMax, and whose was the last.
  std::uint64_t refused_texts() const { return refused_texts_; }
  const SightingKey& last_refused_text() const { return last_refused_text_; }
  /// For a resolver, now or at a later time.
  std::size_t waiting() const { return queue_.size() + retries_.size(); }

 private:
  using Place = std::pair<std::uint32_t, Family>;  // an interface and the family of mDNS on it
  using Spot = std::pair<SightingKey, Place>;
  struct Observation {
    bool local = false;
    bool own = false;
    bool stale = false;  // from before the daemon's restart
    bool any_address = false;
    bool first_answer_due = false;
    std::uint64_t queued = 0;             // under which number queue_ has it
    std::optional<TimePoint> retried_at;  // under which retries_ has it
    Object resolver = 0;
    Duration retry_after = kResolveRetry;
    std::optional<Resolved> answer;
  };
  struct Instance {
    std::map<Place, Observation> observations;
    std::optional<Sighting> reported;
  };

  std::set<ServiceType> desired() const;
  void choose_browsers(TimePoint now);
  void drop_type(TimePoint now, const ServiceType& type);
  void drop_stale(TimePoint now);
  Observation* find(const Spot& spot);
  void want_resolved(const Spot& spot);
  void enqueue(const Spot& spot, Observation& observation);
  void release(Observation& observation);
  void forget(const Spot& spot, Observation& observation);
  bool has_instances(const ServiceType& type) const;
  void report_again(const ServiceType& type);
  void retry(TimePoint now, const Spot& spot, Duration after);
  void pump();
  void rebuild(TimePoint now, const SightingKey& key, LostReason reason);
  std::optional<Sighting> compose(TimePoint now, const SightingKey& key,
                                  const Instance& instance) const;
  const Link* link(std::uint32_t index) const;
  void report_again(TimePoint now);

  Sender& sender_;
  IsOwn is_own_;
  std::vector<Link> links_;
  std::set<ServiceType> wanted_;
  std::map<ServiceType, TimePoint> asked_;
  std::map<ServiceType, std::set<Place>> enumerated_;
  std::map<ServiceType, Object> browsers_;
  std::map<ServiceType, TimePoint> browse_retry_;
  Object type_browser_ = 0;
  std::optional<TimePoint> type_retry_;
  std::map<SightingKey, Instance> instances_;
  std::size_t observations_ = 0;
  std::unordered_map<Object, Spot> resolvers_;
  std::size_t resolving_ = 0;
  // An observation is in each of these at most once.
  std::map<std::uint64_t, Spot> queue_;
  std::uint64_t next_in_queue_ = 1;
  std::set<std::pair<TimePoint, Spot>> retries_;
  std::vector<Event> events_;
  bool open_ = false;
  std::optional<TimePoint> stale_until_;
  TimePoint report_at_;
  std::uint64_t refused_texts_ = 0;
  SightingKey last_refused_text_;
};

}  // namespace outrider::mdns::avahi
