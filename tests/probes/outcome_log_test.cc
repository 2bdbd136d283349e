// SPDX-License-Identifier: Apache-2.0
#include "probes/outcome_log.h"

#include <doctest/doctest.h>

using namespace outrider;
using namespace outrider::probes;

namespace {
Outcome outcome(std::string output, int second) {
  return {OutcomeKind::fail_status, 500 + second, std::chrono::microseconds(second),
          std::move(output), TimePoint(std::chrono::seconds(second))};
}
}  // namespace

TEST_CASE("the last outcomes, newest first") {
  OutcomeLog log;
  CHECK(log.empty());
  CHECK(log.read().empty());
  for (int i = 0; i < 25; ++i) {
    log.add(outcome("n" + std::to_string(i), i));
    const auto read = log.read();
    REQUIRE(read.size() == std::min<std::size_t>(static_cast<std::size_t>(i) + 1, kOutcomesKept));
    for (int back = 0; back < static_cast<int>(read.size()); ++back) {
      const Outcome& one = read[static_cast<std::size_t>(back)];
      REQUIRE(one.output == "n" + std::to_string(i - back));
      REQUIRE(one.status == 500 + i - back);
      REQUIRE(one.latency == std::chrono::microseconds(i - back));
      REQUIRE(one.at == TimePoint(std::chrono::seconds(i - back)));
    }
  }
}

TEST_CASE("of more outcomes than that, kind, latency and time are kept") {
  OutcomeLog log;
  for (int i = 1; i <= 150; ++i) {
    log.add({i % 3 == 0 ? OutcomeKind::fail_timeout : OutcomeKind::pass, 200,
             std::chrono::milliseconds(i), "x", TimePoint(std::chrono::seconds(i))});
    const auto ticks = log.ticks();
    REQUIRE(ticks.size() == std::min<std::size_t>(static_cast<std::size_t>(i), kTicksKept));
    for (int back = 0; back < static_cast<int>(ticks.size()); ++back) {
      const Tick& tick = ticks[static_cast<std::size_t>(back)];
      REQUIRE(tick.kind == ((i - back) % 3 == 0 ? OutcomeKind::fail_timeout : OutcomeKind::pass));
      REQUIRE(tick.latency == std::chrono::milliseconds(i - back));
      REQUIRE(tick.at == TimePoint(std::chrono::seconds(i - back)));
    }
  }
  log.add({.kind = OutcomeKind::pass, .latency = 24h});
  CHECK(log.ticks()[0].latency > 2min);
}

TEST_CASE("older outputs are cut") {
  OutcomeLog log;
  const std::string big(kOutputBytesMax, 'x');
  log.add(outcome(big, 1));
  log.add(outcome(big, 2));
  CHECK(log.read()[0].output == big);
  log.add(outcome("small", 3));
  CHECK(log.read()[0].output == "small");
  CHECK(log.read()[1].output == big.substr(0, kOlderOutputBytesMax));
  CHECK(log.read()[2].output == big.substr(0, kOlderOutputBytesMax));
}

TEST_CASE("a latency that does not fit is the longest one") {
  OutcomeLog log;
  log.add({.kind = OutcomeKind::pass, .latency = 24h * 365});
  CHECK(log.read()[0].latency > 1h);
}
