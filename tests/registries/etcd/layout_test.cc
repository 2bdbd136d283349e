// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/layout.h"

#include <doctest/doctest.h>

namespace outrider::registries::etcd {
namespace {

std::string shown(const Entry& entry) {
  std::string text = entry.service + '|' + entry.id + '|' + entry.version + '|' + entry.protocol +
                     '|' + std::to_string(entry.port) + '|';
  for (const IpAddress& address : entry.addresses)
    text += address.to_string() + ' ';
  text += '|';
  for (const auto& [key, value] : entry.metadata)
    text += key + '=' + value + ' ';
  return text;
}

std::string shown(const std::vector<Entry>& entries) {
  std::string text;
  for (const Entry& entry : entries)
    text += (text.empty() ? "" : "\n") + shown(entry);
  return text;
}

Entry registration() {
  Entry entry{.key = "user-service-001"};
  entry.service = "user-service";
  entry.id = "user-service-001";
  entry.version = "v1.0.0";
  entry.protocol = "http";
  entry.port = 8000;
  entry.addresses = {*IpAddress::parse("192.168.1.10")};
  return entry;
}

std::string written(const Layout& layout, const Entry& entry, const std::string& writer = "") {
  const auto kv = layout.write(entry, writer, 1'767'366'245);
  return kv ? kv->key + '\n' + kv->value : "nothing";
}

TEST_CASE("what Kratos has written is read") {
  const auto kratos = make_kratos({});
  CHECK(kratos->prefixes() == std::vector<std::string>{"/microservices/"});
  const std::string key = "/microservices/user-service/i1";
  CHECK(shown(kratos->read(
            {.key = key,
             .value = R"({"id":"i1","name":"user-service","version":"v1","metadata":{"k":"v"},)"
                      R"("endpoints":["http://10.0.0.1:80","grpc://10.0.0.1:90"]})"})) ==
        "user-service|i1|v1|http|80|10.0.0.1 |k=v kratos.endpoints=http://10.0.0.1:80 "
        "grpc://10.0.0.1:90 ");
  CHECK(
      shown(kratos->read({.key = key,
                          .value = R"({"id":"i1","name":"a/b","version":"","metadata":null,)"
                                   R"("endpoints":["grpc://[2001:db8::1]:90?isSecure=true"]})"})) ==
      "a/b|i1||grpcs|90|2001:db8::1 |");
  CHECK(shown(kratos->read({.key = key,
                            .value = R"({"name":"n","endpoints":["HTTP://1.2.3.4:5/x",)"
                                     R"("http://1.2.3.5:5"],"metadata":{"weight":"7"}})"})) ==
        "n|||http|5|1.2.3.4 1.2.3.5 |weight=7 ");
}

TEST_CASE("what is not Kratos' is no entry") {
  const auto kratos = make_kratos({});
  for (const char* value :
       {"", "{", "[]", "null", R"({"name":"n"})", R"({"name":"","endpoints":["http://1.2.3.4:5"]})",
        R"({"name":"n","endpoints":[]})", R"({"name":"n","endpoints":null})",
        R"({"name":"n","endpoints":["http://host:5"]})",
        R"({"name":"n","endpoints":["1.2.3.4:5"]})",
        R"({"name":"n","endpoints":["http://1.2.3.4:0"]})",
        R"({"name":7,"endpoints":["http://1.2.3.4:5"]})"})
    CHECK_MESSAGE(kratos->read({.key = "/microservices/n/1", .value = value}).empty(), value);
}

TEST_CASE("an instance with a warning is written with the least weight") {
  Entry entry = registration();
  entry.weight = 300;
  for (const auto& layout : make_layouts({KratosLayout{}, GoframeLayout{}, {}, ForgeLayout{}})) {
    CAPTURE(layout->name());
    entry.health = Health::passing;
    CHECK(layout->read(*layout->write(entry, "me", 0)).at(0).weight == 300);
    entry.health = Health::warning;
    CHECK(layout->read(*layout->write(entry, "me", 0)).at(0).weight == 1);
  }
}

TEST_CASE("Kratos reads what is written for it") {
  const auto kratos = make_kratos({});
  Entry entry = registration();
  CHECK(written(*kratos, entry) ==
        "/microservices/user-service/user-service-001\n"
        R"({"id":"user-service-001","name":"user-service","version":"v1.0.0",)"
        R"("metadata":{"weight":"100"},"endpoints":["http://192.168.1.10:8000"]})");
  entry.metadata = {{"region", "us"}, {"weight", "7"}, {"outrider.node", "forged"}};
  entry.addresses = {*IpAddress::parse("2001:db8::1"), *IpAddress::parse("127.0.0.1"),
                     *IpAddress::parse("fe80::1%2"), *IpAddress::parse("10.0.0.1")};
  CHECK(written(*make_kratos({.prefix = "/other/"}), entry, "me") ==
        "/other/user-service/user-service-001\n"
        R"({"id":"user-service-001","name":"user-service","version":"v1.0.0",)"
        R"("metadata":{"region":"us","weight":"100","outrider.node":"me"},)"
        R"("endpoints":["http://10.0.0.1:8000","http://[2001:db8::1]:8000"]})");
}

TEST_CASE("what GoFrame has written is read, an instance for each endpoint") {
  const auto goframe = make_goframe({});
  CHECK(goframe->prefixes() == std::vector<std::string>{"/service/"});
  const auto entries = goframe->read(
      {.key = "/service/default/default/user-service/latest/10.0.0.1:8000,10.0.0.1:8001",
       .value = R"({"insecure":true,"protocol":"http","weight":100})"});
  CHECK(shown(entries) ==
        "user-service|||http|8000|10.0.0.1 |weight=100 \nuser-service|||http|8001|10.0.0.1 "
        "|weight=100 ");
  CHECK(entries[0].key == "10.0.0.1:8000");
  CHECK(entries[1].key == "10.0.0.1:8001");
  CHECK(shown(goframe->read({.key = "/service/prod/blue/a/v2/10.0.0.1:80,10.0.0.1:80,junk",
                             .value = R"({"insecure":false,"protocol":"grpc","n":1.5,"o":{}})"})) ==
        "a||v2|grpcs|80|10.0.0.1 |goframe.deployment=prod goframe.namespace=blue n=1.5 ");
  CHECK(shown(goframe->read({.key = "/service/default/default/a/latest/1.2.3.4:5", .value = ""})) ==
        "a|||http|5|1.2.3.4 |");
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{
           {"/service/default/default/a/latest", ""},
           {"/service/default/default/a/latest/", ""},
           {"/service/default/default/a/latest/host:80", ""},
           {"/service/default/default/a/latest/1.2.3.4", ""},
           {"/service/default/default/a/latest/1.2.3.4:0", ""},
           {"/service/default/default/a/latest/1.2.3.4:5", "[]"},
           {"/service/default/default/a/latest/1.2.3.4:5", "{"},
           {"/elsewhere/default/default/a/latest/1.2.3.4:5", ""}})
    CHECK_MESSAGE(goframe->read({.key = key, .value = value}).empty(), key << ' ' << value);
}

TEST_CASE("GoFrame never meets an IPv6 endpoint") {
  const auto goframe = make_goframe({});
  Entry entry = registration();
  CHECK(written(*goframe, entry) ==
        "/service/default/default/user-service/latest/192.168.1.10:8000\n"
        R"({"insecure":true,"outrider.id":"user-service-001","protocol":"http","version":"v1.0.0",)"
        R"("weight":100})");
  entry.protocol = "https";
  entry.version = "";
  entry.metadata = {{"a", "b"}, {"protocol", "x"}, {"outrider.id", "y"}};
  entry.addresses = {*IpAddress::parse("2001:db8::1"), *IpAddress::parse("10.0.0.1"),
                     *IpAddress::parse("10.0.0.2")};
  CHECK(written(*make_goframe({.prefix = "/s", .deployment = "d", .space = "n", .version = "v"}),
                entry, "me") ==
        "/s/d/n/user-service/v/10.0.0.1:8000,10.0.0.2:8000\n"
        R"({"insecure":false,"outrider.id":"user-service-001","outrider.node":"me",)"
        R"("protocol":"https","weight":100,"a":"b"})");
  entry.addresses = {*IpAddress::parse("2001:db8::1")};
  CHECK(written(*goframe, entry) == "nothing");
}

TEST_CASE("go-zero's keys are read where they are configured") {
  const auto gozero = make_gozero({.keys = {"order.rpc", "prod/order.rpc/", "plain", "/abs.rpc"}});
  CHECK(gozero->prefixes() ==
        std::vector<std::string>{"order.rpc/", "prod/order.rpc/", "plain/", "/abs.rpc/"});
  const auto read = [&](const std::string& key, const std::string& value) {
    return shown(gozero->read({.key = key, .value = value}));
  };
  CHECK(read("order.rpc/7668682524328950295", "10.0.0.1:8080") ==
        "order|||grpc|8080|10.0.0.1 |gozero.key=order.rpc ");
  CHECK(read("prod/order.rpc/1", "[2001:db8::1]:80") ==
        "prod/order|||grpc|80|2001:db8::1 |gozero.key=prod/order.rpc ");
  CHECK(read("plain/1", "1.2.3.4:5") == "plain|||grpc|5|1.2.3.4 |gozero.key=plain ");
  CHECK(read("/abs.rpc/1", "1.2.3.4:5") == "abs|||grpc|5|1.2.3.4 |gozero.key=/abs.rpc ");
  CHECK(read("order.rpc/deeper/1", "1.2.3.4:5") == "");
  CHECK(read("order.rpc", "1.2.3.4:5") == "");
  CHECK(read("other.rpc/1", "1.2.3.4:5") == "");
  CHECK(read("order.rpc/1", "host:5") == "");
  CHECK(read("order.rpc/1", "1.2.3.4:0") == "");
  CHECK(read("order.rpc/1", "") == "");
}

TEST_CASE("go-zero's keys are written by its conventions, and stay over a new lease") {
  const Entry entry = registration();
  const std::string plain = written(*make_gozero({}), entry, "me");
  CHECK(plain.starts_with("user-service.rpc/"));
  CHECK(plain.ends_with("\n192.168.1.10:8000"));
  CHECK(written(*make_gozero({}), entry, "me") == plain);
  CHECK(written(*make_gozero({}), entry, "other") != plain);
  CHECK(written(*make_gozero({.env = "prod"}), entry, "me").starts_with("prod/user-service.rpc/"));
  CHECK(written(*make_gozero({.space = "pay"}), entry, "me").starts_with("pay.user-service.rpc/"));
  CHECK(
      written(*make_gozero({.keys = {"user-service"}}), entry, "me").starts_with("user-service/"));
  Entry named = entry;
  named.service = "order.rpc";
  CHECK(written(*make_gozero({}), named, "me").starts_with("order.rpc/"));
  for (char c = 'a'; c <= 'z'; ++c) {
    named.id = std::string(1, c);
    const std::string key = make_gozero({})->write(named, "me", 0)->key;
    const std::string number = key.substr(key.find('/') + 1);
    CHECK(std::to_string(std::stoll(number)) == number);
  }
}

TEST_CASE("what Forge has written is read") {
  const auto forge = make_forge({});
  CHECK(forge->prefixes() == std::vector<std::string>{"/services/"});
  const auto entries = forge->read(
      {.key = "/services/user-service/user-service-001",
       .value =
           R"({"id":"user-service-001","name":"user-service","version":"v1.0.0",)"
           R"("address":"192.168.1.10","port":8000,"tags":["http","v1"],)"
           R"("metadata":{"region":"us-west"},"status":"passing","last_heartbeat":1767366245})"});
  CHECK(shown(entries) ==
        "user-service|user-service-001|v1.0.0|http|8000|192.168.1.10 |region=us-west ");
  CHECK(entries[0].tags == std::vector<std::string>{"http", "v1"});
  const auto health = [&](const std::string& status) {
    const auto read =
        forge->read({.key = "/services/a/b",
                     .value = R"({"name":"a","address":"1.2.3.4","port":5,"status":")" + status +
                              R"(","metadata":{"scheme":"grpc"}})"});
    CHECK(read.at(0).protocol == "grpc");
    return read.at(0).health;
  };
  CHECK(health("passing") == Health::passing);
  CHECK(health("") == Health::passing);
  CHECK(health("warning") == Health::warning);
  CHECK(health("unknown") == Health::warning);
  CHECK(health("critical") == Health::critical);
  for (const char* value :
       {"", "{}", R"({"name":"a","port":5})", R"({"name":"a","address":"host","port":5})",
        R"({"name":"a","address":"1.2.3.4","port":0})",
        R"({"name":"a","address":"1.2.3.4","port":65536})",
        R"({"name":"a","address":"1.2.3.4","port":"5"})", R"({"address":"1.2.3.4","port":5})"})
    CHECK_MESSAGE(forge->read({.key = "/services/a/b", .value = value}).empty(), value);
}

TEST_CASE("Forge reads what is written for it") {
  Entry entry = registration();
  entry.tags = {"http", "v1"};
  entry.metadata = {{"region", "us-west"}};
  CHECK(written(*make_forge({}), entry, "me") ==
        "/services/user-service/user-service-001\n"
        R"({"id":"user-service-001","name":"user-service","version":"v1.0.0",)"
        R"("address":"192.168.1.10","port":8000,"tags":["http","v1"],)"
        R"("metadata":{"region":"us-west","scheme":"http","weight":"100","outrider.node":"me"},)"
        R"("status":"passing","last_heartbeat":1767366245})");
}

TEST_CASE("an agent reads what another agent has written, in each layout") {
  Layouts layouts{KratosLayout{}, GoframeLayout{}, GozeroLayout{.keys = {"user-service.rpc"}},
                  ForgeLayout{}};
  Entry entry = registration();
  entry.metadata = {{"region", "us"}};
  entry.weight = 30;
  entry.protocol = "grpc";
  const auto all = make_layouts(layouts);
  REQUIRE(all.size() == 4);
  for (const auto& layout : all) {
    CAPTURE(layout->name());
    const auto kv = layout->write(entry, "me", 1);
    REQUIRE(kv);
    const auto read = layout->read(*kv);
    REQUIRE(read.size() == 1);
    CHECK(read[0].service == entry.service);
    CHECK(read[0].addresses == entry.addresses);
    CHECK(read[0].port == entry.port);
    CHECK(read[0].protocol == "grpc");
    if (layout->name() == "gozero") continue;
    CHECK(read[0].id == entry.id);
    CHECK(read[0].version == entry.version);
    CHECK(read[0].writer == "me");
    CHECK(read[0].weight == 30);
    CHECK(read[0].metadata == entry.metadata);
  }
}

TEST_CASE("no layout writes what would not be one part of a key, or has no address for others") {
  const auto all = make_layouts({KratosLayout{}, GoframeLayout{}, GozeroLayout{}, ForgeLayout{}});
  for (const auto& layout : all) {
    CAPTURE(layout->name());
    Entry entry = registration();
    entry.addresses = {*IpAddress::parse("127.0.0.1"), *IpAddress::parse("169.254.1.1")};
    CHECK(written(*layout, entry) == "nothing");
    entry = registration();
    entry.service = "a/b";
    CHECK(written(*layout, entry) == "nothing");
    for (const char* service : {"", "a b", "a\x7f\xff", "a\n"}) {
      entry.service = service;
      CHECK(written(*layout, entry) == "nothing");
    }
  }
}

TEST_CASE("what is read has limits") {
  std::string endpoints, tags, metadata;
  for (int i = 1; i <= 100; ++i) {
    const std::string comma = i > 1 ? "," : "";
    endpoints += comma + "10.0.0." + std::to_string(i) + ":80";
    tags += comma + "\"t\"";
    metadata += comma + "\"k" + std::to_string(i) + "\":\"v\"";
  }
  CHECK(make_goframe({})->read({.key = "/service/a/b/c/d/" + endpoints, .value = ""}).size() ==
        kEndpointsPerEntryMax);
  const auto marked = make_goframe({})->read(
      {.key = "/service/a/b/c/d/" + endpoints, .value = R"({"outrider.id":"x"})"});
  CHECK(marked.at(0).addresses.size() == kEndpointsPerEntryMax);
  const auto forge =
      make_forge({})->read({.key = "/services/a/b",
                            .value = R"({"name":"a","address":"1.2.3.4","port":5,"tags":[)" + tags +
                                     R"(],"metadata":{)" + metadata + "}}"});
  CHECK(forge.at(0).tags.size() == kTagsPerEntryMax);
  CHECK(forge.at(0).metadata.size() == kMetadataPerEntryMax);
  const std::string url = R"("http://10.0.0.1:80")";
  std::string urls = url;
  for (int i = 1; i < 100; ++i)
    urls += ',' + url;
  const auto kratos = make_kratos({})->read(
      {.key = "/microservices/a/b", .value = R"({"name":"a","endpoints":[)" + urls + "]}"});
  CHECK(kratos.at(0).addresses.size() == kEndpointsPerEntryMax);
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i)
    keys.push_back("k" + std::to_string(i));
  CHECK(make_gozero({.keys = keys})->prefixes().size() == kGozeroKeysMax);
  CHECK(make_kratos({})
            ->read({.key = "/microservices/a/b",
                    .value = R"({"name":"a","endpoints":[)" + url + R"(],"version":")" +
                             std::string(kValueBytesMax, 'v') + "\"}"})
            .empty());
}

TEST_CASE("layouts keep the mark of a copy, and what cannot keep it is not written") {
  Entry entry = registration();
  entry.metadata[std::string(kViaMark)] = "mdns";
  for (const auto& layout : make_layouts({KratosLayout{}, GoframeLayout{}, {}, ForgeLayout{}})) {
    const auto kv = layout->write(entry, "me", 0);
    REQUIRE(kv);
    const auto read = layout->read(*kv);
    REQUIRE(read.size() == 1);
    CHECK(read.front().metadata.at(std::string(kViaMark)) == "mdns");
  }
  CHECK_FALSE(make_gozero({})->write(entry, "me", 0));
  // However much other metadata there is.
  std::string metadata;
  for (std::size_t i = 0; i < kMetadataPerEntryMax; ++i)
    metadata += "\"k" + std::to_string(i) + "\":\"v\",";
  const auto read = make_kratos({})->read(
      {.key = "/microservices/a/b",
       .value = R"({"name":"a","endpoints":["http://10.0.0.1:80"],"metadata":{)" + metadata +
                R"("outrider.via":"mdns"}})"});
  CHECK(read.at(0).metadata.contains(std::string(kViaMark)));
}

TEST_CASE("the end of a prefix is the first key behind it") {
  CHECK(end_of_prefix("order.rpc/") == "order.rpc0");
  CHECK(end_of_prefix("a\xff\xff") == "b");
  CHECK(end_of_prefix("\xff") == std::string(1, '\0'));
  CHECK(as_folder("/a//") == "/a/");
  CHECK(as_folder("/a") == "/a/");
}

}  // namespace
}  // namespace outrider::registries::etcd
