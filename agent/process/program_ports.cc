// SPDX-License-Identifier: Apache-2.0
#include "agent/process/program_ports.h"

#include <set>
#include <string>

#include <unistd.h>

#include "agent/process/descendants.h"
#include "base/text_file.h"
#include "base/uv/sock_diag.h"

namespace outrider {
namespace {

std::vector<std::string> folder(const std::string& path) {
  return list_folder(path).value_or(std::vector<std::string>());
}

/// "socket:[1234]" of every socket that these processes have open.
std::set<std::string> sockets_of(const std::vector<std::int64_t>& pids) {
  std::set<std::string> sockets;
  for (const std::int64_t pid : pids) {
    const std::string fds = "/proc/" + std::to_string(pid) + "/fd";
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
  const std::vector<std::int64_t> pids = descendants();
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
