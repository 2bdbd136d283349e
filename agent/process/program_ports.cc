// SPDX-License-Identifier: Apache-2.0
#include "agent/process/program_ports.h"

#include <set>
#include <string>

#include <unistd.h>

#include "base/text.h"
#include "base/text_file.h"
#include "base/uv/sock_diag.h"

namespace outrider {
namespace {

std::vector<std::string> folder(const std::string& path) {
  return list_folder(path).value_or(std::vector<std::string>());
}

std::vector<std::string> descendants() {
  std::vector<std::string> found = {"self"};
  for (std::size_t at = 0; at < found.size(); ++at) {
    const std::string tasks = "/proc/" + found[at] + "/task/";
    for (const std::string& task : folder(tasks)) {
      const std::string children = read_text_file(tasks + task + "/children").value_or("");
      std::string_view rest = children;
      for (auto pid = take_word(rest); !pid.empty(); pid = take_word(rest))
        if (found.size() <= kDescendantsMax) found.emplace_back(pid);
    }
  }
  found.erase(found.begin());
  return found;
}

/// "socket:[1234]" of every socket that these processes have open.
std::set<std::string> sockets_of(const std::vector<std::string>& pids) {
  std::set<std::string> sockets;
  for (const std::string& pid : pids) {
    const std::string fds = "/proc/" + pid + "/fd";
    for (const std::string& fd : folder(fds)) {
      char target[64];
      const ssize_t size = ::readlink((fds + '/' + fd).c_str(), target, sizeof target);
      if (size > 0) sockets.emplace(target, static_cast<std::size_t>(size));
    }
  }
  return sockets;
}

}  // namespace

std::vector<std::uint16_t> program_ports() {
  const std::vector<std::string> pids = descendants();
  if (pids.empty()) return {};
  const auto listeners = uv::list_listeners();
  if (!listeners) return {};
  const std::set<std::string> sockets = sockets_of(pids);
  std::set<std::uint16_t> ports;
  for (const uv::TcpListener& listener : *listeners)
    if (sockets.contains("socket:[" + std::to_string(listener.inode) + ']'))
      ports.insert(listener.local.port);
  return {ports.begin(), ports.end()};
}

}  // namespace outrider
