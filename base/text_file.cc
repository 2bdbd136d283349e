// SPDX-License-Identifier: Apache-2.0
#include "base/text_file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace outrider {
namespace {

tl::unexpected<std::string> failed(const std::string& path) {
  return failure(path + ": " + std::strerror(errno));
}

/// Up to the end of the file; the error is an errno, EFBIG beyond `bytes_max`.
Result<std::string, int> read_all(int fd, std::size_t bytes_max) {
  std::string text;
  std::array<char, 4'096> piece{};
  while (true) {
    const ssize_t size = ::read(fd, piece.data(), piece.size());
    if (size == 0) return text;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failure(+errno);
    text.append(piece.data(), static_cast<std::size_t>(size));
    if (text.size() > bytes_max) return failure(EFBIG);
  }
}

Result<void, std::string> write_over(const std::string& path, std::string_view text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd < 0) return failed(path);
  const bool written = write_all(fd, text);
  if (::close(fd) != 0 || !written) return failed(path);
  return {};
}

}  // namespace

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t size = ::write(fd, text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(size));
  }
  return true;
}

Result<void, std::string> make_folders(const std::string& path) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string folder = path.substr(0, at);
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return failed(folder);
  }
  return {};
}

Result<std::string, std::string> load_text_file(const std::string& path) {
  // Without waiting: for all but regular files opening means something else.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return failure(std::string(std::strerror(errno)));
  struct stat info {};
  const bool regular = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  auto text = regular ? read_text_of(fd) : failure(std::string("not a regular file"));
  ::close(fd);
  if (S_ISDIR(info.st_mode)) return failure(std::string("a directory, not a file"));
  return text;
}

Result<std::string, std::string> read_text_of(int fd) {
  auto text = read_all(fd, kTextFileBytesMax);
  if (text) return std::move(*text);
  if (text.error() != EFBIG) return failure(std::string(std::strerror(text.error())));
  return failure("longer than " + std::to_string(kTextFileBytesMax >> 10) + " KiB");
}

std::optional<std::string> read_text_file(const std::string& path) {
  auto text = load_text_file(path);
  if (!text) return std::nullopt;
  return std::move(*text);
}

Result<std::string, std::string> read_text_input(const std::string& path, std::size_t bytes_max) {
  const bool is_file = path != "-";
  const int fd = is_file ? ::open(path.c_str(), O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
  if (fd < 0) return failed(path);
  auto text = read_all(fd, bytes_max);
  if (is_file) ::close(fd);
  if (text) return std::move(*text);
  errno = text.error();
  if (errno != EFBIG) return failed(path);
  return failure(path + ": longer than " + std::to_string(bytes_max >> 10) + " KiB");
}

Result<void, std::string> write_text_file(const std::string& path, std::string_view text) {
  if (auto made = make_folders(path); !made) return made;
  struct stat info {};
  const bool replaces = ::stat(path.c_str(), &info) == 0;
  const mode_t mode = replaces ? info.st_mode & 07777 : 0644;
  const std::string draft = path + kDraftEnding;
  remove_draft(path);
  const int fd = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return failed(draft);
  // Before the mode, of which it clears a part. Only root can do it; for other users the file is
  // their own.
  if (replaces && ::fchown(fd, info.st_uid, info.st_gid) != 0) errno = 0;
  const bool good = write_all(fd, text) && ::fchmod(fd, mode) == 0 && ::fsync(fd) == 0;
  if (::close(fd) != 0 || !good) {
    ::unlink(draft.c_str());
    return failed(path);
  }
  if (::rename(draft.c_str(), path.c_str()) == 0) return {};
  const int reason = errno;
  ::unlink(draft.c_str());
  if (reason == EBUSY || reason == EXDEV) return write_over(path, text);
  errno = reason;
  return failed(path);
}

void remove_draft(const std::string& path) {
  ::unlink((path + kDraftEnding).c_str());
}

bool is_folder(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

namespace {

/// errno stays what reading has left.
struct CloseFolder {
  void operator()(DIR* folder) const {
    const int reason = errno;
    ::closedir(folder);
    errno = reason;
  }
};

}  // namespace

std::optional<std::vector<std::string>> list_folder(const std::string& path) {
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(path.c_str()));
  if (folder == nullptr) return std::nullopt;
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* const entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return std::nullopt;
  return names;
}

}  // namespace outrider
