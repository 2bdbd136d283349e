// SPDX-License-Identifier: Apache-2.0
// Netflix Eureka's API over the registry: what Spring Cloud's and npm's clients send, and what they
// read back.
#include "agent/doors/eureka/eureka.h"

#include <doctest/doctest.h>

#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

/// As Spring Cloud Netflix registers, in Netflix's shape.
constexpr const char* kSpring = R"({"instance":{
  "instanceId":"box:orders:8080","hostName":"192.168.1.10","app":"ORDERS","ipAddr":"192.168.1.10",
  "status":"UP","overriddenStatus":"UNKNOWN","port":{"$":8080,"@enabled":"true"},
  "securePort":{"$":443,"@enabled":"false"},"countryId":1,
  "dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                    "name":"MyOwn"},
  "leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,"registrationTimestamp":0,
               "lastRenewalTimestamp":0,"evictionTimestamp":0,"serviceUpTimestamp":0},
  "metadata":{"@class":"java.util.Collections$EmptyMap","management.port":"8081","version":"1.4"},
  "homePageUrl":"http://192.168.1.10:8080/",
  "statusPageUrl":"http://192.168.1.10:8080/actuator/info",
  "healthCheckUrl":"http://192.168.1.10:8080/actuator/health",
  "vipAddress":"orders","secureVipAddress":"orders","isCoordinatingDiscoveryServer":"false",
  "lastUpdatedTimestamp":"1700000000000","lastDirtyTimestamp":"1700000000000"}})";
/// As eureka-js-client does: lower case, booleans, no lease.
constexpr const char* kNode = R"({"instance":{"app":"web","instanceId":"web-1","hostName":"h1",
  "ipAddr":"10.2.2.2","port":{"$":8080,"@enabled":true},"vipAddress":"web",
  "dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
                    "name":"MyOwn"},"statusPageUrl":"http://h1/","status":"UP"}})";

constexpr const char* kOrders = "/eureka/apps/ORDERS/box:orders:8080";
constexpr const char* kFirst = "applications/application/0/instance/0/";

struct Eureka : ApiFixture {
  Eureka() : ApiFixture({.eureka = true}) {}
  std::string ask_with(std::string_view method, std::string_view target,
                       std::vector<std::pair<std::string, std::string>> headers,
                       std::string_view body = {}) {
    return Client(world).ask(http::write_request(method, target, "agent", headers, body, true));
  }
  void register_spring() { REQUIRE(status("POST", "/eureka/apps/ORDERS", kSpring) == "204"); }
  void register_node() { REQUIRE(status("POST", "/eureka/v2/apps/web", kNode) == "204"); }
  /// Spring's body, with a part replaced.
  static std::string spring(std::string_view from, std::string_view to) {
    std::string body = kSpring;
    const std::size_t place = body.find(from);
    REQUIRE(place != std::string::npos);
    return body.replace(place, from.size(), to);
  }
  std::string first(std::string_view key) {
    return at(get("/eureka/apps"), kFirst + std::string(key));
  }
  std::string hash(std::string_view target = "/eureka/apps") {
    return at(get(target), "applications/apps__hashcode");
  }
  std::string error(std::string_view method, std::string_view target, std::string_view body = {}) {
    const auto value = json::parse(body_of(ask(method, target, body)), 64U << 20);
    return value ? at(*value, "error") : "no JSON";
  }
  registry::InstancePtr own(std::string_view id) { return agent.registry().find_own(id); }
};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("Eureka is off unless configured") {
  ApiFixture f;
  CHECK(f.status("GET", "/eureka/apps") == "404");
  CHECK(f.status("GET", "/eureka/v2/apps") == "404");
  CHECK(f.status("POST", "/eureka/apps/ORDERS", kSpring) == "404");
}

TEST_CASE("Eureka: what Spring registers is a service, and is read back in Netflix's shape") {
  Eureka f;
  f.register_spring();
  const registry::InstancePtr own = f.own("box:orders:8080");
  REQUIRE(own != nullptr);
  CHECK(own->service.text() == "orders");
  CHECK(own->port == 8080);
  CHECK(own->version == "1.4");
  CHECK(own->served());
  const std::string instance = body_of(f.ask("GET", kOrders));
  CAPTURE(instance);
  for (const char* part :
       {R"({"instance":{"instanceId":"box:orders:8080","hostName":"192.168.1.10","app":"ORDERS",)"
        R"("ipAddr":"192.168.1.10","status":"UP","overriddenStatus":"UNKNOWN",)"
        R"("port":{"$":8080,"@enabled":"true"},"securePort":{"$":443,"@enabled":"false"},)"
        R"("homePageUrl":"http://192.168.1.10:8080/",)"
        R"("statusPageUrl":"http://192.168.1.10:8080/actuator/info",)"
        R"("healthCheckUrl":"http://192.168.1.10:8080/actuator/health","countryId":1,)"
        R"("dataCenterInfo":{"@class":"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",)"
        R"("name":"MyOwn"},"leaseInfo":{"renewalIntervalInSecs":30,"durationInSecs":90,)",
        R"("metadata":{"management.port":"8081","version":"1.4"},"vipAddress":"orders",)"
        R"("isCoordinatingDiscoveryServer":"false","lastUpdatedTimestamp":")",
        R"("actionType":"ADDED"}})"})
    CHECK(has(instance, part));
  CHECK(f.get("/eureka/instances/box:orders:8080").find("instance") != nullptr);
  const json::Value all = f.get("/eureka/apps");
  CHECK(at(all, "applications/apps__hashcode") == "UP_1_");
  CHECK(at(all, "applications/application/0/name") == "ORDERS");
  CHECK(at(f.get("/eureka/apps/orders"), "application/name") == "ORDERS");
  CHECK(at(f.get("/eureka/apps/Orders"), "application/instance/0/port/$") == "8080");
  CHECK(f.status("GET", "/eureka/apps/other") == "404");
  CHECK(f.status("GET", "/eureka/apps/ORDERS/other") == "404");
  CHECK(f.status("GET", "/eureka/instances/other") == "404");
}

TEST_CASE("Eureka: npm's shape is taken, and both bases and slashes at the end are the same") {
  Eureka f;
  f.register_node();
  for (const char* path :
       {"/eureka/v2/apps/", "/eureka/apps/", "/eureka/apps", "/eureka/v2/apps"}) {
    CAPTURE(path);
    const json::Value all = f.get(path);
    CHECK(at(all, "applications/application/0/name") == "WEB");
    const std::string instance = kFirst;
    CHECK(at(all, instance + "hostName") == "h1");
    CHECK(at(all, instance + "ipAddr") == "10.2.2.2");
    CHECK(at(all, instance + "port/@enabled") == "true");
    CHECK(at(all, instance + "statusPageUrl") == "http://h1/");
    CHECK(at(all, instance + "leaseInfo/durationInSecs") == "90");
  }
  CHECK(f.status("PUT", "/eureka/v2/apps/web/web-1") == "200");
  CHECK(f.status("DELETE", "/eureka/v2/apps/web/web-1") == "200");
  CHECK(f.own("web-1") == nullptr);
  CHECK(f.status("GET", "/eureka/v3/apps") == "404");
  CHECK(f.status("GET", "/eureka") == "404");
}

TEST_CASE("Eureka: an unknown instance is not renewed, so that the client registers it again") {
  Eureka f;
  CHECK(f.status("PUT", kOrders) == "404");
  f.register_spring();
  const std::string answer = f.ask("PUT", kOrders);
  CHECK(status_of(answer) == "200");
  CHECK(body_of(answer).empty());
  CHECK(f.status("PUT", "/eureka/apps/OTHER/box:orders:8080") == "404");
  CHECK(f.status("PUT", "/eureka/apps/ORDERS") == "404");
  CHECK(f.status("PUT", "/eureka/apps/ORDERS/") == "404");
  CHECK(f.status("DELETE", "/eureka/apps/OTHER/box:orders:8080") == "404");
  CHECK(f.status("DELETE", kOrders) == "200");
  CHECK(f.status("DELETE", kOrders) == "404");
  CHECK(f.status("PUT", kOrders) == "404");
  // Without a lease of ours there is nothing to renew.
  f.put(R"({"name":"orders","id":"plain","port":1})");
  CHECK(f.status("PUT", "/eureka/apps/ORDERS/plain") == "404");
}

TEST_CASE("Eureka: a program that has changed since it was last heard registers again") {
  Eureka f;
  f.register_spring();
  const auto renew = [&f](Duration later) {
    const WallTime wall = f.world.wall() + later;
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(wall.time_since_epoch()).count();
    return f.status("PUT",
                    std::string(kOrders) + "?status=UP&lastDirtyTimestamp=" + std::to_string(ms));
  };
  CHECK(renew(-1s) == "200");
  CHECK(renew(2s) == "404");
  f.register_spring();
  f.world.advance(5s);
  CHECK(renew(-4s) == "404");  // the program changed a second after it had registered
  f.register_spring();
  CHECK(renew(-4s) == "200");
}

TEST_CASE("Eureka: a renewal says how the program is, and one that does not changes nothing") {
  Eureka f;
  f.register_spring();
  CHECK(f.status("PUT", std::string(kOrders) + "?status=DOWN") == "200");
  CHECK(f.first("status") == "DOWN");
  CHECK_FALSE(f.own("box:orders:8080")->served());
  CHECK(f.status("PUT", kOrders) == "200");
  CHECK(f.first("status") == "DOWN");
  CHECK(f.hash() == "DOWN_1_");
  CHECK(f.status("PUT", std::string(kOrders) + "?status=UP") == "200");
  CHECK(f.first("status") == "UP");
  CHECK(f.error("PUT", std::string(kOrders) + "?state=UP").find("state") != std::string::npos);
  // Silence is not what it said: the next renewal brings it back.
  f.agent.set_check("box:orders:8080", "eureka", CheckHealth::critical, "no heartbeat for 90s");
  f.agent.set_check("box:orders:8080", "eureka-status", CheckHealth::critical, "no heartbeat");
  CHECK(f.first("status") == "DOWN");
  CHECK(f.status("PUT", kOrders) == "200");
  CHECK(f.first("status") == "UP");
}

TEST_CASE("Eureka: each status that is registered is shown, and only UP is served") {
  for (const char* status : {"UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "UNKNOWN"}) {
    CAPTURE(status);
    Eureka f;
    const std::string body =
        Eureka::spring("\"status\":\"UP\"", "\"status\":\"" + std::string(status) + '"');
    REQUIRE(f.status("POST", "/eureka/apps/ORDERS", body) == "204");
    CHECK(f.first("status") == status);
    CHECK(f.first("overriddenStatus") == "UNKNOWN");
    CHECK(f.own("box:orders:8080")->served() == (std::string(status) == "UP"));
    f.register_spring();
    CHECK(f.first("status") == "UP");
  }
  Eureka f;
  CHECK(has(f.error("POST", "/eureka/apps/ORDERS", Eureka::spring("\"UP\"", "\"WELL\"")),
            "expected UP, DOWN, STARTING, OUT_OF_SERVICE or UNKNOWN, not \"WELL\""));
}

TEST_CASE("Eureka: an override holds against registrations until it is taken back") {
  Eureka f;
  f.register_spring();
  const std::string status = std::string(kOrders) + "/status";
  CHECK(f.status("PUT", status + "?value=OUT_OF_SERVICE&lastDirtyTimestamp=1") == "200");
  CHECK(f.first("status") == "OUT_OF_SERVICE");
  CHECK(f.first("overriddenStatus") == "OUT_OF_SERVICE");
  CHECK(f.own("box:orders:8080")->maintenance);
  CHECK(f.own("box:orders:8080")->maintenance_reason == "status overridden with OUT_OF_SERVICE");
  f.register_spring();
  CHECK(f.status("PUT", std::string(kOrders) + "?status=UP") == "200");
  CHECK(f.first("status") == "OUT_OF_SERVICE");
  CHECK(f.status("PUT", status + "?value=DOWN") == "200");
  CHECK(f.first("status") == "DOWN");
  CHECK(f.status("DELETE", status + "?value=UP") == "200");
  CHECK(f.first("status") == "UP");
  CHECK(f.status("PUT", status + "?value=STARTING") == "200");
  CHECK(f.first("status") == "STARTING");
  CHECK(f.status("PUT", status + "?value=UP") == "200");
  CHECK(f.first("overriddenStatus") == "UNKNOWN");
  CHECK(f.status("PUT", status) == "400");
  CHECK(f.status("PUT", status + "?value=AWAY") == "400");
  CHECK(f.status("PUT", "/eureka/apps/ORDERS/other/status?value=UP") == "404");
  CHECK(f.status("DELETE", "/eureka/apps/ORDERS/other/status") == "404");
}

TEST_CASE("Eureka: maintenance and draining by others show as OUT_OF_SERVICE") {
  Eureka f;
  f.register_spring();
  for (const char* reason : {"new disk", "", "DOWN", "before it is UP", "starting"}) {
    REQUIRE(f.agent.set_maintenance("box:orders:8080", true, reason).has_value());
    CHECK(f.first("status") == "OUT_OF_SERVICE");
  }
  REQUIRE(f.agent.set_maintenance("box:orders:8080", false, "").has_value());
  REQUIRE(f.agent.set_draining("box:orders:8080", true).has_value());
  CHECK(f.first("status") == "OUT_OF_SERVICE");
  // Metadata does not end it, as registering again does.
  CHECK(f.status("PUT", std::string(kOrders) + "/metadata?color=red") == "200");
  CHECK(f.first("status") == "OUT_OF_SERVICE");
  CHECK(f.first("metadata/color") == "red");
  f.register_spring();
  CHECK(f.first("status") == "UP");
}

TEST_CASE("Eureka: metadata is added to, within the limits of a registration") {
  Eureka f;
  f.register_spring();
  const std::string metadata = std::string(kOrders) + "/metadata?";
  CHECK(f.status("PUT", metadata + "color=red&management.port=9") == "200");
  CHECK(f.first("metadata/color") == "red");
  CHECK(f.first("metadata/management.port") == "9");
  CHECK(f.first("metadata/version") == "1.4");
  CHECK(f.first("status") == "UP");
  CHECK(f.status("PUT", metadata + "eureka.hostName=x") == "400");
  CHECK(f.status("PUT", metadata + "long=" + std::string(registry::kMetadataValueBytesMax, 'x')) ==
        "200");
  CHECK(f.status("PUT", metadata + "long=" +
                            std::string(registry::kMetadataValueBytesMax + 1, 'x')) == "400");
  CHECK(f.status("PUT", "/eureka/apps/ORDERS/other/metadata?a=b") == "404");
  CHECK(f.status("DELETE", metadata + "color=") == "405");
}

TEST_CASE("Eureka: instances of other hosts are listed with their status, and not changed") {
  Eureka f;
  using registry::Health;
  f.agent.see("far", "far-1", "192.168.1.20", 80, Health::passing);
  f.agent.see("far", "far-2", "192.168.1.21", 80, Health::warning);
  f.agent.see("far", "far-3", "192.168.1.22", 80, Health::critical);
  f.agent.see("far", "far-4", "192.168.1.23", 80, Health::starting);
  f.agent.see("far", "far-5", "192.168.1.24", 80, Health::maintenance);
  f.agent.see("far", "far-6", "192.168.1.25", 80, Health::draining);
  f.agent.see("far", "far-7", "fe80::1", 80, Health::passing);  // no client could connect to it
  const json::Value app = f.get("/eureka/apps/FAR");
  CHECK(size_of(*app.find("application"), "instance") == 6);
  const char* const wanted[] = {"UP", "UP", "DOWN", "STARTING", "OUT_OF_SERVICE", "OUT_OF_SERVICE"};
  for (std::size_t i = 0; i < std::size(wanted); ++i)
    CHECK(at(app, "application/instance/" + std::to_string(i) + "/status") == wanted[i]);
  CHECK(at(app, "application/instance/0/hostName") == "192.168.1.20");
  CHECK(at(app, "application/instance/0/metadata/zone") == "b");
  CHECK(at(app, "application/instance/0/metadata/version") == "v2");
  CHECK(at(app, "application/instance/0/vipAddress") == "far");
  CHECK(f.hash() == "DOWN_1_OUT_OF_SERVICE_2_STARTING_1_UP_2_");
  CHECK(has(f.error("DELETE", "/eureka/apps/FAR/far-1"), "registered at another one"));
  CHECK(f.status("PUT", "/eureka/apps/FAR/far-1/status?value=DOWN") == "404");
}

TEST_CASE("Eureka: a VIP address is the name of the service or the one that was registered") {
  Eureka f;
  const std::string body =
      Eureka::spring(R"("vipAddress":"orders")", R"("vipAddress":"shop,sales")");
  REQUIRE(f.status("POST", "/eureka/apps/ORDERS", body) == "204");
  f.agent.see("far", "far-1", "192.168.1.20", 80);
  CHECK(f.first("vipAddress") != "<none>");
  const auto count = [&f](const std::string& path) {
    return size_of(*f.get(path).find("applications"), "application");
  };
  CHECK(count("/eureka/vips/shop") == 1);
  CHECK(count("/eureka/v2/vips/SALES") == 1);
  CHECK(count("/eureka/vips/shop,sales") == 0);
  CHECK(count("/eureka/vips/orders") == 0);
  CHECK(count("/eureka/vips/far") == 1);
  CHECK(count("/eureka/svips/far") == 0);
  CHECK(f.hash("/eureka/vips/far") == "UP_1_");
}

TEST_CASE("Eureka: a port for TLS alone is the port of the service, beside another it is kept") {
  Eureka f;
  std::string body = Eureka::spring(R"("securePort":{"$":443,"@enabled":"false"})",
                                    R"("securePort":{"$":"8443","@enabled":true})");
  REQUIRE(f.status("POST", "/eureka/apps/ORDERS", body) == "204");
  CHECK(f.own("box:orders:8080")->port == 8080);
  CHECK(f.first("securePort/$") == "8443");
  CHECK(f.first("securePort/@enabled") == "true");
  CHECK(f.first("port/@enabled") == "true");
  CHECK(f.first("secureVipAddress") == "orders");
  CHECK(f.first("metadata/eureka.securePort") == "<none>");
  body.replace(body.find("\"true\""), 6, "\"false\"");
  REQUIRE(f.status("POST", "/eureka/apps/ORDERS", body) == "204");
  CHECK(f.own("box:orders:8080")->port == 8443);
  CHECK(f.own("box:orders:8080")->protocol == "https");
  CHECK(f.first("port/@enabled") == "false");
  CHECK(f.first("securePort/$") == "8443");
  CHECK(size_of(*f.get("/eureka/svips/orders").find("applications"), "application") == 1);
  // Old clients send the number alone.
  REQUIRE(f.status("POST", "/eureka/apps/ORDERS",
                   Eureka::spring(R"({"$":8080,"@enabled":"true"})", "8080")) == "204");
  CHECK(f.first("port/$") == "8080");
  CHECK(f.status("POST", "/eureka/apps/ORDERS", Eureka::spring("8080,", "80800,")) == "400");
}

TEST_CASE("Eureka: the host's own name stands for its addresses, another name is shown again") {
  Eureka f;
  const auto put = [&f](const char* name, const char* address) {
    std::string body =
        Eureka::spring(R"("hostName":"192.168.1.10")", R"("hostName":")" + std::string(name) + '"');
    body.replace(body.find(R"("ipAddr":"192.168.1.10")"), 23,
                 R"("ipAddr":")" + std::string(address) + '"');
    body.replace(body.find("http://192.168.1.10:8080/actuator/health"), 40,
                 "http://" + std::string(name) + ":8080/actuator/health");
    return f.status("POST", "/eureka/apps/ORDERS", body);
  };
  REQUIRE(put("box", "127.0.1.1") == "204");
  CHECK(f.own("box:orders:8080")->addresses.empty());
  CHECK(f.first("hostName") == "192.168.1.10");
  CHECK(f.first("ipAddr") == "192.168.1.10");
  CHECK(f.first("healthCheckUrl") == "http://192.168.1.10:8080/actuator/health");
  REQUIRE(put("orders.example.org", "192.168.1.10") == "204");
  CHECK(f.first("hostName") == "orders.example.org");
  CHECK(f.first("ipAddr") == "192.168.1.10");
  CHECK(f.first("healthCheckUrl") == "http://orders.example.org:8080/actuator/health");
  CHECK(put("orders.example.org", "no address") == "400");
}

TEST_CASE("Eureka: equal ids of two applications are two instances") {
  Eureka f;
  const auto put = [&f](const char* app, const char* port) {
    std::string body = Eureka::spring("box:orders:8080", "box");
    body.replace(body.find("ORDERS"), 6, app);
    body.replace(body.find("8080"), 4, port);
    return f.status("POST", "/eureka/apps/" + std::string(app), body);
  };
  REQUIRE(put("ORDERS", "8080") == "204");
  REQUIRE(put("STOCK", "8081") == "204");
  REQUIRE(put("STOCK", "8082") == "204");  // the same again
  CHECK(f.agent.registry().own_count() == 2);
  CHECK(at(f.get("/eureka/apps/ORDERS/box"), "instance/port/$") == "8080");
  CHECK(at(f.get("/eureka/apps/STOCK/box"), "instance/port/$") == "8082");
  CHECK(at(f.get("/eureka/apps/STOCK/box"), "instance/instanceId") == "box");
  CHECK(f.status("DELETE", "/eureka/apps/ORDERS/box") == "200");
  CHECK(f.status("PUT", "/eureka/apps/STOCK/box") == "200");
  REQUIRE(put("STOCK", "8083") == "204");
  CHECK(f.agent.registry().own_count() == 1);
  CHECK(f.status("DELETE", "/eureka/apps/STOCK/box") == "200");
  CHECK(f.agent.registry().own_count() == 0);
}

TEST_CASE("Eureka: no registration replaces that of another application, however long the id") {
  Eureka f;
  const auto enrol = [&f](const std::string& app, const std::string& id, const std::string& port) {
    std::string body = Eureka::spring("box:orders:8080", id);
    body.replace(body.find("ORDERS"), 6, app);
    body.replace(body.find("8080"), 4, port);
    return f.status("POST", "/eureka/apps/" + app, body);
  };
  const auto port_of = [&f](const std::string& app, const std::string& id) {
    return at(f.get("/eureka/apps/" + app + '/' + id), "instance/port/$");
  };
  const std::string longest(255, 'x'), other = longest.substr(0, 254) + 'y';
  for (const std::string& id : {longest, other}) {
    REQUIRE(enrol("ORDERS", id, "8080") == "204");
    REQUIRE(enrol("STOCK", id, "8081") == "204");
    REQUIRE(enrol("STOCK", id, "8082") == "204");  // the same again
    CHECK(port_of("ORDERS", id) == "8080");
    CHECK(port_of("STOCK", id) == "8082");
    CHECK(at(f.get("/eureka/apps/STOCK/" + id), "instance/instanceId") == id);
  }
  CHECK(f.agent.registry().own_count() == 4);
  CHECK(f.status("DELETE", "/eureka/apps/ORDERS/" + longest) == "200");
  CHECK(f.status("PUT", "/eureka/apps/STOCK/" + longest) == "200");
  CHECK(port_of("STOCK", other) == "8082");

  // The id under which the later one would be kept is that of others.
  REQUIRE(enrol("ORDERS", "box", "1") == "204");
  REQUIRE(enrol("MAIL", "stock:box", "2") == "204");
  REQUIRE(enrol("STOCK", "box", "3") == "204");
  REQUIRE(enrol("MAIL", "mail:box", "4") == "204");
  REQUIRE(enrol("MAIL", "box", "5") == "204");
  CHECK(port_of("ORDERS", "box") == "1");
  CHECK(port_of("MAIL", "stock:box") == "2");
  CHECK(port_of("STOCK", "box") == "3");
  CHECK(port_of("MAIL", "mail:box") == "4");
  CHECK(port_of("MAIL", "box") == "5");
}

TEST_CASE("Eureka: an id that is free in none of its forms is refused") {
  Eureka f;
  const auto apart =
      registry::InstanceId::from_foreign("box:orders:8080")->apart("orders:box:orders:8080");
  for (const std::string& id :
       {std::string("box:orders:8080"), std::string("orders:box:orders:8080"), apart.text()}) {
    registry::ServiceSpec spec;
    spec.name = *registry::ServiceName::parse("other");
    spec.id = registry::InstanceId::from_foreign(id);
    REQUIRE(f.agent.put(spec));
  }
  CHECK(has(f.error("POST", "/eureka/apps/ORDERS", kSpring), "choose another one"));
  CHECK(f.agent.registry().own_count() == 3);
}

TEST_CASE("Eureka: the duration of the lease is the client's, within limits") {
  Eureka f;
  const auto lease = [&f](const char* seconds) {
    const std::string body =
        Eureka::spring(R"("durationInSecs":90)", R"("durationInSecs":)" + std::string(seconds));
    REQUIRE(f.status("POST", "/eureka/apps/ORDERS", body) == "204");
    return f.first("leaseInfo/durationInSecs") + ' ' + f.first("leaseInfo/renewalIntervalInSecs");
  };
  CHECK(lease("90") == "90 30");
  CHECK(lease("15") == "15 5");
  CHECK(lease("3") == "3 1");
  CHECK(lease("2") == "3 1");
  CHECK(lease("3600") == "3600 1200");
  CHECK(lease("3601") == "3600 1200");
  CHECK(lease("9007199254740991") == "3600 1200");
  CHECK(lease("0") == "90 30");
  CHECK(lease("-5") == "90 30");
  CHECK(lease("\"60\"") == "60 20");
  CHECK(lease("null") == "90 30");
}

TEST_CASE("Eureka: a body that Netflix's server would refuse is refused with what is missing") {
  Eureka f;
  const auto why = [&f](std::string_view body) {
    REQUIRE(f.status("POST", "/eureka/apps/ORDERS", body) == "400");
    return f.error("POST", "/eureka/apps/ORDERS", body);
  };
  CHECK(has(why("{}"), "expected {\"instance\""));
  CHECK(has(why("{"), "malformed JSON"));
  CHECK(has(why(""), "empty"));
  CHECK(has(why(Eureka::spring("\"hostName\"", "\"x\"")), "hostName"));
  CHECK(has(why(Eureka::spring("\"ipAddr\"", "\"x\"")), "ipAddr"));
  CHECK(has(why(Eureka::spring("\"app\"", "\"x\"")), "instance.app"));
  CHECK(has(why(Eureka::spring("\"dataCenterInfo\"", "\"x\"")), "dataCenterInfo"));
  CHECK(has(why(Eureka::spring("\"ORDERS\"", "\"STOCK\"")), "\"STOCK\", but the path has"));
  CHECK(has(why(Eureka::spring("\"8081\"", "{}")), "metadata.management.port"));
  CHECK(has(why(Eureka::spring("\"management.port\"", "\"eureka.vipAddress\"")), "eureka."));
  CHECK(has(why(Eureka::spring("box:orders:8080", "a\\u0001")), "instanceId"));
  CHECK(f.agent.registry().own_count() == 0);
  CHECK(f.status("POST", "/eureka/apps/ORDERS/box", kSpring) == "400");
  CHECK(f.status("POST", "/eureka/apps", kSpring) == "405");
  // Without an id, the name of the host is the id.
  REQUIRE(f.status("POST", "/eureka/apps/ORDERS", Eureka::spring("\"instanceId\"", "\"x\"")) ==
          "204");
  CHECK(f.first("instanceId") == "192.168.1.10");
}

TEST_CASE("Eureka: XML is refused with a sentence, and a client that takes JSON too is answered") {
  Eureka f;
  f.register_spring();
  for (const char* accept : {"application/xml", "text/xml, application/xml;q=0.9"}) {
    const std::string answer = f.ask_with("GET", "/eureka/apps", {{"Accept", accept}});
    CHECK(status_of(answer) == "406");
    CHECK(has(answer, "XML is not supported, only JSON: send Accept"));
  }
  for (const char* accept : {"application/json", "application/xml, application/json", "*/*",
                             "application/*+json", "application/*"})
    CHECK(status_of(f.ask_with("GET", "/eureka/apps", {{"Accept", accept}})) == "200");
  const std::string xml = "<instance><app>A</app></instance>";
  CHECK(status_of(f.ask_with("POST", "/eureka/apps/A", {{"Content-Type", "application/xml"}},
                             xml)) == "415");
  CHECK(has(f.ask_with("POST", "/eureka/apps/A", {}, xml), "XML is not supported"));
  CHECK(status_of(f.ask_with("POST", "/eureka/apps/A", {{"Content-Encoding", "gzip"}}, "zip")) ==
        "415");
}

TEST_CASE("Eureka: checks that were added otherwise stay when a program registers again") {
  Eureka f;
  f.register_spring();
  const auto check = registry::ServiceSpec::parse_check(
      *json::parse(R"({"id":"extra","ttl":"10s","initial":"passing"})", 1000));
  REQUIRE(check.has_value());
  REQUIRE(f.agent.put_check("box:orders:8080", *check).has_value());
  f.register_spring();
  CHECK(f.own("box:orders:8080")->checks.size() == 3);
  for (std::size_t i = 3; i < registry::kChecksPerInstanceMax; ++i) {
    registry::CheckSpec more = *check;
    more.id += std::to_string(i);
    REQUIRE(f.agent.put_check("box:orders:8080", more).has_value());
  }
  f.register_spring();
  CHECK(f.own("box:orders:8080")->checks.size() == registry::kChecksPerInstanceMax);
  CHECK(f.status("DELETE", kOrders) == "200");
  f.put(R"({"name":"orders","id":"own","port":1})");
  for (std::size_t i = 0; i + 1 < registry::kChecksPerInstanceMax; ++i) {
    registry::CheckSpec more = *check;
    more.id += std::to_string(i);
    REQUIRE(f.agent.put_check("own", more).has_value());
  }
  CHECK(has(f.error("POST", "/eureka/apps/ORDERS", Eureka::spring("box:orders:8080", "own")),
            "more than 16 checks"));
}

TEST_CASE("Eureka: the agent's own API names the door") {
  Eureka f;
  f.register_spring();
  f.put(R"({"name":"plain","id":"plain-1","port":1,"checks":[{"ttl":"30s"}]})");
  CHECK(at(f.get("/v1/outrider/instances/orders"), "instances/0/door") == "eureka");
  CHECK(at(f.get("/v1/outrider/instances/plain"), "instances/0/door") == "<none>");
}

TEST_CASE("Eureka: an option that no route has is refused") {
  Eureka f;
  CHECK(f.status("GET", "/eureka/apps?regions=us-east-1") == "400");
  CHECK(f.status("GET", "/eureka/apps/delta?x=1") == "400");
  CHECK(f.status("GET", "/eureka/apps?token=x") == "200");
  f.register_spring();
  const std::string orders = kOrders;
  CHECK(has(f.error("DELETE", orders + "?soft=true"), "soft"));
  CHECK(f.status("DELETE", orders + "/status?soft=true") == "400");
  CHECK(f.status("DELETE", orders + "/status?value=UP&lastDirtyTimestamp=1") == "200");
  CHECK(f.status("PUT", orders + "?value=UP") == "400");
  CHECK(f.status("PUT", orders + "?status=UP&overriddenstatus=UP&lastDirtyTimestamp=1") == "200");
  CHECK(f.status("PUT", orders + "/status?status=UP") == "400");
  for (const char* method : {"PUT", "DELETE"})
    CHECK(f.error(method, "/eureka/apps/ORDERS") == "missing id of the instance in the path");
  CHECK(f.own("box:orders:8080") != nullptr);
}

// --- delta ------------------------------------------------------------------------------------

namespace {

/// "ADDED orders/box:orders:8080 …" in the order of the document.
std::string actions(const json::Value& document) {
  std::string text;
  for (const json::Value& app : *document.find("applications")->find("application")->as_array())
    for (const json::Value& instance : *app.find("instance")->as_array())
      text += at(instance, "actionType") + ' ' + at(app, "name") + '/' +
              at(instance, "instanceId") + ' ';
  return text;
}

}  // namespace

TEST_CASE("Eureka: the delta has each instance that has changed once, with what became of it") {
  Eureka f;
  f.agent.see("far", "far-1", "192.168.1.20", 80);
  f.agent.see("far", "far-2", "192.168.1.21", 80);
  f.agent.see("zoo", "zoo-1", "192.168.1.22", 80);
  f.world.advance(eureka::kDeltaWindow);
  f.world.advance(1s);
  CHECK(actions(f.get("/eureka/apps/delta")).empty());
  CHECK(f.hash("/eureka/apps/delta") == "UP_3_");
  f.register_spring();
  f.agent.see("far", "far-1", "192.168.1.20", 80, registry::Health::critical);
  f.agent.lose("far", "far-2");
  f.agent.see("far", "far-3", "192.168.1.23", 80);
  f.agent.see("gone", "gone-1", "192.168.1.24", 80);
  f.agent.lose("gone", "gone-1");
  const json::Value delta = f.get("/eureka/v2/apps/delta");
  CHECK(actions(delta) ==
        "MODIFIED FAR/far-1 ADDED FAR/far-3 DELETED FAR/far-2 DELETED GONE/gone-1 "
        "ADDED ORDERS/box:orders:8080 ");
  CHECK(at(delta, "applications/apps__hashcode") == "DOWN_1_UP_3_");
  CHECK(f.hash() == "DOWN_1_UP_3_");
  CHECK(at(delta, "applications/versions__delta") != "<none>");
  CHECK(f.status("DELETE", kOrders) == "200");
  CHECK(has(actions(f.get("/eureka/apps/delta")), "DELETED ORDERS/box:orders:8080"));
  f.world.advance(eureka::kDeltaWindow);
  f.world.advance(1s);
  CHECK(actions(f.get("/eureka/apps/delta")).empty());
}

TEST_CASE("Eureka: an instance that came back within the window is not deleted") {
  Eureka f;
  f.register_spring();
  f.world.advance(eureka::kDeltaWindow);
  f.world.advance(1s);
  CHECK(f.status("DELETE", kOrders) == "200");
  f.register_spring();
  CHECK(actions(f.get("/eureka/apps/delta")) == "MODIFIED ORDERS/box:orders:8080 ");
}

TEST_CASE("Eureka: more changes than are remembered leave the hash, by which clients notice") {
  Eureka f;
  f.register_spring();
  for (std::size_t i = 0; i <= kRecentChangesMax; ++i)
    f.agent.see("far", "far-1", "192.168.1.20", static_cast<std::uint16_t>(1000 + i));
  CHECK(actions(f.get("/eureka/apps/delta")).find("ORDERS") == std::string::npos);
  CHECK(f.hash("/eureka/apps/delta") == f.hash());
}

TEST_CASE("Eureka: a long list is written in turns, whole") {
  Eureka f;
  for (std::size_t i = 0; i < 3 * kRowsPerTurn; ++i)
    f.agent.see("far" + std::to_string(i % 7), "far-" + std::to_string(i), "192.168.1.20",
                static_cast<std::uint16_t>(1000 + i));
  Client client(f.world);
  std::string answer = client.ask(ApiFixture::request("GET", "/eureka/apps"));
  f.world.advance(100ms);
  answer += client.take();
  const auto all = json::parse(body_of(answer), 64U << 20);
  REQUIRE(all.has_value());
  CHECK(size_of(*all->find("applications"), "application") == 7);
  CHECK(at(*all, "applications/apps__hashcode") == "UP_768_");
}
