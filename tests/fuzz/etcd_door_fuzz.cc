// SPDX-License-Identifier: Apache-2.0
// What clients of the etcd door send, and what it has kept: whatever is accepted can be written and
// read again, and refusals have a sentence.
#include "agent/doors/etcd/json.h"
#include "agent/doors/etcd/record.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "registries/etcd/messages.h"

using namespace outrider;
using namespace outrider::doors::etcd;

namespace {

template <class Request>
void take(std::string_view text) {
  const auto request = decode<Request>(text);
  if (!request)
    OUTRIDER_ASSERT(!request.error().text.empty() &&
                    request.error().code == Code::invalid_argument);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  take<RangeRequest>(text);
  take<PutRequest>(text);
  take<DeleteRangeRequest>(text);
  take<TxnRequest>(text);
  take<WatchRequest>(text);
  take<LeaseGrantRequest>(text);
  take<LeaseKeepAliveRequest>(text);
  take<LeaseTimeToLiveRequest>(text);
  take<AuthenticateRequest>(text);
  registries::etcd::ObjectSplitter splitter;
  splitter.feed(text);
  for (std::string object = splitter.take(); !object.empty(); object = splitter.take())
    take<WatchRequest>(object);
  if (const auto record = read_record(text)) {
    const std::string written = write_record(*record);
    const auto again = read_record(written);
    OUTRIDER_ASSERT(again.has_value() && write_record(*again) == written);
  }
  return 0;
}
