// SPDX-License-Identifier: Apache-2.0
// The stub server over TCP: framing, pipelining, limits.
#include <doctest/doctest.h>

#include "tests/dns/bed.h"

using namespace outrider;
using namespace outrider::dns;
using namespace outrider::test;

namespace {

std::vector<std::uint8_t> framed(const Ask& ask, std::uint16_t id) {
  const auto wire = ask.wire(id);
  std::vector<std::uint8_t> frame = {static_cast<std::uint8_t>(wire.size() >> 8),
                                     static_cast<std::uint8_t>(wire.size())};
  frame.insert(frame.end(), wire.begin(), wire.end());
  return frame;
}

}  // namespace

TEST_CASE("many queries on one connection, in whatever pieces they come") {
  Bed bed;
  bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  const auto answers =
      bed.ask_tcp({{"web.svc"}, {"web.svc", RrType::aaaa}, {"nobody.svc"}, {"example.com"}}, true);
  REQUIRE(answers.size() == 4);
  CHECK(answers[0].answer.size() == 1);
  CHECK(answers[1].outcome() == "NODATA");
  CHECK(answers[2].outcome() == "NXDOMAIN");
  CHECK(answers[3].outcome() == "REFUSED");
  for (std::uint16_t id = 0; id < 4; ++id)
    CHECK(answers[id].id == id);

  bed.connect();
  for (const std::uint8_t octet : framed({"web.svc"}, 7)) {
    bed.write({&octet, 1});
    bed.world.advance(1ms);
  }
  bed.world.advance(5ms);
  const auto frames = bed.take_frames();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].id == 7);
  bed.disconnect();
  bed.world.advance(5ms);
}

TEST_CASE("two hundred instances of one name come whole") {
  Bed bed;
  std::vector<ZoneRecord> records;
  for (int i = 0; i < 200; ++i)
    records.push_back(
        srv(static_cast<std::uint16_t>(1'000 + i), "i" + std::to_string(i) + ".web.svc"));
  bed.zone.set(name("web.svc"), records);
  const auto answers = bed.ask_tcp({{"web.svc", RrType::srv}});
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].answer.size() == 200);
  CHECK(!answers[0].flags.truncated);
}

TEST_CASE("the addresses of kAdditionalTargetsMax targets come along") {
  Bed bed;
  std::vector<ZoneRecord> records;
  for (std::size_t i = 0; i < kAdditionalTargetsMax + 5; ++i) {
    const std::string target = "i" + std::to_string(i) + ".web.svc";
    records.push_back(srv(80, target));
    bed.zone.set(name(target), {a("10.0.0." + std::to_string(i))});
  }
  bed.zone.set(name("web.svc"), records);
  const auto answers = bed.ask_tcp({{"web.svc", RrType::srv}});
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].answer.size() == kAdditionalTargetsMax + 5);
  CHECK(answers[0].additional.size() == kAdditionalTargetsMax);
}

TEST_CASE("a client that takes no answers is read no further than kTcpUnsentBytesMax") {
  Bed bed;
  std::vector<ZoneRecord> records;
  for (int i = 0; i < 200; ++i)
    records.push_back(
        srv(static_cast<std::uint16_t>(1'000 + i), "i" + std::to_string(i) + ".web.svc"));
  bed.zone.set(name("web.svc"), records);
  bed.connect();
  bed.stream().set_paused(true);
  const auto one = framed({"web.svc", RrType::srv}, 1);
  constexpr std::size_t kQueries = 600;
  for (std::size_t i = 0; i < kQueries; ++i)
    bed.write(one);
  bed.world.advance(1s);
  const std::size_t answered = bed.server.counters().answers;
  CHECK(answered > 0);
  CHECK(answered < kQueries);
  bed.stream().set_paused(false);
  bed.world.advance(1s);
  CHECK(bed.server.counters().answers == kQueries);
  CHECK(bed.take_frames().size() == kQueries);
  bed.disconnect();
}

TEST_CASE("answers may overtake those that are held") {
  Bed bed;
  bed.hold = 300ms;
  bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  bed.connect();
  auto both = framed({"late.svc"}, 1);
  const auto second = framed({"web.svc"}, 2);
  both.insert(both.end(), second.begin(), second.end());
  bed.write(both);
  bed.stream().finish();  // a half-close does not take the answers away
  bed.world.advance(10ms);
  auto frames = bed.take_frames();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].id == 2);
  bed.world.advance(400ms);
  frames = bed.take_frames();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].id == 1);
  CHECK(bed.tcp_ended);
  bed.disconnect();
}

TEST_CASE("idle connections are closed, dripping ones too") {
  Bed bed;
  bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  bed.connect();
  bed.world.advance(6s);
  bed.write(framed({"web.svc"}, 1));
  bed.world.advance(9s);
  CHECK(!bed.tcp_ended);
  bed.world.advance(2s);
  CHECK(bed.tcp_ended);
  bed.disconnect();

  bed.connect();
  for (int i = 0; i < 11; ++i) {
    const std::uint8_t zero = 0x7f;
    if (!bed.tcp_ended) bed.write({&zero, 1});
    bed.world.advance(1s);
  }
  CHECK(bed.tcp_ended);
  bed.disconnect();
}

TEST_CASE("a client that sends without reading is read no further than its bounds") {
  Bed bed;
  bed.hold = 5s;
  bed.connect();
  std::vector<std::uint8_t> many;
  for (std::uint16_t i = 0; i < 200; ++i) {
    const auto one = framed({"x" + std::to_string(i) + ".svc"}, i);
    many.insert(many.end(), one.begin(), one.end());
  }
  bed.write(many);
  bed.world.advance(1s);
  CHECK(bed.unknown.size() == kTcpQueriesInFlightMax);
  bed.world.advance(20s);
  CHECK(bed.unknown.size() == 200);
  CHECK(bed.take_frames().size() == 200);
  bed.disconnect();
  bed.world.advance(1s);
}

TEST_CASE("the number of connections is bounded; the longest idle makes room") {
  Bed bed;
  struct Quiet final : Stream::Sink {
    void on_data(Bytes) override {}
    void on_end() override { over = true; }
    void on_broken(NetError) override { over = true; }
    bool over = false;
  };
  std::vector<Quiet> quiet(kTcpClientsMax + 3);
  std::vector<std::unique_ptr<Stream>> streams;
  for (Quiet& sink : quiet) {
    auto connecting =
        bed.world.env().network.connect({.to = *Endpoint::parse("127.0.0.55:53")},
                                        [&](Result<std::unique_ptr<Stream>, NetError> made) {
                                          REQUIRE(made.has_value());
                                          streams.push_back(std::move(*made));
                                          streams.back()->start(sink);
                                        });
    bed.world.advance(5ms);
  }
  bed.world.advance(5ms);
  for (std::size_t i = 0; i < quiet.size(); ++i)
    CHECK(quiet[i].over == (i < 3));
  streams.clear();
  bed.world.advance(5ms);
}

TEST_CASE("a response or a stump over TCP gets no reply and does no harm") {
  Bed bed;
  bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  Ask response{"web.svc"};
  response.flags.response = true;
  bed.connect();
  auto bytes = framed(response, 1);
  bytes.insert(bytes.end(), {0, 0, 0, 3, 1, 2, 3});  // an empty frame and one of three octets
  const auto good = framed({"web.svc"}, 9);
  bytes.insert(bytes.end(), good.begin(), good.end());
  bed.write(bytes);
  bed.stream().finish();
  bed.world.advance(10ms);
  const auto frames = bed.take_frames();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].id == 9);
  CHECK(bed.tcp_ended);
  CHECK(bed.server.counters().dropped == 3);
  bed.disconnect();
}

TEST_CASE("a client that connects while the server stops is answered once") {
  Bed bed;
  bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  bool done = false;
  SUBCASE("it asks") {
    bed.connect();
    bed.server.stop([&] { done = true; });
    bed.world.advance(1ms);
    CHECK_FALSE(done);
    auto two = framed({"web.svc"}, 1);
    const auto second = framed({"web.svc"}, 2);
    two.insert(two.end(), second.begin(), second.end());
    bed.write(two);
    bed.world.advance(5ms);
    const auto frames = bed.take_frames();
    REQUIRE(frames.size() == 1);
    CHECK(frames[0].answer.size() == 1);
    CHECK(bed.tcp_ended);
    CHECK(done);
  }
  SUBCASE("it is silent") {
    bed.connect();
    bed.server.stop([&] { done = true; });
    bed.world.advance(kTcpFirstQueryMax - 10ms);
    CHECK_FALSE(bed.tcp_ended);
    CHECK_FALSE(done);
    bed.world.advance(20ms);
    CHECK(bed.tcp_ended);
    CHECK(done);
  }
  SUBCASE("it has asked before: it may close at any time") {
    bed.connect();
    bed.write(framed({"web.svc"}, 1));
    bed.world.advance(5ms);
    bed.server.stop([&] { done = true; });
    CHECK_FALSE(done);
    bed.world.advance(1ms);
    CHECK(bed.tcp_ended);
    CHECK(done);
  }
  bed.disconnect();
  bed.world.advance(1ms);
}

TEST_CASE("stopping lets go of idle connections and answers what is in flight") {
  Bed bed;
  bed.hold = 300ms;
  bed.connect();
  bed.write(framed({"late.svc"}, 3));
  bed.world.advance(10ms);
  bed.server.stop([] {});
  bed.world.advance(10ms);
  const auto frames = bed.take_frames();
  REQUIRE(frames.size() == 1);
  CHECK(frames[0].outcome() == "NXDOMAIN");
  CHECK(bed.tcp_ended);
  bed.disconnect();
  bed.world.advance(10ms);
}
