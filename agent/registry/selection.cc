// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/selection.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

namespace outrider::registry {
namespace {

constexpr std::array<std::string_view, 6> kStrategies = {
    "round_robin", "random", "weighted", "least_connections", "p2c", "consistent_hash"};

/// FNV-1a with the finalizer of MurmurHash3: FNV alone leaves the high bits of short keys, which
/// order the ring, nearly equal.
std::uint64_t ring_hash(std::string_view text, std::uint64_t seed) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325U ^ (seed * 0x9e37'79b9'7f4a'7c15U);
  for (const char c : text) {
    hash ^= static_cast<std::uint8_t>(c);
    hash *= 0x0000'0100'0000'01b3U;
  }
  hash = (hash ^ (hash >> 33)) * 0xff51'afd7'ed55'8ccdU;
  hash = (hash ^ (hash >> 33)) * 0xc4ce'b9fe'1a85'ec53U;
  return hash ^ (hash >> 33);
}

std::int64_t effective_weight(const Candidate& candidate) {
  return std::max<std::int64_t>(1, candidate.weight);
}

EndpointLoad load_of(const Load& load, const Endpoint& endpoint) {
  const auto found = load.find(endpoint);
  return found == load.end() ? EndpointLoad{} : found->second;
}

/// e^-x for x >= 0, too large by x²/2048 of itself: (1 + x/1024)^-1024. The
/// mathematics library would be a fifteenth of a sidecar's memory for this one call.
double decay(double x) {
  double power = 1.0 + x / 1024.0;
  for (int i = 0; i < 10; ++i)
    power *= power;
  return 1.0 / power;
}

}  // namespace

const char* to_string(Strategy strategy) {
  return kStrategies[static_cast<std::size_t>(strategy)].data();
}

std::optional<Strategy> parse_strategy(std::string_view name) {
  const auto found = std::find(kStrategies.begin(), kStrategies.end(), name);
  if (found == kStrategies.end()) return std::nullopt;
  return static_cast<Strategy>(found - kStrategies.begin());
}

std::optional<Locality> parse_locality(std::string_view name) {
  constexpr std::pair<std::string_view, Locality> kLocalities[] = {
      {"any", Locality::any}, {"prefer", Locality::prefer}, {"strict", Locality::strict}};
  for (const auto& [text, locality] : kLocalities)
    if (text == name) return locality;
  return std::nullopt;
}

std::span<const std::string_view> strategy_names() {
  return kStrategies;
}

void RoundTrip::add(Duration rtt, TimePoint now) {
  constexpr double kNothing = 1'000.0;  // a microsecond: no network is that fast
  const double old_share = sampled_ ? decay(static_cast<double>((now - *sampled_).count()) /
                                            static_cast<double>(kLagDecay.count()))
                                    : 0.0;
  lag_ *= old_share;
  if (rtt > Duration::zero()) lag_ += static_cast<double>(rtt.count()) * (1.0 - old_share);
  // A faded average is forgotten, so that the next measurement counts as a first one.
  sampled_ = lag_ < kNothing ? std::nullopt : std::optional(now);
}

double RoundTrip::cost(std::uint32_t connections) const {
  return std::floor(std::sqrt(lag_ + 1.0)) * (connections + 1.0);
}

struct Selector::Service {
  struct Memory {
    std::int64_t current = 0;  // smooth weighted round robin
    RoundTrip round_trip;
    std::optional<TimePoint> picked;
    std::uint64_t turn = 0;   // the round in which that was
    std::uint64_t round = 0;  // of the last pick that saw it
  };
  struct RingPoint {
    std::uint64_t hash;
    std::uint32_t index;  // into ring_ids
    auto operator<=>(const RingPoint&) const = default;
  };

  std::uint64_t cursor = 0;
  std::uint64_t last_use = 0;
  std::uint64_t round = 0;
  std::map<std::string, Memory, std::less<>> memories;
  std::vector<std::string> ring_ids;  // sorted
  std::vector<RingPoint> ring;

  Memory& memory(std::string_view id) {
    auto found = memories.find(id);
    if (found == memories.end()) found = memories.emplace(std::string(id), Memory{}).first;
    found->second.round = round;
    return found->second;
  }
  /// Instances that left lose their state, the others keep it (Kratos' rule).
  void drop_unseen() {
    std::erase_if(memories, [this](const auto& entry) { return entry.second.round != round; });
  }
  void build_ring(std::span<const Candidate> candidates);
};

void Selector::Service::build_ring(std::span<const Candidate> candidates) {
  std::vector<std::string> ids;
  ids.reserve(candidates.size());
  for (const Candidate& candidate : candidates)
    ids.emplace_back(candidate.id);
  std::sort(ids.begin(), ids.end());
  if (ids == ring_ids) return;
  ring_ids = std::move(ids);
  ring.clear();
  ring.reserve(ring_ids.size() * kRingReplicas);
  for (std::uint32_t i = 0; i < ring_ids.size(); ++i)
    for (unsigned replica = 0; replica < kRingReplicas; ++replica)
      ring.push_back({ring_hash(ring_ids[i], replica + 1), i});
  std::sort(ring.begin(), ring.end());
}

Selector::Selector(Random& random) : random_(random) {}
Selector::~Selector() = default;

Selector::Service& Selector::service(std::string_view name) {
  auto found = services_.find(name);
  if (found == services_.end()) {
    if (services_.size() >= kSelectedServicesMax) {
      services_.erase(std::min_element(
          services_.begin(), services_.end(),
          [](const auto& a, const auto& b) { return a.second->last_use < b.second->last_use; }));
    }
    found = services_.emplace(std::string(name), std::make_unique<Service>()).first;
  }
  found->second->last_use = ++uses_;
  return *found->second;
}

std::optional<std::size_t> Selector::pick(std::string_view service_name, Strategy strategy,
                                          std::span<const Candidate> candidates, const Load& load,
                                          std::string_view key, TimePoint now) {
  if (candidates.empty()) return std::nullopt;
  Service& state = service(service_name);
  switch (strategy) {
    case Strategy::round_robin:
      return static_cast<std::size_t>(state.cursor++ % candidates.size());
    case Strategy::random:
      return static_cast<std::size_t>(random_.below(candidates.size()));
    case Strategy::weighted:
      return pick_weighted(state, candidates);
    case Strategy::least_connections:
      return pick_least(state, candidates, load);
    case Strategy::p2c:
      return pick_p2c(state, candidates, load, now);
    case Strategy::consistent_hash:
      return subset(service_name, candidates, key, 1).front();
  }
  OUTRIDER_UNREACHABLE();
}

// Every candidate gains its weight, the richest is picked and pays the total: {5,1,1} gives
// a a b a c a a. The first of equals wins, as in nginx and Kratos.
std::size_t Selector::pick_weighted(Service& state, std::span<const Candidate> candidates) {
  ++state.round;
  std::int64_t total = 0;
  std::size_t best = 0;
  Service::Memory* best_memory = nullptr;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Service::Memory& memory = state.memory(candidates[i].id);
    const std::int64_t weight = effective_weight(candidates[i]);
    memory.current += weight;
    total += weight;
    if (best_memory == nullptr || memory.current > best_memory->current) {
      best = i;
      best_memory = &memory;
    }
  }
  best_memory->current -= total;
  state.drop_unseen();
  return best;
}

// Where nothing is measured, every candidate has zero connections. Ties are picked in turn:
// otherwise the first candidate would get everything.
std::size_t Selector::pick_least(Service& state, std::span<const Candidate> candidates,
                                 const Load& load) {
  std::uint32_t fewest = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::size_t> ties;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::uint32_t connections = load_of(load, candidates[i].endpoint).connections;
    if (connections < fewest) {
      fewest = connections;
      ties.clear();
    }
    if (connections == fewest) ties.push_back(i);
  }
  return ties[state.cursor++ % ties.size()];
}

std::size_t Selector::pick_p2c(Service& state, std::span<const Candidate> candidates,
                               const Load& load, TimePoint now) {
  ++state.round;
  std::vector<Service::Memory*> memories;
  memories.reserve(candidates.size());
  for (const Candidate& candidate : candidates) {
    Service::Memory& memory = state.memory(candidate.id);
    memories.push_back(&memory);
    memory.round_trip.add(load_of(load, candidate.endpoint).rtt, now);
  }
  state.drop_unseen();

  const auto cost = [&](std::size_t i) {
    return memories[i]->round_trip.cost(load_of(load, candidates[i].endpoint).connections);
  };
  std::size_t winner = 0;
  if (candidates.size() > 1) {
    std::size_t first = 0;
    std::size_t second = 1;
    const unsigned draws = candidates.size() == 2 ? 0 : kPairDraws;
    for (unsigned draw = 0; draw < draws; ++draw) {
      first = static_cast<std::size_t>(random_.below(candidates.size()));
      second = static_cast<std::size_t>(random_.below(candidates.size() - 1));
      if (second >= first) ++second;
      if (!candidates[first].warning && !candidates[second].warning) break;
    }
    winner = first;
    std::size_t loser = second;
    // Of equals, the one that was picked longer ago: otherwise, where nothing is measured, the
    // first of two candidates would get everything.
    const auto order = [&](std::size_t i) {
      return std::tuple(cost(i), candidates[i].warning, memories[i]->turn);
    };
    if (order(loser) < order(winner)) std::swap(winner, loser);
    const std::optional<TimePoint> last = memories[loser]->picked;
    if (!last || now - *last > kForcedPick) winner = loser;
  }
  memories[winner]->picked = now;
  memories[winner]->turn = state.round;
  return winner;
}

std::vector<std::size_t> Selector::subset(std::string_view service_name,
                                          std::span<const Candidate> candidates,
                                          std::string_view key, std::size_t size) {
  std::vector<std::size_t> chosen;
  if (candidates.empty()) return chosen;
  Service& state = service(service_name);
  state.build_ring(candidates);
  if (size == 0 || size > candidates.size()) size = candidates.size();

  // The ring counts in the order of ids, the caller in the order of candidates.
  std::vector<std::size_t> by_id(candidates.size());
  for (std::size_t i = 0; i < by_id.size(); ++i)
    by_id[i] = i;
  std::sort(by_id.begin(), by_id.end(),
            [&](std::size_t a, std::size_t b) { return candidates[a].id < candidates[b].id; });

  std::vector<bool> taken(candidates.size(), false);
  const std::uint64_t start = ring_hash(key, 0);
  auto point = std::lower_bound(state.ring.begin(), state.ring.end(), start,
                                [](const auto& at, std::uint64_t hash) { return at.hash < hash; });
  while (chosen.size() < size) {
    if (point == state.ring.end()) point = state.ring.begin();
    if (!taken[point->index]) {
      taken[point->index] = true;
      chosen.push_back(by_id[point->index]);
    }
    ++point;
  }
  return chosen;
}

}  // namespace outrider::registry
