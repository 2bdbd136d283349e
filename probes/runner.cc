// SPDX-License-Identifier: Apache-2.0
#include "probes/runner.h"

#include <algorithm>
#include <deque>
#include <set>
#include <unordered_map>

#include "base/assert.h"
#include "base/rounded_duration.h"
#include "base/utf8.h"
#include "probes/curl_probe.h"
#include "probes/http_probe.h"
#include "probes/outcome_log.h"
#include "probes/schedule.h"
#include "probes/tcp_probe.h"
#include "probes/verdict.h"

namespace outrider::probes {
namespace {

/// Of heartbeats and aliases: each outcome counts at once.
constexpr CheckThresholds kAtOnce{
    .success_before_passing = 1, .failures_before_warning = 1, .failures_before_critical = 1};

/// Makes what runs a check; null for a kind that is not probed.
struct ProberMaker {
  using Made = std::unique_ptr<Prober>;
  curl::Curl* curl;  // null if the check does not need the module

  Made operator()(const HttpCheck& http) const {
    return http.tls.on ? make_https_prober(*curl, http) : make_http_prober(http);
  }
  Made operator()(const TcpCheck& tcp) const { return make_tcp_prober(tcp); }
  Made operator()(const GrpcCheck& grpc) const { return make_grpc_prober(*curl, grpc); }
  Made operator()(const TtlCheck&) const { return nullptr; }
  Made operator()(const AliasCheck&) const { return nullptr; }
};

struct Check {
  Check(const CheckSpec& spec, std::unique_ptr<Prober> made, TimePoint now)
      : prober(std::move(made)),
        schedule(spec.timing, now),
        verdict(prober ? Verdict(spec.thresholds, FlapDamping::on, spec.standing)
                       : Verdict(kAtOnce, FlapDamping::off, spec.standing)) {}

  const CheckKey* key = nullptr;   // in the map
  std::uint64_t serial = 0;        // tells a check from a later one with the same key
  std::unique_ptr<Prober> prober;  // null: heartbeat or alias
  Duration ttl{};                  // heartbeat
  std::string alias_of;
  Schedule schedule;
  Verdict verdict;
  OutcomeLog outcomes;
  TimePoint started;
  Timer timer;  // the next run, or the end of the heartbeat
  std::unique_ptr<Probe> probe;
  bool waiting = false;   // due, but kProbesInFlightMax are in flight
  bool excused = false;   // got kLateGrace already
  bool unprobed = false;  // the last probe could not be made, which has been logged
};

Schedule::Phase phase_of(const Check& check) {
  return check.verdict.counting() ? Schedule::Phase::counting : Schedule::Phase::steady;
}

}  // namespace

struct Runner::State {
  State(Env& e, Sink& s) : env(e), sink(s), suspended(e.clock.suspended()) {}
  ~State() { *alive = false; }

  bool load_curl(std::string* why);
  void arm(Check& check, TimePoint due);
  void rearm(Check& check);
  void start(Check& check);
  void run(Check& check);
  void stop(Check& check);
  void start_waiting();
  void start_waiting_soon();
  void on_probe(Check& check, Outcome outcome);
  void on_ttl_over(Check& check);
  /// True if this process was too late to see what was due at `due`: the check gets more time.
  bool excuse(Check& check, TimePoint due);
  void resume();
  /// True if the machine was suspended since the last call; every check has been armed again then.
  bool notice_suspend();
  /// Records an outcome and calls the sink, which may destroy anything: returns false if the check
  /// is gone afterwards (perhaps together with the runner).
  bool record(Check& check, Outcome outcome);
  Check* find(const CheckKey& key);

  Env& env;
  Sink& sink;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::unique_ptr<curl::Curl> curl;  // outlives the checks
  std::unordered_map<CheckKey, std::unique_ptr<Check>, CheckKeyHash> checks;
  std::set<std::pair<std::string, CheckKey>> followers;  // instance id, alias check
  std::deque<Check*> waiting;
  Timer starting;
  std::uint64_t serial = 0;
  std::size_t in_flight = 0;
  Duration suspended;  // of the clock, at the last notice_suspend()
};

bool Runner::State::load_curl(std::string* why) {
  if (!curl) curl = curl::load_curl(env, kCurlChecks, why);
  return curl != nullptr;
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

/// After the period changed: due one period after the last start, but not in the past.
void Runner::State::rearm(Check& check) {
  if (!check.prober || check.probe || check.waiting) return;
  const TimePoint now = env.now();
  if (check.outcomes.empty()) return arm(check, check.schedule.first(now, env.random));
  arm(check, std::max(now, check.schedule.next(check.started, now, phase_of(check), env.random)));
}

void Runner::State::start(Check& check) {
  if (notice_suspend()) return;  // this check has been armed again
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
  if (notice_suspend()) return;  // no check is waiting any more
  while (!waiting.empty() && in_flight < kProbesInFlightMax) {
    Check& next = *waiting.front();
    waiting.pop_front();
    next.waiting = false;
    run(next);
  }
}

/// After every probe that ends in this loop turn: a server with many checks is woken once, not for
/// each of them.
void Runner::State::start_waiting_soon() {
  if (waiting.empty() || starting.pending()) return;
  starting = env.timers.at(env.now(), [this] { start_waiting(); });
}

void Runner::State::on_probe(Check& check, Outcome outcome) {
  // An outcome from before the suspend says nothing about the present.
  if (notice_suspend()) return;
  check.probe.reset();
  --in_flight;
  if (!outcome.probed()) {
    if (!std::exchange(check.unprobed, true))
      env.log.record(LogEvent::check_not_probed, {{"instance", check.key->instance},
                                                  {"check", check.key->check},
                                                  {"reason", outcome.output}});
    arm(check, env.now() + kNotProbedRetry);
    return start_waiting_soon();
  }
  check.unprobed = false;
  if (!outcome.passed() && excuse(check, check.started + check.schedule.timing().timeout)) {
    arm(check, env.now());
    return start_waiting();
  }
  if (outcome.passed()) check.schedule.note_pass();
  const std::shared_ptr<bool> still = alive;
  if (record(check, std::move(outcome)))
    arm(check, check.schedule.next(check.started, env.now(), phase_of(check), env.random));
  if (*still) start_waiting_soon();
}

void Runner::State::on_ttl_over(Check& check) {
  if (notice_suspend()) return arm(check, env.now() + check.ttl);
  Outcome outcome;
  outcome.kind = OutcomeKind::fail_timeout;
  outcome.output = "no heartbeat for " + format_duration(check.ttl);
  outcome.at = env.now();
  record(check, std::move(outcome));
}

bool Runner::State::notice_suspend() {
  const Duration slept = env.clock.suspended() - suspended;
  if (slept <= kSuspendNoticed) return false;
  env.log.record(LogEvent::probes_resumed, {{"duration", format_rounded(slept)}});
  resume();
  return true;
}

void Runner::State::resume() {
  suspended = env.clock.suspended();
  const TimePoint now = env.now();
  for (const auto& [key, check] : checks) {
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

bool Runner::State::record(Check& check, Outcome outcome) {
  check.excused = false;
  check.outcomes.add(outcome);
  const bool changed = check.verdict.step(outcome, env.now());
  const CheckKey key = *check.key;
  const std::uint64_t its_serial = check.serial;
  const std::shared_ptr<bool> still = alive;
  const auto is_there = [&] {
    if (!*still) return false;
    const Check* found = find(key);
    return found != nullptr && found->serial == its_serial;
  };
  if (changed) {
    sink.on_health(key, check.verdict.health(), outcome);
    if (!is_there()) return false;
  }
  sink.on_outcome(key, check.verdict.health(), outcome);
  return is_there();
}

Check* Runner::State::find(const CheckKey& key) {
  const auto at = checks.find(key);
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
  if (state_->checks.contains(spec.key)) {
    *why = "the check id is taken";
    return false;
  }
  if (const auto wrong = validate(spec)) {
    *why = *wrong;
    return false;
  }
  if (needs_module(spec.kind) && !state_->load_curl(why)) return false;
  auto prober = std::visit(ProberMaker{state_->curl.get()}, spec.kind);
  OUTRIDER_ASSERT((prober != nullptr) == facts_of(spec.kind).has_target);
  const TimePoint now = state_->env.now();
  const auto at =
      state_->checks.emplace(spec.key, std::make_unique<Check>(spec, std::move(prober), now)).first;
  Check& check = *at->second;
  check.key = &at->first;
  check.serial = ++state_->serial;
  if (const auto* ttl = std::get_if<TtlCheck>(&spec.kind)) {
    check.ttl = ttl->ttl;
    state_->arm(check, (spec.renewed == TimePoint{} ? now : spec.renewed) + ttl->ttl);
  } else if (const auto* alias = std::get_if<AliasCheck>(&spec.kind)) {
    check.alias_of = alias->instance_id;
    state_->followers.emplace(check.alias_of, spec.key);
  } else {
    state_->arm(check, check.schedule.first(now, state_->env.random));
  }
  return true;
}

void Runner::remove(const CheckKey& key) {
  Check* check = state_->find(key);
  if (check == nullptr) return;
  state_->stop(*check);
  if (!check->alias_of.empty()) state_->followers.erase({check->alias_of, key});
  state_->checks.erase(key);
}

void Runner::set_interval(const CheckKey& key, std::optional<Duration> interval) {
  Check* check = state_->find(key);
  if (check == nullptr) return;
  check->schedule.set_override(interval);
  state_->rearm(*check);
}

void Runner::restart(const CheckKey& key) {
  Check* check = state_->find(key);
  if (check == nullptr) return;
  check->schedule.restart(state_->env.now());
  check->verdict.reset_counts();
  state_->rearm(*check);
}

void Runner::probe_now(const CheckKey& key) {
  Check* check = state_->find(key);
  if (check == nullptr || !check->prober || check->probe || check->waiting) return;
  state_->arm(*check, state_->env.now());
}

bool Runner::renew(const CheckKey& key, Outcome outcome) {
  Check* check = state_->find(key);
  if (check == nullptr || check->ttl == Duration::zero()) return false;
  outcome.at = state_->env.now();
  cut_text_to(outcome.output, kOutputBytesMax);
  state_->arm(*check, outcome.at + check->ttl);
  state_->record(*check, std::move(outcome));
  return true;
}

void Runner::set_instance_health(const std::string& instance_id, CheckHealth health) {
  std::vector<CheckKey> followers;
  for (auto it = state_->followers.lower_bound({instance_id, {}});
       it != state_->followers.end() && it->first == instance_id; ++it)
    followers.push_back(it->second);
  const std::shared_ptr<bool> still = state_->alive;
  State& state = *state_;
  for (const CheckKey& key : followers) {
    Check* check = state.find(key);
    if (check == nullptr) continue;
    if (health == CheckHealth::starting && check->outcomes.empty()) continue;
    Outcome outcome;
    outcome.at = state.env.now();
    outcome.output = "instance " + instance_id + " is " + to_string(health);
    if (health == CheckHealth::passing) outcome.kind = OutcomeKind::pass;
    if (health == CheckHealth::warning) outcome.kind = OutcomeKind::warn;
    state.record(*check, std::move(outcome));
    if (!*still) return;
  }
}

void Runner::resume() {
  state_->resume();
}

std::optional<CheckStatus> Runner::status(const CheckKey& key) const {
  const Check* check = state_->find(key);
  if (check == nullptr) return std::nullopt;
  CheckStatus status;
  status.health = check->verdict.health();
  status.outcomes = check->outcomes.read();
  status.ticks = check->outcomes.ticks();
  status.successes = check->verdict.successes();
  status.failures = check->verdict.failures();
  status.flapping = check->verdict.flapping();
  status.next = check->timer.pending() ? check->timer.due() : state_->env.now();
  return status;
}

std::optional<Duration> Runner::median(const CheckKey& key) const {
  const Check* check = state_->find(key);
  if (check == nullptr || check->prober == nullptr) return std::nullopt;
  return check->outcomes.median();
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
