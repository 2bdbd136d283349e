// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/types.h"

namespace outrider::dns {
namespace {

struct TypeName {
  RrType type;
  std::string_view text;
};
constexpr TypeName kTypeNames[] = {
    {RrType::a, "A"},           {RrType::ns, "NS"},       {RrType::cname, "CNAME"},
    {RrType::soa, "SOA"},       {RrType::ptr, "PTR"},     {RrType::hinfo, "HINFO"},
    {RrType::mx, "MX"},         {RrType::txt, "TXT"},     {RrType::aaaa, "AAAA"},
    {RrType::srv, "SRV"},       {RrType::dname, "DNAME"}, {RrType::opt, "OPT"},
    {RrType::ds, "DS"},         {RrType::rrsig, "RRSIG"}, {RrType::nsec, "NSEC"},
    {RrType::dnskey, "DNSKEY"}, {RrType::svcb, "SVCB"},   {RrType::https, "HTTPS"},
    {RrType::ixfr, "IXFR"},     {RrType::axfr, "AXFR"},   {RrType::any, "ANY"},
};

}  // namespace

std::string to_string(RrType type) {
  for (const TypeName& row : kTypeNames)
    if (row.type == type) return std::string(row.text);
  return "TYPE" + std::to_string(static_cast<unsigned>(type));
}

std::string to_string(Rcode rcode) {
  switch (rcode) {
    case Rcode::noerror:
      return "NOERROR";
    case Rcode::formerr:
      return "FORMERR";
    case Rcode::servfail:
      return "SERVFAIL";
    case Rcode::nxdomain:
      return "NXDOMAIN";
    case Rcode::notimp:
      return "NOTIMP";
    case Rcode::refused:
      return "REFUSED";
    case Rcode::badvers:
      return "BADVERS";
  }
  return "RCODE" + std::to_string(static_cast<unsigned>(rcode));  // an open enum
}

Flags Flags::from_bits(std::uint16_t bits) {
  Flags flags;
  flags.response = (bits & 0x8000) != 0;
  flags.opcode = static_cast<Opcode>(bits >> 11 & 0xf);
  flags.authoritative = (bits & 0x0400) != 0;
  flags.truncated = (bits & 0x0200) != 0;
  flags.recursion_desired = (bits & 0x0100) != 0;
  flags.recursion_available = (bits & 0x0080) != 0;
  flags.authentic_data = (bits & 0x0020) != 0;
  flags.checking_disabled = (bits & 0x0010) != 0;
  flags.rcode = static_cast<std::uint8_t>(bits & 0xf);
  return flags;
}

std::uint16_t Flags::to_bits() const {
  const auto bit = [](bool set, unsigned value) { return set ? value : 0U; };
  const unsigned bits = bit(response, 0x8000) | (static_cast<unsigned>(opcode) & 0xfU) << 11 |
                        bit(authoritative, 0x0400) | bit(truncated, 0x0200) |
                        bit(recursion_desired, 0x0100) | bit(recursion_available, 0x0080) |
                        bit(authentic_data, 0x0020) | bit(checking_disabled, 0x0010) |
                        (rcode & 0xfU);
  return static_cast<std::uint16_t>(bits);
}

}  // namespace outrider::dns
