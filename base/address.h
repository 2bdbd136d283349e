// SPDX-License-Identifier: Apache-2.0
// IP addresses, endpoints and prefixes as values. An address is always valid; IPv6 link-local ones
// may carry the index of their interface as scope. IPv4-mapped IPv6 is turned into IPv4 on entry,
// so that one address has one form.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace outrider {

class IpAddress {
 public:
  enum class Family : std::uint8_t { v4, v6 };

  /// 0.0.0.0
  IpAddress() = default;
  static IpAddress v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);
  /// Exactly 4 or 16 bytes in network order; anything else is our own mistake.
  static IpAddress from_bytes(Bytes bytes, std::uint32_t scope = 0);
  /// "192.0.2.1", "2001:db8::1", "fe80::1%3" (numeric scope only). No brackets, no port.
  static std::optional<IpAddress> parse(std::string_view text);
  static IpAddress any(Family family);
  static IpAddress loopback(Family family);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::v4; }
  bool is_v6() const { return family_ == Family::v6; }
  /// 4 or 16 bytes in network order.
  Bytes bytes() const { return {bytes_.data(), is_v4() ? 4U : 16U}; }
  /// Interface index of a link-local address; 0 where unknown or meaningless.
  std::uint32_t scope() const { return scope_; }
  IpAddress with_scope(std::uint32_t scope) const;

  bool is_any() const;
  bool is_loopback() const;    // 127.0.0.0/8, ::1
  bool is_link_local() const;  // 169.254.0.0/16, fe80::/10
  bool is_multicast() const;   // 224.0.0.0/4, ff00::/8
  bool is_private() const;     // RFC 1918, RFC 4193; neither loopback nor link-local

  /// "192.0.2.1", "fe80::1%3"; RFC 5952 for IPv6.
  std::string to_string() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  Family family_ = Family::v4;
  std::array<std::uint8_t, 16> bytes_{};
  std::uint32_t scope_ = 0;
};

/// An address with the length of its network part.
struct Prefix {
  IpAddress address;
  std::uint8_t length = 0;

  /// "10.0.0.0/8"; the length may not exceed the family's bits.
  static std::optional<Prefix> parse(std::string_view text);
  /// True if the first `length` bits agree and the families are equal. Scopes are not compared.
  bool contains(const IpAddress& other) const;
  std::string to_string() const;

  auto operator<=>(const Prefix&) const = default;
};

struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  /// "192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%3]:53".
  static std::optional<Endpoint> parse(std::string_view text);
  std::string to_string() const;

  auto operator<=>(const Endpoint&) const = default;
};

/// For hashed containers.
struct AddressHash {
  std::size_t operator()(const IpAddress& address) const;
  std::size_t operator()(const Endpoint& endpoint) const;
};

/// In a TXT string, stands for the address of the link on which the string is sent.
inline constexpr std::string_view kAddressMark = "{address}";

}  // namespace outrider
