// SPDX-License-Identifier: Apache-2.0
#include "base/net.h"

namespace outrider {

const char* to_string(NetError error) {
  switch (error) {
    case NetError::in_use:
      return "address already in use";
    case NetError::denied:
      return "permission denied";
    case NetError::not_available:
      return "address not available";
    case NetError::refused:
      return "connection refused";
    case NetError::reset:
      return "connection reset";
    case NetError::timed_out:
      return "timed out";
    case NetError::unreachable:
      return "unreachable";
    case NetError::too_big:
      return "too big";
    case NetError::no_resources:
      return "out of resources";
    case NetError::closed:
      return "closed";
    case NetError::unsupported:
      return "not supported";
    case NetError::failed:
      return "failed";
  }
  OUTRIDER_UNREACHABLE();
}

std::string to_string(const StreamAddress& address) {
  if (const auto* endpoint = std::get_if<Endpoint>(&address)) return endpoint->to_string();
  return "unix:" + std::get<UnixPath>(address).path;
}

}  // namespace outrider
