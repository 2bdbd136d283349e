// SPDX-License-Identifier: Apache-2.0
// An agent in each mode, of the program's own and connected to another one.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/embed/agents.h"

namespace outrider::test {

inline const char* const kModes[] = {"thread", "fd", "loop"};

/// An agent under test, and what waits for it: on a host's loop nothing may wait, so the host lets
/// its loop turn instead.
class Subject {
 public:
  using Make = int (*)(outrider_agent**, const outrider_options*, char*, size_t);
  Subject(Make make, outrider_options options)
      : mode_(options.mode), is_connected_(make == outrider_connect) {
    options.user = this;
    options.closed = [](void* self) { static_cast<Subject*>(self)->closed_ = true; };
    if (options.mode == OUTRIDER_LOOP) {
      host_ = std::make_unique<Host>();
      options.uv_loop = &host_->loop;
    }
    char error[512] = {};
    REQUIRE_MESSAGE(make(&agent_, &options, error, sizeof error) == 0, error);
  }
  Subject(const Subject&) = delete;
  ~Subject() {
    outrider_free(agent_);
    if (host_ != nullptr) host_->run_until([this] { return closed_; });
    CHECK(closed_);
  }
  operator outrider_agent*() const { return agent_; }
  uint32_t mode() const { return mode_; }
  bool is_connected() const { return is_connected_; }

  int next(outrider_watcher* watcher, int timeout_ms, char** json) {
    return patiently(timeout_ms, [&](int most) { return outrider_next(watcher, most, json); });
  }
  int wait(const char* name, int count, int timeout_ms) {
    return patiently(timeout_ms,
                     [&](int most) { return outrider_wait(agent_, name, count, most); });
  }
  /// Lets the program's own loop turn.
  template <class Done>
  void turn_until(Done done) {
    if (host_ != nullptr) return host_->run_until(done);
    process_until(agent_, done);
  }
  /// What `drain` may wait.
  int drain_ms() const { return host_ == nullptr ? 1 : 0; }

 private:
  template <class Call>
  int patiently(int timeout_ms, Call call) {
    if (host_ == nullptr || timeout_ms == 0) return call(timeout_ms);
    int code = call(timeout_ms);
    if (code != OUTRIDER_EWOULDBLOCK) return code;  // it has come already
    (void)host_->run_for([&] { return (code = call(0)) != OUTRIDER_ETIMEDOUT; }, timeout_ms);
    return code;
  }

  uint32_t mode_;
  bool is_connected_;
  std::unique_ptr<Host> host_;
  outrider_agent* agent_ = nullptr;
  bool closed_ = false;
};

inline void on_each(const std::function<void(Subject&)>& body) {
  for (const uint32_t mode : {OUTRIDER_THREAD, OUTRIDER_FD, OUTRIDER_LOOP}) {
    SUBCASE((std::string("embedded, ") + kModes[mode]).c_str()) {
      Subject agent(outrider_start, quiet(mode));
      body(agent);
    }
    SUBCASE((std::string("connected, ") + kModes[mode]).c_str()) {
      const std::string socket = scratch(".sock");
      const std::string config =
          R"({"mdns": {"provider": "off"}, "dns": {"forward": "off"}, "api": {"socket": ")" +
          socket + "\"}}";
      outrider_options options = quiet();
      options.config = config.c_str();
      const Agent other(options);
      options = quiet(mode);
      options.socket = socket.c_str();
      Subject agent(outrider_connect, options);
      body(agent);
    }
  }
}

}  // namespace outrider::test
