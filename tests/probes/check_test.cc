// SPDX-License-Identifier: Apache-2.0
#include "probes/check.h"

#include <doctest/doctest.h>

using namespace outrider;
using namespace outrider::probes;

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
