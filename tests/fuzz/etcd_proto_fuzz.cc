// SPDX-License-Identifier: Apache-2.0
// The same octets as each request of etcd: of keys, transactions, watches, leases, and the rest.
#include "agent/doors/etcd/proto.h"
#include "base/assert.h"

using namespace outrider;
using namespace outrider::doors;

namespace {

template <class Request>
void read(Bytes bytes) {
  Request request;
  static_cast<void>(etcd::decode(bytes, request));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes{data, size};
  etcd::RangeRequest range;
  if (etcd::decode(bytes, range)) {
    OUTRIDER_ASSERT(range.sort_order <= etcd::RangeRequest::Order::descend);
    OUTRIDER_ASSERT(range.sort_target <= etcd::RangeRequest::Target::value);
    OUTRIDER_ASSERT(range.key.size() + range.range_end.size() <= size);
  }
  etcd::TxnRequest txn;
  if (etcd::decode(bytes, txn)) {
    OUTRIDER_ASSERT(2 * (txn.compare.size() + txn.success.size() + txn.failure.size()) <= size);
    for (const etcd::Compare& compare : txn.compare)
      OUTRIDER_ASSERT(compare.target <= etcd::Compare::Target::lease);
  }
  etcd::WatchRequest watch;
  if (etcd::decode(bytes, watch))
    if (const auto* create = std::get_if<etcd::WatchCreateRequest>(&watch))
      OUTRIDER_ASSERT(create->filters.size() <= etcd::kRepeatedMax);
  read<etcd::PutRequest>(bytes);
  read<etcd::DeleteRangeRequest>(bytes);
  read<etcd::LeaseGrantRequest>(bytes);
  read<etcd::LeaseRevokeRequest>(bytes);
  read<etcd::LeaseKeepAliveRequest>(bytes);
  read<etcd::LeaseTimeToLiveRequest>(bytes);
  read<etcd::LeaseLeasesRequest>(bytes);
  read<etcd::MemberListRequest>(bytes);
  read<etcd::StatusRequest>(bytes);
  read<etcd::AuthenticateRequest>(bytes);
  return 0;
}
