// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/zone.h"

#include <algorithm>
#include <map>

#include <doctest/doctest.h>

#include "agent/farp/txt_writer.h"
#include "agent/registry/reverse.h"
#include "base/random.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

using dns::RrType;

ZoneProfile profile(const char* origin = "svc") {
  ZoneProfile p{.origin = *dns::Name::parse(origin)};
  p.name_server = {IpAddress::v4(127, 0, 0, 55)};
  p.write_txt = [](const auto& instance, std::string_view type, const auto& address) {
    return farp::write_txt_at(instance, type, {}, address);
  };
  return p;
}

/// Octets as they are, but what cannot be seen as '.'.
std::string bytes_text(const std::vector<std::uint8_t>& bytes) {
  std::string text;
  for (const std::uint8_t octet : bytes)
    text += octet > 0x20 && octet < 0x7f ? static_cast<char>(octet) : '.';
  return text;
}

/// A zone as a reader of updates has it.
class Zone {
 public:
  ZoneSink sink() {
    return [this](ZoneUpdate update) {
      const std::string owner = update.owner.to_display();
      if (update.erase)
        names_.erase(owner);
      else
        names_[owner] = std::move(update);
    };
  }
  bool has(const std::string& owner) const { return names_.contains(owner); }
  const std::string& why(const std::string& owner) const { return names_.at(owner).why; }
  bool stale(const std::string& owner) const { return names_.at(owner).stale; }
  /// "A 10.0.0.1/0 SRV 80 …": data with rank, in order.
  std::string text(const std::string& owner, RrType type) const {
    const auto found = names_.find(owner);
    if (found == names_.end()) return "absent";
    std::vector<std::string> parts;
    for (const ZoneEntry& entry : found->second.entries) {
      if (entry.type != type) continue;
      std::string part;
      if (const auto* address = std::get_if<dns::AddressData>(&entry.data))
        part = address->address.to_string();
      else if (const auto* srv = std::get_if<dns::SrvData>(&entry.data))
        part = std::to_string(srv->weight) + ':' + std::to_string(srv->port) + ':' +
               srv->target.to_display();
      else if (const auto* name = std::get_if<dns::NameData>(&entry.data))
        part = name->name.to_display();
      else if (std::holds_alternative<dns::RawData>(entry.data))
        part = bytes_text(std::get<dns::RawData>(entry.data).bytes);
      else if (const auto* txt = std::get_if<dns::TxtData>(&entry.data))
        for (const std::string& s : txt->strings)
          part += (part.empty() ? "" : "|") + s;
      parts.push_back(part + '/' + std::to_string(entry.rank));
    }
    std::sort(parts.begin(), parts.end());
    std::string out;
    for (const std::string& part : parts)
      out += (out.empty() ? "" : " ") + part;
    return out;
  }
  /// Everything, to compare two zones.
  std::map<std::string, std::string> all() const {
    std::map<std::string, std::string> out;
    for (const auto& [owner, update] : names_) {
      for (const RrType type : {RrType::a, RrType::aaaa, RrType::srv, RrType::txt, RrType::ptr,
                                RrType::https, RrType::svcb})
        out[owner] += dns::to_string(type) + ' ' + text(owner, type) + '\n';
      out[owner] += update.why + (update.stale ? " stale" : "");
    }
    return out;
  }

 private:
  std::map<std::string, ZoneUpdate> names_;
};

struct Fixture {
  Registry registry{"box"};
  ZoneProjection projection{profile()};
  Zone zone;
  HostView host = host_view();

  Fixture() { projection.begin(registry, host, zone.sink()); }
  void apply(const Changes& changes) { projection.update(registry, host, changes, zone.sink()); }
  void put(const std::string& text, Duration now = 0s) {
    apply(*registry.put(spec(text), at(now)));
  }
};

TEST_CASE("every form of a service's name is there") {
  Fixture f;
  f.put(R"({"name":"Web_App","id":"w1","port":80,"version":"2","tags":["v1","no/label","V1"],
            "protocol":"grpc","metadata":{"region":"x"}})");
  Sighting far = sighting("web-app", "w2", "192.168.9.9", 81);
  far.addresses.push_back({*IpAddress::parse("fe80::5%2"), 2});
  far.addresses.push_back({IpAddress::loopback(IpAddress::Family::v4), 2});
  f.apply(f.registry.see(far, at(1s)));
  f.apply(f.registry.see(sighting("web-app", "w3", "10.0.0.3", 82), at(1s)));

  const Zone& z = f.zone;
  CHECK(z.text("web-app.svc", RrType::a) == "10.0.0.1/0 10.0.0.3/1 192.168.9.9/2");
  CHECK(z.text("web-app.svc", RrType::aaaa) == "2001:db8::1/0");
  CHECK(z.text("web-app.svc", RrType::srv) ==
        "100:80:w1.web-app.svc/0 100:81:w2.web-app.svc/2 100:82:w3.web-app.svc/1");
  CHECK(z.text("web-app.svc", RrType::txt) ==
        "name=Web_App|id=w1|version=2|tags=v1,no/label,V1|mdns.service_type=_web-app._tcp|"
        "protocol=grpc|region=x/0");
  CHECK(z.text("w2.web-app.svc", RrType::a) == "192.168.9.9/2");
  CHECK(z.text("w2.web-app.svc", RrType::aaaa).empty());
  CHECK(z.text("local.web-app.svc", RrType::a) == "10.0.0.1/0");
  CHECK(z.text("v1._tag.web-app.svc", RrType::a) == "10.0.0.1/0");
  CHECK(z.text("_grpc._tcp.web-app.svc", RrType::srv) == "100:80:w1.web-app.svc/0");
  CHECK(z.text("_http._tcp.web-app.svc", RrType::srv) ==
        "100:81:w2.web-app.svc/2 100:82:w3.web-app.svc/1");
  CHECK(z.text("_web-app._tcp.svc", RrType::ptr) ==
        "w1._web-app._tcp.svc/0 w2._web-app._tcp.svc/2 w3._web-app._tcp.svc/1");
  CHECK(z.text("w1._web-app._tcp.svc", RrType::srv) == "100:80:w1.web-app.svc/0");
  CHECK(z.text("_services._dns-sd._udp.svc", RrType::ptr) == "_web-app._tcp.svc/0");
  CHECK(z.text("b._dns-sd._udp.svc", RrType::ptr) == "svc/0");
  CHECK(z.text("lb._dns-sd._udp.svc", RrType::ptr) == "svc/0");
  CHECK(z.text("ns.svc", RrType::a) == "127.0.0.55/0");
}

TEST_CASE("none passing is NODATA that says why; the name outlives its instances") {
  Fixture f;
  f.put(R"({"name":"web","id":"w1","port":80,"checks":[{"http":"/"}]})");
  CHECK(f.zone.text("web.svc", RrType::a).empty());
  CHECK(f.zone.why("web.svc") == "1 known, 0 passing");
  CHECK(f.zone.why("w1.web.svc") == "w1: starting");
  CHECK(f.zone.text("local.web.svc", RrType::a).empty());
  f.apply(*f.registry.set_check("w1", "http", CheckHealth::passing, "", at(1s)));
  CHECK(f.zone.text("web.svc", RrType::a) == "10.0.0.1/0");
  CHECK(f.zone.why("web.svc").empty());
  f.apply(*f.registry.set_check("w1", "http", CheckHealth::warning, "HTTP 429", at(2s)));
  CHECK(f.zone.text("web.svc", RrType::a) == "10.0.0.1/8");
  CHECK(f.zone.text("web.svc", RrType::srv) == "1:80:w1.web.svc/8");
  f.apply(*f.registry.set_check("w1", "http", CheckHealth::critical, "HTTP 503", at(3s)));
  CHECK(f.zone.text("web.svc", RrType::a).empty());
  CHECK(f.zone.why("web.svc") == "1 known, 0 passing; w1: critical: HTTP 503");
  CHECK(f.zone.why("w1.web.svc") == "w1: critical: HTTP 503");
  CHECK(f.zone.why("w1._web._tcp.svc") == "w1: critical: HTTP 503");
  CHECK(f.zone.text("_web._tcp.svc", RrType::ptr).empty());
  f.apply(*f.registry.remove("w1", at(4s)));
  for (const char* name : {"web.svc", "local.web.svc", "_web._tcp.svc"}) {
    CHECK(f.zone.has(name));
    CHECK(f.zone.text(name, RrType::a).empty());
  }
  CHECK_FALSE(f.zone.has("w1.web.svc"));
  CHECK_FALSE(f.zone.has("w1._web._tcp.svc"));
  f.apply(f.registry.expire(at(4s + kNameMemory)));
  for (const char* name : {"web.svc", "local.web.svc", "_web._tcp.svc"})
    CHECK_FALSE(f.zone.has(name));
}

TEST_CASE("no SRV record leads to an instance that has only link-local addresses") {
  Fixture f;
  Sighting far = sighting("web", "w1", "fe80::5%2", 80);
  f.apply(f.registry.see(far, at(0s)));
  for (const char* name : {"web.svc", "_web._tcp.svc", "w1.web.svc", "w1._web._tcp.svc"}) {
    CAPTURE(name);
    CHECK(f.zone.has(name));
    for (const RrType type : {RrType::a, RrType::aaaa, RrType::srv, RrType::ptr})
      CHECK(f.zone.text(name, type).empty());
    if (std::string(name) != "_web._tcp.svc")
      CHECK(f.zone.why(name) == "w1: passing, but DNS cannot give out its link-local addresses");
  }
  // Beside another it is left out alone.
  f.apply(f.registry.see(sighting("web", "w2", "10.0.0.3", 82), at(1s)));
  CHECK(f.zone.text("web.svc", RrType::srv) == "100:82:w2.web.svc/1");
  CHECK(f.zone.text("w1.web.svc", RrType::srv).empty());
  CHECK(f.zone.why("web.svc").empty());
  // And with an address of a wider scope it is served.
  far.addresses.push_back({IpAddress::v4(10, 0, 0, 5), 2});
  f.apply(f.registry.see(far, at(2s)));
  CHECK(f.zone.text("w1.web.svc", RrType::a) == "10.0.0.5/1");
}

TEST_CASE("what happens when no instance is healthy is a choice") {
  Registry registry("box");
  REQUIRE(
      registry.put(spec(R"({"name":"web","id":"w1","port":80,"checks":[{"http":"/"}]})"), at(0s)));
  const auto built = [&](AllUnhealthy choice) {
    ZoneProfile p = profile();
    p.serving.all_unhealthy = choice;
    Zone zone;
    ZoneProjection(p).rebuild(registry, host_view(), zone.sink());
    return zone;
  };
  CHECK(built(AllUnhealthy::last_resort).text("web.svc", RrType::a).empty());  // still starting
  REQUIRE(registry.set_check("w1", "http", CheckHealth::critical, "", at(1s)));
  CHECK(built(AllUnhealthy::nodata).text("web.svc", RrType::a).empty());
  CHECK(built(AllUnhealthy::last_resort).text("web.svc", RrType::a) == "10.0.0.1/0");
  CHECK_FALSE(built(AllUnhealthy::nxdomain).has("web.svc"));
}

TEST_CASE("only_passing leaves warning ones out") {
  Registry registry("box");
  Sighting warned = sighting("web", "a", "10.0.0.2", 80);
  warned.health = Health::warning;
  registry.see(warned, at(0s));
  ZoneProfile p = profile();
  Zone both, strict;
  ZoneProjection(p).rebuild(registry, host_view(), both.sink());
  p.serving.only_passing = true;
  ZoneProjection(p).rebuild(registry, host_view(), strict.sink());
  CHECK(both.text("web.svc", RrType::a) == "10.0.0.2/9");
  CHECK(strict.text("web.svc", RrType::a).empty());
}

TEST_CASE("a dotted name also stands in the domain that it ends with") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"order.rpc","id":"o","port":80})"), at(0s)));
  Zone rpc, svc;
  ZoneProjection(profile("rpc")).rebuild(registry, host_view(), rpc.sink());
  ZoneProjection(profile()).rebuild(registry, host_view(), svc.sink());
  CHECK(rpc.text("order.rpc", RrType::a) == "10.0.0.1/0");
  CHECK(rpc.text("order-rpc.rpc", RrType::a) == "10.0.0.1/0");
  CHECK(svc.text("order-rpc.svc", RrType::a) == "10.0.0.1/0");
  CHECK_FALSE(svc.has("order.svc"));
}

TEST_CASE("stale answers are marked, and their TTL is not cut any more") {
  Fixture f;
  f.apply(f.registry.see(sighting("web", "a", "10.0.0.2", 80), at(0s)));
  CHECK_FALSE(f.zone.stale("web.svc"));
  f.apply(f.registry.go_stale("_web._tcp a", at(1s)));
  CHECK(f.zone.stale("web.svc"));
  CHECK(f.zone.text("web.svc", RrType::a) == "10.0.0.2/1");
}

TEST_CASE("addresses lead back to their instances, and to nothing else") {
  CHECK(reverse_name(IpAddress::v4(10, 0, 2, 1)).to_display() == "1.2.0.10.in-addr.arpa");
  CHECK(reverse_name(*IpAddress::parse("2001:db8::1")).to_display() ==
        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
  Registry registry("box");
  ReverseProjection reverse(*dns::Name::parse("svc"));
  Zone zone;
  const auto apply = [&](const Changes& changes) {
    reverse.update(registry, host_view(), changes, zone.sink());
  };
  apply(*registry.put(spec(R"({"name":"web","id":"w","port":80})"), at(0s)));
  apply(registry.see(sighting("web", "a", "10.0.0.2", 80), at(0s)));
  apply(registry.see(sighting("api", "b", "10.0.0.2", 81), at(0s)));
  CHECK(zone.text("1.0.0.10.in-addr.arpa", RrType::ptr) == "w.web.svc/0");
  CHECK(zone.text("2.0.0.10.in-addr.arpa", RrType::ptr) == "a.web.svc/0 b.api.svc/0");
  apply(registry.lose("_web._tcp a", at(1s)));
  CHECK(zone.text("2.0.0.10.in-addr.arpa", RrType::ptr) == "b.api.svc/0");
  apply(registry.lose("_api._tcp b", at(1s)));
  CHECK_FALSE(zone.has("2.0.0.10.in-addr.arpa"));
  for (std::size_t i = 0; i < kReverseNamesMax + 4; ++i)
    apply(registry.see(
        sighting("many", "m" + std::to_string(i), "10.0.0.9", static_cast<std::uint16_t>(100 + i)),
        at(2s)));
  const std::string many = zone.text("9.0.0.10.in-addr.arpa", RrType::ptr);
  CHECK(static_cast<std::size_t>(std::count(many.begin(), many.end(), '/')) == kReverseNamesMax);
}

TEST_CASE("updates from changes lead to the zone that a rebuild makes") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    SeededRandom random(seed);
    Fixture f;
    Duration now = 0s;
    for (int step = 0; step < 150; ++step) {
      now += std::chrono::seconds(random.below(90));
      const std::string service = random.below(2) ? "web" : "api";
      const std::string id = "i" + std::to_string(random.below(4));
      Changes changes;
      const auto keep = [&](Result<Changes, RegistryError> result) {
        if (result) changes = std::move(*result);
      };
      switch (random.below(6)) {
        case 0:
          keep(f.registry.put(spec(R"({"name":")" + service + R"(","id":")" + id + R"(","port":)" +
                                   std::to_string(random.below(2)) + R"(,"protocol":")" +
                                   (random.below(2) ? "https" : "http") + R"(","tags":["t)" +
                                   std::to_string(random.below(3)) +
                                   R"("],"checks":[{"http":"http://127.0.0.1:1/"}]})"),
                              at(now)));
          break;
        case 1:
          keep(f.registry.remove(id, at(now)));
          break;
        case 2:
          changes = f.registry.see(
              sighting(service, id, "10.0.0." + std::to_string(random.below(4)), 80), at(now));
          break;
        case 3:
          changes = f.registry.lose('_' + service + "._tcp " + id, at(now));
          break;
        case 4:
          changes = f.registry.expire(at(now));
          break;
        case 5:
          keep(f.registry.set_check(id, "http", static_cast<CheckHealth>(random.below(4)), "x",
                                    at(now)));
          break;
      }
      f.apply(changes);
      ZoneProjection fresh(profile());
      Zone rebuilt;
      fresh.begin(f.registry, f.host, rebuilt.sink());
      auto incremental = f.zone.all(), whole = rebuilt.all();
      // A fresh zone has no DNS-SD list as long as nothing was ever listed.
      if (!whole.contains("_services._dns-sd._udp.svc"))
        incremental.erase("_services._dns-sd._udp.svc");
      REQUIRE(incremental == whole);
    }
  }
}

TEST_CASE("a name that is too long for its domain does not exist, and leaves nothing elsewhere") {
  const std::string part(50, 'd');
  const std::string domain = part + '.' + part + '.' + part;
  Registry registry("box");
  ZoneProjection projection(profile(domain.c_str()));
  std::vector<std::string> owners;
  const ZoneSink sink = [&](ZoneUpdate update) { owners.push_back(update.owner.to_display()); };
  projection.begin(registry, host_view(), sink);
  const std::string long_id(60, 'i'), tag(60, 't');
  const auto put = registry.put(
      spec(R"({"name":"web","id":")" + long_id + R"(","port":80,"tags":[")" + tag + R"("]})"),
      at(0s));
  projection.update(registry, host_view(), *put, sink);
  const std::string wide = "w" + std::string(60, 'w');
  const auto more = registry.put(spec(R"({"name":")" + wide + R"(","id":")" + long_id +
                                      R"(","port":80,"tags":[")" + tag + R"("]})"),
                                 at(1s));
  projection.update(registry, host_view(), *more, sink);
  const auto gone = registry.remove(long_id, at(2s));
  projection.update(registry, host_view(), *gone, sink);
  CHECK(std::ranges::count(owners, domain) == 0);
  CHECK(std::ranges::count(owners, wide + '.' + domain) > 0);
  CHECK(std::ranges::count(owners, long_id + ".web." + domain) > 0);
  CHECK(std::ranges::count(owners, long_id + '.' + wide + '.' + domain) == 0);
}

TEST_CASE("kPointersPerNameMax instances are pointed to, the nearest ones, and all have names") {
  Fixture f;
  for (std::size_t i = 0; i < kPointersPerNameMax; ++i) {
    const std::string number = std::to_string(i);
    f.registry
        .put(spec(R"({"name":"big","id":"i)" + number + R"(","port":)" + std::to_string(1000 + i) +
                  "}"),
             at(0s))
        .value();
  }
  f.apply(f.registry.see(sighting("big", "far", "192.168.9.9", 80), at(0s)));
  std::size_t pointers = 0, far = 0;
  const std::string all = f.zone.text("_big._tcp.svc", RrType::ptr);
  for (std::size_t at = all.find("._big._tcp.svc"); at != all.npos;
       at = all.find("._big._tcp.svc", at + 1))
    ++pointers;
  far += all.find("far._big") != all.npos ? 1 : 0;
  CHECK(pointers == kPointersPerNameMax);
  CHECK(far == 0);
  CHECK(f.zone.text("far._big._tcp.svc", RrType::srv) == "100:80:far.big.svc/2");
  CHECK(f.zone.text("far.big.svc", RrType::a) == "192.168.9.9/2");
}

}  // namespace
}  // namespace outrider::registry
