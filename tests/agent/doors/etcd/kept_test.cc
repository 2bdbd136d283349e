// SPDX-License-Identifier: Apache-2.0
// What the etcd door keeps over a restart, and what happens when it cannot.
#include "tests/agent/doors/etcd/bed.h"

namespace outrider::doors::etcd::test {
namespace {

std::string state_of(Bed& bed) {
  std::string text;
  for (const auto& [key, kv] : bed.door->store().keys())
    text += key + '=' + kv->value + '@' + std::to_string(kv->mod_revision) + '/' +
            std::to_string(kv->create_revision) + '/' + std::to_string(kv->lease) + ' ';
  for (const auto& [id, lease] : bed.door->leases().all())
    text += std::to_string(id) + ':' + std::to_string(lease.ttl) + ' ';
  return text + bed.own();
}

TEST_CASE("keys, leases and revisions are the same after kill -9") {
  Bed bed;
  const std::int64_t lease = bed.grant(30);
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  REQUIRE(bed.put("order.rpc/1", "10.0.0.1:80", lease).empty());
  REQUIRE(bed.put("lock", std::string("\0\xff", 2)).empty());
  REQUIRE(bed.put("gone", "x").empty());
  REQUIRE(bed.remove("gone").empty());
  REQUIRE(bed.call(&Door::lease_revoke, LeaseRevokeRequest{bed.grant(5)}).has_value());
  const std::string before = state_of(bed);
  for (int life = 0; life < 3; ++life) {
    bed.restart();
    CHECK(state_of(bed) == before);
  }
  CHECK(bed.disk.asides.empty());
}

TEST_CASE("what was answered is there, whenever the agent is killed while it writes") {
  for (const unsigned torn : {0U, 30U, 70U, 100U}) {
    for (int step = 0; step < 6; ++step) {
      Bed bed;
      bed.disk.delay = 10ms;
      bed.disk.torn_percent = torn;
      const std::int64_t lease = bed.grant(30);
      std::string answered;
      WatchClient client(*bed.door);
      client.watch("k");
      for (int i = 0; i < 4; ++i)
        bed.door->put({.key = "k" + std::to_string(i), .value = "v", .lease = lease},
                      [&answered, i](auto result) {
                        REQUIRE(result.has_value());
                        answered += "k" + std::to_string(i) + ' ';
                      });
      bed.world.advance(step * 4ms);
      // No client hears of what a crash could undo.
      std::string shown;
      for (const WatchResponse& response : client.responses)
        for (const Event& event : response.events)
          shown += event.kv->key + ' ';
      CHECK(answered.starts_with(shown));
      const std::int64_t revision = bed.door->watches().shown();
      bed.restart();
      std::string kept;
      for (const auto& [key, kv] : bed.door->store().keys())
        kept += key + ' ';
      CAPTURE(torn);
      CAPTURE(step);
      CHECK(kept.starts_with(answered));
      CHECK(bed.door->store().revision() >= revision);
      CHECK(bed.disk.asides.empty());
    }
  }
}

TEST_CASE("while the disk is full, changes are refused and are not made") {
  Bed bed;
  const std::int64_t lease = bed.grant(30);
  const std::int64_t other = bed.grant(40);
  REQUIRE(bed.put("a", "1", other).empty());
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), lease).empty());
  bed.disk.full = "no space left on device";
  // The change that finds it out is made: it is not called refused.
  CHECK(bed.put("found", "1").starts_with("2 etcdserver: the change was made, but"));
  CHECK(bed.get("found") != nullptr);
  const std::string before = state_of(bed);
  const auto refused = [](const std::string& wrong) {
    CAPTURE(wrong);
    CHECK(wrong.starts_with("8 etcdserver: mvcc: database space exceeded: nothing was changed"));
    CHECK(wrong.find("no space left on device") != wrong.npos);
  };
  refused(bed.put("b", "1"));
  refused(bed.put("a", "2"));
  refused(bed.put(kratos_key("2"), kratos_value("2"), lease));
  refused(bed.remove("a"));
  refused(Bed::wrong(bed.call(&Door::lease_grant, LeaseGrantRequest{.ttl = 10, .id = 0})));
  const auto txn = [&](RequestOp op) {
    TxnRequest request;
    request.success.push_back(std::move(op));
    return Bed::wrong(bed.call(&Door::txn, std::move(request)));
  };
  refused(txn(PutRequest{.key = "b", .value = "1"}));
  refused(txn(DeleteRangeRequest{.key = "a", .range_end = "b"}));
  CHECK(state_of(bed) == before);
  // Everything else goes on, so that programs can leave.
  CHECK(txn(RangeRequest{.key = "a", .range_end = {}}).empty());
  CHECK(bed.remove("nothing").empty());
  CHECK(bed.keep_alive(lease) == 30);
  CHECK(Bed::wrong(bed.call(&Door::lease_revoke, LeaseRevokeRequest{lease})).empty());
  CHECK(bed.own().empty());
  CHECK(bed.get("a")->version == 1);
  bed.disk.full.clear();
  bed.world.advance(kStateRetry + 10ms);
  CHECK(bed.put("b", "1").empty());
  CHECK(bed.get("b")->version == 1);
  bed.restart();
  CHECK(bed.keys("a") == "a");
  CHECK(bed.get("b") != nullptr);
  CHECK(bed.get("found") != nullptr);
  CHECK(bed.own().empty());
}

TEST_CASE("a lease whose grant is refused since the disk is full does not exist") {
  Bed bed;
  bed.disk.full = "no space left on device";
  const auto granted = bed.call(&Door::lease_grant, LeaseGrantRequest{.ttl = 10, .id = 7});
  CHECK(Bed::wrong(granted).starts_with("8 etcdserver: mvcc: database space exceeded"));
  CHECK(bed.door->leases().all().empty());
  bed.disk.full.clear();
  bed.world.advance(kStateRetry + 10ms);
  CHECK(bed.grant(10, 7) == 7);
  bed.restart();
  CHECK(bed.door->leases().all().size() == 1);
}

TEST_CASE("a lease that got keys before its grant could not be written stays") {
  Bed bed;
  bed.disk.full = "no space left on device";
  std::string grant, put;
  bed.door->lease_grant({.ttl = 10, .id = 7}, [&](auto result) { grant = Bed::wrong(result); });
  bed.door->put({.key = "a", .value = "1", .lease = 7},
                [&](auto result) { put = Bed::wrong(result); });
  bed.world.advance(10ms);
  CHECK(grant.starts_with("2 etcdserver: the change was made, but"));
  CHECK(put.starts_with("2 etcdserver: the change was made, but"));
  CHECK(bed.keep_alive(7) == 10);
  CHECK(bed.get("a") != nullptr);
}

TEST_CASE("a file of a newer version, or of something else, is kept aside and not used") {
  for (const char* text :
       {"{\"outrider\":\"etcd\",\"version\":2}\n{\"begin\":9}\n",
        "{\"outrider\":\"registrations\",\"version\":1}\n", "garbage\n", "garbage", "\n\n"}) {
    Bed bed;
    bed.kill();
    bed.disk.text = text;
    bed.start();
    CAPTURE(text);
    CHECK(bed.disk.asides == std::vector<std::string>{text});
    CHECK(bed.world.host("here").log().count("state_unreadable") == 1);
    REQUIRE(bed.put("a", "1").empty());
    bed.restart();
    CHECK(bed.get("a") != nullptr);
    CHECK(bed.disk.asides.size() == 1);
  }
}

TEST_CASE("of a damaged file what can be read is used") {
  Bed bed;
  REQUIRE(bed.put("a", "1").empty());
  REQUIRE(bed.put("b", "1").empty());
  REQUIRE(bed.put("c", "1").empty());
  bed.kill();
  const std::size_t at = bed.disk.text.find("Yg==");  // "b"
  REQUIRE(at != std::string::npos);
  bed.disk.text.replace(at, 4, "!!!!");
  bed.start();
  CHECK(bed.get("a") != nullptr);
  CHECK(bed.get("b") == nullptr);
  CHECK(bed.get("c") != nullptr);
  CHECK(bed.disk.asides.size() == 1);
}

TEST_CASE("an end that was cut off is no damage, wherever the cut is") {
  Bed bed;
  REQUIRE(bed.put("a", "1").empty());
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), bed.grant(30)).empty());
  const std::string whole = bed.disk.text;
  for (std::size_t cut = 0; cut < whole.size(); cut += 7) {
    bed.kill();
    bed.disk.text = whole.substr(0, cut);
    bed.agent.restart();
    bed.start();
    CHECK(bed.disk.asides.empty());
    REQUIRE(bed.put("b", "1").empty());
  }
}

TEST_CASE("the file is replaced when most of it is outdated") {
  Bed bed;
  const std::string value(1'000, 'x');
  for (std::size_t i = 0; i < 3 * kJournalBytesMin / 1'000; ++i)
    REQUIRE(bed.put("a", value + std::to_string(i)).empty());
  const std::int64_t revision = bed.get("a")->mod_revision;
  bed.restart();
  CHECK(bed.get("a")->mod_revision == revision);
  // The history goes on, too: a client may be far behind.
  CHECK(bed.door->store().history().size() > 100);
}

TEST_CASE("without a file nothing is kept, and everything works") {
  Bed bed;
  bed.keeps = false;
  bed.restart();
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), bed.grant(10)).empty());
  bed.restart();
  CHECK(bed.own().empty());
}

TEST_CASE("a file that another agent has is taken over when it is free") {
  Bed bed;
  bed.kill();
  bed.disk.held = true;
  bed.start();
  CHECK(bed.world.host("here").log().count("state_failed") == 1);
  REQUIRE(bed.put("a", "1").empty());
  bed.disk.held = false;
  bed.world.advance(kStateRetry + 10ms);
  bed.restart();
  CHECK(bed.get("a") != nullptr);
}

TEST_CASE("a file that was read-only at the start is written after a change, once it can be") {
  Bed bed;
  REQUIRE(bed.put("a", "1").empty());
  bed.kill();
  bed.disk.unwritable = "read-only";
  bed.start();
  CHECK(bed.get("a") != nullptr);
  const auto logged = [&](const char* event) { return bed.world.host("here").log().count(event); };
  CHECK(logged("state_failed") == 1);
  CHECK(bed.status().find(R"("failure":"read-only")") != std::string::npos);
  REQUIRE(bed.put("b", "1").empty());
  bed.world.advance(3 * kStateRetry);
  CHECK(logged("state_recovered") == 0);
  bed.disk.unwritable.clear();
  bed.world.advance(kStateRetry + 10ms);
  CHECK(logged("state_recovered") == 1);
  CHECK(bed.status().starts_with(R"({"on":true,)"));
  REQUIRE(bed.put("c", "1").empty());
  bed.restart();
  for (const char* key : {"a", "b", "c"})
    CHECK(bed.get(key) != nullptr);
  CHECK(logged("state_failed") == 1);
}

TEST_CASE("an own key of a prefix that is no longer configured stays as any other key") {
  Bed bed;
  REQUIRE(bed.put(kratos_key("1"), kratos_value("1"), bed.grant(30)).empty());
  bed.options.layouts.kratos.reset();
  bed.restart();
  CHECK(bed.own().empty());
  CHECK(bed.get(kratos_key("1")) != nullptr);
  bed.world.advance(31s);
  CHECK(bed.get(kratos_key("1")) == nullptr);
}

}  // namespace
}  // namespace outrider::doors::etcd::test
