// SPDX-License-Identifier: Apache-2.0
// Two agents of one host: one has the registrations, the other one follows it over its API.
#include <doctest/doctest.h>

#include "agent/doors/api.h"
#include "agent/registry/served.h"
#include "tests/agent/machine.h"
#include "tests/base/http/client.h"

namespace outrider::test {
namespace {

constexpr const char* kConfig = R"({"mdns": {"provider": "off"}, "services": [
    {"name": "web", "id": "w", "port": 80},
    {"name": "fixed", "id": "f", "port": 81, "address": "10.0.0.1"},
    {"name": "gone", "id": "g", "port": 82, "checks": [{"ttl": "60s", "initial": "critical",
      "deregister_critical_after": "1s"}]}]})";

struct Scene {
  sim::World world;
  Machine a{world, "a", "10.0.0.1/24"};
  std::optional<doors::Api> api;
  std::optional<http::Server> server;
  std::optional<Agent> other;

  Scene() {
    REQUIRE(a.start(kConfig).empty());
    api.emplace(env(), a.agent(), doors::ApiOptions{});
    a.agent().watch([this](const registry::Changes& changes) { api->on_changes(changes); });
    http::ServerOptions on;
    on.on = kSocket;
    REQUIRE(server.emplace(env(), on, *api).start());
    const char* const config = R"({"mdns": {"provider": "off"}, "dns": {"listen": []}})";
    AgentParts parts{.host_name = "a", .host_identity = a.identity};
    parts.siblings = {[] { return std::vector<std::string>{kSocket.path}; },
                      [](auto) { return std::make_unique<Pending>(); }};
    auto read = make_config({.files = {{"b.json", config}}, .environment = {}, .sets = {}});
    REQUIRE(read);
    other.emplace(env(), std::move(*read), std::move(parts)).start();
    world.advance(1s);
  }
  Env& env() { return a.host().env(); }
  std::string at_other(const char* service) {
    std::string out;
    for (const registry::InstancePtr& instance : other->registry().instances(service))
      for (const IpAddress& address : registry::served_addresses(*instance, other->host()))
        out += address.to_string() + ' ';
    return out;
  }
  std::string ask(const std::string& path) { return Client(world, env(), kSocket).ask(get(path)); }
  static std::string get(const std::string& path) {
    return http::write_request("GET", path, "agent", {}, "", true);
  }
  static std::string header(const std::string& answer, const std::string& name) {
    const std::size_t at = answer.find(name + ": ") + name.size() + 2;
    return answer.substr(at, answer.find('\r', at) - at);
  }
  void move() {
    a.host().add_address("eth0", "10.0.0.9/24");
    a.host().remove_address("eth0", "10.0.0.1");
    world.advance(1s);
  }
};

TEST_CASE("an agent learns from its sibling that the addresses of their host have changed") {
  Scene scene;
  REQUIRE(scene.at_other("web") == "10.0.0.1 ");
  REQUIRE(scene.at_other("fixed") == "10.0.0.1 ");
  scene.move();
  CHECK(scene.at_other("web") == "10.0.0.9 ");
  CHECK(scene.at_other("fixed") == "10.0.0.1 ");
  CHECK(scene.a.ask("web.svc", dns::RrType::a).text() == "NOERROR 10.0.0.9");
}

TEST_CASE("clients that wait for a change are woken when the addresses of the host change") {
  Scene scene;
  const std::string index = "X-Consul-Index";
  const auto begin = [&](const std::string& path) {
    const std::string value = Scene::header(scene.ask(path), index);
    auto client = std::make_unique<Client>(scene.world, scene.env(), kSocket);
    REQUIRE(client->ask(Scene::get(path + "?wait=5m&index=" + value)).empty());
    return client;
  };
  const auto health = begin("/v1/health/service/web");
  const auto nodes = begin("/v1/catalog/nodes");
  const auto fixed = begin("/v1/health/service/fixed");
  const std::string hash = Scene::header(scene.ask("/v1/agent/service/w"), "X-Consul-ContentHash");
  Client service(scene.world, scene.env(), kSocket);
  REQUIRE(service.ask(Scene::get("/v1/agent/service/w?wait=5m&hash=" + hash)).empty());
  Client watch(scene.world, scene.env(), kSocket);
  watch.ask(Scene::get("/v1/outrider/watch"));
  scene.move();
  CHECK(health->take().find("10.0.0.9") != std::string::npos);
  CHECK(nodes->take().find("10.0.0.9") != std::string::npos);
  CHECK(service.take().find("10.0.0.9") != std::string::npos);
  CHECK(watch.take().find("10.0.0.9") != std::string::npos);
  CHECK(fixed->take().empty());
}

TEST_CASE("the history has one entry for new addresses of the host, whatever is registered") {
  Scene scene;
  const std::size_t before = scene.a.agent().history()->entries();
  scene.move();
  CHECK(scene.a.agent().history()->entries() == before + 1);
  CHECK(scene.a.host().log().count("health_changed") == 0);
}

}  // namespace
}  // namespace outrider::test
