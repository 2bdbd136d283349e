// SPDX-License-Identifier: Apache-2.0
#include "agent/config/config.h"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

namespace outrider {
namespace {

Result<Config, ConfigError> of(const std::string& text) {
  return make_config({.files = {{"x.json", text}}, .environment = {}, .sets = {}});
}

std::string error_of(const ConfigSources& sources) {
  const auto config = make_config(sources);
  return config ? "none" : config.error().to_string();
}

TEST_CASE("nothing at all is a configuration") {
  const auto config = make_config({});
  REQUIRE(config.has_value());
  CHECK(config->dns.listen == std::vector<Endpoint>{*Endpoint::parse("127.0.0.55:5370")});
  CHECK(config->dns.domains.front().to_display() == "svc");
  CHECK(config->dns.ttl == 5);
  CHECK(config->dns.negative_ttl == 2);
  CHECK(config->dns.hold == 300ms);
  CHECK(config->mdns.shared_types == std::vector<std::string>{"_farp._tcp"});
  CHECK(config->mdns.short_ttl);
  CHECK(config->node.name.empty());
  CHECK(config->services.empty());
  CHECK(config->drain_time() == 6s);
}

TEST_CASE("an error names the file, the place, what was expected and the nearest name") {
  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {"{\n \"dns\" 1}", "x.json:2:8: expected ':'"},
      {"[]", "x.json: expected an object, not an array"},
      {R"({"dsn":{}})", "x.json: dsn: unknown key; did you mean \"dns\"?"},
      {R"({"dns":{"tll":"5s"}})", "x.json: dns.tll: unknown key; did you mean \"ttl\"?"},
      {R"({"dns":{"ttl":5}})",
       "x.json: dns.ttl: expected a duration such as \"10s\" or \"250ms\", not an integer"},
      {R"({"dns":{"ttl":"1500ms"}})", "x.json: dns.ttl: expected whole seconds"},
      {R"({"dns":{"ttl":"2m"}})", "x.json: dns.ttl: expected 0s to 1m, not 2m"},
      {R"({"dns":{"listen":["5370"]}})",
       "x.json: dns.listen: expected ADDRESS:PORT such as \"127.0.0.55:5370\", not \"5370\""},
      {R"({"dns":{"domains":["local"]}})",
       "x.json: dns.domains: \"local\" is reserved for mDNS (RFC 6762 §3)"},
      {R"({"dns":{"domains":["a..b"]}})",
       "x.json: dns.domains: expected a domain such as \"svc\", not \"a..b\""},
      {R"({"dns":{"all_unhealthy":"nodat"}})",
       "x.json: dns.all_unhealthy: expected one of \"nodata\", \"last_resort\", \"nxdomain\", not "
       "\"nodat\"; did you mean \"nodata\"?"},
      {R"({"dns":{"upstream":["one.one"]}})",
       "x.json: dns.upstream: expected \"system\", ADDRESS or ADDRESS:PORT, not \"one.one\""},
      {R"({"mdns":{"shared_types":["farp"]}})",
       "x.json: mdns.shared_types: expected types such as \"_farp._tcp\", not \"farp\""},
      {R"({"node":{"ipv4":false,"ipv6":false}})",
       "x.json: node.ipv6: expected at least one of node.ipv4 and node.ipv6 to be true"},
      {R"({"api":{"consul_listen":["10.0.0.1:8500"]}})",
       "x.json: api.consul_listen: expected loopback addresses: this port has no authentication"},
      {R"({"lifecycle":{"drain":"11m"}})",
       "x.json: lifecycle.drain: expected \"auto\" or a duration up to 10m"},
      {R"({"services":[{"name":"a","port":1},{"name":"b","id":"x"},{"name":"c","id":"x"}]})",
       "x.json: services[2].id: \"x\" is used twice"},
      {R"({"services":[{"name":"a","port":1},{"name":"a","port":1}]})",
       "x.json: services[1].name: service \"a\" is defined twice with this port"},
      {R"({"services":[{"name":"a","id":"x_1"},{"name":"b","id":"x-1"},{"name":"a","id":"x-1"}]})",
       "x.json: services[2].id: \"x-1\" is used twice"},
      {R"({"services":[{"name":"a","id":"x_1"},{"name":"a","id":"x-1"}]})",
       "x.json: services[1].id: \"x-1\" has the same DNS label as another id of this service"},
      {R"({"services":[{"name":"a","id":"x","checks":[{"alias":"x"}]}]})",
       "x.json: services[0].checks: expected aliases that do not form a ring: x follows x"},
      {R"({"services":[{"name":"n","id":"n","checks":[{"alias":"a"}]},
                       {"name":"a","id":"a","checks":[{"tcp":":1"},{"alias":"none"},{"alias":"b"}]},
                       {"name":"b","id":"b","checks":[{"alias":"c"}]},
                       {"name":"c","id":"c","checks":[{"alias":"a"}]}]})",
       "x.json: services[1].checks: expected aliases that do not form a ring: "
       "a follows b follows c follows a"},
      {R"({"services":[{"name":"a","port":70000}]})",
       "x.json: services[0].port: expected 0 to 65535, not 70000"},
      {R"({"dns":{"ttl":"5s","ttl":"6s"}})", "x.json: dns: duplicate key \"ttl\""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto config = of(row.text);
    REQUIRE_FALSE(config.has_value());
    CHECK(config.error().to_string() == row.error);
  }
}

TEST_CASE("a domain leaves room for a label of any length") {
  const std::string label(dns::kLabelBytesMax, 'x');
  const std::string most = label + '.' + label + '.' + std::string(61, 'x');
  CHECK(of(R"({"dns":{"domains":[")" + most + R"("]}})").has_value());
  const auto config = of(R"({"dns":{"domains":[")" + most + R"(x"]}})");
  REQUIRE_FALSE(config.has_value());
  CHECK(config.error().to_string() ==
        "x.json: dns.domains: too long: a label of 63 octets must fit before it in a name of 255 "
        "octets");
}

TEST_CASE("sources are merged in order, and an error names its source") {
  ConfigSources sources{
      .files = {{"a.json", R"({"dns":{"ttl":"7s","answers":3},"services":[{"name":"a"}]})"},
                {"b.json", R"({"dns":{"answers":4},"services":[{"name":"b"}]})"}},
      .environment = {{"PATH", "/bin"},
                      {"OUTRIDER_DNS_NEGATIVE_TTL", "3s"},
                      {"OUTRIDER_DNS_RELOCATION", "x"},
                      {"OUTRIDER_TEST_MODE", "x"}},
      .sets = {"dns.answers=5", "mdns.provider=off", "dns.listen=[]"}};
  CHECK(error_of(sources) == "OUTRIDER_DNS_RELOCATION: no such option: dns.relocation");
  sources.environment.erase(sources.environment.begin() + 2);
  const auto config = make_config(sources);
  REQUIRE(config.has_value());
  CHECK(config->dns.ttl == 7);
  CHECK(config->dns.negative_ttl == 3);
  CHECK(config->dns.answers == 5);
  CHECK(config->dns.listen.empty());
  CHECK(config->mdns.provider == MdnsProvider::off);
  REQUIRE(config->services.size() == 2);
  CHECK(config->services[1].name.text() == "b");

  sources.files[1].text = R"({"services":[{"name":"b","id":"x"},{"name":"c","id":"x"}]})";
  CHECK(error_of(sources) == "b.json: services[1].id: \"x\" is used twice");
  sources.files = {{"a.json", R"({"services":[{"name":"b","id":"x"}]})"},
                   {"b.json", R"({"services":[{"name":"c","id":"x"}]})"}};
  CHECK(error_of(sources) == "b.json: services[1].id: \"x\" is used twice");

  const auto set = [](const char* text) {
    return error_of({.files = {}, .environment = {}, .sets = {text}});
  };
  CHECK(set("dns.tll=5s") == "--set dns.tll: no such option; did you mean \"dns.ttl\"?");
  CHECK(set("dns.ttl=x") ==
        "--set dns.ttl: dns.ttl: expected a duration such as \"10s\" or \"250ms\", not \"x\"");
  CHECK(set("nonsense") == "--set nonsense: expected SECTION.KEY=VALUE");
  CHECK(set("dns.answers=many") ==
        "--set dns.answers: dns.answers: expected an integer, not a string");
}

TEST_CASE("a dumped configuration means the same") {
  const auto config = of(R"({"dns":{"ttl":"9s"},"api":{"consul_listen":["127.0.0.1:8500"]},
      "services":[{"name":"a","port":80,"checks":[{"http":"/"}],"farp":{"openapi":"/o"}}]})");
  REQUIRE(config.has_value());
  std::string text, again;
  json::Writer(text, json::Writer::Style::indented).value(config->tree);
  const auto second = of(text);
  REQUIRE(second.has_value());
  json::Writer(again, json::Writer::Style::indented).value(second->tree);
  CHECK(text == again);
  CHECK(second->services == config->services);
}

TEST_CASE("keys that need a restart are named") {
  const auto now = of("{}");
  const auto next = of(R"({"dns":{"ttl":"6s","hold":"1s"},"log":{"level":"debug"},
                           "node":{"ipv6":false},"services":[{"name":"a"}]})");
  CHECK(not_reloadable(*now, *next) == std::vector<std::string>{"node.ipv6", "dns.ttl"});
  CHECK(not_reloadable(*now, *now).empty());
}

TEST_CASE("files of a directory are read in name order") {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / "outrider-config-test";
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const char* name : {"20-b.json", "10-a.json", "readme.txt"})
    std::ofstream(folder / name) << "{}";
  const auto files = read_config_files({folder.string()});
  REQUIRE(files.has_value());
  REQUIRE(files->size() == 2);
  CHECK((*files)[0].file.ends_with("10-a.json"));
  CHECK((*files)[1].text == "{}");
  CHECK(read_config_files({(folder / "none.json").string()}).error().to_string() ==
        (folder / "none.json").string() + ": cannot be read");
  std::ofstream(folder / "10-a.json") << std::string(json::kConfigBytesMax + 10, ' ');
  const auto large = read_config_files({folder.string()});
  CHECK(error_of({.files = *large, .environment = {}, .sets = {}}) ==
        (folder / "10-a.json").string() + ": larger than 262144 bytes");
  fs::remove_all(folder);
}

TEST_CASE("the schema knows every section") {
  const auto schema = json::parse(config_schema(), json::kConfigBytesMax);
  REQUIRE(schema.has_value());
  for (const registry::Row& row : config_rows())
    CHECK(schema->find("properties")->find(row.key) != nullptr);
}

}  // namespace
}  // namespace outrider
