// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/manifest_reader.h"

#include <doctest/doctest.h>

#include "tests/sim/http_server.h"
#include "tests/sim/world.h"

namespace outrider::farp {
namespace {

constexpr const char* kManifest =
    R"({"version":"1.0.0","service_name":"u","service_version":"1","instance_id":"u-1",
        "schemas":[],"capabilities":[],"endpoints":{"health":"/health"},
        "routing":{"strategy":"service"},"updated_at":1,"checksum":""})";

struct Fixture {
  sim::World world{9};
  sim::Link& lan = world.link("lan");
  sim::Host& us = world.host("us");
  sim::Host& them = world.host("them");
  std::vector<IpAddress> addresses{IpAddress::v4(10, 0, 0, 2)};
  std::unique_ptr<sim::HttpServer> server;
  std::unique_ptr<ManifestReader> reader;

  Fixture() {
    us.attach("eth0", lan, {"10.0.0.1/24"});
    them.attach("eth0", lan, {"10.0.0.2/24"});
    server = std::make_unique<sim::HttpServer>(them.env(), 8080);
    reader = std::make_unique<ManifestReader>(us.env());
  }
};

TEST_CASE_FIXTURE(Fixture, "read where it points back at its sender, loopback hosts rewritten") {
  server->set("/_farp/manifest", {.status = 200, .body = kManifest});
  reader->watch("u-1", "http://localhost:8080/_farp/manifest", addresses);
  CHECK(reader->find("u-1") == nullptr);
  world.advance(1s);
  REQUIRE(reader->find("u-1") != nullptr);
  CHECK(reader->find("u-1")->acceptable());
  reader->watch("u-1", "http://localhost:8080/_farp/manifest", addresses);  // nothing new
  world.advance(1min);
  CHECK(server->requests().size() == 1);
  world.advance(6min);
  CHECK(server->requests().size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "URLs that point elsewhere are not followed") {
  for (const char* url : {"http://10.0.0.1:8080/x", "https://10.0.0.2:8080/x",
                          "http://169.254.169.254/latest/meta-data", "http://them.local:8080/x",
                          "file:///etc/passwd", "http://10.0.0.2@10.0.0.1/x"}) {
    CAPTURE(url);
    reader->watch("u-1", url, addresses);
    world.advance(1s);
    CHECK(!reader->trouble("u-1").empty());
    CHECK(reader->find("u-1") == nullptr);
  }
  CHECK(server->requests().empty());
}

TEST_CASE_FIXTURE(Fixture, "a peer cannot point at this host's loopback or at a metadata service") {
  sim::HttpServer local{us.env(), 8080};
  for (const char* address : {"127.0.0.1", "::1", "169.254.169.254", "168.63.129.16", "0.0.0.0"}) {
    CAPTURE(address);
    const IpAddress literal = *IpAddress::parse(address);
    reader->watch("u-1", "http://" + Endpoint{literal, 8080}.to_string() + "/x", {literal});
    world.advance(1min);
    CHECK(!reader->trouble("u-1").empty());
  }
  CHECK(local.requests().empty());
}

TEST_CASE_FIXTURE(Fixture, "a manifest that is forgotten makes room for one that waits") {
  them.set_fault(8080, {.kind = sim::Fault::Kind::black_hole});
  for (std::size_t i = 0; i < kManifestFetchesMax; ++i)
    reader->watch("slow" + std::to_string(i), "http://10.0.0.2:8080/m", addresses);
  world.advance(100ms);
  server->set("/m", {.status = 200, .body = kManifest});
  them.set_fault(8080, {});
  reader->watch("waits", "http://10.0.0.2:8080/m", addresses);
  world.advance(100ms);
  CHECK(reader->find("waits") == nullptr);
  reader->forget("slow0");
  world.advance(100ms);
  CHECK(reader->find("waits") != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "a redirect, a 503 and rubbish leave no reading, and are tried again") {
  server->set("/m", {.status = 302, .body = "", .headers = {"Location: http://10.0.0.1/"}});
  reader->watch("u-1", "http://10.0.0.2:8080/m", addresses);
  world.advance(1s);
  CHECK(reader->trouble("u-1") == "HTTP 302");
  server->set("/m", {.status = 200, .body = "{"});
  world.advance(35s);
  CHECK(reader->trouble("u-1").find("not JSON") == 0);
  server->set("/m", {.status = 200, .body = kManifest});
  world.advance(35s);
  CHECK(reader->find("u-1") != nullptr);
  // The last good reading stays when the next one fails.
  server->set("/m", {.status = 503});
  world.advance(6min);
  CHECK(reader->trouble("u-1") == "HTTP 503");
  CHECK(reader->find("u-1") != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "few fetches at once, all in the end; a bound on how many are kept") {
  them.set_fault(8080, {.kind = sim::Fault::Kind::black_hole});
  for (std::size_t i = 0; i < kManifestsReadMax + 5; ++i)
    reader->watch("k" + std::to_string(i), "http://10.0.0.2:8080/m", addresses);
  world.advance(1s);
  CHECK(us.log().count("farp_manifest_failed") == 5);
  them.set_fault(8080, {});
  server->set("/m", {.status = 200, .body = kManifest});
  world.advance(2min);
  for (std::size_t i = 0; i < kManifestsReadMax; ++i)
    REQUIRE(reader->find("k" + std::to_string(i)) != nullptr);
  CHECK(server->connections() <= kManifestFetchesMax);
  for (std::size_t i = 0; i < kManifestsReadMax; ++i)
    reader->forget("k" + std::to_string(i));
  CHECK(reader->find("k0") == nullptr);
}

}  // namespace
}  // namespace outrider::farp
