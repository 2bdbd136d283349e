// SPDX-License-Identifier: Apache-2.0
// EDNS(0) (RFC 6891) and extended errors (RFC 8914): the one place that knows the octets of an OPT
// record and of its options. Nothing here allocates.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "dns/wire/types.h"

namespace outrider::dns {

/// An OPT record without options.
inline constexpr std::size_t kOptBytes = 11;
inline constexpr std::uint16_t kDnssecOk = 0x8000;  // RFC 3225 §3

/// What an OPT record says (RFC 6891 §6.1.2).
struct Edns {
  std::uint16_t udp_size = 512;
  std::uint8_t extended_rcode = 0;  // the upper eight bits of the RCODE
  std::uint8_t version = 0;
  bool dnssec_ok = false;
  Bytes options;  // whole options, one after another; into the message when they were read
};

/// The upper bits of an RCODE, as they go into an OPT record.
constexpr std::uint8_t upper_bits(Rcode rcode) {
  return static_cast<std::uint8_t>(static_cast<unsigned>(rcode) >> 4);
}

/// Why an answer is what it is (RFC 8914).
struct Explanation {
  ExtendedError code = ExtendedError::other;
  std::string_view text;
};

/// Reads an OPT record from its class to its end, after the owner and the type. The values are
/// meaningless if the reader is not ok() afterwards. Inline, since nearly every query has one.
inline Edns read_opt(ByteReader& reader) {
  Edns edns;
  edns.udp_size = reader.u16();
  edns.extended_rcode = reader.u8();
  edns.version = reader.u8();
  edns.dnssec_ok = (reader.u16() & kDnssecOk) != 0;
  edns.options = reader.take(reader.u16());
  return edns;
}
/// True if the options fill their record exactly, whatever they are (RFC 6891 §6.1.2).
bool options_fit(Bytes options);
/// The first extended error; its text is not checked and may be long.
std::optional<Explanation> find_explanation(Bytes options);

/// Writes an OPT record.
void write_opt(ByteWriter& out, const Edns& edns);
/// The same with an explanation in place of `edns.options`, as much of its text as `out` has room
/// for. It is left out if not even an empty one fits.
void write_opt(ByteWriter& out, const Edns& edns, const Explanation& why);

}  // namespace outrider::dns
