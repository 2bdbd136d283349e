// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/service_binding.h"

#include "base/assert.h"
#include "base/text.h"

namespace outrider::dns {
namespace {

void put_u16(std::vector<std::uint8_t>& out, std::uint16_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8));
  out.push_back(static_cast<std::uint8_t>(value));
}

void put_parameter(std::vector<std::uint8_t>& out, BindingKey key,
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
    put_parameter(rdata.bytes, BindingKey::mandatory,
                  number_value(static_cast<std::uint16_t>(BindingKey::port)));
  put_parameter(rdata.bytes, BindingKey::alpn, alpn_value(binding.alpn));
  if (binding.port != 0) put_parameter(rdata.bytes, BindingKey::port, number_value(binding.port));
  put_parameter(rdata.bytes, BindingKey::ipv4hint, hint_value(binding.hints, true));
  put_parameter(rdata.bytes, BindingKey::ipv6hint, hint_value(binding.hints, false));
  return rdata;
}

std::string to_text(const ServiceBinding& binding) {
  std::string text = std::to_string(binding.priority) + ' ' + binding.target.to_display();
  if (binding.port_is_mandatory && binding.port != 0) text += " mandatory=port";
  const auto add = [&text](std::string_view key, const std::string& value) {
    if (!value.empty()) text += ' ' + std::string(key) + '=' + value;
  };
  if (!binding.alpn.empty()) add("alpn", '"' + join(binding.alpn, ",") + '"');
  if (binding.port != 0) add("port", std::to_string(binding.port));
  for (const bool v4 : {true, false}) {
    std::string hints;
    for (const IpAddress& address : binding.hints)
      if (address.is_v4() == v4) hints += (hints.empty() ? "" : ",") + address.to_string();
    add(v4 ? "ipv4hint" : "ipv6hint", hints);
  }
  return text;
}

Bytes target_of_binding(Bytes rdata) {
  std::size_t end = kBindingTargetOffset;
  while (end < rdata.size() && rdata[end] != 0)
    end += rdata[end] + 1U;
  if (end >= rdata.size()) return {};
  return rdata.subspan(kBindingTargetOffset, end + 1 - kBindingTargetOffset);
}

BindingReader::BindingReader(Bytes rdata) : reader_(rdata) {
  reader_.skip(kBindingTargetOffset);
  for (std::size_t label = reader_.u8(); reader_.ok() && label > 0; label = reader_.u8())
    reader_.skip(label);
}

std::optional<BindingReader::Parameter> BindingReader::next() {
  if (!reader_.ok() || reader_.left() == 0) return std::nullopt;
  const auto key = static_cast<BindingKey>(reader_.u16());
  const Bytes value = reader_.take(reader_.u16());
  if (!reader_.ok()) return std::nullopt;
  return Parameter{key, value};
}

}  // namespace outrider::dns
