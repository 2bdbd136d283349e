// SPDX-License-Identifier: Apache-2.0
#include "agent/lan/announcer.h"

#include <set>

#include <doctest/doctest.h>

#include "tests/sim/world.h"

using namespace outrider;

namespace {

/// A link that bears `room` announcements.
struct SmallLink final : mdns::Provider {
  std::size_t room = 4;
  std::map<mdns::AnnouncementId, std::string> live;
  std::vector<std::vector<std::string>> subtypes;  // of every publish()

  void start(Sink&) override {}
  Result<void, mdns::PublishError> publish(mdns::AnnouncementId id,
                                           const mdns::Announcement& wanted) override {
    if (!live.contains(id) && live.size() >= room) return failure(mdns::PublishError::too_many);
    live[id] = wanted.type + ' ' + wanted.label;
    subtypes.push_back(wanted.subtypes);
    return {};
  }
  void withdraw(mdns::AnnouncementId id) override { live.erase(id); }
  void browse(const std::vector<mdns::ServiceType>&) override {}
  void ask(const mdns::ServiceType&) override {}
  std::unique_ptr<HostLookup> lookup_host(const std::string&, Duration, HostCallback) override {
    return nullptr;
  }
  void stop(Callback<void()>) override {}

  std::set<std::string> texts() const {
    std::set<std::string> out;
    for (const auto& [id, text] : live)
      out.insert(text);
    return out;
  }
};

struct Scene {
  sim::World world{1};
  registry::Registry registry{"box"};
  SmallLink link;
  Announcer announcer{world.env(), registry, &link, {}};

  void apply(const Result<registry::Changes, registry::RegistryError>& changes) {
    REQUIRE(changes);
    for (const registry::Change& change : changes->list)
      announcer.apply(change.before, change.after);
  }
  void put(const std::string& id, const std::string& more = "") {
    const auto tree = json::parse(
        R"({"name":"s","id":")" + id + R"(","port":80,"address":"10.0.0.9")" + more + '}', 1'000);
    apply(registry.put(*registry::ServiceSpec::parse(*tree), {}));
  }
};

using Texts = std::set<std::string>;

}  // namespace

TEST_CASE("what the link has no room for waits, and takes the place of who leaves") {
  Scene scene;
  for (const char* id : {"a", "b", "c", "d"})
    scene.put(id);
  CHECK(scene.link.texts() == Texts{"_s._tcp a", "_farp._tcp a", "_s._tcp b", "_farp._tcp b"});
  CHECK(scene.announcer.size() == 4);
  CHECK(scene.announcer.waiting() == 2);
  CHECK(scene.announcer.live("c").empty());

  scene.apply(scene.registry.remove("d", {}));  // waited, and never was there
  CHECK(scene.announcer.waiting() == 1);
  scene.apply(scene.registry.set_maintenance("a", true, "", {}));
  CHECK(scene.link.texts() == Texts{"_s._tcp b", "_farp._tcp b"});
  scene.world.advance(kFillDelay);
  CHECK(scene.link.texts() == Texts{"_s._tcp b", "_farp._tcp b", "_s._tcp c", "_farp._tcp c"});
  CHECK(scene.announcer.waiting() == 0);
  CHECK(scene.announcer.live("c").size() == 2);

  scene.apply(scene.registry.set_maintenance("a", false, "", {}));  // now it is a's turn to wait
  CHECK(scene.announcer.waiting() == 1);
  scene.put("b");  // a change of one that is there needs no room
  CHECK(scene.announcer.waiting() == 1);
  for (const char* id : {"b", "c"})
    scene.apply(scene.registry.remove(id, {}));
  CHECK(scene.link.texts().empty());
  scene.world.advance(kFillDelay);
  CHECK(scene.link.texts() == Texts{"_s._tcp a", "_farp._tcp a"});
  CHECK(scene.announcer.waiting() == 0);
}

TEST_CASE("with room for one of two types, the other one waits") {
  Scene scene;
  scene.link.room = 3;
  scene.put("a");
  scene.put("b");
  CHECK(scene.link.texts() == Texts{"_s._tcp a", "_farp._tcp a", "_s._tcp b"});
  CHECK(scene.announcer.waiting() == 1);
  scene.apply(scene.registry.remove("a", {}));
  scene.world.advance(kFillDelay);
  CHECK(scene.link.texts() == Texts{"_s._tcp b", "_farp._tcp b"});
  CHECK(scene.announcer.waiting() == 0);
}

TEST_CASE("subtypes are reported under every type, and when they change") {
  using Subtypes = std::vector<std::string>;
  Scene scene;
  scene.put("a", R"(,"subtypes":["_printer"])");
  CHECK(scene.link.subtypes == std::vector(2, Subtypes{"_printer"}));
  scene.put("a", R"(,"subtypes":["_printer"])");
  CHECK(scene.link.subtypes.size() == 2);
  scene.put("a", R"(,"subtypes":["_printer","_scanner"])");
  CHECK(scene.link.subtypes.size() == 4);
  CHECK(scene.link.subtypes.back() == Subtypes{"_printer", "_scanner"});
  scene.put("a");
  CHECK(scene.link.subtypes.size() == 6);
  CHECK(scene.link.subtypes.back().empty());
  CHECK(scene.link.texts() == Texts{"_s._tcp a", "_farp._tcp a"});
}

TEST_CASE("copies wait for room like registrations, and leave by their key") {
  Scene scene;
  registry::Sighting seen{.place = {.key = "k", .engine = "etcd", .host = "etcd"},
                          .service = *registry::ServiceName::parse("web"),
                          .id = *registry::InstanceId::parse("w1")};
  seen.port = 80;
  seen.addresses = {{*IpAddress::parse("10.9.0.1"), 0}};
  (void)scene.registry.see(seen, {});
  const registry::InstancePtr instance = scene.registry.instances("web").front();
  const auto copy = [&] {
    scene.announcer.announce_copy("web/w1", {instance, {*IpAddress::parse("10.9.0.1")}, "etcd"});
  };
  scene.put("a");
  scene.put("b");
  copy();
  CHECK(scene.announcer.waiting() == 1);
  scene.apply(scene.registry.remove("a", {}));
  scene.world.advance(kFillDelay);
  CHECK(scene.announcer.waiting() == 0);
  CHECK(scene.link.texts() == Texts{"_s._tcp b", "_farp._tcp b", "_web._tcp w1"});
  copy();
  REQUIRE(scene.announcer.live("web/w1").size() == 1);
  scene.announcer.withdraw_copy("web/w1");
  scene.announcer.withdraw_copy("web/w1");
  CHECK(scene.link.texts() == Texts{"_s._tcp b", "_farp._tcp b"});
  copy();
  scene.announcer.withdraw_all();
  CHECK(scene.link.texts().empty());
}

TEST_CASE("the provider's words reach the announcement that they are about") {
  Scene scene;
  scene.put("a");
  for (const auto& [id, text] : scene.link.live)
    scene.announcer.on_announced(id, text == "_s._tcp a" ? "a-2" : "a");
  auto live = scene.announcer.live("a");
  REQUIRE(live.size() == 2);
  CHECK(live[0].label == "a");
  CHECK(live[1].label == "a-2");
  CHECK((live[0].announced && live[1].announced));
  scene.announcer.on_conflict(scene.link.live.begin()->first);
  live = scene.announcer.live("a");
  CHECK(live[0].conflict != live[1].conflict);
  scene.announcer.on_announced(4'711, "nobody");  // withdrawn meanwhile
}
