// SPDX-License-Identifier: Apache-2.0
// etcd's messages on the wire of gRPC: from Protocol Buffers to the values of rpc.h and back. Field
// numbers are those of etcd's rpc.proto and kv.proto; fields that the door does not know are
// skipped, enumerators that it does not have are refused.
#pragma once

#include <string>

#include "agent/doors/etcd/rpc.h"
#include "agent/doors/etcd/watch_request.h"
#include "base/bytes.h"
#include "base/protobuf.h"

namespace outrider::doors::etcd {

/// A repeated field of a request may have so many values; each costs the client two octets, and the
/// door much more.
inline constexpr std::size_t kRepeatedMax = 4'096;

/// Of each request of rpc.h, and WatchRequest. False: not such a message.
template <class Request>
bool decode(Bytes message, Request& request);

/// Of each response of rpc.h.
template <class Response>
std::string encode(const Response& response);
/// The same in parts: begin, each key, end.
class RangeEncoder {
 public:
  void begin(const RangeResponse& response);
  void add(const KeyValue& kv);
  std::string end(const RangeResponse& response);

 private:
  protobuf::Writer writer_;
};

}  // namespace outrider::doors::etcd
