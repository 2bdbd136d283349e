// SPDX-License-Identifier: Apache-2.0
// Which instance to use next: the balancing strategies of client libraries, for programs that have
// none. Pure: candidates, a table of loads, a key and the time go in, an index comes out. What is
// remembered between picks is kept per service and bounded.
//
// A library counts its own requests. The agent sees none, so `Load` holds what the kernel knows:
// established connections to an endpoint and their round-trip time (base/uv/sock_diag).
//
// To add a strategy: an enumerator with its name in kStrategies, a case in Selector::pick and
// vectors in tests/agent/registry/selection_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/random.h"
#include "base/time.h"

namespace outrider::registry {

/// Services with remembered state; beyond it the least recently used one is forgotten.
inline constexpr std::size_t kSelectedServicesMax = 4'096;
/// Points of one instance on the ring of a consistent hash.
inline constexpr unsigned kRingReplicas = 160;
/// Round-trip times are averaged with this time constant (go-zero's decayTime).
inline constexpr Duration kLagDecay = std::chrono::seconds(10);
/// The loser of a pair is picked if it was not picked for this long (go-zero's forcePick), so that
/// an old measurement does not count for ever.
inline constexpr Duration kForcedPick = std::chrono::seconds(1);
/// Pairs to draw before one with a warning instance is accepted (go-zero's pickTimes).
inline constexpr unsigned kPairDraws = 3;

enum class Strategy : std::uint8_t {
  round_robin,        // one after another, for each service
  random,             // uniform
  weighted,           // smooth weighted round robin, as nginx does it
  least_connections,  // fewest established connections; ties in turn
  p2c,                // the better of two random ones by averaged round-trip time × connections
  consistent_hash,    // by key; moves 1/n of the keys when one of n comes or goes
};
/// "round_robin", "p2c", …
const char* to_string(Strategy strategy);
std::optional<Strategy> parse_strategy(std::string_view name);
/// Every name that parse_strategy accepts, for messages and completions.
std::span<const std::string_view> strategy_names();

/// How much more the instances of this host count than those of other hosts.
enum class Locality : std::uint8_t {
  any,     // no more
  prefer,  // others only where none of this host passes and can be reached
  strict,  // a service that is registered on this host is looked for on this host only
};
/// "any", "prefer", "strict"
std::optional<Locality> parse_locality(std::string_view name);

struct Candidate {
  std::string_view id;  // stable; the key of what is remembered
  Endpoint endpoint;
  std::uint32_t weight = 100;  // 0 counts as 1
  bool warning = false;        // p2c avoids it where it can
};

struct EndpointLoad {
  std::uint32_t connections = 0;
  Duration rtt{};  // mean over the connections; zero when there is none to measure
};
using Load = std::unordered_map<Endpoint, EndpointLoad, AddressHash>;

/// The averaged round-trip time of one instance. Without new measurements it fades, so that an
/// instance is not avoided for ever because it was slow once.
class RoundTrip {
 public:
  /// An `rtt` of zero: nothing was measured.
  void add(Duration rtt, TimePoint now);
  /// What p2c compares.
  double cost(std::uint32_t connections) const;

 private:
  double lag_ = 0;  // nanoseconds
  std::optional<TimePoint> sampled_;
};

class Selector {
 public:
  explicit Selector(Random& random);
  ~Selector();

  /// Index into `candidates`; nothing only if there are none. Only consistent_hash uses `key`.
  /// Equal calls with equal random numbers give equal answers.
  std::optional<std::size_t> pick(std::string_view service, Strategy strategy,
                                  std::span<const Candidate> candidates, const Load& load,
                                  std::string_view key, TimePoint now);

  /// At most `size` distinct candidates for this key, in ring order: the same few for the same
  /// client, spread evenly over all clients. All of them (in ring order) when size is 0.
  std::vector<std::size_t> subset(std::string_view service, std::span<const Candidate> candidates,
                                  std::string_view key, std::size_t size);

 private:
  struct Service;
  Service& service(std::string_view name);
  std::size_t pick_weighted(Service& state, std::span<const Candidate> candidates);
  std::size_t pick_least(Service& state, std::span<const Candidate> candidates, const Load& load);
  std::size_t pick_p2c(Service& state, std::span<const Candidate> candidates, const Load& load,
                       TimePoint now);

  Random& random_;
  std::map<std::string, std::unique_ptr<Service>, std::less<>> services_;
  std::uint64_t uses_ = 0;
};

}  // namespace outrider::registry
