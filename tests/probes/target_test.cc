// SPDX-License-Identifier: Apache-2.0
#include "probes/target.h"

#include <doctest/doctest.h>

#include "probes/check.h"

using namespace outrider;
using namespace outrider::probes;

namespace {

std::string judge(std::string_view endpoint, bool allow_remote = false) {
  static const IpAddress kOwn[] = {*IpAddress::parse("192.0.2.7"), *IpAddress::parse("2001:db8::7"),
                                   *IpAddress::parse("fe80::7")};
  const auto result = check_target(*Endpoint::parse(endpoint), kOwn, allow_remote);
  return result ? "ok" : to_string(result.error());
}

}  // namespace

TEST_CASE("targets are this host's own, unless told otherwise") {
  CHECK(judge("127.0.0.1:80") == "ok");
  CHECK(judge("127.8.8.8:80") == "ok");
  CHECK(judge("[::1]:80") == "ok");
  CHECK(judge("192.0.2.7:80") == "ok");
  CHECK(judge("[2001:db8::7]:80") == "ok");
  CHECK(judge("192.0.2.8:80") == "not_ours");
  CHECK(judge("[2001:db8::8]:80") == "not_ours");
  CHECK(judge("192.0.2.8:80", true) == "ok");
  CHECK(check_target(UnixPath{"/run/app.sock"}, {}, false).has_value());
}

TEST_CASE("some targets are never probed") {
  for (const bool remote : {false, true}) {
    CAPTURE(remote);
    CHECK(judge("169.254.169.254:80", remote) == "link_local");
    CHECK(judge("169.254.1.1:80", remote) == "link_local");
    CHECK(judge("[fe80::7]:80", remote) == "link_local");
    CHECK(judge("[::ffff:169.254.169.254]:80", remote) == "link_local");
    CHECK(judge("[fd00:ec2::254]:80", remote) == "metadata");
    CHECK(judge("168.63.129.16:80", remote) == "metadata");
    CHECK(judge("100.100.100.200:80", remote) == "metadata");
    CHECK(judge("224.0.0.251:80", remote) == "multicast");
    CHECK(judge("[ff02::fb]:80", remote) == "multicast");
    CHECK(judge("255.255.255.255:80", remote) == "multicast");
    CHECK(judge("0.0.0.0:80", remote) == "unspecified");
    CHECK(judge("[::]:80", remote) == "unspecified");
    CHECK(judge("127.0.0.1:0", remote) == "unspecified");
  }
  CHECK_FALSE(check_target(UnixPath{""}, {}, true).has_value());
}

TEST_CASE("what a check may say") {
  const auto wrong = [](auto&& edit) {
    CheckSpec spec{.key = {"hello-1", "web"}, .kind = {}, .timing = {}, .thresholds = {}};
    std::get<HttpCheck>(spec.kind).target = *Endpoint::parse("127.0.0.1:80");
    edit(spec, std::get<HttpCheck>(spec.kind));
    return validate(spec).value_or("ok");
  };
  using S = CheckSpec;
  using H = HttpCheck;
  CHECK(wrong([](S&, H&) {}) == "ok");
  CHECK(wrong([](S& s, H&) { s.key.check = ""; }).starts_with("id"));
  CHECK(wrong([](S& s, H&) { s.timing.interval = 99ms; }).starts_with("interval"));
  CHECK(wrong([](S& s, H&) { s.timing.edge_interval = 0s; }).starts_with("interval"));
  CHECK(wrong([](S& s, H&) { s.timing.timeout = 0s; }).starts_with("timeout"));
  CHECK(wrong([](S&, H& h) { h.path = "health"; }).starts_with("path"));
  CHECK(wrong([](S&, H& h) { h.path = "/a b"; }).starts_with("path"));
  CHECK(wrong([](S&, H& h) { h.path = "/\r\nX: y"; }).starts_with("path"));
  CHECK(wrong([](S&, H& h) { h.path = "/a#b"; }).starts_with("path"));
  CHECK(
      wrong([](S&, H& h) { h.path = "/" + std::string(kCheckTextMax, 'x'); }).starts_with("path"));
  CHECK(wrong([](S&, H& h) { h.options.host = "a\r\nb"; }).starts_with("host"));
  CHECK(wrong([](S&, H& h) { h.options.method = "GET /"; }).starts_with("method"));
  CHECK(wrong([](S&, H& h) { h.options.headers = {{"X", "a\nb"}}; }).starts_with("headers"));
  CHECK(wrong([](S&, H& h) { h.options.headers.resize(kCheckHeadersMax + 1); }) ==
        "headers: too many");
  CHECK(wrong([](S&, H& h) {
          h.options.headers = {{"X", std::string(kCheckTextMax, 'x')}};
        }).starts_with("headers"));
  CHECK(wrong([](S&, H& h) { h.options.body.assign(kCheckBodyMax + 1, 'x'); }).starts_with("body"));
  CHECK(wrong([](S&, H& h) { h.options.expect.status = {99}; }).starts_with("expect_status"));
  CHECK(wrong([](S&, H& h) { h.options.expect.header = {"", ""}; }).starts_with("expect_header"));
  CHECK(wrong([](S&, H& h) {
          h.options.expect.body.assign(kOutputBytesMax + 1, 'x');
        }).starts_with("expect_body"));
  CHECK(wrong([](S&, H& h) { h.target = *Endpoint::parse("0.0.0.0:80"); }).starts_with("target"));
  CHECK(wrong([](S&, H& h) { h.target = *Endpoint::parse("127.0.0.1:0"); }).starts_with("target"));
  CHECK(wrong([](S&, H& h) { h.target = UnixPath{std::string(108, 'x')}; }).starts_with("target"));
  CHECK(wrong([](S& s, H&) { s.kind = TtlCheck{1ms}; }).starts_with("ttl"));
  CHECK(wrong([](S& s, H&) { s.kind = AliasCheck{""}; }).starts_with("alias"));
}
