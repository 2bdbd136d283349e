// SPDX-License-Identifier: Apache-2.0
#include "agent/process/token_file.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace outrider {
namespace {

/// A file that is not trusted is removed, and another process may put a new one there.
constexpr int kTriesMax = 4;

bool write_whole(const std::string& path, const std::string& text) {
  ::unlink(path.c_str());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return false;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  return ::close(fd) == 0 && written;
}

}  // namespace

namespace {

struct Found {
  std::string token;      // empty: there is none that is trusted
  bool too_long = false;  // of its owner, who means it: it is neither used nor replaced
};

Found look_at_token(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return {};
  struct stat info {};
  std::array<char, kTokenBytesMax + 2> text{};  // with a line's end, and one that is too many
  ssize_t size = 0;
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == ::geteuid() &&
      (info.st_mode & 07) == 0) {
    size = ::read(fd, text.data(), text.size());
  }
  ::close(fd);
  std::string token(text.data(), static_cast<std::size_t>(std::max<ssize_t>(0, size)));
  while (!token.empty() && token.back() == '\n')
    token.pop_back();
  if (token.size() > kTokenBytesMax) return {.token = {}, .too_long = true};
  return {token.size() >= kTokenBytesMin ? token : std::string()};
}

}  // namespace

std::string read_token(const std::string& path) {
  return look_at_token(path).token;
}

std::string make_token(Random& random) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string token;
  while (token.size() < kTokenBytesMin)
    token += kHex[random.below(16)];
  return token;
}

TokenFile settle_token(const std::string& path, const std::string& wanted) {
  // Written whole under a name of its own, and then linked, which fails if there is one already.
  const std::string draft = path + '-' + std::to_string(::getpid());
  TokenFile settled;
  for (int i = 0; i < kTriesMax; ++i) {
    Found found = look_at_token(path);
    settled.token = std::move(found.token);
    if (!settled.token.empty() || found.too_long || !write_whole(draft, wanted + '\n')) break;
    if (::link(draft.c_str(), path.c_str()) == 0) {
      settled = {wanted, true};
      break;
    }
    if (errno != EEXIST) break;
    settled.token = read_token(path);  // of an agent that was faster
    if (!settled.token.empty()) break;
    ::unlink(path.c_str());
  }
  ::unlink(draft.c_str());
  return settled;
}

}  // namespace outrider
