// SPDX-License-Identifier: Apache-2.0
// A door for programs that only know etcd. It speaks etcd's v3 API for what registries of services
// do with it, and is no database: what clients put as instances of Kratos, GoFrame, go-zero and
// Forge become registrations of this agent, kept by their leases, and what they read and watch are
// all served instances, written as the framework expects it.
//
// clang-format off
//   rpc.h            etcd's messages, and the interface that faces call
//   json.h           these messages as etcd's JSON gateway has them
//   gateway.h        the face over HTTP/1.1
//   etcd_door.h      calls: what may be asked, in which order it happens, when it is answered
//   store.h          keys, revisions, history
//   leases.h         leases
//   watches.h        watches
//   key_space.h      which keys are instances, of which framework
//   instances.h      keys ⇄ registrations and other instances
//   record.h, journal.h   what outlives the agent
// clang-format on
//
//   face ▸ call ▸ judge ▸ Store, Leases, Instances ▸ commit ▸ Journal ▸ (on disk) ▸ reply, watches
//
// Other keys than instances are a scratch space for pings, locks and elections: kScratchKeysMax
// keys, kScratchBytesMax octets, or a refusal that says what is possible.
//
// Revisions count from the microseconds since 1970, and from what was kept: they never go back, so
// a client that resumes a watch finds what it has missed. Nothing is shown to any client before it
// is on disk.
//
// While the file cannot be written (a full disk), changes are refused before they are applied;
// clients can still read, keep leases alive and revoke them. The changes that were under way when
// the first write failed stay in effect, and their answers say that they are not on disk; of a
// lease that has no keys, the grant is undone and refused.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/doors/etcd/instances.h"
#include "agent/doors/etcd/journal.h"
#include "agent/doors/etcd/rpc.h"
#include "agent/doors/etcd/watches.h"

namespace outrider::doors::etcd {

inline constexpr std::size_t kScratchKeysMax = 64;
inline constexpr std::size_t kScratchBytesMax = 64U << 10;  // keys and values
/// Of one transaction: comparisons, and operations of each branch. As etcd has it.
inline constexpr std::size_t kTxnOpsMax = 128;
/// Keys of all ranges of one transaction, which is one turn of the loop.
inline constexpr std::size_t kTxnKeysMax = 1'024;
/// Calls that wait until the agent knows the network, for at most kSettleMax after the start, or
/// until what they ask for is shown.
inline constexpr std::size_t kHeldMax = 1'024;
inline constexpr Duration kSettleMax = std::chrono::seconds(1);
inline constexpr Duration kSettleInterval = std::chrono::milliseconds(10);
/// go-zero's clients refuse versions before 3.5.
inline constexpr std::string_view kEtcdVersion = "3.5.21";

struct DoorOptions {
  registries::etcd::Layouts layouts;
  std::string writer;
  std::vector<std::string> tcp_checked;
  std::uint64_t cluster_id = 1, member_id = 1;
};

class EtcdDoor final : public Door {
 public:
  /// `control` outlives it. `file` may be null: nothing outlives the agent.
  EtcdDoor(Env& env, Control& control, std::unique_ptr<StateFile> file, DoorOptions options);
  ~EtcdDoor();
  EtcdDoor(const EtcdDoor&) = delete;

  /// Registers again what was kept.
  void start();
  /// At the end of Agent::apply.
  void on_changes(const registry::Changes& changes);
  /// The agent stops: what clients have put stays, for its next life.
  void freeze() { instances_.freeze(); }

  // Door
  void range(RangeRequest request, Reply<RangeResponse> reply) override;
  void put(PutRequest request, Reply<PutResponse> reply) override;
  void delete_range(DeleteRangeRequest request, Reply<DeleteRangeResponse> reply) override;
  void txn(TxnRequest request, Reply<TxnResponse> reply) override;
  std::unique_ptr<WatchStream> open_watch(WatchSink& sink) override;
  void lease_grant(LeaseGrantRequest request, Reply<LeaseGrantResponse> reply) override;
  void lease_revoke(LeaseRevokeRequest request, Reply<LeaseRevokeResponse> reply) override;
  void lease_keep_alive(LeaseKeepAliveRequest request,
                        Reply<LeaseKeepAliveResponse> reply) override;
  void lease_time_to_live(LeaseTimeToLiveRequest request,
                          Reply<LeaseTimeToLiveResponse> reply) override;
  void lease_leases(LeaseLeasesRequest request, Reply<LeaseLeasesResponse> reply) override;
  void member_list(MemberListRequest request, const Client& client,
                   Reply<MemberListResponse> reply) override;
  void status(StatusRequest request, Reply<StatusResponse> reply) override;
  void authenticate(AuthenticateRequest request, Reply<AuthenticateResponse> reply) override;

  /// For status and metrics.
  struct Counts {
    std::size_t own_keys = 0, shown_keys = 0, scratch_keys = 0, leases = 0, watches = 0;
  };
  Counts counts() const;

  // For tests and people.
  /// Members of an open object: whether what it has outlives the agent.
  void write_persistence(json::Writer& out) const { journal_.write_status(out); }
  const Store& store() const { return store_; }
  const Leases& leases() const { return leases_; }
  const Watches& watches() const { return watches_; }

 private:
  using Judged = std::optional<Error>;
  /// Room that operations of one transaction take in the scratch space before they are done.
  struct Room {
    std::map<std::string, std::size_t> taken;  // octets by key
  };
  class Showing;

  Header header() const { return header_of(store_.revision()); }
  Header header_of(std::int64_t revision) const;
  bool show(const KeyRange& range, Instances::Asked asked);
  bool show(const TxnRequest& request);
  void show_more();
  bool prepare_watch(const KeyRange& range);
  bool can_hold() const { return held_.size() < kHeldMax; }
  void hold(Callback<void()> call);

  bool would_change(const DeleteRangeRequest& request) const;
  bool would_change(const std::vector<RequestOp>& ops) const;
  Judged judge_disk() const;
  Judged judge(const RangeRequest& request) const;
  Judged judge(const PutRequest& request, Room& room);
  Judged judge(const DeleteRangeRequest& request) const;
  Judged judge_room(const PutRequest& request, std::size_t bytes, Room& room) const;
  Judged judge(const TxnRequest& request) const;
  Judged judge_branch(const std::vector<RequestOp>& ops);
  Judged judge_size(const TxnRequest& request) const;
  bool holds(const Compare& compare) const;

  RangeResponse do_range(const RangeRequest& request) const;
  Result<PutResponse, Error> do_put(const PutRequest& request);
  DeleteRangeResponse do_delete(const DeleteRangeRequest& request);
  Result<ResponseOp, Error> do_op(const RequestOp& op);

  void remove_key(const std::string& key);
  void end_lease(std::int64_t id);
  void arm_leases();
  void commit();
  bool read_record(std::string_view line);
  std::string whole() const;
  bool is_settled() const;
  void release_held();

  enum class Effect : std::uint8_t {
    reads,
    changes,  // an error if it is done, but not on disk
    leaves,   // a lease that a crash brings back ends by itself
  };
  template <class T>
  void answer(Reply<T> reply, T response, Effect effect);

  Env& env_;
  Control& control_;
  DoorOptions options_;
  Store store_;
  Leases leases_;
  Record pending_;  // what has changed since the last commit, but for the store's events
  Instances instances_;
  std::map<std::string, std::size_t, std::less<>> scratch_;  // octets by key
  std::size_t scratch_bytes_ = 0;
  std::map<std::string, OwnChange> kept_own_;  // while it is read
  bool first_record_ = true;
  Watches watches_;
  Journal journal_;
  TimePoint settle_until_;
  std::list<Callback<void()>> held_;
  Timer lease_timer_, return_timer_, held_timer_, show_timer_;
};

}  // namespace outrider::doors::etcd
