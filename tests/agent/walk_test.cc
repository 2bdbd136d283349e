// SPDX-License-Identifier: Apache-2.0
// A long walk: random operations and faults from a seed on a LAN of three agents, what must hold
// after every step, and what must come true once the faults are over.
// OUTRIDER_WALK_SEEDS sets how many seeds are walked, OUTRIDER_WALK_FIRST where they begin.
#include <algorithm>
#include <cstdlib>

#include <doctest/doctest.h>

#include "agent/registry/served.h"
#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

constexpr int kSteps = 40;
#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t kSeeds = 25;  // each takes five times as long
#else
constexpr std::uint64_t kSeeds = 40;
#endif
/// Nobody is told of an address for longer than this after its last moment of being served: the
/// records' life on mDNS (DESIGN §4.5), the grace for links that are down, and some loops' turns.
constexpr Duration kStalenessMax = 20s + registry::kStaleGrace + 5s;
/// After the last fault: a dropped registration is probed every 30 s, one that flapped has to pass
/// eight times, stale records end.
constexpr Duration kSettled = 150s;
constexpr const char* kAllOfThem = "NOERROR 10.0.0.1 10.0.0.2 10.0.0.3";
constexpr const char* kServices[] = {"web", "db", "job", "same"};

std::uint64_t number(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  return text == nullptr ? fallback : static_cast<std::uint64_t>(std::atoll(text));
}

/// A machine with what happens to it.
struct Walker {
  Walker(sim::World& world, const std::string& its_name, unsigned number)
      : name(its_name),
        first_address("10.0.0." + std::to_string(number)),
        second_address("10.0.1." + std::to_string(number)),
        machine(world, name, first_address + "/24") {
    machine.server(80).set("/h", {});
  }
  bool awake_and_running() const { return !asleep && machine.running(); }

  std::string name, first_address, second_address;
  Machine machine;
  bool asleep = false;
  bool has_second_address = false;
};

class Walk {
 public:
  explicit Walk(std::uint64_t seed) : world_(seed), random_(seed) {
    for (const char* name : {"a", "b", "c"})
      walkers_.push_back(
          std::make_unique<Walker>(world_, name, static_cast<unsigned>(walkers_.size() + 1)));
  }

  void step() {
    note_served();
    Walker& walker = *walkers_[random_.below(walkers_.size())];
    switch (random_.below(4)) {
      case 0:
        trouble_for_service(walker);
        break;
      case 1:
        trouble_for_link();
        break;
      case 2:
        trouble_for_machine(walker);
        break;
      case 3:
        if (walker.asleep) set_asleep(walker, false);
        if (!walker.machine.running())
          start(walker);
        else
          operate(walker);
        break;
    }
    // Mostly one thing upon the other, now and then time for what takes its time.
    advance(random_.between(10ms, random_.below(4) == 0 ? 25s : 3s));
  }

  /// The faults end, and everybody tells the same, which is the truth.
  void settle() {
    note_served();
    sim::Link& lan = world_.link("lan");
    lan.set_up(true);
    lan.quality = {};
    for (const auto& walker : walkers_) {
      set_asleep(*walker, false);
      set_second_address(*walker, false);
      walker->machine.host().set_fault(80, {});
      walker->machine.server(80).set("/h", {});
      walker->machine.server(80).set_listening(true);
    }
    advance(15s);  // those that are leaving have left
    for (const auto& walker : walkers_) {
      if (!walker->machine.running()) start(*walker);
      (void)walker->machine.agent().remove("job-" + walker->name);
      (void)walker->machine.agent().set_maintenance("db-" + walker->name, false, "");
      (void)walker->machine.agent().set_draining("db-" + walker->name, false);
    }
    for (Duration waited{}; waited < kSettled && !agreed(); waited += 5s)
      world_.advance(5s);
    for (const auto& walker : walkers_) {
      CAPTURE(walker->name);
      for (const char* service : {"web.svc", "db.svc"})
        CHECK(walker->machine.ask(service, dns::RrType::a).text() == kAllOfThem);
      const std::string job = walker->machine.ask("job.svc", dns::RrType::a).text();
      CHECK_MESSAGE((job == "NODATA" || job == "NXDOMAIN"), job);
      CHECK(all_announced(walker->machine.agent()));
    }
  }

  static bool all_announced(const Agent& agent) {
    return std::ranges::all_of(agent.registry().own(), [&](const registry::InstancePtr& own) {
      return std::ranges::all_of(agent.lan().announcer().live(own->id.text()),
                                 &Announcer::Live::announced);
    });
  }

  bool agreed() {
    return std::ranges::all_of(walkers_, [&](const auto& walker) {
      const std::string job = walker->machine.ask("job.svc", dns::RrType::a).text();
      return (job == "NODATA" || job == "NXDOMAIN") && all_announced(walker->machine.agent()) &&
             std::ranges::all_of(std::array{"web.svc", "db.svc"}, [&](const char* service) {
               return walker->machine.ask(service, dns::RrType::a).text() == kAllOfThem;
             });
    });
  }

  /// Everything stops; nothing may be left of it.
  void finish() {
    for (const auto& walker : walkers_)
      if (walker->machine.running() && !walker->machine.agent().stopping()) walker->machine.stop();
    world_.advance(30s);
    for (const auto& walker : walkers_)
      CHECK_FALSE(walker->machine.running());
    walkers_.clear();
    CHECK(world_.leftovers() == "");
  }

 private:
  // --- operations --------------------------------------------------------------------------------

  void start(Walker& walker) {
    REQUIRE(walker.machine.start(config(walker)).empty());
    Agent& agent = walker.machine.agent();
    agent.watch([this, &agent](const registry::Changes& changes) {
      for (const registry::Change& change : changes.list)
        if (change.before && change.before->own() && change.before->served() &&
            !(change.after && change.after->served()))
          note(*change.before, agent);
    });
  }

  std::string config(const Walker& walker) {
    const auto digit = [this](std::uint64_t below) { return std::to_string(random_.below(below)); };
    return R"({"services": [
      {"name": "web", "id": "web)" +
           digit(2) + '-' + walker.name + R"(", "port": 80, "version": ")" + digit(3) +
           R"(", "checks": [{"http": "/h", "interval": "2s", "timeout": "1s",
                             "deregister_critical_after": "20s"}]},
      {"name": "db", "id": "db-)" +
           walker.name + R"(", "port": 8)" + digit(2) + R"(1},
      {"name": "same", "id": "same", "port": 82, "checks": [{"alias": "db-)" +
           walker.name + R"("}]}]})";
  }

  /// What people and programs do through the doors.
  void operate(Walker& walker) {
    Machine& machine = walker.machine;
    Agent& agent = machine.agent();
    const std::string job = "job-" + walker.name, db = "db-" + walker.name;
    switch (random_.below(9)) {
      case 0: {
        const auto spec = registry::ServiceSpec::parse(
            *json::parse(R"({"name": "job", "id": ")" + job +
                             R"(", "port": 83, "checks": [{"ttl": "10s", "initial": "passing"}]})",
                         1'000));
        REQUIRE(spec.has_value());
        CHECK(agent.put(*spec) == job);
        break;
      }
      case 1:
        (void)agent.remove(job);
        break;
      case 2:
      case 3:
        (void)agent.renew(job, "ttl",
                          random_.below(4) == 0 ? CheckHealth::critical : CheckHealth::passing,
                          "told");
        break;
      case 4:
        CHECK(agent.set_maintenance(db, random_.below(2) == 0, "").has_value());
        break;
      case 5:
        CHECK(agent.set_draining(db, random_.below(2) == 0).has_value());
        break;
      case 6:
        CHECK(machine.reload(config(walker)).empty());
        CHECK(machine.refused_keys.empty());
        break;
      case 7:
        if (!agent.stopping()) machine.stop();
        break;
      case 8:
        if (agent.stopping()) agent.hurry();
        break;
    }
  }

  void trouble_for_service(Walker& walker) {
    sim::HttpServer& server = walker.machine.server(80);
    sim::Host& host = walker.machine.host();
    using Kind = sim::Fault::Kind;
    const Duration slow = random_.between(0s, 3s);  // the timeout is 1 s
    switch (random_.below(9)) {
      case 0:
        server.set("/h", {.status = 503});
        break;
      case 1:
        server.set("/h", {.status = 429});
        break;
      case 2:
        server.set("/h", {.after = slow});
        break;
      case 3:
        server.set_listening(random_.below(2) == 0);
        break;
      case 4:
        host.set_fault(80, {.kind = Kind::black_hole});
        break;
      case 5:
        host.set_fault(80, {.kind = Kind::silent});
        break;
      case 6:
        host.set_fault(80, {.reset_after = random_.below(60)});
        break;
      case 7:
        host.set_fault(80, {.drip = 200ms});
        break;
      case 8:
        host.set_fault(80, {});
        server.set("/h", {});
        break;
    }
  }

  void trouble_for_link() {
    sim::Link& lan = world_.link("lan");
    switch (random_.below(4)) {
      case 0:
        lan.set_up(random_.below(3) != 0);
        break;
      case 1:
        lan.quality.loss_percent = static_cast<unsigned>(random_.below(3) * 20);
        break;
      case 2:
        lan.quality.duplicate_percent = static_cast<unsigned>(random_.below(3) * 20);
        lan.quality.reorder_percent = static_cast<unsigned>(random_.below(3) * 20);
        break;
      case 3:
        lan.quality.jitter = random_.between(0s, 300ms);
        break;
    }
  }

  void trouble_for_machine(Walker& walker) {
    switch (random_.below(6)) {
      case 0:
      case 1:
        walker.machine.kill();
        break;
      case 2:
      case 3:
        set_asleep(walker, !walker.asleep);
        break;
      case 4:
        walker.machine.host().step_wall(random_.between(0s, 2h) - 1h);
        break;
      case 5:
        set_second_address(walker, !walker.has_second_address);
        break;
    }
  }

  void set_asleep(Walker& walker, bool asleep) {
    walker.asleep = asleep;
    if (asleep)
      walker.machine.host().sleep();
    else
      walker.machine.host().wake();
  }

  void set_second_address(Walker& walker, bool there) {
    if (walker.has_second_address == there) return;
    walker.has_second_address = there;
    if (there)
      walker.machine.host().add_address("eth0", walker.second_address + "/24");
    else
      walker.machine.host().remove_address("eth0", walker.second_address);
  }

  // --- what must hold ----------------------------------------------------------------------------

  /// One of them is looked at closely: three cost three times as much and find little more.
  void advance(Duration duration) {
    world_.advance(duration);
    Walker& walker = *walkers_[random_.below(walkers_.size())];
    if (walker.awake_and_running()) check(walker);
  }

  /// By everybody's own clock, which stands still while he sleeps. Of the host and not of its
  /// addresses: others learn these with any instance of it that they still hear.
  void note(const registry::Instance& instance, const Agent& agent) {
    for (const auto& walker : walkers_)
      last_served_[{instance.service.label(), agent.registry().host_name(), walker->name}] =
          walker->machine.host().now();
  }

  std::string host_of(const std::string& address, const Walker& asker) const {
    if (address == "127.0.0.1") return asker.name;
    const auto its = [&](const auto& walker) {
      return address == walker->first_address || address == walker->second_address;
    };
    const auto found = std::ranges::find_if(walkers_, its);
    return found == walkers_.end() ? "nobody" : (*found)->name;
  }

  /// Who sleeps serves nobody, and who is killed has served up to now.
  void note_served() {
    for (const auto& walker : walkers_) {
      if (!walker->awake_and_running()) continue;
      const Agent& agent = walker->machine.agent();
      for (const registry::InstancePtr& own : agent.registry().own())
        if (own->served()) note(*own, agent);
    }
  }

  static std::multiset<std::string> served(const Agent& agent, const std::string& service) {
    std::multiset<std::string> all;
    for (const registry::InstancePtr& instance : agent.registry().instances(service)) {
      if (!instance->served()) continue;
      for (const IpAddress& address : registry::served_addresses(*instance, agent.host()))
        all.insert(address.to_string());
    }
    return all;
  }

  void check(Walker& walker) {
    CAPTURE(walker.name);
    for (const char* service : kServices) {
      CAPTURE(service);
      if (!walker.machine.running()) return;  // it ended while we asked
      check_answers(walker, service);
    }
    if (walker.machine.running()) check_agent(walker);
  }

  /// Answers ⊆ registered ∧ not critical, by what the agent knows and by what has really been.
  void check_answers(Walker& walker, const std::string& service) {
    const Agent& agent = walker.machine.agent();
    const auto before = served(agent, service);
    const std::uint64_t revision = agent.registry().revision();
    const Reply reply = walker.machine.ask(service + ".svc", dns::RrType::a);
    if (!walker.machine.running()) return;
    REQUIRE(reply.came);
    if (agent.registry().revision() == revision) {
      const std::set<std::string> unique(before.begin(), before.end());
      const std::set<std::string> told(reply.answers.begin(), reply.answers.end());
      CHECK(told == unique);
    }
    note_served();
    for (const std::string& answer : reply.answers) {
      CAPTURE(answer);
      const auto last = last_served_.find({service, host_of(answer, walker), walker.name});
      REQUIRE(last != last_served_.end());
      CHECK(walker.machine.host().now() - last->second <= kStalenessMax);
    }
    if (!reply.answers.empty()) CHECK(reply.ttl <= 5);
  }

  void check_agent(Walker& walker) {
    const Agent& agent = walker.machine.agent();
    const auto& runner = agent.checks().runner();
    CHECK(runner.in_flight() <= runner.size());
    // One check asks this server, and never twice at once.
    CHECK(walker.machine.server(80).connections() <= 1);
    std::size_t checks = 0;
    for (const registry::InstancePtr& own : agent.registry().own()) {
      const auto live = agent.lan().announcer().live(own->id.text());
      CHECK(live.size() == (own->served() ? 2 : 0));
      for (const registry::CheckState& state : own->checks) {
        ++checks;
        const auto status = runner.status({own->id.text(), state.spec.id});
        REQUIRE(status.has_value());
        CHECK(status->outcomes.size() <= probes::kOutcomesKept);
        CHECK(state.output.size() <= registry::kOutputBytesMax);
      }
    }
    if (!agent.stopping()) CHECK(runner.size() == checks);
    CHECK(agent.lan().announcer().size() <= 2 * agent.registry().own().size());
    CHECK(agent.registry().own().size() <= 4);
    // Three hosts with four instances each; an id that was changed, and names that were renamed,
    // stand beside them until their records end.
    CHECK(agent.registry().instance_count() <= 3 * 8);
    CHECK(agent.registry().refused_sightings() == 0);
  }

  using Served = std::tuple<std::string, std::string, std::string>;  // service, host, to whom

  sim::World world_;
  SeededRandom random_;
  std::vector<std::unique_ptr<Walker>> walkers_;
  std::map<Served, TimePoint> last_served_;
};

TEST_CASE("a long walk breaks nothing") {
  const std::uint64_t first = number("OUTRIDER_WALK_FIRST", 1);
  for (std::uint64_t seed = first; seed < first + number("OUTRIDER_WALK_SEEDS", kSeeds); ++seed) {
    CAPTURE(seed);
    Walk walk(seed);
    for (int step = 0; step < kSteps; ++step) {
      CAPTURE(step);
      walk.step();
    }
    walk.settle();
    walk.finish();
  }
}

}  // namespace
}  // namespace outrider::test
