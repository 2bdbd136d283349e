// SPDX-License-Identifier: Apache-2.0
#include "agent/lan/lan.h"

#include <doctest/doctest.h>

#include "tests/sim/world.h"

using namespace outrider;

namespace {

/// A link on which the test says what happens.
struct ScriptedLink final : mdns::Provider {
  mdns::Provider::Sink* sink = nullptr;
  std::vector<mdns::ServiceType> browsed, asked;
  std::size_t published = 0, withdrawn = 0;

  void start(Sink& to) override { sink = &to; }
  Result<void, mdns::PublishError> publish(mdns::AnnouncementId,
                                           const mdns::Announcement&) override {
    ++published;
    return {};
  }
  void withdraw(mdns::AnnouncementId) override { ++withdrawn; }
  void browse(const std::vector<mdns::ServiceType>& types) override { browsed = types; }
  void ask(const mdns::ServiceType& type) override { asked.push_back(type); }
  std::unique_ptr<HostLookup> lookup_host(const std::string&, Duration, HostCallback) override {
    return nullptr;
  }
  void stop(Callback<void()> done) override { done(); }
};

mdns::Sighting web() {
  mdns::Sighting sighting{.key = {"_web._tcp", "web-1"}, .host = "box.local", .port = 80};
  sighting.txt = {"outrider=cookie"};
  sighting.addresses = {{*IpAddress::parse("10.0.0.9"), 2}};
  return sighting;
}

struct Scene final : Lan::Sink {
  sim::World world{1};
  MdnsConfig config;
  registry::Registry registry{"box"};
  ScriptedLink* link = nullptr;
  Lan lan;
  std::vector<std::string> events;

  explicit Scene(std::unique_ptr<ScriptedLink> provider = std::make_unique<ScriptedLink>())
      : config{.shared_types = {}, .browse = {"_extra._tcp"}},
        link(provider.get()),
        lan(world.env(), config, registry, std::move(provider), {}, *this) {
    lan.start();
  }
  registry::Moment now() { return {world.now(), {}}; }

  void on_seen(registry::Sighting sighting) override {
    events.push_back("seen " + sighting.id.text());
    registry.see(std::move(sighting), now());
  }
  void on_gone(const std::string& place) override {
    events.push_back("gone");
    registry.lose(place, now());
  }
  void on_stale(const std::string& place, const registry::StaleFor&) override {
    events.push_back("stale");
    registry.go_stale(place, now());
  }
  void on_source_state() override {}
  void on_link_sighting(const mdns::Sighting&) override {}
  void on_link_lost(const mdns::SightingKey& key) override {
    events.push_back("lost " + key.label);
  }
  void on_local_name(const std::string& instance, const std::string& name) override {
    events.push_back("local name " + name + " of " + instance);
  }

  std::vector<std::string> take() { return std::exchange(events, {}); }
};

using Events = std::vector<std::string>;

}  // namespace

TEST_CASE("what was seen on an interface that went down is stale until the registry forgets it") {
  Scene scene;
  scene.link->sink->on_sighting(web());
  CHECK(scene.take() == Events{"seen web-1"});
  scene.link->sink->on_lost(web().key, mdns::LostReason::interface_down);
  CHECK(scene.take() == Events{"stale"});
  scene.lan.forget_expired();
  CHECK(scene.take().empty());
  scene.world.advance(registry::kStaleGrace);
  (void)scene.registry.expire(scene.now());
  scene.lan.forget_expired();
  CHECK(scene.take() == Events{"lost web-1"});
  scene.lan.forget_expired();
  CHECK(scene.take().empty());
}

TEST_CASE("a sighting that comes back before its grace has ended is not forgotten") {
  Scene scene;
  scene.link->sink->on_sighting(web());
  scene.link->sink->on_lost(web().key, mdns::LostReason::interface_down);
  scene.link->sink->on_sighting(web());
  scene.take();
  (void)scene.registry.lose("mdns _web._tcp web-1", scene.now());
  scene.lan.forget_expired();
  CHECK(scene.take().empty());
}

TEST_CASE("a goodbye ends a sighting at once, and one of another kind is gone from its place") {
  Scene scene;
  scene.link->sink->on_sighting(web());
  scene.link->sink->on_lost(web().key, mdns::LostReason::goodbye);
  CHECK(scene.take() == Events{"seen web-1", "lost web-1", "gone"});
  mdns::Sighting printer = web();
  printer.txt = {"ty=Printer"};
  scene.link->sink->on_sighting(printer);
  CHECK(scene.take() == Events{"gone"});
}

TEST_CASE("a TXT key without a value is a flag of the instance, and shown with an empty value") {
  SightingReader reader({});
  mdns::Sighting sighting = web();
  sighting.txt = {"outrider=cookie", "flag", "empty=", "FLAG=later"};
  const auto seen = reader.read(sighting);
  CHECK(seen->metadata == registry::Metadata{{"flag", ""}, {"empty", ""}});
  CHECK(seen->flags == std::vector<std::string>{"flag"});
}

TEST_CASE("texts that shrink later are remembered up to their limit, and until they are lost") {
  SightingReader reader({});
  const auto sighting = [](std::size_t number) {
    mdns::Sighting out = web();
    out.key.label = "web-" + std::to_string(number);
    return out;
  };
  const auto meet = [&](std::size_t number) {
    mdns::Sighting whole = sighting(number);
    whole.txt = {"farp.id=x", "farp.service=orders"};
    CHECK(reader.read(whole)->service.text() == "orders");
  };
  const auto name_after_shrinking = [&](std::size_t number) {
    mdns::Sighting shrunk = sighting(number);
    shrunk.txt = {"farp.id=x"};
    return reader.read(shrunk)->service.text();
  };
  for (std::size_t i = 0; i <= kShrinkingTxtsMax; ++i)
    meet(i);
  CHECK(name_after_shrinking(0) == "orders");
  CHECK(name_after_shrinking(kShrinkingTxtsMax) != "orders");
  reader.forget(sighting(0).key);
  meet(kShrinkingTxtsMax);
  CHECK(name_after_shrinking(kShrinkingTxtsMax) == "orders");
}

TEST_CASE("a sighting is of this host by its addresses, never by its text or its sender alone") {
  SightingReader reader({});
  const IpAddress mine = *IpAddress::parse("10.0.0.1"), other = *IpAddress::parse("10.0.0.9");
  const IpAddress loopback = *IpAddress::parse("127.0.0.1");
  reader.set_own_addresses({mine, loopback});
  mdns::Sighting sighting = web();
  const auto is_here = [&](std::vector<IpAddress> addresses, bool from_here) {
    sighting.addresses.clear();
    for (const IpAddress& address : addresses)
      sighting.addresses.push_back({address, 2});
    sighting.own_host = from_here;
    return reader.read(sighting)->on_this_host;
  };
  CHECK(reader.read(sighting)->stated->identity == "cookie");
  CHECK(is_here({mine}, true));
  CHECK(is_here({mine}, false));  // through a daemon
  CHECK(is_here({mine, other}, true));
  CHECK(is_here({loopback}, true));
  CHECK_FALSE(is_here({mine, other}, false));
  CHECK_FALSE(is_here({other}, true));
  CHECK_FALSE(is_here({other}, false));
  CHECK_FALSE(is_here({loopback}, false));
  sighting.by_host = false;  // sent by another host than it names
  CHECK_FALSE(is_here({mine}, false));
  CHECK_FALSE(reader.read(sighting)->vouched);
  CHECK_FALSE(reader.read(sighting)->from_this_host);
}

TEST_CASE("a copy proves nothing of the host that sent it") {
  SightingReader reader({});
  reader.set_own_addresses({*IpAddress::parse("10.0.0.1")});
  mdns::Sighting sighting = web();
  sighting.own_host = true;
  sighting.addresses = {{*IpAddress::parse("10.0.0.9"), 2}};
  CHECK(reader.read(sighting)->from_this_host);
  CHECK(reader.read(sighting)->vouched);
  sighting.txt = {"outrider=", "outrider.via=etcd", "id=w1"};
  const auto copy = reader.read(sighting);
  REQUIRE(copy);
  CHECK_FALSE(copy->from_this_host);
  CHECK_FALSE(copy->vouched);
  CHECK(copy->place.via == "etcd");
  CHECK(copy->metadata.empty());
  sighting.txt = {"outrider=", "outrider.via=something new"};
  CHECK(reader.read(sighting)->place.via == "another registry");
  // Nor does its text make it one of this host.
  sighting.own_host = sighting.by_host = false;
  sighting.addresses = {{*IpAddress::parse("10.0.0.1"), 2}};
  CHECK_FALSE(reader.read(sighting)->on_this_host);
}

TEST_CASE("a host in a text has an identity of bounded length and a name, or none") {
  SightingReader reader({});
  mdns::Sighting sighting = web();
  const auto read = [&](const std::string& value) {
    sighting.txt = {"outrider=" + value};
    const auto seen = reader.read(sighting);
    return seen->stated->identity + '|' + seen->stated->node;
  };
  CHECK(read("0123456789ab") == "0123456789ab|");  // of the first version
  CHECK(read("0123456789abcdef.box") ==
        "0123456789abcdef|" + registry::node_name({"box", "0123456789abcdef"}));
  CHECK(read("0123456789abcdef.No Label") == "0123456789abcdef|");
  CHECK(read("a b") == "|");
  CHECK(read(".box") == "|");
  const std::string longest(registry::kIdentityBytesMax, 'a');
  CHECK(read(longest) == longest + '|');
  CHECK(read(longest + 'a') == "|");
}

TEST_CASE("a question for an unknown service is held as long as an answer may come") {
  Scene scene;
  const Duration hold = 300ms;
  CHECK_FALSE(scene.lan.is_settled());
  CHECK(scene.lan.ask("db", hold) == hold);
  scene.link->sink->on_state(mdns::ProviderState::running, "");
  CHECK(scene.lan.is_settled());
  CHECK(scene.lan.ask("db", hold) == hold);
  CHECK(scene.link->asked == std::vector<mdns::ServiceType>(2, "_db._tcp"));
  scene.link->sink->on_state(mdns::ProviderState::down, "no interface");
  CHECK(scene.lan.ask("db", hold) == Duration::zero());
  CHECK(scene.link->asked.size() == 2);
}

TEST_CASE("a changed profile announces every registration again, a stop withdraws them") {
  Scene scene;
  const auto tree = json::parse(R"({"name":"s","id":"a","port":80})", 1'000);
  const auto put = scene.registry.put(*registry::ServiceSpec::parse(*tree), scene.now());
  REQUIRE(put);
  farp::AnnouncementProfile profile{.shared_types = {}};
  scene.lan.set_profile(profile);
  CHECK(scene.link->published == 1);
  profile.host_text = "other";
  scene.lan.set_profile(profile);
  CHECK(scene.link->published == 2);
  bool stopped = false;
  scene.lan.stop([&] { stopped = true; });
  CHECK(scene.link->withdrawn == 1);
  CHECK(stopped);
}

TEST_CASE("without a provider the link is settled, answers nothing, and still stops") {
  Scene scene(nullptr);
  CHECK(scene.lan.is_settled());
  CHECK(scene.lan.host_names() == nullptr);
  CHECK(scene.lan.ask("db", 300ms) == Duration::zero());
  bool stopped = false;
  scene.lan.stop([&] { stopped = true; });
  CHECK_FALSE(stopped);
  scene.world.advance(1ms);
  CHECK(stopped);
}
