// SPDX-License-Identifier: Apache-2.0
// Agents that share a registry beyond the link.
#include <doctest/doctest.h>

#include "agent/doors/why.h"
#include "tests/agent/fake_registry.h"
#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

constexpr const char* kEtcd =
    R"({"etcd": {"endpoints": ["http://etcd:2379"], "layouts": {"kratos": {}}}})";
constexpr const char* kConsul = R"({"consul": {"services": ["web"]}})";

std::string config(const std::string& registries, const std::string& services,
                   const std::string& mdns = "off") {
  return R"({"mdns": {"provider": ")" + mdns + R"("}, "dns": {"ttl": "30s"}, "registries": [)" +
         registries + R"(], "services": [)" + services + "]}";
}

/// Two machines and the registries that they know.
struct Scene {
  sim::World world{1};
  FakeRegistry etcd{world, "etcd"}, consul{world, "consul"};
  Machine a{world, "a", "10.0.0.1/24"}, b{world, "b", "10.0.0.2/24"};

  Scene() {
    for (Machine* each : {&a, &b})
      each->make_engine = [this](Env& env, const RegistryConfig& registry,
                                 const std::string& writer) {
        return (registry.source() == registry::Source::etcd ? etcd : consul).make(env, writer);
      };
  }
  Reply web() { return b.ask("web.svc", dns::RrType::a); }
  registry::InstancePtr only() {
    const auto all = b.agent().registry().instances("web");
    return all.size() == 1 ? all.front() : nullptr;
  }
  static std::string json_of(const Agent& agent) {
    std::string text;
    json::Writer out(text);
    out.begin_object();
    agent.write_registries(out);
    out.end_object();
    return text;
  }
};

registries::Entry foreign(const std::string& service, const std::string& id,
                          const std::string& address) {
  registries::Entry entry{.key = "etcd x " + service + ' ' + id, .place = "http://etcd"};
  entry.service = service;
  entry.id = id;
  entry.port = 80;
  entry.addresses = {*IpAddress::parse(address)};
  return entry;
}

TEST_CASE("a registration reaches another network's DNS through a registry, and leaves it again") {
  Scene scene;
  REQUIRE(scene.a.start(config(kEtcd, R"({"name": "web", "id": "w1", "port": 80})")).empty());
  REQUIRE(scene.b.start(config(kEtcd, "")).empty());
  scene.world.advance(100ms);
  CHECK(scene.web().text() == "NOERROR 10.0.0.1");
  REQUIRE(scene.only());
  CHECK(scene.only()->places.front().detail->key == "/services/web/w1");
  // Draining is written before the link's goodbye, and before the agent ends.
  scene.a.stop();
  scene.world.advance(100ms);
  CHECK(scene.web().text() == "NODATA");
  CHECK(scene.etcd.entries().empty());
  scene.world.advance(1min);
  CHECK(scene.a.stopped());
}

TEST_CASE("only what other hosts can reach and what is healthy is written") {
  Scene scene;
  const std::string services = R"(
      {"name": "local", "port": 81, "scope": "host"}, {"name": "worker"},
      {"name": "bound", "port": 82, "address": "127.0.0.1"},
      {"name": "sick", "id": "s", "port": 83, "checks": [{"ttl": "10s"}]})";
  REQUIRE(scene.a.start(config(kEtcd, services)) == "");
  scene.world.advance(1s);
  CHECK(scene.etcd.entries().empty());
  REQUIRE(scene.a.agent().renew("s", "ttl", CheckHealth::passing, ""));
  scene.world.advance(1s);
  CHECK(scene.etcd.entries().size() == 1);
  scene.a.host().add_address("eth0", "10.0.1.1/24");
  scene.world.advance(1s);
  CHECK(scene.etcd.entries().begin()->second.addresses.size() == 2);
  REQUIRE(scene.a.agent().renew("s", "ttl", CheckHealth::critical, ""));
  scene.world.advance(1s);
  CHECK(scene.etcd.entries().empty());
}

TEST_CASE("LAN, etcd and Consul bring one instance and one answer, and each may die") {
  Scene scene;
  const std::string both = std::string(kEtcd) + ',' + kConsul;
  REQUIRE(
      scene.a.start(config(both, R"({"name": "web", "id": "w1", "port": 80})", "native")).empty());
  REQUIRE(scene.b.start(config(both, "", "native")).empty());
  scene.world.advance(10s);
  REQUIRE(scene.only());
  std::set<std::string_view> engines;
  for (const registry::SightedPlace& place : scene.only()->places)
    engines.insert(place.engine);
  CHECK(engines == std::set<std::string_view>{"mdns", "etcd", "consul"});
  CHECK(scene.only()->source == registry::Source::sighting);
  CHECK(scene.web().text() == "NOERROR 10.0.0.1");
  // Nothing that was read is written.
  for (const FakeRegistry* each : {&scene.etcd, &scene.consul})
    CHECK(each->entries().size() == 1);
  const auto still = [&] {
    CHECK(scene.web().text() == "NOERROR 10.0.0.1");
    CHECK(scene.web().extended_error > 0xffff);
    REQUIRE(scene.only());
    CHECK(scene.only()->id.text() == "w1");
  };
  scene.world.link("lan").quality.loss_percent = 100;
  scene.world.advance(2min);
  still();
  CHECK(scene.only()->source == registry::Source::consul);
  scene.consul.set_reachable(false);
  scene.world.advance(5s);
  still();
  CHECK(scene.only()->source == registry::Source::etcd);
  scene.etcd.set_reachable(false);
  scene.consul.set_reachable(true);
  scene.world.advance(5s);
  still();
  scene.world.link("lan").quality.loss_percent = 0;
  scene.consul.set_reachable(false);
  scene.world.advance(2min);
  still();
  CHECK(scene.only()->source == registry::Source::sighting);
}

TEST_CASE("while a registry cannot be reached, answers are stale, short and kept for its time") {
  Scene scene;
  scene.etcd.write(foreign("web", "w1", "10.9.0.1"));
  REQUIRE(scene.b.start(config(kEtcd, "")).empty());
  scene.world.advance(1s);
  CHECK(scene.web().ttl == 30);
  scene.etcd.set_reachable(false);
  scene.world.advance(1s);
  const Reply stale = scene.web();
  CHECK(stale.text() == "NOERROR 10.9.0.1");
  CHECK(stale.extended_error == 3);
  CHECK(stale.ttl <= 5);
  const std::string why = doors::explain(scene.b.agent(), "web").json;
  CHECK(why.find("etcd has not confirmed it since") != std::string::npos);
  CHECK(why.find("(connection refused); kept until") != std::string::npos);
  CHECK(Scene::json_of(scene.b.agent()).find(R"("state":"behind")") != std::string::npos);
  scene.etcd.set_reachable(true);
  scene.world.advance(1s);
  CHECK(scene.web().extended_error != 3);
  scene.etcd.set_reachable(false);
  scene.world.advance(9min);
  CHECK(scene.web().text() == "NOERROR 10.9.0.1");
  scene.world.advance(2min);
  CHECK(scene.web().text() == "NODATA");
}

TEST_CASE("an option decides how long entries are kept without their registry") {
  Scene scene;
  scene.etcd.write(foreign("web", "w1", "10.9.0.1"));
  std::string etcd = kEtcd;
  etcd.insert(etcd.find("\"endpoints\""), R"("keep": "0s", )");
  REQUIRE(scene.b.start(config(etcd, "")).empty());
  scene.world.advance(1s);
  CHECK(scene.web().text() == "NOERROR 10.9.0.1");
  // The same engine goes on.
  etcd.replace(etcd.find("0s"), 2, "forever");
  REQUIRE(scene.b.reload(config(etcd, "")).empty());
  CHECK(scene.b.refused_keys.empty());
  CHECK(scene.web().text() == "NOERROR 10.9.0.1");
  CHECK(scene.web().extended_error != 3);
  // Another one takes its place, and nothing is out of service meanwhile.
  etcd.insert(etcd.find("\"endpoints\""), R"("ttl": "20s", )");
  REQUIRE(scene.b.reload(config(etcd, "")).empty());
  CHECK(scene.web().text() == "NOERROR 10.9.0.1");
  CHECK(scene.web().extended_error == 3);
  scene.world.advance(1s);
  CHECK(scene.web().extended_error != 3);
  scene.etcd.set_reachable(false);
  scene.world.advance(24h * 30);
  CHECK(scene.web().text() == "NOERROR 10.9.0.1");
  REQUIRE(scene.b.reload(config("", "")).empty());
  scene.world.advance(1s);
  CHECK(scene.web().text() == "NODATA");
  CHECK(scene.etcd.engines() == 0);
}

TEST_CASE("a registry that suddenly lists nothing is asked twice more") {
  Scene scene;
  scene.etcd.write(foreign("web", "w1", "10.9.0.1"));
  scene.etcd.write(foreign("web", "w2", "10.9.0.2"));
  REQUIRE(scene.b.start(config(kEtcd, "")).empty());
  scene.world.advance(1s);
  scene.etcd.set_lying(true);
  scene.world.advance(5s);
  CHECK(scene.web().text() == "NOERROR 10.9.0.1 10.9.0.2");
  CHECK(scene.web().extended_error == 3);
  CHECK(Scene::json_of(scene.b.agent()).find(R"("doubted":true)") != std::string::npos);
  scene.etcd.set_lying(false);
  scene.world.advance(1s);
  CHECK(scene.web().extended_error != 3);
  scene.etcd.set_lying(true);
  scene.world.advance(9s);
  CHECK(scene.web().text() == "NOERROR 10.9.0.1 10.9.0.2");
  scene.world.advance(2s);
  CHECK(scene.web().text() == "NODATA");
}

TEST_CASE("a registry that suddenly lists nothing of one service is asked twice more") {
  Scene scene;
  scene.etcd.write(foreign("other", "o1", "10.9.0.9"));
  scene.etcd.write(foreign("web", "w1", "10.9.0.1"));
  scene.etcd.write(foreign("web", "w2", "10.9.0.2"));
  REQUIRE(scene.b.start(config(kEtcd, "")).empty());
  scene.world.advance(1s);
  scene.etcd.set_reachable(false);
  scene.etcd.erase("etcd x web w1");
  scene.etcd.erase("etcd x web w2");
  scene.world.advance(1s);
  scene.etcd.set_reachable(true);
  scene.world.advance(5s);
  CHECK(scene.web().text() == "NOERROR 10.9.0.1 10.9.0.2");
  CHECK(scene.web().extended_error == 3);
  scene.world.advance(7s);
  CHECK(scene.web().text() == "NODATA");
  CHECK(scene.b.ask("other.svc", dns::RrType::a).text() == "NOERROR 10.9.0.9");
}

TEST_CASE("after a registry lost its data, owners have the time to come back") {
  Scene scene;
  REQUIRE(scene.a.start(config(kEtcd, R"({"name": "web", "id": "w1", "port": 80})")).empty());
  scene.etcd.write(foreign("web", "w2", "10.9.0.2"));
  REQUIRE(scene.b.start(config(kEtcd, "")).empty());
  scene.world.advance(1s);
  scene.etcd.wipe();
  scene.world.advance(1s);
  CHECK(scene.web().text() == "NOERROR 10.0.0.1 10.9.0.2");
  scene.world.advance(10s);
  CHECK(scene.web().text() == "NOERROR 10.0.0.1 10.9.0.2");
  scene.world.advance(10s);
  CHECK(scene.web().text() == "NOERROR 10.0.0.1");
}

TEST_CASE("a dead agent's registrations end with its lease") {
  Scene scene;
  REQUIRE(scene.a.start(config(kEtcd, R"({"name": "web", "id": "w1", "port": 80})")).empty());
  REQUIRE(scene.b.start(config(kEtcd, "")).empty());
  scene.world.advance(1s);
  scene.a.kill();
  scene.world.advance(FakeRegistry::kTtl - 1s);
  CHECK(scene.web().text() == "NOERROR 10.0.0.1");
  scene.world.advance(2s);
  CHECK(scene.web().text() == "NODATA");
}

TEST_CASE("names and addresses of other programs become answers, or are left out") {
  Scene scene;
  scene.etcd.write(foreign("prod/order", "o1", "10.9.0.1"));
  scene.etcd.write(foreign("payment.order", "p1", "10.9.0.2"));
  scene.etcd.write(foreign("order", "o2", "10.9.0.3"));
  scene.etcd.write(foreign("loop", "l1", "127.0.0.1"));
  registries::Entry nameless = foreign("plain", "", "10.9.0.4");
  scene.etcd.write(nameless);
  std::string text = config(kEtcd, "");
  text.insert(text.find("\"ttl\": \"30s\""), R"("domains": ["svc", "rpc"], )");
  REQUIRE(scene.b.start(text).empty());
  scene.world.advance(1s);
  const auto ask = [&](const char* name) { return scene.b.ask(name, dns::RrType::a).text(); };
  CHECK(ask("order.rpc") == "NOERROR 10.9.0.3");
  CHECK(ask("payment.order.rpc") == "NOERROR 10.9.0.2");
  CHECK(ask("prod/order.rpc") == "NOERROR 10.9.0.1");
  CHECK(ask("prod-order.svc") == "NOERROR 10.9.0.1");
  CHECK(ask("loop.svc") == "NXDOMAIN");
  CHECK(ask("plain-10-9-0-4-80.plain.svc") == "NOERROR 10.9.0.4");
  for (const char* name : {"order.rpc", "payment.order.rpc", "prod/order.rpc", "prod/order"})
    CHECK_MESSAGE(doors::explain(scene.b.agent(), name).known, name);
}

TEST_CASE("ids of leases are longer than numbers of JSON, and shown as etcdctl shows them") {
  Scene scene;
  REQUIRE(scene.a.start(config(kEtcd, R"({"name": "web", "id": "w1", "port": 80})")).empty());
  scene.world.advance(1s);
  const std::string text = Scene::json_of(scene.a.agent());
  CHECK(text.find(R"("lease":"7587a01b2c3d4e5f")") != std::string::npos);
  CHECK(json::parse(text, 1U << 20).has_value());
}

TEST_CASE("what is left of leases is asked of the registries that have them") {
  Scene scene;
  registries::Entry first = foreign("web", "w1", "10.9.9.1"),
                    second = foreign("web", "w2", "10.9.9.2");
  first.where.lease = second.where.lease = 77;  // of different clusters
  second.key = "consul x web w2";
  second.place = "http://consul";
  scene.etcd.write(first);
  scene.consul.write(second);
  scene.etcd.lease_left = 14s + 900ms;
  scene.consul.lease_left = 3s;
  REQUIRE(scene.b.start(config(std::string(kEtcd) + ", " + kConsul, "")).empty());
  scene.world.advance(1s);
  Agent& agent = scene.b.agent();
  std::vector<doors::LeaseTimes> replies;
  const auto ask = [&](const std::vector<doors::LeaseName>& leases) {
    return agent.look_up_leases(
        leases, [&](doors::LeaseTimes times) { replies.push_back(std::move(times)); });
  };
  const doors::LeaseName one{"http://etcd", 77}, other{"http://consul", 77};
  auto token = ask({one, other});
  CHECK(replies.empty());
  scene.world.advance(10ms);
  REQUIRE(replies.size() == 1);
  CHECK(replies[0].at(one) == LeaseTime{.left = 14s + 900ms, .granted = FakeRegistry::kTtl});
  CHECK(replies[0].at(other) == LeaseTime{.left = 3s, .granted = FakeRegistry::kTtl});
  CHECK(ask({}) == nullptr);
  CHECK(ask({{"http://elsewhere", 77}}) == nullptr);
  scene.etcd.set_reachable(false);
  scene.world.advance(10ms);
  CHECK(ask({one}) == nullptr);
  token = ask({one, other});
  scene.world.advance(10ms);
  REQUIRE(replies.size() == 2);
  CHECK(replies[1].size() == 1);
  token = ask({other});
  token.reset();
  scene.world.advance(1s);
  CHECK(replies.size() == 2);
  CHECK(Scene::json_of(agent).find(R"("lease_left":"14s","lease_granted":"15s")") !=
        std::string::npos);
}

TEST_CASE("what people have to look at is a warning in the log, and its end is not") {
  Scene scene;
  for (const char* id : {"w1", "w2"})
    scene.etcd.write(foreign("web", id, std::string("10.9.0.") + id[1]));
  REQUIRE(scene.b.start(config(kEtcd, R"({"name": "own", "id": "o1", "port": 80})")).empty());
  scene.world.advance(1s);
  sim::CapturedLog& log = scene.b.host().log();
  const auto said = [&](const char* event) {
    scene.world.advance(1s);
    const std::string line = log.last(event);
    log.clear();
    return line;
  };
  const auto starts = [](const std::string& line, const std::string& start) {
    CHECK_MESSAGE(line.starts_with(start), line);
  };
  starts(said("source_changed"), "info source_changed source=etcd peer=http://etcd state=current");
  scene.etcd.set_reachable(false);
  starts(said("source_failed"),
         "warning source_failed source=etcd peer=http://etcd state=behind reason=connection");
  scene.etcd.set_reachable(true);
  starts(said("source_changed"), "info source_changed source=etcd peer=http://etcd state=current");
  scene.etcd.set_lying(true);
  starts(said("source_failed"), "warning source_failed source=etcd peer=http://etcd state=doubted");
  scene.etcd.set_lying(false);
  said("source_changed");
  scene.etcd.dispute("o1", "a program with lease 7");
  starts(said("source_failed"),
         "warning source_failed source=etcd peer=/services/own/o1 state=conflict");
  scene.etcd.dispute("o1", "");
  CHECK(log.count("source_failed") == 0);
}

TEST_CASE("a registration is shown with each place that it is written to, and who holds its key") {
  Scene scene;
  const std::string own = R"({"name": "own", "id": "o1", "port": 80})";
  REQUIRE(scene.b.start(config(std::string(kEtcd) + ", " + kConsul, own)).empty());
  scene.world.advance(1s);
  Agent& agent = scene.b.agent();
  const auto places = [&] {
    std::string text;
    for (const doors::WrittenPlace& place :
         agent.written_places(*agent.registry().find_own("o1"))) {
      text += (text.empty() ? "" : " | ") + std::string(place.engine) + ' ' + place.key + ' ' +
              std::string(place.state);
      if (place.lease != 0) text += ' ' + std::to_string(place.revision);
      if (place.lease_time) text += ' ' + format_duration(place.lease_time->granted);
      if (!place.reason.empty()) text += " <" + place.reason + '>';
    }
    return text;
  };
  const auto metrics = [&] {
    doors::Metrics out;
    agent.write_metrics(out);
    return out.text();
  };
  CHECK(places() == "etcd /services/own/o1 written 9 15s | consul /services/own/o1 written 9 15s");
  const std::string etcd = R"({registry="etcd",place="http://etcd"} )";
  CHECK(metrics().find("outrider_registry_written" + etcd + "1\n") != std::string::npos);
  CHECK(metrics().find("outrider_registry_conflicts" + etcd + "0\n") != std::string::npos);
  scene.etcd.dispute("o1", "the agent x");
  scene.consul.set_reachable(false);
  scene.world.advance(1s);
  CHECK(places() ==
        "etcd /services/own/o1 conflict <the agent x> | "
        "consul /services/own/o1 waiting 9 15s <connection refused>");
  CHECK(metrics().find("outrider_registry_conflicts" + etcd + "1\n") != std::string::npos);
  const auto explained = doors::explain(agent, "own");
  CHECK(explained.json.find(R"("state":"conflict","holder":"the agent x")") != std::string::npos);
  // What others have registered is not written.
  scene.etcd.write(foreign("web", "w1", "10.9.0.1"));
  scene.world.advance(1s);
  CHECK(agent.written_places(*agent.registry().instances("web").front()).empty());
}

TEST_CASE("a registry for which there is no client is reported") {
  Scene scene;
  scene.b.make_engine = nullptr;
  REQUIRE(scene.b.start(config(kConsul, "")).empty());
  CHECK(Scene::json_of(scene.b.agent()).find("this build has no client for it") !=
        std::string::npos);
  scene.b.stop();
  scene.world.advance(1min);
  CHECK(scene.b.stopped());
}

}  // namespace
}  // namespace outrider::test
