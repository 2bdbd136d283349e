// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/history.h"

#include <chrono>
#include <cstdio>
#include <map>

#include <doctest/doctest.h>

#include "agent/registry/history_line.h"
#include "agent/registry/zone.h"
#include "base/random.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

using Names = std::map<std::string, std::string>;

/// A name as DNS has it: records with rank and weight, the reason of an empty one.
std::string text_of(const ZoneUpdate& update) {
  std::string out;
  for (const ZoneEntry& entry : update.entries) {
    out += dns::to_string(entry.type) + ' ';
    if (const auto* address = std::get_if<dns::AddressData>(&entry.data))
      out += address->address.to_string();
    else if (const auto* srv = std::get_if<dns::SrvData>(&entry.data))
      out += std::to_string(srv->port) + ':' + srv->target.to_display();
    else if (const auto* name = std::get_if<dns::NameData>(&entry.data))
      out += name->name.to_display();
    out += '/' + std::to_string(entry.rank) + '/' + std::to_string(entry.weight) + '\n';
  }
  return out + update.why + (update.stale ? " stale" : "");
}

ZoneProjection projection() {
  return ZoneProjection(
      {.origin = *dns::Name::parse("svc"),
       .write_txt = [](const auto&, auto, const auto&) { return std::vector<std::string>{}; }});
}
ZoneSink into(Names& names) {
  return [&names](ZoneUpdate update) {
    if (update.erase)
      names.erase(update.owner.to_display());
    else
      names[update.owner.to_display()] = text_of(update);
  };
}
Names zone_of(const History::Past& past) {
  Names names;
  projection().begin(past.registry, past.surroundings.host, into(names));
  return names;
}

/// A registry with its zone, kept as the agent keeps it.
struct Life {
  explicit Life(std::size_t bytes = kHistoryBytesMax) : history(bytes) {
    zone.begin(registry, host, into(names));
    history.begin({host, {}}, now());
  }
  Moment now() const { return at(elapsed); }
  void apply(const Changes& changes) {
    zone.update(registry, host, changes, into(names));
    history.add(changes, registry, now());
  }
  void apply(Result<Changes, RegistryError> changes) {
    if (changes) apply(*changes);
  }
  void move(HostView next) {
    host = std::move(next);
    zone.rebuild(registry, host, into(names));
    history.see({host, {}}, now());
    apply(registry.readdress(now()));
  }
  /// Something that happens on a network.
  void happen() {
    const std::string service = "s" + std::to_string(random.below(3));
    const std::string id = service + "-" + std::to_string(random.below(3));
    const auto health = static_cast<CheckHealth>(random.below(4));
    const auto other = "o" + std::to_string(random.below(3));
    switch (random.below(10)) {
      case 0:
        return apply(
            registry.put(spec(R"({"name": ")" + service + R"(", "id": ")" + id + R"(", "port": )" +
                              std::to_string(80 + random.below(2)) +
                              R"(, "checks": [{"tcp": "auto"}, {"ttl": "10s", "id": "beat"}]})"),
                         now()));
      case 1:
        return apply(registry.remove(id, now()));
      case 2:
        return apply(registry.set_maintenance(random.below(4) == 0 ? std::string(kNodeId) : id,
                                              random.below(2) == 0, "disk", now()));
      case 3:
        return apply(registry.set_draining(id, random.below(2) == 0, now()));
      case 4: {
        Sighting s = sighting(service, other, "10.0.0." + std::to_string(5 + random.below(3)), 80);
        s.health = random.below(3) == 0 ? Health::critical : Health::passing;
        return apply(registry.see(std::move(s), now()));
      }
      case 5:
        return apply(registry.lose('_' + service + "._tcp " + other, now()));
      case 6:
        return apply(registry.go_stale('_' + service + "._tcp " + other, now()));
      case 7:
        return apply(registry.drop(id, now()));
      case 8:
        return apply(
            registry.set_check(id, "tcp", health, "said at " + std::to_string(steps), now()));
      default:  // of the ten
        return apply(registry.set_check(id, "beat", health, "beat", now()));
    }
  }

  Duration elapsed{};
  int steps = 0;
  SeededRandom random{7};
  HostView host = host_view();
  Registry registry{"box"};
  History history;
  ZoneProjection zone = projection();
  Names names;
};

}  // namespace

TEST_CASE("history: the zone of every past moment is the zone that was") {
  Life life;
  std::map<Duration, Names> was;
  for (; life.steps < 1'500; ++life.steps) {
    life.elapsed += life.steps % 100 == 99 ? Duration(11min) : Duration(1s);
    if (life.steps % 100 == 50) {
      HostView next = host_view();
      if (life.steps % 200 == 50) next.addresses = {IpAddress::v4(10, 0, 0, 9)};
      life.move(next);
    }
    life.happen();
    life.apply(life.registry.expire(life.now()));
    was[life.elapsed] = life.names;
  }
  REQUIRE(life.history.oldest() == 0);
  for (const auto& [when, names] : was) {
    CAPTURE(when.count());
    for (const Duration late : {Duration(0), Duration(999ms)}) {
      const auto place = life.history.place_at(at(when + late).wall);
      REQUIRE(place.has_value());
      CHECK(zone_of(life.history.past(*place, life.registry, std::nullopt)) == names);
    }
  }
}

TEST_CASE("a zone that follows changes is the zone that is made again") {
  Life life;
  for (; life.steps < 1'500; ++life.steps) {
    CAPTURE(life.steps);
    life.elapsed += life.steps % 100 == 99 ? Duration(11min) : Duration(1s);
    life.happen();
    life.apply(life.registry.expire(life.now()));
    Names again;
    projection().begin(life.registry, life.host, into(again));
    REQUIRE(life.names == again);
  }
}

TEST_CASE("history: what lines of an earlier run tell is what was, and then everything is gone") {
  Life life;
  std::map<Duration, Names> was;
  for (; life.steps < 600; ++life.steps) {
    life.elapsed += life.steps % 100 == 99 ? Duration(11min) : Duration(1s);
    if (life.steps % 100 == 50) {
      HostView next = host_view();
      if (life.steps % 200 == 50) next.addresses = {IpAddress::v4(10, 0, 0, 9)};
      life.move(next);
    }
    life.happen();
    life.apply(life.registry.expire(life.now()));
    was[life.elapsed] = life.names;
  }
  std::string text;
  HistoryHead head(life.history, life.history.oldest(), life.registry);
  while (head.write(text, 3) == 3) {
  }
  for (History::Place at = life.history.oldest(); at < life.history.newest(); ++at)
    text += history_line(life.history, at, life.registry);

  History again;
  const Moment restart = at(life.elapsed + 1h);
  HistoryReader reader(again, restart);
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(rest.find('\n') + 1)) {
    CAPTURE(rest.substr(0, rest.find('\n')));
    REQUIRE(reader.read(rest.substr(0, rest.find('\n'))));
  }
  reader.end({host_view(), {}});
  const Registry nothing("box");
  CHECK(again.since() == life.history.since());
  std::size_t compared = 0;
  for (const auto& [when, names] : was) {
    CAPTURE(when.count());
    const auto place = again.place_at(at(when).wall);
    if (!place) continue;
    ++compared;
    CHECK(zone_of(again.past(*place, nothing, std::nullopt)) == names);
  }
  CHECK(compared == was.size());
  const auto now = again.past(again.newest(), nothing, std::nullopt);
  CHECK(now.registry.services().empty());
  CHECK(now.registry.remembered().empty());
  CHECK(now.surroundings.host == host_view());
}

TEST_CASE("history: lines that no writer makes are refused") {
  const std::string head = R"({"outrider":"history","version":1,"since":5,"around":{}})";
  const std::string web =
      R"({"service":"web","id":"w","port":80,"protocol":"http","health":"passing",)"
      R"("source":"own","scope":"lan"})";
  const auto read = [&](const std::vector<std::string>& lines) {
    History history;
    HistoryReader reader(history, at(1h));
    bool good = true;
    for (const std::string& line : lines)
      good = reader.read(line);
    return good;
  };
  CHECK(read({head}));
  CHECK(read({head, R"({"was":)" + web + '}'}));
  CHECK(read({head, R"({"at":7,"service":"web","is":)" + web + '}'}));
  CHECK_FALSE(read({R"({"outrider":"registrations","version":1})"}));
  CHECK_FALSE(read({R"({"outrider":"history","version":2,"since":5,"around":{}})"}));
  for (const std::string& line : {std::string("{"), std::string("[]"), std::string("{}"),
                                  std::string(R"({"was":{"service":"web"}})"),
                                  R"({"at":7,"service":"other","is":)" + web + '}',
                                  std::string(R"({"at":7,"service":"web","gone":"w"})"),
                                  std::string(kHistoryLineBytesMax + 1, ' ')}) {
    CAPTURE(line.substr(0, 80));
    CHECK_FALSE(read({head, line}));
  }
}

TEST_CASE("history: of an earlier run no more instances are read than a registry has") {
  History history;
  HistoryReader reader(history, at(1h));
  REQUIRE(reader.read(R"({"outrider":"history","version":1,"since":5,"around":{}})"));
  for (std::size_t i = 0; i <= kHistoryInstancesMax; ++i)
    REQUIRE(reader.read(R"({"known":"n)" + std::to_string(i) + R"(","note":""})") ==
            (i < kHistoryInstancesMax));
}

TEST_CASE("history: a service alone is as it is among all") {
  Life life;
  for (; life.steps < 200; ++life.steps) {
    life.elapsed += 1s;
    life.happen();
  }
  for (History::Place place = 0; place <= life.history.newest(); place += 7) {
    const auto all = life.history.past(place, life.registry, std::nullopt);
    const std::vector<std::string> labels = {"s1"};
    const auto one = life.history.past(place, life.registry, labels);
    CHECK(one.registry.knows("s1") == all.registry.knows("s1"));
    CHECK(one.registry.why("s1") == all.registry.why("s1"));
    CHECK(one.registry.instances("s1").size() == all.registry.instances("s1").size());
    CHECK_FALSE(one.registry.knows("s2"));
  }
}

TEST_CASE("history: at the limit of its memory it begins later, and stays exact") {
  constexpr std::size_t kMost = 64U << 10;
  Life life(kMost);
  std::map<Duration, Names> was;
  std::size_t most = 0;
  for (; life.steps < 3'000; ++life.steps) {
    life.elapsed += 1s;
    life.happen();
    was[life.elapsed] = life.names;
    most = std::max(most, life.history.bytes());
    REQUIRE(life.history.bytes() <= kMost);
  }
  CHECK(most > kMost * 9 / 10);
  CHECK(life.history.oldest() > 1'000);
  CHECK(life.history.entries() > 30);
  CHECK_FALSE(life.history.place_at(life.history.since() - 1ms).has_value());
  std::size_t compared = 0;
  for (const auto& [when, names] : was) {
    const auto place = life.history.place_at(at(when).wall);
    if (!place) continue;
    CAPTURE(when.count());
    ++compared;
    const Names past = zone_of(life.history.past(*place, life.registry, std::nullopt));
    CHECK(past == names);
  }
  CHECK(compared > 30);
}

TEST_CASE("history: one that is larger than its memory is not kept") {
  Life life(1'000);
  life.apply(life.registry.put(spec(R"({"name": "s0", "id": "a", "port": 80})"), life.now()));
  CHECK(life.history.entries() == 0);
  CHECK(life.history.bytes() == 0);
  CHECK(life.history.since() == life.now().wall);
}

TEST_CASE("history: a check that flaps costs no more than half a thousand octets") {
  Life life;
  const auto put =
      spec(R"({"name": "s0", "id": "s0-0", "port": 80, "checks": [{"http": "/health"}]})");
  life.apply(life.registry.put(put, life.now()));
  std::size_t count = 0;
  while (life.history.oldest() == 0) {
    life.elapsed += 1s;
    const bool bad = ++count % 2 == 0;
    life.apply(life.registry.set_check("s0-0", "http",
                                       bad ? CheckHealth::critical : CheckHealth::passing,
                                       bad ? "HTTP 503" : "HTTP 200", life.now()));
  }
  CHECK(count > 2 * 1'024);
}

TEST_CASE("history: a refresh of a sighting is no event, and long outputs are cut") {
  Life life;
  Sighting s = sighting("s0", "o1", "10.0.0.5", 80);
  life.apply(life.registry.see(s, life.now()));
  s.place.expires = TimePoint(99s);
  life.apply(life.registry.see(s, life.now()));
  CHECK(life.history.entries() == 1);
  life.apply(life.registry.put(
      spec(R"({"name": "s0", "id": "a", "port": 81, "checks": [{"tcp": "auto"}]})"), life.now()));
  life.apply(life.registry.set_check("a", "tcp", CheckHealth::critical,
                                     std::string(kOutputBytesMax, 'x'), life.now()));
  life.apply(life.registry.set_draining("a", true, life.now()));
  const History::Event event = life.history.event(life.history.newest() - 1);
  CHECK(event.before->checks.front().output.size() == kPastOutputBytesMax);
  CHECK(event.after->health == Health::draining);
}

TEST_CASE("history: the note of a name that is forgotten is known, however old its entry is") {
  Life life(16U << 10);
  life.apply(life.registry.see(sighting("web", "w", "10.0.0.5", 80), life.now()));
  life.apply(life.registry.lose("_web._tcp w", life.now()));
  const std::string note = life.registry.note("web");
  for (int i = 0; i < 100; ++i) {  // more than is kept
    life.apply(life.registry.see(sighting("s0", "o", "10.0.0.6", 80), life.now()));
    life.apply(life.registry.lose("_s0._tcp o", life.now()));
  }
  REQUIRE(life.history.oldest() > 2);
  life.elapsed = kNameMemory;
  life.apply(life.registry.expire(life.now()));
  REQUIRE_FALSE(life.registry.knows("web"));
  const auto labels = std::vector<std::string>{"web"};
  const auto past = life.history.past(life.history.newest() - 2, life.registry, labels);
  CHECK(past.registry.knows("web"));
  CHECK(past.registry.note("web") == note);
}

TEST_CASE("history: a clock that is set back leaves the order of events") {
  Life life;
  life.elapsed = 60s;
  life.apply(life.registry.put(spec(R"({"name": "s0", "id": "a", "port": 80})"), life.now()));
  life.elapsed = 30s;
  life.apply(life.registry.put(spec(R"({"name": "s0", "id": "b", "port": 81})"), life.now()));
  const auto place = life.history.place_at(at(40s).wall);
  REQUIRE(place.has_value());
  const auto past = life.history.past(*place, life.registry, std::nullopt);
  CHECK(past.registry.instances("s0").size() == 2);
}

}  // namespace outrider::registry
