// SPDX-License-Identifier: Apache-2.0
// Names that are published for themselves ("shop.local"), on the wire: RFC 6762 §8 to §10.
#include <algorithm>

#include <doctest/doctest.h>

#include "mdns/limits.h"
#include "mdns/native/limits.h"
#include "tests/mdns/peer.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

namespace {

constexpr const char* kShop = "shop.local.";

Announcement shop(const std::string& preferred = {}) {
  return {.label = "shop", .type = {}, .preferred = preferred};
}

struct Names : TwoHosts {
  using TwoHosts::TwoHosts;
  void publish(Peer& peer, AnnouncementId id, const Announcement& wanted) {
    REQUIRE(peer->publish(id, wanted).has_value());
  }
  /// Published, and announced under this label.
  void claim(Peer& peer, AnnouncementId id, const std::string& label,
             const Announcement& wanted = shop()) {
    publish(peer, id, wanted);
    REQUIRE(world.run_until([&] { return peer.announced.contains(id); }, 10s));
    CHECK(peer.announced[id] == label);
  }
  /// "192.168.1.2 192.168.1.3", as the peer finds them.
  std::string find(Peer& peer, const std::string& name) {
    std::optional<std::vector<SightedAddress>> found;
    const auto lookup = peer->lookup_host(
        name, 1s, [&](std::optional<std::vector<SightedAddress>> all, Duration) { found = all; });
    REQUIRE(world.run_until([&] { return found.has_value(); }, 3s));
    std::string text;
    for (const SightedAddress& one : *found)
      text += (text.empty() ? "" : " ") + one.address.to_string();
    return text;
  }
  std::vector<Message> from(const std::string& host,
                            const std::function<bool(const Message&)>& wanted) {
    return messages(lan, [&](const Message& m) { return m.host == host && wanted(m); });
  }
};

bool probes_for(const Message& message, const std::string& owner) {
  return is_probe(message) && std::ranges::any_of(message.questions, [&](const dns::Question& q) {
           return q.name == name(owner);
         });
}

/// A neighbour that has every name below .local that a host probes for.
struct Jealous {
  explicit Jealous(sim::Link& link) : lan(link) {}
  std::size_t denied() const { return denials.size(); }
  void look(TimePoint now) {
    const auto all = messages(lan, [](const Message& m) { return is_probe(m); });
    for (const Message& message : all)
      for (const dns::Record& record : message.authorities)
        if (record.type == RrType::a) {
          denials.push_back(now);
          inject(lan, "192.168.1.66",
                 {.flags = {.response = true, .authoritative = true},
                  .answers = {address(record.name.to_string(), "192.168.1.66")}});
        }
    lan.clear_capture();
  }
  sim::Link& lan;
  std::vector<TimePoint> denials;
};

}  // namespace

TEST_CASE_FIXTURE(Names, "a name is probed for, announced as unique, and taken back at once") {
  world.advance(1s);
  lan.clear_capture();
  claim(alice, 1, "shop");
  const auto probes = from("a", [](const Message& m) { return probes_for(m, kShop); });
  REQUIRE(probes.size() == kProbeCount);
  CHECK(probes[1].at - probes[0].at == kProbeInterval);
  REQUIRE(probes[0].authorities.size() == 1);
  CHECK(dns::to_string(probes[0].authorities[0]).find("192.168.1.2") != std::string::npos);
  CHECK(find(bob, "shop.local") == "192.168.1.2");
  CHECK(find(alice, "shop.local") == "192.168.1.2");
  const auto said = from(
      "a", [](const Message& m) { return m.response() && m.find(kShop, RrType::a) != nullptr; });
  REQUIRE_FALSE(said.empty());
  CHECK(said[0].find(kShop, RrType::a)->cache_flush);
  CHECK(said[0].find(kShop, RrType::a)->ttl == kShortHostTtl);
  world.advance(5s);

  lan.clear_capture();
  const TimePoint before = world.now();
  alice->withdraw(1);
  world.advance(2s);
  const auto goodbyes = from("a", [](const Message& m) {
    const dns::Record* record = m.find(kShop, RrType::a);
    return record != nullptr && record->ttl == 0;
  });
  REQUIRE(goodbyes.size() == kGoodbyeCount);
  CHECK(goodbyes[0].at - before < 10ms);
  CHECK(find(bob, "shop.local").empty());
  CHECK(find(alice, "shop.local").empty());
}

TEST_CASE_FIXTURE(Names, "two hosts that want one name at once get two, and keep them") {
  publish(alice, 1, shop());
  publish(bob, 1, shop());
  world.advance(10s);
  // §8.2: the later addresses win.
  CHECK(bob.announced[1] == "shop");
  CHECK(alice.announced[1] == "shop-2");
  CHECK(find(alice, "shop.local") == "192.168.1.3");
  CHECK(find(bob, "shop-2.local") == "192.168.1.2");
  lan.clear_capture();
  world.advance(std::chrono::minutes(10));
  CHECK(from("a", is_probe).empty());
  CHECK(from("b", is_probe).empty());
  CHECK(alice.count("announced shop-2") == 1);
}

TEST_CASE_FIXTURE(Names,
                  "a name that a conflict gave stays, and is asked for first the next time") {
  claim(bob, 1, "shop");
  claim(alice, 1, "shop-2");
  bob->withdraw(1);
  world.advance(5s);
  CHECK(alice.announced[1] == "shop-2");
  alice->withdraw(1);
  alice.announced.clear();
  world.advance(2s);
  claim(alice, 1, "shop-2", shop("shop-2"));
  // If that is taken, too, the next one: not the first, and not the same again.
  alice->withdraw(1);
  alice.announced.clear();
  world.advance(2s);
  Announcement second = shop();
  second.label = "shop-2";
  claim(bob, 2, "shop-2", second);
  claim(alice, 1, "shop-3", shop("shop-2"));
}

TEST_CASE("no name is taken that is the machine's own or that of another publication") {
  sim::World world(7);
  sim::Host& host = world.host("a");
  host.attach("eth0", world.link("lan"), {"192.168.1.2/24"});
  NativeOptions options = options_for("a");
  options.machine = "Shop";
  Peer peer(host, options);
  REQUIRE(peer->publish(1, shop()).has_value());
  REQUIRE(peer->publish(2, shop()).has_value());
  REQUIRE(peer->publish(3, hello()).has_value());
  Announcement like_host = shop();
  like_host.label = peer->host().substr(0, peer->host().find('.'));
  REQUIRE(peer->publish(4, like_host).has_value());
  world.advance(3s);
  CHECK(peer.announced[1] == "shop-2");
  CHECK(peer.announced[2] == "shop-3");
  CHECK(peer.announced[4] == like_host.label + "-2");
}

TEST_CASE_FIXTURE(Names, "a neighbour that has every name: slower and slower, and then no more") {
  Jealous jealous(lan);
  publish(alice, 1, shop());
  const TimePoint before = world.now();
  while (alice.conflicts.empty() && world.now() - before < std::chrono::minutes(5)) {
    world.advance(10ms);
    jealous.look(world.now());
  }
  REQUIRE(alice.conflicts == std::vector<AnnouncementId>{1});
  CHECK(alice.announced.empty());
  CHECK(jealous.denied() == kRenamesMax + 1);
  // §8.1: after fifteen within ten seconds, five seconds for each.
  for (std::size_t i = kConflictsMax; i < jealous.denied(); ++i)
    CHECK(jealous.denials[i] - jealous.denials[i - 1] >= kConflictPause);
  const std::size_t denied = jealous.denied();
  world.advance(std::chrono::minutes(10));
  jealous.look(world.now());
  CHECK(jealous.denied() == denied);
  // Only publish() tries again.
  claim(alice, 1, "shop");
}

TEST_CASE_FIXTURE(Names, "agents of one host share a name until the last one takes it back") {
  NativeOptions options = options_for("a");
  options.cookie = "another agent";
  Peer neighbour(a, options);
  claim(alice, 1, "shop");
  claim(neighbour, 1, "shop");
  alice->withdraw(1);
  world.advance(5s);
  CHECK(find(bob, "shop.local") == "192.168.1.2");
  CHECK(find(alice, "shop.local") == "192.168.1.2");
  CHECK(neighbour.count("announced shop") == 1);
  neighbour->withdraw(1);
  world.advance(2s);
  CHECK(find(bob, "shop.local").empty());
}

TEST_CASE_FIXTURE(Names,
                  "a name follows the addresses of its host, and is claimed again on a link") {
  claim(alice, 1, "shop");
  world.advance(3s);
  a.add_address("eth0", "192.168.1.7/24");
  a.remove_address("eth0", "192.168.1.2");
  world.advance(4s);
  CHECK(find(bob, "shop.local") == "192.168.1.7");

  a.set_up("eth0", false);
  world.advance(30s);
  CHECK(find(bob, "shop.local").empty());
  lan.clear_capture();
  a.set_up("eth0", true);
  world.advance(3s);
  CHECK(from("a", [](const Message& m) { return probes_for(m, kShop); }).size() == kProbeCount);
  CHECK(find(bob, "shop.local") == "192.168.1.7");

  // While its link was down, another host took the name.
  a.set_up("eth0", false);
  world.advance(30s);
  claim(bob, 1, "shop");
  a.set_up("eth0", true);
  REQUIRE(world.run_until([&] { return alice.announced[1] == "shop-2"; }, 5s));
  CHECK(find(bob, "shop-2.local") == "192.168.1.7");
}

TEST_CASE_FIXTURE(Names,
                  "addresses of its own are those of a name, and one for this host stays here") {
  Announcement elsewhere = shop();
  elsewhere.addresses = {*IpAddress::parse("192.168.1.77")};
  claim(alice, 1, "shop", elsewhere);
  CHECK(find(bob, "shop.local") == "192.168.1.77");
  elsewhere.addresses = {*IpAddress::parse("192.168.1.78")};
  publish(alice, 1, elsewhere);
  world.advance(4s);
  CHECK(find(bob, "shop.local") == "192.168.1.78");

  Announcement secret = shop();
  secret.label = "secret";
  secret.host_only = true;
  claim(alice, 2, "secret", secret);
  CHECK(find(bob, "secret.local").empty());
}
