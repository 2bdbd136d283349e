// SPDX-License-Identifier: Apache-2.0
// A walk from a seed: agents that share two registries, while the registries lie, cannot be
// reached, lose their data, and agents die. Honest entries stay, nothing that was read is written.
#include <algorithm>
#include <set>

#include <doctest/doctest.h>

#include "tests/agent/fake_registry.h"
#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

constexpr std::uint64_t kSeeds = 30;
constexpr int kSteps = 40;

class Walk {
 public:
  explicit Walk(std::uint64_t seed) : world_(seed), random_(seed) {
    for (const char* name : {"a", "b", "c"}) {
      machines_.push_back(std::make_unique<Machine>(
          world_, name, "10.0.0." + std::to_string(machines_.size() + 1) + "/24"));
      machines_.back()->make_engine = [this](Env& env, const RegistryConfig& registry,
                                             const std::string& writer) {
        return of(registry.source()).make(env, writer);
      };
    }
    write_honest();
    for (std::size_t i = 0; i < machines_.size(); ++i)
      start(i);
    world_.advance(2s);
  }

  void step() {
    // No trouble lasts as long as entries are kept.
    for (const auto& [down, since] : down_)
      if (world_.env().now() - since > 3min) down->set_reachable(true);
    FakeRegistry& registry = random_.below(2) == 0 ? etcd_ : consul_;
    const std::size_t i = random_.below(machines_.size());
    Machine& machine = *machines_[i];
    switch (random_.below(8)) {
      case 0:
        registry.set_reachable(false);
        down_[&registry] = world_.env().now();
        break;
      case 1:
        registry.set_reachable(true);
        break;
      case 2:
        // Shorter than it takes until emptiness is believed.
        registry.set_lying(true);
        world_.advance(random_.between(1ms, 9s));
        check();
        registry.set_lying(false);
        break;
      case 3:
        registry.wipe();
        // The programs behind the entries write them again within their lease.
        world_.advance(random_.between(1ms, 9s));
        check();
        write_honest();
        break;
      case 4:
        machine.running() ? machine.kill() : start(i);
        break;
      case 5:
        if (machine.running())
          (void)machine.agent().set_maintenance(own_id(i), random_.below(2) == 0, "");
        break;
      case 6:
        registry.write(entry(registry, "gone", "g" + std::to_string(random_.below(9)), "10.9.1.1"));
        registry.erase(key(registry, "gone", "g" + std::to_string(random_.below(9))));
        break;
      case 7:
        if (machine.running()) CHECK(machine.reload(config(i)).empty());
        break;
    }
    world_.advance(random_.between(1ms, 20s));
    check();
  }

  void settle() {
    for (FakeRegistry* each : {&etcd_, &consul_}) {
      each->set_lying(false);
      each->set_reachable(true);
    }
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      if (!machines_[i]->running()) start(i);
      (void)machines_[i]->agent().set_maintenance(own_id(i), false, "");
    }
    world_.advance(40s);
    check_all();
    outlast();
    for (const auto& machine : machines_)
      machine->stop();
    world_.advance(30s);
    for (const FakeRegistry* each : {&etcd_, &consul_})
      for (const auto& [key, entry] : each->entries())
        CHECK_MESSAGE(entry.writer.empty(), key);
  }

 private:
  void check_all() {
    for (const auto& machine : machines_) {
      CHECK(machine->ask("web.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1 10.0.0.2 10.0.0.3");
      for (const char* name : kHonest)
        CHECK(machine->ask(std::string(name) + ".svc", dns::RrType::a).text() ==
              "NOERROR 10.9.0.1 10.9.0.2");
    }
  }
  /// Longer than entries are kept without their registry, and then all is as before.
  void outlast() {
    for (FakeRegistry* each : {&etcd_, &consul_})
      each->set_reachable(false);
    world_.advance(9min);
    check_all();
    world_.advance(2min);
    for (const auto& machine : machines_)
      CHECK(machine->agent().registry().instance_count() == 1);
    for (FakeRegistry* each : {&etcd_, &consul_})
      each->set_reachable(true);
    world_.advance(1s);
    check_all();
  }
  FakeRegistry& of(registry::Source source) {
    return source == registry::Source::etcd ? etcd_ : consul_;
  }
  std::string own_id(std::size_t i) const { return "web-" + machines_[i]->host_name; }
  std::string config(std::size_t i) {
    const char* ttl = random_.below(2) == 0 ? "15s" : "16s";
    return R"({"mdns": {"provider": "off"}, "registries": [
      {"etcd": {"endpoints": ["http://etcd:2379"], "ttl": ")" +
           std::string(ttl) + R"(", "layouts": {"kratos": {}}}}, {"consul": {"services": ["web"]}}],
      "services": [{"name": "web", "id": ")" +
           own_id(i) + R"(", "port": 80}]})";
  }
  void start(std::size_t i) {
    REQUIRE(machines_[i]->start(config(i)).empty());
    told_[i].clear();
  }
  static std::string key(const FakeRegistry& registry, const std::string& service,
                         const std::string& id) {
    return registry.name() + ' ' + service + ' ' + id;
  }
  static registries::Entry entry(const FakeRegistry& registry, const std::string& service,
                                 const std::string& id, const std::string& address) {
    registries::Entry entry{.key = key(registry, service, id),
                            .place = "http://" + registry.name()};
    entry.service = service;
    entry.id = id;
    entry.port = 80;
    entry.addresses = {*IpAddress::parse(address)};
    return entry;
  }
  /// Two instances of each, which never leave; in both registries, and in one alone.
  static constexpr const char* kHonest[] = {"honest", "honest-etcd", "honest-consul"};
  void write_honest() {
    for (FakeRegistry* each : {&etcd_, &consul_})
      for (const std::string& service : {std::string(kHonest[0]), "honest-" + each->name()})
        for (const char* id : {"1", "2"})
          each->write(entry(*each, service, id, std::string("10.9.0.") + id));
  }

  void check() {
    for (const FakeRegistry* each : {&etcd_, &consul_})
      for (const auto& [key, entry] : each->entries())
        if (!entry.writer.empty()) CHECK("identityof" + entry.id.substr(4) == entry.writer);
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      Machine& machine = *machines_[i];
      if (!machine.running()) continue;
      CHECK(machine.agent().registry().instance_count() < 32);
      for (const auto& instance : machine.agent().registry().instances("web"))
        CHECK(instance->places.size() <= 2);
      // Once it was told, it stays.
      for (const char* name : kHonest) {
        const std::string honest = machine.ask(std::string(name) + ".svc", dns::RrType::a).text();
        if (honest == "NOERROR 10.9.0.1 10.9.0.2")
          told_[i].insert(name);
        else
          CHECK_MESSAGE(!told_[i].contains(name), name << ": " << honest);
      }
    }
  }

  sim::World world_;
  SeededRandom random_;
  FakeRegistry etcd_{world_, "etcd"}, consul_{world_, "consul"};
  std::vector<std::unique_ptr<Machine>> machines_;
  std::map<FakeRegistry*, TimePoint> down_;
  /// The honest services that an agent has heard of.
  std::map<std::size_t, std::set<std::string>> told_;
};

TEST_CASE("registries that lie, stall and restart take no honest entry away") {
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    CAPTURE(seed);
    Walk walk(seed);
    for (int i = 0; i < kSteps; ++i)
      walk.step();
    walk.settle();
  }
}

}  // namespace
}  // namespace outrider::test
