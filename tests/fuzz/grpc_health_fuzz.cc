// SPDX-License-Identifier: Apache-2.0
// A reply of a gRPC server: the first byte is the length of grpc-status, which follows.
#include <algorithm>

#include "base/assert.h"
#include "probes/grpc_health.h"

using namespace outrider;
using namespace outrider::probes;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes rest{data + 1, size - 1};
  const Bytes status = rest.first(std::min<std::size_t>(data[0], rest.size()));
  const Bytes framed = rest.subspan(status.size());
  const Outcome outcome = judge_grpc(200, as_text(status), "message", framed);
  OUTRIDER_ASSERT(!outcome.output.empty());
  OUTRIDER_ASSERT(!outcome.passed() || grpc_serving_status(framed) == kServing);
  return 0;
}
