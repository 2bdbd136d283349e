// SPDX-License-Identifier: Apache-2.0
// A file is watched through its directory: an editor, a package manager and a Kubernetes volume all
// replace files by renaming, which a watch of the file itself does not see. Watching a directory
// reports everything in it, except writes through another name of the same file. That is how Docker
// and Podman change the /etc/resolv.conf that they have mounted into a container: so the file
// itself is watched as well, while it is the same one. Where a symbolic link is on the way, to the
// file or to one of its directories, the directory of the link is watched, and the directory of the
// file that it leads to.
#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/uv/state.h"

namespace outrider::uv {
namespace {

/// How often a missing directory is looked for.
constexpr Duration kDirectoryRetry = std::chrono::seconds(5);
/// From an event to reading the file: most writers truncate it first, and the state in between is
/// of no use.
constexpr Duration kSettle = std::chrono::milliseconds(20);

/// Differs when the file was replaced or written, also behind a symbolic link.
using Fingerprint = std::tuple<dev_t, ino_t, off_t, time_t, long, time_t, long>;

Fingerprint fingerprint(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) return {};
  return {file.st_dev,          file.st_ino,         file.st_size,        file.st_mtim.tv_sec,
          file.st_mtim.tv_nsec, file.st_ctim.tv_sec, file.st_ctim.tv_nsec};
}

/// Which file it is.
std::pair<dev_t, ino_t> identity(const Fingerprint& file) {
  return {std::get<0>(file), std::get<1>(file)};
}

std::optional<ino_t> directory_inode(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0 || !S_ISDIR(file.st_mode)) return std::nullopt;
  return file.st_ino;
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

/// Symbolic links that are followed, as the kernel does.
constexpr int kLinksMax = 40;
/// Directories that are watched because of links.
constexpr std::size_t kLinkFoldersMax = 16;

/// The target of a symbolic link; empty if it is none.
std::string link_target(const std::string& path) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), target, sizeof target);
  return size < 0 ? std::string() : std::string(target, static_cast<std::size_t>(size));
}

/// The directories of all symbolic links on the way to a file, and the one where the way ends;
/// nothing if there are no links.
std::set<std::string> link_folders(const std::string& path) {
  std::set<std::string> folders;
  std::string at = path.starts_with('/') ? "/" : ".";
  std::string rest = path;
  int links = 0;
  while (!rest.empty()) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const std::string name = rest.substr(0, slash);
    rest.erase(0, std::min(slash + 1, rest.size()));
    if (name.empty() || name == ".") continue;
    const std::string next = at == "/" ? at + name : at + '/' + name;
    const std::string target = name == ".." ? std::string() : link_target(next);
    if (target.empty()) {
      if (rest.empty() && links > 0) folders.insert(at);
      at = next;
      continue;
    }
    if (++links > kLinksMax) break;
    folders.insert(at);
    rest = target + '/' + rest;
    if (target.starts_with('/')) at = "/";
  }
  while (folders.size() > kLinkFoldersMax)
    folders.erase(folders.begin());
  return folders;
}

class FileWatch final : public Pending {
 public:
  FileWatch(Loop::State& loop, const std::string& path, Callback<void()> callback)
      : loop_(loop),
        path_(path),
        is_directory_(directory_inode(path).has_value()),
        directory_(is_directory_ ? path : parent_of(path)),
        name_(path.substr(path.rfind('/') + 1)),
        callback_(std::move(callback)),
        seen_(fingerprint(path)) {
    watch_directory();
    watch_links();
    watch_file();
  }

 private:
  using EventHandle = Handle<uv_fs_event_t, FileWatch>;

  bool start(EventHandle& handle, const std::string& path) {
    const auto init = [](uv_loop_t* uv, uv_fs_event_t* event) {
      return uv_fs_event_init(uv, event);
    };
    handle.open(*loop_.core, *this, init);
    const auto on_event = [](uv_fs_event_t* event, const char* name, int, int) {
      EventHandle::with_owner(event, [name](FileWatch& watch) { watch.on_event(name); });
    };
    if (uv_fs_event_start(handle.get(), on_event, path.c_str(), 0) == 0) return true;
    handle.close();
    return false;
  }

  void watch_directory() {
    directory_handle_.close();
    inode_ = directory_inode(directory_);
    if (inode_ && start(directory_handle_, directory_)) return;
    inode_.reset();
    look_after(kDirectoryRetry);
  }

  /// Best effort, too: what matters for most files is their own directory.
  void watch_links() {
    std::set<std::string> wanted = link_folders(path_);
    wanted.erase(directory_);
    std::erase_if(link_handles_, [&](const auto& each) { return !wanted.contains(each.first); });
    for (const std::string& folder : wanted) {
      const auto [place, fresh] = link_handles_.try_emplace(folder);
      if (!fresh || start(place->second, folder)) continue;
      link_handles_.erase(place);
      if (!look_.pending()) look_after(kDirectoryRetry);
    }
  }

  /// Best effort: changes under the file's own name are reported by its directory as well.
  void watch_file() {
    file_handle_.close();
    if (!is_directory_ && seen_ != Fingerprint()) start(file_handle_, path_);
  }

  void on_event(const char* name) {
    if (is_directory_ || name == nullptr || name_ == name) certain_ = true;
    if (!look_.pending()) look_after(kSettle);
  }

  void look_after(Duration delay) {
    look_ = loop_.timers.at(loop_.clock.now() + delay, [this] { look(); });
  }

  void look() {
    // The directory itself may have come, gone, or been replaced.
    if (!inode_ || directory_inode(directory_) != inode_) watch_directory();
    watch_links();
    const Fingerprint now = fingerprint(path_);
    const bool changed = std::exchange(certain_, false) || now != seen_;
    const bool another = identity(now) != identity(seen_);
    seen_ = now;
    if (another) watch_file();
    if (!changed) return;
    call_member(life_, callback_);
  }

  Loop::State& loop_;
  const std::string path_;
  const bool is_directory_;
  const std::string directory_;
  const std::string name_;
  Callback<void()> callback_;
  Fingerprint seen_;
  std::optional<ino_t> inode_;  // of the directory that is watched
  bool certain_ = false;        // an event named the file
  Timer look_;
  Life life_;
  EventHandle directory_handle_;
  std::map<std::string, EventHandle> link_handles_;  // by directory
  EventHandle file_handle_;
};

}  // namespace

std::unique_ptr<Pending> Loop::watch_file(const std::string& path, Callback<void()> callback) {
  return std::make_unique<FileWatch>(*state_, path, std::move(callback));
}

}  // namespace outrider::uv
