// SPDX-License-Identifier: Apache-2.0
// Interfaces that come, go and change; machines that sleep. RFC 6762 §8.3, §13, §14, §20.
#include "mdns/link.h"
#include "tests/scenarios/mdns/bench.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

namespace {

Interface interface(std::uint32_t index, const std::string& name, const std::string& kind,
                    const std::string& prefix) {
  Interface out;
  out.index = index;
  out.name = name;
  out.kind = kind;
  out.addresses = {*Prefix::parse(prefix)};
  out.up = true;
  out.multicast = name != "lo";
  out.loopback = name == "lo";
  return out;
}

std::string names(const std::vector<Link>& links) {
  std::string out;
  for (const Link& link : links)
    out += link.name + (link.carries_lan ? "+ " : " ");
  return out;
}

}  // namespace

TEST_CASE("which interfaces are used") {
  const Interface lo = interface(1, "lo", "", "127.0.0.1/8");
  const Interface eth = interface(2, "eth0", "", "192.168.1.2/24");
  const Interface wifi = interface(3, "wlan0", "", "192.168.2.2/24");
  const Interface docker = interface(4, "docker0", "bridge", "172.17.0.1/16");
  const Interface veth = interface(5, "veth1234", "veth", "169.254.1.1/16");
  const Interface tunnel = interface(6, "tun0", "tun", "10.8.0.1/24");
  const Interface bridge = interface(7, "br0", "bridge", "192.168.3.1/24");
  Interface port = interface(8, "eth1", "", "192.168.4.1/24");
  port.bridge_port = true;

  CHECK(names(choose_links({lo, eth, wifi, docker, veth, tunnel, bridge, port}, {})) ==
        "eth0+ wlan0+ lo ");
  CHECK(names(choose_links({lo, docker, bridge, port}, {})) == "br0+ lo ");
  // A container has nothing but one end of a veth pair.
  CHECK(names(choose_links({lo, interface(9, "eth0", "veth", "172.17.0.2/16")}, {})) ==
        "eth0+ lo ");
  CHECK(names(choose_links({lo, docker}, {})) == "docker0+ lo ");
  CHECK(names(choose_links({lo}, {})) == "lo+ ");
  CHECK(names(choose_links({}, {})).empty());

  LinkChoice choice;
  choice.include = {"docker*"};
  CHECK(names(choose_links({lo, eth, docker}, choice)) == "docker0+ lo ");
  choice.include.clear();
  choice.exclude = {"wlan?", "lo"};
  CHECK(names(choose_links({lo, eth, wifi}, choice)) == "eth0+ ");
  choice.exclude.clear();
  choice.ipv4 = false;
  CHECK(names(choose_links({lo, eth}, choice)).empty());

  Interface down = eth;
  down.up = false;
  CHECK(names(choose_links({lo, down}, {})) == "lo+ ");
}

TEST_CASE("globs") {
  CHECK(glob_match("eth*", "eth0"));
  CHECK(glob_match("*", ""));
  CHECK(glob_match("br-?*", "br-12ab"));
  CHECK(glob_match("*a*b", "xxaxxb"));
  CHECK_FALSE(glob_match("eth?", "eth10"));
  CHECK_FALSE(glob_match("eth", "eth0"));
  CHECK_FALSE(glob_match("", "eth0"));
}

TEST_CASE("hot-plugging repeats probing and announcing, there alone") {
  Bench bench;
  bench.settle();
  sim::Link& second = bench.world.link("second");
  bench.box.attach("eth1", second, {"10.0.0.2/24"});
  bench.world.advance(5s);
  CHECK(bench.probes().empty());
  std::size_t probes = 0, announcements = 0;
  for (const Message& message : messages(second)) {
    if (is_probe(message)) ++probes;
    if (!message.response() || !has(message.answers, kInstance, RrType::srv)) continue;
    ++announcements;
    const dns::Record* record = message.find(bench.host(), RrType::a);
    REQUIRE(record != nullptr);
    // Only the addresses of this interface.
    CHECK(std::get<dns::AddressData>(record->data).address.to_string() == "10.0.0.2");
  }
  CHECK(probes == 3);
  CHECK(announcements == 2);
  // Unplugged and plugged in again, with a conflict meanwhile.
  second.clear_capture();
  bench.box.set_up("eth1", false);
  bench.world.advance(1s);
  bench.box.set_up("eth1", true);
  REQUIRE(bench.world.run_until([&] { return !second.capture().empty(); }, 2s));
  bench.world.advance(2s);
  probes = 0;
  for (const Message& message : messages(second))
    probes += is_probe(message) ? 1 : 0;
  CHECK(probes == 3);
}

TEST_CASE("a port that another program has for itself is tried again, and reported once") {
  Bench bench;
  sim::Host& other = bench.world.host("other");
  other.attach("eth0", bench.lan, {"192.168.1.3/24"});
  struct : UdpSocket::Sink {
    void on_datagrams(std::span<const Datagram>) override {}
  } sink;
  auto holder = other.env().network.open_udp(
      {.bind = {*IpAddress::parse("224.0.0.251"), 5353}, .interface = 1}, sink);
  REQUIRE(holder.has_value());
  Peer peer(other, options_for("other"));
  bench.world.advance(1h);
  const auto reports = [&] {
    std::vector<std::string> found;
    for (const std::string& line : other.log().lines())
      if (line.find("mdns_socket_failed") != std::string::npos) found.push_back(line);
    return found;
  };
  REQUIRE(reports().size() == 2);
  CHECK(reports()[0] ==
        "warning mdns_socket_failed interface=eth0 family=ipv4 reason=address already in use");
  CHECK(reports()[1] ==
        "warning mdns_socket_failed interface=lo family=ipv4 reason=address already in use");
  CHECK(peer.state == ProviderState::down);
  CHECK(peer.why == "UDP port 5353: address already in use");
  holder->reset();
  bench.world.advance(10s);
  CHECK(peer.state == ProviderState::running);
  CHECK(reports().size() == 2);
}

TEST_CASE("what was seen on an interface goes with it, and comes back with it") {
  Bench bench;
  bench.world.host("b").attach("eth0", bench.lan, {"192.168.1.3/24"});
  Peer other(bench.world.host("b"), options_for("b"));
  REQUIRE(other->publish(1, hello()).has_value());
  bench.world.advance(5s);
  REQUIRE(bench.device->sees("hello") != nullptr);
  bench.box.set_up("eth0", false);
  bench.world.advance(10ms);
  CHECK(bench.device->sees("hello") == nullptr);
  CHECK(bench.device->lost[SightingKey{"_hello._tcp", "hello"}] == LostReason::interface_down);
  bench.box.set_up("eth0", true);
  const TimePoint up = bench.world.now();
  REQUIRE(bench.world.run_until([&] { return bench.device->sees("hello") != nullptr; }, 3s));
  CHECK(bench.world.now() - up < 1'500ms);
}

TEST_CASE("what is withdrawn right after an interruption is taken back") {
  Bench bench;
  bench.world.host("b").attach("eth0", bench.lan, {"192.168.1.3/24"});
  Peer other(bench.world.host("b"), options_for("b"));
  REQUIRE(other->publish(1, hello()).has_value());
  bench.world.advance(5s);
  REQUIRE(bench.device->sees("hello") != nullptr);
  bench.world.host("b").set_up("eth0", false);
  bench.world.advance(1s);
  bench.world.host("b").set_up("eth0", true);
  bench.world.advance(100ms);  // it is probed for again, and the others remember it
  REQUIRE(bench.device->sees("hello") != nullptr);
  other->withdraw(1);
  bench.world.advance(1'100ms);
  CHECK(bench.device->sees("hello") == nullptr);
}

TEST_CASE("without a LAN the loopback carries everything; with one again it does not") {
  Bench bench;
  Peer local(bench.box, options_for("local"));
  REQUIRE(local->publish(1, hello()).has_value());
  bench.world.advance(3s);
  REQUIRE(bench.device->sees("hello") != nullptr);
  CHECK(bench.device->sees("hello")->addresses[0].address.to_string() == "192.168.1.2");
  bench.box.set_up("eth0", false);
  bench.world.advance(3s);
  REQUIRE(bench.device->sees("hello") != nullptr);
  CHECK(bench.device->sees("hello")->addresses[0].address.to_string() == "127.0.0.1");
  bench.box.set_up("eth0", true);
  bench.world.advance(3s);
  REQUIRE(bench.device->sees("hello") != nullptr);
  CHECK(bench.device->sees("hello")->addresses[0].address.to_string() == "192.168.1.2");
  CHECK(bench.device->sees("hello")->addresses.size() == 1);
}

TEST_CASE("address change: the new one is announced at once, with cache-flush") {
  Bench bench;
  bench.world.host("b").attach("eth0", bench.lan, {"192.168.1.3/24"});
  Peer other(bench.world.host("b"), options_for("b"));
  Announcement wanted = hello();
  wanted.txt = {"farp.manifest=http://{address}:8080/_farp/manifest"};
  bench.settle();
  REQUIRE((*bench.device)->publish(1, wanted).has_value());
  bench.world.advance(3s);
  REQUIRE(other.sees("hello") != nullptr);
  CHECK(other.sees("hello")->txt.strings()[0] ==
        "farp.manifest=http://192.168.1.2:8080/_farp/manifest");
  bench.box.add_address("eth0", "192.168.1.42/24");
  bench.world.advance(1s);
  CHECK(other.sees("hello")->addresses.size() == 2);
  CHECK(bench.probes().empty());
  bench.box.remove_address("eth0", "192.168.1.2");
  bench.world.advance(3s);
  REQUIRE(other.sees("hello") != nullptr);
  REQUIRE(other.sees("hello")->addresses.size() == 1);
  CHECK(other.sees("hello")->addresses[0].address.to_string() == "192.168.1.42");
  CHECK(other.sees("hello")->txt.strings()[0] ==
        "farp.manifest=http://192.168.1.42:8080/_farp/manifest");
  CHECK(other.lost.empty());
}

TEST_CASE("a family is lost: its addresses are taken back over the other one") {
  for (const bool global : {true, false}) {
    const auto prefixes = [&](const std::string& number) {
      TwoHosts::Prefixes out = {"192.168.1." + number + "/24", "fe80::" + number + "/64"};
      if (global) out.push_back("2001:db8::" + number + "/64");
      return out;
    };
    TwoHosts hosts(prefixes("2"), prefixes("3"));
    auto& [world, lan, host_a, host_b, alice, bob] = hosts;
    hosts.meet();
    world.advance(5s);
    CHECK(bob.sees("hello")->addresses.size() == (global ? 2 : 1));
    lan.clear_capture();
    host_a.remove_address("eth0", "192.168.1.2");
    const auto serves_it = [&] {
      const Sighting* seen = bob.sees("hello");
      return seen != nullptr && std::any_of(seen->addresses.begin(), seen->addresses.end(),
                                            [](const auto& a) { return a.address.is_v4(); });
    };
    world.advance(100ms);
    CHECK_FALSE(serves_it());
    CHECK((bob.sees("hello") != nullptr) == global);  // else until the next one is announced
    world.advance(3s);
    CHECK_FALSE(serves_it());
    REQUIRE(bob.sees("hello") != nullptr);
    CHECK(bob.sees("hello")->addresses.size() == 1);
    // Nothing new to claim, if it is known by an address that stays.
    CHECK(messages(lan, is_probe).empty() == global);
  }
}

TEST_CASE("another network: claimed again") {
  Bench bench;
  bench.settle();
  bench.box.remove_address("eth0", "192.168.1.2");
  bench.box.add_address("eth0", "10.0.0.2/24");
  bench.world.advance(5s);
  CHECK(bench.probes().size() == 3);
}

TEST_CASE("IPv4 alone and IPv6 alone") {
  for (const bool v6 : {false, true}) {
    const auto prefixes = [&](const std::string& number) {
      return v6 ? TwoHosts::Prefixes{"2001:db8::" + number + "/64", "fe80::" + number + "/64"}
                : TwoHosts::Prefixes{"192.168.1." + number + "/24"};
    };
    TwoHosts hosts(prefixes("2"), prefixes("3"));
    auto& [world, lan, host_a, host_b, alice, bob] = hosts;
    hosts.meet();
    world.advance(3s);
    CHECK(bob.sees("hello")->addresses[0].address.to_string() ==
          (v6 ? "2001:db8::2" : "192.168.1.2"));
    for (const Message& message : messages(lan)) {
      CHECK(message.to.address.is_v6() == v6);
      if (v6) CHECK(message.from.address.is_link_local());
    }
  }
}

TEST_CASE("link-local alone is announced as it is, and seen with its scope") {
  TwoHosts hosts({"fe80::2/64"}, {"fe80::3/64"});
  hosts.meet();
  const Peer& bob = hosts.bob;
  const std::uint32_t index = hosts.b.env().network.interfaces().back().index;
  CHECK(bob.sees("hello")->addresses[0].address.to_string() == "fe80::2%" + std::to_string(index));
}

TEST_CASE("suspend and resume: claimed again, asked again, and the dead are found out") {
  Bench bench;
  bench.world.host("b").attach("eth0", bench.lan, {"192.168.1.3/24"});
  bench.world.host("c").attach("eth0", bench.lan, {"192.168.1.4/24"});
  NativeOptions slow = options_for("b");
  slow.ttl = TtlProfile::rfc;
  Peer stays(bench.world.host("b"), slow);
  slow.host = "c";
  Peer dies(bench.world.host("c"), slow);
  REQUIRE(stays->publish(1, hello("stays")).has_value());
  REQUIRE(dies->publish(1, hello("dies")).has_value());
  bench.settle();
  REQUIRE(bench.device->sees("stays") != nullptr);
  REQUIRE(bench.device->sees("dies") != nullptr);
  bench.box.sleep();
  bench.world.advance(600s);
  dies.kill();
  bench.lan.clear_capture();
  bench.box.wake();
  const TimePoint woke = bench.world.now();
  REQUIRE(bench.world.run_until([&] { return bench.device->sees("dies") == nullptr; }, 30s));
  CHECK(bench.world.now() - woke <= 20s);
  CHECK(bench.device->sees("stays") != nullptr);
  CHECK(bench.probes().size() == 3);
}

TEST_CASE("the port is taken by one that does not share: down, and up as soon as it is free") {
  sim::World world(5);
  sim::Link& lan = world.link("lan");
  sim::Host& box = world.host("box");
  box.attach("eth0", lan, {"192.168.1.2/24"});
  struct Deaf final : UdpSocket::Sink {
    void on_datagrams(std::span<const Datagram>) override {}
  } deaf;
  UdpOptions greedy;
  greedy.bind = {IpAddress::any(IpAddress::Family::v4), 5353};
  auto taken = box.env().network.open_udp(greedy, deaf);
  REQUIRE(taken.has_value());
  Peer device(box, options_for("box"));
  REQUIRE(device->publish(1, hello()).has_value());
  world.advance(3s);
  CHECK(device.state == ProviderState::down);
  CHECK(device.why.find("5353") != std::string::npos);
  CHECK(device.announced.empty());
  taken->reset();
  world.advance(8s);
  CHECK(device.state == ProviderState::running);
  CHECK(device.announced[1] == "hello");
}

TEST_CASE("no interface at all: down, and everything follows when one comes") {
  sim::World world(5);
  sim::Host& box = world.host("box");
  box.set_up("lo", false);
  Peer device(box, options_for("box"));
  REQUIRE(device->publish(1, hello()).has_value());
  world.advance(3s);
  CHECK(device.state == ProviderState::down);
  CHECK(device.announced.empty());
  box.attach("eth0", world.link("lan"), {"192.168.1.2/24"});
  world.advance(3s);
  CHECK(device.state == ProviderState::running);
  CHECK(device.announced[1] == "hello");
}
