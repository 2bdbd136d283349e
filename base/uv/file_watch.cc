// SPDX-License-Identifier: Apache-2.0
// A file is watched through its directory: an editor, a package manager and a Kubernetes volume all
// replace files by renaming, which a watch of the file itself loses sight of. Watching a directory
// tells of everything in it.
#include <string_view>
#include <tuple>

#include <sys/stat.h>

#include "base/uv/state.h"

namespace outrider::uv {
namespace {

/// How often a directory that is not there is looked for.
constexpr Duration kDirectoryRetry = std::chrono::seconds(5);

/// Differs when the file was replaced or written, also behind a symbolic link.
using Fingerprint = std::tuple<dev_t, ino_t, off_t, time_t, long, time_t, long>;

Fingerprint fingerprint(const std::string& path) {
  struct stat file {};
  if (::stat(path.c_str(), &file) != 0) return {};
  return {file.st_dev,          file.st_ino,         file.st_size,        file.st_mtim.tv_sec,
          file.st_mtim.tv_nsec, file.st_ctim.tv_sec, file.st_ctim.tv_nsec};
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
  }

 private:
  void watch_directory() {
    handle_.close();
    inode_ = directory_inode(directory_);
    const auto init = [](uv_loop_t* uv, uv_fs_event_t* event) {
      return uv_fs_event_init(uv, event);
    };
    handle_.open(*loop_.core, *this, init);
    const auto on_event = [](uv_fs_event_t* event, const char* name, int, int) {
      if (auto* watch = Handle<uv_fs_event_t, FileWatch>::owner(event)) watch->on_event(name);
    };
    if (inode_ && uv_fs_event_start(handle_.get(), on_event, directory_.c_str(), 0) == 0) return;
    inode_.reset();
    handle_.close();
    look_after(kDirectoryRetry);
  }

  void on_event(const char* name) {
    if (is_directory_ || name == nullptr || name_ == name) certain_ = true;
    if (!look_.pending()) look_after(Duration::zero());
  }

  void look_after(Duration delay) {
    look_ = loop_.timers.at(loop_.clock.now() + delay, [this] { look(); });
  }

  void look() {
    // The directory itself may have come, gone, or been replaced.
    if (!inode_ || directory_inode(directory_) != inode_) watch_directory();
    const Fingerprint now = fingerprint(path_);
    const bool changed = std::exchange(certain_, false) || now != seen_;
    seen_ = now;
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
  Handle<uv_fs_event_t, FileWatch> handle_;
};

}  // namespace

std::unique_ptr<Pending> Loop::watch_file(const std::string& path, Callback<void()> callback) {
  return std::make_unique<FileWatch>(*state_, path, std::move(callback));
}

}  // namespace outrider::uv
