// SPDX-License-Identifier: Apache-2.0
// In place of module.cc in static programs: what dlopen() loads needs the libc that the program was
// linked with, and a host may have another one, or none.
#include <array>
#include <cstring>

#include "base/module.h"

namespace outrider {
namespace {

struct Held {
  const char* symbol = nullptr;
  const ModuleHead* head = nullptr;
};
constexpr std::size_t kHeldMax = 4;
/// Written before the loop starts, and only read afterwards.
std::array<Held, kHeldMax> held;

}  // namespace

void hold_module(const char* symbol, const ModuleHead& head) {
  for (Held& place : held) {
    if (place.head != nullptr) continue;
    place = {symbol, &head};
    return;
  }
}

const ModuleHead* open_module(const ModuleName& name, std::string* why) {
  for (const Held& place : held)
    if (place.head != nullptr && std::strcmp(place.symbol, name.symbol) == 0) return place.head;
  *why = std::string(name.needed_by) +
         " are not in the static program, which loads no modules; use the Debian "
         "packages outrider and " +
         name.package;
  return nullptr;
}

}  // namespace outrider
