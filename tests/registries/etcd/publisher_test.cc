// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/publisher.h"

#include "base/text.h"
#include "base/text_file.h"
#include "tests/registries/etcd/bed.h"

namespace outrider::registries::etcd {
namespace {

using test::Bed;
using test::kratos_key;
using test::kratos_value;

const std::string kOwn = kratos_key("w1", "own");

/// A bed whose engine has written registration w1.
struct Written : Bed {
  explicit Written(int count = 1) : Bed(count) {
    start();
    engine->put(registration("w1"));
    world.advance(50ms);
    CHECK(take() == "list | current");
    CHECK(holds(kOwn));
  }
  /// When the key is back under the lease of the engine.
  Duration until_back() {
    const TimePoint from = world.now();
    CHECK(world.run_until([&] { return holds(kOwn); }, 60s));
    return world.now() - from;
  }
};

TEST_CASE("registrations are written in every layout, under one lease, and never read back") {
  Bed bed;
  bed.options.layouts = {KratosLayout{}, GoframeLayout{}, GozeroLayout{.keys = {"own.rpc"}},
                         ForgeLayout{}};
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.engine->put(Bed::registration("w2"));
  CHECK(bed.after(100ms) == "list | current");
  CHECK(bed.store.keys.size() == 7);  // GoFrame's key has no id: both are one
  for (const auto& [key, kept] : bed.store.keys) {
    CHECK_MESSAGE(kept.lease == bed.status().lease, key);
    CHECK_MESSAGE(kept.version == 1, key);
  }
  CHECK(bed.store.leases.size() == 1);
  CHECK(bed.store.leases.begin()->second.first == 15);
  CHECK(bed.status().written == 7);
  CHECK(bed.after(10min) == "");
  CHECK(bed.status().written == 7);
  bed.engine->refresh();
  CHECK(bed.after(50ms) == "list");
}

TEST_CASE("a change replaces the value, and what is no longer wanted is removed") {
  Written bed;
  Entry changed = Bed::registration("w1");
  changed.version = "v2";
  bed.engine->put(changed);
  bed.world.advance(50ms);
  CHECK(bed.store.keys[kOwn].value.find("v2") != std::string::npos);
  CHECK(bed.store.keys[kOwn].version == 2);
  bed.engine->put(changed);
  bed.world.advance(50ms);
  CHECK(bed.store.keys[kOwn].version == 2);
  bed.engine->put(Bed::registration("w2"));
  bed.engine->remove("w1");
  bed.world.advance(50ms);
  CHECK(bed.keys() == kratos_key("w2", "own"));
  bed.engine->remove("w2");
  bed.world.advance(50ms);
  CHECK(bed.keys() == "");
  CHECK(bed.store.leases.empty());
  const std::size_t before = bed.etcd().count("/v3/lease/keepalive");
  bed.world.advance(1min);
  CHECK(bed.etcd().count("/v3/lease/keepalive") == before);
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(50ms);
  CHECK(bed.holds(kOwn));
}

TEST_CASE("two registrations that have one key leave it when the last one leaves") {
  Bed bed;
  bed.options.layouts = {};
  bed.options.layouts.goframe = GoframeLayout{};
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.engine->put(Bed::registration("w2"));
  bed.world.advance(50ms);
  REQUIRE(bed.store.keys.size() == 1);
  CHECK(bed.store.keys.begin()->second.value.find("w2") != std::string::npos);
  bed.engine->remove("w2");
  bed.world.advance(50ms);
  REQUIRE(bed.store.keys.size() == 1);
  CHECK(bed.store.keys.begin()->second.value.find("w1") != std::string::npos);
  bed.engine->remove("w1");
  bed.world.advance(50ms);
  CHECK(bed.keys() == "");
}

TEST_CASE("two registrations that have one key leave it when one of them moves") {
  Bed bed;
  bed.options.layouts = {};
  bed.options.layouts.goframe = GoframeLayout{};
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.engine->put(Bed::registration("w2"));
  bed.world.advance(50ms);
  const std::string shared = bed.keys();
  Entry moved = Bed::registration("w2");
  SUBCASE("to another port") {
    moved.port = 8081;
  }
  SUBCASE("to another service") {
    moved.service = "else";
  }
  SUBCASE("to where no other host reaches it") {
    moved.addresses.clear();
  }
  bed.engine->put(moved);
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(50ms);
  REQUIRE(bed.store.keys.contains(shared));
  CHECK(bed.holds(shared));
  CHECK(bed.store.keys[shared].value.find("w1") != std::string::npos);
  CHECK(bed.store.keys.size() == (moved.addresses.empty() ? 1 : 2));
  bed.engine->put(Bed::registration("w2"));
  bed.world.advance(50ms);
  CHECK(bed.keys() == shared);
}

TEST_CASE("a place that is only written is current again once it answers") {
  Bed bed;
  bed.options.layouts = {};
  bed.options.layouts.gozero = GozeroLayout{.keys = {}, .env = {}, .space = {}};
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  CHECK(bed.after(50ms) == "current");
  const std::int64_t lease = bed.status().lease;
  bed.etcd().mute = true;
  SUBCASE("a keepalive") {
    CHECK(bed.after(keepalive_interval(15s) + kCallMax) == "behind: no answer within 2s");
    bed.etcd().mute = false;
    CHECK(bed.after(keepalive_interval(15s)) == "current");
  }
  SUBCASE("a write") {
    Entry changed = Bed::registration("w1");
    changed.port = 8081;
    bed.engine->put(changed);
    CHECK(bed.after(kCallMax) == "behind: no answer within 2s");
    bed.etcd().mute = false;
    CHECK(bed.after(1s) == "current");
  }
  SUBCASE("a removal, after which nothing is written any more") {
    bed.engine->remove("w1");
    CHECK(bed.after(kCallMax) == "behind: no answer within 2s");
    bed.etcd().mute = false;
    CHECK(bed.after(1s) == "current");
    return;
  }
  CHECK(bed.status().lease == lease);
  CHECK(bed.after(1min) == "");
}

TEST_CASE("nothing is written where publishing is off") {
  Bed bed;
  bed.options.publish = false;
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(10s);
  CHECK(bed.keys() == "");
  CHECK(bed.store.leases.empty());
}

TEST_CASE("a lease that was revoked or has ended is replaced, for ever") {
  Written bed;
  for (int i = 0; i < 10; ++i) {
    bed.store.revoke(bed.status().lease);
    const Duration back = bed.until_back();
    CHECK(back >= kGrantDelayMin);
    CHECK(back <= 5s + kGrantDelayMax);
  }
  CHECK(bed.status().last_error.starts_with("lease "));
}

TEST_CASE("a stop takes back what a lease holds that counts as lost") {
  Written bed;
  bed.etcd().mute = true;
  REQUIRE(bed.world.run_until([&] { return bed.status().lease == 0; }, 60s));
  bed.etcd().mute = false;
  REQUIRE(bed.store.keys.contains(kOwn));
  bool stopped = false;
  bed.engine->stop([&] { stopped = true; });
  bed.world.advance(100ms);
  CHECK(stopped);
  CHECK(bed.keys() == "");
  CHECK(bed.store.leases.empty());
}

TEST_CASE("a stop asks another member if the first does not answer") {
  Written bed(2);
  bed.etcd(0).set_running(false);
  bool stopped = false;
  bed.engine->stop([&] { stopped = true; });
  bed.world.advance(100ms);
  CHECK(stopped);
  CHECK(bed.keys() == "");
}

TEST_CASE("a cluster that lost everything has all registrations back within seconds") {
  Written bed;
  for (int i = 0; i < 40; ++i)
    bed.store.put("/elsewhere", "x");
  bed.store.remove(kOwn);
  bed.until_back();
  bed.etcd().set_running(false);
  bed.world.advance(1s);
  bed.store.wipe();
  bed.etcd().set_running(true);
  CHECK(bed.until_back() <= 15s);
  bed.world.advance(1min);
  CHECK(bed.store.keys[kOwn].version == 1);
  CHECK(bed.take().find("restarted: ") != std::string::npos);
}

TEST_CASE("a restart that keeps the lease keeps the keys") {
  Written bed;
  const std::int64_t lease = bed.status().lease;
  bed.etcd().set_running(false);
  bed.world.advance(1600ms);
  bed.etcd().set_running(true);
  bed.world.advance(1min);
  CHECK(bed.status().lease == lease);
  CHECK(bed.store.keys[kOwn].version == 1);
}

TEST_CASE("a server that hangs is left for another one before the lease ends") {
  Written bed(3);
  const std::int64_t lease = bed.status().lease;
  for (std::size_t i = 0; i < 3; ++i)
    if (bed.status().endpoint == bed.options.endpoints[i]) bed.etcd(i).set_cut_off(true);
  bed.engine->put(Bed::registration("w2"));
  bed.world.advance(kCallMax + 100ms);
  CHECK(bed.holds(kratos_key("w2", "own")));
  bed.world.advance(10min);
  CHECK(bed.status().lease == lease);
}

TEST_CASE("a write that hangs is asked for elsewhere after a second, if there is elsewhere") {
  Duration deadline = kWriteMax;
  int servers = 3;
  SUBCASE("three servers") {}
  SUBCASE("one server") {
    servers = 1;
    deadline = kCallMax;
  }
  Written bed(servers);
  for (const auto& member : bed.members)
    member->set_cut_off(true);
  bed.engine->put(Bed::registration("w2"));
  bed.world.advance(deadline - 1ms);
  const auto tries = [&] {
    std::size_t count = 0;
    for (const auto& member : bed.members)
      count += member->count("/v3/kv/txn");
    return count;
  };
  const std::size_t before = tries();
  for (const auto& member : bed.members)
    member->set_cut_off(false);
  CHECK(bed.world.run_until([&] { return tries() > before; }, 500ms));
  bed.world.advance(50ms);
  CHECK(bed.holds(kratos_key("w2", "own")));
}

TEST_CASE("without a majority the lease is given up before others see its end, and comes back") {
  Written bed(3);
  const std::int64_t lease = bed.status().lease;
  for (const auto& member : bed.members)
    member->set_cut_off(true);
  bed.world.advance(30s);
  CHECK(bed.status().lease == 0);
  CHECK(bed.status().written == 0);
  for (const auto& member : bed.members)
    member->set_cut_off(false);
  CHECK(bed.until_back() <= 20s);
  CHECK(bed.status().lease != lease);
}

std::string keys_of(const test::Bed& bed, const char* id) {
  std::string text;
  for (const WrittenKey& key : bed.engine->keys_of(id)) {
    text += (text.empty() ? "" : " | ") + key.where.key + ' ' + to_string(key.state);
    if (key.where.lease != 0) {
      CHECK(key.where.lease == bed.status().lease);
      CHECK(key.lease_time == bed.status().lease_time);
    }
    if (key.where.revision != 0) text += ' ' + std::to_string(key.where.revision);
    if (!key.reason.empty()) text += " <" + key.reason + '>';
    CHECK(key.where.endpoint == bed.options.endpoints[0]);
  }
  return text;
}

TEST_CASE("people are shown the keys of a registration, and what of them is not written") {
  Bed bed;
  bed.options.layouts = {KratosLayout{}, {}, GozeroLayout{.keys = {"own.rpc"}}, {}};
  bed.store.put(kOwn, kratos_value("w1", "own"));
  bed.start();
  CHECK(keys_of(bed, "w1").empty());
  bed.engine->put(Bed::registration("w1"));
  const std::string waiting = keys_of(bed, "w1");
  bed.world.advance(100ms);
  const auto other = bed.store.keys.upper_bound("own.rpc/");
  REQUIRE(other != bed.store.keys.end());
  CHECK(waiting == kOwn + " waiting | " + other->first + " waiting");
  const std::string second =
      " | " + other->first + " written " + std::to_string(other->second.mod_revision);
  CHECK(keys_of(bed, "w1") ==
        kOwn + " conflict <a program that keeps it without a lease>" + second);
  bed.store.remove(kOwn);
  bed.world.advance(100ms);
  CHECK(keys_of(bed, "w1") ==
        kOwn + " written " + std::to_string(bed.store.keys[kOwn].mod_revision) + second);
  bed.engine->remove("w1");
  CHECK(keys_of(bed, "w1").empty());
  bed.take();
}

TEST_CASE("registrations that share a key in a layout without ids are both shown at it") {
  Bed bed;
  bed.options.layouts = {std::nullopt, GoframeLayout{}, std::nullopt, std::nullopt};
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.engine->put(Bed::registration("w2"));
  bed.world.advance(100ms);
  REQUIRE(bed.store.keys.size() == 1);
  CHECK(keys_of(bed, "w1") == keys_of(bed, "w2"));
  CHECK(keys_of(bed, "w1").find(" written ") != std::string::npos);
  bed.take();
}

TEST_CASE("a new leader, which extends all leases, costs no registration and no write") {
  for (Duration phase{}; phase < 15s; phase += 700ms) {
    CAPTURE(format_duration(phase));
    Bed bed(3);
    const std::int64_t theirs = bed.store.grant(10);  // of a program that has died
    bed.store.put(kratos_key("w9"), kratos_value("w9"), theirs);
    bed.start();
    bed.engine->put(Bed::registration("o1"));
    bed.engine->put(Bed::registration("o2"));
    bed.world.advance(50ms);
    const std::int64_t lease = bed.status().lease;
    const auto revision = [&](const char* id) {
      return bed.store.keys[kratos_key(id, "own")].mod_revision;
    };
    const std::int64_t first = revision("o1"), second = revision("o2");
    REQUIRE(first != 0);
    bed.world.advance(phase);
    // Whichever server the agent is at: the leader is dead, and the others elect one.
    const std::size_t dead = static_cast<std::size_t>(phase / 700ms) % 3;
    bed.store.extend_leases();
    bed.etcd(dead).set_running(false);
    for (std::size_t i = 0; i < 3; ++i)
      bed.etcd(i).set_cut_off(true);
    const std::size_t writes = bed.count("/v3/kv/txn") + bed.count("/v3/lease/grant");
    bed.world.advance(2500ms);
    for (std::size_t i = 0; i < 3; ++i)
      bed.etcd(i).set_cut_off(false);
    bed.store.extend_leases();
    bed.world.advance(2min);
    CHECK(bed.status().lease == lease);
    CHECK(bed.status().written == 2);
    CHECK(bed.status().state == PlaceState::current);
    CHECK(revision("o1") == first);
    CHECK(revision("o2") == second);
    CHECK(bed.count("/v3/kv/txn") + bed.count("/v3/lease/grant") == writes);
    // What the dead program had ends with the time that the new leader gave it.
    CHECK(!bed.store.keys.contains(kratos_key("w9")));
    CHECK(bed.take().find("own") == std::string::npos);
  }
}

TEST_CASE("an old lease that is still alive is no conflict") {
  Bed bed;
  bed.options.writer = "";
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(50ms);
  const std::int64_t old = bed.status().lease;
  CHECK(bed.holds(kOwn));
  bed.take();
  bed.store.leases[old].second.reset();  // the server extends it
  bed.etcd().set_cut_off(true);
  bed.world.advance(30s);
  bed.etcd().set_cut_off(false);
  bed.world.advance(30s);
  CHECK(bed.status().lease != old);
  CHECK(bed.holds(kOwn));
  CHECK(bed.take().find("conflict") == std::string::npos);
}

TEST_CASE("a key that was deleted is put again, however often, but once a second") {
  Written bed;
  for (int i = 0; i < 5; ++i) {
    bed.store.remove(kOwn);
    CHECK(bed.until_back() <= kPutAgain + 1ms);
  }
  CHECK(bed.take() == "");
}

TEST_CASE("a key that was deleted where nothing is read is missed by the lease") {
  Bed bed;
  bed.options.layouts = {};
  bed.options.layouts.gozero = GozeroLayout{};
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  CHECK(bed.after(50ms) == "current");
  REQUIRE(bed.store.keys.size() == 1);
  const std::string key = bed.keys();
  CHECK(key.starts_with("own.rpc/"));
  bed.store.remove(key);
  CHECK(bed.world.run_until([&] { return bed.holds(key); }, kKeepAlivesPerCheck * 7500ms + 1s));
}

TEST_CASE("a key of another program is not overwritten, and taken when it is free") {
  Bed bed;
  bed.store.put(kOwn, kratos_value("w1", "own"), 77);
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  CHECK(bed.after(100ms) ==
        "conflict w1 " + kOwn + " <a program with lease 77> | list w1 | current");
  CHECK(bed.store.keys[kOwn].lease == 77);
  const std::size_t before = bed.etcd().count("/v3/kv/txn");
  bed.world.advance(60s);
  CHECK(bed.etcd().count("/v3/kv/txn") - before <= 3);
  CHECK(bed.take() == "");
  SUBCASE("when it is deleted") {
    bed.store.remove(kOwn);
    CHECK(bed.after(50ms) == "lost w1 | conflict w1 " + kOwn + " <>");
    CHECK(bed.holds(kOwn));
  }
  SUBCASE("but nothing more of it is said once it is not wanted") {
    bed.engine->remove("w1");
    CHECK(bed.after(60s) == "conflict w1 " + kOwn + " <>");
    CHECK(bed.store.keys[kOwn].lease == 77);
  }
}

TEST_CASE("a key of ours that another program overwrites is left to it") {
  Written bed;
  bed.store.put(kOwn, kratos_value("w1", "own"), 0);
  CHECK(bed.after(2s) ==
        "has w1 | conflict w1 " + kOwn + " <a program that keeps it without a lease>");
  CHECK(bed.status().written == 0);
  bed.store.put(kOwn,
                R"({"id":"w1","name":"own","metadata":{"outrider.node":"other"},)"
                R"("endpoints":["http://10.0.0.9:1"]})",
                9);
  bed.world.advance(60s);
  CHECK(bed.take() == "has w1 | conflict w1 " + kOwn + " <the agent other>");
  const auto found = bed.store.keys.find(kOwn);
  CHECK(found->second.lease == 9);
}

TEST_CASE("keys of an earlier life of this agent are taken over at once") {
  Bed bed;
  bed.options.layouts.gozero = GozeroLayout{.keys = {"own.rpc"}, .env = {}, .space = {}};
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(50ms);
  const std::string keys = bed.keys();
  const std::int64_t old = bed.status().lease;
  bed.engine.reset();  // as after kill -9
  bed.take();
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  CHECK(bed.after(100ms) == "list | current");
  CHECK(bed.keys() == keys);
  CHECK(bed.status().lease != old);
  CHECK(bed.status().written == 2);
  bed.store.revoke(old);
  CHECK(bed.keys() == keys);
}

TEST_CASE("keys that the user may not write are said, tried rarely, and hold up nothing else") {
  Bed bed;
  bed.options.layouts.kratos.reset();
  bed.options.layouts.gozero = GozeroLayout{};
  bed.options.layouts.forge = ForgeLayout{};
  bed.store.readable = "/services/";
  bed.store.users["root"] = "";
  bed.options.user = "root";
  bed.options.password_file = "/proc/self/coredump_filter";
  bed.store.users["root"] = first_line(*load_text_file(bed.options.password_file));
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(1s);
  CHECK(bed.keys() == "/services/own/w1");
  CHECK(bed.status().written == 1);
  REQUIRE(bed.status().warnings.size() == 1);
  CHECK(bed.status().warnings[0].starts_with("own.rpc/"));
  CHECK(bed.status().warnings[0].ends_with("cannot be written: etcdserver: permission denied"));
  const std::size_t before = bed.etcd().count("/v3/kv/txn");
  bed.world.advance(60s);
  CHECK(bed.etcd().count("/v3/kv/txn") - before <= 3);
  bed.store.readable = "";
  bed.world.advance(kWriteRetry);
  CHECK(bed.status().written == 2);
  CHECK(bed.status().warnings.empty());
}

TEST_CASE("a stop takes everything back with one request") {
  Written bed;
  bed.engine->put(Bed::registration("w2"));
  bed.world.advance(50ms);
  bool done = false;
  bed.engine->stop([&] { done = true; });
  CHECK(!done);
  bed.world.advance(5ms);
  CHECK(done);
  CHECK(bed.keys() == "");
  CHECK(bed.etcd().connections() == 0);
}

TEST_CASE("a stop does not wait for a server that does not answer") {
  Written bed;
  bed.etcd().mute = true;
  bool done = false;
  bed.engine->stop([&] { done = true; });
  bed.world.advance(kTakeBackMax - 1ms);
  CHECK(!done);
  bed.world.advance(1ms);
  CHECK(done);
  bed.engine.reset();
  bed.world.advance(15s);
  CHECK(bed.keys() == "");
}

TEST_CASE("registrations beyond the limit are not written") {
  Bed bed;
  bed.start();
  for (std::size_t i = 0; i < kRegistrationsMax + 1; ++i)
    bed.engine->put(Bed::registration("w" + std::to_string(i)));
  bed.world.advance(60s);
  CHECK(bed.status().written == kRegistrationsMax);
  CHECK(bed.status().last_error.starts_with("more than 1,024 registrations"));
}

TEST_CASE("a key that changes with every try is tried four times, and again after a while") {
  Bed bed;
  bed.store.put("/elsewhere", "x");
  bed.etcd().meanwhile = [&](const std::string& path) {
    if (path == "/v3/kv/txn")
      bed.store.put(kOwn, R"({"id":"w1","name":"own","metadata":{"outrider.node":"me"},)"
                          R"("endpoints":["http://10.0.0.1:1"]})");
  };
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(kWriteRetry - 1s);
  CHECK(bed.etcd().count("/v3/kv/txn") == kTriesMax);
  CHECK(!bed.holds(kOwn));
  bed.world.advance(2s);
  CHECK(bed.etcd().count("/v3/kv/txn") == 2 * kTriesMax);
  bed.etcd().meanwhile = nullptr;
  bed.world.advance(kWriteRetry);
  CHECK(bed.holds(kOwn));
  CHECK(bed.take().find("conflict") == std::string::npos);
}

TEST_CASE("keys under the last eight lost leases are taken for ours, older ones are not") {
  std::size_t lost = 0;
  SUBCASE("eight") {
    lost = kLostLeasesKept;
  }
  SUBCASE("nine") {
    lost = kLostLeasesKept + 1;
  }
  Bed bed;
  bed.options.writer = "";
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  bed.world.advance(50ms);
  const std::int64_t first = bed.status().lease;
  CHECK(bed.holds(kOwn));
  // Leases are granted to everyone, keys are not.
  bed.store.users["root"] = "secret";
  for (std::size_t i = 0; i < lost; ++i) {
    const std::int64_t lease = bed.status().lease;
    bed.store.leases.erase(lease);  // forgotten here, alive where the key is read
    const auto replaced = [&] { return bed.status().lease != 0 && bed.status().lease != lease; };
    REQUIRE(bed.world.run_until(replaced, 30s));
    bed.world.advance(1s);
  }
  CHECK(bed.store.keys[kOwn].lease == first);
  bed.take();
  bed.store.users.clear();
  bed.world.advance(kWriteRetry + 1s);
  CHECK(bed.holds(kOwn) == (lost == kLostLeasesKept));
  const bool conflict = bed.take().find("a program with lease") != std::string::npos;
  CHECK(conflict == (lost > kLostLeasesKept));
}

TEST_CASE("a claim is a key under the lease, which one agent holds at a time") {
  Bed bed;
  bed.options.publish = false;  // of registrations
  bed.start();
  CHECK(bed.engine->claim("export/etcd/mdns/web"));
  CHECK(bed.take().empty());
  CHECK(bed.after(100ms).find("claim export/etcd/mdns/web held") != std::string::npos);
  const std::string key = "/outrider/export/etcd/mdns/web";
  CHECK(bed.holds(key));
  CHECK(bed.store.keys.at(key).value == "me");
  CHECK(bed.status().written == 0);  // it is no registration
  CHECK(bed.after(10min) == "");
  SUBCASE("and gives back") {
    bed.engine->unclaim("export/etcd/mdns/web");
    CHECK(bed.after(100ms) == "");
    CHECK(bed.keys().empty());
    CHECK(bed.store.leases.empty());
  }
  SUBCASE("and loses with the lease") {
    bed.store.revoke(bed.status().lease);
    CHECK(bed.after(15s) ==
          "claim export/etcd/mdns/web not held: it has ended | claim export/etcd/mdns/web held");
  }
  SUBCASE("and loses before others see the end of a lease that cannot be kept") {
    bed.etcd().mute = true;
    const auto lost = [&] {
      return std::ranges::any_of(bed.events, [](const std::string& event) {
        return event.starts_with("claim export/etcd/mdns/web not held: no keepalive");
      });
    };
    const TimePoint from = bed.world.now();
    CHECK(bed.world.run_until(lost, 30s));
    CHECK(bed.world.now() - from <= bed.options.ttl - 1s);
  }
  SUBCASE("and misses when it was taken away") {
    bed.store.remove(key);
    bed.store.put(key, "you", bed.store.grant(600));
    bed.world.advance(1min);
    CHECK(bed.take().ends_with("claim export/etcd/mdns/web not held: the agent you holds it"));
    CHECK(bed.store.keys.at(key).value == "you");
  }
}

TEST_CASE("a claim that another agent holds is taken within seconds of its end") {
  Bed bed;
  const std::string key = "/outrider/export/etcd/mdns/web";
  const std::int64_t theirs = bed.store.grant(60);
  bed.store.put(key, "you", theirs);
  bed.start();
  CHECK(bed.engine->claim("export/etcd/mdns/web"));
  CHECK(bed.after(100ms).find("not held: the agent you holds it") != std::string::npos);
  CHECK(bed.after(50s) == "");
  bed.store.revoke(theirs);
  CHECK(bed.after(kClaimRetryMax + 100ms) == "claim export/etcd/mdns/web held");
}

TEST_CASE("a claim of an earlier life of this agent is its own") {
  Bed bed;
  bed.store.put("/outrider/x", "me", bed.store.grant(60));
  bed.start();
  CHECK(bed.engine->claim("x"));
  CHECK(bed.after(100ms).find("claim x held") != std::string::npos);
  CHECK(bed.holds("/outrider/x"));
}

TEST_CASE("claims beyond the limit are not supported, and long holders are cut") {
  Bed bed;
  bed.store.put("/outrider/c0", std::string(1'000, 'y'), bed.store.grant(60));
  bed.start();
  for (std::size_t i = 0; i < kClaimsMax; ++i)
    CHECK(bed.engine->claim("c" + std::to_string(i)));
  CHECK_FALSE(bed.engine->claim("more"));
  CHECK(bed.engine->claim("c0"));
  const std::string told = bed.after(100ms);
  CHECK(told.find("the agent " + std::string(kHolderBytesMax, 'y') + " holds it") !=
        std::string::npos);
}

TEST_CASE("copies are written beside a registration of the same id, and leave by their key") {
  Written bed;
  Entry copy = Bed::registration("w1", "web");
  copy.key = "web/w1";
  copy.metadata = {{std::string(kViaMark), "mdns"}};
  bed.engine->put(copy);
  CHECK(bed.after(100ms).empty());
  CHECK(bed.keys() == kOwn + ' ' + kratos_key("w1", "web"));
  CHECK(bed.store.keys.at(kratos_key("w1", "web")).value.find(R"("outrider.via":"mdns")") !=
        std::string::npos);
  bed.engine->remove("web/w1");
  CHECK(bed.after(100ms).empty());
  CHECK(bed.keys() == kOwn);
}

TEST_CASE("keepalives prove the server, and an idle engine asks nothing else") {
  Written bed;
  bed.etcd().requests.clear();
  bed.world.advance(60s);
  CHECK(bed.etcd().count("/v3/lease/keepalive") == 8);
  CHECK(bed.etcd().requests.size() == 8);
}

TEST_CASE("keepalives leave time for two servers that hang, and are no rarer than proofs") {
  const auto servers_that_may_hang = [](Duration ttl) {
    return (ttl - kLeaseMargin - keepalive_interval(ttl)) / kCallMax;
  };
  for (Duration ttl = 12s; ttl <= kTtlMax; ttl += 1s) {
    CHECK(servers_that_may_hang(ttl) >= 2);
    CHECK(keepalive_interval(ttl) < kProofInterval);
  }
  for (Duration ttl = kTtlMin; ttl <= 12s; ttl += 1s) {
    CHECK(keepalive_interval(ttl) >= ttl / 3);
    CHECK(keepalive_interval(ttl) <= ttl / 2);
  }
  CHECK(keepalive_interval(15s) == 7500ms);
}

TEST_CASE("a server that stops answering loses the reader with the next keepalive") {
  Written bed(3);
  bed.world.advance(keepalive_interval(15s) * 3 + 1s);
  for (std::size_t i = 0; i < 3; ++i)
    if (bed.status().endpoint == bed.options.endpoints[i]) bed.etcd(i).mute = true;
  const std::string heard = bed.after(keepalive_interval(15s) + 2 * kCallMax + 100ms);
  CHECK(heard == "behind: no answer within 2s | list | current");
}

TEST_CASE("after trouble the publisher is at the server of the reader again") {
  Written bed(3);
  const auto proofs = [&] {
    std::size_t count = 0;
    for (const auto& member : bed.members)
      count += member->count("/v3/kv/range");
    return count;
  };
  SUBCASE("when the reader has gone elsewhere") {
    for (const auto& member : bed.members)
      if (member->watches() == 1) {
        member->set_running(false);
        break;
      }
  }
  SUBCASE("when one keepalive was lost") {
    bed.world.advance(7s);
    for (const auto& member : bed.members)
      member->mute = true;
    bed.world.advance(kCallMax);
    for (const auto& member : bed.members)
      member->mute = false;
  }
  bed.world.advance(30s);
  CHECK(bed.status().state == PlaceState::current);
  const std::size_t before = proofs();
  bed.world.advance(5min);
  CHECK(proofs() == before);
  CHECK(bed.holds(kOwn));
}

TEST_CASE("a key of ours that was deleted while the watch was away is back with the new list") {
  Written bed;
  bed.etcd().set_running(false);
  bed.world.advance(100ms);
  bed.store.remove(kOwn);
  bed.etcd().set_running(true);
  CHECK(bed.world.run_until([&] { return bed.status().state == PlaceState::current; }, 10s));
  CHECK(bed.until_back() <= kPutAgain);
}

}  // namespace
}  // namespace outrider::registries::etcd
