// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/endpoints.h"

#include <doctest/doctest.h>

#include "agent/farp/canonical.h"
#include "base/text_file.h"

namespace outrider::farp {
namespace {

struct Fixture {
  registry::Registry registry{"box"};
  SchemaStore schemas;
  Endpoints endpoints{registry, schemas};
  Vantage vantage{IpAddress::v4(192, 168, 1, 2), 5371};
  registry::Moment now{TimePoint{} + 1s, WallTime(1'769'851'800s)};

  void add(const char* name, const char* id, bool passing = true) {
    const std::string text = std::string(R"({"name":")") + name +
                             R"(","version":"1.2.0","port":8080,"tags":["v1"],)"
                             R"("metadata":{"region":"eu"},"checks":[{"http":"/up"}],)"
                             R"("farp":{"openapi":"/openapi.json","capabilities":["rest"]}})";
    auto spec = registry::ServiceSpec::parse(*json::parse(text, 4096));
    REQUIRE(spec);
    spec->id = registry::InstanceId::from_foreign(id);
    REQUIRE(registry.put(*spec, now));
    const auto health = passing ? CheckHealth::passing : CheckHealth::critical;
    REQUIRE(registry.set_check(id, "http", health, "HTTP 200", now));
  }
  EndpointAnswer get(std::string_view path) { return endpoints.answer("GET", path, vantage); }
  json::Value get_json(std::string_view path) {
    const auto value = json::parse(get(path).body, 1U << 16);
    REQUIRE(value);
    return *value;
  }
};

TEST_CASE_FIXTURE(Fixture, "a manifest that every reader accepts") {
  add("User_Service", "u-1");
  const auto schema = read_schema_document(SchemaType::openapi, R"({"openapi":"3.1.0"})", {});
  schemas.put("u-1", *schema);
  CHECK(get("/_farp/manifest").status == 200);
  CHECK(get("/_farp/manifest").content_type == "application/json");
  for (const int minor : {0, 1}) {
    const ManifestReading reading = read_manifest(get_json("/_farp/manifest"), minor);
    CHECK(reading.findings.empty());
    CHECK(reading.manifest.service_name == "User_Service");
    CHECK(reading.manifest.instance_id == "u-1");
    CHECK(reading.manifest.instance->address == "192.168.1.2:8080");
    CHECK(reading.manifest.instance->status == "healthy");
    CHECK(reading.manifest.instance->region == "eu");
    CHECK(reading.manifest.instance->started_at == 1'769'851'800);
    CHECK(reading.manifest.endpoints.health == "/up");
    REQUIRE(reading.manifest.schemas.size() == 1);
    CHECK(reading.manifest.schemas[0].url == "http://192.168.1.2:8080/openapi.json");
    CHECK(reading.manifest.schemas[0].hash == schema->hash);
    CHECK(reading.manifest.checksum == manifest_checksum({{"openapi", schema->hash}}));
  }
  CHECK(get("/_farp/schemas/openapi").body == R"({"openapi":"3.1.0"})");
  CHECK(get("/_farp/schemas/asyncapi").status == 404);
  CHECK(get("/_farp/schemas/asyncapi").body == "schema not found: asyncapi\n");
}

TEST_CASE_FIXTURE(Fixture, "a schema in a file is part of the manifest up to kInlineBytesMax") {
  const auto tree = json::parse(
      R"({"name":"u","id":"u-1","port":80,"farp":{"openapi":"file:/etc/openapi.json"}})", 4096);
  const auto spec = registry::ServiceSpec::parse(*tree, {}, registry::ServiceSpec::Files::allowed);
  REQUIRE(spec);
  REQUIRE(registry.put(*spec, now));
  const auto location_of = [&](std::size_t bytes) {
    std::string document = R"({"openapi":"3.1.0","x":""})";
    document.insert(document.size() - 2, bytes - document.size(), 'x');
    schemas.put("u-1", *read_schema_document(SchemaType::openapi, document, {}));
    const Manifest manifest = build_manifest(*registry.find_own("u-1"), schemas, vantage);
    REQUIRE(manifest.schemas.size() == 1);
    CHECK(manifest.schemas[0].size == static_cast<std::int64_t>(bytes));
    return manifest.schemas[0].location_type;
  };
  CHECK(location_of(kInlineBytesMax) == "inline");
  CHECK(location_of(kInlineBytesMax + 1) == "http");
}

TEST_CASE_FIXTURE(Fixture, "503 with a reason until there is a healthy service") {
  CHECK(get("/_farp/manifest").status == 503);
  CHECK(*get_json("/_farp/manifest").find("farp_enabled")->as_bool() == false);
  add("u", "u-1", false);
  for (const char* path : {"/_farp/manifest", "/_farp/discovery"}) {
    CHECK(get(path).status == 503);
    CHECK(*get_json(path).find("farp_enabled")->as_bool() == true);
  }
  CHECK(get("/_farp/health").status == 503);
  CHECK(*get_json("/_farp/health").find("status")->as_string() == "unhealthy");
  REQUIRE(registry.set_check("u-1", "http", CheckHealth::warning, "HTTP 429", now));
  CHECK(get("/_farp/health").status == 200);
  CHECK(*get_json("/_farp/health").find("status")->as_string() == "degraded");
}

TEST_CASE_FIXTURE(Fixture, "discovery as Forge's HTTP backend reads it") {
  add("users", "u-1");
  const json::Value document = get_json("/_farp/discovery");
  CHECK(*document.find("service_name")->as_string() == "users");
  CHECK(*document.find("address")->as_string() == "192.168.1.2");
  CHECK(*document.find("port")->as_int() == 8080);
  CHECK(*document.find("metadata")->find("farp.manifest")->as_string() ==
        "http://192.168.1.2:5371/_farp/users/u-1/manifest");
}

TEST_CASE_FIXTURE(Fixture, "every instance has paths of its own, whatever else there is") {
  const auto id_at = [&](const std::string& path) {
    const EndpointAnswer answer = get(path);
    if (answer.status != 200) return std::to_string(answer.status);
    return *get_json(path).find("instance_id")->as_string();
  };
  add("users", "u-1");
  CHECK(id_at("/_farp/users/u-1/manifest") == "u-1");
  CHECK(id_at("/_farp/u-1/manifest") == "u-1");
  CHECK(id_at("/_farp/users/manifest") == "u-1");
  CHECK(id_at("/_farp/manifest") == "u-1");

  add("users", "u-2");
  add("users", "u-3", false);
  add("orders", "u/1");
  CHECK(id_at("/_farp/users/u-1/manifest") == "u-1");
  CHECK(id_at("/_farp/users/u-2/manifest") == "u-2");
  CHECK(id_at("/_farp/users/u-3/manifest") == "503");
  CHECK(id_at("/_farp/u-2/manifest") == "u-2");
  CHECK(id_at("/_farp/u/1/manifest") == "u/1");
  CHECK(id_at("/_farp/orders/u-1/manifest") == "u/1");
  CHECK(id_at("/_farp/orders/manifest") == "u/1");
  CHECK(id_at("/_farp/users/manifest") == "404");  // which one?
  CHECK(id_at("/_farp/manifest") == "404");
  CHECK(id_at("/_farp/nobody/manifest") == "404");
  CHECK(id_at("/_farp/orders/u-2/manifest") == "404");
  CHECK(*get_json("/_farp/orders/u-1/discovery")
             .find("metadata")
             ->find("farp.manifest")
             ->as_string() == "http://192.168.1.2:5371/_farp/orders/u-1/manifest");

  const auto sdl = [](const char* type) {
    return *read_schema_document(SchemaType::graphql, std::string("type ") + type + " { a: Int }",
                                 {});
  };
  schemas.put("u-1", sdl("One"));
  schemas.put("u-2", sdl("Two"));
  CHECK(get("/_farp/users/u-1/schemas/graphql").body == "type One { a: Int }");
  CHECK(get("/_farp/u-2/schemas/graphql").body == "type Two { a: Int }");
  CHECK(get("/_farp/schemas/graphql").status == 404);
  CHECK(build_manifest(*registry.find_own("u-2"), schemas, vantage).schemas[0].url ==
        "http://192.168.1.2:5371/_farp/users/u-2/schemas/graphql");
  vantage.farp_port = 0;  // no URL leads to it
  CHECK(build_manifest(*registry.find_own("u-2"), schemas, vantage).schemas.empty());
}

TEST_CASE_FIXTURE(Fixture, "everything else is not found, and nothing is changed here") {
  add("users", "u-1");
  for (const char* path : {"/", "/_farp", "/_farp/", "/_farpx/manifest", "/_farp/manifest/x",
                           "/_farp/users", "/_farp/users/x", "/_farp//manifest", "/_farp/schemas",
                           "/_farp/schemas/", "/_farp/schemas/a/b", "/_farp/xschemas/openapi",
                           "/_farp//schemas/openapi", "/_farp/users/u-1/"}) {
    CAPTURE(path);
    CHECK(get(path).status == 404);
  }
  CHECK(endpoints.answer("POST", "/_farp/manifest", vantage).status == 405);
}

std::string golden(const std::string& name) {
  const auto text = read_text_file(VECTOR_DIR "/farp/" + name);
  REQUIRE(text);
  return *text;
}

TEST_CASE_FIXTURE(Fixture, "golden manifests, octet by octet") {
  add("users", "u-1");
  CHECK(get("/_farp/manifest").body == golden("minimal.json"));

  REQUIRE(registry.remove("u-1", now));
  const auto document = json::parse(R"({"name":"users","id":"u-1","version":"1.2.0","port":8080,)"
                                    R"("farp":{"openapi":"file:/etc/outrider/openapi.json"}})",
                                    4096);
  CHECK(!registry::ServiceSpec::parse(*document));  // no door but the configuration names files
  const auto spec =
      registry::ServiceSpec::parse(*document, {}, registry::ServiceSpec::Files::allowed);
  REQUIRE(spec);
  REQUIRE(registry.put(*spec, now));
  schemas.put("u-1", *read_schema_document(SchemaType::openapi, R"({"openapi":"3.1.0"})", {}));
  CHECK(get("/_farp/manifest").body == golden("inline.json"));
  for (const char* name : {"minimal.json", "inline.json"})
    for (const int minor : {0, 1})
      CHECK(read_manifest(*json::parse(golden(name), kManifestBytesMax), minor).findings.empty());
}

}  // namespace
}  // namespace outrider::farp
