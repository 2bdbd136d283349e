// SPDX-License-Identifier: Apache-2.0
// Small files of the system, whole.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace outrider {

inline constexpr std::size_t kTextFileBytesMax = 1U << 20;

/// Nothing if it is not there, cannot be read, or is longer than kTextFileBytesMax.
std::optional<std::string> read_text_file(const std::string& path);
/// Replaces the file at once, keeping its mode; missing folders are made. A mount point (a
/// container's resolv.conf) cannot be replaced and is written over.
Result<void, std::string> write_text_file(const std::string& path, std::string_view text);

}  // namespace outrider
