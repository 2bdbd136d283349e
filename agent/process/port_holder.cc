// SPDX-License-Identifier: Apache-2.0
#include "agent/process/port_holder.h"

#include <algorithm>
#include <charconv>
#include <span>

#include <unistd.h>

#include "base/text.h"
#include "base/text_file.h"

namespace outrider {
namespace {

/// "0100007F:14FA" of /proc/net/udp: words in host order, each of four octets. The IPv6 wildcard
/// also holds a port of IPv4, as programs do that listen on all addresses with one socket.
bool matches(std::string_view local, const Endpoint& wanted) {
  const std::size_t colon = local.find(':');
  if (colon == std::string::npos) return false;
  unsigned port = 0;
  std::from_chars(local.data() + colon + 1, local.data() + local.size(), port, 16);
  if (port != wanted.port) return false;
  const Bytes bytes = wanted.address.bytes();
  const bool wildcard =
      local.find_first_not_of('0') >= colon;  // it has our address among all others
  if (colon != 2 * bytes.size()) return wildcard && wanted.address.is_v4();
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
  constexpr const char* kTables[] = {"/proc/net/udp", "/proc/net/tcp", "/proc/net/udp6",
                                     "/proc/net/tcp6"};
  const std::size_t first = endpoint.address.is_v4() ? 0 : 2;
  for (const char* const path : std::span(kTables).subspan(first)) {
    const std::string table = read_text_file(path).value_or("");
    std::string_view rest = table;
    take_line(rest);  // the heading
    while (auto line = take_line(rest)) {
      // slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode
      std::string_view fields[10];
      for (std::string_view& field : fields)
        field = take_word(*line);
      const std::string_view local = fields[1], state = fields[3], inode = fields[9];
      // TCP: only a listener (0A) keeps others from listening.
      const bool listening =
          std::string_view(path).find("tcp") == std::string_view::npos || state == "0A";
      if (listening && matches(local, endpoint) && inode != "0" && !inode.empty())
        return std::string(inode);
    }
  }
  return {};
}

std::string name_of(const std::string& pid) {
  const std::string comm = read_text_file("/proc/" + pid + "/comm").value_or("");
  return comm.substr(0, comm.find('\n')) + " (pid " + pid + ')';
}

/// Where a symbolic link of /proc points; nothing if it is hidden or gone.
std::string target_of(const std::string& link) {
  char target[64];
  const ssize_t size = ::readlink(link.c_str(), target, sizeof target);
  return size < 0 ? std::string() : std::string(target, static_cast<std::size_t>(size));
}

}  // namespace

std::string port_holder(const Endpoint& endpoint) {
  const std::string inode = find_inode(endpoint);
  if (inode.empty()) return {};
  const std::string wanted = "socket:[" + inode + ']';
  for (const std::string& pid : list_folder("/proc").value_or(std::vector<std::string>())) {
    if (!std::all_of(pid.begin(), pid.end(), [](char c) { return c >= '0' && c <= '9'; })) continue;
    const std::string folder = "/proc/" + pid + "/fd";
    for (const std::string& fd : list_folder(folder).value_or(std::vector<std::string>()))
      if (target_of(folder + '/' + fd) == wanted) return name_of(pid);
  }
  return "a process of another user";
}

}  // namespace outrider
