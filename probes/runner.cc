// SPDX-License-Identifier: Apache-2.0
#include "probes/runner.h"

#include <algorithm>
#include <deque>
#include <set>
#include <unordered_map>

#include "probes/curl_loader.h"
#include "probes/http_probe.h"
#include "probes/outcome_log.h"
#include "probes/schedule.h"
#include "probes/tcp_probe.h"

namespace outrider::probes {
namespace {

/// Of heartbeats and aliases each word counts at once.
constexpr Thresholds kTold{.success_before_passing = 1,
                           .failures_before_warning = 1,
                           .failures_before_critical = 1,
                           .refused_is_critical = false,
                           .damp_flapping = false};

struct Check {
  Check(const CheckSpec& spec, std::unique_ptr<Prober> made, TimePoint now)
      : prober(std::move(made)),
        schedule(spec.timing, now),
        verdict(prober ? spec.thresholds : kTold) {}

  const std::string* id = nullptr;  // the key of the map
  std::uint64_t serial = 0;         // tells a check from a later one under the same id
  std::unique_ptr<Prober> prober;   // null: heartbeat or alias
  Duration ttl{};                   // heartbeat
  std::string alias_of;
  Schedule schedule;
  Verdict verdict;
  OutcomeLog outcomes;
  TimePoint started;
  Timer timer;  // the next run, or the end of the heartbeat
  std::unique_ptr<Probe> probe;
  bool waiting = false;  // due, but kProbesInFlightMax are under way
  bool excused = false;  // has been waited for once more, since we came late
};

}  // namespace

struct Runner::State {
  State(Env& e, Sink& s) : env(e), sink(s), suspended(e.clock.suspended()) {}
  ~State() { *alive = false; }

  std::unique_ptr<Prober> make_prober(const CheckSpec& spec, std::string* why);
  void arm(Check& check, TimePoint due);
  void rearm(Check& check);
  void start(Check& check);
  void run(Check& check);
  void stop(Check& check);
  void start_waiting();
  void start_waiting_soon();
  void on_probe(Check& check, Outcome outcome);
  void on_ttl_over(Check& check);
  /// True if what was due then has been missed by us rather than by the check, and is excused.
  bool excuse(Check& check, TimePoint due);
  void resume();
  /// True if the machine slept since the last look: everything has begun anew then.
  bool resumed();
  /// Takes an outcome into account and tells the sink. The sink may destroy anything: false when
  /// the check is gone afterwards (the runner perhaps with it).
  bool take(Check& check, Outcome outcome);
  Check* find(const std::string& id);

  Env& env;
  Sink& sink;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::unique_ptr<CurlEngine> curl;  // outlives the checks
  std::unordered_map<std::string, std::unique_ptr<Check>> checks;
  std::set<std::pair<std::string, std::string>> followers;  // instance id, id of an alias check
  std::deque<Check*> waiting;
  Timer starting;
  std::uint64_t serial = 0;
  std::size_t in_flight = 0;
  Duration suspended;  // of the clock, when it was last looked at
};

std::unique_ptr<Prober> Runner::State::make_prober(const CheckSpec& spec, std::string* why) {
  const auto* http = std::get_if<HttpCheck>(&spec.kind);
  if (http != nullptr && !http->tls) return make_http_prober(*http);
  if (const auto* tcp = std::get_if<TcpCheck>(&spec.kind)) return make_tcp_prober(*tcp);
  if (!curl) curl = load_curl_engine(env, why);
  if (!curl) return nullptr;
  if (http != nullptr) return curl->make_http(*http);
  return curl->make_grpc(std::get<GrpcCheck>(spec.kind));
}

void Runner::State::arm(Check& check, TimePoint due) {
  check.timer = env.timers.at(due, [this, &check, due] {
    if (check.prober) return start(check);
    if (excuse(check, due)) return arm(check, env.now() + kLateGrace);
    on_ttl_over(check);
  });
}

bool Runner::State::excuse(Check& check, TimePoint due) {
  if (check.excused || env.now() - due <= kLateNoticed) return false;
  check.excused = true;
  return true;
}

/// After the period has changed: from the last start, but not in the past.
void Runner::State::rearm(Check& check) {
  if (!check.prober || check.probe || check.waiting) return;
  const TimePoint now = env.now();
  if (check.outcomes.empty()) return arm(check, check.schedule.first(now, env.random));
  arm(check,
      std::max(now, check.schedule.next(check.started, now, check.verdict.counting(), env.random)));
}

void Runner::State::start(Check& check) {
  if (resumed()) return;  // this one too is armed again
  if (in_flight < kProbesInFlightMax && waiting.empty()) return run(check);
  check.waiting = true;
  waiting.push_back(&check);
}

void Runner::State::run(Check& check) {
  ++in_flight;
  check.started = env.now();
  check.probe =
      check.prober->start(env, check.schedule.timing().timeout,
                          [this, &check](Outcome outcome) { on_probe(check, std::move(outcome)); });
}

void Runner::State::stop(Check& check) {
  check.timer.reset();
  if (check.waiting) std::erase(waiting, &check);
  check.waiting = false;
  if (!check.probe) return;
  check.probe.reset();
  --in_flight;
  start_waiting_soon();
}

void Runner::State::start_waiting() {
  if (resumed()) return;  // nobody waits any more
  while (!waiting.empty() && in_flight < kProbesInFlightMax) {
    Check& next = *waiting.front();
    waiting.pop_front();
    next.waiting = false;
    run(next);
  }
}

/// Together, when all that end in this turn are through: whoever answers many of them is then woken
/// once, not for each.
void Runner::State::start_waiting_soon() {
  if (waiting.empty() || starting.pending()) return;
  starting = env.timers.at(env.now(), [this] { start_waiting(); });
}

void Runner::State::on_probe(Check& check, Outcome outcome) {
  // What began before the sleep says nothing about now.
  if (resumed()) return;
  check.probe.reset();
  --in_flight;
  if (!outcome.passed() && excuse(check, check.started + check.schedule.timing().timeout)) {
    arm(check, env.now());
    return start_waiting();
  }
  if (outcome.passed()) check.schedule.note_pass();
  const std::shared_ptr<bool> still = alive;
  if (take(check, std::move(outcome))) {
    const bool counting = check.verdict.counting();
    arm(check, check.schedule.next(check.started, env.now(), counting, env.random));
  }
  if (*still) start_waiting_soon();
}

void Runner::State::on_ttl_over(Check& check) {
  if (resumed()) return arm(check, env.now() + check.ttl);
  Outcome outcome;
  outcome.kind = OutcomeKind::fail_timeout;
  outcome.output = "no heartbeat for " + format_duration(check.ttl);
  outcome.at = env.now();
  take(check, std::move(outcome));
}

bool Runner::State::resumed() {
  const Duration slept = env.clock.suspended() - suspended;
  if (slept <= kSuspendNoticed) return false;
  env.log.info("resumed", {{"slept", slept}});
  resume();
  return true;
}

void Runner::State::resume() {
  suspended = env.clock.suspended();
  const TimePoint now = env.now();
  for (const auto& [id, check] : checks) {
    check->verdict.reset_counts();
    if (check->ttl > Duration::zero()) {
      if (check->timer.pending()) arm(*check, now + check->ttl);
      continue;
    }
    if (!check->prober) continue;
    stop(*check);
    check->prober->forget();
    arm(*check, check->schedule.first(now, env.random));
  }
}

bool Runner::State::take(Check& check, Outcome outcome) {
  check.excused = false;
  check.outcomes.add(outcome);
  const bool changed = check.verdict.step(outcome, env.now());
  const std::string id = *check.id;
  const std::uint64_t its_serial = check.serial;
  const std::shared_ptr<bool> still = alive;
  const auto is_there = [&] {
    if (!*still) return false;
    const Check* found = find(id);
    return found != nullptr && found->serial == its_serial;
  };
  if (changed) {
    sink.on_health(id, check.verdict.health(), outcome);
    if (!is_there()) return false;
  }
  sink.on_outcome(id, outcome);
  // A sink that slowed the check down, or began it anew, has armed it already.
  return is_there();
}

Check* Runner::State::find(const std::string& id) {
  const auto at = checks.find(id);
  return at == checks.end() ? nullptr : at->second.get();
}

Runner::Runner(Env& env, Sink& sink) : state_(std::make_unique<State>(env, sink)) {}
Runner::~Runner() = default;

bool Runner::add(const CheckSpec& spec, std::string* why) {
  std::string reason;
  if (why == nullptr) why = &reason;
  if (state_->checks.size() >= kChecksMax) {
    *why = "too many checks";
    return false;
  }
  if (state_->checks.contains(spec.id)) {
    *why = "the check id is taken";
    return false;
  }
  if (const auto wrong = validate(spec)) {
    *why = *wrong;
    return false;
  }
  const auto* ttl = std::get_if<TtlCheck>(&spec.kind);
  const auto* alias = std::get_if<AliasCheck>(&spec.kind);
  std::unique_ptr<Prober> prober;
  if (ttl == nullptr && alias == nullptr) {
    prober = state_->make_prober(spec, why);
    if (!prober) return false;
  }
  const TimePoint now = state_->env.now();
  const auto at =
      state_->checks.emplace(spec.id, std::make_unique<Check>(spec, std::move(prober), now)).first;
  Check& check = *at->second;
  check.id = &at->first;
  check.serial = ++state_->serial;
  if (ttl != nullptr) {
    check.ttl = ttl->ttl;
    state_->arm(check, now + ttl->ttl);
  } else if (alias != nullptr) {
    check.alias_of = alias->instance_id;
    state_->followers.emplace(check.alias_of, spec.id);
  } else {
    state_->arm(check, check.schedule.first(now, state_->env.random));
  }
  return true;
}

void Runner::remove(const std::string& check_id) {
  Check* check = state_->find(check_id);
  if (check == nullptr) return;
  state_->stop(*check);
  if (!check->alias_of.empty()) state_->followers.erase({check->alias_of, check_id});
  state_->checks.erase(check_id);
}

void Runner::set_interval(const std::string& check_id, std::optional<Duration> interval) {
  Check* check = state_->find(check_id);
  if (check == nullptr) return;
  check->schedule.set_override(interval);
  state_->rearm(*check);
}

void Runner::restart(const std::string& check_id) {
  Check* check = state_->find(check_id);
  if (check == nullptr) return;
  check->schedule.restart(state_->env.now());
  check->verdict.reset_counts();
  state_->rearm(*check);
}

void Runner::look_now(const std::string& check_id) {
  Check* check = state_->find(check_id);
  if (check == nullptr || !check->prober || check->probe || check->waiting) return;
  state_->arm(*check, state_->env.now());
}

bool Runner::renew(const std::string& check_id, Outcome outcome) {
  Check* check = state_->find(check_id);
  if (check == nullptr || check->ttl == Duration::zero()) return false;
  outcome.at = state_->env.now();
  if (outcome.output.size() > kOutputBytesMax) outcome.output.resize(kOutputBytesMax);
  state_->arm(*check, outcome.at + check->ttl);
  state_->take(*check, std::move(outcome));
  return true;
}

void Runner::instance_health(const std::string& instance_id, Health health) {
  std::vector<std::string> followers;
  for (auto it = state_->followers.lower_bound({instance_id, ""});
       it != state_->followers.end() && it->first == instance_id; ++it)
    followers.push_back(it->second);
  const std::shared_ptr<bool> still = state_->alive;
  State& state = *state_;
  for (const std::string& id : followers) {
    Check* check = state.find(id);
    if (check == nullptr) continue;
    if (health == Health::starting && check->outcomes.empty()) continue;
    Outcome outcome;
    outcome.at = state.env.now();
    outcome.output = "instance " + instance_id + " is " + to_string(health);
    if (health == Health::passing) outcome.kind = OutcomeKind::pass;
    if (health == Health::warning) outcome.kind = OutcomeKind::warn;
    state.take(*check, std::move(outcome));
    if (!*still) return;
  }
}

void Runner::resume() {
  state_->resume();
}

std::optional<CheckStatus> Runner::status(const std::string& check_id) const {
  const Check* check = state_->find(check_id);
  if (check == nullptr) return std::nullopt;
  CheckStatus status;
  status.health = check->verdict.health();
  status.outcomes = check->outcomes.read();
  status.successes = check->verdict.successes();
  status.failures = check->verdict.failures();
  status.flapping = check->verdict.flapping();
  status.next = check->timer.pending() ? check->timer.due() : state_->env.now();
  return status;
}

std::size_t Runner::size() const {
  return state_->checks.size();
}
std::size_t Runner::in_flight() const {
  return state_->in_flight;
}
std::size_t Runner::flapping() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      state_->checks, [](const auto& entry) { return entry.second->verdict.flapping(); }));
}

}  // namespace outrider::probes
