// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/canonical.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <sha2.h>
#include <sys/types.h>

namespace outrider::farp {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

void append_escape(std::string& out, unsigned code) {
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4)
    out += kHex[(code >> shift) & 15U];
}

// Go 1.19's encoder: \n \r \t by letter, other control characters and the HTML ones by number.
void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (text[i] == '"' || text[i] == '\\') {
      out += '\\';
      out += text[i];
    } else if (text[i] == '\n') {
      out += "\\n";
    } else if (text[i] == '\r') {
      out += "\\r";
    } else if (text[i] == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || text[i] == '<' || text[i] == '>' || text[i] == '&') {
      append_escape(out, byte);
    } else if (text.substr(i, 2) == "\xe2\x80" && i + 2 < text.size() &&
               (text[i + 2] == '\xa8' || text[i + 2] == '\xa9')) {
      append_escape(out, text[i + 2] == '\xa8' ? 0x2028 : 0x2029);
      i += 2;
    } else {
      out += text[i];
    }
  }
  out += '"';
}

void append(std::string& out, const json::Value& value);

void append_members(std::string& out, const json::Object& object) {
  std::vector<const std::pair<std::string, json::Value>*> members;
  members.reserve(object.size());
  for (const auto& member : object)
    members.push_back(&member);
  std::ranges::sort(members, {},
                    [](const auto* member) -> const std::string& { return member->first; });
  out += '{';
  for (const auto* member : members) {
    if (member != members.front()) out += ',';
    append_string(out, member->first);
    out += ':';
    append(out, member->second);
  }
  out += '}';
}

void append(std::string& out, const json::Value& value) {
  if (const auto* object = value.as_object()) {
    append_members(out, *object);
  } else if (const auto* array = value.as_array()) {
    out += '[';
    bool first = true;
    for (const json::Value& element : *array) {
      if (!first) out += ',';
      first = false;
      append(out, element);
    }
    out += ']';
  } else if (const auto* text = value.as_string()) {
    append_string(out, *text);
  } else if (const auto* flag = value.as_bool()) {
    out += *flag ? "true" : "false";
  } else if (const auto* integer = value.as_int()) {
    out += go_number(static_cast<double>(*integer));
  } else if (const auto* real = value.as_double()) {
    out += go_number(*real);
  } else {
    out += "null";
  }
}

}  // namespace

std::string go_canonical(const json::Value& document) {
  std::string out;
  append(out, document);
  return out;
}

std::string go_number(double number) {
  const double size = std::fabs(number);
  const bool exponent = size != 0 && (size < 1e-6 || size >= 1e21);
  // Beyond 2^53 both write integers, Go with zeros for the digits that tell nothing, to_chars with
  // those of the exact value.
  const bool padded = !exponent && size >= 0x1p53;
  std::array<char, 64> buffer{};
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number,
                    exponent || padded ? std::chars_format::scientific : std::chars_format::fixed)
          .ptr;
  std::string text(buffer.data(), end);
  if (padded) {
    const std::size_t digits = static_cast<std::size_t>(std::stoi(text.substr(text.find('e') + 1)));
    text.erase(text.find('e'));
    std::erase(text, '.');
    text.resize(digits + (number < 0 ? 2 : 1), '0');
  }
  // Go drops the zero of a two-digit negative exponent ("1e-07" is "1e-7") and keeps e+21.
  const std::size_t mark = text.find("e-0");
  if (mark != std::string::npos) text.erase(mark + 2, 1);
  return text;
}

std::string sha256_hex(std::string_view bytes) {
  SHA2_CTX context;
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256Init(&context);
  SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  SHA256Final(digest.data(), &context);
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15U];
  }
  return text;
}

std::string schema_hash(const json::Value& schema) {
  return sha256_hex(go_canonical(schema));
}

std::string manifest_checksum(std::vector<TypedHash> hashes) {
  if (hashes.empty()) return {};
  std::ranges::stable_sort(hashes, {}, &TypedHash::type);
  std::string joined;
  for (const TypedHash& hash : hashes)
    joined += hash.hash;
  return sha256_hex(joined);
}

}  // namespace outrider::farp
