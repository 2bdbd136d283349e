// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/https_record.h"

#include <map>

#include "agent/registry/zone.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

using dns::RrType;
using Ids = std::vector<std::string>;

dns::Name name(const std::string& text) {
  return *dns::Name::parse(text);
}

/// A zone that keeps the RDATA of one type: owner ▸ what encode() made, in order.
struct Zone {
  Registry registry{"box"};
  ZoneProjection projection{
      {.origin = name("svc"), .write_txt = [](const auto&, auto, const auto&) { return Ids(); }}};
  std::map<std::string, std::vector<ZoneEntry>> names;

  ZoneSink sink() {
    return [this](ZoneUpdate update) {
      const std::string owner = update.owner.to_display();
      if (update.erase)
        names.erase(owner);
      else
        names[owner] = std::move(update.entries);
    };
  }
  void apply(const Changes& changes) { projection.update(registry, host_view(), changes, sink()); }
  void put(const std::string& text) { apply(*registry.put(spec(text), at(0s))); }
  void see(const std::string& id, const std::string& address, const Metadata& metadata = {}) {
    Sighting far = sighting("web", id, address, 443);
    far.protocol = "HTTPS";
    far.metadata = metadata;
    apply(registry.see(far, at(0s)));
  }
  std::vector<dns::RawData> data(const std::string& owner, RrType type) {
    std::vector<dns::RawData> found;
    for (const ZoneEntry& entry : names[owner])
      if (entry.type == type) found.push_back(std::get<dns::RawData>(entry.data));
    return found;
  }
  std::size_t count(const std::string& owner, RrType type) { return data(owner, type).size(); }
};

constexpr const char* kWeb = R"({"name":"web","id":"w1","port":8443,"protocol":"https",
    "tags":["v1"],"metadata":{"alpn":"h2, http/1.1"},"checks":[{"ttl":"9s","id":"c"}]})";

dns::ServiceBinding own() {
  return {.priority = 1,
          .target = name("w1.web.svc"),
          .alpn = {"h2", "http/1.1"},
          .port = 8443,
          .hints = {IpAddress::v4(10, 0, 0, 1), *IpAddress::parse("2001:db8::1")}};
}

Ids alpn(const Metadata& metadata) {
  Instance instance;
  instance.port = 443;
  instance.protocol = "https";
  instance.metadata = metadata;
  return https_binding(instance, {}, name("x"))->alpn;
}

TEST_CASE("an https service has HTTPS and SVCB records with its port, and follows its health") {
  Zone zone;
  zone.put(kWeb);
  CHECK(zone.count("web.svc", RrType::https) == 0);
  zone.apply(*zone.registry.set_check("w1", "c", CheckHealth::passing, "", at(1s)));
  auto svcb = own();
  svcb.port_is_mandatory = true;
  for (const char* owner : {"web.svc", "w1.web.svc", "local.web.svc", "v1._tag.web.svc"}) {
    CAPTURE(owner);
    CHECK(zone.data(owner, RrType::https).front() == encode(own()));
    CHECK(zone.data(owner, RrType::svcb).front() == encode(svcb));
  }
  for (const char* owner : {"_web._tcp.svc", "_https._tcp.web.svc", "w1._web._tcp.svc"})
    CHECK(zone.count(owner, RrType::https) == 0);
  zone.apply(*zone.registry.set_check("w1", "c", CheckHealth::warning, "", at(2s)));
  auto warned = own();
  warned.priority = 9;  // after every passing one
  CHECK(zone.data("web.svc", RrType::https).front() == encode(warned));
  zone.apply(*zone.registry.set_check("w1", "c", CheckHealth::critical, "", at(3s)));
  for (const char* owner : {"web.svc", "w1.web.svc"})
    CHECK(zone.count(owner, RrType::https) == 0);
}

TEST_CASE("the priority of an instance is its nearness") {
  Zone zone;
  zone.put(R"({"name":"web","id":"w1","port":8443,"protocol":"https"})");
  zone.see("w2", "10.0.0.2");
  zone.see("w3", "192.168.9.9");
  REQUIRE(zone.count("web.svc", RrType::https) == 3);
  std::map<std::string, std::uint16_t> priorities;
  for (const dns::RawData& data : zone.data("web.svc", RrType::https))
    priorities[std::string(data.bytes.begin() + 3, data.bytes.begin() + 5)] = data.bytes[1];
  CHECK(priorities == std::map<std::string, std::uint16_t>{{"w1", 1}, {"w2", 2}, {"w3", 3}});
}

TEST_CASE("instances with one port share a record whose target is the name itself") {
  Zone zone;
  zone.see("w2", "10.0.0.2");
  zone.see("w3", "192.168.9.9");
  const dns::ServiceBinding common{.priority = 2, .target = name("web.svc"), .port = 443};
  CHECK(zone.data("web.svc", RrType::https).size() == 3);
  CHECK(zone.data("web.svc", RrType::https).back() == encode(common));
  CHECK(zone.count("w2.web.svc", RrType::https) == 1);
  CHECK(zone.count("local.web.svc", RrType::https) == 0);
  // Its addresses would not fit an instance with another port, other protocols in TLS, or none.
  zone.see("w4", "10.0.0.4", {{"alpn", "h2"}});
  CHECK(zone.count("web.svc", RrType::https) == 3);
  zone.apply(zone.registry.lose("_web._tcp w4", at(1s)));
  CHECK(zone.count("web.svc", RrType::https) == 3);
  zone.apply(zone.registry.see(sighting("web", "w5", "10.0.0.5", 443), at(2s)));
  CHECK(zone.count("web.svc", RrType::https) == 2);
}

TEST_CASE("a name with the address of the bridge has no record of its own") {
  Zone zone;
  Bridged bridged{.addresses = {IpAddress::v4(127, 0, 0, 1)}, .labels = {"web"}};
  zone.projection =
      ZoneProjection({.origin = name("svc"),
                      .write_txt = [](const auto&, auto, const auto&) { return Ids(); },
                      .bridged = &bridged});
  zone.see("w2", "10.0.0.2");
  CHECK(zone.count("web.svc", RrType::https) == 1);
}

TEST_CASE("a service of another protocol, or without a port, has no HTTPS record") {
  Zone zone;
  zone.put(R"({"name":"web","id":"w1","port":80})");
  zone.put(R"({"name":"rpc","id":"r1","port":81,"protocol":"grpc"})");
  zone.put(R"({"name":"job","id":"j1","port":0,"protocol":"https"})");
  for (const char* owner : {"web.svc", "rpc.svc", "job.svc", "w1.web.svc", "j1.job.svc"})
    for (const RrType type : {RrType::https, RrType::svcb})
      CHECK(zone.count(owner, type) == 0);
  CHECK(zone.names.at("web.svc").size() > 0);
  // Beside one that speaks https only that one has it.
  zone.see("w2", "10.0.0.2");
  CHECK(zone.count("web.svc", RrType::https) == 1);
}

TEST_CASE("alpn comes from the metadata, and what is no list of ids is left out") {
  CHECK(alpn({}).empty());
  CHECK(alpn({{"alpn", "h2"}}) == Ids{"h2"});
  CHECK(alpn({{"alpn", "h3,h2,h3, http/1.1"}}) == Ids{"h3", "h2", "http/1.1"});
  for (const std::string& wrong :
       {std::string(), std::string(","), std::string("h2,"), std::string("h2 h3"),
        std::string("h\x01"), std::string("h\xc3\xa9"), std::string(kAlpnBytesMax + 1, 'h')}) {
    CAPTURE(wrong);
    CHECK(alpn({{"alpn", wrong}}).empty());
  }
  CHECK(alpn({{"alpn", std::string(kAlpnBytesMax, 'h')}}).front().size() == kAlpnBytesMax);
}

TEST_CASE("a record has at most kHintsMax addresses of a family") {
  Instance instance;
  instance.port = 443;
  instance.protocol = "https";
  std::vector<IpAddress> addresses;
  for (std::uint8_t i = 0; i < 2 * kHintsMax; ++i)
    addresses.push_back(IpAddress::v4(10, 0, 0, i));
  addresses.push_back(*IpAddress::parse("2001:db8::1"));
  const auto binding = https_binding(instance, addresses, name("x"));
  REQUIRE(binding->hints.size() == kHintsMax + 1);
  CHECK(binding->hints.back() == *IpAddress::parse("2001:db8::1"));
}

TEST_CASE("kBindingsPerNameMax instances have a record at the name of their service") {
  Zone zone;
  for (std::size_t i = 0; i < kBindingsPerNameMax + 4; ++i)
    zone.see("i" + std::to_string(i), "10.0.0." + std::to_string(i));
  zone.put(R"({"name":"web","id":"here","port":8443,"protocol":"https"})");
  CHECK(zone.count("web.svc", RrType::https) == kBindingsPerNameMax);
  CHECK(zone.names.at("web.svc").size() > 3 * kBindingsPerNameMax);  // SRV and A have no such limit
  CHECK(zone.count("local.web.svc", RrType::https) == 2);
  std::size_t lone = 0;
  for (std::size_t i = 0; i < kBindingsPerNameMax + 4; ++i)
    lone += zone.count("i" + std::to_string(i) + ".web.svc", RrType::https);
  CHECK(lone == kBindingsPerNameMax + 4);
}

}  // namespace
}  // namespace outrider::registry
