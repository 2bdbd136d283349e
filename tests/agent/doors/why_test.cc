// SPDX-License-Identifier: Apache-2.0
// What `why` says of answers, beside the cases of api_test.cc.
#include <doctest/doctest.h>

#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::test;

TEST_CASE("why: HTTPS records, as the zone has them") {
  ApiFixture f;
  const auto records = [&](const std::string& name) {
    return at(f.get("/v1/outrider/why/" + name), "dns/0/HTTPS");
  };
  const std::string first = R"(1 a.web.svc alpn=\"h2\" port=443 ipv4hint=192.168.1.10)",
                    common = R"(1 web.svc alpn=\"h2\" port=443)",
                    second = R"(1 b.web.svc port=444 ipv4hint=192.168.1.10)";
  f.put(R"({"name":"web","id":"a","port":443,"protocol":"HTTPS","metadata":{"alpn":"h2"},
            "tags":["x"]})");
  f.put(R"({"name":"plain","id":"p","port":80})");
  CHECK(records("plain") == "<none>");
  CHECK(records("web") == "[\"" + common + "\",\"" + first + "\"]");
  CHECK(records("a.web") == "[\"" + first + "\"]");
  CHECK(records("_web._tcp") == "<none>");  // SRV alone
  f.put(R"({"name":"web","id":"b","port":444,"protocol":"https"})");
  CHECK(records("web") == "[\"" + first + "\",\"" + second + "\"]");
  CHECK(records("x._tag.web").starts_with(R"(["1 x._tag.web.svc )"));
  f.agent.dns_view.answers = 1;
  CHECK(records("web") == "[\"" + first + "\"]");
  f.put(R"({"name":"web","id":"c","port":80,"protocol":"http"})");
  CHECK(records("web") == "[\"" + first + "\"]");
}
