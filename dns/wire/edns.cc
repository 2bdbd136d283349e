// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/edns.h"

#include <algorithm>

namespace outrider::dns {
namespace {

constexpr std::uint16_t kExtendedErrorOption = 15;  // RFC 8914 §2
constexpr std::size_t kInfoCodeBytes = 2;
constexpr std::size_t kExplanationBytes = 2 + 2 + kInfoCodeBytes;  // without text

void write_fixed(ByteWriter& out, const Edns& edns, std::size_t options_size) {
  out.u8(0);  // the root
  out.u16(static_cast<std::uint16_t>(RrType::opt));
  out.u16(edns.udp_size);
  out.u8(edns.extended_rcode);
  out.u8(edns.version);
  out.u16(edns.dnssec_ok ? kDnssecOk : 0);
  out.u16(static_cast<std::uint16_t>(options_size));
}

}  // namespace

bool options_fit(Bytes options) {
  ByteReader reader(options);
  while (reader.left() > 0) {
    reader.skip(2);
    reader.skip(reader.u16());
    if (!reader.ok()) return false;
  }
  return true;
}

std::optional<Explanation> find_explanation(Bytes options) {
  ByteReader reader(options);
  while (reader.left() > 0) {
    const std::uint16_t code = reader.u16();
    ByteReader value(reader.take(reader.u16()));
    if (!reader.ok()) break;
    if (code != kExtendedErrorOption || value.left() < kInfoCodeBytes) continue;
    const auto info = static_cast<ExtendedError>(value.u16());
    return Explanation{info, as_text(value.take(value.left()))};
  }
  return std::nullopt;
}

void write_opt(ByteWriter& out, const Edns& edns) {
  write_fixed(out, edns, edns.options.size());
  out.put(edns.options);
}

void write_opt(ByteWriter& out, const Edns& edns, const Explanation& why) {
  if (out.left() < kOptBytes + kExplanationBytes) return write_fixed(out, edns, 0);
  const std::size_t room = out.left() - kOptBytes - kExplanationBytes;
  const std::string_view text = why.text.substr(0, room);
  write_fixed(out, edns, kExplanationBytes + text.size());
  out.u16(kExtendedErrorOption);
  out.u16(static_cast<std::uint16_t>(kInfoCodeBytes + text.size()));
  out.u16(static_cast<std::uint16_t>(why.code));
  out.put(as_bytes(text));
}

}  // namespace outrider::dns
