// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include <doctest/doctest.h>

namespace outrider {
namespace {

TEST_CASE("addresses read and print in one form") {
  for (const char* text : {"192.0.2.1", "0.0.0.0", "::", "::1", "2001:db8::1", "fe80::1%3"}) {
    CAPTURE(text);
    const auto address = IpAddress::parse(text);
    REQUIRE(address);
    CHECK(address->to_string() == text);
  }
  CHECK(IpAddress::parse("::ffff:192.0.2.1") == IpAddress::v4(192, 0, 2, 1));
  CHECK(IpAddress::parse("2001:DB8:0:0::1")->to_string() == "2001:db8::1");
  CHECK(IpAddress::parse("2001:db8::1%3")->scope() == 0);  // only link-local ones have a scope
  for (const char* text : {"", "1.2.3", "1.2.3.4.5", "1.2.3.4%1", "fe80::1%", "fe80::1%0",
                           "fe80::1%eth0", "[::1]", "256.1.1.1", "::1::"}) {
    CAPTURE(text);
    CHECK(!IpAddress::parse(text));
  }
}

TEST_CASE("kinds of addresses") {
  const auto address = [](const char* text) { return IpAddress::parse(text).value(); };
  CHECK(address("127.0.0.55").is_loopback());
  CHECK(address("::1").is_loopback());
  CHECK(address("169.254.1.1").is_link_local());
  CHECK(address("fe80::1").is_link_local());
  CHECK(!address("fec0::1").is_link_local());
  CHECK(address("224.0.0.251").is_multicast());
  CHECK(address("ff02::fb").is_multicast());
  CHECK(address("172.31.0.1").is_private());
  CHECK(!address("172.32.0.1").is_private());
  CHECK(address("fd00::1").is_private());
  CHECK(address("::").is_any());
}

TEST_CASE("endpoints") {
  CHECK(Endpoint::parse("127.0.0.55:5370") == Endpoint{IpAddress::v4(127, 0, 0, 55), 5370});
  CHECK(Endpoint::parse("[::1]:53")->to_string() == "[::1]:53");
  for (const char* text : {"127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:53", "[127.0.0.1]:1",
                           ":53", "localhost:53", "127.0.0.1:-1"}) {
    CAPTURE(text);
    CHECK(!Endpoint::parse(text));
  }
}

TEST_CASE("prefixes") {
  const auto prefix = Prefix::parse("10.1.0.0/17").value();
  CHECK(prefix.contains(IpAddress::v4(10, 1, 127, 255)));
  CHECK(!prefix.contains(IpAddress::v4(10, 1, 128, 0)));
  CHECK(!prefix.contains(IpAddress::parse("::1").value()));
  CHECK(Prefix::parse("0.0.0.0/0")->contains(IpAddress::v4(1, 2, 3, 4)));
  CHECK(Prefix::parse("fe80::/64")->contains(IpAddress::parse("fe80::1%7").value()));
  CHECK(!Prefix::parse("10.0.0.0/33"));
  CHECK(!Prefix::parse("10.0.0.0"));
}

}  // namespace
}  // namespace outrider
