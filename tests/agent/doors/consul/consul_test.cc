// SPDX-License-Identifier: Apache-2.0
// Consul's agent API: bodies as Kratos, GoFrame, zero-contrib and Forge send them, and what their
// clients read back.
#include "agent/doors/consul/consul.h"

#include <doctest/doctest.h>

#include "base/http/url.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

const char* const kKratos =
    R"({"ID":"user-service-001","Name":"user-service","Tags":["version=v1.0.0"],"Port":8000,
 "Address":"192.168.1.10",
 "TaggedAddresses":{"http":{"Address":"http://192.168.1.10:8000","Port":8000},
                    "grpc":{"Address":"grpc://192.168.1.10:9000","Port":9000}},
 "Meta":{"region":"us-west"},"Check":null,
 "Checks":[{"Interval":"10s","Timeout":"5s","TCP":"192.168.1.10:8000",
            "DeregisterCriticalServiceAfter":"600s"},
           {"Interval":"10s","Timeout":"5s","TCP":"192.168.1.10:9000",
            "DeregisterCriticalServiceAfter":"600s"},
           {"CheckID":"service:user-service-001","TTL":"20s",
            "DeregisterCriticalServiceAfter":"600s"}]})";
const char* const kGoFrame =
    R"({"ID":"hello.svc-latest-192.168.1.10:8000","Name":"hello.svc","Tags":["latest"],
 "Port":8000,"Address":"192.168.1.10",
 "Meta":{"metadata":"{\"insecure\":true,\"protocol\":\"http\"}","version":"latest"},
 "Check":{"CheckID":"service:hello.svc-latest-192.168.1.10:8000","TTL":"20s",
          "DeregisterCriticalServiceAfter":"1m"}})";
const char* const kZeroContrib =
    R"({"ID":"order.rpc-192.168.1.10-9000","Name":"order.rpc","Port":9000,"Address":"192.168.1.10",
 "Check":{"CheckID":"order.rpc-192.168.1.10-9000","TTL":"20s","Status":"passing",
          "DeregisterCriticalServiceAfter":"60s"}})";
const char* const kZeroContribCheck =
    R"({"ID":"order.rpc-192.168.1.10-9000","Name":"order.rpc","TTL":"20s","Status":"passing",
 "ServiceID":"order.rpc-192.168.1.10-9000","DeregisterCriticalServiceAfter":"60s"})";
const char* const kForge =
    R"({"ID":"web-1","Name":"web","Tags":["http","v1"],"Port":8080,"Address":"192.168.1.10",
 "Meta":{"region":"us-west"},"Check":{"TTL":"30s","DeregisterCriticalServiceAfter":"1m"}})";
const char* const kPythonConsul =
    R"({"name":"py","id":"py-1","address":"192.168.1.10","port":5000,"tags":["a"],
 "check":{"http":"http://192.168.1.10:5000/health","interval":"10s","timeout":"2s",
          "DeregisterCriticalServiceAfter":"1m0s"}})";

/// The index header of an answer.
std::string index_of(std::string_view answer) {
  const std::string_view name = "X-Consul-Index: ";
  const std::size_t at = answer.find(name);
  if (at == std::string_view::npos) return "";
  const std::size_t begin = at + name.size();
  return std::string(answer.substr(begin, answer.find("\r\n", begin) - begin));
}

struct Consul : ApiFixture {
  using ApiFixture::ApiFixture;
  void put_service(const char* body) {
    const std::string answer = ask("PUT", "/v1/agent/service/register", body);
    CAPTURE(answer);
    REQUIRE(status_of(answer) == "200");
    REQUIRE(body_of(answer).empty());
  }
};

}  // namespace

TEST_CASE("Kratos: register, heartbeat, read as its decoder does, deregister") {
  Consul f;
  const std::string url = "/v1/health/service/user-service?passing=1";
  f.put_service(kKratos);
  CHECK(size_of(f.get(url)) == 0);  // nothing has passed yet
  CHECK(f.status("PUT", "/v1/agent/check/update/service:user-service-001",
                 R"({"Status":"passing","Output":"pass"})") == "200");
  f.agent.set_check("user-service-001", "service:user-service-001:1", CheckHealth::passing, "ok");
  f.agent.set_check("user-service-001", "service:user-service-001:2", CheckHealth::passing, "ok");

  const json::Value found = f.get(url + "&wait=55000ms");
  REQUIRE(size_of(found) == 1);
  CHECK(at(found, "0/Service/ID") == "user-service-001");
  CHECK(at(found, "0/Service/Service") == "user-service");
  CHECK(at(found, "0/Service/Tags") == R"(["version=v1.0.0"])");
  CHECK(at(found, "0/Service/Address") == "192.168.1.10");
  CHECK(at(found, "0/Service/Port") == "8000");
  CHECK(at(found, "0/Service/TaggedAddresses/http/Address") == "http://192.168.1.10:8000");
  CHECK(at(found, "0/Service/TaggedAddresses/grpc/Address") == "grpc://192.168.1.10:9000");
  CHECK(at(found, "0/Service/TaggedAddresses/grpc/Port") == "9000");
  CHECK(at(found, "0/Service/Meta/region") == "us-west");
  CHECK(at(found, "0/Service/Meta/tagged.http") == "<none>");
  CHECK(at(found, "0/Checks/2/CheckID") == "service:user-service-001");
  CHECK(at(found, "0/Checks/2/Output") == "pass");
  CHECK(at(found, "0/Checks/0/Type") == "tcp");
  CHECK(at(found, "0/Node/Datacenter") == "dc1");

  CHECK(f.status("PUT", "/v1/agent/service/deregister/user-service-001") == "200");
  const std::string again = f.ask("PUT", "/v1/agent/service/deregister/user-service-001");
  CHECK(status_of(again) == "404");
  CHECK(body_of(again) ==
        "Unknown service ID \"user-service-001\". Ensure that the service ID is passed, not the "
        "service name.");
  CHECK(f.status("PUT", "/v1/agent/check/update/service:user-service-001",
                 R"({"Status":"passing"})") == "404");
}

TEST_CASE("GoFrame: an id with dots and a colon, heartbeats by pass") {
  Consul f;
  f.put_service(kGoFrame);
  CHECK(f.status("PUT", "/v1/agent/check/pass/service:hello.svc-latest-192.168.1.10:8000?note=") ==
        "200");
  const json::Value found = f.get("/v1/health/service/hello.svc?passing=1");
  REQUIRE(size_of(found) == 1);
  CHECK(at(found, "0/Service/ID") == "hello.svc-latest-192.168.1.10:8000");
  CHECK(at(found, "0/Service/Service") == "hello.svc");
  CHECK(at(found, "0/Service/Tags") == R"(["latest"])");
  CHECK(at(found, "0/Service/Meta/metadata") == R"({"insecure":true,"protocol":"http"})");
  CHECK(f.status("PUT", "/v1/agent/service/deregister/hello.svc-latest-192.168.1.10%3A8000") ==
        "200");
}

TEST_CASE("zero-contrib: check registered twice under the service's id, near=_agent") {
  Consul f;
  f.put_service(kZeroContrib);
  CHECK(f.status("PUT", "/v1/agent/check/register", kZeroContribCheck) == "200");
  CHECK(f.status("PUT", "/v1/agent/check/update/order.rpc-192.168.1.10-9000",
                 R"({"Status":"passing","Output":""})") == "200");
  f.agent.see("order.rpc", "far", "10.1.1.1", 9000);
  f.agent.see("order.rpc", "a-near", "192.168.1.77", 9000);
  const json::Value found = f.get("/v1/health/service/order.rpc?near=_agent&wait=14s");
  REQUIRE(size_of(found) == 3);
  CHECK(at(found, "0/Service/Port") == "9000");
  CHECK(at(found, "1/Service/ID") == "a-near");
  CHECK(at(found, "2/Service/ID") == "far");
  CHECK(size_of(f.get("/v1/agent/checks")) == 1);
}

TEST_CASE("Forge: self, register, update, services, catalog") {
  Consul f;
  CHECK(at(f.get("/v1/agent/self"), "Config/NodeName") == "box");
  f.put_service(kForge);
  json::Value entry = f.get("/v1/health/service/web");
  CHECK(at(entry, "0/Checks/0/CheckID") == "service:web-1");
  CHECK(at(entry, "0/Checks/0/Status") == "critical");  // as Consul has it before a heartbeat
  CHECK(f.status("PUT", "/v1/agent/check/update/service:web-1",
                 R"({"Status":"passing","Output":""})") == "200");
  entry = f.get("/v1/health/service/web");
  CHECK(at(entry, "0/Checks/0/Status") == "passing");
  CHECK(at(f.get("/v1/catalog/services"), "web") == R"(["http","v1"])");
  CHECK(at(f.get("/v1/catalog/services"), "consul") == "[]");
  CHECK(at(f.get("/v1/agent/services"), "web-1/Meta/region") == "us-west");
  CHECK(at(f.get("/v1/agent/service/web-1"), "Port") == "8080");
  CHECK(at(f.get("/v1/catalog/service/web"), "0/ServiceAddress") == "192.168.1.10");
  CHECK(at(f.get("/v1/catalog/nodes"), "0/Node") == "box");
  CHECK(at(f.get("/v1/catalog/datacenters"), "0") == "dc1");
}

TEST_CASE("python-consul: keys in lower case") {
  Consul f;
  f.put_service(kPythonConsul);
  const registry::InstancePtr instance = f.agent.registry().find_own("py-1");
  REQUIRE(instance != nullptr);
  REQUIRE(instance->checks.size() == 1);
  CHECK(instance->checks[0].spec.deregister_critical_after == 1min);
  CHECK(instance->checks[0].spec.timing.timeout == 2s);
  CHECK(instance->checks[0].spec.id == "service:py-1");
}

TEST_CASE("what is refused, and why") {
  Consul f;
  struct Row {
    const char* body;
    const char* says;
  };
  const Row rows[] = {
      {R"({"ID":"a"})", "Missing service name"},
      {R"({"Name":"a","Check":{"Args":["/bin/sh"],"Interval":"1s"}})", "run commands"},
      {R"({"Name":"a","Check":{"Script":"x","Interval":"1s"}})", "run commands"},
      {R"({"Name":"a","Check":{"Interval":"1s"}})", "a check needs one of"},
      {R"({"Name":"a","Check":{"TTL":"soon"}})", "ttl"},
      {R"({"Name":"a","Port":1,"Check":{"HTTP":"http://127.0.0.1:1/"}})", "Interval must be > 0"},
      {R"({"Name":"a","Port":1,"Check":{"TCP":"127.0.0.1:1","Interval":""}})", "Interval must be"},
      {R"({"Name":"a","Port":1,"Check":{"GRPC":"127.0.0.1:1"}})", "Interval must be > 0"},
      {R"({"Name":"a","Port":"80"})", "port"},
      {R"({"Name":"a","Port":70000})", "port"},
      {R"({"Name":"a","Tags":[1]})", "tags"},
      {R"({"Name":"a","Kind":"connect-proxy"})", "kind"},
      {R"({"Name":"a","Address":"some.host"})", "address"},
      {R"({"Name":"a","Meta":{"tagged.x":"y"}})", "tagged."},
      {R"({"Name":"a","Meta":{"outrider_x2Evia":"mdns"}})", "copied from elsewhere"},
      {"[1]", "object"},
      {"nonsense", "decode failed"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.body);
    const std::string answer = f.ask("PUT", "/v1/agent/service/register", row.body);
    CAPTURE(answer);
    CHECK(status_of(answer) == "400");
    CHECK(body_of(answer).find(row.says) != std::string::npos);
  }
  CHECK(f.agent.registry().own().empty());
  CHECK(f.status("GET", "/v1/health/service/a?dc=elsewhere") == "400");
  CHECK(f.status("GET", "/v1/health/service/a?index=x") == "400");
  CHECK(f.status("GET", "/v1/health/service/a?index=1&wait=x") == "400");
  CHECK(f.status("GET", "/v1/health/state/happy") == "400");
  CHECK(f.status("PUT", "/v1/agent/check/pass/nobody") == "404");
}

TEST_CASE("blocking query: wakes for the first instance, for health, for the last removal") {
  Consul f;
  const std::string url = "/v1/health/service/web?passing=1&wait=60s&index=";
  const std::string first = f.ask("GET", "/v1/health/service/web?passing=1");
  CHECK(body_of(first) == "[]");
  CHECK(index_of(first) == "1");

  Client client(f.world);
  CHECK(client.ask(f.request("GET", url + "1")).empty());
  f.put_service(R"({"Name":"other","Port":1})");  // another client's change does not wake it
  CHECK(client.take().empty());
  f.put_service(kForge);
  const std::string second = client.take();
  CHECK(status_of(second) == "200");
  CHECK(body_of(second) == "[]");

  CHECK(client.ask(f.request("GET", url + index_of(second))).empty());
  f.ask("PUT", "/v1/agent/check/pass/service:web-1");
  const std::string third = client.take();
  CHECK(body_of(third).find("\"web-1\"") != std::string::npos);
  CHECK(std::stoul(index_of(third)) > std::stoul(index_of(second)));

  CHECK(client.ask(f.request("GET", url + index_of(third))).empty());
  f.ask("PUT", "/v1/agent/service/deregister/web-1");
  CHECK(body_of(client.take()) == "[]");
}

TEST_CASE("blocking query: the wait ends with at most a sixteenth more, the index stays") {
  Consul f;
  f.put_service(kForge);
  const std::string index = index_of(f.ask("GET", "/v1/health/service/web"));
  Client client(f.world);
  client.send(f.request("GET", "/v1/health/service/web?wait=16s&index=" + index));
  f.world.advance(15'900ms);
  CHECK(client.take().empty());
  f.world.advance(1'200ms);
  CHECK(index_of(client.take()) == index);
  CHECK(f.api->waiting() == 0);
  // An index that we have not come to yet is of an earlier life: the answer comes at once.
  CHECK_FALSE(client.ask(f.request("GET", "/v1/health/service/web?index=4711")).empty());
}

TEST_CASE("blocking query: no client waits longer than kWaitMax, whatever it asks for") {
  Consul f;
  f.put_service(kForge);
  const std::string index = index_of(f.ask("GET", "/v1/health/service/web"));
  Client client(f.world);
  client.send(f.request("GET", "/v1/health/service/web?wait=24h&index=" + index));
  f.world.advance(kWaitMax - 1s);
  CHECK(client.take().empty());
  f.world.advance(kWaitMax / 16 + 2s);
  CHECK(index_of(client.take()) == index);
}

TEST_CASE("blocking queries are forgotten when their clients go, and bounded") {
  Consul f;
  const std::string url =
      "/v1/catalog/services?index=" + index_of(f.ask("GET", "/v1/catalog/services"));
  {
    Client client(f.world);
    client.ask(f.request("GET", url));
    CHECK(f.api->waiting() == 1);
  }
  f.world.advance(50ms);
  CHECK(f.api->waiting() == 0);
  std::vector<std::unique_ptr<Client>> many;
  for (std::size_t i = 0; i < http::kWaitersMax; ++i) {
    many.push_back(std::make_unique<Client>(f.world));
    many.back()->send(f.request("GET", url));
    f.world.advance(1ms);
  }
  CHECK(f.api->waiting() == http::kWaitersMax);
  CHECK(f.status("GET", url) == "503");
  f.put_service(kForge);
  CHECK(f.api->waiting() == 0);
  f.world.advance(50ms);
  CHECK(status_of(many.back()->take()) == "200");
}

TEST_CASE("maintenance, agent health by id and by name, state, tags") {
  Consul f;
  f.put_service(kForge);
  f.ask("PUT", "/v1/agent/check/warn/service:web-1?note=slow");
  CHECK(f.status("GET", "/v1/agent/health/service/id/web-1") == "429");
  CHECK(at(f.get("/v1/agent/health/service/id/web-1"), "AggregatedStatus") == "warning");
  f.ask("PUT", "/v1/agent/check/pass/service:web-1");
  CHECK(body_of(f.ask("GET", "/v1/agent/health/service/name/web?format=text")) == "passing");
  CHECK(f.status("PUT", "/v1/agent/service/maintenance/web-1?enable=true&reason=x") == "200");
  CHECK(f.status("GET", "/v1/agent/health/service/name/web") == "503");
  const json::Value entry = f.get("/v1/health/service/web");
  CHECK(at(entry, "0/Checks/1/CheckID") == "_service_maintenance:web-1");
  CHECK(at(entry, "0/Checks/1/Status") == "critical");
  CHECK(size_of(f.get("/v1/health/service/web?passing")) == 0);
  f.ask("PUT", "/v1/agent/service/maintenance/web-1?enable=false");
  CHECK(size_of(f.get("/v1/health/service/web?passing&tag=http&tag=v1")) == 1);
  CHECK(size_of(f.get("/v1/health/service/web?tag=http&tag=v2")) == 0);
  CHECK(size_of(f.get("/v1/health/state/passing")) == 1);
  CHECK(size_of(f.get("/v1/health/state/critical")) == 0);
  CHECK(size_of(f.get("/v1/health/checks/web")) == 1);
  CHECK(size_of(f.get("/v1/health/node/box")) == 1);
  CHECK(f.status("GET", "/v1/agent/health/service/name/nobody") == "404");
}

TEST_CASE("a sighting as Kratos wants it: version as a tag, an endpoint with a scheme") {
  Consul f;
  f.agent.see("web", "web-9", "10.1.1.1", 8080);
  const json::Value entry = f.get("/v1/health/service/web?passing=1");
  CHECK(at(entry, "0/Service/Tags") == R"(["seen","version=v2"])");
  CHECK(at(entry, "0/Service/TaggedAddresses/http/Address") == "http://10.1.1.1:8080");
  CHECK(at(entry, "0/Node/Node") == "host-web-9.local");
  CHECK(size_of(*entry.as_array()->front().find("Checks")) == 1);
}

TEST_CASE("checks that came apart are not dropped silently when they are too many together") {
  Consul f;
  f.put_service(R"({"ID":"a","Name":"a","Port":1})");
  for (std::size_t i = 0; i < registry::kChecksPerInstanceMax; ++i)
    REQUIRE(f.status("PUT", "/v1/agent/check/register",
                     R"({"ID":"c)" + std::to_string(i) +
                         R"(","Name":"x","ServiceID":"a","TTL":"9s"})") == "200");
  const char* const more = R"({"ID":"a","Name":"a","Port":2,"Check":{"TTL":"9s"}})";
  CHECK(f.status("PUT", "/v1/agent/service/register", more) == "400");
  CHECK(size_of(f.get("/v1/agent/checks")) == registry::kChecksPerInstanceMax);
  CHECK(f.status("PUT", "/v1/agent/service/register?replace-existing-checks=true", more) == "200");
  CHECK(size_of(f.get("/v1/agent/checks")) == 1);
}

TEST_CASE("re-registering keeps checks that came apart, unless told to replace them") {
  Consul f;
  f.put_service(kForge);
  CHECK(f.status("PUT", "/v1/agent/check/register",
                 R"({"ID":"extra","Name":"x","ServiceID":"web-1","TTL":"9s"})") == "200");
  f.ask("PUT", "/v1/agent/check/pass/extra");
  f.put_service(kForge);
  CHECK(at(f.get("/v1/agent/checks"), "extra/Status") == "passing");
  CHECK(f.status("PUT", "/v1/agent/service/register?replace-existing-checks=true", kForge) ==
        "200");
  CHECK(size_of(f.get("/v1/agent/checks")) == 1);
  CHECK(f.status("PUT", "/v1/agent/check/deregister/service:web-1") == "200");
  CHECK(size_of(f.get("/v1/agent/checks")) == 0);
}

TEST_CASE("durations as Go writes them") {
  const std::pair<const char*, std::optional<Duration>> rows[] = {
      {"10s", 10s},
      {"600s", 600s},
      {"1m0s", 1min},
      {"55000ms", 55s},
      {"1h0m0s", 1h},
      {"1.5s", 1500ms},
      {"0", 0s},
      {"100us", 100us},
      {"2h45m", 2h + 45min},
      {"", std::nullopt},
      {"10", std::nullopt},
      {"-1s", std::nullopt},
      {"1d", std::nullopt},
      {"s", std::nullopt},
      {"99999999h", std::nullopt},
  };
  for (const auto& [text, wanted] : rows) {
    CAPTURE(text);
    CHECK(consul::parse_go_duration(text) == wanted);
  }
}

TEST_CASE("tags and metadata come back as they were sent") {
  Consul f;
  const auto service = [&](const char* id) {
    return f.get(std::string("/v1/agent/service/") + id);
  };
  f.put_service(R"({"ID":"tagged","Name":"a","Port":1,"Tags":["version=v1"],"Meta":{"k":"v"}})");
  CHECK(at(service("tagged"), "Tags") == R"(["version=v1"])");
  CHECK(at(service("tagged"), "Meta") == R"({"k":"v"})");
  f.put_service(R"({"ID":"meta","Name":"a","Port":2,"Tags":["x"],"Meta":{"version":"v2"}})");
  CHECK(at(service("meta"), "Tags") == R"(["x"])");
  CHECK(at(service("meta"), "Meta") == R"({"version":"v2"})");
  // A registration from elsewhere shows its version where Kratos and others look for it.
  f.put(R"({"name":"a","id":"ours","port":3,"version":"v3"})");
  CHECK(at(service("ours"), "Tags") == R"(["version=v3"])");
  CHECK(at(service("ours"), "Meta") == R"({"version":"v3"})");
}

TEST_CASE("filters narrow every list, over the rows that it shows") {
  Consul f;
  f.put_service(kForge);
  f.put_service(R"({"ID": "db-1", "Name": "db", "Port": 5432, "Tags": ["v2"],
                    "Check": {"CheckID": "db", "TTL": "10s", "Status": "passing"}})");
  struct Row {
    std::string_view path, holds, not_so;
  };
  for (const auto& [path, holds, not_so] : std::vector<Row>{
           {"/v1/health/service/web", "Service.Meta.region == `us-west`", "Service.Port == 1"},
           {"/v1/health/service/web", "Checks.Status == critical", "Checks.Status == passing"},
           {"/v1/catalog/service/web", "ServiceID == `web-1`", "ServiceTags is empty"},
           {"/v1/health/checks/db", "Status == passing", "Status == critical"},
           {"/v1/health/state/any", "CheckID == db", "ServiceName == none"},
           {"/v1/health/node/box", "CheckID == db", "ServiceName == none"},
           {"/v1/catalog/nodes", "Node == box", "Node == bag"},
           {"/v1/catalog/services", "ServiceName == db", "ServiceName == none"},
           {"/v1/agent/services", "Service == db", "Service == none"},
           {"/v1/agent/checks", "Status == passing", "Status == warning"},
       }) {
    CAPTURE(path);
    const std::string start = std::string(path) + "?filter=";
    CHECK(size_of(f.get(start + http::percent_encode(holds))) == 1);
    CHECK(size_of(f.get(start + http::percent_encode(not_so))) == 0);
    CHECK(f.status("GET", start + "Nothing%20%3D%3D%201") == "400");
    if (!path.starts_with("/v1/agent/"))
      CHECK(size_of(f.get(std::string(path) + "?node-meta=rack:1")) == 0);
  }
}
