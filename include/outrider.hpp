// SPDX-License-Identifier: Apache-2.0
// outrider.hpp: the functions of outrider.h for C++11 and later. A thin face: objects that free
// what they own, std::string and std::function in place of pointers, and errors as outrider::Error.
// Everything that outrider.h says about threads, callbacks and time holds here as well; what a
// function throws is what its C function returns.
//
//   outrider::Options options;
//   options.name = "shop";
//   outrider::Agent agent(options);
//   agent.register_service("{\"name\": \"orders\", \"port\": 8080}");
//   std::cout << agent.select("payments") << '\n';
#ifndef OUTRIDER_HPP
#define OUTRIDER_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "outrider.h"

namespace outrider {

class Error : public std::runtime_error {
 public:
  Error(int code, const std::string& text) : std::runtime_error(text), code_(code) {}
  /// OUTRIDER_E*.
  int code() const noexcept { return code_; }

 private:
  int code_;
};

/// See outrider_options. What it points to has to live until the agent is made.
struct Options : outrider_options {
  Options() { outrider_options_init(this, sizeof(outrider_options)); }
};

class Agent;

/// Follows a service, or all events. Ends when it is destroyed; it must not outlive its agent.
class Watcher {
 public:
  /// The next document, if it comes in time (-1: without end). False: it did not.
  bool next(std::string& json, int timeout_ms) {
    char* text = nullptr;
    const int code = outrider_next(watcher_.get(), timeout_ms, &text);
    if (code == OUTRIDER_ETIMEDOUT) return false;
    if (code < 0) throw Error(code, outrider_strerror(code));
    json = text;
    outrider_free_text(text);
    return true;
  }

 private:
  friend class Agent;
  using Callback = std::function<void(const std::string&)>;
  struct End {
    void operator()(outrider_watcher* watcher) const { outrider_unwatch(watcher); }
  };
  std::unique_ptr<Callback> callback_;  // outlives the watcher
  std::unique_ptr<outrider_watcher, End> watcher_;
};

class Agent {
 public:
  /// Starts an agent in this program.
  explicit Agent(const Options& options) { make(outrider_start, options); }
  /// Connects to one that runs.
  static Agent connect(const Options& options) { return Agent(outrider_connect, options); }
  /// Connects to one that runs, or becomes one.
  static Agent open(const Options& options) { return Agent(outrider_open, options); }

  /// Registers a service; returns the id of the instance.
  std::string register_service(const std::string& json) {
    return text([&](char** out) { return outrider_register(get(), json.c_str(), out); });
  }
  void deregister(const std::string& id) { check(outrider_deregister(get(), id.c_str())); }
  void renew(const std::string& id) { check(outrider_renew(get(), id.c_str())); }
  void set_health(const std::string& id, int health, const std::string& note = std::string()) {
    check(outrider_set_health(get(), id.c_str(), health, note.c_str()));
  }
  void set_maintenance(const std::string& id, bool on, const std::string& reason = std::string()) {
    check(outrider_set_maintenance(get(), id.c_str(), on, reason.c_str()));
  }
  void set_draining(const std::string& id, bool on) {
    check(outrider_set_draining(get(), id.c_str(), on));
  }
  void drain(int timeout_ms) { check(outrider_drain(get(), timeout_ms)); }

  // Documents in JSON. An empty filter is none.
  std::string get(const std::string& name, const std::string& filter = std::string()) {
    return text([&](char** out) { return outrider_get(get(), name.c_str(), filter.c_str(), out); });
  }
  std::string list(const std::string& filter = std::string()) {
    return text([&](char** out) { return outrider_list(get(), filter.c_str(), out); });
  }
  std::string select(const std::string& name, const std::string& filter = std::string()) {
    return text(
        [&](char** out) { return outrider_select(get(), name.c_str(), filter.c_str(), out); });
  }
  std::string why(const std::string& name) {
    return text([&](char** out) { return outrider_why(get(), name.c_str(), out); });
  }
  std::string manifest(const std::string& id) {
    return text([&](char** out) { return outrider_manifest(get(), id.c_str(), out); });
  }
  std::string snapshot() {
    return text([&](char** out) { return outrider_snapshot(get(), out); });
  }

  /// Without a callback, Watcher::next() returns the documents. An empty name: events of all
  /// services. The callback must not throw, and must not destroy its own watcher.
  Watcher watch(const std::string& name, const std::string& filter = std::string(),
                std::function<void(const std::string&)> callback = nullptr) {
    Watcher made;
    outrider_watcher* watcher = nullptr;
    outrider_text_callback call = nullptr;
    if (callback) {
      made.callback_.reset(new Watcher::Callback(std::move(callback)));
      call = [](void* user, const char* json, std::size_t size) {
        (*static_cast<Watcher::Callback*>(user))(std::string(json, size));
      };
    }
    check(outrider_watch(get(), name.empty() ? nullptr : name.c_str(), filter.c_str(), call,
                         made.callback_.get(), &watcher));
    made.watcher_.reset(watcher);
    return made;
  }
  /// Whether the service has so many healthy instances in time (-1: without end).
  bool wait(const std::string& name, int count, int timeout_ms) {
    const int code = outrider_wait(get(), name.c_str(), count, timeout_ms);
    return code == OUTRIDER_ETIMEDOUT ? false : check(code) == 0;
  }

  bool on_thread() const { return outrider_on_thread(agent_.get()) != 0; }
  // OUTRIDER_FD
  int fd() const { return check(outrider_fd(agent_.get())); }
  std::int64_t deadline() const { return outrider_deadline(agent_.get()); }
  void process() { check(outrider_process(get())); }

  /// For functions of outrider.h; it stays this object's.
  outrider_agent* get() const { return agent_.get(); }

 private:
  struct Free {
    void operator()(outrider_agent* agent) const { outrider_free(agent); }
  };
  using Make = int (*)(outrider_agent**, const outrider_options*, char*, std::size_t);

  Agent(Make how, const Options& options) { make(how, options); }
  void make(Make how, const Options& options) {
    char error[512];
    outrider_agent* agent = nullptr;
    const int code = how(&agent, &options, error, sizeof error);
    if (code < 0) throw Error(code, error);
    agent_.reset(agent);
  }
  int check(int code) const {
    if (code >= 0) return code;
    char why[512];
    const bool known = outrider_errmsg(agent_.get(), why, sizeof why) > 0;
    throw Error(code, known ? why : outrider_strerror(code));
  }
  template <class Fetch>
  std::string text(Fetch fetch) {
    char* out = nullptr;
    check(fetch(&out));
    const std::unique_ptr<char, void (*)(char*)> owner(out, &outrider_free_text);
    return out;
  }

  std::unique_ptr<outrider_agent, Free> agent_;
};

}  // namespace outrider

#endif
