// SPDX-License-Identifier: Apache-2.0
// The words of a filter expression.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace outrider::doors::consul {

struct Token {
  enum class Kind : std::uint8_t {
    end,
    selector,  // a path or a bare word: Service.Meta["key"], passing, and
    number,
    string,  // "with escapes as in Go" or `as it is`
    open,
    close,
    open_brace,
    close_brace,
    comma,
    equal,
    unequal,
  };
  Kind kind = Kind::end;
  std::string text;                // a selector's parts are joined with dots
  std::vector<std::string> parts;  // of a selector
  std::size_t position = 0;        // from 1
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  /// An error says where, from 1.
  Result<Token, std::string> next();

 private:
  using Made = Result<Token, std::string>;

  std::string_view left() const { return text_.substr(at_); }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space();
  Made take(Token::Kind kind, std::size_t size);
  Made selector();
  Made number();
  Made string();
  bool escape(std::string* out);
  /// At the place `position` from 1, or where the lexer is.
  std::string wrong(std::string_view why) const;

  std::string_view text_;
  std::size_t at_ = 0;
};

/// "at position 7: expected a value"
std::string at_position(std::size_t position, std::string_view why);

}  // namespace outrider::doors::consul
