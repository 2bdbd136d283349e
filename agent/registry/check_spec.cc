// SPDX-License-Identifier: Apache-2.0
// A check in JSON: read from completed rows (spec_rows.cc), and written so that reading gives an
// equal check. Each kind has a reader and a writer here.
#include <algorithm>

#include "agent/registry/check_rules.h"
#include "agent/registry/rows.h"
#include "agent/registry/target.h"

namespace outrider::registry {
namespace {

using json::Value;
using json::Writer;

// --- Reading ---------------------------------------------------------------------------------

TlsOptions read_tls(const Value& check) {
  TlsOptions tls;
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
  if (!url) return wrong_value(path, "http", url.error());
  http.unix_socket = text_of(rows, "unix_socket");
  HttpOptions& options = http.options;
  options.host = text_of(rows, "host");
  if (!is_authority(options.host)) return wrong_value(path, "host", "expected a host name");
  options.method = text_of(rows, "method");
  if (!is_token(options.method)) return wrong_value(path, "method", "expected an HTTP method");
  for (const auto& [key, value] : *rows.find("headers")->as_object()) {
    if (!is_token(key))
      return wrong_value(path, "headers", "expected header names, not \"" + key + '"');
    options.headers.emplace_back(key, *value.as_string());
  }
  options.body = text_of(rows, "body");
  for (const Value& status : *rows.find("expect_status")->as_array()) {
    options.expect.status.push_back(static_cast<int>(*status.as_int()));
    if (options.expect.status.back() > 599)
      return wrong_value(path, "expect_status",
                         "expected 100 to 599, not " + std::to_string(*status.as_int()));
  }
  options.expect.body = text_of(rows, "expect_body");
  if (const json::Object* expected = rows.find("expect_header")->as_object();
      expected && !expected->empty()) {
    if (!is_token(expected->front().first))
      return wrong_value(path, "expect_header", "expected a header name");
    options.expect.header = {expected->front().first, *expected->front().second.as_string()};
  }
  options.reuse = flag_of(rows, "reuse");
  http.tls = read_tls(rows);
  if (http.tls.on && !url->tls && !http.url.starts_with("/"))
    return wrong_value(path, "tls", "only for https and grpc");
  http.tls.on = http.tls.on || url->tls;
  return http;
}

Result<std::string, SpecError> read_target(const Value& rows, std::string_view key,
                                           std::string_view path) {
  std::string target = text_of(rows, key);
  if (const auto parsed = parse_check_address(target); !parsed)
    return wrong_value(path, key, parsed.error());
  return target;
}

Result<TcpCheckSpec, SpecError> read_tcp(const Value& rows, std::string_view path) {
  return read_target(rows, "tcp", path).map([](std::string target) {
    return TcpCheckSpec{std::move(target)};
  });
}

Result<GrpcCheckSpec, SpecError> read_grpc(const Value& rows, std::string_view path) {
  auto target = read_target(rows, "target", path);
  if (!target) return failure(std::move(target.error()));
  return GrpcCheckSpec{std::move(*target), text_of(rows, "grpc"), read_tls(rows)};
}

Result<CheckSpec::Kind, SpecError> read_kind(CheckKind kind, const Value& rows,
                                             std::string_view path) {
  switch (kind) {
    case CheckKind::http:
      return read_http(rows, path);
    case CheckKind::tcp:
      return read_tcp(rows, path);
    case CheckKind::grpc:
      return read_grpc(rows, path);
    case CheckKind::ttl:
      return TtlCheck{duration_of(rows, "ttl")};
    case CheckKind::alias:
      return AliasCheck{text_of(rows, "alias")};
  }
  OUTRIDER_UNREACHABLE();
}

Result<CheckSpec, SpecError> read_check(const Value& rows, std::string_view path) {
  const auto facts = kind_given(rows, path);
  if (!facts) return failure(facts.error());
  CheckSpec check;
  auto kind = read_kind(facts->kind, rows, path);
  if (!kind) return failure(std::move(kind.error()));
  check.kind = std::move(*kind);
  if (auto wrong = wrong_for_kind(facts->kind, rows, path)) return failure(std::move(*wrong));
  if (auto wrong = wrong_tls(read_tls(rows), path)) return failure(std::move(*wrong));
  check.id = text_of(rows, "id");
  check.name = text_of(rows, "name");
  check.notes = text_of(rows, "notes");
  check.timing.interval = duration_of(rows, "interval");
  check.timing.timeout = duration_of(rows, "timeout");
  check.timing.start_interval = duration_of(rows, "start_interval");
  check.timing.start_timeout = duration_of(rows, "start_timeout");
  check.timing.edge_interval = duration_of(rows, "edge_interval");
  const auto count = [&](std::string_view key) {
    return static_cast<std::uint32_t>(integer_of(rows, key));
  };
  check.thresholds.success_before_passing = count("success_before_passing");
  check.thresholds.failures_before_warning = count("failures_before_warning");
  check.thresholds.failures_before_critical = count("failures_before_critical");
  if (check.thresholds.failures_before_warning > check.thresholds.failures_before_critical)
    return wrong_value(path, "failures_before_warning",
                       "expected at most failures_before_critical");
  check.thresholds.refused_is_critical = flag_of(rows, "refused_is_critical");
  check.allow_remote = flag_of(rows, "allow_remote");
  check.deregister_critical_after = duration_of(rows, "deregister_critical_after");
  check.initial = *parse_check_health(text_of(rows, "initial"));
  return check;
}

// --- Writing ---------------------------------------------------------------------------------

void member_unless_empty(Writer& out, std::string_view key, const std::string& text) {
  if (!text.empty()) out.member(key, text);
}

void write_tls(Writer& out, const TlsOptions& tls) {
  if (!tls.on) return;
  out.key("tls").begin_object().member("verify", tls.verify);
  member_unless_empty(out, "ca", tls.ca_file);
  member_unless_empty(out, "server_name", tls.server_name);
  member_unless_empty(out, "cert", tls.cert_file);
  member_unless_empty(out, "key", tls.key_file);
  out.end_object();
}

struct KindWriter {
  Writer& out;
  std::string_view key;  // names the kind

  void operator()(const HttpCheckSpec& http) const {
    const HttpOptions& options = http.options;
    out.member(key, http.url).member("method", options.method).member("reuse", options.reuse);
    member_unless_empty(out, "unix_socket", http.unix_socket);
    member_unless_empty(out, "host", options.host);
    out.key("headers").begin_object();
    for (const auto& [name, value] : options.headers)
      out.member(name, value);
    out.end_object();
    member_unless_empty(out, "body", options.body);
    out.key("expect_status").begin_array();
    for (const int status : options.expect.status)
      out.value(status);
    out.end_array();
    member_unless_empty(out, "expect_body", options.expect.body);
    if (options.expect.header)
      out.key("expect_header")
          .begin_object()
          .member(options.expect.header->first, options.expect.header->second)
          .end_object();
    write_tls(out, http.tls);
  }
  void operator()(const TcpCheckSpec& tcp) const { out.member(key, tcp.target); }
  void operator()(const GrpcCheckSpec& grpc) const {
    out.member(key, grpc.service).member("target", grpc.target);
    write_tls(out, grpc.tls);
  }
  void operator()(const TtlCheck& ttl) const { out.member(key, format_duration(ttl.ttl)); }
  void operator()(const AliasCheck& alias) const { out.member(key, alias.instance_id); }
};

}  // namespace

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
      return wrong_value(at, "id", "\"" + check->id + "\" is used twice");
    const std::string kind(kind_name(*check));
    for (unsigned n = 2; check->id.empty() || taken(check->id); ++n)
      check->id = check->id.empty() ? kind : kind + '-' + std::to_string(n);
    checks.push_back(std::move(*check));
  }
  return checks;
}

Result<CheckSpec, SpecError> ServiceSpec::parse_check(const Value& value, std::string_view path) {
  const auto rows = complete(value, check_rows(), path);
  if (!rows) return failure(rows.error());
  auto check = read_check(*rows, path);
  if (check && check->id.empty()) check->id = kind_name(*check);
  return check;
}

namespace {

/// What only checks that probe have (check_rules.cc).
void write_probing(Writer& out, const CheckSpec& check) {
  out.member("interval", format_duration(check.timing.interval));
  out.member("timeout", format_duration(check.timing.timeout));
  out.member("start_interval", format_duration(check.timing.start_interval));
  out.member("start_timeout", format_duration(check.timing.start_timeout));
  out.member("edge_interval", format_duration(check.timing.edge_interval));
  out.member("success_before_passing", check.thresholds.success_before_passing);
  out.member("failures_before_warning", check.thresholds.failures_before_warning);
  out.member("failures_before_critical", check.thresholds.failures_before_critical);
  out.member("refused_is_critical", check.thresholds.refused_is_critical);
  out.member("allow_remote", check.allow_remote);
}

}  // namespace

void write(Writer& out, const CheckSpec& check) {
  out.begin_object();
  std::visit(KindWriter{out, facts_of(check.kind).name}, check.kind);
  out.member("id", check.id).member("name", check.name).member("notes", check.notes);
  if (facts_of(check.kind).has_target) write_probing(out, check);
  out.member("deregister_critical_after", format_duration(check.deregister_critical_after));
  out.member("initial", to_string(check.initial));
  out.end_object();
}

}  // namespace outrider::registry
