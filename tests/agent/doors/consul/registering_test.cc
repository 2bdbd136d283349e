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
    CHECK(body_of(answer).find("allow_remote") == std::string::npos);
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
  CHECK(f.own("a").tags == std::vector<std::string>{"x"});
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
