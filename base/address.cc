// SPDX-License-Identifier: Apache-2.0
#include "base/address.h"

#include <algorithm>

#include <arpa/inet.h>

#include "base/text.h"

namespace outrider {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

IpAddress IpAddress::v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  IpAddress address;
  address.bytes_ = {a, b, c, d};
  return address;
}

IpAddress IpAddress::from_bytes(Bytes bytes, std::uint32_t scope) {
  OUTRIDER_ASSERT(bytes.size() == 4 || bytes.size() == 16);
  IpAddress address;
  if (bytes.size() == 16 && std::ranges::equal(bytes.first(12), kMappedPrefix))
    bytes = bytes.subspan(12);
  std::ranges::copy(bytes, address.bytes_.begin());
  if (bytes.size() == 16) {
    address.family_ = Family::v6;
    if (address.is_link_local() || address.is_multicast()) address.scope_ = scope;
  }
  return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  std::uint32_t scope = 0;
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos) {
    const auto number = parse_number<std::uint32_t>(text.substr(percent + 1));
    if (!number || *number == 0) return std::nullopt;
    scope = *number;
    text = text.substr(0, percent);
  }
  char copy[INET6_ADDRSTRLEN];
  if (text.size() >= sizeof copy) return std::nullopt;
  *std::ranges::copy(text, copy).out = '\0';

  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, copy, bytes.data()) == 1) {
    if (percent != std::string_view::npos) return std::nullopt;
    return from_bytes(Bytes(bytes).first(4));
  }
  if (inet_pton(AF_INET6, copy, bytes.data()) == 1) return from_bytes(bytes, scope);
  return std::nullopt;
}

IpAddress IpAddress::any(Family family) {
  IpAddress address;
  address.family_ = family;
  return address;
}

IpAddress IpAddress::loopback(Family family) {
  if (family == Family::v4) return v4(127, 0, 0, 1);
  IpAddress address = any(family);
  address.bytes_[15] = 1;
  return address;
}

IpAddress IpAddress::with_scope(std::uint32_t scope) const {
  return from_bytes(bytes(), scope);
}

bool IpAddress::is_any() const {
  return std::ranges::all_of(bytes_, [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_loopback() const {
  return is_v4() ? bytes_[0] == 127 : bytes_ == loopback(Family::v6).bytes_;
}

bool IpAddress::is_link_local() const {
  return is_v4() ? bytes_[0] == 169 && bytes_[1] == 254
                 : bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::is_multicast() const {
  return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}

bool IpAddress::is_private() const {
  if (is_v6()) return (bytes_[0] & 0xfe) == 0xfc;
  return bytes_[0] == 10 || (bytes_[0] == 172 && (bytes_[1] & 0xf0) == 16) ||
         (bytes_[0] == 192 && bytes_[1] == 168);
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  std::string result = text;
  if (scope_ != 0) result += '%' + std::to_string(scope_);
  return result;
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  const auto length = parse_number<std::uint8_t>(text.substr(slash + 1));
  if (!length || *length > 8 * address->bytes().size()) return std::nullopt;
  return Prefix{*address, *length};
}

bool Prefix::contains(const IpAddress& other) const {
  if (other.family() != address.family()) return false;
  const Bytes ours = address.bytes();
  const Bytes theirs = other.bytes();
  const std::size_t whole = std::min<std::size_t>(length / 8U, ours.size());
  if (!std::ranges::equal(ours.first(whole), theirs.first(whole))) return false;
  const unsigned rest = length % 8U;
  if (rest == 0 || whole == ours.size()) return true;
  return ((ours[whole] ^ theirs[whole]) >> (8 - rest)) == 0;
}

std::string Prefix::to_string() const {
  return address.to_string() + '/' + std::to_string(length);
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_number<std::uint16_t>(text.substr(colon + 1));
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  // "::1:53" would read as an address too: IPv6 needs its brackets, and only IPv6 has them.
  const bool has_colon = host.find(':') != std::string_view::npos;
  if (!port || !address || has_colon != bracketed) return std::nullopt;
  return Endpoint{*address, *port};
}

std::string Endpoint::to_string() const {
  const std::string host = address.to_string();
  return (address.is_v6() ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

std::size_t AddressHash::operator()(const IpAddress& address) const {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325U ^ address.scope();
  for (const std::uint8_t byte : address.bytes())
    hash = (hash ^ byte) * 0x100'0000'01b3U;
  return static_cast<std::size_t>(hash);
}

std::size_t AddressHash::operator()(const Endpoint& endpoint) const {
  return (*this)(endpoint.address) * 0x9e37'79b9'7f4a'7c15U + endpoint.port;
}

}  // namespace outrider
