// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/consul/filter/selectors.h"

#include <algorithm>

#include "base/assert.h"

namespace outrider::doors::consul {
namespace {

struct Row {
  std::string_view path;
  FieldType type = FieldType::text;
};

constexpr Row kCheck[] = {
    {"CheckID"}, {"Name"},      {"Node"},        {"Notes"},
    {"Output"},  {"ServiceID"}, {"ServiceName"}, {"ServiceTags", FieldType::texts},
    {"Status"},
};
constexpr Row kNode[] = {
    {"Address"},
    {"Datacenter"},
    {"ID"},
    {"Meta", FieldType::map},
    {"Meta.*"},
    {"Node"},
    {"TaggedAddresses", FieldType::map},
    {"TaggedAddresses.*"},
};
/// As kNode, but for the name of its metadata.
constexpr Row kFlatNode[] = {
    {"Address"},
    {"Datacenter"},
    {"ID"},
    {"NodeMeta", FieldType::map},
    {"NodeMeta.*"},
    {"Node"},
    {"TaggedAddresses", FieldType::map},
    {"TaggedAddresses.*"},
    {"ServiceName"},
};
constexpr Row kServiceName[] = {{"Service"}};
constexpr Row kService[] = {
    {"Address"},
    {"Connect.Native", FieldType::flag},
    {"EnableTagOverride", FieldType::flag},
    {"ID"},
    {"Kind"},
    {"Meta", FieldType::map},
    {"Meta.*"},
    {"Port", FieldType::number},
    {"Proxy.DestinationServiceID"},
    {"Proxy.DestinationServiceName"},
    {"Proxy.LocalServiceAddress"},
    {"Proxy.LocalServicePort", FieldType::number},
    {"Proxy.Mode"},
    {"Proxy.TransparentProxy.OutboundListenerPort", FieldType::number},
    {"Proxy.MeshGateway.Mode"},
    {"Proxy.Upstreams", FieldType::objects},
    {"Proxy.Upstreams[].Datacenter"},
    {"Proxy.Upstreams[].DestinationName"},
    {"Proxy.Upstreams[].DestinationNamespace"},
    {"Proxy.Upstreams[].DestinationType"},
    {"Proxy.Upstreams[].LocalBindAddress"},
    {"Proxy.Upstreams[].LocalBindPort", FieldType::number},
    {"Proxy.Upstreams[].MeshGateway.Mode"},
    {"TaggedAddresses", FieldType::map},
    {"TaggedAddresses.*.Address"},
    {"TaggedAddresses.*.Port", FieldType::number},
    {"Tags", FieldType::texts},
    {"Weights.Passing", FieldType::number},
    {"Weights.Warning", FieldType::number},
};
constexpr Row kChecks[] = {{"Checks", FieldType::objects}};

void add(std::vector<Field>& out, std::string_view prefix, std::span<const Row> rows) {
  for (const Row& row : rows)
    out.push_back({std::string(prefix) + std::string(row.path), row.type});
}

bool is_named(std::span<const std::string> steps, std::span<const std::string> parts) {
  std::size_t part = 0;
  for (const std::string& step : steps) {
    if (step == "[]") continue;
    if (part == parts.size() || (step != "*" && step != parts[part])) return false;
    ++part;
  }
  return part == parts.size();
}

}  // namespace

std::vector<std::string> steps_of(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    const std::string_view step = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), step.size() + 1));
    const bool list = step.ends_with("[]");
    out.emplace_back(step.substr(0, step.size() - (list ? 2 : 0)));
    if (list) out.emplace_back("[]");
  }
  return out;
}

std::vector<Field> fields_of(Rows rows) {
  std::vector<Field> out;
  switch (rows) {
    case Rows::catalog:
      add(out, "", kFlatNode);
      add(out, "Service", kService);
      return out;
    case Rows::nodes:
      add(out, "", kNode);
      return out;
    case Rows::health:
      add(out, "Node.", kNode);
      add(out, "Service.", kServiceName);
      add(out, "Service.", kService);
      add(out, "", kChecks);
      add(out, "Checks[].", kCheck);
      return out;
    case Rows::checks:
      add(out, "", kCheck);
      return out;
    case Rows::service:
      add(out, "", kServiceName);
      add(out, "", kService);
      return out;
  }
  OUTRIDER_UNREACHABLE();
}

std::vector<Field> fields_below(const std::vector<Field>& fields, std::string_view prefix) {
  std::vector<Field> out;
  for (const Field& field : fields)
    if (field.path.starts_with(prefix))
      out.push_back({field.path.substr(prefix.size()), field.type});
  return out;
}

const Field* find_field(const std::vector<Field>& fields, std::span<const std::string> parts) {
  for (const Field& field : fields)
    if (is_named(steps_of(field.path), parts)) return &field;
  return nullptr;
}

}  // namespace outrider::doors::consul
