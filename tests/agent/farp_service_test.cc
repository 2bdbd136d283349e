// SPDX-License-Identifier: Apache-2.0
#include "agent/farp_service.h"

#include <doctest/doctest.h>

#include "base/http/client.h"
#include "base/text_file.h"
#include "tests/sim/world.h"

using namespace outrider;

namespace {

struct Scene {
  sim::World world{5};
  sim::Host& host = world.host("box");
  FarpConfig config;
  registry::Registry registry{"box"};
  http::Clients clients{host.env()};
  std::unique_ptr<FarpService> farp;
  std::vector<std::uint16_t> ports;  // as announced

  explicit Scene(std::vector<Endpoint> listen = {}) {
    config.listen = std::move(listen);
    host.attach("eth0", world.link("lan"), {"10.0.0.1/24"});
    farp = std::make_unique<FarpService>(host.env(), config, registry, clients);
    farp->on_port_changed([this] { ports.push_back(farp->port()); });
    farp->set_host({"box", {*IpAddress::parse("10.0.0.1")}, {*Prefix::parse("10.0.0.1/24")}});
  }
  ~Scene() {
    farp.reset();
    world.settle();
  }
  registry::Moment now() { return {world.now(), {}}; }
  void put(const std::string& text) {
    const auto spec = registry::ServiceSpec::parse(*json::parse(text, 1U << 16), {},
                                                   registry::ServiceSpec::Files::allowed);
    REQUIRE(spec);
    farp->apply(*registry.put(*spec, now()));
  }
  void remove(const char* id) { farp->apply(*registry.remove(id, now())); }
  void set_check(const char* id, CheckHealth health) {
    farp->apply(*registry.set_check(id, "ttl", health, "", now()));
  }

  /// "HTTP 200: body", or why there is no answer.
  std::string get(const std::string& path, const char* at = "10.0.0.1:5371") {
    http::ClientRequest request;
    request.to = *Endpoint::parse(at);
    request.target = path;
    request.timeout = 1s;
    std::optional<std::string> text;
    const auto pending = http::fetch(host.env(), std::move(request), [&](auto answer) {
      text = answer ? std::to_string(answer->status) + ' ' + answer->body
                    : std::string(to_string(answer.error().network));
    });
    world.advance(1100ms);
    return text.value_or("nothing");
  }
};

/// Holds a port, as another program does.
struct Holder final : Listener::Sink {
  std::unique_ptr<Listener> listener;
  Holder(Scene& scene, const char* on) {
    auto listening = scene.host.env().network.listen({.on = *Endpoint::parse(on)}, *this);
    REQUIRE(listening);
    listener = std::move(*listening);
  }
  void on_accept(std::unique_ptr<Stream>) override {}
};

constexpr const char* kHello = R"({"name":"hello","id":"h1","port":8123,"farp":{}})";

}  // namespace

TEST_CASE("the port is open while a registration has FARP, and opens again") {
  Scene scene;
  scene.put(R"({"name":"plain","id":"p","port":80})");
  CHECK(scene.get("/_farp/manifest") == "connection refused");
  scene.put(kHello);
  CHECK(scene.get("/_farp/hello/h1/manifest").starts_with("200 "));
  scene.put(R"({"name":"hello","id":"h2","port":8124,"farp":{}})");
  scene.remove("h1");
  CHECK(scene.get("/_farp/hello/h2/manifest").starts_with("200 "));
  CHECK(scene.ports == std::vector<std::uint16_t>{5371});
  // Registered again without FARP: that too is the last one leaving.
  scene.put(R"({"name":"hello","id":"h2","port":8124})");
  CHECK(scene.get("/_farp/manifest") == "connection refused");
  CHECK(scene.ports == std::vector<std::uint16_t>{5371, 0});
  scene.put(kHello);
  CHECK(scene.get("/_farp/hello/h1/manifest").starts_with("200 "));
  CHECK(scene.ports == std::vector<std::uint16_t>{5371, 0, 5371});
}

TEST_CASE("the manifest of the only registration needs no id; of several, one has to be named") {
  Scene scene;
  CHECK_FALSE(scene.farp->manifest(""));
  scene.put(kHello);
  CHECK(scene.farp->manifest(""));
  scene.put(R"({"name":"plain","id":"a","port":80})");
  CHECK(scene.farp->manifest(""));
  scene.put(R"({"name":"hello","id":"h2","port":8124,"farp":{}})");
  CHECK_FALSE(scene.farp->manifest(""));
  CHECK(scene.farp->manifest("h2"));
  scene.remove("h1");
  CHECK(scene.farp->manifest(""));
}

TEST_CASE("two instances of one service are two manifests") {
  Scene scene;
  scene.put(kHello);
  scene.put(R"({"name":"hello","id":"h2","port":8124,"farp":{}})");
  CHECK(scene.get("/_farp/hello/h1/manifest").find("\"10.0.0.1:8123\"") != std::string::npos);
  CHECK(scene.get("/_farp/hello/h2/manifest").find("\"10.0.0.1:8124\"") != std::string::npos);
}

TEST_CASE("an address that cannot be bound is tried again while the others serve") {
  Scene scene({*Endpoint::parse("10.0.0.1:5371"), *Endpoint::parse("127.0.0.1:5371"),
               *Endpoint::parse("10.0.0.77:5371")});
  auto holder = std::make_unique<Holder>(scene, "127.0.0.1:5371");
  scene.put(kHello);
  CHECK(scene.get("/_farp/manifest").starts_with("200 "));
  scene.world.advance(1min);
  CHECK(scene.host.log().count("farp_listen_failed") == 2);  // once for each
  holder.reset();
  scene.world.advance(kFarpListenRetry);
  CHECK(scene.get("/_farp/manifest", "127.0.0.1:5371").starts_with("200 "));
  scene.host.attach("eth1", scene.world.link("other"), {"10.0.0.77/24"});
  scene.world.advance(kFarpListenRetry);
  CHECK(scene.get("/_farp/manifest", "10.0.0.77:5371").starts_with("200 "));
  CHECK(scene.ports == std::vector<std::uint16_t>{5371});
}

TEST_CASE("if no address can be bound at first, the port is announced as soon as one is") {
  Scene scene({*Endpoint::parse("127.0.0.1:5371")});
  auto holder = std::make_unique<Holder>(scene, "127.0.0.1:5371");
  scene.put(kHello);
  CHECK(scene.ports.empty());
  holder.reset();
  scene.world.advance(kFarpListenRetry);
  CHECK(scene.ports == std::vector<std::uint16_t>{5371});
  // Nothing is tried any more for a registration that left.
  scene.remove("h1");
  holder = std::make_unique<Holder>(scene, "127.0.0.1:5371");
  scene.put(kHello);
  scene.remove("h1");
  holder.reset();
  scene.world.advance(1min);
  CHECK(scene.get("/_farp/manifest", "127.0.0.1:5371") == "connection refused");
}

TEST_CASE("schemas in files are read when they are named and on reload, not when health changes") {
  Scene scene;
  const std::string file = std::string(TEST_SCRATCH) + "/farp_service_schema.json";
  REQUIRE(write_text_file(file, R"({"openapi":"3.0.0"})"));
  scene.put(R"({"name":"hello","id":"h1","port":8123,"checks":[{"ttl":"1h"}],
                "farp":{"openapi":"file:)" +
            file + "\"}}");
  scene.set_check("h1", CheckHealth::passing);
  const std::string path = "/_farp/hello/h1/schemas/openapi";
  CHECK(scene.get(path) == R"(200 {"openapi":"3.0.0"})");

  REQUIRE(write_text_file(file, R"({"openapi":"3.1.0"})"));
  scene.set_check("h1", CheckHealth::warning);
  scene.set_check("h1", CheckHealth::passing);
  CHECK(scene.get(path) == R"(200 {"openapi":"3.0.0"})");
  scene.farp->reload();
  CHECK(scene.get(path) == R"(200 {"openapi":"3.1.0"})");

  REQUIRE(write_text_file(file, "{"));
  scene.farp->reload();
  scene.farp->reload();
  CHECK(scene.get(path) == R"(200 {"openapi":"3.1.0"})");  // the last good one
  CHECK(scene.host.log().count("farp_file_failed") == 1);
}

TEST_CASE("a dropped registration keeps the port until it is removed") {
  Scene scene;
  scene.put(R"({"name":"hello","id":"h1","port":80,"farp":{},"checks":[{"ttl":"1h"}]})");
  scene.set_check("h1", CheckHealth::critical);
  scene.farp->apply(*scene.registry.drop("h1", scene.now()));
  CHECK(scene.registry.find_own("h1")->dropped);
  CHECK(scene.get("/_farp/hello/h1/manifest").starts_with("503 "));
  scene.remove("h1");
  CHECK(scene.ports == std::vector<std::uint16_t>{5371, 0});
}

TEST_CASE("an id that moves to another service stays one FARP registration") {
  Scene scene;
  scene.put(kHello);
  scene.put(R"({"name":"other","id":"h1","port":8123,"farp":{}})");
  CHECK(scene.get("/_farp/other/h1/manifest").starts_with("200 "));
  CHECK(scene.get("/_farp/hello/h1/manifest").starts_with("404 "));
  scene.remove("h1");
  CHECK(scene.ports == std::vector<std::uint16_t>{5371, 0});
}

TEST_CASE("a list of many services is made in several portions") {
  Scene scene;
  const std::size_t count = 2 * kFarpSourcesPerTurn + 1;
  for (std::size_t i = 0; i < count; ++i)
    scene.put(R"({"name":"hello","id":"h)" + std::to_string(i) + R"(","port":)" +
              std::to_string(8000 + i) + R"(,"farp":{}})");
  FarpService::Document documents[] = {scene.farp->services(),
                                       scene.farp->routes(farp::Gateway::bastion)};
  for (FarpService::Document& document : documents) {
    CHECK(!document());
    CHECK(!document());
    const auto text = document();
    REQUIRE(text);
    CHECK(text->find("10.0.0.1:8000") != std::string::npos);
    CHECK(text->find("10.0.0.1:" + std::to_string(8000 + count - 1)) != std::string::npos);
  }
}
