// SPDX-License-Identifier: Apache-2.0
#include "dns/stub_counters.h"

#include "dns/reply.h"

namespace outrider::dns {

void StubCounters::count(const Reply& reply) {
  if (reply.truncated) ++truncated;
  switch (reply.rcode) {
    case Rcode::noerror:
      ++(reply.has(Section::answer) || reply.truncated ? answers : nodata);
      break;
    case Rcode::formerr:
      ++formerr;
      break;
    case Rcode::servfail:
      ++servfail;
      break;
    case Rcode::nxdomain:
      ++nxdomain;
      break;
    case Rcode::notimp:
      ++notimp;
      break;
    case Rcode::refused:
      ++refused;
      break;
    case Rcode::badvers:
      ++badvers;
      break;
  }
}

}  // namespace outrider::dns
