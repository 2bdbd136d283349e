// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/consul/filter/filter.h"

#include <doctest/doctest.h>

using namespace outrider;
using namespace outrider::doors;
using consul::Filter;
using consul::Rows;

namespace {

constexpr std::string_view kHealthRow = R"({
  "Node": {"ID": "", "Node": "box", "Address": "10.0.0.1", "Datacenter": "lan", "Meta": {},
           "TaggedAddresses": {"lan": "10.0.0.1", "wan": "10.0.0.1"}},
  "Service": {"ID": "web-1", "Service": "web", "Tags": ["v1", "http"], "Address": "10.0.0.1",
              "Port": 8080, "Meta": {"region": "us-west", "a.b": "c", "empty": "", "Region": "x"},
              "TaggedAddresses": {"http": {"Address": "http://10.0.0.1:8080", "Port": 8080}},
              "Weights": {"Passing": 10, "Warning": 1}, "EnableTagOverride": false},
  "Checks": [{"Node": "box", "CheckID": "service:web-1", "Name": "alive", "Status": "passing",
              "Output": "", "Notes": "", "ServiceID": "web-1", "ServiceName": "web",
              "ServiceTags": ["v1", "http"]},
             {"Node": "box", "CheckID": "disk", "Name": "disk", "Status": "warning",
              "Output": "91 % full", "Notes": "", "ServiceID": "web-1", "ServiceName": "web",
              "ServiceTags": ["v1", "http"]}]})";
constexpr std::string_view kCatalogRow = R"({
  "ID": "", "Node": "box", "Address": "10.0.0.1", "Datacenter": "lan", "NodeMeta": {},
  "TaggedAddresses": {"lan": "10.0.0.1"}, "ServiceID": "web-1", "ServiceName": "web",
  "ServiceAddress": "10.0.0.1", "ServicePort": 8080, "ServiceTags": [],
  "ServiceMeta": {"region": "us-west"}, "ServiceWeights": {"Passing": 10, "Warning": 1}})";
constexpr std::string_view kCheckRow = R"({
  "Node": "box", "CheckID": "disk", "Name": "disk", "Status": "critical", "Output": "full",
  "Notes": "", "ServiceID": "", "ServiceName": "", "ServiceTags": []})";

bool wants(std::string_view text, Rows rows, std::string_view row) {
  const auto filter = Filter::parse(text, rows);
  INFO(text, ": ", filter ? "" : filter.error());
  REQUIRE(filter.has_value());
  return filter->wants(row);
}

std::string error_of(std::string_view text, Rows rows = Rows::health) {
  const auto filter = Filter::parse(text, rows);
  return filter ? std::string() : filter.error();
}

}  // namespace

TEST_CASE("filter: what holds for an instance with its node and checks") {
  for (const char* text : {
           "",
           " \n",
           R"(Service.ID == "web-1")",
           R"(Service.ID != "web-2")",
           "Service.ID==`web-1`",
           "Service.Service == web",
           R"(Service.Meta.region == "us-west")",
           R"(Service.Meta["region"] == `us-west`)",
           R"(Service.Meta[ "a.b" ] == c)",
           R"(Service.Meta.Region == x)",
           R"(Service.Meta.absent != "")",
           R"(Service.Meta.empty == "")",
           "region in Service.Meta",
           "Service.Meta contains region",
           "absent not in Service.Meta",
           "Service.Meta is not empty",
           "Node.Meta is empty",
           "Service.Port == 8080",
           R"(Service.Port == "8080")",
           "Service.Port != 80",
           "Service.Weights.Passing == 10 and Service.Weights.Warning==1",
           "Service.EnableTagOverride == false",
           "Service.EnableTagOverride != T",
           "Service.Connect.Native == 0",
           R"(Service.Kind == "")",
           R"(Service.Kind != "connect-proxy")",
           "Service.Proxy.Upstreams is empty",
           R"("v1" in Service.Tags)",
           "v1 in Service.Tags",
           "Service.Tags contains http",
           R"("v2" not in Service.Tags)",
           "Service.Tags not contains v2",
           "Service.Tags is not empty",
           R"(Service.Address contains "10.0")",
           R"("0.0.1" in Service.Address)",
           R"(Service.Address matches "^10\\.")",
           R"(Service.Address matches `^10\.0\.0\.\d+$`)",
           R"(Service.ID matches "(?i)^WEB-[0-9]$")",
           R"(Service.ID not matches "^x")",
           R"(Service.Meta.region matches "west")",
           R"(Service.Meta.absent not matches "west")",
           R"(Service.TaggedAddresses.http.Port == 8080)",
           R"(Service.TaggedAddresses.http.Address contains "http://")",
           R"(Service.TaggedAddresses.grpc.Port != 1)",
           "http in Service.TaggedAddresses",
           R"(Node.Node == box and Node.Address == "10.0.0.1")",
           "Node.Datacenter == lan",
           R"(Node.TaggedAddresses.lan == "10.0.0.1")",
           "wan in Node.TaggedAddresses",
           "Checks is not empty",
           "Checks.Status == warning",
           "Checks.Status != warning",  // of any of them
           R"(Checks.CheckID == "service:web-1")",
           R"(Checks.Name matches "^al")",
           "v1 in Checks.ServiceTags",
           "not Checks.Status == critical",
           "not (Service.ID == x or Service.ID == y)",
           "not not Service.Port == 8080",
           "Service.ID == x or Service.Port == 8080",
           "Service.ID == x and Service.ID == y or Service.Port == 8080",
           "Service.Port == 8080 or Service.ID == x and Service.ID == y",
           R"(( ( Service.ID == "web-1" ) and (Service.Port == 8080)))",
           "any Checks as c { c.Status == warning and c.Name == disk }",
           "all Checks as c { c.Node == box }",
           "all Checks as i, c { i != 2 and c.ServiceID == `web-1` }",
           R"(any Service.Tags as t { t matches "^v" })",
           "all Service.Meta as k, v { k != region or v == `us-west` }",
           "any Service.Meta as k { k == `a.b` }",
           "any Service.TaggedAddresses as _, a { a.Port == 8080 }",
           "any Checks as c { any c.ServiceTags as t { t == http } and c.Status == passing }",
           "all Service.Proxy.Upstreams as u { u.LocalBindPort == 1 }",
           "\t\nService.Port\n==\n8080 ",
       }) {
    CHECK_MESSAGE(wants(text, Rows::health, kHealthRow), text);
  }
}

TEST_CASE("filter: what does not hold for it") {
  for (const char* text : {
           "Service.ID == x",
           "Service.Port == 8081",
           R"(Service.ID != "web-1")",
           "Service.Meta.absent == \"\"",
           "Service.Meta.absent contains \"\"",
           "absent in Service.Meta",
           "not v1 in Service.Tags",
           "Service.Tags is empty",
           R"(Service.ID matches "^eb")",
           "Service.Kind == `mesh-gateway`",
           "Service.Proxy.Upstreams.DestinationName != x",  // of none
           "Checks.Status == critical",
           "Service.Port == 8080 and Service.Port == 1",
           "any Checks as c { c.Status == warning and c.Name == alive }",
           "all Checks as c { c.Status == passing }",
           "any Service.Proxy.Upstreams as u { u.LocalBindPort != 1 }",
       }) {
    CHECK_FALSE_MESSAGE(wants(text, Rows::health, kHealthRow), text);
  }
}

TEST_CASE("filter: each endpoint has selectors of its own") {
  for (const char* text :
       {"ServiceName == web", "ServiceMeta.region == `us-west`", "ServicePort == 8080",
        "ServiceTags is empty", "ServiceWeights.Passing == 10", "NodeMeta is empty",
        "NodeMeta.rack != x", "Node == box", "ServiceConnect.Native == false",
        "TaggedAddresses.lan == `10.0.0.1`", "ServiceID matches `-1$`"})
    CHECK_MESSAGE(wants(text, Rows::catalog, kCatalogRow), text);
  for (const char* text : {"Status == critical", "ServiceTags is empty", "Output contains full",
                           "Node == box", "ServiceID == \"\"", "CheckID != x"})
    CHECK_MESSAGE(wants(text, Rows::checks, kCheckRow), text);
  CHECK(wants("Meta.a == b and Node == box", Rows::nodes, R"({"Node":"box","Meta":{"a":"b"}})"));
  CHECK(wants("Service == web and Tags is empty", Rows::service, R"({"Service":"web","Tags":[]})"));
  CHECK(error_of("ServiceName == web") ==
        "filter: at position 1: these rows have no \"ServiceName\"");
  CHECK(error_of("Service.ID == x", Rows::catalog) ==
        "filter: at position 1: these rows have no \"Service.ID\"");
  CHECK_FALSE(error_of("Checks.Status == passing", Rows::service).empty());
  CHECK_FALSE(error_of("Node.Meta.a == b", Rows::nodes).empty());
}

TEST_CASE("filter: errors name the position") {
  struct Row {
    std::string text, wanted;
  };
  for (const auto& [text, wanted] : std::vector<Row>{
           {"Service.Nothing == 1", "1: these rows have no \"Service.Nothing\""},
           {"Service == web", "1: these rows have no \"Service\""},
           {"Service.ID", "11: expected ==, !=, in, contains, matches or is"},
           {"Service.ID ==", "14: expected a value"},
           {"Service.ID = x", "12: unexpected '='"},
           {"== 1", "1: expected a comparison"},
           {"(Service.ID == x", "17: expected ')'"},
           {"Service.ID == x)", "16: expected \"and\", \"or\" or the end"},
           {"Service.ID == x y", "17: expected \"and\", \"or\" or the end"},
           {"Service.ID == web-1", "18: expected \"and\", \"or\" or the end"},
           {"Service.ID == 01", "15: expected a number; quote other values"},
           {"Service.ID is not", "18: expected \"empty\""},
           {"Service.ID is empty",
            "12: \"Service.ID\" can be compared with ==, !=, in, contains or matches"},
           {"Service.Tags == v1",
            "14: \"Service.Tags\" can be compared with in, contains or is empty"},
           {"8 in Service.Port", "3: \"Service.Port\" can be compared with == or !="},
           {"Checks == x", "8: \"Checks\" can be compared with is empty, or all and any"},
           {"Service.Port == eighty", "17: expected a whole number"},
           {"Service.EnableTagOverride == maybe", "30: expected true or false"},
           {"\"open", "1: the quote is not closed"},
           {R"(Service.ID == "\d")",
            "16: unknown escape; between backticks \\ is an ordinary "
            "character"},
           {"x in \"Service.Tags\"", "6: expected a selector after \"in\""},
           {"\"Service.ID\" == x", "1: expected a selector"},
           {"Service.Meta[\"x\" == 1", "18: expected ']'"},
           {"Service.Meta[x] == 1", "14: expected a quoted key after '['"},
           {"Service. == 1", "9: expected a name after '.'"},
           {"Service.ID == x or", "19: expected a comparison"},
           {"not", "4: expected a comparison"},
           {"any Service.ID as x { x == y }", "5: \"Service.ID\" is not a list"},
           {"any Checks { Status == x }", "12: expected \"as\""},
           {"any Checks as c c.Status == x", "17: expected '{'"},
           {"any Checks as c { c.Status == x", "32: expected '}'"},
           {"any Checks as c { c.Nothing == x }", "19: these rows have no \"c.Nothing\""},
           {"any Checks as c { c.Status == x } and c.Status == x",
            "39: these rows have no \"c.Status\""},
           {"Service.ID == x & y", "17: unexpected '&'"},
       }) {
    CAPTURE(text);
    CHECK(error_of(text) == "filter: at position " + wanted);
  }
  CHECK(error_of("Service.ID matches `(`").starts_with("filter: at position 20: missing )"));
  CHECK_FALSE(error_of("Service.ID matches `(a{500}){500}`").empty());
  CHECK(error_of(std::string(2'000, '(')) == "filter: longer than 1024 octets");
  std::string deep;
  for (int i = 0; i < 60; ++i)
    deep += "not ";
  CHECK(error_of(deep + "Service.Port == 1") == "filter: at position 133: nested too deep");
}

TEST_CASE("filter: an expression that is hard for others takes its linear time") {
  const std::string row = R"({"Node":")" + std::string(10'000, 'a') + R"(b","Meta":{}})";
  CHECK_FALSE(wants("Node matches `(a+)+$`", Rows::nodes, row));
  CHECK_FALSE(wants("Node matches `(a|aa)*c`", Rows::nodes, row));
}

TEST_CASE("filter: escapes and code points as in Go") {
  CHECK(wants(R"(Node == "a\tb\x41\u00e4\U0001F600\\\"")", Rows::nodes,
              "{\"Node\":\"a\\tbA\u00e4\U0001F600\\\\\\\"\"}"));
  CHECK_FALSE(error_of(R"(Node == "\ud800")", Rows::nodes).empty());
  CHECK_FALSE(error_of(R"(Node == "\x4")", Rows::nodes).empty());
}
