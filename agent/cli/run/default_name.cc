// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/default_name.h"

#include "agent/registry/model.h"
#include "base/json_members.h"
#include "base/text.h"

namespace outrider::cli::beside {
namespace {

std::string parent_of(const std::string& folder) {
  const std::size_t slash = folder.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : folder.substr(0, slash);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") + 1 - first);
}

/// The label of a service of that name; empty if none can have it.
std::string service_label(std::string_view text) {
  const auto name = registry::ServiceName::parse(text);
  return name ? name->label() : std::string();
}

std::string name_in_files(const std::string& folder, const ReadFile& read) {
  if (const auto text = read(folder + "/package.json"))
    if (std::string name = service_label(name_in_package_json(*text)); !name.empty()) return name;
  if (const auto text = read(folder + "/pyproject.toml"))
    return service_label(name_in_pyproject(*text));
  return {};
}

/// The text of HEAD if `folder` is the top of a worktree. In a linked one, .git is a file that says
/// where its HEAD is.
std::optional<std::string> head_of(const std::string& folder, const ReadFile& read) {
  if (auto head = read(folder + "/.git/HEAD")) return head;
  const auto link = read(folder + "/.git");
  constexpr std::string_view kKey = "gitdir:";
  if (!link || !link->starts_with(kKey)) return std::nullopt;
  std::string place(trimmed(first_line(std::string_view(*link).substr(kKey.size()))));
  if (!place.starts_with('/')) place = folder + '/' + place;
  return read(place + "/HEAD");
}

/// The branch that HEAD names, as a label. The main one has no need of a name.
std::string branch_in(std::string_view head) {
  constexpr std::string_view kKey = "ref: refs/heads/";
  if (!head.starts_with(kKey)) return {};
  std::string branch(trimmed(first_line(head.substr(kKey.size()))));
  if (branch == "main" || branch == "master" || branch == "trunk") return {};
  branch = replace_all(std::move(branch), "/", "-");
  return registry::to_label(branch).value_or("");
}

}  // namespace

std::string name_in_package_json(std::string_view text) {
  const auto value = json::parse(text, json::kBodyBytesMax);
  if (!value) return {};
  const std::string name = json::text_at(*value, "name");
  // "@scope/name"
  return name.starts_with('@') ? name.substr(name.find('/') + 1) : name;
}

std::string name_in_pyproject(std::string_view text) {
  bool right_table = false;
  while (const auto whole = take_line(text)) {
    const std::string_view line = trimmed(*whole);
    if (line.starts_with('[')) {
      const std::string_view table = line.substr(0, line.find('#'));
      right_table = trimmed(table) == "[project]" || trimmed(table) == "[tool.poetry]";
      continue;
    }
    const std::size_t equals = line.find('=');
    if (!right_table || equals == std::string_view::npos) continue;
    if (trimmed(line.substr(0, equals)) != "name") continue;
    const std::string_view value = trimmed(line.substr(equals + 1));
    if (value.size() < 2 || (value[0] != '"' && value[0] != '\'')) continue;
    return std::string(value.substr(1, value.find(value[0], 1) - 1));
  }
  return {};
}

std::string stem_of(const std::string& command) {
  const std::string file = command.substr(command.rfind('/') + 1);
  const std::size_t dot = file.rfind('.');
  return dot == 0 ? file : file.substr(0, dot);
}

Project find_project(const std::string& folder, const std::string& home, const ReadFile& read) {
  Project found;
  std::string at = folder, top = folder;
  for (std::size_t looked = 0; looked < kFoldersMax && at != "/" && at != home; ++looked) {
    if (found.name.empty()) found.name = name_in_files(at, read);
    if (const auto head = head_of(at, read)) {
      found.branch = branch_in(*head);
      top = at;
      break;
    }
    at = parent_of(at);
  }
  // These say nothing about what runs in them.
  const bool nameless = top.empty() || top == "/" || top == home || top == "/tmp";
  if (found.name.empty() && !nameless) found.name = service_label(top.substr(top.rfind('/') + 1));
  return found;
}

}  // namespace outrider::cli::beside
