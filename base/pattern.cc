// SPDX-License-Identifier: Apache-2.0
#include "base/pattern.h"

namespace outrider {
namespace {

constexpr ModuleName kRe2ModuleName{
    .file = "outrider-re2.so",
    .symbol = "outrider_re2",
    .needed_by = "regular expressions",
    .package = "outrider-modules",
    .folder = "base/re2_module",
};

}  // namespace

Result<Pattern, std::string> Pattern::compile(std::string_view text) {
  std::string why;
  const auto* module = open_module_as<PatternModule>(kRe2ModuleName, &why);
  if (module == nullptr) return failure(std::move(why));
  CompiledPattern* compiled = module->compile(text, &why);
  if (compiled == nullptr) return failure(std::move(why));
  return Pattern(compiled);
}

}  // namespace outrider
