// SPDX-License-Identifier: Apache-2.0
// ServiceSpec::parse: what the rows of a service alone cannot say. check_spec.cc reads its checks.
#include <algorithm>

#include "agent/registry/check_rules.h"
#include "agent/registry/rows.h"
#include "agent/registry/target.h"
#include "base/text.h"

namespace outrider::registry {
namespace {

using json::Value;

Result<std::vector<IpAddress>, SpecError> read_addresses(const Value& rows, std::string_view path) {
  std::vector<IpAddress> addresses;
  const auto texts = texts_of(rows, "address");
  if (texts.size() == 1 && texts[0] == "auto") return addresses;
  for (const std::string& text : texts) {
    const auto address = IpAddress::parse(text);
    if (!address || address->is_any() || address->is_multicast())
      return wrong_value(path, "address",
                         "expected \"auto\" or addresses of one host, not \"" + text + '"');
    addresses.push_back(*address);
  }
  return addresses;
}

Result<Metadata, SpecError> read_metadata(const Value& rows, std::string_view path) {
  Metadata metadata;
  for (const auto& [key, value] : *rows.find("metadata")->as_object()) {
    if (key.empty() || key.size() > kMetadataKeyBytesMax)
      return wrong_value(
          path, "metadata",
          "expected keys of 1 to " + std::to_string(kMetadataKeyBytesMax) + " octets");
    if (value.as_string()->size() > kMetadataValueBytesMax)
      return wrong_value(join_path(path, "metadata"), key,
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
      return wrong_value(path, "subtypes",
                         "expected labels of 1 to " + std::to_string(kLabelBytesMax) +
                             " letters, digits, '-' and '_', not \"" + subtype + '"');
    std::string low = lowered(subtype);  // names of the DNS are the same in either case
    if (std::find(seen.begin(), seen.end(), low) != seen.end())
      return wrong_value(path, "subtypes", '"' + subtype + "\" is used twice");
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
      return wrong_value(path, key, "expected a path that begins with '/', not \"" + *to + '"');
  }
  farp.grpc_reflection = flag_of(rows, "grpc_reflection");
  farp.capabilities = texts_of(rows, "capabilities");
  farp.strategy = text_of(rows, "strategy");
  return farp;
}

}  // namespace

namespace {

/// The first check that would have nowhere to connect to.
std::optional<SpecError> check_without_port(const ServiceSpec& spec, std::string_view path) {
  const Instance instance{.id = *InstanceId::from_foreign("any"), .service = spec.name};
  if (spec.port != 0) return std::nullopt;
  for (std::size_t i = 0; i < spec.checks.size(); ++i) {
    const auto& kind = spec.checks[i].kind;
    if (!facts_of(kind).has_target || resolve_target(spec.checks[i], instance)) continue;
    return SpecError{join_path(join_path(join_path(path, "checks"), i), facts_of(kind).name),
                     "needs a port: give the service one, or name it in the check",
                     {}};
  }
  return std::nullopt;
}

}  // namespace

Result<ServiceSpec, SpecError> ServiceSpec::parse(const Value& value, std::string_view path,
                                                  Files files) {
  const auto rows = complete(value, service_rows(), path);
  if (!rows) return failure(rows.error());
  const std::string text = text_of(*rows, "name");
  const auto name = ServiceName::parse(text);
  if (const auto holder = ServiceName::holder_of(text); !holder.empty())
    return wrong_value(path, "name",
                       "expected another name: \"" + text + "\" is " + std::string(holder));
  if (!name)
    return wrong_value(
        path, "name",
        "expected letters, digits, '-', '_' or '.', as a DNS label needs them, not \"" + text +
            '"');
  ServiceSpec spec{.name = *name, .id = {}};
  if (const std::string id = text_of(*rows, "id"); id != "auto") {
    spec.id = InstanceId::parse(id);
    if (!spec.id)
      return wrong_value(path, "id",
                         "expected \"auto\" or letters, digits and '-', not \"" + id + '"');
  }
  spec.version = text_of(*rows, "version");
  spec.port = static_cast<std::uint16_t>(integer_of(*rows, "port"));
  spec.weight = static_cast<std::uint16_t>(integer_of(*rows, "weight"));
  spec.protocol = text_of(*rows, "protocol");
  if (!to_label(spec.protocol))
    return wrong_value(path, "protocol", "expected letters, digits and '-'");
  spec.tags = texts_of(*rows, "tags");
  for (const std::string& tag : spec.tags)
    if (tag.size() > kTagBytesMax)  // an empty one selects nothing; clients of Consul send it
      return wrong_value(path, "tags",
                         "expected tags of at most " + std::to_string(kTagBytesMax) + " octets");
  auto subtypes = read_subtypes(*rows, path);
  if (!subtypes) return failure(std::move(subtypes.error()));
  spec.subtypes = std::move(*subtypes);
  const std::string scope = text_of(*rows, "scope");
  spec.scope = scope == "lan" ? Scope::lan : scope == "host" ? Scope::host : Scope::automatic;
  spec.local_name = flag_of(*rows, "local_name");

  auto addresses = read_addresses(*rows, path);
  if (!addresses) return failure(std::move(addresses.error()));
  spec.addresses = std::move(*addresses);
  auto metadata = read_metadata(*rows, path);
  if (!metadata) return failure(std::move(metadata.error()));
  spec.metadata = std::move(*metadata);
  auto checks = read_checks(*rows, path);
  if (!checks) return failure(std::move(checks.error()));
  spec.checks = std::move(*checks);
  if (auto lost = check_without_port(spec, path)) return failure(std::move(*lost));
  if (!absent(*rows, "farp")) {
    auto farp = read_farp(*rows->find("farp"), join_path(path, "farp"), files);
    if (!farp) return failure(std::move(farp.error()));
    spec.farp = std::move(*farp);
  }
  return spec;
}

}  // namespace outrider::registry
