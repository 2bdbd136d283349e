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
  out.member("local_name", spec.local_name);
  out.key("checks").begin_array();
  for (const CheckSpec& check : spec.checks)
    write(out, check);
  out.end_array();
  if (spec.farp->enabled) write_farp(out, *spec.farp);
  out.end_object();
}

}  // namespace outrider::registry
