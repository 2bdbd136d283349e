// SPDX-License-Identifier: Apache-2.0
// Many keys in a transaction.
#include "registries/etcd/publisher.h"
#include "tests/registries/etcd/bed.h"

namespace outrider::registries::etcd {
namespace {

using test::Bed;
using test::kratos_key;
using test::kratos_value;

/// A bed with registrations w100, w101, … of one service.
struct Many : Bed {
  explicit Many(int count = 10) : number(count) {}
  void put_all() {
    for (int i = 0; i < number; ++i)
      engine->put(registration(id(i)));
  }
  void remove_all() {
    for (int i = 0; i < number; ++i)
      engine->remove(id(i));
  }
  void write_all() {
    start();
    put_all();
    world.advance(1s);
    CHECK(held() == number);
  }
  static std::string id(int i) { return "w" + std::to_string(100 + i); }
  static std::string key(int i) { return kratos_key(id(i), "own"); }
  int held() const {
    int count = 0;
    for (int i = 0; i < number; ++i)
      count += holds(key(i)) ? 1 : 0;
    return count;
  }
  std::size_t transactions() { return etcd().count("/v3/kv/txn"); }
  int number;
};

TEST_CASE("1,200 keys take 20 transactions to write, to write again, and to remove") {
  Bed bed;
  bed.options.layouts.goframe = GoframeLayout{};
  bed.options.layouts.gozero = GozeroLayout{};
  bed.options.layouts.forge = ForgeLayout{};
  bed.start();
  const auto service = [](int i) { return "s" + std::to_string(100 + i); };
  for (int i = 0; i < 300; ++i)
    bed.engine->put(Bed::registration(service(i), service(i)));
  bed.world.advance(1s);
  CHECK(bed.status().written == 1'200);
  CHECK(bed.etcd().count("/v3/kv/txn") <= 20);
  CHECK(std::ranges::max(bed.etcd().operations) == kBatchKeysMax);
  CHECK(bed.take() == "list | current");

  bed.store.revoke(bed.status().lease);
  bed.etcd().requests.clear();
  REQUIRE(bed.world.run_until([&] { return bed.status().written == 0; }, 10s));
  CHECK(bed.world.run_until([&] { return bed.status().written == 1'200; }, 4s));
  CHECK(bed.etcd().count("/v3/kv/txn") <= 20);

  bed.engine->put(Bed::registration("last", "last"));
  bed.world.advance(1s);
  bed.etcd().requests.clear();
  for (int i = 0; i < 300; ++i)
    bed.engine->remove(service(i));
  bed.world.advance(1s);
  CHECK(bed.etcd().count("/v3/kv/txn") <= 20);
  CHECK(bed.store.keys.size() == 4);
}

TEST_CASE("a transaction has no more than 512 kB") {
  Many bed(40);
  bed.start();
  for (int i = 0; i < bed.number; ++i) {
    Entry entry = Bed::registration(Many::id(i));
    entry.metadata = {{"text", std::string(30'000, 'x')}};
    bed.engine->put(entry);
  }
  bed.world.advance(1s);
  CHECK(bed.held() == bed.number);
  CHECK(bed.transactions() == 3);
  CHECK(std::ranges::max(bed.etcd().operations) == kBatchBytesMax / 30'500);
}

TEST_CASE("a cluster that takes fewer operations is asked for fewer") {
  Many bed(100);
  bed.etcd().operations_max = 20;
  bed.write_all();
  CHECK(bed.etcd().operations == std::vector<std::size_t>{64, 32, 16, 16, 16, 16, 16, 16, 4});
  CHECK(bed.status().last_error.empty());
  bed.etcd().operations.clear();
  bed.engine->put(Bed::registration("last"));
  bed.remove_all();
  bed.world.advance(1s);
  CHECK(bed.keys() == kratos_key("last", "own"));
  CHECK(bed.etcd().operations == std::vector<std::size_t>{16, 16, 16, 16, 16, 16, 4, 1});
}

TEST_CASE("keys of others are in conflict, and the rest of their transaction is written") {
  Many bed;
  bed.store.put(Many::key(3), kratos_value("w103", "own"), 77);
  bed.store.put(Many::key(7), kratos_value("w107", "own"), 78);
  bed.start();
  bed.put_all();
  bed.world.advance(1s);
  CHECK(bed.held() == 8);
  CHECK(bed.transactions() == 2);
  const std::string told = bed.take();
  CHECK(told.find("conflict w103 " + Many::key(3) + " <a program with lease 77>") != told.npos);
  CHECK(told.find("conflict w107 " + Many::key(7) + " <a program with lease 78>") != told.npos);
  CHECK(told.find("conflict w104") == told.npos);
  for (int i : {3, 7})
    CHECK(bed.store.keys[Many::key(i)].lease == 77 + (i == 7));
  bed.world.advance(60s);
  CHECK(bed.transactions() <= 2 + 3);
  bed.store.remove(Many::key(3));
  CHECK(bed.after(100ms) == "lost w103 | conflict w103 " + Many::key(3) + " <>");
  CHECK(bed.held() == 9);
  for (int i = 0; i < bed.number; ++i)
    CHECK(bed.store.keys[Many::key(i)].version == 1);
}

TEST_CASE(
    "an answer that is too long to show what is there holds up only the key that is to blame") {
  Many bed;
  bed.store.put(Many::key(3), std::string(kBatchAnswerBytesMax, 'x'), 77);
  bed.start();
  bed.put_all();
  bed.world.advance(1s);
  CHECK(bed.held() == 9);
  CHECK(bed.transactions() == 11);
  REQUIRE(bed.status().warnings.size() == 1);
  CHECK(bed.status().warnings[0].ends_with("an answer of more than 1048576 bytes"));
}

TEST_CASE("keys of an earlier life are taken over with the others") {
  Many bed;
  bed.write_all();
  bed.engine.reset();  // as after kill -9
  bed.store.remove(Many::key(4));
  bed.etcd().requests.clear();
  bed.write_all();
  CHECK(bed.transactions() == 2);
}

TEST_CASE("a key that changes with every try holds up no other key for long") {
  Many bed;
  bed.store.put("/elsewhere", "x");
  bed.etcd().meanwhile = [&](const std::string& path) {
    if (path == "/v3/kv/txn")
      bed.store.put(Many::key(0), R"({"id":"w100","name":"own","metadata":{"outrider.node":"me"},)"
                                  R"("endpoints":["http://10.0.0.1:1"]})");
  };
  bed.start();
  bed.put_all();
  bed.world.advance(kWriteRetry - 1s);
  CHECK(bed.held() == 9);
  CHECK(bed.transactions() == kTriesMax + 1);
}

TEST_CASE("a lease that ends during a transaction is replaced, and all is written under the next") {
  Many bed;
  bool revoked = false;
  bed.etcd().meanwhile = [&](const std::string& path) {
    if (path == "/v3/kv/txn" && !std::exchange(revoked, true))
      bed.store.revoke(bed.store.leases.begin()->first);
  };
  bed.start();
  bed.put_all();
  bed.world.advance(100ms);
  CHECK(bed.held() == 0);
  CHECK(bed.keys().empty());
  bed.world.advance(kGrantDelayMax);
  CHECK(bed.held() == bed.number);
  CHECK(bed.transactions() == 2);
}

TEST_CASE("one registration that is refused does not hold up the others") {
  Many bed;
  SUBCASE("by etcd") {
    bed.etcd().request_bytes_max = 4'000;
  }
  SUBCASE("by a proxy") {
    bed.etcd().proxy_bytes_max = 4'000;
  }
  bed.start();
  bed.put_all();
  Entry large = Bed::registration(Many::id(3));
  large.metadata = {{"text", std::string(5'000, 'x')}};
  bed.engine->put(large);
  bed.world.advance(1s);
  CHECK(bed.held() == 9);
  CHECK(bed.transactions() == 11);
  REQUIRE(bed.status().warnings.size() == 1);
  CHECK(bed.status().warnings[0].starts_with(Many::key(3) + " cannot be written: "));
  // Alone, and rarely.
  bed.world.advance(60s);
  CHECK(bed.transactions() <= 11 + 3);
  bed.engine->put(Bed::registration(Many::id(3)));
  bed.world.advance(1s);
  CHECK(bed.held() == 10);
  CHECK(bed.status().warnings.empty());
}

TEST_CASE("keys that were all refused are written together once they are taken") {
  Many bed(100);
  bed.etcd().request_bytes_max = 50;
  bed.start();
  bed.put_all();
  bed.world.advance(1s);
  CHECK(bed.held() == 0);
  bed.etcd().request_bytes_max = 1U << 20;
  bed.etcd().requests.clear();
  bed.world.advance(kWriteRetry);
  CHECK(bed.held() == bed.number);
  CHECK(bed.transactions() <= 3);
}

TEST_CASE("a server that contradicts itself is asked for each key alone") {
  Many bed;
  bed.etcd().contradicts = true;
  bed.start();
  bed.put_all();
  bed.world.advance(kWriteRetry / 2);
  CHECK(bed.held() == 0);
  CHECK(bed.transactions() <= 1 + 10 * kTriesMax + 10);
  bed.etcd().contradicts = false;
  bed.world.advance(kWriteRetry);
  CHECK(bed.held() == bed.number);
}

TEST_CASE("what changes while it is written is written as it is wanted in the end") {
  Many bed;
  bool once = false;
  bed.etcd().meanwhile = [&](const std::string& path) {
    if (path != "/v3/kv/txn" || std::exchange(once, true)) return;
    bed.engine->remove(Many::id(2));
    Entry changed = Bed::registration(Many::id(5));
    changed.version = "v2";
    bed.engine->put(changed);
  };
  bed.start();
  bed.put_all();
  bed.world.advance(1s);
  CHECK(bed.held() == 9);
  CHECK(!bed.store.keys.contains(Many::key(2)));
  CHECK(bed.store.keys[Many::key(5)].value.find("v2") != std::string::npos);
}

TEST_CASE("of keys that are removed, those that others hold by now are left to them") {
  Many bed;
  bed.write_all();
  bed.engine->put(Bed::registration("last"));
  bed.world.advance(100ms);
  bed.etcd().requests.clear();
  bool once = false;
  bed.etcd().meanwhile = [&](const std::string& path) {
    if (path == "/v3/kv/txn" && !std::exchange(once, true))
      bed.store.put(Many::key(6), kratos_value("w106", "own"));
  };
  bed.remove_all();
  bed.world.advance(1s);
  CHECK(bed.transactions() == 2);
  CHECK(bed.keys() == kratos_key("last", "own") + ' ' + Many::key(6));
  CHECK(bed.store.keys[Many::key(6)].lease == 0);
}

}  // namespace
}  // namespace outrider::registries::etcd
