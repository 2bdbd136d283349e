// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/announcements.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "agent/farp/txt.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::farp {
namespace {

using registry::at;
using registry::Registry;
using registry::ServiceSpec;
using registry::spec;

TEST_CASE("what the copy of an instance of another host announces") {
  Registry registry("box");
  registry::Sighting seen = registry::sighting("web", "w1", "10.9.0.1", 80);
  seen.version = "v1";
  seen.metadata = {{"region", "x"}, {"url", "http://{address}/"}, {"outrider.via", "mine"}};
  seen.health = registry::Health::warning;
  seen.stated = registry::StatedHost{.identity = "c0ffee", .node = {}};
  (void)registry.see(seen, at(0s));
  AnnouncementProfile profile;
  profile.host_text = "ours.box";
  const std::vector<IpAddress> addresses = {*IpAddress::parse("10.9.0.1")};
  const auto plan =
      announcement_of_copy(*registry.instances("web").front(), addresses, "etcd", profile);
  CHECK(plan.label == "w1");
  CHECK(plan.type == "_web._tcp");
  CHECK(plan.port == 80);
  CHECK(plan.weight == 1);
  CHECK(plan.addresses == addresses);
  CHECK_FALSE(plan.host_only);
  CHECK(plan.left_out.empty());
  // The mark is ours, the host its own, and no text of others is replaced by an address.
  const TxtMap txt = TxtMap::parse(plan.txt);
  CHECK(txt.get("outrider.via") == "etcd");
  CHECK(txt.get("outrider") == "c0ffee");
  for (const std::string& text : plan.txt)
    CHECK_MESSAGE(text.find("{address}") == std::string::npos, text);
  const TxtFacts facts = read_txt(txt);
  registry::Metadata read;
  for (const TxtEntry& entry : facts.metadata)
    read[entry.key] = entry.value;
  CHECK(read == seen.metadata);
}

TEST_CASE("what a registration announces") {
  Registry registry("box");
  REQUIRE(registry.put(
      spec(R"({"name":"Hello","id":"H_1","version":"1.0.0","port":8080,"tags":["http","v1","a,b"],
               "metadata":{"region":"us-west","id":"mine","bad key":"x","utf8":"h\u00e9"},
               "checks":[{"http":"/health"}],
               "farp":{"openapi":"/openapi.json","graphql":"https://g.example/graphql",
                       "capabilities":["rest","ws"],"grpc_reflection":true}})"),
      at(0s)));
  AnnouncementProfile p;
  p.host_text = "c0ffee";
  CHECK(announcements(*registry.find_own("H_1"), p).empty());  // starting
  REQUIRE(registry.set_check("H_1", "http", CheckHealth::passing, "", at(1s)));
  const auto plans = announcements(*registry.find_own("H_1"), p);
  REQUIRE(plans.size() == 2);
  CHECK(plans[0].label == "h-1");
  CHECK(plans[0].type == "_hello._tcp");
  CHECK(plans[1].type == "_farp._tcp");
  CHECK(plans[0].addresses.empty());
  CHECK_FALSE(plans[0].host_only);
  const std::vector<std::string> expected = {"name=Hello",
                                             "id=H_1",
                                             "version=1.0.0",
                                             "tags=http,v1",
                                             "tags+0=http,v1,a%2Cb",
                                             "mdns.service_type=_hello._tcp",
                                             "outrider=c0ffee",
                                             "farp.enabled=true",
                                             "farp.manifest=http://{address}:8080/_farp/manifest",
                                             "farp.openapi=http://{address}:8080/openapi.json",
                                             "farp.openapi.path=/openapi.json",
                                             "farp.graphql=https://g.example/graphql",
                                             "farp.graphql.path=/graphql",
                                             "farp.grpc.reflection=true",
                                             "farp.health=/health",
                                             "farp.health.path=/health",
                                             "farp.capabilities=rest,ws",
                                             "farp.id=H_1",
                                             "farp.service=Hello",
                                             "farp.status=healthy",
                                             "farp.version=1.0.0",
                                             "meta.bad%20key=x",
                                             "meta.id=mine",
                                             "region=us-west",
                                             "utf8=h\xc3\xa9"};
  CHECK(plans[0].txt == expected);
  CHECK(plans[0].left_out.empty());
  p.farp_port = 9;
  CHECK(announcements(*registry.find_own("H_1"), p)[0].txt[8] ==
        "farp.manifest=http://{address}:9/_farp/hello/h-1/manifest");
  p.compact_txt = true;
  const auto compact = announcements(*registry.find_own("H_1"), p);
  for (const std::string& text : compact[0].txt)
    CHECK(!text.starts_with("farp.version"));
  p.shared_types = {"_octopus._tcp"};
  CHECK(announcements(*registry.find_own("H_1"), p)[0].label == "h-1");
  CHECK(announcements(*registry.find_own("H_1"), p)[1].label == "hello");
  REQUIRE(registry.set_check("H_1", "http", CheckHealth::critical, "", at(2s)));
  CHECK(announcements(*registry.find_own("H_1"), p).empty());
}

TEST_CASE("a warning is announced, with FARP and without") {
  Registry registry("box");
  for (const char* text : {R"({"name":"a","id":"i","port":1,"checks":[{"http":"/"}]})",
                           R"({"name":"a","id":"i","port":1,"checks":[{"http":"/"}],
                               "farp":{"openapi":"/o"}})"}) {
    REQUIRE(registry.put(spec(text), at(0s)));
    const auto statuses = [&] {
      return std::ranges::count(write_txt(*registry.find_own("i"), "_a._tcp", {}).strings,
                                "farp.status=degraded");
    };
    REQUIRE(registry.set_check("i", "http", CheckHealth::passing, "", at(1s)));
    CHECK(statuses() == 0);
    REQUIRE(registry.set_check("i", "http", CheckHealth::warning, "", at(2s)));
    CHECK(statuses() == 1);
  }
}

TEST_CASE("a schema in a file is announced where we serve it, or not at all") {
  Registry registry("box");
  const auto document =
      json::parse(R"({"name":"a","id":"i","port":1,"farp":{"openapi":"file:/etc/a.json"}})", 4096);
  REQUIRE(registry.put(*ServiceSpec::parse(*document, {}, ServiceSpec::Files::allowed), at(0s)));
  AnnouncementProfile p;
  const auto openapi = [&] {
    std::string found;
    for (const std::string& text : write_txt(*registry.find_own("i"), "_a._tcp", p).strings)
      if (text.starts_with("farp.openapi")) found += text;
    return found;
  };
  CHECK(openapi().empty());
  p.farp_port = 9;
  CHECK(openapi() == "farp.openapi=http://{address}:9/_farp/a/i/schemas/openapi");
}

TEST_CASE("a TXT never grows beyond what one datagram holds") {
  std::string metadata;
  for (int i = 0; i < 64; ++i)
    metadata +=
        (i ? "," : "") + ("\"k" + std::to_string(i)) + "\":\"" + std::string(200, 'v') + '"';
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"a","id":"i","port":1,"metadata":{)" + metadata + "}}"),
                       at(0s)));
  const auto plans = announcements(*registry.find_own("i"), {});
  std::size_t bytes = 0;
  for (const std::string& text : plans[0].txt)
    bytes += 1 + text.size();
  CHECK(bytes <= 1'100);
  CHECK(bytes > 900);
  CHECK(plans[0].left_out.size() > 50);
}

TEST_CASE(
    "a TXT for one reader names the address in our URLs, and in nothing that was registered") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"a","id":"i","port":1,"farp":{},
                               "metadata":{"see":"{address} or {address}"},
                               "tags":["{address}"]})"),
                       at(0s)));
  for (const auto& [address, literal] :
       {std::pair(IpAddress::v4(10, 0, 0, 1), "10.0.0.1"),
        std::pair(*IpAddress::parse("2001:db8::1"), "[2001:db8::1]")}) {
    const auto texts = write_txt_at(*registry.find_own("i"), "_a._tcp", {}, address);
    const auto named = [&](const std::string& text) { return text.find(literal) != text.npos; };
    CHECK(std::ranges::count_if(texts, named) == 1);
    const std::string manifest = std::string("farp.manifest=http://") + literal;
    CHECK(std::ranges::count(texts, manifest + ":1/_farp/manifest") == 1);
  }
}

TEST_CASE("what another host says stays as it says it, mark or no mark") {
  Registry registry("box");
  registry::Sighting seen = registry::sighting("a", "i", "10.0.0.9", 80);
  seen.metadata = {{"see", "{address}"}, {"long", "{address}" + std::string(200, 'x')}};
  registry.see(seen, at(0s));
  const auto txt =
      write_txt_at(*registry.instances("a").front(), "_a._tcp", {}, IpAddress::v4(10, 0, 0, 1));
  CHECK(std::ranges::find(txt, "see={address}") != txt.end());
  CHECK(std::ranges::find(txt, "long=" + seen.metadata["long"]) != txt.end());
}

TEST_CASE("a key that another host announces without a value is told without one") {
  Registry registry("box");
  registry::Sighting seen = registry::sighting("a", "i", "10.0.0.9", 80);
  seen.metadata = {{"flag", ""}, {"empty", ""}};
  seen.flags = {"flag"};
  registry.see(seen, at(0s));
  const auto texts = [&] {
    return write_txt(*registry.instances("a").front(), "_a._tcp", {}).strings;
  };
  const auto has = [&](const char* text) { return std::ranges::count(texts(), text) == 1; };
  CHECK(has("flag"));
  CHECK(has("empty="));
  // Neither has changed its value, but what the first one is.
  seen.flags.clear();
  CHECK_FALSE(registry.see(seen, at(1s)).empty());
  CHECK(has("flag="));
}

TEST_CASE("a string that names the address has room for the longest one") {
  for (const std::size_t size : {1U, 200U, 230U, 240U, 254U}) {
    CAPTURE(size);
    Registry registry("box");
    REQUIRE(registry.put(spec(R"({"name":"a","id":"i","port":1,"farp":{"openapi":"/)" +
                              std::string(size, 'x') + "\"}}"),
                         at(0s)));
    const IpAddress longest = *IpAddress::parse("2001:db8:1111:2222:3333:4444:5555:6666");
    for (const std::string& text : write_txt_at(*registry.find_own("i"), "_a._tcp", {}, longest))
      CHECK(text.size() <= 255);
  }
}

TEST_CASE("URLs that are made of the paths of others name their address") {
  Registry registry("box");
  registry::Sighting seen = registry::sighting("web", "w", "10.0.0.2", 80);
  seen.metadata = {{"note", "say {address}"}};
  seen.farp = registry::FarpSpec{.enabled = true, .openapi = "/o.json"};
  registry.see(seen, at(0s));
  const auto texts =
      write_txt_at(*registry.instances("web")[0], "_web._tcp", {}, *IpAddress::parse("10.0.0.2"));
  const auto has = [&](const char* text) { return std::ranges::find(texts, text) != texts.end(); };
  CHECK(has("note=say {address}"));
  CHECK(has("farp.openapi=http://10.0.0.2:80/o.json"));
}

}  // namespace
}  // namespace outrider::farp
