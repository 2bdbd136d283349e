// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/name.h"

#include <algorithm>
#include <cstring>

namespace outrider::dns {
namespace {

/// RFC 4343. Works on length octets too: they are below 64 and 'A' is 65, so whole wire forms can
/// be folded and compared without looking at the labels.
constexpr std::uint8_t fold(std::uint8_t octet) {
  return octet >= 'A' && octet <= 'Z' ? static_cast<std::uint8_t>(octet + 32) : octet;
}
std::uint8_t fold_char(char c) {
  return fold(static_cast<std::uint8_t>(c));
}

bool equal_blind(Bytes a, Bytes b) {
  return std::ranges::equal(a, b, {}, fold, fold);
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Where each label's length octet stands in the wire form.
struct LabelPlaces {
  std::uint8_t count = 0;
  std::uint8_t at[kNameBytesMax / 2 + 1];

  explicit LabelPlaces(Bytes wire) {
    for (std::size_t i = 0; wire[i] != 0; i += wire[i] + 1U)
      at[count++] = static_cast<std::uint8_t>(i);
  }
};

/// One label of master-file text up to an unescaped dot or the end. False if it is malformed.
bool unescape_label(std::string_view text, std::size_t& at, std::string& label) {
  label.clear();
  while (at < text.size() && text[at] != '.') {
    char c = text[at++];
    if (c == '\\') {
      if (at >= text.size()) return false;
      c = text[at++];
      if (is_digit(c)) {
        if (at + 2 > text.size() || !is_digit(text[at]) || !is_digit(text[at + 1])) return false;
        const int value = (c - '0') * 100 + (text[at] - '0') * 10 + (text[at + 1] - '0');
        if (value > 255) return false;
        c = static_cast<char>(value);
        at += 2;
      }
    }
    label.push_back(c);
    if (label.size() > kLabelBytesMax) return false;
  }
  return true;
}

}  // namespace

Name::Name(const Name& other) noexcept : size_(other.size_) {
  std::memcpy(bytes_.data(), other.bytes_.data(), size_);
}

Name& Name::operator=(const Name& other) noexcept {
  size_ = other.size_;
  std::memmove(bytes_.data(), other.bytes_.data(), size_);
  return *this;
}

bool Name::append_label(std::string_view label) {
  if (label.empty() || label.size() > kLabelBytesMax) return false;
  if (size_ + label.size() + 1 > kNameBytesMax) return false;
  bytes_[size_ - 1U] = static_cast<std::uint8_t>(label.size());
  std::memcpy(bytes_.data() + size_, label.data(), label.size());
  size_ = static_cast<std::uint8_t>(size_ + label.size() + 1);
  bytes_[size_ - 1U] = 0;
  return true;
}

std::optional<Name> Name::parse(std::string_view text) {
  Name name;
  if (text == ".") return name;
  if (text.empty()) return std::nullopt;
  std::string label;
  for (std::size_t at = 0; at < text.size(); ++at) {  // the step passes the dot
    if (!unescape_label(text, at, label) || !name.append_label(label)) return std::nullopt;
  }
  return name;
}

std::optional<Name> Name::from_labels(std::initializer_list<std::string_view> labels) {
  Name name;
  for (const std::string_view label : labels) {
    if (!name.append_label(label)) return std::nullopt;
  }
  return name;
}

std::optional<Name> Name::from_wire(Bytes wire) {
  ByteReader reader(wire);
  Name name;
  for (;;) {
    const std::uint8_t length = reader.u8();
    const Bytes label = reader.take(length);
    if (!reader.ok() || length > kLabelBytesMax) return std::nullopt;
    if (length == 0) break;
    if (!name.append_label(as_text(label))) return std::nullopt;
  }
  if (reader.left() != 0) return std::nullopt;
  return name;
}

std::optional<Name> Name::read(ByteReader& reader, std::size_t first) {
  // RFC 1035 §4.1.4. Every pointer goes strictly backwards, so a chain ends; the caps on hops and
  // octets keep a message full of chained names from costing the square of its length.
  ByteReader walk = reader;
  std::size_t before = reader.position();  // pointers must point before this
  std::optional<std::size_t> after;        // where the reader goes on: after the first pointer
  unsigned hops = 0;
  Name name;
  for (;;) {
    const std::uint8_t length = walk.u8();
    if (!walk.ok()) break;
    if (length == 0) {
      reader.seek(after.value_or(walk.position()));
      return name;
    }
    if (length <= kLabelBytesMax) {
      const Bytes label = walk.take(length);
      if (!walk.ok() || !name.append_label(as_text(label))) break;
      continue;
    }
    if ((length & 0xc0) != 0xc0) break;  // 0x40 and 0x80 are no longer in use (RFC 6891 §5)
    const std::size_t target = (length & 0x3fU) << 8 | walk.u8();
    if (!walk.ok() || target >= before || target < first || ++hops > kPointerHopsMax) break;
    if (!after) after = walk.position();
    before = target;
    walk.seek(target);
  }
  reader.fail();
  return std::nullopt;
}

std::size_t Name::label_count() const {
  std::size_t count = 0;
  for (std::size_t i = 0; bytes_[i] != 0; i += bytes_[i] + 1U)
    ++count;
  return count;
}

std::string_view Name::label(std::size_t index) const {
  std::size_t i = 0;
  for (; index > 0 && bytes_[i] != 0; --index)
    i += bytes_[i] + 1U;
  OUTRIDER_ASSERT(bytes_[i] != 0);
  return as_text(wire().subspan(i + 1, bytes_[i]));
}

Name Name::parent() const {
  Name name;
  if (is_root()) return name;
  const std::size_t skip = bytes_[0] + 1U;
  name.size_ = static_cast<std::uint8_t>(size_ - skip);
  std::memcpy(name.bytes_.data(), bytes_.data() + skip, name.size_);
  return name;
}

bool Name::is_under(const Name& zone) const {
  if (size_ < zone.size_) return false;
  const std::size_t skip = size_ - std::size_t{zone.size_};
  std::size_t i = 0;  // the tail must begin at a label
  while (i < skip)
    i += bytes_[i] + 1U;
  return i == skip && equal_blind(wire().subspan(skip), zone.wire());
}

std::optional<Name> Name::child(std::string_view label) const {
  Name name;
  if (!name.append_label(label)) return std::nullopt;
  return prepend(name);
}

std::optional<Name> Name::prepend(const Name& prefix) const {
  const std::size_t size = std::size_t{prefix.size_} + size_ - 1;
  if (size > kNameBytesMax) return std::nullopt;
  Name name;
  std::memcpy(name.bytes_.data(), prefix.bytes_.data(), prefix.size_ - 1U);
  std::memcpy(name.bytes_.data() + prefix.size_ - 1, bytes_.data(), size_);
  name.size_ = static_cast<std::uint8_t>(size);
  return name;
}

Name Name::lowercase() const {
  Name name = *this;
  std::transform(name.bytes_.begin(), name.bytes_.begin() + size_, name.bytes_.begin(), fold);
  return name;
}

std::string Name::to_string() const {
  return is_root() ? "." : to_display() + '.';
}

std::string Name::to_display() const {
  if (is_root()) return ".";
  std::string text;
  for (std::size_t i = 0; bytes_[i] != 0; i += bytes_[i] + 1U) {
    if (i > 0) text.push_back('.');
    for (const char c : as_text(wire().subspan(i + 1, bytes_[i]))) {
      const auto octet = static_cast<std::uint8_t>(c);
      if (octet <= 0x20 || octet >= 0x7f) {
        text += {'\\', static_cast<char>('0' + octet / 100),
                 static_cast<char>('0' + octet / 10 % 10), static_cast<char>('0' + octet % 10)};
      } else {
        if (std::string_view(".\\\"();@$").find(c) != std::string_view::npos) text.push_back('\\');
        text.push_back(c);
      }
    }
  }
  return text;
}

bool Name::operator==(const Name& other) const {
  return equal_blind(wire(), other.wire());
}

std::strong_ordering Name::operator<=>(const Name& other) const {
  const LabelPlaces mine(wire()), theirs(other.wire());
  const std::size_t common = std::min(mine.count, theirs.count);
  for (std::size_t i = 1; i <= common; ++i) {
    const std::size_t a = mine.at[mine.count - i], b = theirs.at[theirs.count - i];
    const std::string_view x = as_text(wire().subspan(a + 1, bytes_[a]));
    const std::string_view y = as_text(other.wire().subspan(b + 1, other.bytes_[b]));
    const auto order = std::lexicographical_compare_three_way(
        x.begin(), x.end(), y.begin(), y.end(),
        [](char p, char q) { return fold_char(p) <=> fold_char(q); });
    if (order != 0) return order;
  }
  return mine.count <=> theirs.count;
}

bool Name::same_case(const Name& other) const {
  return std::ranges::equal(wire(), other.wire());
}

std::size_t Name::hash() const {
  return hash_wire(wire());
}

std::uint64_t Name::hash_wire(Bytes wire) {
  // Eight octets a step, folded side by side: bit 0x20 is set where an octet is in 'A'..'Z'. The
  // sums cannot carry into the next octet because the top bits are masked off first.
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101U;
  std::uint64_t hash = wire.size() * 0x9e37'79b9'7f4a'7c15U;
  for (std::size_t i = 0; i < wire.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, wire.data() + i, std::min<std::size_t>(8, wire.size() - i));
    const std::uint64_t low = word & (kOnes * 0x7f);
    const std::uint64_t from_a = low + kOnes * (0x80 - 'A');
    const std::uint64_t past_z = low + kOnes * (0x80 - 'Z' - 1);
    word |= (from_a & ~past_z & ~word & (kOnes * 0x80)) >> 2;
    hash = (hash ^ word) * 0xff51'afd7'ed55'8ccdU;
    hash ^= hash >> 32;
  }
  return hash;
}

}  // namespace outrider::dns
