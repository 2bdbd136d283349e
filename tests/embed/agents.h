// SPDX-License-Identifier: Apache-2.0
// What the tests of the library share: agents that touch no network, and texts that free
// themselves.
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include <poll.h>
#include <unistd.h>
#include <uv.h>

#include "doctest/doctest.h"
#include "outrider.h"

namespace outrider::test {

/// No mDNS: nothing leaves this process.
inline constexpr const char* kQuiet = R"({"mdns": {"provider": "off"}, "dns": {"forward": "off"}})";
/// Nothing takes as long; a test that waits for it has failed.
inline constexpr int kLong = 20'000;

inline outrider_options quiet(uint32_t mode = OUTRIDER_THREAD) {
  outrider_options options;
  outrider_options_init(&options, sizeof options);
  options.name = "test";
  options.config = kQuiet;
  options.mode = mode;
  options.timeout_ms = kLong;
  return options;
}

/// A uv loop of a host program.
struct Host {
  uv_loop_t loop;
  Host() { uv_loop_init(&loop); }
  ~Host() { CHECK(uv_loop_close(&loop) == 0); }
  outrider_options options() {
    outrider_options made = quiet(OUTRIDER_LOOP);
    made.uv_loop = &loop;
    return made;
  }
  /// Lets the loop turn until `done`.
  template <class Done>
  void run_until(Done done) {
    CHECK(run_for(done, kLong));
  }
  /// False: it is not within the time.
  template <class Done>
  bool run_for(Done done, int timeout_ms) {
    uv_update_time(&loop);
    const uint64_t until = uv_now(&loop) + static_cast<uint64_t>(timeout_ms);
    uv_timer_t timer;  // keeps the loop turning
    uv_timer_init(&loop, &timer);
    uv_timer_start(
        &timer, [](uv_timer_t*) {}, 5, 5);
    bool is_done = false;
    while (!(is_done = done()) && uv_now(&loop) < until)
      uv_run(&loop, UV_RUN_ONCE);
    uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(&loop, UV_RUN_NOWAIT);
    return is_done;
  }
};

/// A program's own loop around an agent's descriptor.
template <class Done>
void process_until(outrider_agent* agent, Done done) {
  for (int i = 0; i < 4'000 && !done(); ++i) {
    pollfd wait{outrider_fd(agent), POLLIN, 0};
    ::poll(&wait, 1, 5);
    outrider_process(agent);
  }
  CHECK(done());
}

inline std::string scratch(const std::string& name) {
  static std::atomic<int> number = 0;
  return "/tmp/outrider-embed-" + std::to_string(::getpid()) + '-' + std::to_string(++number) +
         name;
}

/// What a function returns through `char **`.
class Text {
 public:
  Text() = default;
  Text(const Text&) = delete;
  ~Text() { outrider_free_text(text_); }
  char** operator&() {  // NOLINT: it stands for the pointer
    outrider_free_text(text_);
    text_ = nullptr;
    return &text_;
  }
  std::string str() const { return text_ != nullptr ? text_ : ""; }
  const char* c_str() const { return text_; }
  bool has(const std::string& part) const { return str().find(part) != std::string::npos; }

 private:
  char* text_ = nullptr;
};

class Agent {
 public:
  explicit Agent(const outrider_options& options) {
    char error[512] = {};
    const int code = outrider_start(&agent_, &options, error, sizeof error);
    REQUIRE_MESSAGE(code == 0, error);
  }
  explicit Agent(outrider_agent* agent) : agent_(agent) {}
  Agent(const Agent&) = delete;
  ~Agent() { outrider_free(agent_); }
  operator outrider_agent*() const { return agent_; }
  std::string error() const {
    char text[512];
    outrider_errmsg(agent_, text, sizeof text);
    return text;
  }

 private:
  outrider_agent* agent_ = nullptr;
};

inline constexpr const char* kOrders =
    R"({"name": "orders", "id": "o1", "port": 8080, "version": "2", "tags": ["web"],
        "metadata": {"zone": "a"}, "checks": [{"id": "alive", "ttl": "1m"}]})";

}  // namespace outrider::test
