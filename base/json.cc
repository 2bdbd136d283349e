// SPDX-License-Identifier: Apache-2.0
// The only includer of the parser library, or of its replacement (json_plain.h). The DOM validates
// the whole document before we see a value of it; what RFC 8259 leaves open, the conversion into
// our own tree closes.
#include "base/json.h"

#include <algorithm>
#include <new>
#include <set>

#ifndef OUTRIDER_PLAIN_JSON
#include <simdjson.h>
#else
#include "base/json_plain.h"
#endif

#include "base/json_repeated.h"
#include "base/json_scan.h"
#include "base/text.h"

namespace outrider::json {

#ifdef OUTRIDER_PLAIN_JSON
namespace library = plain;
#else
namespace library = simdjson;
#endif

namespace {

constexpr std::int64_t kIntegerMax = std::int64_t{1} << 53;  // exact in a double, as cJSON has it

enum class Rules : std::uint8_t { ours, repeated, foreign };

constexpr std::size_t nesting_max(Rules rules) {
  return rules == Rules::foreign ? kForeignNestingMax : kNestingMax;
}

/// Turns the library's tree into ours, and keeps the path for errors.
class Converter {
 public:
  explicit Converter(Rules rules) : rules_(rules) {}

  bool convert(const library::dom::element& element, std::size_t depth, Value& out) {
    using library::dom::element_type;
    switch (element.type()) {
      case element_type::ARRAY:
        return array(element, depth, out);
      case element_type::OBJECT:
        return object(element, depth, out);
      case element_type::INT64: {
        const std::int64_t number = element.get_int64().value_unsafe();
        if (number <= kIntegerMax && number >= -kIntegerMax) {
          out = Value(Value::Data(number));
          return true;
        }
        return big_integer(static_cast<double>(number), out);
      }
      case element_type::UINT64:
        return big_integer(static_cast<double>(element.get_uint64().value_unsafe()), out);
      case element_type::DOUBLE:
        out = Value(Value::Data(element.get_double().value_unsafe()));
        return true;
      case element_type::STRING: {
        const std::string_view text = element.get_string().value_unsafe();
        if (has_nul(text)) return fail("a NUL character in a string");
        out = Value(Value::Data(std::string(text)));
        return true;
      }
      case element_type::BOOL:
        out = Value(Value::Data(element.get_bool().value_unsafe()));
        return true;
      case element_type::NULL_VALUE:
        out = Value();
        return true;
    }
    return fail("a value of an unknown kind");
  }

  ParseError error() && { return std::move(error_); }

 private:
  bool array(const library::dom::element& element, std::size_t depth, Value& out) {
    if (depth >= nesting_max(rules_)) return too_deep();
    const library::dom::array children = element.get_array().value_unsafe();
    Array array;
    std::size_t index = 0;
    for (const library::dom::element child : children) {
      const std::size_t mark = path_.size();
      path_ += '[' + std::to_string(index++) + ']';
      if (!convert(child, depth + 1, array.emplace_back())) return false;
      path_.resize(mark);
    }
    out = Value(Value::Data(std::move(array)));
    return true;
  }

  bool object(const library::dom::element& element, std::size_t depth, Value& out) {
    if (depth >= nesting_max(rules_)) return too_deep();
    const library::dom::object members = element.get_object().value_unsafe();
    Object object;
    std::set<std::string> seen;
    for (const library::dom::key_value_pair member : members) {
      if (has_nul(member.key)) return fail("a NUL character in a key");
      const bool ours = rules_ == Rules::ours;
      if (!seen.insert(ours ? lowered(member.key) : std::string(member.key)).second) {
        if (ours) return duplicate(object, member.key);
        std::erase_if(object, [&](const auto& earlier) { return earlier.first == member.key; });
      }
      const std::size_t mark = path_.size();
      if (!path_.empty()) path_ += '.';
      path_ += member.key;
      auto& added = object.emplace_back(std::string(member.key), Value());
      if (!convert(member.value, depth + 1, added.second)) return false;
      path_.resize(mark);
    }
    out = Value(Value::Data(std::move(object)));
    return true;
  }

  bool duplicate(const Object& object, std::string_view key) {
    for (const auto& [name, value] : object)
      if (name != key && equal_fold(name, key))
        return fail("keys \"" + name + "\" and \"" + std::string(key) + "\" differ only by case");
    return fail("duplicate key \"" + std::string(key) + '"');
  }
  bool big_integer(double number, Value& out) {
    if (rules_ != Rules::foreign) return fail("an integer beyond ±2^53");
    out = Value(Value::Data(number));
    return true;
  }
  bool has_nul(std::string_view text) const {
    return rules_ != Rules::foreign && text.find('\0') != std::string_view::npos;
  }
  bool too_deep() { return fail("nested deeper than " + std::to_string(nesting_max(rules_))); }
  bool fail(std::string message) {
    error_.message = std::move(message);
    error_.path = path_;
    return false;
  }

  Rules rules_;
  std::string path_;
  ParseError error_;
};

/// Line and column, both from 1; columns count characters, not octets.
ParseError at_offset(std::string_view text, std::size_t offset, std::string message) {
  ParseError error{std::move(message), {}, 1, 1};
  for (const char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++error.line;
      error.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      ++error.column;
    }
  }
  return error;
}

ParseError malformed(std::string_view text, library::error_code code, Rules rules) {
  if (const std::optional<Fault> fault = find_fault(text))
    return at_offset(text, fault->offset, fault->message);
  if (code == library::DEPTH_ERROR)
    return {"nested deeper than " + std::to_string(nesting_max(rules)), {}, 0, 0};
  if (code == library::NUMBER_ERROR) return {"a number out of range", {}, 0, 0};
  return {library::error_message(code), {}, 0, 0};
}

/// A well-formed text whose integers of more than 18 digits have an exponent. The library refuses
/// those beyond 64 bits; others take them for what they are with one, doubles.
std::string with_exponents(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at++;
    if (text[begin] == '"') {
      while (text[at] != '"')
        at += text[at] == '\\' ? 2 : 1;
      ++at;
    } else if (text[begin] >= '0' && text[begin] <= '9') {
      at = std::min(text.find_first_not_of("0123456789+-.eE", begin), text.size());
    }
    const std::string_view token = text.substr(begin, at - begin);
    out += token;
    const bool number = token[0] >= '0' && token[0] <= '9';
    if (number && token.size() > 18 && token.find_first_of(".eE") == token.npos) out += "e0";
  }
  return out;
}

/// What the library reports, as everything else reports it: the document is not to blame.
[[noreturn]] void no_memory() {
  if (const auto handler = std::get_new_handler()) handler();
  throw std::bad_alloc();
}

Result<Value, ParseError> parse_by(Rules rules, std::string_view text, std::size_t bytes_max) {
  if (text.size() > bytes_max)
    return failure(ParseError{"larger than " + std::to_string(bytes_max) + " bytes", {}, 0, 0});
  if (text.starts_with("\xef\xbb\xbf"))
    return failure(ParseError{"a byte order mark is not allowed", {}, 1, 1});
  library::dom::parser parser(bytes_max);
  // Two levels of room: the library also counts the document itself.
  if (const auto code = parser.allocate(text.size(), nesting_max(rules) + 2)) {
    if (code == library::MEMALLOC) no_memory();
    return failure(ParseError{library::error_message(code), {}, 0, 0});
  }
  library::dom::element root;
  if (const auto code = parser.parse(text.data(), text.size()).get(root)) {
    if (code == library::MEMALLOC) no_memory();
    if (rules == Rules::foreign && code == library::NUMBER_ERROR && !find_fault(text)) {
      const std::string eased = with_exponents(text);
      if (eased != text) return parse_by(rules, eased, eased.size());
    }
    return failure(malformed(text, code, rules));
  }
  Converter converter(rules);
  Value value;
  if (!converter.convert(root, 0, value)) return failure(std::move(converter).error());
  return value;
}

std::size_t distance(std::string_view a, std::string_view b) {
  // Levenshtein, with swapped neighbours as one edit; three rows suffice.
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

Value::Value(const Value& other) {
  std::visit([this](const auto& value) { data_ = value; }, other.data_);
}

const Value* Value::find(std::string_view key) const {
  if (const Object* object = as_object())
    for (const auto& [name, value] : *object)
      if (name == key) return &value;
  return nullptr;
}

const char* Value::type_name() const {
  constexpr const char* kNames[] = {"null",     "a boolean", "an integer", "a number",
                                    "a string", "an array",  "an object"};
  static_assert(std::variant_size_v<Data> == std::size(kNames));
  return kNames[data_.index()];
}

Result<Value, ParseError> parse(std::string_view text, std::size_t bytes_max) {
  return parse_by(Rules::ours, text, bytes_max);
}

Result<Value, ParseError> parse_repeated(std::string_view text, std::size_t bytes_max) {
  return parse_by(Rules::repeated, text, bytes_max);
}

Result<Value, ParseError> parse_foreign(std::string_view text, std::size_t bytes_max) {
  return parse_by(Rules::foreign, text, bytes_max);
}

std::string_view nearest(std::string_view wanted, const std::vector<std::string_view>& known) {
  constexpr std::size_t kWantedMax = 64;  // longer ones are not typing mistakes
  if (wanted.size() > kWantedMax) return {};
  const std::string wanted_lower = lowered(wanted);
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, wanted.size() / 3) + 1;
  for (const std::string_view name : known) {
    const std::size_t d = distance(wanted_lower, lowered(name));
    if (d < best_distance) {
      best_distance = d;
      best = name;
    }
  }
  return best;
}

}  // namespace outrider::json
