// SPDX-License-Identifier: Apache-2.0
#include "dns/clients.h"

#include <algorithm>

#include "base/reach.h"

namespace outrider::dns {

bool Clients::is_of_this_host(const IpAddress& address) {
  if (address.is_loopback()) return true;
  if (!watch_) watch_ = env_.network.watch_interfaces([this] { own_.reset(); });
  if (!own_) {
    own_ = own_addresses(env_.network.interfaces());
    for (IpAddress& own : *own_)
      own = own.with_scope(0);
    std::ranges::sort(*own_);
  }
  return std::ranges::binary_search(*own_, address.with_scope(0));
}

bool Clients::admit(const IpAddress& client) {
  if (is_of_this_host(client) ||
      std::ranges::any_of(allowed_, [&client](const Prefix& one) { return one.contains(client); }))
    return true;
  if (silent_until_ <= env_.now()) {
    silent_until_ = env_.now() + kRefusedClientsLog;
    env_.log.record(
        LogEvent::dns_client_refused,
        {{"peer", client.to_string()}, {"reason", "neither on this host nor in dns.allow"}});
  }
  return false;
}

}  // namespace outrider::dns
