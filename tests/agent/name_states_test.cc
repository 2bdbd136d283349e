// SPDX-License-Identifier: Apache-2.0
// Every form of name in every state of the registry, asked of a whole agent: what there is, and
// that the RCODE never depends on the type.
#include <set>

#include <doctest/doctest.h>

#include "tests/agent/machine.h"

namespace outrider::test {
namespace {

using dns::RrType;

std::string config(const std::string& all_unhealthy, const std::string& services) {
  return R"({"dns":{"all_unhealthy":")" + all_unhealthy +
         R"("},"mdns":{"provider":"off"},"services":[)" + services + "]}";
}

/// "web", one instance with a tag, in the state that its heartbeat says.
const std::string kWeb = R"({"name":"web","id":"w1","port":80,"address":"10.0.0.9","tags":["v1"],)"
                         R"("checks":[{"id":"beat","ttl":"1h",)"
                         R"("deregister_critical_after":"0s"}]})";

/// All types there are rules about, and some there are none about; not AXFR and IXFR.
constexpr unsigned kTypes[] = {1,  2,  5,  6,   10,  12,  13,  15,  16,  28,
                               33, 35, 41, 43,  44,  46,  47,  48,  50,  52,
                               64, 65, 99, 128, 249, 250, 253, 254, 255, 65'280};

struct Bench {
  sim::World world{3};
  Machine machine{world, "a", "10.0.0.1/24"};

  explicit Bench(const std::string& text) {
    REQUIRE(machine.start(text) == "");
    world.advance(2s);
  }
  void beat(CheckHealth health) {
    REQUIRE(machine.agent().renew("w1", "beat", health, "told"));
    world.advance(1s);
  }
  /// "addresses", "NODATA", "NXDOMAIN": by the type A; and no type says another RCODE.
  std::string outcome(const std::string& name) {
    CAPTURE(name);
    std::set<dns::Rcode> seen;
    for (const unsigned type : kTypes) {
      const Reply reply = machine.ask(name, static_cast<RrType>(type));
      REQUIRE(reply.came);
      seen.insert(reply.rcode);
    }
    CHECK(seen.size() == 1);
    // An operation, refused for all names alike (RFC 5936 §5).
    for (const RrType transfer : {RrType::axfr, RrType::ixfr})
      CHECK(machine.ask(name, transfer).rcode == dns::Rcode::refused);
    const Reply reply = machine.ask(name, RrType::a);
    return reply.answers.empty() ? reply.text() : "addresses";
  }
};

const char* const kServiceNames[] = {"web.svc", "WEB.Svc", "local.web.svc"};
const char* const kInstanceNames[] = {"w1.web.svc"};
const char* const kTagNames[] = {"v1._tag.web.svc"};
// SRV and PTR alone: no addresses, whatever the state.
const char* const kSrvNames[] = {"_web._tcp.svc"};
const char* const kSrvInstanceNames[] = {"_http._tcp.web.svc", "w1._web._tcp.svc"};
const char* const kEmptyNames[] = {"_tcp.web.svc", "_tag.web.svc"};  // RFC 8020
const char* const kAlwaysThere[] = {"svc",
                                    "_tcp.svc",
                                    "_services._dns-sd._udp.svc",
                                    "b._dns-sd._udp.svc",
                                    "lb._dns-sd._udp.svc",
                                    "_udp.svc"};
const char* const kNeverThere[] = {"nobody.svc", "x.web.svc",       "x.w1.web.svc",
                                   "eb.svc",     "v2._tag.web.svc", "_grpc._tcp.web.svc",
                                   "local.svc"};

void check_all(Bench& bench, const std::string& service, const std::string& instance) {
  const auto none = [](const std::string& outcome) {
    return outcome == "addresses" ? std::string("NODATA") : outcome;
  };
  const auto each = [&](auto& names, const std::string& wanted) {
    for (const char* name : names) {
      CAPTURE(name);
      CHECK(bench.outcome(name) == wanted);
    }
  };
  each(kServiceNames, service);
  each(kInstanceNames, instance);
  each(kTagNames, instance);
  each(kSrvNames, none(service));
  each(kSrvInstanceNames, none(instance));
  each(kEmptyNames, none(instance));
  each(kAlwaysThere, "NODATA");
  each(kNeverThere, "NXDOMAIN");
}

}  // namespace

TEST_CASE("names: every state of the registry, every form, every type") {
  Bench bench(config("nodata", kWeb));
  Agent& agent = bench.machine.agent();
  check_all(bench, "NODATA", "NODATA");  // starting
  CHECK(bench.machine.ask("web.svc", RrType::a).why == "1 known, 0 passing");
  bench.beat(CheckHealth::passing);
  check_all(bench, "addresses", "addresses");
  CHECK(bench.machine.ask("_web._tcp.svc", RrType::srv).answers.size() == 1);
  CHECK(bench.machine.ask("_web._tcp.svc", RrType::ptr).answers.size() == 1);
  bench.beat(CheckHealth::warning);
  check_all(bench, "addresses", "addresses");
  bench.beat(CheckHealth::critical);
  check_all(bench, "NODATA", "NODATA");
  CHECK(bench.machine.ask("web.svc", RrType::aaaa).why.find("w1: critical: told") !=
        std::string::npos);
  bench.beat(CheckHealth::passing);
  REQUIRE(agent.set_maintenance("w1", true, "upgrade"));
  check_all(bench, "NODATA", "NODATA");
  CHECK(bench.machine.ask("w1.web.svc", RrType::a).why == "w1: maintenance: upgrade");
  REQUIRE(agent.set_maintenance("w1", false, ""));
  check_all(bench, "addresses", "addresses");
  REQUIRE(agent.set_draining("w1", true));
  check_all(bench, "NODATA", "NODATA");

  REQUIRE(agent.remove("w1"));
  CHECK(bench.outcome("w1.web.svc") == "NXDOMAIN");
  for (const char* name : {"web.svc", "local.web.svc", "_web._tcp.svc"}) {
    CAPTURE(name);
    CHECK(bench.outcome(name) == "NODATA");  // remembered
  }
  bench.world.advance(registry::kNameMemory);
  for (const char* name : {"web.svc", "local.web.svc", "_web._tcp.svc", "_tcp.web.svc"}) {
    CAPTURE(name);
    CHECK(bench.outcome(name) == "NXDOMAIN");
  }
}

TEST_CASE("names: no instance healthy, by choice the critical ones or NXDOMAIN") {
  Bench resort(config("last_resort", kWeb));
  check_all(resort, "NODATA", "NODATA");  // starting is not yet critical
  resort.beat(CheckHealth::critical);
  check_all(resort, "addresses", "addresses");

  Bench absent(config("nxdomain", kWeb));
  absent.beat(CheckHealth::critical);
  for (const char* name : {"web.svc", "w1.web.svc", "local.web.svc", "_web._tcp.svc",
                           "_http._tcp.web.svc", "_tcp.web.svc"}) {
    CAPTURE(name);
    CHECK(absent.outcome(name) == "NXDOMAIN");
  }
  absent.beat(CheckHealth::passing);
  check_all(absent, "addresses", "addresses");
}

TEST_CASE("names: IPv4 or IPv6 alone is no data for the other") {
  Bench bench(config("nodata", R"({"name":"v4","id":"a","port":1,"address":"10.0.0.9"},)"
                               R"({"name":"v6","id":"b","port":1,"address":"2001:db8::9"})"));
  CHECK(bench.outcome("v4.svc") == "addresses");
  CHECK(bench.outcome("v6.svc") == "NODATA");
  CHECK(bench.machine.ask("v4.svc", RrType::aaaa).text() == "NODATA");
  CHECK(bench.machine.ask("v6.svc", RrType::aaaa).answers.size() == 1);
  CHECK(bench.machine.ask("9.0.0.10.in-addr.arpa", RrType::ptr).answers ==
        std::multiset<std::string>{"a.v4.svc"});
  CHECK(bench.machine.ask("8.0.0.10.in-addr.arpa", RrType::ptr).rcode == dns::Rcode::refused);
}

TEST_CASE("names: the link is asked for an unknown name, but not for what a search list makes") {
  Bench bench(R"({"services":[]})");
  const auto wait_for = [&](const char* name) {
    const TimePoint begun = bench.world.now();
    CHECK(bench.machine.ask(name, RrType::a).rcode == dns::Rcode::nxdomain);
    return bench.world.now() - begun;
  };
  CHECK(wait_for("nobody.svc") >= 300ms);
  CHECK(wait_for("_nobody._tcp.svc") >= 300ms);
  CHECK(wait_for("nobody.svc.svc") < 10ms);
  CHECK(wait_for("x.nobody.svc.SVC") < 10ms);
}

}  // namespace outrider::test
