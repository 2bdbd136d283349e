// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "agent/registry/rows.h"
#include "agent/registry/target.h"
#include "base/text.h"
#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

TEST_CASE("names become labels or are refused") {
  CHECK(ServiceName::parse("Order_Service")->label() == "order-service");
  CHECK(ServiceName::parse("Order_Service")->text() == "Order_Service");
  CHECK(ServiceName::parse("order.rpc")->label() == "order-rpc");
  CHECK(*ServiceName::parse("my service") == *ServiceName::parse("my-service"));
  for (const char* bad : {"", "-a", "a-", "a/b", "h\xc3\xa9llo", "a\nb", "_tcp"})
    CHECK_FALSE(ServiceName::parse(bad).has_value());
  CHECK(ServiceName::parse(std::string(kServiceLabelBytesMax, 'a')).has_value());
  CHECK_FALSE(ServiceName::parse(std::string(kServiceLabelBytesMax + 1, 'a')).has_value());

  CHECK(InstanceId::parse("Web_1")->label() == "web-1");
  CHECK_FALSE(InstanceId::parse("local").has_value());
  CHECK_FALSE(InstanceId::parse("a:b").has_value());
  CHECK(InstanceId::parse(std::string(kLabelBytesMax, 'a')).has_value());
}

TEST_CASE("a name that leads elsewhere already is refused with the reason, however it is written") {
  for (const std::string name : {"localhost", "LOCALHOST", "LocalHost", "ns", "NS"}) {
    CAPTURE(name);
    CHECK_FALSE(ServiceName::parse(name).has_value());
    CHECK(ServiceName::from_foreign(name)->label().starts_with(lowered(name) + '-'));
    const auto refused =
        ServiceSpec::parse(*json::parse(R"({"name":")" + name + "\"}", 100), "services[0]");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().to_string().starts_with("services[0].name: expected another name: \"" +
                                                  name + "\" is "));
  }
  CHECK_FALSE(ServiceName::parse("localhost.").has_value());  // as a DNS name is
  for (const char* free : {"local", "svc", "localhost-2", "my.localhost", "metrics", "v1"})
    CHECK(ServiceName::parse(free).has_value());
}

TEST_CASE("ids of other programs keep their text and get a label") {
  CHECK(InstanceId::from_foreign("hello-v1-127.0.0.1:8000")->label() == "hello-v1-127-0-0-1-8000");
  CHECK(InstanceId::from_foreign("My Box (2)")->label() == "my-box--2");
  CHECK(InstanceId::from_foreign("local")->label() != "local");
  CHECK_FALSE(InstanceId::from_foreign("").has_value());
  CHECK_FALSE(InstanceId::from_foreign("a\nb").has_value());
  CHECK_FALSE(InstanceId::from_foreign(std::string(kIdBytesMax + 1, 'a')).has_value());
  const std::string long_text(kIdBytesMax, 'a');
  const auto one = InstanceId::from_foreign(long_text);
  const auto two = InstanceId::from_foreign(long_text.substr(1) + "b");
  CHECK(one->label().size() == kLabelBytesMax);
  CHECK(one->label() != two->label());
  for (const char* text : {"::", "///", "\xff\xfe", "-"}) {
    CAPTURE(text);
    const auto id = InstanceId::from_foreign(text);
    REQUIRE(id.has_value());
    CHECK(to_label(id->label()) == id->label());
  }
}

TEST_CASE("a spec has the defaults of the documentation") {
  const ServiceSpec s = spec(R"({"name":"hello","port":8080,"checks":[{"http":"/health"}]})");
  CHECK_FALSE(s.id.has_value());
  CHECK(s.port == 8080);
  CHECK(s.addresses.empty());
  CHECK(s.protocol == "http");
  CHECK(s.weight == 100);
  REQUIRE(s.checks.size() == 1);
  const CheckSpec& check = s.checks[0];
  CHECK(check.id == "http");
  CHECK(check.timing.interval == 10s);
  CHECK(check.timing.timeout == 5s);
  CHECK(check.thresholds.failures_before_critical == 3);
  CHECK(check.thresholds.success_before_passing == 2);
  CHECK(check.deregister_critical_after == 60s);
  CHECK_FALSE(s.farp->enabled);
  CHECK(automatic_id(s, {"box.example", {}}).text() == "hello-box-8080");
  CHECK(automatic_id(s, {"weird!host", {}}).text() == "hello-8080");
}

TEST_CASE("what is written is read back equal") {
  const ServiceSpec whole = spec(R"({
    "name": "Hello_World", "id": "Web-1", "version": "1.2", "port": 80,
    "address": ["10.0.0.1", "2001:db8::1"], "protocol": "grpc", "tags": ["a", "b"],
    "subtypes": ["_printer", "S3"], "metadata": {"region": "x"}, "weight": 7, "scope": "host",
    "checks": [
      {"http": "https://127.0.0.1:8443/x?y", "method": "HEAD", "headers": {"X": "y"}, "host": "h",
       "expect_status": [200, 404], "expect_body": "ok", "expect_header": {"X-Id": "1"},
       "tls": {"verify": false, "server_name": "h"}, "deregister_critical_after": "0s"},
      {"tcp": ":80", "interval": "250ms"}, {"grpc": "svc", "target": "127.0.0.1:90", "tls": {}},
      {"ttl": "30s", "initial": "passing"}, {"alias": "db"}, {"http": "/"}],
    "farp": {"openapi": "/o.json", "capabilities": ["rest"], "strategy": "push"}})");
  CHECK(whole.checks.back().id == "http");
  CHECK(whole.checks.front().id == "https");
  std::string text;
  json::Writer out(text);
  write(out, whole);
  CHECK(spec(text) == whole);
}

TEST_CASE("what is wrong is reported with path, expectation and the nearest name") {
  struct Row {
    const char* text;
    const char* error;
  };
  const Row rows[] = {
      {R"([])", "services[0]: expected an object, not an array"},
      {R"({})", "services[0].name: required"},
      {R"({"name":"a","prot":1})", "services[0].prot: unknown key; did you mean \"port\"?"},
      {R"({"name":"a","zebra":1})", "services[0].zebra: unknown key"},
      {R"({"name":"a","port":70000})", "services[0].port: expected 0 to 65535, not 70000"},
      {R"({"name":"a","port":"80"})", "services[0].port: expected an integer, not \"80\""},
      {R"({"name":"a b/c"})",
       "services[0].name: expected letters, digits, '-', '_' or '.', as a DNS label needs them, "
       "not \"a b/c\""},
      {R"({"name":"a","id":"local"})",
       "services[0].id: expected \"auto\" or letters, digits and '-', not \"local\""},
      {R"({"name":"a","address":"web"})",
       "services[0].address: expected \"auto\" or addresses of one host, not \"web\""},
      {R"({"name":"a","address":["10.0.0.1","auto"]})",
       "services[0].address: expected \"auto\" or addresses of one host, not \"auto\""},
      {R"({"name":"a","scope":"lam"})",
       "services[0].scope: expected one of \"auto\", \"lan\", \"host\", not \"lam\"; did you mean "
       "\"lan\"?"},
      {R"({"name":"a","tags":[1]})", "services[0].tags[0]: expected a string, not an integer"},
      {R"({"name":"a","subtypes":["a.b"]})",
       "services[0].subtypes: expected labels of 1 to 63 letters, digits, '-' and '_', not "
       "\"a.b\""},
      {R"({"name":"a","subtypes":[""]})",
       "services[0].subtypes: expected labels of 1 to 63 letters, digits, '-' and '_', not \"\""},
      {R"({"name":"a","subtypes":["_a","_A"]})", "services[0].subtypes: \"_A\" is used twice"},
      {R"({"name":"a","metadata":{"k":1}})",
       "services[0].metadata.k: expected a string, not an integer"},
      {R"({"name":"a","checks":{}})",
       "services[0].checks: expected an array of objects, not an object"},
      {R"({"name":"a","checks":[{}]})",
       "services[0].checks[0]: expected one of http, tcp, grpc, ttl, alias"},
      {R"({"name":"a","checks":[{"tcp":"auto","http":"/"}]})",
       "services[0].checks[0]: only one of http, tcp, grpc, ttl, alias is possible"},
      {R"({"name":"a","checks":[{"http":"/"},{"http":"/","interval":5}]})",
       "services[0].checks[1].interval: expected a duration such as \"10s\" or \"250ms\", not an "
       "integer"},
      {R"({"name":"a","checks":[{"http":"/","interval":"5"}]})",
       "services[0].checks[0].interval: expected a duration such as \"10s\" or \"250ms\", not "
       "\"5\""},
      {R"({"name":"a","checks":[{"http":"/","interval":"1ms"}]})",
       "services[0].checks[0].interval: expected 100ms to 1d, not 1ms"},
      {R"({"name":"a","checks":[{"http":"health"}]})",
       "services[0].checks[0].http: expected a path that begins with '/', or an http URL"},
      {R"({"name":"a","checks":[{"http":"http://web/"}]})",
       "services[0].checks[0].http: expected an address or localhost; names are not looked up"},
      {R"({"name":"a","checks":[{"http":"/ä"}]})",
       "services[0].checks[0].http: expected ASCII without blanks; others are written as %20"},
      {R"({"name":"a","checks":[{"http":"/","host":"a b"}]})",
       "services[0].checks[0].host: expected a host name"},
      {R"({"name":"a","checks":[{"http":"/","expect_status":[200,700]}]})",
       "services[0].checks[0].expect_status: expected 100 to 599, not 700"},
      {R"({"name":"a","checks":[{"http":"/","expect_header":{"X Y":"1"}}]})",
       "services[0].checks[0].expect_header: expected a header name"},
      {R"({"name":"a","checks":[{"http":"/","tls":{"server_name":"a/b"}}]})",
       "services[0].checks[0].tls.server_name: expected a host name"},
      {R"({"name":"a","checks":[{"http":"/","tls":{"key":"/k"}}]})",
       "services[0].checks[0].tls.key: needs a cert"},
      {R"({"name":"a","checks":[{"http":"http://127.0.0.1:80/"},{"http":"/"}]})",
       "services[0].checks[1].http: needs a port: give the service one, or name it in the check"},
      {R"({"name":"a","checks":[{"tcp":"auto"}]})",
       "services[0].checks[0].tcp: needs a port: give the service one, or name it in the check"},
      {R"({"name":"a","checks":[{"grpc":"auto"}]})",
       "services[0].checks[0].grpc: needs a port: give the service one, or name it in the check"},
      {R"({"name":"a","checks":[{"tcp":"auto","expect_body":"ok"}]})",
       "services[0].checks[0].expect_body: only for checks of kind http"},
      {R"({"name":"a","checks":[{"tcp":"auto","tls":{}}]})",
       "services[0].checks[0].tls: only for checks of kind http, grpc"},
      {R"({"name":"a","checks":[{"http":"/","initial":"passing"}]})",
       "services[0].checks[0].initial: only for checks of kind ttl"},
      {R"({"name":"a","checks":[{"tcp":"0.0.0.0:80"}]})",
       "services[0].checks[0].tcp: expected an address of one host, not 0.0.0.0"},
      {R"({"name":"a","checks":[{"http":"http://169.254.169.254/"}]})",
       "services[0].checks[0].http: link-local addresses are never probed"},
      {R"({"name":"a","checks":[{"http":"/","intervall":"5s"}]})",
       "services[0].checks[0].intervall: unknown key; did you mean \"interval\"?"},
      {R"({"name":"a","checks":[{"http":"/","id":"x"},{"tcp":"auto","id":"x"}]})",
       "services[0].checks[1].id: \"x\" is used twice"},
      {R"({"name":"a","checks":[{"http":"/","tls":{"verifi":true}}]})",
       "services[0].checks[0].tls.verifi: unknown key; did you mean \"verify\"?"},
      {R"({"name":"a","checks":[{"http":"/","failures_before_warning":5}]})",
       "services[0].checks[0].failures_before_warning: expected at most failures_before_critical"},
      {R"({"name":"a","farp":{"openapi":"o.json"}})",
       "services[0].farp.openapi: expected a path that begins with '/', not \"o.json\""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto result = ServiceSpec::parse(tree(row.text), "services[0]");
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().to_string() == row.error);
  }
}

TEST_CASE("keys of probes are refused in checks that do not probe, and written for none of them") {
  for (const char* kind : {R"("ttl":"30s")", R"("alias":"b")"}) {
    for (const char* key :
         {R"("interval":"5s")", R"("timeout":"1s")", R"("start_interval":"2s")",
          R"("start_timeout":"1s")", R"("edge_interval":"1s")", R"("success_before_passing":3)",
          R"("failures_before_warning":2)", R"("failures_before_critical":2)",
          R"("refused_is_critical":true)", R"("allow_remote":true)"}) {
      CAPTURE(key);
      const auto check = [&](const char* what) {
        return ServiceSpec::parse(
            tree(std::string(R"({"name":"a","port":1,"checks":[{)") + what + ',' + key + "}]}"));
      };
      REQUIRE_FALSE(check(kind).has_value());
      CHECK(check(kind).error().to_string().ends_with(": only for checks of kind http, tcp, grpc"));
      CHECK(check(R"("tcp":"auto")").has_value());
    }
    // That one heartbeat decides holds anyway; earlier versions wrote it, and every default.
    CHECK(ServiceSpec::parse(tree(std::string(R"({"name":"a","checks":[{)") + kind +
                                  R"(,"success_before_passing":1,"failures_before_warning":1,)" +
                                  R"("failures_before_critical":1,"start_timeout":"1m"}]})")));
    const auto whole = ServiceSpec::parse(
        tree(std::string(R"({"name":"a","checks":[{)") + kind + R"(,"interval":"10s"}]})"));
    REQUIRE(whole.has_value());  // the default, as config dump writes it
    std::string text;
    json::Writer out(text);
    write(out, *whole);
    CHECK(text.find("interval") == std::string::npos);
    CHECK(*ServiceSpec::parse(tree(text)) == *whole);
  }
}

TEST_CASE("limits of a spec are reached and not passed") {
  const auto with = [](const std::string& key, std::size_t n, const std::string& element) {
    std::string text = R"({"name":"a",")" + key + "\":[";
    for (std::size_t i = 0; i < n; ++i)
      text += (i ? "," : "") + element;
    return ServiceSpec::parse(tree(text + "]}"));
  };
  CHECK(with("tags", kTagsMax, "\"t\"").has_value());
  CHECK_FALSE(with("tags", kTagsMax + 1, "\"t\"").has_value());
  CHECK(with("checks", kChecksPerInstanceMax, R"({"tcp":":1"})").has_value());
  CHECK_FALSE(with("checks", kChecksPerInstanceMax + 1, R"({"tcp":":1"})").has_value());
  CHECK(with("address", kAddressesMax, "\"10.0.0.1\"").has_value());
  CHECK_FALSE(with("address", kAddressesMax + 1, "\"10.0.0.1\"").has_value());

  const auto subtypes = [](std::size_t n, std::size_t bytes) {
    std::string text = R"({"name":"a","subtypes":[)";
    for (std::size_t i = 0; i < n; ++i)
      text += (i ? ",\"" : "\"") + std::string(bytes - 1, '_') + static_cast<char>('a' + i) + '"';
    return ServiceSpec::parse(tree(text + "]}"));
  };
  CHECK(subtypes(kSubtypesMax, kLabelBytesMax).has_value());
  CHECK_FALSE(subtypes(kSubtypesMax + 1, kLabelBytesMax).has_value());
  CHECK_FALSE(subtypes(1, kLabelBytesMax + 1).has_value());

  const auto metadata = [](std::size_t key, std::size_t value) {
    return ServiceSpec::parse(tree(R"({"name":"a","metadata":{")" + std::string(key, 'k') +
                                   "\":\"" + std::string(value, 'v') + "\"}}"));
  };
  CHECK(metadata(kMetadataKeyBytesMax, kMetadataValueBytesMax).has_value());
  CHECK_FALSE(metadata(kMetadataKeyBytesMax + 1, 1).has_value());
  CHECK_FALSE(metadata(1, kMetadataValueBytesMax + 1).has_value());
  CHECK_FALSE(metadata(0, 1).has_value());
  std::string pairs = R"("k0":"")";
  for (std::size_t i = 1; i < kMetadataMax; ++i)
    pairs += ",\"k" + std::to_string(i) + "\":\"\"";
  const auto with_pairs = [](const std::string& text) {
    return ServiceSpec::parse(tree(R"({"name":"a","metadata":{)" + text + "}}")).has_value();
  };
  CHECK(with_pairs(pairs));
  CHECK_FALSE(with_pairs(pairs + R"(,"more":"")"));

  const auto with_text = [](const char* key, const char* open, std::size_t bytes,
                            const char* close) {
    return ServiceSpec::parse(tree(R"({"name":"a",")" + std::string(key) + "\":" + open +
                                   std::string(bytes, 'x') + close + "}"))
        .has_value();
  };
  CHECK(with_text("version", "\"", kVersionBytesMax, "\""));
  CHECK_FALSE(with_text("version", "\"", kVersionBytesMax + 1, "\""));
  CHECK(with_text("tags", "[\"", kTagBytesMax, "\"]"));
  CHECK_FALSE(with_text("tags", "[\"", kTagBytesMax + 1, "\"]"));
}

TEST_CASE("targets come from the check, else from the service") {
  const auto target = [](const std::string& check, const std::string& service = R"("port":80)") {
    const ServiceSpec s = spec(R"({"name":"a",)" + service + R"(,"checks":[)" + check + "]}");
    Instance instance{.id = *InstanceId::parse("i"), .service = s.name};
    instance.port = s.port;
    for (const IpAddress& address : s.addresses)
      instance.addresses.push_back({address, 0});
    const auto resolved = resolve_target(s.checks[0], instance);
    return resolved ? to_string(resolved->to) + ' ' + resolved->host + ' ' + resolved->path
                    : resolved.error();
  };
  CHECK(target(R"({"http":"/h?x=1"})") == "127.0.0.1:80 127.0.0.1:80 /h?x=1");
  CHECK(target(R"({"http":"/"})", R"("port":80,"address":"10.0.0.1")") ==
        "10.0.0.1:80 10.0.0.1:80 /");
  CHECK(target(R"({"http":"http://10.0.0.1:9/"})") == "10.0.0.1:9 10.0.0.1:9 /");
  CHECK(target(R"({"http":"http://localhost/","host":"web"})") == "127.0.0.1:80 web /");
  CHECK(target(R"({"http":"https://[::1]"})") == "[::1]:443 [::1] /");
  CHECK(target(R"({"http":"/x","unix_socket":"/run/s"})") == "unix:/run/s localhost /x");
  CHECK(target(R"({"tcp":":81"})") == "127.0.0.1:81 127.0.0.1:81 /");
}

TEST_CASE("every row has a line and a fallback that fits its own rule") {
  for (const auto rows : {service_rows(), check_rows()})
    for (const Row& row : rows) {
      CAPTURE(row.key);
      CHECK_FALSE(row.line.empty());
    }
  std::string schema;
  json::Writer out(schema);
  out.begin_object();
  write_schema(out, service_rows());
  out.end_object();
  const json::Value root = tree(schema);
  CHECK(root.find("properties")->find("port")->find("maximum") != nullptr);
  CHECK(root.find("required")->as_array()->size() == 1);
}

}  // namespace
}  // namespace outrider::registry
