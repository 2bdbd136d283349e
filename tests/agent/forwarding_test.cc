// SPDX-License-Identifier: Apache-2.0
#include "agent/forwarding.h"

#include <doctest/doctest.h>

#include "tests/sim/world.h"

using namespace outrider;

namespace {

struct NoUpstream final : dns::Upstream {
  std::unique_ptr<Pending> send(const Endpoint&, Bytes, Duration, Answer) override {
    return nullptr;
  }
};

struct Host {
  sim::World world;
  DnsConfig config;
  std::string resolv_conf, uplink_conf;
  std::function<void()> changed;
  std::vector<dns::Forwarder*> chosen;
  std::vector<dns::Name> local;
  std::unique_ptr<Forwarding> forwarding;

  Host(Choice choice, std::vector<std::string> upstream) {
    config.listen = {*Endpoint::parse("127.0.0.55:53")};
    config.forward = choice;
    config.upstream = std::move(upstream);
  }
  void start() {
    ForwardParts parts;
    parts.make_upstream = [](Env&) { return std::make_unique<NoUpstream>(); };
    parts.resolv_conf = [this] { return dns::parse_resolv_conf(resolv_conf); };
    parts.uplink_conf = [this] { return dns::parse_resolv_conf(uplink_conf); };
    parts.watch = [this](std::function<void()> call) {
      changed = std::move(call);
      return std::vector<std::unique_ptr<Pending>>();
    };
    forwarding = std::make_unique<Forwarding>(
        world.env(), config, std::move(parts),
        [this](dns::Forwarder* forwarder) { chosen.push_back(forwarder); },
        [this](const std::vector<dns::Name>& domains) { local = domains; });
    forwarding->start();
  }
  std::string upstreams() const {
    std::string text;
    for (const Endpoint& server : forwarding->upstreams())
      text += server.to_string() + ' ';
    return text;
  }
};

}  // namespace

TEST_CASE("auto forwards only while we are the host's only name server") {
  Host host(Choice::automatic, {"system"});
  host.resolv_conf = "nameserver 127.0.0.55\nnameserver 192.0.2.1\n";
  host.uplink_conf = "nameserver 198.51.100.1\n";
  host.start();
  CHECK(!host.forwarding->on());
  CHECK(host.chosen.empty());

  host.resolv_conf = "nameserver 127.0.0.55\n";
  host.changed();
  CHECK(host.forwarding->on());
  CHECK(host.upstreams() == "198.51.100.1:53 ");
  REQUIRE(host.chosen.size() == 1);
  CHECK(host.chosen[0] != nullptr);
  host.changed();
  CHECK(host.chosen.size() == 1);

  host.resolv_conf = "nameserver 192.0.2.1\n";
  host.changed();
  CHECK(!host.forwarding->on());
  CHECK(host.upstreams().empty());
  CHECK(host.chosen.back() == nullptr);
}

TEST_CASE("the status has the name servers of the host, and which of them is the agent") {
  for (const Choice forward : {Choice::automatic, Choice::off}) {
    Host host(forward, {"system"});
    host.resolv_conf = "nameserver 127.0.0.55\nnameserver 192.0.2.1\n";
    host.start();
    std::string status;
    json::Writer out(status);
    out.begin_object();
    host.forwarding->write_status(out, 0);
    out.end_object();
    CHECK(status.find(R"("system":[{"server":"127.0.0.55:53","own":true},)"
                      R"({"server":"192.0.2.1:53","own":false}])") != std::string::npos);
  }
}

TEST_CASE("on forwards to the host's servers but ourselves, or to those that are given") {
  Host host(Choice::on, {"system"});
  host.resolv_conf = "nameserver 127.0.0.55\nnameserver 192.0.2.1\n";
  host.start();
  CHECK(host.forwarding->on());
  CHECK(host.upstreams() == "192.0.2.1:53 ");
  host.resolv_conf = "nameserver 192.0.2.2\n";
  host.changed();
  CHECK(host.upstreams() == "192.0.2.2:53 ");
  CHECK(host.chosen.size() == 1);

  Host given(Choice::on, {"198.51.100.7", "[2001:db8::1]:5353", "system"});
  given.resolv_conf = "nameserver 192.0.2.1\n";
  given.start();
  CHECK(given.upstreams() == "198.51.100.7:53 [2001:db8::1]:5353 192.0.2.1:53 ");
}

TEST_CASE("a reload turns it on and off, and changes the servers") {
  Host host(Choice::off, {"192.0.2.1"});
  host.resolv_conf = "nameserver 127.0.0.55\nsearch corp.example\noptions rotate\n";
  host.start();
  CHECK(host.chosen.empty());
  host.config.forward = Choice::on;
  host.forwarding->reload();
  REQUIRE(host.chosen.size() == 1);
  CHECK(host.chosen[0] != nullptr);
  CHECK(host.upstreams() == "192.0.2.1:53 ");
  REQUIRE(host.changed);

  host.config.upstream = {"192.0.2.2", "192.0.2.1:5353"};
  host.config.cache_entries = 5;
  host.config.rebind_protection = false;
  host.forwarding->reload();
  CHECK(host.upstreams() == "192.0.2.2:53 192.0.2.1:5353 ");
  CHECK(host.chosen.size() == 1);

  host.config.forward = Choice::off;
  host.forwarding->reload();
  CHECK(host.chosen == std::vector<dns::Forwarder*>{host.chosen[0], nullptr});
  CHECK(host.upstreams().empty());
  CHECK(!host.forwarding->on());
  host.config.forward = Choice::automatic;  // we are the only name server of resolv.conf
  host.forwarding->reload();
  CHECK(host.chosen.back() == host.chosen[0]);
}

TEST_CASE("a resolv.conf that leads back to us leaves no server to ask") {
  Host host(Choice::automatic, {"system"});
  host.resolv_conf = "nameserver 127.0.0.55\n";
  host.start();
  CHECK(host.forwarding->on());
  CHECK(host.upstreams().empty());
  CHECK(host.world.host("here").log().count("upstream_skipped") == 1);
  host.uplink_conf = "nameserver 127.0.0.55\n";
  host.changed();
  CHECK(host.upstreams().empty());
  host.uplink_conf = "nameserver 192.0.2.1\n";
  host.changed();
  CHECK(host.upstreams() == "192.0.2.1:53 ");
}

TEST_CASE("off forwards nothing and makes nothing") {
  Host host(Choice::off, {"system"});
  host.resolv_conf = "nameserver 127.0.0.55\n";
  host.start();
  CHECK(!host.forwarding->on());
  CHECK(host.chosen.empty());
  CHECK(host.forwarding->counters().sent == 0);
}

TEST_CASE("domains below local that resolv.conf searches belong to unicast DNS") {
  const auto names = [](std::initializer_list<std::string_view> texts) {
    std::vector<dns::Name> all;
    for (const std::string_view text : texts)
      all.push_back(*dns::Name::parse(text));
    return all;
  };
  for (const Choice choice : {Choice::on, Choice::automatic, Choice::off}) {
    Host host(choice, {"192.0.2.1"});
    host.resolv_conf = "nameserver 192.0.2.1\nsearch corp.local example.com local\n";
    host.start();
    CHECK(host.local == names({"corp.local"}));
    host.resolv_conf = "nameserver 192.0.2.1\nsearch svc.cluster.local cluster.local\n";
    host.changed();
    CHECK(host.local == names({"svc.cluster.local", "cluster.local"}));
    host.config.unicast_local = names({"local"});  // who says so means it
    host.resolv_conf = "nameserver 192.0.2.1\n";
    host.forwarding->reload();
    CHECK(host.local == names({"local"}));
    host.config.unicast_local = {};
    host.forwarding->reload();
    CHECK(host.local.empty());
  }
}

TEST_CASE("a link-local server names its interface, which may come and go") {
  Host host(Choice::on, {"fe80::1%eth0", "[fe80::2%eth0]:5353", "192.0.2.1"});
  host.start();
  CHECK(host.upstreams() == "192.0.2.1:53 ");
  sim::Host& here = host.world.host("here");
  const auto index = std::to_string(here.attach("eth0", host.world.link("lan"), {"fe80::9/64"}));
  host.world.settle();
  CHECK(host.upstreams() ==
        "[fe80::1%" + index + "]:53 [fe80::2%" + index + "]:5353 192.0.2.1:53 ");
}
