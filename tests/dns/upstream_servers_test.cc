// SPDX-License-Identifier: Apache-2.0
#include "dns/upstream_servers.h"

#include <doctest/doctest.h>

#include "tests/sim/world.h"

namespace outrider::dns {
namespace {

const Endpoint kA = *Endpoint::parse("192.0.2.1:53");
const Endpoint kB = *Endpoint::parse("192.0.2.2:53");
const Endpoint kC = *Endpoint::parse("192.0.2.3:53");

struct Three {
  sim::World world;
  UpstreamServers servers{world.env()};

  explicit Three(UpstreamServers::Order order = UpstreamServers::Order::fixed) {
    servers.set({kA, kB, kC}, order);
  }
};

TEST_CASE("servers are tried in their order, each once before one is asked again") {
  Three three;
  CHECK(three.servers.choose(0, {}) == kA);
  const Endpoint first[] = {kA};
  CHECK(three.servers.choose(0, first) == kB);
  const Endpoint all[] = {kA, kB, kC};
  CHECK(three.servers.has_untried(first));
  CHECK_FALSE(three.servers.has_untried(all));
  CHECK(three.servers.choose(0, all) == kA);
}

TEST_CASE("lookups begin in turn at each server if they rotate") {
  Three three(UpstreamServers::Order::rotating);
  for (const Endpoint& expected : {kA, kB, kC, kA})
    CHECK(three.servers.choose(three.servers.next_start(), {}) == expected);
}

TEST_CASE("a server that failed is asked last, until its pause is over or it answers") {
  Three three;
  three.servers.note_failure(kA, "timed out");
  CHECK(three.servers.choose(0, {}) == kB);
  three.world.advance(kBackOffMin);
  CHECK(three.servers.choose(0, {}) == kA);
  three.servers.note_failure(kA, "timed out");
  three.world.advance(kBackOffMin);
  CHECK(three.servers.choose(0, {}) == kB);  // twice in a row: twice as long
  three.servers.note_answer(kA);
  CHECK(three.servers.choose(0, {}) == kA);
}

TEST_CASE("where all fail the one whose pause ends first is asked") {
  Three three;
  for (const Endpoint& server : {kB, kA, kC}) {
    three.servers.note_failure(server, "unreachable");
    three.world.advance(std::chrono::milliseconds(10));
  }
  CHECK(three.servers.choose(0, {}) == kB);
}

TEST_CASE("silence about one name is no failure, unless nothing else is answered either") {
  Three three;
  const Name one = *Name::parse("one.test"), two = *Name::parse("two.test");
  const auto sent = [&three] {
    const TimePoint at = three.world.now();
    three.world.advance(kAttemptTimeout);
    return at;
  };
  three.servers.note_silence(kA, one, sent(), "timed out");
  three.servers.note_silence(kA, one, sent(), "timed out");
  CHECK(three.servers.choose(0, {}) == kA);
  three.servers.note_answer(kA);
  three.servers.note_silence(kA, two, sent(), "timed out");
  CHECK(three.servers.choose(0, {}) == kA);
  // Answered since it was sent: no evidence at all.
  const TimePoint before = sent();
  three.servers.note_answer(kA);
  three.servers.note_silence(kA, one, before, "timed out");
  three.servers.note_silence(kA, two, before, "timed out");
  three.servers.note_outrun(kA, before, "timed out");
  CHECK(three.servers.choose(0, {}) == kA);
  const TimePoint after = sent();
  three.servers.note_silence(kA, one, after, "timed out");
  three.servers.note_silence(kA, two, after, "timed out");
  CHECK(three.servers.choose(0, {}) == kB);
  // Once it has failed, one name is enough to find that it still does.
  three.world.advance(kBackOffMin);
  CHECK(three.servers.choose(0, {}) == kA);
  three.servers.note_silence(kA, one, sent(), "timed out");
  CHECK(three.servers.choose(0, {}) == kB);
  three.servers.note_outrun(kB, sent(), "timed out");
  CHECK(three.servers.choose(0, {}) == kC);
}

TEST_CASE("what is known of a server goes when it leaves the list") {
  Three three;
  three.servers.note_failure(kA, "timed out");
  three.servers.note_folds_case(kA);
  three.servers.set({kA, kB}, UpstreamServers::Order::fixed);
  CHECK(three.servers.choose(0, {}) == kB);
  CHECK(three.servers.folds_case(kA));
  three.servers.set({kB}, UpstreamServers::Order::fixed);
  three.servers.set({kA, kB}, UpstreamServers::Order::fixed);
  CHECK(three.servers.choose(0, {}) == kA);
  CHECK_FALSE(three.servers.folds_case(kA));
}

}  // namespace
}  // namespace outrider::dns
