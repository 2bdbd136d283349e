// SPDX-License-Identifier: Apache-2.0
#include "agent/port_holder.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace outrider {
namespace {

namespace fs = std::filesystem;

/// "0100007F:14FA" of /proc/net/udp: words in host order, each of four octets.
bool matches(const std::string& local, const Endpoint& wanted) {
  const std::size_t colon = local.find(':');
  if (colon == std::string::npos) return false;
  unsigned port = 0;
  std::from_chars(local.data() + colon + 1, local.data() + local.size(), port, 16);
  if (port != wanted.port) return false;
  const Bytes bytes = wanted.address.bytes();
  if (colon != 2 * bytes.size()) return false;
  const bool wildcard =
      local.find_first_not_of('0') >= colon;  // it has our address among all others
  std::string text;
  for (std::size_t word = 0; word < bytes.size(); word += 4)
    for (std::size_t i = 4; i-- > 0;) {
      constexpr char kDigits[] = "0123456789ABCDEF";
      text += kDigits[bytes[word + i] >> 4];
      text += kDigits[bytes[word + i] & 15];
    }
  return wildcard || local.compare(0, colon, text) == 0;
}

std::string find_inode(const Endpoint& endpoint) {
  const char* const v4[] = {"/proc/net/udp", "/proc/net/tcp"};
  const char* const v6[] = {"/proc/net/udp6", "/proc/net/tcp6"};
  for (const char* path : endpoint.address.is_v4() ? v4 : v6) {
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);  // the heading
    while (std::getline(in, line)) {
      std::istringstream fields(line);
      std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
      fields >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >>
          timeout >> inode;
      // TCP: only a listener (0A) keeps others from listening.
      const bool listening =
          std::string_view(path).find("tcp") == std::string_view::npos || state == "0A";
      if (listening && matches(local, endpoint) && inode != "0") return inode;
    }
  }
  return {};
}

std::string name_of(const fs::path& process) {
  std::string name;
  std::ifstream in(process / "comm");
  std::getline(in, name);
  return name + " (pid " + process.filename().string() + ')';
}

}  // namespace

std::string port_holder(const Endpoint& endpoint) {
  const std::string inode = find_inode(endpoint);
  if (inode.empty()) return {};
  const std::string wanted = "socket:[" + inode + ']';
  std::error_code error;
  for (auto process = fs::directory_iterator("/proc", error);
       !error && process != fs::directory_iterator(); process.increment(error)) {
    const std::string pid = process->path().filename().string();
    if (!std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    std::error_code hidden;
    for (auto fd = fs::directory_iterator(process->path() / "fd", hidden);
         !hidden && fd != fs::directory_iterator(); fd.increment(hidden)) {
      std::error_code gone;
      if (fs::read_symlink(fd->path(), gone).string() == wanted) return name_of(process->path());
    }
  }
  return "a process of another user";
}

}  // namespace outrider
