// SPDX-License-Identifier: Apache-2.0
// What a program is called without --name: as its project calls itself. Pure.
//
//   package.json ("name") ▸ pyproject.toml ([project] or [tool.poetry] name) ▸ the folder
//
// The nearest folder with such a file counts, upwards from the current one to the top of the git
// worktree, whose folder it is otherwise; outside of git, the current one. In a home, in /tmp and
// in the root the command's own name is used.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace outrider::cli::beside {

/// Folders that are looked into.
inline constexpr std::size_t kFoldersMax = 32;

/// The text of a file; nothing if there is none.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;

struct Project {
  std::string name;    // a label; empty: none found
  std::string branch;  // a label; empty: not in git, on the main branch, or on none
};
/// `folder` is the current one, `home` that of the user.
Project find_project(const std::string& folder, const std::string& home, const ReadFile& read);

/// "name" of package.json, without its scope; empty if there is none.
std::string name_in_package_json(std::string_view text);
/// "name" of pyproject.toml.
std::string name_in_pyproject(std::string_view text);
/// The name of a program without its folder and extension.
std::string stem_of(const std::string& command);

}  // namespace outrider::cli::beside
