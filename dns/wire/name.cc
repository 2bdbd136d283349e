// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/name.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/hash.h"

namespace outrider::dns {
namespace {

std::uint8_t fold_char(char c) {
  return fold(static_cast<std::uint8_t>(c));
}

bool equal_blind(Bytes a, Bytes b) {
  return std::ranges::equal(a, b, {}, fold, fold);
}

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The position of each label's length octet in the wire form.
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

void write_pointer(ByteWriter& out, std::size_t place) {
  OUTRIDER_ASSERT(place <= kPointerReach);
  out.u16(static_cast<std::uint16_t>(0xc000U | place));
}

/// A wire form under construction. It is a complete name at any time.
class Name::Builder {
 public:
  Builder() { octets_[0] = 0; }
  bool append(std::string_view label) {
    if (label.empty() || label.size() > kLabelBytesMax) return false;
    if (size_ + label.size() + 1 > kNameBytesMax) return false;
    octets_[size_ - 1] = static_cast<std::uint8_t>(label.size());
    std::memcpy(octets_.data() + size_, label.data(), label.size());
    size_ += label.size() + 1;
    octets_[size_ - 1] = 0;
    return true;
  }
  Name take() const {
    Name name;
    name.put(Bytes(octets_).first(size_));
    return name;
  }

 private:
  std::size_t size_ = 1;
  std::array<std::uint8_t, kNameBytesMax> octets_;  // only the first size_ count
};

void Name::put(Bytes wire) {
  std::unique_ptr<std::uint8_t[]> far;
  if (wire.size() > kNearBytes) far = std::make_unique_for_overwrite<std::uint8_t[]>(wire.size());
  std::memmove(far ? far.get() : near_.data(), wire.data(), wire.size());
  size_ = static_cast<std::uint8_t>(wire.size());
  far_ = std::move(far);
}

Name::Name(const Name& other) {
  put(other.wire());
}

Name& Name::operator=(const Name& other) {
  put(other.wire());
  return *this;
}

Name::Name(Name&& other) noexcept {
  *this = std::move(other);
}

Name& Name::operator=(Name&& other) noexcept {
  if (this == &other) return *this;
  size_ = std::exchange(other.size_, 1);
  near_ = other.near_;
  far_ = std::move(other.far_);
  other.near_[0] = 0;
  return *this;
}

std::optional<Name> Name::parse(std::string_view text) {
  Builder name;
  if (text == ".") return Name();
  if (text.empty()) return std::nullopt;
  std::string label;
  for (std::size_t at = 0; at < text.size(); ++at)  // the step passes the dot
    if (!unescape_label(text, at, label) || !name.append(label)) return std::nullopt;
  return name.take();
}

std::optional<Name> Name::from_labels(std::initializer_list<std::string_view> labels) {
  Builder name;
  for (const std::string_view label : labels)
    if (!name.append(label)) return std::nullopt;
  return name.take();
}

std::optional<Name> Name::from_wire(Bytes wire) {
  ByteReader reader(wire);
  Builder name;
  for (;;) {
    const std::uint8_t length = reader.u8();
    const Bytes label = reader.take(length);
    if (!reader.ok() || length > kLabelBytesMax) return std::nullopt;
    if (length == 0) break;
    if (!name.append(as_text(label))) return std::nullopt;
  }
  if (reader.left() != 0) return std::nullopt;
  return name.take();
}

std::optional<Name> Name::read(ByteReader& reader, std::size_t first) {
  // RFC 1035 §4.1.4. Every pointer goes strictly backwards, so a chain ends; the caps on hops and
  // octets keep a message full of chained names from costing the square of its length.
  ByteReader walk = reader;
  std::size_t before = reader.position();  // pointers must point before this
  std::optional<std::size_t> after;        // where the reader continues: after the first pointer
  unsigned hops = 0;
  Builder name;
  for (;;) {
    const std::uint8_t length = walk.u8();
    if (!walk.ok()) break;
    if (length == 0) {
      reader.seek(after.value_or(walk.position()));
      return name.take();
    }
    if (length <= kLabelBytesMax) {
      const Bytes label = walk.take(length);
      if (!walk.ok() || !name.append(as_text(label))) break;
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
  const Bytes octets = wire();
  for (std::size_t i = 0; octets[i] != 0; i += octets[i] + 1U)
    ++count;
  return count;
}

std::string_view Name::label(std::size_t index) const {
  const Bytes octets = wire();
  std::size_t i = 0;
  for (; index > 0 && octets[i] != 0; --index)
    i += octets[i] + 1U;
  OUTRIDER_ASSERT(octets[i] != 0);
  return as_text(octets.subspan(i + 1, octets[i]));
}

Name Name::parent() const {
  Name name;
  if (!is_root()) name.put(wire().subspan(wire()[0] + 1U));
  return name;
}

bool Name::is_under(const Name& zone) const {
  if (size_ < zone.size_) return false;
  const Bytes octets = wire();
  const std::size_t skip = size_ - std::size_t{zone.size_};
  std::size_t i = 0;  // the tail must begin at a label
  while (i < skip)
    i += octets[i] + 1U;
  return i == skip && equal_blind(octets.subspan(skip), zone.wire());
}

std::optional<Name> Name::child(std::string_view label) const {
  const auto name = from_labels({label});
  return name ? prepend(*name) : std::nullopt;
}

std::optional<Name> Name::prepend(const Name& prefix) const {
  const std::size_t size = std::size_t{prefix.size_} + size_ - 1;
  if (size > kNameBytesMax) return std::nullopt;
  std::array<std::uint8_t, kNameBytesMax> octets;
  std::memcpy(octets.data(), prefix.octets(), prefix.size_ - 1U);
  std::memcpy(octets.data() + prefix.size_ - 1, this->octets(), size_);
  Name name;
  name.put(Bytes(octets).first(size));
  return name;
}

Name Name::lowercase() const {
  std::array<std::uint8_t, kNameBytesMax> octets;
  std::ranges::transform(wire(), octets.begin(), fold);
  Name name;
  name.put(Bytes(octets).first(size_));
  return name;
}

std::string Name::to_string() const {
  return is_root() ? "." : to_display() + '.';
}

std::string Name::to_display() const {
  if (is_root()) return ".";
  std::string text;
  const Bytes octets = wire();
  for (std::size_t i = 0; octets[i] != 0; i += octets[i] + 1U) {
    if (i > 0) text.push_back('.');
    for (const char c : as_text(octets.subspan(i + 1, octets[i]))) {
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
    const std::string_view x = as_text(wire().subspan(a + 1, wire()[a]));
    const std::string_view y = as_text(other.wire().subspan(b + 1, other.wire()[b]));
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

std::size_t Name::hash(std::uint64_t seed) const {
  // Eight octets a step, folded side by side: bit 0x20 is set where an octet is in 'A'..'Z'. The
  // sums cannot carry into the next octet because the top bits are masked off first.
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101U;
  std::array<std::uint8_t, (kNameBytesMax + 8) / 8 * 8> folded{};
  const std::size_t steps = (size_ + 7U) / 8;
  for (std::size_t i = 0; i < steps; ++i) {
    std::uint64_t word = 0;
    std::memcpy(&word, octets() + 8 * i, std::min<std::size_t>(8, size_ - 8 * i));
    const std::uint64_t low = word & (kOnes * 0x7f);
    const std::uint64_t from_a = low + kOnes * (0x80 - 'A');
    const std::uint64_t past_z = low + kOnes * (0x80 - 'Z' - 1);
    word |= (from_a & ~past_z & ~word & (kOnes * 0x80)) >> 2;
    std::memcpy(folded.data() + 8 * i, &word, 8);
  }
  return seeded_hash(Bytes(folded).first(8 * steps), seed);
}

}  // namespace outrider::dns
