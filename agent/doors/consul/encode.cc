// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>

#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "agent/registry/served.h"

namespace outrider::doors::consul {
namespace {

using registry::CheckState;
using registry::Health;
using registry::HostView;
using registry::Instance;

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

struct CheckText {
  std::string id, name, notes, output, type;
  const char* status = "passing";
  std::string interval, timeout;
};

void encode_check_text(json::Writer& out, const Instance& instance, const CheckText& check,
                       const HostView& host) {
  out.begin_object();
  out.member("Node", node_of(instance, host)).member("CheckID", check.id);
  out.member("Name", check.name).member("Status", check.status).member("Notes", check.notes);
  out.member("Output", check.output).member("ServiceID", instance.id.text());
  out.member("ServiceName", instance.service.text());
  encode_tags(out, "ServiceTags", instance);
  out.member("Type", check.type).member("Interval", check.interval);
  out.member("Timeout", check.timeout).member("ExposedPort", 0);
  out.key("Definition").begin_object().end_object();
  out.member("CreateIndex", instance.created_revision + 1);
  out.member("ModifyIndex", instance.revision + 1).end_object();
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

std::string address_of(const Instance& instance, const HostView& host) {
  const std::vector<IpAddress> addresses = served_addresses(instance, host);
  return addresses.empty() ? std::string() : addresses.front().to_string();
}

/// Kratos reads the version from a tag, which other clients do not register.
std::vector<std::string> tags_of(const Instance& instance) {
  std::vector<std::string> tags = instance.tags;
  const bool has_version = std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) {
    return tag.starts_with("version=") || tag == instance.version;
  });
  if (!instance.version.empty() && !has_version) tags.push_back("version=" + instance.version);
  return tags;
}

registry::Metadata meta_of(const Instance& instance) {
  registry::Metadata meta = instance.metadata;
  std::erase_if(meta, [](const auto& entry) { return entry.first.starts_with(kTaggedPrefix); });
  if (!instance.version.empty()) meta.emplace("version", instance.version);
  return meta;
}

void encode_service(json::Writer& out, const Instance& instance, const HostView& host) {
  out.begin_object();
  out.member("ID", instance.id.text()).member("Service", instance.service.text());
  encode_tags(out, "Tags", instance);
  out.member("Address", address_of(instance, host));
  out.member("Port", static_cast<unsigned>(instance.port));
  encode_tagged(out, "TaggedAddresses", instance, host);
  encode_meta(out, "Meta", instance);
  encode_weights(out, "Weights", instance);
  out.member("EnableTagOverride", false);
  out.member("CreateIndex", instance.created_revision + 1);
  out.member("ModifyIndex", instance.revision + 1).end_object();
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

void encode_check(json::Writer& out, const Instance& instance, const CheckState& check,
                  const HostView& host) {
  CheckText text;
  text.id = check_key(instance.id.text(), check.spec);
  text.name =
      check.spec.name.empty() ? "Service '" + instance.service.text() + "' check" : check.spec.name;
  text.notes = check.spec.notes;
  text.output = check.output;
  text.status = status_of(check.health);
  text.type = facts_of(check.spec.kind).name;
  if (!std::holds_alternative<TtlCheck>(check.spec.kind)) {
    text.interval = format_duration(check.spec.timing.interval);
    text.timeout = format_duration(check.spec.timing.timeout);
  }
  encode_check_text(out, instance, text, host);
}

void encode_checks(json::Writer& out, const Instance& instance, const HostView& host) {
  out.begin_array();
  for (const CheckState& check : instance.checks)
    encode_check(out, instance, check, host);
  const std::string& id = instance.id.text();
  if (instance.maintenance || instance.draining) {
    CheckText text;
    text.id = "_service_maintenance:" + id;
    text.name = "Service Maintenance Mode";
    text.notes = instance.maintenance ? instance.maintenance_reason : "draining";
    text.status = "critical";
    text.type = "maintenance";
    encode_check_text(out, instance, text, host);
  } else if (instance.checks.empty() && instance.health != Health::passing) {
    CheckText text;
    text.id = "service:" + id;
    text.name = "Service '" + instance.service.text() + "' check";
    text.output = "as announced";
    text.status = status_of(instance);
    encode_check_text(out, instance, text, host);
  }
  out.end_array();
}

}  // namespace outrider::doors::consul
