// SPDX-License-Identifier: Apache-2.0
#include <array>

#include <doctest/doctest.h>

#include "dns/neighbours.h"
#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"
#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

const Endpoint kStub = *Endpoint::parse("127.0.0.55:5370");

/// Answers every question with one address, as an agent would or not.
class Server final : UdpSocket::Sink {
 public:
  Server(Env& env, std::string address, bool authoritative)
      : socket_(
            env.network.open_udp({.bind = kStub}, static_cast<UdpSocket::Sink&>(*this)).value()),
        address_(*IpAddress::parse(address)),
        authoritative_(authoritative) {}
  std::size_t asked = 0;

 private:
  void on_datagrams(std::span<const Datagram> datagrams) override {
    for (const Datagram& datagram : datagrams) {
      ++asked;
      const auto view = dns::MessageView::parse(datagram.payload);
      REQUIRE(view.has_value());
      CHECK(view->question().name == *dns::Name::parse("ns.svc"));
      std::array<std::uint8_t, 512> buffer;
      dns::MessageBuilder builder(buffer);
      builder.set_id(view->header().id);
      builder.set_flags({.response = true, .authoritative = authoritative_});
      REQUIRE(builder.add_question(view->question()));
      dns::Record record;
      record.name = view->question().name;
      record.data = dns::AddressData{address_};
      REQUIRE(builder.add(dns::Section::answer, record));
      (void)socket_->send(builder.finish(), datagram.from);
    }
  }
  std::unique_ptr<UdpSocket> socket_;
  IpAddress address_;
  bool authoritative_;
};

struct Scene {
  sim::World world;
  Machine machine{world, "a", "10.0.0.1/24"};
  dns::Neighbours neighbours{machine.host().env(), *dns::Name::parse("svc")};
  std::optional<bool> answer;

  void ask() {
    answer.reset();
    neighbours.ask(kStub, [this](bool is_agent) { answer = is_agent; });
    CHECK_FALSE(answer.has_value());  // not before ask() has returned
  }
};

TEST_CASE("an address on which an agent answers is shared, until we answer there ourselves") {
  Scene scene;
  Server server(scene.machine.host().env(), "127.0.0.55", true);
  scene.ask();
  scene.world.advance(dns::kNeighbourPatience / 2);
  CHECK(scene.answer == true);
  CHECK(server.asked == 1);
  CHECK(scene.neighbours.shared() == std::set<Endpoint>{kStub});
  scene.neighbours.forget(kStub);
  CHECK(scene.neighbours.shared().empty());
}

TEST_CASE("another resolver on the address, or none, is no agent") {
  Scene scene;
  {
    Server resolver(scene.machine.host().env(), "192.0.2.1", true);
    scene.ask();
    scene.world.advance(dns::kNeighbourPatience / 2);
    CHECK(scene.answer == false);
  }
  {
    // A resolver that has the answer of an agent in its cache.
    Server forwarder(scene.machine.host().env(), "127.0.0.55", false);
    scene.ask();
    scene.world.advance(dns::kNeighbourPatience / 2);
    CHECK(scene.answer == false);
  }
  scene.ask();
  scene.world.advance(dns::kNeighbourPatience);
  CHECK(scene.answer == false);
  CHECK(scene.neighbours.shared().empty());
}

TEST_CASE("a question that is forgotten is never answered") {
  Scene scene;
  Server server(scene.machine.host().env(), "127.0.0.55", true);
  scene.ask();
  scene.neighbours.forget(kStub);
  scene.world.advance(2 * dns::kNeighbourPatience);
  CHECK_FALSE(scene.answer.has_value());
}

TEST_CASE("the DNS address of another user's agent is no error in the log, another program's is") {
  for (const bool agent : {true, false}) {
    CAPTURE(agent);
    sim::World world;
    Machine machine{world, "a", "10.0.0.1/24"};
    Server server(machine.host().env(), agent ? "127.0.0.55" : "192.0.2.1", true);
    REQUIRE(machine.start("{}").empty());
    world.advance(3s);
    CHECK(machine.host().log().count("dns_shared") == (agent ? 1 : 0));
    CHECK(machine.host().log().count("dns_bind_failed") == (agent ? 0 : 1));
    CHECK(machine.agent().dns().listen.size() == (agent ? 1 : 0));
  }
}

}  // namespace
}  // namespace outrider::test
