// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/instance_json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <tuple>

#include "agent/doors/lease.h"
#include "agent/registry/dropped.h"
#include "agent/registry/served.h"
#include "base/text.h"

namespace outrider::doors {
namespace {

using registry::CheckState;
using registry::Instance;
using registry::InstancePtr;
using registry::Registry;

void write_check(json::Writer& out, const CheckState& check) {
  out.begin_object();
  out.member("id", check.spec.id);
  out.member("name", check.spec.name.empty() ? check.spec.id : check.spec.name);
  out.member("kind", kind_name(check.spec));
  out.member("health", to_string(check.health));
  out.member("output", check.output);
  out.member("since", format_wall_time(check.since.wall));
  out.end_object();
}

void write_place(json::Writer& out, const registry::SightedPlace& place, const LeaseTimes& times) {
  out.begin_object().member("engine", place.engine).member("host", place.host);
  if (!place.via.empty()) out.member("via", place.via);
  if (const registry::PlaceDetail& detail = *place.detail; !detail.key.empty()) {
    out.member("key", detail.key).member("endpoint", detail.endpoint);
    out.member("lease", lease_text(detail.lease));
    if (const auto time = times.find({place.host, detail.lease}); time != times.end())
      write_lease_time(out, time->second);
    out.member("revision", detail.revision);
  }
  if (const registry::Staleness& stale = *place.stale; stale.is_stale) {
    out.member("stale", true).member("reason", stale.reason);
    out.member("since", format_wall_time(stale.since));
    if (stale.until) out.member("until", format_wall_time(*stale.until));
  }
  out.end_object();
}

void write_written(json::Writer& out, const std::vector<WrittenPlace>& written) {
  out.key("written_to").begin_array();
  for (const WrittenPlace& place : written) {
    out.begin_object().member("engine", place.engine).member("key", place.key);
    out.member("endpoint", place.endpoint).member("state", place.state);
    if (!place.reason.empty())
      out.member(place.state == "conflict" ? "holder" : "reason", place.reason);
    out.member("lease", lease_text(place.lease));
    if (place.lease_time) write_lease_time(out, *place.lease_time);
    out.member("revision", place.revision).end_object();
  }
  out.end_array();
}

}  // namespace

std::string address_of(const Instance& instance, const registry::HostView& host) {
  const std::vector<IpAddress> addresses = served_addresses(instance, host);
  return addresses.empty() ? std::string() : addresses.front().to_string();
}

void write_lease_time(json::Writer& out, const LeaseTime& time) {
  if (time.has_ended()) {
    out.member("lease_ended", true);
    return;
  }
  // As etcdctl shows it; less than a second says nothing.
  out.member("lease_left", format_duration(std::chrono::floor<std::chrono::seconds>(time.left)));
  out.member("lease_granted", format_duration(time.granted));
}

void write_instance(json::Writer& out, const Instance& instance, const registry::HostView& host,
                    const LeaseTimes& times, const std::vector<WrittenPlace>& written) {
  out.begin_object();
  out.member("id", instance.id.text());
  out.member("service", instance.service.text());
  out.member("version", instance.version);
  out.member("health", to_string(instance.health));
  out.member("served", instance.served());
  out.key("addresses").begin_array();
  const std::vector<IpAddress> addresses = served_addresses(instance, host);
  for (const IpAddress& address : addresses)
    out.value(address.to_string());
  out.end_array();
  out.member("port", static_cast<unsigned>(instance.port));
  out.member("protocol", instance.protocol);
  out.key("tags").begin_array();
  for (const std::string& tag : instance.tags)
    out.value(tag);
  out.end_array();
  if (!instance.subtypes.empty()) {
    out.key("subtypes").begin_array();
    for (const std::string& subtype : instance.subtypes)
      out.value(subtype);
    out.end_array();
  }
  if (const registry::FarpSpec& farp = *instance.farp; farp.enabled) {
    out.key("farp").begin_object();
    if (!farp.manifest.empty()) out.member("manifest", farp.manifest);
    if (!farp.openapi.empty()) out.member("openapi", farp.openapi);
    out.end_object();
  }
  out.key("metadata").begin_object();
  for (const auto& [key, value] : instance.metadata)
    out.member(key, value);
  out.end_object();
  out.member("weight", static_cast<unsigned>(instance.weight));
  out.member("scope", to_string(instance.scope));
  out.member("source", to_string(instance.source));
  if (const auto door = door_of(instance); !door.empty()) out.member("door", door);
  if (const registry::DoorPlace& place = *instance.door; !place.key.empty()) {
    out.member("key", place.key);
    if (place.lease != 0) out.member("lease", lease_text(place.lease));
  }
  if (instance.renamed()) out.member("announced_id", instance.announced_id);
  out.member("this_host", instance.on_this_host);
  out.member("stale", instance.stale);
  out.member("shadowed", instance.shadowed);
  if (!instance.exposure->limit.empty())
    out.member("limit", instance.exposure->limit).member("advice", instance.exposure->advice);
  if (!instance.local_name->name.empty()) out.member("local_name", instance.local_name->name);
  if (instance.maintenance) out.member("maintenance_reason", instance.maintenance_reason);
  out.key("seen_at").begin_array();
  // Announced under two types, an instance has two places on one host.
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> told;
  for (const registry::SightedPlace& place : instance.places)
    if (told.emplace(place.engine, place.host, place.detail->key).second)
      write_place(out, place, times);
  out.end_array();
  if (!written.empty()) write_written(out, written);
  if (instance.unchecked()) out.member("unchecked", true);
  out.key("checks").begin_array();
  for (const CheckState& check : instance.checks)
    write_check(out, check);
  out.end_array();
  out.member("registered", format_wall_time(instance.registered.wall));
  out.member("changed", format_wall_time(instance.latest.wall));
  out.member("revision", instance.revision);
  out.end_object();
}

bool WatchFilter::wants(const Instance& instance) const {
  if (own_only && !instance.own()) return false;
  return service_label.empty() || instance.service.label() == service_label;
}

SnapshotWriter::SnapshotWriter(const Control& control, const WatchFilter& filter)
    : revision_(control.registry().revision()), host_(control.host()) {
  const Registry& registry = control.registry();
  const auto add = [&](const std::string& label) {
    for (const InstancePtr& instance : registry.instances(label))
      if (filter.wants(*instance)) instances_.push_back(instance);
  };
  if (filter.service_label.empty())
    std::ranges::for_each(registry.services(), add);
  else
    add(filter.service_label);
  dropped_ = registry::dropped_in(registry);
  std::erase_if(dropped_, [&](const InstancePtr& instance) { return !filter.wants(*instance); });
  const AgentIdentity identity = control.identity();
  out_.begin_object().member("revision", revision_);
  if (!identity.agent.empty()) out_.member("agent", identity.agent).member("host", identity.host);
  out_.key("instances").begin_array();
}

SnapshotWriter::SnapshotWriter(const Control& control, std::vector<InstancePtr> instances)
    : revision_(control.registry().revision()),
      host_(control.host()),
      instances_(std::move(instances)) {
  out_.begin_object().member("revision", revision_).key("instances").begin_array();
}

bool SnapshotWriter::write(std::size_t instances) {
  for (; instances > 0 && next_ < instances_.size(); --instances)
    write_instance(out_, *instances_[next_++], host_);
  if (next_ < instances_.size()) return false;
  out_.end_array();
  if (!dropped_.empty()) {
    out_.key("dropped").begin_array();
    for (const InstancePtr& instance : dropped_)
      write_instance(out_, *instance, host_);
    out_.end_array();
  }
  out_.end_object();
  return true;
}

std::string changes_json(const registry::Changes& changes, const WatchFilter& filter,
                         const registry::HostView& host) {
  std::string text;
  json::Writer out(text);
  bool any = false;
  out.begin_object().member("revision", changes.revision).key("changes").begin_array();
  for (const registry::Change& change : changes.list) {
    if (!filter.wants(change.any())) continue;
    any = true;
    const bool was = change.before != nullptr && !change.before->dropped;
    const bool is = change.after != nullptr && !change.after->dropped;
    out.begin_object();
    out.member("kind", is ? (was ? "changed" : "added") : "removed");
    if (change.dropped != nullptr) out.member("dropped", true);
    out.key("instance");
    write_instance(out, change.dropped != nullptr ? *change.dropped : change.any(), host);
    out.end_object();
  }
  out.end_array();
  const auto is_wanted = [&](const InstancePtr& ended) { return filter.wants(*ended); };
  if (std::ranges::any_of(changes.ended, is_wanted)) {
    any = true;
    out.key("ended").begin_array();
    for (const InstancePtr& ended : changes.ended)
      if (is_wanted(ended)) write_instance(out, *ended, host);
    out.end_array();
  }
  out.end_object();
  return any ? text : std::string();
}

std::string lease_text(std::int64_t id) {
  if (id == 0) return {};
  std::array<char, 16> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), static_cast<std::uint64_t>(id), 16).ptr;
  return {text.data(), end};
}

bool is_set(const http::Target& target, std::string_view key) {
  return target.has(key) && http::flag_of(target.get(key)).value_or(false);
}

Result<Search, std::string> Search::parse(const http::Target& target) {
  Search search;
  for (const auto& [key, value] : target.query) {
    if (key == "prefix") {
      search.prefix = label_of(value);
    } else if (key == "name" || key == "service") {
      search.name = label_of(value);
    } else if (key == "version") {
      search.version = value;
    } else if (key == "tag") {
      search.tags.push_back(value);
    } else if (key == "metadata" || key == "meta") {
      const std::size_t equals = value.find('=');
      if (equals == std::string::npos || equals == 0)
        return failure(std::string("metadata must be KEY=VALUE"));
      search.metadata.emplace_back(value.substr(0, equals), value.substr(equals + 1));
    }
  }
  search.healthy = is_set(target, "healthy");
  search.passing = is_set(target, "passing");
  return search;
}

bool Search::wants(const Instance& instance) const {
  if (!instance.service.label().starts_with(prefix)) return false;
  if (!name.empty() && instance.service.label() != name) return false;
  if (meaning && !means(*meaning, instance)) return false;
  if (!version.empty() && instance.version != version) return false;
  if ((healthy || passing) && !(instance.served() && is_reachable(instance))) return false;
  if (passing && instance.health != registry::Health::passing) return false;
  for (const std::string& tag : tags)
    if (std::find(instance.tags.begin(), instance.tags.end(), tag) == instance.tags.end())
      return false;
  return std::all_of(metadata.begin(), metadata.end(), [&](const auto& wanted) {
    const auto found = instance.metadata.find(wanted.first);
    return found != instance.metadata.end() && found->second == wanted.second;
  });
}

std::vector<InstancePtr> find_instances(const Registry& registry, const Search& search) {
  std::vector<InstancePtr> found;
  const bool all = search.name.empty() && !search.meaning;
  const std::vector<std::string> labels =
      all ? registry.services() : std::vector<std::string>{search.name};
  for (const std::string& label : labels) {
    for (InstancePtr& instance : registry.instances(label))
      if (search.wants(*instance)) found.push_back(std::move(instance));
  }
  return found;
}

}  // namespace outrider::doors
