// SPDX-License-Identifier: Apache-2.0
// Services that agents copy from Consul and to it, and all three ways at once.
#include <utility>

#include <doctest/doctest.h>

#include "agent/exports.h"
#include "tests/agent/fake_registry.h"
#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

using Copies = std::multimap<std::string, std::string>;  // via, by id

std::string rule(const char* from, const char* to) {
  return std::string(R"({"from": ")") + from + R"(", "to": ")" + to + R"(", "names": ["hello"]})";
}
/// For an agent with both registries.
std::string config(const std::string& exports) {
  return R"({"lifecycle": {"drain": "0s"}, "registries": [
      {"etcd": {"endpoints": ["http://etcd:2379"], "layouts": {"kratos": {}}}},
      {"consul": {"address": "http://consul:8500", "services": ["hello"]}}], "export": [)" +
         exports + "]}";
}

/// A link with three machines. `a` and `b` can reach the registries, `c` cannot.
struct Scene {
  sim::World world{4};
  FakeRegistry etcd{world, "etcd"}, consul{world, "consul"};
  Machine a{world, "a", "10.0.0.1/24"}, b{world, "b", "10.0.0.2/24"}, c{world, "c", "10.0.0.3/24"};

  Scene() {
    for (Machine* each : {&a, &b})
      each->make_engine = [this](Env& env, const RegistryConfig& config,
                                 const std::string& writer) {
        return (config.source() == registry::Source::etcd ? etcd : consul).make(env, writer);
      };
    REQUIRE(c.start(R"({"lifecycle": {"drain": "0s"}})") == "");
  }
  static void write(FakeRegistry& to, const std::string& id, int number = 1) {
    registries::Entry entry{.key = to.name() + " x hello " + id, .place = "http://" + to.name()};
    entry.service = "hello";
    entry.id = id;
    entry.port = 80;
    entry.addresses = {*IpAddress::parse("10.9.0." + std::to_string(number))};
    to.write(entry);
  }
  static void erase(FakeRegistry& from, const std::string& id) {
    from.erase(from.name() + " x hello " + id);
  }
  void announce(const std::string& id, int port) {
    const auto spec = registry::ServiceSpec::parse(*json::parse(
        R"({"name": "hello", "id": ")" + id + R"(", "port": )" + std::to_string(port) + '}',
        4'096));
    REQUIRE(c.agent().put(*spec).has_value());
  }
  std::string answer() { return c.ask("hello.svc", dns::RrType::a).text(); }
  static Copies copies_in(const FakeRegistry& registry) {
    Copies copies;
    for (const auto& [key, entry] : registry.entries())
      if (const auto mark = entry.metadata.find("outrider.via"); mark != entry.metadata.end())
        copies.emplace(entry.id, mark->second);
    return copies;
  }
  static std::size_t announced(Machine& by) { return by.agent().lan().announcer().size(); }
};

TEST_CASE("an instance of Consul is found on the link, and leaves it") {
  Scene scene;
  scene.write(scene.consul, "k1");
  REQUIRE(scene.a.start(config(rule("consul", "mdns"))) == "");
  scene.world.advance(5s);
  REQUIRE(scene.b.start(config(rule("consul", "mdns"))) == "");
  scene.world.advance(10s);
  CHECK(scene.answer() == "NOERROR 10.9.0.1");
  CHECK(scene.consul.holder("export/consul/mdns/hello") == "identityofa");
  CHECK(scene.etcd.holder("export/consul/mdns/hello").empty());
  CHECK(Scene::announced(scene.b) == 0);
  CHECK(scene.c.agent().registry().instances("hello").at(0)->places.front().via == "consul");
  SUBCASE("with its original") {
    scene.erase(scene.consul, "k1");
  }
  SUBCASE("at a stop of all agents that copy") {
    scene.b.stop();
    scene.a.stop();
  }
  scene.world.advance(4s);
  CHECK(scene.answer() == "NODATA");
}

TEST_CASE("the agent that copies from Consul is followed by another one when it is killed") {
  Scene scene;
  scene.write(scene.consul, "k1");
  REQUIRE(scene.a.start(config(rule("consul", "mdns"))) == "");
  scene.world.advance(5s);
  REQUIRE(scene.b.start(config(rule("consul", "mdns"))) == "");
  scene.world.advance(5s);
  scene.a.kill();
  scene.world.advance(FakeRegistry::kTtl + 5s);
  CHECK(scene.consul.holder("export/consul/mdns/hello") == "identityofb");
  CHECK(Scene::announced(scene.b) == 1);
  CHECK(scene.answer() == "NOERROR 10.9.0.1");
}

TEST_CASE("what is announced on the link is written to Consul, and taken back") {
  Scene scene;
  REQUIRE(scene.a.start(config(rule("mdns", "consul"))) == "");
  REQUIRE(scene.b.start(config(rule("mdns", "consul"))) == "");
  scene.announce("c1", 80);
  scene.world.advance(10s);
  CHECK(Scene::copies_in(scene.consul) == Copies{{"c1", "mdns"}});
  CHECK(scene.consul.entries().size() == 1);
  CHECK(scene.etcd.entries().empty());
  for (Machine* each : {&scene.a, &scene.b})
    CHECK(each->agent().registry().instances("hello").size() == 1);
  SUBCASE("with its original") {
    REQUIRE(scene.c.agent().remove("c1").has_value());
  }
  SUBCASE("without the rule") {
    REQUIRE(scene.a.reload(config("")) == "");
    REQUIRE(scene.b.reload(config("")) == "");
  }
  scene.world.advance(3s);
  CHECK(scene.consul.entries().empty());
}

TEST_CASE("between Consul and etcd, agents elect in etcd") {
  Scene scene;
  const std::string both = rule("consul", "etcd") + ',' + rule("etcd", "consul");
  REQUIRE(scene.a.start(config(both)) == "");
  REQUIRE(scene.b.start(config(both)) == "");
  scene.write(scene.consul, "k1", 1);
  scene.write(scene.etcd, "e1", 2);
  scene.world.advance(10s);
  CHECK(Scene::copies_in(scene.etcd) == Copies{{"k1", "consul"}});
  CHECK(Scene::copies_in(scene.consul) == Copies{{"e1", "etcd"}});
  CHECK_FALSE(scene.etcd.holder("export/consul/etcd/hello").empty());
  CHECK_FALSE(scene.etcd.holder("export/etcd/consul/hello").empty());
  CHECK(scene.consul.holder("export/etcd/consul/hello").empty());
  CHECK(Scene::announced(scene.a) == 0);
  scene.world.advance(10min);
  CHECK(scene.etcd.entries().size() == 2);
  CHECK(scene.consul.entries().size() == 2);
}

TEST_CASE("a copy whose agent has gone is no instance") {
  Scene scene;
  REQUIRE(scene.a.start(config("")) == "");
  registries::Entry copy{.key = "consul n1/copy:hello:c9", .place = "http://consul"};
  copy.service = "hello";
  copy.id = "c9";
  copy.port = 80;
  copy.addresses = {*IpAddress::parse("10.9.0.1")};
  copy.metadata = {{"outrider.via", "mdns"}};
  scene.consul.write(copy);
  scene.world.advance(2s);
  CHECK(scene.a.agent().registry().instances("hello").size() == 1);
  copy.health = Health::critical;
  scene.consul.write(copy);
  scene.world.advance(2s);
  for (const auto& instance : scene.a.agent().registry().instances("hello"))
    CHECK_FALSE(instance->served());
}

/// Rules in all directions, on two agents, while originals come and go, and agents with them.
class Walk {
 public:
  explicit Walk(std::uint64_t seed) : random_(seed) {
    for (const char* from : {"mdns", "etcd", "consul"})
      for (const char* to : {"mdns", "etcd", "consul"})
        if (std::string_view(from) != to) rules_ += (rules_.empty() ? "" : ",") + rule(from, to);
    REQUIRE(scene_.a.start(config(rules_)) == "");
    REQUIRE(scene_.b.start(config(rules_)) == "");
  }
  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      scene_.world.advance(std::chrono::milliseconds(random_.below(6'000)));
      check_marks();
    }
  }
  /// Each original is everywhere else, once; nothing else is anywhere.
  void check() {
    scene_.etcd.set_reachable(true);
    scene_.consul.set_reachable(true);
    scene_.world.advance(1min);
    Copies in_etcd, in_consul;
    for (const std::string& id : there_) {
      if (id[0] != 'e') in_etcd.emplace(id, id[0] == 'k' ? "consul" : "mdns");
      if (id[0] != 'k') in_consul.emplace(id, id[0] == 'e' ? "etcd" : "mdns");
    }
    CHECK(text(Scene::copies_in(scene_.etcd)) == text(in_etcd));
    CHECK(text(Scene::copies_in(scene_.consul)) == text(in_consul));
    std::set<std::string> known;
    for (const auto& instance : scene_.c.agent().registry().instances("hello"))
      if (instance->served()) CHECK(known.insert(instance->id.text()).second);
    CHECK(known == there_);
  }

 private:
  static std::string text(const Copies& copies) {
    std::string text;
    for (const auto& [id, via] : copies)
      text += id + '=' + via + ' ';
    return text;
  }
  void check_marks() {
    for (const auto& [id, via] : Scene::copies_in(scene_.etcd))
      CHECK((via == "consul" || via == "mdns"));
    for (const auto& [id, via] : Scene::copies_in(scene_.consul))
      CHECK((via == "etcd" || via == "mdns"));
    CHECK(scene_.etcd.entries().size() <= 3 * kIds);
    CHECK(scene_.consul.entries().size() <= 3 * kIds);
    CHECK(scene_.c.agent().registry().instances("hello").size() <= 3 * kIds);
  }
  void step() {
    const auto number = static_cast<int>(random_.below(kIds));
    const std::string digit = std::to_string(number);
    switch (random_.below(8)) {
      case 0:
      case 1:
        return flip('e' + digit, scene_.etcd, 10 + number);
      case 2:
      case 3:
        return flip('k' + digit, scene_.consul, 20 + number);
      case 4:
      case 5: {
        const std::string id = 'c' + digit;
        const bool gone = there_.erase(id) > 0;
        if (gone && !scene_.c.agent().remove(id).has_value()) FAIL("not removed");
        if (gone) return;
        there_.insert(id);
        return scene_.announce(id, 80 + number);
      }
      case 6: {
        FakeRegistry& registry = random_.below(2) == 0 ? scene_.etcd : scene_.consul;
        return registry.set_reachable(random_.below(3) > 0);
      }
      case 7: {
        Machine& agent = random_.below(2) == 0 ? scene_.a : scene_.b;
        CHECK(agent.reload(config(random_.below(3) == 0 ? "" : rules_)) == "");
        return;
      }
    }
  }
  void flip(const std::string& id, FakeRegistry& at, int number) {
    if (there_.erase(id) > 0) return Scene::erase(at, id);
    there_.insert(id);
    Scene::write(at, id, number);
  }

 public:
  void restore_rules() {
    CHECK(scene_.a.reload(config(rules_)) == "");
    CHECK(scene_.b.reload(config(rules_)) == "");
  }

 private:
  static constexpr std::size_t kIds = 3;
  SeededRandom random_;
  Scene scene_;
  std::string rules_;
  std::set<std::string> there_;  // e: by itself in etcd, k: in Consul, c: on the link
};

TEST_CASE("rules in all directions never feed each other") {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    Walk walk(seed);
    walk.run(40);
    walk.restore_rules();
    walk.check();
  }
}

}  // namespace
}  // namespace outrider::test
