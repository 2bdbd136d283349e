// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/service_binding.h"

#include "base/assert.h"

namespace outrider::dns {
namespace {

enum class Key : std::uint16_t {  // RFC 9460 §14.3.2
  mandatory = 0,
  alpn = 1,
  port = 3,
  ipv4hint = 4,
  ipv6hint = 6,
};

void put_u16(std::vector<std::uint8_t>& out, std::uint16_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}

void put_parameter(std::vector<std::uint8_t>& out, Key key,
                   const std::vector<std::uint8_t>& value) {
  if (value.empty()) return;
  put_u16(out, static_cast<std::uint16_t>(key));
  put_u16(out, static_cast<std::uint16_t>(value.size()));
  out.insert(out.end(), value.begin(), value.end());
}

std::vector<std::uint8_t> alpn_value(const std::vector<std::string>& ids) {
  std::vector<std::uint8_t> value;
  for (const std::string& id : ids) {
    OUTRIDER_ASSERT(!id.empty() && id.size() <= 255);
    value.push_back(static_cast<std::uint8_t>(id.size()));
    value.insert(value.end(), id.begin(), id.end());
  }
  return value;
}

std::vector<std::uint8_t> number_value(std::uint16_t number) {
  std::vector<std::uint8_t> value;
  put_u16(value, number);
  return value;
}

std::vector<std::uint8_t> hint_value(const std::vector<IpAddress>& hints, bool v4) {
  std::vector<std::uint8_t> value;
  for (const IpAddress& address : hints) {
    if (address.is_v4() != v4) continue;
    const Bytes bytes = address.bytes();
    value.insert(value.end(), bytes.begin(), bytes.end());
  }
  return value;
}

}  // namespace

RawData encode(const ServiceBinding& binding) {
  OUTRIDER_ASSERT(binding.priority != 0);
  RawData rdata;
  put_u16(rdata.bytes, binding.priority);
  const Bytes target = binding.target.wire();  // never compressed (§2.2)
  rdata.bytes.insert(rdata.bytes.end(), target.begin(), target.end());
  if (binding.port_is_mandatory && binding.port != 0)
    put_parameter(rdata.bytes, Key::mandatory, number_value(static_cast<std::uint16_t>(Key::port)));
  put_parameter(rdata.bytes, Key::alpn, alpn_value(binding.alpn));
  if (binding.port != 0) put_parameter(rdata.bytes, Key::port, number_value(binding.port));
  put_parameter(rdata.bytes, Key::ipv4hint, hint_value(binding.hints, true));
  put_parameter(rdata.bytes, Key::ipv6hint, hint_value(binding.hints, false));
  return rdata;
}

Bytes target_of_binding(Bytes rdata) {
  std::size_t end = kBindingTargetOffset;
  while (end < rdata.size() && rdata[end] != 0)
    end += rdata[end] + 1U;
  if (end >= rdata.size()) return {};
  return rdata.subspan(kBindingTargetOffset, end + 1 - kBindingTargetOffset);
}

}  // namespace outrider::dns
