// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/exposure.h"

#include <doctest/doctest.h>

#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

std::vector<Endpoint> listeners(const std::vector<const char*>& texts) {
  std::vector<Endpoint> out;
  for (const char* text : texts)
    out.push_back(*Endpoint::parse(text));
  return out;
}

TEST_CASE("a port is reached over loopback only if every listener on it is bound to loopback") {
  const auto loopback_only = [](const std::vector<const char*>& texts) {
    return exposure_of(80, Scope::automatic, listeners(texts)).loopback_only;
  };
  CHECK(loopback_only({"127.0.0.1:80"}));
  CHECK(loopback_only({"[::1]:80", "127.0.0.2:80", "0.0.0.0:81"}));
  CHECK_FALSE(loopback_only({"0.0.0.0:80"}));
  CHECK_FALSE(loopback_only({"[::]:80"}));
  CHECK_FALSE(loopback_only({"127.0.0.1:80", "10.0.0.1:80"}));
  CHECK_FALSE(loopback_only({"127.0.0.1:81"}));  // no listener: forwarded, perhaps
  CHECK_FALSE(loopback_only({}));
}

TEST_CASE("the text says what was made of the scope, and is empty if that was intended") {
  const auto local = listeners({"127.0.0.1:80"});
  CHECK(exposure_of(80, Scope::automatic, local).limit ==
        "registered for this host only: the program listens on loopback only, on port 80");
  CHECK(exposure_of(80, Scope::lan, local).limit ==
        "announced to the network, but the program listens on loopback only, on port 80");
  CHECK(exposure_of(80, Scope::host, local).limit.empty());
  CHECK(exposure_of(80, Scope::automatic, listeners({"0.0.0.0:80"})) == Exposure());
}

TEST_CASE("a program that listens on another address than the probed one is named with it") {
  const auto apart = [](const std::vector<const char*>& texts) {
    return exposure_apart(80, listeners(texts));
  };
  CHECK(apart({"[::1]:80", "0.0.0.0:81"}).limit ==
        "nothing listens on 127.0.0.1:80; the program listens on [::1]:80 only");
  CHECK(apart({"[::1]:80"}).advice ==
        "give the service the address ::1 (outrider run --address ::1), or make the program "
        "listen on 0.0.0.0");
  CHECK(apart({"[fd00::1]:80", "10.0.0.1:80"}).limit ==
        "nothing listens on 127.0.0.1:80; the program listens on 10.0.0.1:80 only");
  CHECK(apart({"127.0.0.2:80"}).limit ==
        "nothing listens on 127.0.0.1:80; the program listens on 127.0.0.2:80 only");
  CHECK(apart({"[::]:80"}).limit ==
        "nothing listens on 127.0.0.1:80; the program listens on IPv6 only");
  CHECK(apart({"[::]:80"}).advice == "make the program listen on 0.0.0.0 too");
  for (const char* reached : {"0.0.0.0:80", "127.0.0.1:80"})
    CHECK(apart({"[::1]:80", reached}) == Exposure());
  CHECK(apart({"[::1]:81"}) == Exposure());
  CHECK(apart({}) == Exposure());
}

TEST_CASE("a program that listens elsewhere is named with its ports, at most four") {
  const std::uint16_t one[] = {3000}, right[] = {3000, 8301}, many[] = {1, 2, 3, 4, 5};
  const Exposure exposure = exposure_elsewhere(8301, one);
  CHECK(exposure.limit == "nothing listens on port 8301; the program listens on 3000");
  CHECK(exposure.advice == "use --port 3000, or make the program listen on the port in $PORT");
  CHECK(exposure_elsewhere(8301, right) == Exposure());
  CHECK(exposure_elsewhere(8301, {}) == Exposure());
  CHECK(exposure_elsewhere(8301, many).limit ==
        "nothing listens on port 8301; the program listens on 1, 2, 3 and 4");
}

TEST_CASE("a registration that is reached over loopback only has scope host, unless told lan") {
  Registry registry("box");
  const Exposure loopback{.loopback_only = true, .limit = "x", .advice = "y"};
  (void)registry.put(spec(R"({"name": "s", "id": "a", "port": 80})"), at(0s), loopback);
  CHECK(registry.find_own("a")->scope == Scope::host);
  (void)registry.put(spec(R"({"name": "s", "id": "b", "port": 80, "scope": "lan"})"), at(0s),
                     loopback);
  CHECK(registry.find_own("b")->scope == Scope::lan);
  CHECK(registry.find_own("b")->exposure == loopback);
  const auto wider = registry.set_exposure("a", {}, at(1s));
  REQUIRE(wider);
  CHECK(wider->list.size() == 1);
  CHECK(registry.find_own("a")->scope == Scope::lan);
  CHECK(registry.set_exposure("a", {}, at(2s))->empty());
  CHECK_FALSE(registry.set_exposure("nobody", {}, at(2s)));
}

}  // namespace
}  // namespace outrider::registry
