// SPDX-License-Identifier: Apache-2.0
#include "agent/history_file.h"

#include <doctest/doctest.h>

#include "agent/doors/past.h"
#include "agent/doors/why.h"
#include "tests/agent/machine.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::test {
namespace {

constexpr const char* kQuiet = R"({"mdns": {"provider": "off"}})";

using registry::spec;

/// One machine whose agent can be killed and started again.
struct Life {
  sim::World world;
  sim::StateDisk disk;
  Machine a{world, "here", "10.0.0.1/24"};

  Life() {
    a.history = &disk;
    start();
  }
  void start() {
    REQUIRE(a.start(kQuiet).empty());
    world.advance(10ms);
  }
  void restart() {
    a.kill();
    world.advance(1ms);
    start();
  }
  void put(const std::string& text) { REQUIRE(a.agent().put(spec(text))); }
  /// What DNS answered then; "unknown" before the history begins.
  std::string answer(std::string_view name, WallTime when) {
    const registry::History& history = *a.agent().history();
    const auto place = history.place_at(when);
    if (!place) return "unknown";
    const doors::PastMoment moment(a.agent(), *place, when, doors::labels_meant(name, {"svc"}));
    const doors::View& view = moment.view();
    std::string text;
    json::Writer out(text);
    write_answer(out, view, look_for(view, name), "svc");
    const auto value = *json::parse(text, json::kBodyBytesMax);
    std::string said = *value.find("answer")->as_string();
    for (const json::Value& address : *value.find("A")->as_array())
      said += ' ' + *address.as_string();
    return said;
  }
  std::size_t logged(const char* event) { return a.host().log().count(event); }
};

constexpr const char* kWeb = R"({"name": "web", "id": "w", "port": 80, "address": ["10.0.0.7"]})";

}  // namespace

TEST_CASE("history file: what DNS answered is known after a restart") {
  Life life;
  const WallTime begun = life.world.wall();
  life.put(kWeb);
  life.world.advance(3s);
  const WallTime then = life.world.wall();
  life.world.advance(3s);
  REQUIRE(life.a.agent().set_maintenance("w", true, "disk"));
  life.world.advance(3s);
  const WallTime late = life.world.wall();
  for (int run = 0; run < 3; ++run) {
    CAPTURE(run);
    if (run == 1)
      life.a.stop();
    else
      life.a.kill();
    life.world.advance(10s);
    life.start();
    life.world.advance(3s);
    CHECK(life.answer("web", then) == "NOERROR 10.0.0.7");
    CHECK(life.answer("web", late) == "NODATA");
    CHECK(life.answer("web", life.world.wall()) == "NXDOMAIN");
    CHECK(life.answer("web", begun - 1s) == "unknown");
  }
  CHECK(life.logged("history_unreadable") == 0);
}

TEST_CASE("history file: a kill loses the last second at most, a stop nothing") {
  Life life;
  life.put(kWeb);
  life.world.advance(1ms);
  const WallTime then = life.world.wall();
  life.world.advance(1ms);
  life.a.stop();
  REQUIRE(life.world.run_until([&] { return life.a.stopped(); }, 1min));
  life.start();
  CHECK(life.answer("web", then) == "NOERROR 10.0.0.7");
  life.put(R"({"name": "job", "id": "j", "port": 81, "address": ["10.0.0.8"]})");
  life.world.advance(kHistoryDelay + 100ms);
  const WallTime later = life.world.wall();
  life.put(R"({"name": "lost", "id": "l", "port": 82, "address": ["10.0.0.9"]})");
  life.restart();
  CHECK(life.answer("job", later) == "NOERROR 10.0.0.8");
}

TEST_CASE("history file: what cannot be read is kept, and the history begins again") {
  for (const std::string& garbage :
       {std::string("garbage\n"), std::string("x"),
        std::string("{\"outrider\":\"history\",\"version\":9,\"since\":1,\"around\":{}}\n"),
        std::string(2 * kHistoryFileBytesMax + 1, '\n')}) {
    CAPTURE(garbage.substr(0, 60));
    Life life;
    life.world.advance(3s);
    life.a.kill();
    life.disk.text = garbage;
    life.start();
    const WallTime begun = life.world.wall();
    CHECK(life.logged("history_unreadable") == 1);
    REQUIRE(life.disk.asides.size() == 1);
    CHECK(life.disk.asides.front() == garbage);
    life.put(kWeb);
    life.world.advance(3s);
    CHECK(life.answer("web", life.world.wall()) == "NOERROR 10.0.0.7");
    CHECK(life.answer("web", begun - 1s) == "unknown");
    CHECK(life.disk.text.starts_with("{\"outrider\":\"history\""));
  }
}

TEST_CASE("history file: a write that was interrupted costs its last line") {
  Life life;
  life.put(kWeb);
  life.world.advance(3s);
  const WallTime then = life.world.wall();
  life.a.kill();
  life.disk.text += R"({"at":17,"service":"we)";
  life.world.advance(1ms);
  life.start();
  CHECK(life.answer("web", then) == "NOERROR 10.0.0.7");
  CHECK(life.logged("history_unreadable") == 0);
  life.world.advance(3s);
  CHECK(life.disk.text.ends_with('\n'));
  CHECK(life.disk.text.find("\"we{") == std::string::npos);
}

TEST_CASE("history file: a file that another agent uses is taken over later, and kept aside") {
  Life life;
  life.put(kWeb);
  life.world.advance(3s);
  const std::string others = life.disk.text;
  life.disk.held = true;
  life.restart();
  CHECK(life.logged("history_failed") == 1);
  life.put(kWeb);
  life.world.advance(2 * kHistoryRetry);
  CHECK(life.disk.text == others);
  life.disk.held = false;
  life.world.advance(2 * kHistoryRetry);
  CHECK(life.logged("history_recovered") == 1);
  REQUIRE(life.disk.asides.size() == 1);
  CHECK(life.disk.asides.front() == others);
  CHECK(life.disk.text.starts_with("{\"outrider\":\"history\""));
  CHECK(life.disk.text != others);
}

TEST_CASE("history file: many instances keep it from being replaced, until some are gone") {
  Life life;
  life.disk.text = "x";
  life.restart();
  for (std::size_t i = 0; i <= kHistoryHeadInstancesMax; ++i) {
    const std::string number = std::to_string(i);
    life.put(R"({"name": "many", "id": "m)" + number +
             R"(", "port": 80, "address": ["10.0.0.7"]})");
  }
  life.world.advance(2 * kHistoryRetry);
  CHECK(life.logged("history_failed") == 1);
  CHECK(life.disk.text == "x");
  REQUIRE(life.a.agent().remove("m0"));
  life.world.advance(2 * kHistoryRetry);
  CHECK(life.logged("history_recovered") == 1);
  CHECK(life.disk.text.size() > 2 * kHistoryLinesPerTurn);
  CHECK(life.disk.text.size() <= kHistoryFileBytesMax);
}

TEST_CASE("history file: it stays within its bounds, and a full disk is reported once") {
  Life life;
  life.put(kWeb);
  for (int i = 0; i < 12'000; ++i) {
    REQUIRE(life.a.agent().set_maintenance("w", i % 2 == 0, "disk"));
    if (i % 100 == 99) life.world.advance(kHistoryDelay + 10ms);
    REQUIRE(life.disk.text.size() <= kHistoryFileBytesMax);
  }
  CHECK(life.a.agent().history()->oldest() > 0);
  life.disk.full = "no space left on device";
  for (int i = 0; i < 4; ++i) {
    REQUIRE(life.a.agent().set_maintenance("w", i % 2 == 1, "disk"));
    life.world.advance(kHistoryRetry);
  }
  CHECK(life.logged("history_failed") == 1);
  life.disk.full.clear();
  life.world.advance(2 * kHistoryRetry);
  CHECK(life.logged("history_recovered") == 1);
  const WallTime then = life.world.wall();
  life.restart();
  CHECK(life.answer("web", then) == "NODATA");
}

}  // namespace outrider::test
