// SPDX-License-Identifier: Apache-2.0
// Tie-breaks of simultaneous probes (RFC 6762 §8.2) and what counts as a conflict (§8.1, §9).
#include "mdns/native/conflict.h"

#include <doctest/doctest.h>

#include "mdns/native/goodbyes.h"
#include "mdns/native/limits.h"
#include "tests/mdns/message.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

using Records = std::vector<dns::Record>;

constexpr const char* kPrinter = "MyPrinter.local.";

/// Also checks the mirror image: both hosts must come to the same decision.
std::strong_ordering compare(const Records& ours, const Records& theirs) {
  const auto order = compare_proposals(ours, theirs);
  CHECK(compare_proposals(theirs, ours) == (0 <=> order));
  return order;
}

}  // namespace

TEST_CASE("tie-break: the example of RFC 6762, section 8.2") {
  // 169.254.200.50 wins: the third octets, 99 and 200, differ first, and are unsigned.
  CHECK(compare({address(kPrinter, "169.254.99.200")}, {address(kPrinter, "169.254.200.50")}) < 0);
}

TEST_CASE("tie-break: class before type before RDATA") {
  dns::Record chaos = address(kPrinter, "0.0.0.1");
  chaos.rr_class = dns::RrClass::ch;
  CHECK(compare({chaos}, {txt(kPrinter, {"a=1"})}) > 0);
  // TXT is 16, A is 1 and AAAA is 28.
  CHECK(compare({txt(kPrinter, {"a"})}, {address(kPrinter, "255.255.255.255")}) > 0);
  CHECK(compare({txt(kPrinter, {"z"})}, {address(kPrinter, "::1")}) < 0);
}

TEST_CASE("tie-break: the cache-flush bit, the TTL and the case of the owner do not count") {
  dns::Record ours = address("MYPRINTER.local.", "10.0.0.1", 120);
  ours.cache_flush = true;
  CHECK(compare({ours}, {address(kPrinter, "10.0.0.1", 20)}) == 0);
}

TEST_CASE("tie-break: RDATA is compared octet by octet, and the longer one wins a tie") {
  CHECK(compare({txt(kPrinter, {"a=1"})}, {txt(kPrinter, {"a=1", "b"})}) < 0);
  CHECK(compare({txt(kPrinter, {"\x7f"})}, {txt(kPrinter, {"\x80"})}) < 0);
  // SRV: priority, weight and port in network order, then the target, uncompressed.
  CHECK(compare({srv(kPrinter, "a.local.", 0x0100)}, {srv(kPrinter, "a.local.", 0x00ff)}) > 0);
  CHECK(compare({srv(kPrinter, "a.local.", 80)}, {srv(kPrinter, "b.local.", 80)}) < 0);
}

TEST_CASE("tie-break: sets of records, RFC 6762, section 8.2.1") {
  const dns::Record low = address(kPrinter, "10.0.0.1"), mid = address(kPrinter, "10.0.0.2"),
                    high = address(kPrinter, "10.0.0.3");
  // Sorted first, so the order in the packet does not count.
  CHECK(compare({low, mid}, {mid, low}) == 0);
  CHECK(compare({high, low}, {mid, low}) > 0);
  // The first difference decides, not the greatest record.
  CHECK(compare({low, high}, {mid}) < 0);
  CHECK(compare({low, mid}, {low, high}) < 0);
  // A set that runs out of records first loses, and so does an empty one.
  CHECK(compare({low, mid}, {low}) > 0);
  CHECK(compare({}, {low}) < 0);
  CHECK(compare({}, {}) == 0);
}

namespace {

struct ClaimTest {
  ClaimTest() {
    link.index = 2;
    link.v4 = link.carries_lan = true;
    link.addresses = {IpAddress::v4(192, 168, 1, 2)};
    link.own_host = {IpAddress::v4(10, 0, 0, 2), IpAddress::v4(192, 168, 1, 2)};
    Announcement wanted;
    wanted.label = "hello";
    wanted.type = "_hello._tcp";
    wanted.port = 80;
    wanted.txt = {"a=1"};
    host = &own.add_host("box", {});
    service = &own.add_instance(1, wanted, host->slot);
  }
  bool hits(const Claim& claim, Phase phase, const dns::Record& record) const {
    return conflicts(own, claim, phase, link, record);
  }
  bool hits_always(const Claim& claim, const dns::Record& record) const {
    const bool probing = hits(claim, Phase::probing, record);
    CHECK(hits(claim, Phase::announcing, record) == probing);
    CHECK(hits(claim, Phase::established, record) == probing);
    return probing;
  }

  OwnRecords own{{20, 75}};
  mdns::Link link;
  Claim* host = nullptr;
  Claim* service = nullptr;
};

constexpr const char* kHello = "hello._hello._tcp.local.";

}  // namespace

TEST_CASE_FIXTURE(ClaimTest, "a probe proposes the unique records of a claim") {
  const Records proposed = proposal(own, *service, link);
  REQUIRE(proposed.size() == 2);
  CHECK(compare(proposed, {txt(kHello, {"a=1"}), srv(kHello, "box.local.", 80)}) == 0);
  CHECK(compare(proposal(own, *host, link), {address("box.local.", "192.168.1.2")}) == 0);
}

TEST_CASE_FIXTURE(ClaimTest, "conflict: other data for the name of a service") {
  CHECK(hits_always(*service, srv(kHello, "other.local.", 80)));
  CHECK(hits_always(*service, txt(kHello, {"a=2"})));
  CHECK_FALSE(hits_always(*service, txt(kHello, {"a=1"})));
  CHECK_FALSE(hits_always(*service, srv(kHello, "box.local.", 80)));
  // A goodbye leaves the name free.
  CHECK_FALSE(hits_always(*service, srv(kHello, "other.local.", 80, 0)));
  // Our host label with another port: what we announced before a restart.
  CHECK_FALSE(hits_always(*service, srv(kHello, "box.local.", 81)));
  dns::Record chaos = txt(kHello, {"a=2"});
  chaos.rr_class = dns::RrClass::ch;
  CHECK_FALSE(hits_always(*service, chaos));
}

TEST_CASE_FIXTURE(ClaimTest,
                  "conflict: a record of a type that we do not have, while probing only") {
  CHECK(hits(*service, Phase::probing, address(kHello, "192.168.1.9")));
  CHECK_FALSE(hits(*service, Phase::announcing, address(kHello, "192.168.1.9")));
  CHECK_FALSE(hits(*service, Phase::established, address(kHello, "192.168.1.9")));
  CHECK(hits(*host, Phase::probing, txt("box.local.", {"a=1"})));
  CHECK_FALSE(hits(*host, Phase::established, txt("box.local.", {"a=1"})));
}

TEST_CASE_FIXTURE(ClaimTest, "conflict: a host's name with an address that is not ours") {
  CHECK(hits_always(*host, address("box.local.", "192.168.1.9")));
  CHECK_FALSE(hits_always(*host, address("box.local.", "192.168.1.2")));
  // An address of this host on another link, returned by a bridge.
  CHECK_FALSE(hits_always(*host, address("box.local.", "10.0.0.2")));
  dns::Record nsec = address("box.local.", "192.168.1.9");
  nsec.type = dns::RrType::nsec;
  nsec.data = dns::NsecData{nsec.name, {dns::RrType::aaaa}};
  CHECK_FALSE(hits_always(*host, nsec));
}

TEST_CASE_FIXTURE(ClaimTest, "kGoodbyesMax goodbyes wait; beyond, the oldest are dropped") {
  Links links;
  links.all = {link};
  Goodbyes goodbyes(own, links);
  const TimePoint begin{1h};
  const auto due = [&](std::size_t number) { return begin + number * 1ms; };
  for (std::size_t i = 0; i < kGoodbyesMax; ++i)
    goodbyes.add(due(i), *service, link);
  CHECK(goodbyes.next_due() == due(0));
  for (std::size_t i = 0; i < 3; ++i)
    goodbyes.add(due(kGoodbyesMax + i), *service, link);
  CHECK(goodbyes.next_due() == due(3));
}

TEST_CASE_FIXTURE(ClaimTest,
                  "kGoodbyesMax goodbyes are in doubt; beyond, fresh ones are left out") {
  Links links;
  links.all = {link};
  Goodbyes goodbyes(own, links);
  const TimePoint begin{1h};
  service->links.push_back({link.index});
  for (std::size_t i = 1; i < kGoodbyesMax; ++i)
    goodbyes.add_everywhere(begin + 2s, *service);
  goodbyes.add_everywhere(begin + 1s, *service);
  CHECK(goodbyes.next_due() == begin + 1s);
  goodbyes.add_everywhere(begin, *service);
  CHECK(goodbyes.next_due() == begin + 1s);
}
