// SPDX-License-Identifier: Apache-2.0
// The limit of open files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace outrider::cli {

/// No command works with fewer; the loop alone needs a dozen.
inline constexpr std::uint64_t kDescriptorsMin = 32;

/// Raises the limit to `wanted` as far as the hard limit allows.
void raise_descriptor_limit(std::uint64_t wanted);
/// A sentence if the limit is below kDescriptorsMin and cannot be raised to it.
std::optional<std::string> too_few_descriptors();

}  // namespace outrider::cli
