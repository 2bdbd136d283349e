// SPDX-License-Identifier: Apache-2.0
#include "agent/process/descendants.h"

#include <string>
#include <string_view>

#include <unistd.h>

#include "base/text.h"
#include "base/text_file.h"

namespace outrider {
namespace {

std::vector<std::string> folder(const std::string& path) {
  return list_folder(path).value_or(std::vector<std::string>());
}

/// Whether a process still runs. One whose first thread has ended looks like a zombie while its
/// other threads go on.
bool is_running(const std::string& pid) {
  const auto stat = read_text_file("/proc/" + pid + "/stat");
  if (!stat) return false;
  // "12 (any name) S 1 …": the name may contain anything. The 18th field after it is the number of
  // threads.
  const std::size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return false;
  std::string_view rest = std::string_view(*stat).substr(name_end + 1);
  const std::string_view state = take_word(rest);
  if (state == "X") return false;
  if (state != "Z") return true;
  for (int field = 0; field < 16; ++field)
    take_word(rest);
  return parse_number<std::uint64_t>(take_word(rest)).value_or(0) > 1;
}

/// The kernel lists the children of each thread.
void add_children(std::int64_t parent, std::vector<std::int64_t>& found) {
  const std::string threads = "/proc/" + std::to_string(parent) + "/task";
  for (const std::string& thread : folder(threads)) {
    const std::string list = read_text_file(threads + '/' + thread + "/children").value_or("");
    std::string_view rest = list;
    for (std::string_view pid = take_word(rest); !pid.empty(); pid = take_word(rest)) {
      if (found.size() > kDescendantsMax) return;
      const auto number = parse_number<std::int64_t>(pid);
      if (number && is_running(std::string(pid))) found.push_back(*number);
    }
  }
}

}  // namespace

std::vector<std::int64_t> descendants() {
  std::vector<std::int64_t> found = {::getpid()};
  for (std::size_t at = 0; at < found.size(); ++at)
    add_children(found[at], found);
  found.erase(found.begin());
  return found;
}

}  // namespace outrider
