// SPDX-License-Identifier: Apache-2.0
#include "agent/lan/sighting_reader.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "base/utf8.h"
#include "mdns/service_name.h"

namespace outrider {
namespace {

/// Statuses of FARP's enum. An unknown status is healthy, as in the reference library.
registry::Health health_of(std::string_view status) {
  if (status == "degraded") return registry::Health::warning;
  if (status == "unhealthy" || status == "stopping") return registry::Health::critical;
  if (status == "draining") return registry::Health::draining;
  if (status == "starting") return registry::Health::starting;
  return registry::Health::passing;
}

std::uint16_t weight_of(const farp::TxtMap& txt, const mdns::Sighting& sighting) {
  if (const auto weight = parse_number<std::uint16_t>(txt.get("weight"))) return *weight;
  return sighting.weight != 0 ? sighting.weight : std::uint16_t{100};
}

registry::FarpSpec farp_of(const farp::TxtFacts& facts, const IpAddress& address) {
  registry::FarpSpec farp;
  farp.enabled = facts.enabled;
  farp.openapi = facts.openapi_path.empty() ? facts.openapi : facts.openapi_path;
  farp.asyncapi = facts.asyncapi_path.empty() ? facts.asyncapi : facts.asyncapi_path;
  farp.graphql = facts.graphql_path.empty() ? facts.graphql : facts.graphql_path;
  farp.grpc_reflection = facts.grpc_reflection;
  farp.capabilities = facts.capabilities;
  farp.health = facts.health;
  farp.manifest = farp::with_reachable_host(facts.manifest, address);
  return farp;
}

}  // namespace

SightingReader::SightingReader(std::vector<std::string> wanted_types) {
  set_wanted_types(std::move(wanted_types));
}

void SightingReader::set_wanted_types(std::vector<std::string> types) {
  wanted_types_ = {types.begin(), types.end()};
}

std::string SightingReader::place_key(const mdns::SightingKey& key) {
  return "mdns " + key.type + ' ' + key.label;
}

/// The TXT record, completed from an earlier one when the reference library's heartbeat shortened
/// it.
farp::TxtMap SightingReader::whole_txt(const mdns::Sighting& sighting) {
  const farp::TxtMap now = farp::TxtMap::parse(sighting.txt.strings());
  if (now.find("farp.id") == nullptr || now.find("outrider") != nullptr) return now;
  const std::string key = place_key(sighting.key);
  const auto found = shrinking_.find(key);
  if (found != shrinking_.end() && found->second.host == sighting.host &&
      found->second.port == sighting.port)
    return found->second.txt = farp::survive_shrink(found->second.txt, now);
  if (shrinking_.size() < kShrinkingTxtsMax || found != shrinking_.end())
    shrinking_[key] = {sighting.host, sighting.port, now};
  return now;
}

/// It was sent from here and one of its addresses is ours: the others may have come or gone a
/// moment ago. Where the sender is unknown (Avahi), all its addresses must be ours.
bool SightingReader::is_on_this_host(const mdns::Sighting& sighting) const {
  const auto ours = std::ranges::count_if(sighting.addresses, [&](const auto& each) {
    return each.address.is_loopback() ? sighting.own_host
                                      : own_addresses_.contains(each.address.with_scope(0));
  });
  const bool all = std::cmp_equal(ours, sighting.addresses.size());
  return ours > 0 && (sighting.own_host || (sighting.by_host && all));
}

std::optional<registry::Sighting> SightingReader::read(const mdns::Sighting& sighting) {
  const farp::TxtMap txt = whole_txt(sighting);
  const farp::TxtFacts facts = farp::read_txt(txt);
  const bool ours = txt.find("outrider") != nullptr || facts.enabled || facts.library;
  if (!ours && !wanted_types_.contains(sighting.key.type)) {
    ++ignored_;
    return std::nullopt;
  }
  // The library's own readers use the label when its heartbeat left out the name of the service.
  const std::string fallback =
      facts.library ? sighting.key.label : mdns::bare_type(sighting.key.type);
  auto name = registry::ServiceName::parse(facts.name.empty() ? fallback : facts.name);
  auto id = registry::InstanceId::from_foreign(facts.id.empty() ? sighting.key.label : facts.id);
  if (!name || !id || sighting.port == 0) {
    ++malformed_;
    return std::nullopt;
  }
  registry::Sighting out{.place = {.key = place_key(sighting.key),
                                   .engine = "mdns",
                                   .host = sighting.host,
                                   .via = registry::read_via(txt.get(farp::kViaKey)),
                                   .expires = sighting.expires},
                         .service = std::move(*name),
                         .id = std::move(*id)};
  const auto cut = [](std::string text, std::size_t most) {
    cut_text_to(text, most);
    return text;
  };
  out.version = cut(facts.version, registry::kVersionBytesMax);
  out.port = sighting.port;
  for (const mdns::SightedAddress& address : sighting.addresses)
    out.addresses.push_back({address.address, address.interface});
  const std::string protocol = txt.get("protocol");
  out.protocol = registry::to_label(protocol, 15).value_or("http");
  for (const std::string& tag : facts.tags)
    if (out.tags.size() < registry::kTagsMax) out.tags.push_back(tag);
  for (const auto& [key, value, flag] : facts.metadata) {
    if (out.metadata.size() >= registry::kMetadataMax) break;
    if (out.metadata.emplace(key, value).second && flag) out.flags.push_back(key);
  }
  out.weight = weight_of(txt, sighting);
  out.farp = farp_of(facts, sighting.addresses.front().address);
  out.health = health_of(facts.status);
  const registry::HostId host = registry::read_host_text(txt.get("outrider"));
  out.stated = registry::StatedHost{.identity = host.identity,
                                    .node = host.name.empty() ? std::string() : node_name(host)};
  const bool copied = !out.place.via.empty();
  out.on_this_host = is_on_this_host(sighting);
  // What an agent of this host has copied is not of this host.
  out.from_this_host = (sighting.own_host && !copied) || out.on_this_host;
  out.detailed = ours;
  out.vouched = sighting.by_host && !copied;
  out.primary = mdns::bare_type(sighting.key.type) == out.service.label();
  return out;
}

}  // namespace outrider
