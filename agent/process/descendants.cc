// SPDX-License-Identifier: Apache-2.0
#include "agent/process/descendants.h"

#include <map>
#include <string>

#include <unistd.h>

#include "base/text.h"
#include "base/text_file.h"

namespace outrider {
namespace {

/// The parent of a process that is no zombie; nothing if there is no such process.
std::optional<std::int64_t> parent_of(const std::string& pid) {
  const auto stat = read_text_file("/proc/" + pid + "/stat");
  if (!stat) return std::nullopt;
  // "12 (any name) S 1 …": the name may contain anything.
  const std::size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(*stat).substr(name_end + 1);
  const std::string_view state = take_word(rest);
  if (state == "Z" || state == "X") return std::nullopt;
  return parse_number<std::int64_t>(take_word(rest));
}

}  // namespace

std::vector<std::int64_t> descendants() {
  std::multimap<std::int64_t, std::int64_t> children;
  for (const std::string& name : list_folder("/proc").value_or(std::vector<std::string>())) {
    const auto pid = parse_number<std::int64_t>(name);
    if (!pid) continue;
    if (const auto parent = parent_of(name)) children.emplace(*parent, *pid);
  }
  std::vector<std::int64_t> found = {::getpid()};
  for (std::size_t at = 0; at < found.size(); ++at) {
    const auto [first, last] = children.equal_range(found[at]);
    for (auto child = first; child != last && found.size() <= kDescendantsMax; ++child)
      found.push_back(child->second);
  }
  found.erase(found.begin());
  return found;
}

}  // namespace outrider
