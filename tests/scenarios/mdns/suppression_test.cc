// SPDX-License-Identifier: Apache-2.0
// RFC 6762 §7: saying and asking less.
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

TEST_CASE("late known answers of one querier do not silence the answer to another") {
  Bench bench;
  bench.settle();
  Sent first;
  first.flags.truncated = true;
  first.questions = {question(kType, RrType::ptr)};
  inject(bench.lan, kTester, first);
  bench.world.advance(10ms);
  bench.ask({question(kType, RrType::ptr)}, {}, "192.168.1.10");
  bench.world.advance(10ms);
  Sent more;
  more.answers = {ptr(kType, kInstance, 70)};
  inject(bench.lan, kTester, more);
  bench.world.advance(2s);
  CHECK(bench.responses().size() == 1);
}

TEST_CASE("the answer waits for as long as more known answers are promised, within reason") {
  Bench bench;
  bench.settle();
  const auto known = [](bool more, std::vector<dns::Record> answers) {
    Sent sent;
    sent.flags.truncated = more;
    sent.answers = std::move(answers);
    return sent;
  };
  const dns::Record other = ptr(kType, "other._hello._tcp.local.", 70);
  Sent first = known(true, {other});
  first.questions = {question(kType, RrType::ptr)};
  // 350 ms apart: the last comes long after a responder has answered who counts from the first.
  inject(bench.lan, kTester, first);
  for (int i = 0; i < 3; ++i) {
    bench.world.advance(350ms);
    inject(bench.lan, kTester, known(true, {other}));
  }
  bench.world.advance(350ms);
  inject(bench.lan, kTester, known(false, {ptr(kType, kInstance, 70)}));
  bench.world.advance(5s);
  CHECK(bench.responses().empty());

  inject(bench.lan, kTester, first);
  const TimePoint asked = bench.world.now();
  for (int i = 0; i < 20; ++i) {
    bench.world.advance(350ms);
    inject(bench.lan, kTester, known(true, {other}));
  }
  const auto responses = bench.responses();
  REQUIRE(responses.size() == 1);
  CHECK(responses[0].at - asked >= kTruncatedDelayLimit - kTruncatedDelayMax);
  CHECK(responses[0].at - asked <= kTruncatedDelayLimit + 1ms);  // on its way
}

TEST_CASE("distributed duplicate suppression: many hosts of one type, one answer to its name") {
  sim::World world(3);
  sim::Link& lan = world.link("lan");
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 10; ++i) {
    const std::string id = std::to_string(i);
    sim::Host& host = world.host("h" + id);
    host.attach("eth0", lan, {"192.168.1.1" + id + "/24"});
    peers.push_back(std::make_unique<Peer>(host, options_for("h" + id)));
    REQUIRE((*peers.back())->publish(1, hello("i" + id)).has_value());
  }
  world.advance(300s);
  lan.clear_capture();
  Sent query;
  query.questions = {question(kServices, RrType::ptr)};
  inject(lan, "192.168.1.99", query);
  world.advance(2s);
  std::size_t answers = 0;
  for (const Message& message : messages(lan))
    if (message.response() && has(message.answers, kServices, RrType::ptr)) ++answers;
  CHECK(answers >= 1);
  CHECK(answers <= 2);
}

TEST_CASE("a question that another host has just asked is not asked again") {
  Bench bench;
  (*bench.device)->browse({"_printer._tcp"});
  bench.world.advance(15ms);  // first questions leave after 20 to 120 ms
  bench.ask({question("_printer._tcp.local.", RrType::ptr)});
  bench.world.advance(500ms);
  CHECK(
      bench.from_device([](const Message& m) { return asks(m, "_printer._tcp.local."); }).empty());
  bench.world.advance(2s);
  CHECK_FALSE(
      bench.from_device([](const Message& m) { return asks(m, "_printer._tcp.local."); }).empty());
}

TEST_CASE("but it is when the other one knows more than we do") {
  Bench bench;
  (*bench.device)->browse({"_printer._tcp"});
  bench.world.advance(15ms);
  bench.ask({question("_printer._tcp.local.", RrType::ptr)},
            {ptr("_printer._tcp.local.", "x._printer._tcp.local.")});
  bench.world.advance(500ms);
  CHECK(
      bench.from_device([](const Message& m) { return asks(m, "_printer._tcp.local."); }).size() ==
      1);
}

TEST_CASE("our own known answers go along, and over several packets when they must") {
  Bench bench;
  (*bench.device)->browse({"_printer._tcp"});
  bench.world.advance(200ms);
  for (int i = 0; i < 100; ++i) {
    const std::string label = "printer-with-a-rather-long-name-" + std::to_string(i);
    Sent sent = instance(label, "_printer._tcp", "p" + std::to_string(i) + ".local.",
                         "192.168.1.50", 631, 4'500);
    inject(bench.lan, kTester, sent);
  }
  bench.world.advance(1s);
  CHECK(bench.device->sightings.size() == 100);
  bench.lan.clear_capture();
  (*bench.device)->ask("_printer._tcp");
  bench.world.advance(1'100ms);  // once a second at most
  std::size_t known = 0, packets = 0;
  bool truncated = true;
  for (const Message& message : bench.from_device([](const Message& m) { return !m.response(); })) {
    if (message.questions.empty() && packets == 0) continue;
    CHECK(truncated);  // TC on all but the last
    truncated = message.header.flags.truncated;
    known += message.answers.size();
    CHECK(message.bytes <= 1'472);
    ++packets;
    if (!truncated) break;
  }
  CHECK(packets > 1);
  CHECK_FALSE(truncated);
  CHECK(known == 100);
}

TEST_CASE("questions back off") {
  Bench bench;
  (*bench.device)->browse({"_printer._tcp"});
  bench.world.advance(600s);
  const auto asked =
      bench.from_device([](const Message& m) { return asks(m, "_printer._tcp.local."); });
  REQUIRE(asked.size() >= 4);
  CHECK(asked[1].at - asked[0].at >= 1s);
  CHECK(asked[2].at - asked[1].at >= 2s);
  CHECK(asked.size() <= 11);  // 1, 2, 4, … s
  for (const Message& message : asked)
    for (const dns::Question& q : message.questions)
      CHECK_FALSE(q.unicast_response);
}
