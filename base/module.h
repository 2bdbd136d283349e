// SPDX-License-Identifier: Apache-2.0
// Modules: parts of the program that are loaded when they are first needed, because the libraries
// behind them cost more memory than all the rest. A module exports one symbol; what it points to
// begins with a ModuleHead. Module and program are built together.
#pragma once

#include <string>
#include <type_traits>

namespace outrider {

struct ModuleHead {
  const char* build;  // equal to kModuleBuild, or nothing else of the module is touched
};
inline constexpr const char* kModuleBuild = OUTRIDER_VERSION " " __VERSION__;

struct ModuleName {
  const char* file;
  const char* symbol;
  const char* needed_by;  // for the message: "https and gRPC checks"
  const char* package;    // that installs it
  const char* folder;     // of the tree where it is built: "base/curl/module"
};

/// A module that is linked into the program, in builds that load none (module_static.cc).
void hold_module(const char* symbol, const ModuleHead& head);

/// A static program finds the modules that it holds. Others look in $OUTRIDER_MODULE_PATH if that
/// is set, else in ../lib/outrider beside the program, the folder of installation, and the build
/// tree; in a shared library, in outrider beside it, the folder of installation, and the build
/// tree. What other users can have put there is not loaded: file and folders have to belong to
/// root, to this user or to the owner of the program. Null and a reason in `why` if it cannot be
/// had. The module stays loaded for good.
const ModuleHead* open_module(const ModuleName& name, std::string* why);

/// The same as what the module exports: a struct that begins with `ModuleHead head`.
template <class Module>
const Module* open_module_as(const ModuleName& name, std::string* why) {
  static_assert(std::is_standard_layout_v<Module> &&
                std::is_same_v<decltype(Module::head), ModuleHead>);
  // The first member of such a struct is where the struct is.
  return static_cast<const Module*>(static_cast<const void*>(open_module(name, why)));
}

}  // namespace outrider
