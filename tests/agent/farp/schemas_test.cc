// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/schemas.h"

#include <doctest/doctest.h>

#include "agent/farp/schema_fetcher.h"
#include "tests/sim/http_server.h"
#include "tests/sim/world.h"

namespace outrider::farp {
namespace {

constexpr const char* kOpenapi =
    R"({"openapi":"3.1.0","info":{"title":"user-service","version":"1.0.0"},"paths":{}})";
constexpr const char* kSdl = "type Query { hello: String }";

TEST_CASE("what is a schema and what is not") {
  const auto read = [](SchemaType type, std::string_view body) {
    return read_schema_document(type, body, WallTime{});
  };
  const auto openapi = read(SchemaType::openapi, kOpenapi);
  REQUIRE(openapi);
  CHECK(openapi->spec_version == "3.1.0");
  CHECK(openapi->content_type == "application/json");
  CHECK(openapi->hash == "4ac73838182ebd5b7f1631604ccb69e776ac9a41b9295c42dba284d1ec523c9b");
  CHECK(read(SchemaType::openapi, R"({"swagger":"2.0"})")->spec_version == "2.0");
  CHECK(read(SchemaType::asyncapi, R"({"asyncapi":"3.0.0"})")->spec_version == "3.0.0");
  CHECK(read(SchemaType::graphql, kSdl)->content_type == "application/graphql");
  CHECK(read(SchemaType::graphql, R"({"data":{"__schema":{}}})")->content_type ==
        "application/json");

  CHECK(!read(SchemaType::openapi, "<html>not found</html>"));
  CHECK(!read(SchemaType::openapi, "[]"));
  CHECK(!read(SchemaType::openapi, R"({"openapi":3})"));
  CHECK(!read(SchemaType::asyncapi, kOpenapi));
  CHECK(!read(SchemaType::graphql, "hello"));
  CHECK(!read(SchemaType::graphql, R"({"errors":[]})"));
  CHECK(!read(SchemaType::openapi, std::string(kSchemaBytesMax + 1, ' ')));
}

TEST_CASE("the store tells a change by its hash and keeps the last good document") {
  SchemaStore store;
  const auto schema = read_schema_document(SchemaType::openapi, kOpenapi, WallTime{});
  CHECK(store.put("u-1", *schema));
  CHECK(!store.put("u-1", *schema));
  store.fail("u-1", SchemaType::openapi, "HTTP 503");
  CHECK(store.trouble("u-1", SchemaType::openapi) == "HTTP 503");
  CHECK(store.find("u-1", SchemaType::openapi) != nullptr);
  CHECK(store.of("u-1").size() == 1);
  store.forget("u-1");
  CHECK(store.of("u-1").empty());
}

struct Fixture : SchemaFetcher::Sink {
  sim::World world{3};
  Env& env = world.env();
  SchemaStore store;
  std::vector<std::string> told;
  sim::HttpServer server{env, 8080};
  SchemaFetcher fetcher{env, store, *this};
  registry::Instance instance;

  Fixture() {
    instance.id = *registry::InstanceId::parse("u-1");
    instance.service = *registry::ServiceName::parse("u");
    instance.port = 8080;
    instance.health = registry::Health::passing;
    instance.farp = registry::FarpSpec{.enabled = true};
  }
  void on_schema(const std::string& instance_id) override { told.push_back(instance_id); }
};

TEST_CASE_FIXTURE(Fixture, "fetched at once, told once, refreshed, told again when it changes") {
  instance.farp = registry::FarpSpec{.enabled = true, .openapi = "/openapi.json"};
  server.set("/openapi.json", {.status = 200, .body = kOpenapi});
  fetcher.watch(instance);
  CHECK(store.of("u-1").empty());
  world.advance(1s);
  CHECK(told == std::vector<std::string>{"u-1"});
  fetcher.watch(instance);  // nothing new: no new request
  world.advance(5min);
  CHECK(told.size() == 1);
  CHECK(server.requests().size() >= 5);
  CHECK(server.requests().size() <= 7);
  server.set("/openapi.json", {.status = 200, .body = R"({"openapi":"3.1.1"})"});
  world.advance(70s);
  CHECK(told.size() == 2);
  CHECK(store.find("u-1", SchemaType::openapi)->spec_version == "3.1.1");
}

TEST_CASE_FIXTURE(Fixture, "trouble is kept and tried again with back-off, then all is well") {
  instance.farp = registry::FarpSpec{.enabled = true, .openapi = "/openapi.json"};
  fetcher.watch(instance);
  world.advance(1s);
  CHECK(store.trouble("u-1", SchemaType::openapi) == "/openapi.json: HTTP 404");
  CHECK(world.host("here").log().count("farp_schema_failed") == 1);
  world.advance(1min);
  CHECK(server.requests().size() <= 6);
  server.set("/openapi.json", {.status = 200, .body = kOpenapi});
  world.advance(70s);
  CHECK(store.trouble("u-1", SchemaType::openapi).empty());
  CHECK(told.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a body beyond the limit is refused") {
  instance.farp = registry::FarpSpec{.enabled = true, .openapi = "/big"};
  server.set("/big", {.status = 200, .body = std::string(kSchemaBytesMax + 1, ' ')});
  fetcher.watch(instance);
  world.advance(5s);
  CHECK(store.trouble("u-1", SchemaType::openapi).find("too long") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "nothing is asked of an instance that is not healthy") {
  instance.farp = registry::FarpSpec{.enabled = true, .openapi = "/openapi.json"};
  instance.health = registry::Health::critical;
  fetcher.watch(instance);
  world.advance(1min);
  CHECK(server.requests().empty());
}

TEST_CASE_FIXTURE(Fixture, "GraphQL: SDL by GET") {
  instance.farp = registry::FarpSpec{.enabled = true, .graphql = "/schema.graphql"};
  server.set("/schema.graphql", {.status = 200, .body = kSdl});
  fetcher.watch(instance);
  world.advance(1s);
  REQUIRE(store.find("u-1", SchemaType::graphql) != nullptr);
  CHECK(store.find("u-1", SchemaType::graphql)->document == kSdl);
}

TEST_CASE_FIXTURE(Fixture, "documents are only asked of the instance itself") {
  const auto trouble = [&](const char* document) {
    instance.farp = registry::FarpSpec{.enabled = true, .openapi = document};
    fetcher.watch(instance);
    return store.trouble("u-1", SchemaType::openapi);
  };
  for (const char* elsewhere : {"http://192.0.2.1/o.json", "https://127.0.0.1/o.json",
                                "http://example.org/o.json", "ftp://127.0.0.1/"}) {
    CAPTURE(elsewhere);
    CHECK(trouble(elsewhere).find("not an http address of this instance") != std::string::npos);
  }
  server.set("/o.json", {.status = 200, .body = kOpenapi});
  trouble("http://localhost:8080/o.json");
  world.advance(1s);
  CHECK(store.find("u-1", SchemaType::openapi) != nullptr);
}

TEST_CASE("nothing is asked of an address that is not this host's") {
  sim::World world{3};
  sim::Link& lan = world.link("lan");
  sim::Host& us = world.host("us");
  sim::Host& cloud = world.host("cloud");
  us.attach("eth0", lan, {"10.0.0.1/24", "169.254.0.1/16"});
  cloud.attach("eth0", lan, {"10.0.0.2/24", "169.254.169.254/16"});
  sim::HttpServer server{cloud.env(), 80};
  sim::HttpServer own{us.env(), 80};
  for (sim::HttpServer* each : {&server, &own})
    each->set("/x", {.status = 200, .body = kSdl});

  struct Sink final : SchemaFetcher::Sink {
    void on_schema(const std::string&) override {}
  } sink;
  SchemaStore store;
  SchemaFetcher fetcher{us.env(), store, sink};
  registry::Instance instance;
  instance.id = *registry::InstanceId::parse("u-1");
  instance.service = *registry::ServiceName::parse("u");
  instance.port = 80;
  instance.health = registry::Health::passing;
  instance.farp = registry::FarpSpec{.enabled = true};
  const auto trouble_at = [&](const char* address) {
    instance.addresses = {{*IpAddress::parse(address), 0}};
    fetcher.watch(instance);
    world.advance(2min);
    return store.trouble("u-1", SchemaType::graphql);
  };
  instance.farp = registry::FarpSpec{.enabled = true, .graphql = "/x"};
  CHECK(trouble_at("169.254.169.254").find("link-local") != std::string::npos);
  CHECK(trouble_at("10.0.0.2").find("not an address of this host") != std::string::npos);
  instance.farp = registry::FarpSpec{.enabled = true, .graphql = "http://169.254.169.254/x"};
  CHECK(trouble_at("169.254.169.254").find("link-local") != std::string::npos);
  CHECK(server.requests().empty());
  CHECK(store.of("u-1").empty());

  instance.farp = registry::FarpSpec{.enabled = true, .graphql = "/x"};
  CHECK(trouble_at("10.0.0.1").empty());
  CHECK(store.of("u-1").size() == 1);
  // The configuration may permit other hosts, never the metadata service.
  instance.checks.emplace_back().spec.allow_remote = true;
  CHECK(trouble_at("10.0.0.2").empty());
  CHECK(server.requests().size() > 0);
  const std::size_t asked = server.requests().size();
  CHECK(trouble_at("169.254.169.254").find("link-local") != std::string::npos);
  CHECK(server.requests().size() == asked);
}

TEST_CASE("a schema is fetched as soon as its address is this host's") {
  sim::World world{3};
  sim::Host& us = world.host("us");
  sim::HttpServer server{us.env(), 80};
  server.set("/x", {.status = 200, .body = kSdl});
  struct Sink final : SchemaFetcher::Sink {
    void on_schema(const std::string&) override {}
  } sink;
  SchemaStore store;
  SchemaFetcher fetcher{us.env(), store, sink};
  registry::Instance instance;
  instance.id = *registry::InstanceId::parse("u-1");
  instance.service = *registry::ServiceName::parse("u");
  instance.port = 80;
  instance.health = registry::Health::passing;
  instance.farp = registry::FarpSpec{.enabled = true, .graphql = "/x"};
  instance.addresses = {{*IpAddress::parse("10.0.0.1"), 0}};
  fetcher.watch(instance);
  CHECK(store.trouble("u-1", SchemaType::graphql).starts_with("10.0.0.1:80: not an address"));
  world.advance(5s);
  CHECK(store.of("u-1").empty());
  us.attach("eth0", world.link("lan"), {"10.0.0.1/24"});
  world.advance(70s);
  CHECK(store.of("u-1").size() == 1);
}

}  // namespace
}  // namespace outrider::farp
