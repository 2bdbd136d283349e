// SPDX-License-Identifier: Apache-2.0
#include "dns/clients.h"

#include <doctest/doctest.h>

#include "tests/dns/bed.h"

using namespace outrider;
using namespace outrider::dns;

namespace {

IpAddress ip(std::string_view text) {
  return *IpAddress::parse(text);
}

/// A host with a stub server on the wildcard, and a client elsewhere.
struct Public final : StubServer::Sink, UdpSocket::Sink {
  sim::World world{3};
  sim::Host& here = world.host("here");
  sim::Host& other = world.host("other");
  std::unique_ptr<StubServer> server;
  std::vector<test::Answer> answers;

  Public() {
    here.attach("eth0", world.link("lan"), {"192.168.1.2/24", "fe80::2/64"});
    other.attach("eth0", world.link("lan"), {"192.168.1.3/24", "fe80::3/64"});
    StubOptions options;
    options.listen = {*Endpoint::parse("0.0.0.0:53")};
    server = std::make_unique<StubServer>(here.env(), options, *this);
    server->add_zone({.origin = test::name("svc")})
        .set(test::name("web.svc"), {test::a("192.168.1.2")});
    server->start();
    world.settle();
  }
  void on_bind(const Endpoint&, Result<void, NetError>) override {}
  Duration on_unknown_name(const Name&, const Name&) override { return {}; }
  void on_datagrams(std::span<const Datagram> datagrams) override {
    for (const Datagram& datagram : datagrams)
      answers.push_back(test::Answer::read(datagram.payload));
  }
  test::Answer ask(sim::Host& from, const test::Ask& ask) {
    answers.clear();
    auto socket = from.env().network.open_udp({.bind = *Endpoint::parse("0.0.0.0:0")}, *this);
    REQUIRE((*socket)->send(ask.wire(), *Endpoint::parse("192.168.1.2:53")).has_value());
    world.advance(10ms);
    REQUIRE(answers.size() == 1);
    return answers[0];
  }
};

}  // namespace

TEST_CASE("only clients of this host and of networks that are named are answered") {
  Public p;
  CHECK(p.ask(p.here, {"web.svc"}).outcome() == "NOERROR");
  test::Answer answer = p.ask(p.other, {"web.svc", RrType::a, 1'232});
  CHECK(answer.outcome() == "REFUSED");
  CHECK(answer.error_text == "not in dns.allow");
  CHECK(p.ask(p.other, {"localhost"}).outcome() == "REFUSED");
  test::Ask version{"version.bind", RrType::txt};
  version.rr_class = RrClass::ch;
  CHECK(p.ask(p.other, version).outcome() == "REFUSED");
  CHECK(p.here.log().count("dns_client_refused") == 1);
  p.server->set_allowed({*Prefix::parse("10.0.0.0/8"), *Prefix::parse("192.168.1.0/24")});
  CHECK(p.ask(p.other, {"web.svc"}).outcome() == "NOERROR");
  p.server->set_allowed({});
  CHECK(p.ask(p.other, {"web.svc"}).outcome() == "REFUSED");
}

TEST_CASE("a refused client gets no more than it sent, but for the reason that it can read") {
  Public p;
  CHECK(p.ask(p.other, {"web.svc"}).size == test::Ask{"web.svc"}.wire().size());
}

TEST_CASE("addresses of this host are those that it has now") {
  sim::World world(4);
  sim::Host& here = world.host("here");
  Clients clients(here.env());
  CHECK(clients.admit(ip("127.0.0.1")));
  CHECK(clients.admit(ip("::1")));
  CHECK_FALSE(clients.admit(ip("192.168.1.2")));
  here.attach("eth0", world.link("lan"), {"192.168.1.2/24", "fe80::2/64"});
  world.settle();
  CHECK(clients.admit(ip("192.168.1.2")));
  CHECK(clients.admit(ip("fe80::2%1")));
  CHECK_FALSE(clients.admit(ip("fe80::3%1")));
  clients.set_allowed({*Prefix::parse("fe80::/10")});
  CHECK(clients.admit(ip("fe80::3%1")));
}

TEST_CASE("refused clients fill no log") {
  sim::World world(5);
  Clients clients(world.env());
  for (int i = 0; i < 1'000; ++i)
    CHECK_FALSE(clients.admit(IpAddress::v4(192, 0, 2, static_cast<std::uint8_t>(i))));
  CHECK(world.host("here").log().count("dns_client_refused") == 1);
  world.advance(kRefusedClientsLog);
  CHECK_FALSE(clients.admit(ip("192.0.2.1")));
  CHECK(world.host("here").log().count("dns_client_refused") == 2);
}
