// SPDX-License-Identifier: Apache-2.0
// A domain name that is valid by construction: uncompressed wire form, at most 255 octets with the
// root, labels of 1 to 63 octets of any value (RFC 1035 §3.1, RFC 2181 §11). Compared case-blind
// for ASCII only (RFC 4343); the case that it was made with is kept.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace outrider::dns {

inline constexpr std::size_t kNameBytesMax = 255;
inline constexpr std::size_t kLabelBytesMax = 63;
inline constexpr unsigned kPointerHopsMax = 16;

/// Lower case of one octet (RFC 4343). Length octets are left as they are: they are below 64 and
/// 'A' is 65, so that whole wire forms can be folded and compared without looking at the labels.
constexpr std::uint8_t fold(std::uint8_t octet) {
  return octet >= 'A' && octet <= 'Z' ? static_cast<std::uint8_t>(octet + 32) : octet;
}

/// A compression pointer reaches this far into a message (RFC 1035 §4.1.4).
inline constexpr std::size_t kPointerReach = 0x3fff;
/// `place` is where the name begins in the message.
void write_pointer(ByteWriter& out, std::size_t place);

class Name {
 public:
  /// The root.
  Name() = default;
  Name(const Name& other);
  Name& operator=(const Name& other);
  /// The source becomes the root.
  Name(Name&& other) noexcept;
  Name& operator=(Name&& other) noexcept;

  /// Master-file text: "a.b.", "a.b" (the same), "\." and "\DDD" escapes (RFC 1035 §5.1), "." for
  /// the root. nullopt for empty labels and for names or labels that are too long.
  static std::optional<Name> parse(std::string_view text);
  /// From whole labels, leftmost first, each any octets.
  static std::optional<Name> from_labels(std::initializer_list<std::string_view> labels);
  /// From exactly one uncompressed name that fills `wire`.
  static std::optional<Name> from_wire(Bytes wire);
  /// Reads at the reader's position and leaves it after the name. Follows compression pointers
  /// (RFC 1035 §4.1.4), each of which must point before the place where the name, or the part of
  /// it after the last pointer, began, and not before `first`; at most kPointerHopsMax. On failure
  /// the reader has failed.
  static std::optional<Name> read(ByteReader& reader, std::size_t first = 0);

  /// Wire form with the root's zero octet.
  Bytes wire() const { return {octets(), size_}; }
  std::size_t label_count() const;  // without the root
  bool is_root() const { return size_ == 1; }
  /// The octets of a label, 0 is the leftmost; index < label_count().
  std::string_view label(std::size_t index) const;

  /// Without the leftmost label; the root's parent is the root.
  Name parent() const;
  /// True for the zone itself and everything below it.
  bool is_under(const Name& zone) const;
  /// A label before this name; nullopt if the label is invalid or the result too long.
  std::optional<Name> child(std::string_view label) const;
  /// The labels of `prefix` before this name.
  std::optional<Name> prepend(const Name& prefix) const;
  /// ASCII letters in lower case.
  Name lowercase() const;

  /// "hello.svc." with escapes; "." for the root.
  std::string to_string() const;
  /// The same without the final dot.
  std::string to_display() const;

  /// Case-blind. The order is canonical (RFC 4034 §6.1): by labels from the right.
  bool operator==(const Name& other) const;
  std::strong_ordering operator<=>(const Name& other) const;
  /// Byte for byte.
  bool same_case(const Name& other) const;
  /// Case-blind. Without the seed, names with equal hashes cannot be constructed.
  std::size_t hash(std::uint64_t seed) const;

 private:
  class Builder;
  void put(Bytes wire);
  const std::uint8_t* octets() const { return size_ > kNearBytes ? far_.get() : near_.data(); }

  // Nearly all names are short, and tables hold them by the ten thousand: one cache line each.
  static constexpr std::size_t kNearBytes = 55;
  std::uint8_t size_ = 1;
  std::array<std::uint8_t, kNearBytes> near_{};  // only the first size_ count
  std::unique_ptr<std::uint8_t[]> far_;          // those of a longer name
};

/// For unordered containers. A table that the network fills needs a random seed; a table that only
/// the agent fills may use zero.
class NameHash {
 public:
  explicit NameHash(std::uint64_t seed) : seed_(seed) {}
  std::size_t operator()(const Name& name) const { return name.hash(seed_); }

 private:
  std::uint64_t seed_;
};

}  // namespace outrider::dns
