// SPDX-License-Identifier: Apache-2.0
// Which instances DNS names first under `dns.order: p2c`: the power of two choices that client
// libraries use, as odds that the zone can hold. Of two instances drawn at random the cheaper one
// wins, so the odds of the first place follow from how many others cost more. The most expensive
// instance keeps a small share, so that its recovery is noticed.
//
// The cost is the one of Selector's p2c: averaged round-trip time and connections of this host, as
// the kernel counts them. Costs that differ by less than a quarter count as equal: DNS answers live
// for seconds, and an instance that is named first in all of them would be the next to be avoided.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/selection.h"
#include "agent/registry/zone.h"

namespace outrider::registry {

/// Services with more served instances than this keep equal odds, as do those beyond
/// kOrderedEndpointsMax.
inline constexpr std::size_t kOrderedInstancesMax = 256;
inline constexpr std::size_t kOrderedEndpointsMax = 4'096;
/// Odds of the first place: of the best of many, of each when nothing is known, of the worst.
inline constexpr std::uint16_t kOddsMost = 64, kOddsEqual = 32, kOddsLeast = 1;

class LoadOrder final : public AnswerOrder {
 public:
  /// The endpoints to measure: those of services with a choice.
  static std::vector<Endpoint> endpoints(const Registry& registry, const HostView& host);
  /// Returns the labels of services whose odds have changed.
  std::vector<std::string> sample(const Registry& registry, const HostView& host, const Load& load,
                                  TimePoint now);
  std::uint16_t odds(const Instance& instance) const override;

 private:
  struct InstanceOdds {
    RoundTrip round_trip;
    std::uint16_t odds = kOddsEqual;
  };
  using ServiceOdds = std::map<std::string, InstanceOdds, std::less<>>;  // by id label
  std::map<std::string, ServiceOdds, std::less<>> services_;             // by label
};

/// Odds for costs: kOddsEqual where all are equal.
std::vector<std::uint16_t> odds_of(const std::vector<double>& costs);

}  // namespace outrider::registry
