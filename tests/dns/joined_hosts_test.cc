// SPDX-License-Identifier: Apache-2.0
#include "dns/joined_hosts.h"

#include <doctest/doctest.h>

#include "tests/dns/bed.h"

using namespace outrider;
using namespace outrider::dns;

namespace {

/// Answers when it is told to.
struct Hosts final : HostNames {
  struct Token final : Pending {
    explicit Token(Hosts& of) : hosts(of) { ++hosts.open; }
    ~Token() override { --hosts.open; }
    Hosts& hosts;
    Answer answer;
  };
  std::unique_ptr<Pending> lookup(const std::string& host, Duration, Answer answer) override {
    asked.push_back(host);
    auto token = std::make_unique<Token>(*this);
    token->answer = std::move(answer);
    last = token.get();
    return token;
  }
  void reply() {
    Answer answer = std::move(last->answer);
    answer(std::vector<IpAddress>{*IpAddress::parse("192.168.1.7")}, 120s);
  }
  std::vector<std::string> asked;
  Token* last = nullptr;
  int open = 0;
};

}  // namespace

TEST_CASE("lookups of one host are one, and all get its answer") {
  Hosts hosts;
  JoinedHosts joined(hosts);
  int answered = 0;
  const auto count = [&answered](const auto&, Duration ttl) { answered += ttl == 120s ? 1 : 100; };
  auto one = joined.lookup("box.local", 1s, count);
  auto two = joined.lookup("box.local", 1s, count);
  auto gone = joined.lookup("box.local", 1s, count);
  auto other = joined.lookup("other.local", 1s, count);
  CHECK(hosts.asked == std::vector<std::string>{"box.local", "other.local"});
  other.reset();
  CHECK(hosts.open == 1);  // no caller waits for it
  gone.reset();
  one.reset();
  CHECK(hosts.open == 1);
  auto again = joined.lookup("box.local", 1s, count);
  hosts.asked.clear();
  auto box = joined.lookup("next.local", 1s, count);
  hosts.reply();
  CHECK(answered == 1);
  two.reset();
  again.reset();
  CHECK(hosts.open == 0);
  // What is over is asked again.
  box = joined.lookup("next.local", 1s, count);
  CHECK(hosts.asked == std::vector<std::string>{"next.local", "next.local"});
}

TEST_CASE("an answer may destroy the tokens of others") {
  Hosts hosts;
  JoinedHosts joined(hosts);
  std::unique_ptr<Pending> one, two;
  int answered = 0;
  const auto destroy = [&](const auto&, Duration) {
    ++answered;
    one.reset();
    two.reset();
  };
  one = joined.lookup("box.local", 1s, destroy);
  two = joined.lookup("box.local", 1s, destroy);
  hosts.reply();
  CHECK(answered == 2);
  CHECK(hosts.open == 0);
}

TEST_CASE("A and AAAA of a host ask the LAN once") {
  Hosts hosts;
  test::Bed bed;
  bed.server.set_host_names(&hosts);
  bed.send(test::Ask{"box.local", RrType::a}.wire());
  bed.send(test::Ask{"BOX.local", RrType::aaaa}.wire());
  bed.world.advance(5ms);
  CHECK(hosts.asked == std::vector<std::string>{"box.local"});
  hosts.reply();
  bed.world.advance(5ms);
  CHECK(bed.take_replies().size() == 2);
  bed.server.set_host_names(nullptr);
}
