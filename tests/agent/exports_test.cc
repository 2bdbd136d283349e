// SPDX-License-Identifier: Apache-2.0
// Services that agents copy between a registry and the link.
#include "agent/exports.h"

#include <utility>

#include <doctest/doctest.h>

#include "agent/doors/why.h"
#include "agent/entry_translation.h"
#include "tests/agent/fake_registry.h"
#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

constexpr const char* kEtcdToLan = R"({"from": "etcd", "to": "mdns", "names": ["hello"]})";
constexpr const char* kLanToEtcd = R"({"from": "mdns", "to": "etcd", "names": ["hello", "local"]})";

/// For an agent with the registry `etcd`.
std::string config(const std::string& exports, const std::string& services = "",
                   const std::string& more = "") {
  return R"({"lifecycle": {"drain": "0s"}, "registries": [{"etcd": {)" + more +
         R"("endpoints": ["http://etcd:2379"], "layouts": {"kratos": {}}}}], "export": [)" +
         exports + R"(], "services": [)" + services + "]}";
}
/// For one that knows the link alone.
std::string plain(const std::string& services = "") {
  return R"({"lifecycle": {"drain": "0s"}, "services": [)" + services + "]}";
}

/// A link with three machines. `a` and `b` can reach the registry, `c` cannot.
struct Scene {
  sim::World world{3};
  FakeRegistry etcd{world, "etcd"}, other{world, "etcd"};
  Machine a{world, "a", "10.0.0.1/24"}, b{world, "b", "10.0.0.2/24"}, c{world, "c", "10.0.0.3/24"};

  Scene() {
    use(a, etcd);
    use(b, etcd);
  }
  static void use(Machine& machine, FakeRegistry& registry) {
    machine.make_engine = [&registry](Env& env, const RegistryConfig&, const std::string& writer) {
      return registry.make(env, writer);
    };
  }
  void write(const std::string& id, const std::string& address = "10.9.0.1",
             const std::string& service = "hello") {
    registries::Entry entry{.key = "etcd x " + service + ' ' + id, .place = "http://etcd"};
    entry.service = service;
    entry.id = id;
    entry.port = 80;
    entry.addresses = {*IpAddress::parse(address)};
    entry.metadata = {{"zone", "z1"}};
    etcd.write(entry);
  }
  std::string answer(const std::string& name = "hello.svc") {
    return c.ask(name, dns::RrType::a).text();
  }
  registry::InstancePtr only(Machine& at, const std::string& service = "hello") {
    const auto all = at.agent().registry().instances(service);
    CHECK(all.size() == 1);
    return all.size() == 1 ? all.front() : nullptr;
  }
  /// Entries of the registry that have the mark.
  static std::map<std::string, std::string> copies_in(const FakeRegistry& registry) {
    std::map<std::string, std::string> copies;
    for (const auto& [key, entry] : registry.entries())
      if (const auto mark = entry.metadata.find("outrider.via"); mark != entry.metadata.end())
        copies[entry.service + '/' + entry.id] = mark->second;
    return copies;
  }
  static std::string status(Machine& of) {
    std::string text;
    json::Writer out(text);
    out.begin_object();
    of.agent().write_registries(out);
    out.end_object();
    return text.substr(text.find("\"exports\""));
  }
  static std::size_t announced(Machine& by) { return by.agent().lan().announcer().size(); }
};

TEST_CASE("a warning changes the health of an entry, not how it is described") {
  sim::World world(1);
  Machine a(world, "a", "10.0.0.1/24");
  REQUIRE(a.start("{}").empty());
  const auto spec = registry::ServiceSpec::parse(
      *json::parse(R"({"name":"web","id":"web-1","port":80,"weight":7})", 4'096));
  REQUIRE(a.agent().put(*spec).has_value());
  world.advance(5s);
  registry::Instance instance = *a.agent().registry().instances("web").at(0);
  registry::HostView host;
  host.addresses = {*IpAddress::parse("10.0.0.1")};
  const auto passing = to_entry(instance, host);
  instance.health = Health::warning;
  auto warning = to_entry(instance, host);
  REQUIRE(passing);
  REQUIRE(warning);
  CHECK(warning->weight == 7);
  CHECK(std::exchange(warning->health, Health::passing) == Health::warning);
  CHECK(*warning == *passing);
}

TEST_CASE("an entry of etcd is found on the link, and leaves it") {
  Scene scene;
  scene.write("h1");
  scene.write("o1", "10.9.0.2", "other");
  scene.write("l1", "127.0.0.1");
  REQUIRE(scene.a.start(config(kEtcdToLan)) == "");
  REQUIRE(scene.c.start(plain()) == "");
  scene.world.advance(10s);
  CHECK(scene.answer() == "NOERROR 10.9.0.1");
  CHECK(scene.answer("other.svc") == "NXDOMAIN");
  const auto seen = scene.only(scene.c);
  REQUIRE(seen);
  CHECK(seen->places.front().via == "etcd");
  CHECK(seen->metadata == registry::Metadata{{"zone", "z1"}});
  CHECK_FALSE(seen->on_this_host);
  const std::string why = doors::explain(scene.c.agent(), "hello").json;
  CHECK(why.find(R"("via":"etcd")") != std::string::npos);
  CHECK(doors::explain(scene.a.agent(), "hello").json.find("by this agent") != std::string::npos);
  CHECK(Scene::status(scene.a).find(R"("state":"exporting","reason":"","instances":1)") !=
        std::string::npos);
  scene.etcd.erase("etcd x hello h1");
  scene.world.advance(2s);
  CHECK(scene.answer() == "NODATA");
  CHECK(Scene::announced(scene.a) == 0);
}

TEST_CASE("one of two agents copies, and the other one takes over when it is gone") {
  Scene scene;
  scene.write("h1");
  REQUIRE(scene.a.start(config(kEtcdToLan)) == "");
  REQUIRE(scene.c.start(plain()) == "");
  scene.world.advance(5s);
  REQUIRE(scene.b.start(config(kEtcdToLan)) == "");
  scene.world.advance(30s);
  CHECK(scene.etcd.holder("export/etcd/mdns/hello") == "identityofa");
  CHECK(Scene::announced(scene.a) == 1);
  CHECK(Scene::announced(scene.b) == 0);
  CHECK(Scene::status(scene.b).find("the agent identityofa holds it") != std::string::npos);
  // It knows the original, and its copy, as one.
  const auto both = scene.only(scene.b);
  REQUIRE(both);
  CHECK(both->source == registry::Source::etcd);
  CHECK(both->places.size() == 2);
  CHECK(doors::explain(scene.b.agent(), "hello").json.find("the agent identityofa holds it") !=
        std::string::npos);
  SUBCASE("killed") {
    scene.a.kill();
    scene.world.advance(FakeRegistry::kTtl - 1s);
    CHECK(Scene::announced(scene.b) == 0);
    scene.world.advance(4s);
    CHECK(Scene::announced(scene.b) == 1);
    CHECK(scene.answer() == "NOERROR 10.9.0.1");
    scene.world.advance(1min);
    CHECK(scene.answer() == "NOERROR 10.9.0.1");
    CHECK(scene.only(scene.c)->id.text() == "h1");
  }
  SUBCASE("stopped") {
    scene.a.stop();
    scene.world.advance(3s);
    CHECK(scene.a.stopped());
    CHECK(Scene::announced(scene.b) == 1);
    CHECK(scene.answer() == "NOERROR 10.9.0.1");
  }
  SUBCASE("without the rule") {
    REQUIRE(scene.a.reload(config("")) == "");
    scene.world.advance(3s);
    CHECK(Scene::announced(scene.a) == 0);
    CHECK(Scene::announced(scene.b) == 1);
    REQUIRE(scene.b.reload(config("")) == "");
    scene.world.advance(3s);
    CHECK(scene.answer() == "NODATA");
    CHECK(scene.etcd.holder("export/etcd/mdns/hello").empty());
    REQUIRE(scene.b.reload(config(kEtcdToLan)) == "");
    scene.world.advance(6s);
    CHECK(scene.answer() == "NOERROR 10.9.0.1");
  }
  SUBCASE("with another registry") {
    const std::string changed = config(kEtcdToLan, "", R"("ttl": "20s", )");
    REQUIRE(scene.a.reload(changed) == "");
    scene.world.advance(5s);
    CHECK(Scene::announced(scene.a) + Scene::announced(scene.b) == 1);
    CHECK(scene.answer() == "NOERROR 10.9.0.1");
  }
}

TEST_CASE("groups elect by themselves") {
  Scene scene;
  scene.write("h1");
  REQUIRE(scene.a.start(config(kEtcdToLan)) == "");
  std::string grouped = config(kEtcdToLan);
  grouped.insert(grouped.find("\"names\""), R"("group": "Second Floor", )");
  REQUIRE(scene.b.start(grouped) == "");
  REQUIRE(scene.c.start(plain()) == "");
  scene.world.advance(20s);
  CHECK(scene.etcd.holder("export/etcd/mdns/second-floor/hello") == "identityofb");
  CHECK(Scene::announced(scene.a) + Scene::announced(scene.b) == 2);
  // On one link, that is still one instance.
  CHECK(scene.answer() == "NOERROR 10.9.0.1");
  CHECK(scene.only(scene.c));
}

TEST_CASE("without the registry there is no election, so no agent copies") {
  Scene scene;
  scene.write("h1");
  REQUIRE(scene.a.start(config(kEtcdToLan)) == "");
  REQUIRE(scene.c.start(plain()) == "");
  scene.world.advance(10s);
  scene.etcd.set_reachable(false);
  scene.world.advance(FakeRegistry::kTtl - 3s);
  CHECK(Scene::announced(scene.a) == 1);
  scene.world.advance(2s);
  CHECK(Scene::announced(scene.a) == 0);
  CHECK(scene.answer() == "NODATA");
  scene.etcd.set_reachable(true);
  scene.world.advance(2s);
  CHECK(scene.answer() == "NOERROR 10.9.0.1");
}

TEST_CASE("what programs announce on the link is written to etcd, for as long as it is healthy") {
  Scene scene;
  const std::string services =
      R"({"name": "hello", "id": "c1", "port": 80, "checks": [{"ttl": "1h"}]},
      {"name": "secret", "id": "s1", "port": 81}, {"name": "local", "id": "l1", "port": 82,
      "scope": "host"})";
  REQUIRE(scene.a.start(config(kLanToEtcd)) == "");
  REQUIRE(scene.b.start(config(kLanToEtcd)) == "");
  REQUIRE(scene.c.start(plain(services)) == "");
  REQUIRE(scene.c.agent().renew("c1", "ttl", CheckHealth::passing, ""));
  scene.world.advance(10s);
  CHECK(Scene::copies_in(scene.etcd) == std::map<std::string, std::string>{{"hello/c1", "mdns"}});
  CHECK(scene.etcd.entries().size() == 1);
  const registries::Entry& entry = scene.etcd.entries().begin()->second;
  CHECK(entry.addresses == std::vector{*IpAddress::parse("10.0.0.3")});
  // Neither agent takes the copy for another instance, and of another host.
  for (Machine* each : {&scene.a, &scene.b}) {
    const auto known = scene.only(*each);
    REQUIRE(known);
    CHECK(known->id.text() == "c1");
    CHECK(known->source == registry::Source::sighting);
  }
  REQUIRE(scene.c.agent().renew("c1", "ttl", CheckHealth::critical, ""));
  scene.world.advance(2s);
  CHECK(scene.etcd.entries().empty());
  REQUIRE(scene.c.agent().renew("c1", "ttl", CheckHealth::passing, ""));
  scene.world.advance(10s);
  CHECK(scene.etcd.entries().size() == 1);
}

TEST_CASE("rules in both directions do not feed each other") {
  Scene scene;
  scene.write("h1");
  const std::string mine = R"({"name": "hello", "id": "b1", "port": 81})";
  REQUIRE(scene.a.start(config(kEtcdToLan)) == "");
  // It announces its registration, but does not write it.
  REQUIRE(scene.b.start(config(std::string(kLanToEtcd) + ',' + kEtcdToLan, mine)) == "");
  REQUIRE(scene.c.start(plain(R"({"name": "hello", "id": "c1", "port": 82})")) == "");
  const auto check = [&] {
    // By itself: h1 and b1. The only copy is that of the link's c1.
    CHECK(scene.etcd.entries().size() == 3);
    CHECK(Scene::copies_in(scene.etcd) == std::map<std::string, std::string>{{"hello/c1", "mdns"}});
    for (Machine* each : {&scene.a, &scene.b, &scene.c}) {
      const auto all = each->agent().registry().instances("hello");
      CHECK(all.size() == 3);
      for (const registry::InstancePtr& instance : all)
        CHECK(std::set<std::string>{"h1", "b1", "c1"}.contains(instance->id.text()));
    }
  };
  scene.world.advance(20s);
  check();
  scene.world.advance(10min);
  check();
  scene.etcd.erase("etcd x hello h1");
  scene.world.advance(3s);
  CHECK(scene.answer() == "NOERROR 10.0.0.2 10.0.0.3");
  scene.c.stop();
  scene.world.advance(3s);
  CHECK(Scene::copies_in(scene.etcd).empty());
}

TEST_CASE("a copy is not copied any further, whichever agent sees it") {
  Scene scene;
  scene.write("h1");
  Scene::use(scene.b, scene.other);
  REQUIRE(scene.a.start(config(kEtcdToLan)) == "");
  REQUIRE(scene.b.start(config(kLanToEtcd)) == "");
  scene.world.advance(1min);
  REQUIRE(scene.only(scene.b));
  CHECK(scene.other.holder("export/mdns/etcd/hello") == "identityofb");
  CHECK(scene.other.entries().empty());
}

TEST_CASE("an instance that is at both sides by itself is not copied") {
  Scene scene;
  const std::string both = std::string(kLanToEtcd) + ',' + kEtcdToLan;
  REQUIRE(scene.a.start(config(both)) == "");
  scene.world.advance(10s);
  REQUIRE(scene.b.start(config(both, R"({"name": "hello", "id": "b1", "port": 81})")) == "");
  REQUIRE(scene.c.start(plain()) == "");
  scene.world.advance(1s);
  for (int i = 0; i < 30; ++i) {
    CHECK(Scene::announced(scene.a) == 0);
    CHECK(Scene::copies_in(scene.etcd).empty());
    scene.world.advance(1s);
  }
  CHECK(scene.only(scene.c)->places.front().via.empty());
}

TEST_CASE("a registration keeps metadata that is called like the mark, and is no copy") {
  Scene scene;
  const std::string marked =
      R"({"name": "hello", "id": "c1", "port": 82, "metadata": {"outrider.via": "etcd"}})";
  REQUIRE(scene.a.start(config(kLanToEtcd)) == "");
  REQUIRE(scene.c.start(plain(marked)) == "");
  scene.world.advance(10s);
  const auto seen = scene.only(scene.a);
  REQUIRE(seen);
  CHECK(seen->metadata == registry::Metadata{{"outrider.via", "etcd"}});
  CHECK(seen->places.front().via.empty());
  CHECK(Scene::copies_in(scene.etcd).size() == 1);
}

TEST_CASE("one agent copies no more than its share of a link, and the rest when there is room") {
  Scene scene;
  for (std::size_t i = 0; i < kCopiesMax + 10; ++i)
    scene.write("h" + std::to_string(i),
                "10.9." + std::to_string(i / 250) + '.' + std::to_string(1 + i % 250));
  REQUIRE(scene.a.start(config(kEtcdToLan)) == "");
  scene.world.advance(10s);
  CHECK(Scene::announced(scene.a) == kCopiesMax);
  CHECK(Scene::status(scene.a).find(R"("left_out":10)") != std::string::npos);
  scene.etcd.erase("etcd x hello h3");
  scene.world.advance(2s);
  CHECK(Scene::announced(scene.a) == kCopiesMax);
  CHECK(Scene::status(scene.a).find(R"("left_out":9)") != std::string::npos);
}

}  // namespace
}  // namespace outrider::test
