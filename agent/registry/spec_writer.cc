// SPDX-License-Identifier: Apache-2.0
// A ServiceSpec as the JSON that ServiceSpec::parse reads: what parse makes of it is equal.
#include "agent/registry/model.h"

namespace outrider::registry {
namespace {

using json::Writer;

void member_unless_empty(Writer& out, std::string_view key, const std::string& text) {
  if (!text.empty()) out.member(key, text);
}

void write_texts(Writer& out, std::string_view key, const std::vector<std::string>& texts) {
  out.key(key).begin_array();
  for (const std::string& text : texts)
    out.value(text);
  out.end_array();
}

void write_tls(Writer& out, const TlsSpec& tls) {
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

  void operator()(const HttpCheckSpec& http) const {
    out.member("http", http.url).member("method", http.method).member("reuse", http.reuse);
    member_unless_empty(out, "unix_socket", http.unix_socket);
    member_unless_empty(out, "host", http.host);
    out.key("headers").begin_object();
    for (const auto& [name, value] : http.headers)
      out.member(name, value);
    out.end_object();
    member_unless_empty(out, "body", http.body);
    out.key("expect_status").begin_array();
    for (const int status : http.expect_status)
      out.value(status);
    out.end_array();
    member_unless_empty(out, "expect_body", http.expect_body);
    if (http.expect_header)
      out.key("expect_header")
          .begin_object()
          .member(http.expect_header->first, http.expect_header->second)
          .end_object();
    write_tls(out, http.tls);
  }
  void operator()(const TcpCheckSpec& tcp) const { out.member("tcp", tcp.target); }
  void operator()(const GrpcCheckSpec& grpc) const {
    out.member("grpc", grpc.service).member("target", grpc.target);
    write_tls(out, grpc.tls);
  }
  void operator()(const TtlCheckSpec& ttl) const { out.member("ttl", format_duration(ttl.ttl)); }
  void operator()(const AliasCheckSpec& alias) const { out.member("alias", alias.instance_id); }
};

void write_farp(Writer& out, const FarpSpec& farp) {
  out.key("farp").begin_object();
  member_unless_empty(out, "openapi", farp.openapi);
  member_unless_empty(out, "asyncapi", farp.asyncapi);
  member_unless_empty(out, "graphql", farp.graphql);
  out.member("grpc_reflection", farp.grpc_reflection);
  write_texts(out, "capabilities", farp.capabilities);
  member_unless_empty(out, "strategy", farp.strategy);
  member_unless_empty(out, "health", farp.health);
  out.end_object();
}

}  // namespace

void write(Writer& out, const CheckSpec& check) {
  out.begin_object();
  std::visit(KindWriter{out}, check.kind);
  out.member("id", check.id).member("name", check.name).member("notes", check.notes);
  out.member("interval", format_duration(check.interval));
  out.member("timeout", format_duration(check.timeout));
  out.member("start_interval", format_duration(check.start_interval));
  out.member("start_timeout", format_duration(check.start_timeout));
  out.member("edge_interval", format_duration(check.edge_interval));
  out.member("success_before_passing", check.success_before_passing);
  out.member("failures_before_warning", check.failures_before_warning);
  out.member("failures_before_critical", check.failures_before_critical);
  out.member("refused_is_critical", check.refused_is_critical);
  out.member("allow_remote", check.allow_remote);
  out.member("deregister_critical_after", format_duration(check.deregister_critical_after));
  out.member("initial", to_string(check.initial));
  out.end_object();
}

void write(Writer& out, const ServiceSpec& spec) {
  out.begin_object();
  out.member("name", spec.name.text()).member("id", spec.id ? spec.id->text() : "auto");
  out.member("version", spec.version).member("port", spec.port);
  out.key("address").begin_array();
  if (spec.addresses.empty()) out.value("auto");
  for (const IpAddress& address : spec.addresses)
    out.value(address.to_string());
  out.end_array();
  out.member("protocol", spec.protocol);
  write_texts(out, "tags", spec.tags);
  write_texts(out, "subtypes", spec.subtypes);
  out.key("metadata").begin_object();
  for (const auto& [key, value] : spec.metadata)
    out.member(key, value);
  out.end_object();
  out.member("weight", spec.weight).member("scope", to_string(spec.scope));
  out.key("checks").begin_array();
  for (const CheckSpec& check : spec.checks)
    write(out, check);
  out.end_array();
  if (spec.farp.enabled) write_farp(out, spec.farp);
  out.end_object();
}

}  // namespace outrider::registry
