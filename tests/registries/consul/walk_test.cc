// SPDX-License-Identifier: Apache-2.0
// Random trouble for minutes, then quiet: whatever has happened, the engine knows what Consul has,
// its own registrations are there and pass, and those of other programs are as they left them.
#include <map>
#include <set>

#include "tests/registries/consul/bed.h"

namespace outrider::registries::consul {
namespace {

using test::Bed;

/// Keeps what the engine has reported, as the agent does.
struct View : Bed {
  std::map<std::string, std::string> known;  // health, by key
  std::set<std::string> conflicts;

  void keep(Entry entry) {
    CHECK(entry.writer != "me");
    known[entry.key] = to_string(entry.health);
  }
  void on_listed(const std::string&, std::vector<Entry> entries) override {
    known.clear();
    for (Entry& entry : entries)
      keep(std::move(entry));
  }
  void on_listed_in_part(const std::string&, std::vector<Entry> entries,
                         std::set<std::string> kept) override {
    std::erase_if(known, [&](const auto& each) { return !kept.contains(each.first); });
    for (Entry& entry : entries)
      keep(std::move(entry));
  }
  void on_sighting(Entry entry) override { keep(std::move(entry)); }
  void on_lost(const std::string&, const std::string& key) override {
    CHECK_MESSAGE(known.erase(key) == 1, key);
  }
  void on_restarted(const std::string&, const std::string&) override {}
  void on_conflict(const std::string& id, const std::string&, const std::string& holder) override {
    if (holder.empty())
      CHECK(conflicts.erase(id) == 1);
    else
      conflicts.insert(id);
  }
  void on_state(const std::string&, PlaceState, const std::string&) override {}
};

class Walk {
 public:
  enum class Kind { calm, troubled };
  Walk(std::uint64_t seed, Kind kind) : random_(seed), kind_(kind) {
    bed_.options.services = {"s0", "s1", "s2"};
    bed_.start();
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      const bool soon = random_.below(3) > 0;
      bed_.world.advance(std::chrono::microseconds(random_.below(soon ? 2'000 : 4'000'000)));
    }
  }

  void check() {
    test::FakeConsul& consul = bed_.consul;
    const bool troubled = kind_ == Kind::troubled;
    consul.self_denied = consul.reads_hidden = consul.writes_denied = consul.says_filtered = false;
    consul.without_servers = consul.mute = false;
    consul.cut_at.reset();
    consul.junk.clear();
    if (troubled) {
      consul.set_running(false);
      consul.set_running(true);
    }
    // Without trouble, nothing is found out by waiting, but for ids that are held by others.
    bed_.world.advance(troubled ? Duration(2min) : 22s);
    CHECK(bed_.status().state == PlaceState::current);
    std::map<std::string, std::string> there;
    for (const auto& [id, service] : consul.services) {
      if (!foreign_.contains(id)) continue;
      std::string health = "passing";
      for (const auto& [check_id, check] : service.checks) {
        if (check.status == "critical" && health != "maintenance") health = "critical";
        if (check_id.starts_with("_service_maintenance")) health = "maintenance";
      }
      there["http://127.0.0.1:8500 " + service.name + " n1/" + id] = health;
    }
    CHECK(bed_.known == there);
    for (const auto& [id, health] : wanted_) {
      CAPTURE(id);
      CHECK(bed_.conflicts.contains(id) == foreign_.contains(id));
      if (!foreign_.contains(id)) CHECK(bed_.status_of(id) == health);
    }
    for (const auto& [id, name] : foreign_)
      CHECK(consul.services.at(id).name == name);
    CHECK(consul.services.size() <= foreign_.size() + wanted_.size());
    bool stopped = false;
    bed_.engine->stop([&] { stopped = true; });
    bed_.world.advance(1s);
    CHECK(stopped);
    for (const auto& [id, service] : consul.services)
      CHECK_MESSAGE(foreign_.contains(id), id);
  }

 private:
  std::string any_id() { return "w" + std::to_string(random_.below(6)); }
  std::string any_service() { return "s" + std::to_string(random_.below(3)); }
  void put() {
    const std::string id = any_id();
    Entry entry = Bed::registration(id, any_service());
    if (random_.below(3) == 0) entry.health = Health::warning;
    bed_.engine->put(entry);
    wanted_[id] = to_string(entry.health);
  }
  void remove() {
    const std::string id = any_id();
    bed_.engine->remove(id);
    wanted_.erase(id);
  }
  /// Another program registers an id that is not ours, though it may be wanted here later.
  void add_foreign() {
    const std::string id = any_id();
    const auto found = bed_.consul.services.find(id);
    if (found != bed_.consul.services.end()) return;
    if (wanted_.contains(id) && kind_ == Kind::calm) return;
    foreign_[id] = any_service();
    bed_.consul.add(id, foreign_[id], "10.1.0.1");
  }
  void remove_foreign() {
    const std::string id = any_id();
    if (foreign_.erase(id) > 0) bed_.consul.remove(id);
  }
  void change_foreign() {
    const std::string id = any_id();
    if (!foreign_.contains(id)) return;
    if (random_.below(2) == 0)
      bed_.consul.set_status(id, "c:" + id, random_.below(2) == 0 ? "critical" : "passing");
    else
      bed_.consul.set_maintenance(id, random_.below(2) == 0);
  }
  void restart() {
    bed_.consul.set_running(false);
    bed_.world.advance(std::chrono::milliseconds(random_.below(9'000)));
    if (random_.below(4) == 0) {
      bed_.consul.wipe();
      foreign_.clear();
    }
    bed_.consul.set_running(true);
  }
  void flip(bool& flag) { flag = random_.below(2) == 0; }
  void step() {
    test::FakeConsul& consul = bed_.consul;
    switch (random_.below(kind_ == Kind::calm ? 7 : 17)) {
      case 0:
      case 1:
        return put();
      case 2:
        return remove();
      case 3:
      case 4:
        return add_foreign();
      case 5:
        return remove_foreign();
      case 6:
        return change_foreign();
      case 7:
        return restart();
      case 8:
        return flip(consul.mute);
      case 9:
        return flip(consul.without_servers);
      case 10:
        return flip(consul.self_denied);
      case 11:
        return flip(consul.reads_hidden);
      case 12:
        return flip(consul.writes_denied);
      case 13:
        consul.cut_at = random_.below(2) == 0 ? std::optional(random_.below(900)) : std::nullopt;
        return;
      case 14:
        consul.junk = random_.below(2) == 0 ? "{}" : "";
        return;
      case 15:
        return bed_.engine->refresh();
      case 16:
        consul.terminate();
        return restart();
    }
  }

  SeededRandom random_;
  const Kind kind_;
  View bed_;
  std::map<std::string, std::string> wanted_;   // health, by id
  std::map<std::string, std::string> foreign_;  // service, by id
};

TEST_CASE("after any trouble the engine and Consul agree") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
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
}  // namespace outrider::registries::consul
