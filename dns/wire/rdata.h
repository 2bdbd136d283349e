// SPDX-License-Identifier: Apache-2.0
// RDATA from and to bytes; for message_view, message_builder and record only.
#pragma once

#include "base/bytes.h"
#include "dns/wire/record.h"

namespace outrider::dns {

/// Reads the `length` octets of RDATA at the reader's position in a whole message. Nothing, and the
/// reader has failed, if they do not hold what the type wants, no more and no less.
std::optional<Rdata> read_rdata(ByteReader& reader, RrType type, RrClass rr_class,
                                std::size_t length);

/// Writes RDATA through `out`, which has u8, u16, u32 and put like ByteWriter, and
/// name(const Name&) so that the caller decides about compression.
template <class Out>
void encode_rdata(const Rdata& data, Out& out) {
  struct Encoder {
    Out& to;
    void operator()(const AddressData& d) { to.put(d.address.bytes()); }
    void operator()(const NameData& d) { to.name(d.name); }
    void operator()(const SrvData& d) {
      to.u16(d.priority);
      to.u16(d.weight);
      to.u16(d.port);
      to.name(d.target);
    }
    void operator()(const TxtData& d) {
      if (d.strings.empty()) to.u8(0);  // RFC 6763 §6.1
      for (const std::string& text : d.strings) {
        const std::string_view part = std::string_view(text).substr(0, 255);
        to.u8(static_cast<std::uint8_t>(part.size()));
        to.put(as_bytes(part));
      }
    }
    void operator()(const SoaData& d) {
      to.name(d.mname);
      to.name(d.rname);
      for (const std::uint32_t number : {d.serial, d.refresh, d.retry, d.expire, d.minimum})
        to.u32(number);
    }
    void operator()(const NsecData& d) {
      to.name(d.next);
      for (std::size_t i = 0; i < d.types.size();) {
        const unsigned window = static_cast<unsigned>(d.types[i]) >> 8;
        std::uint8_t map[32] = {};
        std::size_t used = 0;
        for (; i < d.types.size() && static_cast<unsigned>(d.types[i]) >> 8 == window; ++i) {
          const unsigned bit = static_cast<unsigned>(d.types[i]) & 0xff;
          map[bit / 8] = static_cast<std::uint8_t>(map[bit / 8] | 0x80U >> bit % 8);
          used = bit / 8 + 1;
        }
        to.u8(static_cast<std::uint8_t>(window));
        to.u8(static_cast<std::uint8_t>(used));
        to.put(Bytes(map, used));
      }
    }
    void operator()(const RawData& d) { to.put(d.bytes); }
  };
  std::visit(Encoder{out}, data);
}

}  // namespace outrider::dns
