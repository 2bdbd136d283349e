// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/keyboard.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/cli/run/terminal.h"
#include "base/text.h"
#include "base/text_file.h"

namespace outrider::cli::beside {
namespace {

/// The call that a thread waits in, as /proc/PID/task/TID/syscall has it (proc(5)).
struct Call {
  long number = -1;
  std::array<std::uint64_t, 2> arguments{};
};

std::optional<std::uint64_t> parse_hexadecimal(std::string_view text) {
  if (text.starts_with("0x")) text.remove_prefix(2);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// Nothing for a thread that runs.
std::optional<Call> read_call(const std::string& thread) {
  const auto text = read_text_file(thread + "/syscall");
  if (!text) return std::nullopt;
  std::string_view rest = first_line(*text);
  const auto number = parse_number<long>(take_word(rest));
  if (!number) return std::nullopt;
  Call call{.number = *number, .arguments = {}};
  for (std::uint64_t& argument : call.arguments) {
    const auto value = parse_hexadecimal(take_word(rest));
    if (!value) return std::nullopt;
    argument = *value;
  }
  return call;
}

/// Of one process: which of its descriptors are the terminal.
class Reader {
 public:
  Reader(std::int64_t pid, dev_t terminal)
      : folder_("/proc/" + std::to_string(pid)), terminal_(terminal) {}

  bool waits() const {
    for (const std::string& thread :
         list_folder(folder_ + "/task").value_or(std::vector<std::string>()))
      if (const auto call = read_call(folder_ + "/task/" + thread); call && waits_in(*call))
        return true;
    return false;
  }

 private:
  bool waits_in(const Call& call) const {
    const auto [first, second] = call.arguments;
    switch (call.number) {
      case SYS_read:
      case SYS_readv:
        return is_terminal(first);
#ifdef SYS_poll
      case SYS_poll:
#endif
      case SYS_ppoll:
        return polls(first, second);
#ifdef SYS_select
      case SYS_select:
#endif
      case SYS_pselect6:
        return selects(first, second);
#ifdef SYS_epoll_wait
      case SYS_epoll_wait:
#endif
      case SYS_epoll_pwait:
#ifdef SYS_epoll_pwait2
      case SYS_epoll_pwait2:
#endif
        return has_in_epoll(first);
      default:  // an open set: any other call
        return false;
    }
  }

  bool is_terminal(std::uint64_t fd) const {
    struct stat file {};
    const std::string path = folder_ + "/fd/" + std::to_string(fd);
    if (::stat(path.c_str(), &file) != 0 || !S_ISCHR(file.st_mode)) return false;
    const dev_t controlling = makedev(5, 0);  // /dev/tty
    return file.st_rdev == terminal_ || file.st_rdev == controlling;
  }

  template <class Item>
  std::vector<Item> items_at(std::uint64_t address, std::uint64_t count) const {
    const std::string path = folder_ + "/mem";
    const Descriptor memory(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::vector<Item> items(std::min<std::uint64_t>(count, kPolledMax));
    const ssize_t size = ::pread(memory.get(), items.data(), items.size() * sizeof(Item),
                                 static_cast<off_t>(address));
    items.resize(size < 0 ? 0 : static_cast<std::size_t>(size) / sizeof(Item));
    return items;
  }

  bool polls(std::uint64_t address, std::uint64_t count) const {
    return std::ranges::any_of(items_at<pollfd>(address, count), [this](const pollfd& item) {
      return item.fd >= 0 && (item.events & POLLIN) != 0 &&
             is_terminal(static_cast<std::uint64_t>(item.fd));
    });
  }

  /// A set of descriptors is one of bits.
  bool selects(std::uint64_t count, std::uint64_t address) const {
    if (address == 0) return false;
    const auto octets =
        items_at<unsigned char>(address, (std::min<std::uint64_t>(count, kPolledMax) + 7) / 8);
    for (std::size_t fd = 0; fd < octets.size() * 8; ++fd)
      if ((octets[fd / 8] >> (fd % 8) & 1) != 0 && is_terminal(fd)) return true;
    return false;
  }

  /// "tfd:        0 events:       19 data: …" for each of its descriptors.
  bool has_in_epoll(std::uint64_t fd) const {
    const auto text = read_text_file(folder_ + "/fdinfo/" + std::to_string(fd));
    std::string_view rest = text ? std::string_view(*text) : std::string_view();
    while (auto line = take_line(rest)) {
      if (take_word(*line) != "tfd:") continue;
      const auto target = parse_number<std::uint64_t>(take_word(*line));
      take_word(*line);
      const auto events = parse_hexadecimal(take_word(*line));
      if (target && events && (*events & EPOLLIN) != 0 && is_terminal(*target)) return true;
    }
    return false;
  }

  std::string folder_;
  dev_t terminal_;
};

}  // namespace

bool waits_for_input(std::span<const std::int64_t> processes, int terminal) {
  struct stat file {};
  if (::fstat(terminal, &file) != 0 || !S_ISCHR(file.st_mode)) return false;
  return std::ranges::any_of(processes,
                             [&](std::int64_t pid) { return Reader(pid, file.st_rdev).waits(); });
}

}  // namespace outrider::cli::beside
