// SPDX-License-Identifier: Apache-2.0
#include "agent/config/config.h"

#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <sys/stat.h>

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

TEST_CASE("the etcd door is off, and has all four layouts at their usual prefixes") {
  auto config = of("{}");
  REQUIRE(config.has_value());
  CHECK(config->api.etcd_listen.empty());
  CHECK(config->api.etcd_layouts.kratos->prefix == "/microservices");
  CHECK(config->api.etcd_layouts.goframe->prefix == "/service");
  CHECK(config->api.etcd_layouts.forge->prefix == "/services");
  CHECK(config->api.etcd_layouts.gozero.has_value());
  CHECK(config->api.etcd_tcp_checked.empty());
  config = of(R"({"api":{"etcd_listen":"127.0.0.1","etcd_layouts":{"kratos":{"prefix":"/ms"}},)"
              R"("etcd_tcp_checks":["/ms/"]}})");
  REQUIRE(config.has_value());
  CHECK(config->api.etcd_listen == std::vector<Endpoint>{*Endpoint::parse("127.0.0.1:2379")});
  CHECK(config->api.etcd_layouts.kratos->prefix == "/ms");
  CHECK_FALSE(config->api.etcd_layouts.gozero.has_value());
  CHECK(config->api.etcd_tcp_checked == std::vector<std::string>{"/ms/"});
}

TEST_CASE("comments may stand wherever JSON has white space, and errors keep their place") {
  const auto config = of(R"(// at the top: "dns": {
{"dns": /* why: "slow" */ {"ttl": "7s"} // to the end of the line, with /* in it
 , "node": {"name": "a//b/*c*/\"//d"} /**/ }
/* at
   the end *///)");
  REQUIRE(config.has_value());
  CHECK(config->dns.ttl == 7);
  CHECK(config->node.name == R"(a//b/*c*/"//d)");
  const auto error = [](const char* text) { return error_of({.files = {{"x.json", text}}}); };
  CHECK(error("/* a\n b */ {\n \"dns\" /* c */ 1}") == "x.json:3:16: expected ':'");
  CHECK(error("// only\n/* comments */") == "x.json: the file is empty; expected a JSON object");
  CHECK(error("{} /* open").starts_with("x.json:1:4: "));
  CHECK(error("{} /").starts_with("x.json:1:4: "));
  CHECK(error("{\"dns\": \"// open").starts_with("x.json:1:"));
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
      {R"({"dns":{"upstream":["fe80::1%"]}})",
       "x.json: dns.upstream: expected \"system\", ADDRESS or ADDRESS:PORT, not \"fe80::1%\""},
      {R"({"dns":{"allow":["192.0.2.1/33"]}})",
       "x.json: dns.allow: expected a network such as \"172.17.0.0/16\", not \"192.0.2.1/33\""},
      {R"({"dns":{"unicast_local":["corp.example"]}})",
       "x.json: dns.unicast_local: expected a domain such as \"corp.local\", not \"corp.example\""},
      {R"({"dns":{"rebind_exceptions":["."]}})",
       "x.json: dns.rebind_exceptions: expected a domain such as \"corp.example\", not \".\""},
      {R"({"mdns":{"shared_types":["farp"]}})",
       "x.json: mdns.shared_types: expected types such as \"_farp._tcp\", not \"farp\""},
      {R"({"node":{"ipv4":false,"ipv6":false}})",
       "x.json: node.ipv6: expected at least one of node.ipv4 and node.ipv6 to be true"},
      {R"({"api":{"consul_listen":["10.0.0.1:8500"]}})",
       "x.json: api.consul_listen: expected a loopback address, not \"10.0.0.1:8500\"; this API is "
       "not "
       "served to other hosts"},
      {R"({"api":{"etcd_listen":"0.0.0.0:2379"}})",
       "x.json: api.etcd_listen: expected a loopback address, not \"0.0.0.0:2379\"; this API is "
       "not served to other hosts"},
      {R"({"api":{"etcd_layouts":{}}})",
       "x.json: api.etcd_layouts: expected at least one of \"kratos\", \"goframe\", \"gozero\", "
       "\"forge\""},
      {R"({"api":{"etcd_layouts":{"kratos":{"prefix":"/services/x"},"forge":{}}}})",
       "x.json: api.etcd_layouts.kratos.prefix: expected a prefix that is not below that of "
       "\"forge\""},
      {R"({"api":{"host_names":["consul:8500"]}})",
       "x.json: api.host_names: expected a host name without a port, such as \"consul\", not "
       "\"consul:8500\""},
      {R"({"api":{"host_names":["*"]}})",
       "x.json: api.host_names: expected a host name without a port, such as \"consul\", not "
       "\"*\""},
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

TEST_CASE("whom DNS answers, and whom it asks") {
  const auto none = make_config({});
  REQUIRE(none.has_value());
  CHECK(none->dns.allow.empty());
  CHECK(!none->dns.trust_ad);
  const auto config =
      make_config({.files = {{"x.json", R"({"dns":{"allow":["172.17.0.0/16","192.0.2.1","fd00::/8"],
          "upstream":["fe80::1%eth0","[fe80::1%wlan0]:5353","fe80::1%2"],
          "unicast_local":["corp.local","local"],"trust_ad":true}})"}}});
  REQUIRE(config.has_value());
  CHECK(config->dns.allow == std::vector<Prefix>{*Prefix::parse("172.17.0.0/16"),
                                                 *Prefix::parse("192.0.2.1/32"),
                                                 *Prefix::parse("fd00::/8")});
  CHECK(config->dns.upstream.size() == 3);
  CHECK(config->dns.unicast_local.size() == 2);
  CHECK(config->dns.trust_ad);
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
        "--set dns.ttl: expected a duration such as \"10s\" or \"250ms\", not \"x\"");
  CHECK(set("nonsense") == "--set nonsense: expected SECTION.KEY=VALUE");
  CHECK(set("nonsense=1") == "--set nonsense=1: expected SECTION.KEY=VALUE");
  CHECK(set("nonsense=1.2") == "--set nonsense=1.2: expected SECTION.KEY=VALUE");
  CHECK(set("dns.ttl") == "--set dns.ttl: missing value; expected dns.ttl=VALUE");
  CHECK(set("dns.tll") == "--set dns.tll: no such option; did you mean \"dns.ttl\"?");
  CHECK(set("services=x") == "--set services=x: services can only be defined in files");
  CHECK(set("services[0].id=x") == "--set services[0].id=x: services can only be defined in files");
  CHECK(set("mdns.domain=lan") == "--set mdns.domain: expected \"local\", not \"lan\"");
  CHECK(set("api.article=yes") == "--set api.article: expected true or false, not \"yes\"");
  CHECK(set("dns.ttl=1500ms") == "--set dns.ttl: expected whole seconds");
  CHECK(set("dns.answers=many") == "--set dns.answers: expected an integer, not \"many\"");
}

TEST_CASE("an unknown variable is refused with the nearest one") {
  const auto variable = [](const char* name) {
    return error_of({.files = {}, .environment = {{name, "1"}}, .sets = {}});
  };
  CHECK(variable("OUTRIDER_DNS_TTLL") ==
        "OUTRIDER_DNS_TTLL: no such option: dns.ttll; did you mean \"OUTRIDER_DNS_TTL\"?");
  CHECK(variable("OUTRIDER_API_CONSUL_LISTN") ==
        "OUTRIDER_API_CONSUL_LISTN: no such option: api.consul_listn; did you mean "
        "\"OUTRIDER_API_CONSUL_LISTEN\"?");
  CHECK(variable("OUTRIDER_DNS_XYZZY") == "OUTRIDER_DNS_XYZZY: no such option: dns.xyzzy");
}

TEST_CASE("an empty file, and a comma too many, are named") {
  const auto file = [](const char* text) {
    return error_of({.files = {{"c.json", text}}, .environment = {}, .sets = {}});
  };
  CHECK(file("") == "c.json: the file is empty; expected a JSON object");
  CHECK(file(" \n\t") == "c.json: the file is empty; expected a JSON object");
  CHECK(file("{\"dns\": {},}") ==
        "c.json:1:12: expected a key, not '}'; remove the comma before it?");
}

TEST_CASE("the sources of one level are judged together, in whatever order they come") {
  const std::string no_v4 = R"({"node":{"ipv4":true,"ipv6":false}})";
  for (const auto& sets : {std::vector<std::string>{"node.ipv4=false", "node.ipv6=true"},
                           {"node.ipv6=true", "node.ipv4=false"}}) {
    const auto config =
        make_config({.files = {{"x.json", no_v4}}, .environment = {}, .sets = sets});
    REQUIRE(config.has_value());
    CHECK_FALSE(config->node.ipv4);
    CHECK(config->node.ipv6);
  }
  using Variables = std::vector<std::pair<std::string, std::string>>;
  for (const auto& variables :
       {Variables{{"OUTRIDER_NODE_IPV4", "false"}, {"OUTRIDER_NODE_IPV6", "true"}},
        Variables{{"OUTRIDER_NODE_IPV6", "true"}, {"OUTRIDER_NODE_IPV4", "false"}}}) {
    CHECK(error_of({.files = {{"x.json", no_v4}}, .environment = variables, .sets = {}}) == "none");
  }
  // Files of one directory are one level, too.
  CHECK(error_of({.files = {{"a.json", R"({"node":{"ipv4":false,"ipv6":false}})"},
                            {"b.json", R"({"node":{"ipv6":true}})"}},
                  .environment = {},
                  .sets = {}}) == "none");
  // What is wrong in the end names the source with which it becomes wrong.
  const auto error = [](std::vector<std::string> sets) {
    return error_of({.files = {}, .environment = {}, .sets = std::move(sets)});
  };
  const std::string none = "expected at least one of node.ipv4 and node.ipv6 to be true";
  CHECK(error({"node.ipv4=false", "dns.ttl=3s", "node.ipv6=false"}) == "--set node.ipv6: " + none);
  CHECK(error({"node.ipv6=false", "node.ipv4=false", "dns.ttl=3s"}) ==
        "--set node.ipv4: node.ipv6: " + none);
}

TEST_CASE("a list on the command line or in the environment is written with commas, or in JSON") {
  for (const char* text : {"svc,lan", "svc, lan", R"(["svc","lan"])"}) {
    CAPTURE(text);
    const auto config = make_config({.files = {},
                                     .environment = {{"OUTRIDER_DNS_UPSTREAM", "192.0.2.1,::1"}},
                                     .sets = {std::string("dns.domains=") + text}});
    REQUIRE(config.has_value());
    REQUIRE(config->dns.domains.size() == 2);
    CHECK(config->dns.domains[1].to_display() == "lan");
    CHECK(config->dns.upstream == std::vector<std::string>{"192.0.2.1", "::1"});
  }
  CHECK(make_config({.files = {}, .environment = {}, .sets = {"dns.domains=lan"}})
            ->dns.domains.size() == 1);
  CHECK(error_of({.files = {}, .environment = {}, .sets = {"dns.domains=svc,"}}) ==
        "--set dns.domains: expected a domain such as \"svc\", not \"\"");
}

TEST_CASE("null stands for an empty list, as earlier versions wrote it") {
  const auto config = make_config(
      {.files = {{"x.json", R"({"api":{"consul_listen":null}})"}}, .environment = {}, .sets = {}});
  REQUIRE(config);
  CHECK(config->api.consul_listen.empty());
}

TEST_CASE("the door for Eureka's clients is closed until it is opened") {
  const auto opened = [](const char* text) {
    const auto config = make_config({.files = {{"x.json", text}}, .environment = {}, .sets = {}});
    REQUIRE(config);
    return config->api.eureka;
  };
  CHECK_FALSE(opened("{}"));
  CHECK(opened(R"({"api":{"eureka":true}})"));
  CHECK(error_of({.files = {}, .environment = {}, .sets = {"api.eureka=yes"}}) ==
        "--set api.eureka: expected true or false, not \"yes\"");
}

TEST_CASE("services are reached by URL on loopback, and elsewhere only where that is asked for") {
  const auto web_of = [](const std::string& web) { return of("{\"web\":" + web + "}"); };
  CHECK(of("{}")->web.listen == std::vector<Endpoint>{*Endpoint::parse("127.0.0.1:5380")});
  CHECK(of("{}")->web.tls_listen.empty());
  const auto some = web_of(R"({"listen":"::1","tls_listen":"127.0.0.1","strategy":"p2c",
                               "names":["Pay_API","*"]})");
  REQUIRE(some.has_value());
  CHECK(some->web.listen == std::vector<Endpoint>{*Endpoint::parse("[::1]:5380")});
  CHECK(some->web.tls_listen == std::vector<Endpoint>{*Endpoint::parse("127.0.0.1:5443")});
  CHECK(some->web.strategy == registry::Strategy::p2c);
  CHECK(some->web.names == std::vector<std::string>{"pay-api", "*"});
  for (const char* key : {"listen", "tls_listen"}) {
    const std::string open = std::string("{\"") + key + R"(":"0.0.0.0:80")";
    CHECK(error_of({.files = {{"x", "{\"web\":" + open + "}}"}}})
              .starts_with(std::string("x: web.") + key +
                           ": expected a loopback address, not \"0.0.0.0:80\""));
    CHECK(web_of(open + R"(,"allow_remote":true})").has_value());
  }
  CHECK_FALSE(web_of(R"({"strategy":"best"})").has_value());
  CHECK_FALSE(web_of(R"({"names":["-a"]})").has_value());
}

TEST_CASE("an abstract socket, which has no permissions, is refused") {
  CHECK(error_of({.files = {}, .environment = {}, .sets = {"api.socket=@x"}}) ==
        "--set api.socket: expected \"auto\", \"off\" or an absolute path; an abstract "
        "socket has no permissions");
  CHECK(error_of({.files = {}, .environment = {}, .sets = {"api.socket=run/x"}}) ==
        "--set api.socket: expected \"auto\", \"off\" or an absolute path");
  CHECK(error_of({.files = {}, .environment = {}, .sets = {"api.socket=/run/x"}}) == "none");
}

TEST_CASE("a file of the history has an absolute path, or is off") {
  const auto file_of = [](const char* set) {
    return make_config({.files = {}, .environment = {}, .sets = {set}})->api.history_file;
  };
  CHECK(make_config({})->api.history_file.empty());
  CHECK(file_of("api.history_file=off").empty());
  CHECK(file_of("api.history_file=/var/lib/x") == "/var/lib/x");
  CHECK(error_of({.files = {}, .environment = {}, .sets = {"api.history_file=x"}}) ==
        "--set api.history_file: expected \"off\" or an absolute path, not \"x\"");
}

TEST_CASE("registries are read with their defaults, and mistakes are named") {
  const auto config = of(R"({"registries": [
      {"etcd": {"endpoints": ["http://10.0.0.5:2379", "http://b:2379"], "keep": "forever",
                "layouts": {"kratos": {}, "goframe": {"prefix": "/gf"}, "forge": {},
                            "gozero": {"keys": ["order.rpc"]}},
                "services": ["order"], "user": "u", "password_file": "/p"}},
      {"consul": {"services": ["hello"], "publish": false}}]})");
  REQUIRE(config.has_value());
  REQUIRE(config->registries.size() == 2);
  const auto& etcd = std::get<registries::etcd::Options>(config->registries[0].options);
  CHECK(config->registries[0].keep == Duration::max());
  CHECK(config->registries[0].publishes());
  CHECK(etcd.ttl == 15s);
  CHECK(etcd.layouts.kratos->prefix == "/microservices");
  CHECK(etcd.layouts.goframe->prefix == "/gf");
  CHECK(etcd.layouts.gozero->keys == std::vector<std::string>{"order.rpc"});
  CHECK(etcd.services == std::vector<std::string>{"order"});
  CHECK(etcd.user == "u");
  const auto& consul = std::get<registries::consul::Options>(config->registries[1].options);
  CHECK(config->registries[1].keep == kKeepDefault);
  CHECK_FALSE(config->registries[1].publishes());
  CHECK(consul.address == "http://127.0.0.1:8500");

  const auto error = [](const std::string& registry) {
    const auto read = of("{\"registries\": [" + registry + "]}");
    return read ? std::string("none") : read.error().spec.to_string();
  };
  const auto of_etcd = [&](const std::string& members) {
    return error(R"({"etcd": {"endpoints": ["http://e:2379"], )" + members + "}}");
  };
  CHECK(of_etcd(R"("layouts": {"krato": {}})") ==
        "registries[0].etcd.layouts.krato: unknown key; did you mean \"kratos\"?");
  CHECK(of_etcd(R"("layouts": {})").starts_with("registries[0].etcd.layouts: expected at least"));
  CHECK(of_etcd(R"("layouts": {"kratos": {"prefix": "/a"}, "forge": {"prefix": "/a/b/"}})") ==
        "registries[0].etcd.layouts.forge.prefix: expected a prefix that is not below that of "
        "\"kratos\"");
  CHECK(of_etcd(R"("layouts": {"kratos": {"prefix": "/a"}, "forge": {"prefix": "/ab"}})") ==
        "none");
  CHECK(of_etcd(R"("layouts": {"gozero": {"keys": ["a/"]}})")
            .starts_with("registries[0].etcd.layouts.gozero.keys: expected keys such as"));
  CHECK(of_etcd(R"("user": "u", "layouts": {"kratos": {}})") ==
        "registries[0].etcd.password_file: expected \"user\" and \"password_file\" together");
  CHECK(of_etcd(R"("keep": "long", "layouts": {"kratos": {}})") ==
        "registries[0].etcd.keep: expected a duration such as \"10m\", \"0s\", or \"forever\", "
        "not \"long\"");
  CHECK(of_etcd(R"("ttl": "1s", "layouts": {"kratos": {}})") ==
        "registries[0].etcd.ttl: expected 5s to 1h, not 1s");
  CHECK(error("{}") == "registries[0]: expected one of \"etcd\" and \"consul\"");
  CHECK(error(R"({"etc": {}})") == "registries[0].etc: unknown key; did you mean \"etcd\"?");
  CHECK(error(R"({"etcd": {"layouts": {"kratos": {}}}})") ==
        "registries[0].etcd.endpoints: required");
  CHECK(error(R"({"consul": {"address": "127.0.0.1:8500"}})") ==
        "registries[0].consul.address: expected a URL such as \"http://127.0.0.1:8500\", not "
        "\"127.0.0.1:8500\"");
  CHECK(error(R"({"consul": {}}, {"consul": {}})") ==
        "registries[1].consul.address: \"http://127.0.0.1:8500\" is given twice");
}

TEST_CASE("registries with https URLs take TLS settings, and mistakes in them are named") {
  const auto config = of(R"({"registries": [
    {"etcd": {"endpoints": ["http://a:2379", "https://b"], "layouts": {"kratos": {}},
              "tls": {"ca_file": "ca.pem", "cert_file": "c.pem", "server_name": "etcd.test"}}},
    {"consul": {"address": "https://c:8501", "tls": {"cert_file": "c.pem", "key_file": "k.pem"}}},
    {"consul": {"address": "http://d:8500"}}]})");
  REQUIRE(config.has_value());
  CHECK(config->registries[0].tls() == TlsOptions{.on = true,
                                                  .ca_file = "ca.pem",
                                                  .server_name = "etcd.test",
                                                  .cert_file = "c.pem",
                                                  .key_file = ""});
  CHECK(
      config->registries[1].tls() ==
      TlsOptions{
          .on = true, .ca_file = "", .server_name = "", .cert_file = "c.pem", .key_file = "k.pem"});
  CHECK(config->registries[2].tls() == TlsOptions());

  const auto error = [](const std::string& address, const std::string& tls) {
    const auto read = of(R"({"registries": [{"consul": {"address": ")" + address +
                         R"(://c", "tls": )" + tls + "}}]}");
    return read ? std::string("none") : read.error().spec.to_string();
  };
  CHECK(error("https", "{}") == "none");
  CHECK(error("http", "null") == "none");
  CHECK(error("http", "{}") ==
        "registries[0].consul.tls: expected null, or an https:// URL to use it for");
  CHECK(error("https", R"({"key_file": "k"})") ==
        "registries[0].consul.tls.key_file: expected a \"cert_file\" with it");
  CHECK(error("https", R"({"server_name": "a:1"})") ==
        "registries[0].consul.tls.server_name: expected a host name, not \"a:1\"");
  CHECK(error("https", R"({"verify": false})").starts_with("registries[0].consul.tls.verify: "));
}

TEST_CASE("what is exported is read, and mistakes are named") {
  const auto with = [](const std::string& exports, const std::string& registries,
                       const std::string& mdns = "auto") {
    return of(R"({"mdns": {"provider": ")" + mdns + R"("}, "registries": [)" + registries +
              R"(], "export": [)" + exports + "]}");
  };
  const std::string etcd =
      R"({"etcd": {"endpoints": ["http://e:2379"], "layouts": {"kratos": {}}}})";
  const auto read = with(
      R"({"from": "etcd", "to": "mdns", "names": ["Hello", "prod/order"], "group": "Floor 2"},
         {"from": "mdns", "to": "etcd", "names": "hello"})",
      etcd);
  REQUIRE(read);
  REQUIRE(read->exports.size() == 2);
  const ExportRule& rule = read->exports.front();
  CHECK(rule.from == registry::Source::etcd);
  CHECK(rule.to == registry::Source::sighting);
  CHECK(rule.names.at(0).label() == "hello");
  CHECK(rule.names.at(1).label() == "prod-order");
  CHECK(rule.group == "floor-2");
  CHECK(read->exports.back().group.empty());
  CHECK(of("{}")->exports.empty());
  CHECK(not_reloadable(*of("{}"), *read).empty());

  const auto error = [&](const std::string& exports, const std::string& registries,
                         const std::string& mdns = "auto") {
    const auto result = with(exports, registries, mdns);
    return result ? std::string("none") : result.error().spec.to_string();
  };
  const auto rule_of = [](const char* from, const char* to, const char* names = R"(["a"])") {
    return std::string(R"({"from": ")") + from + R"(", "to": ")" + to + R"(", "names": )" + names +
           '}';
  };
  CHECK(error(R"({"from": "etcd", "to": "mdns"})", etcd) == "export[0].names: required");
  CHECK(error(rule_of("etcd", "mdns", "[]"), etcd) ==
        "export[0].names: expected at least one name of a service");
  CHECK(error(rule_of("etcd", "mdns", R"(["a", "A"])"), etcd) ==
        "export[0].names: \"A\" is given twice");
  CHECK(error(rule_of("etcd", "etcd"), etcd) == "export[0].to: expected another one than \"from\"");
  CHECK(error(rule_of("etcd", "mdns"), "") ==
        "export[0].from: expected a registry of \"registries\", which has no \"etcd\"");
  CHECK(error(rule_of("etcd", "consul"), etcd).starts_with("export[0].to: expected "));
  CHECK(error(rule_of("etcd", "mdns"), etcd, "off") ==
        "export[0].to: expected another source than \"mdns\", which \"mdns.provider\" turns off");
  std::string second = etcd, silent = etcd, gozero = etcd;
  second.replace(second.find("//e"), 3, "//f");
  CHECK(error(rule_of("etcd", "mdns"), etcd + ',' + second) ==
        "export[0].from: expected a registry that \"registries\" has once; \"etcd\" is there 2 "
        "times");
  silent.insert(silent.find("\"endpoints\""), "\"publish\": false, ");
  CHECK(error(rule_of("etcd", "mdns"), silent) == "none");
  CHECK(error(rule_of("mdns", "etcd"), silent) ==
        "export[0].to: expected a registry that is written; \"etcd\" has \"publish\": false");
  gozero.replace(gozero.find("kratos"), 6, "gozero");
  CHECK(error(rule_of("mdns", "etcd"), gozero)
            .starts_with("export[0].to: expected a layout that keeps the mark of a copy"));
  CHECK(error(rule_of("etcd", "mdns") + ',' + rule_of("etcd", "mdns"), etcd) ==
        "export[1].names: \"a\" is in an earlier rule for the same");
  const std::string consul = R"({"consul": {"services": ["A", "b"]}})";
  CHECK(error(rule_of("consul", "mdns"), consul) == "none");
  CHECK(error(rule_of("mdns", "consul", R"(["z"])"), consul) == "none");
  CHECK(error(rule_of("consul", "etcd"), consul + ',' + etcd) == "none");
  CHECK(error(rule_of("consul", "mdns", R"(["b", "z"])"), consul) ==
        "export[0].names: expected services that \"services\" of \"consul\" has, not \"z\"");
  CHECK(error(rule_of("mdns", "consul"), etcd) ==
        "export[0].to: expected a registry of \"registries\", which has no \"consul\"");
  CHECK(error(R"({"from": "etcd", "to": "mdns", "names": ["a"], "group": "//"})", etcd) ==
        "export[0].group: expected a label such as \"office\", not \"//\"");
}

TEST_CASE("registries can be changed by a reload") {
  const auto now = of("{}"), next = of(R"({"registries": [{"consul": {}}]})");
  REQUIRE(now.has_value());
  REQUIRE(next.has_value());
  CHECK(not_reloadable(*now, *next).empty());
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
  // Hidden files are drafts of editors, and what a Kubernetes volume keeps its versions in.
  for (const char* name : {"20-b.json", "10-a.json", "readme.txt", ".10-a.json", "..data.json"})
    std::ofstream(folder / name) << "{}";
  const auto files = read_config_files({folder.string()});
  REQUIRE(files.has_value());
  REQUIRE(files->size() == 2);
  CHECK((*files)[0].file.ends_with("10-a.json"));
  CHECK((*files)[1].text == "{}");
  CHECK(read_config_files({(folder / "none.json").string()}).error().to_string() ==
        (folder / "none.json").string() + ": No such file or directory");
  fs::create_directories(folder / "30-c.json");
  CHECK(read_config_files({folder.string()}).error().to_string() ==
        (folder / "30-c.json").string() + ": a directory, not a file");
  fs::remove(folder / "30-c.json");
  REQUIRE(::mkfifo((folder / "30-c.json").c_str(), 0600) == 0);
  CHECK(read_config_files({folder.string()}).error().to_string() ==
        (folder / "30-c.json").string() + ": not a regular file");
  fs::remove(folder / "30-c.json");
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

TEST_CASE("lists of the configuration are as long as their limits, and no longer") {
  struct Row {
    const char* section;
    const char* key;
    std::size_t most;
    const char* before;
    const char* after;
  };
  const Row rows[] = {
      {"dns", "listen", kListenMax, "127.0.0.1:", ""},
      {"dns", "upstream", kListenMax, "192.0.2.", ""},
      {"dns", "domains", kDomainsMax, "d", ".example"},
      {"dns", "allow", kAllowedNetworksMax, "192.0.2.", "/32"},
      {"dns", "unicast_local", kUnicastLocalMax, "d", ".local"},
      {"dns", "rebind_exceptions", kRebindExceptionsMax, "d", ".example"},
      {"web", "listen", kListenMax, "127.0.0.1:", ""},
      {"web", "tls_listen", kListenMax, "127.0.0.1:", ""},
      {"web", "names", kWebNamesMax, "web-", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.key);
    const auto with = [&row](std::size_t count) {
      std::string text = "{\"" + std::string(row.section) + "\":{\"" + row.key + "\":[";
      for (std::size_t i = 1; i <= count; ++i)
        text += (i == 1 ? "\"" : ",\"") + (row.before + std::to_string(i)) + row.after + '"';
      return of(text + "]}}");
    };
    const auto most = with(row.most);
    CHECK_MESSAGE(most.has_value(), (most ? "" : most.error().to_string()));
    CHECK_FALSE(with(row.most + 1).has_value());
  }
}

TEST_CASE("a server may name an interface as long as the kernel allows, and no longer") {
  const auto with = [](std::size_t length) {
    return of("{\"dns\":{\"upstream\":[\"fe80::1%" + std::string(length, 'e') + "\"]}}")
        .has_value();
  };
  CHECK(with(1));
  CHECK(with(15));  // IFNAMSIZ without its zero
  CHECK_FALSE(with(16));
  CHECK_FALSE(with(0));
}

TEST_CASE("kConfigFilesMax files of a directory are read, and one more is an error") {
  const std::string folder = std::filesystem::temp_directory_path() / "outrider-config-XXXXXX";
  std::string path = folder;
  REQUIRE(::mkdtemp(path.data()) != nullptr);
  const auto errors = [&path] { return read_config_files({path}).has_value(); };
  for (std::size_t i = 0; i < kConfigFilesMax; ++i)
    std::ofstream(path + '/' + std::to_string(i) + ".json") << "{}";
  CHECK(errors());
  std::ofstream(path + "/more.json") << "{}";
  CHECK_FALSE(errors());
  std::filesystem::remove_all(path);
}

}  // namespace
}  // namespace outrider
