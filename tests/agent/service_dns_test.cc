// SPDX-License-Identifier: Apache-2.0
#include "agent/service_dns.h"

#include <functional>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "agent/doors/why.h"
#include "tests/agent/machine.h"

using namespace outrider;
using namespace std::chrono_literals;
using test::Machine;

namespace {

registry::ServiceSpec instance(int number, const std::string& name = "big") {
  const std::string text = std::to_string(number);
  const auto tree =
      json::parse(R"({"name":")" + name + R"(","id":")" + name + '-' + text + R"(","port":)" +
                      std::to_string(1'000 + number) + R"(,"address":"10.0.0.9"})",
                  1'000);
  return *registry::ServiceSpec::parse(*tree);
}

struct Alone {
  sim::World world{1};
  Machine machine{world, "box", "10.0.0.1/24"};

  explicit Alone(const std::string& dns) {
    CHECK(machine.start(R"({"mdns":{"provider":"off"},"dns":)" + dns + "}").empty());
  }
  std::size_t listed() { return machine.ask("big.svc", dns::RrType::srv).answers.size(); }
  std::string one(int number) {
    return machine.ask("big-" + std::to_string(number) + ".big.svc", dns::RrType::a).text();
  }
};

}  // namespace

TEST_CASE("the automatic id of the first version is answered, and why names the present one") {
  Alone alone("{}");
  const auto spec = registry::ServiceSpec::parse(
      *json::parse(R"({"name":"web","port":80,"address":"10.0.0.9"})", 1'000));
  REQUIRE(alone.machine.agent().put(*spec));
  const std::string id = alone.machine.agent().registry().instances("web").front()->id.text();
  REQUIRE(id.starts_with("web-box-80-"));
  CHECK(alone.machine.ask("web-box-80.web.svc", dns::RrType::a).text() == "NOERROR 10.0.0.9");
  CHECK(alone.machine.ask("web-box-80._web._tcp.svc", dns::RrType::srv).answers.size() == 1);
  CHECK(alone.machine.ask("web-box-81.web.svc", dns::RrType::a).text() == "NXDOMAIN");
  const std::string why = doors::explain(alone.machine.agent(), "web-box-80.web.svc").json;
  CHECK(why.find("web-box-80 is the id without the suffix of its host: " + id) != why.npos);
}

TEST_CASE("queries for a service are counted over all domains, and the last client is known") {
  Alone alone(R"({"domains":["svc","lan.test"]})");
  REQUIRE(alone.machine.agent().put(instance(1)));
  CHECK_FALSE(alone.machine.agent().asked("big").last.has_value());
  alone.machine.ask("big.lan.test", dns::RrType::a);
  alone.world.advance(2s);
  const WallTime before = alone.world.wall();
  alone.machine.ask("big.svc", dns::RrType::a);
  const auto asked = alone.machine.agent().asked("big");
  CHECK(asked.times == 2);
  REQUIRE(asked.last.has_value());
  CHECK(*asked.last > before - 200ms);
  CHECK(asked.by == *IpAddress::parse("127.0.0.1"));
  CHECK_FALSE(alone.machine.agent().asked("other").last.has_value());
}

TEST_CASE("one change of a large service is in DNS at once, a burst of them soon") {
  Alone alone("{}");
  const int size = static_cast<int>(kUnpacedInstances) + 40;
  for (int i = 0; i <= static_cast<int>(kUnpacedInstances); ++i) {
    REQUIRE(alone.machine.agent().put(instance(i)));
    CHECK(alone.one(i) == "NOERROR 10.0.0.9");
  }
  alone.world.advance(1s);
  REQUIRE(alone.machine.agent().put(instance(size)));
  CHECK(alone.one(size) == "NOERROR 10.0.0.9");  // the last rebuild was long ago

  for (int i = static_cast<int>(kUnpacedInstances) + 1; i < size; ++i)
    REQUIRE(alone.machine.agent().put(instance(i)));
  CHECK(alone.machine.agent().service_dns().name_count() < static_cast<std::size_t>(2 * size));
  alone.world.advance((size + 1) * kRebuildPace);
  CHECK(alone.machine.agent().service_dns().name_count() > static_cast<std::size_t>(2 * size));
  CHECK(alone.one(size - 1) == "NOERROR 10.0.0.9");

  for (int i = 0; i <= size; ++i)
    REQUIRE(alone.machine.agent().remove("big-" + std::to_string(i)));
  alone.world.advance(1s);
  CHECK(alone.machine.ask("big.svc", dns::RrType::a).text() == "NODATA");
  CHECK(alone.one(3) == "NXDOMAIN");
}

TEST_CASE(
    "an instance that is registered and waits for its turn in DNS is answered when it comes") {
  Alone alone("{}");
  const int size = static_cast<int>(kUnpacedInstances) + 40;
  for (int i = 0; i < size; ++i)
    REQUIRE(alone.machine.agent().put(instance(i)));
  const std::size_t names = alone.machine.agent().service_dns().name_count();
  CHECK(alone.one(size - 1) == "NOERROR 10.0.0.9");
  CHECK(alone.machine.agent().service_dns().name_count() > names);  // not when it was asked for
  CHECK(alone.one(size) == "NXDOMAIN");
}

TEST_CASE("of several large services, each turn of the loop rebuilds one") {
  Alone alone("{}");
  const int size = static_cast<int>(kUnpacedInstances) + 40;
  const std::vector<std::string> names{"big", "huge", "vast"};
  for (const std::string& name : names)
    for (int i = 0; i < size; ++i)
      REQUIRE(alone.machine.agent().put(instance(i, name)));
  // What a query in each turn would find, from the moment when all of them are due.
  Env& env = alone.machine.host().env();
  std::set<std::size_t> counts;
  Timer turn;
  int turns = 0;
  const std::function<void()> look = [&] {
    counts.insert(alone.machine.agent().service_dns().name_count());
    if (counts.size() < 4 && ++turns < 500) turn = env.after(counts.size() > 1 ? 0us : 500us, look);
  };
  look();
  alone.world.advance(1s);
  REQUIRE(counts.size() == 4);
  for (const std::string& name : names)
    CHECK(alone.machine.ask(name + "-103." + name + ".svc", dns::RrType::a).text() ==
          "NOERROR 10.0.0.9");
}

TEST_CASE("the list of all services follows, however long it is") {
  Alone alone("{}");
  const std::size_t count = 3 * registry::kTypesListedAtOnce;
  for (std::size_t i = 0; i < count; ++i) {
    const auto tree = json::parse(R"({"name":"s)" + std::to_string(i) + R"(","port":80})", 1'000);
    REQUIRE(alone.machine.agent().put(*registry::ServiceSpec::parse(*tree)));
  }
  alone.world.advance(100ms);
  // More than fits into a datagram: the answer says so, and is not empty.
  CHECK(alone.machine.ask("_services._dns-sd._udp.svc", dns::RrType::ptr).answers.size() > 20);
  for (std::size_t i = 3; i < count; ++i)
    REQUIRE(alone.machine.agent().remove(
        registry::automatic_id(*registry::ServiceSpec::parse(*json::parse(
                                   R"({"name":"s)" + std::to_string(i) + R"(","port":80})", 1'000)),
                               alone.machine.agent().registry().host())
            .text()));
  alone.world.advance(100ms);
  CHECK(alone.machine.ask("_services._dns-sd._udp.svc", dns::RrType::ptr).answers.size() == 3);
}

TEST_CASE("dns.order p2c: who is busy is named first less often") {
  Alone alone(R"({"order":"p2c","answers":1})");
  for (const int last : {2, 3}) {
    const std::string text = std::to_string(last);
    const auto tree = json::parse(R"({"name":"pair","id":"pair-)" + text +
                                      R"(","port":80,"address":"10.0.0.)" + text + R"("})",
                                  1'000);
    REQUIRE(alone.machine.agent().put(*registry::ServiceSpec::parse(*tree)));
  }
  const auto count = [&] {
    std::map<std::string, int> firsts;
    for (int i = 0; i < 130; ++i)
      ++firsts[alone.machine.ask("pair.svc", dns::RrType::a).text()];
    return firsts["NOERROR 10.0.0.3"];
  };
  const int equal = count();
  CHECK(equal > 35);
  CHECK(equal < 95);
  alone.machine.connections[*Endpoint::parse("10.0.0.2:80")] = {1, 1ms};
  alone.machine.connections[*Endpoint::parse("10.0.0.3:80")] = {40, 1ms};
  alone.world.advance(kLoadSample);
  CHECK(count() < 10);
  const std::string busy = "10.0.0.3", idle = "10.0.0.2";
  const std::string why = doors::explain(alone.machine.agent(), "pair.svc").json;
  CHECK(why.find(idle) < why.find(busy));  // `outrider why` has the same order
  alone.machine.connections.clear();
  alone.world.advance(3min);
  CHECK(count() > 35);  // nothing is held against it for ever
}

TEST_CASE("dns.order p2c counts connections only where there is a choice") {
  Alone alone(R"({"order":"p2c"})");
  const auto put = [&](const std::string& last) {
    const auto tree = json::parse(R"({"name":"pair","id":"pair-)" + last +
                                      R"(","port":80,"address":"10.0.0.)" + last + R"("})",
                                  1'000);
    REQUIRE(alone.machine.agent().put(*registry::ServiceSpec::parse(*tree)));
  };
  const auto counts = [&] {
    alone.world.advance(3s);
    return alone.machine.agent().service_dns().counts_load();
  };
  CHECK_FALSE(counts());
  put("2");
  CHECK_FALSE(counts());
  put("3");
  CHECK(counts());
  REQUIRE(alone.machine.agent().remove("pair-2"));
  CHECK_FALSE(counts());
}
