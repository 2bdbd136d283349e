// SPDX-License-Identifier: Apache-2.0
// Keys that are instances, in both directions:
//
//   a client's Put ▸ Layout::read ▸ ServiceSpec ▸ Control::put      (an *own* key)
//   Registry ▸ Changes ▸ Layout::write ▸ Store::put                  (a *shown* key)
//
// An own key is a registration of this agent. It is in the store while its instance is served, so
// that one that drains is gone for clients, and there again afterwards. A shown key is any other
// served instance, as the framework asked for writes it; which roots are shown is decided by what
// clients have asked for.
//
// After a restart, shown keys of the life before stay until their instances are known again, or
// until kReturnGrace has passed: a client that goes on watching hears of what really left.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/control.h"
#include "agent/doors/etcd/key_space.h"
#include "agent/doors/etcd/leases.h"
#include "agent/doors/etcd/record.h"
#include "agent/doors/etcd/store.h"
#include "base/env.h"

namespace outrider::doors::etcd {

/// The check that stands for the lease of a registration.
inline constexpr std::string_view kLeaseCheck = "etcd-lease";
/// The lease decides, which the door knows to the second; the check is for people.
inline constexpr Duration kLeaseCheckSlack = std::chrono::seconds(5);
inline constexpr Duration kReturnGrace = std::chrono::seconds(15);
/// Octets of own keys and their values: what is kept of them has to fit into a state file.
inline constexpr std::size_t kOwnBytesMax = 8U << 20;
/// Keys that are written in one turn of the loop when a client asks for a root for the first time.
inline constexpr std::size_t kShownPerTurn = 256;

class Instances {
 public:
  struct Options {
    registries::etcd::Layouts layouts;
    /// This agent, in keys of its own registrations.
    std::string writer;
    /// Registrations with keys that begin with one of these get a TCP check besides.
    std::vector<std::string> tcp_checked;
  };
  /// All outlive it. What it changes is committed by the owner; changes of own keys are added to
  /// `changed`.
  Instances(Env& env, Control& control, Store& store, Leases& leases,
            std::vector<OwnChange>& changed, Options options);

  // --- own keys ---------------------------------------------------------------------------------
  bool is_instance(std::string_view key) const { return space_.root_of(key).has_value(); }
  bool is_own(std::string_view key) const { return own_.contains(key); }
  /// Whether it is shown, and not a client's to change.
  bool is_shown(std::string_view key) const;
  /// Why put() would not take it; nothing: it would.
  std::optional<Error> judge(const std::string& key, const std::string& value, std::int64_t lease);
  /// The key has been judged, and belongs to a lease or none. Registers it.
  Result<void, Error> put(const std::string& key, const std::string& value, std::int64_t lease);
  /// Own keys of a range, in the store or not.
  std::vector<std::string> own_in(const KeyRange& range) const;
  void remove(const std::string& key);
  /// Many keys are changed: what is shown follows at the end.
  class Hold {
   public:
    explicit Hold(Instances& instances) : instances_(instances) { ++instances_.busy_; }
    ~Hold() {
      --instances_.busy_;
      instances_.sync_dirty();
    }
    Hold(const Hold&) = delete;

   private:
    Instances& instances_;
  };
  /// The client is alive.
  void renew(const std::string& key);
  /// What the own key holds; null if it is none.
  const std::string* value_of(std::string_view key) const;
  std::size_t own_count() const { return own_.size(); }

  // --- shown keys -------------------------------------------------------------------------------
  enum class Asked : std::uint8_t { once, to_watch };
  /// From now on the roots that this range has keys of are shown: at once, or as show_more() is
  /// called. A go-zero name that is no service yet is not, unless it is watched.
  void show(const KeyRange& range, Asked asked);
  /// False: it asks for a go-zero name that show() has no room for.
  bool has_room_for(const KeyRange& range) const;
  /// Goes on with roots that are not shown completely, until about as many instances are.
  void show_more(std::size_t instances);
  /// Whether there are such, or the range has keys of one.
  bool is_showing() const { return !backlog_.empty(); }
  bool is_showing(const KeyRange& range) const;
  std::size_t shown_count() const;
  void on_changes(const registry::Changes& changes);
  /// Own keys stay as they are, whatever becomes of their instances: the agent stops.
  void freeze() { frozen_ = true; }
  std::string describe() const { return space_.describe(); }

  // --- after a restart --------------------------------------------------------------------------
  /// The store, the leases and the own keys are as they were kept.
  void restore(const std::map<std::string, OwnChange>& own);
  /// Registrations are being changed from here: the changes that reach on_changes() are committed
  /// later.
  bool is_busy() const { return busy_ > 0; }
  bool awaits_return() const { return !returning_.empty(); }
  /// kReturnGrace has passed.
  void end_return();

 private:
  struct Own {
    std::string root, value;
    std::vector<std::string> ids;
    std::set<std::string> labels;  // of its services
    CheckHealth health = CheckHealth::passing;
  };
  struct Wanted {
    std::vector<registry::ServiceSpec> specs;
    CheckHealth health = CheckHealth::passing;
  };

  Result<Wanted, Error> read(const std::string& key, const std::string& value, std::int64_t lease);
  Result<registry::ServiceSpec, Error> spec_of(const registries::Entry& entry,
                                               const std::string& key, std::int64_t lease);
  registry::InstanceId id_for(const registry::ServiceSpec& spec, const registry::InstanceId& id,
                              const std::string& key) const;
  void add_checks(registry::ServiceSpec& spec, const std::string& key, std::int64_t lease,
                  CheckHealth health) const;
  Result<void, Error> enroll(const std::string& key, const std::string& value, std::int64_t lease);
  void leave(const std::string& id);
  void forget(const std::string& key);
  void forget_bytes(const std::string& key);
  std::optional<registry::ServiceName> service_of(const std::string& root) const;
  bool is_needed(const std::string& root) const;
  std::string idle_root() const;
  bool take_root(const std::string& root);
  void sync_dirty();
  void sync(const std::string& label);
  void sync_own(const std::string& label);
  std::map<std::string, std::string> wanted_of(const std::string& label);
  std::optional<registries::etcd::KeyValue> write(const std::string& root,
                                                  const registry::Instance& instance);

  Env& env_;
  Control& control_;
  Store& store_;
  Leases& leases_;
  std::vector<OwnChange>& changed_;
  Options options_;
  KeySpace space_;
  std::map<std::string, Own, std::less<>> own_;  // by key
  std::size_t own_bytes_ = 0;
  std::map<std::string, std::string, std::less<>> of_id_;      // the own key of a registration
  std::set<std::string> roots_;                                // that are shown
  std::set<std::string> watched_;                              // of these, or were: of go-zero
  std::map<std::string, std::set<std::string>> shown_;         // keys by label of the service
  std::map<std::string, std::set<std::string>> own_of_label_;  // the same
  std::set<std::string, std::less<>> returning_;
  std::set<std::string> dirty_;       // labels
  std::vector<std::string> backlog_;  // labels of services that new roots do not show yet
  std::set<std::string> arriving_;    // these roots
  std::set<std::string> fresh_;       // own keys that are just being put
  unsigned busy_ = 0;                 // registrations are being changed from here
  bool frozen_ = false;
};

}  // namespace outrider::doors::etcd
