// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/assert.h"
#include "base/json.h"
#include "base/json_scan.h"

namespace outrider::json {
namespace {

constexpr unsigned kWriterDepthMax = 64;  // bits of in_object_
constexpr std::string_view kReplacement = "\xef\xbf\xbd";

/// Written as it is.
bool is_plain(char c) {
  return c >= ' ' && c < '\x7f' && c != '"' && c != '\\';
}

}  // namespace

void Writer::newline() {
  if (style_ == Style::compact) return;
  out_ += '\n';
  out_.append(2 * depth_, ' ');
}

void Writer::before_value() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (depth_ == 0) return;
  OUTRIDER_ASSERT((in_object_ & 1) == 0);  // a member needs its key
  if (!first_) out_ += ',';
  newline();
}

Writer& Writer::begin_object() {
  before_value();
  OUTRIDER_ASSERT(depth_ < kWriterDepthMax);
  out_ += '{';
  ++depth_;
  in_object_ = in_object_ << 1 | 1;
  first_ = true;
  return *this;
}

Writer& Writer::end_object() {
  OUTRIDER_ASSERT(depth_ > 0 && (in_object_ & 1) == 1 && !after_key_);
  --depth_;
  if (!first_) newline();
  out_ += '}';
  in_object_ >>= 1;
  first_ = false;
  return *this;
}

Writer& Writer::begin_array() {
  before_value();
  OUTRIDER_ASSERT(depth_ < kWriterDepthMax);
  out_ += '[';
  ++depth_;
  in_object_ <<= 1;
  first_ = true;
  return *this;
}

Writer& Writer::end_array() {
  OUTRIDER_ASSERT(depth_ > 0 && (in_object_ & 1) == 0);
  --depth_;
  if (!first_) newline();
  out_ += ']';
  in_object_ >>= 1;
  first_ = false;
  return *this;
}

Writer& Writer::key(std::string_view name) {
  OUTRIDER_ASSERT(depth_ > 0 && (in_object_ & 1) == 1 && !after_key_);
  if (!first_) out_ += ',';
  newline();
  quoted(name);
  out_ += style_ == Style::compact ? ":" : ": ";
  first_ = false;
  after_key_ = true;
  return *this;
}

Writer& Writer::value(std::string_view text) {
  before_value();
  quoted(text);
  first_ = false;
  return *this;
}

Writer& Writer::value(bool flag) {
  before_value();
  out_ += flag ? "true" : "false";
  first_ = false;
  return *this;
}

Writer& Writer::value(std::int64_t number) {
  before_value();
  out_ += std::to_string(number);
  first_ = false;
  return *this;
}

Writer& Writer::value(std::uint64_t number) {
  before_value();
  out_ += std::to_string(number);
  first_ = false;
  return *this;
}

Writer& Writer::value(double number) {
  if (!std::isfinite(number)) return null();
  before_value();
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  const std::string_view written(text, static_cast<std::size_t>(end - text));
  out_ += written;
  // Readers must see a floating-point number even if the value is whole.
  if (written.find_first_of(".e") == std::string_view::npos) out_ += ".0";
  first_ = false;
  return *this;
}

Writer& Writer::written(std::string_view json) {
  before_value();
  out_ += json;
  first_ = false;
  return *this;
}

Writer& Writer::null() {
  before_value();
  out_ += "null";
  first_ = false;
  return *this;
}

Writer& Writer::value(const Value& tree) {
  if (const bool* flag = tree.as_bool()) return value(*flag);
  if (const std::int64_t* number = tree.as_int()) return value(*number);
  if (const double* number = tree.as_double()) return value(*number);
  if (const std::string* text = tree.as_string()) return value(std::string_view(*text));
  if (const Array* array = tree.as_array()) {
    begin_array();
    for (const Value& element : *array)
      value(element);
    return end_array();
  }
  if (const Object* object = tree.as_object()) {
    begin_object();
    for (const auto& [name, content] : *object)
      key(name).value(content);
    return end_object();
  }
  return null();
}

void Writer::quoted(std::string_view text) {
  out_ += '"';
  while (!text.empty()) {
    // Nearly all text is of such characters alone.
    const auto plain = std::ranges::find_if_not(text, is_plain) - text.begin();
    if (plain > 0) {
      out_ += text.substr(0, static_cast<std::size_t>(plain));
      text.remove_prefix(static_cast<std::size_t>(plain));
      continue;
    }
    const char c = text.front();
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out_ += kReplacement;
    } else if (length > 1) {
      out_ += text.substr(0, length);
    } else if (c == '"' || c == '\\') {
      out_ += '\\';
      out_ += c;
    } else if (c == '\n') {
      out_ += "\\n";
    } else if (c == '\t') {
      out_ += "\\t";
    } else if (c == '\r') {
      out_ += "\\r";
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      out_ += c;
    } else if (c != '\0') {
      constexpr char kHex[] = "0123456789abcdef";
      out_ += "\\u00";
      out_ += kHex[static_cast<unsigned char>(c) >> 4];
      out_ += kHex[static_cast<unsigned char>(c) & 15];
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  out_ += '"';
}

}  // namespace outrider::json
