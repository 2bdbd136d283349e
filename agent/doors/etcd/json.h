// SPDX-License-Identifier: Apache-2.0
// etcd's messages as its JSON gateway has them: keys and values are base64; numbers of 64 bits are
// texts in answers, and texts or numbers in requests; what is zero, false or empty is left out of
// answers. Names in requests may be snake_case or camelCase. Pure.
//
// A member that a message does not have is refused, as etcd does it: it may be meant to narrow.
#pragma once

#include <string>
#include <string_view>

#include "agent/doors/etcd/rpc.h"
#include "agent/doors/etcd/watch_request.h"
#include "base/json.h"

namespace outrider::doors::etcd {

/// Octets of a body: those of a request in base64.
inline constexpr std::size_t kGatewayBodyBytesMax = kRequestBytesMax / 3 * 4;

/// Reads one message; an error is invalid_argument with a sentence.
template <class Request>
Result<Request, Error> decode(std::string_view json);
template <>
Result<RangeRequest, Error> decode(std::string_view json);
template <>
Result<PutRequest, Error> decode(std::string_view json);
template <>
Result<DeleteRangeRequest, Error> decode(std::string_view json);
template <>
Result<TxnRequest, Error> decode(std::string_view json);
template <>
Result<WatchRequest, Error> decode(std::string_view json);
template <>
Result<LeaseGrantRequest, Error> decode(std::string_view json);
template <>
Result<LeaseRevokeRequest, Error> decode(std::string_view json);
template <>
Result<LeaseKeepAliveRequest, Error> decode(std::string_view json);
template <>
Result<LeaseTimeToLiveRequest, Error> decode(std::string_view json);
template <>
Result<LeaseLeasesRequest, Error> decode(std::string_view json);
template <>
Result<MemberListRequest, Error> decode(std::string_view json);
template <>
Result<StatusRequest, Error> decode(std::string_view json);
template <>
Result<AuthenticateRequest, Error> decode(std::string_view json);

void encode(json::Writer& out, const RangeResponse& response);
/// The same in parts: begin, each key, end.
class JsonRangeEncoder {
 public:
  JsonRangeEncoder() = default;
  JsonRangeEncoder(const JsonRangeEncoder&) = delete;
  void begin(const RangeResponse& response);
  void add(const KeyValue& kv);
  std::string end(const RangeResponse& response);

 private:
  std::string text_;
  json::Writer out_{text_};
};
void encode(json::Writer& out, const PutResponse& response);
void encode(json::Writer& out, const DeleteRangeResponse& response);
void encode(json::Writer& out, const TxnResponse& response);
void encode(json::Writer& out, const WatchResponse& response);
void encode(json::Writer& out, const LeaseGrantResponse& response);
void encode(json::Writer& out, const LeaseRevokeResponse& response);
void encode(json::Writer& out, const LeaseKeepAliveResponse& response);
void encode(json::Writer& out, const LeaseTimeToLiveResponse& response);
void encode(json::Writer& out, const LeaseLeasesResponse& response);
void encode(json::Writer& out, const MemberListResponse& response);
void encode(json::Writer& out, const StatusResponse& response);
void encode(json::Writer& out, const AuthenticateResponse& response);
/// {"error":…,"message":…,"code":…}
void encode(json::Writer& out, const Error& error);
/// The HTTP status of an error.
int status_of(Code code);

}  // namespace outrider::doors::etcd
