// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/store.h"

#include <doctest/doctest.h>

#include "agent/doors/etcd/key_space.h"
#include "agent/doors/etcd/leases.h"
#include "agent/doors/etcd/record.h"

namespace outrider::doors::etcd {
namespace {

const std::string kNul(1, '\0');

std::string names(const std::vector<KeyValuePtr>& kvs) {
  std::string text;
  for (const KeyValuePtr& kv : kvs)
    text += kv->key + '=' + kv->value + ' ';
  return text;
}

TEST_CASE("a range is one key, an interval, or everything from a key on") {
  CHECK(KeyRange{"a", ""}.contains("a"));
  CHECK_FALSE(KeyRange{"a", ""}.contains("aa"));
  CHECK(KeyRange{"a", "b"}.contains("aa"));
  CHECK_FALSE(KeyRange{"a", "b"}.contains("b"));
  CHECK(KeyRange{"a", kNul}.contains("zzz"));
  CHECK(KeyRange{kNul, kNul}.contains("a"));
  CHECK(KeyRange{"/m/web/", "/m/web0"}.meets_prefix("/m/"));
  CHECK(KeyRange{kNul, kNul}.meets_prefix("/m/"));
  CHECK_FALSE(KeyRange{"/services", "/servicet"}.meets_prefix("/service/"));
  CHECK(KeyRange{"/service", "/servicf"}.meets_prefix("/services/"));
}

TEST_CASE("what changes together has one revision, and versions begin again after a deletion") {
  Store store(100);
  store.put("a", "1", 0);
  store.put("b", "1", 7);
  REQUIRE(store.commit() != nullptr);
  CHECK(store.revision() == 101);
  CHECK(store.find("b")->lease == 7);
  store.put("a", "2", 0);
  store.commit();
  CHECK(store.find("a")->version == 2);
  CHECK(store.find("a")->create_revision == 101);
  CHECK(store.find("a")->mod_revision == 102);
  CHECK(store.remove("a"));
  CHECK_FALSE(store.remove("a"));
  store.commit();
  store.put("a", "3", 0);
  store.commit();
  CHECK(store.find("a")->version == 1);
  CHECK(store.find("a")->create_revision == 104);
  CHECK(store.commit() == nullptr);
  CHECK(store.revision() == 104);
}

TEST_CASE("the past can be read as it was") {
  Store store(100);
  store.put("a", "1", 0);
  store.put("b", "1", 0);
  store.commit();
  store.put("a", "2", 0);
  store.remove("b");
  store.put("c", "1", 0);
  store.commit();
  store.remove("a");
  store.commit();
  const KeyRange all{kNul, kNul};
  CHECK(names(store.at(all, 100)).empty());
  CHECK(names(store.at(all, 101)) == "a=1 b=1 ");
  CHECK(names(store.at(all, 102)) == "a=2 c=1 ");
  CHECK(names(store.at(all, 103)) == "c=1 ");
  CHECK(names(store.at({"a", "b"}, 102)) == "a=2 ");
  CHECK(names(store.in({"c", "a"})).empty());
}

TEST_CASE("the history is bounded by events and by octets, and the newest revision always stays") {
  Store store(1);
  for (std::size_t i = 0; i <= kHistoryEventsMax; ++i) {
    store.put("a", "x", 0);
    store.commit();
  }
  CHECK(store.compact_revision() == 3);
  Store large(1);
  for (int i = 0; i < 3; ++i) {
    large.put("a", std::string(kHistoryBytesMax / 2, 'x'), 0);
    large.commit();
  }
  CHECK(large.history().size() == 1);
  CHECK(large.compact_revision() == large.revision());
}

TEST_CASE("a store is the same after it was written as records and read again") {
  Store store(100);
  store.put("a", "1", 5);
  store.commit();
  store.put("b", std::string("\0\xff", 2), 0);
  store.remove("a");
  const Store::Revision* revision = store.commit();
  const Record record{.begin = {},
                      .base = {},
                      .revision = revision->number,
                      .events = revision->events,
                      .own = {{"k", "v", 9, false}, {"l", "", 0, true}},
                      .leases = {{5, 0, true}, {6, 10, false}}};
  const auto read = read_record(write_record(record));
  REQUIRE(read.has_value());
  CHECK(read->own == record.own);
  CHECK(read->leases == record.leases);
  Store again(100);
  again.put("a", "1", 5);
  again.commit();
  again.replay({read->revision, read->events});
  CHECK(again.revision() == store.revision());
  CHECK(names(again.in({kNul, kNul})) == names(store.in({kNul, kNul})));
  CHECK(names(again.at({kNul, kNul}, 101)) == "a=1 ");
  for (const char* line : {"", "{}", "[]", R"({"begin":0})", R"({"key":"YQ=="})",
                           R"({"revision":0,"events":[{"key":"YQ==","gone":true}]})",
                           R"({"own":[{"key":"","value":""}]})", R"({"leases":[{"id":"0"}]})"})
    CHECK_FALSE(read_record(line).has_value());
}

TEST_CASE("ids of leases have 63 bits and are never 0 or taken; short TTLs are raised to 2") {
  SeededRandom random(3);
  Leases leases;
  for (int i = 0; i < 1'000; ++i) {
    const std::int64_t id = leases.pick_id(random);
    CHECK(id > 0);
    leases.grant(id, 10, TimePoint());
  }
  CHECK(leases.grant(1, 1, TimePoint()).ttl == 2);
  CHECK(leases.grant(2, -5, TimePoint()).ttl == 2);
  CHECK(leases.grant(3, kTtlMax, TimePoint()).ttl == kTtlMax);
  CHECK(leases.next_end() == TimePoint() + 2s);
  CHECK(leases.ended(TimePoint() + 2s).size() == 2);
}

TEST_CASE("a key belongs to one lease, the last one that it was put under") {
  Leases leases;
  leases.grant(1, 10, TimePoint());
  leases.grant(2, 10, TimePoint());
  leases.attach("a", 1);
  leases.attach("a", 2);
  CHECK(leases.find(1)->keys.empty());
  leases.end(1);
  CHECK(leases.lease_of("a") == 2);
  leases.end(2);
  CHECK(leases.lease_of("a") == 0);
}

TEST_CASE("a key belongs to the framework whose prefix and form it has") {
  namespace layouts = registries::etcd;
  KeySpace space({layouts::KratosLayout{}, layouts::GoframeLayout{}, layouts::GozeroLayout{},
                  layouts::ForgeLayout{}});
  CHECK(space.root_of("/microservices/web/1") == "/microservices/");
  CHECK(space.root_of("/service/default/default/web/latest/10.0.0.1:80") == "/service/");
  CHECK(space.root_of("/services/web/1") == "/services/");
  CHECK(space.root_of("order.rpc/7587") == "order.rpc/");
  CHECK(space.root_of("prod/order.rpc/7587") == "prod/order.rpc/");
  for (const char* key : {"ping", "/lock/a", "order/1", ".rpc/1", "/order.rpc/1", "a/b/c.rpc/1"})
    CHECK_FALSE(space.root_of(key).has_value());
  CHECK(space.roots_in({"order.rpc/", "order.rpc0"}) == std::vector<std::string>{"order.rpc/"});
  CHECK(space.roots_in({kNul, kNul}).size() == 3);
  CHECK(space.single_of("prod/order.rpc/").read == "prod/order");
  CHECK(space.single_of("prod/order.rpc/").written == "order");
  CHECK(space.describe() == "/microservices/, /service/, /services/, NAME.rpc/");
  for (std::size_t i = 0; i < kGozeroRootsMax; ++i)
    CHECK(space.layout_of("s" + std::to_string(i) + ".rpc/") != nullptr);
  CHECK(space.layout_of("one-more.rpc/") == nullptr);
}

}  // namespace
}  // namespace outrider::doors::etcd
