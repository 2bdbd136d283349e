// SPDX-License-Identifier: Apache-2.0
// Requests and answers of etcd's v3 API as plain values, and the interface of the door in these
// terms. Names and meanings are those of etcd's rpc.proto and kv.proto; keys and values are bytes.
//
//   gRPC      HTTP/2 ▸ protobuf coder ▸ Door (calls, WatchStream) ▸ protobuf coder ▸ HTTP/2
//   gateway   HTTP/1.1 ▸ json.h       ▸ Door (calls, WatchStream) ▸ json.h         ▸ HTTP/1.1
//
// A *face* is one of these two: it decodes, calls the door, and encodes what the door replies. The
// door knows neither wire format. A message that a face cannot decode, or with a value that an enum
// here does not have, is the face's to refuse: Code::invalid_argument.
//
// Who calls what:
//   - A unary method is one call of Door with a Reply. The reply comes once, perhaps during the
//     call: reads are answered at once, what changes something when it is on disk. A face that has
//     lost its client takes the reply and drops it.
//   - LeaseKeepAlive is a stream of such calls: for each message one call of lease_keep_alive(),
//   for
//     each reply one message. An error ends the stream with its code.
//   - Watch: the face opens a WatchStream for each stream of the client, gives it what the client
//     sends, and destroys it when the client leaves or closes its side. Everything for the client
//     comes through WatchSink, never during open_watch(), perhaps during create(), cancel(),
//     progress() and resume(). A refused watch is a response with `canceled`, as etcd does it, and
//     never an end of the stream.
//   - All other methods of etcd's services: refuse_method().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/callback.h"
#include "base/result.h"

namespace outrider::doors::etcd {

/// Octets of one request, as etcd has it by default.
inline constexpr std::size_t kRequestBytesMax = 1'536U << 10;

/// Codes of gRPC that the door uses.
enum class Code : std::uint8_t {
  ok = 0,
  unknown = 2,
  invalid_argument = 3,
  not_found = 5,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  out_of_range = 11,
  unimplemented = 12,
  unavailable = 14,
};

struct Error {
  Code code = Code::unknown;
  std::string text;  // "etcdserver: key is not provided": clients compare it with etcd's
};

template <class T>
using Reply = Callback<void(Result<T, Error>)>;

/// Of every answer.
struct Header {
  std::uint64_t cluster_id = 0;
  std::uint64_t member_id = 0;
  std::int64_t revision = 0;
  std::uint64_t raft_term = 0;
};

// --- keys --------------------------------------------------------------------------------------

struct KeyValue {
  std::string key;
  std::int64_t create_revision = 0;
  std::int64_t mod_revision = 0;
  std::int64_t version = 0;  // 1 when it is created, and one more for each put
  std::string value;
  std::int64_t lease = 0;  // 0: none
};
/// Shared by the store, its history, and all answers.
using KeyValuePtr = std::shared_ptr<const KeyValue>;

/// `range_end`: empty: the one key; "\0": all keys from `key` on; else all keys in [key,
/// range_end).
struct RangeRequest {
  enum class Order : std::uint8_t { none = 0, ascend = 1, descend = 2 };
  enum class Target : std::uint8_t { key = 0, version = 1, create = 2, mod = 3, value = 4 };
  std::string key, range_end;
  std::int64_t limit = 0;     // 0: none
  std::int64_t revision = 0;  // <= 0: the current one
  Order sort_order = Order::none;
  Target sort_target = Target::key;
  bool serializable = false;
  bool keys_only = false;
  bool count_only = false;
  std::int64_t min_mod_revision = 0, max_mod_revision = 0;        // 0: no bound
  std::int64_t min_create_revision = 0, max_create_revision = 0;  // 0: no bound
};
struct RangeResponse {
  Header header;
  std::vector<KeyValuePtr> kvs;
  bool more = false;
  std::int64_t count = 0;  // of all keys in the range, whatever the limit
};

struct PutRequest {
  std::string key, value;
  std::int64_t lease = 0;
  bool prev_kv = false;
  bool ignore_value = false;  // keeps the value that the key has
  bool ignore_lease = false;
};
struct PutResponse {
  Header header;
  KeyValuePtr prev_kv;  // null: not asked for, or there was none
};

struct DeleteRangeRequest {
  std::string key, range_end;
  bool prev_kv = false;
};
struct DeleteRangeResponse {
  Header header;
  std::int64_t deleted = 0;
  std::vector<KeyValuePtr> prev_kvs;
};

struct Compare {
  enum class Result : std::uint8_t { equal = 0, greater = 1, less = 2, not_equal = 3 };
  enum class Target : std::uint8_t { version = 0, create = 1, mod = 2, value = 3, lease = 4 };
  Result result = Result::equal;
  Target target = Target::version;
  std::string key, range_end;
  std::int64_t number = 0;  // the version, create_revision, mod_revision or lease
  std::string value;        // for Target::value
};
/// A transaction within one, which the door refuses: its content is not decoded.
struct NestedTxn {};
using RequestOp = std::variant<RangeRequest, PutRequest, DeleteRangeRequest, NestedTxn>;
using ResponseOp = std::variant<RangeResponse, PutResponse, DeleteRangeResponse>;
struct TxnRequest {
  std::vector<Compare> compare;
  std::vector<RequestOp> success, failure;
};
struct TxnResponse {
  Header header;
  bool succeeded = false;
  std::vector<ResponseOp> responses;  // their headers hold the revision alone
};

// --- watches -----------------------------------------------------------------------------------

struct WatchCreateRequest {
  enum class Filter : std::uint8_t { no_put = 0, no_delete = 1 };
  std::string key, range_end;
  std::int64_t start_revision = 0;  // 0: from now on
  bool progress_notify = false;
  std::vector<Filter> filters;
  bool prev_kv = false;
  std::int64_t watch_id = 0;  // 0: the door picks one
  bool fragment = false;      // refused: the events of one revision come together
};
struct WatchCancelRequest {
  std::int64_t watch_id = 0;
};

struct Event {
  enum class Type : std::uint8_t { put = 0, deleted = 1 };
  Type type = Type::put;
  KeyValuePtr kv;       // of a deletion: the key and the revision of the deletion alone
  KeyValuePtr prev_kv;  // null: not asked for, or there was none
};
struct WatchResponse {
  Header header;
  std::int64_t watch_id = 0;
  bool created = false;
  bool canceled = false;  // perhaps together with created
  std::int64_t compact_revision = 0;
  std::string cancel_reason;
  bool fragment = false;
  std::vector<Event> events;
};

class WatchSink {
 public:
  /// May destroy the WatchStream. False: nothing more can be taken until resume(); what is taken
  /// until then is lost to no one, since the door keeps the position of each watch. Responses to
  /// create(), cancel() and progress() come even so.
  virtual bool on_watch_response(WatchResponse response) = 0;
  /// The door closes: the stream ends with this error. The WatchStream may be destroyed.
  virtual void on_watch_end(Error error) = 0;

 protected:
  ~WatchSink() = default;
};

/// One stream of a client with its watches. Destroying it cancels them.
class WatchStream {
 public:
  virtual ~WatchStream() = default;
  virtual void create(WatchCreateRequest request) = 0;
  virtual void cancel(WatchCancelRequest request) = 0;
  /// Asks for a response with watch id -1 and the current revision, after all events before it.
  virtual void progress() = 0;
  /// The sink takes responses again.
  virtual void resume() = 0;
};

// --- leases ------------------------------------------------------------------------------------

struct LeaseGrantRequest {
  std::int64_t ttl = 0;  // seconds
  std::int64_t id = 0;   // 0: the door picks one
};
struct LeaseGrantResponse {
  Header header;
  std::int64_t id = 0;
  std::int64_t ttl = 0;
  std::string error;
};
struct LeaseRevokeRequest {
  std::int64_t id = 0;
};
struct LeaseRevokeResponse {
  Header header;
};
struct LeaseKeepAliveRequest {
  std::int64_t id = 0;
};
struct LeaseKeepAliveResponse {
  Header header;
  std::int64_t id = 0;
  std::int64_t ttl = 0;  // 0: there is no such lease
};
struct LeaseTimeToLiveRequest {
  std::int64_t id = 0;
  bool keys = false;
};
struct LeaseTimeToLiveResponse {
  Header header;
  std::int64_t id = 0;
  std::int64_t ttl = 0;  // left; -1: there is no such lease
  std::int64_t granted_ttl = 0;
  std::vector<std::string> keys;
};
struct LeaseLeasesRequest {};
struct LeaseLeasesResponse {
  Header header;
  std::vector<std::int64_t> leases;
};

// --- cluster, maintenance, auth ----------------------------------------------------------------

struct MemberListRequest {};
struct Member {
  std::uint64_t id = 0;
  std::string name;
  std::vector<std::string> peer_urls, client_urls;
};
struct MemberListResponse {
  Header header;
  std::vector<Member> members;
};

struct StatusRequest {};
struct StatusResponse {
  Header header;
  std::string version;  // "3.5.…"
  std::int64_t db_size = 0;
  std::uint64_t leader = 0;
  std::uint64_t raft_index = 0, raft_term = 0, raft_applied_index = 0;
  std::vector<std::string> errors;
  std::int64_t db_size_in_use = 0;
  bool is_learner = false;
};

struct AuthenticateRequest {
  std::string name, password;
};
struct AuthenticateResponse {
  Header header;
  std::string token;
};

// --- the door ----------------------------------------------------------------------------------

/// What a face knows of its client.
struct Client {
  /// Where the client has connected to, as it would connect again: "http://127.0.0.1:2379".
  std::string url;
};

class Door {
 public:
  virtual void range(RangeRequest request, Reply<RangeResponse> reply) = 0;
  virtual void put(PutRequest request, Reply<PutResponse> reply) = 0;
  virtual void delete_range(DeleteRangeRequest request, Reply<DeleteRangeResponse> reply) = 0;
  virtual void txn(TxnRequest request, Reply<TxnResponse> reply) = 0;

  /// The sink outlives the stream; the stream may outlive the door, and does nothing then.
  virtual std::unique_ptr<WatchStream> open_watch(WatchSink& sink) = 0;

  virtual void lease_grant(LeaseGrantRequest request, Reply<LeaseGrantResponse> reply) = 0;
  virtual void lease_revoke(LeaseRevokeRequest request, Reply<LeaseRevokeResponse> reply) = 0;
  virtual void lease_keep_alive(LeaseKeepAliveRequest request,
                                Reply<LeaseKeepAliveResponse> reply) = 0;
  virtual void lease_time_to_live(LeaseTimeToLiveRequest request,
                                  Reply<LeaseTimeToLiveResponse> reply) = 0;
  virtual void lease_leases(LeaseLeasesRequest request, Reply<LeaseLeasesResponse> reply) = 0;

  virtual void member_list(MemberListRequest request, const Client& client,
                           Reply<MemberListResponse> reply) = 0;
  virtual void status(StatusRequest request, Reply<StatusResponse> reply) = 0;
  virtual void authenticate(AuthenticateRequest request, Reply<AuthenticateResponse> reply) = 0;

 protected:
  ~Door() = default;
};

/// Why the door does not answer a method that etcd has: "/etcdserverpb.KV/Compact". Methods that
/// etcd does not have either get a sentence, too.
Error refuse_method(std::string_view path);

}  // namespace outrider::doors::etcd
