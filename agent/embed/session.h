// SPDX-License-Identifier: Apache-2.0
// What an outrider_agent is: an agent of the program's own, or a connection to one, and the loop
// that it lives on.
//
//   capi.cc ▸ Session::ask ▸ a request (call.h) ▸ LocalTransport: doors::Api of the own agent
//                                               ▸ ask_agent: the socket of another one
//   Session::watch ▸ Watch ▸ a stream of either ▸ the program's callback, or next()
//
// driver.h has the threads. Everything below "on the thread of the loop" is touched there only.
#pragma once

#include <atomic>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/embed/call.h"
#include "agent/embed/driver.h"
#include "agent/embed/local.h"
#include "agent/process/api_servers.h"
#include "agent/process/real_world.h"

namespace outrider::embed {

/// Goodbyes and withdrawals may take this long when an agent is freed.
inline constexpr Duration kStopMax = std::chrono::seconds(3);
/// Deregistering what was registered with another agent, when the connection is freed.
inline constexpr Duration kLeaveMax = std::chrono::seconds(1);
/// Events that wait for outrider_next; with more, the watcher begins again with a whole list.
inline constexpr std::size_t kEventsKept = 1'024;
/// Threads whose latest error is remembered.
inline constexpr std::size_t kErrorsKept = 32;
/// Lines of the log that wait for the program's callback; further ones are dropped.
inline constexpr std::size_t kLogLinesKept = 256;

struct Settings {
  Mode mode = Mode::thread;
  uv_loop_s* uv_loop = nullptr;
  bool keeps_loop_alive = false;
  std::string name, state_directory;
  std::string socket;            // of the agent that is connected to
  std::optional<Config> config;  // of an agent of our own
  outrider_text_callback log = nullptr;
  int log_fd = -1;
  void (*closed)(void*) = nullptr;
  void* user = nullptr;
  Duration timeout = std::chrono::seconds(5);
};

class Session;

class Watch {
 public:
  /// A list of instances, or the events of all services.
  enum class Kind : std::uint8_t { list, events };
  Watch(Session& session, Kind kind, std::string target, outrider_text_callback callback,
        void* user)
      : session_(session),
        kind_(kind),
        target_(std::move(target)),
        callback_(callback),
        user_(user) {}

  Session& session() { return session_; }

 private:
  friend class Session;
  void on_event(std::string_view name, std::string_view data);
  void deliver(std::string text);
  bool is_news(std::string_view list);

  Session& session_;
  const Kind kind_;
  const std::string target_;
  outrider_text_callback callback_;
  void* user_;
  std::deque<std::string> documents_;  // for next(); guarded by the driver's mutex
  // On the thread of the loop.
  std::unique_ptr<Pending> stream_;
  bool held_ = false;  // the call that has made it has not returned
  bool muted_ = false;
  std::vector<std::string> early_;    // documents that came meanwhile
  std::optional<std::uint64_t> was_;  // hash of the latest list
  Timer restart_;
};

class Session {
 public:
  static Result<Session*, Failure> make(Settings settings);

  /// Whether a call may be made now, on this thread: 0 or an error. Each call that may is ended
  /// with leave().
  int enter();
  void leave();

  Outcome ask(const Request& request);
  Outcome register_service(const char* json);
  int deregister(const char* id);
  int drain(int timeout_ms);
  /// Of `held`, begin() lets the documents out.
  Result<Watch*, Failure> watch(const char* name, const char* filter,
                                outrider_text_callback callback, void* user);
  /// The request may wait for `most`.
  Result<Watch*, Failure> watch_within(Duration most, const char* name, const char* filter,
                                       outrider_text_callback callback, void* user);
  void begin(Watch* watch);
  int next(Watch& watch, int timeout_ms, std::string& document);
  void unwatch(Watch* watch);
  int wait(const char* name, int count, int timeout_ms);

  int fd();
  std::int64_t deadline();
  int process();
  /// A call found no memory; returns OUTRIDER_ENOMEM.
  int on_no_memory();
  bool is_on_thread() const { return driver_.is_on_thread(); }
  bool is_forked() const { return driver_.is_forked(); }

  /// Remembers the error for errmsg(), and returns its code.
  int note(const Failure& failure);
  std::string error() const;

  /// Frees this; see outrider_free.
  void release();

 private:
  friend class Watch;
  class LogLines;

  explicit Session(Settings settings);
  ~Session();

  // On the thread of the loop.
  std::optional<Failure> build();
  void run_thread();
  void begin_stop();
  void finish();
  void tear_down();
  void end_on_host_loop();
  void end_on_fd();
  void call_back(outrider_text_callback callback, void* user, const std::string& text);
  std::unique_ptr<Pending> open(Watch& watch, Failure& why, Duration most);
  void restart(Watch& watch);
  void drop(Watch* watch);
  bool is_waiting_allowed() const;

  /// Runs `job` on the thread of the loop; 0 or an error.
  enum class Patience : std::uint8_t { bounded, endless };
  int on_loop(Patience patience, Callback<void()> job);
  Outcome ask_from_outside(const Request& request);
  /// Lets time pass until `done`, which is asked with the mutex held: 0, or ETIMEDOUT, …
  int wait_until(const std::function<bool()>& done, int timeout_ms);
  int turn_until(const std::function<bool()>& done, int timeout_ms);
  void settle();
  void fail();
  bool is_over() const { return closing_ || failed_; }
  void deregister_all();

  Settings settings_;
  Driver driver_;
  std::atomic<bool> closing_ = false, failed_ = false;
  std::atomic<int> calls_ = 0;  // calls that have entered; changed with the mutex
  bool is_decided_ = false;     // it runs or has failed; guarded by the mutex, as what follows
  std::optional<Failure> why_failed_;
  std::vector<std::pair<pthread_t, std::string>> errors_;
  mutable std::mutex errors_mutex_;
  std::set<std::string> registered_;  // with another agent

  // On the thread of the loop.
  bool self_released_ = false;  // freed in a callback: it ends alone
  bool turning_ = false;        // fd: a turn is under way
  int depth_ = 0;               // callbacks of the program that are under way
  bool stopping_ = false;
  bool stopped_ = false;
  std::unique_ptr<RealWorld> world_;
  std::unique_ptr<LogLines> lines_;
  std::unique_ptr<Agent> agent_;
  std::unique_ptr<ApiServers> servers_;
  std::unique_ptr<LocalTransport> local_;
  std::unique_ptr<Transport> remote_;
  std::list<std::unique_ptr<Watch>> watches_, dropped_;
  Timer stop_timer_, drop_timer_;
};

}  // namespace outrider::embed
