// SPDX-License-Identifier: Apache-2.0
// What the provider through avahi-daemon does about the daemon: restarts, hanging, limits. What it
// promises as a provider: tests/contract/provider_contract.cc.
#include <algorithm>
#include <map>
#include <thread>

#include <doctest/doctest.h>
#include <poll.h>

#include "mdns/avahi/avahi_provider.h"
#include "mdns/avahi/discoveries.h"
#include "mdns/avahi/module/worker.h"
#include "mdns/avahi/publications.h"
#include "mdns/limits.h"
#include "tests/mdns/fake_avahi.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

struct Seer final : Provider::Sink {
  std::map<AnnouncementId, std::string> announced;
  std::map<SightingKey, Sighting> sightings;
  std::size_t lost = 0, told = 0, conflicts = 0;
  ProviderState state = ProviderState::starting;
  std::string why;
  void on_announced(AnnouncementId id, const std::string& label) override { announced[id] = label; }
  void on_conflict(AnnouncementId) override { ++conflicts; }
  void on_sighting(const Sighting& sighting) override {
    sightings[sighting.key] = sighting;
    ++told;
  }
  void on_lost(const SightingKey& key, LostReason) override {
    sightings.erase(key);
    ++lost;
  }
  void on_state(ProviderState now, const std::string& reason) override {
    state = now;
    why = reason;
  }
};

Announcement hello(const std::string& label = "hello") {
  Announcement out;
  out.label = label;
  out.type = "_hello._tcp";
  out.port = 8080;
  out.txt = {"version=1"};
  return out;
}

struct Bench {
  Bench() {
    world.host("a").attach("eth0", world.link("lan"), {"10.0.0.1/24"});
    world.host("b").attach("eth0", world.link("lan"), {"10.0.0.2/24"});
    a->start(at_a);
    b->start(at_b);
    b->browse({"_hello._tcp"});
  }
  std::unique_ptr<Provider> make(fake::Daemon& daemon) {
    return make_avahi_provider(daemon.host().env(), {}, daemon.make_client());
  }
  bool until(const std::function<bool()>& done, Duration most = 10s) {
    return world.run_until(done, most);
  }
  /// Both see the other's service.
  void settle() {
    CHECK(a->publish(1, hello()).has_value());
    CHECK(b->publish(1, hello("world")).has_value());
    a->browse({"_hello._tcp"});
    REQUIRE(until([&] { return at_b.sightings.size() == 1 && at_a.sightings.size() == 1; }));
    world.advance(2s);
  }

  sim::World world{5};
  fake::Lan lan{world};
  fake::Daemon daemon_a{world.host("a"), lan};
  fake::Daemon daemon_b{world.host("b"), lan};
  Seer at_a, at_b;
  std::unique_ptr<Provider> a = make(daemon_a), b = make(daemon_b);
};

}  // namespace

TEST_CASE("the daemon is restarted a hundred times: nothing is lost") {
  Bench bench;
  bench.settle();
  for (int i = 0; i < 100; ++i) {
    bench.daemon_a.stop();
    bench.world.advance(std::chrono::milliseconds(100 * (i % 20)));
    bench.daemon_a.start();
    REQUIRE(bench.until([&] { return bench.at_a.state == ProviderState::running; }, 15s));
    REQUIRE(bench.until([&] { return bench.at_b.sightings.size() == 1; }));
    CHECK(bench.at_a.sightings.size() == 1);
  }
  CHECK(bench.at_a.lost == 0);
  bench.world.advance(avahi::kFindAgain + 5s);
  CHECK(bench.at_a.lost == 0);
  CHECK(bench.at_a.sightings.size() == 1);
  CHECK(bench.at_a.announced[1] == "hello");
}

TEST_CASE("what did not come back with the daemon is lost, and all when it stays away") {
  Bench bench;
  bench.settle();
  bench.daemon_a.stop();
  bench.b->withdraw(1);
  bench.world.advance(3s);
  bench.daemon_a.start();
  bench.world.advance(5s);
  CHECK(bench.at_a.sightings.size() == 1);
  bench.world.advance(avahi::kFindAgain);
  CHECK(bench.at_a.sightings.empty());

  bench.daemon_b.stop();
  bench.world.advance(avahi::kDaemonGone - 5s);
  CHECK(bench.at_b.sightings.size() == 1);
  bench.world.advance(10s);
  CHECK(bench.at_b.sightings.empty());
  CHECK(bench.at_b.state == ProviderState::down);
}

TEST_CASE("the bus goes: new connections are tried with growing pauses") {
  Bench bench;
  bench.settle();
  bench.daemon_a.set_bus(false);
  const std::size_t before = bench.daemon_a.connects;
  bench.world.advance(60s);
  CHECK(bench.at_a.state == ProviderState::down);
  CHECK(bench.at_a.why.find("bus") != std::string::npos);
  // 0.5, 1, 2, 4, 8 s, then every 10 s.
  CHECK(bench.daemon_a.connects - before == 9);
  bench.daemon_a.set_bus(true);
  REQUIRE(bench.until([&] { return bench.at_a.state == ProviderState::running; }, 11s));
  REQUIRE(bench.until([&] { return bench.at_b.sightings.size() == 1; }));
  CHECK(bench.at_a.lost == 0);
}

TEST_CASE("a daemon that hangs: it is said, nothing waits, and stop comes to its end") {
  Bench bench;
  bench.settle();
  bench.daemon_a.hang(true);
  CHECK(bench.a->publish(2, hello("later")).has_value());
  bench.world.advance(avahi::kAnswerPatience + 1ms);
  CHECK(bench.at_a.state == ProviderState::down);
  CHECK(bench.at_a.why.find("does not answer") != std::string::npos);
  bench.daemon_a.hang(false);
  REQUIRE(bench.until([&] { return bench.at_a.announced.contains(2); }));
  CHECK(bench.at_a.state == ProviderState::running);

  bench.daemon_a.hang(true);
  bool stopped = false;
  const TimePoint begun = bench.world.now();
  bench.a->stop([&] { stopped = true; });
  REQUIRE(bench.until([&] { return stopped; }));
  CHECK(bench.world.now() - begun == avahi::kStopPatience);
}

TEST_CASE("more commands than may wait: a new connection, and everything is made again") {
  Bench bench;
  bench.settle();
  bench.daemon_a.hang(true);
  for (std::size_t i = 0; i < avahi::kCommandsMax / 2 + 1; ++i) {
    CHECK(bench.a->publish(2, hello("busy" + std::to_string(i))).has_value());
    bench.world.advance(1ms);
  }
  CHECK(bench.at_a.state == ProviderState::down);
  bench.daemon_a.hang(false);
  REQUIRE(bench.until([&] { return bench.at_a.state == ProviderState::running; }, 30s));
  REQUIRE(bench.until([&] { return bench.at_b.sightings.size() == 2; }));
  CHECK(bench.at_a.lost == 0);
}

TEST_CASE("the TXT is never changed while the group is being registered, nor twice in a second") {
  Bench bench;
  Announcement wanted = hello();
  CHECK(bench.a->publish(1, wanted).has_value());
  for (int i = 2; i < 40; ++i) {
    wanted.txt = {"version=" + std::to_string(i)};
    CHECK(bench.a->publish(1, wanted).has_value());
    bench.world.advance(100ms);
  }
  bench.world.advance(2s);
  CHECK_FALSE(bench.daemon_a.txt_update_too_early);
  CHECK(bench.daemon_a.txt_updates.size() >= 3);
  CHECK(bench.daemon_a.txt_updates.size() <= 5);
  REQUIRE(bench.until([&] { return !bench.at_b.sightings.empty(); }));
  CHECK(bench.at_b.sightings.begin()->second.txt == wanted.txt);
  CHECK(bench.at_b.lost == 0);
}

TEST_CASE("announcements up to the limit of objects, and resolvers no more than the daemon bears") {
  Bench bench;
  for (std::size_t i = 0; i < avahi::kGroupsMax; ++i)
    CHECK(bench.a->publish(i, hello("s" + std::to_string(i))).has_value());
  const auto one_more = bench.a->publish(avahi::kGroupsMax, hello("one more"));
  REQUIRE_FALSE(one_more.has_value());
  CHECK(one_more.error() == PublishError::too_many);
  CHECK(bench.a->publish(0, hello("s0 renamed")).has_value());

  // Another agent on the same host.
  Seer deaf;
  const auto other = bench.make(bench.daemon_a);
  other->start(deaf);
  for (std::size_t i = 0; i < 200; ++i)
    CHECK(other->publish(i, hello("t" + std::to_string(i))).has_value());
  const std::size_t all = avahi::kGroupsMax + 200;
  REQUIRE(bench.until([&] { return bench.at_b.sightings.size() == all; }, 60s));
  CHECK(bench.daemon_b.resolving_most <= avahi::kResolvingMax);
  CHECK(bench.daemon_b.objects_most > avahi::kResolversHeld);
  CHECK(bench.daemon_b.objects_most <= avahi::kObjectsMax);
  CHECK(bench.at_b.lost == 0);

  // One whose resolver is not held is looked at again in its turn.
  Announcement changed = hello("t199");
  changed.txt = {"version=2"};
  CHECK(other->publish(199, changed).has_value());
  REQUIRE(bench.until(
      [&] {
        return bench.at_b.sightings.at({"_hello._tcp", "t199"}).txt == changed.txt;
      },
      avahi::kResolveAgain + 10s));
}

TEST_CASE("entries of one group stay within the daemon's limit") {
  Bench bench;
  for (int i = 1; i < 20; ++i)
    bench.world.host("a").attach("eth" + std::to_string(i), bench.world.link("lan"),
                                 {"10.0.0." + std::to_string(10 + i) + "/24"});
  Announcement wide = hello();
  wide.txt = {"url=http://{address}/"};
  wide.subtypes = {"_a", "_b", "_c"};
  CHECK(bench.a->publish(1, wide).has_value());
  CHECK(bench.until([&] { return bench.at_a.announced.contains(1); }));
  // All the links, rather than all the subtypes.
  const avahi::PublishGroup group = bench.daemon_a.groups.back();
  CHECK(group.services.size() == 20);
  for (const avahi::ServiceEntry& entry : group.services)
    CHECK(entry.subtypes.empty());

  wide.txt.clear();
  CHECK(bench.a->publish(1, wide).has_value());
  CHECK(bench.until([&] { return bench.daemon_a.groups.size() == 2; }));
  REQUIRE(bench.daemon_a.groups.back().services.size() == 1);
  CHECK(bench.daemon_a.groups.back().services[0].subtypes == wide.subtypes);
}

TEST_CASE("a taken name is left after so many tries") {
  Bench bench;
  bench.daemon_a.strangers = 1'000;
  CHECK(bench.a->publish(1, hello()).has_value());
  REQUIRE(bench.until([&] { return bench.at_a.conflicts == 1; }, 60s));
  bench.world.advance(60s);
  CHECK(bench.at_a.conflicts == 1);
  CHECK(bench.at_a.announced.empty());
}

TEST_CASE("sightings are reported again before they would expire") {
  Bench bench;
  bench.settle();
  const TimePoint first = bench.at_b.sightings.begin()->second.expires;
  bench.world.advance(avahi::kSightingLife);
  CHECK(bench.at_b.lost == 0);
  CHECK(bench.at_b.sightings.begin()->second.expires > first);
  CHECK(bench.at_b.sightings.begin()->second.expires > bench.world.now());
}

TEST_CASE("without a client it is down, and keeps its promises") {
  Bench bench;
  Seer seer;
  const auto provider =
      make_avahi_provider(bench.world.host("a").env(), {}, nullptr, "the module is not there");
  provider->start(seer);
  CHECK(provider->publish(1, hello()).has_value());
  bool answered = false, stopped = false;
  const auto lookup = provider->lookup_host("box.local", 1s, [&](const auto& found, Duration) {
    CHECK_FALSE(found.has_value());
    answered = true;
  });
  bench.world.advance(1ms);
  CHECK(answered);
  CHECK(seer.state == ProviderState::down);
  CHECK(seer.why == "the module is not there");
  provider->stop([&] { stopped = true; });
  bench.world.advance(1ms);
  CHECK(stopped);
}

namespace {

struct Orders final : avahi::Sender {
  std::vector<avahi::Command> sent;
  void send(avahi::Command command) override { sent.push_back(std::move(command)); }
  template <class Kind>
  std::vector<Kind> take() {
    std::vector<Kind> out;
    for (avahi::Command& command : sent)
      if (auto* kind = std::get_if<Kind>(&command)) out.push_back(std::move(*kind));
    std::erase_if(sent, [](const auto& c) { return std::holds_alternative<Kind>(c); });
    return out;
  }
};

struct Finds {
  Finds() {
    Link link;
    link.index = 2;
    finds.on_links_changed(now, {link});
    finds.open(now);
    finds.browse(now, {"_hello._tcp"});
  }
  void found(const std::string& label) {
    finds.on_instance(now, {1, true, 2, IpAddress::Family::v4, label, "_hello._tcp"});
  }
  void answer(avahi::Object object, std::vector<std::string> txt) {
    finds.on_resolved(now, {object, "box.local", IpAddress::v4(10, 0, 0, 9), 80, std::move(txt)});
  }
  TimePoint now{};
  Orders orders;
  avahi::Discoveries finds{orders, [](const auto&, const auto&) { return false; }};
};

}  // namespace

TEST_CASE("a type whose enumeration is taken back is browsed while it has instances") {
  Finds bench;
  const auto enumerate = [&](bool there) {
    bench.finds.on_type(bench.now, {there, 2, IpAddress::Family::v4, "_other._tcp"});
  };
  enumerate(true);
  CHECK(bench.orders.take<avahi::Browse>().size() == 2);
  bench.finds.on_instance(bench.now, {2, true, 2, IpAddress::Family::v4, "o", "_other._tcp"});
  bench.answer(bench.orders.take<avahi::Resolve>().at(0).object, {});
  CHECK(bench.finds.take_events().size() == 1);
  enumerate(false);
  CHECK(bench.orders.take<avahi::Free>().empty());
  CHECK(bench.finds.take_events().empty());
  // It ends with its last instance.
  bench.finds.on_instance(bench.now, {2, false, 2, IpAddress::Family::v4, "o", "_other._tcp"});
  bench.finds.run(bench.now += 1s);
  CHECK(bench.orders.take<avahi::Free>().size() == 2);
}

TEST_CASE("a type that is configured later is reported at once by Avahi's provider too") {
  Finds bench;
  bench.finds.on_type(bench.now, {true, 2, IpAddress::Family::v4, "_other._tcp"});
  bench.finds.on_instance(bench.now, {2, true, 2, IpAddress::Family::v4, "o", "_other._tcp"});
  bench.answer(bench.orders.take<avahi::Resolve>().at(0).object, {});
  CHECK(bench.finds.take_events().size() == 1);
  bench.finds.browse(bench.now, {"_hello._tcp", "_other._tcp"});
  CHECK(bench.finds.take_events().size() == 1);
  bench.finds.browse(bench.now, {"_hello._tcp", "_other._tcp"});
  CHECK(bench.finds.take_events().empty());
}

TEST_CASE("an instance that comes again and again waits for its resolver once") {
  Finds bench;
  for (std::size_t i = 0; i < avahi::kResolvingMax; ++i)
    bench.found("s" + std::to_string(i));
  CHECK(bench.orders.take<avahi::Resolve>().size() == avahi::kResolvingMax);
  for (int i = 0; i < 1'000; ++i) {
    bench.found("late");
    bench.finds.on_instance(bench.now, {1, false, 2, IpAddress::Family::v4, "late", "_hello._tcp"});
    bench.found("late");
  }
  CHECK(bench.finds.waiting() == 1);
  // The same for tries after a failure.
  Finds failing;
  for (int i = 0; i < 1'000; ++i) {
    failing.found("silent");
    for (const avahi::Resolve& resolve : failing.orders.take<avahi::Resolve>())
      failing.finds.on_resolve_failed(failing.now, resolve.object);
  }
  CHECK(failing.finds.waiting() == 1);
}

TEST_CASE("a name that was ours is another host's after the conflict") {
  Finds bench;
  bench.finds.on_instance(bench.now,
                          {1, true, 2, IpAddress::Family::v4, "hello", "_hello._tcp", true, true});
  CHECK(bench.orders.take<avahi::Resolve>().empty());
  // The daemon reports the name once, whoever has it.
  bench.finds.on_name_lost(bench.now, {"_hello._tcp", "hello"});
  const auto resolve = bench.orders.take<avahi::Resolve>();
  REQUIRE(resolve.size() == 1);
  bench.answer(resolve[0].object, {"a=b"});
  const auto events = bench.finds.take_events();
  REQUIRE(events.size() == 1);
  const auto& sighting = std::get<Sighting>(events[0]);
  CHECK(sighting.key.label == "hello");
  CHECK_FALSE(sighting.own_host);
  bench.finds.on_name_lost(bench.now, {"_hello._tcp", "unknown"});
  CHECK(bench.orders.take<avahi::Resolve>().empty());
}

TEST_CASE("an instance that moves to another host is resolved anew, with that host's address") {
  Finds bench;
  bench.found("moving");
  const auto first = bench.orders.take<avahi::Resolve>();
  REQUIRE(first.size() == 1);
  bench.answer(first[0].object, {"a=b"});
  CHECK(bench.finds.take_events().size() == 1);
  // As the daemon reports it: the new host, and the address of the one before.
  bench.finds.on_resolved(bench.now,
                          {first[0].object, "new.local", IpAddress::v4(10, 0, 0, 9), 80, {"a=b"}});
  CHECK(bench.finds.take_events().empty());
  CHECK(bench.orders.take<avahi::Free>().size() == 1);
  const auto second = bench.orders.take<avahi::Resolve>();
  REQUIRE(second.size() == 1);
  bench.finds.on_resolved(
      bench.now, {second[0].object, "new.local", IpAddress::v4(10, 0, 0, 10), 80, {"a=b"}});
  const auto events = bench.finds.take_events();
  REQUIRE(events.size() == 1);
  CHECK(std::get<Sighting>(events[0]).host == "new.local");
  CHECK(std::get<Sighting>(events[0]).addresses[0].address == IpAddress::v4(10, 0, 0, 10));
}

TEST_CASE("a name that is lost to a stranger is reported as lost") {
  Orders orders;
  avahi::Publications publications{orders, {"a", "cookie"}};
  Link link;
  link.index = 2;
  publications.on_links_changed({}, {link});
  publications.open({});
  publications.publish({}, 1, hello());
  const auto groups = orders.take<avahi::PublishGroup>();
  REQUIRE(groups.size() == 1);
  publications.on_group({}, {groups[0].object, avahi::GroupState::established, ""});
  CHECK(publications.take_lost_names().empty());
  publications.on_group({}, {groups[0].object, avahi::GroupState::collision, ""});
  const auto lost = publications.take_lost_names();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].label == "hello");
  CHECK(lost[0].type == "_hello._tcp");
}

TEST_CASE("names and texts of impossible size are not taken from the daemon") {
  Finds bench;
  bench.found(std::string(64, 'x'));
  bench.found("");
  CHECK(bench.orders.take<avahi::Resolve>().empty());
  bench.found("huge");
  const auto resolve = bench.orders.take<avahi::Resolve>();
  REQUIRE(resolve.size() == 1);
  bench.answer(resolve[0].object, std::vector<std::string>(17, std::string(255, 'x')));
  CHECK(bench.finds.take_events().empty());
  CHECK(bench.finds.refused_texts() == 1);
  CHECK(bench.finds.last_refused_text().label == "huge");
  CHECK(bench.orders.take<avahi::Free>().size() == 1);
  const auto again = bench.orders.take<avahi::Resolve>();
  REQUIRE(again.size() == 1);
  CHECK(again[0].any_address);
  bench.answer(again[0].object, {"small=1"});
  CHECK(bench.finds.take_events().size() == 1);
}

TEST_CASE("sightings and types asked for end at their limits") {
  Finds bench;
  for (std::size_t i = 0; i < kSightingsMax + 10; ++i)
    bench.found("s" + std::to_string(i));
  for (std::vector<avahi::Resolve> open; !(open = bench.orders.take<avahi::Resolve>()).empty();)
    for (const avahi::Resolve& resolve : open)
      bench.answer(resolve.object, {});
  CHECK(bench.finds.take_events().size() == kSightingsMax);
  CHECK(bench.finds.held() == avahi::kResolversHeld);

  bench.orders.sent.clear();
  for (std::size_t i = 0; i < kAskedTypesMax + 8; ++i) {
    bench.now += 1ms;
    bench.finds.ask(bench.now, "_t" + std::to_string(i) + "._tcp");
  }
  const std::size_t browsed = bench.orders.take<avahi::Browse>().size();
  CHECK(browsed - bench.orders.take<avahi::Free>().size() == kAskedTypesMax);
  bench.finds.run(bench.now + kAskLife);
  CHECK(bench.orders.take<avahi::Free>().size() == kAskedTypesMax);
}

TEST_CASE("types browsed end at their limit, those that were named first") {
  Finds bench;
  std::vector<ServiceType> named;
  for (std::size_t i = 0; i < avahi::kBrowsersMax - 1; ++i)
    named.push_back("_named" + std::to_string(i) + "._tcp");
  bench.finds.browse(bench.now, named);
  for (int i = 0; i < 10; ++i)
    bench.finds.on_type(bench.now,
                        {true, 2, IpAddress::Family::v4, "_found" + std::to_string(i) + "._tcp"});
  std::set<ServiceType> browsed;
  for (const avahi::Command& command : bench.orders.sent)
    if (const auto* browse = std::get_if<avahi::Browse>(&command)) browsed.insert(browse->type);
  browsed.erase("_hello._tcp");  // of before, given up since
  CHECK(browsed.size() == avahi::kBrowsersMax);
  for (const ServiceType& type : named)
    CHECK(browsed.contains(type));
}

TEST_CASE("observations of one instance on many links end at their limit") {
  Finds bench;
  static_assert(avahi::kObservationsMax < 3 * kSightingsMax);
  for (std::uint32_t link = 2; link <= 4; ++link)
    for (std::size_t i = 0; i < kSightingsMax; ++i)
      bench.finds.on_instance(bench.now, {1, true, link, IpAddress::Family::v4,
                                          "s" + std::to_string(i), "_hello._tcp"});
  std::size_t resolved = 0;
  for (std::vector<avahi::Resolve> open; !(open = bench.orders.take<avahi::Resolve>()).empty();) {
    resolved += open.size();
    for (const avahi::Resolve& resolve : open)
      bench.answer(resolve.object, {});
  }
  CHECK(resolved == avahi::kObservationsMax);
}

TEST_CASE(
    "a resolver that no handler answers is tried less and less, at least every five minutes") {
  Finds bench;
  bench.found("silent");
  Duration longest{};
  TimePoint last = bench.now;
  for (const TimePoint end = bench.now + std::chrono::hours(2); bench.now < end;) {
    for (const avahi::Resolve& resolve : bench.orders.take<avahi::Resolve>()) {
      longest = std::max(longest, bench.now - last);
      last = bench.now;
      bench.finds.on_resolve_failed(bench.now, resolve.object);
    }
    bench.now += 1s;
    bench.finds.run(bench.now);
  }
  CHECK(longest == avahi::kResolveRetryMax);
}

TEST_CASE("host names asked for at the same time end at their limit") {
  Bench bench;
  bench.settle();
  bench.daemon_a.objects_most = 0;
  std::vector<std::unique_ptr<Provider::HostLookup>> lookups;
  std::size_t empty = 0, refused = 0;
  const auto count = [&](const std::optional<std::vector<SightedAddress>>& found, Duration) {
    ++(found ? empty : refused);
  };
  lookups.push_back(bench.a->lookup_host("first.local", 3s, count));
  bench.world.advance(10ms);
  const std::size_t with_one = bench.daemon_a.objects_most;
  for (std::size_t i = 1; i < avahi::kHostsAskedMax + 5; ++i)
    lookups.push_back(bench.a->lookup_host("h" + std::to_string(i) + ".local", 3s, count));
  bench.world.advance(10ms);
  CHECK(bench.daemon_a.objects_most == with_one + 2 * (avahi::kHostsAskedMax - 1));
  CHECK(refused == 5);
  // The address of a host that is being looked up is for everyone who asks.
  lookups.push_back(bench.a->lookup_host("FIRST.local", 3s, count));
  bench.world.advance(10ms);
  CHECK(refused == 5);
  CHECK(bench.daemon_a.objects_most == with_one + 2 * (avahi::kHostsAskedMax - 1));
  bench.world.advance(4s);
  CHECK(empty == lookups.size() - refused);
}

TEST_CASE("events of the thread wait for the main loop, no more of them than the limit") {
  avahi::Shared shared;
  std::thread thread([&] {
    for (std::size_t i = 0; i < avahi::kEventsMax + 10; ++i)
      shared.post(0, avahi::ConnectionChanged{avahi::Connection::running, ""});
  });
  const auto wait_for = [&](std::size_t wanted) {
    while (true) {
      const std::lock_guard lock(shared.mutex);
      CHECK(shared.events.size() <= avahi::kEventsMax);
      if (shared.events.size() >= wanted) return;
    }
  };
  const auto is_woken = [&] {
    pollfd poll{shared.to_main.fd(), POLLIN, 0};
    const bool woken = ::poll(&poll, 1, 0) == 1;
    shared.to_main.clear();
    return woken;
  };
  // The main loop takes a few in each turn, and is woken again as long as there are more.
  wait_for(avahi::kEventsMax);
  std::size_t taken = 0;
  while (taken < avahi::kEventsMax + 10) {
    wait_for(std::min<std::size_t>(avahi::kEventsPerTurn, avahi::kEventsMax + 10 - taken));
    CHECK(is_woken());
    const std::lock_guard lock(shared.mutex);
    const std::size_t portion = shared.take().size();
    CHECK(portion > 0);
    CHECK(portion <= avahi::kEventsPerTurn);
    taken += portion;
  }
  thread.join();
  CHECK(taken == avahi::kEventsMax + 10);
  CHECK(shared.events.empty());
  // Nobody takes those of a connection that is over.
  shared.post(1, avahi::ConnectionChanged{avahi::Connection::running, ""});
  CHECK(shared.events.empty());
}
