// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <doctest/doctest.h>

#include "dns/wire/message_view.h"
#include "mdns/native/limits.h"
#include "tests/mdns/peer.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

namespace {

struct TwoDualStackHosts : TwoHosts {
  TwoDualStackHosts()
      : TwoHosts({"192.168.1.2/24", "fe80::2/64"}, {"192.168.1.3/24", "fe80::3/64"}) {}
};

}  // namespace

TEST_CASE_FIXTURE(TwoDualStackHosts,
                  "the state names the interfaces in use, also when they change") {
  world.advance(1s);
  CHECK(bob.state == ProviderState::running);
  CHECK(bob.why == "eth0");
  bob.host().attach("eth1", world.link("other"), {"10.1.0.3/24"});
  world.advance(1s);
  CHECK(bob.why == "eth0, eth1");
  bob.host().set_up("eth0", false);
  bob.host().set_up("eth1", false);
  world.advance(1s);
  CHECK(bob.state == ProviderState::running);
  CHECK(bob.why == "no network, only agents of this host");
  bob.host().set_up("eth0", true);
  world.advance(1s);
  CHECK(bob.why == "eth0");
}

TEST_CASE_FIXTURE(TwoDualStackHosts, "two hosts find each other, and lose each other by goodbye") {
  world.advance(1s);
  CHECK(bob.state == ProviderState::running);

  REQUIRE(alice->publish(1, hello()).has_value());
  REQUIRE(world.run_until([&] { return bob.sees("hello") != nullptr; }, 2s));
  CHECK(alice.announced[1] == "hello");
  const Sighting& seen = *bob.sees("hello");
  CHECK(seen.port == 8080);
  CHECK(seen.host == alice->host());
  CHECK(seen.txt == std::vector<std::string>{"version=1", "farp.enabled=true"});
  REQUIRE(seen.addresses.size() == 1);
  CHECK(seen.addresses[0].address.to_string() == "192.168.1.2");
  CHECK_FALSE(seen.own_host);
  CHECK(alice.sightings.empty());

  const TimePoint before = world.now();
  alice.stop();
  REQUIRE(world.run_until([&] { return bob.sees("hello") == nullptr; }, 2s));
  CHECK(world.now() - before < 10ms);
  CHECK(bob.lost[{"_hello._tcp", "hello"}] == LostReason::goodbye);
  world.advance(2s);
  CHECK(alice.stopped);
  const auto goodbyes = messages(lan, [](const Message& m) {
    const auto* record = m.find("hello._hello._tcp.local.", RrType::srv);
    return m.from.address.is_v4() && record != nullptr && record->ttl == 0;
  });
  REQUIRE(goodbyes.size() == 2);
  CHECK(goodbyes[1].at - goodbyes[0].at == 250ms);
}

TEST_CASE_FIXTURE(TwoHosts, "a peer that was killed is gone within the short TTL") {
  meet();
  world.advance(60s);
  CHECK(bob.count("lost hello expired") == 0);
  CHECK(bob.sees("hello") != nullptr);
  alice.kill();
  const TimePoint before = world.now();
  REQUIRE(world.run_until([&] { return bob.sees("hello") == nullptr; }, 60s));
  CHECK(world.now() - before <= 20s);
  CHECK(bob.lost[{"_hello._tcp", "hello"}] == LostReason::expired);
}

namespace {

/// What Alice was killed with, and the process that follows her on her host.
struct Successor : TwoHosts {
  explicit Successor(Announcement was = with_subtype(hello(), "_old")) {
    meet(was);
    world.advance(3s);
    alice.kill();
    world.advance(500ms);
    lan.clear_capture();
    next = std::make_unique<Peer>(a, options_for("a"));
  }
  static Announcement with_subtype(Announcement wanted, const std::string& subtype) {
    wanted.subtypes = {subtype};
    return wanted;
  }
  /// Records of TTL 0 that host a sent over IPv4.
  std::vector<std::string> goodbyes() {
    std::vector<std::string> out;
    for (const Message& message : messages(lan))
      for (const dns::Record& record : message.answers)
        if (message.host == "a" && message.from.address.is_v4() && record.ttl == 0)
          out.push_back(dns::to_string(record));
    return out;
  }
  std::size_t goodbyes(const std::string& part) {
    const auto all = goodbyes();
    return static_cast<std::size_t>(std::ranges::count_if(
        all, [&](const std::string& text) { return text.find(part) != std::string::npos; }));
  }

  std::unique_ptr<Peer> next;
};

constexpr Duration kWhileProbing[] = {0ms, 1ms, 100ms, 300ms, 500ms, 700ms};

}  // namespace

TEST_CASE("what a killed process announced is taken back by one that ends within its probing") {
  for (const bool stop : {false, true}) {
    for (const Duration after : kWhileProbing) {
      CAPTURE(stop);
      CAPTURE(after.count());
      Successor it;
      REQUIRE((*it.next)->publish(1, Successor::with_subtype(hello(), "_old")).has_value());
      it.world.advance(after);
      const TimePoint before = it.world.now();
      if (stop)
        it.next->stop();
      else
        (*it.next)->withdraw(1);
      REQUIRE(it.world.run_until([&] { return it.bob.sees("hello") == nullptr; }, 5s));
      CHECK(it.world.now() - before <= kProbeStartMax + kProbeInterval + 10ms);
      CHECK(it.bob.lost[{"_hello._tcp", "hello"}] == LostReason::goodbye);
      it.world.advance(1s);
      CHECK(it.next->announced.empty());
      CHECK(it.next->stopped == stop);
      for (const char* part :
           {" PTR hello._hello", "_old._sub", " SRV ", " TXT ", " A 192.168.1.2"})
        CHECK(it.goodbyes(part) >= kGoodbyeCount);
    }
  }
}

TEST_CASE("an instance that changed between two processes is taken back by its name") {
  Successor it(Successor::with_subtype(hello("hello", 1111), "_old"));
  REQUIRE((*it.next)->publish(1, hello("hello", 2222)).has_value());
  it.world.advance(300ms);
  (*it.next)->withdraw(1);
  CHECK(it.world.run_until([&] { return it.bob.sees("hello") == nullptr; }, 1s));
}

TEST_CASE("an instance that changes while it is probed for has its old data taken back") {
  Successor it(Successor::with_subtype(hello("hello", 1111), "_old"));
  REQUIRE((*it.next)->publish(1, Successor::with_subtype(hello("hello", 1111), "_old")));
  it.world.advance(100ms);
  REQUIRE((*it.next)->publish(1, Successor::with_subtype(hello("hello", 2222), "_new")));
  it.world.advance(5s);
  REQUIRE(it.bob.sees("hello") != nullptr);
  CHECK(it.bob.sees("hello")->port == 2222);
  CHECK(it.bob.lost.empty());
  CHECK(it.goodbyes("1111") == kGoodbyeCount);
  CHECK(it.goodbyes("_old._sub") == kGoodbyeCount);
  CHECK(it.goodbyes().size() == 2 * kGoodbyeCount);
}

TEST_CASE("an instance that is published again while its goodbye is in doubt stays known") {
  for (const Duration after : kWhileProbing) {
    CAPTURE(after.count());
    Successor it;
    REQUIRE((*it.next)->publish(1, hello()).has_value());
    it.world.advance(after);
    (*it.next)->withdraw(1);
    it.world.advance(20ms);
    REQUIRE((*it.next)->publish(2, hello()).has_value());
    it.world.advance(5s);
    CHECK(it.next->announced[2] == "hello");
    CHECK(it.bob.lost.empty());
    CHECK(it.goodbyes().empty());
  }
}

TEST_CASE("a name that another host has is not taken back by one that probed for it") {
  for (const bool probes : {false, true}) {
    for (const Duration after : kWhileProbing) {
      CAPTURE(probes);
      CAPTURE(after.count());
      TwoHosts it;
      it.world.host("c").attach("eth0", it.lan, {"192.168.1.4/24"});
      Peer carol(it.world.host("c"), options_for("c"));
      REQUIRE(it.bob->publish(1, hello()).has_value());
      if (!probes) it.world.advance(5s);
      REQUIRE(it.alice->publish(1, hello()).has_value());
      it.world.advance(after);
      it.alice->withdraw(1);
      it.world.advance(5s);
      CHECK(carol.sees("hello") != nullptr);
      CHECK(carol.lost.empty());
      for (const Message& message : messages(it.lan))
        for (const dns::Record& record : message.answers)
          if (message.host == "a" && record.ttl == 0)
            CHECK(dns::to_string(record).find("hello._hello") == std::string::npos);
    }
  }
}

TEST_CASE_FIXTURE(TwoHosts, "a TXT change is announced without a goodbye") {
  meet();
  world.advance(3s);
  Announcement changed = hello();
  changed.txt = {"version=2"};
  const TimePoint before = world.now();
  REQUIRE(alice->publish(1, changed).has_value());
  REQUIRE(world.run_until(
      [&] { return bob.sees("hello")->txt == std::vector<std::string>{"version=2"}; }, 3s));
  CHECK(world.now() - before < 50ms);
  world.advance(5s);
  CHECK(bob.sees("hello")->txt == std::vector<std::string>{"version=2"});
  CHECK(bob.log.end() == std::find_if(bob.log.begin(), bob.log.end(),
                                      [](const std::string& l) { return l.starts_with("lost"); }));
}

TEST_CASE_FIXTURE(TwoHosts,
                  "a port change is announced, and then a goodbye said for the old port alone") {
  REQUIRE(alice->publish(1, hello("hello", 1111)).has_value());
  REQUIRE(world.run_until([&] { return bob.sees("hello") != nullptr; }, 3s));
  world.advance(3s);
  lan.clear_capture();
  const TimePoint before = world.now();
  REQUIRE(alice->publish(1, hello("hello", 2222)).has_value());
  REQUIRE(world.run_until([&] { return bob.sees("hello")->port == 2222; }, 3s));
  CHECK(world.now() - before < 50ms);
  world.advance(5s);
  CHECK(bob.sees("hello")->port == 2222);
  CHECK(bob.lost.empty());

  std::vector<std::string> goodbyes;
  for (const sim::WireDatagram& datagram : lan.capture()) {
    const auto view = dns::MessageView::parse(datagram.payload);
    REQUIRE(view.has_value());
    auto records = view->records();
    while (auto record = records.next())
      if (record->record.ttl == 0) goodbyes.push_back(dns::to_string(record->record));
  }
  CHECK(goodbyes.size() == 2);
  for (const std::string& goodbye : goodbyes) {
    CAPTURE(goodbye);
    CHECK(goodbye.find("SRV") != std::string::npos);
    CHECK(goodbye.find("1111") != std::string::npos);
  }
}

TEST_CASE("a sighting says whether it was sent by the host that it names") {
  TwoHosts net;
  net.bob->browse({"_hello._tcp"});
  net.world.advance(1s);
  inject(net.lan, "192.168.1.9", instance("true", "_hello._tcp", "x.local.", "192.168.1.9", 80));
  inject(net.lan, "192.168.1.66", instance("forged", "_hello._tcp", "x.local.", "192.168.1.9", 80));
  net.meet();
  REQUIRE(net.bob.sees("true") != nullptr);
  CHECK(net.bob.sees("true")->by_host);
  REQUIRE(net.bob.sees("forged") != nullptr);
  CHECK_FALSE(net.bob.sees("forged")->by_host);
  CHECK(net.bob.sees("hello")->by_host);
}

TEST_CASE("agents of one host see each other, by the LAN, behind a firewall and without one") {
  enum class Lan : std::uint8_t { none, heard, deaf };
  for (const Lan lan : {Lan::none, Lan::heard, Lan::deaf}) {
    CAPTURE(static_cast<int>(lan));
    const std::string address = lan == Lan::none ? "127.0.0.1" : "10.0.0.1";
    sim::World world(10);
    sim::Host& box = world.host("box");
    if (lan != Lan::none) box.attach("eth0", world.link("lan"), {"10.0.0.1/24"});
    if (lan == Lan::deaf) world.link("lan").quality.loss_percent = 100;
    Peer one(box, options_for("one"));
    Peer two(box, options_for("two"));
    REQUIRE(one->publish(1, hello("first", 1111)).has_value());
    REQUIRE(two->publish(1, hello("second", 2222)).has_value());
    Announcement secret = hello("secret", 3333);
    secret.host_only = true;
    REQUIRE(two->publish(2, secret).has_value());
    world.advance(3s);
    REQUIRE(one.sees("second") != nullptr);
    REQUIRE(two.sees("first") != nullptr);
    CHECK(two.sees("first")->own_host);
    CHECK(two.sees("first")->addresses[0].address.to_string() == address);
    REQUIRE(one.sees("secret") != nullptr);
    CHECK(one.sees("secret")->addresses.size() == 1);
    CHECK(one.sees("secret")->addresses[0].address.to_string() == "127.0.0.1");
    CHECK(one.sees("first") == nullptr);  // no provider sights its own
    for (const Message& message : messages(world.link("lan")))
      CHECK(message.find("secret._hello._tcp.local.", RrType::srv) == nullptr);
    // What the LAN carries is not said twice.
    CHECK(std::ranges::any_of(messages(box.loopback()), [](const Message& m) {
            return m.response() && m.find("first._hello._tcp.local.", RrType::srv) != nullptr;
          }) == (lan != Lan::heard));
  }
}

TEST_CASE("a firewall comes and goes between agents of one host") {
  sim::World world(11);
  sim::Host& box = world.host("box");
  sim::Link& lan = world.link("lan");
  box.attach("eth0", lan, {"10.0.0.1/24"});
  Peer one(box, options_for("one"));
  Peer two(box, options_for("two"));
  REQUIRE(one->publish(1, hello("first", 1111)).has_value());
  world.advance(3s);
  REQUIRE(two.sees("first") != nullptr);
  lan.quality.loss_percent = 100;
  REQUIRE(two->publish(1, hello("late", 2222)).has_value());
  CHECK(world.run_until([&] { return one.sees("late") != nullptr; }, 2s));
  world.advance(5min);
  REQUIRE(two.sees("first") != nullptr);
  REQUIRE(one.sees("late") != nullptr);
  CHECK(one.sees("late")->addresses[0].address.to_string() == "10.0.0.1");
  lan.quality.loss_percent = 0;
  world.advance(5min);
  CHECK(two.sees("first") != nullptr);
  CHECK(one.sees("late") != nullptr);
  box.loopback().clear_capture();
  world.advance(1min);
  for (const Message& message : messages(box.loopback()))
    CHECK_FALSE(message.response());
}

namespace {

/// Questions for a name and type that left the host, each datagram once whatever its family.
std::size_t asked_for(const sim::Link& lan, const std::string& owner, RrType type) {
  return messages(lan,
                  [&](const Message& m) {
                    return !m.host.empty() && m.from.address.is_v4() && !m.response() &&
                           std::any_of(m.questions.begin(), m.questions.end(), [&](const auto& q) {
                             return q.name == name(owner) && q.type == type;
                           });
                  })
      .size();
}

}  // namespace

TEST_CASE("what one host has asked for all is not asked again by the others") {
  sim::World world(12);
  sim::Link& lan = world.link("lan");
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 12; ++i) {
    const std::string id = std::to_string(i);
    world.host("h" + id).attach("eth0", lan, {"192.168.1." + std::to_string(i + 10) + "/24"});
    peers.push_back(std::make_unique<Peer>(world.host("h" + id), options_for("h" + id)));
    (*peers.back())->browse({"_hello._tcp"});
  }
  REQUIRE((*peers[0])->publish(1, hello()).has_value());
  world.advance(10s);
  lan.clear_capture();
  world.advance(160s);
  // Every 16 s, one of eleven; two who ask in the same instant cannot know of each other.
  const std::size_t questions = asked_for(lan, "hello._hello._tcp.local.", RrType::srv);
  CHECK(questions >= 5);
  CHECK(questions <= 20);
  const auto answers = messages(lan, [](const Message& m) {
    return m.response() && m.find("hello._hello._tcp.local.", RrType::srv) != nullptr;
  });
  CHECK(answers.size() <= 25);
  for (std::size_t i = 1; i < peers.size(); ++i) {
    CHECK(peers[i]->sees("hello") != nullptr);
    CHECK(peers[i]->lost.empty());
  }
}

TEST_CASE("a refresh that another host has just asked for is left to his answer, once") {
  const std::string printer = "printer._hello._tcp.local.";
  for (const bool asked_by_another : {false, true}) {
    CAPTURE(asked_by_another);
    sim::World world(15);
    sim::Link& lan = world.link("lan");
    world.host("box").attach("eth0", lan, {"192.168.1.2/24"});
    Peer box(world.host("box"), options_for("box"));
    box->browse({"_hello._tcp"});
    world.advance(1s);
    Sent whole;
    whole.flags.response = true;
    whole.answers = {ptr("_hello._tcp.local.", printer), srv(printer, "printer.local.", 631),
                     txt(printer, {"a=b"}), address("printer.local.", "192.168.1.9")};
    inject(lan, "192.168.1.9", whole);
    world.advance(15'900ms);
    if (asked_by_another) {
      Sent asked;
      asked.questions = {question(printer, RrType::srv)};
      inject(lan, "192.168.1.8", asked);
    }
    world.advance(900ms);  // 80 % of 20 s is over, and 2 % on top
    CHECK(asked_for(lan, printer, RrType::srv) == (asked_by_another ? 0 : 1));
    CHECK(asked_for(lan, "printer.local.", RrType::a) == 1);
    world.advance(1s);  // no host has answered: 85 %
    CHECK(asked_for(lan, printer, RrType::srv) == (asked_by_another ? 1 : 2));
  }
}

TEST_CASE("an address that NSEC denies is not asked for again") {
  const std::string instance = "printer._hello._tcp.local.";
  const dns::Record nsec{.name = name("printer.local."),
                         .type = RrType::nsec,
                         .cache_flush = true,
                         .ttl = 120,
                         .data = dns::NsecData{name("printer.local."), {RrType::a}}};
  for (const bool denied : {false, true}) {
    CAPTURE(denied);
    sim::World world(13);
    sim::Link& lan = world.link("lan");
    world.host("box").attach("eth0", lan, {"192.168.1.2/24"});
    Peer box(world.host("box"), options_for("box"));
    box->browse({"_hello._tcp"});
    world.advance(1s);
    Sent without_address;
    without_address.flags.response = true;
    without_address.answers = {ptr("_hello._tcp.local.", instance),
                               srv(instance, "printer.local.", 631), txt(instance, {"a=b"})};
    inject(lan, "192.168.1.9", without_address);
    REQUIRE(
        world.run_until([&] { return asked_for(lan, "printer.local.", RrType::aaaa) == 1; }, 1s));
    Sent more;
    more.flags.response = true;
    more.answers = {address("printer.local.", "192.168.1.9")};
    if (denied) more.additionals = {nsec};
    inject(lan, "192.168.1.9", more);
    REQUIRE(world.run_until([&] { return box.sees("printer") != nullptr; }, 1s));
    world.advance(10s);
    CHECK(asked_for(lan, "printer.local.", RrType::a) == 1);
    CHECK(asked_for(lan, "printer.local.", RrType::aaaa) == (denied ? 1 : kResolveTries));
  }
}

TEST_CASE("a question for SRV alone shows nobody an instance without its TXT") {
  sim::World world(14);
  sim::Link& lan = world.link("lan");
  world.host("a").attach("eth0", lan, {"192.168.1.2/24"});
  Peer alice(world.host("a"), options_for("a"));
  REQUIRE(alice->publish(1, hello()).has_value());
  world.advance(5s);
  for (const RrType type : {RrType::srv, RrType::txt, RrType::any}) {
    lan.clear_capture();
    Sent asked;
    asked.questions = {question("hello._hello._tcp.local.", type)};
    inject(lan, "192.168.1.9", asked);
    world.advance(2s);
    const auto answers = messages(lan, [](const Message& m) { return m.response(); });
    REQUIRE(answers.size() == 1);
    const bool reachable = answers[0].find(alice->host() + ".", RrType::a) != nullptr;
    CHECK(reachable == (type != RrType::txt));
    CHECK(answers[0].find("hello._hello._tcp.local.", RrType::txt) != nullptr);
  }
}
