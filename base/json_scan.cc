// SPDX-License-Identifier: Apache-2.0
#include "base/json_scan.h"

#include <cstdint>
#include <vector>

namespace outrider::json {
namespace {

std::uint8_t byte_at(std::string_view text, std::size_t i) {
  return static_cast<std::uint8_t>(text[i]);
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// A pushdown automaton instead of recursion: input decides the depth, so the stack must not.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<Fault> run() {
    expect_ = Expect::value;
    while (!fault_) {
      skip_space();
      if (at_end()) {
        if (expect_ != Expect::end) fail(what_expected() + " before the end of the text");
        break;
      }
      step();
    }
    return fault_;
  }

 private:
  enum class Expect : std::uint8_t {
    value,
    value_or_bracket,  // just after '['
    key,
    key_or_brace,  // just after '{'
    colon,
    separator,  // after a member or an element
    end,
  };

  void step() {
    const char c = text_[at_];
    switch (expect_) {
      case Expect::value_or_bracket:
        if (c == ']') return close();
        [[fallthrough]];
      case Expect::value:
        // Of a member, a colon comes before.
        if (c == ']' && !open_.empty() && !in_object())
          return fail("expected a value, not ']'; remove the comma before it?");
        return value();
      case Expect::key_or_brace:
        if (c == '}') return close();
        [[fallthrough]];
      case Expect::key:
        if (c == '}' && expect_ == Expect::key)
          return fail("expected a key, not '}'; remove the comma before it?");
        if (c != '"') return fail(what_expected());
        if (string()) expect_ = Expect::colon;
        return;
      case Expect::colon:
        if (c != ':') return fail(what_expected());
        ++at_;
        expect_ = Expect::value;
        return;
      case Expect::separator:
        if (c == (in_object() ? '}' : ']')) return close();
        if (c != ',') return fail(what_expected());
        ++at_;
        expect_ = in_object() ? Expect::key : Expect::value;
        return;
      case Expect::end:
        return fail("nothing may follow the document");
    }
  }

  std::string what_expected() const {
    switch (expect_) {
      case Expect::value:
        return "expected a value";
      case Expect::value_or_bracket:
        return "expected a value or ']'";
      case Expect::key:
        return "expected a key in double quotes";
      case Expect::key_or_brace:
        return "expected a key in double quotes or '}'";
      case Expect::colon:
        return "expected ':'";
      case Expect::separator:
        return in_object() ? "expected ',' or '}'" : "expected ',' or ']'";
      case Expect::end:
        return "expected the end";
    }
    return {};
  }

  void value() {
    const char c = text_[at_];
    if (c == '{' || c == '[') {
      open_.push_back(c);
      ++at_;
      expect_ = c == '{' ? Expect::key_or_brace : Expect::value_or_bracket;
      return;
    }
    const bool taken = c == '"' ? string() : (c == '-' || is_digit(c)) ? number() : word();
    if (taken) after_value();
  }

  bool word() {
    for (const std::string_view known : {"true", "false", "null"}) {
      if (text_.substr(at_).starts_with(known)) {
        at_ += known.size();
        return true;
      }
    }
    fail(what_expected());
    return false;
  }

  bool number() {
    if (text_[at_] == '-') ++at_;
    const std::size_t begin = at_;
    if (!digits()) return false;
    if (text_[begin] == '0' && at_ > begin + 1) {
      at_ = begin + 1;
      fail("a number may not begin with 0");
      return false;
    }
    if (!at_end() && text_[at_] == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (!at_end() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (!at_end() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!digits()) return false;
    }
    return true;
  }

  bool digits() {
    if (at_end() || !is_digit(text_[at_])) {
      fail("expected a digit");
      return false;
    }
    while (!at_end() && is_digit(text_[at_]))
      ++at_;
    return true;
  }

  /// Stands on the opening quote; goes after the closing one.
  bool string() {
    const std::size_t begin = at_++;
    while (!at_end() && text_[at_] != '"') {
      if (text_[at_] == '\\') {
        if (!escape()) return false;
        continue;
      }
      if (byte_at(text_, at_) < 0x20) {
        fail("a control character in a string must be escaped");
        return false;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0) {
        fail("not valid UTF-8");
        return false;
      }
      at_ += length;
    }
    if (at_end()) {
      at_ = begin;
      fail("this string does not end");
      return false;
    }
    ++at_;
    return true;
  }

  bool escape() {
    const std::size_t begin = at_++;
    if (!at_end() && std::string_view("\"\\/bfnrt").find(text_[at_]) != std::string_view::npos) {
      ++at_;
      return true;
    }
    std::uint32_t unit = 0;
    if (!at_end() && text_[at_] == 'u' && hex4(unit)) {
      const bool high = unit >= 0xd800 && unit < 0xdc00;
      const bool low = unit >= 0xdc00 && unit < 0xe000;
      if (!high && !low) return true;
      // A pair of surrogates encodes one character (RFC 8259 §7).
      if (high && text_.substr(at_).starts_with("\\u")) {
        ++at_;
        if (hex4(unit) && unit >= 0xdc00 && unit < 0xe000) return true;
      }
    }
    at_ = begin;
    fail("not a valid escape");
    return false;
  }

  /// Stands on the 'u'.
  bool hex4(std::uint32_t& unit) {
    if (at_ + 5 > text_.size()) return false;
    unit = 0;
    for (std::size_t i = at_ + 1; i < at_ + 5; ++i) {
      const char c = text_[i];
      if (!is_hex(c)) return false;
      unit = unit * 16 + static_cast<std::uint32_t>(is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    at_ += 5;
    return true;
  }

  void close() {
    ++at_;
    open_.pop_back();
    after_value();
  }
  void after_value() { expect_ = open_.empty() ? Expect::end : Expect::separator; }
  bool in_object() const { return open_.back() == '{'; }
  bool at_end() const { return at_ >= text_.size(); }
  void skip_space() {
    while (!at_end() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  void fail(std::string message) { fault_ = Fault{at_, std::move(message)}; }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<char> open_;
  Expect expect_ = Expect::value;
  std::optional<Fault> fault_;
};

}  // namespace

std::optional<Fault> find_fault(std::string_view text) {
  return Scanner(text).run();
}

std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const std::uint8_t lead = byte_at(text, 0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf5   ? 0
                             : lead >= 0xf0 ? 4
                             : lead >= 0xe0 ? 3
                             : lead >= 0xc2 ? 2
                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte_at(text, i) & 0xc0) != 0x80) return 0;
  const std::uint8_t second = byte_at(text, 1);
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) ||
      (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90))
    return 0;
  return length;
}

}  // namespace outrider::json
