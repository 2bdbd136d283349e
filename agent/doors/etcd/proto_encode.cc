// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/proto.h"
#include "base/protobuf.h"

namespace outrider::doors::etcd {
namespace {

using protobuf::Writer;

void write(Writer& writer, const Header& header) {
  writer.message(1, [&](Writer& inner) {
    inner.u64(1, header.cluster_id);
    inner.u64(2, header.member_id);
    inner.i64(3, header.revision);
    inner.u64(4, header.raft_term);
  });
}

void write(Writer& writer, std::uint32_t field, const KeyValue& kv) {
  writer.message(field, [&](Writer& inner) {
    inner.text(1, kv.key);
    inner.i64(2, kv.create_revision);
    inner.i64(3, kv.mod_revision);
    inner.i64(4, kv.version);
    inner.text(5, kv.value);
    inner.i64(6, kv.lease);
  });
}

/// Null: nothing.
void write(Writer& writer, std::uint32_t field, const KeyValuePtr& kv) {
  if (kv != nullptr) write(writer, field, *kv);
}

void write_end(Writer& writer, const RangeResponse& response) {
  writer.boolean(3, response.more);
  writer.i64(4, response.count);
}

void write(Writer& writer, const RangeResponse& response) {
  write(writer, response.header);
  for (const KeyValuePtr& kv : response.kvs)
    write(writer, 2, kv);
  write_end(writer, response);
}

void write(Writer& writer, const PutResponse& response) {
  write(writer, response.header);
  write(writer, 2, response.prev_kv);
}

void write(Writer& writer, const DeleteRangeResponse& response) {
  write(writer, response.header);
  writer.i64(2, response.deleted);
  for (const KeyValuePtr& kv : response.prev_kvs)
    write(writer, 3, kv);
}

void write(Writer& writer, const TxnResponse& response) {
  write(writer, response.header);
  writer.boolean(2, response.succeeded);
  for (const ResponseOp& op : response.responses) {
    writer.message(3, [&](Writer& outer) {
      // The members of the oneof are in the order of the variant.
      outer.message(static_cast<std::uint32_t>(op.index()) + 1, [&](Writer& inner) {
        std::visit([&](const auto& of_op) { write(inner, of_op); }, op);
      });
    });
  }
}

void write(Writer& writer, const WatchResponse& response) {
  write(writer, response.header);
  writer.i64(2, response.watch_id);
  writer.boolean(3, response.created);
  writer.boolean(4, response.canceled);
  writer.i64(5, response.compact_revision);
  writer.text(6, response.cancel_reason);
  writer.boolean(7, response.fragment);
  for (const Event& event : response.events) {
    writer.message(11, [&](Writer& inner) {
      inner.u64(1, static_cast<std::uint64_t>(event.type));
      write(inner, 2, event.kv);
      write(inner, 3, event.prev_kv);
    });
  }
}

void write(Writer& writer, const LeaseGrantResponse& response) {
  write(writer, response.header);
  writer.i64(2, response.id);
  writer.i64(3, response.ttl);
  writer.text(4, response.error);
}

void write(Writer& writer, const LeaseRevokeResponse& response) {
  write(writer, response.header);
}

void write(Writer& writer, const LeaseKeepAliveResponse& response) {
  write(writer, response.header);
  writer.i64(2, response.id);
  writer.i64(3, response.ttl);
}

void write(Writer& writer, const LeaseTimeToLiveResponse& response) {
  write(writer, response.header);
  writer.i64(2, response.id);
  writer.i64(3, response.ttl);
  writer.i64(4, response.granted_ttl);
  for (const std::string& key : response.keys)
    writer.each_text(5, key);
}

void write(Writer& writer, const LeaseLeasesResponse& response) {
  write(writer, response.header);
  for (const std::int64_t lease : response.leases)
    writer.message(2, [&](Writer& inner) { inner.i64(1, lease); });
}

void write(Writer& writer, const MemberListResponse& response) {
  write(writer, response.header);
  for (const Member& member : response.members) {
    writer.message(2, [&](Writer& inner) {
      inner.u64(1, member.id);
      inner.text(2, member.name);
      for (const std::string& url : member.peer_urls)
        inner.each_text(3, url);
      for (const std::string& url : member.client_urls)
        inner.each_text(4, url);
    });
  }
}

void write(Writer& writer, const StatusResponse& response) {
  write(writer, response.header);
  writer.text(2, response.version);
  writer.i64(3, response.db_size);
  writer.u64(4, response.leader);
  writer.u64(5, response.raft_index);
  writer.u64(6, response.raft_term);
  writer.u64(7, response.raft_applied_index);
  for (const std::string& error : response.errors)
    writer.each_text(8, error);
  writer.i64(9, response.db_size_in_use);
  writer.boolean(10, response.is_learner);
}

void write(Writer& writer, const AuthenticateResponse& response) {
  write(writer, response.header);
  writer.text(2, response.token);
}

}  // namespace

template <class Response>
std::string encode(const Response& response) {
  Writer writer;
  write(writer, response);
  return writer.take();
}

template std::string encode(const RangeResponse&);
template std::string encode(const PutResponse&);
template std::string encode(const DeleteRangeResponse&);
template std::string encode(const TxnResponse&);
template std::string encode(const WatchResponse&);
template std::string encode(const LeaseGrantResponse&);
template std::string encode(const LeaseRevokeResponse&);
template std::string encode(const LeaseKeepAliveResponse&);
template std::string encode(const LeaseTimeToLiveResponse&);
template std::string encode(const LeaseLeasesResponse&);
template std::string encode(const MemberListResponse&);
template std::string encode(const StatusResponse&);
template std::string encode(const AuthenticateResponse&);

void RangeEncoder::begin(const RangeResponse& response) {
  write(writer_, response.header);
}
void RangeEncoder::add(const KeyValue& kv) {
  write(writer_, 2, kv);
}
std::string RangeEncoder::end(const RangeResponse& response) {
  write_end(writer_, response);
  return writer_.take();
}

}  // namespace outrider::doors::etcd
