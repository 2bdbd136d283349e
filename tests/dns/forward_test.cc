// SPDX-License-Identifier: Apache-2.0
// Forwarding above the promise of dns/upstream.h: a stub server and a resolver on the simulated
// machine, an upstream by script.
#include <algorithm>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "dns/resolv_conf.h"
#include "tests/dns/hex.h"
#include "tests/dns/scripted_upstream.h"

using namespace outrider;
using namespace outrider::dns;
using namespace outrider::test;

TEST_CASE("a name that is not ours goes upstream once and then comes from the cache") {
  Forwarding f;
  const Answer first = f.ask({"WWW.example.com"});
  CHECK(first.answer == Texts{"www.example.com. 60 IN A 198.51.100.7"});
  CHECK(first.question == "WWW.example.com. A");
  CHECK(first.flags.recursion_available);
  CHECK(!first.flags.authoritative);
  CHECK(!first.has_edns);
  REQUIRE(f.upstream.sent.size() == 1);
  CHECK(f.upstream.sent[0].server == kFirst);
  CHECK(f.upstream.sent[0].flags.recursion_desired);
  f.bed.world.advance(20s);
  const Answer second = f.ask({"www.EXAMPLE.com", RrType::a, 1'232});
  CHECK(second.answer == Texts{"www.example.com. 40 IN A 198.51.100.7"});
  CHECK(second.question == "www.EXAMPLE.com. A");
  CHECK(second.has_edns);
  CHECK(f.upstream.sent.size() == 1);
  f.bed.world.advance(41s);
  f.ask({"www.example.com"});
  CHECK(f.upstream.sent.size() == 2);
  CHECK(f.resolver.counters().hits == 1);
  CHECK(f.resolver.counters().misses == 2);
  // Our own names stay ours, and RA says that we forward.
  f.bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  CHECK(f.bed.ask({"web.svc"}).flags.recursion_available);
  CHECK(f.bed.ask({"x.local"}).outcome() == "REFUSED");
  const Answer transfer = f.bed.ask({"com", RrType::axfr, 1'232});
  CHECK(transfer.outcome() == "REFUSED");
  CHECK(transfer.error_text == "no zone transfers");
  CHECK(f.upstream.sent.size() == 2);
}

TEST_CASE("records of one set have the least TTL that any of them came with") {
  Forwarding f;
  f.answer_with({.answer = {address("www.example.com", "198.51.100.7", 90),
                            address("WWW.example.com", "198.51.100.8", 30),
                            address("www.example.com", "198.51.100.9", 60),
                            address("other.example.com", "198.51.100.9", 70)}});
  for (const std::uint32_t age : {0U, 10U}) {
    const std::string ttl = std::to_string(30 - age);
    const Answer answer = f.ask({"www.example.com"});
    REQUIRE(answer.answer.size() == 4);
    for (std::size_t i = 0; i < 3; ++i)
      CHECK(answer.answer[i].find(".com. " + ttl + " IN A") != std::string::npos);
    CHECK(answer.answer[3].find("com. " + std::to_string(70 - age) + " IN A") != std::string::npos);
    f.bed.world.advance(10s);
  }
  CHECK(f.upstream.sent.size() == 1);
}

TEST_CASE("over TCP, too") {
  Forwarding f;
  const auto answers = f.bed.ask_tcp({{"www.example.com"}, {"www.example.com", RrType::aaaa}});
  CHECK(answers.size() == 2);
}

TEST_CASE("ids and the case of names are drawn for each message") {
  Forwarding f;
  f.upstream.script = nullptr;
  std::set<std::uint16_t> ids;
  std::set<std::string> cases;
  for (int i = 0; i < 200; ++i)
    f.bed.send(Ask{"abcdefghijklmnop" + std::to_string(i) + ".example.com"}.wire(7));
  f.bed.world.advance(1ms);
  REQUIRE(f.upstream.sent.size() == 200);
  for (const auto& sent : f.upstream.sent) {
    ids.insert(sent.id);
    cases.insert(sent.ask.name.substr(0, 16));
  }
  CHECK(ids.size() > 195);
  CHECK(cases.size() > 190);
}

TEST_CASE("equal questions share one lookup; DO and CD make another") {
  Forwarding f;
  Ask with_do{"www.example.com", RrType::a, 1'232};
  with_do.dnssec_ok = true;
  Ask with_cd{"www.example.com"};
  with_cd.flags.checking_disabled = true;
  for (const Ask& ask : {Ask{"www.example.com"}, Ask{"WWW.example.com"},
                         Ask{"www.example.com", RrType::a, 512}, with_do, with_cd})
    f.bed.send(ask.wire());
  f.bed.world.advance(50ms);
  CHECK(f.bed.take_replies().size() == 5);
  REQUIRE(f.upstream.sent.size() == 3);
  CHECK(MessageView::parse(f.upstream.sent[1].message)->edns().value()->dnssec_ok);
  CHECK(f.upstream.sent[2].flags.checking_disabled);
  CHECK(f.resolver.counters().joined == 2);
}

TEST_CASE("AD goes to those who ask for it, if the servers are trusted") {
  for (const bool trusted : {false, true}) {
    CAPTURE(trusted);
    Forwarding f({.trust_ad = trusted});
    f.answer_with({.answer = {address("www.example.com", "198.51.100.7")}, .authentic = true});
    Ask ad{"www.example.com"}, dnssec{"www.example.com", RrType::a, 1'232};
    ad.flags.authentic_data = true;
    dnssec.dnssec_ok = true;
    for (int i = 0; i < 2; ++i) {  // from the server, and from the cache
      CHECK(!f.ask({"www.example.com"}).flags.authentic_data);
      CHECK(f.ask(ad).flags.authentic_data == trusted);
      CHECK(f.ask(dnssec).flags.authentic_data == trusted);
    }
    CHECK(f.upstream.sent[0].flags.authentic_data == trusted);
    f.resolver.set_options({.trust_ad = !trusted});
    CHECK(f.ask(ad).flags.authentic_data == !trusted);
  }
}

TEST_CASE("a query that does not ask for recursion gets what is known, and nothing is asked") {
  Forwarding f;
  Ask ask{"www.example.com", RrType::a, 1'232};
  ask.flags.recursion_desired = false;
  const Answer refused = f.bed.ask(ask);
  CHECK(refused.outcome() == "REFUSED");
  CHECK(refused.error == 18U);
  CHECK(f.upstream.sent.empty());
  f.ask({"www.example.com"});
  const Answer cached = f.bed.ask(ask);
  CHECK(cached.answer.size() == 1);
  CHECK(!cached.flags.recursion_desired);
  f.bed.world.advance(100s);
  CHECK(f.bed.ask(ask).outcome() == "REFUSED");  // what has expired is not known
  CHECK(f.upstream.sent.size() == 1);
  f.bed.zone.set(name("web.svc"), {a("10.0.0.1")});
  ask.name = "web.svc";
  CHECK(f.bed.ask(ask).outcome() == "NOERROR");
}

TEST_CASE("negative answers are kept as long as the SOA says, kNegativeTtlMax at most") {
  {
    Forwarding f;
    f.answer_with({.authority = {soa("example.com", 86'400, 86'400)}, .rcode = Rcode::nxdomain});
    f.ask({"no.example.com"});
    f.bed.world.advance(std::chrono::seconds(kNegativeTtlMax - 1));
    f.ask({"no.example.com"});
    CHECK(f.upstream.sent.size() == 1);
    f.bed.world.advance(2s);
    f.ask({"no.example.com"});
    CHECK(f.upstream.sent.size() == 2);
  }
  Forwarding f;
  f.answer_with({.authority = {soa("example.com", 3'600, 30)}, .rcode = Rcode::nxdomain});
  CHECK(f.ask({"no.example.com"}).outcome() == "NXDOMAIN");
  f.bed.world.advance(29s);
  CHECK(f.ask({"no.example.com"}).authority.size() == 1);
  CHECK(f.upstream.sent.size() == 1);
  f.bed.world.advance(2s);
  f.answer_with({.rcode = Rcode::nxdomain});  // no SOA: not kept
  f.ask({"no.example.com"});
  f.ask({"other.example.com"});
  f.ask({"other.example.com"});
  CHECK(f.upstream.sent.size() == 4);
}

TEST_CASE("an alias that leads to nothing is kept as a negative answer, not as long as the alias") {
  const Record alias =
      make("www.example.com", RrType::cname, NameData{name("cdn.example")}, 86'400);
  Forwarding f;
  f.answer_with({.answer = {alias}, .authority = {soa("example", 3'600, 30)}});
  CHECK(f.ask({"www.example.com", RrType::aaaa}).answer.size() == 1);
  f.bed.world.advance(29s);
  f.ask({"www.example.com", RrType::aaaa});
  CHECK(f.upstream.sent.size() == 1);
  f.bed.world.advance(2s);
  f.answer_with({.answer = {alias}});  // no SOA: not kept
  f.ask({"www.example.com", RrType::aaaa});
  f.ask({"www.example.com", RrType::aaaa});
  CHECK(f.upstream.sent.size() == 3);
  // Who asks for the alias itself, or for anything, has an answer.
  for (const RrType type : {RrType::cname, RrType::any}) {
    f.ask({"www.example.com", type});
    f.bed.world.advance(12h);
    f.ask({"www.example.com", type});
  }
  CHECK(f.upstream.sent.size() == 5);
}

TEST_CASE("answers that are too large are cut at a record, with TC") {
  Forwarding f;
  std::vector<Record> many, glue;
  for (int i = 0; i < 60; ++i)
    many.push_back(address("www.example.com", "198.51.100." + std::to_string(i)));
  glue.push_back(address("ns.example.com", "198.51.100.250"));
  f.answer_with({.answer = many, .additional = glue});
  const Answer udp = f.ask({"www.example.com"});
  CHECK(udp.flags.truncated);
  CHECK(udp.size <= 512);
  CHECK(udp.answer.size() >= 25);
  CHECK(udp.additional.empty());
  const Answer edns = f.ask({"www.example.com", RrType::a, 1'232});
  CHECK(!edns.flags.truncated);
  CHECK(edns.answer.size() == 60);
  const auto tcp = f.bed.ask_tcp({{"www.example.com"}});
  REQUIRE(tcp.size() == 1);
  CHECK(tcp[0].answer.size() == 60);
  CHECK(tcp[0].additional.size() == 1);

  many.resize(28);  // with the glue 513 octets, without it 497
  f.answer_with({.answer = many, .additional = glue});
  const Answer fits = f.ask({"ww2.example.com"});
  CHECK(!fits.flags.truncated);
  CHECK(fits.answer.size() == 28);
  CHECK(fits.additional.empty());
}

TEST_CASE("types that we do not know pass through byte for byte") {
  Forwarding f;
  const auto rdata = hex("0001 0000 03 616263 00 c00c ff");
  f.answer_with(
      {.answer = {make("www.example.com", static_cast<RrType>(65'280), RawData{rdata}, 60)}});
  const Answer answer = f.ask({"www.example.com", static_cast<RrType>(65'280)});
  REQUIRE(answer.answer.size() == 1);
  CHECK(
      answer.answer[0].ends_with("\\# 12 00010000036162630"
                                 "0c00cff"));
}

TEST_CASE("extended errors of the upstream reach the client") {
  Forwarding f;
  f.answer_with(
      {.rcode = Rcode::servfail, .options = hex("000f 000a 0006 7369676e6174757265 00 00")});
  f.answer_with({.rcode = Rcode::servfail, .options = hex("000f 0005 0006 626164")});
  f.resolver.set_upstreams({kFirst});
  const Answer answer = f.ask({"www.example.com", RrType::a, 1'232});
  CHECK(answer.rcode == Rcode::servfail);
  CHECK(answer.error == 6U);
  CHECK(answer.error_text == "bad");
}

TEST_CASE("RCODEs that speak of our EDNS are not the client's") {
  // RFC 6891 §6.1.3, RFC 7873 §5.2.3: without their upper bits they would be NOERROR and YXDOMAIN.
  for (const unsigned rcode : {16U, 23U}) {
    Forwarding f;
    f.answer_with({.rcode = static_cast<Rcode>(rcode)});
    CHECK(f.ask({"www.example.com"}).rcode == Rcode::servfail);
    CHECK(f.ask({"www.example.com", RrType::a, 1'232}).rcode == Rcode::servfail);
    CHECK(f.upstream.sent.size() == 4);  // both servers, each time
  }
}

TEST_CASE("a server that fails is asked last, for a while") {
  Forwarding f;
  f.upstream.script = [](const ScriptedUpstream::Sent& sent) -> ScriptedUpstream::Reply {
    if (sent.server == kFirst) return std::nullopt;
    return reply_to(sent, {.answer = {address(sent.ask.name, "198.51.100.7", 0)}});
  };
  // The other server has answered, so the name was not to blame.
  CHECK(f.ask({"one.example.com"}).outcome() == "NOERROR");
  CHECK(f.upstream.sent.size() == 2);
  f.ask({"two.example.com"});
  CHECK(f.upstream.sent.size() == 3);
  CHECK(f.upstream.sent[2].server == kSecond);
  f.bed.world.advance(6s);
  f.ask({"three.example.com"});
  CHECK(f.upstream.sent[3].server == kFirst);
  CHECK(f.bed.world.host("here").log().count("upstream_failed") == 1);
  f.answer_with({.answer = {address("x.example.com", "198.51.100.7", 0)}});
  f.bed.world.advance(30s);
  f.ask({"four.example.com"});
  CHECK(f.bed.world.host("here").log().count("upstream_recovered") == 1);
}

TEST_CASE("lookups that fail together are one failure of their server") {
  Forwarding f;
  f.resolver.set_upstreams({kFirst, kSecond});
  f.upstream.script = [](const ScriptedUpstream::Sent& sent) -> ScriptedUpstream::Reply {
    if (sent.server == kFirst) return std::nullopt;
    return reply_to(sent, {.answer = {address(sent.ask.name, "198.51.100.7")}});
  };
  for (int i = 0; i < 100; ++i)
    f.bed.send(Ask{"n" + std::to_string(i) + ".example.com"}.wire());
  f.bed.world.advance(3s);
  CHECK(f.bed.take_replies().size() == 100);
  f.answer_with({.answer = {address("x.example.com", "198.51.100.7", 0)}});
  f.bed.world.advance(kBackOffMin);
  f.upstream.sent.clear();
  f.ask({"x.example.com"});
  REQUIRE(f.upstream.sent.size() == 1);
  CHECK(f.upstream.sent[0].server == kFirst);
}

TEST_CASE("servers that rotate are asked first in turn, and those that fail last all the same") {
  Forwarding f;
  f.answer_with({.answer = {address("x.example.com", "198.51.100.7", 0)}});
  f.resolver.set_upstreams({kFirst, kSecond}, {}, dns::UpstreamServers::Order::rotating);
  const auto asked = [&](int count) {
    std::map<Endpoint, int> servers;
    f.upstream.sent.clear();
    for (int i = 0; i < count; ++i)
      f.ask({"x.example.com"});
    for (const auto& sent : f.upstream.sent)
      ++servers[sent.server];
    return servers;
  };
  CHECK(asked(10) == std::map<Endpoint, int>{{kFirst, 5}, {kSecond, 5}});
  f.upstream.script = [](const ScriptedUpstream::Sent& sent) -> ScriptedUpstream::Reply {
    if (sent.server == kFirst) return failure(UpstreamError::unreachable);
    return reply_to(sent, {.answer = {address("x.example.com", "198.51.100.7", 0)}});
  };
  const auto failing = asked(10);
  CHECK(failing.at(kFirst) == 1);
  CHECK(failing.at(kSecond) == 10);
}

TEST_CASE("other options hold at once; the cache goes where the guard would say otherwise") {
  ForwardOptions options;
  options.rebind_protection = false;
  Forwarding f(options);
  f.answer_with({.answer = {address("nas.example.com", "10.0.0.1")}});
  CHECK(f.ask({"nas.example.com"}).outcome() == "NOERROR");
  f.ask({"www.example.com"});
  CHECK(f.resolver.cached() == 2);
  options.cache_entries = 1;
  f.resolver.set_options(options);
  CHECK(f.resolver.cached() == 1);
  options.rebind_protection = true;
  f.resolver.set_options(options);
  CHECK(f.resolver.cached() == 0);
  CHECK(f.ask({"nas.example.com"}).outcome() == "NODATA");
  options.rebind_exceptions = {name("nas.example.com")};
  f.resolver.set_options(options);
  CHECK(f.ask({"nas.example.com"}).outcome() == "NOERROR");
}

TEST_CASE("REFUSED and SERVFAIL of one server are tried at the next; the first is passed on") {
  Forwarding f;
  f.upstream.script = [](const ScriptedUpstream::Sent& sent) -> ScriptedUpstream::Reply {
    if (sent.server == kFirst) return reply_to(sent, {.rcode = Rcode::refused});
    return reply_to(sent, {.answer = {address(sent.ask.name, "198.51.100.7")}});
  };
  CHECK(f.ask({"one.example.com"}).outcome() == "NOERROR");
  f.answer_with({.rcode = Rcode::refused});
  CHECK(f.ask({"two.example.com"}).rcode == Rcode::refused);
  CHECK(f.upstream.sent.size() == 4);
}

TEST_CASE("no server answers: SERVFAIL with the reason, in time, with few messages") {
  Forwarding f;
  f.upstream.script = nullptr;
  const TimePoint begin = f.bed.world.now();
  const Answer answer = f.ask({"www.example.com", RrType::a, 1'232});
  CHECK(answer.rcode == Rcode::servfail);
  CHECK(answer.error == 22U);
  CHECK(answer.error_text == "no upstream server answers: 192.0.2.1:53 timed out");
  CHECK(f.bed.world.now() - begin < 5s);
  CHECK(f.upstream.sent.size() == kAttemptsMax);
}

TEST_CASE("old answers are served when no server answers") {
  Forwarding f;
  f.ask({"www.example.com"});
  f.bed.world.advance(100s);
  f.upstream.script = nullptr;
  const TimePoint begin = f.bed.world.now();
  Answer answer = f.ask({"www.example.com", RrType::a, 1'232});
  CHECK(answer.answer == Texts{"www.example.com. 30 IN A 198.51.100.7"});
  CHECK(answer.error == 3U);
  CHECK(f.bed.world.now() - begin < 2s);  // RFC 8767: before the client gives up
  f.bed.world.advance(3s);
  // It has just failed: at once, without asking.
  const std::size_t before = f.upstream.sent.size();
  answer = f.bed.ask({"www.example.com"});
  CHECK(answer.answer.size() == 1);
  CHECK(f.upstream.sent.size() == before);
  f.bed.world.advance(kBackOffMax);
  f.answer_with({.answer = {address("www.example.com", "198.51.100.8")}});
  CHECK(f.ask({"www.example.com"}).answer == Texts{"www.example.com. 60 IN A 198.51.100.8"});
  f.upstream.script = nullptr;
  f.bed.world.advance(kStaleMax + 120s);
  CHECK(f.ask({"www.example.com"}).rcode == Rcode::servfail);
}

TEST_CASE("answers to other ids or questions, and broken ones, are not taken") {
  Forwarding f;
  int round = 0;
  f.upstream.script = [&round](const ScriptedUpstream::Sent& sent) -> ScriptedUpstream::Reply {
    Message message = reply_to(sent, {.answer = {address(sent.ask.name, "203.0.113.66")}});
    switch (round++ % 6) {
      case 0:
        message[1] ^= 1;  // id
        break;
      case 1:
        message[13] ^= 1;  // a letter of the name
        break;
      case 2:
        message[2] &= 0x7f;  // no response
        break;
      case 3:
        message.resize(message.size() - 5);
        break;
      case 4:
        message[5] = 2;  // two questions
        break;
      case 5:
        message.push_back(0);
    }
    return message;
  };
  CHECK(f.ask({"abcd.example.com"}).rcode == Rcode::servfail);
  CHECK(f.ask({"efgh.example.com"}).rcode == Rcode::servfail);
  CHECK(f.resolver.counters().bad_answers == 6);
  CHECK(f.resolver.cached() == 0);
}

TEST_CASE("an answer in another case is asked for again; a server that folds names is believed") {
  Forwarding f;
  bool forged = false;
  const auto folded = [](const ScriptedUpstream::Sent& sent, std::string_view said) {
    ScriptedUpstream::Sent lower = sent;
    std::ranges::transform(lower.ask.name, lower.ask.name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return reply_to(lower, {.answer = {address(lower.ask.name, said)}});
  };
  f.upstream.script = [&](const ScriptedUpstream::Sent& sent) -> ScriptedUpstream::Reply {
    if (!std::exchange(forged, true)) return folded(sent, "203.0.113.66");
    return reply_to(sent, {.answer = {address(sent.ask.name, "198.51.100.7")}});
  };
  const std::string owner = "a.name.of.many.letters.example.com";
  CHECK(f.ask({owner}).answer == Texts{owner + ". 60 IN A 198.51.100.7"});
  REQUIRE(f.upstream.sent.size() == 2);
  CHECK(f.upstream.sent[1].server == kFirst);
  CHECK(f.upstream.sent[1].id != f.upstream.sent[0].id);
  CHECK(f.resolver.counters().bad_answers == 1);

  f.upstream.script = [&](const ScriptedUpstream::Sent& sent) -> ScriptedUpstream::Reply {
    return folded(sent, "198.51.100.8");
  };
  CHECK(f.ask({"one." + owner}).answer == Texts{"one." + owner + ". 60 IN A 198.51.100.8"});
  CHECK(f.upstream.sent.size() == 4);
  CHECK(f.ask({"two." + owner}).outcome() == "NOERROR");
  CHECK(f.upstream.sent.size() == 5);
  CHECK(f.bed.world.host("here").log().count("upstream_case_folded") == 1);
}

TEST_CASE("public names do not lead into the private network") {
  struct Row {
    std::string_view name;
    std::string_view address;
    bool blocked;
  };
  const Row rows[] = {
      {"evil.example.com", "10.0.0.1", true},      {"evil2.example.com", "127.0.0.1", true},
      {"evil3.example.com", "0.0.0.0", true},      {"evil4.example.com", "fd00::1", true},
      {"evil5.example.com", "::1", true},          {"evil6.example.com", "169.254.169.254", true},
      {"good.example.com", "198.51.100.7", false}, {"good2.example.com", "2001:db8::1", false},
      {"nas.home.arpa", "192.168.1.2", false},     {"nas.lan", "192.168.1.2", false},
      {"host.corp.example", "10.0.0.1", false},    {"x.allowed.example", "10.0.0.1", false},
      {"fritz", "192.168.178.1", false},           {"x.mycorp", "10.0.0.1", false},
      {"x.localdomain", "10.0.0.1", false},        {"evil7.example.com", "100.64.0.1", true},
      {"evil8.example.com", "2002:a00:1::", true},
  };
  ForwardOptions options;
  options.rebind_exceptions = {name("allowed.example")};
  Forwarding f(options);
  f.resolver.set_upstreams({kFirst}, {name("corp.example"), name("com"), name("mycorp")});
  for (const Row& row : rows) {
    CAPTURE(row.name);
    f.answer_with({.answer = {address(row.name, row.address)}});
    const RrType type = row.address.find(':') == std::string_view::npos ? RrType::a : RrType::aaaa;
    const Answer answer = f.ask({std::string(row.name), type, 1'232});
    CHECK(answer.outcome() == (row.blocked ? "NODATA" : "NOERROR"));
    CHECK((answer.error == 15U) == row.blocked);
  }
  CHECK(f.resolver.counters().rebind_blocked == 8);
}

TEST_CASE("private addresses are seen in whatever form clients would take them from") {
  struct Row {
    std::string_view what;
    RrType type;
    RrClass rr_class;
    const char* rdata;
    bool blocked;
  };
  const Row rows[] = {
      {"IPv4-mapped", RrType::aaaa, RrClass::in, "00000000000000000000ffff 0a000001", true},
      {"NAT64", RrType::aaaa, RrClass::in, "0064ff9b0000000000000000 0a000001", true},
      {"NAT64, public", RrType::aaaa, RrClass::in, "0064ff9b0000000000000000 c6336407", false},
      {"a class that musl does not look at", RrType::a, RrClass::ch, "7f000001", true},
      {"the same for IPv6", RrType::aaaa, RrClass::ch, "00000000000000000000000000000001", true},
      {"an alias form", RrType::https, RrClass::in, "0000 04 74657374 00", false},
      {"no hints", RrType::https, RrClass::in, "0001 00 0001 0003 026832", false},
      {"hints", RrType::https, RrClass::in, "0001 00 0004 0008 c6336407 7f000001", true},
      {"public hints", RrType::https, RrClass::in, "0001 00 0004 0004 c6336407", false},
      {"hints for IPv6", RrType::svcb, RrClass::in,
       "0001 00 0001 0003 026832 0006 0010 fd000000000000000000000000000001", true},
      {"no parameters that anybody could read", RrType::https, RrClass::in, "0001 00 0004 ff",
       false},
  };
  Forwarding f({.trust_ad = true});
  int number = 0;
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const std::string owner = "n" + std::to_string(++number) + ".example.com";
    Record record = make(owner, row.type, RawData{hex(row.rdata)}, 60);
    record.rr_class = row.rr_class;
    f.answer_with({.answer = {record}, .authentic = true});
    Ask ask{owner, row.type, 1'232};
    ask.flags.authentic_data = true;
    const Answer answer = f.ask(ask);
    CHECK(answer.outcome() == (row.blocked ? "NODATA" : "NOERROR"));
    CHECK((answer.error == 15U) == row.blocked);
    CHECK(answer.flags.authentic_data == !row.blocked);  // no server has signed what we made of it
  }
}

TEST_CASE("the guard can be switched off") {
  ForwardOptions options;
  options.rebind_protection = false;
  Forwarding f(options);
  f.answer_with({.answer = {address("evil.example.com", "10.0.0.1")}});
  CHECK(f.ask({"evil.example.com"}).outcome() == "NOERROR");
}

TEST_CASE("our own addresses are no upstream servers") {
  ForwardOptions options;
  options.own = {*Endpoint::parse("127.0.0.55:53"), *Endpoint::parse("0.0.0.0:53")};
  Forwarding f(options);
  f.resolver.set_upstreams({*Endpoint::parse("127.0.0.55:53"), kSecond,
                            *Endpoint::parse("127.0.0.1:53"), *Endpoint::parse("127.0.0.1:54")});
  CHECK(f.resolver.upstreams() == std::vector<Endpoint>{kSecond, *Endpoint::parse("127.0.0.1:54")});
  // The wildcard is every address of this host, of its family.
  sim::Host& here = f.bed.world.host("here");
  here.attach("eth0", f.bed.world.link("lan"), {"192.0.2.9/24", "2001:db8::9/64"});
  const std::vector<Endpoint> others = {kFirst, *Endpoint::parse("[2001:db8::9]:53"),
                                        *Endpoint::parse("[::1]:53")};
  auto servers = others;
  servers.push_back(*Endpoint::parse("192.0.2.9:53"));
  f.resolver.set_upstreams(servers);
  CHECK(f.resolver.upstreams() == others);
  f.resolver.set_upstreams({*Endpoint::parse("127.0.0.55:53")});
  Answer answer = f.bed.ask({"www.example.com", RrType::a, 1'232});
  CHECK(answer.rcode == Rcode::refused);
  CHECK(answer.error_text == "the only upstream server is this agent itself");
  f.resolver.set_upstreams({});
  answer = f.bed.ask({"www.example.com", RrType::a, 1'232});
  CHECK(answer.error_text == "no upstream server is known");
  f.resolver.set_upstreams(std::vector<Endpoint>(20, kFirst));
  CHECK(f.resolver.upstreams().size() == kUpstreamsMax);
}

TEST_CASE("lookups are bounded") {
  Forwarding f;
  f.upstream.script = nullptr;
  for (std::size_t i = 0; i < kLookupsMax + 3; ++i) {
    f.bed.send(Ask{"n" + std::to_string(i) + ".example.com"}.wire());
    if (i % 50 == 0) f.bed.world.advance(100us);
  }
  f.bed.world.advance(5ms);
  CHECK(f.resolver.lookups() == kLookupsMax);
  const auto got = f.bed.take_replies();
  REQUIRE(got.size() == 3);
  CHECK(Answer::read(got[0]).rcode == Rcode::servfail);
}

TEST_CASE("the cache is bounded by entries and octets, the last used stays") {
  const auto query_for = [](const std::string& owner) { return Ask{owner, RrType::txt}.wire(); };
  const auto answer_for = [](const std::string& owner, std::size_t size) {
    ScriptedUpstream::Sent sent;
    sent.ask = {owner, RrType::txt};
    std::vector<Record> records;
    for (std::size_t i = 0; i * 256 < size; ++i)
      records.push_back(make(owner, RrType::txt, TxtData{{std::string(240, 'x')}}, 60));
    const Message message = reply_to(sent, {.answer = records});
    return *UpstreamAnswer::parse(message, {name(owner), RrType::txt});
  };
  Cache cache(10, 1);
  for (int i = 0; i < 15; ++i) {
    const std::string owner = "n" + std::to_string(i) + ".test";
    const Message wire = query_for(owner);
    Query query;
    REQUIRE(query.parse(wire) == QueryFault::none);
    cache.put(CacheKey(query), answer_for(owner, 100), TimePoint{});
    const Message first = query_for("n0.test");
    REQUIRE(query.parse(first) == QueryFault::none);
    CHECK(cache.find(CacheKey(query), TimePoint{}).answer != nullptr);
  }
  CHECK(cache.size() == 10);

  Cache large(1'000'000, 1);
  for (int i = 0; i < 4'000; ++i) {
    const std::string owner = "n" + std::to_string(i) + ".test";
    const Message wire = query_for(owner);
    Query query;
    REQUIRE(query.parse(wire) == QueryFault::none);
    large.put(CacheKey(query), answer_for(owner, i == 0 ? 20'000 : 12'000), TimePoint{});
    if (i == 0) CHECK(large.size() == 0);  // larger than an entry may be
  }
  CHECK(large.weight() <= kCacheBytesMax);
  CHECK(large.size() > 2'000);
  large.clear();
  CHECK(large.weight() == 0);
}

TEST_CASE("a client that has gone leaves the lookup to the others") {
  Forwarding f;
  f.bed.send(Ask{"www.example.com"}.wire());
  f.bed.connect();
  Ask ask{"www.example.com"};
  const auto wire = ask.wire();
  Message frame = {0, static_cast<std::uint8_t>(wire.size())};
  frame.insert(frame.end(), wire.begin(), wire.end());
  f.upstream.delay = 300ms;
  f.bed.write(frame);
  f.bed.world.advance(5ms);
  f.bed.disconnect();
  f.bed.world.advance(500ms);
  CHECK(f.bed.take_replies().size() == 1);
}

TEST_CASE("resolv.conf says whom to ask") {
  const ResolvConf conf = parse_resolv_conf(
      "# generated\n\nnameserver 192.0.2.1 # first\r\nnameserver fe80::1%2\nnameserver nonsense\n"
      " nameserver\t2001:db8::53\noptions ndots:1\ndomain old.example\n"
      "search corp.example lab.corp.example. ..\n;nameserver 192.0.2.9\nnameserver");
  REQUIRE(conf.servers.size() == 3);
  CHECK(conf.servers[0] == *Endpoint::parse("192.0.2.1:53"));
  CHECK(conf.servers[1] == *Endpoint::parse("[fe80::1%2]:53"));
  CHECK(conf.servers[2] == *Endpoint::parse("[2001:db8::53]:53"));
  CHECK(conf.search == std::vector<Name>{name("corp.example"), name("lab.corp.example")});
  CHECK(!conf.rotate);
  const auto index_of = [](const std::string& name) { return name == "eth0" ? 7U : 0U; };
  const auto named = parse_resolv_conf(
      "nameserver fe80::1%eth0\nnameserver fe80::1%eth1\nnameserver fe80::1%2", index_of);
  REQUIRE(named.servers.size() == 2);
  CHECK(named.servers[0] == *Endpoint::parse("[fe80::1%7]:53"));
  CHECK(named.servers[1] == *Endpoint::parse("[fe80::1%2]:53"));
  CHECK(parse_resolv_conf("options timeout:1 rotate edns0").rotate);
  CHECK(conf.ndots == 1);
  CHECK(parse_resolv_conf("options ndots:5 # as in a pod\noptions ndots:x").ndots == 5);
  CHECK(parse_resolv_conf("options ndots:99").ndots == 15);
  CHECK(nameserver_in(" nameserver\tfe80::1%eth0 # first") == "fe80::1%eth0");
  CHECK_FALSE(nameserver_in("nameserver #").has_value());
  CHECK_FALSE(nameserver_in("#nameserver 192.0.2.1").has_value());
  std::string many;
  for (int i = 0; i < 100; ++i)
    many += "nameserver 192.0.2." + std::to_string(i) + "\n";
  many += "search";
  for (int i = 0; i < 100; ++i)
    many += " d" + std::to_string(i) + ".test";
  CHECK(parse_resolv_conf(many).servers.size() == kUpstreamsMax);
  CHECK(parse_resolv_conf(many).search.size() == kSearchDomainsMax);
}
