// SPDX-License-Identifier: Apache-2.0
#include <re2/re2.h>

#include "base/pattern.h"

namespace outrider {
namespace {

/// For the program of one expression and its tables. RE2 goes on more slowly when they are full,
/// and refuses an expression whose program alone is larger.
constexpr std::int64_t kPatternBytesMax = 256 << 10;

class Re2Pattern : public CompiledPattern {
 public:
  Re2Pattern(std::string_view text, const re2::RE2::Options& options)
      : re2_(re2::StringPiece(text.data(), text.size()), options) {}

  bool ok() const { return re2_.ok(); }
  const std::string& error() const { return re2_.error(); }
  bool found_in(std::string_view text) const override {
    return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), re2_);
  }

 private:
  re2::RE2 re2_;
};

CompiledPattern* compile(std::string_view text, std::string* why) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternBytesMax);
  auto pattern = std::make_unique<Re2Pattern>(text, options);
  if (pattern->ok()) return pattern.release();
  *why = pattern->error();
  return nullptr;
}

}  // namespace

}  // namespace outrider

extern "C" {
[[gnu::visibility("default")]] extern const outrider::PatternModule outrider_re2;
const outrider::PatternModule outrider_re2{{outrider::kModuleBuild}, &outrider::compile};
}
