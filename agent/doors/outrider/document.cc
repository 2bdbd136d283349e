// SPDX-License-Identifier: Apache-2.0
// The API described by itself: OpenAPI 3.0, made from the tables of routes, the rows of services
// and checks, and the schemas of answers.
#include <algorithm>

#include "agent/doors/consul/consul.h"
#include "agent/doors/outrider/handlers.h"
#include "agent/doors/outrider/schemas.h"
#include "agent/doors/page/page.h"
#include "agent/registry/rows.h"
#include "base/qr.h"
#include "base/text.h"

namespace outrider::doors {
namespace {

constexpr std::string_view kDescription =
    "Register services, find them, and learn why an answer of DNS is what it is. On the agent's "
    "Unix socket its file mode says who may connect; on a loopback port of api.consul_listen, "
    "changes need the token of the file \"token\" beside the socket. In a path, a slash within an "
    "id or name may stay as it is.";

struct Dialect {
  std::string_view prefix;  // of the paths
  std::string_view name, description;
};
/// The first whose prefix fits.
constexpr Dialect kDialects[] = {
    {"/v1/outrider/", "outrider", "The agent's own API"},
    {"/v1/", "consul", "Consul's agent API, for programs with a Consul client"},
    {"/api/", "article", "An older discovery service, with api.article"},
    {"/eureka/", "eureka", "Netflix Eureka's API, with api.eureka; /eureka/v2/ is the same"},
    {"/discovery/", "bilibili", "An older discovery service, with api.bilibili"},
    {"/", "agent", "The agent itself"},
};

const Dialect& dialect_of(std::string_view path) {
  return *std::find_if(std::begin(kDialects), std::end(kDialects),
                       [&](const Dialect& one) { return path.starts_with(one.prefix); });
}

/// "service" of "/v1/outrider/instances/{service}"; empty if nothing is in braces.
std::string_view braced(std::string_view pattern) {
  const std::size_t begin = http::fixed_part(pattern).size();
  return begin == pattern.size() ? std::string_view()
                                 : pattern.substr(begin + 1, pattern.size() - begin - 2);
}

/// "get_v1_outrider_instances_service".
std::string operation_id(const Route& route) {
  std::string id = lowered(route.method);
  bool gap = true;
  for (const char c : route.pattern) {
    const bool letter = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9');
    if (letter && std::exchange(gap, false)) id += '_';
    if (letter) id += c;
    gap = gap || !letter;
  }
  return id;
}

void write_reference(json::Writer& out, std::string_view kind, std::string_view name) {
  out.member("$ref", "#/components/" + std::string(kind) + '/' + std::string(name));
}

/// Content of one media type with a schema, of any form if `form` is empty.
void write_content(json::Writer& out, std::string_view form) {
  const bool is_media_type = form.find('/') != std::string_view::npos;
  out.key("content").begin_object();
  out.key(is_media_type ? form : "application/json").begin_object().key("schema").begin_object();
  if (is_media_type)
    out.member("type", "string");
  else if (!form.empty())
    write_reference(out, "schemas", form);
  out.end_object().end_object().end_object();
}

void write_parameter(json::Writer& out, const http::Parameter& parameter) {
  out.begin_object().member("name", parameter.name).member("in", "query");
  out.member("description", parameter.summary);
  out.key("schema").begin_object();
  switch (parameter.form) {
    case http::ParameterForm::text:
      out.member("type", "string");
      break;
    case http::ParameterForm::flag:
      out.member("type", "boolean");
      break;
    case http::ParameterForm::list:
      out.member("type", "array").key("items").begin_object().member("type", "string");
      out.end_object();
      break;
  }
  out.end_object().end_object();
}

/// Those that routes refer to.
std::string component_of(const http::Parameter& common) {
  return "consul-" + std::string(common.name);
}

void write_parameters(json::Writer& out, const Route& route) {
  const std::string_view in_path = braced(route.pattern);
  const bool is_consul = dialect_of(route.pattern).name == "consul";
  if (in_path.empty() && route.parameters.empty() && !is_consul) return;
  out.key("parameters").begin_array();
  if (!in_path.empty()) {
    out.begin_object().member("name", in_path).member("in", "path").member("required", true);
    out.key("schema").begin_object().member("type", "string").end_object().end_object();
  }
  for (const http::Parameter& parameter : route.parameters)
    write_parameter(out, parameter);
  for (const http::Parameter& common : consul::kCommonParameters) {
    if (!is_consul) break;
    out.begin_object();
    write_reference(out, "parameters", component_of(common));
    out.end_object();
  }
  out.end_array();
}

void write_operation(json::Writer& out, const Route& route) {
  const Dialect& dialect = dialect_of(route.pattern);
  out.key(lowered(route.method)).begin_object();
  out.member("operationId", operation_id(route)).member("summary", route.summary);
  out.key("tags").begin_array().value(dialect.name).end_array();
  write_parameters(out, route);
  if (!route.body.empty()) {
    out.key("requestBody").begin_object().member("description", route.body);
    out.member("required", true);
    write_content(out, route.body_form);
    out.end_object();
  }
  out.key("responses").begin_object().key("200").begin_object().member("description", "Done");
  write_content(out, route.answer_form);
  out.end_object().key("default").begin_object();
  write_reference(out, "responses", dialect.name == "consul" ? "ConsulError" : "Error");
  out.end_object().end_object();
  if (route.effect == http::Effect::changes)
    out.key("security")
        .begin_array()
        .begin_object()
        .end_object()
        .begin_object()
        .key("token")
        .begin_array()
        .end_array()
        .end_object()
        .end_array();
  out.end_object();
}

/// Each path once, in the order of the tables, with the routes of all its methods.
void write_paths(json::Writer& out, const std::vector<http::Router<Api>::Table>& tables) {
  std::vector<const Route*> routes;
  for (const auto& table : tables)
    for (const Route& route : table)
      routes.push_back(&route);
  out.key("paths").begin_object();
  for (auto at = routes.begin(); at != routes.end(); ++at) {
    const std::string_view pattern = (*at)->pattern;
    const auto same = [&](const Route* other) { return other->pattern == pattern; };
    if (std::any_of(routes.begin(), at, same)) continue;
    out.key(pattern).begin_object();
    for (auto other = at; other != routes.end(); ++other)
      if (same(*other)) write_operation(out, **other);
    out.end_object();
  }
  out.end_object();
}

void write_components(json::Writer& out) {
  out.key("components").begin_object().key("schemas").begin_object();
  for (const auto& schemas : {answer_schemas(), consul_schemas()})
    for (const AnswerSchema& schema : schemas) {
      const auto tree = json::parse(schema.json, json::kBodyBytesMax);
      OUTRIDER_ASSERT(tree.has_value());
      out.key(schema.name).value(*tree);
    }
  out.key("Service").begin_object().member("type", "object");
  registry::write_schema(out, registry::service_rows(), registry::SchemaDialect::openapi);
  out.end_object().end_object();
  out.key("parameters").begin_object();
  for (const http::Parameter& common : consul::kCommonParameters) {
    out.key(component_of(common));
    write_parameter(out, common);
  }
  out.end_object().key("responses").begin_object();
  out.key("Error").begin_object().member("description", "Refused, with the reason");
  write_content(out, "Error");
  out.end_object().key("ConsulError").begin_object();
  out.member("description", "Refused, with the reason as Consul sends it");
  write_content(out, "text/plain");
  out.end_object().end_object();
  out.key("securitySchemes").begin_object().key("token").begin_object();
  out.member("type", "http").member("scheme", "bearer");
  out.member("description", "for changes over TCP").end_object().end_object().end_object();
}

}  // namespace

std::string openapi_document(const std::vector<http::Router<Api>::Table>& tables) {
  std::string text;
  json::Writer out(text, json::Writer::Style::indented);
  out.begin_object().member("openapi", "3.0.3");
  out.key("info").begin_object().member("title", "Outrider agent");
  out.member("version", OUTRIDER_VERSION).member("description", kDescription);
  out.key("license").begin_object().member("name", "Apache-2.0").end_object().end_object();
  out.key("servers").begin_array().begin_object().member("url", "/").end_object().end_array();
  out.key("tags").begin_array();
  for (const Dialect& dialect : kDialects)
    out.begin_object()
        .member("name", dialect.name)
        .member("description", dialect.description)
        .end_object();
  out.end_array();
  write_paths(out, tables);
  write_components(out);
  out.end_object();
  text += '\n';
  return text;
}

void show_openapi(Api& api, http::Call call) {
  call.exchange.answer(http::json_answer(openapi_document(api.router().tables())));
}

void show_qr(Api&, http::Call call) {
  const auto code = encode_qr(call.request.target.get("text"));
  if (!code) {
    const bool is_text_at_fault = call.request.target.get("text").empty() ||
                                  call.request.target.get("text").size() > kQrTextBytesMax;
    return call.exchange.answer(http::error_answer(is_text_at_fault ? 400 : 501, code.error()));
  }
  http::Answer answer{200, qr_svg(*code), "image/svg+xml", {}};
  answer.headers.emplace_back("Content-Security-Policy", "default-src 'none'");
  call.exchange.answer(std::move(answer));
}

void show_index(Api& api, http::Call call) {
  if (page::is_wanted(call.request))
    return page::show(api, call.request, call.request.target.get("service"),
                      std::move(call.exchange));
  http::Answer answer;
  json::Writer out(answer.body, json::Writer::Style::indented);
  out.begin_object().member("name", "outrider").member("version", OUTRIDER_VERSION);
  out.member("description", "The API of the Outrider agent. Start with the paths below.");
  out.member("openapi", "/openapi.json").member("manual", "outrider-api(7)");
  out.member("status", "/v1/outrider/status").member("services", "/v1/outrider/services");
  out.end_object();
  answer.body += '\n';
  answer.headers.emplace_back("Vary", "Accept");
  call.exchange.answer(std::move(answer));
}

}  // namespace outrider::doors
