// SPDX-License-Identifier: Apache-2.0
// Writes the registrations of this agent, in every layout, and its claims, under one lease.
//
//   no lease ▸ granting ▸ lease: keepalives, puts, removals ─ lost ▸ no lease, for ever
//
// Keys are written and removed many in a transaction, which does all or nothing: if it does
// nothing, its answer says which keys are not as expected, and the others go into the next one. If
// the cluster refuses it, each of its keys is written alone.
//
// A key that another program holds is never overwritten: the conflict is reported, and the key
// taken once it is free. Its own keys are those under its lease, and those that carry its mark from
// an earlier life, or an earlier lease. A claim is a key outside all layouts, whose value is the
// agent that holds it.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "registries/etcd/client.h"

namespace outrider::registries::etcd {

/// A key that others delete again and again is put no more often.
inline constexpr Duration kPutAgain = std::chrono::seconds(1);
/// Tries of one key before it waits for kWriteRetry.
inline constexpr unsigned kTriesMax = 4;
/// Keys, and bytes of keys and values, of one transaction: each costs the cluster one write to
/// disk. etcd takes 128 operations and 1.5 MiB, if it is not told otherwise.
inline constexpr std::size_t kBatchKeysMax = 64;
inline constexpr std::size_t kBatchBytesMax = 512U << 10;
/// The answer that says what is there: as much, in base64, of our own earlier values.
inline constexpr std::size_t kBatchAnswerBytesMax = 2 * kBatchBytesMax;
/// So long before its end a lease without a keepalive counts as lost.
inline constexpr Duration kLeaseMargin = std::chrono::seconds(2);
/// All agents notice at once that a cluster has lost its leases.
inline constexpr Duration kGrantDelayMin = std::chrono::seconds(1);
inline constexpr Duration kGrantDelayMax = std::chrono::seconds(3);
/// A keepalive costs two wake-ups, so they are rare; but they prove to the reader that the server
/// has a leader, and have to leave time for two servers that hang before the lease ends.
inline constexpr Duration kKeepAliveMax = std::chrono::seconds(9);
constexpr Duration keepalive_interval(Duration ttl) {
  return std::min(
      {kKeepAliveMax, ttl / 2, std::max(ttl / 3, ttl - kLeaseMargin - 2 * kCallMax - kConnectMax)});
}
/// Every so many keepalives the keys of the lease are compared with what was written, if nothing
/// watches them.
inline constexpr unsigned kKeepAlivesPerCheck = 4;
/// A claim that another agent holds is tried again after a part of the lease's time, within these.
inline constexpr Duration kClaimRetryMin = std::chrono::seconds(1);
inline constexpr Duration kClaimRetryMax = std::chrono::seconds(5);
inline constexpr int kClaimRetriesPerLease = 5;
inline constexpr std::size_t kClaimsMax = 1'024;
inline constexpr std::size_t kHolderBytesMax = 128;  // shown of a claim's value
/// The key of a claim is this and its name.
inline constexpr std::string_view kClaimPrefix = "/outrider/";
/// Whose keys are taken for ours.
inline constexpr std::size_t kLostLeasesKept = 8;

class Publisher {
 public:
  class Sink {
   public:
    virtual void on_conflict(const std::string& id, const std::string& key,
                             const std::string& holder) = 0;
    virtual void on_claim(const std::string& name, bool held, const std::string& reason) = 0;
    /// For people. Empty: the cluster has taken a request, and refuses no key.
    virtual void on_publisher_error(const std::string& reason) = 0;
    /// Whether this server has just answered a keepalive, for which it needs a leader.
    virtual void on_keepalive(const std::string& endpoint, bool answered) = 0;
    /// Whether on_key is called when this key changes.
    virtual bool is_watched(const std::string& key) const = 0;

   protected:
    ~Sink() = default;
  };

  Publisher(Env& env, const Options& options, Endpoints& endpoints, NameLookup* names,
            std::size_t first, const std::vector<std::unique_ptr<Layout>>& layouts, Sink& sink);
  ~Publisher();

  void put(const Entry& registration);
  void remove(std::string_view key);
  /// False: beyond kClaimsMax.
  bool claim(const std::string& name);
  void unclaim(const std::string& name);
  /// Takes everything back.
  void stop(Callback<void()> done);

  /// Another reader has seen a key of the cluster change.
  void on_key(const KeyValue& kv, bool deleted);
  bool is_own(const KeyValue& kv) const;
  /// The reader is at this server: one keepalive is the proof for both.
  void follow(const std::string& endpoint);
  /// Compares the keys of the lease with what was written.
  void check_keys();

  std::int64_t lease() const { return lease_; }
  /// Since the last keepalive that was answered; nothing without a lease.
  std::optional<LeaseTime> lease_time() const;
  std::size_t written() const;
  /// Of a registration, in the order of the layouts.
  std::vector<WrittenKey> keys_of(std::string_view registration_key) const;
  const std::string& endpoint() const { return client_.endpoint(); }
  /// Keys that could not be written, and why.
  std::vector<std::string> refusals() const;

 private:
  enum class State : std::uint8_t { wanted, ours, conflict, refused };
  struct Key {
    std::string id;                  // the key of the registration
    const Layout* layout = nullptr;  // null: a claim
    KeyValue kv;
    State state = State::wanted;
    std::int64_t revision = 0;  // of our last put, or of what is there and ours; 0: none is there
    std::int64_t changed = 0;   // revision of the last change by another client
    unsigned tries = 0;
    std::string reason;  // of a refusal, or who holds it
    TimePoint not_before;
  };
  using Keys = std::map<std::string, Key>;
  /// A key as a transaction was asked to put it.
  struct Sent {
    std::string name, value;
    std::int64_t revision = 0;
  };
  using Batch = std::vector<Sent>;
  /// What the sink was told.
  struct Told {
    bool any = false, held = false;
    std::string reason;
    bool operator==(const Told&) const = default;
  };

  std::set<std::string> want_keys(const Entry& registration);
  void drop_keys(std::string_view id, const std::set<std::string>& keep, const Entry& before);
  void want_shared_keys(const std::string& service, std::uint16_t port);
  std::int64_t unix_seconds() const;
  void want(const std::string& id, const Layout& layout, KeyValue kv);
  void drop(Keys::iterator key);
  void work();
  void work_later(Duration delay);
  void grant();
  void on_granted(Result<Answer, Failure> result);
  Batch next_batch() const;
  void write(Batch batch);
  Duration write_deadline() const { return endpoints_.size() > 1 ? kWriteMax : kCallMax; }
  void on_written(const Batch& batch, std::int64_t lease, Result<Answer, Failure> result);
  void on_put(const Sent& sent, std::int64_t revision);
  void on_refused(const Sent& sent, const std::string& reason);
  void meet_all(const Batch& batch, const std::vector<KeyValue>& there);
  void meet(Key& key, const KeyValue* there);
  void take_back();
  void on_taken_back(std::vector<std::string> names, std::int64_t lease,
                     const Result<Answer, Failure>& result);
  void divide(const std::vector<std::string>& names, const std::string& reason);
  void give_up_lease();
  void revoke_next();
  void on_revoked(const Result<Answer, Failure>& result);
  void finish_stop();
  void keep_alive();
  void on_alive(Result<Answer, Failure> result);
  void on_keys(const Answer& answer);
  bool is_watched() const;
  void lose_lease(const std::string& reason);
  void on_failure(const Failure& failure);
  void report_success();
  static WrittenKey::State to_written(State state);
  bool is_marked(const Key& key, const KeyValue& kv) const;
  void set_conflict(Key& key, const std::string& holder);
  void report_claims();
  Duration claim_retry() const;

  Env& env_;
  const Options& options_;
  Endpoints& endpoints_;
  const std::vector<std::unique_ptr<Layout>>& layouts_;
  Sink& sink_;
  Client client_;
  BackOff back_off_;
  std::map<std::string, Entry, std::less<>> registrations_;  // by key
  Keys keys_;
  std::map<std::string, Told> claims_;      // by name
  std::set<std::string> removals_;          // keys of ours that are no longer wanted
  std::set<std::string> alone_;             // keys that are written or removed alone the next time
  std::size_t batch_keys_ = kBatchKeysMax;  // less if the cluster takes less
  std::int64_t lease_ = 0;
  std::deque<std::int64_t> lost_leases_;
  std::deque<std::int64_t> leaving_leases_;  // to be revoked before the end
  TimePoint not_before_;                     // of any next step
  Duration ttl_{};
  TimePoint alive_;
  std::string follow_;  // the endpoint of the next keepalive; empty: as before
  unsigned keepalives_ = 0;
  std::size_t failures_ = 0;  // of keepalives, one after another
  bool stopping_ = false;
  Callback<void()> stopped_;
  Timer work_timer_, alive_timer_, stop_timer_;
  std::unique_ptr<Pending> call_, alive_call_, check_call_;
};

}  // namespace outrider::registries::etcd
