// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/units.h"

#include <algorithm>
#include <array>

#include <unistd.h>

#include "agent/cli/tool.h"
#include "agent/process/install_record.h"
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

std::vector<FailedUnit> failed_units(std::string_view listing) {
  std::vector<FailedUnit> failed;
  while (!listing.empty() && failed.size() < kFailedUnitsMax) {
    const std::size_t end = std::min(listing.find('\n'), listing.size());
    const std::string_view line = listing.substr(0, end);
    listing.remove_prefix(std::min(end + 1, listing.size()));
    std::array<std::string_view, 4> words;  // name, load state, state, state of its kind
    std::size_t at = 0;
    for (std::string_view& word : words) {
      const std::size_t begin = std::min(line.find_first_not_of(' ', at), line.size());
      at = std::min(line.find(' ', begin), line.size());
      word = line.substr(begin, at - begin);
    }
    // A unit that waits for its next start after a crash is "activating auto-restart".
    if (words[2] == "failed" || words[3] == "auto-restart")
      failed.push_back({std::string(words[0]), words[3] == "auto-restart"});
  }
  return failed;
}

std::vector<FailedUnit> failed_units_of_host() {
  return failed_units(output_of_tool(
      {"systemctl", "list-units", "--plain", "--no-legend", "--no-pager", "--all", "outrider*"}));
}

}  // namespace outrider::cli
