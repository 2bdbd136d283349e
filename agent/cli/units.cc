// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/units.h"

#include <algorithm>
#include <array>

#include <unistd.h>

#include "agent/cli/tool.h"
#include "agent/process/install_record.h"
#include "base/text.h"
#include "base/text_file.h"

namespace outrider::cli {
namespace {

constexpr const char* kAdministrators = "/etc/systemd/system";
/// systemd.unit(5), "Unit File Load Path"; the generators' have what comes from other formats.
constexpr std::array kUnitFolders = {kAdministrators,
                                     "/run/systemd/system",
                                     "/run/systemd/transient",
                                     "/run/systemd/generator.early",
                                     "/run/systemd/generator",
                                     "/run/systemd/generator.late",
                                     "/usr/local/lib/systemd/system",
                                     "/usr/lib/systemd/system",
                                     "/lib/systemd/system"};
constexpr std::string_view kNamed = "outrider@", kServiceEnding = ".service";

bool has_unit(const std::string& root, const std::string& unit) {
  return std::ranges::any_of(kUnitFolders, [&](const char* folder) {
    const std::string path = under(root, folder) + '/' + unit;
    std::array<char, 2> target{};
    // A link may point to a file that only the host itself has.
    return ::access(path.c_str(), F_OK) == 0 ||
           ::readlink(path.c_str(), target.data(), target.size()) > 0;
  });
}

bool is_masked(const std::string& root, const std::string& unit) {
  constexpr std::string_view kNothing = "/dev/null";
  std::array<char, kNothing.size() + 1> target{};
  const std::string path = under(root, kAdministrators) + '/' + unit;
  const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
  return size > 0 && std::string_view(target.data(), static_cast<std::size_t>(size)) == kNothing;
}

/// What `systemctl enable` has made links for.
std::set<std::string> enabled_units(const std::string& root) {
  std::set<std::string> units;
  for (const char* folder : kUnitFolders) {
    const std::string path = under(root, folder);
    for (const std::string& name : list_folder(path).value_or(std::vector<std::string>())) {
      if (!name.ends_with(".wants") && !name.ends_with(".requires")) continue;
      for (std::string& unit : list_folder(path + '/' + name).value_or(std::vector<std::string>()))
        if (unit.starts_with("outrider") && units.size() < kNamedUnitsMax)
          units.insert(std::move(unit));
    }
  }
  return units;
}

/// "web@.service" of web@1.service.
std::string template_of(const std::string& unit) {
  const std::size_t at = unit.find('@');
  return at == std::string::npos ? unit : unit.substr(0, at + 1) + std::string(kServiceEnding);
}

}  // namespace

std::string served_unit(std::string_view unit) {
  if (!unit.starts_with(kNamed) || !unit.ends_with(kServiceEnding)) return {};
  return std::string(unit.substr(kNamed.size()));
}

HostUnits look_at_units(const std::string& root) {
  HostUnits found;
  found.systemd_runs = is_folder(under(root, "/run/systemd/system"));
  found.exists = has_unit(root, kAgentUnit);
  for (const char* unit : {kAgentUnit, kDnsSocketUnit, kWebSocketUnit})
    if (is_masked(root, unit)) found.masked.insert(unit);
  found.enabled = enabled_units(root);
  for (const std::string& unit : found.enabled)
    if (const std::string served = served_unit(unit);
        !served.empty() && !has_unit(root, served) && !has_unit(root, template_of(served)))
      found.lonely.push_back(unit);
  return found;
}

std::string list_units() {
  return output_of_tool(
      {"systemctl", "list-units", "--plain", "--no-legend", "--no-pager", "--all", "outrider*"});
}

namespace {

struct ListedUnit {
  std::string_view name, load, state, state_of_kind;
};

ListedUnit read_listed(std::string_view line) {
  ListedUnit unit;
  for (std::string_view* word : {&unit.name, &unit.load, &unit.state, &unit.state_of_kind})
    *word = take_word(line);
  return unit;
}

}  // namespace

std::vector<FailedUnit> failed_units(std::string_view listing) {
  std::vector<FailedUnit> failed;
  while (const auto line = take_line(listing)) {
    const ListedUnit unit = read_listed(*line);
    // A unit that waits for its next start after a crash is "activating auto-restart".
    const bool restarts = unit.state_of_kind == "auto-restart";
    if ((unit.state == "failed" || restarts) && failed.size() < kFailedUnitsMax)
      failed.push_back({std::string(unit.name), restarts});
  }
  return failed;
}

std::vector<std::string> running_agents(std::string_view listing) {
  std::vector<std::string> running;
  while (const auto line = take_line(listing)) {
    const ListedUnit unit = read_listed(*line);
    // With a configuration that is refused, questions to port 53 start the agent again and again.
    const bool starts = unit.state_of_kind != "auto-restart" &&
                        (unit.state == "activating" || unit.state == "deactivating");
    if ((unit.state == "active" || starts) && running.size() < kNamedUnitsMax &&
        (unit.name == kAgentUnit || !served_unit(unit.name).empty()))
      running.emplace_back(unit.name);
  }
  return running;
}

namespace {

/// Quoting, and what systemd escapes.
bool is_plain(std::string_view words) {
  return words.find_first_of("\"'\\") == std::string_view::npos;
}

/// Of "{ path=… ; argv[]=/usr/bin/outrider agent --config FILE ; … }".
bool read_arguments(std::string_view start, UnitCommand& out) {
  constexpr std::string_view kBegin = "argv[]=", kEnd = " ; ";
  const std::size_t begin = start.find(kBegin);
  if (begin == std::string_view::npos) return false;
  std::string_view words = start.substr(begin + kBegin.size());
  words = words.substr(0, words.find(kEnd));
  if (!is_plain(words)) return false;
  take_word(words);  // the program
  if (take_word(words) != "agent") return false;
  for (std::string_view word = take_word(words); !word.empty(); word = take_word(words)) {
    const std::size_t equals = word.find('=');
    const std::string_view flag = word.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? take_word(words) : word.substr(equals + 1);
    if (flag != "--config" && flag != "--set") return false;
    (flag == "--set" ? out.sets : out.paths).emplace_back(value);
  }
  return true;
}

}  // namespace

std::optional<UnitCommand> unit_command(std::string_view properties) {
  UnitCommand command;
  bool has_start = false;
  while (auto line = take_line(properties)) {
    const std::size_t equals = std::min(line->find('='), line->size());
    const std::string_view key = line->substr(0, equals);
    std::string_view value = line->substr(std::min(equals + 1, line->size()));
    if (key == "ExecStart") {
      if (has_start || !read_arguments(value, command)) return std::nullopt;
      has_start = true;
    } else if (key == "EnvironmentFiles" && !value.empty()) {
      return std::nullopt;
    } else if (key == "User" && !value.empty()) {
      command.user = value;
    } else if (key == "Environment") {
      if (!is_plain(value)) return std::nullopt;
      for (std::string_view word = take_word(value); !word.empty(); word = take_word(value))
        if (const std::size_t at = word.find('='); at != std::string_view::npos)
          command.environment.emplace_back(word.substr(0, at), word.substr(at + 1));
    }
  }
  return has_start ? std::optional(std::move(command)) : std::nullopt;
}

std::string last_error(std::string_view errors, std::string_view all) {
  std::string_view last;
  // That is what is known: the unit has failed.
  while (const auto line = take_line(errors))
    if (!line->empty() && !line->starts_with("Failed to start ")) last = *line;
  if (last.empty())
    while (const auto line = take_line(all))
      if (line->starts_with("outrider: ")) last = *line;
  if (last.size() <= kReasonBytesMax) return std::string(last);
  std::size_t end = kReasonBytesMax;
  while (end > 0 && (static_cast<unsigned char>(last[end]) & 0xC0U) == 0x80U)
    --end;  // within a character
  return std::string(last.substr(0, end)) + "...";
}

}  // namespace outrider::cli
