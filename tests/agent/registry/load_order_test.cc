// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/load_order.h"

#include <doctest/doctest.h>

#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

using Odds = std::vector<std::uint16_t>;

struct Pair {
  Registry registry{"box"};
  LoadOrder order;
  Load load;

  void add(const std::string& service, int number) {
    const std::string text = std::to_string(number);
    REQUIRE(registry.put(spec(R"({"name":")" + service + R"(","id":")" + service + '-' + text +
                              R"(","port":80,"address":"10.0.0.)" + text + R"("})"),
                         at(0s)));
  }
  void kernel(int number, std::uint32_t connections, Duration rtt) {
    const auto last = static_cast<std::uint8_t>(number);
    load[{IpAddress::v4(10, 0, 0, last), 80}] = {connections, rtt};
  }
  std::vector<std::string> sample(Duration when) {
    return order.sample(registry, host_view(), load, TimePoint(when));
  }
  std::uint16_t odds(const std::string& id) { return order.odds(*registry.find_own(id)); }
};

}  // namespace

TEST_CASE("odds are those of the better of two drawn at random") {
  CHECK(odds_of({}) == Odds{});
  CHECK(odds_of({7}) == Odds{kOddsEqual});
  CHECK(odds_of({5, 5}) == Odds{kOddsEqual, kOddsEqual});
  CHECK(odds_of({5, 50}) == Odds{kOddsMost, kOddsLeast});
  // Of three pairs the best wins two, the second one, the last none.
  CHECK(odds_of({1, 10, 100}) == Odds{64, 32, 1});
  CHECK(odds_of({100, 10, 1}) == Odds{1, 32, 64});
  CHECK(odds_of({1, 1, 100}) == Odds{48, 48, 1});
  CHECK(odds_of({100, 101, 124}) == Odds{32, 32, 32});  // less than a quarter apart
  CHECK(odds_of({100, 126}) == Odds{64, 1});
}

TEST_CASE("who has more connections, or is farther, is named first less often") {
  Pair pair;
  pair.add("web", 2);
  pair.add("web", 3);
  pair.add("alone", 4);
  CHECK(LoadOrder::endpoints(pair.registry, host_view()).size() == 2);  // alone is no choice
  CHECK(pair.odds("web-2") == kOddsEqual);
  CHECK(pair.sample(0s).empty());

  pair.kernel(2, 1, 1ms);
  pair.kernel(3, 40, 1ms);
  CHECK(pair.sample(1s) == std::vector<std::string>{"web"});
  CHECK(pair.odds("web-2") == kOddsMost);
  CHECK(pair.odds("web-3") == kOddsLeast);
  CHECK(pair.odds("alone-4") == kOddsEqual);
  CHECK(pair.sample(2s).empty());

  pair.kernel(3, 1, 1ms);
  CHECK(pair.sample(3s) == std::vector<std::string>{"web"});
  CHECK(pair.odds("web-3") == kOddsEqual);
  pair.kernel(3, 1, 40ms);
  CHECK(pair.sample(6s) == std::vector<std::string>{"web"});
  CHECK(pair.odds("web-3") == kOddsLeast);
}

TEST_CASE("an instance that was slow once is tried again when it is not measured any more") {
  Pair pair;
  pair.add("web", 2);
  pair.add("web", 3);
  pair.kernel(2, 1, 1ms);
  pair.kernel(3, 1, 100ms);
  pair.sample(0s);
  CHECK(pair.odds("web-3") == kOddsLeast);
  pair.load.erase({IpAddress::v4(10, 0, 0, 3), 80});
  for (int second = 1; second < 120 && pair.odds("web-3") == kOddsLeast; ++second)
    pair.sample(std::chrono::seconds(second));
  CHECK(pair.odds("web-3") >= kOddsEqual);
}

TEST_CASE("too large a choice keeps equal odds") {
  Pair pair;
  for (std::size_t i = 0; i <= kOrderedInstancesMax; ++i)
    REQUIRE(pair.registry.put(
        spec(R"({"name":"many","id":"many-)" + std::to_string(i) + R"(","port":)" +
             std::to_string(1'000 + i) + R"(,"address":"10.0.0.9"})"),
        at(0s)));
  CHECK(LoadOrder::endpoints(pair.registry, host_view()).empty());
  REQUIRE(pair.registry.remove("many-0", at(0s)));
  CHECK(LoadOrder::endpoints(pair.registry, host_view()).size() == kOrderedInstancesMax);
  // Services beyond the limit of endpoints go without.
  for (int service = 0; service < 20; ++service)
    for (std::size_t i = 0; i < kOrderedInstancesMax; ++i)
      REQUIRE(pair.registry.put(
          spec(R"({"name":"s)" + std::to_string(service) + R"(","id":"s)" +
               std::to_string(service) + '-' + std::to_string(i) + R"(","port":)" +
               std::to_string(1'000 + i) + R"(,"address":"10.0.0.9"})"),
          at(0s)));
  CHECK(LoadOrder::endpoints(pair.registry, host_view()).size() == kOrderedEndpointsMax);
}

TEST_CASE("the zone holds odds instead of nearness") {
  Pair pair;
  pair.add("web", 2);
  pair.add("web", 3);
  ZoneProfile profile{.origin = *dns::Name::parse("svc")};
  profile.write_txt = [](const auto&, auto, const auto&) { return std::vector<std::string>(); };
  profile.order = &pair.order;
  ZoneProjection zone(profile);
  std::vector<ZoneUpdate> updates;
  const ZoneSink sink = [&](ZoneUpdate update) { updates.push_back(std::move(update)); };
  zone.begin(pair.registry, host_view(), sink);
  pair.kernel(2, 40, 1ms);
  pair.kernel(3, 1, 1ms);
  const auto changed = pair.sample(0s);
  bool seen = false;
  updates.clear();
  zone.reorder(pair.registry, host_view(), changed, sink);
  for (const ZoneUpdate& update : updates) {
    if (update.owner.to_display() != "web.svc") continue;
    seen = true;
    for (const ZoneEntry& entry : update.entries) {
      CHECK(entry.rank == 0);
      if (entry.type == dns::RrType::srv)  // what SRV says is the instance's own weight
        CHECK(std::get<dns::SrvData>(entry.data).weight == 100);
      if (entry.type != dns::RrType::a) continue;
      const bool busy =
          std::get<dns::AddressData>(entry.data).address == IpAddress::v4(10, 0, 0, 2);
      CHECK(entry.weight == (busy ? kOddsLeast : kOddsMost));
    }
  }
  CHECK(seen);
}

}  // namespace outrider::registry
