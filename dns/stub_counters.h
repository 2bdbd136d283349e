// SPDX-License-Identifier: Apache-2.0
// What the stub server has counted since its start.
#pragma once

#include <cstdint>

namespace outrider::dns {

class Reply;

struct StubCounters {
  std::uint64_t queries_udp = 0, queries_tcp = 0;
  std::uint64_t answers = 0, nodata = 0, nxdomain = 0, refused = 0, formerr = 0, notimp = 0,
                badvers = 0, servfail = 0;
  std::uint64_t forwarded = 0;  // answered by the forwarder, whatever the RCODE
  std::uint64_t held = 0;       // queries that waited for an unknown name
  std::uint64_t truncated = 0;
  std::uint64_t dropped = 0;  // not even a header, or a response

  void count(const Reply& reply);
};

}  // namespace outrider::dns
