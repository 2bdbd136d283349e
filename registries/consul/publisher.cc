// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/publisher.h"

#include <algorithm>

namespace outrider::registries::consul {
namespace {

constexpr int kNotFound = 404;
constexpr int kUnavailable = 503;  // of an instance: critical

std::string holder_of(const Registered& there) {
  if (!there.writer.empty()) return "the agent " + there.writer;
  return "another program, for service " + there.service + " on port " + std::to_string(there.port);
}

}  // namespace

Publisher::Publisher(Env& env, const Options& options, NameLookup* names, Sink& sink)
    : env_(env), options_(options), sink_(sink), client_(env, options, names) {}

Publisher::~Publisher() = default;

// --- what is wanted ----------------------------------------------------------------------------

void Publisher::put(const Entry& registration) {
  if (stopping_) return;
  const std::string& id = registration.id;
  Entry plain = registration;
  plain.health = Health::passing;
  auto described = register_request(plain, options_.writer, options_.ttl);
  if (!described) return remove(id, registration.key);
  const auto found = items_.find(id);
  if (found != items_.end() && found->second.wanted.key != registration.key)
    return note_error(id + " is wanted twice, also for " + found->second.wanted.key);
  if (found == items_.end() && items_.size() == kRegistrationsMax)
    return note_error("more than 1,024 registrations: " + id + " is not written");
  const bool was_there = removals_.erase(id) > 0;
  Item& item = found == items_.end() ? items_[id] : found->second;
  if (was_there) item.may_exist = true;
  const bool described_anew = item.described != described->body;
  const bool told_anew = update_request(item.wanted) != update_request(registration);
  item.wanted = registration;
  item.described = std::move(described->body);
  item.left_out = std::move(described->left_out);
  if (described_anew) {
    item.step = Step::look;
    if (!item.conflict) item.not_before = {};
  } else if (told_anew && item.step == Step::none) {
    item.step = Step::beat;
  } else if (told_anew && item.waits()) {
    item.beat_at = env_.now();
  }
  if (!beat_timer_.pending())
    beat_timer_ = env_.after(beat_interval(options_.ttl), [this] { beat_all(); });
  work_later({});
}

void Publisher::remove(std::string_view id, std::string_view key) {
  const auto found = items_.find(id);
  if (found == items_.end() || found->second.wanted.key != key) return;
  end_conflict(found->second);
  if (found->second.may_exist && removals_.size() < kRegistrationsMax)
    removals_.try_emplace(found->first);
  items_.erase(found);
  work_later({});
}

// --- one thing after another ---------------------------------------------------------------------

void Publisher::work_later(Duration delay) {
  const TimePoint due = env_.now() + delay;
  if (work_timer_.pending() && work_timer_.due() <= due) return;
  work_timer_ = env_.timers.at(due, [this] { work(); });
}

/// The next step, if none is under way: removals, then what is due.
void Publisher::work() {
  if (client_.is_busy() || stopping_) return;
  if (env_.now() < not_before_) return work_later(not_before_ - env_.now());
  std::optional<TimePoint> due;
  for (const auto& [id, not_before] : removals_) {
    if (not_before <= env_.now()) return take_back(id);
    due = std::min(due.value_or(not_before), not_before);
  }
  for (auto& [id, item] : items_) {
    if (item.beat_at) {
      if (*item.beat_at <= env_.now()) return beat(id, item);
      due = std::min(due.value_or(*item.beat_at), *item.beat_at);
    }
    if (item.step == Step::none) continue;
    if (item.not_before <= env_.now()) return start(id, item);
    due = std::min(due.value_or(item.not_before), item.not_before);
  }
  if (due) work_timer_ = env_.timers.at(*due, [this] { work(); });
}

void Publisher::start(const std::string& id, Item& item) {
  switch (item.step) {
    case Step::none:
      return;
    case Step::look:
      return look(id);
    case Step::judge:
      return judge(id);
    case Step::enroll:
      return enroll(id, item);
    case Step::beat:
      return beat(id, item);
  }
  OUTRIDER_UNREACHABLE();
}

/// True: it was said, and everything waits for a while. An answer of 5xx speaks for one id alone.
bool Publisher::on_unreachable(const Result<Answer, Failure>& result) {
  const bool answered = result || result.error().status != 0;
  if (answered) answered_ = env_.now();
  if (answered || result.error().kind != Failure::Kind::unreachable) {
    back_off_.reset();
    return false;
  }
  if (stopping_) {
    finish();
    return true;
  }
  note_error(result.error().text);
  not_before_ = env_.now() + back_off_.next(env_.random, 1);
  work_later({});
  sink_.on_silence(result.error().text);
  return true;
}

void Publisher::hurry() {
  if (stopping_ || not_before_ <= env_.now()) return;
  not_before_ = env_.now();
  work_later({});
}

void Publisher::note_error(const std::string& reason) {
  if (stopping_ || error_ == reason) return;
  error_ = reason;
  sink_.on_publisher_error(reason);
}

void Publisher::refuse(Item& item, const std::string& reason) {
  item.reason = reason;
  item.not_before = env_.now() + kWriteRetry;
  // What is there must not end for that.
  if (item.waits() && !item.beat_at) item.beat_at = env_.now();
  note_error(item.wanted.id + ": " + reason);
}

/// The agent no longer has it, or not ours.
void Publisher::forget(Item& item) {
  item.registered.clear();
  item.beat_at.reset();
}

// --- look ----------------------------------------------------------------------------------------

void Publisher::look(const std::string& id) {
  client_.call({.target = service_target(id), .body = {}}, [this, id](auto result) {
    if (on_unreachable(result)) return;
    const auto found = items_.find(id);
    if (found != items_.end()) on_looked(found->second, result);
    work_later({});
  });
}

void Publisher::on_looked(Item& item, const Result<Answer, Failure>& result) {
  if (item.step != Step::look) return;
  if (!result && result.error().status != kNotFound) {
    refuse(item, result.error().text);
    if (item.registered != item.described) return;
    // It is up to date: heartbeats go on, and the next look is that of all.
    item.step = Step::beat;
    item.beat_at.reset();
    item.not_before = env_.now() + std::min(kWriteRetry, options_.ttl / 3);
    return;
  }
  note_error("");
  item.existed = result.has_value();
  if (result) {
    const auto there = read_registered(result->body);
    if (!there) return refuse(item, "an answer that cannot be read");
    const bool ours = options_.writer.empty() ? !item.registered.empty() && there->writer.empty()
                                              : there->writer == options_.writer;
    if (!ours && is_copy(item.wanted) && !there->via.empty()) {
      item.holder = holder_of(*there);
      item.step = Step::judge;
      return;
    }
    if (!ours) return set_conflict(item, holder_of(*there));
  } else {
    forget(item);
  }
  item.may_exist = item.existed;
  item.reason.clear();
  item.step = item.registered == item.described ? Step::beat : Step::enroll;
}

/// A copy is healthy for as long as its agent lives: what is critical was left behind.
void Publisher::judge(const std::string& id) {
  client_.call({.target = health_target(id), .body = {}}, [this, id](auto result) {
    if (on_unreachable(result)) return;
    const auto found = items_.find(id);
    if (found != items_.end()) on_judged(found->second, result);
    work_later({});
  });
}

void Publisher::on_judged(Item& item, const Result<Answer, Failure>& result) {
  if (item.step != Step::judge) return;
  const bool left_behind = !result && result.error().status == kUnavailable &&
                           result.error().text.find("critical") != std::string::npos;
  item.step = left_behind ? Step::enroll : Step::look;
  if (!left_behind) return set_conflict(item, item.holder);
  item.may_exist = true;
  forget(item);
}

void Publisher::set_conflict(Item& item, const std::string& holder) {
  const bool news = !item.conflict || item.reason != holder;
  item.conflict = true;
  item.may_exist = false;
  forget(item);
  item.reason = holder;
  item.not_before = env_.now() + kWriteRetry;
  if (news) sink_.on_conflict(item.wanted.id, item.wanted.id, holder);
}

void Publisher::end_conflict(Item& item) {
  if (!std::exchange(item.conflict, false)) return;
  item.reason.clear();
  sink_.on_conflict(item.wanted.id, item.wanted.id, "");
}

// --- enroll, beat --------------------------------------------------------------------------------

void Publisher::enroll(const std::string& id, Item& item) {
  auto registration = register_request(item.wanted, options_.writer, options_.ttl);
  item.may_exist = true;  // whatever becomes of the answer
  client_.call({.method = "PUT",
                .target = std::string(kRegisterTarget),
                .body = std::move(registration->body)},
               [this, id, described = item.described, health = item.wanted.health](auto result) {
                 if (on_unreachable(result)) return;
                 on_enrolled(id, described, health, result);
                 work_later({});
               });
}

void Publisher::on_enrolled(const std::string& id, const std::string& described, Health health,
                            const Result<Answer, Failure>& result) {
  const auto found = items_.find(id);
  if (found == items_.end()) return;  // its removal was noted
  Item& item = found->second;
  if (!result) {
    item.step = Step::look;
    return refuse(item, result.error().text);
  }
  note_error("");
  end_conflict(item);
  item.reason.clear();
  item.registered = described;
  item.beat_at.reset();
  item.told = env_.now();
  if (item.described != described)
    item.step = Step::look;
  else  // A check that was there before keeps its status.
    item.step = item.existed || item.wanted.health != health ? Step::beat : Step::none;
}

void Publisher::beat(const std::string& id, const Item& item) {
  std::string body = update_request(item.wanted);
  client_.call({.method = "PUT", .target = update_target(id), .body = body},
               [this, id, body](auto result) {
                 if (on_unreachable(result)) return;
                 const auto found = items_.find(id);
                 if (found != items_.end()) on_beat(found->second, body, result);
                 work_later({});
               });
}

void Publisher::on_beat(Item& item, const std::string& told,
                        const Result<Answer, Failure>& result) {
  const bool up_to_date = update_request(item.wanted) == told;
  if (result) {
    item.told = env_.now();
    if (up_to_date) item.beat_at.reset();
    if (item.waits()) return;  // its change is not taken yet
    note_error("");
    item.reason.clear();
    if (item.step == Step::beat && up_to_date) item.step = Step::none;
    return;
  }
  const Failure& failed = result.error();
  if (is_unknown_check(failed.status, failed.text)) {
    note_error(item.wanted.id + ": the Consul agent has lost it");
    forget(item);
    item.step = Step::look;
    item.not_before = env_.now() + env_.random.between({}, kEnrollDelayMax);
    return;
  }
  // Not after the end of the TTL: the next try may have another token.
  const TimePoint again = env_.now() + std::min(kWriteRetry, options_.ttl / 3);
  if (item.waits()) {
    item.beat_at = again;
    return;
  }
  refuse(item, failed.text);
  item.not_before = again;
}

void Publisher::beat_all() {
  if (items_.empty()) return;
  const bool looks = ++rounds_ % kRoundsPerLook == 0;
  for (auto& [id, item] : items_)
    if (item.step == Step::none)
      item.step = looks ? Step::look : Step::beat;
    else if (item.waits() && item.not_before > env_.now() && !item.beat_at)
      item.beat_at = env_.now();
  beat_timer_ = env_.after(beat_interval(options_.ttl), [this] { beat_all(); });
  work();
}

/// Not without a look: another program may have the id by now.
void Publisher::take_back(const std::string& id) {
  client_.call({.target = service_target(id), .body = {}}, [this, id](auto result) {
    if (on_unreachable(result)) return;
    const auto there = result ? read_registered(result->body) : std::nullopt;
    const bool ours = there && there->writer == options_.writer;
    // It may be wanted again by now.
    if (ours && removals_.contains(id)) return deregister(id);
    on_taken_back(id, result);
  });
}

void Publisher::deregister(const std::string& id) {
  client_.call({.method = "PUT", .target = deregister_target(id), .body = {}},
               [this, id](auto result) {
                 if (on_unreachable(result)) return;
                 if (!result && result.error().status != kNotFound)
                   note_error(id + ": " + result.error().text);
                 on_taken_back(id, result);
               });
}

/// What the agent had an error with is tried again; what the token may not deregister ends with its
/// TTL.
void Publisher::on_taken_back(const std::string& id, const Result<Answer, Failure>& result) {
  const bool again = !result && result.error().kind == Failure::Kind::unreachable && !stopping_;
  if (const auto found = removals_.find(id); found != removals_.end()) {
    if (again)
      found->second = env_.now() + kWriteRetry;
    else
      removals_.erase(found);
  }
  if (stopping_) return leave_next();
  work_later({});
}

// --- the end -------------------------------------------------------------------------------------

void Publisher::stop(Callback<void()> done) {
  stopping_ = true;
  stopped_ = std::move(done);
  work_timer_.reset();
  beat_timer_.reset();
  client_.close();
  for (const auto& [id, item] : items_)
    if (item.may_exist) removals_.try_emplace(id);
  if (removals_.empty()) {
    stop_timer_ = env_.after(Duration::zero(), [this] { finish(); });
    return;
  }
  stop_timer_ = env_.after(kTakeBackMax, [this] { finish(); });
  leave_next();
}

void Publisher::leave_next() {
  if (removals_.empty()) return finish();
  take_back(std::string(removals_.begin()->first));
}

void Publisher::finish() {
  stop_timer_.reset();
  client_.close();
  Callback<void()> callback = std::move(stopped_);
  callback();
}

std::size_t Publisher::written() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      items_, [](const auto& each) { return !each.second.registered.empty(); }));
}

bool Publisher::is_registered(const std::string& id) const {
  const auto found = items_.find(id);
  return found != items_.end() && !found->second.registered.empty();
}

std::vector<WrittenKey> Publisher::keys_of(std::string_view id) const {
  const auto found = items_.find(id);
  if (found == items_.end()) return {};
  const Item& item = found->second;
  using enum WrittenKey::State;
  WrittenKey key{.where = {.key = found->first, .endpoint = options_.address},
                 .state = item.conflict                       ? conflict
                          : !item.reason.empty()              ? refused
                          : item.registered == item.described ? written
                                                              : waiting,
                 .reason = item.reason};
  if (!item.registered.empty())
    key.lease_time =
        LeaseTime{.left = std::max(Duration::zero(), item.told + options_.ttl - env_.now()),
                  .granted = options_.ttl};
  return {std::move(key)};
}

std::vector<std::string> Publisher::warnings() const {
  std::vector<std::string> texts;
  for (const auto& [id, item] : items_) {
    if (!item.conflict && !item.reason.empty())
      texts.push_back(id + " cannot be written: " + item.reason);
    for (const std::string& key : item.left_out)
      texts.push_back("metadata " + key + " of " + id +
                      " is not written: Consul takes 64 keys of 128 characters, and values of 512");
  }
  return texts;
}

}  // namespace outrider::registries::consul
