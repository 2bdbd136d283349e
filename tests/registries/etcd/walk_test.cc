// SPDX-License-Identifier: Apache-2.0
// Random trouble for minutes, then quiet: whatever has happened, the engine knows what is in the
// cluster, its own registrations are there, and keys of other programs are as those left them. A
// lease that is lost afterwards is made good within the time that it takes to notice.
#include <map>

#include "tests/registries/etcd/bed.h"

namespace outrider::registries::etcd {
namespace {

using test::Bed;
using test::kratos_key;
using test::kratos_value;

/// Keeps what the engine has reported, as the agent does.
struct View : Bed {
  std::map<std::string, std::string> known;  // id, by key
  std::map<std::string, std::string> conflicts;

  explicit View(int count) : Bed(count) {}
  void on_listed(const std::string&, std::vector<Entry> entries) override {
    known.clear();
    for (Entry& entry : entries)
      on_sighting(std::move(entry));
  }
  void on_sighting(Entry entry) override {
    CHECK(entry.writer != "me");
    const std::int64_t lease = engine->places().at(0).lease;
    CHECK_MESSAGE((lease == 0 || entry.where.lease != lease), entry.key);
    known[entry.key] = entry.id;
  }
  void on_lost(const std::string&, const std::string& key) override {
    CHECK_MESSAGE(known.erase(key) == 1, key);
  }
  void on_restarted(const std::string&, const std::string&) override {}
  void on_conflict(const std::string& id, const std::string&, const std::string& holder) override {
    if (holder.empty())
      CHECK(conflicts.erase(id) == 1);
    else
      conflicts[id] = holder;
  }
  void on_state(const std::string&, PlaceState, const std::string&) override {}
  /// As after kill -9: its lease lives on.
  void restart_engine() {
    engine.reset();
    known.clear();
    conflicts.clear();
    start();
  }
};

class Walk {
 public:
  enum class Kind { calm, troubled };
  Walk(std::uint64_t seed, Kind kind) : random_(seed), kind_(kind) {
    // Their keys carry no mark of the writer.
    bed_.options.layouts.gozero = GozeroLayout{.keys = {"web.rpc"}, .env = {}, .space = {}};
    bed_.start();
    for (int i = 0; i < 3; ++i)
      put();
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      // What races with a message under way, and what is noticed by waiting.
      const bool soon = random_.below(3) > 0;
      bed_.world.advance(std::chrono::microseconds(random_.below(soon ? 2'000 : 4'000'000)));
      CHECK(bed_.status().read <= kEntriesMax);
    }
  }

  void check() {
    for (const auto& member : bed_.members) {
      member->mute = false;
      member->set_cut_off(false);
      if (!up_[index_of(*member)]) member->set_running(true);
    }
    bed_.lan.set_up(true);
    // Without trouble, nothing is found out by waiting.
    bed_.world.advance(kind_ == Kind::calm ? Duration(3s) : 2min);
    check_keys();
    CHECK(bed_.store.leases.size() <= 1 + bed_.store.keys.size());
    lose_lease();
    check_keys();
    bool stopped = false;
    bed_.engine->stop([&] { stopped = true; });
    bed_.world.advance(1s);
    CHECK(stopped);
    for (const auto& [key, kept] : bed_.store.keys)
      CHECK_MESSAGE(foreign_.contains(key), key);
  }

 private:
  void check_keys() {
    CHECK(bed_.status().state == PlaceState::current);
    std::map<std::string, std::string> there;
    std::size_t own = 0;
    for (const auto& [key, kept] : bed_.store.keys) {
      const bool gozero = key.starts_with("web.rpc/");
      if (bed_.status().lease != 0 && kept.lease == bed_.status().lease)
        own += gozero ? 1 : 0;
      else if (kept.value != "junk")
        there["http://10.0.0.10:2379 " + std::string(gozero ? "gozero " : "kratos ") + key] =
            gozero ? "" : key.substr(key.rfind('/') + 1);
    }
    CHECK(bed_.known == there);
    CHECK(own == wanted_.size());
    for (const auto& [id, held] : wanted_) {
      const std::string key = kratos_key(id);
      if (const auto found = foreign_.find(key); found != foreign_.end()) {
        CHECK(bed_.conflicts.contains(id));
        CHECK(bed_.store.keys.at(key).value == found->second);
      } else {
        CHECK_MESSAGE(bed_.holds(key), key);
        CHECK(!bed_.conflicts.contains(id));
      }
    }
    for (const auto& [key, value] : foreign_)
      CHECK(bed_.store.keys.at(key).value == value);
  }
  /// The cluster answers that the lease has ended, while its keys are still there.
  void lose_lease() {
    const std::int64_t lease = bed_.status().lease;
    if (lease == 0) return;
    bed_.store.leases.erase(lease);
    bed_.world.advance(keepalive_interval(15s) + kGrantDelayMax + 1s);
    CHECK(bed_.store.keys_of(lease).empty());
  }
  std::size_t index_of(const test::Member& member) const {
    std::size_t i = 0;
    while (bed_.members[i].get() != &member)
      ++i;
    return i;
  }
  std::string any_id() { return "w" + std::to_string(random_.below(6)); }
  void put() {
    const std::string id = any_id();
    Entry entry = Bed::registration(id, "web");
    entry.version = std::to_string(random_.below(3));
    bed_.engine->put(entry);
    wanted_[id] = entry;
  }
  /// The agent is killed, and comes back with the same registrations.
  void restart_engine() {
    bed_.restart_engine();
    for (const auto& [id, entry] : wanted_)
      bed_.engine->put(entry);
  }
  void remove() {
    const std::string id = any_id();
    bed_.engine->remove(id);
    wanted_.erase(id);
  }
  /// Another program writes a key that may be wanted here, too.
  void put_foreign() {
    const std::string id = any_id();
    const bool gozero = random_.below(4) == 0;
    const std::string key = gozero ? "web.rpc/" + id.substr(1) : kratos_key(id);
    foreign_[key] = gozero ? "10.9.0.1:80" : kratos_value(id);
    if (random_.below(4) == 0) foreign_[key] = "junk";
    bed_.store.put(key, foreign_[key]);
  }
  void remove_foreign() {
    const std::string id = any_id();
    const std::string key = random_.below(4) == 0 ? "web.rpc/" + id.substr(1) : kratos_key(id);
    bed_.store.remove(key);
    foreign_.erase(key);
  }
  void restart(std::size_t i) {
    up_[i] = !up_[i];
    bed_.etcd(i).set_running(up_[i]);
  }
  void wipe() {
    bed_.store.wipe();
    foreign_.clear();
    for (std::size_t i = 0; i < 3; ++i)
      bed_.etcd(i).set_running(up_[i]);
  }
  void step() {
    const std::size_t i = random_.below(3);
    switch (random_.below(kind_ == Kind::calm ? 7 : 18)) {
      case 0:
      case 1:
        return put();
      case 2:
        return remove();
      case 3:
      case 4:
        return put_foreign();
      case 5:
      case 6:
        return remove_foreign();
      case 7:
        return restart(i);
      case 8:
        bed_.etcd(i).mute = !bed_.etcd(i).mute;
        return;
      case 9:
        return bed_.etcd(i).set_cut_off(random_.below(2) == 0);
      case 10:
        bed_.store.revoke(bed_.status().lease);
        return;
      case 11:
        bed_.store.compact();
        return;
      case 12:
        if (random_.below(4) == 0) wipe();
        return;
      case 13:
        if (random_.below(3) == 0)
          bed_.lan.set_up(false);
        else
          bed_.lan.set_up(true);
        return bed_.engine->refresh();
      case 14:
        return bed_.etcd(i).say("what is this?\r\n");
      case 15:
        return bed_.etcd(i).say_object(R"({"result":{"watch_id":"1","canceled":true}})");
      case 16:
        return bed_.etcd(i).say_object(R"({"error":{"message":"etcdserver: no leader"}})");
      case 17:
        return restart_engine();
    }
  }

  SeededRandom random_;
  const Kind kind_;
  View bed_{3};
  bool up_[3] = {true, true, true};
  std::map<std::string, Entry> wanted_;
  std::map<std::string, std::string> foreign_;
};

TEST_CASE("after any trouble the engine and the cluster agree") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    CAPTURE(seed);
    Walk walk(seed, Walk::Kind::troubled);
    walk.run(150);
    walk.check();
  }
}

TEST_CASE("without trouble they agree at once") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    Walk walk(seed, Walk::Kind::calm);
    walk.run(60);
    walk.check();
  }
}

}  // namespace
}  // namespace outrider::registries::etcd
