// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/carried.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "agent/farp/txt_writer.h"
#include "agent/lan/sighting_reader.h"
#include "tests/agent/registry/fixture.h"
#include "tests/sim/world.h"

namespace outrider::farp {
namespace {

using registry::at;
using registry::Metadata;
using registry::Registry;
using registry::ServiceSpec;

struct Arrived {
  registry::Sighting sighting;
  std::vector<std::string> strings, left_out;
};

/// What another host reads of a registration.
Arrived arrived(const ServiceSpec& spec) {
  Registry registry("box");
  REQUIRE(registry.put(spec, at(0s)));
  AnnouncementProfile profile;
  profile.host_text = registry::host_text({.name = "box", .identity = "abcdef"});
  const WrittenTxt txt = write_txt(*registry.own().front(), "_web._tcp", profile);
  mdns::Sighting sighting{.key = {"_web._tcp", "web-1"}, .host = "box.local", .port = spec.port};
  for (const std::string& string : txt.strings)
    CHECK(string.size() <= kTxtStringMax);
  sighting.txt = txt.strings;
  sighting.addresses = {{*IpAddress::parse("10.0.0.9"), 2}};
  sighting.weight = spec.weight;
  auto read = SightingReader({}).read(sighting);
  REQUIRE(read.has_value());
  return {std::move(*read), txt.strings, txt.left_out};
}

ServiceSpec web(Metadata metadata, std::vector<std::string> tags = {}) {
  ServiceSpec spec = registry::spec(R"({"name":"web","id":"web-1","port":80})");
  spec.metadata = std::move(metadata);
  spec.tags = std::move(tags);
  return spec;
}

TEST_CASE("metadata arrives as it was registered, whatever its keys") {
  const Metadata metadata = {{"id", "mine"},       {"name", "n"},          {"weight", "20"},
                             {"protocol", "x"},    {"tags", "a,b"},        {"version", "v9"},
                             {"outrider", "o"},    {"farp.enabled", "no"}, {"mdns.x", "y"},
                             {"meta.id", "deep"},  {"meta+1.id", "1"},     {"tags+0", "t"},
                             {"bad key", "blank"}, {"a=b", "equals"},      {"h\u00e9", "utf8"},
                             {"%41", "percent"},   {"Region", "upper"},    {"region", "lower"},
                             {"REGION", "all"},    {"empty", ""},          {"value", "a=b;\u00e9"}};
  const Arrived got = arrived(web(metadata));
  CHECK(got.left_out.empty());
  CHECK(got.sighting.metadata == metadata);
  CHECK(got.sighting.weight == 100);
  CHECK(got.sighting.version.empty());
  CHECK(got.sighting.protocol == "http");
  CHECK(got.sighting.id.text() == "web-1");
  CHECK(got.sighting.tags.empty());
}

TEST_CASE("metadata that every reader understands is written as it always was") {
  const Arrived got = arrived(web({{"region", "us-west"}, {"a.b", "c"}}, {"v1", "http"}));
  for (const char* string : {"region=us-west", "a.b=c", "tags=v1,http"})
    CHECK(std::ranges::count(got.strings, string) == 1);
  CHECK(std::ranges::none_of(got.strings, [](const auto& each) {
    return each.starts_with("meta") || each.starts_with("tags+");
  }));
}

TEST_CASE("values longer than a TXT string arrive whole") {
  for (const std::size_t size : {250U, 251U, 252U, 253U, 254U, 255U, 500U, 512U}) {
    const Metadata metadata = {{"k", std::string(size, 'x')}};
    CHECK(arrived(web(metadata)).sighting.metadata == metadata);
  }
}

TEST_CASE("carried values have no mark in whose place an address is put") {
  const Metadata metadata = {
      {"id", "x{address}y{address}"}, {"see", "http://{address}/"}, {"{address}", "z"}};
  const std::vector<std::string> tags = {"{address}", "plain"};
  const Arrived got = arrived(web(metadata, tags));
  CHECK(got.sighting.metadata == metadata);
  CHECK(got.sighting.tags == tags);
  for (const std::string& string : got.strings)
    CHECK(string.find(kAddressMark) == std::string::npos);
}

TEST_CASE("tags arrive as they were registered, with commas, without text, and many") {
  for (const std::vector<std::string>& tags : std::vector<std::vector<std::string>>{
           {},
           {"a"},
           {"a,b", "c"},
           {""},
           {"", ""},
           {"a b", "\u00e9", "50%"},
           {std::string(255, 'x')},
           std::vector<std::string>(60, "tag-of-ten"),
       }) {
    const Arrived got = arrived(web({}, tags));
    CHECK(got.left_out.empty());
    CHECK(got.sighting.tags == tags);
  }
  // Other programs read those that the plain form can hold.
  CHECK(std::ranges::count(arrived(web({}, {"a,b", "c", "d"})).strings, "tags=c,d") == 1);
}

TEST_CASE("what does not fit is left out whole, and listed") {
  Metadata metadata;
  for (int i = 0; i < 8; ++i)
    metadata["key-" + std::to_string(i)] = std::string(200, 'x');
  metadata["last"] = std::string(512, 'y');
  const Arrived got = arrived(web(metadata));
  CHECK_FALSE(got.left_out.empty());
  CHECK(got.sighting.metadata.size() + got.left_out.size() == metadata.size());
  for (const auto& [key, value] : got.sighting.metadata)
    CHECK(metadata.at(key) == value);
  const auto id = *registry::InstanceId::parse("web-1");
  CHECK_FALSE(fits_into_txt(web(metadata), id, {}));
  CHECK(fits_into_txt(web({{"id", "mine"}}), id, {}));
  // A key can be longer than a string.
  CHECK_FALSE(fits_into_txt(web({{std::string(128, ' '), "x"}}), id, {}));
}

TEST_CASE("what fits at registration fits whatever becomes of the instance, and no less does") {
  const auto id = *registry::InstanceId::parse("web-1");
  for (const char* farp : {"", R"(,"farp":{})", R"(,"farp":{"openapi":"/o","health":"/h"})"}) {
    const auto base = registry::ServiceSpec::parse(
        *json::parse(std::string(R"({"name":"web","id":"web-1","port":80)") + farp + '}', 4'096));
    REQUIRE(base);
    std::size_t fitted = 0, refused = 0;
    for (std::size_t length = 0; length < 1'080; ++length) {
      registry::ServiceSpec spec = *base;
      for (std::size_t left = length, i = 0; left > 0; ++i) {
        const std::size_t part = std::min<std::size_t>(left, 240);
        spec.metadata["k" + std::to_string(i)] = std::string(part, 'x');
        left -= part;
      }
      registry::Instance instance{.id = id, .service = spec.name};
      instance.description() = spec.description();
      bool left_out = false;
      for (const registry::Health health :
           {registry::Health::starting, registry::Health::passing, registry::Health::warning})
        for (const int port : {0, 5371, 65535}) {
          AnnouncementProfile profile;
          profile.farp_port = static_cast<std::uint16_t>(port);
          instance.health = health;
          left_out = left_out || !write_txt(instance, "_farp._tcp", profile).left_out.empty();
        }
      CAPTURE(length);
      REQUIRE(fits_into_txt(spec, id, {}) == !left_out);
      ++(left_out ? refused : fitted);
    }
    CHECK(fitted > 0);
    CHECK(refused > 0);
  }
}

TEST_CASE("the port of endpoints that are never served takes no room") {
  const auto id = *registry::InstanceId::parse("web-1");
  auto spec = *registry::ServiceSpec::parse(
      *json::parse(R"({"name":"web","id":"web-1","port":80,"farp":{}})", 4'096));
  AnnouncementProfile off;
  off.has_endpoints = false;
  std::size_t only_without = 0;
  for (std::size_t length = 1; length < 240; ++length) {
    for (int i = 0; i < 3; ++i)
      spec.metadata["k" + std::to_string(i)] = std::string(240, 'x');
    spec.metadata["last"] = std::string(length, 'x');
    only_without += fits_into_txt(spec, id, off) && !fits_into_txt(spec, id, {}) ? 1 : 0;
  }
  CHECK(only_without > 0);
}

TEST_CASE("any metadata and tags that fit arrive equal") {
  sim::World world(7);
  const std::string letters = "aAbB.-+=% ,\x01{}\xc3";
  const auto text = [&](std::size_t most) {
    std::string out;
    const auto size = static_cast<std::size_t>(world.env().random.below(most + 1));
    while (out.size() < size)
      out += letters[world.env().random.below(letters.size())];
    return out;
  };
  int whole = 0;
  for (int round = 0; round < 2'000; ++round) {
    Metadata metadata;
    for (std::uint64_t i = world.env().random.below(6); i > 0; --i)
      if (std::string key = text(8); !key.empty()) metadata[key] = text(300);
    std::vector<std::string> tags;
    for (std::uint64_t i = world.env().random.below(4); i > 0; --i)
      tags.push_back(text(40));
    const Arrived got = arrived(web(metadata, tags));
    if (!got.left_out.empty()) continue;
    ++whole;
    CHECK(got.sighting.metadata == metadata);
    CHECK(got.sighting.tags == tags);
  }
  CHECK(whole > 500);
}

TEST_CASE("carried: what is incomplete or odd is no metadata") {
  CarriedReader reader;
  CHECK(reader.take("meta+1.a", "second"));  // without the first
  CHECK(reader.take("meta.b", "one"));
  CHECK(reader.take("meta.b", "again"));
  CHECK(reader.take("tags+1", "x"));
  for (const char* key : {"meta", "meta.", "meta+.a", "meta+x.a", "meta+999.a", "meta+1", "tags",
                          "tags+", "tags+x", "tags+1x", "metal", "a"})
    CHECK_FALSE(reader.take(key, "v"));
  REQUIRE(reader.metadata().size() == 1);
  CHECK(reader.metadata().front() == std::pair<std::string, std::string>("b", "one"));
  CHECK_FALSE(reader.tags().has_value());
}

TEST_CASE("carried keys of programs that are not ours stay as they are") {
  mdns::Sighting sighting{.key = {"_web._tcp", "x"}, .host = "b.local", .port = 80};
  sighting.txt = std::vector<std::string>{"farp.enabled=true", "name=web", "meta.id=1"};
  sighting.addresses = {{*IpAddress::parse("10.0.0.9"), 2}};
  CHECK(SightingReader({}).read(sighting)->metadata == Metadata{{"meta.id", "1"}});
}

}  // namespace
}  // namespace outrider::farp
