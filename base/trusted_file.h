// SPDX-License-Identifier: Apache-2.0
// Files and folders whose word counts only if no other user can have written it: records that root
// obeys, modules that are loaded, folders with the socket of a user's agent. The people who may are
// root and the user of this process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct stat;

namespace outrider {

/// What lets other users change it, as the predicate of a sentence: "belongs to the user with id
/// 1000", "is writable for its group". Nothing: only root and this user can.
std::optional<std::string> why_distrusted(const struct stat& info);

/// Why a folder is distrusted: a link, no folder, or by why_distrusted(). Nothing also if it does
/// not exist.
std::optional<std::string> why_folder_distrusted(const std::string& path);

/// Whether the folder that the file is in has to be trusted, too.
enum class InFolder : std::uint8_t { trusted, any };
/// A regular file with one name that is trusted, opened without following a link. Nothing if there
/// is none. The error is a sentence with the path: what is wrong, or why it cannot be read.
Result<std::optional<std::string>, std::string> load_trusted_file(const std::string& path,
                                                                  InFolder folder);
/// Replaces the file atomically, with mode 0644, and makes missing folders. Its own folder has to
/// be trusted, and gets mode 0755. The error is a sentence with the path.
Result<void, std::string> write_trusted_file(const std::string& path, std::string_view text);

}  // namespace outrider
