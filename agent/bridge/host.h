// SPDX-License-Identifier: Apache-2.0
// What the Host of a request, or the server name of a TLS greeting, means to the bridge. Pure.
//
//   localhost, 127.0.0.1, [::1]   the status page
//   NAME.localhost, NAME.svc      a service, or a part of one, as DNS names it ("blue._tag.web")
//   anything else                 nothing of ours: names of a page's own that point to this host
//                                 (DNS rebinding) must not reach a service
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace outrider::bridge {

struct Host {
  enum class Kind : std::uint8_t { other, page, service } kind = Kind::other;
  std::string name;  // of a service, relative to its domain, in lower case
};

/// `domains` are those of the agent's DNS, in lower case.
Host read_host(std::string_view text, const std::vector<std::string>& domains);

}  // namespace outrider::bridge
