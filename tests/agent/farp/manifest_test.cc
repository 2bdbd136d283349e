// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/manifest.h"

#include <functional>

#include <doctest/doctest.h>

namespace outrider::farp {
namespace {

Manifest good_manifest() {
  Manifest manifest;
  manifest.service_name = "user-service";
  manifest.service_version = "1.2.3";
  manifest.instance_id = "user-service-a1";
  manifest.instance = InstanceMetadata{.address = "10.0.0.1:8080", .status = "healthy"};
  manifest.capabilities = {"rest"};
  manifest.endpoints.health = "/health";
  SchemaDescriptor schema;
  schema.type = "openapi";
  schema.spec_version = "3.1.0";
  schema.url = "http://10.0.0.1:8080/openapi.json";
  schema.content_type = "application/json";
  schema.hash = std::string(64, 'a');
  schema.size = 80;
  manifest.schemas.push_back(schema);
  manifest.updated_at = 1'769'851'800;
  seal(manifest);
  return manifest;
}

json::Value parsed(const Manifest& manifest) {
  std::string text;
  json::Writer writer(text);
  write_manifest(writer, manifest);
  auto value = json::parse(text, kManifestBytesMax);
  REQUIRE(value);
  return std::move(*value);
}

TEST_CASE("what we write is what we read, without a finding for either reader") {
  for (const int minor : {0, 1}) {
    const ManifestReading reading = read_manifest(parsed(good_manifest()), minor);
    CHECK(reading.acceptable());
    CHECK(reading.findings.empty());
    CHECK(reading.manifest.service_name == "user-service");
    CHECK(reading.manifest.schemas.at(0).url == "http://10.0.0.1:8080/openapi.json");
    CHECK(reading.manifest.instance->weight == 100);
    CHECK(reading.manifest.routing.strategy == "service");
    CHECK(reading.manifest.checksum == good_manifest().checksum);
  }
}

TEST_CASE("each rule broken once names its field") {
  struct Row {
    const char* field;
    std::function<void(Manifest&)> break_it;
  };
  const Row rows[] = {
      {"version", [](Manifest& m) { m.version = "2.0.0"; }},
      {"service_name", [](Manifest& m) { m.service_name.clear(); }},
      {"instance_id", [](Manifest& m) { m.instance_id.clear(); }},
      {"endpoints.health", [](Manifest& m) { m.endpoints.health.clear(); }},
      {"instance.address", [](Manifest& m) { m.instance->address.clear(); }},
      {"instance.weight", [](Manifest& m) { m.instance->weight = 101; }},
      {"routing.strategy", [](Manifest& m) { m.routing.strategy = "nearest"; }},
      {"routing.base_path", [](Manifest& m) { m.routing.strategy = "custom"; }},
      {"routing.subdomain", [](Manifest& m) { m.routing.strategy = "subdomain"; }},
      {"routing.priority", [](Manifest& m) { m.routing.priority = 101; }},
      {"schemas[0].type", [](Manifest& m) { m.schemas[0].type = "wsdl"; }},
      {"schemas[0].spec_version", [](Manifest& m) { m.schemas[0].spec_version.clear(); }},
      {"schemas[0].content_type", [](Manifest& m) { m.schemas[0].content_type.clear(); }},
      {"schemas[0].location.type", [](Manifest& m) { m.schemas[0].location_type = "url"; }},
      {"schemas[0].location.url", [](Manifest& m) { m.schemas[0].url.clear(); }},
      {"schemas[0].location.registry_path",
       [](Manifest& m) { m.schemas[0].location_type = "registry"; }},
      {"schemas[0].inline_schema", [](Manifest& m) { m.schemas[0].location_type = "inline"; }},
      {"schemas[0].inline_schema",
       [](Manifest& m) { m.schemas[0].inline_schema = json::Value(json::Object{}); }},
      {"schemas[0].hash", [](Manifest& m) { m.schemas[0].hash = "abc"; }},
      {"schemas[0].size", [](Manifest& m) { m.schemas[0].size = -1; }},
      {"route_table[0].path",
       [](Manifest& m) {
         m.route_table = {{"", {"GET"}, "rest"}};
       }},
      {"route_table[0].protocol",
       [](Manifest& m) {
         m.route_table = {{"/x", {}, "smtp"}};
       }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.field);
    Manifest manifest = good_manifest();
    row.break_it(manifest);
    seal(manifest);
    const auto findings = check_manifest(manifest);
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].field == row.field);
    CHECK(findings[0].severity == Finding::Severity::error);
  }
}

TEST_CASE("checksums that do not match, and doubled types, are warnings") {
  Manifest manifest = good_manifest();
  manifest.checksum = std::string(64, '0');
  REQUIRE(check_manifest(manifest).size() == 1);
  CHECK(check_manifest(manifest)[0].severity == Finding::Severity::warning);

  manifest = good_manifest();
  manifest.schemas.push_back(manifest.schemas[0]);
  seal(manifest);
  REQUIRE(check_manifest(manifest).size() == 1);
  CHECK(check_manifest(manifest)[0].field == "schemas[1].type");
  CHECK(check_manifest(manifest)[0].severity == Finding::Severity::warning);
}

// Computed with Go's encoding/json, and with the form that TypeScript and Rust write.
TEST_CASE("routes checksums of both forms") {
  Manifest manifest;
  manifest.endpoints.health = "/health";
  CHECK(routes_checksum(manifest) ==
        "a1757ee4b944223eea1d6b2bc115ddcc1ee917cce1b7c643212bad56b0f4cfd9");
  CHECK(routes_checksum(manifest, true) ==
        "e3e5f5230e4235fbaa37a0672f480582449ea8bed1df47293fca59fd7c9f0f3f");
  manifest.endpoints.openapi = "/openapi.json";
  manifest.route_table = {{"/users/{id}", {"GET", "DELETE"}, "rest"},
                          {"/users", {"POST", "GET"}, "rest"}};
  CHECK(routes_checksum(manifest) ==
        "e8bdd8e292fd8cc398f8cb6d0948be0fc37987e3ea1816d43c09d8322e13134e");
  CHECK(routes_checksum(manifest, true) ==
        "7ebd5ee09cf04da77918dab0208b99291e53acdd7a3d7ba9a32d20196390423c");

  manifest = good_manifest();
  manifest.routes_checksum = routes_checksum(manifest, true);
  CHECK(check_manifest(manifest).empty());
  manifest.routes_checksum = std::string(64, '0');
  REQUIRE(check_manifest(manifest).size() == 1);
  CHECK(check_manifest(manifest)[0].field == "routes_checksum");
  CHECK(check_manifest(manifest)[0].severity == Finding::Severity::warning);
}

TEST_CASE("versions against a 1.0 and a 1.1 reader") {
  struct Row {
    const char* version;
    bool by_1_0, by_1_1;
  };
  const Row rows[] = {{"1.0.0", true, true},    {"1.0.9", true, true},   {"1.1.0", false, true},
                      {"1.2.0", false, false},  {"2.0.0", false, false}, {"1.0", false, false},
                      {"v1.0.0", false, false}, {"", false, false},      {"1.0.0-rc", false, false},
                      {"-1.0.0", false, false}};
  for (const Row& row : rows) {
    CAPTURE(row.version);
    CHECK(compatible_version(row.version, 0) == row.by_1_0);
    CHECK(compatible_version(row.version, 1) == row.by_1_1);
  }
}

TEST_CASE("a manifest as Go writes it, with null arrays and empty auth, is taken") {
  const auto document = json::parse(
      R"({"version":"1.0.1","service_name":"u","service_version":"1","instance_id":"u-1",
          "schemas":null,"capabilities":null,"endpoints":{"health":"/health"},
          "routing":{"strategy":"instance"},"auth":{"schemes":null},
          "webhook":{"retry":{"max_attempts":0,"initial_delay":"","max_delay":"","multiplier":0}},
          "updated_at":1,"checksum":"","surprise":[1,2,3]})",
      kManifestBytesMax);
  REQUIRE(document);
  const ManifestReading reading = read_manifest(*document, 1);
  CHECK(reading.acceptable());
  CHECK(reading.manifest.schemas.empty());
  CHECK(reading.manifest.routing.strategy == "instance");
  CHECK(reading.manifest.routing.priority == 50);
}

TEST_CASE("members of a wrong type are named with what they are") {
  const auto document = json::parse(
      R"({"version":1,"service_name":"u","instance_id":"u-1","schemas":{},"capabilities":["a",2],
          "endpoints":"none"})",
      kManifestBytesMax);
  REQUIRE(document);
  std::string said;
  for (const Finding& finding : read_manifest(*document).findings)
    said += finding.field + ": " + finding.message + '\n';
  CHECK(said.find("version: expected a string, got an integer") != std::string::npos);
  CHECK(said.find("schemas: expected an array, got an object") != std::string::npos);
  CHECK(said.find("capabilities[1]: expected a string, got an integer") != std::string::npos);
  CHECK(said.find("endpoints: expected an object, got a string") != std::string::npos);
}

}  // namespace
}  // namespace outrider::farp
