// SPDX-License-Identifier: Apache-2.0
#include "agent/persistence.h"

#include <doctest/doctest.h>

#include "agent/doors/api.h"
#include "tests/agent/machine.h"
#include "tests/agent/registry/fixture.h"
#include "tests/base/http/client.h"

namespace outrider::test {
namespace {

constexpr const char* kQuiet = R"({"mdns": {"provider": "off"}})";
constexpr const char* kWeb = R"({"name": "web", "id": "w", "port": 80, "tags": ["a b"],
    "metadata": {"k": "v \"w\""}, "address": ["10.0.0.1"], "weight": 7})";
constexpr const char* kJob = R"({"name": "job", "id": "j", "port": 9,
    "checks": [{"ttl": "60s"}]})";

using registry::spec;

/// One machine whose agent can be killed and started again.
struct Life {
  sim::World world;
  sim::StateDisk disk;
  Machine a{world, "here", "10.0.0.1/24"};

  explicit Life(const std::string& config = kQuiet) {
    a.disk = &disk;
    start(config);
  }
  void start(const std::string& config = kQuiet) { REQUIRE(a.start(config).empty()); }
  void restart(const std::string& config = kQuiet) {
    a.kill();
    start(config);
    world.advance(10ms);
  }
  void put(const std::string& text) { REQUIRE(a.agent().put(spec(text))); }
  registry::InstancePtr find(const char* id) { return a.agent().registry().find_own(id); }
  /// True when the agent says that everything is kept.
  bool settle() {
    std::optional<std::string> why;
    a.agent().when_kept([&](const std::string& text) { why = text; });
    world.run_until([&] { return why.has_value(); }, 10s);
    return why && why->empty();
  }
  std::size_t logged(const char* event) { return a.host().log().count(event); }
};

TEST_CASE("what was registered over the API is there after kill -9, as it was") {
  Life life;
  life.put(kWeb);
  life.put(kJob);
  REQUIRE(life.settle());
  const auto before = life.find("w");
  life.restart();
  const auto after = life.find("w");
  REQUIRE(after);
  CHECK(after->description() == before->description());
  CHECK(after->addresses == before->addresses);
  CHECK(after->id.text() == "w");
  REQUIRE(life.find("j"));
  CHECK(life.find("j")->checks[0].spec == spec(kJob).checks[0]);
  CHECK(life.logged("state_restored") == 1);
  CHECK(life.a.ask("web.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1");
}

TEST_CASE("what was deregistered stays away, and what the configuration makes is not kept") {
  Life life(
      R"({"mdns": {"provider": "off"}, "services": [{"name": "own", "id": "o", "port": 1}]})");
  life.put(kWeb);
  REQUIRE(life.settle());
  REQUIRE(life.a.agent().remove("w"));
  REQUIRE(life.settle());
  CHECK(life.disk.text.find("own") == std::string::npos);
  life.restart();
  CHECK_FALSE(life.find("w"));
  CHECK_FALSE(life.find("o"));
}

TEST_CASE("the configuration goes before what was registered over the API") {
  Life life;
  life.put(kWeb);
  REQUIRE(life.settle());
  const std::string config = R"({"mdns": {"provider": "off"},
      "services": [{"name": "web", "id": "w", "port": 81}]})";
  life.restart(config);
  CHECK(life.find("w")->port == 81);
  REQUIRE(life.settle());
  life.restart();
  CHECK_FALSE(life.find("w"));  // it left with the configuration
}

TEST_CASE("maintenance survives, of configured services too") {
  const std::string config = R"({"mdns": {"provider": "off"},
      "services": [{"name": "own", "id": "o", "port": 1}]})";
  Life life(config);
  life.put(kWeb);
  for (const char* id : {"w", "o"})
    REQUIRE(life.a.agent().set_maintenance(id, true, "disk swap"));
  REQUIRE(life.settle());
  life.restart(config);
  for (const char* id : {"w", "o"}) {
    CHECK(life.find(id)->health == registry::Health::maintenance);
    CHECK(life.find(id)->maintenance_reason == "disk swap");
    REQUIRE(life.a.agent().set_maintenance(id, false, ""));
  }
  REQUIRE(life.settle());
  life.restart(config);
  CHECK(life.find("o")->health == registry::Health::passing);
}

TEST_CASE("ids of other programs survive, and so do checks and maintenance of the host") {
  Life life;
  const std::string foreign = "web/_a:10.0.0.1:80 b";
  registry::ServiceSpec web = spec(kWeb);
  web.id = registry::InstanceId::from_foreign(foreign);
  web.metadata = {{"Env", "1"}, {"env", "2"}};  // as Consul's Meta may have them
  web.tags = {"", "x"};
  REQUIRE(life.a.agent().put(web));
  registry::CheckSpec check = spec(kJob).checks[0];
  check.initial = CheckHealth::critical;
  REQUIRE(life.a.agent().put_check(registry::kNodeId, check));
  CHECK(life.a.ask("web.svc", dns::RrType::a).text() != "NOERROR 10.0.0.1");
  REQUIRE(life.a.agent().renew(registry::kNodeId, "ttl", CheckHealth::passing, "fine"));
  CHECK(life.a.ask("web.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1");
  REQUIRE(life.settle());
  life.world.advance(kRenewalDelay + 1s);
  life.restart();
  REQUIRE(life.find(foreign.c_str()));
  CHECK(life.find(foreign.c_str())->metadata == web.metadata);
  CHECK(life.find(foreign.c_str())->tags == web.tags);
  REQUIRE(life.find("_node")->checks.size() == 1);
  CHECK(life.find("_node")->checks[0].output == "fine");
  CHECK(life.a.ask("web.svc", dns::RrType::a).text() == "NOERROR 10.0.0.1");
  life.world.advance(61s);  // no heartbeat comes
  CHECK(life.find(foreign.c_str())->health == registry::Health::critical);

  REQUIRE(life.a.agent().remove_check(registry::kNodeId, "ttl"));
  REQUIRE(life.a.agent().set_maintenance(registry::kNodeId, true, "why"));
  REQUIRE(life.settle());
  life.restart();
  CHECK(life.find("_node")->maintenance_reason == "why");
  CHECK(life.find(foreign.c_str())->health == registry::Health::maintenance);
  CHECK_FALSE(life.find(foreign.c_str())->maintenance);
  REQUIRE(life.a.agent().set_maintenance(registry::kNodeId, false, ""));
  REQUIRE(life.settle());
  CHECK(life.disk.text.find("why") < life.disk.text.rfind("_node"));
  life.restart();
  CHECK(life.find(foreign.c_str())->health == registry::Health::passing);
  CHECK(life.logged("state_unreadable") == 0);
}

TEST_CASE("draining, as before a stop, is not kept") {
  Life life;
  life.put(kWeb);
  REQUIRE(life.settle());
  life.a.stop();
  life.world.advance(30s);
  REQUIRE(life.a.stopped());
  life.start();
  CHECK(life.find("w")->health == registry::Health::passing);
}

TEST_CASE("heartbeats keep what is left of their TTL") {
  Life life;
  life.put(kJob);
  REQUIRE(life.a.agent().renew("j", "ttl", CheckHealth::passing, "row 7"));
  REQUIRE(life.settle());
  life.world.advance(20s);
  REQUIRE(life.a.agent().renew("j", "ttl", CheckHealth::passing, "row 8"));
  life.world.advance(kRenewalDelay + 1s);
  life.restart();
  CHECK(life.find("j")->health == registry::Health::passing);
  CHECK(life.find("j")->checks[0].output == "row 8");
  life.world.advance(50s);
  CHECK(life.find("j")->health == registry::Health::passing);
  life.world.advance(5s);
  CHECK(life.find("j")->health == registry::Health::critical);
  CHECK(life.find("j")->checks[0].output == "no heartbeat for 1m");
}

TEST_CASE("a heartbeat whose TTL ended while the agent was away is critical") {
  Life life;
  life.put(kJob);
  REQUIRE(life.a.agent().renew("j", "ttl", CheckHealth::passing, ""));
  REQUIRE(life.settle());
  life.a.kill();
  life.world.advance(2min);
  life.start();
  life.world.advance(2s);
  CHECK(life.find("j")->health == registry::Health::critical);
}

TEST_CASE("changes of one turn share a write; renewals wait; what changes nothing is not written") {
  Life life;
  for (int i = 0; i < 50; ++i)
    life.put(R"({"name": "web", "port": 80, "id": "w)" + std::to_string(i) + "\"}");
  life.put(kJob);
  REQUIRE(life.settle());
  CHECK(life.disk.writes == 1);
  REQUIRE(life.a.agent().renew("j", "ttl", CheckHealth::passing, ""));
  REQUIRE(life.settle());
  const std::size_t writes = life.disk.writes;
  life.put(kWeb);
  REQUIRE(life.settle());
  CHECK(life.disk.writes == writes + 1);
  for (int i = 0; i < 8; ++i) {
    REQUIRE(life.a.agent().renew("j", "ttl", CheckHealth::passing, ""));
    life.world.advance(500ms);
  }
  CHECK(life.disk.writes == writes + 1);
  life.world.advance(kRenewalDelay);
  CHECK(life.disk.writes == writes + 2);
  life.world.advance(1min);
  CHECK(life.disk.writes <= writes + 3);  // its TTL has ended
}

TEST_CASE("the journal is replaced when most of it is outdated") {
  Life life;
  life.put(kJob);
  std::size_t longest = 0;
  for (int i = 0; i < 600; ++i) {
    life.put(R"({"name": "web", "id": "w", "port": )" + std::to_string(1 + i) + "}");
    REQUIRE(life.settle());
    longest = std::max(longest, life.disk.text.size());
  }
  CHECK(longest < kJournalBytesMin + 4'096);
  life.restart();
  CHECK(life.find("w")->port == 600);
  CHECK(life.find("j"));
}

TEST_CASE("a crash during a write leaves what was confirmed") {
  for (const unsigned percent : {0U, 10U, 50U, 99U, 100U}) {
    CAPTURE(percent);
    Life life;
    life.put(kWeb);
    REQUIRE(life.settle());
    life.disk.delay = 1s;
    life.disk.torn_percent = percent;
    life.put(kJob);
    life.world.advance(100ms);
    life.restart();
    CHECK(life.find("w"));
    CHECK(life.find("j").operator bool() == (percent == 100));
    CHECK(life.logged("state_unreadable") == 0);
    life.disk.delay = {};
    // The torn end does not spoil what follows.
    life.put(R"({"name": "later", "id": "l", "port": 1})");
    REQUIRE(life.settle());
    life.restart();
    CHECK(life.find("w"));
    CHECK(life.find("l"));
    CHECK(life.logged("state_unreadable") == 0);
  }
}

TEST_CASE("a full disk is said once, its changes are written when there is room") {
  Life life;
  life.put(kWeb);
  REQUIRE(life.settle());
  life.disk.full = "No space left on device";
  life.put(kJob);
  CHECK_FALSE(life.settle());
  life.world.advance(30s);
  CHECK(life.find("j"));
  CHECK(life.logged("state_failed") == 1);
  life.disk.full.clear();
  life.world.advance(kStateRetry);
  CHECK(life.logged("state_recovered") == 1);
  CHECK(life.settle());
  life.restart();
  CHECK(life.find("w"));
  CHECK(life.find("j"));
  CHECK(life.logged("state_unreadable") == 0);
}

TEST_CASE("a file that can only be read is read; the agent says that nothing more is kept") {
  Life life;
  life.put(kWeb);
  REQUIRE(life.settle());
  life.disk.unwritable = "Read-only file system";
  life.restart();
  CHECK(life.find("w"));
  CHECK(life.logged("state_failed") == 1);
  life.put(kJob);
  CHECK(life.settle());  // nothing was promised
  CHECK(life.disk.text.find("job") == std::string::npos);
  life.disk.unwritable.clear();
  life.world.advance(kStateRetry + 1s);
  CHECK(life.disk.text.find("job") != std::string::npos);
  CHECK(life.logged("state_recovered") == 1);
}

TEST_CASE("a registration with an id like the short form of another one's is kept as itself") {
  Life life(R"({"mdns": {"provider": "off"}, "services": [{"name": "web", "port": 80}]})");
  const std::string automatic = life.a.agent().registry().own()[0]->id.text();
  const std::string short_id = life.a.agent().registry().own()[0]->short_id;
  REQUIRE(automatic.starts_with(short_id + '-'));
  life.put(R"({"name": "web", "id": ")" + short_id + R"(", "port": 81})");
  REQUIRE(life.settle());
  life.restart(R"({"mdns": {"provider": "off"}, "services": [{"name": "web", "port": 80}]})");
  REQUIRE(life.a.agent().registry().own_count() == 2);
  CHECK(life.a.agent().registry().find_exact(short_id)->port == 81);
  // Once it is gone, nothing is kept under its id.
  REQUIRE(life.a.agent().remove(short_id));
  REQUIRE(life.settle());
  life.restart(R"({"mdns": {"provider": "off"}, "services": [{"name": "web", "port": 80}]})");
  CHECK(life.a.agent().registry().own_count() == 1);
}

TEST_CASE("while another agent has the file, it is waited for") {
  Life life;
  life.put(kWeb);
  REQUIRE(life.settle());
  life.disk.held = true;
  life.restart();
  CHECK_FALSE(life.find("w"));
  life.put(kJob);
  CHECK(life.settle());
  life.disk.held = false;
  life.world.advance(kStateRetry + 1s);
  CHECK(life.find("w"));
  REQUIRE(life.settle());
  life.restart();
  CHECK(life.find("w"));
  CHECK(life.find("j"));
}

TEST_CASE("what cannot be read is kept aside, and the rest is used") {
  struct Row {
    const char* what;
    std::string text;
    bool kept_aside, has_web;
  };
  Life writer;
  writer.put(kWeb);
  REQUIRE(writer.settle());
  const std::string good = writer.disk.text;
  const std::size_t first = good.find('\n') + 1;
  const std::string head = good.substr(0, first), line = good.substr(first);
  for (const Row& row : std::initializer_list<Row>{
           {"as written", good, false, true},
           {"empty", "", false, false},
           {"only a part of the head", head.substr(0, 9), false, false},
           {"garbage", "\x01\x02garbage", true, false},
           {"zeros", std::string(4'096, '\0'), true, false},
           {"another program's", "{\"a\":1}\n" + line, true, false},
           {"a newer version", "{\"outrider\":\"registrations\",\"version\":2}\n" + line, true,
            false},
           {"a damaged line", head + "{\"id\":\"x\",\"service\":{\"nam\n" + line, true, true},
           {"an unknown key",
            head + R"({"id":"x","service":{"name":"x","id":"x","new":1}})" + '\n' + line, true,
            true},
           {"another id inside",
            head + R"({"id":"x","service":{"name":"x","id":"y"}})" + '\n' + line, true, true},
           {"a torn end", good + line.substr(0, 20), false, true},
           {"many zeros at the end", good + std::string(100, '\0'), false, true},
       }) {
    CAPTURE(row.what);
    Life life;
    life.disk.text = row.text;
    life.restart();
    CHECK(life.find("w").operator bool() == row.has_web);
    CHECK(life.logged("state_unreadable") == (row.kept_aside ? 1 : 0));
    CHECK(life.disk.asides ==
          (row.kept_aside ? std::vector{row.text} : std::vector<std::string>()));
    // From here on all is well.
    life.put(kJob);
    REQUIRE(life.settle());
    life.restart();
    CHECK(life.find("j"));
    CHECK(life.find("w").operator bool() == row.has_web);
    CHECK(life.logged("state_unreadable") == (row.kept_aside ? 1 : 0));
  }
}

TEST_CASE("the status says why nothing is kept, and what could not be read") {
  const auto status = [](Life& life) {
    std::string text;
    json::Writer out(text);
    out.begin_object();
    life.a.agent().write_status(out);
    out.end_object();
    auto whole = json::parse(text, json::kBodyBytesMax);
    REQUIRE(whole);
    return *whole->find("persistence");
  };
  Life life;
  CHECK(*status(life).find("wanted")->as_bool());
  CHECK(status(life).find("unreadable")->as_array()->empty());
  life.a.kill();
  life.disk.text = "garbage\n";
  life.disk.unwritable = "read-only";
  life.start();
  CHECK(*status(life).find("failure")->as_string() == "read-only");
  CHECK_FALSE(*status(life).find("held")->as_bool());
  life.a.kill();
  life.disk.unwritable.clear();
  life.start();
  CHECK(status(life).find("unreadable")->as_array()->size() == 1);
  life.a.kill();
  life.disk.held = true;
  life.start();
  CHECK(*status(life).find("held")->as_bool());
  life.restart(R"({"mdns": {"provider": "off"}, "api": {"persist": false}})");
  CHECK_FALSE(*status(life).find("wanted")->as_bool());
}

TEST_CASE("what can be read of a damaged file outlives a crash before the file is replaced") {
  for (const std::string full : {"", "No space left on device"}) {
    CAPTURE(full);
    Life life;
    life.put(kWeb);
    REQUIRE(life.settle());
    life.disk.text += "garbage\n";
    const std::string damaged = life.disk.text;
    life.disk.delay = 1s;
    life.disk.full = full;
    life.restart();
    CHECK(life.find("w"));
    life.disk.delay = {};
    life.restart();
    CHECK(life.find("w"));
    CHECK(life.disk.asides == std::vector{damaged});
    life.disk.full.clear();
    life.world.advance(kStateRetry);
    life.restart();
    CHECK(life.find("w"));
    CHECK(life.disk.text.find("garbage") == std::string::npos);
  }
}

TEST_CASE("no more registrations are read than fit") {
  std::string text = "{\"outrider\":\"registrations\",\"version\":1}\n";
  for (std::size_t i = 0; i <= kSavedMax; ++i) {
    const std::string id = "w" + std::to_string(i);
    text += R"({"id":")" + id + R"(","service":{"name":"web","id":")" + id + "\"}}\n";
  }
  sim::World world;
  sim::StateDisk disk{.text = text};
  const registry::Registry registry("here");
  Persistence persistence(world.env(), registry,
                          std::make_unique<sim::SimStateFile>(world.env(), disk));
  std::size_t restored = 0;
  persistence.start([&](std::vector<Persistence::Saved> saved) { restored = saved.size(); });
  CHECK(restored == kSavedMax);
  CHECK(disk.asides.size() == 1);
}

TEST_CASE("a full journal in which one registration replaced another is read whole") {
  sim::World world;
  sim::StateDisk disk;
  registry::Registry registry("here");
  const auto put = [&](const std::string& id) {
    REQUIRE(registry.put(spec(R"({"name":"web","id":")" + id + R"("})"), {world.now(), {}}));
  };
  const auto open = [&] {
    return std::make_unique<Persistence>(world.env(), registry,
                                         std::make_unique<sim::SimStateFile>(world.env(), disk));
  };
  auto persistence = open();
  persistence->start([](std::vector<Persistence::Saved>) {});
  for (std::size_t i = 0; i < registry::kRegistrationsMax; ++i)
    put("w" + std::to_string(i));
  REQUIRE(registry.set_maintenance(registry::kNodeId, true, "", {world.now(), {}}));
  for (const registry::InstancePtr& instance : registry.own())
    persistence->touch(instance->id.text());
  persistence->touch(registry::kNodeId);
  world.advance(1s);
  REQUIRE(registry.remove("w7", {world.now(), {}}));
  put("a");
  persistence->touch("a");
  persistence->touch("w7");
  world.advance(1s);
  persistence.reset();
  persistence = open();
  std::set<std::string> ids;
  persistence->start([&](std::vector<Persistence::Saved> saved) {
    for (const Persistence::Saved& one : saved)
      ids.insert(one.id);
  });
  CHECK(ids.size() == kSavedMax);
  CHECK(ids.contains("a"));
  CHECK_FALSE(ids.contains("w7"));
  CHECK(disk.asides.empty());
}

TEST_CASE("over the API, an answer waits for the disk, and says when it cannot be kept") {
  Life life;
  doors::Api api(life.a.host().env(), life.a.agent(), {});
  life.a.agent().watch([&](const registry::Changes& changes) { api.on_changes(changes); });
  http::ServerOptions on;
  on.on = kSocket;
  http::Server server(life.a.host().env(), on, api);
  REQUIRE(server.start());
  const auto request = [](const char* method, const char* path, const char* body) {
    return http::write_request(method, path, "agent", {}, body, true);
  };
  life.disk.delay = 300ms;
  Client client(life.world);
  CHECK(client.ask(request("PUT", "/v1/outrider/register", kWeb)).empty());
  CHECK(life.find("w"));
  CHECK(status_of(Client(life.world).ask(request("GET", "/v1/outrider/instances", ""))) == "200");
  life.world.advance(300ms);
  CHECK(status_of(client.take()) == "200");
  CHECK(life.disk.text.find("\"w\"") != std::string::npos);

  life.disk.full = "No space left on device";
  life.disk.delay = {};
  const char* job = R"({"Name": "job", "Port": 1})";
  const std::string refused = client.ask(request("PUT", "/v1/agent/service/register", job));
  CHECK(status_of(refused) == "500");
  CHECK(refused.find("No space left on device") != std::string::npos);
  CHECK(life.find("job"));
  // A heartbeat that changes no state need not be kept.
  life.disk.full.clear();
  life.world.advance(kStateRetry);
  life.put(R"({"name": "beat", "id": "beat", "port": 9,
      "checks": [{"ttl": "60s", "initial": "passing"}]})");
  REQUIRE(life.settle());
  life.disk.full = "No space left on device";
  CHECK(status_of(client.ask(request("PUT", "/v1/outrider/register", kJob))) == "500");
  CHECK(status_of(client.ask(request("PUT", "/v1/agent/check/pass/service:beat", ""))) == "200");
  CHECK(status_of(client.ask(request("PUT", "/v1/agent/check/fail/service:beat", ""))) == "500");
  // What is only asked is answered as ever; a client that leaves meanwhile is no matter.
  CHECK(status_of(client.ask(request("GET", "/v1/outrider/instances", ""))) == "200");
  life.disk.delay = 1s;
  { Client(life.world).send(request("PUT", "/v1/outrider/register", kJob)); }
  life.world.advance(2s);
  CHECK(life.find("j"));
}

TEST_CASE("Consul's clients keep the checks of the registration with their id, of no other one") {
  Life life(R"({"mdns": {"provider": "off"}, "services": [{"name": "web", "port": 80,
      "checks": [{"tcp": "10.9.9.9:22", "allow_remote": true}]}]})");
  doors::Api api(life.a.host().env(), life.a.agent(), {});
  http::ServerOptions on;
  on.on = kSocket;
  http::Server server(life.a.host().env(), on, api);
  REQUIRE(server.start());
  const std::string short_id = life.a.agent().registry().own()[0]->short_id;
  const std::string body = R"({"Name": "web", "ID": ")" + short_id + R"(", "Port": 81})";
  CHECK(status_of(Client(life.world)
                      .ask(http::write_request("PUT", "/v1/agent/service/register", "agent", {},
                                               body, true))) == "200");
  const auto registered = life.a.agent().registry().find_exact(short_id);
  REQUIRE(registered);
  CHECK(registered->checks.empty());
}

}  // namespace
}  // namespace outrider::test
