// SPDX-License-Identifier: Apache-2.0
// /etc/resolv.conf as resolv.conf(5) describes it: the servers to ask, and the search domains.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "dns/limits.h"
#include "dns/wire/name.h"

namespace outrider::dns {

inline constexpr std::size_t kSearchDomainsMax = 32;

struct ResolvConf {
  std::vector<Endpoint> servers;  // port 53; at most kUpstreamsMax
  std::vector<Name> search;       // at most kSearchDomainsMax; the last `search` or `domain` counts
  bool rotate = false;            // `options rotate`: each server is asked first in turn
  int ndots = 1;                  // `options ndots:N`: names of fewer dots are searched for first

  bool operator==(const ResolvConf&) const = default;
};

/// The index of an interface, or zero.
using InterfaceIndex = std::function<std::uint32_t(const std::string& name)>;

/// "192.0.2.1"; with `index_of` a link-local address may name its interface, "fe80::1%eth0".
std::optional<IpAddress> parse_server_address(std::string_view text,
                                              const InterfaceIndex& index_of);

/// The address of a line "nameserver ADDRESS", as it is written; nothing for any other line.
std::optional<std::string_view> nameserver_in(std::string_view line);

/// Other lines and malformed ones are skipped, as libc does. With
/// `index_of` a link-local server may name its interface, "fe80::1%eth0".
ResolvConf parse_resolv_conf(std::string_view text, const InterfaceIndex& index_of = {});

}  // namespace outrider::dns
