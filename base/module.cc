// SPDX-License-Identifier: Apache-2.0
#include "base/module.h"

#include <array>
#include <cstring>
#include <vector>

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

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

std::vector<std::string> search_path(const std::string& folder) {
  // The environment belongs to the host program.
  if (const std::string here = folder_of_library(); !here.empty())
    return {here + "/outrider", OUTRIDER_MODULE_DIR, here + "/../../" + folder};
  // Ignored in programs that have more privileges than the user who started them.
  if (const char* path = secure_getenv("OUTRIDER_MODULE_PATH")) return {path};
  const std::string here = folder_of_program();
  return {here + "/../lib/outrider", OUTRIDER_MODULE_DIR, here + "/../" + folder,
          here + "/../../" + folder, here + "/../../../" + folder};
}

}  // namespace

const ModuleHead* open_module(const ModuleName& name, std::string* why) {
  const std::string needed_by = name.needed_by;
  std::string tried;
  for (const std::string& folder : search_path(name.folder)) {
    const std::string file = folder + "/" + name.file;
    if (access(file.c_str(), F_OK) != 0) {
      tried += (tried.empty() ? "" : ", ") + folder;
      continue;
    }
    void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      *why = needed_by + ": " + dlerror();
      return nullptr;
    }
    const auto* head = static_cast<const ModuleHead*>(dlsym(handle, name.symbol));
    if (head == nullptr || std::strcmp(head->build, kModuleBuild) != 0) {
      *why = needed_by + ": " + file + " is of another build of outrider";
      return nullptr;
    }
    return head;
  }
  *why = needed_by + " need the module " + name.file + " (package " + name.package +
         "); not found in " + tried;
  return nullptr;
}

}  // namespace outrider
