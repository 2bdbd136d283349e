// SPDX-License-Identifier: Apache-2.0
// From the merged tree to the typed configuration; used by sources.cc only.
#pragma once

#include "agent/config/config.h"

namespace outrider {

/// Checks `tree`, fills in defaults and reads every section.
Result<Config, registry::SpecError> read_config(const json::Value& tree);

/// The completed "export", for the rest of the configuration.
Result<std::vector<ExportRule>, registry::SpecError> read_exports(const json::Value& list,
                                                                  const Config& config);

/// Of the completed "registries".
Result<std::vector<RegistryConfig>, registry::SpecError> read_registries(const json::Value& list);

}  // namespace outrider
