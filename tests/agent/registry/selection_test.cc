// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/selection.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace outrider;
using namespace outrider::registry;

namespace {

constexpr TimePoint kStart{std::chrono::hours(1)};

/// Instances "a", "b", "c", … on 10.0.0.1, 10.0.0.2, …
struct Fleet {
  std::vector<std::string> ids;
  std::vector<Candidate> candidates;
  Load load;

  explicit Fleet(const std::vector<std::uint32_t>& weights) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      ids.push_back(i < 26 ? std::string(1, static_cast<char>('a' + i)) : std::to_string(i));
    for (std::size_t i = 0; i < weights.size(); ++i)
      candidates.push_back({ids[i], endpoint(i), weights[i]});
  }
  static Endpoint endpoint(std::size_t i) {
    return {IpAddress::v4(10, 0, static_cast<std::uint8_t>((i + 1) / 256),
                          static_cast<std::uint8_t>((i + 1) % 256)),
            80};
  }
};

std::string draw(Selector& selector, const Fleet& fleet, Strategy strategy, int count,
                 TimePoint now = kStart) {
  std::string picks;
  for (int i = 0; i < count; ++i)
    picks += fleet.ids[*selector.pick("web", strategy, fleet.candidates, fleet.load, "", now)];
  return picks;
}

std::size_t count(const std::string& picks, char id) {
  return static_cast<std::size_t>(std::count(picks.begin(), picks.end(), id));
}

}  // namespace

TEST_CASE("strategy names go both ways") {
  for (const std::string_view name : strategy_names()) {
    const auto strategy = parse_strategy(name);
    REQUIRE(strategy);
    CHECK(to_string(*strategy) == name);
  }
  CHECK_FALSE(parse_strategy("best"));
  CHECK_FALSE(parse_strategy(""));
}

TEST_CASE("nothing is picked from nothing") {
  SeededRandom random(1);
  Selector selector(random);
  for (const std::string_view name : strategy_names())
    CHECK_FALSE(selector.pick("web", *parse_strategy(name), {}, {}, "key", kStart));
  CHECK(selector.subset("web", {}, "key", 3).empty());
}

TEST_CASE("round robin counts for each service on its own") {
  SeededRandom random(1);
  Selector selector(random);
  const Fleet fleet({1, 1, 1});
  CHECK(draw(selector, fleet, Strategy::round_robin, 4) == "abca");
  CHECK(*selector.pick("api", Strategy::round_robin, fleet.candidates, {}, "", kStart) == 0);
  CHECK(draw(selector, fleet, Strategy::round_robin, 2) == "bc");
}

TEST_CASE("random is uniform whatever the weights") {
  SeededRandom random(7);
  Selector selector(random);
  const Fleet fleet({100, 1, 1, 1});
  const std::string picks = draw(selector, fleet, Strategy::random, 4'000);
  for (const char id : {'a', 'b', 'c', 'd'}) {
    CHECK(count(picks, id) > 900);
    CHECK(count(picks, id) < 1'100);
  }
}

TEST_CASE("smooth weighted round robin: the vectors of nginx and Kratos") {
  SeededRandom random(1);
  const auto picks = [&](const Fleet& fleet, int count) {
    Selector selector(random);
    return draw(selector, fleet, Strategy::weighted, count);
  };
  CHECK(picks(Fleet({5, 1, 1}), 14) == "aabacaaaabacaa");
  CHECK(picks(Fleet({100, 100}), 4) == "abab");
  CHECK(picks(Fleet({3, 2, 1}), 6) == "abacba");
  CHECK(picks(Fleet({0, 0}), 4) == "abab");
}

TEST_CASE("smooth weighted round robin keeps the state of those that stay") {
  SeededRandom random(1);
  Selector selector(random);
  Fleet fleet({5, 1, 1});
  CHECK(draw(selector, fleet, Strategy::weighted, 2) == "aa");
  // State is now a:-4 b:2 c:2; without c: a -4+5=1, b 2+1=3.
  fleet.candidates.pop_back();
  CHECK(draw(selector, fleet, Strategy::weighted, 1) == "b");
  // c comes back without its old credit: a 6, b -2, c 1.
  fleet.candidates.push_back({fleet.ids[2], Fleet::endpoint(2), 1});
  CHECK(draw(selector, fleet, Strategy::weighted, 1) == "a");
}

TEST_CASE("least connections takes the emptiest, and ties in turn") {
  SeededRandom random(1);
  Selector selector(random);
  Fleet fleet({1, 1, 1});
  CHECK(draw(selector, fleet, Strategy::least_connections, 4) == "abca");
  fleet.load[Fleet::endpoint(0)].connections = 3;
  fleet.load[Fleet::endpoint(1)].connections = 2;
  CHECK(draw(selector, fleet, Strategy::least_connections, 3) == "ccc");
  fleet.load[Fleet::endpoint(2)].connections = 2;
  const std::string tied = draw(selector, fleet, Strategy::least_connections, 4);
  CHECK(count(tied, 'a') == 0);
  CHECK(count(tied, 'b') == 2);
}

TEST_CASE("p2c prefers the nearer instance and still looks at the far one once a second") {
  SeededRandom random(3);
  Selector selector(random);
  Fleet fleet({1, 1});
  fleet.load[Fleet::endpoint(0)] = {1, 200us};
  fleet.load[Fleet::endpoint(1)] = {1, 50ms};
  std::string picks;
  for (int tick = 0; tick < 1'000; ++tick)  // ten seconds
    picks += draw(selector, fleet, Strategy::p2c, 1, kStart + tick * 10ms);
  CHECK(count(picks, 'b') >= 9);
  CHECK(count(picks, 'b') <= 11);
}

TEST_CASE("p2c shares among equals, also where nothing is measured") {
  SeededRandom random(1);
  Selector selector(random);
  const Fleet fleet({1, 1});
  CHECK(draw(selector, fleet, Strategy::p2c, 8) == "babababa");
}

TEST_CASE("p2c weighs connections by the root of the round-trip time") {
  SeededRandom random(3);
  Selector selector(random);
  Fleet fleet({1, 1});
  // sqrt(10^6) * (9+1) = 10 000 against sqrt(4*10^6) * (3+1) = 8 000: the slower one is emptier.
  fleet.load[Fleet::endpoint(0)] = {9, 1ms};
  fleet.load[Fleet::endpoint(1)] = {3, 4ms};
  draw(selector, fleet, Strategy::p2c, 2);  // both have been forced once
  CHECK(draw(selector, fleet, Strategy::p2c, 3) == "bbb");
  fleet.load[Fleet::endpoint(1)].connections = 5;  // 12 000
  CHECK(draw(selector, fleet, Strategy::p2c, 3) == "aaa");
}

TEST_CASE("p2c averages round-trip times over ten seconds") {
  SeededRandom random(3);
  Selector selector(random);
  Fleet fleet({1, 1});
  fleet.load[Fleet::endpoint(0)] = {0, 1ms};
  fleet.load[Fleet::endpoint(1)] = {0, 4ms};
  draw(selector, fleet, Strategy::p2c, 2);
  CHECK(draw(selector, fleet, Strategy::p2c, 1) == "a");
  // One bad sample 100 ms later moves the average by 1 % only: 1 ms -> about 1.2 ms.
  fleet.load[Fleet::endpoint(0)].rtt = 20ms;
  CHECK(draw(selector, fleet, Strategy::p2c, 1, kStart + 100ms) == "a");
  // Ten seconds of it bring the average to about 1.2 e^-1 + 20 (1 - e^-1) = 13 ms.
  draw(selector, fleet, Strategy::p2c, 2, kStart + 10'100ms);
  CHECK(draw(selector, fleet, Strategy::p2c, 2, kStart + 10'100ms) == "bb");
}

TEST_CASE("p2c draws around warning instances") {
  SeededRandom random(11);
  Selector selector(random);
  Fleet fleet({1, 1, 1, 1});
  fleet.candidates[0].warning = true;
  std::string picks;
  for (int i = 0; i < 4'000; ++i)
    picks += draw(selector, fleet, Strategy::p2c, 1, kStart + i * 1ms);
  // Half of all pairs hold the warning one; three such draws in a row: one in eight.
  CHECK(count(picks, 'a') < 400);
  CHECK(count(picks, 'b') > 1'000);
}

TEST_CASE("consistent hash: one key, one instance; a departure moves its own keys only") {
  SeededRandom random(1);
  Selector selector(random);
  Fleet fleet(std::vector<std::uint32_t>(10, 1));
  const auto owner = [&](int key) {
    return fleet
        .candidates[*selector.pick("web", Strategy::consistent_hash, fleet.candidates, {},
                                   "user-" + std::to_string(key), kStart)]
        .id;
  };
  std::vector<std::string> before;
  std::vector<std::size_t> share(10);
  for (int key = 0; key < 2'000; ++key) {
    before.emplace_back(owner(key));
    CHECK(owner(key) == before.back());
    ++share[static_cast<std::size_t>(before.back()[0] - 'a')];
  }
  for (const std::size_t keys : share) {
    CHECK(keys > 120);
    CHECK(keys < 280);
  }
  fleet.candidates.erase(fleet.candidates.begin() + 3);
  for (int key = 0; key < 2'000; ++key) {
    const auto index = static_cast<std::size_t>(key);
    if (before[index] != "d") CHECK(owner(key) == before[index]);
  }
}

TEST_CASE("consistent hash does not mind the order of the candidates") {
  SeededRandom random(1);
  Selector selector(random);
  Fleet fleet({1, 1, 1, 1, 1});
  const std::size_t first =
      *selector.pick("web", Strategy::consistent_hash, fleet.candidates, {}, "k", kStart);
  const std::string owner(fleet.candidates[first].id);
  std::reverse(fleet.candidates.begin(), fleet.candidates.end());
  const std::size_t second =
      *selector.pick("web", Strategy::consistent_hash, fleet.candidates, {}, "k", kStart);
  CHECK(fleet.candidates[second].id == owner);
}

TEST_CASE("subsets are distinct, bounded, stable for a client and even over clients") {
  SeededRandom random(1);
  Selector selector(random);
  const Fleet fleet(std::vector<std::uint32_t>(50, 1));
  std::vector<std::size_t> share(50);
  for (int client = 0; client < 1'000; ++client) {
    const std::string key = "client-" + std::to_string(client);
    std::vector<std::size_t> some = selector.subset("web", fleet.candidates, key, 5);
    CHECK(some == selector.subset("web", fleet.candidates, key, 5));
    std::sort(some.begin(), some.end());
    CHECK(std::unique(some.begin(), some.end()) == some.end());
    REQUIRE(some.size() == 5);
    for (const std::size_t member : some)
      ++share[member];
  }
  for (const std::size_t clients : share) {  // 100 on average
    CHECK(clients > 50);
    CHECK(clients < 160);
  }
  CHECK(selector.subset("web", fleet.candidates, "k", 0).size() == 50);
  CHECK(selector.subset("web", fleet.candidates, "k", 99).size() == 50);
}

TEST_CASE("remembered services are bounded; the one unused for longest goes") {
  SeededRandom random(1);
  Selector selector(random);
  const Fleet fleet({1, 1});
  const auto pick = [&](const std::string& service) {
    return *selector.pick(service, Strategy::round_robin, fleet.candidates, {}, "", kStart);
  };
  pick("kept");
  pick("lost");
  for (std::size_t i = 0; i < kSelectedServicesMax - 2; ++i)
    pick("s" + std::to_string(i));
  CHECK(pick("kept") == 1);
  pick("one too many");
  CHECK(pick("kept") == 0);
  CHECK(pick("lost") == 0);  // began again
}
