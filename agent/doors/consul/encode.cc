// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/registry/served.h"

namespace outrider::doors::consul {
namespace {

using registry::CheckState;
using registry::Health;
using registry::HostView;
using registry::Instance;

/// What Consul's agent notes if the operator gives no reason.
constexpr const char* kNoReason =
    "Maintenance mode is enabled for this node or service, but no reason was provided.";

bool is_in_maintenance(const Instance& instance) {
  return instance.health == Health::maintenance || instance.health == Health::draining ||
         instance.maintenance || instance.draining;
}

struct Tagged {
  std::string name, address;
  std::int64_t port = 0;
};

/// The registered ones, or else the one that Kratos reads: SCHEME://ADDRESS:PORT.
std::vector<Tagged> tagged_of(const Instance& instance, const HostView& host) {
  std::vector<Tagged> out;
  for (const auto& [key, value] : instance.metadata) {
    if (!key.starts_with(kTaggedPrefix)) continue;
    const std::size_t space = value.rfind(' ');
    if (space == std::string::npos) continue;
    Tagged tagged{key.substr(kTaggedPrefix.size()), value.substr(0, space), 0};
    std::from_chars(value.data() + space + 1, value.data() + value.size(), tagged.port);
    out.push_back(std::move(tagged));
  }
  const std::string address = address_of(instance, host);
  if (out.empty() && !address.empty() && instance.port != 0) {
    const Endpoint endpoint{*IpAddress::parse(address), instance.port};
    out.push_back({instance.protocol, instance.protocol + "://" + endpoint.to_string(),
                   static_cast<std::int64_t>(instance.port)});
  }
  return out;
}

void encode_tagged(json::Writer& out, std::string_view key, const Instance& instance,
                   const HostView& host) {
  out.key(key).begin_object();
  for (const Tagged& tagged : tagged_of(instance, host)) {
    out.key(tagged.name).begin_object();
    out.member("Address", tagged.address).member("Port", tagged.port).end_object();
  }
  out.end_object();
}

void encode_tags(json::Writer& out, std::string_view key, const Instance& instance) {
  out.key(key).begin_array();
  for (const std::string& tag : tags_of(instance))
    out.value(tag);
  out.end_array();
}

void encode_meta(json::Writer& out, std::string_view key, const Instance& instance) {
  out.key(key).begin_object();
  for (const auto& [name, value] : meta_of(instance))
    out.member(name, value);
  out.end_object();
}

void encode_weights(json::Writer& out, std::string_view key, const Instance& instance) {
  out.key(key).begin_object();
  out.member("Passing", static_cast<unsigned>(std::max<std::uint16_t>(1, instance.weight)));
  out.member("Warning", 1).end_object();
}

CheckEntry entry_of(const Instance& instance, const CheckState& check, std::string id) {
  CheckEntry entry{.id = std::move(id), .notes = check.spec.notes, .output = check.output};
  entry.name =
      check.spec.name.empty() ? "Service '" + instance.service.text() + "' check" : check.spec.name;
  entry.status = status_of(check.health);
  entry.type = facts_of(check.spec.kind).name;
  if (!std::holds_alternative<TtlCheck>(check.spec.kind)) {
    entry.interval = format_duration(check.spec.timing.interval);
    entry.timeout = format_duration(check.spec.timing.timeout);
  }
  return entry;
}

/// For a sighting whose host announces no checks, or none that explain its health: one that
/// represents it.
std::optional<CheckEntry> check_of_sighting(const Instance& instance) {
  CheckHealth worst = CheckHealth::passing;
  for (const CheckState& check : instance.checks)
    worst = std::max(worst, check.health);
  const CheckHealth whole = check_health_of(instance.health);
  if (!instance.checks.empty() && (worst >= whole || is_in_maintenance(instance)))
    return std::nullopt;
  CheckEntry entry{.id = (instance.checks.empty() ? "service:" : "host:") + instance.id.text()};
  entry.name = "Service '" + instance.service.text() + "' check";
  entry.output = std::string(to_string(instance.health)) + ", as its host announces";
  entry.status = status_of(whole);
  return entry;
}

}  // namespace

const char* status_of(CheckHealth health) {
  switch (health) {
    case CheckHealth::passing:
      return "passing";
    case CheckHealth::warning:
      return "warning";
    case CheckHealth::starting:
    case CheckHealth::critical:
      return "critical";
  }
  OUTRIDER_UNREACHABLE();
}

const char* status_of(const Instance& instance) {
  switch (instance.health) {
    case Health::passing:
      return "passing";
    case Health::warning:
      return "warning";
    case Health::starting:
    case Health::critical:
      return "critical";
    case Health::draining:
    case Health::maintenance:
      return "maintenance";
  }
  OUTRIDER_UNREACHABLE();
}

std::string own_address(const registry::HostView& host) {
  return host.addresses.empty() ? "127.0.0.1" : host.addresses.front().to_string();
}

namespace {

/// Whether tags or metadata have the version already, as a client of Consul has sent it: what
/// clients read back is what was sent.
bool shows_version(const Instance& instance) {
  const bool tagged = std::ranges::any_of(instance.tags, [&](const std::string& tag) {
    return tag.starts_with("version=") || tag == instance.version;
  });
  return instance.version.empty() || tagged || instance.metadata.contains("version");
}

}  // namespace

/// Kratos reads the version from a tag, others from metadata. Registrations that did not come from
/// a client of Consul have both.
std::vector<std::string> tags_of(const Instance& instance) {
  std::vector<std::string> tags = instance.tags;
  if (!shows_version(instance)) tags.push_back("version=" + instance.version);
  return tags;
}

registry::Metadata meta_of(const Instance& instance) {
  registry::Metadata meta = instance.metadata;
  std::erase_if(meta, [](const auto& entry) { return entry.first.starts_with(kTaggedPrefix); });
  if (!shows_version(instance)) meta.emplace("version", instance.version);
  return meta;
}

namespace {

void encode_service_members(json::Writer& out, const Instance& instance, const HostView& host) {
  out.member("ID", instance.id.text()).member("Service", instance.service.text());
  encode_tags(out, "Tags", instance);
  out.member("Address", address_of(instance, host));
  out.member("Port", static_cast<unsigned>(instance.port));
  encode_tagged(out, "TaggedAddresses", instance, host);
  encode_meta(out, "Meta", instance);
  encode_weights(out, "Weights", instance);
  out.member("EnableTagOverride", false);
}

}  // namespace

void encode_service(json::Writer& out, const Instance& instance, const HostView& host) {
  out.begin_object();
  encode_service_members(out, instance, host);
  out.member("CreateIndex", instance.created_revision + 1);
  out.member("ModifyIndex", instance.revision + 1).end_object();
}

HashedService encode_hashed_service(const Instance& instance, const HostView& host,
                                    std::string_view datacenter) {
  HashedService service;
  json::Writer out(service.body);
  out.begin_object();
  encode_service_members(out, instance, host);
  out.member("Datacenter", datacenter);
  // FNV-1a: any text that differs when the description does.
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : service.body)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), hash, 16);
  service.hash.assign(digits.data(), end.ptr);
  out.member("ContentHash", service.hash).end_object();
  return service;
}

void encode_node(json::Writer& out, std::string_view name, std::string_view address,
                 std::string_view datacenter) {
  out.begin_object();
  out.member("ID", "").member("Node", name).member("Address", address);
  out.member("Datacenter", datacenter);
  out.key("TaggedAddresses").begin_object();
  out.member("lan", address).member("wan", address).end_object();
  out.key("Meta").begin_object().end_object();
  out.member("CreateIndex", 1).member("ModifyIndex", 1).end_object();
}

void encode_catalog_service(json::Writer& out, const Instance& instance, const HostView& host,
                            std::string_view datacenter) {
  const std::string address = address_of(instance, host);
  out.begin_object();
  out.member("ID", "").member("Node", node_of(instance, host)).member("Address", address);
  out.member("Datacenter", datacenter);
  out.key("TaggedAddresses").begin_object();
  out.member("lan", address).member("wan", address).end_object();
  out.key("NodeMeta").begin_object().end_object();
  out.member("ServiceID", instance.id.text()).member("ServiceName", instance.service.text());
  out.member("ServiceAddress", address);
  out.member("ServicePort", static_cast<unsigned>(instance.port));
  encode_tags(out, "ServiceTags", instance);
  encode_meta(out, "ServiceMeta", instance);
  encode_tagged(out, "ServiceTaggedAddresses", instance, host);
  encode_weights(out, "ServiceWeights", instance);
  out.member("ServiceEnableTagOverride", false);
  out.member("CreateIndex", instance.created_revision + 1);
  out.member("ModifyIndex", instance.revision + 1).end_object();
}

std::vector<CheckEntry> checks_of(const Instance& instance) {
  std::vector<CheckEntry> entries;
  for (const CheckState& check : instance.checks)
    entries.push_back(entry_of(instance, check, check_key(instance.id.text(), check.spec)));
  if (!instance.own())
    if (auto entry = check_of_sighting(instance)) entries.push_back(std::move(*entry));
  const bool own_reason = !instance.own() || instance.maintenance || instance.draining;
  if (!is_in_maintenance(instance) || !own_reason) return entries;
  CheckEntry& entry = entries.emplace_back();
  entry.id = "_service_maintenance:" + instance.id.text();
  entry.name = "Service Maintenance Mode";
  const bool draining = instance.draining || instance.health == Health::draining;
  entry.notes = instance.maintenance || !draining ? instance.maintenance_reason : "draining";
  if (entry.notes.empty()) entry.notes = kNoReason;
  entry.status = "critical";
  entry.type = "maintenance";
  return entries;
}

std::vector<CheckEntry> node_checks_of(const Instance& node) {
  std::vector<CheckEntry> entries;
  for (const CheckState& check : node.checks) {
    entries.push_back(entry_of(node, check, check.spec.id));
    if (check.spec.name.empty()) entries.back().name = check.spec.id;
  }
  if (node.maintenance) {
    CheckEntry& entry = entries.emplace_back();
    entry.id = "_node_maintenance";
    entry.name = "Node Maintenance Mode";
    entry.notes = node.maintenance_reason.empty() ? kNoReason : node.maintenance_reason;
    entry.status = "critical";
    entry.type = "maintenance";
  }
  return entries;
}

void encode_check(json::Writer& out, const CheckEntry& check, const Instance& instance,
                  const HostView& host) {
  const bool of_node = instance.id.text() == registry::kNodeId;
  out.begin_object();
  out.member("Node", node_of(instance, host)).member("CheckID", check.id);
  out.member("Name", check.name).member("Status", check.status).member("Notes", check.notes);
  out.member("Output", check.output);
  out.member("ServiceID", of_node ? std::string() : instance.id.text());
  out.member("ServiceName", of_node ? std::string() : instance.service.text());
  encode_tags(out, "ServiceTags", instance);
  out.member("Type", check.type).member("Interval", check.interval);
  out.member("Timeout", check.timeout).member("ExposedPort", 0);
  out.key("Definition").begin_object().end_object();
  out.member("CreateIndex", instance.created_revision + 1);
  out.member("ModifyIndex", instance.revision + 1).end_object();
}

void encode_checks(json::Writer& out, const Instance& instance, const Instance& node,
                   const HostView& host) {
  out.begin_array();
  if (instance.own())
    for (const CheckEntry& check : node_checks_of(node))
      encode_check(out, check, node, host);
  for (const CheckEntry& check : checks_of(instance))
    encode_check(out, check, instance, host);
  out.end_array();
}

}  // namespace outrider::doors::consul
