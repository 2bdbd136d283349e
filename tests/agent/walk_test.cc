// SPDX-License-Identifier: Apache-2.0
// A long walk: random operations and faults from a seed, and what must hold after every step.
// OUTRIDER_WALK_SEEDS sets how many seeds are walked, OUTRIDER_WALK_FIRST where they begin.
#include <algorithm>
#include <cstdlib>

#include <doctest/doctest.h>

#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

constexpr int kSteps = 40;

std::uint64_t number(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : static_cast<std::uint64_t>(std::atoll(text));
}

class Walk {
 public:
  explicit Walk(std::uint64_t seed) : world_(seed), random_(seed) {
    for (const char* name : {"a", "b", "c"}) {
      machines_.push_back(std::make_unique<Machine>(
          world_, name, "10.0.0." + std::to_string(machines_.size() + 1) + "/24"));
      machines_.back()->server(80).set("/h", {});
    }
  }

  void step() {
    Machine& machine = *machines_[random_.below(machines_.size())];
    switch (random_.below(11)) {
      case 0:
      case 1:
        if (!machine.running()) REQUIRE(machine.start(config()).empty());
        break;
      case 2:
        machine.kill();
        break;
      case 3:
        if (machine.running() && !machine.agent().stopping()) machine.stop();
        break;
      case 4:
        machine.server(80).set("/h", {.status = random_.below(2) == 0 ? 200 : 503});
        break;
      case 5:
        machine.server(80).set_listening(random_.below(3) != 0);
        break;
      case 6:
        world_.link("lan").set_up(random_.below(3) != 0);
        break;
      case 7:
        world_.link("lan").quality.loss_percent = static_cast<unsigned>(random_.below(3) * 20);
        break;
      case 8:
        if (machine.running())
          (void)machine.agent().set_maintenance("w", random_.below(2) == 0, "");
        break;
      case 9:
        if (machine.running()) CHECK(machine.reload(config()).empty());
        break;
      case 10:
        if (machine.running() && machine.agent().stopping()) machine.agent().hurry();
        break;
    }
    world_.advance(random_.between(10ms, 20s));
    for (const auto& each : machines_)
      if (each->running()) check(*each);
  }

  /// Everything stops; nothing may be left of it.
  void finish() {
    for (const auto& machine : machines_)
      if (machine->running() && !machine->agent().stopping()) machine->stop();
    world_.advance(30s);
    for (const auto& machine : machines_)
      CHECK_FALSE(machine->running());
    machines_.clear();
    CHECK(world_.leftovers() == "");
  }

 private:
  std::string config() {
    return R"({"services": [{"name": "web", "id": "w)" + std::to_string(random_.below(2)) +
           R"(", "port": 80, "version": ")" + std::to_string(random_.below(3)) +
           R"(", "checks": [{"http": "/h", "interval": "2s", "deregister_critical_after": "20s"}]},
              {"name": "db", "id": "w", "port": 81}]})";
  }

  void check(Machine& machine) {
    const Agent& agent = machine.agent();
    std::multiset<std::string> served;
    for (const registry::InstancePtr& instance : agent.registry().instances("web")) {
      if (!instance->served()) continue;
      for (const IpAddress& address : registry::served_addresses(*instance, agent.host()))
        served.insert(address.to_string());
    }
    const Reply reply = machine.ask("web.svc", dns::RrType::a);
    if (!machine.running()) return;  // it ended while we asked
    REQUIRE(reply.came);
    // Time passed while we asked, so what is served now may be less; but nobody is told of an
    // address that no instance ever had then.
    for (const std::string& answer : reply.answers)
      CHECK(std::ranges::any_of(served, [&](const std::string& each) { return each == answer; }));
    if (!reply.answers.empty()) CHECK(reply.ttl <= 5);
    const auto& runner = agent.checks().runner();
    CHECK(runner.in_flight() <= runner.size());
    for (const registry::InstancePtr& own : agent.registry().own()) {
      const auto live = agent.publisher().live(own->id.text());
      CHECK(live.size() == (own->served() ? 2 : 0));
    }
    CHECK(agent.publisher().size() <= 2 * agent.registry().own().size());
  }

  sim::World world_;
  SeededRandom random_;
  std::vector<std::unique_ptr<Machine>> machines_;
};

TEST_CASE("a long walk breaks nothing") {
  const std::uint64_t first = number("OUTRIDER_WALK_FIRST", 1);
  for (std::uint64_t seed = first; seed < first + number("OUTRIDER_WALK_SEEDS", 100); ++seed) {
    CAPTURE(seed);
    Walk walk(seed);
    for (int step = 0; step < kSteps; ++step) {
      CAPTURE(step);
      walk.step();
    }
    walk.finish();
  }
}

}  // namespace
}  // namespace outrider::test
