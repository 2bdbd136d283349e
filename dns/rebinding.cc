// SPDX-License-Identifier: Apache-2.0
#include "dns/rebinding.h"

#include <algorithm>
#include <array>

namespace outrider::dns {
namespace {

bool is_private_v4(const IpAddress& address) {
  const Bytes bytes = address.bytes();
  const bool shared = bytes[0] == 100 && (bytes[1] & 0xc0) == 64;  // RFC 6598
  // 0.0.0.0/8, "this host on this network", reaches loopback, too.
  return bytes[0] == 0 || shared || address.is_private() || address.is_loopback() ||
         address.is_link_local();
}

bool begins(Bytes bytes, const char* prefix, std::size_t octets) {
  return std::ranges::equal(bytes.first(octets), IpAddress::parse(prefix)->bytes().first(octets));
}

bool carries_private_v4(Bytes bytes) {
  const auto embedded = [&bytes](std::size_t at) {
    return is_private_v4(IpAddress::from_bytes(bytes.subspan(at, 4)));
  };
  // RFC 6052 §3.1 and RFC 8215: NAT64; RFC 4291 §2.5.5.1: IPv4-compatible. Mapped ones are IPv4
  // to IpAddress already.
  static constexpr const char* kAtTheEnd[] = {"64:ff9b::", "64:ff9b:1::", "::"};
  for (const char* prefix : kAtTheEnd)
    if (begins(bytes, prefix, 12)) return embedded(12);
  if (begins(bytes, "2002::", 2)) return embedded(2);  // 6to4 (RFC 3056)
  if (!begins(bytes, "2001::", 4)) return false;
  std::array<std::uint8_t, 4> client{};  // Teredo (RFC 4380 §4): the client's address inverted
  std::ranges::transform(bytes.last(4), client.begin(),
                         [](std::uint8_t octet) { return static_cast<std::uint8_t>(~octet); });
  return embedded(4) || is_private_v4(IpAddress::from_bytes(client));
}

/// The last label of `name` is one of `labels`.
bool ends_in_one_of(const Name& name, std::span<const Name> labels) {
  const Name last = *Name::from_labels({name.label(name.label_count() - 1)});
  return std::ranges::find(labels, last) != labels.end();
}

}  // namespace

bool is_private_answer(const IpAddress& address) {
  if (address.is_v4()) return is_private_v4(address);
  const Bytes bytes = address.bytes();
  const bool site_local = bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0xc0;  // RFC 3879
  return site_local || address.is_private() || address.is_loopback() || address.is_link_local() ||
         address.is_any() || carries_private_v4(bytes);
}

bool is_private_domain(const Name& name) {
  static const Name kHomeArpa = *Name::parse("home.arpa");
  static const Name kPrivate[] = {*Name::parse("internal"),  *Name::parse("intranet"),
                                  *Name::parse("private"),   *Name::parse("corp"),
                                  *Name::parse("home"),      *Name::parse("lan"),
                                  *Name::parse("local"),     *Name::parse("localdomain"),
                                  *Name::parse("localhost"), *Name::parse("test")};
  return name.label_count() < 2 || name.is_under(kHomeArpa) || ends_in_one_of(name, kPrivate);
}

bool may_be_excepted(const Name& search_domain) {
  // The top-level domains under which nearly everything is: those of countries have two letters.
  static const Name kPublic[] = {
      *Name::parse("com"),  *Name::parse("net"),  *Name::parse("org"),    *Name::parse("info"),
      *Name::parse("biz"),  *Name::parse("edu"),  *Name::parse("gov"),    *Name::parse("mil"),
      *Name::parse("int"),  *Name::parse("arpa"), *Name::parse("app"),    *Name::parse("dev"),
      *Name::parse("xyz"),  *Name::parse("top"),  *Name::parse("online"), *Name::parse("shop"),
      *Name::parse("site"), *Name::parse("club"), *Name::parse("cloud"),  *Name::parse("store"),
      *Name::parse("page"), *Name::parse("name"), *Name::parse("pro"),    *Name::parse("tech")};
  if (search_domain.is_root()) return false;
  if (search_domain.label_count() > 1) return true;
  return search_domain.label(0).size() > 2 && !ends_in_one_of(search_domain, kPublic);
}

}  // namespace outrider::dns
