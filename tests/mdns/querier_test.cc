// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/querier.h"

#include <doctest/doctest.h>

#include "mdns/limits.h"
#include "mdns/native/limits.h"
#include "tests/mdns/peer.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

struct Nowhere final : Outlet {
  std::size_t datagrams = 0;
  void multicast(const mdns::Link&, IpAddress::Family, Bytes) override { ++datagrams; }
  void unicast(const mdns::Link&, const Endpoint&, Bytes) override { ++datagrams; }
};

struct Recorder final : Outlet {
  std::vector<Message> sent;
  void multicast(const mdns::Link&, IpAddress::Family, Bytes payload) override {
    sent.push_back(*decode(payload));
  }
  void unicast(const mdns::Link&, const Endpoint&, Bytes) override { FAIL("unicast"); }
};

struct QuerierTest {
  QuerierTest() {
    mdns::Link link;
    link.index = 2;
    link.v4 = link.carries_lan = true;
    links.all = {link};
    querier.browse(now, {"_hello._tcp"});
  }
  void hear(const std::string& label, const std::string& source) {
    const Sent sent = instance(label, "_hello._tcp", label + ".local.", source, 80, 4'500);
    Packet packet;
    packet.from = {*IpAddress::parse(source), 5353};
    packet.response = true;
    packet.answers = sent.answers;
    querier.on_response(now, links.all[0], packet);
    for (Querier::Event& event : querier.take_events()) {
      if (const auto* seen = std::get_if<Sighted>(&event)) {
        sighted.insert(seen->sighting.key.label);
      } else if (const auto* lost = std::get_if<Lost>(&event)) {
        CHECK(lost->reason == LostReason::evicted);
        CHECK(sighted.erase(lost->key.label) == 1);
      }
    }
  }

  TimePoint now{std::chrono::hours(1)};
  SeededRandom random{1};
  Links links;
  Querier querier{links, random};
  std::set<std::string> sighted;
};

}  // namespace

TEST_CASE_FIXTURE(QuerierTest, "when everything is full, the flooding host pays") {
  for (int i = 0; i < 50; ++i)
    hear("friend" + std::to_string(i), "192.168.1.9");
  std::size_t most = 0;
  for (std::size_t i = 0; i < kSightingsMax + 1'000; ++i) {
    hear("f" + std::to_string(i), "192.168.1.66");
    most = std::max(most, querier.sightings());
  }
  CHECK(most > kSightingsMax * 9 / 10);
  CHECK(most <= kSightingsMax);
  CHECK(querier.cache().size() <= kCacheRecordsMax);
  CHECK(querier.cache().bytes() <= kCacheBytesMax);
  for (int i = 0; i < 50; ++i)
    CHECK(sighted.contains("friend" + std::to_string(i)));
  hear("late", "192.168.1.10");
  CHECK(sighted.contains("late"));
}

TEST_CASE_FIXTURE(QuerierTest, "why a type is browsed") {
  const dns::Name hello = name("_hello._tcp.local."), other = name("_other._tcp.local.");
  CHECK(querier.reasons(hello).configured);
  CHECK_FALSE(querier.reasons(hello).enumerated);
  CHECK_FALSE(querier.reasons(hello).asked);
  CHECK_FALSE(querier.reasons(other).any());
  querier.ask(now, "_hello._tcp");  // browsed anyway
  CHECK_FALSE(querier.reasons(hello).asked);
  querier.ask(now, "_other._tcp");
  CHECK(querier.reasons(other).asked);

  const auto enumerate = [&](dns::Ttl ttl) {
    Packet packet;
    packet.from = {*IpAddress::parse("192.168.1.9"), 5353};
    packet.response = true;
    packet.answers = {ptr("_services._dns-sd._udp.local.", "_other._tcp.local.", ttl)};
    querier.on_response(now, links.all[0], packet);
  };
  enumerate(4'500);
  CHECK(querier.reasons(other).enumerated);
  CHECK(querier.reasons(other).asked);
  enumerate(0);
  CHECK_FALSE(querier.reasons(other).enumerated);
  CHECK(querier.reasons(other).asked);
  Nowhere out;
  querier.run(now += kAskLife - 1ms, out);
  CHECK(querier.reasons(other).any());
  querier.run(now += 1ms, out);
  CHECK_FALSE(querier.reasons(other).any());
  querier.browse(now, {"_other._tcp"});
  CHECK(querier.reasons(other).configured);
  CHECK_FALSE(querier.reasons(hello).any());
}

TEST_CASE_FIXTURE(QuerierTest, "asking costs a few datagrams, however many are known") {
  for (int i = 0; i < 1'000; ++i)
    hear("i" + std::to_string(i), "192.168.1.9");
  Nowhere out;
  querier.run(now + 200ms, out);
  CHECK(out.datagrams >= 1);
  CHECK(out.datagrams <= 40);
  CHECK(querier.has_asked());
}

namespace {

/// Asks with so many known answers, and looks at what goes out and when.
std::size_t known_answers_sent(QuerierTest& test, std::size_t count, std::size_t label_bytes) {
  Recorder out;
  test.querier.run(test.now += 200ms, out);  // the first questions
  test.querier.run(test.now += 1010ms, out);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(i);
    test.hear(std::string(label_bytes - number.size(), 'i') + number, "192.168.1.9");
  }
  out.sent.clear();
  test.now += 1010ms;
  test.querier.ask(test.now, "_hello._tcp");
  const TimePoint begun = test.now;
  for (std::size_t before = 0; before == 0 || out.sent.size() > before;
       test.now += kQuestionPause) {
    before = out.sent.size();
    test.querier.run(test.now, out);
    CHECK(out.sent.size() - before <= kQuestionBurst);
  }
  CHECK(test.now - begun - 2 * kQuestionPause < kTruncatedDelayMin);
  CHECK(out.sent.size() <= kQuestionDatagramsMax);
  std::size_t known = 0;
  for (std::size_t i = 0; i < out.sent.size(); ++i) {
    CHECK(out.sent[i].bytes <= kPayloadV4);
    CHECK(out.sent[i].questions.empty() == (i > 0));
    CHECK(out.sent[i].header.flags.truncated == (i + 1 < out.sent.size()));
    known += out.sent[i].answers.size();
  }
  return known;
}

}  // namespace

TEST_CASE_FIXTURE(QuerierTest, "thousands of known answers go out in bursts") {
  CHECK(known_answers_sent(*this, 16'000, 6) == 16'000);
}

TEST_CASE_FIXTURE(QuerierTest, "known answers that would come too late are left out") {
  const std::size_t known = known_answers_sent(*this, 8'000, dns::kLabelBytesMax);
  CHECK(known < 8'000);
  CHECK(known > kQuestionDatagramsMax * 16);
}

TEST_CASE_FIXTURE(QuerierTest, "questions beyond those that may wait are asked the next time") {
  Recorder out;
  querier.run(now += 200ms, out);
  std::size_t asked = 0;
  const auto ask = [&](Duration time) {
    out.sent.clear();
    for (const TimePoint until = now + time; now < until; now += 10ms)
      querier.run(now, out);
    CHECK(out.sent.size() <= kQuestionBurst * static_cast<std::size_t>(time / kQuestionPause + 1));
    for (const Message& message : out.sent)
      asked += message.questions.size();
  };
  // Instances that are named and never described.
  for (std::size_t i = 0; i < 16'000; ++i) {
    Packet packet;
    packet.from = {*IpAddress::parse("192.168.1.66"), 5353};
    packet.response = true;
    packet.answers = {ptr("_hello._tcp.local.",
                          std::string(50, 'x') + std::to_string(i) + "._hello._tcp.local.", 4'500)};
    querier.on_response(now, links.all[0], packet);
  }
  ask(900ms);
  CHECK(asked > 1'000);
  CHECK(asked < 16'000);
  const std::size_t first = asked;
  ask(1s);
  CHECK(asked > first);
}

TEST_CASE_FIXTURE(QuerierTest,
                  "a flood of names leaves room for the questions that keep sightings") {
  hear("friend", "192.168.1.9");
  const dns::Name own = name("friend._hello._tcp.local.");
  Recorder out;
  std::size_t names = 0, asked = 0, refreshes = 0;
  const TimePoint heard = now;
  for (; now < heard + 4'500s; now += now < heard + 3'590s ? 10s : 1s) {
    // From 80 % of its life on, a neighbour names instances that no host describes.
    for (int i = 0; now >= heard + 3'590s && i < 100; ++i) {
      Packet packet;
      packet.from = {*IpAddress::parse("192.168.1.66"), 5353};
      packet.response = true;
      packet.answers = {ptr("_hello._tcp.local.", std::string(50, 'x') + std::to_string(++names) +
                                                      "._hello._tcp.local.")};
      querier.on_response(now, links.all[0], packet);
    }
    if (now > heard + 3'650s) break;
    out.sent.clear();
    querier.run(now, out);
    for (const Message& message : out.sent)
      for (const dns::Question& each : message.questions)
        ++(each.name == own && each.type == dns::RrType::srv ? refreshes : asked);
  }
  CHECK(names > 10 * kResolvingMax);
  CHECK(refreshes >= 1);
  // Each is asked about in at most kResolveTries rounds of two questions within kResolveLife.
  CHECK(asked <= 2 * kResolveTries * kResolvingMax * (60s / kResolveLife + 2));
}

TEST_CASE_FIXTURE(QuerierTest, "instances that were named in one moment are forgotten bit by bit") {
  constexpr std::size_t kNamed = 1'000;
  Packet packet;
  packet.from = {*IpAddress::parse("192.168.1.66"), 5353};
  packet.response = true;
  for (std::size_t i = 0; i < kNamed; ++i)
    packet.answers.push_back(
        ptr("_hello._tcp.local.", "n" + std::to_string(i) + "._hello._tcp.local."));
  querier.on_response(now, links.all[0], packet);
  REQUIRE(querier.sightings() == kNamed);
  Nowhere out;
  now += kResolveLife;
  std::size_t turns = 0;
  for (; querier.sightings() > 0 && turns < kNamed; ++turns) {
    const std::size_t before = querier.sightings();
    querier.run(now, out);
    CHECK(before - querier.sightings() <= kUnresolvedForgottenAtOnce);
    if (querier.sightings() > 0) CHECK(*querier.next_due() <= now);
  }
  CHECK(turns >= kNamed / kUnresolvedForgottenAtOnce);
  CHECK(querier.sightings() == 0);
}

TEST_CASE_FIXTURE(QuerierTest, "the questions of others cost little, however much is known") {
  Nowhere out;
  querier.run(now += 200ms, out);
  for (int i = 0; i < 16'000; ++i)
    hear("i" + std::to_string(i), "192.168.1.9");
  Packet packet;
  packet.from = {*IpAddress::parse("192.168.1.10"), 5353};
  packet.questions = {question("_hello._tcp.local.", dns::RrType::ptr)};
  // Minutes, if each costs the square of what is known.
  for (int i = 0; i < 1'000; ++i)
    querier.on_query(now += 1ms, links.all[0], packet);
  CHECK(querier.sightings() == 16'000);
}

TEST_CASE_FIXTURE(QuerierTest, "a datagram is looked at as a whole") {
  const auto response = [&](const Sent& sent) {
    Packet packet;
    packet.from = {*IpAddress::parse("192.168.1.9"), 5353};
    packet.response = true;
    packet.answers = sent.answers;
    querier.on_response(now, links.all[0], packet);
    return querier.take_events();
  };
  Recorder out;
  querier.run(now += 200ms, out);
  response(instance("web", "_hello._tcp", "box.local.", "192.168.1.9", 80));
  out.sent.clear();
  for (int i = 0; i < 100; ++i)
    querier.run(now += 100ms, out);
  // It has an address, so there is nothing to ask for that the datagram did not say.
  for (const Message& message : out.sent)
    for (const dns::Question& asked : message.questions)
      CHECK(asked.type == dns::RrType::ptr);

  // On another host now, whose address comes behind the SRV: moved, and at no time gone.
  Sent moved = instance("web", "_hello._tcp", "other.local.", "192.168.1.10", 80);
  for (dns::Record& record : moved.answers)
    record.cache_flush = record.type != dns::RrType::ptr;
  const auto events = response(moved);
  REQUIRE(events.size() == 1);
  REQUIRE(std::holds_alternative<Sighted>(events[0]));
  CHECK(std::get<Sighted>(events[0]).sighting.host == "other.local");
}

TEST_CASE_FIXTURE(QuerierTest, "the look-up of a host waits for both families, but not for ever") {
  const dns::Name box = *dns::Name::parse("box.local");
  std::vector<HostAnswer> answers;
  Nowhere out;
  const auto tell = [&](std::string_view address) {
    dns::Record record;
    record.name = box;
    record.ttl = 120;
    record.data = dns::AddressData{*IpAddress::parse(address)};
    record.type = address.find(':') == std::string_view::npos ? dns::RrType::a : dns::RrType::aaaa;
    Packet packet;
    packet.from = {*IpAddress::parse("192.168.1.9"), 5353};
    packet.response = true;
    packet.answers = {record};
    querier.on_response(now, links.all[0], packet);
  };
  const auto after = [&](Duration time) {
    now += time;
    querier.run(now, out);
    for (Querier::Event& event : querier.take_events())
      answers.push_back(std::move(std::get<HostAnswer>(event)));
    return answers.size();
  };
  REQUIRE(querier.lookup_host(now, 1, box, now + 1500ms));
  CHECK(after(10ms) == 0);
  tell("2001:db8::9");
  CHECK(after(1ms) == 0);
  tell("192.168.1.9");
  REQUIRE(after(1ms) == 1);
  CHECK(answers[0].addresses.size() == 2);
  REQUIRE(querier.lookup_host(now, 2, box, now + 1500ms));  // cached, both
  CHECK(after(0ms) == 2);

  const dns::Name lone = *dns::Name::parse("lone.local");
  dns::Record record;
  record.name = lone;
  record.type = dns::RrType::a;
  record.ttl = 120;
  record.data = dns::AddressData{*IpAddress::parse("192.168.1.8")};
  Packet packet;
  packet.from = {*IpAddress::parse("192.168.1.8"), 5353};
  packet.response = true;
  packet.answers = {record};
  REQUIRE(querier.lookup_host(now, 3, lone, now + 1500ms));
  CHECK(after(10ms) == 2);
  querier.on_response(now, links.all[0], packet);
  CHECK(after(kOtherFamilyWait - 1ms) == 2);
  REQUIRE(after(1ms) == 3);
  CHECK(answers[2].addresses.size() == 1);
  // That it has no other is known for a while.
  const std::size_t asked = out.datagrams;
  REQUIRE(querier.lookup_host(now, 4, lone, now + 1500ms));
  CHECK(after(0ms) == 4);
  CHECK(out.datagrams == asked);
  now += kOtherFamilyMissing;
  REQUIRE(querier.lookup_host(now, 5, lone, now + 1500ms));
  CHECK(after(0ms) == 4);
  CHECK(after(kOtherFamilyWait) == 5);
}

TEST_CASE_FIXTURE(QuerierTest, "the address of a host of many is looked at once for many packets") {
  constexpr int kInstances = 2'000, kPackets = 2'000;
  const auto response = [&](std::vector<dns::Record> records) {
    Packet packet;
    packet.from = {*IpAddress::parse("192.168.1.66"), 5353};
    packet.response = true;
    packet.answers = std::move(records);
    querier.on_response(now, links.all[0], packet);
  };
  for (int i = 0; i < kInstances; ++i)
    response(
        instance("i" + std::to_string(i), "_hello._tcp", "one.local.", "192.168.1.66", 80).answers);
  REQUIRE(querier.take_events().size() == kInstances);
  std::size_t told = 0;
  for (int i = 0; i < kPackets; ++i) {
    now += 1ms;
    response({address("one.local.", "192.168.1.66")});
    Nowhere out;
    querier.run(now, out);
    told += querier.take_events().size();
  }
  // Once in kRefreshGather at most.
  CHECK(told <= kInstances * (kPackets * 1ms / kRefreshGather + 1));
  // Another address is news: at once for the first, in the next turns for the others. Datagrams
  // that change it back and forth cost no more.
  const auto hear_changes = [&] {
    for (const dns::Ttl ttl : {120U, 0U, 120U, 0U, 120U})
      response({address("one.local.", "192.168.1.67", ttl)});
    return querier.take_events().size();
  };
  std::size_t heard = hear_changes();
  CHECK(heard > 0);
  CHECK(heard <= 5 * kInstancesSettledAtOnce);
  Nowhere out;
  while (*querier.next_due() <= now) {
    querier.run(now, out);
    const std::size_t turn = querier.take_events().size();
    CHECK(turn <= kInstancesSettledAtOnce);
    heard += turn;
  }
  CHECK(heard >= kInstances);
}
