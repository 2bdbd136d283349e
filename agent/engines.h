// SPDX-License-Identifier: Apache-2.0
// The sources of instances beyond the link: translates between the registry and the engines of
// registries/, which know neither it nor each other.
//
//   registries::Engine ▸ on_listed, on_sighting, on_lost, on_state ▸ EngineSlot ▸ SourceSink
//   Agent::apply ▸ apply ▸ put, remove of every engine that publishes
//
// When a place is behind, its entries become stale and the registry serves them for the time that
// its engine keeps them; those that were leaving are gone at once. A list in which suddenly
// everything is missing is not believed at once (list_trust.h). What comes by the thousand is
// passed on in portions (portions.h), so that DNS answers in between; a place is shown as current
// when all of it has been passed on, and as behind at once. Only registrations of this
// agent are written; what one engine reports reaches another one only where the configuration says
// so (exports.h).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "agent/config/config.h"
#include "agent/doors/control.h"
#include "agent/doors/metrics.h"
#include "agent/entry_translation.h"
#include "agent/list_trust.h"
#include "agent/portions.h"
#include "agent/registry/source_sink.h"
#include "base/env.h"
#include "registries/engine.h"

namespace outrider {

/// When the agent ends, engines have this long to withdraw what they wrote. What they do not get
/// done, its lease or TTL ends.
inline constexpr Duration kWithdrawMax = std::chrono::seconds(1);
/// Reports of one engine that reach the registry in one turn of the loop, and DNS, the history and
/// the watchers with it. Thousands come at once, in a list or when a lease ends.
inline constexpr std::size_t kReportsPerTurn = 32;
/// Reports that wait for their turn: two lists as long as engines make them.
inline constexpr std::size_t kReportsWaitingMax = 8'192;

/// Makes the engine of a configured registry; null: this build has none of that kind. `writer`
/// identifies this agent in what it writes, and stays the same over restarts.
using MakeEngine = std::function<std::unique_ptr<registries::Engine>(Env&, const RegistryConfig&,
                                                                     const std::string& writer)>;

/// Whether this agent holds a claim in the registry of this kind (registries::Engine::claim).
using ClaimCallback = std::function<void(registry::Source at, const std::string& name, bool held,
                                         const std::string& reason)>;

/// One engine, and what came from it.
class EngineSlot final : public registries::Engine::Sink {
 public:
  /// `engine` is null if this build has none of that kind.
  EngineSlot(Env& env, SourceSink& sink, EntryReader reader, RegistryConfig config,
             std::unique_ptr<registries::Engine> engine);

  /// Whether the engine of this configuration would be the same one.
  bool has_options_of(const RegistryConfig& config) const {
    return config_.options == config.options;
  }
  /// Counts from the next time that a place cannot be reached.
  void set_keep(Duration keep) { config_.keep = keep; }
  registry::Source source() const { return reader_.source; }
  registries::Engine* engine() { return engine_.get(); }
  bool publishes() const { return engine_ && config_.publishes(); }
  bool is_started() const { return started_; }
  /// Whether its engine has settled (registries::Engine::is_settled), and what it reported has been
  /// passed on.
  bool is_settled() const;
  bool has_place(const std::string& name) const { return places_.contains(name); }
  void start();
  void set_on_claim(ClaimCallback on_claim) { on_claim_ = std::move(on_claim); }
  void set_own_addresses(const std::set<IpAddress>& addresses) {
    reader_.own_addresses = addresses;
  }
  /// Ends what it reported. Returns the keys of entries that a successor may report again: they
  /// stay, stale.
  std::set<std::string> retire(bool has_successor);
  /// Entries of a predecessor, gone unless the first list has them.
  void inherit(std::set<std::string> keys) { inherited_ = std::move(keys); }
  std::unique_ptr<registries::Engine> take_engine() { return std::move(engine_); }
  /// Adds where the registration is written, or is to be.
  void add_written(const std::string& id, std::vector<doors::WrittenPlace>& places) const;
  /// Members of an open object.
  void write(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  /// An entry as its place was heard last.
  struct Known {
    std::string service;
    bool leaving = false;  // on its way out
  };
  struct Place {
    std::map<std::string, Known> keys;
    ListTrust trust;
    Timer ask;
  };

  /// The state of a place as people are shown it.
  struct ShownState {
    registries::PlaceState state = registries::PlaceState::connecting;
    std::string reason;
    TimePoint since;
    std::uint64_t newest = 0;  // number of the last state that its engine reported
    bool settling = false;     // that one is `current`, behind reports that wait for their turn
  };

  /// What is still to be done of a list, or of a place that is behind.
  struct Rest {
    std::string place;
    std::vector<std::string> stale, gone;  // keys
    registry::StaleFor how;
    std::vector<registries::Entry> seen;
    bool leaves = false;  // the place itself, at the end
    std::size_t next = 0;
    bool empty() const { return next >= stale.size() + gone.size() + seen.size(); }
  };

  void on_listed(const std::string& place, std::vector<registries::Entry> entries) override;
  void on_listed_in_part(const std::string& place, std::vector<registries::Entry> entries,
                         std::set<std::string> kept) override;
  void on_sighting(registries::Entry entry) override;
  void on_lost(const std::string& place, const std::string& key) override;
  void on_state(const std::string& place, registries::PlaceState state,
                const std::string& reason) override;
  registries::PlaceState shown_state(const std::string& place,
                                     registries::PlaceState state) const override;
  void on_restarted(const std::string& place, const std::string& reason) override;
  void on_conflict(const std::string& id, const std::string& key,
                   const std::string& holder) override;
  /// From now on, people are shown this state.
  void show_state(const std::string& place, registries::PlaceState state,
                  const std::string& reason);
  std::vector<registries::PlaceStatus> shown_places() const;
  void take_list(const std::string& place, std::vector<registries::Entry> entries,
                 std::set<std::string> kept);
  void report_missing(const std::string& place, const ListTrust::List& list, bool believed,
                      std::size_t kept);
  using Keys = std::unordered_set<std::string_view>;
  static bool is_emptied(const Place& place, const Keys& listed);
  void on_claim(const std::string& name, bool held, const std::string& reason) override;
  void ask_again(const std::string& name, Place& place);
  Rest compare(const std::string& name, std::vector<registries::Entry> entries,
               const std::set<std::string>& kept);
  Rest let_go(const std::string& name, registries::PlaceState state, const std::string& reason);
  /// One step of it; true: it was the last.
  bool report_next(Rest& rest);
  void see(registries::Entry entry);
  /// Of entries that are in doubt although the place answers: "keep" may be zero.
  Duration grace() const { return std::max(config_.keep, registry::kStaleGrace); }
  bool is_remote() const { return registry::is_remote(reader_.source); }

  Env& env_;
  SourceSink& sink_;
  EntryReader reader_;
  RegistryConfig config_;
  std::unique_ptr<registries::Engine> engine_;
  bool started_ = false;
  std::map<std::string, Place> places_;
  std::map<std::string, ShownState> shown_;  // by place
  std::uint64_t states_ = 0;                 // reported
  const TimePoint since_;
  std::set<std::string> inherited_;
  bool retired_ = false;
  Portions reports_;
  ClaimCallback on_claim_;
  struct Conflict {
    std::string id, holder;
  };
  std::map<std::string, Conflict> conflicts_;  // by key
  std::uint64_t unusable_ = 0;                 // entries that are no instance here
};

class Engines final {
 public:
  /// `registry` and `sink` outlive it.
  Engines(Env& env, const registry::Registry& registry, SourceSink& sink)
      : env_(env), registry_(registry), sink_(sink) {}

  /// Before start(). Agents of this host, which are no configured registry.
  void add(std::unique_ptr<registries::Engine> engine);
  void set_maker(MakeEngine make, std::string writer);
  void start(const std::vector<RegistryConfig>& registries);
  /// Engines whose configuration is the same go on; the others are replaced.
  void reload(const std::vector<RegistryConfig>& registries);
  /// Follows a change of a registration.
  void apply(const registry::Change& change);
  /// The addresses under which this host's registrations are reached, and all that it has.
  void set_host(const registry::HostView& host, const std::vector<Interface>& interfaces);
  /// For exports.h: claims, and copies of foreign instances, in the one registry of a kind. An
  /// engine that is made later gets them, too.
  void on_claim(ClaimCallback callback) { on_claim_ = std::move(callback); }
  /// Whether each of them has settled.
  bool are_settled() const;
  void claim(registry::Source at, const std::string& name);
  void unclaim(registry::Source at, const std::string& name);
  void put_copy(registry::Source to, const registries::Entry& copy);
  void remove_copy(registry::Source to, const std::string& key);
  /// Withdraws what was written, then closes all; `done` comes once, not before this returns. What
  /// they reported stays in the registry.
  void stop(Callback<void()> done);

  /// Members of an open object: agents of this host.
  void write_status(json::Writer& out) const;
  /// {"registries": [...]}, each with its places. A member of an open object.
  void write_registries(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;
  /// As doors::Control::written_places.
  std::vector<doors::WrittenPlace> written_places(const registry::Instance& instance) const;
  /// As doors::Control::look_up_leases.
  std::unique_ptr<Pending> look_up_leases(const std::vector<doors::LeaseName>& leases,
                                          doors::Control::LeasesReply reply);

 private:
  EngineSlot& make_slot(const RegistryConfig& config);
  void retire(std::unique_ptr<EngineSlot> slot);
  void start_waiting();
  void forget_left();
  void start_slot(EngineSlot& slot);
  void publish(const std::string& id, std::optional<registries::Entry> wanted);
  registries::Engine* running(registry::Source source);
  void close();

  Env& env_;
  const registry::Registry& registry_;
  SourceSink& sink_;
  MakeEngine make_;
  std::string writer_;
  registry::HostView host_;
  std::set<IpAddress> own_addresses_;
  bool stopping_ = false;
  std::vector<std::unique_ptr<EngineSlot>> slots_;
  std::map<std::string, registries::Entry> written_;  // by id
  struct Extra {
    std::set<std::string> claims;
    std::map<std::string, registries::Entry> copies;  // by key
  };
  std::map<registry::Source, Extra> extras_;
  ClaimCallback on_claim_;
  /// Engines of an earlier configuration that still withdraw what they wrote.
  std::map<std::uint64_t, std::unique_ptr<EngineSlot>> retired_;
  std::map<std::uint64_t, std::unique_ptr<registries::Engine>> leaving_;
  std::vector<std::uint64_t> left_;  // of these, which are done
  std::uint64_t next_leaving_ = 0;
  Timer leave_timer_, left_timer_, done_timer_;
  Callback<void()> done_;
};

}  // namespace outrider
