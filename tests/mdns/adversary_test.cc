// SPDX-License-Identifier: Apache-2.0
// Peers that err or mean harm: what an honest host announces stays known, and what is kept for the
// others is bounded.
#include <cstdlib>
#include <ctime>
#include <limits>

#include <doctest/doctest.h>

#include "mdns/limits.h"
#include "mdns/native/limits.h"
#include "mdns/native/querier.h"
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

namespace {

struct Nowhere final : Outlet {
  void multicast(const mdns::Link&, IpAddress::Family, Bytes) override {}
  void unicast(const mdns::Link&, const Endpoint&, Bytes) override {}
};

/// A querier on one link that browses _hello._tcp, and what it reports.
struct Browser {
  explicit Browser(std::uint64_t seed = 1) : random(seed) {
    mdns::Link link;
    link.index = 2;
    link.v4 = link.carries_lan = true;
    links.all = {link};
    querier.browse(now, {"_hello._tcp"});
  }
  void hear(std::vector<dns::Record> records, const IpAddress& source) {
    Packet packet;
    packet.from = {source, 5353};
    packet.response = true;
    packet.answers = std::move(records);
    querier.on_response(now, links.all[0], packet);
    note();
  }
  void hear_instance(const std::string& label, const std::string& source, dns::Ttl ttl = 4'500) {
    hear(instance(label, "_hello._tcp", label + ".local.", source, 80, ttl).answers,
         *IpAddress::parse(source));
  }
  void advance(Duration by) {
    for (const TimePoint until = now + by; now < until; now += 100ms) {
      do {
        querier.run(now, out);
        note();
      } while (querier.next_due().value_or(now + by) <= now);
    }
  }
  void note() {
    for (Querier::Event& event : querier.take_events())
      if (const auto* seen = std::get_if<Sighted>(&event))
        sighted.insert(seen->sighting.key.label);
      else if (const auto* lost = std::get_if<Lost>(&event))
        sighted.erase(lost->key.label);
  }
  bool browses(const std::string& type) { return querier.reasons(name(type)).any(); }

  TimePoint now{std::chrono::hours(1)};
  SeededRandom random;
  Links links;
  Querier querier{links, random};
  Nowhere out;
  std::set<std::string> sighted;
};

IpAddress forged(std::uint64_t number) {
  return IpAddress::v4(10, static_cast<std::uint8_t>(number >> 16),
                       static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number));
}

std::size_t seeds() {
  const char* wanted = std::getenv("OUTRIDER_ADVERSARY_SEEDS");
  return wanted != nullptr ? static_cast<std::size_t>(std::stoul(wanted)) : 50;
}

}  // namespace

TEST_CASE("an instance whose host and port another one claims stays if its owner answers") {
  for (const bool answers : {true, false}) {
    CAPTURE(answers);
    Browser browser;
    const auto hear_at_b = [&](const std::string& label) {
      browser.hear(instance(label, "_hello._tcp", "b.local.", "10.0.0.2", 80, 4'500).answers,
                   *IpAddress::parse("10.0.0.2"));
    };
    hear_at_b("honest");
    browser.advance(10s);
    // One after the other, as if b had sent them.
    for (int i = 0; i < 20; ++i) {
      hear_at_b("evil-" + std::to_string(i));
      browser.advance(1s);
      if (answers) hear_at_b("honest");
      if (answers || i < 2) CHECK(browser.sighted.contains("honest"));
    }
    CHECK(browser.sighted.contains("honest") == answers);
  }
}

TEST_CASE("a peer that takes the enumeration back takes no instance of others along") {
  Bench bench;
  bench.world.advance(3s);
  bench.say({ptr(kServices, "_scanner._tcp.local.", 4'500)});
  inject(bench.lan, kTester, instance("s", "_scanner._tcp", "sh.local.", "192.168.1.9", 1, 4'500));
  bench.world.advance(30s);
  REQUIRE(bench.device->sees("s", "_scanner._tcp") != nullptr);
  bench.lan.clear_capture();
  bench.say({ptr(kServices, "_scanner._tcp.local.", 0)}, "192.168.1.10");
  bench.world.advance(1s);
  CHECK(bench.device->count("lost s goodbye") + bench.device->count("lost s expired") == 0);
  // It is a reason to ask who is left.
  for (const char* asked : {kServices, "_scanner._tcp.local."})
    CHECK_FALSE(bench.from_device([&](const Message& m) { return asks(m, asked); }).empty());
  bench.world.advance(30s);
  CHECK(bench.device->sees("s", "_scanner._tcp") != nullptr);
  // Found without an enumeration, as the type is still browsed.
  inject(bench.lan, kTester, instance("t", "_scanner._tcp", "th.local.", "192.168.1.9", 1, 4'500));
  bench.world.advance(1s);
  CHECK(bench.device->sees("t", "_scanner._tcp") != nullptr);
}

TEST_CASE("types that clients ask for end, and never keep a real one out") {
  Browser browser;
  for (std::size_t i = 0; i < kBrowsedTypesMax + 100; ++i)
    browser.querier.ask(browser.now, "_x" + std::to_string(i) + "._tcp");
  const std::string last = std::to_string(kBrowsedTypesMax + 99);
  CHECK(browser.browses("_x" + last + "._tcp.local."));
  CHECK_FALSE(browser.browses("_x0._tcp.local."));
  browser.hear({ptr(kServices, "_later._tcp.local.", 4'500)}, forged(1));
  CHECK(browser.browses("_later._tcp.local."));
  browser.advance(kAskLife + 1s);
  CHECK_FALSE(browser.browses("_x" + last + "._tcp.local."));
  CHECK(browser.browses("_later._tcp.local."));
}

TEST_CASE("enumerated types that no host has make room for one that is announced") {
  Browser browser;
  for (std::size_t i = 0; i < kBrowsedTypesMax + 100; ++i)
    browser.hear({ptr(kServices, "_x" + std::to_string(i) + "._tcp.local.", 4'500)}, forged(i));
  std::vector<dns::Record> real = instance("r", "_real._tcp", "r.local.", "10.0.0.9", 1).answers;
  real.push_back(ptr(kServices, "_real._tcp.local.", 4'500));
  browser.hear(real, forged(9));
  CHECK(browser.sighted.contains("r"));
  CHECK(browser.querier.cache().size() <= kBrowsedTypesMax + 10);
  browser.querier.browse(browser.now, {"_new._tcp"});
  browser.hear(instance("n", "_new._tcp", "n.local.", "10.0.0.9", 1).answers, forged(9));
  CHECK(browser.sighted.contains("n"));
}

TEST_CASE("pointers from forged sources evict no sighting, and are forgotten unresolved") {
  Browser browser;
  browser.hear_instance("friend", "192.168.1.9");
  for (std::size_t i = 0; i < kSightingsMax + 1'000; ++i)
    browser.hear({ptr(kType, "g" + std::to_string(i) + "." + kType, 4'500)}, forged(i));
  CHECK(browser.sighted.contains("friend"));
  CHECK(browser.querier.sightings() <= kSightingsMax);
  browser.hear_instance("late", "192.168.1.10");
  CHECK(browser.sighted.contains("late"));
  browser.advance(kResolveLife + 1s);
  CHECK(browser.querier.sightings() == 2);
  CHECK(browser.querier.cache().size() < 20);
}

TEST_CASE("whole instances from forged sources evict none that was there before") {
  Browser browser;
  browser.hear_instance("friend", "192.168.1.9", 120);
  for (std::size_t i = 0; i < kSightingsMax + 100; ++i)
    browser.hear_instance("g" + std::to_string(i), forged(i).to_string());
  CHECK(browser.querier.sightings() <= kSightingsMax);
  for (int i = 0; i < 5; ++i) {
    browser.now += 60s;
    browser.hear_instance("friend", "192.168.1.9", 120);  // a refresh needs no room
    CHECK(browser.sighted.contains("friend"));
  }
}

TEST_CASE("cache-flush on a shared PTR flushes nothing") {
  Browser browser;
  browser.hear_instance("friend", "192.168.1.9");
  browser.advance(2s);
  dns::Record mine = ptr(kType, std::string("mine.") + kType);
  mine.cache_flush = true;
  browser.hear({mine}, *IpAddress::parse("192.168.1.66"));
  browser.advance(5s);
  CHECK(browser.sighted.contains("friend"));
}

TEST_CASE("a host outside .local is not asked for, and the broadcast address is not taken") {
  Bench bench;
  (*bench.device)->browse({"_hello._tcp"});
  bench.world.advance(3s);
  bench.lan.clear_capture();
  inject(bench.lan, kTester, instance("w", "_hello._tcp", "example.com.", "192.168.1.9", 1));
  Sent bare = instance("x", "_hello._tcp", "example.org.", "192.168.1.9", 1);
  std::erase_if(bare.answers, [](const dns::Record& r) { return r.type == RrType::a; });
  inject(bench.lan, kTester, bare);
  inject(bench.lan, kTester, instance("v", "_hello._tcp", "v.local.", "255.255.255.255", 1));
  bench.world.advance(5s);
  CHECK(bench.device->sees("w") != nullptr);  // its address came along, as with bonjour-service
  CHECK(bench.device->sees("x") == nullptr);
  CHECK(bench.device->sees("v") == nullptr);
  for (const char* host : {"example.com.", "example.org."})
    CHECK(bench.from_device([&](const Message& m) { return asks(m, host); }).empty());
}

TEST_CASE("others' goodbyes for our records are contradicted once a second at most") {
  Bench bench;
  bench.settle();
  for (int i = 0; i < 200; ++i) {
    bench.say({ptr(kType, kInstance, 0)});
    bench.world.advance(20ms);
  }
  const auto said = bench.responses();
  CHECK(said.size() >= 3);
  CHECK(said.size() <= 6);
}

TEST_CASE("a second family on a link: announced there, and claimed no second time") {
  Bench bench;
  bench.settle();
  bench.box.add_address("eth0", "fe80::2/64");
  bench.world.advance(50ms);
  bench.ask({question(kInstance, RrType::srv)});
  bench.world.advance(1500ms);
  CHECK(messages(bench.lan, is_probe).empty());
  const auto over_v6 = messages(bench.lan, [](const Message& m) {
    return m.from.address.is_v6() && m.response() && has(m.answers, kInstance, RrType::srv);
  });
  CHECK_FALSE(over_v6.empty());
  CHECK_FALSE(bench.responses().empty());
}

TEST_CASE("a lookup that finds no room says so; lookups of one host share it") {
  Bench bench;
  bench.world.advance(3s);
  std::vector<std::unique_ptr<Provider::HostLookup>> lookups;
  std::size_t refused = 0, empty = 0;
  const auto count = [&](const std::optional<std::vector<SightedAddress>>& found, Duration) {
    ++(found ? empty : refused);
  };
  for (std::size_t i = 0; i < kHostLookupsMax + 10; ++i)
    lookups.push_back((*bench.device)->lookup_host("h" + std::to_string(i) + ".local", 3s, count));
  lookups.push_back((*bench.device)->lookup_host("h0.local", 3s, count));
  bench.world.advance(10ms);
  CHECK(refused == 10);
  bench.world.advance(4s);
  CHECK(empty == kHostLookupsMax + 1);
}

TEST_CASE("kHostWaitersMax callers wait for addresses of hosts, and one more is refused") {
  Browser browser;
  const TimePoint deadline = browser.now + 3s;
  std::uint64_t id = 0;
  for (std::size_t i = 0; i < kHostWaitersMax; ++i) {
    const auto host = name("h" + std::to_string(i % kHostLookupsMax) + ".local.");
    REQUIRE(browser.querier.lookup_host(browser.now, ++id, host, deadline));
  }
  CHECK_FALSE(browser.querier.lookup_host(browser.now, ++id, name("h0.local."), deadline));
}

TEST_CASE("a type that is configured later is reported at once") {
  Bench bench;
  bench.world.advance(3s);
  bench.say({ptr(kServices, "_scanner._tcp.local.", 4'500)});
  inject(bench.lan, kTester, instance("s", "_scanner._tcp", "sh.local.", "192.168.1.9", 1, 4'500));
  bench.world.advance(5s);
  const std::size_t before = bench.device->count("sighting s");
  (*bench.device)->browse({"_scanner._tcp"});
  bench.world.advance(1ms);
  CHECK(bench.device->count("sighting s") == before + 1);
}

TEST_CASE("a datagram of many questions costs about as much as one of one question") {
  Browser browser;
  for (int i = 0; i < 200; ++i)
    browser.hear_instance("i" + std::to_string(i), "192.168.1.9");
  const auto cost = [&](std::size_t questions) {
    Packet packet;
    packet.from = {*IpAddress::parse("192.168.1.10"), 5353};
    for (std::size_t i = 0; i < questions; ++i)
      packet.questions.push_back(question("q" + std::to_string(i) + ".local.", RrType::a));
    packet.questions.push_back(question(kType, RrType::ptr));
    for (std::size_t i = 0; packet.answers.size() < 760; ++i)
      packet.answers.push_back(ptr(kType, "k" + std::to_string(i) + "." + kType));
    std::clock_t best = std::numeric_limits<std::clock_t>::max();
    for (int i = 0; i < 5; ++i) {
      const std::clock_t begun = std::clock();
      browser.querier.on_query(browser.now, browser.links.all[0], packet);
      best = std::min(best, std::clock() - begun);
    }
    return best;
  };
  CHECK(cost(kPacketQuestionsMax - 1) <= 5 * cost(0));
}

TEST_CASE_FIXTURE(TwoHosts, "after 25 s without multicast both sides are back within 3 s") {
  meet();
  REQUIRE(bob->publish(2, hello("world")).has_value());
  REQUIRE(world.run_until([&] { return alice.sees("world") != nullptr; }, 3s));
  world.advance(60s);
  for (int i = 0; i < 3; ++i) {
    lan.set_filter([](const sim::WireDatagram&) { return false; });
    world.advance(25s);
    CHECK(bob.sees("hello") == nullptr);
    CHECK(alice.sees("world") == nullptr);
    lan.set_filter({});
    CHECK(world.run_until([&] { return bob.sees("hello") && alice.sees("world"); }, 3s));
    world.advance(100s);
  }
}

TEST_CASE("what is established is announced again after a silence, without a question for it") {
  Bench bench;
  (*bench.device)->browse({"_hello._tcp"});
  bench.settle();
  inject(bench.lan, kTester, instance("w", "_hello._tcp", "w.local.", kTester, 1, 20));
  bench.world.advance(25s);  // it expires, and no host says anything
  bench.lan.clear_capture();
  inject(bench.lan, kTester, instance("w", "_hello._tcp", "w.local.", kTester, 1, 20));
  bench.world.advance(1s);
  CHECK_FALSE(bench
                  .from_device([](const Message& m) {
                    return m.response() && has(m.answers, kInstance, RrType::srv);
                  })
                  .empty());
  // Not for one peer that comes and goes beside others that are heard.
  bench.world.advance(kAnnounceAgainAfter);
  for (int i = 0; i < 30; ++i) {
    bench.say({address("other.local.", "192.168.1.20")}, "192.168.1.20");
    bench.world.advance(1s);
  }
  bench.lan.clear_capture();
  inject(bench.lan, kTester, instance("w", "_hello._tcp", "w.local.", kTester, 1, 20));
  bench.world.advance(1s);
  CHECK(bench.responses().empty());
}

TEST_CASE("the type of a sighting that expired is asked for at short intervals for a minute") {
  Bench bench;
  (*bench.device)->browse({"_hello._tcp"});
  bench.world.advance(5s);
  inject(bench.lan, kTester, instance("w", "_hello._tcp", "w.local.", kTester, 1, 120));
  bench.world.advance(100s);  // the question backs off
  REQUIRE(bench.world.run_until([&] { return bench.device->sees("w") == nullptr; }, 30s));
  bench.lan.clear_capture();
  bench.world.advance(kLostAsked);
  const auto asked = bench.from_device([](const Message& m) { return asks(m, kType); });
  REQUIRE(asked.size() >= 29);
  CHECK(asked.size() <= 33);
  for (std::size_t i = 1; i < asked.size(); ++i)
    CHECK(asked[i].at - asked[i - 1].at <= kLostInterval + kSharedDelayMax);
  // An old peer that answers questions and announces nothing is found by them.
  bench.lan.clear_capture();
  bench.world.advance(std::chrono::minutes(10));
  CHECK(bench.from_device([](const Message& m) { return asks(m, kType); }).size() <= 10);
}

TEST_CASE("every conflict over the host name leads back to probing, and a rename is logged") {
  Bench bench;
  bench.settle();
  dns::Record theirs = address(bench.host(), "192.168.1.77");
  theirs.cache_flush = true;
  bench.say({theirs});
  bench.world.advance(2s);  // no host defends it: the probes find no owner
  CHECK(bench.probes().size() == kProbeCount);
  bench.lan.clear_capture();
  bench.world.advance(3s);
  const std::string before = (*bench.device)->host();
  bench.say({theirs});  // within kConflictWindow
  bench.world.advance(100ms);
  CHECK(bench.device->host().log().count("mdns_host_renamed") == 0);
  REQUIRE(bench.world.run_until([&] { return !bench.probes().empty(); }, 1s));
  bench.say({theirs});  // this time it is defended
  bench.world.advance(100ms);
  CHECK(bench.device->host().log().last("mdns_host_renamed").starts_with("info "));
}

TEST_CASE("goodbyes that others send over and over cost an instance one moment") {
  Bench bench;
  sim::Host& host = bench.world.host("friend");
  host.attach("eth0", bench.lan, {"192.168.1.3/24"});
  Peer peer(host, options_for("friend"));
  REQUIRE(peer->publish(1, hello("friend")).has_value());
  bench.settle();
  REQUIRE(bench.device->sees("friend") != nullptr);
  const std::string label = "friend." + std::string(kType);
  const dns::Name target = name(peer->host() + ".local.");
  for (const dns::Record& goodbye :
       {ptr(kType, label, 0), srv(label, target.to_display() + '.', 8'080, 0),
        address(target.to_display() + '.', "192.168.1.3", 0)}) {
    CAPTURE(static_cast<int>(goodbye.type));
    Duration gone = Duration::zero();
    for (int i = 0; i < 250; ++i) {
      bench.say({goodbye}, "192.168.1.66");
      bench.world.advance(20ms);
      if (bench.device->sees("friend") == nullptr) gone += 20ms;
    }
    CHECK(gone <= kMulticastAgainAfter + kSharedDelayMax);
    bench.world.advance(kDoubtLife);
    CHECK(bench.device->sees("friend") != nullptr);
  }
  // Its own still count.
  peer->withdraw(1);
  bench.world.advance(100ms);
  CHECK(bench.device->sees("friend") == nullptr);
}

TEST_CASE("a seeded adversary: honest sightings stay, and what is kept is bounded") {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    CAPTURE(seed);
    Browser browser(seed);
    SeededRandom dice(seed * 77);
    const std::string own = std::string("friend.") + kType;
    browser.hear_instance("friend", "192.168.1.9");
    for (int step = 0; step < 40; ++step) {
      const IpAddress source = forged(dice.below(1U << 20));
      const std::string number = std::to_string(dice.below(5'000));
      std::vector<dns::Record> said;
      switch (dice.below(7)) {
        case 0:
          for (int i = 0; i < 40; ++i)
            said.push_back(ptr(kType, std::to_string(i) + "x" + number + "." + kType, 4'500));
          break;
        case 1:
          said = instance("i" + number, "_hello._tcp", "i.local.", "10.1.1.1", 9).answers;
          break;
        case 2:
          said = {ptr(kServices, kType, 4'500), ptr(kServices, kType, 0)};
          break;
        case 3:
          said = {ptr(kType, "f" + number + "." + kType)};
          said[0].cache_flush = true;
          break;
        case 4:
          said = {ptr(kServices, "_t" + number + "._tcp.local.", 4'500)};
          break;
        case 5:  // a goodbye that is replayed; the owner contradicts it within its second
          browser.hear({ptr(kType, own, 0), srv(own, "friend.local.", 80, 0)}, source);
          browser.hear_instance("friend", "192.168.1.9");
          break;
        case 6:
          browser.querier.ask(browser.now, "_a" + number + "._tcp");
      }
      if (!said.empty()) browser.hear(said, source);
      browser.advance(300ms);
      CHECK(browser.sighted.contains("friend"));
      CHECK(browser.querier.sightings() <= kSightingsMax);
      CHECK(browser.querier.cache().bytes() <= kCacheBytesMax);
      CHECK(browser.querier.reasons(name(kType)).configured);
    }
  }
}

namespace {

/// An honest agent and an honest peer on one LAN with a host that says whatever it likes.
struct Adversary {
  explicit Adversary(std::uint64_t seed) : dice(seed), bench(seed) {}

  dns::Record forged_record() {
    const std::string victim = dice.below(2) == 0 ? "hello." : "friend.";
    const dns::Ttl ttl = dice.below(2) == 0 ? 0 : 4'500;
    switch (dice.below(6)) {
      case 0:
        return ptr(kType, victim + kType, ttl);
      case 1:
        return ptr(kServices, kType, ttl);
      case 2:
        return srv(victim + kType, "evil.local.", 666, 0);
      case 3:
        return txt(victim + kType, {"outrider=copied", "id=hello"}, 0);
      case 4:
        return ptr(kType, "x" + std::to_string(dice.below(1U << 16)) + "." + kType, 4'500);
    }
    return ptr(kServices, "_t" + std::to_string(dice.below(1U << 16)) + "._tcp.local.", ttl);
  }
  void attack() {
    const std::string from = forged(dice.below(1U << 16)).to_string();
    switch (dice.below(5)) {
      case 0:  // takes back and makes up, with cache-flush on what is shared
        for (std::size_t i = 0; i < 20; ++i) {
          dns::Record record = forged_record();
          record.cache_flush = dice.below(2) == 0 && record.type == RrType::ptr;
          bench.say({record}, from);
        }
        return;
      case 1:  // questions, each asked over and over, with made-up known answers
        bench.ask(std::vector<dns::Question>(40, question(kType, RrType::ptr)),
                  {ptr(kType, "k." + std::string(kType), 4'500)}, from);
        return;
      case 2:  // whole instances with copied ids
        inject(
            bench.lan, from,
            instance("copy" + std::to_string(dice.below(50)), "_hello._tcp", "c.local.", from, 9));
        return;
      case 3: {  // a datagram of before, from elsewhere
        const auto& seen = bench.lan.capture();
        if (seen.empty()) return;
        const auto replayed = seen[dice.below(seen.size())].payload;
        bench.lan.inject({*IpAddress::parse(from), 5353}, {IpAddress::v4(224, 0, 0, 251), 5353},
                         replayed);
        return;
      }
    }
    (*bench.device)->ask("_a" + std::to_string(dice.below(10'000)) + "._tcp");
  }

  SeededRandom dice;
  Bench bench;
};

}  // namespace

TEST_CASE("a seeded adversary on the wire: own records are answered, and honest peers are seen") {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    CAPTURE(seed);
    Adversary it(seed);
    Bench& bench = it.bench;
    sim::Host& host = bench.world.host("friend");
    host.attach("eth0", bench.lan, {"192.168.1.3/24"});
    Peer peer(host, options_for("friend"));
    REQUIRE(peer->publish(1, hello("friend")).has_value());
    bench.settle();
    for (int step = 0; step < 15; ++step) {
      it.attack();
      bench.world.advance(500ms);
      // A goodbye that is replayed or forged counts for its second, until the owner contradicts it.
      CHECK(bench.world.run_until([&] { return bench.device->sees("friend") != nullptr; }, 2s));
      CHECK((*bench.device)->counters().cached_bytes <= kCacheBytesMax);
      bench.lan.clear_capture();
      bench.world.advance(1s);
      bench.lan.clear_capture();
      bench.ask({question(bench.device->announced[1] + "._hello._tcp.local.", RrType::srv)});
      bench.world.advance(kMulticastAgainAfter + kSharedDelayMax);
      CHECK_FALSE(bench.responses().empty());
    }
    CHECK(bench.device->announced[1] == "hello");
  }
}
