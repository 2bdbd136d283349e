// SPDX-License-Identifier: Apache-2.0
#include "base/json_plain.h"

#include <algorithm>
#include <charconv>

#include "base/json_scan.h"

namespace outrider::json::plain {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

void append_utf8(std::string& out, std::uint32_t code) {
  const auto add = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6);
    add(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  } else {
    add(0xf0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3f));
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  }
}

/// Of a number that has no value among the doubles: whether it is too large, not too small.
bool is_large(std::string_view number) {
  const std::size_t exponent_at = number.find_first_of("eE");
  const std::string_view digits = number.substr(0, exponent_at);
  const std::size_t first = digits.find_first_of("123456789");
  const std::size_t point = std::min(digits.find('.'), digits.size());
  std::int64_t magnitude = static_cast<std::int64_t>(point) - static_cast<std::int64_t>(first);
  if (exponent_at == number.npos) return magnitude > 0;
  std::string_view exponent = number.substr(exponent_at + 1);
  if (exponent.starts_with('+')) exponent.remove_prefix(1);
  std::int64_t power = 0;
  const auto read = std::from_chars(exponent.data(), exponent.data() + exponent.size(), power);
  if (read.ec != std::errc()) return !exponent.starts_with('-');
  return power > -magnitude;
}

/// Reads a well-formed text, so that it never looks beyond its end.
class Reader {
 public:
  Reader(std::string_view text, std::size_t nesting_max) : text_(text), nesting_max_(nesting_max) {}

  /// The recursion is as deep as `nesting_max`, whatever the text says.
  error_code value(dom::Node& out, std::size_t level) {
    skip_space();
    switch (text_[at_]) {
      case '{':
        return object(out, level + 1);
      case '[':
        return array(out, level + 1);
      case '"':
        out.data = string();
        return SUCCESS;
      case 't':
        at_ += 4;
        out.data = true;
        return SUCCESS;
      case 'f':
        at_ += 5;
        out.data = false;
        return SUCCESS;
      case 'n':
        at_ += 4;
        out.data = nullptr;
        return SUCCESS;
      default:  // over characters: a digit or a minus
        return number(out);
    }
  }

 private:
  error_code array(dom::Node& out, std::size_t level) {
    if (level >= nesting_max_) return DEPTH_ERROR;
    std::vector<dom::Node> nodes;
    while (!closes(']'))
      if (const error_code code = value(nodes.emplace_back(), level)) return code;
    out.data = std::move(nodes);
    return SUCCESS;
  }

  error_code object(dom::Node& out, std::size_t level) {
    if (level >= nesting_max_) return DEPTH_ERROR;
    std::vector<dom::object::Member> members;
    while (!closes('}')) {
      auto& [key, node] = members.emplace_back(string(), dom::Node());
      skip_space();
      ++at_;  // the colon
      if (const error_code code = value(node, level)) return code;
    }
    out.data = std::move(members);
    return SUCCESS;
  }

  /// Stands on the opening bracket or behind a value; goes to the next one, or behind the end.
  bool closes(char bracket) {
    skip_space();
    const bool ends = text_[at_++] == bracket;
    if (ends) return true;
    skip_space();
    if (text_[at_] != bracket) return false;
    ++at_;  // an empty one: no comma stands before a bracket
    return true;
  }

  std::string string() {
    std::string out;
    for (++at_; text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\')
        escape(out);
      else
        out += text_[at_];
    ++at_;
    return out;
  }

  /// Stands on the backslash; goes to the last character of the escape.
  void escape(std::string& out) {
    constexpr std::string_view kLetters = "bfnrt";
    const char letter = text_[++at_];
    if (letter == 'u') {
      std::uint32_t code = hex4();
      if (code >= 0xd800 && code < 0xdc00) {
        at_ += 2;  // to the second half
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4() - 0xdc00);
      }
      append_utf8(out, code);
    } else if (const std::size_t which = kLetters.find(letter); which != kLetters.npos) {
      out += "\b\f\n\r\t"[which];
    } else {
      out += letter;
    }
  }

  std::uint32_t hex4() {
    std::uint32_t code = 0;
    const char* digits = text_.data() + at_ + 1;
    std::from_chars(digits, digits + 4, code, 16);
    at_ += 4;
    return code;
  }

  error_code number(dom::Node& out) {
    const std::size_t end = std::min(text_.find_first_not_of("0123456789+-.eE", at_), text_.size());
    const std::string_view token = text_.substr(at_, end - at_);
    at_ = end;
    if (token.find_first_of(".eE") == token.npos) return integer(token, out);
    double value = 0;
    const auto read = std::from_chars(token.data(), token.data() + token.size(), value);
    if (read.ec != std::errc() && is_large(token)) return NUMBER_ERROR;
    out.data = value;
    return SUCCESS;
  }

  static error_code integer(std::string_view token, dom::Node& out) {
    const char* end = token.data() + token.size();
    if (std::int64_t value = 0; std::from_chars(token.data(), end, value).ec == std::errc()) {
      out.data = value;
      return SUCCESS;
    }
    std::uint64_t value = 0;
    if (token[0] == '-' || std::from_chars(token.data(), end, value).ec != std::errc())
      return NUMBER_ERROR;
    out.data = value;
    return SUCCESS;
  }

  void skip_space() { at_ = std::min(text_.find_first_not_of(kSpace, at_), text_.size()); }

  std::string_view text_;
  std::size_t nesting_max_;
  std::size_t at_ = 0;
};

}  // namespace

const char* error_message(error_code code) {
  switch (code) {
    case SUCCESS:
      return "no error";
    case MEMALLOC:
      return "not enough memory";
    case SYNTAX_ERROR:
      return "not well-formed JSON";
    case DEPTH_ERROR:
      return "nested too deep";
    case NUMBER_ERROR:
      return "a number out of range";
  }
  return "";
}

dom::parser::Outcome dom::parser::parse(const char* text, std::size_t length) {
  const std::string_view whole(text, length);
  root_ = {};
  if (find_fault(whole)) return {SYNTAX_ERROR, {}};
  const error_code code = Reader(whole, nesting_max_).value(root_, 0);
  return {code, element(root_)};
}

}  // namespace outrider::json::plain
