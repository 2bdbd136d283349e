// SPDX-License-Identifier: Apache-2.0
// The article's API and bilibili's discovery over the same registry.
#include <doctest/doctest.h>

#include "agent/doors/lease.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

const char* const kWho = "zone=sh001&env=dev&hostname=host-1&appid=user-service";

struct Discovery : ApiFixture {
  Discovery() : ApiFixture({.article = true, .bilibili = true}) {}
  std::string post(const std::string& target, const std::string& body = {}) {
    return body_of(ask("POST", target, body));
  }
  std::string fetch(const std::string& target) { return body_of(ask("GET", target)); }
  /// As Kratos' client registers: everything in the query.
  void register_kratos() {
    CHECK(post("/discovery/register?region=sh&" + std::string(kWho) +
               "&addrs=http%3A%2F%2F192.168.1.10%3A8000&addrs=grpc%3A%2F%2F192.168.1.10%3A9000"
               "&version=v1.0.0&status=1&metadata=%7B%22color%22%3A%22red%22%7D") ==
          R"({"code":0,"message":"0","ttl":1})");
  }
};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// The last "latest_timestamp" of a text.
std::string stamp_of(const std::string& text) {
  const std::string_view key = "\"latest_timestamp\":";
  const std::size_t at = text.rfind(key) + key.size();
  return text.substr(at, text.find_first_not_of("0123456789", at) - at);
}

}  // namespace

TEST_CASE("bilibili: kPollAppsMax applications are polled for at once, and no more") {
  Discovery f;
  const auto poll = [&f](std::size_t count) {
    std::string target = "/discovery/polls?env=dev&hostname=c";
    for (std::size_t i = 0; i < count; ++i)
      target += "&appid=infra.discovery";
    return f.fetch(target);
  };
  CHECK_FALSE(has(poll(128), "-400"));
  CHECK(has(poll(129), "-400"));
}

TEST_CASE("off unless configured") {
  ApiFixture f;
  CHECK(f.status("POST", "/api/register", "{}") == "404");
  CHECK(f.status("GET", "/discovery/fetch?env=dev&appid=a&status=1") == "404");
}

TEST_CASE("the article: register, fetch, renew, cancel") {
  Discovery f;
  CHECK(f.post("/api/register",
               R"({"env":"dev","appid":"testapp","hostname":"testhost1","addrs":["rpc:aaa"],
                   "status":1,"version":""})") == R"({"code":200,"message":"","data":""})");
  const std::string found = f.post("/api/fetch", R"({"env":"dev","appid":"testapp","status":1})");
  CHECK(has(found, R"({"code":200,"message":"","data":{"instances":[{)"));
  CHECK(has(found, R"("hostname":"testhost1","addrs":["rpc:aaa"])"));
  CHECK(has(f.post("/api/fetch", R"({"env":"prod","appid":"testapp","status":1})"),
            R"("code: 404, error info: not found")"));
  CHECK(has(f.post("/api/fetch", R"({"env":"dev","appid":"testapp","status":2})"), "404"));
  const std::string who = R"({"env":"dev","appid":"testapp","hostname":"testhost1"})";
  CHECK(has(f.post("/api/renew", who), "\"code\":200"));
  CHECK(has(f.post("/api/fetchall", "{}"), "\"code\":200"));
  CHECK(has(f.post("/api/nodes"), "\"addrs\""));
  CHECK(has(f.post("/api/cancel", who), "\"code\":200"));
  CHECK(has(f.post("/api/cancel", who), "\"code\":404"));
  CHECK(has(f.post("/api/renew", who), "\"code\":404"));
  CHECK(has(f.post("/api/register", R"({"appid":""})"), "\"code\":400"));
  CHECK(has(f.post("/api/register", "{"), "\"code\":400"));
}

TEST_CASE("bilibili: register by query, fetch by zone and status, set, renew, cancel") {
  Discovery f;
  f.register_kratos();
  std::string found = f.fetch("/discovery/fetch?env=dev&appid=user-service&status=1");
  CHECK(has(found, R"("instances":{"sh001":[{"region":"sh","zone":"sh001","env":"dev",)"));
  CHECK(has(found, R"("addrs":["http://192.168.1.10:8000","grpc://192.168.1.10:9000"])"));
  CHECK(has(found, R"("color":"red")"));
  CHECK(has(found, R"("kratos.v2.serviceinstance.id":")"));
  CHECK(f.agent.registry().instances("user-service")[0]->port == 8000);
  CHECK(has(f.fetch("/discovery/fetch?env=dev&appid=user-service&status=1&zone=bj"), "-404"));
  CHECK(has(f.fetch("/discovery/fetch?env=prod&appid=user-service&status=1"), "-404"));
  CHECK(has(f.fetch("/discovery/fetchs?env=dev&appid=user-service&appid=none&status=1"),
            R"("data":{"user-service":{)"));
  CHECK(has(f.fetch("/discovery/fetch/all"), R"("user-service":[{)"));

  const std::string who = kWho;
  CHECK(has(f.post("/discovery/set", who + "&status=2"), "\"code\":0"));  // a form body
  CHECK(has(f.fetch("/discovery/fetch?env=dev&appid=user-service&status=1"), "-404"));
  CHECK(has(f.fetch("/discovery/fetch?env=dev&appid=user-service&status=3"), "\"status\":2"));
  CHECK(has(f.post("/discovery/set?" + who + "&status=1"), "\"code\":0"));
  CHECK(has(f.post("/discovery/renew?" + who), R"("hostname":"host-1")"));
  CHECK(has(f.post("/discovery/renew?zone=sh001&env=dev&hostname=h2&appid=user-service"),
            R"({"code":-404,"message":"-404","ttl":1})"));
  CHECK(f.post("/discovery/cancel?" + who) == R"({"code":0,"message":"0","ttl":1})");
  CHECK(has(f.post("/discovery/cancel?" + who), "-404"));
  CHECK(has(f.post("/discovery/register?" + who + "&status=1"), "-400"));
  CHECK(has(f.post("/discovery/register?" + who + "&addrs=a&metadata=x"), "-400"));
}

TEST_CASE("bilibili: a client finds its node, then long polls wake on changes") {
  Discovery f;
  std::string polled = f.fetch(
      "/discovery/polls?env=dev&appid=infra.discovery&hostname=c1&latest_timestamp=0&zone=sh001");
  CHECK(has(polled, R"("infra.discovery":{"instances":{"sh001":[{)"));
  CHECK(has(polled, R"("addrs":["http://agent"])"));
  CHECK(has(polled, R"("message":"0")"));

  const std::string url =
      "/discovery/polls?env=dev&hostname=c1&appid=infra.discovery&latest_timestamp=1"
      "&appid=user-service&latest_timestamp=";
  Client client(f.world);
  CHECK(client.ask(f.request("GET", url + "0")).empty());  // none there: it waits
  f.register_kratos();
  polled = body_of(client.take());
  CHECK(has(polled, R"("user-service":{"instances")"));
  const std::string first = stamp_of(polled);

  CHECK(client.ask(f.request("GET", url + first)).empty());
  CHECK(has(f.post("/discovery/renew?" + std::string(kWho)), "\"code\":0"));
  CHECK(client.take().empty());  // a renewal is no change
  f.agent.see("user-service", "other", "10.1.1.1", 80);
  f.world.advance(50ms);
  polled = body_of(client.take());
  CHECK(has(polled, "10.1.1.1"));
  CHECK(stamp_of(polled) > first);

  CHECK(client.ask(f.request("GET", url + stamp_of(polled))).empty());
  f.world.advance(30s);
  CHECK(body_of(client.take()) == R"({"code":-304,"message":"-304","ttl":1})");
  CHECK(has(f.fetch("/discovery/poll?env=dev&appid=none&hostname=c1&latest_timestamp=0"),
            R"("message":"none not found")"));
  CHECK(has(f.fetch("/discovery/polls?env=dev&appid=a&appid=b&hostname=c&latest_timestamp=1"),
            "-400"));
}

TEST_CASE("the article: all applications of all environments, and nodes as its servers list them") {
  Discovery f;
  f.register_kratos();
  CHECK(has(f.post("/api/register", R"({"env":"prod","appid":"b","hostname":"h","addrs":["rpc:b"],
                                        "status":1})"),
            "\"code\":200"));
  for (const char* body : {"null", "{}", ""}) {
    const std::string all = f.post("/api/fetchall", body);
    CHECK(has(all, R"("env":"dev","appid":"user-service")"));
    CHECK(has(all, R"("env":"prod","appid":"b")"));
  }
  const std::string some = f.post("/api/fetchall", R"({"env":"prod"})");
  CHECK(has(some, R"("appid":"b")"));
  CHECK_FALSE(has(some, "user-service"));
  const auto nodes = json::parse(f.post("/api/nodes"), 1U << 20);
  REQUIRE(nodes.has_value());
  CHECK(at(*nodes, "data/instances/0/appid") == "Kavin.discovery");
  CHECK(at(*nodes, "data/instances/0/addrs/0") == "http://agent");
  CHECK(at(*nodes, "data/latest_timestamp") == "1");
}

TEST_CASE("bilibili: set changes status and metadata, of one or several hosts") {
  Discovery f;
  f.register_kratos();
  const std::string who = kWho;
  const std::string fetch = "/discovery/fetch?env=dev&appid=user-service&status=3";
  CHECK(has(f.post("/discovery/set",
                   who + "&metadata=%7B%22weight%22%3A%225%22%2C%22zone%22%3A%22x%22%7D"),
            "\"code\":0"));
  std::string found = f.fetch(fetch);
  CHECK(has(found, R"("weight":"5")"));
  CHECK(has(found, R"("color":"red")"));   // what was there stays
  CHECK(has(found, R"("zone":"sh001")"));  // and so does where it is
  CHECK(has(found, R"("status":1)"));
  CHECK(has(f.post("/discovery/set", who + "&status=2"), "\"code\":0"));
  CHECK(has(f.post("/discovery/set", who + "&metadata=%7B%7D"), "\"code\":0"));
  CHECK(has(f.fetch(fetch), R"("status":2)"));  // a status that is not given stays too
  CHECK(has(f.post("/discovery/set", who + "&metadata=x"), "-400"));
  CHECK(has(f.post("/discovery/set", who + "&status=7"), "-400"));
  CHECK(has(f.post("/discovery/set", who + "&status=1&status=1"), "-400"));
  const std::string long_value(registry::kMetadataValueBytesMax + 1, 'x');
  CHECK(has(f.post("/discovery/set", who + "&metadata=%7B%22k%22%3A%22" + long_value + "%22%7D"),
            "-400"));
  CHECK(has(f.post("/discovery/register?zone=sh001&env=dev&hostname=host-2&appid=user-service"
                   "&addrs=http%3A%2F%2F192.168.1.10%3A8001"),
            "\"code\":0"));
  CHECK(has(f.post("/discovery/set", who + "&hostname=host-2&status=1&status=2"), "\"code\":0"));
  found = f.fetch(fetch);
  CHECK(has(found, R"("status":1)"));
  CHECK(has(found, R"("status":2)"));
  CHECK(has(f.post("/discovery/set", who + "&hostname=none&status=1&status=2"), "-400"));
}

TEST_CASE("bilibili: a poll of another zone waits, whatever happens in this one") {
  Discovery f;
  f.register_kratos();
  const std::string url = "/discovery/polls?env=dev&hostname=c&appid=user-service";
  Client client(f.world);
  CHECK(client.ask(f.request("GET", url + "&zone=other&latest_timestamp=0")).empty());
  CHECK(has(f.post("/discovery/set", std::string(kWho) + "&status=2"), "\"code\":0"));
  CHECK(client.take().empty());
  CHECK(has(f.post("/discovery/register?zone=other&env=dev&hostname=h9&appid=user-service"
                   "&addrs=http%3A%2F%2F192.168.1.10%3A8009"),
            "\"code\":0"));
  f.world.advance(50ms);
  CHECK(has(body_of(client.take()), R"("instances":{"other":[)"));
  // Nothing changes: one answer in half a minute.
  std::size_t answers = 0;
  client.send(f.request("GET", url + "&zone=nowhere&latest_timestamp=0"));
  for (int i = 0; i < 60; ++i) {
    f.world.advance(1s);
    if (const std::string answer = client.take(); !answer.empty()) {
      ++answers;
      CHECK(has(answer, "-304"));
      client.send(f.request("GET", url + "&zone=nowhere&latest_timestamp=0"));
    }
  }
  CHECK(answers <= 2);
}

TEST_CASE("bilibili: bodies in JSON") {
  Discovery f;
  const auto post = [&](const char* path, const char* body) {
    const std::string request = http::write_request(
        "POST", path, "agent", {{"Content-Type", "application/json; charset=utf-8"}}, body, true);
    return body_of(Client(f.world).ask(request));
  };
  CHECK(has(post("/discovery/register",
                 R"({"Region":"sh","Zone":"sh001","Env":"dev","AppID":"j","Hostname":"h",
                     "Addrs":["http://192.168.1.10:8000","grpc://192.168.1.10:9000"],"Status":1,
                     "Metadata":"{\"color\":\"red\"}","Version":"v1","LatestTimestamp":0})"),
            "\"code\":0"));
  const std::string found = f.fetch("/discovery/fetch?env=dev&appid=j&status=1");
  CHECK(has(found, R"("addrs":["http://192.168.1.10:8000","grpc://192.168.1.10:9000"])"));
  CHECK(has(found, R"("color":"red")"));
  CHECK(has(post("/discovery/set",
                 R"({"zone":"sh001","env":"dev","appid":"j","hostname":["h"],"status":[2]})"),
            "\"code\":0"));
  CHECK(has(post("/discovery/renew", "{"), "-400"));
}

TEST_CASE("checks that were added otherwise stay when a program registers again") {
  Discovery f;
  f.register_kratos();
  const std::string id = "user-service.host-1.sh001.dev";
  const auto check = registry::ServiceSpec::parse_check(
      *json::parse(R"({"id":"extra","ttl":"10s","initial":"passing"})", 1000));
  REQUIRE(check.has_value());
  REQUIRE(f.agent.put_check(id, *check).has_value());
  f.register_kratos();
  CHECK(f.agent.registry().find_own(id)->checks.size() == 2);
  f.put(R"({"name":"full","id":"full.h","checks":[{"id":"c0","ttl":"9s"}]})");
  for (std::size_t i = 1; i < registry::kChecksPerInstanceMax; ++i) {
    registry::CheckSpec more = *check;
    more.id = "c" + std::to_string(i);
    REQUIRE(f.agent.put_check("full.h", more).has_value());
  }
  CHECK(has(f.post("/api/register", R"({"appid":"full","hostname":"h"})"), "more than 16 checks"));
}

TEST_CASE("the time of the last renewal is that of the lease, whatever other checks there are") {
  Discovery f;
  f.put(R"({"name":"app","id":"app.h","checks":[{"id":"first","ttl":"1h","initial":"passing"},
           {"id":"renew","ttl":"90s","initial":"passing"}]})");
  const std::string who = R"({"appid":"app","hostname":"h"})";
  f.world.advance(5s);
  CHECK(has(f.post("/api/renew", who), "\"code\":200"));
  const auto instance = f.agent.registry().find_own("app.h");
  const std::string renewed = std::to_string(
      find_check_state(*instance, kAppLease.check)->renewed.wall.time_since_epoch().count());
  f.world.advance(5s);
  f.agent.set_check("app.h", "first", CheckHealth::passing, "");
  CHECK(
      has(f.post("/api/fetch", R"({"appid":"app","status":1})"), "\"renew_timestamp\":" + renewed));
}

TEST_CASE("two applications whose names and hosts make one text are two instances") {
  Discovery f;
  const std::string one = R"({"appid":"demo","hostname":"service.box","addrs":["a"]})";
  const std::string two = R"({"appid":"demo.service","hostname":"box","addrs":["b"]})";
  CHECK(has(f.post("/api/register", one), "\"code\":200"));
  CHECK(has(f.post("/api/register", two), "\"code\":200"));
  CHECK(has(f.post("/api/register", two), "\"code\":200"));
  CHECK(f.agent.registry().own_count() == 2);
  CHECK(has(f.post("/api/cancel", one), "\"code\":200"));
  CHECK(has(f.post("/api/renew", one), "\"code\":404"));
  CHECK(has(f.post("/api/renew", two), "\"code\":200"));
  CHECK(has(f.post("/api/fetch", R"({"appid":"demo.service","status":1})"), R"("addrs":["b"])"));
  CHECK(has(f.post("/api/cancel", two), "\"code\":200"));
  CHECK(f.agent.registry().own_count() == 0);
}
