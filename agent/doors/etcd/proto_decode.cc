// SPDX-License-Identifier: Apache-2.0
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

/// The last member of the oneof counts.
void read(Reader& reader, RequestOp& op) {
  const auto as = [&]<class Request>(Request request) {
    reader.message([&](Reader& inner) { read(inner, request); });
    op = std::move(request);
  };
  bool any = false;
  while (reader.next()) {
    any = true;
    switch (reader.field()) {
      case 1:
        as(RangeRequest{});
        break;
      case 2:
        as(PutRequest{});
        break;
      case 3:
        as(DeleteRangeRequest{});
        break;
      case 4:
        op = NestedTxn{};
        break;
      default:  // an operation of a later etcd
        reader.fail();
    }
  }
  if (!any) reader.fail();
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
  while (reader.next())
    if (reader.field() == 1) request.watch_id = reader.i64();
}

void read(Reader& reader, WatchProgressRequest&) {
  while (reader.next()) {
  }
}

void read(Reader& reader, WatchRequest& request) {
  const auto as = [&]<class Request>(Request inner_request) {
    reader.message([&](Reader& inner) { read(inner, inner_request); });
    request = std::move(inner_request);
  };
  bool any = false;
  while (reader.next()) {
    any = true;
    switch (reader.field()) {
      case 1:
        as(WatchCreateRequest{});
        break;
      case 2:
        as(WatchCancelRequest{});
        break;
      case 3:
        as(WatchProgressRequest{});
        break;
      default:  // a request of a later etcd
        reader.fail();
    }
  }
  if (!any) reader.fail();
}

void read(Reader& reader, LeaseGrantRequest& request) {
  while (reader.next()) {
    if (reader.field() == 1) request.ttl = reader.i64();
    if (reader.field() == 2) request.id = reader.i64();
  }
}

/// Of LeaseRevoke and LeaseKeepAlive, which have nothing else.
template <class Request>
void read_id(Reader& reader, Request& request) {
  while (reader.next())
    if (reader.field() == 1) request.id = reader.i64();
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

template <class Request>
bool decode_as(Bytes message, Request& request) {
  Reader reader(message);
  read(reader, request);
  return reader.ok();
}

/// A request without fields.
bool skip(Bytes message) {
  Reader reader(message);
  while (reader.next()) {
  }
  return reader.ok();
}

}  // namespace

bool decode(Bytes message, RangeRequest& request) {
  return decode_as(message, request);
}
bool decode(Bytes message, PutRequest& request) {
  return decode_as(message, request);
}
bool decode(Bytes message, DeleteRangeRequest& request) {
  return decode_as(message, request);
}
bool decode(Bytes message, TxnRequest& request) {
  return decode_as(message, request);
}
bool decode(Bytes message, WatchRequest& request) {
  return decode_as(message, request);
}
bool decode(Bytes message, LeaseGrantRequest& request) {
  return decode_as(message, request);
}
bool decode(Bytes message, LeaseRevokeRequest& request) {
  Reader reader(message);
  read_id(reader, request);
  return reader.ok();
}
bool decode(Bytes message, LeaseKeepAliveRequest& request) {
  Reader reader(message);
  read_id(reader, request);
  return reader.ok();
}
bool decode(Bytes message, LeaseTimeToLiveRequest& request) {
  return decode_as(message, request);
}
bool decode(Bytes message, LeaseLeasesRequest&) {
  return skip(message);
}
bool decode(Bytes message, MemberListRequest&) {
  return skip(message);
}
bool decode(Bytes message, StatusRequest&) {
  return skip(message);
}
bool decode(Bytes message, AuthenticateRequest& request) {
  return decode_as(message, request);
}

}  // namespace outrider::doors::etcd
