// SPDX-License-Identifier: Apache-2.0
// What both providers promise (mdns/provider.h): the native one on a simulated LAN, and the one
// through avahi-daemon with a daemon that is simulated as a whole.
#include <algorithm>
#include <map>

#include <doctest/doctest.h>

#include "mdns/avahi/avahi_provider.h"
#include "mdns/native/native_provider.h"
#include "tests/mdns/fake_avahi.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

/// Writes down what it is told.
struct Seer final : Provider::Sink {
  std::map<AnnouncementId, std::string> announced;
  std::vector<AnnouncementId> conflicts;
  std::map<SightingKey, Sighting> sightings;
  std::vector<std::pair<std::string, LostReason>> lost;
  ProviderState state = ProviderState::starting;
  std::unique_ptr<Provider> provider;
  bool inside = false;  // a call of ours: nothing may come from within it
  bool stopped = false;

  explicit Seer(std::unique_ptr<Provider> made) : provider(std::move(made)) {
    call([&] { provider->start(*this); });
    call([&] { provider->browse({"_hello._tcp"}); });
  }
  template <class F>
  void call(F&& function) {
    inside = true;
    function();
    inside = false;
  }
  void publish(AnnouncementId id, const Announcement& wanted) {
    call([&] { CHECK(provider->publish(id, wanted).has_value()); });
  }
  void stop() {
    call([&] { provider->stop([this] { stopped = true; }); });
  }
  const Sighting* sees(const std::string& label) const {
    const auto found = sightings.find({"_hello._tcp", label});
    return found == sightings.end() ? nullptr : &found->second;
  }

  void quiet() const {
    CHECK_FALSE(inside);
    CHECK_FALSE(stopped);
  }
  void on_announced(AnnouncementId id, const std::string& label) override {
    quiet();
    announced[id] = label;
  }
  void on_conflict(AnnouncementId id) override {
    quiet();
    conflicts.push_back(id);
  }
  void on_sighting(const Sighting& sighting) override {
    quiet();
    CHECK(sighting.port != 0);
    CHECK_FALSE(sighting.addresses.empty());
    sightings[sighting.key] = sighting;
  }
  void on_lost(const SightingKey& key, LostReason reason) override {
    quiet();
    CHECK(sightings.erase(key) == 1);
    lost.emplace_back(key.label, reason);
  }
  void on_state(ProviderState now, const std::string&) override {
    quiet();
    state = now;
  }
};

struct Hosts {
  Hosts() {
    for (const char* name : {"a", "b"}) {
      const std::string address = std::string("192.168.1.") + (*name == 'a' ? '2' : '3') + "/24";
      world.host(name).attach("eth0", world.link("lan"), {address});
    }
  }
  sim::World world{42};
};

struct NativeWorld : Hosts {
  std::unique_ptr<Provider> make(const std::string& host, const std::string& cookie,
                                 ConflictPolicy conflict = ConflictPolicy::rename) {
    NativeOptions options;
    options.host = host;
    options.cookie = cookie;
    options.machine = host;
    options.conflict = conflict;
    return make_native_provider(world.host(host).env(), options);
  }
};

struct AvahiWorld : Hosts {
  std::unique_ptr<Provider> make(const std::string& host, const std::string& cookie,
                                 ConflictPolicy conflict = ConflictPolicy::rename) {
    AvahiOptions options;
    options.host = host;
    options.cookie = cookie;
    options.machine = host;
    options.conflict = conflict;
    auto& daemon = daemons[host];
    if (!daemon) daemon = std::make_unique<fake::Daemon>(world.host(host), lan);
    return make_avahi_provider(world.host(host).env(), options, daemon->make_client());
  }
  fake::Lan lan{world};
  std::map<std::string, std::unique_ptr<fake::Daemon>> daemons;
};

Announcement hello(const std::string& label = "hello", std::uint16_t port = 8080) {
  Announcement out;
  out.label = label;
  out.type = "_hello._tcp";
  out.port = port;
  out.txt = {"farp.enabled=true", "version=1"};
  return out;
}

Announcement shop() {
  Announcement out;
  out.label = "shop";
  return out;
}

template <class World>
struct Two {
  World world;
  Seer a{world.make("a", "a1")};
  Seer b{world.make("b", "b1")};
  bool until(const std::function<bool()>& done, Duration most = 5s) {
    return world.world.run_until(done, most);
  }
  void advance(Duration by) { world.world.advance(by); }
  /// The addresses of a host, as `who` finds them: "192.168.1.2 192.168.1.3".
  std::string find(Seer& who, const std::string& host) {
    std::optional<std::string> text;
    const auto lookup = who.provider->lookup_host(
        host, 1s, [&](std::optional<std::vector<SightedAddress>> addresses, Duration) {
          REQUIRE(addresses.has_value());
          text.emplace();
          for (const SightedAddress& each : *addresses)
            *text += (text->empty() ? "" : " ") + each.address.to_string();
        });
    REQUIRE(until([&] { return text.has_value(); }, 3s));
    return *text;
  }
};

}  // namespace

#define PROVIDER_WORLDS NativeWorld, AvahiWorld

TEST_CASE_TEMPLATE("published, seen, and gone by goodbye", World, PROVIDER_WORLDS) {
  Two<World> two;
  two.a.publish(1, hello());
  REQUIRE(two.until([&] { return two.b.sees("hello") != nullptr; }));
  REQUIRE(two.until([&] { return two.a.announced.contains(1); }));
  CHECK(two.a.announced[1] == "hello");
  const Sighting& seen = *two.b.sees("hello");
  CHECK(seen.port == 8080);
  CHECK(seen.txt == std::vector<std::string>{"farp.enabled=true", "version=1"});
  CHECK(seen.addresses.front().address.to_string() == "192.168.1.2");
  CHECK(seen.host.ends_with(".local"));
  CHECK_FALSE(seen.own_host);
  CHECK(seen.expires > two.world.world.now());
  two.advance(5s);
  CHECK(two.a.sightings.empty());  // no provider sights its own
  CHECK(two.a.state == ProviderState::running);
  two.a.call([&] { two.a.provider->withdraw(1); });
  REQUIRE(two.until([&] { return two.b.sees("hello") == nullptr; }, 3s));
  CHECK(two.b.lost.back() == std::pair(std::string("hello"), LostReason::goodbye));
  two.a.call([&] { two.a.provider->withdraw(1); });  // unknown: ignored
}

TEST_CASE_TEMPLATE("a TXT change loses nobody", World, PROVIDER_WORLDS) {
  Two<World> two;
  two.a.publish(1, hello());
  REQUIRE(two.until([&] { return two.b.sees("hello") != nullptr; }));
  two.advance(2s);
  Announcement changed = hello();
  for (const char* version : {"version=2", "version=3", "version=4"}) {
    changed.txt = {version};
    two.a.publish(1, changed);
  }
  REQUIRE(two.until([&] { return two.b.sees("hello")->txt == changed.txt; }));
  CHECK(two.b.lost.empty());
  changed.port = 9;
  two.a.publish(1, changed);
  REQUIRE(two.until([&] {
    const Sighting* seen = two.b.sees("hello");
    return seen != nullptr && seen->port == 9;
  }));
}

TEST_CASE_TEMPLATE("a name that is taken: another one, or none", World, PROVIDER_WORLDS) {
  Two<World> two;
  two.a.publish(1, hello());
  REQUIRE(two.until([&] { return two.a.announced.contains(1); }));
  two.advance(2s);
  two.b.publish(7, hello("hello", 9));
  REQUIRE(two.until([&] { return two.b.announced.contains(7); }, 10s));
  CHECK(two.b.announced[7] == "hello-2");
  REQUIRE(two.until([&] { return two.a.sees("hello-2") != nullptr; }));
  CHECK(two.a.sees("hello-2")->port == 9);

  Seer strict(two.world.make("b", "b2", ConflictPolicy::fail));
  strict.publish(3, hello("hello", 10));
  REQUIRE(two.until([&] { return !strict.conflicts.empty(); }, 10s));
  CHECK(strict.conflicts == std::vector<AnnouncementId>{3});
  two.advance(10s);
  CHECK_FALSE(strict.announced.contains(3));
  // Published again by publish() alone, when the name is free.
  two.a.call([&] { two.a.provider->withdraw(1); });
  two.advance(2s);
  strict.publish(3, hello("hello", 10));
  REQUIRE(two.until([&] { return strict.announced.contains(3); }, 10s));
}

TEST_CASE_TEMPLATE("for this host only: neighbours see it, the LAN does not", World,
                   PROVIDER_WORLDS) {
  Two<World> two;
  Seer neighbour(two.world.make("a", "a2"));
  Announcement secret = hello("secret");
  secret.host_only = true;
  two.a.publish(1, secret);
  two.a.publish(2, hello("open"));
  REQUIRE(two.until([&] { return neighbour.sees("secret") && neighbour.sees("open"); }));
  CHECK(neighbour.sees("secret")->addresses[0].address.is_loopback());
  CHECK(neighbour.sees("secret")->own_host);
  CHECK(neighbour.sees("open")->addresses[0].address.to_string() == "192.168.1.2");
  REQUIRE(two.until([&] { return two.b.sees("open") != nullptr; }));
  two.advance(5s);
  CHECK(two.b.sees("secret") == nullptr);
}

TEST_CASE_TEMPLATE("an address in the TXT is that of the interface; one of its own is kept", World,
                   PROVIDER_WORLDS) {
  Two<World> two;
  Announcement marked = hello();
  marked.txt = {"url=http://{address}:8080/"};
  two.a.publish(1, marked);
  Announcement elsewhere = hello("elsewhere");
  elsewhere.addresses = {*IpAddress::parse("192.168.1.77")};
  two.a.publish(2, elsewhere);
  REQUIRE(two.until([&] { return two.b.sees("hello") && two.b.sees("elsewhere"); }));
  CHECK(two.b.sees("hello")->txt == std::vector<std::string>{"url=http://192.168.1.2:8080/"});
  const Sighting& seen = *two.b.sees("elsewhere");
  REQUIRE(seen.addresses.size() == 1);
  CHECK(seen.addresses[0].address.to_string() == "192.168.1.77");
  CHECK(seen.host != two.b.sees("hello")->host);
}

TEST_CASE_TEMPLATE("a name of its own leads to the host, and is gone by goodbye", World,
                   PROVIDER_WORLDS) {
  Two<World> two;
  two.a.publish(1, shop());
  REQUIRE(two.until([&] { return two.a.announced.contains(1); }));
  CHECK(two.a.announced[1] == "shop");
  for (Seer* who : {&two.a, &two.b})
    CHECK(two.find(*who, "shop.local") == "192.168.1.2");
  two.a.publish(1, shop());
  two.advance(3s);
  CHECK(two.find(two.b, "shop.local") == "192.168.1.2");
  two.world.world.host("a").add_address("eth0", "192.168.1.9/24");
  two.world.world.host("a").remove_address("eth0", "192.168.1.2");
  two.advance(5s);
  CHECK(two.find(two.b, "shop.local") == "192.168.1.9");
  CHECK(two.a.announced[1] == "shop");
  two.a.call([&] { two.a.provider->withdraw(1); });
  two.advance(3s);
  for (Seer* who : {&two.a, &two.b})
    CHECK(two.find(*who, "shop.local").empty());
  CHECK(two.a.lost.empty());
  CHECK(two.b.sightings.empty());
}

TEST_CASE_TEMPLATE("a name of its own that another host has: the next one, or none", World,
                   PROVIDER_WORLDS) {
  Two<World> two;
  two.a.publish(1, shop());
  REQUIRE(two.until([&] { return two.a.announced.contains(1); }));
  two.b.publish(7, shop());
  REQUIRE(two.until([&] { return two.b.announced.contains(7); }, 10s));
  CHECK(two.b.announced[7] == "shop-2");
  CHECK(two.find(two.b, "shop.local") == "192.168.1.2");
  CHECK(two.find(two.a, "shop-2.local") == "192.168.1.3");
  CHECK(two.a.announced[1] == "shop");

  // It is kept although the first one is free, and asked for again.
  two.a.call([&] { two.a.provider->withdraw(1); });
  two.advance(3s);
  CHECK(two.b.announced[7] == "shop-2");
  two.b.call([&] { two.b.provider->withdraw(7); });
  two.advance(3s);
  two.b.announced.clear();
  Announcement again = shop();
  again.preferred = "shop-2";
  two.b.publish(7, again);
  REQUIRE(two.until([&] { return two.b.announced.contains(7); }));
  CHECK(two.b.announced[7] == "shop-2");

  Seer strict(two.world.make("a", "a2", ConflictPolicy::fail));
  again.preferred.clear();
  again.label = "shop-2";
  strict.publish(3, again);
  REQUIRE(two.until([&] { return !strict.conflicts.empty(); }, 10s));
  CHECK_FALSE(strict.announced.contains(3));
  two.b.call([&] { two.b.provider->withdraw(7); });
  two.advance(3s);
  strict.publish(3, again);
  REQUIRE(two.until([&] { return strict.announced.contains(3); }, 10s));
}

TEST_CASE_TEMPLATE("no name of its own is the machine's, or one that is published", World,
                   PROVIDER_WORLDS) {
  Two<World> two;
  Announcement like_machine = shop();
  like_machine.label = "A";
  two.a.publish(1, like_machine);
  two.a.publish(2, shop());
  two.a.publish(3, shop());
  REQUIRE(two.until([&] { return two.a.announced.size() == 3; }));
  CHECK(two.a.announced[1] == "A-2");
  CHECK(two.a.announced[2] == "shop");
  CHECK(two.a.announced[3] == "shop-2");
}

TEST_CASE_TEMPLATE("types are found by themselves, and asked for by name", World, PROVIDER_WORLDS) {
  Two<World> two;
  Announcement other = hello("p");
  other.type = "_printer._tcp";
  two.a.publish(1, other);
  two.b.call([&] { two.b.provider->ask("_scanner._tcp"); });
  const SightingKey key{"_printer._tcp", "p"};
  CHECK(two.until([&] { return two.b.sightings.contains(key); }, 10s));
}

TEST_CASE_TEMPLATE("what cannot be published is refused at the door", World, PROVIDER_WORLDS) {
  Two<World> two;
  const auto refused = [&](auto&& edit) {
    Announcement wanted = hello();
    edit(wanted);
    const auto result = two.a.provider->publish(1, wanted);
    return result ? std::string() : std::string(to_string(result.error()));
  };
  CHECK(refused([](Announcement& a) { a.label.clear(); }) == "bad_label");
  CHECK(refused([](Announcement& a) { a.label = std::string(64, 'x'); }) == "bad_label");
  CHECK(refused([](Announcement& a) { a.type = "hello"; }) == "bad_type");
  for (const char* label : {"", "a_b", "a b", "-a", "a-", "\xc3\xa4", "a.b"})
    CHECK(refused([&](Announcement& a) { a.type.clear(), a.label = label; }) == "bad_label");
  CHECK(refused([](Announcement& a) { a.type.clear(), a.preferred = "-"; }) == "bad_label");
  CHECK(refused([](Announcement& a) { a.type.clear(), a.label = std::string(64, 'x'); }) ==
        "bad_label");
  CHECK(refused([](Announcement& a) { a.txt = {"=x"}; }) == "bad_txt");
  CHECK(refused([](Announcement& a) { a.txt.assign(5, std::string(250, 'k')); }) == "txt_too_long");
}

TEST_CASE_TEMPLATE("hosts are looked up, in vain within the time given, or no longer", World,
                   PROVIDER_WORLDS) {
  Two<World> two;
  two.a.publish(1, hello());
  REQUIRE(two.until([&] { return two.b.sees("hello") != nullptr; }));
  two.advance(2s);
  const std::string host = two.b.sees("hello")->host;
  std::optional<std::vector<SightedAddress>> found, nobody;
  bool cancelled = true;
  const auto take = [](auto& into) {
    return [&into](std::optional<std::vector<SightedAddress>> addresses, Duration) {
      into = std::move(addresses);
    };
  };
  const auto one = two.b.provider->lookup_host(host, 2s, take(found));
  const auto two_of_them = two.b.provider->lookup_host("nobody.local", 2s, take(nobody));
  {
    const auto dropped =
        two.b.provider->lookup_host(host, 2s, [&](const auto&, Duration) { cancelled = false; });
  }
  CHECK_FALSE(found);
  const TimePoint begun = two.world.world.now();
  REQUIRE(two.until([&] { return found.has_value(); }, 1s));
  REQUIRE(found->size() == 1);
  CHECK(found->front().address.to_string() == "192.168.1.2");
  REQUIRE(two.until([&] { return nobody.has_value(); }, 3s));
  CHECK(nobody->empty());
  CHECK(two.world.world.now() - begun <= 2s + 10ms);
  CHECK(cancelled);
}

TEST_CASE_TEMPLATE("stop says goodbye, is done once, and is silent after", World, PROVIDER_WORLDS) {
  Two<World> two;
  two.a.publish(1, hello());
  two.b.publish(1, hello("world"));
  REQUIRE(two.until([&] { return two.b.sees("hello") && two.a.sees("world"); }));
  two.a.stop();
  CHECK_FALSE(two.a.stopped);
  REQUIRE(two.until([&] { return two.a.stopped; }, 3s));
  REQUIRE(two.until([&] { return two.b.sees("hello") == nullptr; }, 3s));
  CHECK(two.a.lost.empty());
  two.a.publish(2, hello("late"));
  two.a.call([&] { two.a.provider->ask("_hello._tcp"); });
  two.b.call([&] { two.b.provider->withdraw(1); });
  two.advance(10s);
  CHECK(two.b.sees("late") == nullptr);
}

TEST_CASE_TEMPLATE("destroyed at any moment", World, PROVIDER_WORLDS) {
  for (const Duration moment : {Duration(0), Duration(1ms), Duration(300ms), Duration(3s)}) {
    World world;
    Seer a(world.make("a", "a1"));
    Seer b(world.make("b", "b1"));
    a.publish(1, hello());
    world.world.advance(moment);
    const auto lookup = a.provider->lookup_host("b.local", 1s, [](auto, Duration) {});
    if (moment >= 3s) CHECK(b.sees("hello") != nullptr);
    b.stop();
    b.provider.reset();
    world.world.advance(5s);
    CHECK(a.sightings.empty());
  }
}
