// SPDX-License-Identifier: Apache-2.0
#include <type_traits>
#include <utility>

#include "agent/doors/etcd/proto.h"
#include "base/protobuf.h"

namespace outrider::doors::etcd {
namespace {

using protobuf::Reader;

template <class T>
T* add_to(std::vector<T>& all, Reader& reader) {
  if (all.size() < kRepeatedMax) return &all.emplace_back();
  reader.fail();
  return nullptr;
}

/// A message whose only field is an id.
void read_id(Reader& reader, std::int64_t& id) {
  while (reader.next())
    if (reader.field() == 1) id = reader.i64();
}

template <class Request>
  requires std::is_empty_v<Request>
void read(Reader& reader, Request&) {
  while (reader.next()) {
  }
}

void read(Reader& reader, RangeRequest& request) {
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        request.key = reader.text();
        break;
      case 2:
        request.range_end = reader.text();
        break;
      case 3:
        request.limit = reader.i64();
        break;
      case 4:
        request.revision = reader.i64();
        break;
      case 5:
        request.sort_order = reader.enumerator<RangeRequest::Order>(3);
        break;
      case 6:
        request.sort_target = reader.enumerator<RangeRequest::Target>(5);
        break;
      case 7:
        request.serializable = reader.boolean();
        break;
      case 8:
        request.keys_only = reader.boolean();
        break;
      case 9:
        request.count_only = reader.boolean();
        break;
      case 10:
        request.min_mod_revision = reader.i64();
        break;
      case 11:
        request.max_mod_revision = reader.i64();
        break;
      case 12:
        request.min_create_revision = reader.i64();
        break;
      case 13:
        request.max_create_revision = reader.i64();
        break;
      default:  // a field of a later etcd
        break;
    }
  }
}

void read(Reader& reader, PutRequest& request) {
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        request.key = reader.text();
        break;
      case 2:
        request.value = reader.text();
        break;
      case 3:
        request.lease = reader.i64();
        break;
      case 4:
        request.prev_kv = reader.boolean();
        break;
      case 5:
        request.ignore_value = reader.boolean();
        break;
      case 6:
        request.ignore_lease = reader.boolean();
        break;
      default:  // a field of a later etcd
        break;
    }
  }
}

void read(Reader& reader, DeleteRangeRequest& request) {
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        request.key = reader.text();
        break;
      case 2:
        request.range_end = reader.text();
        break;
      case 3:
        request.prev_kv = reader.boolean();
        break;
      default:  // a field of a later etcd
        break;
    }
  }
}

void read(Reader& reader, Compare& compare) {
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        compare.result = reader.enumerator<Compare::Result>(4);
        break;
      case 2:
        compare.target = reader.enumerator<Compare::Target>(5);
        break;
      case 3:
        compare.key = reader.text();
        break;
      case 4:  // version, create_revision, mod_revision: `target` says which
      case 5:
      case 6:
      case 8:  // lease
        compare.number = reader.i64();
        break;
      case 7:
        compare.value = reader.text();
        break;
      case 64:
        compare.range_end = reader.text();
        break;
      default:  // a field of a later etcd
        break;
    }
  }
}

void read(Reader& reader, WatchCreateRequest& request) {
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        request.key = reader.text();
        break;
      case 2:
        request.range_end = reader.text();
        break;
      case 3:
        request.start_revision = reader.i64();
        break;
      case 4:
        request.progress_notify = reader.boolean();
        break;
      case 5:
        reader.enumerators<WatchCreateRequest::Filter>(2, [&](WatchCreateRequest::Filter filter) {
          if (auto* added = add_to(request.filters, reader)) *added = filter;
        });
        break;
      case 6:
        request.prev_kv = reader.boolean();
        break;
      case 7:
        request.watch_id = reader.i64();
        break;
      case 8:
        request.fragment = reader.boolean();
        break;
      default:  // a field of a later etcd
        break;
    }
  }
}

void read(Reader& reader, WatchCancelRequest& request) {
  read_id(reader, request.watch_id);
}

/// The last member counts; a message without any is refused.
template <class ReadMember>
void read_oneof(Reader& reader, ReadMember read_member) {
  if (!reader.next()) return reader.fail();
  do
    read_member(reader.field());
  while (reader.next());
}

template <class Member, class Oneof>
void read_as(Reader& reader, Oneof& oneof) {
  Member member;
  reader.message([&](Reader& inner) { read(inner, member); });
  oneof = std::move(member);
}

void read(Reader& reader, RequestOp& op) {
  read_oneof(reader, [&](std::uint32_t field) {
    switch (field) {
      case 1:
        return read_as<RangeRequest>(reader, op);
      case 2:
        return read_as<PutRequest>(reader, op);
      case 3:
        return read_as<DeleteRangeRequest>(reader, op);
      case 4:
        op = NestedTxn{};
        return;
      default:  // an operation of a later etcd
        reader.fail();
    }
  });
}

void read(Reader& reader, TxnRequest& request) {
  const auto add = [&](auto& all) {
    if (auto* added = add_to(all, reader))
      reader.message([&](Reader& inner) { read(inner, *added); });
  };
  while (reader.next()) {
    switch (reader.field()) {
      case 1:
        add(request.compare);
        break;
      case 2:
        add(request.success);
        break;
      case 3:
        add(request.failure);
        break;
      default:  // a field of a later etcd
        break;
    }
  }
}

void read(Reader& reader, WatchRequest& request) {
  read_oneof(reader, [&](std::uint32_t field) {
    switch (field) {
      case 1:
        return read_as<WatchCreateRequest>(reader, request);
      case 2:
        return read_as<WatchCancelRequest>(reader, request);
      case 3:
        return read_as<WatchProgressRequest>(reader, request);
      default:  // a request of a later etcd
        reader.fail();
    }
  });
}

void read(Reader& reader, LeaseGrantRequest& request) {
  while (reader.next()) {
    if (reader.field() == 1) request.ttl = reader.i64();
    if (reader.field() == 2) request.id = reader.i64();
  }
}

void read(Reader& reader, LeaseRevokeRequest& request) {
  read_id(reader, request.id);
}

void read(Reader& reader, LeaseKeepAliveRequest& request) {
  read_id(reader, request.id);
}

void read(Reader& reader, LeaseTimeToLiveRequest& request) {
  while (reader.next()) {
    if (reader.field() == 1) request.id = reader.i64();
    if (reader.field() == 2) request.keys = reader.boolean();
  }
}

void read(Reader& reader, AuthenticateRequest& request) {
  while (reader.next()) {
    if (reader.field() == 1) request.name = reader.text();
    if (reader.field() == 2) request.password = reader.text();
  }
}

}  // namespace

template <class Request>
bool decode(Bytes message, Request& request) {
  Reader reader(message);
  read(reader, request);
  return reader.ok();
}

template bool decode(Bytes, RangeRequest&);
template bool decode(Bytes, PutRequest&);
template bool decode(Bytes, DeleteRangeRequest&);
template bool decode(Bytes, TxnRequest&);
template bool decode(Bytes, WatchRequest&);
template bool decode(Bytes, LeaseGrantRequest&);
template bool decode(Bytes, LeaseRevokeRequest&);
template bool decode(Bytes, LeaseKeepAliveRequest&);
template bool decode(Bytes, LeaseTimeToLiveRequest&);
template bool decode(Bytes, LeaseLeasesRequest&);
template bool decode(Bytes, MemberListRequest&);
template bool decode(Bytes, StatusRequest&);
template bool decode(Bytes, AuthenticateRequest&);

}  // namespace outrider::doors::etcd
