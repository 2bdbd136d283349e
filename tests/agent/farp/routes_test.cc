// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/routes.h"

#include <doctest/doctest.h>

namespace outrider::farp {
namespace {

RouteSource source(std::string service, std::vector<std::string> txt) {
  RouteSource made;
  made.label = service + "-1";
  made.service = std::move(service);
  made.endpoint = {IpAddress::v4(10, 0, 0, 1), 8080};
  made.txt = read_txt(TxtMap::parse(txt));
  return made;
}

// One line a route: "prefix protocol priority".
std::string table(Gateway gateway, const std::vector<RouteSource>& sources) {
  std::string text;
  for (const Route& route : build_routes(gateway, sources)) {
    if (!text.empty()) text += " | ";
    text += route.path + ' ' + route.protocol + ' ' + std::to_string(route.priority);
  }
  return text;
}

const char* kManifestUrl = "farp.manifest=http://10.0.0.1:8080/_farp/manifest";

TEST_CASE("the old Forge gateway decides by the presence of keys") {
  const auto decide = [](std::vector<std::string> txt) {
    return table(Gateway::forge, {source("User_Service", std::move(txt))});
  };
  const char* catch_all = "/User_Service/* http 10";
  CHECK(decide({}) == catch_all);
  CHECK(decide({"farp.enabled=True", kManifestUrl, "farp.openapi=http://h/o"}) == catch_all);
  CHECK(decide({"farp.enabled=true", "farp.openapi=http://h/o"}) == catch_all);
  CHECK(decide({"farp.enabled=true", kManifestUrl, "farp.openapi="}) == catch_all);
  CHECK(decide({"farp.enabled=true", kManifestUrl, "farp.openapi=http://h/o"}) ==
        "/User_Service/* http 20");
  CHECK(decide({"farp.enabled=true", kManifestUrl, "farp.openapi=u", "farp.asyncapi=u",
                "farp.graphql=u"}) ==
        "/User_Service/* http 20 | /User_Service/ws/* websocket 20 | "
        "/User_Service/graphql graphql 20");
}

Manifest manifest(std::string strategy) {
  Manifest made;
  made.service_name = "User_Service";
  made.service_version = "1.2.3";
  made.instance_id = "u-1";
  made.endpoints.health = "/health";
  made.routing.strategy = std::move(strategy);
  made.routing.base_path = "/base";
  made.routing.subdomain = "users";
  SchemaDescriptor schema;
  schema.type = "openapi";
  made.schemas = {schema};
  return made;
}

TEST_CASE("prefixes by strategy, Bastion against the specification") {
  struct Row {
    const char* strategy;
    const char* bastion;
    const char* spec;
  };
  const Row rows[] = {{"root", "/base/*", "/*"},
                      {"service", "/user-service/*", "/User_Service/*"},
                      {"versioned", "/user-service/1.2.3/*", "/User_Service/v1/*"},
                      {"custom", "/base/*", "/base/*"},
                      {"instance", "/u-1/*", "/u-1/*"},
                      {"subdomain", "/user-service/*", "users.gateway/*"}};
  for (const Row& row : rows) {
    CAPTURE(row.strategy);
    RouteSource with = source("User_Service", {"farp.enabled=true", kManifestUrl});
    with.manifest = manifest(row.strategy);
    const auto bastion = build_routes(Gateway::bastion, {with});
    REQUIRE(bastion.size() == 1);
    CHECK(bastion[0].path == row.bastion);
    CHECK(bastion[0].health_path == "/health");
    const auto spec = build_routes(Gateway::spec, {with});
    REQUIRE(spec.size() == 1);
    CHECK(spec[0].path == row.spec);
  }
}

TEST_CASE("Bastion: route table before schemas before endpoints before TXT before catch-all") {
  RouteSource with =
      source("u", {"farp.enabled=true", kManifestUrl, "farp.openapi=x", "farp.health=/up"});
  with.manifest = manifest("service");
  with.manifest->routing.priority = 0;
  with.manifest->route_table = {{"/users", {"GET"}, "rest"}};
  CHECK(table(Gateway::bastion, {with}) == "/u/users rest 20");
  with.manifest->route_table.clear();
  with.manifest->schemas[0].type = "grpc";
  CHECK(table(Gateway::bastion, {with}) == "/u/* grpc 20");
  with.manifest->schemas.clear();
  with.manifest->endpoints.graphql = "/graphql";
  CHECK(table(Gateway::bastion, {with}) == "/u/graphql graphql 20");
  with.manifest.reset();
  CHECK(table(Gateway::bastion, {with}) == "/u/* http 20");
  CHECK(build_routes(Gateway::bastion, {with})[0].health_path == "/up");
  CHECK(table(Gateway::bastion, {source("u", {"farp.enabled=true"})}) == "/u/* http 10");
}

TEST_CASE("Octopus takes the label for the name and needs farp.enabled") {
  RouteSource a = source("users", {"farp.enabled=true", "farp.openapi.path=/o.json"});
  a.label = "Users";
  RouteSource again = a;
  const RouteSource off = source("off", {});
  CHECK(table(Gateway::octopus, {a, again, off}) == "/users/* http 100");
  CHECK(build_routes(Gateway::octopus, {a})[0].why == "paths of /o.json");
}

TEST_CASE("instances of one service share their routes; equal endpoints count once") {
  RouteSource first = source("u", {"farp.enabled=true", kManifestUrl, "farp.openapi=x"});
  RouteSource second = first;
  second.endpoint = {*IpAddress::parse("2001:db8::1"), 8080};
  const RouteSource ghost = first;
  const auto routes = build_routes(Gateway::bastion, {first, second, ghost});
  REQUIRE(routes.size() == 1);
  CHECK(routes[0].targets ==
        std::vector<std::string>{"http://10.0.0.1:8080", "http://[2001:db8::1]:8080"});
}

}  // namespace
}  // namespace outrider::farp
