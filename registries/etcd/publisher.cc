// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/publisher.h"

#include <algorithm>

#include "base/utf8.h"

namespace outrider::registries::etcd {
namespace {

constexpr std::int64_t kNotFound = 5;  // of gRPC: the lease is gone

std::string holder_of(const Layout* layout, const KeyValue& kv) {
  if (layout == nullptr) {
    std::string holder = kv.value;
    cut_text_to(holder, kHolderBytesMax);
    return "the agent " + holder;
  }
  for (const Entry& entry : layout->read(kv))
    if (!entry.writer.empty()) return "the agent " + entry.writer;
  if (kv.lease == 0) return "a program that keeps it without a lease";
  return "a program with lease " + std::to_string(kv.lease);
}

}  // namespace

Publisher::Publisher(Env& env, const Options& options, Endpoints& endpoints, NameLookup* names,
                     std::size_t first, const std::vector<std::unique_ptr<Layout>>& layouts,
                     Sink& sink)
    : env_(env),
      options_(options),
      endpoints_(endpoints),
      layouts_(layouts),
      sink_(sink),
      client_(env, options, endpoints, names, first) {}

Publisher::~Publisher() = default;

// --- what is wanted ----------------------------------------------------------------------------

void Publisher::put(const Entry& registration) {
  if (stopping_) return;
  auto found = registrations_.find(registration.key);
  if (found != registrations_.end() && found->second == registration) return;
  if (found == registrations_.end() && registrations_.size() == kRegistrationsMax)
    return sink_.on_publisher_error("more than 1,024 registrations: " + registration.key +
                                    " is not written");
  const Entry before = found != registrations_.end() ? found->second : registration;
  registrations_.insert_or_assign(registration.key, registration);
  drop_keys(registration.key, want_keys(registration), before);
  work_later({});
}

/// Drops the keys of a registration, but for those to `keep`. A layout without ids has one key for
/// all registrations of a service at one address and port: the key that `before` dropped is still
/// that of the others.
void Publisher::drop_keys(std::string_view id, const std::set<std::string>& keep,
                          const Entry& before) {
  bool dropped = false;
  for (auto at = keys_.begin(); at != keys_.end();) {
    const auto next = std::next(at);
    if (at->second.layout != nullptr && at->second.id == id && !keep.contains(at->first)) {
      drop(at);
      dropped = true;
    }
    at = next;
  }
  if (dropped) want_shared_keys(before.service, before.port);
}

void Publisher::want_shared_keys(const std::string& service, std::uint16_t port) {
  const std::int64_t now = unix_seconds();
  for (const auto& [id, registration] : registrations_) {
    if (registration.service != service || registration.port != port) continue;
    for (const auto& layout : layouts_)
      if (auto kv = layout->write(registration, options_.writer, now);
          kv && !keys_.contains(kv->key))
        want(id, *layout, std::move(*kv));
  }
}

std::int64_t Publisher::unix_seconds() const {
  return std::chrono::floor<std::chrono::seconds>(env_.clock.wall().time_since_epoch()).count();
}

std::set<std::string> Publisher::want_keys(const Entry& registration) {
  std::set<std::string> names;
  const std::int64_t now = unix_seconds();
  for (const auto& layout : layouts_)
    if (auto kv = layout->write(registration, options_.writer, now)) {
      names.insert(kv->key);
      want(registration.key, *layout, std::move(*kv));
    }
  return names;
}

void Publisher::want(const std::string& id, const Layout& layout, KeyValue kv) {
  removals_.erase(kv.key);
  const std::string name = kv.key;
  Key& key = keys_[name];
  key.id = id;
  key.layout = &layout;
  key.kv = std::move(kv);
  key.tries = 0;
  if (key.state == State::conflict) return;
  key.state = State::wanted;
  key.not_before = {};
}

void Publisher::drop(Keys::iterator key) {
  if (key->second.state == State::conflict) sink_.on_conflict(key->second.id, key->first, "");
  if (key->second.revision != 0) removals_.insert(key->first);
  keys_.erase(key);
}

void Publisher::remove(std::string_view registration_key) {
  const auto found = registrations_.find(registration_key);
  if (found == registrations_.end()) return;
  const Entry before = std::move(found->second);
  registrations_.erase(found);
  drop_keys(before.key, {}, before);
  work_later({});
}

// --- claims --------------------------------------------------------------------------------------

bool Publisher::claim(const std::string& name) {
  if (stopping_ || (claims_.size() == kClaimsMax && !claims_.contains(name))) return false;
  if (!claims_.try_emplace(name).second) return true;
  const std::string name_of_key = std::string(kClaimPrefix) + name;
  removals_.erase(name_of_key);
  keys_[name_of_key].kv = {.key = name_of_key, .value = options_.writer};
  work_later({});
  return true;
}

void Publisher::unclaim(const std::string& name) {
  if (claims_.erase(name) == 0) return;
  const auto key = keys_.find(std::string(kClaimPrefix) + name);
  if (key->second.revision != 0) removals_.insert(key->first);
  keys_.erase(key);
  work_later({});
}

/// Here, where no table is being walked: the sink may put and remove registrations.
void Publisher::report_claims() {
  std::vector<std::pair<std::string, Told>> news;
  for (auto& [name, told] : claims_) {
    const Key& key = keys_.at(std::string(kClaimPrefix) + name);
    Told now{.any = true, .held = key.state == State::ours, .reason = key.reason};
    // Nothing is known yet.
    if (key.state == State::wanted && !told.any) continue;
    if (now == told) continue;
    told = now;
    news.emplace_back(name, std::move(now));
  }
  for (const auto& [name, told] : news)
    sink_.on_claim(name, told.held, told.reason);
}

Duration Publisher::claim_retry() const {
  return std::clamp(ttl_ / kClaimRetriesPerLease, kClaimRetryMin, kClaimRetryMax);
}

// --- one thing after another ---------------------------------------------------------------------

void Publisher::work_later(Duration delay) {
  const TimePoint due = env_.now() + delay;
  if (work_timer_.pending() && work_timer_.due() <= due) return;
  work_timer_ = env_.timers.at(due, [this] { work(); });
}

/// The next step, if none is under way: a lease, removals, then keys that are due.
void Publisher::work() {
  if (stopping_) return;
  report_claims();
  if (call_ != nullptr) return;
  if (env_.now() < not_before_) return work_later(not_before_ - env_.now());
  if (lease_ == 0) {
    removals_.clear();  // they end with the lease that they had
    if (!keys_.empty()) grant();
    return;
  }
  if (!removals_.empty()) return take_back();
  if (registrations_.empty() && claims_.empty()) return give_up_lease();
  if (Batch batch = next_batch(); !batch.empty()) return write(std::move(batch));
  alone_.clear();
  std::optional<TimePoint> due;
  for (const auto& [name, key] : keys_)
    if (key.state != State::ours) due = std::min(due.value_or(key.not_before), key.not_before);
  if (due) work_timer_ = env_.timers.at(*due, [this] { work(); });
}

/// The cluster has taken a request. A key that it refuses stays the news until it is taken.
void Publisher::report_success() {
  const bool refused = std::ranges::any_of(
      keys_, [](const auto& each) { return each.second.state == State::refused; });
  if (!refused) sink_.on_publisher_error("");
}

void Publisher::on_failure(const Failure& failure) {
  sink_.on_publisher_error(failure.text);
  if (failure.kind == Failure::Kind::unreachable) client_.rotate();
  not_before_ = env_.now() + back_off_.next(env_.random, endpoints_.size());
  work_later({});
}

void Publisher::grant() {
  call_ = client_.call(
      "/v3/lease/grant", grant_request(options_.ttl),
      [this](auto result) { on_granted(std::move(result)); }, kAnswerBytesMax, write_deadline());
}

void Publisher::on_granted(Result<Answer, Failure> result) {
  call_.reset();
  if (!result) return on_failure(result.error());
  if (result->lease == 0) return on_failure({Failure::Kind::rejected, 0, "no lease was granted"});
  back_off_.reset();
  lease_ = result->lease;
  report_success();
  ttl_ = std::max<Duration>(std::chrono::seconds(result->ttl), kTtlMin);
  alive_ = env_.now();
  keepalives_ = 0;
  alive_timer_ = env_.after(keepalive_interval(ttl_), [this] { keep_alive(); });
  work_later({});
}

/// Keys that are due, as many as a transaction takes. Those that were refused are among themselves:
/// they may be refused again. As each was tried alone, they are due one soon after another.
Publisher::Batch Publisher::next_batch() const {
  Batch batch;
  std::size_t bytes = 0;
  bool refused = false;
  for (const auto& [name, key] : keys_) {
    const TimePoint due_by = env_.now() + (refused ? kPutAgain : Duration::zero());
    if (key.state == State::ours || key.not_before > due_by) continue;
    const bool alone = alone_.contains(name);
    if (batch.empty())
      refused = key.state == State::refused;
    else if (alone || refused != (key.state == State::refused))
      continue;
    bytes += 3 * name.size() + key.kv.value.size();
    if (!batch.empty() && bytes > kBatchBytesMax) break;
    batch.push_back({name, key.kv.value, key.revision});
    if (alone || batch.size() >= batch_keys_) break;
  }
  return batch;
}

void Publisher::write(Batch batch) {
  std::vector<Put> puts;
  for (const Sent& sent : batch)
    puts.push_back({&keys_.at(sent.name).kv, sent.revision});
  call_ = client_.call(
      "/v3/kv/txn", put_request(puts, lease_),
      [this, batch = std::move(batch), lease = lease_](auto result) {
        on_written(batch, lease, std::move(result));
      },
      kBatchAnswerBytesMax, write_deadline());
}

void Publisher::on_written(const Batch& batch, std::int64_t lease, Result<Answer, Failure> result) {
  call_.reset();
  // What is not wanted any more may have been written.
  if (!result || result->succeeded)
    for (const Sent& sent : batch)
      if (!keys_.contains(sent.name)) removals_.insert(sent.name);
  if (!result && result.error().kind == Failure::Kind::unreachable)
    return on_failure(result.error());
  back_off_.reset();
  if (lease != lease_) return work_later({});
  if (!result && result.error().code == kNotFound)
    return lose_lease("the cluster has forgotten it");
  if (batch.size() == 1) alone_.erase(batch.front().name);
  if (!result && batch.size() > 1) {
    std::vector<std::string> names;
    for (const Sent& sent : batch)
      names.push_back(sent.name);
    divide(names, result.error().text);
  } else if (!result) {
    on_refused(batch.front(), result.error().text);
  } else {
    if (result->succeeded)
      for (const Sent& sent : batch)
        on_put(sent, result->revision);
    else
      meet_all(batch, result->kvs);
    report_success();
  }
  work_later({});
}

void Publisher::on_put(const Sent& sent, std::int64_t revision) {
  const auto found = keys_.find(sent.name);
  if (found == keys_.end()) return;
  Key& key = found->second;
  // Another value is wanted meanwhile.
  if (key.kv.value != sent.value) {
    key.revision = revision;
    return;
  }
  const bool was_conflict = key.state == State::conflict && key.layout != nullptr;
  // What happened to it since may have been told before.
  const bool changed = key.changed > revision;
  key.state = changed ? State::wanted : State::ours;
  key.revision = changed ? 0 : revision;
  key.tries = 0;
  key.reason.clear();
  key.not_before = env_.now() + kPutAgain;
  if (was_conflict) sink_.on_conflict(std::string(key.id), sent.name, "");
}

void Publisher::on_refused(const Sent& sent, const std::string& reason) {
  const auto found = keys_.find(sent.name);
  if (found == keys_.end()) return;
  Key& key = found->second;
  key.state = State::refused;
  key.reason = reason;
  key.not_before = env_.now() + kWriteRetry;
  sink_.on_publisher_error(sent.name + ": " + reason);
}

/// A transaction of several keys is refused: it is too long, or one of them may not be written.
void Publisher::divide(const std::vector<std::string>& names, const std::string& reason) {
  if (reason.find("too many operations") != std::string::npos) {
    batch_keys_ = std::max<std::size_t>(names.size() / 2, 1);
    return;
  }
  for (const std::string& name : names) {
    alone_.insert(name);
    if (const auto found = keys_.find(name); found != keys_.end()) found->second.not_before = {};
  }
}

/// Some keys were not as expected. The others are due as before.
void Publisher::meet_all(const Batch& batch, const std::vector<KeyValue>& there) {
  bool any = false;
  for (const Sent& sent : batch) {
    const auto at = std::ranges::find(there, sent.name, &KeyValue::key);
    const KeyValue* kv = at != there.end() ? &*at : nullptr;
    const bool as_expected = sent.revision == (kv != nullptr ? kv->mod_revision : 0);
    if (as_expected && batch.size() > 1) continue;
    any = true;
    if (const auto found = keys_.find(sent.name); found != keys_.end()) meet(found->second, kv);
  }
  // The server contradicts itself.
  if (!any)
    for (const Sent& sent : batch)
      alone_.insert(sent.name);
}

/// The key was not as expected: another program has written or deleted it.
void Publisher::meet(Key& key, const KeyValue* there) {
  if (there == nullptr)
    key.revision = 0;
  else if (is_marked(key, *there))
    key.revision = there->mod_revision;
  else
    return set_conflict(key, holder_of(key.layout, *there));
  if (++key.tries >= kTriesMax) {
    key.tries = 0;
    key.not_before = env_.now() + kWriteRetry;
  }
}

bool Publisher::is_marked(const Key& key, const KeyValue& kv) const {
  if (kv.lease == lease_ && lease_ != 0) return true;
  if (std::ranges::find(lost_leases_, kv.lease) != lost_leases_.end()) return true;
  if (options_.writer.empty()) return false;
  if (key.layout == nullptr) return kv.value == options_.writer;
  if (key.layout->names_writer()) return true;
  return std::ranges::any_of(key.layout->read(kv),
                             [&](const Entry& entry) { return entry.writer == options_.writer; });
}

void Publisher::set_conflict(Key& key, const std::string& holder) {
  const bool news = key.state != State::conflict || key.reason != holder;
  const bool claimed = key.layout == nullptr;
  key.state = State::conflict;
  key.revision = 0;
  key.tries = 0;
  key.reason = claimed ? holder + " holds it" : holder;
  key.not_before = env_.now() + (claimed ? claim_retry() : kWriteRetry);
  if (news && !claimed) sink_.on_conflict(key.id, key.kv.key, holder);
}

void Publisher::take_back() {
  std::vector<std::string> names;
  for (const std::string& name : removals_) {
    const bool alone = alone_.contains(name);
    if (alone && !names.empty()) continue;
    names.push_back(name);
    if (alone || names.size() >= batch_keys_) break;
  }
  std::string body = remove_request(names, lease_);
  call_ = client_.call(
      "/v3/kv/txn", std::move(body),
      [this, names = std::move(names), lease = lease_](auto result) {
        on_taken_back(names, lease, result);
      },
      kBatchAnswerBytesMax);
}

void Publisher::on_taken_back(std::vector<std::string> names, std::int64_t lease,
                              const Result<Answer, Failure>& result) {
  call_.reset();
  if (!result && result.error().kind == Failure::Kind::unreachable)
    return on_failure(result.error());
  if (names.size() > 1) {
    if (!result) {
      divide(names, result.error().text);
      return work_later({});
    }
    // Those that are still ours are removed without the others.
    const auto is_ours = [&](const std::string& name) {
      const auto at = std::ranges::find(result->kvs, name, &KeyValue::key);
      return at != result->kvs.end() && at->lease == lease;
    };
    if (!result->succeeded && std::ranges::all_of(names, is_ours))
      alone_.insert(names.begin(), names.end());  // the server contradicts itself
    if (!result->succeeded) std::erase_if(names, is_ours);
  }
  // A key that the user may no longer delete ends with the lease.
  for (const std::string& name : names) {
    removals_.erase(name);
    alone_.erase(name);
  }
  if (result) report_success();
  work_later({});
}

/// Nothing is registered: an idle agent sends no keepalives.
void Publisher::give_up_lease() {
  alive_timer_.reset();
  alive_call_.reset();
  check_call_.reset();
  call_ = client_.call("/v3/lease/revoke", lease_request(std::exchange(lease_, 0)),
                       [this](auto result) {
                         call_.reset();
                         if (result) report_success();
                         work_later({});
                       });
}

// --- the lease -----------------------------------------------------------------------------------

void Publisher::keep_alive() {
  // Not while a keepalive is under way, whose answer speaks for its server alone.
  if (!follow_.empty()) client_.move_to(std::exchange(follow_, {}));
  alive_call_ = client_.call("/v3/lease/keepalive", lease_request(lease_),
                             [this](auto result) { on_alive(std::move(result)); });
}

void Publisher::on_alive(Result<Answer, Failure> result) {
  alive_call_.reset();
  if (result && result->ttl == 0) return lose_lease("it has ended");
  if (result) {
    failures_ = 0;
    alive_ = env_.now();
    report_success();
    alive_timer_ = env_.after(keepalive_interval(ttl_), [this] { keep_alive(); });
    // No watch covers the keys of claims.
    const bool watched = is_watched() && claims_.empty();
    if (++keepalives_ % kKeepAlivesPerCheck == 0 && !watched) check_keys();
    return sink_.on_keepalive(client_.endpoint(), true);
  }
  sink_.on_publisher_error(result.error().text);
  const std::string failed = client_.endpoint();
  client_.rotate();
  sink_.on_keepalive(failed, false);
  if (env_.now() - alive_ >= ttl_ - kLeaseMargin) return lose_lease("no keepalive was answered");
  const bool at_once = ++failures_ < endpoints_.size();
  const Duration wait = at_once ? Duration::zero() : env_.random.jitter(kBackOffMin, 50);
  if (!at_once) failures_ = 0;
  alive_timer_ = env_.after(wait, [this] { keep_alive(); });
}

std::optional<LeaseTime> Publisher::lease_time() const {
  if (lease_ == 0) return std::nullopt;
  return LeaseTime{.left = std::max(Duration::zero(), alive_ + ttl_ - env_.now()), .granted = ttl_};
}

bool Publisher::is_watched() const {
  return std::ranges::all_of(keys_, [&](const auto& each) { return sink_.is_watched(each.first); });
}

void Publisher::follow(const std::string& endpoint) {
  follow_ = endpoint;
}

void Publisher::check_keys() {
  if (lease_ == 0 || stopping_) return;
  check_call_ =
      client_.call("/v3/lease/timetolive", lease_keys_request(lease_), [this](auto result) {
        check_call_.reset();
        if (result) on_keys(*result);
      });
}

/// A key of ours that the lease no longer holds was deleted or overwritten.
void Publisher::on_keys(const Answer& answer) {
  if (answer.ttl < 0) return lose_lease("it has ended");
  const std::set<std::string> held(answer.keys.begin(), answer.keys.end());
  for (auto& [name, key] : keys_)
    if (key.state == State::ours && !held.contains(name)) {
      key.state = State::wanted;
      work_later({});
    }
}

void Publisher::lose_lease(const std::string& reason) {
  sink_.on_publisher_error("lease " + std::to_string(lease_) + ": " + reason);
  // It may be alive still, with our keys.
  lost_leases_.push_back(std::exchange(lease_, 0));
  if (lost_leases_.size() > kLostLeasesKept) lost_leases_.pop_front();
  failures_ = 0;
  alive_timer_.reset();
  alive_call_.reset();
  check_call_.reset();
  call_.reset();
  for (auto& [name, key] : keys_) {
    if (key.state == State::ours && key.layout == nullptr) key.reason = reason;
    if (key.state == State::ours) key.state = State::wanted;
    key.revision = key.changed = 0;  // the cluster may have a new history
    key.not_before = {};
  }
  not_before_ = env_.now() + env_.random.between(kGrantDelayMin, kGrantDelayMax);
  work_later({});
}

void Publisher::on_key(const KeyValue& kv, bool deleted) {
  const auto found = keys_.find(kv.key);
  if (found == keys_.end()) return;
  Key& key = found->second;
  if (!deleted && lease_ != 0 && kv.lease == lease_) return;
  key.changed = std::max(key.changed, kv.mod_revision);
  if (kv.mod_revision <= key.revision) return;  // before our last put
  if (deleted) {
    key.revision = 0;
    if (key.state == State::conflict) key.not_before = {};
  }
  if (key.state == State::ours) key.state = State::wanted;
  work_later({});
}

bool Publisher::is_own(const KeyValue& kv) const {
  if (lease_ != 0 && kv.lease == lease_) return true;
  const auto found = keys_.find(kv.key);
  return found != keys_.end() && is_marked(found->second, kv);
}

// --- the end -------------------------------------------------------------------------------------

void Publisher::stop(Callback<void()> done) {
  stopping_ = true;
  stopped_ = std::move(done);
  work_timer_.reset();
  alive_timer_.reset();
  call_.reset();
  alive_call_.reset();
  check_call_.reset();
  client_.close();
  // The lost ones may be alive still, with our keys.
  leaving_leases_ = std::exchange(lost_leases_, {});
  if (lease_ != 0) leaving_leases_.push_front(lease_);
  failures_ = 0;
  if (leaving_leases_.empty())
    stop_timer_ = env_.after(Duration::zero(), [this] { finish_stop(); });
  else
    stop_timer_ = env_.after(kTakeBackMax, [this] { finish_stop(); });
  revoke_next();
}

void Publisher::revoke_next() {
  if (leaving_leases_.empty()) return;
  call_ = client_.call("/v3/lease/revoke", lease_request(leaving_leases_.front()),
                       [this](auto result) { on_revoked(result); });
}

void Publisher::on_revoked(const Result<Answer, Failure>& result) {
  call_.reset();
  const bool unreachable = !result && result.error().kind == Failure::Kind::unreachable;
  if (unreachable && ++failures_ == endpoints_.size()) return finish_stop();
  if (unreachable)
    client_.rotate();
  else
    leaving_leases_.pop_front();
  if (leaving_leases_.empty()) return finish_stop();
  revoke_next();
}

void Publisher::finish_stop() {
  stop_timer_.reset();
  client_.close();
  Callback<void()> callback = std::move(stopped_);
  callback();
}

}  // namespace outrider::registries::etcd
