// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/txt.h"

#include <doctest/doctest.h>

#include "base/random.h"

namespace outrider::farp {
namespace {

using Strings = std::vector<std::string>;

TEST_CASE("two rules of reading") {
  const Strings strings{"Name=first", "name=second", "flag", "=no key", "", "eq=a=b=c", "empty="};
  const TxtMap strict = TxtMap::parse(strings, TxtRules::strict);
  CHECK(strict.get("NAME") == "first");
  CHECK(strict.find("flag") != nullptr);
  CHECK(strict.get("eq") == "a=b=c");
  REQUIRE(strict.find("empty") != nullptr);
  CHECK(strict.entries().size() == 4);
  CHECK(strict.entries()[1] == TxtEntry{.key = "flag", .flag = true});
  CHECK(strict.entries()[3] == TxtEntry{.key = "empty"});

  const TxtMap forge = TxtMap::parse(strings, TxtRules::forge);
  CHECK(forge.get("Name") == "first");
  CHECK(forge.get("name") == "second");
  CHECK(forge.find("flag") == nullptr);
  CHECK(TxtMap::parse({"k=1", "k=2"}, TxtRules::forge).get("k") == "2");
}

TEST_CASE("a key without a value stays one, in every layout") {
  const Strings plain{"flag", "empty="};
  const Strings wrapped{"farp.id=i", "farp.meta.flag", "farp.meta.empty="};
  const std::vector<TxtEntry> said{{.key = "flag", .flag = true}, {.key = "empty"}};
  CHECK(read_txt(TxtMap::parse(plain)).metadata == said);
  CHECK(read_txt(TxtMap::parse(wrapped)).metadata == said);
  // A key that is present without a value says nothing about its value.
  const TxtFacts bare = read_txt(TxtMap::parse({"farp.enabled", "name", "id", "tags", "weight"}));
  CHECK_FALSE(bare.enabled);
  CHECK(bare.name.empty());
  CHECK(bare.id.empty());
  CHECK(bare.tags.empty());

  const TxtMap full = TxtMap::parse({"farp.id=i", "farp.service=s", "farp.meta.flag"});
  const TxtMap shrunk = TxtMap::parse({"farp.id=i", "farp.last"});
  const TxtMap whole = survive_shrink(full, shrunk);
  CHECK(whole.entries()[2] == TxtEntry{.key = "farp.meta.flag", .flag = true});
  CHECK(whole.entries()[3] == TxtEntry{.key = "farp.last", .flag = true});
}

TEST_CASE("without doubles and bare keys both rules read the same, whatever the bytes") {
  SeededRandom random(11);
  for (int round = 0; round < 200; ++round) {
    Strings strings;
    for (std::uint64_t i = 0; i < random.below(8); ++i) {
      std::string value;
      for (std::uint64_t n = random.below(200); n > 0; --n)
        value += static_cast<char>(random.below(256));
      strings.push_back("key" + std::to_string(i) + '=' + value);
    }
    CHECK(TxtMap::parse(strings, TxtRules::strict).entries() ==
          TxtMap::parse(strings, TxtRules::forge).entries());
  }
}

TEST_CASE("plain layout") {
  const TxtFacts facts = read_txt(TxtMap::parse(
      {"name=User_Service", "id=u-1", "version=1.0.0", "tags=http,v1", "farp.enabled=true",
       "farp.manifest=http://localhost:4400/_farp/manifest", "farp.openapi=http://h/openapi.json",
       "farp.health=/health", "farp.capabilities=[rest grpc]", "region=us-west"}));
  CHECK(facts.enabled);
  CHECK(!facts.library);
  CHECK(facts.name == "User_Service");
  CHECK(facts.id == "u-1");
  CHECK(facts.tags == Strings{"http", "v1"});
  CHECK(facts.capabilities == Strings{"rest", "grpc"});
  CHECK(facts.health == "/health");
  REQUIRE(facts.metadata.size() == 1);
  CHECK(facts.metadata[0].key == "region");
}

TEST_CASE("the library's layout, and its TXT that shrinks after the first heartbeat") {
  const TxtMap full =
      TxtMap::parse({"farp.enabled=true", "farp.id=u-1", "farp.service=users",
                     "farp.status=healthy", "farp.meta.version=2.0.0",
                     "farp.meta.farp.manifest=http://h:1/_farp/manifest", "farp.meta.zone=a"});
  const TxtFacts facts = read_txt(full);
  CHECK(facts.library);
  CHECK(facts.name == "users");
  CHECK(facts.version == "2.0.0");
  CHECK(facts.manifest == "http://h:1/_farp/manifest");
  REQUIRE(facts.metadata.size() == 1);
  CHECK(facts.metadata[0] == TxtEntry{"zone", "a"});

  const TxtMap shrunk = TxtMap::parse(
      {"farp.enabled=true", "farp.id=u-1", "farp.status=degraded", "farp.last-health=17"});
  const TxtFacts after = read_txt(survive_shrink(full, shrunk));
  CHECK(after.name == "users");
  CHECK(after.manifest == "http://h:1/_farp/manifest");
  CHECK(after.status == "degraded");
  // Another instance under the label is not the old one shrunk.
  const TxtMap other = TxtMap::parse({"farp.enabled=true", "farp.id=u-2"});
  CHECK(read_txt(survive_shrink(full, other)).name.empty());
}

TEST_CASE("capabilities in every encoding that is in the wild") {
  for (const char* text : {"[rest grpc]", "rest,grpc", "rest, grpc", "[rest, grpc]", "rest grpc"}) {
    CAPTURE(text);
    CHECK(parse_capabilities(text) == Strings{"rest", "grpc"});
  }
  CHECK(parse_capabilities("rest") == Strings{"rest"});
  CHECK(parse_capabilities("[]").empty());
}

TEST_CASE("a loopback host in a URL becomes where the publisher was seen") {
  const IpAddress v4 = IpAddress::v4(192, 168, 1, 9);
  CHECK(with_reachable_host("http://localhost:4400/x", v4) == "http://192.168.1.9:4400/x");
  CHECK(with_reachable_host("http://0.0.0.0:4400/x", v4) == "http://192.168.1.9:4400/x");
  CHECK(with_reachable_host("http://[::1]:4400/x", *IpAddress::parse("2001:db8::7")) ==
        "http://[2001:db8::7]:4400/x");
  CHECK(with_reachable_host("http://10.0.0.1/x", v4) == "http://10.0.0.1/x");
  CHECK(with_reachable_host("/_farp/manifest", v4) == "/_farp/manifest");
}

}  // namespace
}  // namespace outrider::farp
