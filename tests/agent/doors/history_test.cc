// SPDX-License-Identifier: Apache-2.0
// What the API says of the past.
#include <doctest/doctest.h>

#include "agent/doors/outrider/handlers.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

constexpr const char* kHello =
    R"({"name": "hello", "id": "hello-1", "port": 8080, "checks": [{"http": "/"}]})";

/// Registered at 1 s, passing at 2 s, critical at 3 s, gone at 4 s; now is 5 s.
struct Story : ApiFixture {
  WallTime begun = world.wall();
  Story() {
    world.advance(1s);
    put(kHello);
    world.advance(1s);
    agent.set_check("hello-1", "http", CheckHealth::passing, "HTTP 200");
    world.advance(1s);
    agent.set_check("hello-1", "http", CheckHealth::critical, "HTTP 503");
    world.advance(1s);
    REQUIRE(agent.remove("hello-1").has_value());
    world.advance(1s);
  }
  std::string time(Duration since) const { return format_wall_time(begun + since); }
  std::string why(Duration since) const { return "/v1/outrider/why/hello.svc?at=" + time(since); }
};

}  // namespace

TEST_CASE("a service is spelt in the history as it was registered") {
  ApiFixture f;
  f.put(R"({"name": "a b", "id": "ab-1", "port": 1})");
  CHECK(at(f.get("/v1/outrider/services"), "services/0/name") == "a b");
  CHECK(at(f.get("/v1/outrider/history"), "events/0/service") == "a b");
}

TEST_CASE("a check that fails for another reason is an event, and the extended error follows") {
  ApiFixture f;
  const WallTime begun = f.world.wall();
  f.put(kHello);
  for (const char* output : {"connection refused", "connection reset", "connection reset"}) {
    f.world.advance(1s);
    f.agent.set_check("hello-1", "http", CheckHealth::critical, output);
  }
  f.world.advance(1s);
  const json::Value history = f.get("/v1/outrider/history/hello");
  REQUIRE(history.find("events")->as_array()->size() == 3);
  CHECK(at(history, "events/2/from") == "critical");
  CHECK(at(history, "events/2/to") == "critical");
  CHECK(at(history, "events/2/reason") == "check http: connection reset");
  const auto error_at = [&](Duration since) {
    return at(f.get("/v1/outrider/why/hello-1.hello.svc?at=" + format_wall_time(begun + since)),
              "dns/0/ede/text");
  };
  CHECK(error_at(1'500ms) == "hello-1: critical: connection refused");
  CHECK(error_at(2'500ms) == "hello-1: critical: connection reset");
}

TEST_CASE("why of a moment: set, status, extended error and reasons are those of then") {
  Story f;
  const json::Value passing = f.get(f.why(2'550ms));
  CHECK(at(passing, "at") == f.time(2'550ms));
  CHECK(at(passing, "dns/0/answer") == "NOERROR");
  CHECK(at(passing, "dns/0/A") == R"(["192.168.1.10"])");
  CHECK(at(passing, "dns/0/ede") == "<none>");
  CHECK(at(passing, "instances/0/reason") == "in the answer: passing for 500ms");
  const json::Value critical = f.get(f.why(3'300ms));
  CHECK(at(critical, "dns/0/answer") == "NODATA");
  CHECK(at(critical, "dns/0/A") == "[]");
  CHECK(at(critical, "dns/0/ede/code") == "0");
  CHECK(at(critical, "dns/0/ede/text") == "1 known, 0 passing; hello-1: critical: HTTP 503");
  CHECK(at(critical, "instances/0/reason") ==
        "not in the answer: critical for 250ms, check http: HTTP 503");
  CHECK(at(critical, "instances/0/probes/0/output") == "HTTP 503");
  // The name is remembered after its last instance has left, and was unknown before the first.
  CHECK(at(f.get(f.why(4'500ms)), "dns/0/answer") == "NODATA");
  CHECK(at(f.get(f.why(500ms)), "dns/0/answer") == "NXDOMAIN");
  CHECK(f.status("GET", f.why(500ms)) == "404");
  CHECK(at(f.get("/v1/outrider/why/hello?at=2600ms"), "dns/0/answer") == "NOERROR");
}

TEST_CASE("why of a moment has the members of why of now") {
  Story f;
  f.put(kHello);
  const json::Value now = f.get("/v1/outrider/why/hello");
  const json::Value then = f.get(f.why(2'500ms));
  const auto members = [](const json::Value& value) {
    std::string keys;
    for (const auto& [key, content] : *value.as_object())
      keys += key + ' ';
    return keys;
  };
  CHECK(members(now) == members(then));
  const auto instance = [](const json::Value& value) {
    return (*value.find("instances")->as_array())[0];
  };
  CHECK(members(instance(now)) == members(instance(then)));
  CHECK(members(*instance(now).find("instance")) == members(*instance(then).find("instance")));
}

TEST_CASE("why of a moment that is not known says since when it knows") {
  Story f;
  const std::string early = f.ask("GET", f.why(-1s));
  CHECK(status_of(early) == "410");
  CHECK(body_of(early).find("the history begins at " + f.time(0s)) != std::string::npos);
  CHECK(f.status("GET", f.why(1h)) == "400");
  for (const char* wrong : {"", "12:03:10", "yesterday", "-5m", "2026-01-31"})
    CHECK(f.status("GET", std::string("/v1/outrider/why/hello?at=") + wrong) == "400");
}

TEST_CASE("why of a moment: a sighting, an address, an instance and another spelling") {
  ApiFixture f;
  f.agent.see("pay_api", "Pay 1", "192.168.1.20", 80);
  f.world.advance(1s);
  const std::string then = "?at=" + format_wall_time(f.world.wall());
  f.world.advance(1s);
  f.agent.lose("pay_api", "Pay 1");
  for (const char* name : {"pay-api", "pay_api", "pay_api.svc", "pay-1.pay-api.svc", "192.168.1.20",
                           "192.168.1.20:80", "host-Pay%201.local", "_pay-api._tcp"}) {
    CAPTURE(name);
    CHECK(f.status("GET", std::string("/v1/outrider/why/") + name + then) == "200");
  }
  CHECK(at(f.get("/v1/outrider/why/192.168.1.20" + then), "instances/0/id") == "Pay 1");
  CHECK(f.status("GET", "/v1/outrider/why/192.168.1.20") == "404");
}

TEST_CASE("the history has changes with their reasons and answers, oldest first") {
  Story f;
  const json::Value history = f.get("/v1/outrider/history/hello");
  CHECK(at(history, "since") == f.time(0s));
  REQUIRE(size_of(history, "events") == 4);
  const auto event = [&](std::size_t number, const char* path) {
    return at(history, "events/" + std::to_string(number) + '/' + path);
  };
  CHECK(event(0, "at") == f.time(1s));
  CHECK(event(0, "kind") == "added");
  CHECK(event(0, "from") == "absent");
  CHECK(event(0, "to") == "starting");
  CHECK(event(0, "dns/answer") == "NODATA");
  CHECK(event(1, "kind") == "changed");
  CHECK(event(1, "reason") == "check http: HTTP 200");
  CHECK(event(1, "dns/A") == R"(["192.168.1.10"])");
  CHECK(event(2, "reason") == "check http: HTTP 503");
  CHECK(event(2, "dns/ede/code") == "0");
  CHECK(event(3, "kind") == "removed");
  CHECK(event(3, "reason") == "deregistered");
  CHECK(event(3, "instance") == "hello-1");
  CHECK(event(3, "port") == "8080");
}

TEST_CASE("the history of a name has its instances only, that of all names all") {
  Story f;
  f.put(R"({"name": "hello", "id": "hello-2", "port": 81, "tags": ["blue"]})");
  f.put(R"({"name": "other", "id": "other-1", "port": 82})");
  CHECK(size_of(f.get("/v1/outrider/history/hello"), "events") == 5);
  CHECK(size_of(f.get("/v1/outrider/history/hello-2.hello.svc"), "events") == 1);
  CHECK(size_of(f.get("/v1/outrider/history/blue._tag.hello"), "events") == 1);
  const json::Value all = f.get("/v1/outrider/history");
  CHECK(size_of(all, "events") == 6);
  CHECK(at(all, "events/5/service") == "other");
  CHECK(at(all, "events/5/dns/name") == "other.svc");
  CHECK(size_of(f.get("/v1/outrider/history/nobody"), "events") == 0);
  const json::Value last = f.get("/v1/outrider/history?last=2");
  CHECK(at(last, "events/0/instance") == "hello-2");
  CHECK(size_of(last, "events") == 2);
  for (const char* wrong : {"0", "-1", "x", "1001"})
    CHECK(f.status("GET", std::string("/v1/outrider/history?last=") + wrong) == "400");
}

TEST_CASE("a long history is written in several turns and is complete") {
  ApiFixture f;
  f.put(kHello);
  const std::size_t flaps = kEventsMax;
  for (std::size_t i = 0; i < flaps; ++i)
    f.agent.set_check("hello-1", "http", i % 2 == 0 ? CheckHealth::passing : CheckHealth::critical,
                      "");
  CHECK(size_of(f.get("/v1/outrider/history"), "events") == kEventsDefault);
  const json::Value all = f.get("/v1/outrider/history?last=" + std::to_string(kEventsMax));
  CHECK(size_of(all, "events") == kEventsMax);
  CHECK(at(all, "events/0/to") == "passing");
}
