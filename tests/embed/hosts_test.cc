// SPDX-License-Identifier: Apache-2.0
// Host programs that do not care about the agent inside: they fork, block a callback, call on a
// wrong thread, and let their loop starve.
#include <array>
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/embed/subject.h"

namespace outrider::test {
namespace {

constexpr std::chrono::seconds kPatience{20};
constexpr const char* kWithOrders = R"({"mdns": {"provider": "off"},
    "services": [{"name": "orders", "id": "o1", "port": 8080}]})";

/// What each call returns that can fail, but those that make an agent.
std::vector<int> call_each(outrider_agent* agent, outrider_watcher* watcher) {
  char* text = nullptr;
  outrider_watcher* other = nullptr;
  return {
      outrider_drain(agent, 100),
      outrider_fd(agent),
      static_cast<int>(outrider_deadline(agent)),
      outrider_process(agent),
      outrider_register(agent, kOrders, &text),
      outrider_deregister(agent, "o1"),
      outrider_renew(agent, "o1"),
      outrider_set_health(agent, "o1", OUTRIDER_CRITICAL, nullptr),
      outrider_set_maintenance(agent, "o1", 1, nullptr),
      outrider_set_draining(agent, "o1", 1),
      outrider_get(agent, "orders", nullptr, &text),
      outrider_list(agent, nullptr, &text),
      outrider_select(agent, "orders", nullptr, &text),
      outrider_why(agent, "orders", &text),
      outrider_manifest(agent, nullptr, &text),
      outrider_snapshot(agent, &text),
      outrider_watch(agent, "orders", nullptr, nullptr, nullptr, &other),
      outrider_next(watcher, 100, &text),
      outrider_wait(agent, "nothing", 1, 100),
  };
}

}  // namespace

TEST_CASE("a forked child gets an error from every call, and says no goodbye") {
  on_each([](Subject& agent) {
    outrider_watcher* watcher = nullptr;
    REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
    REQUIRE(outrider_renew(agent, "o1") == 0);
    REQUIRE(outrider_watch(agent, "orders", nullptr, nullptr, nullptr, &watcher) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      int wrong = 0;
      for (const int code : call_each(agent, watcher))
        wrong += code != OUTRIDER_EFORKED;
      wrong += outrider_on_thread(agent) != 0;
      char text[64];
      outrider_errmsg(agent, text, sizeof text);
      wrong += std::string(text) != outrider_strerror(OUTRIDER_EFORKED);
      outrider_unwatch(watcher);
      outrider_free(agent);
      ::_exit(wrong);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    Text json;
    REQUIRE(agent.next(watcher, kLong, &json) == 0);
    CHECK(json.has("\"o1\""));
    REQUIRE(outrider_get(agent, "orders", "passing", &json) == 0);
    CHECK(json.has("\"o1\""));
  });
}

TEST_CASE("a call from a wrong thread works, or is an error") {
  const Agent thread(quiet()), fd(quiet(OUTRIDER_FD));
  std::vector<std::thread> callers;
  std::atomic<int> failed = 0, wrong = 0;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&, i] {
      for (int j = 0; j < 20; ++j) {
        const std::string id = std::to_string(i) + '-' + std::to_string(j);
        const std::string json = R"({"name": "many", "port": 1, "id": ")" + id + "\"}";
        failed += outrider_register(thread, json.c_str(), nullptr) != 0;
        failed += outrider_deregister(thread, id.c_str()) != 0;
      }
      Text json;
      wrong += outrider_get(fd, "many", nullptr, &json) == OUTRIDER_EWRONGTHREAD;
      wrong += outrider_process(fd) == OUTRIDER_EWRONGTHREAD;
      wrong += outrider_deadline(fd) == OUTRIDER_EWRONGTHREAD;
    });
  for (std::thread& caller : callers)
    caller.join();
  CHECK(failed == 0);
  CHECK(wrong == 12);
}

TEST_CASE("every call from a wrong thread is an error: fd, loop") {
  on_each([](Subject& agent) {
    outrider_watcher* watcher = nullptr;
    if (agent.mode() == OUTRIDER_THREAD) return;
    REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
    REQUIRE(outrider_renew(agent, "o1") == 0);
    REQUIRE(outrider_watch(agent, "orders", nullptr, nullptr, nullptr, &watcher) == 0);
    std::thread([&] {
      for (const int code : call_each(agent, watcher))
        CHECK(code == OUTRIDER_EWRONGTHREAD);
      CHECK(outrider_on_thread(agent) == 0);
      outrider_unwatch(watcher);
    }).join();
    Text json;
    CHECK(agent.next(watcher, kLong, &json) == 0);
    CHECK(json.has("\"health\":\"passing\""));
  });
}

TEST_CASE("a host that blocks its callback delays calls no longer than their timeout") {
  struct Block {
    std::promise<void> begun, end;
    bool once = false;
  } block;
  outrider_options options = quiet();
  options.timeout_ms = 500;
  options.config = kWithOrders;  // no call before the one that is to time out
  const Agent agent(options);
  const auto callback = [](void* user, const char*, size_t) {
    auto& each = *static_cast<Block*>(user);
    if (std::exchange(each.once, true)) return;
    each.begun.set_value();
    each.end.get_future().wait_for(kPatience);
  };
  REQUIRE(outrider_watch(agent, "orders", nullptr, callback, &block, nullptr) == 0);
  block.begun.get_future().wait_for(kPatience);
  Text json;
  CHECK(outrider_get(agent, "orders", nullptr, &json) == OUTRIDER_ETIMEDOUT);
  CHECK(outrider_register(agent, R"({"name": "late", "port": 1})", nullptr) == OUTRIDER_ETIMEDOUT);
  block.end.set_value();
  CHECK(outrider_wait(agent, "late", 1, 100) == OUTRIDER_ETIMEDOUT);  // it had not begun
}

/// What a callback got.
struct Got {
  std::vector<std::string> documents;
  static void add(void* user, const char* text, size_t size) {
    static_cast<Got*>(user)->documents.emplace_back(text, size);
  }
};

constexpr int kChanges = 100;

TEST_CASE("a starved loop: calls are answered meanwhile, and what was missed comes when it turns") {
  on_each([](Subject& agent) {
    if (agent.mode() == OUTRIDER_THREAD) return;  // see the host that blocks
    Got got;
    Text json;
    outrider_watcher* watcher = nullptr;
    REQUIRE(outrider_watch(agent, "orders", nullptr, Got::add, &got, nullptr) == 0);
    REQUIRE(outrider_watch(agent, nullptr, nullptr, nullptr, nullptr, &watcher) == 0);
    REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
    for (int i = 0; i < kChanges; ++i) {
      const int health = i % 2 == 0 ? OUTRIDER_CRITICAL : OUTRIDER_WARNING;
      REQUIRE(outrider_set_health(agent, "o1", health, nullptr) == 0);
    }
    REQUIRE(outrider_get(agent, "orders", nullptr, &json) == 0);
    CHECK(json.has("\"health\":\"warning\""));
    CHECK(got.documents.empty());
    REQUIRE(outrider_renew(agent, "o1") == 0);
    const auto has_latest = [&] {
      return !got.documents.empty() &&
             got.documents.back().find("\"health\":\"passing\"") != std::string::npos;
    };
    agent.turn_until(has_latest);
    // The events come in order, and end with the latest.
    do
      REQUIRE(agent.next(watcher, kLong, &json) == 0);
    while (!json.has("\"health\":\"passing\""));
    CHECK(outrider_deregister(agent, "o1") == 0);
    agent.turn_until([&] { return got.documents.back().ends_with("\"instances\":[]}"); });
  });
}

TEST_CASE("a starved loop: a check that has run out meanwhile counts, until it is renewed") {
  constexpr const char* kBrief = R"({"name": "brief", "id": "b1", "port": 1,
      "checks": [{"ttl": "100ms"}]})";
  on_each([&](Subject& agent) {
    if (agent.mode() == OUTRIDER_THREAD || agent.is_connected()) return;
    Got got;
    Text json;
    REQUIRE(outrider_watch(agent, "brief", "passing", Got::add, &got, nullptr) == 0);
    REQUIRE(outrider_register(agent, kBrief, nullptr) == 0);
    REQUIRE(outrider_renew(agent, "b1") == 0);
    agent.turn_until([&] { return got.documents.size() == 1; });
    // The loop does not turn until the same check, begun later, has run out elsewhere.
    const Agent other(quiet());
    outrider_watcher* watcher = nullptr;
    REQUIRE(outrider_register(other, kBrief, nullptr) == 0);
    REQUIRE(outrider_renew(other, "b1") == 0);
    REQUIRE(outrider_watch(other, "brief", "passing", nullptr, nullptr, &watcher) == 0);
    do
      REQUIRE(outrider_next(watcher, kLong, &json) == 0);
    while (!json.str().ends_with("\"instances\":[]}"));
    agent.turn_until([&] { return got.documents.size() == 2; });
    CHECK(got.documents.back().ends_with("\"instances\":[]}"));
    REQUIRE(outrider_renew(agent, "b1") == 0);
    agent.turn_until([&] { return got.documents.size() == 3; });
  });
}

TEST_CASE("all services of one document leave with the connection that brought them") {
  const std::string socket = scratch(".sock");
  const std::string config =
      R"({"mdns": {"provider": "off"}, "dns": {"forward": "off"}, "api": {"socket": ")" + socket +
      "\"}}";
  outrider_options options = quiet();
  options.config = config.c_str();
  const Agent other(options);
  options = quiet();
  options.socket = socket.c_str();
  outrider_agent* agent = nullptr;
  REQUIRE(outrider_connect(&agent, &options, nullptr, 0) == 0);
  Text id, json;
  REQUIRE(outrider_register(agent, R"({"services": [{"name": "orders", "id": "o1", "port": 1},
                                                    {"name": "orders", "id": "o2", "port": 2}]})",
                            &id) == 0);
  CHECK(id.str().empty());  // there is not one id
  REQUIRE(outrider_get(other, "orders", nullptr, &json) == 0);
  CHECK(json.has("\"o2\""));
  outrider_free(agent);
  REQUIRE(outrider_get(other, "orders", nullptr, &json) == 0);
  CHECK(json.has("\"instances\":[]"));
}

TEST_CASE("an agent that stands still holds up neither a wait nor the end of a connection") {
  const std::string socket = scratch(".sock");
  const std::string config =
      R"({"mdns": {"provider": "off"}, "dns": {"forward": "off"}, "api": {"socket": ")" + socket +
      "\"}}";
  outrider_options options = quiet(OUTRIDER_FD);
  options.config = config.c_str();
  const Agent other(options);  // turns while this thread lets it
  std::atomic<bool> registered = false;
  std::uint64_t waited = 0, freed = 0;  // ms
  std::thread client([&] {
    outrider_options mine = quiet();
    mine.socket = socket.c_str();
    outrider_agent* agent = nullptr;
    const bool connected = outrider_connect(&agent, &mine, nullptr, 0) == 0;
    for (int i = 1; connected && i <= 20; ++i)
      outrider_register(
          agent, ("{\"name\": \"orders\", \"port\": " + std::to_string(i) + "}").c_str(), nullptr);
    registered = true;
    if (!connected) return;
    const std::uint64_t begun = uv_hrtime() / 1'000'000;
    CHECK(outrider_wait(agent, "nothing", 1, 50) == OUTRIDER_ETIMEDOUT);
    waited = uv_hrtime() / 1'000'000 - begun;
    outrider_free(agent);
    freed = uv_hrtime() / 1'000'000 - begun - waited;
  });
  process_until(other, [&] { return registered.load(); });
  client.join();
  Text json;
  REQUIRE(outrider_get(other, "orders", nullptr, &json) == 0);
  CHECK(json.has("\"instances\":[{"));
  CHECK(waited >= 49);
  CHECK(waited < kLong / 2);
  CHECK(freed > 1);
  CHECK(freed < kLong / 2);  // not a second for each of twenty
}

TEST_CASE("freeing again in the last callback does nothing") {
  struct Freed {
    outrider_agent* agent = nullptr;
    int closed = 0;
  };
  const auto closed = [](void* user) {
    auto* freed = static_cast<Freed*>(user);
    ++freed->closed;
    outrider_free(freed->agent);
  };
  for (const uint32_t mode : {OUTRIDER_THREAD, OUTRIDER_FD, OUTRIDER_LOOP}) {
    CAPTURE(kModes[mode]);
    Freed freed;
    Host host;
    outrider_options options = quiet(mode);
    options.user = &freed;
    options.closed = closed;
    if (mode == OUTRIDER_LOOP) options.uv_loop = &host.loop;
    REQUIRE(outrider_start(&freed.agent, &options, nullptr, 0) == 0);
    outrider_free(freed.agent);
    host.run_until([&] { return freed.closed > 0; });
    CHECK(freed.closed == 1);
  }
}

TEST_CASE("too few descriptors are an error, and do not end the program") {
  for (const uint32_t mode : {OUTRIDER_THREAD, OUTRIDER_FD})
    for (rlim_t most = 3; most < 24; ++most) {
      CAPTURE(most);
      const pid_t child = ::fork();
      if (child == 0) {
        const rlimit limit{most, most};
        ::setrlimit(RLIMIT_NOFILE, &limit);
        const outrider_options options = quiet(mode);
        outrider_agent* agent = nullptr;
        const int code = outrider_start(&agent, &options, nullptr, 0);
        outrider_free(agent);
        ::_exit(code == 0 || code == OUTRIDER_EFAILED ? 0 : 1);
      }
      int status = -1;
      REQUIRE(::waitpid(child, &status, 0) == child);
      CHECK(status == 0);
    }
}

}  // namespace outrider::test
