// SPDX-License-Identifier: Apache-2.0
#include "dns/reply.h"

#include <algorithm>

namespace outrider::dns {
namespace {

constexpr std::size_t kOptBytes = 11;
constexpr std::size_t kPlainUdpBytesMax = 512;
constexpr std::uint16_t kEdeOption = 15;           // RFC 8914 §2
constexpr std::size_t kEdeFixedBytes = 2 + 2 + 2;  // code, length, info-code

}  // namespace

std::size_t reply_limit(const Query& query, Transport transport) {
  if (transport == Transport::tcp) return kMessageBytesMax;
  if (!query.has_edns) return kPlainUdpBytesMax;
  return std::clamp<std::size_t>(query.edns.udp_size, kPlainUdpBytesMax, kUdpAnswerBytesMax);
}

void write_pointer(ByteWriter& out, NamePlace place) {
  OUTRIDER_ASSERT(place <= kPointerReach);
  out.u16(static_cast<std::uint16_t>(0xc000U | place));
}

Reply::Reply(MutableBytes buffer, const Query& query, std::size_t limit)
    : query_(query), out_(buffer.first(limit)), reserved_(query.has_edns ? kOptBytes : 0) {
  out_.u64(0);
  out_.u32(0);
  out_.put(query.question);
  OUTRIDER_ASSERT(out_.ok() && out_.left() >= reserved_);
}

void Reply::set_extended_error(ExtendedError code, std::string_view text) {
  explained_ = true;
  error_ = code;
  error_text_ = text;
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

void Reply::write_edns() {
  const std::size_t room = out_.left() - kOptBytes;
  std::size_t text = 0;
  const bool explain = explained_ && room >= kEdeFixedBytes;
  if (explain) text = std::min(error_text_.size(), room - kEdeFixedBytes);
  out_.u8(0);
  out_.u16(static_cast<std::uint16_t>(RrType::opt));
  out_.u16(kUdpAnswerBytesMax);
  out_.u8(static_cast<std::uint8_t>(static_cast<unsigned>(rcode) >> 4));
  out_.u8(0);                                    // the version that we speak
  out_.u16(query_.edns.dnssec_ok ? 0x8000 : 0);  // RFC 3225 §3: copied
  out_.u16(explain ? static_cast<std::uint16_t>(kEdeFixedBytes + text) : 0);
  if (!explain) return;
  out_.u16(kEdeOption);
  out_.u16(static_cast<std::uint16_t>(2 + text));
  out_.u16(static_cast<std::uint16_t>(error_));
  out_.put(as_bytes(error_text_.substr(0, text)));
}

Bytes Reply::finish() {
  if (query_.has_edns) write_edns();
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
