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
    const std::string text = std::string(R"({"name":")") + name + R"(","id":")" + id +
                             R"(","version":"1.2.0","port":8080,"tags":["v1"],)"
                             R"("metadata":{"region":"eu"},"checks":[{"http":"/up"}],)"
                             R"("farp":{"openapi":"/openapi.json","capabilities":["rest"]}})";
    const auto spec = registry::ServiceSpec::parse(*json::parse(text, 4096));
    REQUIRE(spec);
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
        "http://192.168.1.2:5371/_farp/manifest");
}

TEST_CASE_FIXTURE(Fixture, "several services have paths of their own") {
  add("users", "u-1");
  add("orders", "o-1");
  CHECK(get("/_farp/manifest").status == 404);
  CHECK(*get_json("/_farp/users/manifest").find("instance_id")->as_string() == "u-1");
  CHECK(*get_json("/_farp/o-1/manifest").find("instance_id")->as_string() == "o-1");
  CHECK(*get_json("/_farp/orders/discovery").find("metadata")->find("farp.manifest")->as_string() ==
        "http://192.168.1.2:5371/_farp/orders/manifest");
  CHECK(get("/_farp/nobody/manifest").status == 404);
}

TEST_CASE_FIXTURE(Fixture, "everything else is not found, and nothing is changed here") {
  add("users", "u-1");
  for (const char* path : {"/", "/_farp", "/_farp/", "/_farpx/manifest", "/_farp/manifest/x",
                           "/_farp/users", "/_farp/users/x", "/_farp//manifest"}) {
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
