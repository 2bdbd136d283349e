// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/echoes.h"

#include <doctest/doctest.h>

#include "mdns/native/limits.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

using Family = IpAddress::Family;

struct EchoesTest {
  EchoesTest() {
    lan.index = 2;
    wifi.index = 3;
  }
  void send(const mdns::Link& link, std::string_view payload, Family family = Family::v4) {
    echoes.expect(now, link.index, family, as_bytes(payload));
  }
  bool comes_back(const mdns::Link& link, std::string_view payload, Family family = Family::v4) {
    Packet packet;
    packet.family = family;
    packet.from_here = true;
    return echoes.take(now, link, packet, as_bytes(payload));
  }

  TimePoint now{std::chrono::hours(1)};
  mdns::Link lan, wifi;
  Echoes echoes;
};

}  // namespace

TEST_CASE_FIXTURE(EchoesTest, "an echo is taken once for each time it was sent on its link") {
  send(lan, "a");
  send(lan, "a");
  CHECK(comes_back(lan, "a"));
  CHECK(comes_back(lan, "a"));
  // The same octets once more are those of another agent of this host.
  CHECK_FALSE(comes_back(lan, "a"));
  CHECK_FALSE(comes_back(lan, "b"));
}

TEST_CASE_FIXTURE(EchoesTest, "other links of this host on the same wire return any number") {
  send(lan, "a");
  for (int i = 0; i < 3; ++i)
    CHECK(comes_back(wifi, "a"));
  CHECK(comes_back(lan, "a"));
}

TEST_CASE_FIXTURE(EchoesTest, "a datagram of the other family or of another host is no echo") {
  send(lan, "a");
  CHECK_FALSE(comes_back(lan, "a", Family::v6));
  Packet packet;
  CHECK_FALSE(echoes.take(now, lan, packet, as_bytes("a")));
  CHECK(comes_back(lan, "a"));
}

TEST_CASE_FIXTURE(EchoesTest, "an echo is forgotten after its life") {
  send(lan, "a");
  now += kEchoLife / 2;
  send(lan, "a");
  now += kEchoLife / 2 - 1ms;
  CHECK(echoes.expected() == 2);
  CHECK(comes_back(lan, "a"));
  now += 1ms;
  CHECK(comes_back(lan, "a"));
  CHECK(echoes.expected() == 1);
  now += kEchoLife;
  CHECK_FALSE(comes_back(wifi, "a"));
  CHECK(echoes.expected() == 0);
}

TEST_CASE_FIXTURE(EchoesTest, "limit of echoes") {
  for (std::size_t i = 0; i < kEchoesMax + 10; ++i)
    send(lan, std::to_string(i));
  CHECK(echoes.expected() == kEchoesMax);
  CHECK(comes_back(lan, std::to_string(kEchoesMax - 1)));
  CHECK_FALSE(comes_back(lan, std::to_string(kEchoesMax)));
  now += kEchoLife;
  send(lan, "late");
  CHECK(echoes.expected() == 1);
}
