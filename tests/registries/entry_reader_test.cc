// SPDX-License-Identifier: Apache-2.0
#include "registries/host/entry_reader.h"

#include <doctest/doctest.h>

namespace outrider::registries {
namespace {

std::optional<Entry> read(const std::string& text) {
  const auto value = json::parse(text, 1 << 20);
  REQUIRE(value);
  return read_entry(*value, "/run/a.sock");
}

TEST_CASE("an own instance of the sibling is read as a whole") {
  const auto entry = read(R"({"id":"w1","service":"Web","version":"1.2","health":"critical",
    "addresses":["10.0.0.1","fd00::1"],"port":8080,"protocol":"grpc","tags":["a","b"],
    "subtypes":["_x"],"metadata":{"k":"v"},"weight":7,"scope":"host","source":"own",
    "local_name":"web.local","limit":"l",
    "advice":"d","checks":[{"id":"http","name":"n","kind":"http",
    "health":"critical","output":"HTTP 503"}]})");
  REQUIRE(entry);
  CHECK(entry->key == "/run/a.sock Web w1");
  CHECK(entry->place == "/run/a.sock");
  CHECK(entry->addresses.size() == 2);
  CHECK(entry->port == 8080);
  CHECK(entry->tags == std::vector<std::string>{"a", "b"});
  CHECK(entry->subtypes == std::vector<std::string>{"_x"});
  CHECK(entry->metadata.at("k") == "v");
  CHECK(entry->weight == 7);
  CHECK(entry->health == Health::critical);
  CHECK(entry->host_only);
  CHECK(entry->on_this_host);
  CHECK(entry->local_name == "web.local");
  CHECK(entry->limit == "l");
  CHECK(entry->checks ==
        std::vector<Check>{{"http", "n", "http", CheckHealth::critical, "HTTP 503"}});
}

TEST_CASE("what the sibling only heard of is not taken, nor what has no name") {
  CHECK_FALSE(read(R"({"id":"w1","service":"web","source":"sighting"})"));
  CHECK_FALSE(read(R"({"id":"w1","service":"web","source":"host"})"));
  CHECK_FALSE(read(R"({"id":"w1","service":"web"})"));
  CHECK_FALSE(read(R"({"id":"","service":"web","source":"own"})"));
  CHECK_FALSE(read(R"({"id":"w1","source":"own"})"));
  CHECK_FALSE(read("[]"));
}

TEST_CASE("members of the wrong type and unknown words are harmless") {
  const auto entry = read(R"({"id":"w1","service":"web","source":"own","port":70000,
    "health":"sleepy","addresses":["no",4],"tags":[1],"metadata":[],"checks":[7],"weight":-1})");
  REQUIRE(entry);
  CHECK(entry->port == 0);
  CHECK(entry->health == Health::critical);
  CHECK(entry->addresses.empty());
  CHECK(entry->tags.empty());
  CHECK(entry->metadata.empty());
  CHECK(entry->weight == 100);
  CHECK(entry->checks.size() == 1);
}

TEST_CASE("lists of an entry are cut at their limits") {
  std::string addresses, tags, metadata, checks;
  for (std::size_t i = 0; i < 100; ++i) {
    const std::string comma = i == 0 ? "" : ",", number = std::to_string(i);
    addresses += comma + "\"10.0.0." + number + '"';
    tags += comma + "\"t" + number + '"';
    metadata += comma + "\"k" + number + "\":\"v\"";
    checks += comma + "{\"id\":\"c" + number + "\"}";
  }
  const auto entry = read(R"({"id":"w1","service":"web","source":"own","addresses":[)" + addresses +
                          "],\"tags\":[" + tags + "],\"metadata\":{" + metadata + "},\"checks\":[" +
                          checks + "]}");
  REQUIRE(entry);
  CHECK(entry->addresses.size() == kAddressesPerEntryMax);
  CHECK(entry->tags.size() == kTagsPerEntryMax);
  CHECK(entry->metadata.size() == kMetadataPerEntryMax);
  CHECK(entry->checks.size() == kChecksPerEntryMax);
}

}  // namespace
}  // namespace outrider::registries
