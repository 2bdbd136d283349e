// SPDX-License-Identifier: Apache-2.0
// Consul's API: what the endpoints say of the health of registrations, sightings and the host, and
// that they agree.
#include <map>

#include <doctest/doctest.h>

#include "agent/doors/consul/consul.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

const char* const kWeb =
    R"({"ID":"web-1","Name":"web","Port":8080,"Check":{"TTL":"30s","Status":"passing"}})";

struct Views : ApiFixture {
  using ApiFixture::ApiFixture;
  void put_service(const char* body) {
    const std::string answer = ask("PUT", "/v1/agent/service/register", body);
    CAPTURE(answer);
    REQUIRE(status_of(answer) == "200");
  }
  /// Status by CheckID of a list of checks, or of an object of them.
  static std::map<std::string, std::string> statuses(const json::Value& checks) {
    std::map<std::string, std::string> out;
    if (const json::Array* list = checks.as_array())
      for (const json::Value& check : *list)
        out[at(check, "CheckID")] = at(check, "Status");
    if (const json::Object* object = checks.as_object())
      for (const auto& [key, check] : *object)
        out[at(check, "CheckID")] = at(check, "Status");
    return out;
  }
  std::map<std::string, std::string> of(const std::string& target) { return statuses(get(target)); }
  std::map<std::string, std::string> in_entry() {
    return statuses(*get("/v1/health/service/web").as_array()->front().find("Checks"));
  }
};

using Statuses = std::map<std::string, std::string>;

std::string header_of(const std::string& answer, const std::string& name) {
  const std::size_t at = answer.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 4;
  return answer.substr(begin, answer.find("\r\n", begin) - begin);
}

}  // namespace

TEST_CASE("a sighting has one check, the same in all health endpoints") {
  Views f;
  struct Row {
    registry::Health health;
    const char* status;
  };
  for (const Row& row :
       {Row{registry::Health::passing, "passing"}, Row{registry::Health::warning, "warning"},
        Row{registry::Health::critical, "critical"}, Row{registry::Health::starting, "critical"}}) {
    f.agent.see("web", "web-9", "192.168.1.20", 8080, row.health);
    const Statuses wanted = {{"service:web-9", row.status}};
    CHECK(f.in_entry() == wanted);
    CHECK(f.of("/v1/health/checks/web") == wanted);
    CHECK(f.of("/v1/health/state/any") == wanted);
    CHECK(f.of("/v1/health/node/host-web-9.local") == wanted);
    CHECK(f.of(std::string("/v1/health/state/") + row.status) == wanted);
    CHECK(f.of("/v1/agent/checks").empty());
    CHECK(at(f.get("/v1/health/checks/web"), "0/ServiceName") == "web");
    CHECK(at(f.get("/v1/health/checks/web"), "0/Node") == "host-web-9.local");
  }
  CHECK(f.of("/v1/health/state/passing").empty());
}

TEST_CASE("a sighting in maintenance is in maintenance everywhere") {
  Views f;
  f.agent.see("web", "web-9", "192.168.1.20", 8080, registry::Health::draining);
  const Statuses wanted = {{"_service_maintenance:web-9", "critical"},
                           {"service:web-9", "critical"}};
  CHECK(f.in_entry() == wanted);
  CHECK(f.of("/v1/health/checks/web") == wanted);
  CHECK(f.of("/v1/health/state/critical") == wanted);
}

TEST_CASE(
    "checks that a sighting's host tells stay; one is added if they do not explain its health") {
  Views f;
  registry::CheckState check;
  check.spec.id = "ping";
  check.spec.kind = TtlCheck{};
  check.health = CheckHealth::passing;
  registry::Sighting sighting{.place = {.key = "web/web-9", .engine = "host", .host = "box"},
                              .service = *registry::ServiceName::parse("web"),
                              .id = *registry::InstanceId::parse("web-9"),
                              .addresses = {{*IpAddress::parse("192.168.1.20"), 2}}};
  sighting.port = 8080;
  sighting.checks = {check};
  f.agent.see(sighting);
  CHECK(f.of("/v1/health/checks/web") == Statuses{{"ping", "passing"}});
  sighting.health = registry::Health::warning;
  f.agent.see(sighting);
  CHECK(f.of("/v1/health/checks/web") == Statuses{{"ping", "passing"}, {"host:web-9", "warning"}});
}

TEST_CASE("maintenance of a service is in every endpoint, with its reason") {
  Views f;
  f.put_service(kWeb);
  f.ask("PUT", "/v1/agent/service/maintenance/web-1?enable=true&reason=upgrade");
  const Statuses wanted = {{"_service_maintenance:web-1", "critical"},
                           {"service:web-1", "passing"}};
  CHECK(f.in_entry() == wanted);
  CHECK(f.of("/v1/health/checks/web") == wanted);
  CHECK(f.of("/v1/health/state/any") == wanted);
  CHECK(f.of("/v1/health/node/box") == wanted);
  CHECK(f.of("/v1/agent/checks") == wanted);
  CHECK(at(f.get("/v1/agent/checks"), "_service_maintenance:web-1/Notes") == "upgrade");
  CHECK(at(f.get("/v1/agent/health/service/id/web-1"), "AggregatedStatus") == "maintenance");
  f.ask("PUT", "/v1/agent/service/maintenance/web-1?enable=false");
  CHECK(f.of("/v1/agent/checks") == Statuses{{"service:web-1", "passing"}});
}

TEST_CASE("flags are what Go's ParseBool takes") {
  Views f;
  f.put_service(kWeb);
  const std::string url = "/v1/agent/service/maintenance/web-1?enable=";
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    CHECK(f.status("PUT", url + yes) == "200");
    CHECK(f.agent.registry().find_own("web-1")->maintenance);
  }
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"}) {
    CHECK(f.status("PUT", url + no) == "200");
    CHECK_FALSE(f.agent.registry().find_own("web-1")->maintenance);
  }
  for (const char* neither : {"", "yes", "2", "tRUE"})
    CHECK(f.status("PUT", url + neither) == "400");
  CHECK(size_of(f.get("/v1/health/service/web?passing=True")) == 1);
  CHECK(f.status("GET", "/v1/health/service/web?passing=maybe") == "400");
}

TEST_CASE("maintenance of the node takes every service out, also one that comes later") {
  Views f;
  f.put_service(kWeb);
  CHECK(f.status("PUT", "/v1/agent/maintenance") == "400");
  CHECK(f.status("PUT", "/v1/agent/maintenance?enable=true&reason=kernel") == "200");
  f.put_service(R"({"ID":"db-1","Name":"db","Port":5432})");
  CHECK(size_of(f.get("/v1/health/service/web?passing")) == 0);
  CHECK(size_of(f.get("/v1/health/service/db?passing")) == 0);
  const Statuses wanted = {{"_node_maintenance", "critical"}, {"service:web-1", "passing"}};
  CHECK(f.in_entry() == wanted);
  CHECK(f.of("/v1/health/node/box") == wanted);
  CHECK(f.of("/v1/agent/checks") == wanted);
  CHECK(f.of("/v1/health/state/critical") == Statuses{{"_node_maintenance", "critical"}});
  CHECK(at(f.get("/v1/agent/checks"), "_node_maintenance/Notes") == "kernel");
  CHECK(at(f.get("/v1/agent/checks"), "_node_maintenance/ServiceID").empty());
  CHECK(at(f.get("/v1/agent/health/service/id/db-1"), "AggregatedStatus") == "maintenance");
  CHECK(at(f.get("/v1/outrider/why/db"), "instances/0/reason") ==
        "not in the answer: this host as a whole is in maintenance");
  CHECK(f.status("PUT", "/v1/agent/maintenance?enable=false") == "200");
  CHECK(size_of(f.get("/v1/health/service/web?passing")) == 1);
  CHECK(size_of(f.get("/v1/health/service/db?passing")) == 1);
}

TEST_CASE("a check of the node decides about all its services") {
  Views f;
  f.put_service(kWeb);
  f.put_service(R"({"ID":"db-1","Name":"db","Port":5432})");
  CHECK(f.status("PUT", "/v1/agent/check/register", R"({"Name":"disk","TTL":"30s"})") == "200");
  CHECK(size_of(f.get("/v1/health/service/web?passing")) == 0);  // critical until it is reported
  CHECK(at(f.get("/v1/outrider/why/web"), "instances/0/reason")
            .ends_with(", by a check of this host as a whole"));
  CHECK(f.status("PUT", "/v1/agent/check/warn/disk?note=90%25") == "200");
  CHECK(f.in_entry() == Statuses{{"disk", "warning"}, {"service:web-1", "passing"}});
  CHECK(f.of("/v1/agent/checks") == Statuses{{"disk", "warning"}, {"service:web-1", "passing"}});
  CHECK(at(f.get("/v1/agent/checks"), "disk/Output") == "90%");
  CHECK(f.status("GET", "/v1/agent/health/service/id/db-1") == "429");
  CHECK(f.status("PUT", "/v1/agent/check/pass/disk") == "200");
  CHECK(size_of(f.get("/v1/health/service/web?passing")) == 1);
  // It is no service.
  CHECK(f.status("GET", "/v1/agent/service/_node") == "404");
  CHECK(f.status("PUT", "/v1/agent/service/deregister/_node") == "404");
  CHECK(f.status("PUT", "/v1/agent/service/register", R"({"ID":"_node","Name":"a"})") == "400");
  CHECK(size_of(f.get("/v1/agent/services")) == 2);
  CHECK(size_of(f.get("/v1/catalog/services")) == 3);  // and "consul"
  CHECK(f.status("PUT", "/v1/agent/check/deregister/disk") == "200");
  CHECK(f.of("/v1/agent/checks") == Statuses{{"service:web-1", "passing"}});
}

TEST_CASE("nodes: one by name, with its services as a map and as a list") {
  Views f;
  f.put_service(kWeb);
  f.agent.see("web", "web-9", "192.168.1.20", 8080);
  const json::Value here = f.get("/v1/catalog/node/box");
  CHECK(at(here, "Node/Node") == "box");
  CHECK(at(here, "Node/Address") == "192.168.1.10");
  CHECK(at(here, "Services/web-1/Port") == "8080");
  CHECK(size_of(here, "Services") == 1);
  const json::Value there = f.get("/v1/catalog/node-services/host-web-9.local");
  CHECK(at(there, "Node/Address") == "192.168.1.20");
  CHECK(at(there, "Services/0/ID") == "web-9");
  CHECK(body_of(f.ask("GET", "/v1/catalog/node/nowhere")) == "null");
  CHECK(at(f.get("/v1/catalog/node-services/nowhere"), "Node") == "null");
  CHECK(size_of(f.get("/v1/catalog/nodes")) == 2);
}

TEST_CASE("the hash of a service blocks while its description is the same") {
  Views f;
  f.put_service(kWeb);
  const std::string first = f.ask("GET", "/v1/agent/service/web-1");
  const std::string hash = header_of(first, "X-Consul-ContentHash");
  CHECK(hash.size() > 8);
  CHECK(at(f.get("/v1/agent/service/web-1"), "ContentHash") == hash);
  CHECK_FALSE(header_of(first, "X-Consul-Index").empty());
  const std::string url = "/v1/agent/service/web-1?wait=60s&hash=";
  CHECK(status_of(f.ask("GET", url + "other")) == "200");

  Client client(f.world);
  CHECK(client.ask(f.request("GET", url + hash)).empty());
  f.ask("PUT", "/v1/agent/check/fail/service:web-1");  // its health is not in the description
  f.world.advance(100ms);
  CHECK(client.take().empty());
  f.put_service(R"({"ID":"web-1","Name":"web","Port":8081})");
  f.world.advance(100ms);
  const std::string second = client.take();
  CHECK(at(*json::parse(body_of(second), 1U << 20), "Port") == "8081");
  const std::string next = header_of(second, "X-Consul-ContentHash");
  CHECK(next != hash);

  CHECK(client.ask(f.request("GET", url + next)).empty());
  f.ask("PUT", "/v1/agent/service/deregister/web-1");
  f.world.advance(100ms);
  CHECK(status_of(client.take()) == "404");
}

TEST_CASE("what the agent does not have is 501 with a sentence and an index") {
  Views f;
  for (const char* path :
       {"/v1/kv", "/v1/kv/", "/v1/kv/a/b?index=5", "/v1/session/list", "/v1/event/list?index=5",
        "/v1/txn", "/v1/query", "/v1/acl/tokens", "/v1/coordinate/nodes",
        "/v1/operator/raft/configuration", "/v1/connect/ca/roots?index=5",
        "/v1/agent/connect/ca/leaf/web?hash=x", "/v1/health/connect/web", "/v1/catalog/register"}) {
    CAPTURE(path);
    for (const char* method : {"GET", "PUT"}) {
      const std::string answer = f.ask(method, path);
      CHECK(status_of(answer) == "501");
      CHECK(body_of(answer).find(" not supported: ") != std::string::npos);
      CHECK_FALSE(header_of(answer, "X-Consul-Index").empty());
    }
  }
  CHECK(f.status("GET", "/v1/kvx") == "404");
}

TEST_CASE("metrics are JSON for Consul's clients, and text for Prometheus") {
  Views f;
  f.put_service(kWeb);
  const json::Value metrics = f.get("/v1/agent/metrics");
  CHECK(at(metrics, "Timestamp").size() > 10);
  bool found = false;
  for (const json::Value& gauge : *metrics.find("Gauges")->as_array())
    found |= at(gauge, "Name") == "outrider_registry_instances" &&
             at(gauge, "Value").starts_with("1") && at(gauge, "Labels/source") == "own";
  CHECK(found);
  CHECK(at(metrics, "Counters/0/Count") == "1");
  const std::string text = body_of(f.ask("GET", "/v1/agent/metrics?format=prometheus"));
  CHECK(text.find("# TYPE outrider_registry_instances gauge\n") != std::string::npos);
  CHECK(f.status("GET", "/v1/agent/metrics?format=xml") == "400");
}

TEST_CASE(
    "lists wait for the first round of questions to the network, for a second after the start") {
  Views f;
  f.agent.settled = false;
  Client client(f.world);
  CHECK(client.ask(f.request("GET", "/v1/health/service/web")).empty());
  CHECK(f.status("GET", "/v1/agent/self") == "200");  // needs no network
  f.put_service(kWeb);
  f.world.advance(50ms);
  CHECK(client.take().empty());
  f.agent.see("web", "web-9", "192.168.1.20", 8080);
  f.agent.settled = true;
  f.world.advance(20ms);
  CHECK(size_of(*json::parse(body_of(client.take()), 1U << 20)) == 2);

  f.agent.settled = false;
  {  // A client that leaves is forgotten.
    Client gone(f.world);
    CHECK(gone.ask(f.request("GET", "/v1/health/service/web")).empty());
  }
  for (const char* path : {"/v1/catalog/services", "/v1/outrider/instances"})
    client.send(f.request("GET", path));
  f.world.advance(200ms);
  CHECK(client.take().empty());
  f.world.advance(kSettleWait);
  CHECK(status_of(client.take()) == "200");
  CHECK(status_of(client.ask(f.request("GET", "/v1/catalog/nodes"))) == "200");
}
