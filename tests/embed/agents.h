// SPDX-License-Identifier: Apache-2.0
// What the tests of the library share: agents that touch no network, and texts that free
// themselves.
#pragma once

#include <atomic>
#include <string>
#include <utility>

#include <unistd.h>

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
