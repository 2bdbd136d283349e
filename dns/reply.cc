// SPDX-License-Identifier: Apache-2.0
#include "dns/reply.h"

#include <algorithm>

namespace outrider::dns {
namespace {

constexpr std::size_t kPlainUdpBytesMax = 512;

}  // namespace

std::size_t reply_limit(const Query& query, Transport transport) {
  if (transport == Transport::tcp) return kMessageBytesMax;
  if (!query.has_edns) return kPlainUdpBytesMax;
  return std::clamp<std::size_t>(query.edns.udp_size, kPlainUdpBytesMax, kUdpAnswerBytesMax);
}

Reply::Reply(MutableBytes buffer, const Query& query, std::size_t limit)
    : query_(query), out_(buffer.first(limit)), reserved_(query.has_edns ? kOptBytes : 0) {
  out_.u64(0);
  out_.u32(0);
  out_.put(query.question);
  OUTRIDER_ASSERT(out_.ok() && out_.left() >= reserved_);
}

void Reply::set_extended_error(ExtendedError code, std::string_view text) {
  why_ = Explanation{code, text};
}

ByteWriter& Reply::begin(NamePlace owner, RrType type, RrClass rr_class, Ttl ttl) {
  begun_ = out_.size();
  write_pointer(out_, owner);
  out_.u16(static_cast<std::uint16_t>(type));
  out_.u16(static_cast<std::uint16_t>(rr_class));
  out_.u32(ttl);
  out_.u16(0);
  rdata_ = out_.size();
  return out_;
}

bool Reply::end(Section section) {
  std::uint16_t& count = counts_[static_cast<std::size_t>(section)];
  if (!out_.ok() || out_.left() < reserved_ || count == 0xffff) {
    out_.rollback(begun_);
    return false;
  }
  out_.patch_u16(rdata_ - 2, static_cast<std::uint16_t>(out_.size() - rdata_));
  ++count;
  return true;
}

bool Reply::add(Section section, NamePlace owner, RrType type, RrClass rr_class, Ttl ttl,
                Bytes rdata) {
  begin(owner, type, rr_class, ttl).put(rdata);
  return end(section);
}

Bytes Reply::finish() {
  if (query_.has_edns) {
    const Edns edns{.udp_size = kUdpAnswerBytesMax,
                    .extended_rcode = upper_bits(rcode),
                    .dnssec_ok = query_.edns.dnssec_ok};  // RFC 3225 §3: copied
    if (why_)
      write_opt(out_, edns, *why_);
    else
      write_opt(out_, edns);
  }
  Flags flags;
  flags.response = true;
  flags.opcode = query_.header.flags.opcode;
  flags.authoritative = authoritative;
  flags.truncated = truncated;
  flags.recursion_desired = query_.header.flags.recursion_desired;
  flags.recursion_available = recursion_available;
  flags.checking_disabled = query_.header.flags.checking_disabled;  // RFC 4035 §3.2.2
  flags.rcode = static_cast<std::uint8_t>(static_cast<unsigned>(rcode) & 0xf);
  out_.patch_u16(0, query_.header.id);
  out_.patch_u16(2, flags.to_bits());
  out_.patch_u16(4, query_.question.empty() ? 0 : 1);
  out_.patch_u16(6, counts_[0]);
  out_.patch_u16(8, counts_[1]);
  out_.patch_u16(10, static_cast<std::uint16_t>(counts_[2] + (query_.has_edns ? 1 : 0)));
  return out_.written();
}

}  // namespace outrider::dns
