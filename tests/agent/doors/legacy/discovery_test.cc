// SPDX-License-Identifier: Apache-2.0
// The article's API and bilibili's discovery over the same registry.
#include <doctest/doctest.h>

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
  CHECK(has(f.post("/api/nodes"), "\"addr\""));
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
