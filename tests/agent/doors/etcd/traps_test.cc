// SPDX-License-Identifier: Apache-2.0
// What went wrong with real clients when a stand-in for etcd was first tried: each a case.
#include <algorithm>

#include "tests/agent/doors/etcd/bed.h"

namespace outrider::doors::etcd::test {
namespace {

TEST_CASE("the id of a lease is not given again after a restart") {
  Bed bed;
  std::set<std::int64_t> ids;
  for (int life = 0; life < 3; ++life) {
    for (int i = 0; i < 50; ++i)
      CHECK(ids.insert(bed.grant(10)).second);
    bed.restart(20s);
    bed.world.advance(30s);  // all have ended
  }
  // A client that still has one of them hears that it is lost.
  CHECK(bed.keep_alive(*ids.begin()) == 0);
}

TEST_CASE("revisions never go back, also without a file and when the clock was set back") {
  Bed bed;
  REQUIRE(bed.put("ping", "1").empty());
  const std::int64_t before = bed.get("ping")->mod_revision;
  bed.world.host("here").step_wall(-3'600s);
  bed.restart();
  CHECK(bed.door->store().revision() >= before);
  REQUIRE(bed.put("ping", "2").empty());
  CHECK(bed.get("ping")->mod_revision > before);
  CHECK(bed.get("ping")->create_revision == before);

  bed.keeps = false;
  bed.world.host("here").step_wall(3'600s);
  const std::int64_t kept = bed.door->store().revision();
  bed.restart();
  CHECK(bed.door->store().revision() > kept);
}

TEST_CASE("a watch that is resumed after a restart goes on, with what was missed") {
  Bed bed;
  bed.agent.see("hello", "h1", "10.0.0.7", 80);
  bed.agent.see("hello", "h2", "10.0.0.8", 80);
  REQUIRE(bed.keys("/microservices/hello/") == "/microservices/hello/h1 /microservices/hello/h2");
  const std::int64_t lease = bed.grant(60);
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  const std::int64_t seen = bed.door->store().revision();

  bed.restart(2s);
  WatchClient client(*bed.door);
  client.watch("/microservices/", seen + 1);
  bed.world.advance(10ms);
  CHECK(client.take() == "created 0");  // not canceled: one client would spin, and nothing changed
  CHECK(bed.keys("/microservices/") ==
        "/microservices/hello/h1 /microservices/hello/h2 "
        "/microservices/web/1");
  bed.agent.see("hello", "h1", "10.0.0.7", 80);  // is known again
  bed.world.advance(kReturnGrace);
  CHECK(client.take() == "0 DEL /microservices/hello/h2");
  CHECK(bed.keep_alive(lease) == 60);
}

TEST_CASE("a watch from before what is remembered is canceled as compacted, and the stream stays") {
  Bed bed;
  bed.keeps = false;
  bed.restart();
  REQUIRE(bed.put("ping", "1").empty());
  WatchClient client(*bed.door);
  client.watch("ping", bed.door->store().compact_revision() - 1);
  bed.world.advance(10ms);
  CHECK(client.take() == "created 0 | canceled 0 compacted");
  CHECK(client.responses.back().compact_revision == bed.door->store().compact_revision());
  CHECK(client.responses.back().header.revision == 0);
  client.watch("ping", client.responses.back().compact_revision);
  bed.world.advance(10ms);
  CHECK(client.take() == "created 1 | 1 PUT ping");
}

TEST_CASE("leases begin again in full after a restart, and what does not come back ends then") {
  Bed bed;
  const std::int64_t lease = bed.grant(10), dead = bed.grant(10);
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  REQUIRE(bed.put(kratos_key("2"), kratos_value("2"), dead).empty());
  bed.world.advance(9s);
  bed.restart(8s);
  CHECK(bed.own() == "web/1 passing | web/2 passing");
  bed.world.advance(9s);
  CHECK(bed.keep_alive(lease) == 10);
  bed.world.advance(2s);
  CHECK(bed.own() == "web/1 passing");
  CHECK(bed.keys("/microservices/") == "/microservices/web/1");
}

TEST_CASE("members are at the address that the client has connected to") {
  Bed bed;
  std::vector<std::string> urls;
  bed.door->member_list({}, {"http://localhost:12379"}, [&](auto result) {
    REQUIRE(result.has_value());
    REQUIRE(result->members.size() == 1);
    urls = result->members[0].client_urls;
    CHECK(result->members[0].id == result->header.member_id);
  });
  CHECK(urls == std::vector<std::string>{"http://localhost:12379"});
}

TEST_CASE("the version is one that clients of go-zero accept, and there is a leader") {
  Bed bed;
  const auto status = bed.call(&Door::status, StatusRequest{});
  CHECK(status->version.starts_with("3.5."));
  CHECK(status->leader == status->header.member_id);
  CHECK(status->leader != 0);
}

TEST_CASE("a TTL below 2 is raised, and all leases end by one timer") {
  Bed bed;
  const auto granted = bed.call(&Door::lease_grant, LeaseGrantRequest{.ttl = 1});
  CHECK(granted->ttl == 2);
  const std::size_t timers = bed.world.env().timers.size();
  for (int i = 0; i < 100; ++i)
    bed.grant(2 + i);
  CHECK(bed.world.env().timers.size() <= timers + 1);
  bed.world.advance(2s);
  CHECK(bed.keep_alive(granted->id) == 0);
  bed.world.advance(49s);
  CHECK(bed.door->leases().all().size() == 50);
  CHECK(bed.grant(kTtlMax) != 0);
  CHECK(Bed::wrong(bed.call(&Door::lease_grant, LeaseGrantRequest{.ttl = kTtlMax + 1})) ==
        "11 etcdserver: too large lease TTL");
}

TEST_CASE("a put below a known prefix is a registration with a check of the lease's time") {
  Bed bed;
  const std::int64_t lease = bed.grant(15);
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  const auto instance = bed.agent.registry().find_exact("1");
  REQUIRE(instance);
  CHECK(instance->service.text() == "web");
  CHECK(instance->port == 80);
  CHECK(instance->addresses.at(0).address.to_string() == "10.0.0.9");
  CHECK(instance->metadata.at("k") == "v");
  CHECK(instance->door->door == "etcd");
  CHECK(instance->door->key == kratos_key("1"));
  CHECK(instance->door->lease == lease);
  REQUIRE(instance->checks.size() == 1);
  CHECK(instance->checks[0].spec.id == kLeaseCheck);
  CHECK(std::get<TtlCheck>(instance->checks[0].spec.kind).ttl == 15s + kLeaseCheckSlack);
  CHECK(instance->served());
}

TEST_CASE("elsewhere there is a small scratch space, and a refusal that says what is possible") {
  Bed bed;
  for (std::size_t i = 0; i < kScratchKeysMax; ++i)
    REQUIRE(bed.put("ping" + std::to_string(i), "x").empty());
  const std::string refusal = bed.put("one-more", "x");
  CHECK(refusal.starts_with("7 etcdserver: permission denied"));
  CHECK(refusal.find("/microservices/, /service/, /services/, NAME.rpc/") != refusal.npos);
  REQUIRE(bed.put("ping0", "changed").empty());
  REQUIRE(bed.remove("ping0").empty());
  const std::string large(kScratchBytesMax - 2'000, 'x');
  REQUIRE(bed.put("one-more", large).empty());
  CHECK(bed.put("one-more", large + std::string(2'000, 'y')).starts_with("7 "));
  // A restart counts them again.
  bed.restart();
  CHECK(bed.put("another", "x").starts_with("7 "));
}

TEST_CASE("clients of each framework see what is on the network, as they would write it") {
  Bed bed;
  bed.agent.see("hello", "h1", "10.0.0.7", 80);
  CHECK(bed.keys("/microservices/hello") == "/microservices/hello/h1");
  CHECK(bed.keys("/services/") == "/services/hello/h1");
  CHECK(bed.keys("/service/default/default/hello/") ==
        "/service/default/default/hello/latest/10.0.0.7:80");
  // Nothing of go-zero before a client asks for this service.
  const auto all = bed.call(
      &Door::range, RangeRequest{.key = std::string(1, '\0'), .range_end = std::string(1, '\0')});
  REQUIRE(all.has_value());
  CHECK(std::ranges::none_of(
      all->kvs, [](const KeyValuePtr& kv) { return kv->key.find(".rpc/") != std::string::npos; }));
  const auto gozero = bed.range("hello.rpc/");
  REQUIRE(gozero.kvs.size() == 1);
  CHECK(gozero.kvs[0]->value == "10.0.0.7:80");
  CHECK(bed.get("/microservices/hello/h1")->value.find("http://10.0.0.7:80") != std::string::npos);
  bed.agent.lose("hello", "h1");
  CHECK(bed.keys("/microservices/hello").empty());
  CHECK(bed.keys("hello.rpc/").empty());
}

TEST_CASE("names of go-zero that are no services take no place from those that are") {
  Bed bed;
  for (std::size_t i = 0; i < kGozeroRootsMax + 1; ++i)
    CHECK(bed.keys("typo" + std::to_string(i) + ".rpc/").empty());
  const auto name = [](std::size_t i) { return "s" + std::to_string(i); };
  const std::size_t last = kGozeroRootsMax;
  for (std::size_t i = 0; i <= last; ++i)
    bed.agent.see(name(i), "i", "10.0.0.7", 80);
  for (std::size_t i = 0; i < last; ++i)
    CHECK(bed.range(name(i) + ".rpc/").kvs.size() == 1);
  // Refused rather than empty.
  const RangeRequest beyond{.key = name(last) + ".rpc/", .range_end = name(last) + ".rpc0"};
  CHECK(Bed::wrong(bed.call(&Door::range, beyond)).starts_with("8 etcdserver: too many services"));
  CHECK(bed.put("one-more.rpc/1", "10.0.0.1:80").starts_with("8 etcdserver: too many kinds"));
  bed.agent.lose(name(0), "i");
  CHECK(bed.range(name(last) + ".rpc/").kvs.size() == 1);
  CHECK(bed.range(name(1) + ".rpc/").kvs.size() == 1);
}

TEST_CASE("a watched name of go-zero keeps its place until the service comes") {
  Bed bed;
  WatchClient watcher(*bed.door);
  watcher.watch("later.rpc/");
  CHECK(watcher.take() == "created 0");
  for (std::size_t i = 0; i < kGozeroRootsMax; ++i) {
    const std::string name = "s" + std::to_string(i);
    bed.agent.see(name, "i", "10.0.0.7", 80);
    static_cast<void>(
        bed.call(&Door::range, RangeRequest{.key = name + ".rpc/", .range_end = name + ".rpc0"}));
  }
  bed.agent.see("later", "l1", "10.0.0.8", 80);
  bed.world.advance(10ms);
  CHECK(watcher.take().starts_with("0 PUT later.rpc/"));
}

TEST_CASE("what listens on the loopback alone is seen in every layout, as in DNS") {
  Bed bed;
  REQUIRE(bed.put("/microservices/lo/l1",
                  R"({"id":"l1","name":"lo","endpoints":["http://127.0.0.1:8080"]})")
              .empty());
  CHECK(bed.keys("/service/default/default/lo/").ends_with("127.0.0.1:8080"));
  const auto gozero = bed.range("lo.rpc/");
  REQUIRE(gozero.kvs.size() == 1);
  CHECK(gozero.kvs[0]->value == "127.0.0.1:8080");
}

TEST_CASE("a comparison with no key at all is one with zeros, and fails for values") {
  Bed bed;
  const auto holds = [&](Compare compare) {
    TxnRequest txn;
    txn.compare.push_back(std::move(compare));
    const auto response = bed.call(&Door::txn, txn);
    REQUIRE(response.has_value());
    return response->succeeded;
  };
  for (const std::string end : {"", "nof"}) {
    CAPTURE(end);
    CHECK(holds({.result = Compare::Result::equal, .key = "none", .range_end = end, .value = {}}));
    for (const auto result :
         {Compare::Result::greater, Compare::Result::less, Compare::Result::not_equal})
      CHECK_FALSE(holds({.result = result, .key = "none", .range_end = end, .value = {}}));
    for (const auto result : {Compare::Result::equal, Compare::Result::not_equal})
      CHECK_FALSE(holds({.result = result,
                         .target = Compare::Target::value,
                         .key = "none",
                         .range_end = end,
                         .value = "x"}));
  }
}

}  // namespace
}  // namespace outrider::doors::etcd::test
