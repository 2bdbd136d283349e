// SPDX-License-Identifier: Apache-2.0
// Entries of engines as sightings of the registry, and registrations as entries. Pure.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/host_view.h"
#include "agent/registry/registry.h"
#include "registries/engine.h"

namespace outrider {

/// Of this host, as entries of registries that name no hosts are judged.
struct EntryReader {
  registry::Source source = registry::Source::host;
  std::set<IpAddress> own_addresses;
  std::string writer;  // identity of this agent in what it writes
};

/// Nothing for what is no instance here: names that cannot be mapped, addresses that mean nothing
/// beyond one host or link, this agent's own registrations, copies whose writer is gone.
std::optional<registry::Sighting> to_sighting(registries::Entry entry, const EntryReader& reader,
                                              registry::Moment now);

/// As it is written to engines; nothing for what other hosts must not be told.
std::optional<registries::Entry> to_entry(const registry::Instance& instance,
                                          const registry::HostView& host);

/// Where other hosts reach it beyond its link; none for what is of one host alone.
std::vector<IpAddress> copied_addresses(const registry::Instance& instance);
/// A foreign instance as it is copied from the engine `via` to another one, under `key`; nothing
/// for what is not served, or cannot be reached by others.
std::optional<registries::Entry> to_copy(const registry::Instance& instance, std::string_view via,
                                         std::string key);

}  // namespace outrider
