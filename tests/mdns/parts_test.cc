// SPDX-License-Identifier: Apache-2.0
// The parts of the native provider one by one: names, packets, packing.
#include <doctest/doctest.h>

#include "mdns/limits.h"
#include "mdns/native/limits.h"
#include "mdns/native/packer.h"
#include "mdns/native/packet.h"
#include "mdns/service_name.h"
#include "tests/mdns/peer.h"

using namespace outrider;
using namespace outrider::mdns;
using dns::RrType;

namespace {

Link lan_link() {
  Link link;
  link.index = 2;
  link.v4 = link.carries_lan = true;
  link.prefixes = {*Prefix::parse("192.168.1.2/24")};
  link.addresses = {IpAddress::v4(192, 168, 1, 2)};
  link.own_host = link.addresses;
  return link;
}

Datagram from_neighbour(Bytes payload, std::uint16_t port = 5353) {
  return {payload, {IpAddress::v4(192, 168, 1, 9), port}, kGroupV4, 2, 255};
}

}  // namespace

TEST_CASE("names of service types") {
  CHECK(type_name("_hello._tcp")->to_string() == "_hello._tcp.local.");
  CHECK(type_name("_Hello-1._UDP").has_value());
  CHECK(type_name("_a-rather-long-service._tcp").has_value());
  for (const char* bad : {"", "_hello", "hello._tcp", "_hello._sctp", "_._tcp", "_he llo._tcp",
                          "_hello._tcp.local", "_h\xc3\xa9._tcp"})
    CHECK_FALSE(type_name(bad).has_value());
  CHECK(type_of(name("_HELLO._Tcp.LOCAL.")) == "_hello._tcp");
  CHECK_FALSE(type_of(name("_hello._tcp.example.")).has_value());
  CHECK_FALSE(type_of(name("x._hello._tcp.local.")).has_value());
  CHECK(key_of(name("My\\.Box._hello._tcp.local.")) == SightingKey{"_hello._tcp", "My.Box"});
  CHECK_FALSE(key_of(name("_hello._tcp.local.")).has_value());
  CHECK(host_name("box")->to_string() == "box.local.");
  CHECK(host_name("box.local")->to_string() == "box.local.");
  CHECK_FALSE(host_name("box.example.org").has_value());
  CHECK_FALSE(host_name("").has_value());
  CHECK(subtype_name("_v1", *type_name("_hello._tcp"))->to_string() ==
        "_v1._sub._hello._tcp.local.");
}

TEST_CASE("the next label after a conflict") {
  CHECK(next_label("hello", 2) == "hello-2");
  CHECK(next_label(std::string(63, 'x'), 10).size() == 63);
  // No half of a UTF-8 character is left behind.
  const std::string accented = std::string(60, 'x') + "\xc3\xa9";
  CHECK(next_label(accented, 2) == std::string(60, 'x') + "-2");
}

TEST_CASE("the host label of an announcement with addresses of its own depends on them") {
  const IpAddress first = IpAddress::v4(10, 0, 0, 1), second = IpAddress::v4(10, 0, 0, 2);
  const std::string plain = host_label("box", "cookie");
  CHECK(host_label("box", "cookie", {}) == plain);
  CHECK(host_label("box", "cookie", {first}).starts_with("box-"));
  CHECK(host_label("box", "cookie", {first}) == host_label("box", "cookie", {first}));
  const std::set<std::string> labels = {plain, host_label("box", "cookie", {first}),
                                        host_label("box", "cookie", {second}),
                                        host_label("box", "cookie", {first, second})};
  CHECK(labels.size() == 4);
}

TEST_CASE("every {address} of a TXT is replaced, IPv6 in brackets") {
  const std::vector<std::string> txt = {"a=http://{address}:80", "b={address}{address}", "c="};
  CHECK(with_address(txt, IpAddress::v4(10, 0, 0, 1)) ==
        std::vector<std::string>{"a=http://10.0.0.1:80", "b=10.0.0.110.0.0.1", "c="});
  CHECK(with_address({"a=http://{address}:80"}, IpAddress::parse("fe80::1")->with_scope(3)) ==
        std::vector<std::string>{"a=http://[fe80::1]:80"});
}

TEST_CASE("limit of subtypes") {
  Announcement wanted = hello();
  for (std::size_t i = 0; i < kSubtypesMax; ++i)
    wanted.subtypes.push_back("_s" + std::to_string(i));
  CHECK_FALSE(check(wanted).has_value());
  wanted.subtypes.emplace_back("_more");
  CHECK(check(wanted) == PublishError::bad_type);
  for (const char* bad : {"", "_S0", "\x01"}) {
    wanted.subtypes = {"_s0", bad};
    CHECK(check(wanted) == PublishError::bad_type);
  }
}

TEST_CASE("limits of one packet") {
  Sent sent;
  sent.flags.response = true;
  // The shortest records there are: PTR at the root to the root.
  std::vector<std::uint8_t> bytes = encode(sent);
  constexpr std::size_t kCount = kPacketRecordsMax + 10;
  bytes[6] = kCount >> 8, bytes[7] = kCount & 0xff;
  for (std::size_t i = 0; i < kCount; ++i)
    bytes.insert(bytes.end(), {0, 0, 12, 0, 1, 0, 0, 0, 9, 0, 1, 0});
  const auto packet = parse_packet(from_neighbour(bytes), lan_link(), 5353);
  REQUIRE(packet.has_value());
  CHECK(packet->answers.size() == kPacketRecordsMax);

  sent.flags.response = false;
  for (std::size_t i = 0; i < kPacketQuestionsMax + 10; ++i)
    sent.questions.push_back(question("q" + std::to_string(i) + ".local.", RrType::a));
  const auto asked = encode(sent);
  const auto query = parse_packet(from_neighbour(asked), lan_link(), 5353);
  REQUIRE(query.has_value());
  CHECK(query->questions.size() == kPacketQuestionsMax);

  // A question that is repeated costs no more than once.
  sent.questions.assign(200, question("q.local.", RrType::a));
  sent.questions.push_back(question("Q.local.", RrType::a));
  sent.questions.push_back(question("q.local.", RrType::a, true));
  const auto equal = encode(sent);
  const auto repeated = parse_packet(from_neighbour(equal), lan_link(), 5353);
  REQUIRE(repeated.has_value());
  CHECK(repeated->questions.size() == 2);
  for (std::uint16_t i = 0; i < 50; ++i) {
    sent.questions[i].rr_class = static_cast<dns::RrClass>(2 + i);  // CH, HS and unknown ones
    sent.questions[i].unicast_response = false;
  }
  const auto other_classes = encode(sent);
  const auto few = parse_packet(from_neighbour(other_classes), lan_link(), 5353);
  REQUIRE(few.has_value());
  CHECK(few->questions.size() == 2);
}

TEST_CASE("why a datagram is dropped") {
  const auto whole = encode(instance("x", "_hello._tcp", "h.local.", "192.168.1.9", 80));
  const Link link = lan_link();
  CHECK(parse_packet(from_neighbour(whole), link, 5353).has_value());
  CHECK(parse_packet(from_neighbour({}), link, 5353).error() == Drop::empty);
  CHECK(parse_packet(from_neighbour(Bytes(whole).first(11)), link, 5353).error() ==
        Drop::malformed);
  CHECK(parse_packet(from_neighbour(Bytes(whole).first(40)), link, 5353).error() ==
        Drop::malformed);
  CHECK(parse_packet(from_neighbour(whole, 5354), link, 5353).error() == Drop::port);
  Datagram unicast = from_neighbour(whole);
  unicast.to = IpAddress::v4(192, 168, 1, 2);
  CHECK(parse_packet(unicast, link, 5353).has_value());
  unicast.hop_limit = 64;
  CHECK(parse_packet(unicast, link, 5353).error() == Drop::off_link);
  unicast.hop_limit = 255;
  unicast.from.address = IpAddress::v4(203, 0, 113, 1);
  CHECK(parse_packet(unicast, link, 5353).error() == Drop::off_link);
  for (const Drop drop : {Drop::empty, Drop::malformed, Drop::opcode, Drop::port, Drop::off_link})
    CHECK(std::string(to_string(drop)).size() > 3);
}

TEST_CASE("payload that fits the link") {
  Link link = lan_link();
  CHECK(link.payload(IpAddress::Family::v4) == 1'472);
  CHECK(link.payload(IpAddress::Family::v6) == 1'452);
  link.mtu = 1'280;
  CHECK(link.payload(IpAddress::Family::v6) == 1'232);
  link.mtu = 65'536;
  CHECK(link.payload(IpAddress::Family::v4) == 1'472);
  link.mtu = 68;
  CHECK(link.payload(IpAddress::Family::v4) == kPayloadMin);
}

TEST_CASE("limits of addresses and links") {
  Interface eth;
  eth.index = 2;
  eth.name = "eth0";
  eth.up = eth.multicast = true;
  for (int i = 1; i <= 20; ++i)
    eth.addresses.push_back(*Prefix::parse("10.0.0." + std::to_string(i) + "/24"));
  CHECK(choose_links({eth}, {})[0].addresses.size() == kOwnAddressesMax);
  std::vector<Interface> many;
  for (std::uint32_t i = 1; i <= kLinksMax + 10; ++i) {
    many.push_back(eth);
    many.back().index = i;
  }
  CHECK(choose_links(many, {}).size() < kLinksMax);
}

TEST_CASE("a record set larger than a frame goes out alone") {
  std::vector<dns::Record> records = {ptr("_a._tcp.local.", "x._a._tcp.local.", 0),
                                      txt("x._a._tcp.local.", {5, std::string(255, 'x')}, 0),
                                      txt("y._a._tcp.local.", {8, std::string(255, 'y')}, 0),
                                      ptr("_a._tcp.local.", "z._a._tcp.local.", 0)};
  std::vector<std::size_t> sizes;
  Emit emit = [&](Bytes payload) { sizes.push_back(payload.size()); };
  pack_records(records, 1'472, emit);
  REQUIRE(sizes.size() == 3);
  CHECK(sizes[0] <= 1'472);
  CHECK(sizes[1] > 1'472);
  CHECK(sizes[2] <= 1'472);
}

TEST_CASE("a record set larger than anything that may be sent is left out") {
  const std::vector<dns::Record> records = {
      ptr("_a._tcp.local.", "x._a._tcp.local."),
      txt("x._a._tcp.local.",
          std::vector<std::string>(kPayloadMax / 256 + 1, std::string(255, 'x'))),
      txt("y._a._tcp.local.",
          std::vector<std::string>(kPayloadMax / 256 - 1, std::string(255, 'y')))};
  std::vector<std::size_t> sizes;
  Emit emit = [&](Bytes payload) { sizes.push_back(payload.size()); };
  pack_records(records, kPayloadV4, emit);
  REQUIRE(sizes.size() == 2);
  CHECK(sizes[0] <= kPayloadV4);
  CHECK(sizes[1] > kPayloadV4);
  CHECK(sizes[1] <= kPayloadMax);
}

TEST_CASE("words for errors") {
  for (const auto error : {PublishError::bad_label, PublishError::bad_type, PublishError::bad_txt,
                           PublishError::txt_too_long, PublishError::too_many})
    CHECK(std::string(to_string(error)).size() > 3);
  for (const auto reason : {LostReason::goodbye, LostReason::expired, LostReason::interface_down,
                            LostReason::reconfirmed, LostReason::evicted})
    CHECK(std::string(to_string(reason)).size() > 3);
}
