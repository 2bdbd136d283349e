// SPDX-License-Identifier: Apache-2.0
// What an EtcdDoor does besides keys (etcd_kv.cc): its life, leases, and what is asked about
// itself.
#include "agent/doors/etcd/etcd_door.h"

#include <algorithm>
#include <utility>

namespace outrider::doors::etcd {
namespace {

/// All keys.
KeyRange everything() {
  return {std::string(1, '\0'), std::string(1, '\0')};
}

Error no_lease() {
  return {Code::not_found, "etcdserver: requested lease not found"};
}

/// For a change that has not happened.
Error refuse_change(std::string_view why) {
  return {Code::resource_exhausted,
          "etcdserver: mvcc: database space exceeded: nothing was changed, since the agent cannot "
          "write its state (" +
              std::string(why) + "); leases can be kept alive and revoked"};
}

/// For a change that has happened.
Error not_kept(std::string_view why) {
  return {Code::unknown,
          "etcdserver: the change was made, but the agent could not write its state (" +
              std::string(why) + "): it is lost if the agent ends before a later write succeeds"};
}

}  // namespace

EtcdDoor::EtcdDoor(Env& env, Control& control, std::unique_ptr<StateFile> file, DoorOptions options)
    : env_(env),
      control_(control),
      options_(std::move(options)),
      store_(static_cast<std::int64_t>(registry::first_revision(env.clock.wall()))),
      instances_(env, control, store_, leases_, pending_.own,
                 {options_.layouts, options_.writer, options_.tcp_checked}),
      watches_(env, store_,
               {[this](std::int64_t revision) { return header_of(revision); },
                [this](const KeyRange& range) { return prepare_watch(range); }}),
      journal_(env, std::move(file),
               {[this](std::string_view line) { return read_record(line); },
                [this] { return whole(); }}),
      settle_until_(env.now() + kSettleMax) {}

EtcdDoor::~EtcdDoor() = default;

Header EtcdDoor::header_of(std::int64_t revision) const {
  return {.cluster_id = options_.cluster_id,
          .member_id = options_.member_id,
          .revision = revision,
          .raft_term = 1};
}

// --- life --------------------------------------------------------------------------------------

void EtcdDoor::start() {
  const auto now = static_cast<std::int64_t>(registry::first_revision(env_.clock.wall()));
  journal_.start();
  store_.skip_to(now);
  leases_.renew_all(env_.now());
  for (const KeyValuePtr& kv : store_.in(everything())) {
    leases_.attach(kv->key, kv->lease);
    if (instances_.is_instance(kv->key)) continue;
    if (kv->lease != 0 && leases_.find(kv->lease) == nullptr) {  // of a damaged file
      store_.remove(kv->key);
      continue;
    }
    scratch_bytes_ += scratch_[kv->key] = kv->key.size() + kv->value.size();
  }
  instances_.restore(std::exchange(kept_own_, {}));
  if (instances_.awaits_return())
    return_timer_ = env_.after(kReturnGrace, [this] {
      instances_.end_return();
      commit();
    });
  commit();
  watches_.show(store_.revision());
  arm_leases();
}

/// A line of the journal; false: it cannot be.
bool EtcdDoor::read_record(std::string_view line) {
  auto record = etcd::read_record(line);
  if (!record) return false;
  if (std::exchange(first_record_, false))
    store_ = Store(record->begin.value_or(std::max<std::int64_t>(record->revision - 1, 1)));
  if (record->base) {
    if (record->base->mod_revision > store_.revision()) return false;
    store_.restore(std::move(record->base));
  }
  if (!record->events.empty()) {
    if (record->revision <= store_.revision()) return false;
    store_.replay({record->revision, std::move(record->events)});
  }
  for (const LeaseChange& lease : record->leases) {
    leases_.end(lease.id);
    if (!lease.gone && lease.ttl <= kTtlMax && leases_.all().size() < kLeasesMax)
      leases_.grant(lease.id, lease.ttl, env_.now());
  }
  for (OwnChange& own : record->own)
    if (own.gone)
      kept_own_.erase(own.key);
    else
      kept_own_.insert_or_assign(own.key, std::move(own));
  return true;
}

/// All that is to outlive the agent, as lines.
std::string EtcdDoor::whole() const {
  std::string text;
  const auto add = [&](const Record& record) { text += write_record(record) + '\n'; };
  add({.begin = store_.base(), .base = {}, .events = {}, .own = {}, .leases = {}});
  for (KeyValuePtr& kv : store_.at(everything(), store_.base()))
    add({.begin = {}, .base = std::move(kv), .events = {}, .own = {}, .leases = {}});
  for (const Store::Revision& revision : store_.history())
    add({.begin = {},
         .base = {},
         .revision = revision.number,
         .events = revision.events,
         .own = {},
         .leases = {}});
  Record now;
  for (const auto& [id, lease] : leases_.all())
    now.leases.push_back({.id = id, .ttl = lease.ttl, .gone = false});
  for (const std::string& key : instances_.own_in(everything()))
    now.own.push_back({key, *instances_.value_of(key), leases_.lease_of(key), false});
  if (!now.empty()) add(now);
  return text;
}

void EtcdDoor::commit() {
  if (const Store::Revision* const revision = store_.commit()) {
    pending_.revision = revision->number;
    pending_.events = revision->events;
  }
  if (pending_.empty()) return;
  journal_.append(write_record(pending_));
  pending_.events.clear();
  pending_.own.clear();
  pending_.leases.clear();
  journal_.when_kept(
      [this, revision = store_.revision()](const std::string&) { watches_.show(revision); });
}

/// While this is an error, changes are refused, as etcd does while it has no space. The journal
/// tries again by itself.
EtcdDoor::Judged EtcdDoor::judge_disk() const {
  if (const std::string_view why = journal_.write_failure(); !why.empty())
    return refuse_change(why);
  return std::nullopt;
}

/// Nothing is answered that a crash could undo.
template <class T>
void EtcdDoor::answer(Reply<T> reply, T response, Effect effect) {
  if (effect == Effect::reads && journal_.is_kept()) return reply(std::move(response));
  journal_.when_kept([reply = std::move(reply), response = std::move(response),
                      effect](const std::string& why) mutable {
    if (!why.empty() && effect == Effect::changes) return reply(failure(not_kept(why)));
    reply(std::move(response));
  });
}
// For etcd_kv.cc.
template void EtcdDoor::answer(Reply<RangeResponse>, RangeResponse, Effect);
template void EtcdDoor::answer(Reply<PutResponse>, PutResponse, Effect);
template void EtcdDoor::answer(Reply<DeleteRangeResponse>, DeleteRangeResponse, Effect);
template void EtcdDoor::answer(Reply<TxnResponse>, TxnResponse, Effect);

void EtcdDoor::on_changes(const registry::Changes& changes) {
  instances_.on_changes(changes);
  if (!instances_.is_busy()) commit();
}

/// False: not all of it is shown yet; show_more() goes on.
bool EtcdDoor::show(const KeyRange& range, Instances::Asked asked) {
  instances_.show(range, asked);
  if (!can_hold())
    while (instances_.is_showing())
      instances_.show_more(kShownPerTurn);
  commit();
  if (instances_.is_showing() && !show_timer_.pending())
    show_timer_ = env_.after(Duration::zero(), [this] { show_more(); });
  return !instances_.is_showing(range);
}

void EtcdDoor::show_more() {
  instances_.show_more(kShownPerTurn);
  commit();
  if (instances_.is_showing()) {
    show_timer_ = env_.after(Duration::zero(), [this] { show_more(); });
    return;
  }
  release_held();
  journal_.when_kept([this](const std::string&) { watches_.create_awaiting(); });
}

/// A watch begins when what is shown for it can be read: it is not news to it.
bool EtcdDoor::prepare_watch(const KeyRange& range) {
  const std::int64_t before = store_.revision();
  if (!show(range, Instances::Asked::to_watch)) return false;
  if (store_.revision() == before || watches_.shown() == store_.revision()) return true;
  journal_.when_kept([this](const std::string&) { watches_.create_awaiting(); });
  return false;
}

void EtcdDoor::hold(Callback<void()> call) {
  held_.push_back(std::move(call));
  if (!is_settled() && !held_timer_.pending())
    held_timer_ = env_.after(kSettleInterval, [this] { release_held(); });
}

EtcdDoor::Counts EtcdDoor::counts() const {
  return {.own_keys = instances_.own_count(),
          .shown_keys = instances_.shown_count(),
          .scratch_keys = scratch_.size(),
          .leases = leases_.all().size(),
          .watches = watches_.watches()};
}

/// As DNS and the other lists of instances: a client that connects right after the start would take
/// a list that is not complete yet for the departure of what is missing.
bool EtcdDoor::is_settled() const {
  return instances_.awaits_return() || env_.now() >= settle_until_ || control_.is_settled();
}

void EtcdDoor::release_held() {
  if (!is_settled()) {
    held_timer_ = env_.after(kSettleInterval, [this] { release_held(); });
    return;
  }
  for (Callback<void()>& call : std::exchange(held_, {}))
    call();
}

std::unique_ptr<WatchStream> EtcdDoor::open_watch(WatchSink& sink) {
  return watches_.open(sink);
}

// --- leases ------------------------------------------------------------------------------------

void EtcdDoor::lease_grant(LeaseGrantRequest request, Reply<LeaseGrantResponse> reply) {
  if (request.ttl > kTtlMax)
    return reply(failure(Error{Code::out_of_range, "etcdserver: too large lease TTL"}));
  if (leases_.find(request.id) != nullptr)
    return reply(failure(Error{Code::failed_precondition, "etcdserver: lease already exists"}));
  if (leases_.all().size() >= kLeasesMax)
    return reply(failure(Error{Code::resource_exhausted, "etcdserver: too many requests"}));
  if (auto wrong = judge_disk()) return reply(failure(std::move(*wrong)));
  const std::int64_t id = request.id != 0 ? request.id : leases_.pick_id(env_.random);
  const Lease& lease = leases_.grant(id, request.ttl, env_.now());
  pending_.leases.push_back({.id = id, .ttl = lease.ttl, .gone = false});
  commit();
  if (!lease_timer_.pending() || lease.ends < lease_timer_.due()) arm_leases();
  LeaseGrantResponse response{.header = header(), .id = id, .ttl = lease.ttl, .error = {}};
  journal_.when_kept([this, reply = std::move(reply),
                      response = std::move(response)](const std::string& why) mutable {
    if (why.empty()) return reply(std::move(response));
    // The client does not learn the number, so it could not revoke the lease.
    const Lease* const granted = leases_.find(response.id);
    if (granted != nullptr && !granted->keys.empty()) return reply(failure(not_kept(why)));
    if (granted != nullptr) {
      end_lease(response.id);
      commit();
    }
    reply(failure(refuse_change(why)));
  });
}

/// All keys that it has leave together.
void EtcdDoor::end_lease(std::int64_t id) {
  const Instances::Hold together(instances_);
  const Lease* const lease = leases_.find(id);
  const std::vector<std::string> keys(lease->keys.begin(), lease->keys.end());
  for (const std::string& key : keys)
    remove_key(key);
  leases_.end(id);
  pending_.leases.push_back({.id = id, .ttl = 0, .gone = true});
}

/// One timer for all of them. Renewals only move an end back, so it may find nothing to do.
void EtcdDoor::arm_leases() {
  const auto next = leases_.next_end();
  if (!next) return lease_timer_.reset();
  lease_timer_ = env_.timers.at(*next, [this] {
    for (const std::int64_t id : leases_.ended(env_.now()))
      end_lease(id);
    commit();
    arm_leases();
  });
}

void EtcdDoor::lease_revoke(LeaseRevokeRequest request, Reply<LeaseRevokeResponse> reply) {
  if (leases_.find(request.id) == nullptr) return reply(failure(no_lease()));
  end_lease(request.id);
  commit();
  answer<LeaseRevokeResponse>(std::move(reply), {header()}, Effect::leaves);
}

void EtcdDoor::lease_keep_alive(LeaseKeepAliveRequest request,
                                Reply<LeaseKeepAliveResponse> reply) {
  LeaseKeepAliveResponse response{.header = header(), .id = request.id, .ttl = 0};
  if (leases_.renew(request.id, env_.now())) {
    const Lease& lease = *leases_.find(request.id);
    response.ttl = lease.ttl;
    const std::vector<std::string> keys(lease.keys.begin(), lease.keys.end());
    for (const std::string& key : keys)
      instances_.renew(key);
    commit();
  }
  reply(response);
}

void EtcdDoor::lease_time_to_live(LeaseTimeToLiveRequest request,
                                  Reply<LeaseTimeToLiveResponse> reply) {
  LeaseTimeToLiveResponse response{.header = header(), .id = request.id, .ttl = -1, .keys = {}};
  if (const Lease* const lease = leases_.find(request.id)) {
    response.granted_ttl = lease->ttl;
    response.ttl = lease->ends == TimePoint::max()
                       ? lease->ttl
                       : std::chrono::floor<std::chrono::seconds>(lease->ends - env_.now()).count();
    if (request.keys) response.keys.assign(lease->keys.begin(), lease->keys.end());
  }
  answer(std::move(reply), std::move(response), Effect::reads);
}

void EtcdDoor::lease_leases(LeaseLeasesRequest, Reply<LeaseLeasesResponse> reply) {
  LeaseLeasesResponse response{.header = header(), .leases = {}};
  for (const auto& [id, lease] : leases_.all())
    response.leases.push_back(id);
  answer(std::move(reply), std::move(response), Effect::reads);
}

// --- about itself ------------------------------------------------------------------------------

/// Clients go on with the addresses of this answer: the one that they used works for them.
void EtcdDoor::member_list(MemberListRequest, const Client& client,
                           Reply<MemberListResponse> reply) {
  MemberListResponse response{.header = header(), .members = {}};
  response.members.push_back(
      {.id = options_.member_id, .name = "outrider", .peer_urls = {}, .client_urls = {client.url}});
  reply(std::move(response));
}

void EtcdDoor::status(StatusRequest, Reply<StatusResponse> reply) {
  StatusResponse response{.header = header(), .version = std::string(kEtcdVersion), .errors = {}};
  response.leader = options_.member_id;
  response.raft_term = response.header.raft_term;
  response.raft_index = response.raft_applied_index = static_cast<std::uint64_t>(store_.revision());
  for (const auto& [key, kv] : store_.keys())
    response.db_size += static_cast<std::int64_t>(key.size() + kv->value.size());
  response.db_size_in_use = response.db_size;
  reply(std::move(response));
}

void EtcdDoor::authenticate(AuthenticateRequest, Reply<AuthenticateResponse> reply) {
  reply(failure(Error{Code::failed_precondition, "etcdserver: authentication is not enabled"}));
}

Error refuse_method(std::string_view path) {
  const std::string name(path.substr(path.rfind('/') + 1));
  if (path.find("Lock/") != path.npos || path.find("Election/") != path.npos)
    return {Code::unimplemented, name +
                                     ": locks and elections are made of keys and leases here, as "
                                     "the concurrency package of etcd's client does it"};
  if (path.find("Auth/") != path.npos)
    return {Code::unimplemented,
            name + ": there are no users and roles here; the port is open to this host alone"};
  if (path.find("Cluster/") != path.npos)
    return {Code::unimplemented, name + ": this is no cluster, but the agent of one host"};
  if (path.find("KV/") != path.npos || path.find("Maintenance/") != path.npos)
    return {Code::unimplemented, name + ": this is no database; its history is bounded by itself"};
  return {Code::unimplemented, name + ": etcd has no such method that a registry needs"};
}

}  // namespace outrider::doors::etcd
