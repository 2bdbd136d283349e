// SPDX-License-Identifier: Apache-2.0
// Programs that only know etcd, beside agents of a simulated LAN.
#include <doctest/doctest.h>

#include "agent/doors/why.h"
#include "base/http/parser.h"
#include "registries/etcd/etcd_engine.h"
#include "tests/agent/machine.h"
#include "tests/base/http/client.h"

namespace outrider::test {
namespace {

namespace etcd = registries::etcd;

constexpr const char* kDoor = R"({"api": {"etcd_listen": "127.0.0.1:2379"}, "dns": {"ttl": "1s"}})";
constexpr const char* kQuietDoor =
    R"({"mdns": {"provider": "off"}, "api": {"etcd_listen": "127.0.0.1:2379"}})";
constexpr const char* kPlain = R"({"dns": {"ttl": "1s"}})";

std::string value_at(const std::string& address, int port) {
  return R"({"id":"w1","name":"web","version":"v1","metadata":{},"endpoints":["http://)" + address +
         ':' + std::to_string(port) + "\"]}";
}

/// A program on a machine that has etcd configured at localhost.
class Program {
 public:
  Program(sim::World& world, Machine& machine) : world_(world), machine_(machine) {}

  std::optional<etcd::Answer> call(const std::string& path, const std::string& body) {
    Client client(world_, machine_.host().env(), *Endpoint::parse("127.0.0.1:2379"));
    const std::string answer =
        client.ask(http::write_request("POST", path, "127.0.0.1:2379", {}, body, true));
    if (status_of(answer) != "200") return std::nullopt;
    std::string text = body_of(answer);
    // Of a keepalive.
    if (text.starts_with(R"({"result":)")) text = text.substr(10, text.rfind('}') - 10);
    return etcd::read_answer(text, etcd::kAnswerBytesMax);
  }
  bool enroll(const std::string& key, const std::string& value, Duration ttl = 10s) {
    const auto granted = call("/v3/lease/grant", etcd::grant_request(ttl));
    if (!granted) return false;
    lease = granted->lease;
    const etcd::KeyValue kv{.key = key, .value = value};
    const auto put = call("/v3/kv/txn", etcd::put_request({{&kv, 0}}, lease));
    return put && put->succeeded;
  }
  bool keep_alive() {
    const auto answer = call("/v3/lease/keepalive", etcd::lease_request(lease));
    return answer && answer->ttl > 0;
  }
  std::vector<etcd::KeyValue> list(const std::string& prefix) {
    const auto answer =
        call("/v3/kv/range", etcd::range_request(prefix, etcd::end_of_prefix(prefix), 0, 0));
    return answer ? answer->kvs : std::vector<etcd::KeyValue>();
  }
  std::int64_t lease = 0;

 private:
  sim::World& world_;
  Machine& machine_;
};

struct Scene {
  sim::World world{3};
  sim::StateDisk disk, registrations;
  Machine a{world, "a", "10.0.0.1/24"}, b{world, "b", "10.0.0.2/24"}, c{world, "c", "10.0.0.3/24"};
  Program on_a{world, a}, on_b{world, b};

  Scene() {
    a.etcd_disk = &disk;
    a.disk = &registrations;
  }
  registry::InstancePtr own(const char* id) { return a.agent().registry().find_own(id); }
};

TEST_CASE("what a program puts at one host is found at another, by etcd's clients and by DNS") {
  Scene scene;
  REQUIRE(scene.a.start(kDoor).empty());
  REQUIRE(scene.b.start(kDoor).empty());
  REQUIRE(scene.c.start(kPlain).empty());
  scene.world.advance(2s);
  REQUIRE(scene.on_a.enroll("/microservices/web/w1", value_at("10.0.0.1", 8080)));
  scene.world.advance(2s);
  REQUIRE(scene.on_b.list("/microservices/web").size() == 1);
  CHECK(scene.on_b.list("/microservices/web")[0].key == "/microservices/web/w1");
  REQUIRE(scene.on_b.list("web.rpc/").size() == 1);
  CHECK(scene.on_b.list("web.rpc/")[0].value == "10.0.0.1:8080");
  CHECK(scene.c.ask("web.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1");
  CHECK(scene.a.ask("web.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1");

  for (int i = 0; i < 5; ++i) {
    scene.world.advance(3s);
    REQUIRE(scene.on_a.keep_alive());
  }
  CHECK(scene.on_b.list("/microservices/web").size() == 1);
  scene.world.advance(11s);  // the program died
  CHECK_FALSE(scene.on_a.keep_alive());
  CHECK(scene.on_b.list("/microservices/web").empty());
  CHECK(scene.c.ask("web.svc", dns::RrType::a).text() == "NODATA");
}

TEST_CASE("status and metrics tell what the door has and what its clients do") {
  Scene scene;
  REQUIRE(scene.a.start(kDoor).empty());
  scene.world.advance(2s);
  REQUIRE(scene.on_a.enroll("/microservices/web/w1", value_at("10.0.0.1", 8080)));
  REQUIRE(scene.on_a.list("/services/").size() == 1);
  CHECK_FALSE(scene.on_a.call("/v3/kv/compaction", "{}"));
  std::string text;
  {
    json::Writer out(text);
    out.begin_object();
    scene.a.agent().write_status(out);
    out.end_object();
  }
  const auto status = json::parse(text, 1U << 20);
  REQUIRE(status.has_value());
  const json::Value* door = status->find("etcd_door");
  REQUIRE(door != nullptr);
  for (const auto& [key, wanted] : std::map<std::string, std::string>{{"own_keys", "1"},
                                                                      {"shown_keys", "1"},
                                                                      {"scratch_keys", "0"},
                                                                      {"leases", "1"},
                                                                      {"watches", "0"},
                                                                      {"requests", "4"},
                                                                      {"refused", "1"}}) {
    CAPTURE(key);
    REQUIRE(door->find(key) != nullptr);
    CHECK(*door->find(key)->as_int() == std::stoll(wanted));
  }
  doors::Metrics metrics;
  scene.a.agent().write_metrics(metrics);
  CHECK(metrics.text().find("outrider_etcd_door_requests_total 4\n") != std::string::npos);
  CHECK(metrics.text().find("outrider_etcd_door_leases 1\n") != std::string::npos);
}

TEST_CASE("an agent that is killed and started again has lost nothing of the door") {
  Scene scene;
  REQUIRE(scene.a.start(kQuietDoor).empty());
  scene.world.advance(1s);
  REQUIRE(scene.on_a.enroll("/microservices/web/w1", value_at("10.0.0.1", 8080)));
  REQUIRE(scene.a.agent().set_maintenance("w1", true, "upgrade").has_value());
  scene.world.advance(1s);
  scene.a.kill();
  scene.world.advance(2s);
  REQUIRE(scene.a.start(kQuietDoor).empty());
  scene.world.advance(1s);
  REQUIRE(scene.own("w1"));
  CHECK(scene.own("w1")->door->lease == scene.on_a.lease);
  // What people have set stays, too, and it is registered once.
  CHECK(scene.own("w1")->maintenance);
  CHECK(scene.a.agent().registry().own_count() == 1);
  CHECK(scene.on_a.keep_alive());
  REQUIRE(scene.a.agent().set_maintenance("w1", false, "").has_value());
  CHECK(scene.on_a.list("/microservices/web").size() == 1);
}

TEST_CASE("while the agent drains, its clients' keys stay for the next agent") {
  Scene scene;
  REQUIRE(scene.a.start(kQuietDoor).empty());
  scene.world.advance(1s);
  REQUIRE(scene.on_a.enroll("/microservices/web/w1", value_at("10.0.0.1", 8080)));
  scene.a.stop();
  scene.world.advance(100ms);
  CHECK(scene.on_a.list("/microservices/web").size() == 1);
  CHECK(scene.on_a.keep_alive());
  scene.world.run_until([&] { return scene.a.stopped(); }, 60s);
  REQUIRE(scene.a.start(kQuietDoor).empty());
  scene.world.advance(1s);
  REQUIRE(scene.own("w1"));
  CHECK(scene.own("w1")->health == Health::passing);
  CHECK(scene.on_a.keep_alive());
}

TEST_CASE("a port that a real etcd has is said so, and tried again until it is free") {
  Scene scene;
  auto taken = std::make_unique<sim::HttpServer>(scene.a.host().env(), 2379);
  REQUIRE(scene.a.start(kQuietDoor).empty());
  scene.world.advance(12s);
  CHECK(scene.a.host().log().count("api_listen_failed") == 1);
  CHECK(scene.a.host().log().last("api_listen_failed").find("127.0.0.1:2379") != std::string::npos);
  taken.reset();
  scene.world.advance(kEtcdListenRetry);
  CHECK(scene.on_a.enroll("/microservices/web/w1", value_at("10.0.0.1", 8080)));
}

TEST_CASE("people see which door a registration came through, and why it is answered") {
  Scene scene;
  REQUIRE(scene.a.start(kQuietDoor).empty());
  scene.world.advance(1s);
  REQUIRE(scene.on_a.enroll("/microservices/web/w1", value_at("10.0.0.1", 8080)));
  const std::string why = doors::explain(scene.a.agent(), "web").json;
  CHECK(why.find(R"("door":"etcd","key":"/microservices/web/w1")") != std::string::npos);
  CHECK(why.find("in the answer: passing") != std::string::npos);
  REQUIRE(scene.a.agent().set_draining("w1", true).has_value());
  CHECK(scene.on_a.list("/microservices/web").empty());
  CHECK(scene.a.ask("web.svc", dns::RrType::a).text() == "NODATA");
}

TEST_CASE("an agent's own engine works with another agent's door as with etcd") {
  Scene scene;
  // Both on one host, which the door is for; b has no mDNS and knows a by its door alone.
  REQUIRE(scene.a.start(kDoor).empty());
  scene.world.advance(1s);
  REQUIRE(scene.on_a.enroll("/microservices/web/w1", value_at("10.0.0.1", 8080), 60s));
  sim::Host& host = scene.a.host();
  etcd::Options options{.endpoints = {"http://127.0.0.1:2379"},
                        .layouts = {},
                        .user = {},
                        .password_file = {},
                        .writer = "b"};
  options.layouts.kratos = etcd::KratosLayout{};
  struct Reader final : registries::Engine::Sink {
    std::map<std::string, std::string> seen;  // id by key
    std::string state;
    void on_listed(const std::string&, std::vector<registries::Entry> entries) override {
      seen.clear();
      for (const registries::Entry& entry : entries)
        seen[entry.key] = entry.id;
    }
    void on_sighting(registries::Entry entry) override { seen[entry.key] = entry.id; }
    void on_lost(const std::string&, const std::string& key) override { seen.erase(key); }
    void on_state(const std::string&, registries::PlaceState now, const std::string&) override {
      state = to_string(now);
    }
    std::string ids() const {
      std::string text;
      for (const auto& [key, id] : seen)
        text += id + ' ';
      return text;
    }
  } reader;
  auto engine = std::make_unique<etcd::EtcdEngine>(host.env(), options, nullptr);
  engine->start(reader);
  registries::Entry job{.key = "j1"};
  job.service = "job";
  job.id = "j1";
  job.port = 9;
  job.protocol = "http";
  job.addresses = {*IpAddress::parse("10.0.0.9")};
  engine->put(job);
  scene.world.advance(3s);
  CHECK(reader.state == "current");
  CHECK(reader.ids() == "w1 ");
  REQUIRE(scene.own("j1"));
  CHECK(scene.own("j1")->scope == registry::Scope::host);  // the other agent announces it
  scene.world.advance(60s);
  CHECK(scene.own("j1"));        // kept alive
  CHECK_FALSE(scene.own("w1"));  // its program was not
  CHECK(reader.ids().empty());
  REQUIRE(scene.on_a.enroll("/microservices/web/w2", value_at("10.0.0.1", 8081), 60s));
  scene.world.advance(100ms);
  CHECK(reader.ids() == "w1 ");  // as its value says
  bool done = false;
  engine->stop([&] { done = true; });
  scene.world.advance(1s);
  CHECK(done);
  CHECK_FALSE(scene.own("j1"));
  engine.reset();
  scene.world.advance(1s);
}

}  // namespace
}  // namespace outrider::test
