// SPDX-License-Identifier: Apache-2.0
// From the merged tree to the typed configuration: what the files of this folder share.
#pragma once

#include "agent/config/config.h"

namespace outrider {

/// Checks `tree`, fills in defaults and reads every section.
Result<Config, registry::SpecError> read_config(const json::Value& tree);

/// Of "registries" and "export" (registry_rows.cc).
std::span<const registry::Row> registry_rows();
std::span<const registry::Row> export_rows();

/// The completed "export", for the rest of the configuration.
Result<std::vector<ExportRule>, registry::SpecError> read_exports(const json::Value& list,
                                                                  const Config& config);

/// Of completed rows; `path` is theirs.
Result<registries::etcd::Layouts, registry::SpecError> read_layouts(const json::Value& rows,
                                                                    const std::string& path);

/// Of the completed "registries".
Result<std::vector<RegistryConfig>, registry::SpecError> read_registries(const json::Value& list);

}  // namespace outrider
