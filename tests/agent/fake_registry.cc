// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/fake_registry.h"

namespace outrider::test {

using registries::Entry;
using registries::PlaceState;

class FakeRegistry::FakeEngine final : public registries::Engine {
 public:
  FakeEngine(FakeRegistry& registry, Env& env, std::string writer)
      : registry_(registry), env_(env), writer_(std::move(writer)) {
    registry_.engines_.insert(this);
    registry_.leases_.erase(writer_);
  }
  ~FakeEngine() override {
    registry_.engines_.erase(this);
    if (!stopped_) registry_.expire(writer_);
  }

  std::string_view name() const override { return registry_.name_; }
  void start(Sink& sink) override {
    sink_ = &sink;
    soon([this] { connect(); });
  }
  void put(const Entry& registration) override {
    Entry entry = registration;
    entry.key = registry_.name_ + ' ' + writer_ + ' ' + registration.key;
    entry.where = {.key = "/services/" + entry.service + '/' + entry.id,
                   .endpoint = "http://" + registry_.name_};
    entry.place = place();
    entry.writer = writer_;
    wanted_[registration.key] = entry;
    unwanted_.erase(entry.key);
    if (current_) registry_.store(entry);
  }
  void remove(std::string_view key) override {
    const auto found = wanted_.find(std::string(key));
    if (found == wanted_.end()) return;
    if (current_)
      registry_.erase(found->second.key);
    else
      unwanted_.insert(found->second.key);
    wanted_.erase(found);
  }
  bool claim(const std::string& name) override {
    claims_.try_emplace(name);
    soon([this] { registry_.settle_claims(); });
    return true;
  }
  void unclaim(const std::string& name) override {
    claims_.erase(name);
    if (registry_.holder(name) != writer_) return;
    registry_.holders_.erase(name);
    registry_.settle_claims();
  }
  void settle_claims() {
    if (!current_ || stopped_) return;
    lease_timer_.reset();
    for (auto& [name, told] : claims_) {
      const std::string& holder = registry_.holders_.try_emplace(name, writer_).first->second;
      tell(name, told, holder == writer_ ? "" : "the agent " + holder + " holds it");
    }
  }
  void stop(Callback<void()> done) override {
    stopped_ = true;
    if (current_) registry_.release(writer_);
    for (const auto& [id, entry] : std::exchange(wanted_, {}))
      if (current_) registry_.erase(entry.key);
    if (!current_) registry_.expire(writer_);
    stop_timer_ = env_.after(Duration::zero(), std::move(done));
  }
  void refresh() override {
    soon([this] { list(); });
  }
  std::vector<registries::PlaceStatus> places() const override {
    return {{.place = place(),
             .endpoint = "http://" + registry_.name_,
             .state = current_ ? PlaceState::current : PlaceState::behind,
             .reason = current_ ? "" : "connection refused",
             .last_error = {},
             .since = env_.now(),
             .read = known_.size(),
             .skipped = 0,
             .written = wanted_.size(),
             .lease = 0x7587a01b2c3d4e5f,
             .lease_time = LeaseTime{.left = registry_.lease_left, .granted = kTtl},
             .revision = 0,
             .warnings = {}}};
  }
  std::vector<registries::WrittenKey> keys_of(std::string_view key) const override {
    const auto found = wanted_.find(std::string(key));
    if (found == wanted_.end()) return {};
    registries::WrittenKey one{.where = found->second.where, .reason = {}};
    using enum registries::WrittenKey::State;
    one.state = current_ ? written : waiting;
    one.lease_time = LeaseTime{.left = registry_.lease_left, .granted = kTtl};
    one.where.lease = 0x77;
    one.where.revision = 9;
    if (const auto held = held_.find(found->first); held != held_.end())
      one = {.where = found->second.where, .state = conflict, .reason = held->second};
    return {one};
  }
  std::unique_ptr<Pending> look_up_leases(std::span<const std::int64_t> leases,
                                          LeasesReply reply) override {
    struct Question final : Pending {
      LeasesReply reply;
      Timer timer;
    };
    if (!current_) return nullptr;
    registries::LeaseTimes times;
    for (const std::int64_t lease : leases)
      times[lease] = {.left = registry_.lease_left, .granted = kTtl};
    auto question = std::make_unique<Question>();
    question->reply = std::move(reply);
    question->timer = env_.after(std::chrono::milliseconds(1), [asked = question.get(), times] {
      auto told = std::move(asked->reply);
      told(times);
    });
    return question;
  }

  void connect() {
    if (stopped_ || current_ || !registry_.reachable_) return;
    current_ = true;
    for (const std::string& key : std::exchange(unwanted_, {}))
      registry_.erase(key);
    list();
    sink_->on_state(place(), PlaceState::current, "");
    for (const auto& [id, entry] : wanted_)
      registry_.store(entry);
    registry_.settle_claims();
  }
  void disconnect() {
    if (!current_) return;
    current_ = false;
    lease_timer_ = env_.after(kTtl - 2s, [this] {
      for (auto& [name, told] : claims_)
        tell(name, told, "no keepalive was answered");
      registry_.release(writer_);
    });
    sink_->on_state(place(), PlaceState::behind, "connection refused");
  }
  void restart() {
    if (!current_) return;
    sink_->on_restarted(place(), "its revision went back");
    settle_claims();
    list();
    for (const auto& [id, entry] : wanted_)
      registry_.store(entry);
  }
  void dispute(const std::string& id, const std::string& holder) {
    const auto found = wanted_.find(id);
    if (found == wanted_.end()) return;
    held_.erase(id);
    if (!holder.empty()) held_[id] = holder;
    sink_->on_conflict(id, found->second.where.key, holder);
  }
  void list() {
    if (!current_ || stopped_) return;
    std::vector<Entry> all;
    known_.clear();
    if (!registry_.lying_)
      for (const auto& [key, entry] : registry_.entries_)
        if (entry.writer != writer_) {
          all.push_back(entry);
          known_.insert(key);
        }
    sink_->on_listed(place(), std::move(all));
  }
  void on_stored(const Entry& entry) {
    soon([this, entry] {
      if (!current_ || stopped_ || entry.writer == writer_) return;
      if (!registry_.entries_.contains(entry.key)) return;
      known_.insert(entry.key);
      sink_->on_sighting(entry);
    });
  }
  void on_erased(const std::string& key) {
    soon([this, key] {
      if (!current_ || stopped_ || registry_.entries_.contains(key)) return;
      if (known_.erase(key) > 0) sink_->on_lost(place(), key);
    });
  }
  void soon(Callback<void()> what) {
    const std::uint64_t number = next_++;
    timers_[number] =
        env_.after(std::chrono::milliseconds(1), [this, number, what = std::move(what)]() mutable {
          auto timer = timers_.extract(number);
          what();
        });
  }

 private:
  std::string place() const { return "http://" + registry_.name_; }
  /// `why` is empty for a claim that is held.
  void tell(const std::string& name, std::optional<std::string>& told, const std::string& why) {
    if (told == why) return;
    told = why;
    soon([this, name, why] {
      if (!stopped_ && claims_.contains(name)) sink_->on_claim(name, why.empty(), why);
    });
  }

  FakeRegistry& registry_;
  Env& env_;
  const std::string writer_;
  Sink* sink_ = nullptr;
  bool current_ = false, stopped_ = false;
  std::map<std::string, Entry> wanted_;      // by id
  std::map<std::string, std::string> held_;  // by id, who holds it
  std::set<std::string> known_;
  std::set<std::string> unwanted_;  // to be erased when it is reached again
  std::map<std::string, std::optional<std::string>> claims_;  // ▸ what was told
  std::map<std::uint64_t, Timer> timers_;
  std::uint64_t next_ = 0;
  Timer stop_timer_, lease_timer_;
};

std::unique_ptr<registries::Engine> FakeRegistry::make(Env& env, const std::string& writer) {
  return std::make_unique<FakeEngine>(*this, env, writer);
}

void FakeRegistry::store(const Entry& entry) {
  entries_[entry.key] = entry;
  for (FakeEngine* const engine : engines_)
    engine->on_stored(entry);
}

void FakeRegistry::erase(const std::string& key) {
  if (entries_.erase(key) == 0) return;
  for (FakeEngine* const engine : engines_)
    engine->on_erased(key);
}

void FakeRegistry::expire(const std::string& writer) {
  leases_[writer] = world_.env().after(kTtl, [this, writer] {
    std::vector<std::string> keys;
    for (const auto& [key, entry] : entries_)
      if (entry.writer == writer) keys.push_back(key);
    for (const std::string& key : keys)
      erase(key);
    release(writer);
  });
}

void FakeRegistry::release(const std::string& writer) {
  std::erase_if(holders_, [&](const auto& each) { return each.second == writer; });
  settle_claims();
}

void FakeRegistry::settle_claims() {
  for (FakeEngine* const engine : engines_)
    engine->settle_claims();
}

void FakeRegistry::set_reachable(bool reachable) {
  if (std::exchange(reachable_, reachable) == reachable) return;
  for (FakeEngine* const engine : engines_)
    engine->soon([engine, reachable] { reachable ? engine->connect() : engine->disconnect(); });
}

void FakeRegistry::dispute(const std::string& id, const std::string& holder) {
  for (FakeEngine* const engine : engines_)
    engine->dispute(id, holder);
}

void FakeRegistry::set_lying(bool lying) {
  lying_ = lying;
  for (FakeEngine* const engine : engines_)
    engine->refresh();
}

void FakeRegistry::wipe() {
  entries_.clear();
  holders_.clear();
  for (FakeEngine* const engine : engines_)
    engine->soon([engine] { engine->restart(); });
}

}  // namespace outrider::test
