// SPDX-License-Identifier: Apache-2.0
// What an agent keeps of the instances of other hosts: bounded for each, and given back.
#include <doctest/doctest.h>
#include <malloc.h>

#include "agent/registry/history.h"
#include "tests/agent/machine.h"
#include "tests/mdns/message.h"

using namespace outrider;
using namespace std::chrono_literals;
using test::Machine;

namespace {

constexpr int kInstances = 600;
/// What malloc keeps at hand of freed blocks counts as in use, seven of each size (some 230 kB),
/// and tables keep their size.
constexpr std::size_t kKept = 600'000;
/// The history of the registry holds some of those that are gone, up to its limit.
constexpr std::size_t kLeftMax = kKept + registry::kHistoryBytesMax;

#ifdef __SANITIZE_ADDRESS__
constexpr bool kMeasured = false;  // the sanitizer has an allocator of its own
#else
constexpr bool kMeasured = true;
#endif

/// Octets of the heap that are in use, with what malloc adds to each block.
std::size_t allocated() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

class Crowd {
 public:
  explicit Crowd(std::vector<std::string> txt) : txt_(std::move(txt)) {
    REQUIRE(machine_.start(R"({"mdns":{"browse":["_many._tcp"]}})").empty());
    world_.advance(5s);
    forget_tests();
  }

  /// Each comes from a host of its own.
  void announce_all(dns::Ttl ttl) {
    for (int i = 0; i < kInstances; ++i)
      announce(i, ttl);
    wait(5s);
  }
  void wait(Duration time) {
    world_.advance(time);
    forget_tests();
  }
  std::size_t seen() { return machine_.agent().registry().instances("many").size(); }

 private:
  void announce(int number, dns::Ttl ttl) {
    const std::string text = std::to_string(number);
    const std::string address =
        "10.0." + std::to_string(number / 250) + '.' + std::to_string(1 + number % 250);
    mdns::Sent sent = mdns::instance("instance-" + text, "_many._tcp", "host-" + text + ".local.",
                                     address, 8'080, ttl);
    sent.answers[2] = mdns::txt("instance-" + text + "._many._tcp.local.", txt_, ttl);
    const auto bytes = mdns::encode(sent);
    world_.link("lan").inject({*IpAddress::parse(address), 5353},
                              {IpAddress::v4(224, 0, 0, 251), 5353}, bytes);
    world_.advance(5ms);
  }
  /// What the simulated world remembers is not the agent's.
  void forget_tests() {
    world_.link("lan").clear_capture();
    machine_.host().log().clear();
  }

  std::vector<std::string> txt_;
  sim::World world_{1};
  Machine machine_{world_, "box", "10.0.99.1/16"};
};

}  // namespace

TEST_CASE("an instance of another host costs a few kilobytes, which are given back with it") {
  struct Shape {
    const char* what;
    std::vector<std::string> txt;
    std::size_t bar;  // octets for each instance
  };
  const Shape shapes[] = {
      {"of any program", {"farp.enabled=true", "name=many"}, 6'800},
      {"of an agent, with FARP, tags and metadata",
       {"outrider=0123456789abcdef.host", "name=many", "version=1.0.0", "tags=a,b",
        "farp.enabled=true", "farp.openapi.path=/openapi.json", "region=eu-central-1"},
       7'800},
  };
  for (const Shape& shape : shapes) {
    CAPTURE(shape.what);
    Crowd crowd(shape.txt);
    const std::size_t before = allocated();
    crowd.announce_all(4'500);
    REQUIRE(crowd.seen() == kInstances);
    const std::size_t full = allocated();
    const std::size_t each = (full - before) / kInstances;
    MESSAGE(each << " octets for each");
    CHECK(each <= shape.bar + registry::kHistoryBytesMax / kInstances);
    crowd.announce_all(0);
    CHECK(crowd.seen() == 0);
    crowd.wait(20min);  // the memory of the service's name has ended
    const std::size_t after = allocated();
    const std::size_t left = after - std::min(before, after);
    MESSAGE(left << " octets are left");
    CHECK(left <= kLeftMax);
    CHECK((!kMeasured || left < (full - before) / 2));
  }
}
