// SPDX-License-Identifier: Apache-2.0
// The corner cases of a stub's answers, over UDP of the simulated machine.
#include <algorithm>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "tests/dns/hex.h"
#include "tests/dns/scripted_upstream.h"

using namespace outrider;
using namespace outrider::dns;
using namespace outrider::test;

namespace {

using Texts = std::vector<std::string>;

/// web.svc with two instances; job.svc known and all critical; a tag below web.
void fill(Bed& bed) {
  bed.zone.set(name("web.svc"), {a("10.0.0.1"), a("10.0.0.2", 1), a("2001:db8::1"),
                                 srv(8080, "one.web.svc"), txt({"version=1"})});
  bed.zone.set(name("one.web.svc"),
               {a("10.0.0.1"), a("2001:db8::1"), srv(8080, "one.web.svc"), txt({"id=one"})});
  bed.zone.set(name("job.svc"), {}, "2 known, 0 passing; last: HTTP 503 1.2 s ago");
  bed.zone.set(name("v1._tag.web.svc"), {a("10.0.0.1")});
  bed.zone.set(name("_http._tcp.web.svc"), {srv(8080, "one.web.svc")});
  bed.zone.set(name("_web._tcp.svc"), {ptr("one._web._tcp.svc"), srv(8080, "one.web.svc")});
}

}  // namespace

TEST_CASE("RCODE and data in the corner cases") {
  Bed bed;
  fill(bed);
  struct Row {
    std::string_view name;
    RrType type;
    std::string_view outcome;
    Texts answer;
  };
  const Row rows[] = {
      {"web.svc", RrType::a, "NOERROR", {"web.svc. 5 IN A 10.0.0.1", "web.svc. 5 IN A 10.0.0.2"}},
      {"WEB.Svc", RrType::aaaa, "NOERROR", {"WEB.Svc. 5 IN AAAA 2001:db8::1"}},
      {"web.svc", RrType::srv, "NOERROR", {"web.svc. 5 IN SRV 0 1 8080 one.web.svc."}},
      {"web.svc", RrType::txt, "NOERROR", {"web.svc. 5 IN TXT \"version=1\""}},
      {"web.svc", RrType::mx, "NODATA", {}},
      {"web.svc", RrType::https, "NODATA", {}},
      {"web.svc", RrType::any, "NOERROR", {"web.svc. 5 IN A 10.0.0.1", "web.svc. 5 IN A 10.0.0.2"}},
      {"job.svc", RrType::a, "NODATA", {}},
      {"job.svc", RrType::aaaa, "NODATA", {}},
      {"job.svc", RrType::any, "NODATA", {}},
      {"_tag.web.svc", RrType::a, "NODATA", {}},
      {"_tcp.web.svc", RrType::srv, "NODATA", {}},
      {"_tcp.svc", RrType::any, "NODATA", {}},
      {"nobody.svc", RrType::a, "NXDOMAIN", {}},
      {"nobody.svc", RrType::txt, "NXDOMAIN", {}},
      {"x.nobody.svc", RrType::a, "NXDOMAIN", {}},
      {"eb.svc", RrType::a, "NXDOMAIN", {}},
      {"svc", RrType::a, "NODATA", {}},
      {"svc", RrType::soa, "NOERROR", {}},
      {"svc", RrType::ns, "NOERROR", {"svc. 5 IN NS ns.svc."}},
      {"ns.svc", RrType::a, "NOERROR", {"ns.svc. 5 IN A 127.0.0.55"}},
      {"_web._tcp.svc", RrType::ptr, "NOERROR", {"_web._tcp.svc. 5 IN PTR one._web._tcp.svc."}},
      {"web.svc.example.com", RrType::a, "REFUSED", {}},
      {"websvc", RrType::a, "REFUSED", {}},
      {"example.com", RrType::a, "REFUSED", {}},
      {".", RrType::ns, "REFUSED", {}},
      {"svc", RrType::axfr, "REFUSED", {}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CAPTURE(to_string(row.type));
    const Answer answer = bed.ask({std::string(row.name), row.type});
    CHECK(answer.outcome() == row.outcome);
    if (row.type != RrType::soa) CHECK(answer.answer == row.answer);
    const bool ours = row.outcome != "REFUSED";
    CHECK(answer.flags.authoritative == ours);
    CHECK(!answer.flags.recursion_available);
    CHECK(answer.flags.recursion_desired);
    // RFC 2308 §2: SOA in every negative answer.
    if (row.outcome == "NODATA" || row.outcome == "NXDOMAIN") {
      const std::string serial = std::to_string(bed.zone.serial());
      CHECK(answer.authority ==
            Texts{"svc. 2 IN SOA ns.svc. hostmaster.svc. " + serial + " 3600 600 86400 2"});
    } else {
      CHECK(answer.authority.empty());
    }
  }
}

TEST_CASE("the RCODE depends on the name, whatever the type and the state") {
  Bed bed;
  const std::string names[] = {"svc", "ns.svc", "a.svc", "b.a.svc", "x.b.a.svc", "c.svc", "q.svc"};
  SeededRandom random(5);
  for (int round = 0; round < 60; ++round) {
    const Name owner = name(names[1 + random.below(std::size(names) - 1)]);
    if (random.below(3) == 0) {
      bed.zone.erase(owner);
    } else {
      std::vector<ZoneRecord> records;
      if (random.below(2) == 0) records.push_back(a("10.0.0.1"));
      if (random.below(2) == 0) records.push_back(a("2001:db8::1"));
      if (random.below(2) == 0) records.push_back(srv(80, "b.a.svc"));
      bed.zone.set(owner, records, "why");
    }
    for (const std::string& asked : names) {
      std::set<Rcode> seen;
      for (const unsigned type :
           {1U,  2U,  5U,  6U,  12U,  13U,  15U,  16U,  28U,  33U,  43U,    47U,
            48U, 64U, 65U, 99U, 128U, 249U, 250U, 253U, 254U, 255U, 65'280U})
        seen.insert(bed.ask({asked, static_cast<RrType>(type)}).rcode);
      CAPTURE(asked);
      CHECK(seen.size() == 1);
      // A transfer is an operation and not a type of data: refused whatever the name (RFC 5936 §5).
      for (const RrType transfer : {RrType::axfr, RrType::ixfr})
        CHECK(bed.ask({asked, transfer}).rcode == Rcode::refused);
    }
  }
}

TEST_CASE("SOA at the origin counts changes") {
  Bed bed;
  const auto serial = [&bed] {
    const auto answer = bed.ask({"svc", RrType::soa}).answer;
    REQUIRE(answer.size() == 1);
    return answer[0];
  };
  CHECK(serial() == "svc. 5 IN SOA ns.svc. hostmaster.svc. 1 3600 600 86400 2");
  bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  bed.zone.set(name("web.svc"), {a("10.0.0.1", 2, 7)});  // order only
  CHECK(serial() == "svc. 5 IN SOA ns.svc. hostmaster.svc. 2 3600 600 86400 2");
  bed.zone.erase(name("web.svc"));
  bed.zone.erase(name("web.svc"));
  CHECK(serial() == "svc. 5 IN SOA ns.svc. hostmaster.svc. 3 3600 600 86400 2");
}

TEST_CASE("extended errors say why") {
  Bed bed;
  fill(bed);
  Answer answer = bed.ask({"job.svc", RrType::aaaa, 1'232});
  CHECK(answer.outcome() == "NODATA");
  CHECK(answer.error == 0U);
  CHECK(answer.error_text == "2 known, 0 passing; last: HTTP 503 1.2 s ago");
  CHECK(answer.edns_size == 1'232);
  answer = bed.ask({"example.com", RrType::a, 4'096});
  CHECK(answer.error == 20U);
  CHECK(answer.error_text == "not one of our names, and forwarding is off");
  CHECK(!bed.ask({"job.svc"}).has_edns);
  CHECK(!bed.ask({"web.svc", RrType::mx, 1'232}).error);

  bed.zone.set(name("web.svc"), {a("10.0.0.1")}, "link lost 20 s ago", true);
  answer = bed.ask({"web.svc", RrType::a, 1'232});
  CHECK(answer.error == 3U);
  CHECK(answer.error_text == "link lost 20 s ago");
  bed.zone.set(name("job.svc"), {}, std::string(300, 'x'));
  CHECK(bed.ask({"job.svc", RrType::a, 1'232}).error_text.size() == kWhyBytesMax);
  // The text gives way where there is no room for it.
  const std::string label(63, 'y');
  const std::string longest =
      label + '.' + label + '.' + label + '.' + std::string(57, 'z') + ".svc";
  bed.zone.set(name(longest), {}, std::string(200, 'x'));
  answer = bed.ask({longest, RrType::a, 512});
  CHECK(answer.size == 512);
  CHECK(answer.authority.size() == 1);
  CHECK(answer.error_text.size() > 100);
}

TEST_CASE("EDNS: sizes, versions, options that we do not know, DO") {
  Bed bed;
  fill(bed);
  Ask ask{"web.svc", RrType::a, 4'096};
  ask.dnssec_ok = true;
  ask.edns_options = hex("000a 0008 0102030405060708 fde9 0000");  // a cookie, a local-use option
  Answer answer = bed.ask(ask);
  CHECK(answer.outcome() == "NOERROR");
  CHECK(answer.dnssec_ok);
  CHECK(!answer.flags.authentic_data);
  ask.edns_version = 1;
  answer = bed.ask(ask);
  CHECK(answer.rcode == Rcode::badvers);
  CHECK(answer.answer.empty());
  CHECK(answer.question == "web.svc. A");
  CHECK(bed.ask({"web.svc", RrType::a, 0}).outcome() == "NOERROR");  // below 512 counts as 512
  ask.edns_version = 0;
  for (const char* const cut : {"000a 0009 0102030405060708", "fde9 00", "000a 0000 fde9"}) {
    ask.edns_options = hex(cut);
    CHECK(bed.ask(ask).rcode == Rcode::formerr);
  }
  CHECK(bed.server.counters().badvers == 1);
}

TEST_CASE("flags: RD and CD come back, AD and Z do not") {
  Bed bed;
  fill(bed);
  Ask ask{"web.svc"};
  ask.flags = {.recursion_desired = false, .authentic_data = true, .checking_disabled = true};
  auto wire = ask.wire();
  wire[3] |= 0x40;
  const auto got = bed.exchange(wire);
  REQUIRE(got.size() == 1);
  CHECK(got[0][2] == 0x84);
  CHECK(got[0][3] == 0x10);
}

TEST_CASE("opcodes, classes and question counts") {
  Bed bed;
  fill(bed);
  for (unsigned opcode = 1; opcode < 16; ++opcode) {
    Ask ask{"web.svc"};
    ask.flags.opcode = static_cast<Opcode>(opcode);
    const Answer answer = bed.ask(ask);
    CHECK(answer.rcode == Rcode::notimp);
    CHECK(answer.flags.opcode == static_cast<Opcode>(opcode));
  }
  CHECK(bed.server.counters().notimp == 15);

  Ask version{"VERSION.bind", RrType::txt};
  version.rr_class = RrClass::ch;
  CHECK(bed.ask(version).answer ==
        Texts{"VERSION.bind. 0 CH TXT \"outrider " OUTRIDER_VERSION "\""});
  version.name = "hostname.bind";
  CHECK(bed.ask(version).rcode == Rcode::refused);
  Ask odd{"web.svc"};
  odd.rr_class = static_cast<RrClass>(4);
  CHECK(bed.ask(odd).rcode == Rcode::refused);
  odd.rr_class = RrClass::any;
  CHECK(bed.ask(odd).answer.size() == 2);

  const auto outcome = [&bed](std::string_view text) {
    const auto got = bed.exchange(hex(text));
    return got.empty() ? std::string("none") : Answer::read(got.at(0)).outcome();
  };
  CHECK(outcome("1234 0100 0000 0000 0000 0000") == "FORMERR");
  CHECK(outcome("1234 0100 0002 0000 0000 0000 0161 00 0001 0001 0162 00 0001 0001") == "FORMERR");
  CHECK(outcome("1234 0100 0001 0000 0000 0000 c00c 0001 0001") == "FORMERR");
  CHECK(outcome("1234 0100 0001 0000 0000 0000 0161 00 0001") == "FORMERR");
  CHECK(outcome("1234 0100 0001 0000 0000 0000 00 0001 0001 ff") == "FORMERR");
  CHECK(outcome("1234 0100 0001 0000 0000 0001 00 0001 0001") == "FORMERR");
  CHECK(outcome("1234 8100 0001 0000 0000 0000 00 0001 0001") == "none");  // a response
  CHECK(outcome("1234 01") == "none");
  CHECK(outcome("") == "none");
  CHECK(bed.server.counters().formerr == 6);
  CHECK(bed.server.counters().dropped == 3);
}

TEST_CASE("queries cut off at every octet, and noise, are counted and never fatal") {
  Bed bed;
  fill(bed);
  Ask ask{"web.svc", RrType::a, 1'232};
  ask.edns_options = hex("000a 0008 0102030405060708");
  const auto whole = ask.wire();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto got = bed.exchange(Bytes(whole).first(size));
    if (size < 12) {
      CHECK(got.empty());
    } else {
      REQUIRE(got.size() == 1);
      CHECK(Answer::read(got[0]).rcode == Rcode::formerr);
    }
  }
  SeededRandom random(9);
  for (int i = 0; i < 2'000; ++i) {
    auto bytes = whole;
    for (auto n = 1 + random.below(6); n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.u64());
    for (const auto& reply : bed.exchange(bytes))
      Answer::read(reply);
  }
  std::vector<std::uint8_t> large(65'507, 0xc0);
  std::copy_n(whole.begin(), 12, large.begin());
  bed.exchange(large);
  const StubCounters& seen = bed.server.counters();
  CHECK(seen.queries_udp == seen.answers + seen.nodata + seen.nxdomain + seen.refused +
                                seen.formerr + seen.notimp + seen.badvers + seen.dropped);
  CHECK(bed.ask({"web.svc"}).answer.size() == 2);
}

TEST_CASE("a query longer than kWaitingQueryBytesMax is answered at once instead of held") {
  Bed bed;
  bed.hold = 300ms;
  Ask ask{"late.svc", RrType::a, 1'232};
  const auto pad = [&ask](std::size_t whole) {
    ask.edns_options.clear();
    const std::size_t room = whole - ask.wire().size() - 4;  // RFC 7830: an option of zeros
    ask.edns_options = {0, 12, static_cast<std::uint8_t>(room >> 8),
                        static_cast<std::uint8_t>(room)};
    ask.edns_options.resize(4 + room);
    REQUIRE(ask.wire().size() == whole);
  };
  pad(kWaitingQueryBytesMax);
  bed.send(ask.wire());
  bed.world.advance(100ms);
  CHECK(bed.take_replies().empty());
  bed.world.advance(300ms);
  CHECK(bed.take_replies().size() == 1);
  pad(kWaitingQueryBytesMax + 1);
  bed.send(ask.wire());
  bed.world.advance(100ms);
  CHECK(bed.take_replies().size() == 1);
}

TEST_CASE("sizes: whole records, additional gives way first, TC only when an answer is cut") {
  Bed bed;
  std::vector<ZoneRecord> many, targets;
  for (int i = 1; i <= 40; ++i) {
    const std::string target = "i" + std::to_string(i) + ".big.svc";
    many.push_back(srv(8080, target));
    bed.zone.set(name(target), {a("10.0.1." + std::to_string(i))});
  }
  bed.zone.set(name("big.svc"), many);
  bed.zone.set(name("few.svc"),
               {srv(1, "i1.big.svc"), srv(2, "i2.big.svc"), srv(3, "elsewhere.net")});

  Answer answer = bed.ask({"few.svc", RrType::srv});
  CHECK(answer.answer.size() == 3);
  CHECK(answer.additional.size() == 2);
  CHECK(!answer.flags.truncated);
  answer = bed.ask({"big.svc", RrType::srv});
  CHECK(answer.flags.truncated);
  CHECK(answer.size <= 512);
  CHECK(answer.answer.size() >= 14);
  CHECK(answer.additional.empty());
  answer = bed.ask({"big.svc", RrType::srv, 65'535});
  CHECK(answer.flags.truncated);
  CHECK(answer.size <= kUdpAnswerBytesMax);
  CHECK(answer.answer.size() > 30);
  CHECK(bed.server.counters().truncated == 2);

  // 14 SRV fill 512 octets nearly; their addresses are left out without TC.
  many.resize(14);
  bed.zone.set(name("big.svc"), many);
  answer = bed.ask({"big.svc", RrType::srv});
  CHECK(!answer.flags.truncated);
  CHECK(answer.answer.size() == 14);
  CHECK(answer.additional.size() < 14);
}

TEST_CASE("order: ranks, the first by weight, the answers limit") {
  Bed bed;
  std::vector<ZoneRecord> records = {a("10.0.0.1", 0, 1), a("10.0.0.2", 0, 9),
                                     a("10.0.0.3", 8, 100)};
  for (int i = 10; i < 30; ++i)
    records.push_back(a("10.0.0." + std::to_string(i), 1));
  bed.zone.set(name("web.svc"), records);
  std::map<std::string, int> first, third;
  for (int i = 0; i < 1'000; ++i) {
    const auto answer = bed.ask({"web.svc"}).answer;
    REQUIRE(answer.size() == 8);
    ++first[answer[0]];
    ++third[answer[2]];
    CHECK(std::set<std::string>(answer.begin(), answer.end()).size() == 8);
  }
  CHECK(first.size() == 2);
  CHECK(first["web.svc. 5 IN A 10.0.0.2"] > 850);
  CHECK(first["web.svc. 5 IN A 10.0.0.2"] < 950);
  CHECK(third.size() == 20);  // all of rank 1 take turns
  CHECK(!third.contains("web.svc. 5 IN A 10.0.0.3"));
}

TEST_CASE("no cache keeps a record longer than it lives") {
  Bed bed;
  ZoneRecord brief = a("10.0.0.1");
  brief.not_after = bed.world.now() + 2500ms;
  bed.zone.set(name("web.svc"), {brief, a("10.0.0.2")});
  for (const std::string& text : bed.ask({"web.svc"}).answer)
    CHECK(text.starts_with("web.svc. 2 IN"));  // one TTL for the set, rounded down
  bed.world.advance(3s);
  for (const std::string& text : bed.ask({"web.svc"}).answer)
    CHECK(text.starts_with("web.svc. 0 IN"));
}

TEST_CASE("reverse names that are ours, and those that are not") {
  Bed bed;
  bed.server.reverse().set(name("1.0.0.10.in-addr.arpa"), {ptr("one.web.svc")});
  CHECK(bed.ask({"1.0.0.10.IN-ADDR.arpa", RrType::ptr}).answer ==
        Texts{"1.0.0.10.IN-ADDR.arpa. 5 IN PTR one.web.svc."});
  const Answer answer = bed.ask({"1.0.0.10.in-addr.arpa", RrType::a});
  CHECK(answer.outcome() == "NODATA");
  CHECK(answer.authority.size() == 1);
  CHECK(bed.ask({"2.0.0.10.in-addr.arpa", RrType::ptr}).outcome() == "REFUSED");
  CHECK(bed.ask({"0.0.10.in-addr.arpa", RrType::ptr}).outcome() == "REFUSED");
  bed.server.reverse().erase(name("1.0.0.10.in-addr.arpa"));
  CHECK(bed.ask({"1.0.0.10.in-addr.arpa", RrType::ptr}).outcome() == "REFUSED");
}

TEST_CASE("a query for an unknown name is held until the name appears") {
  Bed bed;
  bed.hold = 300ms;
  bed.send(Ask{"late.svc", RrType::a}.wire(1));
  bed.send(Ask{"never.svc", RrType::a}.wire(2));
  bed.world.advance(100ms);
  CHECK(bed.take_replies().empty());
  CHECK(bed.unknown == Texts{"late.svc.", "never.svc."});
  bed.zone.set(name("one.late.svc"), {a("10.0.0.9")});  // late.svc is but an empty non-terminal
  bed.world.advance(10ms);
  CHECK(bed.take_replies().empty());
  bed.zone.set(name("late.svc"), {a("10.0.0.9")});
  bed.world.advance(1ms);
  auto got = bed.take_replies();
  REQUIRE(got.size() == 1);
  CHECK(Answer::read(got[0]).answer == Texts{"late.svc. 5 IN A 10.0.0.9"});
  bed.world.advance(180ms);
  CHECK(bed.take_replies().empty());
  bed.world.advance(15ms);
  got = bed.take_replies();
  REQUIRE(got.size() == 1);
  CHECK(Answer::read(got[0]).outcome() == "NXDOMAIN");
  CHECK(bed.server.counters().held == 2);
}

TEST_CASE("while a name may still come, its absence is SERVFAIL, over UDP and TCP alike") {
  Bed bed;
  bed.behind = true;
  Answer answer = bed.ask({.name = "late.svc", .edns_size = 1'232});
  CHECK(answer.outcome() == "SERVFAIL");
  CHECK(answer.error == 14U);
  CHECK(answer.authority.empty());
  CHECK(bed.ask_tcp({{"late.svc"}}).at(0).outcome() == "SERVFAIL");
  CHECK(bed.ask({"svc", RrType::a}).outcome() == "NODATA");

  bed.hold = 300ms;  // held queries that do not come, and those beyond the limit
  for (std::size_t i = 0; i <= kHeldQueriesMax; ++i)
    bed.send(Ask{"x" + std::to_string(i) + ".svc"}.wire());
  bed.world.advance(10ms);
  auto got = bed.take_replies();
  REQUIRE(got.size() == 1);
  CHECK(Answer::read(got[0]).outcome() == "SERVFAIL");
  bed.zone.set(name("x7.svc"), {a("10.0.0.1")});
  bed.world.advance(1s);
  got = bed.take_replies();
  REQUIRE(got.size() == kHeldQueriesMax);
  CHECK(Answer::read(got[0]).outcome() == "NOERROR");
  CHECK(Answer::read(got[1]).outcome() == "SERVFAIL");
  bed.hold = {};
  bed.behind = false;
  CHECK(bed.ask({"late.svc"}).outcome() == "NXDOMAIN");
}

TEST_CASE("a name without records is held until the zone's source is complete") {
  Bed bed;
  bed.incomplete = 1s;
  bed.zone.set(name("web.svc"), {}, "none is healthy");
  bed.zone.set(name("db.svc"), {}, "none is healthy");
  bed.send(Ask{"web.svc"}.wire());
  bed.send(Ask{"db.svc"}.wire());
  bed.world.advance(100ms);
  CHECK(bed.take_replies().empty());
  bed.zone.set(name("web.svc"), {a("10.0.0.1")});  // another source had more of it
  bed.world.advance(1ms);
  auto got = bed.take_replies();
  REQUIRE(got.size() == 1);
  CHECK(Answer::read(got[0]).answer == Texts{"web.svc. 5 IN A 10.0.0.1"});
  bed.incomplete = {};
  bed.server.on_complete();
  bed.world.advance(1ms);
  got = bed.take_replies();
  REQUIRE(got.size() == 1);
  CHECK(Answer::read(got[0]).outcome() == "NODATA");
  CHECK(bed.ask({"db.svc"}).outcome() == "NODATA");
}

TEST_CASE("held queries are bounded, and a stop answers them") {
  Bed bed;
  bed.hold = 10s;
  for (std::size_t i = 0; i < kHeldQueriesMax + 5; ++i) {
    bed.send(Ask{"x" + std::to_string(i) + ".svc"}.wire());
    bed.world.advance(1ms);
  }
  CHECK(bed.take_replies().size() == 5);
  bed.server.stop([] {});
  bed.world.advance(5ms);
  CHECK(bed.take_replies().size() == kHeldQueriesMax);
  CHECK(bed.server.bound().empty());
}

TEST_CASE("a paused server leaves the queries to others on its address until it resumes") {
  Bed bed;
  bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  bed.hold = 10s;
  bed.send(Ask{"late.svc"}.wire());
  bed.world.advance(1ms);
  bed.server.pause();
  bed.world.advance(1ms);
  CHECK(bed.take_replies().size() == 1);  // the query that was held
  CHECK(bed.server.bound().empty());
  struct Nobody final : UdpSocket::Sink, Listener::Sink {
    void on_datagrams(std::span<const Datagram>) override {}
    void on_accept(std::unique_ptr<Stream>) override {}
  } nobody;
  // Without SO_REUSEPORT: both addresses are free.
  const Endpoint address = *Endpoint::parse("127.0.0.55:53");
  CHECK(bed.world.env().network.open_udp({.bind = address}, nobody).has_value());
  CHECK(bed.world.env().network.listen({.on = address}, nobody).has_value());
  bed.binds.clear();
  bed.server.resume();
  bed.world.advance(1ms);
  CHECK(bed.binds.size() == 1);
  CHECK(bed.server.bound().size() == 1);
  CHECK(bed.ask({"web.svc"}).outcome() == "NOERROR");
}

TEST_CASE("a server that is paused and resumed in one turn answers") {
  Bed bed;
  bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  bed.server.pause();
  bed.server.resume();
  bed.world.advance(1ms);
  CHECK(bed.ask({"web.svc"}).outcome() == "NOERROR");
}

TEST_CASE("an address that is taken is reported once and tried again") {
  sim::World world(2);
  struct Nobody final : UdpSocket::Sink {
    void on_datagrams(std::span<const Datagram>) override {}
  } nobody;
  struct Heard final : StubServer::Sink {
    void on_bind(const Endpoint& address, Result<void, NetError> result) override {
      lines.push_back(address.to_string() + (result ? " bound" : " failed"));
    }
    Duration on_unknown_name(const Name&, const Name&) override { return {}; }
    Texts lines;
  } heard;
  const Endpoint address = *Endpoint::parse("127.0.0.55:53");
  auto other = world.env().network.open_udp({.bind = address}, nobody);
  StubOptions options;
  options.listen = {address};
  StubServer server(world.env(), options, heard);
  server.start();
  CHECK(heard.lines.empty());
  world.advance(12s);
  CHECK(heard.lines == Texts{"127.0.0.55:53 failed"});
  CHECK(server.bound().empty());
  other->reset();
  world.advance(5s);
  CHECK(heard.lines.back() == "127.0.0.55:53 bound");
  CHECK(server.bound().size() == 1);
}

TEST_CASE("names with a meaning of their own") {
  Bed bed;
  CHECK(bed.ask({"localhost", RrType::a}).answer == Texts{"localhost. 3600 IN A 127.0.0.1"});
  CHECK(bed.ask({"x.localhost", RrType::aaaa}).answer == Texts{"x.localhost. 3600 IN AAAA ::1"});
  CHECK(bed.ask({"localhost", RrType::mx}).outcome() == "NODATA");
  CHECK(bed.ask({"x.invalid"}).outcome() == "NXDOMAIN");
  CHECK(bed.ask({"x.onion"}).outcome() == "NXDOMAIN");
  CHECK(bed.ask({"box.local"}).outcome() == "REFUSED");
}

TEST_CASE("hosts of the LAN for clients of this host") {
  struct Hosts final : HostNames {
    explicit Hosts(Env& environment) : env(environment) {}
    struct Asked final : Pending {
      Timer timer;
    };
    std::unique_ptr<Pending> lookup(const std::string& host, Duration wait,
                                    Answer answer) override {
      asked.push_back(host);
      auto token = std::make_unique<Asked>();
      std::vector<IpAddress> found;
      if (host == "box.local")
        found = {*IpAddress::parse("192.168.1.7"), *IpAddress::parse("fe80::7%2")};
      token->timer = env.after(found.empty() ? wait : 2ms, [found, busy = host == "busy.local",
                                                            answer = std::move(answer)]() mutable {
        if (busy)
          answer(std::nullopt, Duration::zero());
        else
          answer(found, 120s);
      });
      return token;
    }
    Env& env;
    Texts asked;
  };
  Bed bed;
  Hosts hosts(bed.world.env());
  bed.server.set_host_names(&hosts);
  CHECK(bed.ask({"box.local", RrType::a}).answer == Texts{"box.local. 10 IN A 192.168.1.7"});
  CHECK(bed.ask({"box.local", RrType::aaaa}).outcome() == "NODATA");  // never fe80::
  CHECK(bed.ask({"box.local", RrType::srv}).outcome() == "NODATA");
  CHECK(bed.exchange(Ask{"gone.local"}.wire()).empty());
  bed.world.advance(2s);
  const auto got = bed.take_replies();
  REQUIRE(got.size() == 1);
  CHECK(Answer::read(got[0]).outcome() == "NXDOMAIN");
  CHECK(bed.exchange(Ask{"busy.local"}.wire()).empty());
  bed.world.advance(2s);
  const auto unknown = bed.take_replies();
  REQUIRE(unknown.size() == 1);
  CHECK(Answer::read(unknown[0]).outcome() == "SERVFAIL");  // whether it exists is not known
  std::size_t before = hosts.asked.size();
  CHECK(bed.ask({"local", RrType::soa}).outcome() == "NODATA");
  CHECK(bed.ask({"_http._tcp.local", RrType::ptr}).outcome() == "NXDOMAIN");
  CHECK(hosts.asked.size() == before);
  // One too many is not told that its host does not exist. Those for one host are one look-up.
  for (std::size_t i = 0; i < kWaitingQueriesMax; ++i) {
    bed.send(Ask{"gone.local"}.wire());
    if (i % 50 == 0) bed.world.advance(100us);
  }
  bed.world.advance(1ms);
  REQUIRE(hosts.asked.size() == before + 1);
  before = hosts.asked.size();
  const Answer late = bed.ask({"box.local", RrType::a, 1'232});
  CHECK(late.rcode == Rcode::servfail);
  CHECK(late.error_text == "too many queries wait for an answer");
  CHECK(hosts.asked.size() == before);
  bed.world.advance(2s);
  bed.take_replies();
  bed.exchange(Ask{"gone.local"}.wire());
  bed.server.set_host_names(nullptr);
  bed.world.advance(2s);
}

TEST_CASE("a domain below local that unicast DNS owns is forwarded") {
  struct NoHosts final : HostNames {
    std::unique_ptr<Pending> lookup(const std::string&, Duration, Answer) override {
      ++asked;
      return nullptr;
    }
    int asked = 0;
  } hosts;
  test::Forwarding f;
  f.bed.server.set_host_names(&hosts);
  f.bed.server.set_unicast_local({name("corp.local"), name("cluster.local")});
  f.answer_with({.answer = {test::address("dc1.corp.local", "10.0.0.1")}});
  CHECK(f.ask({"dc1.corp.local"}).answer.size() == 1);  // nor does the rebinding guard object
  CHECK(f.ask({"CORP.local", RrType::soa}).outcome() == "NOERROR");
  CHECK(f.ask({"_ldap._tcp.corp.local", RrType::srv}).outcome() == "NOERROR");
  CHECK(f.upstream.sent.size() == 3);
  CHECK(hosts.asked == 0);
  f.bed.send(Ask{"box.local"}.wire());
  f.bed.send(Ask{"xcorp.local"}.wire());
  f.bed.world.advance(5ms);
  CHECK(hosts.asked == 2);
  CHECK(f.upstream.sent.size() == 3);
  // Another server of the host may know it where we do not forward.
  f.bed.server.set_forwarder(nullptr);
  CHECK(f.bed.ask({"dc2.corp.local"}).outcome() == "REFUSED");
  f.bed.server.set_host_names(nullptr);
}

TEST_CASE("records of one set have one TTL, in Additional, too") {
  Bed bed;
  bed.zone.set(name("web.svc"), {srv(80, "one.svc")});
  std::vector<ZoneRecord> both = {a("10.0.0.1"), a("10.0.0.2")};
  both[0].not_after = bed.world.now() + 2'500ms;
  bed.zone.set(name("one.svc"), std::move(both));
  for (int i = 0; i < 10; ++i) {
    const Answer answer = bed.ask({"web.svc", RrType::srv});
    REQUIRE(answer.additional.size() == 2);
    for (const std::string& record : answer.additional)
      CHECK(record.starts_with("one.svc. 2 IN A "));
  }
}

TEST_CASE("queries for a name are counted, over changes of its records") {
  Bed bed;
  fill(bed);
  CHECK(bed.zone.asked(name("web.svc")).times == 0);
  bed.ask({"web.svc"});
  bed.ask({"WEB.svc", RrType::srv});
  bed.ask({"job.svc"});
  bed.world.advance(3s);
  bed.ask_tcp({{"web.svc", RrType::mx}});
  CHECK(bed.zone.asked(name("web.svc")).times == 3);
  CHECK(bed.world.now() - bed.zone.asked(name("web.svc")).last < 1s);
  CHECK(bed.zone.asked(name("job.svc")).times == 1);
  CHECK(bed.world.now() - bed.zone.asked(name("job.svc")).last > 2s);
  CHECK(bed.zone.asked(name("one.web.svc")).times == 0);
  CHECK(bed.zone.asked(name("nobody.svc")).times == 0);
  bed.zone.set(name("web.svc"), {a("10.0.0.9")});
  bed.ask({"web.svc"});
  CHECK(bed.zone.asked(name("web.svc")).times == 4);
}

TEST_CASE("the client of the last query for a name is kept, over changes of its records") {
  struct Deaf final : UdpSocket::Sink {
    void on_datagrams(std::span<const Datagram>) override {}
  } deaf;
  Bed bed;
  fill(bed);
  CHECK(bed.zone.asked(name("web.svc")).by.is_any());
  bed.ask({"web.svc"});
  bed.ask({"job.svc"});
  CHECK(bed.zone.asked(name("web.svc")).by == *IpAddress::parse("127.0.0.1"));
  const auto other =
      *bed.world.env().network.open_udp({.bind = *Endpoint::parse("127.0.0.7:0")}, deaf);
  REQUIRE(other->send(Ask{"web.svc"}.wire(), *Endpoint::parse("127.0.0.55:53")).has_value());
  bed.world.advance(1s);
  bed.zone.set(name("web.svc"), {a("10.0.0.9")});
  CHECK(bed.zone.asked(name("web.svc")).by == *IpAddress::parse("127.0.0.7"));
  CHECK(bed.zone.asked(name("job.svc")).by == *IpAddress::parse("127.0.0.1"));
}
