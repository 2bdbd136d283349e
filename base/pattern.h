// SPDX-License-Identifier: Apache-2.0
// Regular expressions that a client sent: RE2's syntax, which Go has too, and time linear in the
// text whatever the expression. RE2 and what it needs cost 1 MB of memory, so they are a module
// that is loaded with the first expression (base/re2_module).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/module.h"
#include "base/result.h"

namespace outrider {

/// Made by the module.
class CompiledPattern {
 public:
  virtual ~CompiledPattern() = default;
  virtual bool found_in(std::string_view text) const = 0;
};

/// The struct that the module exports as outrider_re2.
struct PatternModule {
  ModuleHead head;
  CompiledPattern* (*compile)(std::string_view text, std::string* why);  // null if it is no pattern
};

class Pattern {
 public:
  /// An error is a sentence: what is wrong with the expression, or that the module is not here.
  static Result<Pattern, std::string> compile(std::string_view text);

  /// Whether some part of `text` matches.
  bool found_in(std::string_view text) const { return compiled_->found_in(text); }

 private:
  explicit Pattern(CompiledPattern* compiled) : compiled_(compiled) {}
  std::unique_ptr<CompiledPattern> compiled_;
};

}  // namespace outrider
