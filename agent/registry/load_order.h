// SPDX-License-Identifier: Apache-2.0
// Which instances DNS names first under `dns.order: p2c`: the choice that a client library makes
// with the power of two choices, as odds that the zone can hold. Of two instances drawn at random
// the cheaper one wins, so the odds of the first place follow from how many others cost more; a
// small share is left to the most expensive one, or nobody would see it recover.
//
// What one costs is what Selector's p2c takes: averaged round-trip time and connections of this
// host, as the kernel counts them. Costs that differ by less than a quarter are equal: DNS answers
// live for seconds, and whoever is named first for all of them would be the next to be avoided.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/selection.h"
#include "agent/registry/zone.h"

namespace outrider::registry {

/// Services with more served instances than this keep equal odds, and so do those beyond
/// kOrderedEndpointsMax.
inline constexpr std::size_t kOrderedInstancesMax = 256;
inline constexpr std::size_t kOrderedEndpointsMax = 4'096;
/// Odds of the first place: the best of many, everybody when nothing is known, the worst.
inline constexpr std::uint16_t kOddsMost = 64, kOddsEqual = 32, kOddsLeast = 1;

class LoadOrder final : public AnswerOrder {
 public:
  /// What to count: endpoints of the services that leave a choice.
  static std::vector<Endpoint> endpoints(const Registry& registry, const HostView& host);
  /// Labels of services whose odds are not what they were.
  std::vector<std::string> sample(const Registry& registry, const HostView& host, const Load& load,
                                  TimePoint now);
  std::uint16_t odds(const Instance& instance) const override;

 private:
  struct Member {
    RoundTrip round_trip;
    std::uint16_t odds = kOddsEqual;
  };
  using Members = std::map<std::string, Member, std::less<>>;  // by id label
  std::map<std::string, Members, std::less<>> services_;       // by label
};

/// Odds for costs: kOddsEqual where all are equal.
std::vector<std::uint16_t> odds_of(const std::vector<double>& costs);

}  // namespace outrider::registry
