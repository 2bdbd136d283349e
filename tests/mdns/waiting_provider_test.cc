// SPDX-License-Identifier: Apache-2.0
// provider "auto" on a host whose mDNS port was held when the agent started.
#include "mdns/choice/waiting_provider.h"

#include <doctest/doctest.h>

#include "mdns/avahi/avahi_provider.h"
#include "tests/mdns/fake_avahi.h"
#include "tests/mdns/peer.h"

using namespace outrider;
using namespace outrider::mdns;

namespace {

struct Sink final : Provider::Sink {
  std::map<AnnouncementId, std::string> announced;
  std::map<SightingKey, Sighting> sightings;
  ProviderState state = ProviderState::starting;
  std::string why;
  void on_announced(AnnouncementId id, const std::string& label) override { announced[id] = label; }
  void on_conflict(AnnouncementId) override {}
  void on_sighting(const Sighting& sighting) override { sightings[sighting.key] = sighting; }
  void on_lost(const SightingKey& key, LostReason) override { sightings.erase(key); }
  void on_state(ProviderState now, const std::string& reason) override {
    state = now;
    why = reason;
  }
};

/// Host a with the port held and perhaps a daemon, and host b with the native provider.
struct Bench {
  explicit Bench(bool with_daemon) {
    world.host("a").attach("eth0", world.link("lan"), {"192.168.1.2/24"});
    world.host("b").attach("eth0", world.link("lan"), {"192.168.1.3/24"});
    if (!with_daemon) daemon.stop();
    provider = make_waiting_provider(
        world.host("a").env(), make_avahi_provider(world.host("a").env(), {}, daemon.make_client()),
        {.port_is_held =
             [this] {
               ++looks;
               return held;
             },
         .make_native =
             [this] { return make_native_provider(world.host("a").env(), options_for("a")); }});
    provider->start(sink);
    CHECK(provider->publish(1, hello("from-a")).has_value());
    CHECK(provider->publish(2, hello("gone")).has_value());
    provider->withdraw(2);
    provider->browse({"_hello._tcp"});
    bob.emplace(world.host("b"), options_for("b"));
    CHECK((*bob)->publish(1, hello("from-b")).has_value());
    (*bob)->browse({"_hello._tcp"});
  }
  bool sees_bob() const { return sink.sightings.contains({"_hello._tcp", "from-b"}); }

  sim::World world{5};
  fake::Lan lan{world};
  fake::Daemon daemon{world.host("a"), lan};
  bool held = true;
  int looks = 0;
  Sink sink;
  std::unique_ptr<Provider> provider;
  std::optional<Peer> bob;
};

}  // namespace

TEST_CASE("without a daemon the native provider takes over as soon as the port is free") {
  Bench bench(false);
  bench.world.advance(30s);
  CHECK(bench.sink.state == ProviderState::down);
  CHECK(bench.bob->sees("from-a") == nullptr);
  bench.held = false;
  REQUIRE(bench.world.run_until([&] { return bench.bob->sees("from-a") && bench.sees_bob(); },
                                kPortLook + 3s));
  CHECK(bench.sink.state == ProviderState::running);
  CHECK(bench.sink.announced[1] == "from-a");
  CHECK(bench.bob->sees("gone") == nullptr);
  CHECK(bench.world.host("a").log().count("mdns_provider_changed") == 1);
  // What is published later, withdrawn and stopped is the native provider's.
  const int looks = bench.looks;
  CHECK(bench.provider->publish(3, hello("later")).has_value());
  bench.provider->withdraw(1);
  REQUIRE(bench.world.run_until(
      [&] { return bench.bob->sees("later") && !bench.bob->sees("from-a"); }, 5s));
  bool stopped = false;
  bench.provider->stop([&] { stopped = true; });
  REQUIRE(bench.world.run_until([&] { return stopped && !bench.bob->sees("later"); }, 5s));
  CHECK(bench.looks == looks);
}

TEST_CASE("a daemon that runs keeps its task, and the port is not looked at") {
  Bench bench(true);
  REQUIRE(bench.world.run_until([&] { return bench.sink.state == ProviderState::running; }, 10s));
  bench.held = false;
  const int looks = bench.looks;
  bench.world.advance(300s);
  CHECK(bench.looks == looks);
  CHECK(bench.world.host("a").log().count("mdns_provider_changed") == 0);
}

TEST_CASE("a daemon that restarts finds its port free; one that stays away is replaced") {
  Bench bench(true);
  REQUIRE(bench.world.run_until([&] { return bench.sink.state == ProviderState::running; }, 10s));
  bench.held = false;
  bench.daemon.stop();
  bench.world.advance(kDaemonPatience - 10s);
  CHECK(bench.world.host("a").log().count("mdns_provider_changed") == 0);
  bench.daemon.start();
  REQUIRE(bench.world.run_until([&] { return bench.sink.state == ProviderState::running; }, 15s));
  bench.world.advance(kDaemonPatience);
  CHECK(bench.world.host("a").log().count("mdns_provider_changed") == 0);
  bench.daemon.stop();
  REQUIRE(bench.world.run_until([&] { return bench.bob->sees("from-a") && bench.sees_bob(); },
                                kDaemonPatience + 10s));
}

TEST_CASE("a provider that is stopped while it waits takes nothing over") {
  Bench bench(false);
  bench.world.advance(5s);
  bool stopped = false;
  bench.provider->stop([&] { stopped = true; });
  bench.held = false;
  REQUIRE(bench.world.run_until([&] { return stopped; }, 10s));
  bench.world.advance(30s);
  CHECK(bench.world.host("a").log().count("mdns_provider_changed") == 0);
}
