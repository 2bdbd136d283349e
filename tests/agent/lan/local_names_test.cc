// SPDX-License-Identifier: Apache-2.0
#include "agent/lan/local_names.h"

#include <doctest/doctest.h>

#include "agent/registry/registry.h"
#include "base/text.h"
#include "tests/sim/world.h"

using namespace outrider;

namespace {

/// A link on which the test says what is claimed.
struct NameLink final : mdns::Provider {
  std::map<mdns::AnnouncementId, mdns::Announcement> live;
  std::vector<std::string> log;  // "publish hello", "withdraw hello"
  std::optional<mdns::PublishError> refusal;

  void start(Sink&) override {}
  Result<void, mdns::PublishError> publish(mdns::AnnouncementId id,
                                           const mdns::Announcement& wanted) override {
    CHECK(wanted.is_name());
    log.push_back("publish " + wanted.label);
    if (refusal) return failure(*refusal);
    live[id] = wanted;
    return {};
  }
  void withdraw(mdns::AnnouncementId id) override {
    REQUIRE(live.contains(id));
    log.push_back("withdraw " + live[id].label);
    live.erase(id);
  }
  void browse(const std::vector<mdns::ServiceType>&) override {}
  void ask(const mdns::ServiceType&) override {}
  std::unique_ptr<HostLookup> lookup_host(const std::string&, Duration, HostCallback) override {
    return nullptr;
  }
  void stop(Callback<void()>) override {}
};

using Texts = std::vector<std::string>;

struct Scene {
  sim::World world{1};
  registry::Registry registry{"box"};
  NameLink link;
  std::map<std::string, std::string> names;  // as reported
  LocalNames local{world.env(), &link, [this](const std::string& id, const std::string& name) {
                     names[id] = name;
                     if (auto changes = registry.set_local_name(id, name, {})) apply(*changes);
                   }};

  void apply(const registry::Changes& changes) {
    for (const registry::Change& change : changes.list)
      local.apply(change.before, change.after);
  }
  void apply(const Result<registry::Changes, registry::RegistryError>& changes) {
    REQUIRE(changes);
    apply(*changes);
  }
  void put(const std::string& id, const std::string& more = R"(,"local_name":true)",
           const std::string& service = "Hello") {
    const auto tree = json::parse(
        R"({"name":")" + service + R"(","id":")" + id + R"(","port":80)" + more + '}', 1'000);
    apply(registry.put(*registry::ServiceSpec::parse(*tree), {}));
  }
  void claim(const std::string& label) {
    REQUIRE(link.live.size() == 1);
    local.on_announced(link.live.begin()->first, label);
  }
  Texts take() { return std::exchange(link.log, {}); }
  const std::string& shown(const std::string& id) {
    return registry.find_own(id)->local_name->name;
  }
};

}  // namespace

TEST_CASE("the name is there while the registration is served on the LAN, if it asks for it") {
  Scene scene;
  scene.put("silent", "");
  scene.put("here", R"(,"local_name":true,"scope":"host")");
  scene.put("loopback", R"(,"local_name":true,"address":"127.0.0.1")");
  scene.put("checked", R"(,"local_name":true,"checks":[{"ttl":"10s"}])");
  CHECK(scene.take().empty());

  const auto set_check = [&](CheckHealth health) {
    scene.apply(scene.registry.set_check("checked", "ttl", health, "", {}));
  };
  set_check(CheckHealth::passing);
  CHECK(scene.take() == Texts{"publish hello"});
  CHECK(scene.shown("checked").empty());  // not before it is claimed
  scene.claim("hello-2");
  CHECK(scene.shown("checked") == "hello-2.local");
  CHECK(scene.shown("silent").empty());
  set_check(CheckHealth::warning);
  CHECK(scene.take().empty());
  CHECK(scene.shown("checked") == "hello-2.local");
  set_check(CheckHealth::critical);
  CHECK(scene.take() == Texts{"withdraw hello"});
  CHECK(scene.shown("checked").empty());
  // What it was called before is tried first.
  set_check(CheckHealth::passing);
  CHECK(scene.take() == Texts{"publish hello"});
  CHECK(scene.link.live.begin()->second.preferred == "hello-2");
  scene.claim("hello-2");

  for (const bool on : {true, false}) {
    scene.apply(scene.registry.set_draining("checked", on, {}));
    CHECK(scene.take() == Texts{on ? "withdraw hello" : "publish hello"});
    CHECK(scene.shown("checked").empty());
  }
  scene.claim("hello-2");
  scene.put("checked", R"(,"checks":[{"ttl":"10s"}])");
  CHECK(scene.take() == Texts{"withdraw hello"});
  CHECK(scene.shown("checked").empty());
  scene.put("checked", R"(,"local_name":true,"checks":[{"ttl":"10s"}])");
  CHECK(scene.take() == Texts{"publish hello"});
  scene.apply(scene.registry.remove("checked", {}));
  CHECK(scene.take() == Texts{"withdraw hello"});
}

TEST_CASE("instances of a service share its name, and the addresses are those of all") {
  Scene scene;
  scene.put("a", R"(,"local_name":true,"address":"10.0.0.9")");
  scene.claim("hello");
  scene.put("b", R"(,"local_name":true,"address":["10.0.0.8","10.0.0.9"])");
  CHECK(scene.take() == Texts{"publish hello", "publish hello"});
  CHECK(scene.link.live.begin()->second.addresses ==
        std::vector{*IpAddress::parse("10.0.0.8"), *IpAddress::parse("10.0.0.9")});
  CHECK(scene.shown("a").empty());  // it is claimed again
  scene.claim("hello");
  CHECK(scene.shown("a") == "hello.local");
  CHECK(scene.shown("b") == "hello.local");
  scene.put("c");
  CHECK(scene.link.live.begin()->second.addresses.empty());  // those of the host
  scene.claim("hello");
  scene.take();
  for (const char* id : {"a", "b"}) {
    scene.apply(scene.registry.set_maintenance(id, true, "", {}));
    CHECK(scene.shown(id).empty());
  }
  CHECK(scene.take().empty());
  CHECK(scene.shown("c") == "hello.local");
  scene.put("c", R"(,"local_name":true,"version":"2")");
  CHECK(scene.shown("c") == "hello.local");
  scene.apply(scene.registry.remove("c", {}));
  CHECK(scene.take() == Texts{"withdraw hello"});
}

TEST_CASE("a name that is lost or refused is told, and asked for again with the next change") {
  Scene scene;
  scene.put("a");
  scene.claim("hello");
  scene.local.on_conflict(scene.link.live.begin()->first);
  CHECK(scene.shown("a").empty());
  CHECK(scene.world.host("here").log().count("mdns_local_name_lost") == 1);
  scene.claim("hello-2");  // the provider may find one after all
  CHECK(scene.shown("a") == "hello-2.local");
  scene.apply(scene.registry.remove("a", {}));

  scene.link.refusal = mdns::PublishError::too_many;
  scene.put("a");
  CHECK(scene.link.live.empty());
  CHECK(scene.world.host("here").log().count("mdns_local_name_refused") == 1);
  scene.local.on_announced(std::uint64_t{1} << 32, "hello");  // of what is not published
  CHECK(scene.shown("a").empty());
  scene.link.refusal.reset();
  scene.put("a", R"(,"local_name":true,"version":"2")");
  CHECK(scene.link.live.size() == 1);
}

TEST_CASE("what the provider says is of a name or of a registration, by its number") {
  Scene scene;
  scene.put("a");
  CHECK(LocalNames::owns(scene.link.live.begin()->first));
  CHECK_FALSE(LocalNames::owns(1));
  scene.local.withdraw_all();
  CHECK(scene.link.live.empty());
  scene.local.on_announced(std::uint64_t{1} << 32, "hello");
  LocalNames without{scene.world.env(), nullptr, [](const auto&, const auto&) { CHECK(false); }};
  without.apply(nullptr, scene.registry.find_own("a"));
}

TEST_CASE(
    "kLocalNamesRemembered last names are remembered; beyond, those of the services gone go") {
  Scene scene;
  const auto visit = [&](const std::string& service, const std::string& last) {
    scene.put("x", R"(,"local_name":true)", service);
    CHECK(scene.link.live.begin()->second.preferred == last);
    scene.claim(service + "-2");
    scene.apply(scene.registry.remove("x", {}));
  };
  for (std::size_t i = 0; i < kLocalNamesRemembered; ++i)
    visit("s" + std::to_string(i), "");
  visit("s0", "s0-2");
  visit("one-more", "");
  visit("s0", "");
}
