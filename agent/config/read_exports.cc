// SPDX-License-Identifier: Apache-2.0
// "export": what is copied from one source to another.
#include <algorithm>

#include "agent/config/read.h"

namespace outrider {
namespace {

using json::Value;
using registry::Source;
using registry::SpecError;

tl::unexpected<SpecError> bad(const std::string& path, std::string_view key, std::string expected) {
  return failure(SpecError{registry::join_path(path, key), std::move(expected), {}});
}

Source side_of(const std::string& text) {
  if (text == "mdns") return Source::sighting;
  return text == "etcd" ? Source::etcd : Source::consul;
}

/// Whether etcd keeps the mark of a copy in one of its layouts.
bool keeps_marks(const registries::etcd::Layouts& layouts) {
  return layouts.kratos || layouts.goframe || layouts.forge;
}

/// What is missing for reading from, or writing to, this side.
std::string why_not(Source side, bool writes, const Config& config) {
  if (side == Source::sighting)
    return config.mdns.provider == MdnsProvider::off
               ? "expected another source than \"mdns\", which \"mdns.provider\" turns off"
               : std::string();
  const std::string name(registry::engine_of(side));
  const auto count = std::ranges::count(config.registries, side, &RegistryConfig::source);
  if (count == 0) return "expected a registry of \"registries\", which has no \"" + name + '"';
  // Agents elect in one place who copies.
  if (count > 1)
    return "expected a registry that \"registries\" has once; \"" + name + "\" is there " +
           std::to_string(count) + " times";
  const RegistryConfig& registry =
      *std::ranges::find(config.registries, side, &RegistryConfig::source);
  if (!writes) return {};
  if (!registry.publishes())
    return "expected a registry that is written; \"" + name + "\" has \"publish\": false";
  const auto* const etcd = std::get_if<registries::etcd::Options>(&registry.options);
  if (etcd != nullptr && !keeps_marks(etcd->layouts))
    return "expected a layout that keeps the mark of a copy: \"kratos\", \"goframe\" or \"forge\"";
  return {};
}

Result<std::vector<registry::ServiceName>, SpecError> read_names(const Value& rows,
                                                                 const std::string& path) {
  std::vector<registry::ServiceName> names;
  for (const std::string& text : registry::texts_of(rows, "names")) {
    const auto name = registry::ServiceName::from_foreign(text);
    if (!name) return bad(path, "names", "expected names of services, not \"" + text + '"');
    if (std::ranges::find(names, *name) != names.end())
      return bad(path, "names", '"' + text + "\" is given twice");
    names.push_back(*name);
  }
  if (names.empty()) return bad(path, "names", "expected at least one name of a service");
  return names;
}

/// The first name that is not read, since Consul is asked for single services; empty: none.
std::string unread_name(const ExportRule& rule, const Config& config) {
  if (rule.from != Source::consul) return {};
  const auto& registry = *std::ranges::find(config.registries, rule.from, &RegistryConfig::source);
  const auto& read = std::get<registries::consul::Options>(registry.options).services;
  for (const registry::ServiceName& name : rule.names)
    if (std::ranges::none_of(read, [&](const std::string& service) {
          const auto known = registry::ServiceName::from_foreign(service);
          return known && *known == name;
        }))
      return name.text();
  return {};
}

Result<ExportRule, SpecError> read_rule(const Value& rows, const std::string& path,
                                        const Config& config) {
  ExportRule rule{.from = side_of(registry::text_of(rows, "from")),
                  .to = side_of(registry::text_of(rows, "to")),
                  .names = {},
                  .group = {}};
  if (rule.from == rule.to) return bad(path, "to", "expected another one than \"from\"");
  if (std::string why = why_not(rule.from, false, config); !why.empty())
    return bad(path, "from", std::move(why));
  if (std::string why = why_not(rule.to, true, config); !why.empty())
    return bad(path, "to", std::move(why));
  auto names = read_names(rows, path);
  if (!names) return failure(std::move(names.error()));
  rule.names = std::move(*names);
  if (const std::string name = unread_name(rule, config); !name.empty())
    return bad(path, "names",
               "expected services that \"services\" of \"consul\" has, not \"" + name + '"');
  if (const std::string group = registry::text_of(rows, "group"); !group.empty()) {
    const auto label = registry::to_label(group);
    if (!label)
      return bad(path, "group", "expected a label such as \"office\", not \"" + group + '"');
    rule.group = *label;
  }
  return rule;
}

}  // namespace

Result<std::vector<ExportRule>, SpecError> read_exports(const Value& list, const Config& config) {
  std::vector<ExportRule> rules;
  std::size_t index = 0;
  for (const Value& rows : *list.as_array()) {
    const std::string path = registry::join_path("export", index++);
    auto rule = read_rule(rows, path, config);
    if (!rule) return failure(std::move(rule.error()));
    for (const ExportRule& other : rules)
      if (other.from == rule->from && other.to == rule->to)
        for (const registry::ServiceName& name : rule->names)
          if (std::ranges::find(other.names, name) != other.names.end())
            return bad(path, "names", '"' + name.text() + "\" is in an earlier rule for the same");
    rules.push_back(std::move(*rule));
  }
  return rules;
}

}  // namespace outrider
