// SPDX-License-Identifier: Apache-2.0
// Whether a configuration needs what this installation does not have.
#pragma once

#include <optional>

#include "agent/config/config.h"

namespace outrider {

/// A check that needs a missing module would never pass and keep its service out of every answer,
/// so it is an error of the configuration.
std::optional<ConfigError> missing_module(const Config& config);
/// A registry whose TLS cannot work: told at once rather than at its first connection.
std::optional<ConfigError> unusable_tls(const Config& config);

}  // namespace outrider
