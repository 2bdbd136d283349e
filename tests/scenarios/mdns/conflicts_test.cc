// SPDX-License-Identifier: Apache-2.0
// RFC 6762 §9, and §10.1 from the announcing side.
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

TEST_CASE("forged conflicts cannot keep us silent") {
  Bench bench;
  bench.settle();
  std::size_t answered = 0;
  for (int second = 0; second < 60; ++second) {
    for (int i = 0; i < 10; ++i) {
      bench.say({srv(kInstance, "forged.local.", 1)});
      bench.world.advance(100ms);
      if (!bench.probes().empty() && i == 0) bench.lan.clear_capture();
    }
    bench.lan.clear_capture();
    bench.ask({question(bench.device->announced[1] + "._hello._tcp.local.", RrType::srv)});
    bench.world.advance(100ms);
    for (const Message& response : bench.responses())
      if (!response.answers.empty() && response.answers[0].type == RrType::srv) ++answered;
  }
  CHECK(answered >= 50);
}

TEST_CASE("a name changes: two goodbyes, and none for what stays") {
  Bench bench;
  bench.settle();
  REQUIRE((*bench.device)->publish(1, hello("renamed")).has_value());
  bench.world.advance(5s);
  CHECK(bench.device->announced[1] == "renamed");
  const auto goodbyes = bench.from_device([](const Message& m) {
    const dns::Record* record = m.find(kInstance, RrType::srv);
    return record != nullptr && record->ttl == 0;
  });
  CHECK(goodbyes.size() == 2);
  CHECK(bench.probes().size() == 3);
  for (const Message& response : bench.responses())
    for (const dns::Record& record : response.answers)
      if (record.type == RrType::a || record.name == name(kServices)) CHECK(record.ttl > 0);
}

TEST_CASE_FIXTURE(TwoHosts, "goodbye then return") {
  REQUIRE(alice->publish(1, hello()).has_value());
  world.advance(5s);
  for (const Duration pause : {Duration(0ms), Duration(100ms), Duration(400ms), Duration(3s)}) {
    alice->withdraw(1);
    world.advance(pause);
    REQUIRE(alice->publish(1, hello()).has_value());
    world.advance(5s);
    CHECK(bob.sees("hello") != nullptr);
    world.advance(30s);
    CHECK(bob.sees("hello") != nullptr);
  }
}

TEST_CASE_FIXTURE(TwoHosts, "the goodbye keeps what others still hold") {
  world.host("c").attach("eth0", lan, {"192.168.1.4/24"});
  Peer carol(world.host("c"), options_for("c"));
  REQUIRE(alice->publish(1, hello("one")).has_value());
  REQUIRE(alice->publish(2, hello("two")).has_value());
  REQUIRE(bob->publish(1, hello("three")).has_value());
  world.advance(5s);
  alice->withdraw(1);
  world.advance(5s);
  CHECK(carol.sees("one") == nullptr);
  REQUIRE(carol.sees("two") != nullptr);
  CHECK(carol.sees("two")->addresses[0].address.to_string() == "192.168.1.2");
  // A host takes back the enumeration of a type that others still have: they say so.
  Sent goodbye;
  goodbye.flags.response = true;
  goodbye.answers = {ptr(kServices, kType, 0)};
  lan.clear_capture();
  inject(lan, "192.168.1.99", goodbye);
  world.advance(1s);
  std::size_t rescued = 0;
  for (const Message& message : messages(lan))
    if (!message.host.empty() && message.response() && has(message.answers, kServices, RrType::ptr))
      ++rescued;
  CHECK(rescued >= 1);
}

TEST_CASE_FIXTURE(TwoHosts, "two agents that claim one name by turns settle down") {
  REQUIRE(alice->publish(1, hello("hello", 1)).has_value());
  world.advance(5s);
  REQUIRE(bob->publish(1, hello("hello", 2)).has_value());
  world.advance(10s);
  CHECK(alice.announced[1] == "hello");
  CHECK(bob.announced[1] == "hello-2");
  world.advance(60s);
  CHECK(alice.count("announced hello") == 1);
  CHECK(bob.log.front() != "announced hello");
}

TEST_CASE_FIXTURE(TwoHosts,
                  "networks that are joined: both have claimed the name, one of them yields") {
  bool apart = true;
  lan.set_filter([&](const sim::WireDatagram&) { return !apart; });
  REQUIRE(alice->publish(1, hello("hello", 1)).has_value());
  REQUIRE(bob->publish(1, hello("hello", 2)).has_value());
  world.advance(30s);
  CHECK(alice.announced[1] == "hello");
  CHECK(bob.announced[1] == "hello");
  apart = false;
  Sent query;
  query.questions = {question(kInstance, RrType::srv)};
  inject(lan, "192.168.1.99", query);
  world.advance(10s);
  const std::set<std::string> labels = {alice.announced[1], bob.announced[1]};
  CHECK(labels == std::set<std::string>{"hello", "hello-2"});
  // And each sees the other, whose name was its own before.
  REQUIRE(alice.sees(bob.announced[1]) != nullptr);
  CHECK(alice.sees(bob.announced[1])->port == 2);
  REQUIRE(bob.sees(alice.announced[1]) != nullptr);
  CHECK(bob.sees(alice.announced[1])->port == 1);
  CHECK(alice.sightings.size() == 1);
  CHECK(bob.sightings.size() == 1);
}

TEST_CASE("a name lost on one link is taken back on the others, where it was ours") {
  for (const ConflictPolicy policy : {ConflictPolicy::rename, ConflictPolicy::fail}) {
    NativeOptions options = options_for("box");
    options.conflict = policy;
    Bench bench(5, options);
    sim::Link& other = bench.world.link("other");
    bench.box.attach("eth1", other, {"10.0.0.2/24"});
    sim::Host& far = bench.world.host("far");
    far.attach("eth0", other, {"10.0.0.9/24"});
    Peer friendly(far, options_for("far"));
    bench.settle();
    REQUIRE(friendly.sees("hello") != nullptr);
    // Whoever defends the name on the first link.
    Sent theirs;
    theirs.flags.response = true;
    theirs.answers = {srv(kInstance, "theirs.local.", 1)};
    for (int i = 0; i < 20; ++i) {
      inject(bench.lan, kTester, theirs);
      bench.world.advance(100ms);
    }
    bench.world.advance(3s);
    CHECK(friendly.sees("hello") == nullptr);
    CHECK((friendly.sees("hello-2") != nullptr) == (policy == ConflictPolicy::rename));
    // Not there, where the PTR of this name is theirs now.
    for (const Message& response : bench.responses())
      for (const dns::Record& record : response.answers)
        if (record.type == RrType::ptr && record.ttl == 0)
          CHECK(response.from.address.to_string() != "192.168.1.2");
  }
}
