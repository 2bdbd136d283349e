// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "tests/dns/scripted_upstream.h"

using namespace outrider;
using namespace outrider::dns;
using namespace outrider::test;

namespace {

const std::string kLoopbackV6 =
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa";

}  // namespace

TEST_CASE("loopback addresses are localhost, here") {
  Forwarding f;
  for (const std::string& owner : {std::string("1.0.0.127.in-addr.arpa"), kLoopbackV6}) {
    CAPTURE(owner);
    const Answer answer = f.bed.ask({owner, RrType::ptr});
    CHECK(answer.answer == Texts{owner + ". 10800 IN PTR localhost."});
    CHECK(answer.flags.authoritative);
    CHECK(f.bed.ask({owner, RrType::a}).outcome() == "NODATA");
  }
  CHECK(f.bed.ask({"9.0.0.127.in-addr.arpa", RrType::ptr}).outcome() == "NXDOMAIN");
  CHECK(f.bed.ask({"0.0.127.in-addr.arpa", RrType::ptr}).outcome() == "NODATA");
  const Answer apex = f.bed.ask({"127.in-addr.arpa", RrType::soa});
  CHECK(apex.answer == Texts{"127.in-addr.arpa. 10800 IN SOA 127.in-addr.arpa. nobody.invalid. 1 "
                             "3600 1200 604800 10800"});
  CHECK(f.upstream.sent.empty());
}

TEST_CASE("addresses that mean the same everywhere do not go upstream; clients may remember that") {
  Forwarding f;
  for (const char* owner :
       {"1.0.0.0.in-addr.arpa", "5.1.254.169.in-addr.arpa", "1.2.0.192.in-addr.arpa",
        "255.255.255.255.in-addr.arpa", "7.0.8.e.f.ip6.arpa", "7.b.e.f.ip6.arpa",
        "1.8.b.d.0.1.0.0.2.ip6.arpa", "0.0.0.10.in-addr.arpa", "7.31.172.in-addr.arpa",
        "1.1.168.192.in-addr.arpa", "1.0.100.100.in-addr.arpa", "7.d.f.ip6.arpa"}) {
    CAPTURE(owner);
    const Answer answer = f.bed.ask({owner, RrType::ptr});
    CHECK(answer.flags.recursion_available);
    CHECK(answer.authority.size() == 1);  // with the SOA
  }
  CHECK(f.upstream.sent.empty());
  for (const char* owner : {"8.8.8.8.in-addr.arpa", "1.32.172.in-addr.arpa", "in-addr.arpa",
                            "1.63.100.in-addr.arpa", "1.0.0.2.ip6.arpa", "e.f.ip6.arpa"}) {
    CAPTURE(owner);
    f.answer_with({.rcode = Rcode::nxdomain});
    f.upstream.sent.clear();
    CHECK(f.ask({owner, RrType::ptr}).outcome() == "NXDOMAIN");
    CHECK(f.upstream.sent.size() == 1);
  }
}

TEST_CASE("a server with a private address is asked about private addresses") {
  Forwarding f;
  const Ask ask{"1.1.168.192.in-addr.arpa", RrType::ptr};
  f.answer_with({.answer = {make(ask.name, RrType::ptr, NameData{name("nas.home.arpa")}, 60)}});
  CHECK(f.ask(ask).outcome() == "NXDOMAIN");
  f.resolver.set_upstreams({*Endpoint::parse("192.168.1.254:53")});
  CHECK(f.ask(ask).answer.size() == 1);
  CHECK(f.ask({"1.0.0.127.in-addr.arpa", RrType::ptr}).answer.size() == 1);
  CHECK(f.upstream.sent.size() == 1);
}

TEST_CASE("without forwarding private addresses are another server's matter, loopback is not") {
  Bed bed;
  CHECK(bed.ask({"1.1.168.192.in-addr.arpa", RrType::ptr}).outcome() == "REFUSED");
  CHECK(bed.ask({"1.0.0.127.in-addr.arpa", RrType::ptr}).answer.size() == 1);
}

TEST_CASE("our own reverse names come first") {
  Bed bed;
  bed.server.reverse().set(name("1.0.0.127.in-addr.arpa"), {ptr("web.svc")});
  const Answer answer = bed.ask({"1.0.0.127.in-addr.arpa", RrType::ptr});
  REQUIRE(answer.answer.size() == 1);
  CHECK(answer.answer[0].ends_with("PTR web.svc."));
}
