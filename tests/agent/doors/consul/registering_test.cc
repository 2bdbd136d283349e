// SPDX-License-Identifier: Apache-2.0
// Consul's API: registrations as Consul takes them, and checks that could never pass.
#include <doctest/doctest.h>

#include "agent/doors/consul/consul.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

struct Registering : ApiFixture {
  std::string put_service(const std::string& body) {
    return ask("PUT", "/v1/agent/service/register", body);
  }
  const registry::Instance& own(const char* id) {
    const registry::InstancePtr found = agent.registry().find_own(id);
    REQUIRE(found != nullptr);
    kept_ = found;
    return *found;
  }

 private:
  registry::InstancePtr kept_;
};

}  // namespace

TEST_CASE("the host's own name as an address means the host's addresses, whatever they become") {
  Registering f;
  for (const char* name : {"box", "BOX", "box.", "box.local"}) {
    const std::string body = std::string(R"({"ID":"a","Name":"a","Port":8000,"Address":")") + name +
                             R"(","Check":{"HTTP":"http://)" + name +
                             R"(:8000/actuator/health","Interval":"10s","Header":{}}})";
    CAPTURE(body);
    CHECK(status_of(f.put_service(body)) == "200");
    const registry::Instance& own = f.own("a");
    CHECK(own.addresses.empty());
    const auto& http = std::get<registry::HttpCheckSpec>(own.checks.front().spec.kind);
    CHECK(http.url == "http://localhost:8000/actuator/health");
    CHECK(http.options.host == std::string(name) + ":8000");
  }
  CHECK(status_of(f.put_service(R"({"ID":"b","Name":"b","Port":1,"Address":"192.168.1.10",
      "Checks":[{"TCP":"box:1","Interval":"10s"},
                {"GRPC":"box:1/x","Interval":"10s"}]})")) == "200");
  const registry::Instance& b = f.own("b");
  CHECK(std::get<registry::TcpCheckSpec>(b.checks[0].spec.kind).target == "192.168.1.10:1");
  CHECK(std::get<registry::GrpcCheckSpec>(b.checks[1].spec.kind).target == "192.168.1.10:1");
  CHECK(status_of(f.put_service(R"({"Name":"c","Port":1,"Address":"other"})")) == "400");
}

TEST_CASE("a check of another host is refused at once, with what to do") {
  Registering f;
  for (const char* check : {R"({"TCP":"10.9.9.9:80","Interval":"5s"})",
                            R"({"HTTP":"http://10.9.9.9/","Interval":"5s"})",
                            R"({"GRPC":"10.9.9.9:80","Interval":"5s"})"}) {
    const std::string answer =
        f.put_service(std::string(R"({"Name":"a","Port":80,"Check":)") + check + '}');
    CHECK(status_of(answer) == "400");
    CHECK(body_of(answer).find("10.9.9.9:80: not an address of this host") != std::string::npos);
    CHECK(body_of(answer).find("TTL") != std::string::npos);
    CHECK(body_of(answer).find("allow_remote in the check, which only the configuration file") !=
          std::string::npos);
  }
  CHECK(f.agent.registry().own().empty());
  CHECK(status_of(f.put_service(R"({"Name":"a","Port":80,"Address":"10.9.9.9",
                                    "Check":{"TTL":"5s"}})")) == "200");
  const char* const late = R"({"Name":"x","ServiceID":"a","TCP":"10.9.9.9:80","Interval":"5s"})";
  CHECK(f.status("PUT", "/v1/agent/check/register", late) == "400");
  // Our own API has the same rule.
  CHECK(f.status("PUT", "/v1/outrider/register",
                 R"({"name":"o","port":80,"checks":[{"tcp":"10.9.9.9:80"}]})") == "400");
  CHECK(f.status("PUT", "/v1/outrider/register",
                 R"({"name":"o","port":80,"address":"10.9.9.9","checks":[{"tcp":"auto"}]})") ==
        "400");
}

TEST_CASE("structures that Go's clients leave unset say nothing") {
  Registering f;
  CHECK(status_of(f.put_service(R"({"ID":"a","Name":"a","Port":1,"Check":{},"Tags":["","x"],
      "Connect":{"Native":false},"Proxy":null,"Weights":null})")) == "200");
  CHECK(f.own("a").checks.empty());
  CHECK(at(f.get("/v1/agent/service/a"), "Tags") == R"(["","x"])");
  CHECK(status_of(f.put_service(R"({"Name":"b","Checks":[{}]})")) == "400");
  CHECK(status_of(f.put_service(R"({"Name":"b","Connect":{"Native":true}})")) == "400");
  std::string tags;
  for (int i = 0; i < 65; ++i)
    tags += (i == 0 ? "\"t" : ",\"t") + std::to_string(i) + '"';
  CHECK(status_of(f.put_service(R"({"ID":"c","Name":"c","Tags":[)" + tags + "]}")) == "200");
  CHECK(size_of(f.get("/v1/agent/service/c"), "Tags") == 65);
}

TEST_CASE("registering again keeps the status of a check, also with another TTL or port") {
  Registering f;
  const auto body = [](int port, const char* ttl) {
    return R"({"ID":"a","Name":"a","Port":)" + std::to_string(port) + R"(,"Check":{"TTL":")" + ttl +
           "\"}}";
  };
  f.put_service(body(1, "20s"));
  CHECK(f.status("PUT", "/v1/agent/check/pass/service:a?note=fine") == "200");
  for (const std::string& again : {body(1, "20s"), body(1, "30s"), body(2, "30s"), body(3, "9s")}) {
    CHECK(status_of(f.put_service(again)) == "200");
    CHECK(at(f.get("/v1/health/checks/a"), "0/Status") == "passing");
    CHECK(at(f.get("/v1/health/checks/a"), "0/Output") == "fine");
  }
}

TEST_CASE("parameters of blocking queries: refused with a sentence, or obeyed") {
  Registering f;
  f.put_service(R"({"Name":"a","Port":1})");
  const std::string url = "/v1/health/service/a?";
  for (const char* good : {"stale", "consistent", "cached", "stale=&cached=", "dc=dc1",
                           "ns=default", "partition=default", "near=_agent", "index=0&wait=0"})
    CHECK(f.status("GET", url + good) == "200");
  for (const char* bad : {"stale&consistent", "dc=dc2", "ns=team", "partition=x", "peer=x", "sg=x",
                          "wait=soon", "wait=-1s"}) {
    const std::string answer = f.ask("GET", url + bad);
    CAPTURE(answer);
    CHECK(status_of(answer) == "400");
    CHECK(body_of(answer).find(' ') != std::string::npos);
  }
  // wait=0 is the default, as in Consul, and not an answer at once.
  const std::string answer = f.ask("GET", url);
  const std::size_t at = answer.find("X-Consul-Index: ") + 16;
  const std::string index = answer.substr(at, answer.find('\r', at) - at);
  Client client(f.world);
  CHECK(client.ask(f.request("GET", url + "wait=0&index=" + index)).empty());
  f.world.advance(4min);
  CHECK(client.take().empty());
  f.world.advance(2min);
  CHECK(status_of(client.take()) == "200");
}

TEST_CASE("of keys that differ only by case the last counts, and in Meta both do, as in Go") {
  Registering f;
  CHECK(status_of(f.put_service(R"({"Name":"wrong","name":"a","NAME":"b","ID":"a","Port":1,
      "Meta":{"Env":"1","env":"2","k":"3","k":"4"},"Tags":["x"],"tags":[""],
      "Check":{"TTL":"20s","ttl":"30s"}})")) == "200");
  CHECK(f.own("a").service.text() == "b");
  const std::string answer = f.ask("GET", "/v1/agent/service/a");
  CHECK(answer.find(R"("Meta":{"Env":"1","env":"2","k":"4"})") != std::string::npos);
  CHECK(answer.find(R"("Tags":[""])") != std::string::npos);
  const registry::CheckSpec::Kind kind = f.own("a").checks.front().spec.kind;
  CHECK(std::get<TtlCheck>(kind).ttl == 30s);
  CHECK(f.status("PUT", "/v1/agent/check/update/service:a",
                 R"({"Status":"critical","status":"passing"})") == "200");
  CHECK(at(f.get("/v1/health/checks/b"), "0/Status") == "passing");
  // Our own API stays strict.
  CHECK(f.status("PUT", "/v1/outrider/register", R"({"name":"a","Name":"b"})") == "400");
}

TEST_CASE("a parameter that a route does not have is refused, with the nearest name") {
  Registering f;
  f.put_service(R"({"ID":"a","Name":"a","Port":1,"Check":{"TTL":"20s"}})");
  const std::pair<const char*, const char*> refused[] = {
      {"/v1/health/service/a?pasing", "did you mean \"passing\"?"},
      {"/v1/health/service/a?tags=x", "did you mean \"tag\"?"},
      {"/v1/health/service/a?connect=true", "not supported"},
      {"/v1/health/service/a?filter=a&filter=b", "only once"},
      {"/v1/catalog/services?passing", "unknown parameter"},
      {"/v1/catalog/nodes?node_meta=a:b", "did you mean \"node-meta\"?"},
      {"/v1/catalog/datacenters?peer=x", "not supported"},
      {"/v1/agent/services?index=5", "unknown parameter"},
      {"/v1/agent/services?ns=team", "only \"default\""},
      {"/v1/agent/members?segment=x", "not supported"},
      {"/v1/status/leader?color", "unknown parameter"},
  };
  for (const auto& [target, says] : refused) {
    CAPTURE(target);
    const std::string answer = f.ask("GET", target);
    CHECK(status_of(answer) == "400");
    CHECK(answer.find("Content-Type: text/plain") != std::string::npos);
    CHECK(body_of(answer).find(says) != std::string::npos);
  }
  CHECK(f.status("PUT", "/v1/agent/service/deregister/a?force") == "400");
  CHECK(f.agent.registry().own().size() == 1);
  // What clients send from their settings with every request.
  const std::string all =
      "dc=dc1&ns=default&partition=default&near=_agent&wait=1000ms&cached&stale&token=x&pretty"
      "&merge-central-config";
  for (const char* path :
       {"/v1/health/service/a", "/v1/health/checks/a", "/v1/health/state/any",
        "/v1/health/node/box", "/v1/catalog/services", "/v1/catalog/service/a", "/v1/catalog/nodes",
        "/v1/catalog/node/box", "/v1/catalog/node-services/box", "/v1/catalog/datacenters",
        "/v1/agent/services", "/v1/agent/checks", "/v1/agent/service/a", "/v1/agent/self",
        "/v1/agent/members", "/v1/agent/metrics", "/v1/agent/health/service/name/a",
        "/v1/status/leader", "/v1/status/peers"}) {
    CAPTURE(path);
    const std::string status = f.status("GET", std::string(path) + '?' + all);
    CHECK((status == "200" || status == "503"));  // the health of a critical service
  }
  for (const char* target :
       {"/v1/agent/check/pass/service:a?note=x&", "/v1/agent/service/deregister/a?"})
    CHECK(f.status("PUT", target + all + "&dc=") == "400");
  for (const char* target :
       {"/v1/agent/check/pass/service:a?note=x&", "/v1/agent/service/deregister/a?"})
    CHECK(f.status("PUT", target + all) == "200");
}
