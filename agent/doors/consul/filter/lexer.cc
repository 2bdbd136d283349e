// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/consul/filter/lexer.h"

#include <algorithm>
#include <charconv>

#include "base/utf8.h"

namespace outrider::doors::consul {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '/';
}
bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

}  // namespace

std::string at_position(std::size_t position, std::string_view why) {
  return "at position " + std::to_string(position) + ": " + std::string(why);
}

std::string Lexer::wrong(std::string_view why) const {
  return at_position(at_ + 1, why);
}

void Lexer::skip_space() {
  while (is_space(peek()))
    ++at_;
}

Lexer::Made Lexer::take(Token::Kind kind, std::size_t size) {
  Token token{kind, std::string(left().substr(0, size)), {}, at_ + 1};
  at_ += size;
  return token;
}

Lexer::Made Lexer::next() {
  skip_space();
  if (left().empty()) return Token{.position = at_ + 1};
  if (left().starts_with("==")) return take(Token::Kind::equal, 2);
  if (left().starts_with("!=")) return take(Token::Kind::unequal, 2);
  switch (const char c = peek()) {
    case '(':
      return take(Token::Kind::open, 1);
    case ')':
      return take(Token::Kind::close, 1);
    case '{':
      return take(Token::Kind::open_brace, 1);
    case '}':
      return take(Token::Kind::close_brace, 1);
    case ',':
      return take(Token::Kind::comma, 1);
    case '"':
    case '`':
      return string();
    default:  // characters
      if (is_letter(c) || c == '_') return selector();
      if (is_digit(c) || c == '-') return number();
      return failure(wrong(std::string("unexpected '") + c + '\''));
  }
}

Lexer::Made Lexer::selector() {
  Token token{Token::Kind::selector, {}, {}, at_ + 1};
  const auto name = [&](auto accepted) {
    std::string part;
    while (accepted(peek()))
      part += text_[at_++];
    token.parts.push_back(std::move(part));
  };
  name(is_name);
  for (;;) {
    if (peek() == '.') {
      ++at_;
      if (is_digit(peek()))
        name(is_digit);
      else if (is_letter(peek()))
        name(is_name);
      else
        return failure(wrong("expected a name after '.'"));
    } else if (peek() == '[') {
      ++at_;
      skip_space();
      if (peek() != '"' && peek() != '`') return failure(wrong("expected a quoted key after '['"));
      auto key = string();
      if (!key) return failure(key.error());
      skip_space();
      if (peek() != ']') return failure(wrong("expected ']'"));
      ++at_;
      token.parts.push_back(std::move(key->text));
    } else {
      break;
    }
  }
  for (const std::string& part : token.parts)
    token.text += (token.text.empty() ? "" : ".") + part;
  return token;
}

Lexer::Made Lexer::number() {
  Token token{Token::Kind::number, {}, {}, at_ + 1};
  if (peek() == '-') token.text += text_[at_++];
  const auto digits = [&] {
    const std::size_t before = at_;
    while (is_digit(peek()))
      token.text += text_[at_++];
    return at_ - before;
  };
  const bool zero = peek() == '0';
  const std::size_t whole = digits();
  bool good = whole > 0 && (!zero || whole == 1);
  if (good && peek() == '.') {
    token.text += text_[at_++];
    good = digits() > 0;
  }
  if (!good || is_name(peek()) || peek() == '.' || peek() == '-')
    return failure(at_position(token.position, "expected a number; quote other values"));
  return token;
}

Lexer::Made Lexer::string() {
  Token token{Token::Kind::string, {}, {}, at_ + 1};
  const char quote = text_[at_++];
  while (at_ < text_.size() && text_[at_] != quote) {
    if (quote == '"' && text_[at_] == '\\') {
      if (!escape(&token.text))
        return failure(wrong("unknown escape; between backticks \\ is an ordinary character"));
    } else {
      token.text += text_[at_++];
    }
  }
  if (at_ == text_.size()) return failure(at_position(token.position, "the quote is not closed"));
  ++at_;
  return token;
}

/// One escape as Go knows them. False, and nothing read, if there is no such escape.
bool Lexer::escape(std::string* out) {
  constexpr std::string_view kPlain = "abfnrtv\\\"'";
  constexpr std::string_view kMeaning = "\a\b\f\n\r\t\v\\\"'";
  const std::string_view rest = left().substr(1);
  if (rest.empty()) return false;
  if (const std::size_t plain = kPlain.find(rest.front()); plain != std::string_view::npos) {
    *out += kMeaning[plain];
    at_ += 2;
    return true;
  }
  const char kind = rest.front();
  const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  if (digits == 0 || rest.size() <= digits) return false;
  std::uint32_t code = 0;
  const char* const end = rest.data() + 1 + digits;
  if (std::from_chars(rest.data() + 1, end, code, 16).ptr != end) return false;
  if (kind == 'x')
    *out += static_cast<char>(code);
  else if (!append_utf8(*out, code))
    return false;
  at_ += 2 + digits;
  return true;
}

}  // namespace outrider::doors::consul
