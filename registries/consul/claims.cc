// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/claims.h"

#include <algorithm>

namespace outrider::registries::consul {
namespace {

constexpr int kNotFound = 404;
constexpr std::size_t kLostSessionsMax = 8;

}  // namespace

Claims::Claims(Env& env, const Options& options, NameLookup* names, Sink& sink)
    : env_(env),
      options_(options),
      sink_(sink),
      client_(env, options, names),
      locks_(env, options, names),
      ttl_(std::max(options.ttl, kSessionTtlMin)) {}

Claims::~Claims() = default;

bool Claims::claim(const std::string& name) {
  if (stopping_ || (claims_.size() == kClaimsMax && !claims_.contains(name))) return false;
  surrendered_.erase(name);
  claims_.try_emplace(name);
  work_later({});
  return true;
}

void Claims::unclaim(const std::string& name) {
  if (claims_.erase(name) == 0) return;
  if (!session_.empty()) surrendered_[name] = env_.now() + kSurrenderDelay;
  work_later(kSurrenderDelay);
}

void Claims::hurry() {
  if (stopping_ || not_before_ <= env_.now() || !denial_.empty()) return;
  not_before_ = env_.now();
  work_later({});
}

// --- one thing after another ---------------------------------------------------------------------

void Claims::work_later(Duration delay) {
  const TimePoint due = env_.now() + delay;
  if (work_timer_.pending() && work_timer_.due() <= due) return;
  work_timer_ = env_.timers.at(due, [this] { work(); });
}

/// The next step, if none is under way.
void Claims::work() {
  if (client_.is_busy() || stopping_) return;
  const TimePoint now = env_.now();
  if (now < not_before_) return work_later(not_before_ - now);
  if (!lost_sessions_.empty()) return destroy(*lost_sessions_.begin());
  std::optional<TimePoint> due;
  const auto at = [&](TimePoint when) { due = std::min(due.value_or(when), when); };
  for (const auto& [name, when] : surrendered_)
    at(when);
  if (claims_.empty()) {
    locks_.close();
    follow_timer_.reset();
    index_ = 0;
    if (session_.empty()) return;
    if (due && *due > now) return work_later(*due - now);
    surrendered_.clear();
    end_timer_.reset();
    return destroy(std::exchange(session_, {}));
  }
  if (session_.empty()) return open_session();
  if (!locks_.is_busy() && !follow_timer_.pending()) follow();
  if (renew_at_ <= now) return renew();
  for (const auto& [name, when] : surrendered_)
    if (when <= now) return surrender(std::string(name));
  for (const auto& [name, claim] : claims_) {
    if (!claim.due) continue;
    if (claim.not_before <= now) return acquire(name);
    at(claim.not_before);
  }
  at(renew_at_);
  work_timer_ = env_.timers.at(*due, [this] { work(); });
}

/// True: it waits for a while.
bool Claims::on_unreachable(const Result<Answer, Failure>& result) {
  if (result || result.error().kind != Failure::Kind::unreachable) {
    back_off_.reset();
    return false;
  }
  sink_.on_claims_error(result.error().text);
  not_before_ = env_.now() + back_off_.next(env_.random, 1);
  work_later({});
  return true;
}

// --- the session ---------------------------------------------------------------------------------

void Claims::open_session() {
  client_.call({.method = "PUT",
                .target = std::string(kSessionTarget),
                .body = session_request(options_.writer, ttl_),
                .repeatable = false},
               [this, asked = env_.now()](auto result) { on_session(asked, result); });
}

void Claims::on_session(TimePoint asked, const Result<Answer, Failure>& result) {
  if (!result && is_without_sessions(result.error().status))
    return deny_all("this Consul has no sessions, by which agents elect one of them",
                    kSessionsRetry);
  if (on_unreachable(result)) return;
  if (!result) return deny_all("no session: " + result.error().text, kWriteRetry);
  denial_.clear();
  session_ = read_session(result->body);
  if (session_.empty()) return deny_all("an answer that cannot be read", kWriteRetry);
  count_ttl(asked);
  for (auto& [name, claim] : claims_) {
    claim.due = true;
    claim.not_before = {};
  }
  work_later({});
}

/// From when it was asked for: Consul cannot have begun earlier.
void Claims::count_ttl(TimePoint asked) {
  renew_at_ = asked + beat_interval(ttl_);
  end_timer_ = env_.timers.at(asked + ttl_ - kSessionMargin,
                              [this] { lose("its session could not be renewed"); });
}

/// Nothing can be claimed for a while.
void Claims::deny_all(const std::string& reason, Duration retry) {
  denial_ = reason;
  for (auto& [name, claim] : claims_)
    claim.reason = reason;
  not_before_ = env_.now() + retry;
  work_later({});
  sink_.on_claims_error(reason);
  report();
}

void Claims::renew() {
  client_.call({.method = "PUT", .target = renew_target(session_), .body = {}},
               [this, asked = env_.now(), session = session_](auto result) {
                 if (session == session_) return on_renewed(asked, result);
                 work_later({});
               });
}

void Claims::on_renewed(TimePoint asked, const Result<Answer, Failure>& result) {
  if (!result && result.error().status == kNotFound) return lose("its session has ended");
  if (on_unreachable(result)) return;
  if (!result) {
    sink_.on_claims_error(result.error().text);
    renew_at_ = env_.now() + kClaimRetry;
    return work_later({});
  }
  count_ttl(asked);
  work_later({});
}

/// Consul may still have it, with our keys.
void Claims::lose(const std::string& reason) {
  sink_.on_claims_error(reason);
  if (lost_sessions_.size() < kLostSessionsMax) lost_sessions_.insert(session_);
  session_.clear();
  end_timer_.reset();
  surrendered_.clear();
  for (auto& [name, claim] : claims_)
    if (std::exchange(claim.held, false)) claim.reason = reason;
  work_later({});
  report();
}

/// Its keys are deleted with it. One that is unknown is destroyed, too.
void Claims::destroy(const std::string& session) {
  lost_sessions_.insert(session);
  client_.call({.method = "PUT", .target = destroy_target(session), .body = {}},
               [this, session](auto result) {
                 if (stopping_) return finish();
                 if (on_unreachable(result) && result.error().status == 0) return;
                 lost_sessions_.erase(session);
                 work_later({});
               });
}

// --- one claim -----------------------------------------------------------------------------------

void Claims::acquire(const std::string& name) {
  client_.call({.method = "PUT",
                .target = acquire_target(name, session_),
                .body = options_.writer.empty() ? "unnamed" : options_.writer},
               [this, name, session = session_](auto result) {
                 if (session == session_) return on_acquired(name, result);
                 work_later({});
               });
}

void Claims::on_acquired(const std::string& name, const Result<Answer, Failure>& result) {
  if (!result && is_unknown_session(result.error().status, result.error().text))
    return lose("its session has ended");
  if (on_unreachable(result)) return;
  const auto found = claims_.find(name);
  if (found == claims_.end()) return work_later({});
  Claim& claim = found->second;
  claim.refused = !result;
  claim.held = result && read_acquired(result->body);
  claim.reason.clear();
  claim.due = !claim.held;
  const auto holder = holders_.find(name);
  if (!result) {
    claim.reason = result.error().text;
    sink_.on_claims_error(name + ": " + claim.reason);
  } else if (!claim.held) {
    claim.reason = holder != holders_.end() ? "the agent " + holder->second + " holds it"
                                            : "another agent holds it";
  }
  // A list will say when it is free.
  const bool is_free = result && holder == holders_.end();
  claim.not_before = env_.now() + (is_free ? kClaimRetry : kWriteRetry);
  work_later({});
  report();
}

/// Not without a look: another agent may hold it by now.
void Claims::surrender(const std::string& name) {
  client_.call({.target = lock_target(name), .body = {}}, [this, name](auto result) {
    if (on_unreachable(result)) return;
    release(name, result);
  });
}

void Claims::release(const std::string& name, const Result<Answer, Failure>& found) {
  const auto locks = found ? read_locks(found->body) : std::nullopt;
  // It may be wanted again by now.
  const bool ours = locks && locks->size() == 1 && locks->front().session == session_ &&
                    surrendered_.contains(name);
  surrendered_.erase(name);
  if (!ours) return work_later({});
  client_.call(
      {.method = "DELETE", .target = release_target(name, locks->front().revision), .body = {}},
      [this](auto result) {
        if (!on_unreachable(result)) work_later({});
      });
}

// --- what others hold ----------------------------------------------------------------------------

void Claims::follow_later(Duration delay) {
  follow_timer_ = env_.after(delay, [this] { follow(); });
}

void Claims::follow() {
  locks_.call({.target = locks_target(index_),
               .body = {},
               .answer_max = index_ == 0 ? kCallMax : kListMax,
               .bytes_max = kLocksBytesMax,
               .repeatable = index_ == 0},
              [this](auto result) { on_locks(result); });
}

void Claims::on_locks(const Result<Answer, Failure>& result) {
  const Duration since = env_.now() - std::exchange(listed_, env_.now());
  const auto locks = result ? read_locks(result->body) : std::nullopt;
  if (!locks) {
    index_ = 0;
    // No agent holds anything.
    if (!result && result.error().status == kNotFound) {
      compare({});
      return follow_later(kNoLocksInterval);
    }
    if (!result && result.error().kind != Failure::Kind::unreachable)
      return follow_later(kWriteRetry);
    return follow_later(locks_back_off_.next(env_.random, 1));
  }
  locks_back_off_.reset();
  index_ = result->index < index_ ? 0 : result->index;
  compare(*locks);
  if (since >= kLocksInterval && index_ != 0) return follow();
  follow_later(kLocksInterval);
}

void Claims::compare(const std::vector<Lock>& locks) {
  holders_.clear();
  std::set<std::string> ours;
  for (const Lock& lock : locks)
    if (!session_.empty() && lock.session == session_)
      ours.insert(lock.claim);
    else if (!lock.session.empty())
      holders_[lock.claim] = lock.holder;
  for (auto& [name, claim] : claims_) {
    const auto holder = holders_.find(name);
    if (claim.held && ours.contains(name)) continue;
    if (!claim.held && holder != holders_.end()) {
      if (claim.refused || !denial_.empty()) continue;
      claim.reason = "the agent " + holder->second + " holds it";
      claim.due = false;
      continue;
    }
    // It is free, or not as we know it: what Consul answers decides.
    claim.due = true;
    if (!claim.refused) claim.not_before = {};
  }
  work_later({});
  report();
}

/// Here, where no table is being walked: the sink may claim and unclaim.
void Claims::report() {
  std::vector<std::pair<std::string, std::pair<bool, std::string>>> news;
  for (auto& [name, claim] : claims_) {
    // Nothing is known yet.
    if (!claim.held && claim.reason.empty() && !claim.told) continue;
    std::pair<bool, std::string> now{claim.held, claim.held ? "" : claim.reason};
    if (claim.told == now) continue;
    claim.told = now;
    news.emplace_back(name, std::move(now));
  }
  for (const auto& [name, told] : news)
    sink_.on_claim(name, told.first, told.second);
}

// --- the end -------------------------------------------------------------------------------------

void Claims::stop(Callback<void()> done) {
  stopping_ = true;
  stopped_ = std::move(done);
  work_timer_.reset();
  end_timer_.reset();
  follow_timer_.reset();
  locks_.close();
  client_.close();
  claims_.clear();
  if (session_.empty() && lost_sessions_.empty()) {
    stop_timer_ = env_.after(Duration::zero(), [this] { finish(); });
    return;
  }
  stop_timer_ = env_.after(kTakeBackMax, [this] { finish(); });
  destroy(session_.empty() ? std::string(*lost_sessions_.begin()) : std::exchange(session_, {}));
}

void Claims::finish() {
  if (!stopped_) return;
  stop_timer_.reset();
  client_.close();
  Callback<void()> callback = std::move(stopped_);
  stopped_ = nullptr;
  callback();
}

std::vector<std::string> Claims::warnings() const {
  std::vector<std::string> texts;
  if (!denial_.empty() && !claims_.empty())
    texts.push_back("services cannot be exported: " + denial_);
  for (const auto& [name, claim] : claims_)
    if (claim.refused) texts.push_back(name + " cannot be claimed: " + claim.reason);
  return texts;
}

}  // namespace outrider::registries::consul
