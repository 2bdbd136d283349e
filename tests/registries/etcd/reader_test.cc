// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/reader.h"

#include <cstdlib>

#include <unistd.h>

#include "base/text_file.h"
#include "tests/registries/etcd/bed.h"

namespace outrider::registries::etcd {
namespace {

using test::Bed;
using test::kratos_key;
using test::kratos_value;

/// Reads 1,000 keys that end with the lease.
std::int64_t start_with_lease(Bed& bed) {
  const std::int64_t lease = bed.store.grant(60);
  for (int i = 0; i < 1'000; ++i)
    bed.store.put(kratos_key("k" + std::to_string(i)), kratos_value("k" + std::to_string(i)),
                  lease);
  bed.start();
  bed.world.advance(1s);
  REQUIRE(bed.status().read == 1'000);
  bed.take();
  return lease;
}

TEST_CASE("what is there is listed, and followed from the very next change") {
  Bed bed;
  bed.store.put(kratos_key("a"), kratos_value("a"), 7);
  bed.store.put("/elsewhere", "x");
  bed.start();
  CHECK(bed.after(50ms) == "list a | current");
  CHECK(bed.seen.at(0).where.key == kratos_key("a"));
  CHECK(bed.seen.at(0).where.endpoint == "http://10.0.0.10:2379");
  CHECK(bed.seen.at(0).where.lease == 7);
  CHECK(bed.seen.at(0).where.revision == 2);
  CHECK(bed.etcd().bodies.at(0).find(R"("start_revision":"4")") != std::string::npos);
  CHECK(bed.etcd().last_headers.find("Grpc-Metadata-hasleader: true") != std::string::npos);
  bed.store.put(kratos_key("b"), kratos_value("b"));
  CHECK(bed.after(1ms) == "has b");
  bed.store.remove(kratos_key("a"));
  bed.store.put("/elsewhere", "y");
  CHECK(bed.after(1ms) == "lost a");
  bed.store.put(kratos_key("b"), "not JSON any more");
  CHECK(bed.after(1ms) == "lost b");
  CHECK(bed.status().read == 0);
  CHECK(bed.status().skipped == 1);
  CHECK(bed.status().state == PlaceState::current);
}

TEST_CASE("what changes between list and watch is not lost") {
  Bed bed;
  bed.store.put(kratos_key("a"), kratos_value("a"));
  bed.start();
  // The list is on its way back.
  bed.world.run_until([&] { return bed.etcd().count("/v3/kv/range") == 1; }, 1s);
  bed.store.put(kratos_key("b"), kratos_value("b"));
  bed.store.remove(kratos_key("a"));
  const std::string heard = bed.after(50ms);
  CHECK((heard == "list a | current | has b | lost a" || heard == "list b | current"));
}

TEST_CASE("several prefixes share one watch, from the smallest revision") {
  Bed bed;
  bed.options.layouts.gozero =
      GozeroLayout{.keys = {"order.rpc", "pay.rpc"}, .env = {}, .space = {}};
  bed.options.layouts.goframe = GoframeLayout{};
  bed.options.layouts.forge = ForgeLayout{};
  bed.store.put("order.rpc/1", "10.1.0.1:80");
  bed.start();
  CHECK(bed.after(50ms) == "list  | current");
  CHECK(bed.etcd().watches() == 1);
  CHECK(bed.etcd().bodies.size() == 1);
  bed.store.put("pay.rpc/2", "10.1.0.1:81");
  bed.store.put("/service/default/default/a/latest/10.0.0.9:80,10.0.0.9:81", "");
  CHECK(bed.after(1ms) == "has  | has  | has ");
  bed.store.put("/service/default/default/a/latest/10.0.0.9:80,10.0.0.9:81", "junk");
  CHECK(bed.after(1ms) ==
        "lost 10.0.0.9:80,10.0.0.9:81 10.0.0.9:80 | lost 10.0.0.9:80,10.0.0.9:81 10.0.0.9:81");
  CHECK(bed.status().read == 2);
  bed.take();
}

TEST_CASE("a long list comes in pages of one revision") {
  Bed bed;
  for (int i = 0; i < 700; ++i)
    bed.store.put(kratos_key(std::to_string(1'000 + i)), kratos_value(std::to_string(i)));
  bed.start();
  bed.world.advance(100ms);
  CHECK(bed.seen.size() == 700);
  CHECK(bed.etcd().count("/v3/kv/range") == 700 / kPageKeys + 1);
}

TEST_CASE("a server that lists keys that were not asked for is asked ever more rarely") {
  Bed bed;
  bed.etcd().ignores_range = true;
  // A reader that asks without end fails this test instead of running on.
  bed.etcd().meanwhile = [&](const std::string&) {
    if (bed.etcd().requests.size() > 200) bed.etcd().ignores_range = false;
  };
  SUBCASE("the same page again and again") {
    for (std::size_t i = 0; i < kPageKeys; ++i)
      bed.store.put(kratos_key(std::to_string(1'000 + i)), kratos_value(std::to_string(i)));
  }
  SUBCASE("a key before the prefix") {
    bed.store.put("/before", "x");
  }
  SUBCASE("a key beyond the prefix") {
    bed.store.put(kratos_key("a"), kratos_value("a"));
    bed.store.put("/n", "x");
  }
  bed.start();
  CHECK(bed.after(50ms).starts_with("behind: its list has keys that were not asked for"));
  bed.world.advance(1min);
  CHECK(bed.etcd().count("/v3/kv/range") < 40);
  CHECK(bed.status().state == PlaceState::behind);
  bed.etcd().ignores_range = false;
  bed.take();
  bed.world.advance(20s);
  CHECK(bed.status().state == PlaceState::current);
}

TEST_CASE("the end of a lease with 1,000 keys is read a portion in each turn, in its order") {
  Bed bed;
  const std::int64_t lease = start_with_lease(bed);
  bed.store.revoke(lease);
  bed.store.put(kratos_key("last"), kratos_value("last"));
  std::size_t told = 0, most = 0;
  bed.world.run_until(
      [&] {
        most = std::max(most, bed.events.size() - std::exchange(told, bed.events.size()));
        return false;
      },
      1s);
  CHECK(most <= kEventsPerTurn + 1);
  REQUIRE(bed.events.size() == 1'001);
  CHECK(bed.events.back() == "has last");
  CHECK(bed.status().read == 1);
  CHECK(bed.status().revision == bed.store.revision);
  bed.take();
}

TEST_CASE("a watch that ends while events wait for their turn is listed again") {
  Bed bed;
  const std::int64_t lease = start_with_lease(bed);
  bed.store.revoke(lease);
  bed.world.run_until([&] { return !bed.events.empty(); }, 1s);
  CHECK(bed.events.size() < 1'000);
  bed.etcd().set_running(false);
  bed.etcd().set_running(true);
  bed.world.advance(5s);
  CHECK(bed.status().read == 0);
  CHECK(bed.status().state == PlaceState::current);
  CHECK(bed.take().ends_with(" | list | current"));
}

TEST_CASE("a compaction cancels the watch and leaves the stream open") {
  Bed bed;
  bed.store.put(kratos_key("a"), kratos_value("a"));
  bed.start();
  // The watch begins at a revision that is compacted meanwhile.
  bed.world.run_until([&] { return bed.etcd().count("/v3/kv/range") == 1; }, 1s);
  bed.store.put(kratos_key("b"), kratos_value("b"));
  bed.store.put(kratos_key("c"), kratos_value("c"));
  bed.store.compact();
  CHECK(bed.after(50ms) ==
        "list a | current | behind: what happened since the list was compacted | "
        "list a b c | current");
  bed.store.put(kratos_key("d"), kratos_value("d"));
  CHECK(bed.after(1ms) == "has d");
}

TEST_CASE("a server that ends is left, what it said stays, and the gap is reported as one list") {
  Bed bed;
  bed.store.put(kratos_key("a"), kratos_value("a"));
  bed.start();
  CHECK(bed.after(50ms) == "list a | current");
  bed.etcd().set_running(false);
  CHECK(bed.after(10ms).starts_with("behind: "));
  bed.store.remove(kratos_key("a"));
  bed.store.put(kratos_key("b"), kratos_value("b"));
  bed.world.advance(1s);
  bed.take();
  bed.etcd().set_running(true);
  CHECK(bed.after(10s) == "list b | current");
}

TEST_CASE("tries become rarer, up to ten seconds, and begin at once") {
  Bed bed;
  bed.etcd().set_running(false);
  bed.start();
  bed.world.advance(10ms);
  CHECK(bed.take() == "behind: connection refused");
  bed.etcd().set_running(true);
  bed.etcd().mute = true;
  bed.world.advance(10min);
  // 2 s for each try without an answer, and up to 15 s between them.
  CHECK(bed.etcd().connections() <= 1);
  CHECK(bed.take().size() < 200);
  bed.etcd().mute = false;
  CHECK(bed.after(18s) == "list | current");
  bed.etcd().set_running(false);
  bed.world.advance(10ms);
  bed.etcd().set_running(true);
  bed.take();
  SUBCASE("a short success does not count") {
    CHECK(bed.after(10ms) == "");
  }
}

TEST_CASE("a wiped cluster is a new life, whether it says so on the watch or before") {
  Bed bed;
  for (int i = 0; i < 40; ++i)
    bed.store.put(kratos_key("a"), kratos_value("a"));
  bed.start();
  CHECK(bed.after(50ms) == "list a | current");
  bed.etcd().set_running(false);
  bed.store.wipe();
  bed.etcd().set_running(true);
  CHECK(bed.after(1s).find("restarted: its revision went back from 41 to 1") != std::string::npos);
  bed.take();
  bed.store.put(kratos_key("b"), kratos_value("b"));
  CHECK(bed.after(1ms) == "has b");
}

TEST_CASE("a watch on a revision that is still to come is not believed") {
  Bed bed;
  for (int i = 0; i < 40; ++i)
    bed.store.put(kratos_key("a"), kratos_value("a"));
  bed.start();
  bed.world.run_until([&] { return bed.etcd().count("/v3/kv/range") == 1; }, 1s);
  bed.store.wipe();
  bed.world.advance(50ms);
  const std::string heard = bed.take();
  CHECK(heard ==
        "restarted: its revision went back from 41 to 1 | behind: its revision went back"
        " | list | current");
}

TEST_CASE("a refused watch says created and canceled at once, and its stream stays open") {
  Bed bed;
  bed.start();
  CHECK(bed.after(50ms) == "list | current");
  bed.etcd().say_object(R"({"result":{"watch_id":"-1","created":true,"canceled":true,)"
                        R"("cancel_reason":"rpc error: code = PermissionDenied"}})");
  // The list that follows shows that it may.
  CHECK(bed.after(50ms) ==
        "behind: the watch was canceled: rpc error: code = PermissionDenied | list | current");
  CHECK(bed.status().warnings.empty());
}

TEST_CASE("a member without a leader ends the watch, and another one is asked") {
  Bed bed(3);
  bed.store.put(kratos_key("a"), kratos_value("a"));
  bed.start();
  CHECK(bed.after(50ms) == "list a | current");
  for (std::size_t i = 0; i < 3; ++i)
    if (bed.etcd(i).watches() == 1) {
      bed.etcd(i).set_cut_off(true);
      break;
    }
  CHECK(bed.after(50ms) == "behind: etcdserver: no leader | list a | current");
  bed.store.put(kratos_key("b"), kratos_value("b"));
  CHECK(bed.after(1ms) == "has b");
}

TEST_CASE("a watch that is blind without a word is found out") {
  Bed bed(3);
  bed.start();
  CHECK(bed.after(50ms) == "list | current");
  for (std::size_t i = 0; i < 3; ++i)
    if (bed.etcd(i).watches() == 1) bed.etcd(i).mute = true;
  const std::string heard = bed.after(kProofInterval + kProofAgain + 2 * kCallMax + 100ms);
  CHECK(heard == "behind: no answer within 2s | list | current");
}

TEST_CASE("one proof that is missed is no reason to leave") {
  Bed bed;
  bed.start();
  CHECK(bed.after(50ms) == "list | current");
  bed.etcd().mute = true;
  bed.world.advance(kProofInterval + kCallMax);
  bed.etcd().mute = false;
  CHECK(bed.after(20s) == "");
  CHECK(bed.etcd().count("/v3/kv/range") >= 3);
}

TEST_CASE("a message of the watch beyond the limit is left, and everything listed again") {
  Bed bed;
  bed.start();
  CHECK(bed.after(50ms) == "list | current");
  bed.etcd().say("500000\r\n{\"x\":\"");
  for (int i = 0; i < 6 && bed.events.empty(); ++i) {
    bed.etcd().say(std::string(1U << 20, 'x'));
    bed.world.advance(50ms);
  }
  CHECK(bed.take() == "behind: a message of the watch is longer than 4 MiB | list | current");
}

TEST_CASE("entries, keys and values beyond the limits are counted and left out") {
  Bed bed;
  for (std::size_t i = 0; i < kEntriesMax; ++i)
    bed.store.put(kratos_key(std::to_string(10'000 + i)), kratos_value(std::to_string(i)));
  bed.store.put(kratos_key(std::string(kKeyBytesMax, 'k')), kratos_value("k"));
  bed.store.put(kratos_key("v"), kratos_value("v", std::string(kValueBytesMax, 'v')));
  bed.start();
  bed.world.advance(1s);
  CHECK(bed.status().read == kEntriesMax);
  CHECK(bed.status().skipped == 2);
  bed.take();
  bed.store.put(kratos_key("one-more"), kratos_value("one-more"));
  CHECK(bed.after(1ms) == "");
  CHECK(bed.status().skipped == 3);
  bed.store.remove(kratos_key("10000"));
  bed.store.put(kratos_key("one-more"), kratos_value("one-more"));
  CHECK(bed.after(1ms) == "lost 10000 | has one-more");
}

TEST_CASE("a key that cannot be read is counted once, for as long as it is there") {
  Bed bed;
  bed.start();
  CHECK(bed.after(50ms) == "list | current");
  for (int i = 0; i < 5; ++i) {
    bed.store.put(kratos_key("a"), "junk " + std::to_string(i));
    bed.store.put(kratos_key("b"), std::string(kValueBytesMax + 1, 'v'));
    bed.world.advance(1ms);
  }
  CHECK(bed.status().skipped == 2);
  bed.store.put(kratos_key("a"), kratos_value("a"));
  CHECK(bed.after(1ms) == "has a");
  CHECK(bed.status().skipped == 1);
  bed.store.remove(kratos_key("b"));
  bed.world.advance(1ms);
  CHECK(bed.status().skipped == 0);
  // Those beyond the limit are not counted.
  for (std::size_t i = 0; i <= kSkippedMax; ++i)
    bed.store.put(kratos_key(std::to_string(i)), "junk");
  bed.world.advance(10s);
  CHECK(bed.status().skipped == kSkippedMax);
  bed.take();
}

TEST_CASE("services that are not wanted take no room, however many there are") {
  Bed bed;
  bed.options.services = {"web", "order"};
  for (std::size_t i = 0; i <= kEntriesMax; ++i) {
    const std::string id = std::to_string(10'000 + i);
    bed.store.put(kratos_key(id, "big"), kratos_value(id, "big"));
  }
  bed.store.put(kratos_key("a"), kratos_value("a"));
  bed.start();
  bed.world.advance(1s);
  CHECK(bed.take() == "list a | current");
  bed.store.put(kratos_key("b", "order"), kratos_value("b", "order"));
  bed.store.put(kratos_key("c", "orders"), kratos_value("c", "orders"));
  CHECK(bed.after(1ms) == "has b");
  bed.store.put(kratos_key("b", "order"), kratos_value("b", "moved"));
  CHECK(bed.after(1ms) == "lost b");
  CHECK(bed.status().read == 1);
  CHECK(bed.status().skipped == 0);
}

TEST_CASE("of 5,000 entries 4,096 are kept, and it is said that the rest is left out") {
  Bed bed;
  for (int i = 0; i < 5'000; ++i)
    bed.store.put(kratos_key(std::to_string(10'000 + i)), kratos_value(std::to_string(i)));
  bed.start();
  bed.world.advance(1s);
  CHECK(bed.seen.size() == kEntriesMax);
  CHECK(bed.status().read == kEntriesMax);
  CHECK(bed.status().skipped == 5'000 - kEntriesMax);
  CHECK(bed.status().state == PlaceState::current);
  REQUIRE(bed.status().warnings.size() == 1);
  CHECK(bed.status().warnings[0].starts_with("more than 4096 entries"));
  while (bed.store.keys.size() > kEntriesMax)
    bed.store.remove(std::string(bed.store.keys.begin()->first));
  bed.world.advance(1s);
  CHECK(bed.status().read == kEntriesMax - (5'000 - kEntriesMax));
  bed.world.advance(kRoomUsed);
  CHECK(bed.status().read == kEntriesMax);
  CHECK(bed.status().skipped == 0);
  CHECK(bed.status().warnings.empty());
}

TEST_CASE("values that make a page too long are listed in shorter pages") {
  Bed bed;
  const std::string longest(std::size_t{3} << 19, 'v');
  for (int i = 0; i < 17; ++i)
    bed.store.put(kratos_key("long" + std::to_string(i)), longest);
  bed.store.put(kratos_key("z"), kratos_value("z"));
  static_assert(17 * (3U << 19) / 3 * 4 > kPageBytesMax);
  static_assert(kPageKeysOfLongValues * (3U << 19) / 3 * 4 < kPageBytesMax);
  bed.start();
  bed.world.advance(10s);
  CHECK(bed.take() == "list z | current");
  CHECK(bed.status().skipped == 17);
  CHECK(bed.etcd().count("/v3/kv/range") == 4);
}

TEST_CASE("members that the cluster names are used, and forgotten where they do not answer") {
  Bed bed(2);
  const std::string second = bed.options.endpoints.back();
  bed.options.endpoints.pop_back();
  bed.etcd(0).member_urls = {second, "http://10.9.9.9:2379", "https://10.0.0.10:2379"};
  bed.start();
  CHECK(bed.after(50ms) == "list | current");
  bed.etcd(0).set_running(false);
  CHECK(bed.after(1s).ends_with("list | current"));
  CHECK(bed.status().endpoint == second);
}

/// A file of its own, gone at the end.
class PasswordFile {
 public:
  explicit PasswordFile(std::string_view text) {
    char path[] = "/tmp/outrider_etcd_XXXXXX";
    const int fd = ::mkstemp(path);
    REQUIRE(fd >= 0);
    ::close(fd);
    path_ = path;
    write(text);
  }
  ~PasswordFile() { ::unlink(path_.c_str()); }
  void write(std::string_view text) const { REQUIRE(write_text_file(path_, text)); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST_CASE("a server that the cluster names is left when it belongs to another cluster") {
  Bed bed;
  sim::Host& host = bed.world.host("other");
  host.attach("eth0", bed.lan, {"10.0.0.99/24"});
  test::Store store(bed.world.env());
  test::Member other(host.env(), 2379, store);
  other.cluster_id = "7";
  store.put(kratos_key("b"), kratos_value("b"));
  bed.store.put(kratos_key("a"), kratos_value("a"));
  bed.etcd().member_urls = {"http://10.0.0.99:2379"};
  const PasswordFile file("secret\n");
  SUBCASE("without users") {}
  SUBCASE("with the same user") {
    store.users["root"] = "secret";
    bed.store.users["root"] = "secret";
    bed.options.user = "root";
    bed.options.password_file = file.path();
  }
  SUBCASE("with other users") {
    store.users["root"] = "another";
    bed.store.users["root"] = "secret";
    bed.options.user = "root";
    bed.options.password_file = file.path();
  }
  bed.start();
  bed.engine->put(Bed::registration("w1"));
  CHECK(bed.after(50ms) == "list a | current");
  bed.etcd().set_running(false);
  bed.world.advance(1min);
  CHECK(!other.requests.empty());
  CHECK(bed.take().find("list") == std::string::npos);
  CHECK(bed.status().state == PlaceState::behind);
  CHECK(bed.status().warnings.empty());
  CHECK(store.keys.size() == 1);
  CHECK(store.leases.empty());
  bed.etcd().set_running(true);
  CHECK(bed.world.run_until([&] { return bed.status().state == PlaceState::current; }, 20s));
  bed.take();
}

TEST_CASE("an engine that is asked to refresh lists again without being behind") {
  Bed bed;
  bed.start();
  CHECK(bed.after(50ms) == "list | current");
  for (int i = 0; i < 50; ++i)
    bed.engine->refresh();
  CHECK(bed.after(50ms) == "list");
  CHECK(bed.etcd().watches() == 1);
}

TEST_CASE("the user logs in once, and again when the server has forgotten") {
  Bed bed;
  const PasswordFile file("secret\n");
  bed.store.users["root"] = "secret";
  bed.store.readable = "/microservices/";
  bed.options.user = "root";
  bed.options.password_file = file.path();
  bed.start();
  CHECK(bed.after(50ms) == "list | current");
  bed.world.advance(60s);
  CHECK(bed.store.logins == 1);
  bed.store.tokens.clear();
  CHECK(bed.after(60s) == "");
  CHECK(bed.store.logins == 2);
  bed.store.users["root"] = "changed";
  bed.store.tokens.clear();
  CHECK(bed.after(20s).starts_with(
      "behind: user root cannot log in: etcdserver: authentication failed"));
  CHECK(bed.status().warnings.at(0).starts_with("keys cannot be read: user root cannot log in"));
  file.write("changed\n");
  CHECK(bed.after(20s) == "list | current");
  CHECK(bed.status().warnings.empty());
}

TEST_CASE("without a password file, a user or a right, the status says what is missing") {
  Bed bed;
  const PasswordFile file("secret\n");
  bed.store.users["root"] = "secret";
  SUBCASE("no file") {
    bed.options.user = "root";
    bed.options.password_file = "/nowhere/password";
    bed.start();
    CHECK(bed.after(50ms) == "behind: /nowhere/password: No such file or directory");
  }
  SUBCASE("no user") {
    bed.start();
    CHECK(bed.after(50ms) == "behind: the cluster wants a user");
  }
  SUBCASE("no right to a wider range") {
    bed.store.readable = "/microservices/mine/";
    bed.options.user = "root";
    bed.options.password_file = file.path();
    bed.start();
    CHECK(bed.after(50ms) == "behind: etcdserver: permission denied");
  }
  REQUIRE(bed.status().warnings.size() == 1);
  CHECK(bed.status().warnings[0].starts_with("keys cannot be read: "));
}

TEST_CASE("a user is not needed where authentication is off") {
  Bed bed;
  const PasswordFile file("secret\n");
  bed.options.user = "root";
  bed.options.password_file = file.path();
  bed.start();
  CHECK(bed.after(50ms) == "list | current");
  CHECK(bed.store.logins == 1);
}

}  // namespace
}  // namespace outrider::registries::etcd
