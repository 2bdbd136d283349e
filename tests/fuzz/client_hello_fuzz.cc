// SPDX-License-Identifier: Apache-2.0
// Greetings of TLS: more bytes never change what the first ones have said, and a name is printable
// and in lower case.
#include <algorithm>

#include "agent/bridge/client_hello.h"
#include "agent/bridge/host.h"
#include "base/assert.h"
#include "base/text.h"

using namespace outrider;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes{data, size};
  const auto whole = bridge::read_server_name(bytes);
  if (whole) {
    OUTRIDER_ASSERT(!whole->empty() && whole->size() <= bridge::kHelloBytesMax);
    OUTRIDER_ASSERT(std::ranges::all_of(*whole, [](char c) { return c > 0x20 && c < 0x7f; }));
    OUTRIDER_ASSERT(lowered(*whole) == *whole);
    const bridge::Host host = bridge::read_host(*whole, {"svc"});
    OUTRIDER_ASSERT((host.kind == bridge::Host::Kind::service) == !host.name.empty());
  }
  for (std::size_t cut = size % 7; cut < size; cut += size / 16 + 1) {
    const auto part = bridge::read_server_name(bytes.first(cut));
    if (!part && part.error() == bridge::HelloError::cut_short) continue;
    OUTRIDER_ASSERT(part.has_value() == whole.has_value());
    OUTRIDER_ASSERT(part ? *part == *whole : part.error() == whole.error());
  }
  return 0;
}
