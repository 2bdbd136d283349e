// SPDX-License-Identifier: Apache-2.0
// What describes the API: docs/API.md and outrider-api(7) equal the route tables, and the OpenAPI
// document is whole and fits the answers. To bring the files up to date: OUTRIDER_WRITE_MAN=1
// build/tests/agent/doors/test_doors -tc="*document*"
#include <algorithm>
#include <cstdlib>
#include <set>

#include <doctest/doctest.h>

#include "agent/doors/consul/consul.h"
#include "agent/doors/outrider/handlers.h"
#include "base/text.h"
#include "base/text_file.h"
#include "tests/agent/doors/api_fixture.h"

using namespace outrider;
using namespace outrider::doors;
using namespace outrider::test;

namespace {

constexpr const char* kDocument = "docs/API.md";
constexpr const char* kManual = "man/outrider-api.7";
constexpr const char* kIntroduction =
    "# The HTTP API\n\n"
    "Every route that the agent answers, made from its tables by a test. `/openapi.json` of a "
    "running agent says\n"
    "what the answers contain, outrider-api(7) has examples, and outrider-agent(8) says who may "
    "change things. A path that is not listed gets 404, another method 405 "
    "with `Allow`.\n"
    "`/api/*`, `/discovery/*` and `/eureka/*` need the options `api.article`, `api.bilibili` and\n"
    "`api.eureka`. The routes below `/eureka/` are also served below `/eureka/v2/`.\n"
    "\nThe other routes below `/v1/` but not below `/v1/outrider/` are those of Consul. Each of "
    "them "
    "takes these parameters besides its own; any other parameter is refused.\n";

/// A cell of a table: a bar would end it.
std::string cell(std::string_view text) {
  return replace_all(std::string(text), "|", "\\|");
}

void write(std::span<const http::Parameter> parameters, std::string& out) {
  out += "\n| parameter | meaning |\n|---|---|\n";
  for (const http::Parameter& parameter : parameters)
    out += "| `" + std::string(parameter.name) + "` | " + cell(parameter.summary) + " |\n";
}

void write(const doors::Route& route, std::string& out) {
  out += "\n## `" + std::string(route.method) + ' ' + std::string(route.pattern) + "`\n\n";
  out += std::string(route.summary) + '.';
  if (!route.body.empty()) out += " Body: " + std::string(route.body) + '.';
  out += '\n';
  if (!route.parameters.empty()) write(route.parameters, out);
}

/// Of the dialects that are off by default, whose forms are described elsewhere.
bool is_foreign(std::string_view path) {
  return path.starts_with("/api/") || path.starts_with("/discovery/") ||
         path.starts_with("/eureka/");
}

/// Of a generated part of a manual page, for the routes of the agent itself.
void write_manual(const doors::Route& route, std::string& out) {
  const std::string_view path = route.pattern;
  const bool own = path.find("/v1/") != 0 || path.find("/v1/outrider/") == 0;
  if (!own || is_foreign(path)) return;
  out += ".It " + std::string(route.method) + " Pa " + std::string(path) + '\n';
  out += std::string(route.summary) + ".\n";
  for (const http::Parameter& parameter : route.parameters) {
    out += (&parameter == route.parameters.data() ? ".br\n.Ic " : ".br\n.Ic ");
    out += std::string(parameter.name) + " :\n" + std::string(parameter.summary) + ".\n";
  }
}

std::string with_routes(const std::string& page, const std::string& routes) {
  constexpr std::string_view kBegin = ".\\\" BEGIN GENERATED\n", kEnd = ".\\\" END GENERATED\n";
  const std::size_t begin = page.find(kBegin), end = page.find(kEnd);
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  return page.substr(0, begin + kBegin.size()) + routes + page.substr(end);
}

void bring_up_to_date(const char* file, const std::string& wanted) {
  if (std::getenv("OUTRIDER_WRITE_MAN") != nullptr)
    REQUIRE(write_text_file(file, wanted).has_value());
  else
    CHECK(read_text_file(file) == wanted);
}

bool is_of_consul(std::string_view path) {
  return path.starts_with("/v1/") && !path.starts_with("/v1/outrider/");
}

/// Where `value` does not fit `schema`; empty if it does. A member must be documented where the
/// schema lists members.
std::string misfit(const json::Value& value, const json::Value& schema, const json::Value& document,
                   const std::string& path = "answer") {
  if (const json::Value* reference = schema.find("$ref")) {
    const std::string name = reference->as_string()->substr(std::string("#/components/").size());
    const json::Value* target = document.find("components");
    const std::size_t slash = name.find('/');
    target = target->find(name.substr(0, slash))->find(name.substr(slash + 1));
    return target == nullptr ? "no " + name : misfit(value, *target, document, path);
  }
  const json::Value* type = schema.find("type");
  const std::string wanted = type == nullptr ? "" : *type->as_string();
  const std::pair<std::string, bool> fits[] = {
      {"", true},
      {"object", value.as_object() != nullptr},
      {"array", value.as_array() != nullptr},
      {"string", value.as_string() != nullptr},
      {"boolean", value.as_bool() != nullptr},
      {"integer", value.as_int() != nullptr},
      {"number", value.as_int() != nullptr || value.as_double() != nullptr},
  };
  for (const auto& [name, fit] : fits)
    if (name == wanted && !fit) return path + " is " + value.type_name() + ", not " + wanted;
  if (const json::Value* choices = schema.find("enum")) {
    const auto same = [&](const json::Value& choice) {
      return *choice.as_string() == *value.as_string();
    };
    if (std::ranges::none_of(*choices->as_array(), same)) return path + ": " + *value.as_string();
  }
  if (const json::Array* items = value.as_array(); items != nullptr && schema.find("items"))
    for (const json::Value& item : *items)
      if (auto why = misfit(item, *schema.find("items"), document, path + "[]"); !why.empty())
        return why;
  const json::Object* members = value.as_object();
  const json::Value* properties = schema.find("properties");
  const json::Value* others = schema.find("additionalProperties");
  if (members != nullptr && properties == nullptr && others != nullptr && others->as_object())
    for (const auto& [key, member] : *members)
      if (auto why = misfit(member, *others, document, path + "." + key); !why.empty()) return why;
  if (members == nullptr || properties == nullptr) return {};
  if (const json::Value* required = schema.find("required"))
    for (const json::Value& key : *required->as_array())
      if (value.find(*key.as_string()) == nullptr) return path + " has no " + *key.as_string();
  for (const auto& [key, member] : *members) {
    const json::Value* property = properties->find(key);
    if (property == nullptr && schema.find("additionalProperties") == nullptr)
      return path + "." + key + " is not documented";
    if (property == nullptr) continue;
    if (auto why = misfit(member, *property, document, path + "." + key); !why.empty()) return why;
  }
  return {};
}

const json::Value& schema_of(const json::Value& document, std::string_view name) {
  const json::Value* schema = document.find("components")->find("schemas")->find(name);
  REQUIRE(schema != nullptr);
  return *schema;
}

/// Every "$ref" of a document, and every operationId.
void collect(const json::Value& value, std::vector<std::string>& references,
             std::vector<std::string>& operations) {
  if (const json::Array* items = value.as_array())
    for (const json::Value& item : *items)
      collect(item, references, operations);
  if (const json::Object* members = value.as_object())
    for (const auto& [key, member] : *members) {
      if (key == "$ref") references.push_back(*member.as_string());
      if (key == "operationId") operations.push_back(*member.as_string());
      collect(member, references, operations);
    }
}

}  // namespace

TEST_CASE("the documents of the API are up to date") {
  ApiFixture f({.article = true, .bilibili = true, .eureka = true});
  std::string wanted = kIntroduction, manual;
  write(consul::kCommonParameters, wanted);
  for (const auto& table : f.api->router().tables())
    for (const doors::Route& route : table) {
      write(route, wanted);
      write_manual(route, manual);
    }
  bring_up_to_date(kDocument, wanted);
  const auto page = read_text_file(kManual);
  REQUIRE(page.has_value());
  bring_up_to_date(kManual, with_routes(*page, manual));
}

TEST_CASE("the OpenAPI document has every route, and each reference leads somewhere") {
  ApiFixture f({.article = true, .bilibili = true, .eureka = true});
  const json::Value document = f.get("/openapi.json");
  CHECK(at(document, "openapi") == "3.0.3");
  std::size_t routes = 0;
  for (const auto& table : f.api->router().tables())
    for (const doors::Route& route : table) {
      CAPTURE(route.pattern);
      ++routes;
      const json::Value* path = document.find("paths")->find(route.pattern);
      REQUIRE(path != nullptr);
      const json::Value* operation = path->find(lowered(route.method));
      REQUIRE(operation != nullptr);
      CHECK(at(*operation, "summary") == route.summary);
      const bool braces = route.pattern.find('{') != std::string_view::npos;
      CHECK(size_of(*operation, "parameters") ==
            route.parameters.size() + (braces ? 1 : 0) +
                (is_of_consul(route.pattern) ? std::size(consul::kCommonParameters) : 0));
      // Every answer has a form, and every body that is JSON.
      const bool own = !is_foreign(route.pattern);
      if (own && route.method == "GET" && route.effect == http::Effect::reads)
        CHECK_FALSE(route.answer_form.empty());
      if (own) CHECK(route.body.empty() == route.body_form.empty());
      CHECK((operation->find("requestBody") != nullptr) == !route.body.empty());
      CHECK((operation->find("security") != nullptr) == (route.effect == http::Effect::changes));
    }
  std::vector<std::string> references, operations;
  collect(document, references, operations);
  CHECK(operations.size() == routes);
  CHECK(std::set(operations.begin(), operations.end()).size() == routes);
  for (const std::string& reference : references) {
    CAPTURE(reference);
    REQUIRE(reference.starts_with("#/"));
    CHECK(at(document, reference.substr(2)) != "<none>");
  }
  // An agent describes what it answers, and no more.
  ApiFixture fewer;
  CHECK(at(fewer.get("/openapi.json"), "paths").find("/discovery/") == std::string::npos);
}

TEST_CASE("the answers of routes are as the OpenAPI document states them") {
  ApiFixture f;
  f.put(R"({"name":"hello","id":"hello-1","port":80,"tags":["a"],"metadata":{"k":"v"},
            "checks":[{"ttl":"30s"},{"http":"/"}]})");
  f.put(R"({"name":"hello","id":"hello-2","port":81})");
  f.agent.see("hello", "far-1", "192.168.1.20", 80);
  const json::Value document = f.get("/openapi.json");
  std::set<std::string> checked;
  for (const auto& table : f.api->router().tables())
    for (const doors::Route& route : table) {
      if (route.method != "GET" || route.answer_form.empty() ||
          route.answer_form.find('/') != std::string_view::npos)
        continue;
      std::string target(http::fixed_part(route.pattern));
      const std::string_view braces = route.pattern.substr(target.size());
      if (braces == "{state}")
        target += "any";
      else if (braces == "{node}")
        target += at(f.get("/v1/agent/self"), "Config/NodeName");
      else if (braces == "{id}")
        target += "hello-1";
      else if (!braces.empty())
        target += "hello";
      if (target.ends_with("/farp/manifest")) target += "?id=hello-1";
      if (target.ends_with("/farp/routes")) target += "?gateway=traefik";
      if (target.find("/history") != std::string::npos) continue;  // a bare agent has none
      // Nanoseconds, as Consul has them, which our own reader does not take.
      if (target == "/v1/agent/host") continue;
      CAPTURE(target);
      CHECK(misfit(f.get(target), schema_of(document, route.answer_form), document) == "");
      checked.emplace(route.answer_form);
    }
  std::set<std::string> own = checked;
  CHECK(std::erase_if(own, [](const auto& name) { return name.starts_with("Consul"); }) == 18);
  CHECK(own == std::set<std::string>{"Activity", "Checks", "Document", "Explanation", "Index",
                                     "Instances", "Probes", "Registries", "Selection", "Services",
                                     "Status", "Targets"});
  const auto body = [&](const std::string& answer) {
    const auto value = json::parse(body_of(answer), json::kBodyBytesMax);
    REQUIRE(value.has_value());
    return *value;
  };
  CHECK(misfit(body(f.ask("PUT", "/v1/outrider/register", R"({"name":"x","port":1})")),
               schema_of(document, "Registered"), document)
            .empty());
  CHECK(misfit(body(f.ask("GET", "/nothing")), schema_of(document, "Error"), document).empty());
  Client watcher(f.world);
  std::string stream = watcher.ask(ApiFixture::request("GET", "/v1/outrider/watch"));
  f.put(R"({"name":"late","port":9})");
  f.world.advance(50ms);
  stream += watcher.take();
  for (const auto& [event, schema] : {std::pair("snapshot", "Snapshot"), {"change", "Change"}}) {
    CAPTURE(event);
    const std::size_t begin = stream.find(std::string("event: ") + event);
    REQUIRE(begin != std::string::npos);
    const std::size_t data = stream.find("data: ", begin) + 6;
    const auto value = json::parse(stream.substr(data, stream.find('\n', data) - data), 1U << 20);
    REQUIRE(value.has_value());
    CHECK(misfit(*value, schema_of(document, schema), document).empty());
  }
}
