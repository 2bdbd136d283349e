// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/messages.h"

#include <doctest/doctest.h>

namespace outrider::registries::consul {
namespace {

Entry own() {
  Entry entry{.key = "web-1"};
  entry.service = "web";
  entry.id = "web-1";
  entry.version = "v1.2";
  entry.port = 8080;
  entry.addresses = {*IpAddress::parse("fd00::1"), *IpAddress::parse("127.0.0.1"),
                     *IpAddress::parse("10.0.0.1")};
  entry.protocol = "grpc";
  entry.tags = {"blue"};
  entry.metadata = {{"zone", "a"}};
  return entry;
}

/// What Consul shows of a registration with this body.
std::string shown(const std::string& registration, const std::string& checks = "[]",
                  const std::string& node = R"({"Node":"n1","Address":"10.0.0.9"})") {
  std::string service = registration;
  service.replace(service.find("\"Name\""), 6, "\"Service\"");
  return R"([{"Node":)" + node + R"(,"Service":)" + service + R"(,"Checks":)" + checks + "}]";
}

Entry only(const std::string& body) {
  const auto list = read_list(body);
  REQUIRE(list);
  REQUIRE(list->entries.size() == 1);
  return list->entries.front();
}

std::string service(const std::string& more, const std::string& checks = "[]") {
  return R"([{"Node":{"Node":"n1","Address":"10.0.0.9"},"Service":{"ID":"w1","Service":"web",)"
         R"("Port":80)" +
         more + R"(},"Checks":)" + checks + "}]";
}

TEST_CASE("a registration is written as Kratos and Consul itself read it") {
  const auto made = register_request(own(), "me", 15s);
  REQUIRE(made);
  CHECK(made->body ==
        R"({"ID":"web-1","Name":"web","Tags":["blue","version=v1.2"],"Address":"10.0.0.1",)"
        R"("Port":8080,"TaggedAddresses":{"grpc":{"Address":"grpc://10.0.0.1:8080","Port":8080},)"
        R"("lan_ipv4":{"Address":"10.0.0.1","Port":8080},)"
        R"("lan_ipv6":{"Address":"fd00::1","Port":8080}},)"
        R"("Meta":{"zone":"a","scheme":"grpc","weight":"100","version":"v1.2",)"
        R"("outrider-node":"me"},)"
        R"("Check":{"CheckID":"service:web-1","Name":"Health as the outrider agent sees it",)"
        R"("TTL":"15s","Status":"passing","DeregisterCriticalServiceAfter":"60s"}})");
  CHECK(made->left_out.empty());
  CHECK(update_request(own()) == R"({"Status":"passing","Output":"passing"})");
}

TEST_CASE("what an agent has written is read as the same instance") {
  Entry entry = own();
  entry.weight = 250;
  entry.metadata = {{"a.b/c", "1"}, {"x_x2E", "2"}, {"consul-x", "3"}, {"Ä", "4"}};
  const auto made = register_request(entry, "me", 15s);
  REQUIRE(made);
  CHECK(made->body.find(R"("a_x2Eb_x2Fc":"1")") != std::string::npos);
  CHECK(made->body.find(R"("_x63onsul-x":"3")") != std::string::npos);
  CHECK(made->body.find(R"("Weights":{"Passing":2,"Warning":1})") != std::string::npos);
  const Entry read = only(shown(made->body));
  CHECK(read.key == "n1/web-1");
  CHECK(read.writer == "me");
  CHECK(read.service == entry.service);
  CHECK(read.id == entry.id);
  CHECK(read.version == entry.version);
  CHECK(read.port == entry.port);
  CHECK(read.protocol == entry.protocol);
  CHECK(read.tags == entry.tags);
  CHECK(read.metadata == entry.metadata);
  CHECK(read.weight == entry.weight);
  CHECK(read.addresses.size() == 2);
  CHECK(read.addresses.front() == *IpAddress::parse("10.0.0.1"));
}

TEST_CASE("metadata that Consul does not take is left out and named") {
  Entry entry = own();
  entry.metadata = {{std::string(129, 'k'), "v"}, {"long", std::string(513, 'v')}, {"", "v"}};
  for (std::size_t i = 0; i < kMetadataMax; ++i)
    entry.metadata["n" + std::to_string(i)] = "v";
  const auto made = register_request(entry, "me", 15s);
  REQUIRE(made);
  CHECK(made->left_out.size() == 3 + 4);
  std::size_t pairs = 0;
  for (std::size_t at = made->body.find("\"n"); at != std::string::npos;
       at = made->body.find("\"n", at + 1))
    ++pairs;
  CHECK(pairs == kMetadataMax - 4);
}

TEST_CASE("a registration without an address for other hosts cannot be written") {
  Entry entry = own();
  entry.addresses = {*IpAddress::parse("127.0.0.1"), *IpAddress::parse("fe80::1")};
  CHECK(!register_request(entry, "me", 15s));
}

TEST_CASE("the status of the check is the verdict of the agent") {
  const std::pair<Health, const char*> rows[] = {
      {Health::passing, "passing"},   {Health::warning, "warning"},
      {Health::starting, "critical"}, {Health::critical, "critical"},
      {Health::draining, "critical"}, {Health::maintenance, "critical"}};
  for (const auto& [health, status] : rows) {
    Entry entry = own();
    entry.health = health;
    const std::string member = std::string(R"("Status":")") + status + '"';
    CHECK(register_request(entry, "me", 15s)->body.find(member) != std::string::npos);
    CHECK(update_request(entry).find(member) != std::string::npos);
  }
  Entry entry = own();
  entry.health = Health::maintenance;
  entry.maintenance_reason = "new disk";
  CHECK(update_request(entry) == R"({"Status":"critical","Output":"maintenance: new disk"})");
}

TEST_CASE("targets escape names, and a list waits only from an index") {
  CHECK(list_target("web", 0) == "/v1/health/service/web");
  CHECK(list_target("a/b c", 7) == "/v1/health/service/a%2Fb%20c?index=7&wait=55s");
  CHECK(service_target("w/1") == "/v1/agent/service/w%2F1");
  CHECK(deregister_target("w1") == "/v1/agent/service/deregister/w1");
  CHECK(update_target("w1") == "/v1/agent/check/update/service%3Aw1");
}

TEST_CASE("the address is that of the service, of the node, or the tagged ones") {
  CHECK(only(service(R"(,"Address":"10.1.0.1")")).addresses.front().to_string() == "10.1.0.1");
  CHECK(only(service(R"(,"Address":"")")).addresses.front().to_string() == "10.0.0.9");
  CHECK(only(service("")).addresses.front().to_string() == "10.0.0.9");
  const Entry named = only(service(
      R"(,"Address":"box.example","TaggedAddresses":{"lan_ipv4":{"Address":"10.1.0.2","Port":80},)"
      R"("lan_ipv6":{"Address":"fd00::2","Port":81}})"));
  REQUIRE(named.addresses.size() == 1);
  CHECK(named.addresses.front().to_string() == "10.1.0.2");
}

TEST_CASE("rows that are no usable instance are counted") {
  for (const char* body :
       {R"([{"Node":{"Address":"box"},"Service":{"ID":"a","Service":"web","Port":80}}])",
        R"([{"Service":{"ID":"a","Service":"web","Port":0,"Address":"10.0.0.1"}}])",
        R"([{"Service":{"ID":"a","Service":"web","Port":65536,"Address":"10.0.0.1"}}])",
        R"([{"Service":{"ID":"","Service":"web","Port":80,"Address":"10.0.0.1"}}])",
        R"([{"Service":{"ID":"a","Port":80,"Address":"10.0.0.1"}}])", "[{}]"}) {
    const auto list = read_list(body);
    REQUIRE_MESSAGE(list, body);
    CHECK(list->entries.empty());
    CHECK(list->skipped == 1);
  }
  for (const char* body :
       {"", "{}", "null", "<html>", "[", "\"\"", "[null]", "[3]", "[]]", "[{]", "[{]]"})
    CHECK_MESSAGE(!read_list(body), body);
  CHECK(read_list("[]")->entries.empty());
}

TEST_CASE("the worst check counts, that of the node included, and maintenance above all") {
  const auto health = [](const std::string& checks) { return only(service("", checks)).health; };
  const auto check = [](const char* id, const char* status) {
    return std::string(R"({"CheckID":")") + id + R"(","Status":")" + status +
           R"(","Type":"HTTP","Notes":"reason","Output":"out"})";
  };
  const std::string node = check("serfHealth", "passing");
  CHECK(health("[]") == Health::passing);
  CHECK(health('[' + node + ']') == Health::passing);
  CHECK(health('[' + node + ',' + check("c", "warning") + ']') == Health::warning);
  CHECK(health('[' + check("d", "critical") + ',' + check("c", "warning") + ']') ==
        Health::critical);
  CHECK(health('[' + check("serfHealth", "critical") + ',' + check("c", "passing") + ']') ==
        Health::critical);
  CHECK(health('[' + check("c", "unheard-of") + ']') == Health::critical);
  CHECK(health('[' + check("_service_maintenance:w1", "critical") + ']') == Health::maintenance);
  CHECK(health('[' + check("_node_maintenance", "critical") + ',' + check("c", "critical") + ']') ==
        Health::maintenance);
  const Entry entry = only(service("", '[' + check("_service_maintenance:w1", "critical") + ']'));
  CHECK(entry.maintenance_reason == "reason");
  REQUIRE(entry.checks.size() == 1);
  CHECK(entry.checks.front().kind == "http");
  CHECK(only(service("", R"([{"CheckID":"serfHealth","Type":""}])")).checks[0].kind == "ttl");
  CHECK(only(service("", R"([{"CheckID":"c","Type":"docker"}])")).checks[0].kind == "ttl");
  CHECK(entry.checks.front().output == "out");
}

TEST_CASE("weights of Consul are hundreds here, by health") {
  const std::string weights = R"(,"Weights":{"Passing":7,"Warning":3})";
  CHECK(only(service("")).weight == 100);
  CHECK(only(service(weights)).weight == 700);
  CHECK(only(service(weights, R"([{"CheckID":"c","Status":"warning"}])")).weight == 300);
  CHECK(only(service(R"(,"Weights":{"Passing":99999,"Warning":1})")).weight == 65'500);
  CHECK(only(service(R"(,"Weights":{"Passing":-1,"Warning":1})")).weight == 100);
}

TEST_CASE("protocol and version are found where frameworks write them") {
  const Entry kratos = only(
      service(R"(,"Tags":["version=v2"],"TaggedAddresses":{"http":{"Address":"http://10.0.0.9:81",)"
              R"("Port":81},"grpc":{"Address":"grpc://10.0.0.9:80","Port":80},)"
              R"("lan_ipv4":{"Address":"10.0.0.9","Port":80}})"));
  CHECK(kratos.protocol == "grpc");
  CHECK(kratos.version == "v2");
  const Entry goframe = only(service(
      R"(,"Tags":["latest"],"Meta":{"metadata":"{\"insecure\":true,\"protocol\":\"grpc\"}",)"
      R"("version":"latest"})"));
  CHECK(goframe.protocol == "grpc");
  CHECK(goframe.version == "latest");
  CHECK(goframe.metadata.at("version") == "latest");
  CHECK(only(service(R"(,"Meta":{"protocol":"tcp"})")).protocol == "tcp");
  CHECK(only(service("")).protocol == "http");
  // Keys of other programs are what they are.
  CHECK(only(service(R"(,"Meta":{"a_x2Eb":"1"})")).metadata.contains("a_x2Eb"));
}

TEST_CASE("what others wrote is bounded") {
  std::string tags, checks, meta;
  for (int i = 0; i < 100; ++i) {
    const std::string comma = i > 0 ? "," : "";
    tags += comma + "\"t\"";
    checks +=
        comma + R"({"CheckID":"c","Status":"passing","Output":")" + std::string(2'000, 'o') + "\"}";
    meta += comma + "\"k" + std::to_string(i) + R"(":"v")";
  }
  const Entry entry =
      only(service(R"(,"Tags":[)" + tags + R"(],"Meta":{)" + meta + '}', '[' + checks + ']'));
  CHECK(entry.tags.size() == kTagsPerEntryMax);
  CHECK(entry.metadata.size() == kMetadataPerEntryMax);
  CHECK(entry.checks.size() == kChecksPerEntryMax);
  CHECK(entry.checks.front().output.size() == kOutputBytesMax);
}

TEST_CASE("a list is read whole or not at all, wherever it is cut") {
  const std::string whole =
      service(R"(,"Tags":["a"],"Meta":{"k":"v"})", R"([{"CheckID":"c","Status":"passing"}])");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CHECK(!read_list(whole.substr(0, length)));
    ListReader reader;
    reader.feed(whole.substr(0, length));
    reader.feed(whole.substr(length));
    const auto list = reader.finish();
    REQUIRE(list);
    CHECK(list->entries.size() == 1);
  }
}

TEST_CASE("the index is at least 1") {
  CHECK(read_index("17") == 17);
  for (const char* header : {"", "0", "-1", "abc", "1.5", "99999999999999999999"})
    CHECK_MESSAGE(read_index(header) == 1, header);
}

TEST_CASE("refusals have words, and some of them mean that a check is unknown") {
  CHECK(read_refusal(500, "No known Consul servers\n") == "No known Consul servers");
  CHECK(read_refusal(502, "") == "status 502");
  CHECK(read_refusal(400, std::string(1'000, 'x')).size() == 200);
  CHECK(is_unknown_check(404, ""));
  CHECK(is_unknown_check(500, R"(CheckID "service:x" does not have associated TTL)"));
  CHECK(is_unknown_check(500, R"(Unknown check "service:x")"));
  CHECK(!is_unknown_check(500, "No known Consul servers"));
  CHECK(!is_unknown_check(403, "Permission denied"));
}

TEST_CASE("the agent and its services are read") {
  CHECK(read_node(R"({"Config":{"NodeName":"n1"}})") == "n1");
  CHECK(read_node("[]").empty());
  const auto there =
      read_registered(R"({"ID":"w","Service":"web","Port":80,"Meta":{"outrider-node":"me"}})");
  REQUIRE(there);
  CHECK(there->service == "web");
  CHECK(there->writer == "me");
  CHECK(there->port == 80);
  CHECK(read_registered(R"({"Meta":null})")->writer.empty());
  CHECK(!read_registered("[]"));
}

}  // namespace
}  // namespace outrider::registries::consul
