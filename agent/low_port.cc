// SPDX-License-Identifier: Apache-2.0
#include "agent/low_port.h"

namespace outrider {

bool is_low_port(std::uint16_t port) {
  constexpr std::uint16_t kUnprivilegedPortMin = 1'024;
  return port < kUnprivilegedPortMin;
}

std::string why_unbound(const Endpoint& address, NetError error, const char* socket) {
  std::string why = to_string(error);
  if (error != NetError::denied || !is_low_port(address.port)) return why;
  why += "; ports below 1024 need root";
  if (socket != nullptr) why += ", or " + std::string(socket) + " under systemd";
  return why;
}

}  // namespace outrider
