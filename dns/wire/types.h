// SPDX-License-Identifier: Apache-2.0
// Numbers of the DNS as open enums: values that we have no name for survive. RFC 1035 §3.2, §4.1.1;
// RFC 6891 (OPT); RFC 8914 (extended errors); RFC 6762 §18 for the mDNS bits.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace outrider::dns {

enum class RrType : std::uint16_t {
  a = 1,
  ns = 2,
  cname = 5,
  soa = 6,
  ptr = 12,
  hinfo = 13,
  mx = 15,
  txt = 16,
  aaaa = 28,
  srv = 33,
  dname = 39,
  opt = 41,
  ds = 43,
  rrsig = 46,
  nsec = 47,
  dnskey = 48,
  svcb = 64,
  https = 65,
  ixfr = 251,
  axfr = 252,
  any = 255,
};
enum class RrClass : std::uint16_t { in = 1, ch = 3, none = 254, any = 255 };
enum class Opcode : std::uint8_t { query = 0, iquery = 1, status = 2, notify = 4, update = 5 };
enum class Rcode : std::uint16_t {
  noerror = 0,
  formerr = 1,
  servfail = 2,
  nxdomain = 3,
  notimp = 4,
  refused = 5,
  badvers = 16,
};
/// RFC 8914 §4.
enum class ExtendedError : std::uint16_t {
  other = 0,
  stale_answer = 3,
  not_ready = 14,
  blocked = 15,
  prohibited = 18,
  not_authoritative = 20,
  not_supported = 21,
  no_reachable_authority = 22,
  network_error = 23,
  invalid_data = 24,
};

/// Seconds. RFC 2181 §8: values with the top bit set count as zero.
using Ttl = std::uint32_t;

/// "A", "SRV", or "TYPE65280" (RFC 3597 §5).
std::string to_string(RrType type);
std::string to_string(Rcode rcode);

inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr std::size_t kMessageBytesMax = 65'535;

/// RFC 1035 §4.1.1 and RFC 6895 §2.
struct Flags {
  bool response = false;  // QR
  Opcode opcode = Opcode::query;
  bool authoritative = false;        // AA
  bool truncated = false;            // TC
  bool recursion_desired = false;    // RD
  bool recursion_available = false;  // RA
  bool authentic_data = false;       // AD
  bool checking_disabled = false;    // CD
  std::uint8_t rcode = 0;            // the low four bits

  static Flags from_bits(std::uint16_t bits);
  std::uint16_t to_bits() const;
  bool operator==(const Flags&) const = default;
};

struct Header {
  std::uint16_t id = 0;
  Flags flags;
  std::uint16_t questions = 0, answers = 0, authorities = 0, additionals = 0;
};

/// RFC 6762 §18.12 and §10.2: the top bit of the class field.
inline constexpr std::uint16_t kUnicastResponseBit = 0x8000;
inline constexpr std::uint16_t kCacheFlushBit = 0x8000;

}  // namespace outrider::dns
