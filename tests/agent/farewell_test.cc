// SPDX-License-Identifier: Apache-2.0
#include "agent/farewell.h"

#include <doctest/doctest.h>

#include "tests/sim/world.h"

using namespace outrider;

namespace {

constexpr Duration kDrain = std::chrono::seconds(10);

struct Scene final : Farewell::Sink, Checks::Sink {
  sim::World world{1};
  registry::Registry registry{"box"};
  Checks checks{world.env(), *this};
  Farewell farewell{world.env(), registry, checks, *this};
  std::vector<std::string> events;

  void put(const std::string& json) {
    const auto tree = json::parse(json, 1'000);
    const auto changes = registry.put(*registry::ServiceSpec::parse(*tree), now());
    REQUIRE(changes);
    for (const registry::Change& change : changes->list)
      checks.apply(change.before, change.after);
  }
  void begin() {
    farewell.begin(
        kDrain, [this] { events.push_back("after drain"); }, [this] { events.push_back("done"); });
  }
  registry::Moment now() { return {world.now(), {}}; }

  void on_drain() override { events.push_back("drain"); }
  void on_close() override { events.push_back("close"); }
  void on_check(const CheckKey& check, CheckHealth health, const std::string& output) override {
    (void)registry.set_check(check.instance, check.check, health, output, now());
  }
  void on_refused(const CheckKey& check) override { farewell.on_refused(check); }
  void on_passed(const CheckKey&) override {}
};

using Events = std::vector<std::string>;

}  // namespace

TEST_CASE("the steps of a farewell come in order, the drain time apart") {
  Scene scene;
  scene.put(R"({"name":"s","id":"a","port":80})");
  CHECK_FALSE(scene.farewell.has_begun());
  scene.begin();
  CHECK(scene.farewell.has_begun());
  CHECK(scene.events == Events{"drain"});
  scene.world.advance(kDrain - 1ms);
  CHECK(scene.events == Events{"drain"});
  scene.world.advance(1ms);
  CHECK(scene.events == Events{"drain", "after drain", "close"});
  scene.farewell.finish();
  CHECK(scene.events == Events{"drain", "after drain", "close", "done"});
}

TEST_CASE("nothing registered: nothing to wait for, and nothing before begin() has returned") {
  Scene scene;
  scene.begin();
  CHECK(scene.events == Events{"drain"});
  scene.world.advance(1ms);
  CHECK(scene.events == Events{"drain", "after drain", "close"});
}

TEST_CASE("an instance that was taken out before has waited for a part of its time") {
  Scene scene;
  scene.put(R"({"name":"s","id":"a","port":80})");
  scene.world.advance(60s);
  REQUIRE(scene.registry.set_draining("a", true, scene.now()));
  scene.world.advance(kDrain - 1s);
  scene.begin();
  scene.world.advance(1s - 1ms);
  CHECK(scene.events == Events{"drain"});
  scene.world.advance(1ms);
  CHECK(scene.events == Events{"drain", "after drain", "close"});
}

TEST_CASE("hurry() ends a drain, and only a drain") {
  Scene scene;
  scene.put(R"({"name":"s","id":"a","port":80})");
  scene.farewell.hurry();
  scene.world.advance(1ms);
  CHECK(scene.events.empty());
  scene.begin();
  scene.farewell.hurry();
  CHECK(scene.events == Events{"drain"});
  scene.world.advance(1ms);
  CHECK(scene.events == Events{"drain", "after drain", "close"});
  scene.farewell.hurry();
  scene.world.advance(kDrain);
  CHECK(scene.events == Events{"drain", "after drain", "close"});
}

TEST_CASE("the drain ends early when every program refuses connections") {
  constexpr const char* kCrashed = R"({"name":"s","id":"a","port":80,"address":"127.0.0.1",
      "checks":[{"tcp":"auto","id":"c","interval":"1h"}]})";
  for (const bool another : {false, true}) {
    CAPTURE(another);
    Scene scene;
    scene.put(kCrashed);
    if (another) scene.put(R"({"name":"s","id":"b","port":81})");  // nothing tells whether it runs
    scene.world.advance(1s);
    REQUIRE(scene.registry.set_check("a", "c", CheckHealth::passing, "", scene.now()));
    scene.begin();
    scene.world.advance(kDrain / 2);
    CHECK(scene.events.size() == (another ? 1 : 3));
    scene.world.advance(kDrain);
    CHECK(scene.events == Events{"drain", "after drain", "close"});
  }
}
