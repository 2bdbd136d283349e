// SPDX-License-Identifier: Apache-2.0
#include "agent/entry_translation.h"

#include <algorithm>

#include "agent/farp/txt.h"
#include "base/utf8.h"

namespace outrider {
namespace {

using registry::is_remote;

static_assert(registries::kViaMark == farp::kViaKey);

/// A check that another agent runs: what people are shown of it. It has no target here.
registry::CheckState to_registry(const registries::Check& check, registry::Moment now) {
  registry::CheckState state;
  state.spec.id = check.id;
  state.spec.name = check.name;
  cut_text_to(state.spec.id, registry::kIdBytesMax);
  cut_text_to(state.spec.name, registry::kIdBytesMax);
  if (auto kind = kind_named<registry::CheckSpec::Kind>(check.kind))
    state.spec.kind = std::move(*kind);
  state.health = check.health;
  state.output = check.output.substr(0, registry::kOutputBytesMax);
  state.since = state.renewed = now;
  return state;
}

/// Whether it means the same host wherever it is read. IPv4 inside IPv6 is judged as IPv4: mapped
/// addresses are IPv4 already, compatible ones (RFC 4291 §2.5.5.1) and those of NAT64 (RFC 6052
/// §2.1) are not.
bool is_global(const IpAddress& address) {
  static const Prefix kCarriers[] = {*Prefix::parse("::/96"), *Prefix::parse("64:ff9b::/96")};
  for (const Prefix& carrier : kCarriers)
    if (carrier.contains(address))
      return is_global(IpAddress::from_bytes(address.bytes().subspan(12)));
  if (address.is_any() || address.is_loopback() || address.is_link_local() ||
      address.is_multicast())
    return false;
  // 0.0.0.0/8, and 240.0.0.0/4 with the broadcast address (RFC 6890).
  const std::uint8_t first = address.bytes().front();
  return !address.is_v4() || (first != 0 && first < 240);
}

/// Leaves the addresses that mean the same on every host. Of what is reached on loopback or a link
/// alone, the agents of this host and the link tell; an entry that anyone can write does not.
void keep_reachable(registries::Entry& entry, const EntryReader& reader) {
  std::erase_if(entry.addresses, [](const IpAddress& address) { return !is_global(address); });
  const auto is_ours = [&](const IpAddress& address) {
    return reader.own_addresses.contains(address.with_scope(0));
  };
  entry.on_this_host = entry.on_this_host || std::ranges::any_of(entry.addresses, is_ours);
}

/// The limits that registrations have hold for what others wrote, too.
void cut(registry::Description& description) {
  auto& tags = description.tags;
  std::erase_if(tags, [](const std::string& tag) { return tag.size() > registry::kTagBytesMax; });
  if (tags.size() > registry::kTagsMax) tags.resize(registry::kTagsMax);
  auto& metadata = description.metadata;
  std::erase_if(metadata, [](const auto& each) {
    return each.first.size() > registry::kMetadataKeyBytesMax ||
           each.second.size() > registry::kMetadataValueBytesMax;
  });
  while (metadata.size() > registry::kMetadataMax)
    metadata.erase(std::prev(metadata.end()));
  cut_text_to(description.version, registry::kVersionBytesMax);
  // DNS names are made of it.
  if (description.protocol.size() > registry::kLabelBytesMax) description.protocol = "http";
}

}  // namespace

std::optional<registry::Sighting> to_sighting(registries::Entry entry, const EntryReader& reader,
                                              registry::Moment now) {
  const bool remote = is_remote(reader.source);
  auto name = remote ? registry::ServiceName::from_foreign(entry.service)
                     : registry::ServiceName::parse(entry.service);
  if (!name || (!entry.writer.empty() && entry.writer == reader.writer)) return std::nullopt;
  if (remote) keep_reachable(entry, reader);
  if (remote && entry.addresses.empty()) return std::nullopt;
  const bool own_id = !entry.id.empty();
  // Stable over restarts of the program, as the numbers of leases are not.
  if (!own_id)
    entry.id = name->label() + '-' + entry.addresses.front().with_scope(0).to_string() + '-' +
               std::to_string(entry.port);
  auto id = registry::InstanceId::from_foreign(entry.id);
  if (!id) return std::nullopt;
  registry::Sighting out{.place = {.key = entry.key,
                                   .engine = registry::engine_of(reader.source),
                                   .host = entry.place},
                         .service = std::move(*name),
                         .id = std::move(*id)};
  out.place.detail = registry::PlaceDetail{.key = std::move(entry.where.key),
                                           .endpoint = std::move(entry.where.endpoint),
                                           .lease = entry.where.lease,
                                           .revision = entry.where.revision};
  out.version = std::move(entry.version);
  out.port = entry.port;
  out.protocol = entry.protocol.empty() ? "http" : std::move(entry.protocol);
  out.tags = std::move(entry.tags);
  out.subtypes = std::move(entry.subtypes);
  out.metadata = std::move(entry.metadata);
  if (const auto mark = out.metadata.extract(std::string(registries::kViaMark)); !mark.empty())
    out.place.via = registry::read_via(mark.mapped());
  // Copies are healthy; in a registry that says so until it is removed, its writer has gone.
  if (!out.place.via.empty() && entry.health == Health::critical) return std::nullopt;
  out.weight = entry.weight;
  for (const IpAddress& address : entry.addresses)
    out.addresses.push_back({address, 0});
  out.health = entry.health;
  out.maintenance_reason = std::move(entry.maintenance_reason);
  for (const registries::Check& check : entry.checks)
    if (out.checks.size() < registry::kChecksPerInstanceMax)
      out.checks.push_back(to_registry(check, now));
  out.local_name = registry::LocalName{.wanted = false, .name = std::move(entry.local_name)};
  out.exposure =
      registry::Exposure{.limit = std::move(entry.limit), .advice = std::move(entry.advice)};
  out.scope = entry.host_only ? registry::Scope::host : registry::Scope::lan;
  out.on_this_host = entry.on_this_host;
  out.source = reader.source;
  out.own_id = own_id;
  if (!remote) {
    out.from_this_host = entry.on_this_host;
    return out;
  }
  cut(out);
  // Of a copy, the writer is not the host.
  if (const registry::HostId host = registry::read_host_text(entry.writer);
      !host.identity.empty() && out.place.via.empty())
    out.stated = registry::StatedHost{.identity = host.identity, .node = {}};
  return out;
}

namespace {

void add_public(std::vector<IpAddress>& addresses, const IpAddress& address) {
  // A link-local address means nothing beyond the link.
  if (address.is_loopback() || address.is_link_local() || address.is_any()) return;
  const IpAddress plain = address.with_scope(0);
  if (std::ranges::find(addresses, plain) == addresses.end()) addresses.push_back(plain);
}

bool is_for_other_hosts(const registry::Instance& instance) {
  return instance.served() && instance.port != 0 && instance.scope == registry::Scope::lan &&
         !instance.exposure->loopback_only;
}

registries::Entry entry_of(const registry::Instance& instance, std::vector<IpAddress> addresses) {
  registries::Entry entry;
  entry.service = instance.service.text();
  entry.id = instance.id.text();
  entry.version = instance.version;
  entry.port = instance.port;
  entry.addresses = std::move(addresses);
  entry.protocol = instance.protocol;
  entry.tags = instance.tags;
  entry.subtypes = instance.subtypes;
  entry.metadata = instance.metadata;
  entry.metadata.erase(std::string(registries::kViaMark));
  entry.weight = instance.weight;
  entry.health = instance.health;
  return entry;
}

}  // namespace

std::optional<registries::Entry> to_entry(const registry::Instance& instance,
                                          const registry::HostView& host) {
  if (!instance.own() || !is_for_other_hosts(instance)) return std::nullopt;
  std::vector<IpAddress> addresses;
  for (const registry::PlacedAddress& placed : instance.addresses)
    add_public(addresses, placed.address);
  if (instance.addresses.empty())
    for (const IpAddress& address : host.addresses)
      add_public(addresses, address);
  if (addresses.empty()) return std::nullopt;
  registries::Entry entry = entry_of(instance, std::move(addresses));
  entry.key = entry.id;
  return entry;
}

std::vector<IpAddress> copied_addresses(const registry::Instance& instance) {
  std::vector<IpAddress> addresses;
  if (!instance.own() && is_for_other_hosts(instance))
    for (const registry::PlacedAddress& placed : instance.addresses)
      add_public(addresses, placed.address);
  return addresses;
}

std::optional<registries::Entry> to_copy(const registry::Instance& instance, std::string_view via,
                                         std::string key) {
  std::vector<IpAddress> addresses = copied_addresses(instance);
  if (addresses.empty()) return std::nullopt;
  registries::Entry entry = entry_of(instance, std::move(addresses));
  entry.key = std::move(key);
  entry.metadata[std::string(registries::kViaMark)] = via;
  return entry;
}

}  // namespace outrider
