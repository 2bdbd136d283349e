// SPDX-License-Identifier: Apache-2.0
#include "base/module.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/trusted_file.h"

namespace outrider {
namespace {

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

/// Of the shared library that this code is in; empty if it is in the program itself.
std::string folder_of_library() {
  Dl_info here{}, program{};
  const auto* entry = static_cast<const char*>(nullptr) + ::getauxval(AT_ENTRY);
  if (dladdr(&kModuleBuild, &here) == 0 || dladdr(entry, &program) == 0) return {};
  return here.dli_fbase == program.dli_fbase ? std::string() : folder_of(here.dli_fname);
}

std::string folder_of_program() {
  std::array<char, 4'096> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return ".";
  return folder_of({path.data(), static_cast<std::size_t>(length)});
}

/// The folders of a build tree that may have it: those of `roots` that are one. What is installed
/// has none above it.
void add_build_tree(std::initializer_list<std::string> roots, const std::string& folder,
                    std::vector<std::string>& out) {
  for (const std::string& root : roots)
    if (access((root + "/build.ninja").c_str(), F_OK) == 0) out.push_back(root + '/' + folder);
}

std::vector<std::string> search_path(const std::string& folder) {
  // The environment belongs to the host program.
  if (const std::string here = folder_of_library(); !here.empty()) {
    std::vector<std::string> path = {here + "/outrider", OUTRIDER_MODULE_DIR};
    add_build_tree({here + "/../.."}, folder, path);
    return path;
  }
  // Ignored in programs that have more privileges than the user who started them.
  if (const char* path = secure_getenv("OUTRIDER_MODULE_PATH")) return {path};
  const std::string here = folder_of_program();
  std::vector<std::string> path = {here + "/../lib/outrider", OUTRIDER_MODULE_DIR};
  add_build_tree({here + "/..", here + "/../..", here + "/../../.."}, folder, path);
  return path;
}

enum class Step : std::uint8_t { file, folder, above };

/// Why another user could have made this step of a module's path, or could change it.
std::optional<std::string> why_step_distrusted(const std::string& path, Step step) {
  struct stat info {
  }, program{};
  if (lstat(path.c_str(), &info) != 0) return std::strerror(errno);
  // Its owner decides what runs here in any case. Where a namespace does not show root's id, it is
  // that of both.
  const bool of_program = stat("/proc/self/exe", &program) == 0 && info.st_uid == program.st_uid;
  if (of_program) info.st_uid = geteuid();
  // A group that has one user, who makes files with umask 002; folders above it, as /usr/local, are
  // left to groups by the administrator.
  if (info.st_gid == info.st_uid || step == Step::above)
    info.st_mode &= ~static_cast<mode_t>(S_IWGRP);
  // Others cannot replace in /tmp what is not theirs.
  if (step == Step::above && (info.st_mode & S_ISVTX) != 0)
    info.st_mode &= ~static_cast<mode_t>(S_IWOTH);
  return why_distrusted(info);
}

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), free);
  return real == nullptr ? std::string() : real.get();
}

/// The file without links in its path, or why it is not loaded: its constructors would run before
/// anything in it could be asked. A user who can change a folder above the program, or above the
/// library, can change that as well, so that these folders are not looked at.
Result<std::string, std::string> settle_file(const std::string& file) {
  const std::string settled = real_path(file);
  if (settled.empty()) return failure(file + ": " + std::strerror(errno));
  const std::string library = folder_of_library();
  const std::string here = real_path(library.empty() ? folder_of_program() : library) + '/';
  std::string path = settled;
  for (Step step = Step::file; !here.starts_with(path + '/');) {
    if (const auto why = why_step_distrusted(path, step))
      return failure(settled + " is not loaded: " + (step == Step::file ? "it" : path) + ' ' +
                     *why);
    path = folder_of(path);
    step = step == Step::file ? Step::folder : Step::above;
  }
  return settled;
}

}  // namespace

const ModuleHead* open_module(const ModuleName& name, std::string* why) {
  const std::string needed_by = name.needed_by;
  std::string tried;
  for (const std::string& folder : search_path(name.folder)) {
    const std::string found = folder + "/" + name.file;
    if (access(found.c_str(), F_OK) != 0) {
      tried += (tried.empty() ? "" : ", ") + folder;
      continue;
    }
    const auto file = settle_file(found);
    if (!file) {
      *why = needed_by + ": " + file.error();
      return nullptr;
    }
    void* handle = dlopen(file->c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      *why = needed_by + ": " + dlerror();
      return nullptr;
    }
    const auto* head = static_cast<const ModuleHead*>(dlsym(handle, name.symbol));
    if (head == nullptr || std::strcmp(head->build, kModuleBuild) != 0) {
      *why = needed_by + ": " + *file + " is of another build of outrider";
      return nullptr;
    }
    return head;
  }
  *why = needed_by + " need the module " + name.file + " (package " + name.package +
         "); not found in " + tried;
  return nullptr;
}

}  // namespace outrider
