// SPDX-License-Identifier: Apache-2.0
#include "base/reach.h"

#include <doctest/doctest.h>

using namespace outrider;

namespace {

std::string judge(std::string_view endpoint, Reach reach = Reach::this_host) {
  static const IpAddress kOwn[] = {*IpAddress::parse("192.0.2.7"), *IpAddress::parse("2001:db8::7"),
                                   *IpAddress::parse("fe80::7")};
  const auto result = check_reach(*Endpoint::parse(endpoint), kOwn, reach);
  return result ? "ok" : to_string(result.error());
}

}  // namespace

TEST_CASE("a registration names targets on this host") {
  CHECK(judge("127.0.0.1:80") == "ok");
  CHECK(judge("127.8.8.8:80") == "ok");
  CHECK(judge("[::1]:80") == "ok");
  CHECK(judge("192.0.2.7:80") == "ok");
  CHECK(judge("[2001:db8::7]:80") == "ok");
  CHECK(judge("192.0.2.8:80") == "not_ours");
  CHECK(judge("[2001:db8::8]:80") == "not_ours");
  CHECK(check_reach(UnixPath{"/run/app.sock"}, {}, Reach::this_host).has_value());
}

TEST_CASE("the configuration names any host, a peer any but its own loopback") {
  CHECK(judge("192.0.2.8:80", Reach::any_host) == "ok");
  CHECK(judge("127.0.0.1:80", Reach::any_host) == "ok");
  CHECK(judge("192.0.2.8:80", Reach::lan) == "ok");
  CHECK(judge("127.0.0.1:80", Reach::lan) == "loopback");
  CHECK(judge("[::1]:80", Reach::lan) == "loopback");
  CHECK(judge("[fe80::8%2]:80", Reach::lan) == "ok");
  CHECK(judge("[fe80::8%2]:80", Reach::any_host) == "ok");
}

TEST_CASE("some targets are never asked") {
  for (const Reach reach : {Reach::this_host, Reach::lan, Reach::any_host}) {
    CAPTURE(static_cast<int>(reach));
    CHECK(judge("169.254.169.254:80", reach) == "link_local");
    CHECK(judge("169.254.1.1:80", reach) == "link_local");
    CHECK(judge("[fe80::7]:80", reach) == "link_local");
    CHECK(judge("[::ffff:169.254.169.254]:80", reach) == "link_local");
    CHECK(judge("[fd00:ec2::254]:80", reach) == "metadata");
    CHECK(judge("[fe80::a9fe:a9fe%2]:80", reach) == "metadata");
    CHECK(judge("168.63.129.16:80", reach) == "metadata");
    CHECK(judge("100.100.100.200:80", reach) == "metadata");
    CHECK(judge("224.0.0.251:80", reach) == "multicast");
    CHECK(judge("[ff02::fb]:80", reach) == "multicast");
    CHECK(judge("255.255.255.255:80", reach) == "multicast");
    CHECK(judge("0.0.0.0:80", reach) == "unspecified");
    CHECK(judge("[::]:80", reach) == "unspecified");
    CHECK(judge("127.0.0.1:0", reach) == "unspecified");
  }
  CHECK_FALSE(check_reach(UnixPath{""}, {}, Reach::any_host).has_value());
}
