// SPDX-License-Identifier: Apache-2.0
#include "probes/curl_loader.h"

#include <array>
#include <cstring>
#include <vector>

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

namespace outrider::probes {
namespace {

std::string folder_of_program() {
  std::array<char, 4'096> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return ".";
  const std::string program(path.data(), static_cast<std::size_t>(length));
  return program.substr(0, program.rfind('/'));
}

std::vector<std::string> search_path() {
  // Not honoured by programs that have more rights than who started them.
  if (const char* path = secure_getenv("OUTRIDER_MODULE_PATH")) return {path};
  const std::string here = folder_of_program();
  return {here + "/../lib/outrider", OUTRIDER_MODULE_DIR, here + "/../probes/curl_module",
          here + "/../../probes/curl_module"};
}

const CurlModule* open_module(std::string* why) {
  std::string tried;
  for (const std::string& folder : search_path()) {
    const std::string file = folder + "/" + kCurlModuleFile;
    if (access(file.c_str(), F_OK) != 0) {
      tried += (tried.empty() ? "" : ", ") + folder;
      continue;
    }
    void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
      *why = std::string("https and gRPC checks: ") + dlerror();
      return nullptr;
    }
    const auto* module = static_cast<const CurlModule*>(dlsym(handle, kCurlModuleSymbol));
    if (module == nullptr || std::strcmp(module->build, kCurlModuleBuild) != 0) {
      *why = "https and gRPC checks: " + file + " is of another build of outrider";
      return nullptr;
    }
    return module;
  }
  *why = std::string("https and gRPC checks need the module ") + kCurlModuleFile +
         " (package outrider-probe-curl); not found in " + tried;
  return nullptr;
}

}  // namespace

std::unique_ptr<CurlEngine> load_curl_engine(Env& env, std::string* why) {
  const CurlModule* module = open_module(why);
  if (module == nullptr) return nullptr;
  std::unique_ptr<CurlEngine> engine(module->make_engine(env));
  if (!engine) *why = "https and gRPC checks: libcurl could not be started";
  return engine;
}

}  // namespace outrider::probes
