// SPDX-License-Identifier: Apache-2.0
// What is left of leases in registries: `why` asks for it, and waits a moment.
#include <set>

#include <doctest/doctest.h>

#include "agent/doors/why.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

constexpr const char* kPlace = "http://10.0.0.5:2379";
constexpr const char* kWhy = "/v1/outrider/why/web";

struct LeaseFixture : ApiFixture {
  void see_leased(const std::string& id, std::int64_t lease) {
    registry::Sighting sighting{.place = {.key = "etcd " + id, .engine = "etcd", .host = kPlace},
                                .service = *registry::ServiceName::parse("web"),
                                .id = *registry::InstanceId::from_foreign(id),
                                .addresses = {{*IpAddress::parse("192.168.1.20"), 0}},
                                .health = registry::Health::passing};
    sighting.source = registry::Source::etcd;
    sighting.port = static_cast<std::uint16_t>(80 + lease);
    sighting.place.detail = registry::PlaceDetail{
        .key = "/services/web/" + id, .endpoint = kPlace, .lease = lease, .revision = 9};
    agent.see(std::move(sighting));
  }
  std::string place() { return at(get(kWhy), "instances/0/instance/seen_at/0"); }
};

}  // namespace

TEST_CASE("why shows what is left of a lease, and waits for that") {
  LeaseFixture f;
  f.see_leased("w1", 0x77);
  f.agent.leases_take = 20ms;
  f.agent.lease_times[{kPlace, 0x77}] = {.left = 14s + 900ms, .granted = 15s};
  Client client(f.world);
  client.send(ApiFixture::request("GET", kWhy));
  f.world.advance(15ms);
  CHECK(client.take().empty());
  CHECK(f.api->asking() == 1);
  CHECK(f.agent.leases_asked == std::vector<LeaseName>{{kPlace, 0x77}});
  f.world.advance(10ms);
  const std::string answer = client.take();
  CHECK(status_of(answer) == "200");
  CHECK(answer.find(R"("lease":"77","lease_left":"14s","lease_granted":"15s","revision":9)") !=
        std::string::npos);
  CHECK(f.api->asking() == 0);
  CHECK(f.agent.lease_questions == 0);
}

TEST_CASE("why and lists show where a registration is written, and why it is not") {
  LeaseFixture f;
  f.see_leased("w1", 0x77);
  f.put(R"({"name": "web", "id": "o1", "port": 80})");
  f.agent.written = {{.engine = "etcd",
                      .key = "/services/web/o1",
                      .endpoint = kPlace,
                      .lease = 0x78,
                      .revision = 12,
                      .lease_time = LeaseTime{.left = 14s + 900ms, .granted = 15s},
                      .state = "written",
                      .reason = {}},
                     {.engine = "etcd",
                      .key = "web.rpc/o1",
                      .endpoint = kPlace,
                      .lease_time = {},
                      .state = "conflict",
                      .reason = "the agent x"},
                     {.engine = "consul",
                      .key = "o1",
                      .endpoint = "http://127.0.0.1:8500",
                      .lease_time = LeaseTime{.left = 2s, .granted = 15s},
                      .state = "refused",
                      .reason = "Permission denied"}};
  const std::string expected =
      R"("written_to":[{"engine":"etcd","key":"/services/web/o1",)"
      R"("endpoint":"http://10.0.0.5:2379","state":"written","lease":"78","lease_left":"14s",)"
      R"("lease_granted":"15s","revision":12},)"
      R"({"engine":"etcd","key":"web.rpc/o1","endpoint":"http://10.0.0.5:2379",)"
      R"("state":"conflict","holder":"the agent x","lease":"","revision":0},)"
      R"({"engine":"consul","key":"o1","endpoint":"http://127.0.0.1:8500","state":"refused",)"
      R"("reason":"Permission denied","lease":"","lease_left":"2s","lease_granted":"15s",)"
      R"("revision":0}])";
  for (const char* path : {kWhy, "/v1/outrider/instances/web", "/v1/outrider/instances"}) {
    const std::string text = body_of(f.ask("GET", path));
    const std::size_t at = text.find(expected);
    CHECK_MESSAGE(at != std::string::npos, text);
    // Not of what others have registered.
    CHECK(text.find(R"("written_to")") == at);
    CHECK(text.rfind(R"("written_to")") == at);
  }
}

TEST_CASE("why of leases that have ended, or of which nothing is known") {
  LeaseFixture f;
  f.see_leased("w1", 0x77);
  f.agent.leases_take = 1ms;
  CHECK(f.place().find("lease_") == std::string::npos);
  f.agent.lease_times[{kPlace, 0x77}] = {};
  CHECK(f.place().find(R"("lease":"77","lease_ended":true)") != std::string::npos);
  f.agent.lease_times.clear();
  f.agent.lease_times[{"http://another", 0x77}] = {.left = 1s, .granted = 15s};
  CHECK(f.place().find("lease_") == std::string::npos);
}

TEST_CASE("why answers at once where no registry says how long leases last") {
  LeaseFixture f;
  f.see_leased("w1", 0x77);
  CHECK(f.place().find(R"("lease":"77","revision":9)") != std::string::npos);
  CHECK(f.agent.leases_asked.size() == 1);
  f.agent.leases_asked.clear();
  f.agent.leases_take = 1h;
  f.agent.see("other", "o1", "192.168.1.21", 80);
  CHECK(f.status("GET", "/v1/outrider/why/other") == "200");
  CHECK(f.status("GET", "/v1/outrider/instances/web") == "200");
  CHECK(f.agent.leases_asked.empty());
}

TEST_CASE("why of very many instances asks for the first leases only, each once") {
  LeaseFixture f;
  for (int i = 1; i <= 200; ++i)
    f.see_leased("w" + std::to_string(i), 1 + i / 2);
  f.agent.leases_take = 1ms;
  CHECK(size_of(f.get(kWhy), "instances") == 200);
  CHECK(f.agent.leases_asked.size() == kLeasesAskedMax);
  CHECK(std::set<LeaseName>(f.agent.leases_asked.begin(), f.agent.leases_asked.end()).size() ==
        kLeasesAskedMax);
}

TEST_CASE("a client that leaves while registries are asked leaves nothing behind") {
  LeaseFixture f;
  f.see_leased("w1", 0x77);
  f.agent.leases_take = 200ms;
  Client client(f.world);
  client.send(ApiFixture::request("GET", kWhy));
  f.world.advance(10ms);
  CHECK(f.agent.lease_questions == 1);
  client.close();
  f.world.advance(10ms);
  CHECK(f.agent.lease_questions == 0);
  CHECK(f.api->asking() == 0);
  f.world.advance(1s);
  CHECK(f.status("GET", "/healthz") == "200");
}

TEST_CASE("an API that ends while registries are asked takes its questions back") {
  LeaseFixture f;
  f.see_leased("w1", 0x77);
  f.agent.leases_take = 200ms;
  Client client(f.world);
  client.send(ApiFixture::request("GET", kWhy));
  f.world.advance(10ms);
  f.server.reset();
  f.api.reset();
  CHECK(f.agent.lease_questions == 0);
  f.world.advance(1s);
}
