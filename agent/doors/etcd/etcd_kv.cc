// SPDX-License-Identifier: Apache-2.0
// Range, Put, DeleteRange and Txn.
#include <algorithm>
#include <functional>
#include <set>

#include "agent/doors/etcd/etcd_door.h"

namespace outrider::doors::etcd {
namespace {

Error no_key() {
  return {Code::invalid_argument, "etcdserver: key is not provided"};
}
Error too_large() {
  return {Code::invalid_argument, "etcdserver: request is too large"};
}

Error no_own_key(const std::string& key) {
  return {Code::permission_denied,
          "etcdserver: permission denied: \"" + key +
              "\" shows an instance that was not put with this key, and cannot be changed; it "
              "changes and leaves with that instance"};
}

template <class Request>
KeyRange range_of(const Request& request) {
  return {request.key, request.range_end};
}

/// Whether `less` for two values in the order that the request asks for.
bool is_before(const RangeRequest& request, const KeyValue& a, const KeyValue& b) {
  const auto compare = [&](const KeyValue& x, const KeyValue& y) {
    switch (request.sort_target) {
      case RangeRequest::Target::key:
        return x.key < y.key;
      case RangeRequest::Target::version:
        return x.version < y.version;
      case RangeRequest::Target::create:
        return x.create_revision < y.create_revision;
      case RangeRequest::Target::mod:
        return x.mod_revision < y.mod_revision;
      case RangeRequest::Target::value:
        return x.value < y.value;
    }
    OUTRIDER_UNREACHABLE();
  };
  return request.sort_order == RangeRequest::Order::descend ? compare(b, a) : compare(a, b);
}

bool is_between(std::int64_t number, std::int64_t least, std::int64_t most) {
  return (least == 0 || number >= least) && (most == 0 || number <= most);
}

template <class Value>
bool meets(const Value& here, Compare::Result wanted, const Value& given) {
  switch (wanted) {
    case Compare::Result::equal:
      return here == given;
    case Compare::Result::not_equal:
      return here != given;
    case Compare::Result::greater:
      return here > given;
    case Compare::Result::less:
      return here < given;
  }
  OUTRIDER_UNREACHABLE();
}

bool meets(const KeyValue& kv, const Compare& compare) {
  switch (compare.target) {
    case Compare::Target::version:
      return meets(kv.version, compare.result, compare.number);
    case Compare::Target::create:
      return meets(kv.create_revision, compare.result, compare.number);
    case Compare::Target::mod:
      return meets(kv.mod_revision, compare.result, compare.number);
    case Compare::Target::value:
      return meets(kv.value, compare.result, compare.value);
    case Compare::Target::lease:
      return meets(kv.lease, compare.result, compare.number);
  }
  OUTRIDER_UNREACHABLE();
}

/// A key may be changed once in a transaction, as in etcd.
bool changes_a_key_twice(const std::vector<RequestOp>& ops) {
  std::vector<KeyRange> deleted;
  for (const RequestOp& op : ops)
    if (const auto* request = std::get_if<DeleteRangeRequest>(&op))
      deleted.push_back(range_of(*request));
  std::set<std::string_view> put;
  for (const RequestOp& op : ops) {
    const auto* request = std::get_if<PutRequest>(&op);
    if (request == nullptr) continue;
    const auto has = [&](const KeyRange& range) { return range.contains(request->key); };
    if (!put.insert(request->key).second || std::ranges::any_of(deleted, has)) return true;
  }
  return false;
}

std::optional<Error> judge_form(const std::vector<RequestOp>& ops) {
  for (const RequestOp& op : ops) {
    if (std::holds_alternative<NestedTxn>(op))
      return Error{Code::unimplemented,
                   "etcdserver: transactions within transactions are not supported here"};
    const bool has_key = std::visit(
        [](const auto& request) {
          if constexpr (requires { request.key; })
            return !request.key.empty();
          else
            return true;
        },
        op);
    if (!has_key) return no_key();
  }
  if (changes_a_key_twice(ops))
    return Error{Code::invalid_argument, "etcdserver: duplicate key given in txn request"};
  return std::nullopt;
}

}  // namespace

// --- what may be asked -------------------------------------------------------------------------

EtcdDoor::Judged EtcdDoor::judge(const RangeRequest& request) const {
  if (request.key.empty()) return no_key();
  if (request.revision > store_.revision())
    return Error{Code::out_of_range, "etcdserver: mvcc: required revision is a future revision"};
  if (request.revision > 0 && request.revision < store_.compact_revision() &&
      request.revision != store_.base())
    return Error{Code::out_of_range, "etcdserver: mvcc: required revision has been compacted"};
  if (!instances_.has_room_for(range_of(request)))
    return Error{Code::resource_exhausted, "etcdserver: too many services are asked for by name"};
  return std::nullopt;
}

EtcdDoor::Judged EtcdDoor::judge(const PutRequest& request, Room& room) {
  if (request.key.empty()) return no_key();
  if (request.ignore_value && !request.value.empty())
    return Error{Code::invalid_argument, "etcdserver: value is provided"};
  if (request.ignore_lease && request.lease != 0)
    return Error{Code::invalid_argument, "etcdserver: lease is provided"};
  if (request.key.size() > registries::etcd::kKeyBytesMax ||
      request.value.size() > registries::etcd::kValueBytesMax)
    return too_large();
  if (instances_.is_shown(request.key)) return no_own_key(request.key);
  const std::string* own = instances_.value_of(request.key);
  const KeyValuePtr here = store_.find(request.key);
  if ((request.ignore_value || request.ignore_lease) && here == nullptr && own == nullptr)
    return Error{Code::invalid_argument, "etcdserver: key not found"};
  const std::int64_t lease = request.ignore_lease ? leases_.lease_of(request.key) : request.lease;
  if (lease != 0 && leases_.find(lease) == nullptr)
    return Error{Code::not_found, "etcdserver: requested lease not found"};
  const std::string& value =
      !request.ignore_value ? request.value : (own != nullptr ? *own : here->value);
  if (instances_.is_instance(request.key)) return instances_.judge(request.key, value, lease);
  return judge_room(request, request.key.size() + value.size(), room);
}

/// Whether the scratch space has room for a key.
EtcdDoor::Judged EtcdDoor::judge_room(const PutRequest& request, std::size_t bytes,
                                      Room& room) const {
  room.taken[request.key] = bytes;
  std::size_t keys = scratch_.size(), all = scratch_bytes_;
  for (const auto& [key, more] : room.taken) {
    const auto known = scratch_.find(key);
    keys += known == scratch_.end() ? 1 : 0;
    all += more - (known == scratch_.end() ? 0 : known->second);
  }
  if (keys <= kScratchKeysMax && all <= kScratchBytesMax) return std::nullopt;
  return Error{Code::permission_denied,
               "etcdserver: permission denied: this is Outrider and no database: it keeps "
               "instances below " +
                   instances_.describe() + ", and " + std::to_string(kScratchKeysMax) +
                   " other keys of " + std::to_string(kScratchBytesMax >> 10) + " kB together"};
}

EtcdDoor::Judged EtcdDoor::judge(const DeleteRangeRequest& request) const {
  if (request.key.empty()) return no_key();
  for (const KeyValuePtr& kv : store_.in(range_of(request)))
    if (instances_.is_shown(kv->key)) return no_own_key(kv->key);
  return std::nullopt;
}

EtcdDoor::Judged EtcdDoor::judge(const TxnRequest& request) const {
  if (std::max({request.compare.size(), request.success.size(), request.failure.size()}) >
      kTxnOpsMax)
    return Error{Code::invalid_argument, "etcdserver: too many operations in txn request"};
  for (const Compare& compare : request.compare)
    if (compare.key.empty()) return no_key();
  if (auto wrong = judge_form(request.success)) return wrong;
  return judge_form(request.failure);
}

EtcdDoor::Judged EtcdDoor::judge_branch(const std::vector<RequestOp>& ops) {
  Room room;
  for (const RequestOp& op : ops) {
    Judged wrong;
    if (const auto* range = std::get_if<RangeRequest>(&op)) wrong = judge(*range);
    if (const auto* put = std::get_if<PutRequest>(&op)) wrong = judge(*put, room);
    if (const auto* deletion = std::get_if<DeleteRangeRequest>(&op)) wrong = judge(*deletion);
    if (wrong) return wrong;
  }
  return std::nullopt;
}

EtcdDoor::Judged EtcdDoor::judge_size(const TxnRequest& request) const {
  std::size_t keys = 0;
  const auto add = [&](const auto& each) {
    if constexpr (requires { each.range_end; })
      if (!each.range_end.empty() && keys <= kTxnKeysMax)
        keys += store_.count(range_of(each), kTxnKeysMax + 1);
  };
  for (const Compare& compare : request.compare)
    add(compare);
  for (const auto* ops : {&request.success, &request.failure})
    for (const RequestOp& op : *ops)
      std::visit(add, op);
  if (keys <= kTxnKeysMax) return std::nullopt;
  return Error{Code::invalid_argument,
               too_large().text + ": the ranges of a transaction may have " +
                   std::to_string(kTxnKeysMax) + " keys together; read more with Range"};
}

/// False: not everything that it reads is shown yet.
bool EtcdDoor::show(const TxnRequest& request) {
  bool all = true;
  for (const Compare& compare : request.compare)
    all = show(range_of(compare), Instances::Asked::once) && all;
  for (const auto* ops : {&request.success, &request.failure})
    for (const RequestOp& op : *ops)
      if (const auto* range = std::get_if<RangeRequest>(&op))
        all = show(range_of(*range), Instances::Asked::once) && all;
  return all;
}

/// As etcd does: of a range, for all keys in it. Where there is none, as for one that has zeros,
/// but no value.
bool EtcdDoor::holds(const Compare& compare) const {
  const std::vector<KeyValuePtr> kvs = store_.in(range_of(compare));
  if (kvs.empty()) return compare.target != Compare::Target::value && meets(KeyValue(), compare);
  return std::ranges::all_of(kvs, [&](const KeyValuePtr& kv) { return meets(*kv, compare); });
}

bool EtcdDoor::would_change(const DeleteRangeRequest& request) const {
  return store_.count(range_of(request), 1) > 0 || !instances_.own_in(range_of(request)).empty();
}

bool EtcdDoor::would_change(const std::vector<RequestOp>& ops) const {
  return std::ranges::any_of(ops, [this](const RequestOp& op) {
    const auto* deletion = std::get_if<DeleteRangeRequest>(&op);
    return std::holds_alternative<PutRequest>(op) ||
           (deletion != nullptr && would_change(*deletion));
  });
}

// --- what happens ------------------------------------------------------------------------------

RangeResponse EtcdDoor::do_range(const RangeRequest& request) const {
  RangeResponse response{.header = header(), .kvs = {}};
  const bool past = request.revision > 0 && request.revision < store_.revision();
  response.kvs =
      past ? store_.at(range_of(request), request.revision) : store_.in(range_of(request));
  response.count = static_cast<std::int64_t>(response.kvs.size());
  if (request.count_only) {
    response.kvs.clear();
    return response;
  }
  std::erase_if(response.kvs, [&](const KeyValuePtr& kv) {
    return !is_between(kv->mod_revision, request.min_mod_revision, request.max_mod_revision) ||
           !is_between(kv->create_revision, request.min_create_revision,
                       request.max_create_revision);
  });
  const bool in_order = request.sort_order != RangeRequest::Order::descend &&
                        request.sort_target == RangeRequest::Target::key;
  if (!in_order)
    std::ranges::stable_sort(response.kvs, [&](const KeyValuePtr& a, const KeyValuePtr& b) {
      return is_before(request, *a, *b);
    });
  const auto limit = static_cast<std::size_t>(std::max<std::int64_t>(request.limit, 0));
  response.more = limit > 0 && response.kvs.size() > limit;
  if (response.more) response.kvs.resize(limit);
  if (request.keys_only)
    for (KeyValuePtr& kv : response.kvs) {
      kv = std::make_shared<const KeyValue>(KeyValue{.key = kv->key,
                                                     .create_revision = kv->create_revision,
                                                     .mod_revision = kv->mod_revision,
                                                     .version = kv->version,
                                                     .value = {},
                                                     .lease = kv->lease});
    }
  return response;
}

Result<PutResponse, Error> EtcdDoor::do_put(const PutRequest& request) {
  const std::string& key = request.key;
  KeyValuePtr before = store_.find(key);
  const std::string* own = instances_.value_of(key);
  std::string value = !request.ignore_value ? request.value : own != nullptr ? *own : before->value;
  const std::int64_t lease = request.ignore_lease ? leases_.lease_of(key) : request.lease;
  if (instances_.is_instance(key)) {
    if (auto done = instances_.put(key, value, lease); !done) return failure(done.error());
  } else {
    leases_.attach(key, lease);
    const std::size_t bytes = key.size() + value.size();
    scratch_bytes_ += bytes - std::exchange(scratch_[key], bytes);
    store_.put(key, std::move(value), lease);
  }
  return PutResponse{.header = {}, .prev_kv = request.prev_kv ? std::move(before) : nullptr};
}

void EtcdDoor::remove_key(const std::string& key) {
  if (instances_.is_own(key)) return instances_.remove(key);
  if (const auto known = scratch_.find(key); known != scratch_.end()) {
    scratch_bytes_ -= known->second;
    scratch_.erase(known);
  }
  leases_.attach(key, 0);
  store_.remove(key);
}

DeleteRangeResponse EtcdDoor::do_delete(const DeleteRangeRequest& request) {
  DeleteRangeResponse response;
  std::set<std::string> keys;
  for (KeyValuePtr& kv : store_.in(range_of(request))) {
    keys.insert(kv->key);
    if (request.prev_kv) response.prev_kvs.push_back(std::move(kv));
  }
  // Those that are not shown at present are the client's, too.
  for (std::string& key : instances_.own_in(range_of(request)))
    keys.insert(std::move(key));
  {
    const Instances::Hold together(instances_);
    for (const std::string& key : keys)
      remove_key(key);
  }
  response.deleted = static_cast<std::int64_t>(keys.size());
  return response;
}

Result<ResponseOp, Error> EtcdDoor::do_op(const RequestOp& op) {
  if (const auto* range = std::get_if<RangeRequest>(&op)) return ResponseOp(do_range(*range));
  if (const auto* deletion = std::get_if<DeleteRangeRequest>(&op))
    return ResponseOp(do_delete(*deletion));
  auto done = do_put(std::get<PutRequest>(op));
  if (!done) return failure(std::move(done.error()));
  return ResponseOp(std::move(*done));
}

// --- calls -------------------------------------------------------------------------------------

void EtcdDoor::range(RangeRequest request, Reply<RangeResponse> reply) {
  const bool ready =
      is_settled() && (request.key.empty() || show(range_of(request), Instances::Asked::once));
  if (!ready && can_hold())
    return hold([this, request = std::move(request), reply = std::move(reply)]() mutable {
      range(std::move(request), std::move(reply));
    });
  if (auto wrong = judge(request)) return reply(failure(std::move(*wrong)));
  answer(std::move(reply), do_range(request), Effect::reads);
}

void EtcdDoor::put(PutRequest request, Reply<PutResponse> reply) {
  Room room;
  if (auto wrong = judge(request, room)) return reply(failure(std::move(*wrong)));
  if (auto wrong = judge_disk()) return reply(failure(std::move(*wrong)));
  auto done = do_put(request);
  commit();
  if (!done) return reply(failure(std::move(done.error())));
  done->header = header();
  answer(std::move(reply), std::move(*done), Effect::changes);
}

void EtcdDoor::delete_range(DeleteRangeRequest request, Reply<DeleteRangeResponse> reply) {
  if (auto wrong = judge(request)) return reply(failure(std::move(*wrong)));
  const Effect effect = would_change(request) ? Effect::changes : Effect::reads;
  if (effect == Effect::changes)
    if (auto wrong = judge_disk()) return reply(failure(std::move(*wrong)));
  DeleteRangeResponse response = do_delete(request);
  commit();
  response.header = header();
  answer(std::move(reply), std::move(response), effect);
}

void EtcdDoor::txn(TxnRequest request, Reply<TxnResponse> reply) {
  if (auto wrong = judge(request)) return reply(failure(std::move(*wrong)));
  if (!show(request) && can_hold())
    return hold([this, request = std::move(request), reply = std::move(reply)]() mutable {
      txn(std::move(request), std::move(reply));
    });
  if (auto wrong = judge_size(request)) return reply(failure(std::move(*wrong)));
  TxnResponse response;
  response.succeeded = std::ranges::all_of(
      request.compare, [this](const Compare& compare) { return holds(compare); });
  const std::vector<RequestOp>& ops = response.succeeded ? request.success : request.failure;
  if (auto wrong = judge_branch(ops)) return reply(failure(std::move(*wrong)));
  const Effect effect = would_change(ops) ? Effect::changes : Effect::reads;
  if (effect == Effect::changes)
    if (auto wrong = judge_disk()) return reply(failure(std::move(*wrong)));
  std::optional<Error> wrong;
  std::optional<Instances::Hold> puts;  // no key is put twice, so only other operations look
  for (const RequestOp& op : ops) {
    if (!std::holds_alternative<PutRequest>(op))
      puts.reset();
    else if (!puts)
      puts.emplace(instances_);
    auto done = do_op(op);
    if (!done) {
      wrong = std::move(done.error());
      break;
    }
    response.responses.push_back(std::move(*done));
  }
  puts.reset();
  commit();
  if (wrong) return reply(failure(std::move(*wrong)));
  response.header = header();
  for (ResponseOp& op : response.responses)
    std::visit([&](auto& each) { each.header = Header{.revision = store_.revision()}; }, op);
  answer(std::move(reply), std::move(response), effect);
}

}  // namespace outrider::doors::etcd
