// SPDX-License-Identifier: Apache-2.0
// Which sightings are one instance, which are two, and what each is called.
#include <algorithm>
#include <map>

#include "agent/registry/name_grammar.h"
#include "base/text.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

const char* const kWeb = R"({"name":"web","id":"web-1","port":80,
    "checks":[{"http":"/","deregister_critical_after":"1m"}]})";

std::string ids(const std::vector<InstancePtr>& instances) {
  std::string out;
  for (const InstancePtr& instance : instances)
    out += (out.empty() ? "" : " ") + instance->id.text() + (instance->served() ? "+" : "-");
  return out;
}

/// One that another agent of the host announces under the id and name.
Sighting from_host(const std::string& host, const std::string& id, const std::string& address,
                   const std::string& label = "") {
  Sighting s = sighting("web", id, address, 80);
  s.place.key = "_web._tcp " + (label.empty() ? id + '@' + host : label);
  s.place.host = host;
  s.stated = StatedHost{.identity = "identity" + host};
  return s;
}

std::map<std::string, std::string> addresses_by_id(const Registry& registry) {
  std::map<std::string, std::string> out;
  for (const InstancePtr& instance : registry.instances("web")) {
    std::string& text = out[instance->id.label()];
    for (const PlacedAddress& placed : instance->addresses)
      text += (text.empty() ? "" : " ") + placed.address.to_string();
  }
  return out;
}

TEST_CASE("equal ids on two hosts are two instances, each with an id and label of its own") {
  Registry registry("c");
  registry.see(from_host("a.local", "web-1", "10.0.0.1"), at(0s));
  registry.see(from_host("b.local", "web-1", "10.0.0.2"), at(1s));
  const std::string second = InstanceId::parse("web-1")->apart("identityb.local").text();
  using Map = std::map<std::string, std::string>;
  CHECK(addresses_by_id(registry) == Map{{"web-1", "10.0.0.1"}, {second, "10.0.0.2"}});
  CHECK(registry.instances("web")[1]->announced_id == "web-1");
  // An id does not change while its instance is listed, even if the other one leaves.
  registry.lose("_web._tcp web-1@a.local", at(2s));
  CHECK(addresses_by_id(registry) == Map{{second, "10.0.0.2"}});
  Sighting sick = from_host("b.local", "web-1", "10.0.0.2");
  sick.health = Health::critical;
  registry.see(sick, at(3s));
  CHECK(addresses_by_id(registry) == Map{{second, "10.0.0.2"}});
  // The host that comes back finds its plain id free.
  registry.see(from_host("a.local", "web-1", "10.0.0.1"), at(4s));
  CHECK(addresses_by_id(registry) == Map{{"web-1", "10.0.0.1"}, {second, "10.0.0.2"}});
}

TEST_CASE("a registration has its own id, even if another host has the same") {
  Registry registry("a");
  registry.see(from_host("b.local", "web-1", "10.0.0.2"), at(0s));
  const auto put = registry.put(spec(kWeb), at(1s));
  CHECK(put->list.size() == 3);  // the other one leaves, is back under another id, and ours
  const std::string other = InstanceId::parse("web-1")->apart("identityb.local").text();
  CHECK(registry.instances("web")[0]->own());
  CHECK(registry.instances("web")[0]->id.text() == "web-1");
  CHECK(registry.instances("web")[1]->id.text() == other);
  CHECK(registry.instances("web")[1]->served());
  REQUIRE(registry.remove("web-1", at(2s)));
  CHECK(ids(registry.instances("web")) == other + "+");
}

TEST_CASE("an automatic id is found in the form that the first version chose") {
  Registry registry(HostId{"box", "identity"});
  const auto automatic = spec(R"({"name":"web","port":80})");
  REQUIRE(registry.put(automatic, at(0s)));
  const std::string id = automatic_id(automatic, registry.host()).text();
  CHECK(id.starts_with("web-box-80-"));
  REQUIRE(registry.find_own("web-box-80"));
  CHECK(registry.find_own("web-box-80")->id.text() == id);
  CHECK_FALSE(registry.find_exact("web-box-80"));
  CHECK(registry.find_exact(id));
  CHECK(registry.find_exact(kNodeId));
  REQUIRE(registry.set_maintenance("web-box-80", true, "why", at(1s)));
  CHECK(registry.find_own(id)->maintenance);
  // One that really has that id goes first.
  REQUIRE(registry.put(spec(R"({"name":"web","id":"web-box-80","port":81})"), at(2s)));
  CHECK(registry.own_count() == 2);
  CHECK(registry.find_own("web-box-80")->port == 81);
  REQUIRE(registry.remove("web-box-80", at(3s)));
  REQUIRE(registry.remove("web-box-80", at(4s)));
  CHECK(registry.own_count() == 0);
  CHECK_FALSE(registry.find_own("web-box-80"));
}

TEST_CASE("an instance that changes its port, at once or place by place, keeps its id") {
  Registry registry("c");
  Sighting own_type = from_host("a.local", "web-1", "10.0.0.1");
  Sighting shared = own_type;
  shared.place.key = "_farp._tcp web-1";
  registry.see(own_type, at(0s));
  registry.see(shared, at(0s));
  own_type.port = shared.port = 81;
  registry.see(own_type, at(1s));
  registry.see(shared, at(1s));
  REQUIRE(registry.instances("web").size() == 1);
  CHECK(registry.instances("web")[0]->id.text() == "web-1");
  own_type.port = 82;
  registry.lose("_farp._tcp web-1", at(2s));
  registry.see(own_type, at(2s));
  CHECK(registry.instances("web")[0]->id.text() == "web-1");
}

TEST_CASE("an instance whose host lost its name to another one, place by place, keeps its id") {
  Registry registry("c");
  Sighting own_type = from_host("a.local", "web-1", "10.0.0.1");
  Sighting shared = own_type;
  shared.place.key = "_farp._tcp web-1";
  registry.see(own_type, at(0s));
  registry.see(shared, at(0s));
  own_type.place.host = shared.place.host = "a-2.local";  // of the same identity
  registry.see(own_type, at(1s));
  registry.see(shared, at(1s));
  CHECK(addresses_by_id(registry) == std::map<std::string, std::string>{{"web-1", "10.0.0.1"}});
  // Another host does not take an id over.
  registry.see(from_host("b.local", "web-1", "10.0.0.2"), at(2s));
  const std::string second = InstanceId::parse("web-1")->apart("identityb.local").text();
  registry.lose("_farp._tcp web-1", at(3s));
  registry.lose(own_type.place.key, at(3s));
  CHECK(addresses_by_id(registry) == std::map<std::string, std::string>{{second, "10.0.0.2"}});
}

TEST_CASE("a copied identity and labels that DNS writes the same lead to no equal ids") {
  Registry registry("c");
  for (const char* host : {"a.local", "b.local", "m.local"}) {
    Sighting s = from_host(host, "web-1", "10.0.0.1");
    s.stated = StatedHost{.identity = "copied"};
    registry.see(s, at(0s));
  }
  CHECK(addresses_by_id(registry).size() == 3);

  Registry folded("c");
  int last = 1;
  const std::vector<std::string> labels = {"Office Printer", "Office-Printer", "M\xc3\xbcller",
                                           "M\xc3\xb6ller",  "\xe3\x81\x82",   "\xe3\x81\x84"};
  for (const std::string& label : labels)
    folded.see(from_host("h.local", label, "10.0.0." + std::to_string(last++)), at(0s));
  CHECK(addresses_by_id(folded).size() == labels.size());
  for (const auto& [label, addresses] : addresses_by_id(folded)) {
    CHECK(to_label(label) == label);
    CHECK(addresses.find(' ') == std::string::npos);
  }
  CHECK(folded.instances("web").size() == labels.size());
}

TEST_CASE("an id with letters that its label does not have is found as it is written") {
  Registry registry("c");
  const std::string ids[] = {"M\xc3\xbcller", "M\xc3\xb6ller"};  // one label, were they alone
  for (const std::string& id : ids)
    registry.see(from_host("h.local", id, "10.0.0.1"), at(0s));
  for (const InstancePtr& instance : registry.instances("web")) {
    CAPTURE(instance->announced_id);
    for (const std::string& name : {instance->announced_id, lowered(instance->announced_id)}) {
      const NameMeaning found = read_given_name(name + ".web.svc", {"svc"}, registry).meaning;
      CHECK(found.selector == instance->id.label());
      const std::vector<std::string> names = other_spellings(lowered(name) + ".web", registry);
      CHECK(std::ranges::find(names, instance->id.label() + ".web") != names.end());
    }
  }
  const std::vector<std::string> others = other_spellings("m\xc3\xa4ller.web", registry);
  CHECK(std::ranges::find(others, "m--ller.web") == others.end());
}

TEST_CASE("what a neighbour forges neither hides nor changes an instance of another host") {
  Registry registry("c");
  registry.see(from_host("b.local", "web-1", "10.0.0.2"), at(0s));
  using Map = std::map<std::string, std::string>;
  // The host and port of b, unhealthy.
  Sighting forged = from_host("b.local", "evil", "10.0.0.2");
  forged.health = Health::critical;
  registry.see(forged, at(1s));
  CHECK(registry.instances("web")[1]->served());
  // Healthy, sent by another host than it names.
  forged.health = Health::passing;
  forged.vouched = false;
  registry.see(forged, at(2s));
  CHECK(registry.instances("web")[1]->served());
  // The same with b's own address as the sender, which can be forged as well.
  forged.vouched = true;
  registry.see(forged, at(2s));
  CHECK(registry.instances("web")[1]->served());
  CHECK(registry.instances("web")[0]->served());
  // Its id under another type, which sorts first and says that it is unhealthy.
  Sighting shared = from_host("b.local", "web-1", "10.0.0.66", "");
  shared.place.key = "_a._tcp x";
  shared.vouched = shared.primary = false;
  shared.health = Health::critical;
  registry.see(shared, at(3s));
  registry.lose("_web._tcp evil@b.local", at(4s));
  CHECK(addresses_by_id(registry) == Map{{"web-1", "10.0.0.2"}});
  CHECK(registry.instances("web")[0]->served());
  // Its id at the neighbour's own host is another instance.
  registry.see(from_host("m.local", "web-1", "10.0.0.66"), at(5s));
  CHECK(addresses_by_id(registry)["web-1"] == "10.0.0.2");
  CHECK(addresses_by_id(registry).size() == 2);
}

}  // namespace
}  // namespace outrider::registry
