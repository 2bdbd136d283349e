// SPDX-License-Identifier: Apache-2.0
// An answer from a local zone allocates nothing. This program's operator new counts.
#include <atomic>
#include <cstdlib>
#include <new>

#include <doctest/doctest.h>

#include "tests/dns/bed.h"

namespace {
std::atomic<std::size_t> allocations = 0;
}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* const block = std::malloc(size == 0 ? 1 : size)) return block;
  std::abort();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return operator new(size);
}
void operator delete(void* block) noexcept {
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept {
  std::free(block);
}

using namespace outrider;
using namespace outrider::dns;
using namespace outrider::test;

namespace {

/// A network of one socket, which counts what is sent and keeps the size of the last.
class OneSocket final : public Network {
 public:
  struct Socket final : UdpSocket {
    explicit Socket(OneSocket& of) : network(of) {}
    Endpoint local() const override { return {}; }
    Result<void, NetError> send(Bytes payload, const Endpoint&, const IpAddress&,
                                std::uint32_t) override {
      ++network.sent;
      network.answers += payload.size() > 7 ? payload[7] : 0;
      return {};
    }
    void set_paused(bool) override {}
    Result<void, NetError> join(const IpAddress&, std::uint32_t) override { return {}; }
    void leave(const IpAddress&, std::uint32_t) override {}
    OneSocket& network;
  };
  struct Door final : Listener {
    StreamAddress local() const override { return {}; }
    void set_paused(bool) override {}
  };

  Result<std::unique_ptr<UdpSocket>, NetError> open_udp(const UdpOptions&,
                                                        UdpSocket::Sink& to) override {
    sink = &to;
    return std::make_unique<Socket>(*this);
  }
  Result<std::unique_ptr<Listener>, NetError> listen(const ListenOptions&,
                                                     Listener::Sink&) override {
    return std::make_unique<Door>();
  }
  std::unique_ptr<Pending> connect(const ConnectOptions&, ConnectCallback) override {
    return nullptr;
  }
  Result<std::unique_ptr<FdWatch>, NetError> watch_fd(int, FdEvents,
                                                      Callback<void(FdEvents)>) override {
    return failure(NetError::unsupported);
  }
  std::vector<Interface> interfaces() override { return {}; }
  std::unique_ptr<Pending> watch_interfaces(Callback<void()>) override { return nullptr; }

  UdpSocket::Sink* sink = nullptr;
  std::size_t sent = 0;
  std::size_t answers = 0;
};

class Nobody final : public StubServer::Sink {
  void on_bind(const Endpoint&, Result<void, NetError>) override {}
  Duration on_unknown_name(const Name&, const Name&) override { return {}; }
};

}  // namespace

TEST_CASE("local answers of every kind allocate nothing") {
  sim::World world;
  OneSocket network;
  Env env{world.env().clock, world.env().timers, network, world.env().random, world.env().log};
  Nobody sink;
  StubServer server(env, {.listen = {*Endpoint::parse("127.0.0.55:53")}}, sink);
  LocalZone& zone = server.add_zone({.origin = name("svc")});
  std::vector<ZoneRecord> many;
  for (int i = 0; i < 60; ++i)
    many.push_back(a("10.0.0." + std::to_string(i), static_cast<std::uint8_t>(i % 3)));
  many.push_back(srv(80, "one.web.svc"));
  many.push_back(txt({"a=b"}));
  zone.set(name("web.svc"), many);
  zone.set(name("one.web.svc"), {a("10.0.0.1")});
  zone.set(name("job.svc"), {}, "critical");
  server.reverse().set(name("1.0.0.10.in-addr.arpa"), {ptr("one.web.svc")});
  server.start();
  world.advance(1ms);
  REQUIRE(network.sink != nullptr);

  std::vector<std::vector<std::uint8_t>> queries;
  for (const std::string owner : {"web.svc", "one.web.svc", "job.svc", "nobody.svc", "svc",
                                  "example.com", "localhost", "1.0.0.10.in-addr.arpa"}) {
    for (const RrType type : {RrType::a, RrType::aaaa, RrType::srv, RrType::txt, RrType::ptr,
                              RrType::soa, RrType::ns, RrType::any, RrType::mx}) {
      queries.push_back(Ask{owner, type}.wire());
      queries.push_back(Ask{owner, type, 1'232}.wire());
    }
  }
  queries.push_back({1, 2, 3});
  queries.push_back(Ask{"web.svc", RrType::a, 1'232, false, 1}.wire());
  std::vector<Datagram> datagrams;
  for (const auto& query : queries)
    datagrams.push_back({.payload = query, .from = *Endpoint::parse("127.0.0.1:4000")});

  const std::size_t before = allocations;
  REQUIRE(before > 0);
  for (const Datagram& datagram : datagrams)
    network.sink->on_datagrams({&datagram, 1});
  // nobody.svc is reported to the sink by name; a name is a value.
  CHECK(allocations == before);
  CHECK(network.sent == queries.size() - 1);
  CHECK(network.answers > 50);
}
