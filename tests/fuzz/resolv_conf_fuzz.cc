// SPDX-License-Identifier: Apache-2.0
// resolv.conf: whatever stands in it, the servers and domains that are taken stay within limits and
// are the same when they are written down and read again.
#include "base/assert.h"
#include "dns/resolv_conf.h"

using namespace outrider;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const dns::ResolvConf conf = dns::parse_resolv_conf(as_text({data, size}));
  OUTRIDER_ASSERT(conf.servers.size() <= dns::kUpstreamsMax);
  OUTRIDER_ASSERT(conf.search.size() <= dns::kSearchDomainsMax);
  std::string text;
  for (const Endpoint& server : conf.servers) {
    OUTRIDER_ASSERT(server.port == 53);
    text += "nameserver " + server.address.to_string() + '\n';
  }
  OUTRIDER_ASSERT(dns::parse_resolv_conf(text).servers == conf.servers);
  return 0;
}
