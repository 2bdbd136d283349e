// SPDX-License-Identifier: Apache-2.0
// Small files of the system, whole, and folders. By POSIX calls: iostreams and std::filesystem
// would bring locales with them, half a megabyte resident in every sidecar.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace outrider {

inline constexpr std::size_t kTextFileBytesMax = 4U << 20;

/// Only regular files: opening a FIFO would wait for its writer. The error is the reason alone,
/// such as "No such file or directory", "not a regular file", or that it exceeds kTextFileBytesMax.
Result<std::string, std::string> load_text_file(const std::string& path);
/// The same without the reason.
std::optional<std::string> read_text_file(const std::string& path);
/// A file that the user named, or standard input for "-". The error says why: "PATH: reason".
Result<std::string, std::string> read_text_input(const std::string& path, std::size_t bytes_max);
/// The rest of an open file. The error is the reason alone.
Result<std::string, std::string> read_text_of(int fd);
/// Replaces the file atomically, keeping its owner and mode, and makes missing folders. A mount
/// point (a container's resolv.conf) cannot be replaced and is written over.
Result<void, std::string> write_text_file(const std::string& path, std::string_view text);
/// Makes the missing folders above a file.
Result<void, std::string> make_folders(const std::string& path);
/// Writes all of it, however many calls that takes; false, with errno, if one fails.
bool write_all(int fd, std::string_view text);
/// Ends the name of a file that is not complete yet, beside the one that it will replace.
inline constexpr const char* kDraftEnding = ".outrider-new";
/// Removes what an interrupted write_text_file has left beside the file.
void remove_draft(const std::string& path);

bool is_folder(const std::string& path);
/// Names in a folder, in no order, without "." and ".."; nullopt if it cannot be read, for the
/// reason in errno.
std::optional<std::vector<std::string>> list_folder(const std::string& path);

}  // namespace outrider
