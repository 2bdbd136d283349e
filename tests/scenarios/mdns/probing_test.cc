// SPDX-License-Identifier: Apache-2.0
// RFC 6762 §8.1 and §8.2.
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

TEST_CASE("initial probing") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Bench bench(seed);
    const TimePoint start = bench.world.now();
    REQUIRE((*bench.device)->publish(1, hello()).has_value());
    bench.world.advance(5s);
    const auto probes = bench.probes();
    REQUIRE(probes.size() == 3);
    CHECK(probes[0].at - start <= 250ms);
    CHECK(probes[1].at - probes[0].at == 250ms);
    CHECK(probes[2].at - probes[1].at == 250ms);
    for (const Message& probe : probes) {
      CHECK(probe.header.id == 0);
      CHECK(probe.to.to_string() == "224.0.0.251:5353");
      REQUIRE(probe.questions.size() == 2);  // instance and host in one
      for (const dns::Question& q : probe.questions) {
        CHECK(q.type == RrType::any);
        CHECK_FALSE(q.unicast_response);
      }
      CHECK(has(probe.authorities, kInstance, RrType::srv));
      CHECK(has(probe.authorities, kInstance, RrType::txt));
      CHECK(has(probe.authorities, bench.host(), RrType::a));
    }
    const auto announcements = bench.responses();
    REQUIRE(announcements.size() == 2);
    CHECK(announcements[0].at - probes[2].at == 250ms);
    CHECK(announcements[1].at - announcements[0].at == 1s);
  }
}

TEST_CASE("everything published together is probed for together") {
  Bench bench;
  for (AnnouncementId id = 1; id <= 3; ++id)
    REQUIRE((*bench.device)->publish(id, hello("i" + std::to_string(id))).has_value());
  bench.world.advance(5s);
  CHECK(bench.probes().size() == 3);
  CHECK(bench.responses().size() == 2);
}

TEST_CASE("probe denial with the policy to fail") {
  NativeOptions options = options_for("box");
  options.conflict = ConflictPolicy::fail;
  Bench bench(3, options);
  REQUIRE((*bench.device)->publish(1, hello()).has_value());
  REQUIRE(bench.world.run_until([&] { return bench.probes().size() == 1; }, 1s));
  bench.say({srv(kInstance, "other.local.", 9999)});
  bench.world.advance(5s);
  CHECK(bench.device->conflicts == std::vector<AnnouncementId>{1});
  CHECK(bench.device->announced.empty());
  bench.lan.clear_capture();
  bench.ask({question(kInstance, RrType::any)});
  bench.world.advance(2s);
  CHECK(bench.responses().empty());
  // Published again it tries again.
  REQUIRE((*bench.device)->publish(1, hello()).has_value());
  bench.world.advance(3s);
  CHECK(bench.device->announced[1] == "hello");
}

TEST_CASE_FIXTURE(TwoHosts, "simultaneous probes: the loser renames when the winner defends") {
  REQUIRE(alice->publish(1, hello("hello", 1111)).has_value());
  REQUIRE(bob->publish(1, hello("hello", 2222)).has_value());
  world.advance(10s);
  const std::set<std::string> labels = {alice.announced[1], bob.announced[1]};
  CHECK(labels == std::set<std::string>{"hello", "hello-2"});
  // Each sees the other one, under its own name and port.
  for (Peer* peer : {&alice, &bob}) {
    const bool is_alice = peer == &alice;
    Peer& other = is_alice ? bob : alice;
    REQUIRE(peer->sees(other.announced[1]) != nullptr);
    CHECK(peer->sees(other.announced[1])->port == (is_alice ? 2222 : 1111));
    CHECK(peer->sees(peer->announced[1]) == nullptr);
  }
}

TEST_CASE("renaming ends at its cap") {
  Bench bench(6);
  REQUIRE((*bench.device)->publish(1, hello()).has_value());
  std::set<std::string> denied;
  for (int step = 0; step < 20'000 && bench.device->conflicts.empty(); ++step) {
    bench.world.advance(10ms);
    for (const Message& probe : bench.probes()) {
      for (const dns::Question& q : probe.questions)
        if (q.name.label_count() == 4 && denied.insert(q.name.to_string()).second)
          bench.say({srv(q.name.to_string(), "other.local.", 9999)});
    }
    bench.lan.clear_capture();
  }
  CHECK(bench.device->conflicts == std::vector<AnnouncementId>{1});
  CHECK(denied.size() == kRenamesMax + 1);
}

TEST_CASE("what a crash left behind is no conflict") {
  Bench bench(7);
  REQUIRE((*bench.device)->publish(1, hello()).has_value());
  REQUIRE(bench.world.run_until([&] { return bench.probes().size() == 1; }, 1s));
  // A reflector brings back what we said before the crash, with another port and other texts.
  bench.say({srv(kInstance, bench.host(), 7777), txt(kInstance, {"old=1"}),
             address(bench.host(), "192.168.1.2")});
  bench.world.advance(5s);
  CHECK(bench.device->announced[1] == "hello");
}

TEST_CASE("a packet of ours that comes back over another interface is no conflict") {
  sim::World world(12);
  sim::Link& lan = world.link("lan");
  sim::Host& box = world.host("box");
  box.attach("eth0", lan, {"192.168.1.2/24"});
  box.attach("eth1", lan, {"192.168.1.3/24"});
  world.host("b").attach("eth0", lan, {"192.168.1.4/24"});
  Peer alice(box, options_for("a"));
  Peer bob(world.host("b"), options_for("b"));
  REQUIRE(alice->publish(1, hello()).has_value());
  world.advance(20s);
  CHECK(alice.announced[1] == "hello");
  CHECK(alice.log == std::vector<std::string>{"announced hello"});
  REQUIRE(bob.sees("hello") != nullptr);
}
