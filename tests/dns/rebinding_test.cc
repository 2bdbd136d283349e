// SPDX-License-Identifier: Apache-2.0
#include "dns/rebinding.h"

#include <doctest/doctest.h>

#include "tests/dns/bed.h"

using namespace outrider;
using namespace outrider::dns;

TEST_CASE("private addresses, and IPv6 addresses that carry one") {
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "10.0.0.1",
                           "127.0.0.1",
                           "100.64.0.1",
                           "100.127.255.255",
                           "169.254.169.254",
                           "172.31.0.1",
                           "192.168.0.1",
                           "::",
                           "::1",
                           "fd00::1",
                           "fe80::1",
                           "fec0::1",
                           "::ffff:10.0.0.1",
                           "::10.0.0.1",
                           "64:ff9b::192.168.1.1",
                           "64:ff9b:1::10.0.0.1",
                           "2002:a00:1::",
                           "2002:c0a8:101::1",
                           "2002:6440:1::",
                           "2002:7f00:1::",
                           "2001:0:0a00:1::5a9b:9bf8",
                           "2001:0:c633:6407:0:0:f5ff:fffe"}) {
    CAPTURE(text);
    CHECK(is_private_answer(*IpAddress::parse(text)));
  }
  for (const char* text : {"100.63.255.255", "100.128.0.1", "198.51.100.7", "172.32.0.1",
                           "2001:db8::1", "2002:c633:6407::1", "2001:0:c633:6407:0:0:39cc:9bf8",
                           "64:ff9b::198.51.100.7", "2001:4860:4860::8888"}) {
    CAPTURE(text);
    CHECK_FALSE(is_private_answer(*IpAddress::parse(text)));
  }
}

TEST_CASE("names that are no part of the public DNS") {
  for (const char* text : {"fritz", "nas.lan", "nas.home.arpa", "box.localdomain", "dc1.corp.local",
                           "x.internal", "a.b.test"}) {
    CAPTURE(text);
    CHECK(is_private_domain(test::name(text)));
  }
  CHECK_FALSE(is_private_domain(test::name("www.example.com")));
  CHECK_FALSE(is_private_domain(test::name("lan.example")));
}

TEST_CASE("a search domain of one label is excepted, unless it is a public top-level domain") {
  for (const char* text : {"mycorp", "corp.example", "localdomain", "co.uk"})
    CHECK(may_be_excepted(test::name(text)));
  for (const char* text : {"com", "org", "de", "dev", "."})
    CHECK_FALSE(may_be_excepted(test::name(text)));
}
