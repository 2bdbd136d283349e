// SPDX-License-Identifier: Apache-2.0
#include "tests/registries/etcd/bed.h"

namespace outrider::registries::etcd::test {
namespace {

constexpr std::string_view kTimeToLive = "/v3/lease/timetolive";

/// An engine that has read what a program keeps under leases.
struct LeaseBed : Bed {
  std::vector<std::int64_t> leases;
  std::vector<LeaseTimes> replies;

  explicit LeaseBed(int count, int seconds = 15) {
    for (int i = 0; i < count; ++i) {
      const std::string id = std::to_string(i);
      leases.push_back(store.grant(seconds));
      store.put(kratos_key(id), kratos_value(id), leases.back());
    }
    start();
    world.advance(1s);
    REQUIRE(status().state == PlaceState::current);
    take();
  }
  std::unique_ptr<Pending> ask(std::vector<std::int64_t> which) {
    return engine->look_up_leases(which,
                                  [this](const LeaseTimes& times) { replies.push_back(times); });
  }
  /// Waits for as long as a person does.
  void wait() { world.advance(kLeaseLookupMax); }
};

}  // namespace

TEST_CASE("a lease of an entry is asked for only when a person wants to know") {
  LeaseBed bed(1);
  CHECK(bed.etcd().count(kTimeToLive) == 0);
  const auto token = bed.ask({bed.seen.at(0).where.lease});
  REQUIRE(token != nullptr);
  CHECK(bed.replies.empty());
  bed.world.advance(10ms);
  REQUIRE(bed.replies.size() == 1);
  CHECK(bed.replies[0] == LeaseTimes{{bed.leases[0], {.left = 13s, .granted = 15s}}});
  CHECK(bed.take().empty());
}

TEST_CASE("a lease that has ended is reported, one that was not asked for is not") {
  LeaseBed bed(2);
  const auto token = bed.ask({77, bed.leases[1]});
  bed.world.advance(10ms);
  REQUIRE(bed.replies.size() == 1);
  REQUIRE(bed.replies[0].size() == 2);
  CHECK(bed.replies[0].at(77).has_ended());
  CHECK_FALSE(bed.replies[0].at(bed.leases[1]).has_ended());
  CHECK_FALSE(bed.replies[0].contains(bed.leases[0]));
}

TEST_CASE("a lease in its last second has not ended") {
  LeaseBed bed(1, 2);
  bed.world.advance(500ms);
  const auto token = bed.ask(bed.leases);
  bed.world.advance(10ms);
  REQUIRE(bed.replies.size() == 1);
  CHECK(bed.replies[0] == LeaseTimes{{bed.leases[0], {.left = 0s, .granted = 2s}}});
}

TEST_CASE("a server that does not answer delays no caller, and its reader goes on") {
  LeaseBed bed(2);
  bed.etcd().mute = true;
  const auto token = bed.ask(bed.leases);
  bed.world.advance(kLeaseLookupMax - 1ms);
  CHECK(bed.replies.empty());
  bed.world.advance(1ms);
  REQUIRE(bed.replies.size() == 1);
  CHECK(bed.replies[0].empty());
  bed.etcd().mute = false;
  bed.engine->refresh();
  CHECK(bed.after(1s) == "list 0 1");
  const auto again = bed.ask(bed.leases);
  bed.wait();
  CHECK(bed.replies.back().size() == 2);
}

TEST_CASE("what a slow server answered in time is reported") {
  LeaseBed bed(5);
  bed.etcd().lease_time_takes = 120ms;
  const auto token = bed.ask(bed.leases);
  bed.wait();
  REQUIRE(bed.replies.size() == 1);
  CHECK(bed.replies[0].size() == 2);
  CHECK(bed.replies[0].contains(bed.leases[0]));
  CHECK(bed.replies[0].contains(bed.leases[1]));
  bed.world.advance(1s);
  CHECK(bed.replies.size() == 1);
  CHECK(bed.etcd().count(kTimeToLive) == 3);
  CHECK(bed.take().empty());
}

TEST_CASE("of very many leases, the first are asked for") {
  LeaseBed bed(kLeasesPerRound + 1);
  const auto token = bed.ask(bed.leases);
  bed.wait();
  REQUIRE(bed.replies.size() == 1);
  CHECK(bed.replies[0].size() == kLeasesPerRound);
  CHECK_FALSE(bed.replies[0].contains(bed.leases.back()));
  CHECK(bed.etcd().count(kTimeToLive) == kLeasesPerRound);
}

TEST_CASE("people who ask at the same time cost the cluster one question") {
  LeaseBed bed(3);
  bed.etcd().lease_time_takes = 50ms;
  std::vector<std::unique_ptr<Pending>> tokens;
  for (int i = 0; i < 100; ++i)
    tokens.push_back(bed.ask({bed.leases[0], bed.leases[1]}));
  bed.world.advance(20ms);
  tokens.push_back(bed.ask({bed.leases[2], bed.leases[1]}));
  bed.wait();
  REQUIRE(bed.replies.size() == 101);
  for (const LeaseTimes& reply : bed.replies)
    CHECK(reply.size() == 3);
  CHECK(bed.etcd().count(kTimeToLive) == 3);
}

TEST_CASE("nothing more is asked when no caller waits any longer") {
  LeaseBed bed(3);
  bed.etcd().lease_time_takes = 50ms;
  auto token = bed.ask(bed.leases);
  bed.world.advance(60ms);
  token.reset();
  bed.wait();
  CHECK(bed.replies.empty());
  CHECK(bed.etcd().count(kTimeToLive) == 2);
  token = bed.ask(bed.leases);
  bed.wait();
  CHECK(bed.replies.size() == 1);
}

TEST_CASE("a question is answered when its engine stops") {
  LeaseBed bed(2);
  bed.etcd().mute = true;
  const auto token = bed.ask(bed.leases);
  bed.world.advance(10ms);
  bed.engine->stop([] {});
  CHECK(bed.replies.size() == 1);
  CHECK(bed.ask(bed.leases) == nullptr);
  bed.world.advance(1s);
  CHECK(bed.replies.size() == 1);
}

TEST_CASE("the right to be told about leases may outlive the engine") {
  LeaseBed bed(1);
  const auto token = bed.ask(bed.leases);
  bed.engine.reset();
  bed.wait();
  CHECK(bed.replies.empty());
}

TEST_CASE("a server that is known not to answer is not asked about leases") {
  LeaseBed bed(1);
  bed.etcd().set_running(false);
  bed.world.advance(100ms);
  REQUIRE(bed.status().state == PlaceState::behind);
  CHECK(bed.ask(bed.leases) == nullptr);
  CHECK(bed.replies.empty());
}

TEST_CASE("times of leases that are too long to reckon with are cut") {
  const auto answer = read_answer(
      R"({"ID":"7","TTL":"9223372036854775807","grantedTTL":"-9223372036854775808"})", 1U << 10);
  REQUIRE(answer.has_value());
  CHECK(answer->ttl == kTtlSecondsMax);
  CHECK(answer->granted_ttl == -1);
}

TEST_CASE("what is left of the agent's own lease is known without a question") {
  Bed bed;
  bed.options.ttl = 15s;
  bed.start();
  bed.world.advance(1s);
  CHECK_FALSE(bed.status().lease_time.has_value());
  bed.engine->put(Bed::registration("a"));
  bed.world.advance(1s);
  REQUIRE(bed.status().lease_time.has_value());
  CHECK(bed.status().lease_time->granted == 15s);
  CHECK(bed.status().lease_time->left > 13s);
  for (int i = 0; i < 60; ++i) {
    bed.world.advance(1s);
    CHECK(bed.status().lease_time->left > 5s);
  }
  bed.etcd().mute = true;
  bed.world.advance(3s);
  const Duration before = bed.status().lease_time->left;
  bed.world.advance(1s);
  CHECK(bed.status().lease_time->left == before - 1s);
}

}  // namespace outrider::registries::etcd::test
