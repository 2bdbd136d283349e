// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/json.h"
#include "base/base64.h"

namespace outrider::doors::etcd {
namespace {

using json::Writer;

void member(Writer& out, std::string_view name, std::int64_t number) {
  if (number != 0) out.member(name, std::to_string(number));
}
void member(Writer& out, std::string_view name, std::uint64_t number) {
  if (number != 0) out.member(name, std::to_string(number));
}
void member(Writer& out, std::string_view name, bool flag) {
  if (flag) out.member(name, true);
}
void octets(Writer& out, std::string_view name, std::string_view value) {
  if (!value.empty()) out.member(name, base64_encode(value));
}
void text(Writer& out, std::string_view name, const std::string& value) {
  if (!value.empty()) out.member(name, value);
}

void write_header(Writer& out, const Header& header) {
  out.key("header").begin_object();
  member(out, "cluster_id", header.cluster_id);
  member(out, "member_id", header.member_id);
  member(out, "revision", header.revision);
  member(out, "raft_term", header.raft_term);
  out.end_object();
}

void write_kv(Writer& out, const KeyValue& kv) {
  out.begin_object();
  octets(out, "key", kv.key);
  member(out, "create_revision", kv.create_revision);
  member(out, "mod_revision", kv.mod_revision);
  member(out, "version", kv.version);
  octets(out, "value", kv.value);
  member(out, "lease", kv.lease);
  out.end_object();
}

void write_kvs(Writer& out, std::string_view name, const std::vector<KeyValuePtr>& kvs) {
  if (kvs.empty()) return;
  out.key(name).begin_array();
  for (const KeyValuePtr& kv : kvs)
    write_kv(out, *kv);
  out.end_array();
}

void write_texts(Writer& out, std::string_view name, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  out.key(name).begin_array();
  for (const std::string& each : texts)
    out.value(each);
  out.end_array();
}

}  // namespace

void encode(Writer& out, const RangeResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  write_kvs(out, "kvs", response.kvs);
  member(out, "more", response.more);
  member(out, "count", response.count);
  out.end_object();
}

void JsonRangeEncoder::begin(const RangeResponse& response) {
  out_.begin_object();
  write_header(out_, response.header);
  if (!response.kvs.empty()) out_.key("kvs").begin_array();
}
void JsonRangeEncoder::add(const KeyValue& kv) {
  write_kv(out_, kv);
}
std::string JsonRangeEncoder::end(const RangeResponse& response) {
  if (!response.kvs.empty()) out_.end_array();
  member(out_, "more", response.more);
  member(out_, "count", response.count);
  out_.end_object();
  return std::move(text_);
}

void encode(Writer& out, const PutResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  if (response.prev_kv != nullptr) write_kv(out.key("prev_kv"), *response.prev_kv);
  out.end_object();
}

void encode(Writer& out, const DeleteRangeResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  member(out, "deleted", response.deleted);
  write_kvs(out, "prev_kvs", response.prev_kvs);
  out.end_object();
}

void encode(Writer& out, const TxnResponse& response) {
  constexpr std::string_view kNames[] = {"response_range", "response_put", "response_delete_range"};
  out.begin_object();
  write_header(out, response.header);
  member(out, "succeeded", response.succeeded);
  if (!response.responses.empty()) {
    out.key("responses").begin_array();
    for (const ResponseOp& op : response.responses) {
      out.begin_object().key(kNames[op.index()]);
      std::visit([&](const auto& each) { encode(out, each); }, op);
      out.end_object();
    }
    out.end_array();
  }
  out.end_object();
}

void encode(Writer& out, const WatchResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  member(out, "watch_id", response.watch_id);
  member(out, "created", response.created);
  member(out, "canceled", response.canceled);
  member(out, "compact_revision", response.compact_revision);
  text(out, "cancel_reason", response.cancel_reason);
  member(out, "fragment", response.fragment);
  if (!response.events.empty()) {
    out.key("events").begin_array();
    for (const Event& event : response.events) {
      out.begin_object();
      if (event.type == Event::Type::deleted) out.member("type", "DELETE");
      write_kv(out.key("kv"), *event.kv);
      if (event.prev_kv != nullptr) write_kv(out.key("prev_kv"), *event.prev_kv);
      out.end_object();
    }
    out.end_array();
  }
  out.end_object();
}

void encode(Writer& out, const LeaseGrantResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  member(out, "ID", response.id);
  member(out, "TTL", response.ttl);
  text(out, "error", response.error);
  out.end_object();
}

void encode(Writer& out, const LeaseRevokeResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  out.end_object();
}

void encode(Writer& out, const LeaseKeepAliveResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  member(out, "ID", response.id);
  member(out, "TTL", response.ttl);
  out.end_object();
}

void encode(Writer& out, const LeaseTimeToLiveResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  member(out, "ID", response.id);
  member(out, "TTL", response.ttl);
  member(out, "grantedTTL", response.granted_ttl);
  if (!response.keys.empty()) {
    out.key("keys").begin_array();
    for (const std::string& key : response.keys)
      out.value(base64_encode(key));
    out.end_array();
  }
  out.end_object();
}

void encode(Writer& out, const LeaseLeasesResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  if (!response.leases.empty()) {
    out.key("leases").begin_array();
    for (const std::int64_t id : response.leases) {
      out.begin_object();
      member(out, "ID", id);
      out.end_object();
    }
    out.end_array();
  }
  out.end_object();
}

void encode(Writer& out, const MemberListResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  out.key("members").begin_array();
  for (const Member& each : response.members) {
    out.begin_object();
    member(out, "ID", each.id);
    text(out, "name", each.name);
    write_texts(out, "peerURLs", each.peer_urls);
    write_texts(out, "clientURLs", each.client_urls);
    out.end_object();
  }
  out.end_array().end_object();
}

void encode(Writer& out, const StatusResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  text(out, "version", response.version);
  member(out, "dbSize", response.db_size);
  member(out, "leader", response.leader);
  member(out, "raftIndex", response.raft_index);
  member(out, "raftTerm", response.raft_term);
  member(out, "raftAppliedIndex", response.raft_applied_index);
  write_texts(out, "errors", response.errors);
  member(out, "dbSizeInUse", response.db_size_in_use);
  member(out, "isLearner", response.is_learner);
  out.end_object();
}

void encode(Writer& out, const AuthenticateResponse& response) {
  out.begin_object();
  write_header(out, response.header);
  text(out, "token", response.token);
  out.end_object();
}

void encode(Writer& out, const Error& error) {
  out.begin_object().member("error", error.text).member("message", error.text);
  out.member("code", static_cast<int>(error.code)).end_object();
}

int status_of(Code code) {
  switch (code) {
    case Code::ok:
      return 200;
    case Code::invalid_argument:
    case Code::out_of_range:
      return 400;
    case Code::failed_precondition:
      return 412;
    case Code::permission_denied:
      return 403;
    case Code::not_found:
      return 404;
    case Code::resource_exhausted:
      return 429;
    case Code::unimplemented:
      return 501;
    case Code::unavailable:
      return 503;
    case Code::unknown:
      break;
  }
  return 500;
}

}  // namespace outrider::doors::etcd
