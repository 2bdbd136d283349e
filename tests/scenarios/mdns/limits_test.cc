// SPDX-License-Identifier: Apache-2.0
// Limits of the native provider that only much traffic of its own reaches.
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

TEST_CASE("answers that wait: what is beyond the limit is not queued, and told when asked again") {
  Bench bench;
  std::vector<std::string> subtypes;
  for (std::size_t i = 0; i < kSubtypesMax; ++i)
    subtypes.push_back("_s" + std::to_string(i));
  static_assert(kAnnouncementsMax * kSubtypesMax + kAnnouncementsMax > kPendingAnswersMax);
  for (AnnouncementId id = 1; id <= kAnnouncementsMax; ++id) {
    Announcement wanted = hello("i" + std::to_string(id));
    wanted.subtypes = subtypes;
    wanted.txt.clear();
    REQUIRE((*bench.device)->publish(id, wanted).has_value());
  }
  bench.world.advance(20s);
  REQUIRE(bench.device->announced.size() == kAnnouncementsMax);

  const auto answers_to = [&](const std::vector<dns::Question>& questions) {
    bench.lan.clear_capture();
    bench.ask(questions);
    bench.world.advance(10s);
    std::size_t count = 0;
    for (const Message& response : bench.responses()) {
      CHECK(response.bytes <= kPayloadV4);
      count += response.answers.size();
    }
    return count;
  };
  std::vector<dns::Question> all = {question(kType, RrType::ptr)};
  for (const std::string& subtype : subtypes)
    all.push_back(question(subtype + "._sub." + kType, RrType::ptr));
  CHECK(answers_to(all) == kPendingAnswersMax);
  for (const dns::Question& one : all)
    CHECK(answers_to({one}) == kAnnouncementsMax);
}

TEST_CASE("echoes beyond those that are remembered are no conflict and no news") {
  // Over both families, an instance a datagram: twice as many as are remembered, within a second.
  Bench bench(1, options_for("box"), {"192.168.1.2/24", "fe80::2/64"});
  static_assert(2 * kAnnouncementsMax > kEchoesMax);
  for (AnnouncementId id = 1; id <= kAnnouncementsMax; ++id) {
    Announcement wanted = hello("i" + std::to_string(id));
    wanted.txt = std::vector<std::string>(4, "k=" + std::string(250, 'x'));
    REQUIRE((*bench.device)->publish(id, wanted).has_value());
  }
  bench.world.advance(20s);
  const NativeCounters counters = (*bench.device)->counters();
  CHECK(counters.sent > 4 * kAnnouncementsMax);  // announced twice over both families
  CHECK(counters.echoes >= kEchoesMax);
  CHECK(counters.echoes < counters.sent);  // some came back as if they were a stranger's
  CHECK(bench.device->announced.size() == kAnnouncementsMax);
  for (AnnouncementId id = 1; id <= kAnnouncementsMax; ++id)
    CHECK(bench.device->announced[id] == "i" + std::to_string(id));
  CHECK(bench.device->conflicts.empty());
  CHECK(bench.device->sightings.empty());
}

TEST_CASE("a thousand goodbyes are said in bursts that a neighbour can take, each twice") {
  Bench bench;
  for (AnnouncementId id = 1; id <= kAnnouncementsMax; ++id)
    REQUIRE((*bench.device)->publish(id, hello("i" + std::to_string(id))).has_value());
  bench.world.advance(20s);
  REQUIRE(bench.device->announced.size() == kAnnouncementsMax);
  bench.lan.clear_capture();
  bool stopped = false;
  const TimePoint begun = bench.world.now();
  (*bench.device)->stop([&] { stopped = true; });
  bench.world.advance(2s);
  CHECK(stopped);
  std::map<std::string, unsigned> taken_back;
  std::map<TimePoint, std::size_t> bursts;
  TimePoint first_round{};  // its end
  for (const Message& message : bench.responses()) {
    for (const dns::Record& record : message.answers) {
      if (record.type != RrType::srv || record.ttl != 0) continue;
      ++bursts[message.at];
      if (++taken_back[std::string(record.name.label(0))] == 1) first_round = message.at;
    }
  }
  CHECK(taken_back.size() == kAnnouncementsMax);
  for (const auto& [label, times] : taken_back)
    CHECK(times == kGoodbyeCount);
  for (const auto& [at, count] : bursts)
    CHECK(count <= kBurst);
  CHECK(first_round - begun < kGoodbyeInterval);
}

TEST_CASE("of a thousand answers that are asked for by unicast, one burst is") {
  NativeOptions options = options_for("box");
  options.ttl = TtlProfile::rfc;
  Bench bench(1, options);
  for (AnnouncementId id = 1; id <= kAnnouncementsMax; ++id)
    REQUIRE((*bench.device)->publish(id, hello("i" + std::to_string(id))).has_value());
  bench.world.advance(10s);  // multicast not long ago, so that unicast would do
  bench.lan.clear_capture();
  bench.ask({question(kType, RrType::ptr, true)});
  bench.world.advance(3s);
  std::size_t unicast = 0, multicast = 0;
  for (const Message& message : bench.responses())
    (message.to.address.is_multicast() ? multicast : unicast) += message.answers.size();
  CHECK(unicast == kBurst);
  CHECK(unicast + multicast == kAnnouncementsMax);
}

TEST_CASE("questions back off to one an hour, and no further") {
  Bench bench;
  (*bench.device)->browse({"_printer._tcp"});
  bench.world.advance(std::chrono::hours(6));
  const auto asked =
      bench.from_device([](const Message& m) { return asks(m, "_printer._tcp.local."); });
  REQUIRE(asked.size() >= 4);
  for (std::size_t i = asked.size() - 2; i < asked.size(); ++i) {
    const Duration pause = asked[i].at - asked[i - 1].at;
    CHECK(pause >= kQuestionIntervalMax);
    CHECK(pause <= kQuestionIntervalMax + 1s);
  }
}
