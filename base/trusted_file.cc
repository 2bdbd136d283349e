// SPDX-License-Identifier: Apache-2.0
#include "base/trusted_file.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text_file.h"

namespace outrider {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

std::string name_in_folder(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::string reason_of_system(const std::string& path) {
  return path + ": " + std::strerror(errno);
}

std::string not_trusted(const std::string& path, const std::string& why) {
  return path + " is not trusted: it " + why;
}

std::optional<std::string> why_file_distrusted(const struct stat& info) {
  if (!S_ISREG(info.st_mode)) return "is not a regular file";
  if (info.st_nlink != 1) return "has several names (hard links)";
  return why_distrusted(info);
}

}  // namespace

std::optional<std::string> why_distrusted(const struct stat& info) {
  if (info.st_uid != 0 && info.st_uid != ::geteuid())
    return "belongs to the user with id " + std::to_string(info.st_uid);
  if ((info.st_mode & S_IWOTH) != 0) return "is writable for all users";
  if ((info.st_mode & S_IWGRP) != 0) return "is writable for its group";
  return std::nullopt;
}

std::optional<std::string> why_folder_distrusted(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return std::nullopt;
  if (S_ISLNK(info.st_mode)) return "is a symbolic link";
  if (!S_ISDIR(info.st_mode)) return "is not a directory";
  return why_distrusted(info);
}

Result<std::optional<std::string>, std::string> load_trusted_file(const std::string& path,
                                                                  InFolder in_folder) {
  const std::string folder_path = folder_of(path);
  if (in_folder == InFolder::trusted)
    if (const auto why = why_folder_distrusted(folder_path))
      return failure(not_trusted(folder_path, *why));
  const int follow = in_folder == InFolder::trusted ? O_NOFOLLOW : 0;
  const Descriptor folder(::open(folder_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | follow));
  if (!folder.is_open() && (errno == ENOENT || errno == ENOTDIR))
    return std::optional<std::string>();
  if (!folder.is_open()) return failure(reason_of_system(folder_path));
  struct stat info {};
  // Once more: another one may have taken its place.
  if (in_folder == InFolder::trusted && (::fstat(folder.get(), &info) != 0 || why_distrusted(info)))
    return failure(not_trusted(folder_path, "was replaced"));
  // Without waiting: opening a FIFO means something else.
  const Descriptor file(::openat(folder.get(), name_in_folder(path).c_str(),
                                 O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file.is_open() && errno == ENOENT) return std::optional<std::string>();
  if (!file.is_open() && errno == ELOOP) return failure(not_trusted(path, "is a symbolic link"));
  if (!file.is_open() && errno == ENXIO) return failure(not_trusted(path, "is not a regular file"));
  if (!file.is_open() || ::fstat(file.get(), &info) != 0) return failure(reason_of_system(path));
  if (const auto why = why_file_distrusted(info)) return failure(not_trusted(path, *why));
  auto text = read_text_of(file.get());
  if (!text) return failure(path + ": " + text.error());
  return std::optional(std::move(*text));
}

Result<void, std::string> write_trusted_file(const std::string& path, std::string_view text) {
  const std::string folder_path = folder_of(path), name = name_in_folder(path);
  if (auto made = make_folders(path); !made) return made;
  if (const auto why = why_folder_distrusted(folder_path))
    return failure(not_trusted(folder_path, *why));
  const Descriptor folder(
      ::open(folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!folder.is_open() || ::fstat(folder.get(), &info) != 0)
    return failure(reason_of_system(folder_path));
  if (why_distrusted(info)) return failure(not_trusted(folder_path, "was replaced"));
  // Whatever the umask says: users of the file are not all of this user's.
  if ((info.st_mode & 07777) != 0755 && ::fchmod(folder.get(), 0755) != 0)
    return failure(reason_of_system(folder_path));
  const std::string draft = name + kDraftEnding;
  ::unlinkat(folder.get(), draft.c_str(), 0);
  const Descriptor file(::openat(folder.get(), draft.c_str(),
                                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.is_open()) return failure(reason_of_system(path));
  if (write_all(file.get(), text) && ::fchmod(file.get(), 0644) == 0 && ::fsync(file.get()) == 0 &&
      ::renameat(folder.get(), draft.c_str(), folder.get(), name.c_str()) == 0)
    return {};
  std::string reason = reason_of_system(path);
  ::unlinkat(folder.get(), draft.c_str(), 0);
  return failure(std::move(reason));
}

}  // namespace outrider
