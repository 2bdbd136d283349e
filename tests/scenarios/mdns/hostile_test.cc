// SPDX-License-Identifier: Apache-2.0
// Bad input: what crashed or emptied other stacks must cost us nothing but the datagram.
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

namespace {

void raw(sim::Link& lan, const std::vector<std::uint8_t>& bytes) {
  lan.inject({*IpAddress::parse(kTester), 5353}, {IpAddress::v4(224, 0, 0, 251), 5353}, bytes);
}

/// Still there: answers for its own, sees what is announced.
void check_alive(Bench& bench) {
  (*bench.device)->browse({"_hello._tcp"});
  bench.world.advance(3s);
  bench.lan.clear_capture();
  bench.ask({question(kType, RrType::ptr)});
  bench.world.advance(1500ms);
  const auto responses = bench.responses();
  CHECK(std::any_of(responses.begin(), responses.end(), [](const Message& m) {
    return assemble_per_packet(m, "_hello._tcp") == std::vector<std::string>{"hello"};
  }));
  inject(bench.lan, kTester, instance("alive", "_hello._tcp", "x.local.", "192.168.1.9", 1));
  bench.world.advance(10ms);
  CHECK(bench.device->sees("alive") != nullptr);
}

}  // namespace

TEST_CASE("empty datagrams and cut ones") {
  Bench bench;
  bench.settle();
  (*bench.device)->browse({"_hello._tcp"});
  raw(bench.lan, {});
  const auto whole = encode(instance("cut", "_hello._tcp", "c.local.", "192.168.1.9", 80));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    raw(bench.lan, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    bench.world.advance(1ms);
    CHECK(bench.device->sees("cut") == nullptr);
  }
  Sent query;
  query.questions = {question(kType, RrType::ptr)};
  query.answers = {ptr(kType, kInstance)};
  const auto asked = encode(query);
  for (std::size_t size = 0; size < asked.size(); ++size)
    raw(bench.lan, {asked.begin(), asked.begin() + static_cast<std::ptrdiff_t>(size)});
  check_alive(bench);
}

TEST_CASE("other opcodes and response codes are not for us") {
  Bench bench;
  bench.settle();
  (*bench.device)->browse({"_hello._tcp"});
  for (const dns::Opcode opcode : {dns::Opcode::notify, dns::Opcode::update}) {
    Sent sent;
    sent.flags.opcode = opcode;
    sent.questions = {question(kType, RrType::ptr)};
    inject(bench.lan, kTester, sent);
  }
  Sent sent = instance("refused", "_hello._tcp", "r.local.", "192.168.1.9", 80);
  sent.flags.rcode = 5;
  inject(bench.lan, kTester, sent);
  bench.world.advance(1s);
  CHECK(bench.responses().empty());
  CHECK(bench.device->sees("refused") == nullptr);
}

TEST_CASE("CNAME loops and DNAMEs, for names that are browsed and for our own") {
  Bench bench;
  bench.settle();
  (*bench.device)->browse({"_hello._tcp"});
  const auto cname = [](const std::string& owner, const std::string& target, RrType type) {
    return dns::Record{name(owner), type, dns::RrClass::in, false, 1, dns::NameData{name(target)}};
  };
  for (const RrType type : {RrType::cname, RrType::dname}) {
    bench.say({cname(kType, kType, type), cname("a.local.", "b.local.", type),
               cname("b.local.", "a.local.", type), cname(kServices, kServices, type),
               ptr(kType, "looped._hello._tcp.local.", 1),
               cname("looped._hello._tcp.local.", "looped._hello._tcp.local.", type)});
    bench.say({srv("looped._hello._tcp.local.", "looped._hello._tcp.local.", 1, 1)});
    bench.ask({question("a.local.", RrType::any)}, {cname("a.local.", "a.local.", type)});
    bench.world.advance(10s);
  }
  check_alive(bench);
}

TEST_CASE("a name that points to itself in every way") {
  Bench bench;
  bench.settle();
  (*bench.device)->browse({"_hello._tcp"});
  bench.say({ptr(kType, kType), ptr(kServices, kServices), ptr("_tcp.local.", "local."),
             srv(kType, kType, 1), ptr(kType, "self._hello._tcp.local."),
             srv("self._hello._tcp.local.", "self._hello._tcp.local.", 80),
             txt("self._hello._tcp.local.", {""}),
             address("self._hello._tcp.local.", "192.168.1.9")});
  bench.world.advance(1s);
  // Odd, but whole: its host is called like itself.
  CHECK(bench.device->sees("self") != nullptr);
  check_alive(bench);
}

TEST_CASE("one damaged record does not cost the others") {
  Bench bench;
  (*bench.device)->browse({"_hello._tcp"});
  bench.world.advance(1s);
  Sent sent = instance("whole", "_hello._tcp", "w.local.", "192.168.1.9", 80);
  // An NSEC with an empty window, as python3-zeroconf 0.47 sends it; two octets for an address.
  const auto damaged = [](RrType type, std::vector<std::uint8_t> bytes) {
    return dns::Record{
        name("w.local."), type, dns::RrClass::in, true, 20, dns::RawData{std::move(bytes)}};
  };
  sent.answers.insert(sent.answers.begin() + 1, damaged(RrType::nsec, {0, 0, 0, 0, 4, 0, 0, 0, 8}));
  sent.answers.insert(sent.answers.begin() + 3, damaged(RrType::a, {1, 2}));
  inject(bench.lan, kTester, sent);
  bench.world.advance(10ms);
  CHECK(bench.device->sees("whole") != nullptr);
}

TEST_CASE("texts over limits, addresses that are none, ports that are none") {
  Bench bench;
  bench.settle();
  (*bench.device)->browse({"_hello._tcp"});
  Sent sent = instance("big", "_hello._tcp", "b.local.", "192.168.1.9", 80);
  sent.answers[2] =
      txt("big._hello._tcp.local.", std::vector<std::string>(30, std::string(255, 'x')));
  inject(bench.lan, kTester, sent);
  inject(bench.lan, kTester, instance("any", "_hello._tcp", "y.local.", "0.0.0.0", 80));
  inject(bench.lan, kTester, instance("group", "_hello._tcp", "z.local.", "224.0.0.251", 80));
  inject(bench.lan, kTester, instance("portless", "_hello._tcp", "p.local.", "192.168.1.9", 0));
  bench.world.advance(1s);
  CHECK(bench.device->sightings.empty());
  // A text that is refused is counted, and logged with its instance, once in a while.
  CHECK((*bench.device)->counters().refused_texts >= 1);
  CHECK(bench.box.log().count("mdns_txt_refused") == 1);
  CHECK(bench.box.log().last("mdns_txt_refused").find("instance=big") != std::string::npos);
  // Up to the limit they are taken.
  sent.answers[2] =
      txt("big._hello._tcp.local.", std::vector<std::string>(15, std::string(255, 'x')));
  inject(bench.lan, kTester, sent);
  bench.world.advance(10ms);
  REQUIRE(bench.device->sees("big") != nullptr);
  CHECK(bench.device->sees("big")->txt.strings().size() == 15);
  check_alive(bench);
}

TEST_CASE("instance names with dots, control characters and no UTF-8 are told as they are") {
  Bench bench;
  (*bench.device)->browse({"_hello._tcp"});
  bench.world.advance(1s);
  const std::string odd = std::string("a.b\x01\xff") + '\0' + "c";
  const dns::Name full = *name(kType).child(odd);
  bench.say(
      {{name(kType), RrType::ptr, dns::RrClass::in, false, 75, dns::NameData{full}},
       {full, RrType::srv, dns::RrClass::in, true, 75, dns::SrvData{0, 0, 80, name("o.local.")}},
       {full, RrType::txt, dns::RrClass::in, true, 75, dns::TxtData{{"k=v"}}},
       address("o.local.", "192.168.1.9")});
  bench.world.advance(10ms);
  CHECK(bench.device->sees(odd) != nullptr);
}

TEST_CASE("a TTL of weeks counts as an hour and a quarter, and one above 2^31 as zero") {
  Bench bench;
  (*bench.device)->browse({"_hello._tcp"});
  bench.world.advance(1s);
  inject(bench.lan, kTester,
         instance("long", "_hello._tcp", "l.local.", "192.168.1.9", 80, 2'000'000));
  bench.world.advance(10ms);
  REQUIRE(bench.device->sees("long") != nullptr);
  CHECK(bench.device->sees("long")->expires - bench.world.now() <= std::chrono::seconds(kTtlMax));
}

TEST_CASE(
    "a minute of 100 000 forged records: own records answered, friends seen, memory bounded") {
  // Instances and types that no host defends, more of them than may be kept.
  constexpr int kSeconds = 60, kInstancesASecond = 340, kRecordsOfEach = 5;
  static_assert(kSeconds * kInstancesASecond * kRecordsOfEach >= 100'000);
  static_assert(kSeconds * kInstancesASecond > kSightingsMax);
  Bench bench;
  bench.settle();
  (*bench.device)->browse({"_hello._tcp"});
  inject(bench.lan, kTester,
         instance("friend", "_hello._tcp", "friend.local.", kTester, 80, kRfcOtherTtl));
  bench.world.advance(3s);
  REQUIRE(bench.device->sees("friend") != nullptr);
  int answered = 0;
  std::size_t most_records = 0, most_bytes = 0;
  for (int number = 0; number < kSeconds * kInstancesASecond; ++number) {
    if (number % kInstancesASecond == 0) {
      bench.lan.clear_capture();
      bench.ask({question(kInstance, RrType::srv)});
    }
    const std::string id = std::to_string(number);
    Sent sent = instance("f" + id, "_hello._tcp", "h" + id + ".local.", "192.168.1.66", 80, 4'500);
    sent.answers.push_back(ptr(kServices, "_t" + id + "._tcp.local.", 4'500));
    inject(bench.lan, "192.168.1.66", sent);
    if (number % 34 == 33) bench.world.advance(101ms);
    if (number % kInstancesASecond != kInstancesASecond - 1) continue;
    const auto responses = bench.responses();
    answered += std::any_of(responses.begin(), responses.end(), [](const Message& response) {
      return response.find(kInstance, RrType::srv) != nullptr;
    });
    most_records = std::max(most_records, (*bench.device)->counters().cached_records);
    most_bytes = std::max(most_bytes, (*bench.device)->counters().cached_bytes);
    bench.device->log.clear();
  }
  CHECK(answered == kSeconds);
  CHECK(most_records > kCacheRecordsMax / 2);  // it was a flood
  CHECK(most_records <= kCacheRecordsMax);
  CHECK(most_bytes <= kCacheBytesMax);
  CHECK(bench.device->sightings.size() <= kSightingsMax);
  CHECK(bench.device->sees("friend") != nullptr);
  CHECK_FALSE(bench.device->lost.contains({"_hello._tcp", "friend"}));
  inject(bench.lan, kTester, instance("late", "_hello._tcp", "late.local.", "192.168.1.9", 1));
  bench.world.advance(100ms);
  CHECK(bench.device->sees("late") != nullptr);
  MESSAGE("kept at most: " << most_records << " records, " << most_bytes << " octets");
}

TEST_CASE("a flood of questions: the answers stay few") {
  Bench bench;
  bench.settle();
  for (int i = 0; i < 5'000; ++i) {
    bench.ask({question(kType, RrType::ptr), question(kInstance, RrType::any),
               question("no" + std::to_string(i) + ".local.", RrType::any)});
    if (i % 20 == 0) bench.world.advance(10ms);
  }
  bench.world.advance(1s);
  CHECK(bench.responses().size() <= 10);
}
