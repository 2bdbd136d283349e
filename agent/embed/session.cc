// SPDX-License-Identifier: Apache-2.0
#include "agent/embed/session.h"

#include <algorithm>
#include <utility>

#include "agent/embed/guard.h"
#include "agent/embed/remote.h"
#include "agent/process/runtime_dir.h"
#include "base/uv/system.h"

namespace outrider::embed {

/// Lines are passed on in a later turn: the log is written in the middle of everything.
class Session::LogLines {
 public:
  explicit LogLines(Session& session) : session_(session) {}

  void add(const std::string& line) {
    if (lines_.size() == kLogLinesKept) return;
    lines_.push_back(line);
    arm();
  }
  /// Not before there is a loop.
  void arm() {
    if (lines_.empty() || timer_.pending() || session_.world_ == nullptr) return;
    timer_ = session_.world_->env().after(Duration::zero(), [this] { pass_on(); });
  }
  void pass_on() {
    for (const std::string& line : std::exchange(lines_, {}))
      if (!session_.closing_)
        session_.call_back(session_.settings_.log, session_.settings_.user, line);
  }

 private:
  Session& session_;
  std::vector<std::string> lines_;
  Timer timer_;
};

Session::Session(Settings settings) : settings_(std::move(settings)), driver_(settings_.mode) {}
Session::~Session() = default;

// --- Start ---------------------------------------------------------------------------------------

Result<Session*, Failure> Session::make(Settings settings) {
  auto* session = new Session(std::move(settings));
  std::optional<Failure> failed;
  if (session->settings_.mode != Mode::thread) {
    if (!has_memory_for([&] { failed = session->build(); })) failed = Failure{OUTRIDER_ENOMEM};
    if (failed && session->settings_.mode == Mode::loop && session->world_ != nullptr) {
      session->settings_.closed = nullptr;
      session->end_on_host_loop();  // which deletes it
      return failure(std::move(*failed));
    }
    if (failed) session->tear_down();
  } else if (!session->driver_.start_thread([session] { session->run_thread(); })) {
    failed = Failure{OUTRIDER_EFAILED, "no thread can be started"};
  } else {
    std::unique_lock lock(session->driver_.mutex);
    session->driver_.wait(lock, std::nullopt, [&] { return session->is_decided_; });
    failed = session->why_failed_;
    lock.unlock();
    if (failed) session->driver_.join();
  }
  if (!failed) return session;
  delete session;
  return failure(std::move(*failed));
}

std::optional<Failure> Session::build() {
  RealWorld::Ground ground;
  if (settings_.mode == Mode::loop)
    ground.loop = std::make_unique<uv::Loop>(settings_.uv_loop, settings_.keeps_loop_alive
                                                                    ? uv::Loop::Keeps::alive
                                                                    : uv::Loop::Keeps::nothing);
  else
    ground.loop = uv::Loop::open();
  if (ground.loop == nullptr) return Failure{OUTRIDER_EFAILED, "no descriptors are left"};
  const LogConfig log = settings_.config ? settings_.config->log : LogConfig{"info", "auto"};
  const uv::LogFormat format = log_format(log.format);
  lines_ = std::make_unique<LogLines>(*this);
  if (settings_.log != nullptr)
    ground.log = uv::make_callback_log(ground.loop->clock(), format,
                                       [this](const std::string& line) { lines_->add(line); });
  else if (settings_.log_fd >= 0)
    ground.log = uv::make_fd_log(ground.loop->clock(), format, settings_.log_fd);
  else
    ground.log = std::make_unique<NullLog>();
  ground.log->set_least(log_level(log.level));
  ground.state_dir = settings_.state_directory;
  ground.runtime_dir = usual_runtime_dir();
  world_ = std::make_unique<RealWorld>(std::move(ground));
  driver_.attach(world_->loop());
  Env& env = world_->env();
  if (settings_.config) {
    const std::string own = "/embedded/" + settings_.name;
    agent_ = std::make_unique<Agent>(env, *settings_.config, world_->parts(*settings_.config, own));
    servers_ =
        std::make_unique<ApiServers>(env, *agent_, agent_->config().api, usual_runtime_dir(),
                                     [this](const std::string& path, Callback<void()> changed) {
                                       return world_->loop().watch_file(path, std::move(changed));
                                     });
    local_ = std::make_unique<LocalTransport>(env, servers_->api());
    agent_->start();
    servers_->start();
  } else {
    remote_ = std::make_unique<RemoteTransport>(env, settings_.socket);
  }
  if (settings_.mode == Mode::loop) world_->loop().when_given_up([this] { fail(); });
  lines_->arm();
  settle();
  return std::nullopt;
}

void Session::run_thread() {
  std::optional<Failure> failed;
  if (!has_memory_for([&] { failed = build(); })) failed = Failure{OUTRIDER_ENOMEM};
  const bool runs = !failed;
  if (!runs) tear_down();  // who made it deletes it
  {
    const std::lock_guard lock(driver_.mutex);
    is_decided_ = true;
    why_failed_ = std::move(failed);
    driver_.changed.notify_all();
  }
  if (!runs) return;
  driver_.turn_until_stopped();
  if (world_->loop().gave_up()) {
    fail();
    std::unique_lock lock(driver_.mutex);
    driver_.wait(lock, std::nullopt, [this] { return closing_.load(); });
  }
  tear_down();
  if (settings_.closed != nullptr) settings_.closed(settings_.user);
  if (!self_released_) return;
  driver_.let_go();
  delete this;
}

// --- End -----------------------------------------------------------------------------------------

void Session::release() {
  {
    const std::lock_guard lock(driver_.mutex);
    if (closing_.exchange(true)) return;  // in `closed`, which is a callback too
    driver_.changed.notify_all();
  }
  if (remote_ != nullptr) (void)has_memory_for([this] { deregister_all(); });
  switch (settings_.mode) {
    case Mode::thread:
      self_released_ = driver_.is_on_thread();
      if (self_released_) {
        if (!has_memory_for([this] { begin_stop(); })) finish();
        return;
      }
      driver_.call_last([this] { begin_stop(); });  // takes no memory
      driver_.join();
      delete this;
      return;
    case Mode::fd:
      if (!turning_) end_on_fd();
      return;
    case Mode::loop:
      if (!has_memory_for([this] { begin_stop(); })) finish();
      return;
  }
}

/// What is left when the time is over ends with its checks, or stays.
void Session::deregister_all() {
  std::unique_lock lock(driver_.mutex);
  const std::set<std::string> ids = std::exchange(registered_, {});
  lock.unlock();
  const TimePoint until = uv::now_outside() + kLeaveMax;
  for (const std::string& id : ids) {
    const Duration left = until - uv::now_outside();
    if (left <= Duration::zero()) return;
    (void)ask_agent(settings_.socket, change_request("deregister", id), left);
  }
}

/// Every callback of the program but `closed` has come.
void Session::begin_stop() {
  if (std::exchange(stopping_, true)) return;
  for (const auto& watch : watches_)
    watch->muted_ = true;
  if (agent_ == nullptr || failed_) return finish();
  stop_timer_ = world_->env().after(kStopMax, [this] { finish(); });
  agent_->stop([this] { finish(); });
  agent_->hurry();
}

void Session::finish() {
  if (std::exchange(stopped_, true)) return;
  driver_.stop();
  if (settings_.mode == Mode::loop) driver_.call_last([this] { end_on_host_loop(); });
}

void Session::end_on_fd() {
  if (!has_memory_for([this] { begin_stop(); })) world_->loop().give_up();
  while (!stopped_ && !world_->loop().gave_up())
    world_->loop().turn(true);
  tear_down();
  if (settings_.closed != nullptr) settings_.closed(settings_.user);
  delete this;
}

void Session::end_on_host_loop() {
  world_->loop().when_closed([this] {
    if (settings_.closed != nullptr) settings_.closed(settings_.user);
    delete this;
  });
  tear_down();
}

void Session::tear_down() {
  {
    // Calls of other threads see that this is closing, and leave.
    std::unique_lock lock(driver_.mutex);
    driver_.wait(lock, std::nullopt, [this] { return calls_ == 0 || !closing_; });
  }
  drop_timer_.reset();
  stop_timer_.reset();
  watches_.clear();
  dropped_.clear();
  remote_.reset();
  local_.reset();
  servers_.reset();
  agent_.reset();
  driver_.detach();
  lines_.reset();
  world_.reset();
}

// --- Calls ---------------------------------------------------------------------------------------

int Session::enter() {
  if (driver_.is_forked()) return OUTRIDER_EFORKED;
  if (settings_.mode != Mode::thread && !driver_.is_on_thread()) return OUTRIDER_EWRONGTHREAD;
  const std::lock_guard lock(driver_.mutex);
  if (is_over()) return OUTRIDER_ECLOSED;
  ++calls_;
  return 0;
}

void Session::leave() {
  if (!has_memory_for([this] { settle(); })) (void)on_no_memory();
  bool ends = false;
  {
    const std::lock_guard lock(driver_.mutex);
    if (--calls_ == 0 && closing_) driver_.changed.notify_all();
    ends = calls_ == 0 && closing_ && settings_.mode == Mode::fd && !turning_;
  }
  if (ends) end_on_fd();  // a callback has freed this
}

/// fd: what the call has made counts for the next deadline.
void Session::settle() {
  if (settings_.mode != Mode::fd) return;
  if (!turning_) world_->loop().settle();
}

Outcome Session::ask(const Request& request) {
  if (local_ == nullptr) return ask_agent(settings_.socket, request, settings_.timeout);
  return driver_.is_on_thread() ? local_->ask_now(request) : ask_from_outside(request);
}

Outcome Session::ask_from_outside(const Request& request) {
  struct Asked {
    std::optional<Outcome> outcome;  // guarded, as what follows
    bool abandoned = false;
    std::unique_ptr<Pending> pending;  // on the thread of the loop
  };
  const auto asked = std::make_shared<Asked>();
  const auto forget = [this, asked] { driver_.post([asked] { asked->pending.reset(); }); };
  const bool posted = driver_.post([this, asked, request, forget] {
    {
      const std::lock_guard lock(driver_.mutex);
      if (asked->abandoned) return;
    }
    asked->pending = local_->ask(request, [this, asked, forget](Outcome outcome) {
      {
        const std::lock_guard lock(driver_.mutex);
        asked->outcome = std::move(outcome);
        driver_.changed.notify_all();
      }
      forget();
    });
  });
  if (!posted) return failure(Failure{OUTRIDER_ECLOSED});
  std::unique_lock lock(driver_.mutex);
  driver_.wait(lock, settings_.timeout, [&] { return asked->outcome.has_value() || is_over(); });
  if (asked->outcome) return std::move(*asked->outcome);
  asked->abandoned = true;
  const int code = is_over() ? OUTRIDER_ECLOSED : OUTRIDER_ETIMEDOUT;
  lock.unlock();
  forget();
  return failure(Failure{code});
}

/// `job` may refer to what is on the caller's stack.
int Session::on_loop(Patience patience, Callback<void()> job) {
  if (driver_.is_on_thread()) {
    job();
    return 0;
  }
  struct Ticket {
    bool begun = false, done = false, abandoned = false;
  };
  const auto ticket = std::make_shared<Ticket>();
  auto* run = &job;
  const bool posted = driver_.post([this, ticket, run] {
    {
      const std::lock_guard lock(driver_.mutex);
      if (ticket->abandoned) return;
      ticket->begun = true;
    }
    (*run)();
    const std::lock_guard lock(driver_.mutex);
    ticket->done = true;
    driver_.changed.notify_all();
  });
  if (!posted) return OUTRIDER_ECLOSED;
  std::unique_lock lock(driver_.mutex);
  std::optional<Duration> most;
  if (patience == Patience::bounded) most = settings_.timeout;
  driver_.wait(lock, most, [&] { return ticket->done || is_over(); });
  if (ticket->begun) driver_.wait(lock, std::nullopt, [&] { return ticket->done || failed_; });
  if (ticket->done) return 0;
  ticket->abandoned = true;
  return is_over() ? OUTRIDER_ECLOSED : OUTRIDER_ETIMEDOUT;
}

Outcome Session::register_service(const char* json) {
  Outcome outcome = ask(register_request(json));
  if (!outcome) return outcome;
  std::vector<std::string> ids = registered_ids(*outcome);
  if (local_ == nullptr) {
    const std::lock_guard lock(driver_.mutex);
    registered_.insert(ids.begin(), ids.end());
  }
  return ids.size() == 1 ? std::move(ids.front()) : std::string();
}

int Session::deregister(const char* id) {
  const Outcome outcome = ask(change_request("deregister", id));
  if (!outcome) return note(outcome.error());
  const std::lock_guard lock(driver_.mutex);
  registered_.erase(id);
  return 0;
}

int Session::drain(int timeout_ms) {
  Outcome outcome;
  Duration wait = std::chrono::seconds(6);  // the default of agents
  if (local_ != nullptr) {
    outcome = ask({"PUT", "/v1/outrider/drain"});
    wait = settings_.config->drain_time();
  } else {
    std::unique_lock lock(driver_.mutex);
    const auto ids = registered_;
    lock.unlock();
    for (const std::string& id : ids)
      if (outcome) outcome = ask(change_request("drain", id));
    if (ids.empty()) wait = Duration::zero();
  }
  if (!outcome) return note(outcome.error());
  const auto most = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  const bool whole = timeout_ms < 0 || timeout_ms > most;
  const int waited = wait_until([] { return false; }, whole ? static_cast<int>(most) : timeout_ms);
  return waited == OUTRIDER_ETIMEDOUT ? 0 : waited;
}

/// Nothing may wait on a host's loop, nor in a callback.
bool Session::is_waiting_allowed() const {
  if (!driver_.is_on_thread()) return true;
  return settings_.mode == Mode::fd && depth_ == 0 && !turning_;
}

int Session::wait_until(const std::function<bool()>& done, int timeout_ms) {
  if (std::unique_lock lock(driver_.mutex); done()) return 0;
  if (timeout_ms == 0) return OUTRIDER_ETIMEDOUT;
  if (!is_waiting_allowed()) return OUTRIDER_EWOULDBLOCK;
  if (driver_.is_on_thread()) return turn_until(done, timeout_ms);
  std::unique_lock lock(driver_.mutex);
  std::optional<Duration> most;
  if (timeout_ms > 0) most = std::chrono::milliseconds(timeout_ms);
  bool is_done = false;
  driver_.wait(lock, most, [&] { return is_over() || (is_done = done()); });
  if (is_done) return 0;
  return is_over() ? OUTRIDER_ECLOSED : OUTRIDER_ETIMEDOUT;
}

/// A callback may free this: then it ends when the caller has left.
int Session::turn_until(const std::function<bool()>& done, int timeout_ms) {
  bool expired = false;
  Timer timer;
  if (timeout_ms > 0)
    timer = world_->env().after(std::chrono::milliseconds(timeout_ms), [&] { expired = true; });
  turning_ = true;
  const auto ask = [&] {
    const std::lock_guard lock(driver_.mutex);
    return done();
  };
  bool is_done = false;
  while (!(is_done = ask()) && !expired && !is_over()) {
    world_->loop().turn(true);
    if (world_->loop().gave_up()) fail();
  }
  turning_ = false;
  if (is_done) return 0;
  return is_over() ? OUTRIDER_ECLOSED : OUTRIDER_ETIMEDOUT;
}

// --- fd ------------------------------------------------------------------------------------------

int Session::fd() {
  return settings_.mode == Mode::fd ? world_->loop().backend_fd() : OUTRIDER_EINVAL;
}

std::int64_t Session::deadline() {
  if (settings_.mode != Mode::thread && !driver_.is_on_thread()) return OUTRIDER_EWRONGTHREAD;
  if (settings_.mode != Mode::fd) return OUTRIDER_EINVAL;
  const auto next = world_->loop().next_turn();
  return next ? next->time_since_epoch().count() : INT64_MAX;
}

int Session::process() {
  if (settings_.mode != Mode::fd || turning_) return OUTRIDER_EINVAL;
  turning_ = true;
  world_->loop().turn(false);
  turning_ = false;
  if (!world_->loop().gave_up()) return 0;
  fail();
  return OUTRIDER_ENOMEM;
}

/// Something was left half done: only freeing is of use.
void Session::fail() {
  const std::lock_guard lock(driver_.mutex);
  failed_ = true;
  driver_.changed.notify_all();
}

int Session::on_no_memory() {
  if (driver_.is_on_thread() && world_ != nullptr) {
    world_->loop().give_up();
    fail();
  }
  return OUTRIDER_ENOMEM;
}

// --- Errors --------------------------------------------------------------------------------------

int Session::note(const Failure& failure) {
  const std::lock_guard lock(errors_mutex_);
  const pthread_t self = ::pthread_self();
  std::erase_if(errors_, [&](const auto& each) { return ::pthread_equal(each.first, self) != 0; });
  if (errors_.size() == kErrorsKept) errors_.erase(errors_.begin());
  errors_.emplace_back(
      self, failure.text.empty() ? std::string(outrider_strerror(failure.code)) : failure.text);
  return failure.code;
}

std::string Session::error() const {
  const std::lock_guard lock(errors_mutex_);
  for (const auto& [thread, text] : errors_)
    if (::pthread_equal(thread, ::pthread_self()) != 0) return text;
  return {};
}

}  // namespace outrider::embed
