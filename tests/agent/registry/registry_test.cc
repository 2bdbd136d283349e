// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/registry.h"

#include <algorithm>
#include <map>

#include <doctest/doctest.h>

#include "base/random.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

const char* const kWeb = R"({"name":"web","id":"web-1","port":80,
    "checks":[{"http":"/","deregister_critical_after":"1m"}]})";

std::string ids(const std::vector<InstancePtr>& instances) {
  std::string out;
  for (const InstancePtr& instance : instances)
    out += (out.empty() ? "" : " ") + instance->id.text() + (instance->served() ? "+" : "-");
  return out;
}

using Specs = std::vector<ServiceSpec>;

TEST_CASE("a registration starts, passes, warns, fails and is back") {
  Registry registry("box");
  const auto put = registry.put(spec(kWeb), at(0s));
  REQUIRE(put.has_value());
  REQUIRE(put->list.size() == 1);
  CHECK_FALSE(put->list[0].before);
  CHECK(put->list[0].after->health == Health::starting);
  CHECK(ids(registry.instances("web")) == "web-1-");

  struct Row {
    CheckHealth check;
    Health health;
    bool changed;
  };
  const Row rows[] = {{CheckHealth::passing, Health::passing, true},
                      {CheckHealth::passing, Health::passing, false},
                      {CheckHealth::warning, Health::warning, true},
                      {CheckHealth::critical, Health::critical, true},
                      {CheckHealth::passing, Health::passing, true}};
  Duration now = 1s;
  for (const Row& row : rows) {
    const auto revision = registry.revision();
    const auto changes = registry.set_check("web-1", "http", row.check, "out", at(now));
    REQUIRE(changes.has_value());
    CHECK(changes->list.size() == (row.changed ? 1 : 0));
    CHECK((registry.revision() != revision) == row.changed);
    CHECK(registry.find_own("web-1")->health == row.health);
    CHECK(registry.find_own("web-1")->checks[0].output == "out");
    now += 1s;
  }
  const auto gone = registry.remove("web-1", at(9s));
  REQUIRE(gone.has_value());
  CHECK_FALSE(gone->list[0].after);
  CHECK(registry.instance_count() == 0);
  CHECK(registry.knows("web"));
  CHECK(registry.remove("web-1", at(9s)).error() == RegistryError::unknown_instance);
  CHECK(registry.set_check("web-1", "http", CheckHealth::passing, "", at(9s)).error() ==
        RegistryError::unknown_instance);
}

TEST_CASE("the worst check decides, maintenance and draining stand above") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"a","id":"i","port":1,
      "checks":[{"http":"/"},{"tcp":"auto"}]})"),
                       at(0s)));
  const auto health = [&] { return registry.find_own("i")->health; };
  REQUIRE(registry.set_check("i", "http", CheckHealth::passing, "", at(1s)));
  CHECK(health() == Health::starting);
  REQUIRE(registry.set_check("i", "tcp", CheckHealth::critical, "", at(1s)));
  CHECK(health() == Health::critical);
  REQUIRE(registry.set_check("i", "tcp", CheckHealth::passing, "", at(1s)));
  CHECK(health() == Health::passing);
  REQUIRE(registry.set_maintenance("i", true, "disk", at(2s)));
  CHECK(health() == Health::maintenance);
  CHECK(registry.set_maintenance("i", true, "disk", at(2s))->empty());
  REQUIRE(registry.set_draining("i", true, at(2s)));
  REQUIRE(registry.set_maintenance("i", false, "", at(2s)));
  CHECK(health() == Health::draining);
  REQUIRE(registry.set_draining("i", false, at(2s)));
  CHECK(health() == Health::passing);
  CHECK(registry.drain_all(at(3s)).list.size() == 1);
  CHECK(registry.drain_all(at(3s)).empty());
}

TEST_CASE("a check that fails for another reason is a change, and other new output is none") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"a","id":"i","port":1,
      "checks":[{"http":"/"},{"tcp":"auto"}]})"),
                       at(0s)));
  const auto say = [&](const char* check, CheckHealth health, const char* output) {
    const auto changes = registry.set_check("i", check, health, output, at(1s));
    REQUIRE(changes);
    for (const Change& change : changes->list)
      CHECK(change.news());
    return changes->list.size();
  };
  CHECK(say("http", CheckHealth::critical, "refused") == 1);
  CHECK(say("http", CheckHealth::critical, "refused") == 0);
  CHECK(say("http", CheckHealth::critical, "reset") == 1);
  CHECK(say("http", CheckHealth::critical, "reset\nby peer") == 0);  // the first line is quoted
  CHECK(say("tcp", CheckHealth::critical, "refused") == 1);          // turned
  CHECK(say("tcp", CheckHealth::critical, "timed out") == 0);        // the first check is quoted
  CHECK(say("http", CheckHealth::critical, "") == 1);
  CHECK(say("http", CheckHealth::passing, "HTTP 200") == 1);
  CHECK(say("http", CheckHealth::passing, "HTTP 204") == 0);
  CHECK(registry.find_own("i")->checks[0].output == "HTTP 204");
  REQUIRE(registry.set_maintenance("i", true, "disk", at(2s)));
  CHECK(say("tcp", CheckHealth::critical, "no route") == 1);
  CHECK(say("tcp", CheckHealth::warning, "slow") == 1);
  CHECK(say("tcp", CheckHealth::warning, "slower") == 0);
}

TEST_CASE("what happens to a registration that is dropped is no note of its service") {
  Registry registry("box");
  REQUIRE(registry.put(spec(kWeb), at(0s)));
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::critical, "503", at(1s)));
  REQUIRE(registry.drop("web-1", at(2s)));
  const std::string why = registry.why("web");
  CHECK(why == "0 known, 0 passing; last: web-1 left at 09:30:02Z");
  REQUIRE(registry.set_maintenance("web-1", true, "disk", at(3s)));
  CHECK(registry.why("web") == why);
  CHECK(registry.set_check("web-1", "http", CheckHealth::critical, "504", at(4s))->list.empty());
  CHECK(registry.why("web") == why);
  REQUIRE(registry.remove("web-1", at(5s)));
  CHECK(registry.why("web") == why);
}

TEST_CASE("registering again keeps what is known of checks that stay") {
  Registry registry("box");
  REQUIRE(registry.put(spec(kWeb), at(0s)));
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::passing, "fine", at(1s)));
  REQUIRE(registry.put(spec(R"({"name":"web","id":"web-1","port":80,"version":"2",
      "checks":[{"http":"/","interval":"5s"}]})"),
                       at(2s)));
  const InstancePtr kept = registry.find_own("web-1");
  CHECK(kept->health == Health::passing);
  CHECK(kept->checks[0].output == "fine");
  CHECK(kept->checks[0].spec.timing.interval == 5s);
  CHECK(kept->registered.at == TimePoint(0s));
  CHECK(kept->dirty.at == TimePoint(2s));
  // A check with another target starts from the verdict that stands.
  REQUIRE(registry.put(spec(R"({"name":"web","id":"web-1","port":80,"checks":[{"http":"/b"}]})"),
                       at(3s)));
  CHECK(registry.find_own("web-1")->health == Health::passing);
  // Of another port, or address, nothing is known.
  for (const char* place : {R"("port":81)", R"("port":81,"address":"10.0.0.1")"}) {
    REQUIRE(registry.set_check("web-1", "http", CheckHealth::passing, "fine", at(3s)));
    REQUIRE(registry.put(spec(R"({"name":"web","id":"web-1",)" + std::string(place) +
                              R"(,"checks":[{"http":"/b"}]})"),
                         at(3s)));
    CHECK(registry.find_own("web-1")->health == Health::starting);
  }
  // The same id under another name leaves the old one.
  const auto moved = registry.put(spec(R"({"name":"other","id":"web-1","port":80})"), at(4s));
  REQUIRE(moved->list.size() == 2);
  CHECK(ids(registry.instances("web")).empty());
  CHECK(ids(registry.instances("other")) == "web-1+");
}

TEST_CASE("critical for too long is dropped, probed on, and taken back under the same id") {
  Registry registry("box");
  REQUIRE(registry.put(spec(kWeb), at(0s)));
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::passing, "", at(1s)));
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::critical, "503", at(10s)));
  CHECK(registry.next_expiry() == TimePoint(70s));
  CHECK(registry.expire(at(69s)).empty());
  const Changes dropped = registry.expire(at(70s));
  REQUIRE(dropped.list.size() == 1);
  CHECK(dropped.list[0].before);
  CHECK_FALSE(dropped.list[0].after);
  CHECK(dropped.list[0].kept() == registry.find_own("web-1"));
  CHECK(registry.find_own("web-1")->dropped);
  CHECK(registry.instances("web").empty());
  CHECK(registry.knows("web"));
  CHECK(registry.set_check("web-1", "http", CheckHealth::critical, "still", at(80s))->empty());
  const auto back = registry.set_check("web-1", "http", CheckHealth::passing, "", at(90s));
  REQUIRE(back->list.size() == 1);
  CHECK_FALSE(back->list[0].before);
  CHECK(ids(registry.instances("web")) == "web-1+");
}

TEST_CASE("the name of a registration is known for as long as it is registered") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"web","id":"web-1","port":80,"checks":[{"http":"/"}]})"),
                       at(0s)));
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::critical, "HTTP 503", at(1s)));
  REQUIRE(registry.drop("web-1", at(61s)));
  CHECK(registry.instances("web").empty());
  CHECK(registry.expire(at(61s + kNameMemory)).forgotten.empty());
  CHECK(registry.knows("web"));
  REQUIRE(registry.remove("web-1", at(62s + kNameMemory)));
  CHECK(registry.knows("web"));
  CHECK(registry.expire(at(61s + 2 * kNameMemory)).forgotten.size() == 1);
  CHECK_FALSE(registry.knows("web"));
}

TEST_CASE("a name is remembered for ten minutes, then forgotten") {
  Registry registry("box");
  registry.see(sighting("db", "db-1", "10.0.0.2", 5432), at(0s));
  CHECK(registry.knows("db"));
  registry.lose("_db._tcp db-1", at(5s));
  CHECK(registry.instances("db").empty());
  CHECK(registry.knows("db"));
  CHECK(registry.why("db") == "0 known, 0 passing; last: db-1 left at 09:30:05Z");
  CHECK(registry.next_expiry() == TimePoint(5s + kNameMemory));
  CHECK(registry.expire(at(kNameMemory)).empty());
  const Changes forgotten = registry.expire(at(5s + kNameMemory));
  CHECK(forgotten.forgotten == std::vector<Forgotten>{{"db", "db-1 left at 09:30:05Z"}});
  CHECK_FALSE(registry.knows("db"));
  CHECK_FALSE(registry.next_expiry().has_value());
}

TEST_CASE("one instance in several places is one instance") {
  Registry registry("box");
  Sighting plain = sighting("web", "web-9", "10.0.0.2", 80);
  plain.detailed = false;
  CHECK(registry.see(plain, at(0s)).list.size() == 1);
  Sighting telling = sighting("web", "web-9", "10.0.0.3", 80);
  telling.place.key = "_farp._tcp web-9";
  telling.place.host = "10.0.0.2";
  telling.version = "3";
  const Changes changes = registry.see(telling, at(1s));
  REQUIRE(changes.list.size() == 1);
  CHECK(changes.list[0].news());
  const auto all = registry.instances("web");
  REQUIRE(all.size() == 1);
  CHECK(all[0]->version == "3");
  CHECK(all[0]->addresses.size() == 2);
  CHECK(all[0]->places.size() == 2);
  // A refresh is a change, for the sake of TTLs, but no news.
  telling.place.expires = TimePoint(40s);
  const auto revision = registry.revision();
  const Changes refresh = registry.see(telling, at(2s));
  REQUIRE(refresh.list.size() == 1);
  CHECK_FALSE(refresh.list[0].news());
  CHECK(registry.revision() == revision);
  CHECK(registry.see(telling, at(2s)).empty());
  CHECK(registry.lose("_farp._tcp web-9", at(3s)).list[0].after->version.empty());
  CHECK_FALSE(registry.lose("_web._tcp web-9", at(3s)).list[0].after);
  CHECK(registry.lose("_web._tcp web-9", at(3s)).empty());
  CHECK(registry.instance_count() == 0);
}

TEST_CASE("a registration wins over sightings of itself") {
  Registry registry("box");
  Sighting echo = sighting("web", "web-1", "10.0.0.1", 80);
  echo.on_this_host = true;
  registry.see(echo, at(0s));
  CHECK(ids(registry.instances("web")) == "web-1+");
  const auto put = registry.put(spec(kWeb), at(1s));
  CHECK(put->list.size() == 2);  // the echo leaves, we enter
  CHECK(ids(registry.instances("web")) == "web-1-");
  echo.version = "2";
  CHECK(registry.see(echo, at(2s)).empty());
  const auto removed = registry.remove("web-1", at(3s));
  CHECK(removed->list.size() == 2);
  CHECK(ids(registry.instances("web")) == "web-1+");
}

TEST_CASE("a program that also announces itself on this host is not listed twice") {
  Registry registry("box");
  Sighting self = sighting("web", "python-xyz", "10.0.0.1", 80);
  self.on_this_host = true;
  registry.see(self, at(0s));
  CHECK(ids(registry.instances("web")) == "python-xyz+");
  REQUIRE(registry.put(spec(R"({"name":"web","id":"web-1","port":80})"), at(1s)));
  CHECK(ids(registry.instances("web")) == "web-1+ python-xyz-");
  REQUIRE(registry.put(spec(R"({"name":"web","id":"web-1","port":81})"), at(2s)));
  CHECK(ids(registry.instances("web")) == "web-1+ python-xyz+");
}

TEST_CASE("a sighting with the host and port of another one hides nothing") {
  Registry registry("box");
  registry.see(sighting("web", "a", "10.0.0.2", 80), at(0s));
  const Changes second = registry.see(sighting("web", "b", "10.0.0.2", 80), at(5s));
  CHECK(second.list.size() == 1);
  CHECK(ids(registry.instances("web")) == "a+ b+");
  registry.lose("_web._tcp b", at(7s));
  CHECK(ids(registry.instances("web")) == "a+");
}

TEST_CASE("agents of one host show all that any of them registered, and nothing a second time") {
  // The same from both sides: what is registered here, and what another agent registered.
  for (const bool here : {true, false}) {
    CAPTURE(here);
    Registry registry("box");
    const auto enlist = [&](const char* id, Health health, Duration time) {
      if (here && registry.find_own(id) == nullptr)
        return (void)registry.put(
            spec(std::string(R"({"name":"web","id":")") + id +
                 R"(","port":80,"checks":[{"id":"c","ttl":"1h","initial":"passing"}]})"),
            at(time));
      if (here)
        return (void)registry.set_check(
            id, "c", health == Health::passing ? CheckHealth::passing : CheckHealth::critical, "",
            at(time));
      Sighting s = sighting("web", id, "192.168.1.10", 80);
      s.source = Source::host;
      s.on_this_host = s.from_this_host = true;
      s.health = health;
      registry.see(std::move(s), at(time));
    };
    Sighting self = sighting("web", "zeroconf", "192.168.1.10", 80);
    self.on_this_host = true;
    registry.see(self, at(0s));
    CHECK(ids(registry.instances("web")) == "zeroconf+");
    enlist("w1", Health::passing, 1s);
    enlist("w2", Health::passing, 2s);
    CHECK(ids(registry.instances("web")) == "w1+ w2+ zeroconf-");
    // Announced after that, too.
    registry.lose(self.place.key, at(3s));
    registry.see(self, at(4s));
    CHECK(ids(registry.instances("web")) == "w1+ w2+ zeroconf-");
    enlist("w1", Health::critical, 5s);
    CHECK(ids(registry.instances("web")) == "w1- w2+ zeroconf-");
    enlist("w2", Health::critical, 6s);
    CHECK(ids(registry.instances("web")) == "w1- w2- zeroconf+");
    enlist("w2", Health::passing, 7s);
    CHECK(ids(registry.instances("web")) == "w1- w2+ zeroconf-");
    for (const char* id : {"w1", "w2"})
      if (here)
        REQUIRE(registry.remove(id, at(8s)));
      else
        registry.lose("_web._tcp " + std::string(id), at(8s));
    CHECK(ids(registry.instances("web")) == "zeroconf+");
  }
}

TEST_CASE("new addresses of the host are a change of what has them, and of nothing else") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"web","id":"w","port":80})"), at(0s)));
  REQUIRE(
      registry.put(spec(R"({"name":"fixed","id":"f","port":81,"address":"10.0.0.1"})"), at(0s)));
  REQUIRE(registry.put(spec(R"({"name":"gone","id":"g","port":82,
      "checks":[{"ttl":"9s","initial":"critical"}]})"),
                       at(0s)));
  REQUIRE(registry.drop("g", at(1s)));
  registry.see(sighting("web", "other", "10.0.0.2", 80), at(1s));
  const auto before = registry.revision();
  const auto fixed = registry.service_revision("fixed");
  const Changes changes = registry.readdress(at(2s));
  REQUIRE(changes.list.size() == 1);
  CHECK(changes.list[0].any().id.text() == "w");
  CHECK(changes.list[0].news());
  CHECK(changes.list[0].readdressed);
  CHECK(changes.node);
  CHECK(registry.service_revision("web") > before);
  CHECK(registry.service_revision("fixed") == fixed);
  CHECK(registry.instances("web")[0]->up == at(0s));
}

TEST_CASE("dropped, and registered again: listed at once, with all its time") {
  Registry registry("box");
  REQUIRE(registry.put(spec(kWeb), at(0s)));
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::critical, "503", at(10s)));
  REQUIRE(registry.expire(at(70s)).list.size() == 1);
  const auto again = registry.put(spec(kWeb), at(100s));
  REQUIRE(again->list.size() == 1);
  CHECK(again->list[0].after->health == Health::critical);
  CHECK(again->list[0].after->registered.at == TimePoint(0s));
  CHECK(registry.next_expiry() == TimePoint(160s));
  REQUIRE(registry.expire(at(160s)).list.size() == 1);
  // What is dropped can be removed; no list had it.
  const InstancePtr dropped = registry.find_own("web-1");
  const auto removed = registry.remove("web-1", at(170s));
  CHECK(removed->list.empty());
  CHECK(removed->ended == std::vector{dropped});
  CHECK(registry.own().empty());
}

TEST_CASE("a change says whether a registration that left the lists is kept") {
  Registry registry("box");
  const auto added = registry.put(spec(kWeb), at(0s));
  CHECK(added->list.at(0).kept() == added->list.at(0).after);
  const auto removed = registry.remove("web-1", at(1s));
  REQUIRE(removed->list.size() == 1);
  CHECK(removed->list[0].kept() == nullptr);
  CHECK(removed->ended.empty());

  // A dropped id that moves to another service ends there and begins again here.
  REQUIRE(registry.put(spec(kWeb), at(10s)));
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::critical, "503", at(20s)));
  REQUIRE(registry.drop("web-1", at(30s)));
  const auto moved = registry.put(spec(R"({"name":"api","id":"web-1","port":80})"), at(40s));
  REQUIRE(moved->ended.size() == 1);
  CHECK(moved->ended[0]->service.text() == "web");
  REQUIRE(moved->list.size() == 1);
  CHECK(moved->list[0].kept()->service.text() == "api");
}

TEST_CASE("every timestamp says what it says") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"web","id":"w","checks":[{"ttl":"30s"}]})"), at(1s)));
  REQUIRE(registry.set_check("w", "ttl", CheckHealth::passing, "", at(2s)));
  REQUIRE(registry.set_check("w", "ttl", CheckHealth::passing, "", at(3s)));  // a heartbeat
  REQUIRE(registry.set_check("w", "ttl", CheckHealth::critical, "", at(4s)));
  REQUIRE(registry.set_check("w", "ttl", CheckHealth::passing, "", at(5s)));
  REQUIRE(registry.put(spec(R"({"name":"web","id":"w","checks":[{"ttl":"30s"}]})"), at(6s)));
  REQUIRE(registry.set_maintenance("w", true, "", at(7s)));
  REQUIRE(registry.set_check("w", "ttl", CheckHealth::passing, "", at(8s)));
  const InstancePtr w = registry.find_own("w");
  CHECK(w->registered.at == TimePoint(1s));
  CHECK(w->up.at == TimePoint(5s));
  CHECK(w->dirty.at == TimePoint(6s));
  CHECK(w->latest.at == TimePoint(7s));
  CHECK(w->renewed.at == TimePoint(8s));
}

TEST_CASE("what is to be taken as a whole is judged as a whole") {
  Registry registry("box");
  const auto named = [](const char* name, const char* id) {
    return spec(std::string(R"({"name":")") + name + R"(","id":")" + id + "\"}");
  };
  REQUIRE(registry.put(named("web", "his-1"), at(0s)));
  REQUIRE(registry.put(named("web", "mine"), at(0s)));
  CHECK(registry.would_take(Specs{named("web", "mine"), named("db", "his_1")}, {}));
  CHECK(registry.would_take(Specs{named("web", "his_1")}, {}).error() ==
        RegistryError::duplicate_id);
  CHECK(registry.would_take(Specs{named("web", "his_1")}, {"his-1"}));
  CHECK(registry.would_take(Specs{named("web", "a_b"), named("web", "a-b")}, {}).error() ==
        RegistryError::duplicate_id);
  // An id that moves to another service takes its label along.
  CHECK(registry.put(named("db", "his_1"), at(1s)));
  CHECK(registry.put(named("db", "his-1"), at(1s)).error() == RegistryError::duplicate_id);
  std::vector<ServiceSpec> many;
  for (std::size_t i = 0; i < kRegistrationsMax - 2; ++i)
    many.push_back(named("many", ("i" + std::to_string(i)).c_str()));
  CHECK(registry.would_take(many, {"mine"}));
  CHECK(registry.would_take(many, {}).error() == RegistryError::too_many);
}

TEST_CASE("nobody follows himself, through however many others") {
  Registry registry("box");
  const auto follower = [](const std::string& id, const std::string& of) {
    return spec(R"({"name":"s","id":")" + id + R"(","checks":[{"ttl":"1h"},{"alias":")" + of +
                "\"}]}");
  };
  CHECK(registry.put(follower("a", "a"), at(0s)).error() == RegistryError::alias_ring);
  CHECK(registry.put(follower("a", "b"), at(0s)));
  CHECK(registry.put(follower("b", "c"), at(0s)));
  CHECK(registry.put(follower("c", "a"), at(0s)).error() == RegistryError::alias_ring);
  CHECK(registry.find_own("c") == nullptr);
  CHECK(registry.put(spec(R"({"name":"s","id":"c"})"), at(0s)));
  CheckSpec alias{.id = "alias", .kind = AliasCheck{"a"}};
  CHECK(registry.put_check("c", alias, at(0s)).error() == RegistryError::alias_ring);
  CHECK(registry.put_check("a", alias, at(0s)).error() == RegistryError::alias_ring);
  CHECK(registry.find_own("a")->checks[1].spec.kind == decltype(alias.kind)(AliasCheck{"b"}));
  // Two that follow the same one are no ring.
  CHECK(registry.put(follower("d", "c"), at(0s)));
  CHECK(registry.put_check("d", {.id = "second", .kind = AliasCheck{"a"}}, at(0s)));
  // An id that was chosen for an instance is its id, too.
  CHECK(registry.put(spec(R"({"name":"web","port":80,"checks":[{"alias":"web-box-80"}]})"), at(0s))
            .error() == RegistryError::alias_ring);

  CHECK(registry.would_take(Specs{follower("c", "a")}, {}).error() == RegistryError::alias_ring);
  CHECK(registry.would_take(Specs{follower("c", "a")}, {"b"}));
  CHECK(registry.would_take(Specs{follower("c", "a"), spec(R"({"name":"s","id":"b"})")}, {}));
  CHECK(registry.would_take(Specs{follower("x", "y"), follower("y", "x")}, {}).error() ==
        RegistryError::alias_ring);
}

TEST_CASE("stale sightings are served for a grace time") {
  Registry registry("box");
  registry.see(sighting("web", "a", "10.0.0.2", 80), at(0s));
  registry.see(sighting("web", "b", "10.0.0.3", 80), at(0s));
  REQUIRE(registry.go_stale("_web._tcp a", at(1s)).list.size() == 1);
  CHECK(registry.go_stale("_web._tcp a", at(2s)).empty());
  CHECK(registry.instances("web")[0]->stale);
  CHECK(registry.instances("web")[0]->served());
  registry.see(sighting("web", "a", "10.0.0.2", 80), at(3s));
  CHECK_FALSE(registry.instances("web")[0]->stale);
  CHECK(registry.expire(at(1s + kStaleGrace)).empty());
  registry.go_stale("_web._tcp b", at(100s));
  CHECK(registry.expire(at(100s + kStaleGrace)).list.size() == 1);
  CHECK(ids(registry.instances("web")) == "a+");
}

TEST_CASE("limits are reached and not passed") {
  Registry registry("box");
  for (std::size_t i = 0; i < kRegistrationsMax; ++i)
    REQUIRE(registry.put(spec(R"({"name":"a","id":"i)" + std::to_string(i) + "\"}"), at(0s)));
  CHECK(registry.put(spec(R"({"name":"a","id":"more"})"), at(0s)).error() ==
        RegistryError::too_many);

  Registry flooded("box");
  for (std::size_t i = 0; i < kSightingsMax + 5; ++i)
    flooded.see(sighting("s" + std::to_string(i % 50), "i" + std::to_string(i), "10.0.0.2", 0),
                at(0s));
  CHECK(flooded.instance_count() == kSightingsMax);
  CHECK(flooded.refused_sightings() == 5);

  Registry places("box");
  for (std::size_t i = 0; i < kPlacesMax + 1; ++i) {
    Sighting s = sighting("web", "a", "10.0.0.2", 80);
    s.place.key = std::to_string(i);
    for (std::size_t n = 0; n < kAddressesSeenMax + 3; ++n)
      s.addresses.push_back({IpAddress::v4(10, 1, 0, static_cast<std::uint8_t>(n)), 0});
    places.see(s, at(0s));
  }
  CHECK(places.instances("web")[0]->places.size() == kPlacesMax);
  CHECK(places.instances("web")[0]->addresses.size() == kAddressesSeenMax);
  CHECK(places.refused_sightings() == 1);

  Registry names("box");
  std::vector<std::string> forgotten;
  for (std::size_t i = 0; i < kNamesRememberedMax + 3; ++i) {
    const std::string service = "s" + std::to_string(i);
    names.see(sighting(service, "i", "10.0.0.2", 80), at(std::chrono::milliseconds(i)));
    const Changes left = names.lose("_" + service + "._tcp i", at(std::chrono::milliseconds(i)));
    for (const Forgotten& gone : left.forgotten)
      forgotten.push_back(gone.label);
  }
  CHECK(names.remembered().size() == kNamesRememberedMax);
  CHECK_FALSE(names.knows("s0"));
  // Who keeps names for them is told, or they would stay there for ever.
  CHECK(forgotten == std::vector<std::string>{"s0", "s1", "s2"});
}

TEST_CASE("registrations are found by their checks, and counted") {
  Registry registry("box");
  for (const char* id : {"b", "a", "c"})
    REQUIRE(
        registry.put(spec(R"({"name":"web","id":")" + std::string(id) +
                          R"(","checks":[{"ttl":"10s"},{"ttl":"20s","id":"own-)" + id + R"("}]})"),
                     at(0s)));
  using Ids = std::vector<std::string>;
  CHECK(registry.with_check("ttl", 9) == Ids{"a", "b", "c"});
  CHECK(registry.with_check("ttl", 2) == Ids{"a", "b"});
  CHECK(registry.with_check("own-b", 9) == Ids{"b"});
  CHECK(registry.with_check("own-", 9).empty());
  REQUIRE(registry.remove_check("b", "own-b", at(1s)));
  CHECK(registry.with_check("own-b", 9).empty());
  REQUIRE(registry.remove("a", at(1s)));
  CHECK(registry.with_check("ttl", 9) == Ids{"b", "c"});
  CHECK(registry.own_count() == 2);
  CHECK(registry.service_count() == 1);
  CHECK(registry.instance_count("web") == 2);
  CHECK(registry.instance_count("none") == 0);
  REQUIRE(registry.remove("b", at(1s)));
  REQUIRE(registry.remove("c", at(1s)));
  CHECK(registry.service_count() == 0);
}

TEST_CASE("another agent's instance on our port is served while our registration is not") {
  Registry registry("box");
  Sighting sibling = sighting("web", "web-b", "10.0.0.1", 80);
  sibling.on_this_host = true;
  registry.see(sibling, at(0s));
  REQUIRE(registry.put(spec(kWeb), at(0s)));
  CHECK(ids(registry.instances("web")) == "web-1- web-b+");  // ours is starting
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::passing, "", at(1s)));
  CHECK(ids(registry.instances("web")) == "web-1+ web-b-");
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::critical, "503", at(10s)));
  CHECK(ids(registry.instances("web")) == "web-1- web-b+");
  REQUIRE(registry.expire(at(70s)).list.size() == 1);
  CHECK(ids(registry.instances("web")) == "web-b+");
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::passing, "", at(80s)));
  CHECK(ids(registry.instances("web")) == "web-1+ web-b-");
}

TEST_CASE("draining and maintenance list no registration that was dropped") {
  Registry registry("box");
  REQUIRE(registry.put(spec(kWeb), at(0s)));
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::critical, "503", at(10s)));
  REQUIRE(registry.expire(at(70s)).list.size() == 1);
  CHECK(registry.set_maintenance("web-1", true, "why", at(71s))->list.empty());
  CHECK(registry.set_maintenance("web-1", false, "", at(72s))->list.empty());
  CHECK(registry.set_draining("web-1", true, at(73s))->list.empty());
  CHECK(registry.drain_all(at(74s)).list.empty());
  CHECK(registry.instance_count() == 0);
  // Its checks alone bring it back.
  REQUIRE(registry.set_check("web-1", "http", CheckHealth::passing, "", at(80s)));
  CHECK(registry.instance_count() == 1);
}

TEST_CASE("maintenance and draining do not keep a registration whose checks ended") {
  constexpr const char* kLease =
      R"({"name":"web","id":"beat","checks":[{"ttl":"9s","deregister_critical_after":"30s"}]})";
  for (const bool drains : {false, true}) {
    CAPTURE(drains);
    Registry registry("box");
    REQUIRE(registry.put(spec(kWeb), at(0s)));
    REQUIRE(registry.put(spec(kLease), at(0s)));
    for (const char* id : {"web-1", "beat"})
      REQUIRE((drains ? registry.set_draining(id, true, at(1s))
                      : registry.set_maintenance(id, true, "why", at(1s))));
    REQUIRE(registry.set_check("web-1", "http", CheckHealth::critical, "503", at(10s)));
    REQUIRE(registry.set_check("beat", "ttl", CheckHealth::critical, "silent", at(10s)));
    CHECK(registry.next_expiry() == TimePoint(70s));
    CHECK(registry.next_silence() == TimePoint(40s));
    CHECK(registry.silent_heartbeats(TimePoint(40s)) == std::vector<std::string>{"beat"});
    CHECK(registry.drop("beat", at(40s))->list.size() == 1);
    CHECK(registry.expire(at(70s)).list.size() == 1);
    CHECK(registry.instance_count() == 0);
    CHECK_FALSE(registry.next_silence());
    // The operator's word stands when the program is back.
    REQUIRE(registry.set_check("beat", "ttl", CheckHealth::passing, "", at(80s)));
    CHECK(registry.instances("web").at(0)->health ==
          (drains ? Health::draining : Health::maintenance));
    CHECK(registry.drop("beat", at(81s))->list.empty());
  }
}

namespace {

ServiceSpec named(const std::string& name, const std::string& id) {
  return spec(R"({"name":")" + name + R"(","id":")" + id + "\"}");
}

/// A registration whose heartbeat is critical since `since`, and which was dropped for that.
void put_dropped(Registry& registry, const std::string& id, Duration since) {
  const std::string text = R"({"name":"dead","id":")" + id + R"(","checks":[{"ttl":"9s"}]})";
  REQUIRE(registry.put(spec(text), at(since)));
  REQUIRE(registry.set_check(id, "ttl", CheckHealth::critical, "silent", at(since)));
  REQUIRE(registry.drop(id, at(since)));
  REQUIRE(registry.find_own(id)->dropped);
}

}  // namespace

TEST_CASE("at the limit, what was dropped gives way: the one that is critical for longest first") {
  Registry registry("box");
  put_dropped(registry, "d2", 2s);
  put_dropped(registry, "d1", 1s);
  put_dropped(registry, "held", 0s);
  put_dropped(registry, "back", 0s);
  registry.hold({"held"});
  // Neither a change of what was dropped nor its recovery confuses the order.
  REQUIRE(registry.set_maintenance("d1", true, "", at(3s)));
  REQUIRE(registry.set_check("d2", "ttl", CheckHealth::critical, "still", at(3s)));
  REQUIRE(registry.set_check("back", "ttl", CheckHealth::passing, "", at(3s)));
  std::vector<ServiceSpec> two{named("live", "n1"), named("live", "n2")};
  for (std::size_t i = registry.own_count(); i < kRegistrationsMax; ++i)
    REQUIRE(registry.put(named("live", "i" + std::to_string(i)), at(4s)));
  CHECK(registry.would_take(two, {}));
  const auto first = registry.put(two[0], at(5s));
  REQUIRE(first);
  REQUIRE(first->ended.size() == 1);
  CHECK(first->ended[0]->id.text() == "d1");
  CHECK(registry.own_count() == kRegistrationsMax);
  // What registers again takes no other one's place.
  CHECK(registry.put(two[0], at(5s))->ended.empty());
  two.push_back(named("live", "n3"));
  CHECK(registry.would_take(two, {}).error() == RegistryError::too_many);
  REQUIRE(registry.put(two[1], at(6s)));
  CHECK(registry.find_own("d2") == nullptr);
  CHECK(registry.put(two[2], at(7s)).error() == RegistryError::too_many);
  CHECK(registry.find_own("held") != nullptr);
  CHECK(registry.find_own("back") != nullptr);
}

TEST_CASE("what was dropped gives way to a registration with the same DNS label") {
  Registry registry("box");
  put_dropped(registry, "d_1", 0s);
  CHECK(registry.would_take(Specs{named("dead", "d-1")}, {}));
  const auto put = registry.put(named("dead", "d-1"), at(1s));
  REQUIRE(put);
  CHECK(put->ended.size() == 1);
  CHECK(registry.own_count() == 1);
  CHECK(registry.put(named("dead", "d_1"), at(2s)).error() == RegistryError::duplicate_id);
  put_dropped(registry, "e_1", 3s);
  registry.hold({"e_1"});
  CHECK(registry.would_take(Specs{named("dead", "e-1")}, {}).error() ==
        RegistryError::duplicate_id);
  CHECK(registry.put(named("dead", "e-1"), at(4s)).error() == RegistryError::duplicate_id);
}

/// Applies Changes as a reader would and compares with what the registry says of itself.
class Mirror {
 public:
  void apply(const Changes& changes) {
    for (const Change& change : changes.list) {
      if (change.before) {
        const auto found = listed_.find(key(*change.before));
        REQUIRE(found != listed_.end());
        CHECK(found->second->revision == change.before->revision);
        if (!change.after) listed_.erase(found);
      } else {
        CHECK_FALSE(listed_.contains(key(*change.after)));
      }
      if (change.after) listed_[key(*change.after)] = change.after;
    }
  }
  void compare(const Registry& registry) const {
    std::size_t count = 0;
    for (const std::string& label : registry.services())
      for (const InstancePtr& instance : registry.instances(label)) {
        ++count;
        const auto found = listed_.find(key(*instance));
        REQUIRE(found != listed_.end());
        CHECK(found->second->health == instance->health);
        CHECK(found->second->shadowed == instance->shadowed);
      }
    CHECK(count == listed_.size());
    CHECK(count == registry.instance_count());
  }

 private:
  static std::string key(const Instance& i) {
    return (i.own() ? "0" : "1") + i.service.label() + '/' + i.id.text();
  }
  std::map<std::string, InstancePtr> listed_;
};

TEST_CASE("a follower of the changes knows what the registry knows") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    SeededRandom random(seed);
    Registry registry("box");
    Mirror mirror;
    Duration now = 0s;
    for (int step = 0; step < 600; ++step) {
      now += std::chrono::milliseconds(random.below(20'000));
      const std::string service = "s" + std::to_string(random.below(3));
      const std::string id = "i" + std::to_string(random.below(5));
      const auto health = static_cast<CheckHealth>(random.below(4));
      Changes changes;
      const auto keep = [&](Result<Changes, RegistryError> result) {
        if (result) changes = std::move(*result);
      };
      switch (random.below(9)) {
        case 0:
          keep(registry.put(
              spec(R"({"name":")" + service + R"(","id":")" + id + R"(","port":)" +
                   std::to_string(80 + random.below(2)) + R"(,"checks":[{"http":"/"}]})"),
              at(now)));
          break;
        case 1:
          keep(registry.remove(id, at(now)));
          break;
        case 2:
          keep(registry.set_maintenance(id, random.below(2) == 0, "why", at(now)));
          break;
        case 3:
          changes = registry.lose('_' + service + "._tcp " + id, at(now));
          break;
        case 4:
          changes = registry.go_stale('_' + service + "._tcp " + id, at(now));
          break;
        case 5:
          changes = registry.expire(at(now));
          break;
        case 6:
        case 7: {
          Sighting s = sighting(service, id, "10.0.0." + std::to_string(random.below(3)),
                                static_cast<std::uint16_t>(80 + random.below(2)));
          s.on_this_host = random.below(3) == 0;
          s.place.expires = TimePoint(now + 20s);
          changes = registry.see(s, at(now));
          break;
        }
        case 8:
          keep(registry.set_check(id, "http", health, "x", at(now)));
          break;
      }
      mirror.apply(changes);
      mirror.compare(registry);
    }
  }
}

}  // namespace
}  // namespace outrider::registry
