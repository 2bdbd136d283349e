// SPDX-License-Identifier: Apache-2.0
// The octets are those that Google's library makes of etcd's rpc.proto.
#include "agent/doors/etcd/proto.h"

#include <doctest/doctest.h>

#include "base/protobuf.h"

using namespace outrider;
using namespace outrider::doors::etcd;

namespace {

constexpr std::int64_t kBig = (std::int64_t{1} << 62) + 12'345;

constexpr std::string_view kRange =
    "0a0c2f73657276696365732f00ff120a2f736572766963657330180720b9e0808080808080402802"
    "30043801400148015001580260036804";
constexpr std::string_view kPut = "0a016b12077b2261223a317d18fbffffffffffffffff01200128013001";
constexpr std::string_view kDelete = "0a01611201621801";
constexpr std::string_view kTxn =
    "0a0710011a016b28000a09080310041a016b404d0a0e080210031a01763a017782040178120a1208"
    "0a016b120176184d12051a030a01641a050a030a016b1a09220712050a030a017a";
constexpr std::string_view kWatchCreate =
    "0a1c0a016112016218b9e08080808080804020012a020001300138094001";
constexpr std::string_view kWatchCancel = "12020809";
constexpr std::string_view kWatchProgress = "1a00";
constexpr std::string_view kGrant = "080f10b9e080808080808040";
constexpr std::string_view kRevoke = "08b9e080808080808040";
constexpr std::string_view kTimeToLive = "08b9e0808080808080401001";
constexpr std::string_view kAuthenticate = "0a04726f6f7412027077";
constexpr std::string_view kRangeResponse =
    "0a190881808080808080808001100218b9e0808080808080402003120f0a016b1001180220032a02"
    "76003004120018012009";
constexpr std::string_view kPutResponse =
    "0a190881808080808080808001100218b9e0808080808080402003120f0a016b1001180220032a02"
    "76003004";
constexpr std::string_view kDeleteResponse =
    "0a190881808080808080808001100218b9e080808080808040200310021a0f0a016b100118022003"
    "2a02760030041a00";
constexpr std::string_view kTxnResponse =
    "0a190881808080808080808001100218b9e080808080808040200310011a0e120c0a0a18b9e08080"
    "80808080401a210a1f0a0a18b9e080808080808040120f0a016b1001180220032a02760030042001"
    "1a101a0e0a0a18b9e0808080808080401001";
constexpr std::string_view kWatchResponse =
    "0a190881808080808080808001100218b9e080808080808040200310ffffffffffffffffff011801"
    "20012805320377687938015a11120f0a016b1001180220032a02760030045a1a080112050a016b18"
    "081a0f0a016b1001180220032a0276003004";
constexpr std::string_view kGrantResponse =
    "0a190881808080808080808001100218b9e080808080808040200310b9e080808080808040180f22"
    "026e6f";
constexpr std::string_view kRevokeResponse =
    "0a190881808080808080808001100218b9e0808080808080402003";
constexpr std::string_view kKeepAliveResponse =
    "0a190881808080808080808001100218b9e080808080808040200310b9e080808080808040180f";
constexpr std::string_view kTimeToLiveResponse =
    "0a190881808080808080808001100218b9e080808080808040200310b9e08080808080804018ffff"
    "ffffffffffffff01200f2a01612a00";
constexpr std::string_view kLeasesResponse =
    "0a190881808080808080808001100218b9e080808080808040200312020805120a08b9e080808080"
    "808040";
constexpr std::string_view kMembersResponse =
    "0a190881808080808080808001100218b9e0808080808080402003122b0882808080808080808001"
    "12016f1a01702215687474703a2f2f3132372e302e302e313a32333739220163";
constexpr std::string_view kStatusResponse =
    "0a190881808080808080808001100218b9e08080808080804020031205332e352e39180120828080"
    "8080808080800128033004380542016548065001";
constexpr std::string_view kAuthenticateResponse =
    "0a190881808080808080808001100218b9e0808080808080402003120174";

std::string from_hex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2)
    bytes += static_cast<char>(digit(hex[i]) << 4 | digit(hex[i + 1]));
  return bytes;
}
std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto octet = static_cast<std::uint8_t>(c);
    text += {kDigits[octet >> 4], kDigits[octet & 0xf]};
  }
  return text;
}

/// What `text` holds; every cut of it is read as well.
template <class Request>
Request decoded(std::string_view text) {
  const std::string bytes = from_hex(text);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Request cut;
    static_cast<void>(decode(as_bytes(bytes).first(size), cut));
  }
  Request request;
  REQUIRE(decode(as_bytes(bytes), request));
  return request;
}
template <class Request>
bool is_refused(std::string_view text) {
  Request request;
  const std::string bytes = from_hex(text);
  return !decode(as_bytes(bytes), request);
}

const Header kHeader{(std::uint64_t{1} << 63) + 1, 2, kBig, 3};
const Header kRevision{0, 0, kBig, 0};
const auto kKv = std::make_shared<KeyValue>(KeyValue{"k", 1, 2, 3, std::string("v\0", 2), 4});
const auto kEmpty = std::make_shared<KeyValue>();

}  // namespace

TEST_CASE("requests about keys are decoded, field by field") {
  const auto range = decoded<RangeRequest>(kRange);
  CHECK(range.key == std::string("/services/\0\xff", 12));
  CHECK(range.range_end == "/services0");
  CHECK(range.limit == 7);
  CHECK(range.revision == kBig);
  CHECK(range.sort_order == RangeRequest::Order::descend);
  CHECK(range.sort_target == RangeRequest::Target::value);
  CHECK(range.serializable);
  CHECK(range.keys_only);
  CHECK(range.count_only);
  CHECK(range.min_mod_revision == 1);
  CHECK(range.max_mod_revision == 2);
  CHECK(range.min_create_revision == 3);
  CHECK(range.max_create_revision == 4);

  const auto put = decoded<PutRequest>(kPut);
  CHECK(put.key == "k");
  CHECK(put.value == R"({"a":1})");
  CHECK(put.lease == -5);
  CHECK(put.prev_kv);
  CHECK(put.ignore_value);
  CHECK(put.ignore_lease);

  const auto del = decoded<DeleteRangeRequest>(kDelete);
  CHECK(del.key == "a");
  CHECK(del.range_end == "b");
  CHECK(del.prev_kv);
}

TEST_CASE("a transaction is decoded with what it compares and does") {
  const auto txn = decoded<TxnRequest>(kTxn);
  REQUIRE(txn.compare.size() == 3);
  CHECK(txn.compare[0].result == Compare::Result::equal);
  CHECK(txn.compare[0].target == Compare::Target::create);
  CHECK(txn.compare[0].number == 0);
  CHECK(txn.compare[1].result == Compare::Result::not_equal);
  CHECK(txn.compare[1].target == Compare::Target::lease);
  CHECK(txn.compare[1].number == 77);
  CHECK(txn.compare[2].result == Compare::Result::less);
  CHECK(txn.compare[2].key == "v");
  CHECK(txn.compare[2].value == "w");
  CHECK(txn.compare[2].range_end == "x");
  REQUIRE(txn.success.size() == 2);
  CHECK(std::get<PutRequest>(txn.success[0]).lease == 77);
  CHECK(std::get<DeleteRangeRequest>(txn.success[1]).key == "d");
  REQUIRE(txn.failure.size() == 2);
  CHECK(std::get<RangeRequest>(txn.failure[0]).key == "k");
  CHECK(std::holds_alternative<NestedTxn>(txn.failure[1]));
}

TEST_CASE("the requests of a watch stream are distinguished") {
  const auto create = std::get<WatchCreateRequest>(decoded<WatchRequest>(kWatchCreate));
  using Filter = WatchCreateRequest::Filter;
  CHECK(create.key == "a");
  CHECK(create.range_end == "b");
  CHECK(create.start_revision == kBig);
  CHECK(create.progress_notify);
  CHECK(create.filters == std::vector{Filter::no_put, Filter::no_delete});
  CHECK(create.prev_kv);
  CHECK(create.watch_id == 9);
  CHECK(create.fragment);
  CHECK(std::get<WatchCancelRequest>(decoded<WatchRequest>(kWatchCancel)).watch_id == 9);
  CHECK(std::holds_alternative<WatchProgressRequest>(decoded<WatchRequest>(kWatchProgress)));
  CHECK(is_refused<WatchRequest>(""));
  CHECK(is_refused<WatchRequest>("2200"));  // of a later etcd
}

TEST_CASE("requests about leases, and the others, are decoded") {
  CHECK(decoded<LeaseGrantRequest>(kGrant).ttl == 15);
  CHECK(decoded<LeaseGrantRequest>(kGrant).id == kBig);
  CHECK(decoded<LeaseRevokeRequest>(kRevoke).id == kBig);
  CHECK(decoded<LeaseKeepAliveRequest>(kRevoke).id == kBig);
  CHECK(decoded<LeaseTimeToLiveRequest>(kTimeToLive).id == kBig);
  CHECK(decoded<LeaseTimeToLiveRequest>(kTimeToLive).keys);
  CHECK(decoded<AuthenticateRequest>(kAuthenticate).name == "root");
  CHECK(decoded<AuthenticateRequest>(kAuthenticate).password == "pw");
  decoded<LeaseLeasesRequest>("");
  decoded<MemberListRequest>("0801");  // "linearizable" of a later etcd
  decoded<StatusRequest>("");
}

TEST_CASE("what the door does not have is refused") {
  CHECK(is_refused<RangeRequest>("2803"));          // an order
  CHECK(is_refused<RangeRequest>("3005"));          // a target
  CHECK(is_refused<RangeRequest>("0801"));          // a key that is a number
  CHECK(is_refused<TxnRequest>("0a020804"));        // a comparison
  CHECK(is_refused<TxnRequest>("0a021005"));        // a target of it
  CHECK(is_refused<TxnRequest>("1200"));            // no operation
  CHECK(is_refused<TxnRequest>("12022a00"));        // an operation of a later etcd
  CHECK(is_refused<WatchRequest>("0a022802"));      // a filter
  CHECK(is_refused<StatusRequest>("0b"));           // a group
  CHECK(is_refused<LeaseRevokeRequest>("0a0178"));  // an id that is text
}

TEST_CASE("repeated fields have a limit") {
  const auto comparisons = [](std::size_t count) {
    protobuf::Writer writer;
    for (std::size_t i = 0; i < count; ++i)
      writer.message(1, [](protobuf::Writer&) {});
    return writer.take();
  };
  TxnRequest request;
  CHECK(decode(as_bytes(comparisons(kRepeatedMax)), request));
  TxnRequest beyond;
  CHECK_FALSE(decode(as_bytes(comparisons(kRepeatedMax + 1)), beyond));
}

TEST_CASE("answers about keys are encoded as etcd encodes them") {
  CHECK(hex(encode(RangeResponse{kHeader, {kKv, kEmpty}, true, 9})) == kRangeResponse);
  CHECK(hex(encode(PutResponse{kHeader, kKv})) == kPutResponse);
  CHECK(hex(encode(DeleteRangeResponse{kHeader, 2, {kKv, kEmpty}})) == kDeleteResponse);
  TxnResponse txn{kHeader, true, {}};
  txn.responses.emplace_back(PutResponse{kRevision, nullptr});
  txn.responses.emplace_back(RangeResponse{kRevision, {kKv}, false, 1});
  txn.responses.emplace_back(DeleteRangeResponse{kRevision, 1, {}});
  CHECK(hex(encode(txn)) == kTxnResponse);
}

TEST_CASE("answers of watches are encoded as etcd encodes them") {
  const auto gone = std::make_shared<KeyValue>(KeyValue{"k", 0, 8, 0, "", 0});
  const WatchResponse response{
      kHeader, -1,    true, true,
      5,       "why", true, {{Event::Type::put, kKv, nullptr}, {Event::Type::deleted, gone, kKv}}};
  CHECK(hex(encode(response)) == kWatchResponse);
}

TEST_CASE("answers about leases, and the others, are encoded as etcd encodes them") {
  CHECK(hex(encode(LeaseGrantResponse{kHeader, kBig, 15, "no"})) == kGrantResponse);
  CHECK(hex(encode(LeaseRevokeResponse{kHeader})) == kRevokeResponse);
  CHECK(hex(encode(LeaseKeepAliveResponse{kHeader, kBig, 15})) == kKeepAliveResponse);
  CHECK(hex(encode(LeaseTimeToLiveResponse{kHeader, kBig, -1, 15, {"a", ""}})) ==
        kTimeToLiveResponse);
  CHECK(hex(encode(LeaseLeasesResponse{kHeader, {5, kBig}})) == kLeasesResponse);
  const std::uint64_t member = (std::uint64_t{1} << 63) + 2;
  CHECK(hex(encode(MemberListResponse{
            kHeader, {{member, "o", {"p"}, {"http://127.0.0.1:2379", "c"}}}})) == kMembersResponse);
  CHECK(hex(encode(StatusResponse{kHeader, "3.5.9", 1, member, 3, 4, 5, {"e"}, 6, true})) ==
        kStatusResponse);
  CHECK(hex(encode(AuthenticateResponse{kHeader, "t"})) == kAuthenticateResponse);
}
