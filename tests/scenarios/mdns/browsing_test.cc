// SPDX-License-Identifier: Apache-2.0
// RFC 6762 §5 and §10 from the asking side: what is seen, for how long, and what ends it.
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

namespace {

constexpr const char* kPrinter = "p._printer._tcp.local.";
constexpr const char* kPrinters = "_printer._tcp.local.";

Sent printer(dns::Ttl ttl = 120, std::uint16_t port = 631) {
  return instance("p", "_printer._tcp", "ph.local.", "192.168.1.9", port, ttl);
}

struct Browser : Bench {
  explicit Browser(std::uint64_t seed = 1) : Bench(seed) {
    (*device)->browse({"_printer._tcp"});
    world.advance(5s);
  }
  const Sighting* sees() { return device->sees("p", "_printer._tcp"); }
  std::vector<Message> questions(const std::string& owner) {
    return from_device([&](const Message& m) { return asks(m, owner); });
  }
};

}  // namespace

TEST_CASE("what is announced whole is seen at once and asked for no more") {
  Browser browser;
  browser.lan.clear_capture();
  inject(browser.lan, kTester, printer());
  browser.world.advance(10ms);
  REQUIRE(browser.sees() != nullptr);
  CHECK(browser.sees()->port == 631);
  CHECK(browser.sees()->expires - browser.world.now() <= 120s);
  browser.world.advance(500ms);
  CHECK(browser.questions(kPrinter).empty());
}

TEST_CASE("what is announced again is not asked for") {
  Browser browser;
  Sent sent = printer();
  for (std::uint16_t port = 631; port < 636; ++port) {
    sent = printer(120, port);
    for (dns::Record& record : sent.answers)
      record.cache_flush = record.type != RrType::ptr;
    inject(browser.lan, kTester, sent);
    browser.world.advance(5s);
    REQUIRE(browser.sees() != nullptr);
    CHECK(browser.sees()->port == port);
  }
  CHECK(browser.questions(kPrinter).empty());
  CHECK(browser.questions("ph.local.").empty());
}

TEST_CASE("what is missing is asked for, piece by piece") {
  Browser browser;
  browser.lan.clear_capture();
  browser.say({ptr(kPrinters, kPrinter)});
  browser.world.advance(200ms);
  const auto first = browser.questions(kPrinter);
  REQUIRE(first.size() == 1);
  CHECK(first[0].questions.size() == 2);  // SRV and TXT in one
  CHECK(browser.sees() == nullptr);
  browser.say({srv(kPrinter, "ph.local.", 631)});
  browser.say({txt(kPrinter, {"a=1"})});
  browser.world.advance(200ms);
  CHECK(browser.sees() == nullptr);
  CHECK_FALSE(browser.questions("ph.local.").empty());
  browser.say({address("ph.local.", "192.168.1.9")});
  browser.world.advance(10ms);
  CHECK(browser.sees() != nullptr);
}

TEST_CASE("questions that no host answers end") {
  Browser browser;
  browser.say({ptr(kPrinters, kPrinter, 4'500)});
  browser.lan.clear_capture();
  browser.world.advance(120s);
  CHECK(browser.questions(kPrinter).size() == kResolveTries);
}

TEST_CASE("types are found by enumeration, and left when neither it nor an instance is there") {
  Bench bench;
  bench.world.advance(3s);
  bench.say({ptr(kServices, "_scanner._tcp.local.", 20)});
  bench.world.advance(200ms);
  CHECK(
      bench.from_device([](const Message& m) { return asks(m, "_scanner._tcp.local."); }).size() ==
      1);
  inject(bench.lan, kTester, instance("s", "_scanner._tcp", "sh.local.", "192.168.1.9", 1, 4'500));
  bench.world.advance(100ms);
  CHECK(bench.device->sees("s", "_scanner._tcp") != nullptr);
  bench.world.advance(30s);
  CHECK(bench.device->sees("s", "_scanner._tcp") != nullptr);
  bench.say({ptr("_scanner._tcp.local.", "s._scanner._tcp.local.", 0)});
  bench.world.advance(2s);
  CHECK(bench.device->sees("s", "_scanner._tcp") == nullptr);
  bench.lan.clear_capture();
  bench.world.advance(std::chrono::minutes(70));
  CHECK(
      bench.from_device([](const Message& m) { return asks(m, "_scanner._tcp.local."); }).empty());
}

TEST_CASE("records are refreshed at 80, 85, 90 and 95 percent of their life") {
  Browser browser;
  inject(browser.lan, kTester, printer(1'000));
  browser.world.advance(10ms);
  const TimePoint heard = browser.world.now();
  browser.world.advance(700s);
  browser.lan.clear_capture();
  browser.world.advance(310s);
  const auto asked = browser.from_device([](const Message& m) {
    return std::any_of(m.questions.begin(), m.questions.end(), [](const dns::Question& q) {
      return q.type == RrType::srv && q.name == name(kPrinter);
    });
  });
  REQUIRE(asked.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    const Duration age = asked[i].at - heard;
    CHECK(age >= std::chrono::seconds(kRefreshPercent[i] * 10 - 1));
    CHECK(age <= std::chrono::seconds(kRefreshPercent[i] * 10 + 21));
  }
  CHECK(browser.sees() == nullptr);
  CHECK(browser.device->lost[SightingKey{"_printer._tcp", "p"}] == LostReason::expired);
}

TEST_CASE("a goodbye is reported at once, and a return within its second too") {
  Browser browser;
  inject(browser.lan, kTester, printer());
  browser.world.advance(2s);
  browser.say({ptr(kPrinters, kPrinter, 0)});
  browser.world.advance(10ms);
  CHECK(browser.sees() == nullptr);
  CHECK(browser.device->lost[SightingKey{"_printer._tcp", "p"}] == LostReason::goodbye);
  inject(browser.lan, kTester, printer());
  browser.world.advance(10ms);
  CHECK(browser.sees() != nullptr);
  browser.world.advance(5s);
  CHECK(browser.sees() != nullptr);
}

TEST_CASE("cache-flush: the new port at once, and never a mixture that was not announced") {
  Browser browser;
  inject(browser.lan, kTester, printer(120, 631));
  browser.world.advance(5s);
  inject(browser.lan, kTester, printer(120, 9100));
  browser.world.advance(10ms);
  REQUIRE(browser.sees() != nullptr);
  CHECK(browser.sees()->port == 9100);
  browser.world.advance(100s);
  CHECK(browser.sees() != nullptr);
  CHECK(browser.device->count("lost p expired") == 0);
}

TEST_CASE("cache-flush spares what came within its second") {
  Browser browser;
  inject(browser.lan, kTester, printer());
  browser.world.advance(500ms);
  browser.say({address("ph.local.", "192.168.1.10", 120)});  // another packet of the same set
  browser.world.advance(3s);
  REQUIRE(browser.sees() != nullptr);
  CHECK(browser.sees()->addresses.size() == 2);
  // Older ones end a second later.
  browser.say({address("ph.local.", "192.168.1.11", 120)});
  browser.world.advance(2s);
  REQUIRE(browser.sees() != nullptr);
  REQUIRE(browser.sees()->addresses.size() == 1);
  CHECK(browser.sees()->addresses[0].address.to_string() == "192.168.1.11");
}

TEST_CASE("cache-flush is not required of peers") {
  Browser browser;
  Sent sent = printer();
  for (dns::Record& record : sent.answers)
    record.cache_flush = false;
  inject(browser.lan, kTester, sent);
  browser.world.advance(10ms);
  CHECK(browser.sees() != nullptr);
}

TEST_CASE("passive observation of failure: an answer is in time") {
  Browser browser;
  inject(browser.lan, kTester, printer(4'500));
  browser.world.advance(60s);
  for (int i = 0; i < 4; ++i) {
    browser.ask({question(kPrinters, RrType::ptr)}, {}, "192.168.1.20");
    browser.world.advance(100ms);
    inject(browser.lan, kTester, printer(4'500));
    browser.world.advance(2s);
  }
  browser.world.advance(30s);
  CHECK(browser.sees() != nullptr);
  CHECK(browser.device->count("lost p expired") == 0);
}

TEST_CASE_FIXTURE(TwoHosts, "what is confirmed after a sleep stays, without a gap") {
  REQUIRE(alice->publish(1, hello()).has_value());
  world.advance(5s);
  for (int i = 0; i < 5; ++i) {
    b.sleep();
    world.advance(1s);
    b.wake();
    world.advance(7s);
  }
  CHECK(bob.sees("hello") != nullptr);
  CHECK(bob.lost.empty());
}

TEST_CASE("off-link: unicast from afar, and responses that are not from port 5353") {
  Browser browser;
  inject(browser.lan, kTester, printer(), 5354);
  browser.world.advance(100ms);
  CHECK(browser.sees() == nullptr);
  const auto bytes = encode(printer());
  browser.lan.inject({*IpAddress::parse("203.0.113.1"), 5353},
                     {*IpAddress::parse("192.168.1.2"), 5353}, bytes, 250);
  browser.world.advance(100ms);
  CHECK(browser.sees() == nullptr);
}

TEST_CASE("a peer on the LAN cannot be at a loopback address") {
  Browser browser;
  inject(browser.lan, kTester, instance("p", "_printer._tcp", "ph.local.", "127.0.0.1", 631));
  browser.world.advance(1s);
  CHECK(browser.sees() == nullptr);
}

TEST_CASE("link-local addresses carry their scope, and come last") {
  Browser browser;
  Sent sent = printer();
  sent.answers.insert(sent.answers.begin(), address("ph.local.", "fe80::9"));
  sent.answers.push_back(address("ph.local.", "2001:db8::9"));
  inject(browser.lan, kTester, sent);
  browser.world.advance(1s);
  REQUIRE(browser.sees() != nullptr);
  REQUIRE(browser.sees()->addresses.size() == 3);
  CHECK(browser.sees()->addresses[0].address.to_string() == "192.168.1.9");
  CHECK(browser.sees()->addresses[1].address.to_string() == "2001:db8::9");
  CHECK(browser.sees()->addresses[2].address.to_string() ==
        "fe80::9%" + std::to_string(browser.sees()->addresses[2].interface));
}

TEST_CASE("addresses of a host by name") {
  Browser browser;
  std::vector<std::vector<SightedAddress>> answers;
  const auto keep = [&](std::optional<std::vector<SightedAddress>> addresses, Duration) {
    REQUIRE(addresses.has_value());
    answers.push_back(*std::move(addresses));
  };
  auto nobody = (*browser.device)->lookup_host("nobody.local", 2s, keep);
  CHECK(answers.empty());
  browser.world.advance(1'900ms);
  CHECK(answers.empty());
  browser.world.advance(200ms);
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].empty());

  auto found = (*browser.device)->lookup_host("box9.local", 2s, keep);
  browser.world.advance(200ms);
  CHECK_FALSE(browser.questions("box9.local.").empty());
  browser.say({address("box9.local.", "192.168.1.9")});
  browser.world.advance(10ms);
  CHECK(answers.size() == 1);  // it may have an IPv6 address, too
  browser.world.advance(200ms);
  REQUIRE(answers.size() == 2);
  CHECK(answers[1][0].address.to_string() == "192.168.1.9");
  // From the cache with the next turn.
  auto again = (*browser.device)->lookup_host("BOX9.local.", 2s, keep);
  CHECK(answers.size() == 2);
  browser.world.advance(1ms);
  CHECK(answers.size() == 3);
  // A dropped lookup is silent; names outside .local are nobody's.
  (*browser.device)->lookup_host("box10.local", 1s, keep).reset();
  auto foreign = (*browser.device)->lookup_host("example.org", 1s, keep);
  browser.world.advance(3s);
  REQUIRE(answers.size() == 4);
  CHECK(answers[3].empty());
}
