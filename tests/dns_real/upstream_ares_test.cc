// SPDX-License-Identifier: Apache-2.0
// c-ares over the kernel's loopback, against servers made here. Waits for events, never for time.
#include "dns/upstream_ares.h"

#include <functional>
#include <set>

#include <doctest/doctest.h>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"

using namespace outrider;
using namespace outrider::dns;

namespace {

using Message = std::vector<std::uint8_t>;

struct World {
  uv::Loop loop;
  uv::SystemRandom random;
  NullLog log;
  Env env{loop.clock(), loop.timers(), loop.network(), random, log};

  /// Turns until `done`, at most ten seconds.
  bool run_until(const std::function<bool()>& done) {
    bool late = false;
    const Timer limit = env.after(10s, [&late] { late = true; });
    while (!done() && !late)
      loop.turn(true);
    return done();
  }
};

/// A name server whose answers `script` makes from the query; all of them are sent.
class Server final : UdpSocket::Sink, Listener::Sink, Stream::Sink {
 public:
  explicit Server(World& world) {
    udp_ = *world.env.network.open_udp({.bind = *Endpoint::parse("127.0.0.1:0")}, *this);
    listener_ = *world.env.network.listen({.on = udp_->local()}, *this);
  }
  Endpoint address() const { return udp_->local(); }
  std::function<std::vector<Message>(Bytes query, bool tcp)> script;
  std::vector<Endpoint> clients;
  std::size_t tcp_queries = 0;

 private:
  void on_datagrams(std::span<const Datagram> datagrams) override {
    for (const Datagram& datagram : datagrams) {
      clients.push_back(datagram.from);
      for (const Message& reply : script(datagram.payload, false))
        CHECK(udp_->send(reply, datagram.from).has_value());
    }
  }
  void on_accept(std::unique_ptr<Stream> stream) override {
    stream_ = std::move(stream);
    stream_->start(*this);
  }
  void on_data(Bytes data) override {
    input_.insert(input_.end(), data.begin(), data.end());
    ByteReader reader(input_);
    const Bytes query = reader.take(reader.u16());
    if (!reader.ok()) return;
    ++tcp_queries;
    for (const Message& reply : script(query, true)) {
      const std::uint8_t length[] = {static_cast<std::uint8_t>(reply.size() >> 8),
                                     static_cast<std::uint8_t>(reply.size())};
      CHECK(stream_->write(length).has_value());
      CHECK(stream_->write(reply).has_value());
    }
    input_.clear();
  }
  void on_end() override {}
  void on_broken(NetError) override {}

  std::unique_ptr<UdpSocket> udp_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Stream> stream_;
  Message input_;
};

Message question(std::uint16_t id, std::string_view owner) {
  Message buffer(512);
  MessageBuilder builder(buffer);
  builder.set_id(id);
  builder.set_flags({.recursion_desired = true});
  REQUIRE(builder.add_question({*Name::parse(owner), RrType::a}));
  REQUIRE(builder.add_edns(1'232, Rcode::noerror, false, {}));
  buffer.resize(builder.finish().size());
  return buffer;
}

Message answer(Bytes query, std::size_t records, bool truncated = false) {
  const auto view = MessageView::parse(query);
  REQUIRE(view.has_value());
  Message buffer(65'535);
  MessageBuilder builder(buffer);
  builder.set_id(view->header().id);
  builder.set_flags({.response = true, .truncated = truncated});
  REQUIRE(builder.add_question_wire(view->question_wire()));
  for (std::size_t i = 0; i < records; ++i) {
    Record record;
    record.name = view->question().name;
    record.data = AddressData{IpAddress::v4(198, 51, 100, static_cast<std::uint8_t>(i))};
    REQUIRE(builder.add(Section::answer, record));
  }
  buffer.resize(builder.finish().size());
  return buffer;
}

struct Heard {
  std::optional<Result<Message, UpstreamError>> result;
  Upstream::Answer callback() {
    return [this](Result<Bytes, UpstreamError> got) {
      CHECK(!result);
      if (got) {
        result = Message(got->begin(), got->end());
      } else {
        result = failure(got.error());
      }
    };
  }
};

}  // namespace

TEST_CASE("an answer comes back as it was sent") {
  World world;
  Server server(world);
  server.script = [](Bytes query, bool) { return std::vector<Message>{answer(query, 60)}; };
  AresUpstream upstream(world.env);
  Heard heard;
  const Message query = question(0x4242, "WwW.example.com");
  const auto token = upstream.send(server.address(), query, 5s, heard.callback());
  CHECK(!heard.result);
  REQUIRE(world.run_until([&] { return heard.result.has_value(); }));
  REQUIRE(heard.result->has_value());
  CHECK(**heard.result == answer(query, 60));  // 1 000 octets, more than plain DNS allows
  CHECK(server.tcp_queries == 0);
}

TEST_CASE("a truncated answer is fetched by TCP") {
  World world;
  Server server(world);
  server.script = [](Bytes query, bool tcp) {
    return std::vector<Message>{tcp ? answer(query, 2'000) : answer(query, 3, true)};
  };
  AresUpstream upstream(world.env);
  Heard heard;
  const auto token =
      upstream.send(server.address(), question(1, "big.example.com"), 5s, heard.callback());
  REQUIRE(world.run_until([&] { return heard.result.has_value(); }));
  REQUIRE(heard.result->has_value());
  CHECK((**heard.result).size() > 32'000);
  CHECK(server.tcp_queries == 1);
}

TEST_CASE("overlapping queries each have a port of their own") {
  World world;
  Server server(world);
  server.script = [](Bytes, bool) { return std::vector<Message>(); };
  AresUpstream upstream(world.env);
  constexpr std::size_t kQueries = 500;
  std::vector<Heard> heard(2 * kQueries);
  std::vector<std::unique_ptr<Pending>> tokens;
  for (std::size_t i = 0; i < kQueries; ++i) {
    tokens.push_back(upstream.send(server.address(),
                                   question(static_cast<std::uint16_t>(i), "x.example.com"), 30s,
                                   heard[i].callback()));
    // Not more at once than a socket's default buffer holds.
    if (i % 100 == 99) REQUIRE(world.run_until([&] { return server.clients.size() == i + 1; }));
  }
  std::set<std::uint16_t> ports;
  for (const Endpoint& client : server.clients)
    ports.insert(client.port);
  CHECK(ports.size() == kQueries);

  // Those that follow in channels used before have new ones again.
  tokens.clear();
  server.clients.clear();
  server.script = [](Bytes query, bool) { return std::vector<Message>{answer(query, 1)}; };
  for (std::size_t i = 0; i < 50; ++i) {
    Heard& one = heard[kQueries + i];
    const auto token =
        upstream.send(server.address(), question(7, "y.example.com"), 5s, one.callback());
    REQUIRE(world.run_until([&] { return one.result.has_value(); }));
  }
  ports.clear();
  for (const Endpoint& client : server.clients)
    ports.insert(client.port);
  CHECK(ports.size() >= 49);
}

TEST_CASE("a flood of forged answers, and then the right one") {
  World world;
  Server server(world);
  server.script = [](Bytes query, bool) {
    std::vector<Message> all;
    for (int i = 0; i < 100; ++i) {
      Message forged = answer(query, 2);
      if (i % 2 == 0) {
        forged[0] ^= static_cast<std::uint8_t>(1 + i);  // id
      } else {
        forged[14] ^= static_cast<std::uint8_t>(1 + i % 7);  // question
      }
      all.push_back(forged);
    }
    all.push_back({});
    all.push_back({1, 2, 3});
    all.push_back(answer(query, 1));
    return all;
  };
  AresUpstream upstream(world.env);
  for (std::uint16_t i = 0; i < 20; ++i) {
    Heard heard;
    const Message query = question(static_cast<std::uint16_t>(0x1111 * i), "www.example.com");
    const auto token = upstream.send(server.address(), query, 5s, heard.callback());
    REQUIRE(world.run_until([&] { return heard.result.has_value(); }));
    REQUIRE(heard.result->has_value());
    CHECK(**heard.result == answer(query, 1));
  }
}

TEST_CASE("nobody there, silence, and a caller who has lost interest") {
  World world;
  Endpoint gone;
  {
    Server closed(world);
    gone = closed.address();
  }
  Server silent(world);
  silent.script = [](Bytes, bool) { return std::vector<Message>(); };
  AresUpstream upstream(world.env);
  Heard refused, timed_out, cancelled, scoped;
  const Message query = question(1, "www.example.com");
  const auto one = upstream.send(gone, query, 5s, refused.callback());
  const auto two = upstream.send(silent.address(), query, 50ms, timed_out.callback());
  auto three = upstream.send(silent.address(), query, 20ms, cancelled.callback());
  const auto four = upstream.send(*Endpoint::parse("[fe80::1%1]:53"), query, 5s, scoped.callback());
  CHECK(!scoped.result);
  three.reset();
  REQUIRE(world.run_until([&] { return refused.result && timed_out.result && scoped.result; }));
  CHECK(refused.result->error() == UpstreamError::unreachable);
  CHECK(timed_out.result->error() == UpstreamError::timed_out);
  CHECK(scoped.result->error() == UpstreamError::unreachable);
  CHECK(!cancelled.result);
}

TEST_CASE("the answer's callback may destroy its token, and the upstream goes with queries open") {
  World world;
  Server server(world);
  server.script = [](Bytes query, bool) { return std::vector<Message>{answer(query, 1)}; };
  std::unique_ptr<Pending> token, open;
  {
    AresUpstream upstream(world.env);
    bool called = false;
    token = upstream.send(server.address(), question(1, "www.example.com"), 5s,
                          [&](Result<Bytes, UpstreamError> got) {
                            CHECK(got.has_value());
                            token.reset();
                            called = true;
                          });
    REQUIRE(world.run_until([&] { return called; }));
    open = upstream.send(server.address(), question(2, "www.example.com"), 5s,
                         [](Result<Bytes, UpstreamError>) { CHECK(false); });
  }
  open.reset();
  world.loop.turn(false);
}
