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

// False: not such a message.
bool decode(Bytes message, RangeRequest& request);
bool decode(Bytes message, PutRequest& request);
bool decode(Bytes message, DeleteRangeRequest& request);
bool decode(Bytes message, TxnRequest& request);
bool decode(Bytes message, WatchRequest& request);
bool decode(Bytes message, LeaseGrantRequest& request);
bool decode(Bytes message, LeaseRevokeRequest& request);
bool decode(Bytes message, LeaseKeepAliveRequest& request);
bool decode(Bytes message, LeaseTimeToLiveRequest& request);
bool decode(Bytes message, LeaseLeasesRequest& request);
bool decode(Bytes message, MemberListRequest& request);
bool decode(Bytes message, StatusRequest& request);
bool decode(Bytes message, AuthenticateRequest& request);

std::string encode(const RangeResponse& response);
/// The same in parts: begin, each key, end.
class RangeEncoder {
 public:
  void begin(const RangeResponse& response);
  void add(const KeyValue& kv);
  std::string end(const RangeResponse& response);

 private:
  protobuf::Writer writer_;
};
std::string encode(const PutResponse& response);
std::string encode(const DeleteRangeResponse& response);
std::string encode(const TxnResponse& response);
std::string encode(const WatchResponse& response);
std::string encode(const LeaseGrantResponse& response);
std::string encode(const LeaseRevokeResponse& response);
std::string encode(const LeaseKeepAliveResponse& response);
std::string encode(const LeaseTimeToLiveResponse& response);
std::string encode(const LeaseLeasesResponse& response);
std::string encode(const MemberListResponse& response);
std::string encode(const StatusResponse& response);
std::string encode(const AuthenticateResponse& response);

}  // namespace outrider::doors::etcd
