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
