// SPDX-License-Identifier: Apache-2.0
#include "dns/local_reverse.h"

#include <algorithm>
#include <string>
#include <vector>

namespace outrider::dns {
namespace {

constexpr Ttl kTtl = 10'800;  // RFC 6303 §3, with the numbers of the SOA
constexpr std::uint32_t kSerial = 1, kRefresh = 3'600, kRetry = 1'200, kExpire = 604'800;

struct Zone {
  Name origin;
  ReverseScope scope;
};

std::string v6_digits(std::size_t zeros) {
  std::string text;
  while (zeros-- > 0)
    text += "0.";
  return text + "ip6.arpa";
}

const std::vector<Zone>& zones() {
  static const std::vector<Zone> kZones = [] {
    std::vector<Zone> all;
    const auto add = [&all](const std::string& text, ReverseScope scope) {
      all.push_back({*Name::parse(text), scope});
    };
    for (const char* v4 :
         {"0", "127", "254.169", "2.0.192", "100.51.198", "113.0.203", "255.255.255.255"})
      add(std::string(v4) + ".in-addr.arpa", ReverseScope::host);
    add(v6_digits(32), ReverseScope::host);
    add("1." + v6_digits(31), ReverseScope::host);
    for (const char* v6 : {"8.e.f", "9.e.f", "a.e.f", "b.e.f", "8.b.d.0.1.0.0.2"})
      add(std::string(v6) + ".ip6.arpa", ReverseScope::host);
    for (const char* v4 : {"10", "168.192"})
      add(std::string(v4) + ".in-addr.arpa", ReverseScope::network);
    for (int i = 16; i < 32; ++i)
      add(std::to_string(i) + ".172.in-addr.arpa", ReverseScope::network);
    for (int i = 64; i < 128; ++i)
      add(std::to_string(i) + ".100.in-addr.arpa", ReverseScope::network);
    for (const char* v6 : {"c.f.ip6.arpa", "d.f.ip6.arpa"})
      add(v6, ReverseScope::network);
    return all;
  }();
  return kZones;
}

/// Whether the name of the query is this one, or one that only leads to it.
enum class Place : std::uint8_t { elsewhere, above, at };
Place place_of(const Query& query, const Name& name) {
  const Bytes wire = name.wire();
  const Bytes asked = query.name();
  if (asked.size() > wire.size()) return Place::elsewhere;
  if (!std::ranges::equal(asked, wire.last(asked.size()))) return Place::elsewhere;
  return asked.size() == wire.size() ? Place::at : Place::above;
}

void write_soa(const LocalReverse& zone, Section section, Reply& reply) {
  static const Name kNobody = *Name::parse("nobody.invalid");
  const NamePlace origin = kQuestionName + zone.origin;
  ByteWriter& out = reply.begin(origin, RrType::soa, RrClass::in, kTtl);
  write_pointer(out, origin);
  out.put(kNobody.wire());
  for (const std::uint32_t number : {kSerial, kRefresh, kRetry, kExpire})
    out.u32(number);
  out.u32(kTtl);
  reply.end(section);
}

}  // namespace

std::optional<LocalReverse> local_reverse(const Query& query) {
  if (query.label_count < 3) return std::nullopt;
  for (const Zone& zone : zones()) {
    const std::size_t labels = zone.origin.label_count();
    if (query.label_count < labels) continue;
    const std::size_t begin = query.tail_begin(labels);
    if (std::ranges::equal(query.name().subspan(begin), zone.origin.wire()))
      return LocalReverse{zone.scope, static_cast<std::uint8_t>(begin)};
  }
  return std::nullopt;
}

void write_local_reverse(const Query& query, const LocalReverse& zone, Reply& reply) {
  static const Name kLoopback[] = {*Name::parse("1.0.0.127.in-addr.arpa"),
                                   *Name::parse("1." + v6_digits(31))};
  static const Name kLocalhost = *Name::parse("localhost");
  const bool any = query.type == RrType::any;
  const bool apex = zone.origin == 0;
  bool exists = apex;
  reply.authoritative = true;
  for (const Name& name : kLoopback) {
    const Place place = place_of(query, name);
    exists = exists || place != Place::elsewhere;
    if (place != Place::at || (query.type != RrType::ptr && !any)) continue;
    reply.add(Section::answer, kQuestionName, RrType::ptr, RrClass::in, kTtl, kLocalhost.wire());
    return;
  }
  if (apex && (query.type == RrType::soa || any)) {
    write_soa(zone, Section::answer, reply);
    return;
  }
  if (!exists) reply.rcode = Rcode::nxdomain;
  write_soa(zone, Section::authority, reply);
}

}  // namespace outrider::dns
