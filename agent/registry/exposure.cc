// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/exposure.h"

#include <algorithm>

namespace outrider::registry {
namespace {

/// Ports that are named to people.
constexpr std::size_t kPortsNamed = 4;

std::string joined(std::span<const std::uint16_t> ports, std::string_view last_separator) {
  const std::size_t count = std::min(ports.size(), kPortsNamed);
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) out += i + 1 == count ? last_separator : ", ";
    out += std::to_string(ports[i]);
  }
  return out;
}

}  // namespace

Exposure exposure_of(std::uint16_t port, Scope configured, std::span<const Endpoint> listeners) {
  Exposure exposure;
  for (const Endpoint& listener : listeners) {
    if (listener.port != port) continue;
    if (!listener.address.is_loopback()) return {};
    exposure.loopback_only = true;
  }
  // Without a listener the port may be forwarded to another machine.
  if (!exposure.loopback_only || configured == Scope::host) return exposure;
  const std::string where = "listens on loopback only, on port " + std::to_string(port);
  if (configured == Scope::lan) {
    exposure.limit = "announced to the network, but the program " + where;
    exposure.advice = "make the program listen on 0.0.0.0 or ::, or set scope to host";
  } else {
    exposure.limit = "registered for this host only: the program " + where;
    exposure.advice = "to serve other hosts, make the program listen on 0.0.0.0 or ::";
  }
  return exposure;
}

Exposure exposure_apart(std::uint16_t port, std::span<const Endpoint> listeners) {
  const IpAddress probed = IpAddress::loopback(IpAddress::Family::v4);
  const Endpoint* found = nullptr;
  for (const Endpoint& listener : listeners) {
    if (listener.port != port) continue;
    if (listener.address == probed || (listener.address.is_v4() && listener.address.is_any()))
      return {};
    if (found == nullptr || listener.address < found->address) found = &listener;
  }
  Exposure exposure;
  if (found == nullptr) return exposure;
  const std::string wider = "make the program listen on 0.0.0.0";
  exposure.limit = "nothing listens on " + Endpoint{probed, port}.to_string();
  if (found->address.is_any()) {
    exposure.limit += "; the program listens on IPv6 only";
    exposure.advice = wider + " too";
  } else {
    const std::string address = found->address.to_string();
    exposure.limit += "; the program listens on " + found->to_string() + " only";
    exposure.advice = "give the service the address " + address + " (outrider run --address " +
                      address + "), or " + wider;
  }
  return exposure;
}

Exposure exposure_elsewhere(std::uint16_t port, std::span<const std::uint16_t> program_ports) {
  if (program_ports.empty() || std::ranges::find(program_ports, port) != program_ports.end())
    return {};
  Exposure exposure;
  exposure.limit = "nothing listens on port " + std::to_string(port) + "; the program listens on " +
                   joined(program_ports, " and ");
  exposure.advice = "use --port " + joined(program_ports, " or ") +
                    ", or make the program listen on the port in $PORT";
  return exposure;
}

}  // namespace outrider::registry
