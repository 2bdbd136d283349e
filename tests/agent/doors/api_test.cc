// SPDX-License-Identifier: Apache-2.0
// Our own part of the API.
#include <set>

#include <doctest/doctest.h>

#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::test;
using registry::Health;

namespace {

const char* const kHello = R"({"name":"hello","id":"hello-1","version":"1.0.0","port":8080,
    "tags":["http","v1"],"metadata":{"region":"us-west"},
    "checks":[{"http":"/health","id":"web"},{"ttl":"30s","id":"beat","initial":"passing"}]})";

}  // namespace

TEST_CASE("register, list, deregister") {
  ApiFixture f;
  CHECK(at(f.get("/v1/outrider/services"), "services") == "[]");
  f.put(kHello);
  const json::Value services = f.get("/v1/outrider/services");
  CHECK(at(services, "services/0/name") == "hello");
  CHECK(at(services, "services/0/instances") == "1");
  CHECK(at(services, "services/0/served") == "0");
  CHECK(at(services, "services/0/tags") == R"(["http","v1"])");

  f.agent.set_check("hello-1", "web", CheckHealth::passing, "HTTP 200");
  const json::Value instances = f.get("/v1/outrider/instances/hello");
  CHECK(at(instances, "instances/0/id") == "hello-1");
  CHECK(at(instances, "instances/0/health") == "passing");
  CHECK(at(instances, "instances/0/addresses") == R"(["192.168.1.10"])");
  CHECK(at(instances, "instances/0/checks/0/output") == "HTTP 200");
  CHECK(at(instances, "instances/0/metadata/region") == "us-west");

  CHECK(f.status("PUT", "/v1/outrider/deregister/hello-1") == "200");
  CHECK(f.status("PUT", "/v1/outrider/deregister/hello-1") == "404");
  CHECK(at(f.get("/v1/outrider/services"), "services") == "[]");
  CHECK(at(f.get("/v1/outrider/instances/hello"), "instances") == "[]");  // remembered
  CHECK(f.status("GET", "/v1/outrider/instances/nobody") == "404");
}

TEST_CASE("wrong registrations are explained and change nothing") {
  ApiFixture f;
  struct Row {
    const char* body;
    const char* status;
    const char* says;
  };
  const Row rows[] = {
      {R"({"name":"hello","prot":1})", "400", "prot"},
      {R"({"name":"no spaces here!"})", "400", "name"},
      {R"({"services":[{"name":"a","port":1},{"name":"b","port":70000}]})", "400", "services[1]"},
      {"[]", "400", "expected an object"},
      {"{", "400", "malformed JSON body: line 1, column 2: expected a key in double quotes or '}'"},
      {"{\n  \"name\": \"a\",\n  \"port\": 80;\n}", "400",
       "malformed JSON body: line 3, column 13: expected ',' or '}'"},
      {R"({"services":[{"name":"a","port":1,"port":2}]})", "400",
       R"(malformed JSON body: services[0]: duplicate key \"port\")"},
      {"", "400", "the body is empty; expected a JSON object"},
      {" \r\n\t", "400", "the body is empty; expected a JSON object"},
      {R"({"name":"a","port":1,"checks":[{"http":"/","unix_socket":"/run/docker.sock"}]})", "403",
       "unix_socket"},
      {R"({"name":"a","port":1,"checks":[{"tcp":"10.0.0.1:22","allow_remote":true}]})", "403",
       "allow_remote"},
      {R"({"name":"a","port":1,
          "checks":[{"http":"https://127.0.0.1/","tls":{"ca":"/etc/shadow"}}]})",
       "403", "configuration file"},
      {R"({"name":"a","port":80,"address":["169.254.169.254"],"farp":{"graphql":"/x"}})", "403",
       "169.254.169.254: link-local"},
      {R"({"name":"a","port":80,"address":["192.168.1.9"],"farp":{"openapi":"/x"}})", "403",
       "192.168.1.9: not an address of this host"},
      {R"({"name":"a","port":80,"address":["192.168.1.10","168.63.129.16"],
          "farp":{"openapi":"http://168.63.129.16/x"}})",
       "403", "metadata service"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.body);
    const std::string answer = f.ask("PUT", "/v1/outrider/register", row.body);
    CHECK(status_of(answer) == row.status);
    CHECK(body_of(answer).find(row.says) != std::string::npos);
  }
  CHECK(at(f.get("/v1/outrider/services"), "services") == "[]");
  // An address on the loopback interface is this host's too.
  f.world.host("here").add_address("lo", "10.9.9.9/32");
  f.put(R"({"name":"a","port":80,"address":["10.9.9.9"],"farp":{"openapi":"/x"}})");
}

TEST_CASE("search: prefix, name, version, metadata as a subset, all tags, healthy") {
  ApiFixture f;
  f.put(kHello);
  f.put(R"({"name":"hello","id":"hello-2","version":"2.0.0","port":8081,"tags":["v1"]})");
  f.put(R"({"name":"help","id":"help-1","port":8082,"metadata":{"region":"us-west","x":"=1"}})");
  f.agent.see("web", "web-1", "192.168.1.20", 80);
  f.agent.see("web", "web-2", "fe80::9", 80);  // no address for programs
  const auto ids = [&](const std::string& query) {
    std::string out;
    const json::Value found = f.get("/v1/outrider/instances" + query);
    for (std::size_t i = 0; i < size_of(found, "instances"); ++i)
      out += (i == 0 ? "" : " ") + at(found, "instances/" + std::to_string(i) + "/id");
    return out;
  };
  CHECK(ids("") == "hello-1 hello-2 help-1 web-1 web-2");
  CHECK(ids("?prefix=hel") == "hello-1 hello-2 help-1");
  CHECK(ids("?name=hello") == "hello-1 hello-2");
  CHECK(ids("?version=2.0.0") == "hello-2");
  CHECK(ids("?metadata=region=us-west") == "hello-1 help-1");
  CHECK(ids("?metadata=region%3Dus-west&metadata=x%3D%3D1") == "help-1");
  CHECK(ids("?tag=v1") == "hello-1 hello-2");
  CHECK(ids("?tag=v1&tag=http") == "hello-1");
  CHECK(ids("?healthy") == "hello-2 help-1 web-1");
  CHECK(ids("?passing=true&name=hello") == "hello-2");
  CHECK(ids("?passing&name=web") == "web-1");
  CHECK(ids("?healthy=false&name=HELLO") == "hello-1 hello-2");
  CHECK(f.status("GET", "/v1/outrider/instances?metadata=region") == "400");
}

TEST_CASE("whatever why takes as a name, instances, select and watch take as well") {
  ApiFixture f;
  f.put(R"({"name":"shop","id":"shop-1","port":8001,"tags":["v1"]})");
  f.put(R"({"name":"shop","id":"shop-2","port":8002,"tags":["v2"]})");
  const auto ids = [&](const std::string& name) {
    std::string out;
    const json::Value found = f.get("/v1/outrider/instances/" + name);
    for (std::size_t i = 0; i < size_of(found, "instances"); ++i)
      out += (i == 0 ? "" : " ") + at(found, "instances/" + std::to_string(i) + "/id");
    return out;
  };
  for (const char* name : {"shop", "SHOP.svc", "shop.svc.", "_shop._tcp.svc"}) {
    CAPTURE(name);
    CHECK(ids(name) == "shop-1 shop-2");
  }
  for (const char* name : {"v2._tag.shop", "v2._tag.shop.svc", "shop-2.shop.svc", "shop-2.shop"}) {
    CAPTURE(name);
    CHECK(ids(name) == "shop-2");
    for (int i = 0; i < 3; ++i)
      CHECK(at(f.get(std::string("/v1/outrider/select/") + name), "instance/id") == "shop-2");
    CHECK(at(f.get(std::string("/v1/outrider/why/") + name), "instances/0/id") == "shop-2");
  }
  CHECK(at(f.get("/v1/outrider/why/v2._tag.shop"), "dns/0/name") == "v2._tag.shop.svc");
  CHECK(ids("v3._tag.shop.svc").empty());
  CHECK(f.status("GET", "/v1/outrider/instances/nobody.svc") == "404");
  CHECK(f.status("GET", "/v1/outrider/instances/svc") == "404");
  CHECK(f.status("GET", "/v1/outrider/select/v3._tag.shop.svc") == "404");
}

TEST_CASE("an instance that is announced under two types is seen in one place") {
  ApiFixture f;
  f.agent.see("hello", "hello-1", "192.168.1.20", 8080);
  registry::Sighting again{
      .place = {.key = "_farp._tcp hello-1", .engine = "mdns", .host = "host-hello-1.local"},
      .service = *registry::ServiceName::parse("hello"),
      .id = *registry::InstanceId::from_foreign("hello-1"),
      .addresses = {{*IpAddress::parse("192.168.1.20"), 2}}};
  again.port = 8080;
  f.agent.see(std::move(again));
  const json::Value found = f.get("/v1/outrider/instances/hello");
  REQUIRE(size_of(found, "instances") == 1);
  CHECK(at(found, "instances/0/seen_at") == R"([{"engine":"mdns","host":"host-hello-1.local"}])");
}

TEST_CASE("why: an address and the name of a host are distinguished from the name of a service") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"hello-1","port":8080})");
  f.agent.see("hello", "hello-2", "192.168.1.20", 8080);
  const json::Value address = f.get("/v1/outrider/why/192.168.1.20");
  CHECK(at(address, "summary") ==
        "192.168.1.20 is an address, not the name of a service; 1 known instance is there.");
  CHECK(at(address, "instances/0/id") == "hello-2");
  CHECK(at(address, "dns") == "[]");
  CHECK(at(f.get("/v1/outrider/why/192.168.1.10:8080"), "instances/0/id") == "hello-1");
  CHECK(at(f.get("/v1/outrider/why/192.168.1.10:81"), "summary") ==
        "192.168.1.10:81 is an address, not the name of a service; no known instance is there.");
  CHECK(f.status("GET", "/v1/outrider/why/2001:db8::1") == "404");
  CHECK(at(f.get("/v1/outrider/why/Box.local"), "summary") ==
        "Box.local is the name of a host in mDNS, not of a service; 1 known instance is there.");
  CHECK(at(f.get("/v1/outrider/why/printer.local."), "summary") ==
        "printer.local. is the name of a host in mDNS, not of a service; no known instance is "
        "there.");
}

TEST_CASE("heartbeats find their check by key, by path, and by the instance's only one") {
  ApiFixture f;
  f.put(kHello);
  f.put(R"({"name":"other","id":"other-1","port":1,"checks":[{"ttl":"30s"}]})");
  for (const char* name : {"beat", "hello-1/beat", "hello-1", "service:hello-1"}) {
    CAPTURE(name);
    CHECK(f.status("PUT", std::string("/v1/outrider/check/fail/") + name + "?note=down") == "200");
    CHECK(at(f.get("/v1/outrider/instances/hello"), "instances/0/checks/1/health") == "critical");
    CHECK(f.status("PUT", std::string("/v1/outrider/check/pass/") + name) == "200");
    CHECK(at(f.get("/v1/outrider/instances/hello"), "instances/0/checks/1/health") == "passing");
  }
  CHECK(f.status("PUT", "/v1/outrider/check/warn/service:other-1:ttl?note=slow") == "200");
  CHECK(at(f.get("/v1/outrider/instances/other"), "instances/0/checks/0/output") == "slow");
  CHECK(f.status("PUT", "/v1/outrider/check/pass/nobody") == "404");
}

TEST_CASE("a heartbeat that finds no check says why") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":80,"checks":[{"http":"/"}]})");
  f.put(R"({"name":"two","id":"two-1","checks":[{"ttl":"30s"},{"ttl":"30s"}]})");
  const auto refusal = [&](const std::string& check) {
    const std::string answer = f.ask("PUT", "/v1/outrider/check/pass/" + check);
    CHECK(status_of(answer) == "404");
    return at(*json::parse(body_of(answer), 4'096), "error");
  };
  CHECK(refusal("nobody") ==
        "no check \"nobody\"; /v1/outrider/checks lists the checks of this agent");
  CHECK(refusal("web-1") == "\"web-1\" has no TTL check; only TTL checks take heartbeats");
  CHECK(refusal("two-1") == "\"two-1\" has 2 TTL checks; name one as service:two-1:CHECK");
  CHECK(f.status("PUT", "/v1/outrider/check/pass/service:two-1:ttl") == "200");
}

TEST_CASE("only checks that probe have an interval") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":80,"checks":[{"http":"/","interval":"7s"},)"
        R"({"ttl":"30s"}]})");
  const json::Value checks = f.get("/v1/outrider/checks");
  CHECK(at(checks, "checks/0/interval") == "7s");
  CHECK(at(checks, "checks/1/kind") == "ttl");
  CHECK(at(checks, "checks/1/interval") == "<none>");
}

TEST_CASE("a change that does less than its caller may expect says so") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"hello-1","port":8080})");
  const auto note = [&](const std::string& change) {
    const std::string answer = f.ask("PUT", "/v1/outrider/" + change);
    CHECK(status_of(answer) == "200");
    return at(*json::parse(body_of(answer), 4'096), "note");
  };
  CHECK(note("maintenance/hello-1?enable=true") == "<none>");
  CHECK(note("maintenance/hello-1?enable=false") == "<none>");
  CHECK(note("drain/hello-1") == "<none>");
  CHECK(note("maintenance/hello-1?enable=false") == "hello-1 is draining, not in maintenance");
  CHECK(note("drain/hello-1?enable=false") == "<none>");
}

TEST_CASE("why says that a registration was deregistered as critical, however long ago") {
  ApiFixture f;
  f.put(R"({"name":"web","id":"web-1","port":80,"checks":[{"http":"/"}]})");
  f.agent.set_check("web-1", "http", CheckHealth::critical, "HTTP 503\nmore");
  for (const Duration later : {Duration(61s), Duration(11min)}) {
    f.world.advance(later);
    f.agent.expire();
    const std::string answer = body_of(f.ask("GET", "/v1/outrider/why/web"));
    CAPTURE(answer);
    CHECK(answer.find("web-1 is registered here but not listed: critical for more than 1m, check "
                      "http: HTTP 503; it comes back when its checks pass.") != std::string::npos);
  }
  f.agent.set_check("web-1", "http", CheckHealth::passing, "HTTP 200");
  CHECK(body_of(f.ask("GET", "/v1/outrider/why/web")).find("not listed") == std::string::npos);
}

TEST_CASE("maintenance and drain take an instance out, and back") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"hello-1","port":8080})");
  const auto health = [&] {
    return at(f.get("/v1/outrider/instances/hello"), "instances/0/health");
  };
  CHECK(health() == "passing");
  CHECK(f.status("PUT", "/v1/outrider/maintenance/hello-1?enable=true&reason=disk%20swap") ==
        "200");
  CHECK(health() == "maintenance");
  CHECK(at(f.get("/v1/outrider/why/hello"), "instances/0/reason") ==
        "not in the answer: in maintenance: disk swap");
  CHECK(f.status("PUT", "/v1/outrider/maintenance/hello-1?enable=false") == "200");
  CHECK(health() == "passing");
  CHECK(f.status("PUT", "/v1/outrider/maintenance/hello-1?enable=maybe") == "400");
  CHECK(f.status("PUT", "/v1/outrider/maintenance/nobody?enable=true") == "404");
  CHECK(f.status("PUT", "/v1/outrider/drain/hello-1") == "200");
  CHECK(health() == "draining");
  CHECK(f.status("PUT", "/v1/outrider/drain/hello-1?enable=false") == "200");
  CHECK(health() == "passing");
  CHECK(f.status("PUT", "/v1/outrider/drain") == "200");
  CHECK(health() == "draining");
}

TEST_CASE("why: every instance with its place in the answer") {
  ApiFixture f;
  f.put(kHello);
  f.put(R"({"name":"hello","id":"hello-2","port":8081})");
  f.agent.see("hello", "hello-3", "10.9.9.9", 8080);
  f.agent.set_check("hello-1", "web", CheckHealth::critical, "HTTP 503");
  f.world.advance(12s);
  const json::Value why = f.get("/v1/outrider/why/hello.svc");
  CHECK(at(why, "summary") == "hello.svc answers with 2 of 3 known instances.");
  CHECK(at(why, "dns/0/answer") == "NOERROR");
  CHECK(at(why, "dns/0/A") == R"(["192.168.1.10","10.9.9.9"])");  // this host first
  CHECK(at(why, "dns/0/AAAA") == "[]");
  CHECK(at(why, "instances/0/reason") ==
        "not in the answer: critical for 12s, check web: HTTP 503");
  CHECK(at(why, "instances/0/in_answer") == "false");
  CHECK(at(why, "instances/1/reason") == "in the answer: registered without checks");
  CHECK(at(why, "instances/1/instance/unchecked") == "true");
  CHECK(at(why, "instances/0/instance/unchecked") == "<none>");
  CHECK(at(why, "instances/2/instance/unchecked") == "<none>");
  CHECK(at(why, "instances/2/reason") == "in the answer: announced as healthy");
  CHECK(at(why, "instances/2/place") == "elsewhere");
  CHECK(at(f.get("/v1/outrider/why/local.hello.svc"), "summary") ==
        "local.hello.svc answers with 1 of 2 known instances.");
  CHECK(size_of(f.get("/v1/outrider/why/hello-1.hello.svc"), "instances") == 1);
}

TEST_CASE("why: every form of name is explained as DNS answers it") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"a","port":1,"tags":["Blue"],"protocol":"http"})");
  f.put(R"({"name":"hello","id":"b","port":2,"tags":["green"],"protocol":"grpc"})");
  f.put(R"({"name":"ill","id":"c","port":3,"tags":["blue"],"checks":[{"ttl":"9s"}]})");
  f.agent.see("hello", "far", "10.9.9.9", 8080);
  struct Row {
    const char* name;
    const char* answer;
    const char* summary;
    std::size_t meant;
  };
  const Row rows[] = {
      {"blue._tag.hello.svc", "NOERROR", "answers with 1 of 1 known instance.", 1},
      {"red._tag.hello.svc", "NXDOMAIN",
       "does not exist: none of the 3 known instances of hello has the tag red.", 0},
      {"_grpc._tcp.hello.svc", "NOERROR", "answers with 1 of 1 known instance.", 1},
      {"_x._tcp.hello.svc", "NXDOMAIN",
       "does not exist: none of the 3 known instances of hello has the protocol x.", 0},
      {"_hello._tcp.svc", "NOERROR", "answers with 3 of 3 known instances.", 3},
      {"B._hello._tcp.svc.", "NOERROR", "answers with 1 of 1 known instance.", 1},
      {"b.hello.svc", "NOERROR", "answers with 1 of 1 known instance.", 1},
      {"z.hello.svc", "NXDOMAIN",
       "does not exist: none of the 3 known instances of hello has the id z.", 0},
      {"z.ill.svc", "NXDOMAIN", "does not exist: the one known instance of ill has another id.", 0},
      {"blue._tag.ill.svc", "NODATA",
       "exists but has no address now: of 1 known instance, 1 is starting.", 1},
      {"a.b.hello.svc", "NXDOMAIN", "does not exist: no such form of name exists.", 0},
      {"ns.svc", "NOERROR", "always exists, whatever is registered.", 0},
      {"_services._dns-sd._udp.svc", "NOERROR", "always exists, whatever is registered.", 0},
      {"svc", "NOERROR", "always exists, whatever is registered.", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const json::Value why = f.get("/v1/outrider/why/" + std::string(row.name));
    CHECK(at(why, "dns/0/answer") == row.answer);
    CHECK(at(why, "summary").ends_with(row.summary));
    CHECK(size_of(why, "instances") == row.meant);
    const bool known = std::string_view(row.answer) != "NXDOMAIN";
    CHECK(f.status("GET", "/v1/outrider/why/" + std::string(row.name)) == (known ? "200" : "404"));
  }
  const json::Value type = f.get("/v1/outrider/why/_hello._tcp.svc");
  CHECK(at(type, "dns/0/A") == "[]");
  CHECK(at(type, "dns/0/SRV/0") == "0 100 1 a.hello.svc");
  CHECK(at(f.get("/v1/outrider/why/ns.svc"), "dns/0/A") == R"(["127.0.0.55"])");
  // Two on one address are one record.
  CHECK(at(f.get("/v1/outrider/why/hello.svc"), "dns/0/A") == R"(["192.168.1.10","10.9.9.9"])");
}

TEST_CASE("why agrees with DNS about instances without a port or without an address") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"a","port":1})");
  f.put(R"({"name":"hello","id":"silent"})");
  f.agent.see("hello", "lost", "fe80::9", 8080);
  const auto reason = [&](const char* name, const char* instance) {
    return at(f.get("/v1/outrider/why/" + std::string(name)),
              "instances/" + std::string(instance) + "/reason");
  };
  const json::Value typed = f.get("/v1/outrider/why/_hello._tcp.svc");
  CHECK(at(typed, "dns/0/SRV") == R"(["0 100 1 a.hello.svc"])");
  CHECK(at(f.get("/v1/outrider/why/lost._hello._tcp.svc"), "dns/0/answer") == "NODATA");
  CHECK(reason("lost._hello._tcp.svc", "0") ==
        "not in the answer: it has no address that can be reached from here");
  CHECK(reason("silent.hello.svc", "0") == "in the answer: registered without checks");
}

TEST_CASE("a list of services of which one is refused registers none") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"a_1","port":1})");
  const std::string answer =
      f.ask("PUT", "/v1/outrider/register",
            R"({"services":[{"name":"web","id":"w","port":2},{"name":"hello","id":"a-1","port":3},
                            {"name":"web","id":"x","port":4}]})");
  CHECK(status_of(answer) == "409");
  CHECK(body_of(answer).find("services[1]: ") != std::string::npos);
  CHECK(f.agent.registry().own().size() == 1);
}

TEST_CASE("a name in the path and another one in the query are refused") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"a","port":1})");
  for (const char* path :
       {"/v1/outrider/instances/hello?name=web", "/v1/outrider/select/hello?name=web",
        "/v1/outrider/watch/hello?name=web"})
    CHECK(f.status("GET", path) == "400");
  CHECK(f.status("PUT", "/v1/outrider/drain/_node") == "400");
}

TEST_CASE("a change of the host's checks wakes those who wait for them") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"a","port":1})");
  const auto wait_for = [&](Client& client, const char* path) {
    const std::string answer = f.ask("GET", path);
    constexpr std::string_view kIndex = "X-Consul-Index: ";
    const std::size_t begin = answer.find(kIndex) + kIndex.size();
    const std::string index = answer.substr(begin, answer.find('\r', begin) - begin);
    CHECK(client.ask(ApiFixture::request("GET", path + ("?wait=60s&index=" + index))).empty());
  };
  Client node(f.world), service(f.world), state(f.world);
  wait_for(node, "/v1/health/node/box");
  wait_for(service, "/v1/health/service/hello");
  wait_for(state, "/v1/health/state/any");
  CHECK(f.status("PUT", "/v1/agent/check/register",
                 R"({"Name":"disk","CheckID":"disk","TTL":"60s","Status":"passing"})") == "200");
  f.world.advance(50ms);
  for (Client* const client : {&node, &service, &state})
    CHECK(client->take().find("\"disk\"") != std::string::npos);
}

TEST_CASE("why: the settings that decide who is answered") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"a","port":1,"checks":[{"id":"beat","ttl":"9s"}]})");
  const auto why = [&](const char* path) { return at(f.get("/v1/outrider/why/hello"), path); };
  f.agent.set_check("a", "beat", CheckHealth::warning, "slow");
  CHECK(why("dns/0/answer") == "NOERROR");
  f.agent.dns_view.serving.only_passing = true;
  CHECK(why("dns/0/answer") == "NODATA");
  CHECK(why("instances/0/reason") ==
        "not in the answer, where only passing ones are: warning for 100ms, check beat: slow");
  f.agent.set_check("a", "beat", CheckHealth::critical, "gone");
  f.agent.dns_view.serving.all_unhealthy = registry::AllUnhealthy::last_resort;
  CHECK(why("dns/0/A") == R"(["192.168.1.10"])");
  CHECK(why("summary").ends_with("None is healthy: they are answered as a last resort."));
  CHECK(why("instances/0/reason") ==
        "in the answer as a last resort: critical for 100ms, check beat: gone");
  REQUIRE(f.agent.set_maintenance("a", true, "disk").has_value());
  CHECK(why("dns/0/answer") == "NODATA");  // who is in maintenance is no resort
  f.agent.dns_view.serving.all_unhealthy = registry::AllUnhealthy::nxdomain;
  CHECK(why("dns/0/answer") == "NXDOMAIN");
  CHECK(why("summary") ==
        "hello.svc does not exist now: of 1 known instance, 1 is in maintenance.");
}

TEST_CASE("why: nothing healthy, nothing left, nothing known") {
  ApiFixture f;
  f.put(kHello);
  json::Value why = f.get("/v1/outrider/why/hello");
  CHECK(at(why, "dns/0/answer") == "NODATA");
  CHECK(at(why, "summary") ==
        "hello.svc exists but has no address now: of 1 known instance, 1 is starting.");
  CHECK(at(why, "instances/0/reason").starts_with("not in the answer: no check has passed yet"));
  CHECK(f.status("PUT", "/v1/outrider/deregister/hello-1") == "200");
  CHECK(at(f.get("/v1/outrider/why/hello"), "dns/0/answer") == "NODATA");  // remembered
  f.put(R"({"name":"billing","port":1})");
  CHECK(f.status("GET", "/v1/outrider/why/biling") == "404");
  why = f.get("/v1/outrider/why/biling");
  CHECK(at(why, "dns/0/answer") == "NXDOMAIN");
  CHECK(at(why, "summary").ends_with("Did you mean billing?"));
}

TEST_CASE("select: strategies, load, filters, and a reason when there is none") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"a","port":1,"tags":["x"]})");
  f.put(R"({"name":"hello","id":"b","port":2})");
  const auto pick = [&](const std::string& query) {
    return at(f.get("/v1/outrider/select/hello" + query), "instance/id");
  };
  CHECK(pick("") + pick("") + pick("") == "aba");
  CHECK(pick("?tag=x") + pick("?tag=x") == "aa");
  const Endpoint a{*IpAddress::parse("192.168.1.10"), 1};
  f.agent.load_table[a] = {5, 1ms};
  CHECK(pick("?strategy=least_connections") == "b");
  CHECK(pick("?strategy=consistent_hash&key=u1") == pick("?strategy=consistent_hash&key=u1"));
  CHECK(f.status("GET", "/v1/outrider/select/hello?strategy=best") == "400");
  for (const char* without : {"consistent_hash", "consistent_hash&key="}) {
    const std::string refused =
        f.ask("GET", std::string("/v1/outrider/select/hello?strategy=") + without);
    CHECK(status_of(refused) == "400");
    CHECK(body_of(refused).find("consistent_hash needs a key") != std::string::npos);
  }
  CHECK(f.status("GET", "/v1/outrider/select/nobody") == "404");
  CHECK(at(f.get("/v1/outrider/select/hello?tag=x"), "endpoint") == "192.168.1.10:1");
  CHECK(at(f.get("/v1/outrider/select/hello?tag=x"), "url") == "http://192.168.1.10:1");
}

TEST_CASE("watch with source=own leaves out what the agent only heard of") {
  ApiFixture f;
  f.agent.see("far", "far-1", "10.0.0.9", 80);
  f.put(R"({"name": "hello", "id": "h1", "port": 80})");
  Client own(f.world);
  std::string text = own.ask(ApiFixture::request("GET", "/v1/outrider/watch?source=own"));
  CHECK(text.find("\"h1\"") != std::string::npos);
  CHECK(text.find("far-1") == std::string::npos);
  f.agent.see("far", "far-2", "10.0.0.9", 81);
  f.put(R"({"name": "hello", "id": "h2", "port": 81})");
  text = own.take();
  CHECK(text.find("\"h2\"") != std::string::npos);
  CHECK(text.find("far-2") == std::string::npos);
  CHECK(f.status("GET", "/v1/outrider/watch?source=others") == "400");
}

TEST_CASE("watch: snapshot, changes, resumption, one service only") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"a","port":1})");
  Client all(f.world);
  std::string text = all.ask(ApiFixture::request("GET", "/v1/outrider/watch"));
  CHECK(text.find("event: snapshot\n") != std::string::npos);
  CHECK(text.find("\"id\":\"a\"") != std::string::npos);
  Client one(f.world);
  one.ask(ApiFixture::request("GET", "/v1/outrider/watch/hello"));

  f.put(R"({"name":"other","id":"b","port":2})");
  text = all.take();
  CHECK(text.find("event: change\n") != std::string::npos);
  CHECK(text.find("\"kind\":\"added\"") != std::string::npos);
  CHECK(one.take().empty());
  const std::uint64_t seen = f.agent.registry().revision();

  f.ask("PUT", "/v1/outrider/deregister/a");
  CHECK(one.take().find("\"kind\":\"removed\"") != std::string::npos);

  Client late(f.world);
  text = late.ask("GET /v1/outrider/watch HTTP/1.1\r\nHost: a\r\nLast-Event-ID: " +
                  std::to_string(seen) + "\r\n\r\n");
  CHECK(text.find("event: snapshot") == std::string::npos);
  CHECK(text.find("\"kind\":\"removed\"") != std::string::npos);
  CHECK(text.find("\"kind\":\"added\"") == std::string::npos);
  text = late.take();
  f.world.advance(26s);
  CHECK(late.take() == ":\n\n");

  const std::string head = f.ask("HEAD", "/v1/outrider/watch");
  CHECK(head.find("text/event-stream") != std::string::npos);
  CHECK(body_of(head).empty());
  CHECK(f.api->watching() == 3);
  Client future(f.world);  // of an earlier life of the agent
  text = future.ask(ApiFixture::request("GET", "/v1/outrider/watch?since=99999"));
  CHECK(text.find("event: snapshot\n") != std::string::npos);
}

TEST_CASE("watch: with list, each event is the whole list, narrowed, if it differs") {
  ApiFixture f;
  const std::string path = "/v1/outrider/watch/hello?list&tag=web";
  Client web(f.world);
  std::string text = web.ask(ApiFixture::request("GET", path));
  CHECK(text.find("event: list\n") != std::string::npos);
  CHECK(text.find("\"instances\":[]}") != std::string::npos);
  f.put(R"({"name":"hello","id":"a","port":1,"tags":["web"]})");
  text = web.take();
  CHECK(text.find("event: list\n") != std::string::npos);
  CHECK(text.find("\"id\":\"a\"") != std::string::npos);
  f.put(R"({"name":"hello","id":"b","port":2})");
  f.put(R"({"name":"other","id":"c","port":3,"tags":["web"]})");
  CHECK(web.take().empty());
  f.put(R"({"name":"hello","id":"d","port":4,"tags":["web"]})");
  text = web.take();
  CHECK(text.find("\"id\":\"a\"") != std::string::npos);
  CHECK(text.find("\"id\":\"d\"") != std::string::npos);
  CHECK(text.find("\"id\":\"b\"") == std::string::npos);

  CHECK(status_of(f.ask("HEAD", path)) == "200");
  CHECK(status_of(f.ask("HEAD", path + "&colour=red")) == "400");
  CHECK(f.status("GET", "/v1/outrider/watch/hello?tag=web") == "400");
  CHECK(f.status("GET", "/v1/outrider/watch?list&since=1") == "400");
  CHECK(f.status("GET", "/v1/outrider/watch?list&source=own") == "400");
}

TEST_CASE("watch: a list that changes while it is written is sent again") {
  ApiFixture f;
  const auto see = [&](std::size_t number) {
    f.agent.see("hello", "i" + std::to_string(number), "192.168.1.20",
                static_cast<std::uint16_t>(number + 1));
  };
  for (std::size_t i = 0; i < 3 * doors::kRowsPerTurn; ++i)
    see(i);
  f.world.advance(1s);
  Client all(f.world);
  all.send(ApiFixture::request("GET", "/v1/outrider/watch/hello?list"));
  std::string text;
  for (int i = 0; i < 40; ++i) {
    if (i == 3) see(3 * doors::kRowsPerTurn);
    f.world.advance(1ms);
    text += all.take();
  }
  const std::size_t last = text.rfind("event: list\n");
  REQUIRE(last != std::string::npos);
  CHECK(text.find("\"id\":\"i768\"", last) != std::string::npos);
  CHECK(text.ends_with("\n\n"));
}

TEST_CASE(
    "watch: a sighting that is merely refreshed is no change, and takes no place in history") {
  ApiFixture f;
  const auto refresh = [&] {
    f.agent.sightings_expire = f.world.now() + 75s;
    f.agent.see("hello", "b", "192.168.1.20", 8080);
  };
  refresh();
  const std::string seen = std::to_string(f.agent.registry().revision());
  Client all(f.world);
  Client one(f.world);
  all.ask(ApiFixture::request("GET", "/v1/outrider/watch"));
  one.ask(ApiFixture::request("GET", "/v1/outrider/watch/hello"));
  f.put(R"({"name":"other","id":"a","port":1})");
  CHECK(all.take().find("\"kind\":\"added\"") != std::string::npos);

  for (std::size_t i = 0; i < doors::kRecentChangesMax + 1; ++i) {
    f.world.advance(10ms);
    refresh();
  }
  f.world.advance(50ms);
  CHECK(all.take().empty());
  CHECK(one.take().empty());
  const std::string resumed = f.ask("GET", "/v1/outrider/watch?since=" + seen);
  CHECK(resumed.find(": resumed") != std::string::npos);
  CHECK(resumed.find("\"kind\":\"added\"") != std::string::npos);
  CHECK(resumed.find("\"kind\":\"changed\"") == std::string::npos);

  f.agent.see("hello", "b", "192.168.1.21", 8080);
  f.world.advance(50ms);
  CHECK(one.take().find("\"kind\":\"changed\"") != std::string::npos);
}

TEST_CASE("what a client remembers of an earlier life of the agent is not taken for now") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"a","port":1})");
  const std::string seen = std::to_string(f.agent.registry().revision());
  const std::string health = "/v1/health/service/hello?wait=60s&index=";
  const std::string index = std::to_string(f.api->index_of("hello"));
  Client waiting(f.world);
  CHECK(waiting.ask(ApiFixture::request("GET", health + index)).empty());

  f.restart();  // as many changes as before, and another instance
  f.put(R"({"name":"hello","id":"b","port":2})");
  CHECK(f.ask("GET", health + index).find("\"ID\":\"b\"") != std::string::npos);
  const std::string text = f.ask("GET", "/v1/outrider/watch?since=" + seen);
  CHECK(text.find("event: snapshot\n") != std::string::npos);
  CHECK(text.find("\"id\":\"b\"") != std::string::npos);
  CHECK(f.agent.registry().changes() == 1);
}

TEST_CASE("http_sd: served instances, with labels that Prometheus takes") {
  ApiFixture f;
  f.put(kHello);
  f.agent.see("web", "web-1", "192.168.1.20", 80);
  json::Value sd = f.get("/v1/outrider/http_sd");
  REQUIRE(size_of(sd) == 1);
  CHECK(at(sd, "0/targets/0") == "192.168.1.20:80");
  CHECK(at(sd, "0/labels/__meta_outrider_service") == "web");
  CHECK(at(sd, "0/labels/__meta_outrider_tags") == ",seen,");
  CHECK(at(sd, "0/labels/__meta_outrider_metadata_zone") == "b");
  sd = f.get("/v1/outrider/http_sd?all");
  CHECK(size_of(sd) == 2);
}

TEST_CASE("FARP: a manifest, the services, the routes of a gateway") {
  ApiFixture f;
  CHECK(at(f.get("/v1/outrider/farp/manifest?id=hello-1"), "id") == "hello-1");
  const std::string none = f.ask("GET", "/v1/outrider/farp/manifest?id=hello-2");
  CHECK(status_of(none) == "404");
  CHECK(body_of(none).find(R"(no FARP manifest of instance \"hello-2\")") != std::string::npos);
  CHECK(f.status("GET", "/v1/outrider/farp/manifest") == "404");
  CHECK(at(f.get("/v1/outrider/farp/services"), "services") == "[]");
  CHECK(at(f.get("/v1/outrider/farp/routes?gateway=traefik"), "routes") == "[]");
  CHECK(f.status("GET", "/v1/outrider/farp/routes?gateway=apache") == "404");
  CHECK(f.status("GET", "/v1/outrider/farp/nothing") == "404");
}

TEST_CASE("metrics, status, health, unknown paths and methods") {
  ApiFixture f;
  f.put(kHello);
  const std::string metrics = body_of(f.ask("GET", "/metrics"));
  CHECK(metrics.find("# HELP outrider_registry_instances ") != std::string::npos);
  CHECK(metrics.find("outrider_registry_instances{health=\"starting\",source=\"own\"} 1\n") !=
        std::string::npos);
  CHECK(metrics.find("outrider_bare_total{quote=\"a\\\"b\\\\c\\nd\"} 1\n") != std::string::npos);
  CHECK(at(f.get("/v1/outrider/status"), "registry/registrations") == "1");
  CHECK(at(f.get("/v1/outrider/status"), "bare") == "true");
  CHECK(body_of(f.ask("GET", "/healthz")) == "ok\n");
  const std::string unknown = f.ask("GET", "/v2");
  CHECK(status_of(unknown) == "404");
  CHECK(body_of(unknown) ==
        "{\"error\":\"unknown path; see outrider-api(7), or /openapi.json\"}\n");
  CHECK(at(f.get("/"), "openapi") == "/openapi.json");
  CHECK(f.status("GET", "/v1/outrider/select/") == "404");
  const std::string wrong = f.ask("PUT", "/healthz");
  CHECK(status_of(wrong) == "405");
  CHECK(wrong.find("Allow: GET\r\n") != std::string::npos);
  CHECK(body_of(wrong) == "{\"error\":\"method not allowed; use GET\"}\n");
  CHECK(f.status("HEAD", "/healthz") == "200");
}

TEST_CASE("a parameter that narrows or switches is obeyed or refused") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"hello-1","port":8080})");
  const std::pair<const char*, const char*> rows[] = {
      {"GET", "/v1/outrider/services?tags=v1"},
      {"GET", "/v1/outrider/instances/hello?pasing"},
      {"GET", "/v1/outrider/instances?healthy=maybe"},
      {"GET", "/v1/outrider/select/hello?healthy"},
      {"GET", "/v1/outrider/http_sd?al=1"},
      {"GET", "/v1/outrider/watch?nmae=hello"},
      {"GET", "/v1/outrider/watch?since=yesterday"},
      {"GET", "/v1/agent/health/service/id/hello-1?format=pdf"},
      {"GET", "/v1/outrider/why/hello?when=5m"},
      {"GET", "/v1/outrider/status?x"},
      {"PUT", "/v1/outrider/drain/hello-1?enable=perhaps"},
      {"PUT", "/v1/outrider/maintenance/hello-1"},
      {"PUT", "/v1/outrider/maintenance/hello-1?enabled=true"},
  };
  for (const auto& [method, target] : rows) {
    CAPTURE(target);
    CHECK(f.status(method, target) == "400");
  }
  CHECK(f.status("PUT", "/v1/outrider/drain", R"({"id":"another"})") == "400");
  CHECK(at(f.get("/v1/outrider/instances/hello"), "instances/0/health") == "passing");
  CHECK(f.status("PUT", "/v1/outrider/drain/hello-1?enable=0") == "200");
  CHECK(at(f.get("/v1/outrider/instances/hello"), "instances/0/health") == "passing");
  CHECK(f.status("PUT", "/v1/outrider/drain/hello-1?enable=1") == "200");
  CHECK(at(f.get("/v1/outrider/instances/hello"), "instances/0/health") == "draining");
  CHECK(f.status("PUT", "/v1/outrider/drain/hello-1?enable=false&token=x") == "200");
  CHECK(f.status("PUT", "/v1/outrider/maintenance/hello-1?enable=true") == "200");
  CHECK(at(f.get("/v1/outrider/instances/hello"), "instances/0/health") == "maintenance");
}

TEST_CASE("an id that is unknown is in the answer, with where ids are listed") {
  ApiFixture f;
  for (const char* target : {"/v1/outrider/deregister/nope", "/v1/outrider/drain/nope",
                             "/v1/outrider/maintenance/nope?enable=true"}) {
    const std::string answer = f.ask("PUT", target);
    CAPTURE(answer);
    CHECK(status_of(answer) == "404");
    CHECK(body_of(answer).find(R"(\"nope\")") != std::string::npos);
    CHECK(body_of(answer).find("/v1/outrider/instances") != std::string::npos);
  }
  CHECK(body_of(f.ask("PUT", "/v1/outrider/check/pass/nope")).find("/v1/outrider/checks") !=
        std::string::npos);
}

TEST_CASE("every route says what it does, takes its parameters once, and is the first that fits") {
  ApiFixture f({.article = true, .bilibili = true});
  std::vector<const doors::Route*> before;
  for (const auto& table : f.api->router().tables()) {
    for (const doors::Route& route : table) {
      CAPTURE(route.method);
      CAPTURE(route.pattern);
      CHECK_FALSE(route.summary.empty());
      CHECK_FALSE(route.summary.ends_with('.'));
      CHECK((route.method == "GET" || route.method == "PUT" || route.method == "POST"));
      std::set<std::string_view> names;
      for (const http::Parameter& parameter : route.parameters) {
        CHECK(names.insert(parameter.name).second);
        CHECK_FALSE(parameter.summary.empty());
      }
      // A path of this route is not one of an earlier route with its method.
      std::string path(http::fixed_part(route.pattern));
      if (path.size() != route.pattern.size()) path += "x";
      for (const doors::Route* other : before)
        CHECK_FALSE((other->method == route.method && http::match(other->pattern, path)));
      before.push_back(&route);
    }
  }
  CHECK(before.size() > 60);
}

TEST_CASE("what Consul takes as a GET changes nothing as a HEAD, and the guard knows it") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"hello-1","port":8080,"checks":[{"ttl":"30s"}]})");
  for (const char* path :
       {"/v1/agent/service/deregister/hello-1", "/v1/agent/check/deregister/service:hello-1",
        "/v1/agent/check/pass/service:hello-1"}) {
    CAPTURE(path);
    const std::string head = f.ask("HEAD", path);
    CHECK(status_of(head) == "405");
    CHECK(head.find("Allow: PUT, GET\r\n") != std::string::npos);
  }
  CHECK(at(f.get("/v1/outrider/instances/hello"), "instances/0/health") == "starting");
  CHECK(f.api->router().changing_prefixes() ==
        std::vector<std::string>{"/v1/agent/service/deregister/", "/v1/agent/check/pass/",
                                 "/v1/agent/check/warn/", "/v1/agent/check/fail/",
                                 "/v1/agent/check/deregister/"});
  CHECK(f.status("GET", "/v1/agent/check/pass/service:hello-1") == "200");
  CHECK(at(f.get("/v1/outrider/instances/hello"), "instances/0/health") == "passing");
}
