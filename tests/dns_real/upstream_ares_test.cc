// SPDX-License-Identifier: Apache-2.0
// c-ares over the kernel's loopback, against servers made here. Waits for events, never for time.
#include "dns/upstream_ares.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <set>

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/uv/loop.h"
#include "base/uv/system.h"
#include "dns/resolver.h"
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

/// Of the name servers: no end of a connection to 127.0.0.1 takes a port there.
constexpr const char* kServerHost = "127.0.54.1";

/// A name server whose answers `script` makes from the query; all of them are sent.
class Server final : UdpSocket::Sink, Listener::Sink, Stream::Sink {
 public:
  enum class Tcp : std::uint8_t { accepted, refused };
  explicit Server(World& world, Tcp tcp = Tcp::accepted) {
    udp_ = *world.env.network.open_udp({.bind = {*IpAddress::parse(kServerHost), 0}}, *this);
    listener_ = *world.env.network.listen({.on = udp_->local()}, *this);
    if (tcp == Tcp::refused) listener_.reset();
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
  REQUIRE(builder.add_opt({.udp_size = 1'232}));
  buffer.resize(builder.finish().size());
  return buffer;
}

Message answer(Bytes query, std::size_t records, bool truncated = false, std::size_t first = 0) {
  const auto view = MessageView::parse(query);
  REQUIRE(view.has_value());
  Message buffer(65'535);
  MessageBuilder builder(buffer);
  builder.set_id(view->header().id);
  builder.set_flags({.response = true, .truncated = truncated});
  REQUIRE(builder.add_question(view->question()));
  for (std::size_t i = 0; i < records; ++i) {
    Record record;
    record.name = view->question().name;
    record.data = AddressData{IpAddress::v4(198, 51, 100, static_cast<std::uint8_t>(first + i))};
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
      if (got)
        result = Message(got->begin(), got->end());
      else
        result = failure(got.error());
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

TEST_CASE("a truncated answer is what there is where TCP brings none") {
  World world;
  Server silent(world), refusing(world, Server::Tcp::refused);
  silent.script = refusing.script = [](Bytes query, bool tcp) {
    return tcp ? std::vector<Message>() : std::vector<Message>{answer(query, 3, true)};
  };
  AresUpstream upstream(world.env);
  for (Server* const server : {&silent, &refusing}) {
    Heard heard;
    const Message query = question(1, "big.example.com");
    const TimePoint begin = world.env.now();
    const auto token = upstream.send(server->address(), query, 5s, heard.callback());
    REQUIRE(world.run_until([&] { return heard.result.has_value(); }));
    REQUIRE(heard.result->has_value());
    CHECK(**heard.result == answer(query, 3, true));
    CHECK(world.env.now() - begin < 4s);
  }
  CHECK(silent.tcp_queries == 1);
  {  // It may be slow about that name alone, so the next one goes over TCP as well.
    Heard next;
    const auto token =
        upstream.send(silent.address(), question(1, "huge.example.com"), 5s, next.callback());
    CHECK(world.run_until([&] { return silent.tcp_queries == 2; }));
  }
  // Within the time that the caller has.
  Heard brief;
  const auto token =
      upstream.send(silent.address(), question(1, "big.example.com"), 50ms, brief.callback());
  REQUIRE(world.run_until([&] { return brief.result.has_value(); }));
  CHECK(brief.result->has_value());
}

namespace {

/// A TCP port that drops new connections, as behind a firewall: its queue is full.
class Filtered {
 public:
  explicit Filtered(const Endpoint& at) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    REQUIRE(::inet_pton(AF_INET, kServerHost, &address.sin_addr) == 1);
    address.sin_port = htons(at.port);
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    for (int& fd : fds_)
      fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(fds_[0], name, sizeof address) == 0);
    REQUIRE(::listen(fds_[0], 0) == 0);
    for (std::size_t i = 1; i < fds_.size(); ++i)
      (void)::connect(fds_[i], name, sizeof address);
  }
  ~Filtered() {
    for (const int fd : fds_)
      ::close(fd);
  }

 private:
  std::array<int, 4> fds_{};
};

}  // namespace

TEST_CASE("a server that TCP does not reach is remembered, up to the limit of such servers") {
  World world;
  AresUpstream upstream(world.env);
  std::vector<std::unique_ptr<Server>> servers;
  std::vector<std::unique_ptr<Filtered>> filters;
  for (std::size_t i = 0; i <= kTcpBlockedMax; ++i) {
    servers.push_back(std::make_unique<Server>(world, Server::Tcp::refused));
    servers.back()->script = [](Bytes query, bool) {
      return std::vector<Message>{answer(query, 3, true)};
    };
    filters.push_back(std::make_unique<Filtered>(servers.back()->address()));
  }
  const auto ask_all = [&] {
    std::vector<Heard> heard(servers.size());
    std::vector<std::unique_ptr<Pending>> tokens;
    const TimePoint begin = world.env.now();
    for (std::size_t i = 0; i < servers.size(); ++i)
      tokens.push_back(upstream.send(servers[i]->address(), question(1, "big.example.com"), 5s,
                                     heard[i].callback()));
    const auto others = std::span(heard).first(kTcpBlockedMax);
    REQUIRE(world.run_until([&] {
      return std::ranges::all_of(others, [](const Heard& one) { return one.result.has_value(); });
    }));
    const Duration took = world.env.now() - begin;
    REQUIRE(world.run_until([&] { return heard.back().result.has_value(); }));
    for (const Heard& one : heard)
      CHECK(one.result->has_value());
    return std::pair(took, world.env.now() - begin);
  };
  CHECK(ask_all().first >= kTcpTimeout);
  const auto [others, last] = ask_all();
  CHECK(others < kTcpTimeout / 2);
  CHECK(last >= kTcpTimeout);  // it is not remembered: there is no room
}

/// A socket a query and some of the program's own.
void allow_descriptors(rlim_t count) {
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  REQUIRE(files.rlim_max >= count);
  files.rlim_cur = std::max(files.rlim_cur, count);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
}

TEST_CASE("a server that knows no EDNS is asked again without, each time") {
  World world;
  Server server(world);
  server.script = [](Bytes query, bool) {
    if (!MessageView::parse(query)->edns()->has_value())
      return std::vector<Message>{answer(query, 1)};
    Message reply = answer(query, 0);
    reply[3] |= static_cast<std::uint8_t>(Rcode::formerr);
    return std::vector<Message>{reply};
  };
  AresUpstream upstream(world.env);
  for (std::uint16_t id = 1; id <= 3; ++id) {
    Heard heard;
    const auto token =
        upstream.send(server.address(), question(id, "www.example.com"), 5s, heard.callback());
    REQUIRE(world.run_until([&] { return heard.result.has_value(); }));
    REQUIRE(heard.result->has_value());
    CHECK(MessageView::parse(**heard.result)->header().answers == 1);
  }
  CHECK(server.clients.size() == 6);
}

TEST_CASE("a server that says no with a header alone is heard") {
  World world;
  Server server(world);
  Rcode rcode = Rcode::refused;
  bool with_opt = false;
  server.script = [&](Bytes query, bool) {
    Message reply = answer(query, 0);
    const std::size_t opt_begin = reply.size();
    reply.insert(reply.end(), {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0});
    reply[3] |= static_cast<std::uint8_t>(rcode);
    reply[11] = with_opt ? 1 : 0;
    reply[5] = 0;
    if (!with_opt) reply.resize(opt_begin);
    reply.erase(reply.begin() + kHeaderBytes,
                reply.begin() + static_cast<std::ptrdiff_t>(opt_begin));
    return std::vector<Message>{reply};
  };
  AresUpstream upstream(world.env);
  const Message query = question(7, "WwW.example.com");
  for (const Rcode each : {Rcode::refused, Rcode::notimp, Rcode::servfail, Rcode::formerr}) {
    for (const bool opt : {false, true}) {
      rcode = each;
      with_opt = opt;
      Heard heard;
      const auto token = upstream.send(server.address(), query, 5s, heard.callback());
      REQUIRE(world.run_until([&] { return heard.result.has_value(); }));
      REQUIRE(heard.result->has_value());
      const auto view = MessageView::parse(**heard.result);
      REQUIRE(view.has_value());
      CHECK(view->header().flags.rcode == static_cast<unsigned>(each));
      CHECK(std::ranges::equal(view->question_wire(), MessageView::parse(query)->question_wire()));
      CHECK(view->edns()->has_value() == opt);
    }
  }
  // Anything else without a question is no answer.
  rcode = Rcode::noerror;
  Heard heard;
  const auto token = upstream.send(server.address(), query, 50ms, heard.callback());
  REQUIRE(world.run_until([&] { return heard.result.has_value(); }));
  CHECK(heard.result->error() == UpstreamError::timed_out);
}

TEST_CASE("a thousand overlapping queries have ports of their own") {
  allow_descriptors(2'048);
  World world;
  Server server(world);
  server.script = [](Bytes, bool) { return std::vector<Message>(); };
  AresUpstream upstream(world.env);
  constexpr std::size_t kQueries = 1'000;
  std::vector<Heard> heard(kQueries + 50);
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
  CHECK(ports.size() >= kQueries * 99 / 100);
  // And nobody could count them up: few are the neighbour of the one before.
  std::size_t steps = 0;
  for (std::size_t i = 1; i < kQueries; ++i) {
    const int step = server.clients[i].port - server.clients[i - 1].port;
    if (step > -3 && step < 3) ++steps;
  }
  CHECK(steps < kQueries / 50);

  // Those that follow in channels used before have new ones again.
  tokens.clear();
  CHECK(upstream.idle_channels() == kIdleChannelsMax);
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
  CHECK(upstream.idle_channels() == kIdleChannelsMax);
  world.env.timers.run_due(world.env.now() + kChannelsThinnedAfter);
  CHECK(upstream.idle_channels() == kIdleChannelsAtRest);
}

TEST_CASE("a flood of forged answers, and then the right one") {
  World world;
  Server server(world);
  server.script = [](Bytes query, bool) {
    std::vector<Message> all;
    for (int i = 0; i < 100; ++i) {
      Message forged = answer(query, 2);
      if (i % 2 == 0)
        forged[0] ^= static_cast<std::uint8_t>(1 + i);  // id
      else
        forged[14] ^= static_cast<std::uint8_t>(1 + i % 7);  // question
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

namespace {

/// The resolver with its lookups under way, and an attacker who forges answers to all of them. The
/// forger knows everything but what the kind says: no real one is that lucky.
class Forgery final : UdpSocket::Sink {
 public:
  static constexpr std::size_t kOverlapping = 32;
  enum Kind : unsigned { id, other_id, name, type, rr_class, port, server_port, server, kKinds };

  explicit Forgery(World& world) : world_(world), resolver_(world.env, upstream_, options()) {
    const auto open = [&](const char* address) {
      return *world.env.network.open_udp({.bind = *Endpoint::parse(address)}, *this);
    };
    honest_ = open("127.0.0.1:0");
    elsewhere_ = open("127.0.0.1:0");
    const std::string same_port = std::to_string(honest_->local().port);
    other_host_ = open(("127.0.0.2:" + same_port).c_str());
    resolver_.set_upstreams({honest_->local()});
  }

  /// One round: lookups, forgeries of every kind for each, and then the right answers. With `all`
  /// a last forgery that has everything right.
  void round(bool all = false) {
    asked_.clear();
    right_ = wrong_ = 0;
    std::vector<std::unique_ptr<Pending>> tokens;
    for (std::size_t i = 0; i < kOverlapping; ++i) {
      const Message wire = question(0, "name" + std::to_string(++names_) + ".example.com");
      Query query;
      REQUIRE(query.parse(wire) == QueryFault::none);
      REQUIRE(resolver_.answer_now(query, 1'232, buffer_) == 0);
      tokens.push_back(resolver_.forward(query, 1'232, [this](Bytes message) { take(message); }));
    }
    REQUIRE(world_.run_until([this] { return asked_.size() == kOverlapping; }));
    for (std::size_t i = 0; i < kOverlapping; ++i)
      for (unsigned n = 0; n < kForged; ++n)
        forge(i, static_cast<Kind>(n % kKinds));
    for (const Asked& asked : asked_)
      if (all) send(*honest_, answer(asked.query, 1, false, kPoison), asked.client);
    // What was sent at the end of this turn comes in before what is sent at the end of the next.
    world_.loop.turn(false);
    for (const Asked& asked : asked_)
      send(*honest_, answer(asked.query, 1, false, kRight), asked.client);
    REQUIRE(world_.run_until([this] { return right_ + wrong_ == kOverlapping; }));
  }

  std::size_t forged = 0, accepted = 0, answered = 0;
  const ForwardCounters& counters() const { return resolver_.counters(); }

 private:
  static constexpr unsigned kForged = 12 * kKinds;
  static constexpr std::uint8_t kRight = 1, kPoison = 66;  // the last octet of the address
  struct Asked {
    Message query;
    Endpoint client;
  };

  static ForwardOptions options() {
    ForwardOptions options;
    options.cache_entries = 0;
    return options;
  }

  void on_datagrams(std::span<const Datagram> datagrams) override {
    for (const Datagram& datagram : datagrams)
      asked_.push_back({{datagram.payload.begin(), datagram.payload.end()}, datagram.from});
  }

  void forge(std::size_t i, Kind kind) {
    const Asked& asked = asked_[i];
    const Asked& other = asked_[(i + 1 + world_.random.u16() % (kOverlapping - 1)) % kOverlapping];
    Message message = answer(asked.query, 1, false, kPoison);
    UdpSocket* from = honest_.get();
    Endpoint to = asked.client;
    const std::size_t after_name = asked.query.size() - 11 - 4;
    switch (kind) {
      case id:
        message[0] ^= static_cast<std::uint8_t>(1 + world_.random.u16() % 255);
        message[1] = static_cast<std::uint8_t>(world_.random.u16());
        break;
      case other_id:
        message[0] = other.query[0];
        message[1] = other.query[1];
        if (std::equal(message.begin(), message.begin() + 2, asked.query.begin())) return;
        break;
      case name:
        message[13 + world_.random.u16() % 4] ^= 1;
        break;
      case type:
        message[after_name + 1] = static_cast<std::uint8_t>(RrType::aaaa);
        break;
      case rr_class:
        message[after_name + 3] = static_cast<std::uint8_t>(RrClass::ch);
        break;
      case port:
        to = other.client;
        if (std::equal(other.query.begin(), other.query.begin() + 2, asked.query.begin())) return;
        break;
      case server_port:
        from = elsewhere_.get();
        break;
      case server:
        from = other_host_.get();
        break;
      case kKinds:
        return;
    }
    ++forged;
    send(*from, message, to);
  }

  void send(UdpSocket& from, const Message& message, const Endpoint& to) {
    REQUIRE(from.send(message, to).has_value());
  }

  void take(Bytes message) {
    const auto view = MessageView::parse(message);
    REQUIRE(view.has_value());
    ++answered;
    auto records = view->records();
    const auto found = records.next();
    const auto* address = found ? std::get_if<AddressData>(&found->record.data) : nullptr;
    const bool right =
        address != nullptr && address->address == IpAddress::v4(198, 51, 100, kRight);
    ++(right ? right_ : wrong_);
    if (!right) ++accepted;
  }

  World& world_;
  AresUpstream upstream_{world_.env};
  Resolver resolver_;
  std::unique_ptr<UdpSocket> honest_, elsewhere_, other_host_;
  std::vector<Asked> asked_;
  std::size_t names_ = 0, right_ = 0, wrong_ = 0;
  std::uint8_t buffer_[4'096];
};

}  // namespace

TEST_CASE("forged answers: wrong id, question, port, server; none is accepted") {
  // OUTRIDER_LONG=1: a million.
  const std::size_t wanted = std::getenv("OUTRIDER_LONG") != nullptr ? 1'000'000 : 30'000;
  World world;
  Forgery forgery(world);
  std::size_t rounds = 0;
  for (; forgery.forged < wanted; ++rounds)
    forgery.round();
  CHECK(forgery.accepted == 0);
  CHECK(forgery.answered == rounds * Forgery::kOverlapping);
  // No forgery cost a lookup so much as a second message.
  CHECK(forgery.counters().sent == forgery.answered);
  CHECK(forgery.counters().bad_answers == 0);
  // And all of them came in before the right answer.
  forgery.round(true);
  CHECK(forgery.accepted == Forgery::kOverlapping);
  MESSAGE(forgery.forged << " forged answers to " << forgery.answered << " lookups");
}

TEST_CASE("no server there, silence, and a caller who has lost interest") {
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
