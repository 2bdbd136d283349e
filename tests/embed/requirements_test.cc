// SPDX-License-Identifier: Apache-2.0
// What programs must be able to rely on, whatever mode they choose.
#include <atomic>
#include <climits>
#include <cstring>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "tests/embed/agents.h"

namespace outrider::test {
namespace {

struct Seen {
  outrider_agent* agent = nullptr;
  outrider_watcher* watcher = nullptr;
  std::atomic<int> calls = 0;
  std::atomic<bool> on_thread = false, closed = false;
  std::promise<void> first;
};

void count(void* user, const char*, size_t) {
  auto& seen = *static_cast<Seen*>(user);
  seen.on_thread = seen.agent != nullptr && outrider_on_thread(seen.agent) == 1;
  if (++seen.calls == 1) seen.first.set_value();
}

void free_it(void* user, const char*, size_t) {
  auto& seen = *static_cast<Seen*>(user);
  if (++seen.calls == 1) {
    outrider_unwatch(seen.watcher);
    outrider_free(seen.agent);
  }
}

void note_closed(void* user) {
  static_cast<Seen*>(user)->closed = true;
}

constexpr std::chrono::seconds kPatience{20};
constexpr const char* kWithOrders = R"({"mdns": {"provider": "off"},
    "services": [{"name": "orders", "id": "o1", "port": 8080}]})";

}  // namespace

TEST_CASE("options have a size: older callers are filled up, newer ones must not ask for more") {
  struct {
    outrider_options known;
    char future[16];
  } longer{};
  CHECK(outrider_options_init(&longer.known, sizeof longer) == 0);
  longer.known.name = "test";
  longer.known.config = kQuiet;
  CHECK(longer.known.size == sizeof longer);
  outrider_agent* agent = nullptr;
  char error[256];
  REQUIRE(outrider_start(&agent, &longer.known, error, sizeof error) == 0);
  outrider_free(agent);
  longer.future[3] = 1;
  CHECK(outrider_start(&agent, &longer.known, error, sizeof error) == OUTRIDER_EINVAL);
  CHECK(agent == nullptr);
  CHECK(std::strstr(error, "outrider_options_init") != nullptr);

  alignas(outrider_options) unsigned char bytes[sizeof(outrider_options)];
  std::memset(bytes, 0xee, sizeof bytes);
  auto* older = reinterpret_cast<outrider_options*>(bytes);
  const size_t size = offsetof(outrider_options, uv_loop);
  CHECK(outrider_options_init(older, size) == 0);
  CHECK(bytes[size] == 0xee);  // nothing is written behind an older structure
  older->name = "test";
  older->config = kQuiet;
  REQUIRE(outrider_start(&agent, older, error, sizeof error) == 0);
  outrider_free(agent);
  CHECK(outrider_options_init(older, 4) == OUTRIDER_EINVAL);
  CHECK(outrider_options_init(nullptr, sizeof *older) == OUTRIDER_EINVAL);
}

TEST_CASE("freeing is legal in a callback: thread") {
  Seen seen;
  outrider_options options = quiet();
  std::promise<void> closed;
  options.user = &closed;
  options.closed = [](void* user) { static_cast<std::promise<void>*>(user)->set_value(); };
  REQUIRE(outrider_start(&seen.agent, &options, nullptr, 0) == 0);
  REQUIRE(outrider_watch(seen.agent, "orders", nullptr, free_it, &seen, &seen.watcher) == 0);
  outrider_register(seen.agent, kOrders, nullptr);
  REQUIRE(closed.get_future().wait_for(kPatience) == std::future_status::ready);
  CHECK(seen.calls == 1);
}

TEST_CASE("freeing is legal in a callback: fd") {
  Seen seen;
  outrider_options options = quiet(OUTRIDER_FD);
  options.user = &seen;
  options.closed = note_closed;
  REQUIRE(outrider_start(&seen.agent, &options, nullptr, 0) == 0);
  REQUIRE(outrider_watch(seen.agent, "orders", nullptr, free_it, &seen, &seen.watcher) == 0);
  REQUIRE(outrider_register(seen.agent, kOrders, nullptr) == 0);
  for (int i = 0; i < 1'000 && !seen.closed; ++i) {
    pollfd wait{outrider_fd(seen.agent), POLLIN, 0};
    ::poll(&wait, 1, 1);
    outrider_process(seen.agent);
  }
  CHECK(seen.closed);
  CHECK(seen.calls == 1);
}

TEST_CASE("freeing is legal in a callback: loop") {
  Host host;
  Seen seen;
  outrider_options options = host.options();
  options.user = &seen;
  options.closed = note_closed;
  REQUIRE(outrider_start(&seen.agent, &options, nullptr, 0) == 0);
  REQUIRE(outrider_watch(seen.agent, "orders", nullptr, free_it, &seen, &seen.watcher) == 0);
  REQUIRE(outrider_register(seen.agent, kOrders, nullptr) == 0);
  host.run_until([&] { return seen.closed.load(); });
  CHECK(seen.calls == 1);
}

TEST_CASE("no callback comes before the call that asks for it has returned") {
  Seen seen;
  const Agent agent(quiet(OUTRIDER_FD));
  seen.agent = agent;
  REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
  REQUIRE(outrider_watch(agent, "orders", nullptr, count, &seen, nullptr) == 0);
  CHECK(seen.calls == 0);
  REQUIRE(outrider_set_health(agent, "o1", OUTRIDER_WARNING, nullptr) == 0);
  CHECK(seen.calls == 0);
  process_until(agent, [&] { return seen.calls > 0; });
}

TEST_CASE("every call works in a callback") {
  struct All {
    outrider_agent* agent = nullptr;
    int failed = 0;
    int waited = 0, next = 0;
    std::promise<void> done;
    bool is_done = false;
  } all;
  const Agent agent(quiet());
  all.agent = agent;
  REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
  const auto callback = [](void* user, const char*, size_t) {
    auto& each = *static_cast<All*>(user);
    if (std::exchange(each.is_done, true)) return;
    Text json;
    outrider_watcher* watcher = nullptr;
    each.failed += outrider_get(each.agent, "orders", nullptr, &json) != 0;
    each.failed += outrider_register(each.agent, R"({"name": "b", "port": 2})", nullptr) != 0;
    each.failed += outrider_renew(each.agent, "o1") != 0;
    each.failed += outrider_watch(each.agent, "b", nullptr, nullptr, nullptr, &watcher) != 0;
    each.next = outrider_next(watcher, 1'000, &json);
    outrider_unwatch(watcher);
    each.failed += outrider_wait(each.agent, "orders", 1, 0) != 0;
    each.waited = outrider_wait(each.agent, "nothing", 1, 1'000);
    each.failed += outrider_drain(each.agent, 0) != 0;
    each.done.set_value();
  };
  REQUIRE(outrider_watch(agent, "orders", nullptr, callback, &all, nullptr) == 0);
  REQUIRE(all.done.get_future().wait_for(kPatience) == std::future_status::ready);
  CHECK(all.failed == 0);
  CHECK(all.waited == OUTRIDER_EWOULDBLOCK);
  CHECK(all.next == OUTRIDER_EWOULDBLOCK);
}

TEST_CASE("callbacks come on one thread, and outrider_on_thread tells it") {
  Seen seen;
  const Agent agent(quiet());
  seen.agent = agent;
  CHECK(outrider_on_thread(agent) == 0);
  REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
  REQUIRE(outrider_watch(agent, "orders", nullptr, count, &seen, nullptr) == 0);
  REQUIRE(seen.first.get_future().wait_for(kPatience) == std::future_status::ready);
  CHECK(seen.on_thread);
  const Agent own(quiet(OUTRIDER_FD));
  CHECK(outrider_on_thread(own) == 1);
}

TEST_CASE("fd mode has one descriptor for its whole life, a deadline, and forgives early calls") {
  Seen seen;
  const Agent agent(quiet(OUTRIDER_FD));
  seen.agent = agent;
  const int fd = outrider_fd(agent);
  CHECK(fd >= 0);
  for (int i = 0; i < 20; ++i)
    CHECK(outrider_process(agent) == 0);
  const std::int64_t deadline = outrider_deadline(agent);
  CHECK(deadline > 0);
  REQUIRE(outrider_watch(agent, "orders", nullptr, count, &seen, nullptr) == 0);
  CHECK(outrider_deadline(agent) < deadline);
  REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
  process_until(agent, [&] { return seen.calls > 0; });
  CHECK(outrider_fd(agent) == fd);
  const Agent other(quiet());
  CHECK(outrider_fd(other) == OUTRIDER_EINVAL);
  CHECK(outrider_deadline(other) == OUTRIDER_EINVAL);
  CHECK(outrider_process(other) == OUTRIDER_EINVAL);
}

TEST_CASE("on a host's loop, closing is asynchronous and ends with one callback") {
  Host host;
  Seen seen;
  outrider_options options = host.options();
  options.user = &seen;
  options.closed = note_closed;
  REQUIRE(outrider_start(&seen.agent, &options, nullptr, 0) == 0);
  REQUIRE(outrider_register(seen.agent, kOrders, nullptr) == 0);
  outrider_free(seen.agent);
  CHECK_FALSE(seen.closed);
  // One run of the loop, which the agent neither stops nor keeps alive, is until the host's own
  // timer is closed.
  struct Ticks {
    uv_timer_t timer{};
    const Seen* seen = nullptr;
    int after = 0;
  } ticks;
  ticks.seen = &seen;
  ticks.timer.data = &ticks;
  uv_timer_init(&host.loop, &ticks.timer);
  const auto tick = [](uv_timer_t* timer) {
    auto& each = *static_cast<Ticks*>(timer->data);
    each.after += each.seen->closed;
    if (each.after == 3) uv_close(reinterpret_cast<uv_handle_t*>(timer), nullptr);
  };
  uv_timer_start(&ticks.timer, tick, 1, 1);
  CHECK(uv_run(&host.loop, UV_RUN_DEFAULT) == 0);
  CHECK(ticks.after == 3);
}

TEST_CASE("whether a host's loop is kept alive is a flag") {
  for (const uint32_t flags : {0U, OUTRIDER_KEEP_LOOP_ALIVE}) {
    Host host;
    Seen seen;
    outrider_options options = host.options();
    options.flags = flags;
    options.user = &seen;
    options.closed = note_closed;
    REQUIRE(outrider_start(&seen.agent, &options, nullptr, 0) == 0);
    CHECK((uv_loop_alive(&host.loop) != 0) == (flags != 0));
    outrider_free(seen.agent);
    host.run_until([&] { return seen.closed.load(); });
  }
}

TEST_CASE("stopping is bounded: a call that waits is ended by freeing") {
  outrider_options options = quiet();
  outrider_agent* agent = nullptr;
  REQUIRE(outrider_start(&agent, &options, nullptr, 0) == 0);
  outrider_watcher* watcher = nullptr;
  REQUIRE(outrider_watch(agent, "never", nullptr, nullptr, nullptr, &watcher) == 0);
  std::promise<void> begun;
  int code = 0;
  std::thread waiter([&] {
    begun.set_value();
    Text json;
    code = outrider_next(watcher, -1, &json);
  });
  begun.get_future().wait();
  CHECK(outrider_wait(agent, "never", 1, 50) == OUTRIDER_ETIMEDOUT);  // the other one waits by now
  outrider_free(agent);
  waiter.join();
  CHECK(code == OUTRIDER_ECLOSED);
}

TEST_CASE("stopping is bounded: a registry that accepts connections and never answers") {
  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  REQUIRE(::bind(silent, any, size) == 0);
  REQUIRE(::listen(silent, 16) == 0);
  REQUIRE(::getsockname(silent, any, &size) == 0);
  const std::string config =
      R"({"mdns": {"provider": "off"}, "registries": [{"etcd": {"layouts": {"kratos": {}},
          "endpoints": ["http://127.0.0.1:)" +
      std::to_string(::ntohs(address.sin_port)) + R"("]}}]})";
  outrider_options options = quiet(OUTRIDER_FD);
  options.config = config.c_str();
  outrider_agent* agent = nullptr;
  char error[512];
  REQUIRE_MESSAGE(outrider_start(&agent, &options, error, sizeof error) == 0, error);
  CHECK(outrider_register(agent, R"({"name": "orders", "port": 8080})", nullptr) == 0);
  pollfd asked{silent, POLLIN, 0};
  process_until(agent, [&] { return ::poll(&asked, 1, 0) == 1; });
  outrider_free(agent);  // the test ends
  ::close(silent);
}

TEST_CASE("nothing that is given to it ends the program") {
  outrider_agent* agent = nullptr;
  char error[256];
  for (const char* config : {"", "{", "[]", "{\"dns\": 5}", "{\"services\": [{}]}", "\xff",
                             "{\"registries\": [{\"etcd\": {\"endpoints\": [\"x\"]}}]}"}) {
    outrider_options options = quiet();
    options.config = config;
    CHECK(outrider_start(&agent, &options, error, sizeof error) == OUTRIDER_EINVAL);
    CHECK(error[0] != '\0');
  }
  const Agent quiet_one(quiet());
  Text json;
  for (const char* text : {"", "%", "%00", "\xff\xfe", "a b", "/../", "?", "#", "a\nb"}) {
    CHECK(outrider_get(quiet_one, text, text, &json) <= 0);
    CHECK(outrider_select(quiet_one, text, text, &json) < 0);
    CHECK(outrider_register(quiet_one, text, nullptr) < 0);
    CHECK(outrider_deregister(quiet_one, text) < 0);
    CHECK(outrider_why(quiet_one, text, &json) <= 0);
  }
  CHECK(outrider_get(nullptr, "a", nullptr, &json) == OUTRIDER_EINVAL);
  outrider_free(nullptr);
  outrider_unwatch(nullptr);
  outrider_free_text(nullptr);
}

TEST_CASE("errors have a code, a text of the code, and a text of the case") {
  for (int code = OUTRIDER_ECLOSED; code <= 0; ++code)
    CHECK(std::strlen(outrider_strerror(code)) > 4);
  CHECK(std::string(outrider_strerror(1)) == "unknown error");
  CHECK(std::string(outrider_strerror(INT_MIN)) == "unknown error");
  const Agent agent(quiet());
  CHECK(outrider_deregister(agent, "nothing") == OUTRIDER_ENOTFOUND);
  CHECK(agent.error().find("nothing") != std::string::npos);
  char cut[8];
  CHECK(outrider_errmsg(agent, cut, sizeof cut) == static_cast<int>(agent.error().size()));
  CHECK(std::strlen(cut) == 7);
  std::thread([&] { CHECK(agent.error().empty()); }).join();  // each thread has its own
}

TEST_CASE("what is passed in is copied, and what comes out is the caller's") {
  const Agent agent(quiet());
  std::string json = kOrders, id = "o1";
  Text got;
  REQUIRE(outrider_register(agent, json.data(), &got) == 0);
  json.assign(json.size(), 'x');
  REQUIRE(outrider_renew(agent, id.data()) == 0);
  id.assign("xx");
  Text kept;
  REQUIRE(outrider_get(agent, "orders", nullptr, &kept) == 0);
  REQUIRE(outrider_deregister(agent, "o1") == 0);
  CHECK(kept.has("\"o1\""));
}

TEST_CASE("the log comes line by line, on the thread of callbacks") {
  struct Lines {
    std::vector<std::string> lines;
  } got;
  outrider_options options = quiet(OUTRIDER_FD);
  options.user = &got;
  options.log = [](void* user, const char* line, size_t size) {
    static_cast<Lines*>(user)->lines.emplace_back(line, size);
  };
  const Agent agent(options);
  CHECK(got.lines.empty());
  REQUIRE(outrider_register(agent, kOrders, nullptr) == 0);
  process_until(agent, [&] { return !got.lines.empty(); });
  CHECK(got.lines.front().find("event=") != std::string::npos);
}

}  // namespace outrider::test
