// SPDX-License-Identifier: Apache-2.0
// ServiceSpec::parse: the rows of a service and of a check, and what rows alone cannot say.
#include <algorithm>

#include "agent/registry/check_rules.h"
#include "agent/registry/rows.h"
#include "agent/registry/target.h"
#include "base/text.h"

namespace outrider::registry {
namespace {

using json::Value;

constexpr std::int64_t kSecond = 1'000;  // rows count durations in milliseconds
constexpr std::int64_t kDay = 86'400 * kSecond;

constexpr std::string_view kScopes[] = {"auto", "lan", "host"};
constexpr std::string_view kStrategies[] = {"push", "pull", "hybrid"};
constexpr std::string_view kInitial[] = {"starting", "passing", "warning", "critical"};

constexpr Row kTlsRows[] = {
    {.key = "verify",
     .type = RowType::boolean,
     .fallback = "true",
     .line = "check the server's certificate"},
    {.key = "ca",
     .type = RowType::text,
     .fallback = "null",
     .line = "file with the authorities to trust; absent: the system's"},
    {.key = "server_name",
     .type = RowType::text,
     .fallback = "null",
     .max = 253,
     .line = "name to send and to verify; absent: the Host header's"},
    {.key = "cert", .type = RowType::text, .fallback = "null", .line = "client certificate file"},
    {.key = "key", .type = RowType::text, .fallback = "null", .line = "client key file"},
};

constexpr Row kCheckRows[] = {
    {.key = "http",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 2'048,
     .line =
         "path on the service, or http:// or https:// URL with an address; 2xx passes, 429 warns"},
    {.key = "tcp",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 128,
     .line = "connects: \"auto\" (the service's port), \":port\" or \"address:port\""},
    {.key = "grpc",
     .type = RowType::text,
     .fallback = "null",
     .max = 256,
     .line = "service name for grpc.health.v1; \"\" asks for the whole server"},
    {.key = "ttl",
     .type = RowType::duration,
     .fallback = "null",
     .min = 100,
     .max = 30 * kDay,
     .line = "heartbeat through the API, at least this often"},
    {.key = "alias",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = kIdBytesMax,
     .line = "follows the health of another registration, by its id"},
    {.key = "id",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = kIdBytesMax,
     .line = "name of this check in the API; absent: its kind"},
    {.key = "name",
     .type = RowType::text,
     .fallback = "\"\"",
     .max = 255,
     .line = "name for people"},
    {.key = "notes",
     .type = RowType::text,
     .fallback = "\"\"",
     .max = 1'024,
     .line = "notes for people"},
    {.key = "target",
     .type = RowType::text,
     .fallback = "\"auto\"",
     .min = 1,
     .max = 128,
     .line = "grpc: \"auto\", \":port\" or \"address:port\""},
    {.key = "unix_socket",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 107,
     .line = "http: connect to this socket instead"},
    {.key = "host",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 255,
     .line = "http: the Host header"},
    {.key = "method",
     .type = RowType::text,
     .fallback = "\"GET\"",
     .min = 1,
     .max = 16,
     .line = "http: the method"},
    {.key = "headers",
     .type = RowType::text_map,
     .fallback = "{}",
     .max = 32,
     .line = "http: more header fields"},
    {.key = "body",
     .type = RowType::text,
     .fallback = "\"\"",
     .max = 4'096,
     .line = "http: the body to send"},
    {.key = "expect_status",
     .type = RowType::integer_list,
     .fallback = "[]",
     .min = 100,
     .max = 64,
     .line = "http: exactly these pass; empty: 2xx"},
    {.key = "expect_body",
     .type = RowType::text,
     .fallback = "\"\"",
     .max = 1'024,
     .line = "http: must occur in the first 4096 octets of the answer"},
    {.key = "expect_header",
     .type = RowType::text_map,
     .fallback = "null",
     .max = 1,
     .line = "http: must be in the answer; tells a reused port apart"},
    {.key = "reuse",
     .type = RowType::boolean,
     .fallback = "false",
     .line = "http: keep the connection between probes"},
    {.key = "tls",
     .type = RowType::object,
     .fallback = "null",
     .line = "https and grpc: how to verify; for grpc its presence turns TLS on",
     .rows = kTlsRows},
    {.key = "interval",
     .type = RowType::duration,
     .fallback = "\"10s\"",
     .min = 100,
     .max = kDay,
     .line = "between probes"},
    {.key = "timeout",
     .type = RowType::duration,
     .fallback = "\"5s\"",
     .min = 10,
     .max = 300 * kSecond,
     .line = "a probe that takes longer fails"},
    {.key = "start_interval",
     .type = RowType::duration,
     .fallback = "\"1s\"",
     .min = 100,
     .max = kDay,
     .line = "between probes until the first pass"},
    {.key = "start_timeout",
     .type = RowType::duration,
     .fallback = "\"60s\"",
     .max = kDay,
     .line = "after this time without a pass, `interval` counts"},
    {.key = "edge_interval",
     .type = RowType::duration,
     .fallback = "\"2s\"",
     .min = 100,
     .max = kDay,
     .line = "between probes while the health is about to change"},
    {.key = "success_before_passing",
     .type = RowType::integer,
     .fallback = "2",
     .min = 1,
     .max = 100,
     .line = "passes in a row that end critical; at first one suffices"},
    {.key = "failures_before_warning",
     .type = RowType::integer,
     .fallback = "1",
     .min = 1,
     .max = 100,
     .line = "failures in a row that make warning"},
    {.key = "failures_before_critical",
     .type = RowType::integer,
     .fallback = "3",
     .min = 1,
     .max = 100,
     .line = "failures in a row that make critical"},
    {.key = "refused_is_critical",
     .type = RowType::boolean,
     .fallback = "false",
     .line = "a refused connection is critical at once"},
    {.key = "allow_remote",
     .type = RowType::boolean,
     .fallback = "false",
     .line = "the target may be another host"},
    {.key = "deregister_critical_after",
     .type = RowType::duration,
     .fallback = "\"1m\"",
     .max = 30 * kDay,
     .line = "critical for so long: deregistered, until a probe passes; \"0s\": never"},
    {.key = "initial",
     .type = RowType::choice,
     .fallback = "\"starting\"",
     .line = "ttl: health before the first heartbeat",
     .choices = kInitial},
};

constexpr Row kFarpRows[] = {
    {.key = "openapi",
     .type = RowType::text,
     .fallback = "null",
     .max = 255,
     .line = "path or URL of the OpenAPI document; \"file:/path\" of one that we serve"},
    {.key = "asyncapi",
     .type = RowType::text,
     .fallback = "null",
     .max = 255,
     .line = "the same of the AsyncAPI document"},
    {.key = "graphql",
     .type = RowType::text,
     .fallback = "null",
     .max = 255,
     .line = "the same of the GraphQL schema, or the endpoint that answers introspection"},
    {.key = "grpc_reflection",
     .type = RowType::boolean,
     .fallback = "false",
     .line = "the service answers gRPC reflection"},
    {.key = "capabilities",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = 16,
     .line = "\"rest\", \"websocket\", …"},
    {.key = "strategy",
     .type = RowType::choice,
     .fallback = "null",
     .line = "how gateways get the schemas",
     .choices = kStrategies},
    {.key = "health",
     .type = RowType::text,
     .fallback = "null",
     .max = 255,
     .line = "health path told to gateways; absent: that of the first HTTP check"},
};

constexpr Row kServiceRows[] = {
    {.key = "name",
     .type = RowType::text,
     .min = 1,
     .max = kServiceLabelBytesMax,
     .line = "the service: NAME.svc"},
    {.key = "id",
     .type = RowType::text,
     .fallback = "\"auto\"",
     .min = 1,
     .max = kLabelBytesMax,
     .line = "this instance; auto: from service, host name and port"},
    {.key = "version",
     .type = RowType::text,
     .fallback = "\"\"",
     .max = kVersionBytesMax,
     .line = "version of the service"},
    {.key = "port",
     .type = RowType::integer,
     .fallback = "0",
     .max = 65'535,
     .line = "port that it serves; 0: none"},
    {.key = "address",
     .type = RowType::text_list,
     .fallback = "[\"auto\"]",
     .max = kAddressesMax,
     .line = "auto, or the addresses that it listens on"},
    {.key = "protocol",
     .type = RowType::text,
     .fallback = "\"http\"",
     .min = 1,
     .max = 15,
     .line = "for _PROTOCOL._tcp.NAME.svc"},
    {.key = "tags",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kTagsMax,
     .line = "for TAG._tag.NAME.svc and gateways"},
    {.key = "subtypes",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kSubtypesMax,
     .line = "\"_printer\": found on the LAN as _printer._sub._NAME._tcp too (RFC 6763 §7.1)"},
    {.key = "metadata",
     .type = RowType::text_map,
     .fallback = "{}",
     .max = kMetadataMax,
     .line = "keys and values for clients, told in the TXT record"},
    {.key = "weight",
     .type = RowType::integer,
     .fallback = "100",
     .max = 65'535,
     .line = "share of the load among instances"},
    {.key = "scope",
     .type = RowType::choice,
     .fallback = "\"auto\"",
     .line = "lan, host (never multicast to the LAN), or auto by address",
     .choices = kScopes},
    {.key = "checks",
     .type = RowType::object_list,
     .fallback = "[]",
     .max = kChecksPerInstanceMax,
     .line = "health checks; a service without any is passing",
     .rows = kCheckRows},
    {.key = "farp",
     .type = RowType::object,
     .fallback = "null",
     .line = "what gateways are told (FARP)",
     .rows = kFarpRows},
};

tl::unexpected<SpecError> bad(std::string_view path, std::string_view key, std::string expected) {
  return failure(SpecError{join_path(path, key), std::move(expected), {}});
}

TlsSpec read_tls(const Value& check) {
  TlsSpec tls;
  if (const Value& rows = *check.find("tls"); !rows.is_null()) {
    tls.on = true;
    tls.verify = flag_of(rows, "verify");
    tls.ca_file = text_of(rows, "ca");
    tls.server_name = text_of(rows, "server_name");
    tls.cert_file = text_of(rows, "cert");
    tls.key_file = text_of(rows, "key");
  }
  return tls;
}

Result<HttpCheckSpec, SpecError> read_http(const Value& rows, std::string_view path) {
  HttpCheckSpec http;
  http.url = text_of(rows, "http");
  const auto url = parse_check_url(http.url);
  if (!url) return bad(path, "http", url.error());
  http.unix_socket = text_of(rows, "unix_socket");
  http.host = text_of(rows, "host");
  if (!is_authority(http.host)) return bad(path, "host", "expected a host name");
  http.method = text_of(rows, "method");
  if (!is_token(http.method)) return bad(path, "method", "expected an HTTP method");
  for (const auto& [key, value] : *rows.find("headers")->as_object()) {
    if (!is_token(key)) return bad(path, "headers", "expected header names, not \"" + key + '"');
    http.headers.emplace_back(key, *value.as_string());
  }
  http.body = text_of(rows, "body");
  for (const Value& status : *rows.find("expect_status")->as_array()) {
    http.expect_status.push_back(static_cast<int>(*status.as_int()));
    if (http.expect_status.back() > 599)
      return bad(path, "expect_status",
                 "expected 100 to 599, not " + std::to_string(*status.as_int()));
  }
  http.expect_body = text_of(rows, "expect_body");
  if (const json::Object* expected = rows.find("expect_header")->as_object();
      expected && !expected->empty()) {
    if (!is_token(expected->front().first))
      return bad(path, "expect_header", "expected a header name");
    http.expect_header = {expected->front().first, *expected->front().second.as_string()};
  }
  http.reuse = flag_of(rows, "reuse");
  http.tls = read_tls(rows);
  if (http.tls.on && !url->tls && !http.url.starts_with("/"))
    return bad(path, "tls", "only for https and grpc");
  http.tls.on = http.tls.on || url->tls;
  return http;
}

Result<std::string, SpecError> read_target(const Value& rows, std::string_view key,
                                           std::string_view path) {
  std::string target = text_of(rows, key);
  if (const auto parsed = parse_check_address(target); !parsed)
    return bad(path, key, parsed.error());
  return target;
}

constexpr std::string_view kKinds[] = {"http", "tcp", "grpc", "ttl", "alias"};

Result<decltype(CheckSpec::kind), SpecError> read_kind(const Value& rows, std::string_view path) {
  if (!absent(rows, "http")) return read_http(rows, path);
  if (!absent(rows, "tcp"))
    return read_target(rows, "tcp", path).map([](std::string t) { return TcpCheckSpec{t}; });
  if (!absent(rows, "grpc")) {
    auto target = read_target(rows, "target", path);
    if (!target) return failure(std::move(target.error()));
    return GrpcCheckSpec{std::move(*target), text_of(rows, "grpc"), read_tls(rows)};
  }
  if (!absent(rows, "ttl")) return TtlCheckSpec{duration_of(rows, "ttl")};
  return AliasCheckSpec{text_of(rows, "alias")};
}

Result<CheckSpec, SpecError> read_check(const Value& rows, std::string_view path) {
  const auto kinds = std::count_if(std::begin(kKinds), std::end(kKinds),
                                   [&](std::string_view kind) { return !absent(rows, kind); });
  if (kinds != 1)
    return failure(SpecError{std::string(path),
                             kinds == 0 ? "expected one of http, tcp, grpc, ttl, alias"
                                        : "only one of http, tcp, grpc, ttl, alias is possible",
                             {}});
  CheckSpec check;
  auto kind = read_kind(rows, path);
  if (!kind) return failure(std::move(kind.error()));
  check.kind = std::move(*kind);
  const std::string_view kind_key = kKinds[check.kind.index()];
  if (auto wrong = wrong_for_kind(kind_key, rows, path)) return failure(std::move(*wrong));
  if (auto wrong = wrong_tls(read_tls(rows), path)) return failure(std::move(*wrong));
  check.id = text_of(rows, "id");
  check.name = text_of(rows, "name");
  check.notes = text_of(rows, "notes");
  check.interval = duration_of(rows, "interval");
  check.timeout = duration_of(rows, "timeout");
  check.start_interval = duration_of(rows, "start_interval");
  check.start_timeout = duration_of(rows, "start_timeout");
  check.edge_interval = duration_of(rows, "edge_interval");
  const auto count = [&](std::string_view key) {
    return static_cast<std::uint32_t>(integer_of(rows, key));
  };
  check.success_before_passing = count("success_before_passing");
  check.failures_before_warning = count("failures_before_warning");
  check.failures_before_critical = count("failures_before_critical");
  if (check.failures_before_warning > check.failures_before_critical)
    return bad(path, "failures_before_warning", "expected at most failures_before_critical");
  check.refused_is_critical = flag_of(rows, "refused_is_critical");
  check.allow_remote = flag_of(rows, "allow_remote");
  check.deregister_critical_after = duration_of(rows, "deregister_critical_after");
  check.initial = *parse_check_health(text_of(rows, "initial"));
  return check;
}

Result<std::vector<CheckSpec>, SpecError> read_checks(const Value& rows, std::string_view path) {
  std::vector<CheckSpec> checks;
  std::size_t index = 0;
  for (const Value& element : *rows.find("checks")->as_array()) {
    const std::string at = join_path(join_path(path, "checks"), index++);
    auto check = read_check(element, at);
    if (!check) return failure(std::move(check.error()));
    const auto taken = [&](const std::string& id) {
      return std::any_of(checks.begin(), checks.end(), [&](const auto& c) { return c.id == id; });
    };
    if (!check->id.empty() && taken(check->id))
      return bad(at, "id", "\"" + check->id + "\" is used twice");
    const std::string kind = kind_name(*check);
    for (unsigned n = 2; check->id.empty() || taken(check->id); ++n)
      check->id = check->id.empty() ? kind : kind + '-' + std::to_string(n);
    checks.push_back(std::move(*check));
  }
  return checks;
}

Result<std::vector<IpAddress>, SpecError> read_addresses(const Value& rows, std::string_view path) {
  std::vector<IpAddress> addresses;
  const auto texts = texts_of(rows, "address");
  if (texts.size() == 1 && texts[0] == "auto") return addresses;
  for (const std::string& text : texts) {
    const auto address = IpAddress::parse(text);
    if (!address || address->is_any() || address->is_multicast())
      return bad(path, "address",
                 "expected \"auto\" or addresses of one host, not \"" + text + '"');
    addresses.push_back(*address);
  }
  return addresses;
}

Result<Metadata, SpecError> read_metadata(const Value& rows, std::string_view path) {
  Metadata metadata;
  for (const auto& [key, value] : *rows.find("metadata")->as_object()) {
    if (key.empty() || key.size() > kMetadataKeyBytesMax)
      return bad(path, "metadata",
                 "expected keys of 1 to " + std::to_string(kMetadataKeyBytesMax) + " octets");
    if (value.as_string()->size() > kMetadataValueBytesMax)
      return bad(join_path(path, "metadata"), key,
                 "expected at most " + std::to_string(kMetadataValueBytesMax) + " octets");
    metadata.emplace(key, *value.as_string());
  }
  return metadata;
}

/// Arbitrary octets, says RFC 6763 §7.1; these are those that every tool can type and show.
bool is_subtype(std::string_view text) {
  return !text.empty() && text.size() <= kLabelBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_';
         });
}

Result<std::vector<std::string>, SpecError> read_subtypes(const Value& rows,
                                                          std::string_view path) {
  std::vector<std::string> subtypes = texts_of(rows, "subtypes");
  std::vector<std::string> seen;
  for (const std::string& subtype : subtypes) {
    if (!is_subtype(subtype))
      return bad(path, "subtypes",
                 "expected labels of 1 to " + std::to_string(kLabelBytesMax) +
                     " letters, digits, '-' and '_', not \"" + subtype + '"');
    std::string low = lowered(subtype);  // names of the DNS are the same in either case
    if (std::find(seen.begin(), seen.end(), low) != seen.end())
      return bad(path, "subtypes", '"' + subtype + "\" is used twice");
    seen.push_back(std::move(low));
  }
  return subtypes;
}

Result<FarpSpec, SpecError> read_farp(const Value& rows, std::string_view path,
                                      ServiceSpec::Files files) {
  FarpSpec farp;
  farp.enabled = true;
  const std::pair<std::string_view, std::string*> documents[] = {{"openapi", &farp.openapi},
                                                                 {"asyncapi", &farp.asyncapi},
                                                                 {"graphql", &farp.graphql},
                                                                 {"health", &farp.health}};
  for (const auto& [key, to] : documents) {
    *to = text_of(rows, key);
    const bool url = key != "health" && (to->starts_with("http://") || to->starts_with("https://"));
    const bool file =
        key != "health" && files == ServiceSpec::Files::allowed && FarpSpec::is_file(*to);
    if (!to->empty() && !to->starts_with('/') && !url && !file)
      return bad(path, key, "expected a path that begins with '/', not \"" + *to + '"');
  }
  farp.grpc_reflection = flag_of(rows, "grpc_reflection");
  farp.capabilities = texts_of(rows, "capabilities");
  farp.strategy = text_of(rows, "strategy");
  return farp;
}

}  // namespace

std::span<const Row> service_rows() {
  return kServiceRows;
}
std::span<const Row> check_rows() {
  return kCheckRows;
}

Result<CheckSpec, SpecError> ServiceSpec::parse_check(const Value& value, std::string_view path) {
  const auto rows = complete(value, kCheckRows, path);
  if (!rows) return failure(rows.error());
  auto check = read_check(*rows, path);
  if (check && check->id.empty()) check->id = kind_name(*check);
  return check;
}

Result<ServiceSpec, SpecError> ServiceSpec::parse(const Value& value, std::string_view path,
                                                  Files files) {
  const auto rows = complete(value, kServiceRows, path);
  if (!rows) return failure(rows.error());
  const auto name = ServiceName::parse(text_of(*rows, "name"));
  if (!name)
    return bad(path, "name",
               "expected letters, digits, '-', '_' or '.', as a DNS label needs them, not \"" +
                   text_of(*rows, "name") + '"');
  ServiceSpec spec{.name = *name, .id = {}};
  if (const std::string id = text_of(*rows, "id"); id != "auto") {
    spec.id = InstanceId::parse(id);
    if (!spec.id)
      return bad(path, "id", "expected \"auto\" or letters, digits and '-', not \"" + id + '"');
  }
  spec.version = text_of(*rows, "version");
  spec.port = static_cast<std::uint16_t>(integer_of(*rows, "port"));
  spec.weight = static_cast<std::uint16_t>(integer_of(*rows, "weight"));
  spec.protocol = text_of(*rows, "protocol");
  if (!to_label(spec.protocol)) return bad(path, "protocol", "expected letters, digits and '-'");
  spec.tags = texts_of(*rows, "tags");
  for (const std::string& tag : spec.tags)
    if (tag.empty() || tag.size() > kTagBytesMax)
      return bad(path, "tags", "expected tags of 1 to " + std::to_string(kTagBytesMax) + " octets");
  auto subtypes = read_subtypes(*rows, path);
  if (!subtypes) return failure(std::move(subtypes.error()));
  spec.subtypes = std::move(*subtypes);
  const std::string scope = text_of(*rows, "scope");
  spec.scope = scope == "lan" ? Scope::lan : scope == "host" ? Scope::host : Scope::automatic;

  auto addresses = read_addresses(*rows, path);
  if (!addresses) return failure(std::move(addresses.error()));
  spec.addresses = std::move(*addresses);
  auto metadata = read_metadata(*rows, path);
  if (!metadata) return failure(std::move(metadata.error()));
  spec.metadata = std::move(*metadata);
  auto checks = read_checks(*rows, path);
  if (!checks) return failure(std::move(checks.error()));
  spec.checks = std::move(*checks);
  if (!absent(*rows, "farp")) {
    auto farp = read_farp(*rows->find("farp"), join_path(path, "farp"), files);
    if (!farp) return failure(std::move(farp.error()));
    spec.farp = std::move(*farp);
  }
  return spec;
}

}  // namespace outrider::registry
