// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/name_grammar.h"

#include <doctest/doctest.h>

#include "tests/agent/registry/fixture.h"

namespace outrider::registry {
namespace {

TEST_CASE("each form is written and read back as itself") {
  const std::pair<NameMeaning, const char*> forms[] = {
      {{NameForm::whole, "web", ""}, "web"},
      {{NameForm::local, "web", ""}, "local.web"},
      {{NameForm::instance, "web", "web-1"}, "web-1.web"},
      {{NameForm::tag, "web", "v2"}, "v2._tag.web"},
      {{NameForm::protocol, "web", "grpc"}, "_grpc._tcp.web"},
      {{NameForm::type, "web", ""}, "_web._tcp"},
      {{NameForm::typed_instance, "web", "web-1"}, "web-1._web._tcp"}};
  const auto zone = *dns::Name::parse("svc");
  for (const auto& [meaning, text] : forms) {
    CAPTURE(text);
    CHECK(write_name(meaning.form, meaning.service, meaning.selector) == text);
    CHECK(read_name(text) == meaning);
    CHECK(read_name(*dns::Name::parse(std::string(text) + ".SVC"), zone) == meaning);
  }
}

TEST_CASE("names that are no service's, and the service that they come nearest to") {
  for (const char* text : {"ns", "b._dns-sd._udp", "_services._dns-sd._udp", "x._dns-sd._udp"})
    CHECK(read_name(text) == NameMeaning{NameForm::zone, "", ""});
  const std::pair<const char*, const char*> none[] = {
      {"x.y.web", "web"},         {"a.v1._tag.web", "web"},
      {"_x._udp.web", "web"},     {"_._tcp.web", "web"},
      {"_web._udp", "web"},       {"a.b._web._tcp", "web"},
      {"web._tcp", "web"},        {"_tcp", ""},
      {"x.grpc._tcp.web", "web"}, {"grpc._tcp.web", "web"}};
  for (const auto& [text, service] : none) {
    CAPTURE(text);
    CHECK(read_name(text) == NameMeaning{NameForm::none, service, ""});
  }
}

TEST_CASE("a name is found as it was registered") {
  Registry registry("box");
  REQUIRE(registry.put(
      spec(R"({"name":"MY_Service","id":"i_1","port":80,"tags":["v1.2.3","UPPER_Case"]})"),
      at(0s)));
  REQUIRE(registry.put(spec(R"({"name":"a.b","id":"x","port":81,"tags":["v2.0"]})"), at(0s)));
  const auto read = [&](std::string_view text) {
    const NameMeaning meaning = read_given_name(text, {"svc"}, registry).meaning;
    return meaning.service + '|' + meaning.selector;
  };
  CHECK(read("MY_Service.svc") == "my-service|");
  CHECK(read("i_1.my_service.svc") == "my-service|i-1");
  CHECK(read("v1.2.3._tag.my_service.svc") == "my-service|v1-2-3");
  CHECK(read("UPPER_Case._tag.MY_SERVICE.svc") == "my-service|upper-case");
  CHECK(read("_http._tcp.MY_Service.svc") == "my-service|http");
  CHECK(read("_my_service._tcp.svc") == "my-service|");
  CHECK(read("a.b.svc") == "a-b|");
  CHECK(read("x.a.b.svc") == "a-b|x");
  CHECK(read("local.a.b.svc") == "a-b|");
  CHECK(read("v2.0._tag.a.b.svc") == "a-b|v2-0");
  REQUIRE(registry.put(spec(R"({"name":"web","id":"web.1_a","port":83})"), at(0s)));
  CHECK(read("web.1_a.web.svc") == "web|web-1-a");
  CHECK(read("v1.2.3._tag.MY_Service") == "my-service|v1-2-3");
  // What exists as it is spelled goes first.
  REQUIRE(registry.put(spec(R"({"name":"b","id":"a","port":82})"), at(0s)));
  CHECK(read("a.b.svc") == "b|a");
  CHECK(read("x.a.b.svc") == "a-b|x");
}

TEST_CASE("other spellings are few, and never the name itself") {
  CHECK(other_spellings("web").empty());
  CHECK(other_spellings("").empty());
  CHECK(other_spellings("_web._tcp").empty());
  CHECK(other_spellings("a.b") == std::vector<std::string>{"a-b"});
  CHECK(other_spellings("a_b") == std::vector<std::string>{"a-b"});
  CHECK(other_spellings("a.b.c.d.e.f.g.h").size() == kDotsFoldedMax);
  CHECK(other_spellings("1.2.3.4.5.6._tag.web").empty());
}

TEST_CASE("an automatic id is found as the first version chose it, until another one has that id") {
  Registry registry(HostId{"a", "0123456789abcdef"});
  const auto put = [&](const char* text) { REQUIRE(registry.put(spec(text), at(0s))); };
  put(R"({"name":"web","port":80})");
  put(R"({"name":"pay.api","port":81})");
  const auto read = [&](std::string_view text) {
    const NameMeaning meaning = read_given_name(text, {"svc"}, registry).meaning;
    return meaning.service + '|' + meaning.selector;
  };
  const auto automatic = [&](const char* name, const char* host, const char* identity) {
    ServiceSpec of = spec(R"({"name":")" + std::string(name) + R"(","port":80})");
    return automatic_id(of, {host, identity});
  };
  const std::string own = automatic("web", "a", "0123456789abcdef").label();
  CHECK(own != "web-a-80");
  CHECK(read("web-a-80.web.svc") == "web|" + own);
  CHECK(read("WEB-A-80._web._tcp.svc") == "web|" + own);
  CHECK(read("web.a.80.web.svc") == "web|" + own);
  CHECK(read("web_a_80.web.svc") == "web|" + own);
  CHECK(read("pay-api-a-81.pay.api.svc").starts_with("pay-api|pay-api-a-81-"));
  CHECK(read("web-a.web.svc") == "web|web-a");  // a part of an id is none
  // Of another host, whose id says whose it is.
  Sighting there = sighting("web", "x", "10.0.0.2", 80);
  there.stated = StatedHost{.identity = "fedcba9876543210"};
  there.id = automatic("web", "b", "fedcba9876543210");
  (void)registry.see(there, at(0s));
  CHECK(read("web-b-80.web.svc") == "web|" + there.id.label());
  // Configured ones have no other form, whatever they look like.
  put(R"({"name":"web","id":"web-c-80-1a2b3c","port":83})");
  CHECK(read("web-c-80.web.svc") == "web|web-c-80");
  put(R"({"name":"web","id":"web-a-80","port":84})");
  CHECK(read("web-a-80.web.svc") == "web|web-a-80");
}

TEST_CASE("no more than kShortIdsCompared ids are compared for one question") {
  Registry registry(HostId{"a", "0123456789abcdef"});
  const auto put = [&](std::size_t number) {
    const std::string id = "web-a-80-" + std::to_string(1000 + number);
    REQUIRE(registry.put(spec(R"({"name":"web","id":")" + id + R"("})"), at(0s)));
  };
  const ServiceSpec automatic = spec(R"({"name":"web","port":80})");
  REQUIRE(automatic_id(automatic, registry.host()).label() > "web-a-80-1999");  // the last one
  REQUIRE(registry.put(automatic, at(0s)));
  for (std::size_t i = 1; i < kShortIdsCompared; ++i)
    put(i);
  CHECK(registry.find_short("web", "web-a-80") != nullptr);
  put(kShortIdsCompared);
  CHECK(registry.find_short("web", "web-a-80") == nullptr);
}

TEST_CASE("names that are written differently and are one in DNS are found out") {
  Registry registry("box");
  const auto put = [&](const std::string& name, const std::string& id) {
    REQUIRE(
        registry.put(spec(R"({"name":")" + name + R"(","id":")" + id + R"(","port":80})"), at(0s)));
    return registry.other_spelling(*registry.find_own(id));
  };
  CHECK(put("pay-api", "a") == "");
  CHECK(put("pay-api", "b") == "");
  CHECK(put("pay_api", "c") == "pay-api");
  CHECK(put("PAY-api", "d") == "pay-api");
  CHECK(put("other", "e") == "");
}

TEST_CASE("a service may be called as a domain is") {
  Registry registry("box");
  const std::vector<std::string> domains = {"svc", "corp.internal"};
  for (const std::string& domain : domains) {
    const std::string label = *to_label(domain);
    const auto form = [&](const std::string& text) {
      return read_given_name(text, domains, registry).meaning.form;
    };
    CHECK(form(domain) == NameForm::zone);
    REQUIRE(registry.put(spec(R"({"name":")" + domain + R"(","port":80})"), at(0s)));
    CHECK(read_given_name(domain, domains, registry).meaning ==
          NameMeaning{NameForm::whole, label});
    CHECK(read_given_name(label + ".svc.", domains, registry).meaning ==
          NameMeaning{NameForm::whole, label});
  }
}

TEST_CASE("a name is given in one of the domains, or as the service alone") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"Order.rpc","id":"o","port":80})"), at(0s)));
  const std::vector<std::string> domains = {"svc", "rpc"};
  const auto read = [&](std::string_view text) {
    const GivenName name = read_given_name(text, domains, registry);
    return name.meaning.service + '|' + name.meaning.selector + '|' + name.relative + '|' +
           name.domain;
  };
  CHECK(read("I1.Web.SVC.") == "web|i1|i1.web|svc");
  CHECK(read("order.rpc") == "order-rpc||order|rpc");
  CHECK(read("My_App") == "my-app||my-app|svc");
  CHECK(read("svc") == "|||svc");
  // Without a domain too, unless a service is called so.
  REQUIRE(registry.put(spec(R"({"name":"shop","id":"s","port":80})"), at(0s)));
  CHECK(read("v2._tag.shop") == "shop|v2|v2._tag.shop|svc");
  CHECK(read("S.Shop") == "shop|s|s.shop|svc");
  CHECK(read("_http._tcp.shop") == "shop|http|_http._tcp.shop|svc");
  CHECK(read("_shop._tcp") == "shop||_shop._tcp|svc");
  CHECK(read("v2._tag.unknown") == "unknown|v2|v2._tag.unknown|svc");
  CHECK(read("com.example.app") == "com-example-app||com-example-app|svc");
  CHECK(read_given_name("rpc", domains, registry).meaning.form == NameForm::zone);
  CHECK(read_given_name("web", {}, registry).domain.empty());
}

TEST_CASE("which instances a name means") {
  Instance i{.id = *InstanceId::parse("Web_1"), .service = *ServiceName::parse("web")};
  i.port = 80;
  i.protocol = "gRPC";
  i.tags = {"V_2", "no/label"};
  const auto meant = [&](const char* name) { return means(read_name(name), i); };
  for (const char* name :
       {"web", "web-1.web", "v-2._tag.web", "_grpc._tcp.web", "_web._tcp", "web-1._web._tcp"}) {
    CAPTURE(name);
    CHECK(meant(name));
  }
  for (const char* name :
       {"local.web", "web-2.web", "v2._tag.web", "_http._tcp.web", "ns", "a.b.c"})
    CHECK_FALSE(meant(name));
  i.on_this_host = true;
  i.port = 0;
  CHECK(meant("local.web"));
  CHECK_FALSE(meant("_web._tcp"));
  CHECK_FALSE(meant("web-1._web._tcp"));
}

TEST_CASE("a dotted name has a second label in the domain that it ends with") {
  Registry registry("box");
  REQUIRE(registry.put(spec(R"({"name":"order.rpc","id":"o","port":80})"), at(0s)));
  const auto all = registry.instances("order-rpc");
  CHECK(labels_in("rpc", "order-rpc", all) == std::set<std::string>{"order", "order-rpc"});
  CHECK(labels_in("svc", "order-rpc", all) == std::set<std::string>{"order-rpc"});
}

}  // namespace
}  // namespace outrider::registry
