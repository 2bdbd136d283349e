// SPDX-License-Identifier: Apache-2.0
#include "agent/process/sibling_sockets.h"

#include <map>
#include <set>

#include "agent/process/runtime_dir.h"
#include "base/text_file.h"

namespace outrider {
namespace {

/// The folder itself, or the nearest one above it that exists: where it would appear.
std::string nearest_folder(std::string path) {
  while (path.size() > 1 && !is_folder(path)) {
    const std::size_t slash = path.rfind('/');
    path = slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
  }
  return path;
}

class SocketWatch final : public Pending {
 public:
  SocketWatch(uv::Loop& loop, std::string dir, std::function<void()> changed)
      : loop_(loop), dir_(std::move(dir)), changed_(std::move(changed)) {
    refresh();
  }

 private:
  /// Folders come and go, too.
  void refresh() {
    const std::set<std::string> wanted = folders_to_watch(dir_, kSystemRuntimeDir);
    std::erase_if(watches_, [&](const auto& watch) { return !wanted.contains(watch.first); });
    for (const std::string& path : wanted)
      if (auto& watch = watches_[path]; !watch)
        watch = loop_.watch_file(path, [this] { on_change(); });
  }
  /// The new folders are watched before anyone looks, so that nothing is missed in between. The
  /// watch that has called may be gone after refresh().
  void on_change() {
    refresh();
    changed_();
  }

  uv::Loop& loop_;
  std::string dir_;
  std::function<void()> changed_;
  std::map<std::string, std::unique_ptr<Pending>> watches_;  // by folder
};

}  // namespace

std::set<std::string> folders_to_watch(const std::string& own_dir, const std::string& system_dir) {
  std::set<std::string> folders = {nearest_folder(own_dir), nearest_folder(system_dir)};
  // /run/outrider/NAME: agents that systemd runs as outrider@NAME.
  for (const std::string& name : list_folder(system_dir).value_or(std::vector<std::string>())) {
    const std::string path = system_dir + '/' + name;
    if (folders.size() < kSocketFoldersMax && is_folder(path)) folders.insert(path);
  }
  return folders;
}

registries::SiblingSockets sibling_sockets(uv::Loop& loop, const std::string& runtime_dir,
                                           MakeRuntimeDir make) {
  registries::SiblingSockets sockets;
  sockets.list = [runtime_dir] { return look_for_sockets(runtime_dir, kSystemRuntimeDir).sockets; };
  sockets.watch = [&loop, runtime_dir,
                   make](std::function<void()> changed) -> std::unique_ptr<Pending> {
    if (make == MakeRuntimeDir::yes) (void)make_runtime_dir(runtime_dir);
    return std::make_unique<SocketWatch>(loop, runtime_dir, std::move(changed));
  };
  return sockets;
}

}  // namespace outrider
