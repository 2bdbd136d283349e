// SPDX-License-Identifier: Apache-2.0
// What connects the agent to a source of instances beyond the LAN: agents of this host (host/), an
// etcd cluster (etcd/), a Consul agent (consul/).
// An engine reads foreign entries and reports them to its sink; it writes the agent's own
// registrations, and of foreign instances only what the configuration names (agent/exports.h),
// marked with kViaMark, so that two sources never feed each other.
//
//   source ▸ engine ▸ on_listed, on_sighting, on_lost ▸ agent/engines ▸ Registry ▸ Agent::apply
//   Agent::apply ▸ agent/engines ▸ put, remove ▸ engine ▸ source
//
//   engine.h      this interface, in types of base alone
//   limits.h      limits that engines have in common
//   host/         agents of this host, over their control sockets
//   etcd/         an etcd cluster: options.h has what is configured
//   consul/       the Consul agent of this host, and through it its servers
//
// A *place* is where an engine heard of entries: a socket, a cluster. It lists them as a whole
// first, then reports changes; when it loses contact, the place is `behind` and its entries are
// stale. An entry that is the agent's own, read back, is not reported.
//
// To add an engine: see CONTRIBUTING.md.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/callback.h"
#include "base/health.h"
#include "base/json.h"
#include "base/lease_time.h"
#include "base/net.h"
#include "base/time.h"

namespace outrider::registries {

/// Metadata of an entry that an agent has copied from another source: the name of that source. Such
/// an entry is never copied again. An engine that cannot keep metadata does not write the entry.
inline constexpr std::string_view kViaMark = "outrider.via";

/// A person waits for the answer.
inline constexpr Duration kLeaseLookupMax = std::chrono::milliseconds(300);

/// A check of an entry, shown to people who ask why it is not healthy.
struct Check {
  std::string id, name;
  std::string kind;  // "http", "tcp", …
  CheckHealth health = CheckHealth::starting;
  std::string output;
  bool operator==(const Check&) const = default;
};

/// Where an entry is kept, for people. Empty and 0: its engine has no such thing.
struct Whereabouts {
  std::string key;            // "/microservices/web/web-1"
  std::string endpoint;       // the server that reported it: "http://10.0.0.5:2379"
  std::int64_t lease = 0;     // its id
  std::int64_t revision = 0;  // of its last change
  bool operator==(const Whereabouts&) const = default;
};

/// A key under which a registration of this agent is written, or is to be.
struct WrittenKey {
  enum class State : std::uint8_t {
    waiting,  // nothing, or a former content, is there
    written,
    conflict,  // another program holds it
    refused,   // what is wanted is not taken; a former content may be there
  };
  Whereabouts where;
  State state = State::waiting;
  std::string reason;  // who holds it, or why it is refused, for people
  std::optional<LeaseTime> lease_time = std::nullopt;  // or of its check, as its owner reckons
};
const char* to_string(WrittenKey::State state);

/// One instance as an engine reads or writes it.
struct Entry {
  std::string key;    // unique among all engines; of registrations: the id; of copies: another one
  std::string place;  // where the engine heard of it
  Whereabouts where;
  std::string writer;  // identity of the agent that wrote it; empty: another program did
  std::string service;
  std::string id;  // empty: what is read has none, and the agent makes one
  std::string version;
  std::uint16_t port = 0;
  std::vector<IpAddress> addresses;
  std::string protocol;
  std::vector<std::string> tags, subtypes;
  std::map<std::string, std::string> metadata;
  std::uint16_t weight = 100;
  Health health = Health::passing;
  std::string maintenance_reason;
  std::vector<Check> checks;
  std::string local_name;     // in mDNS; of agents of this host
  std::string limit, advice;  // why it is reached less widely than configured, for people
  bool host_only = false;     // not to be reached from other hosts
  bool on_this_host = false;
  bool operator==(const Entry&) const = default;
};

enum class PlaceState : std::uint8_t {
  connecting,
  current,  // what it reported is complete
  behind,   // connection lost or silent: its entries may be wrong
  gone,     // the place itself has left
};
const char* to_string(PlaceState state);

/// What people are shown of a place.
struct PlaceStatus {
  std::string place;
  std::string endpoint;  // the server in use, or tried last
  PlaceState state = PlaceState::connecting;
  std::string reason;       // why it is in that state
  std::string last_error;   // of any request, for as long as the engine lives
  TimePoint since;          // of the state
  std::size_t read = 0;     // entries that are known from it
  std::size_t skipped = 0;  // entries that could not be read, or are beyond a limit
  std::size_t written = 0;  // keys of this agent that are there
  std::int64_t lease = 0;
  std::optional<LeaseTime> lease_time = std::nullopt;  // as its owner reckons
  std::int64_t revision = 0;
  std::vector<std::string> warnings;  // what people have to mend: "the user may not read …"
};

/// By the ids of the leases.
using LeaseTimes = std::map<std::int64_t, LeaseTime>;

class Engine {
 public:
  class Sink {
   public:
    /// Everything that is at a place: entries that were reported before and are not in it, left.
    virtual void on_listed(const std::string& place, std::vector<Entry> entries) = 0;
    /// As on_listed, but for entries that could not be listed: of those that were reported before,
    /// `kept` has the keys, and they stay as they are.
    virtual void on_listed_in_part(const std::string& /*place*/, std::vector<Entry> /*entries*/,
                                   std::set<std::string> /*kept*/) {}
    /// An entry is new or has changed.
    virtual void on_sighting(Entry entry) = 0;
    virtual void on_lost(const std::string& place, const std::string& key) = 0;
    /// `current` comes after the list that makes it so. `reason` is for people.
    virtual void on_state(const std::string& place, PlaceState state,
                          const std::string& reason) = 0;
    /// What people are shown of a place that is in `state`: not `current` before the sink has
    /// passed on everything that was reported.
    virtual PlaceState shown_state(const std::string& /*place*/, PlaceState state) const {
      return state;
    }
    /// The place lives a new life, since its history went back or is another one: the list that
    /// follows may lack what is still to come back. Before that on_listed.
    virtual void on_restarted(const std::string& /*place*/, const std::string& /*reason*/) {}
    /// Another program holds `key`, where registration `id` is to be written; `holder` says who,
    /// for people. Nothing is overwritten. An empty holder: it is over.
    virtual void on_conflict(const std::string& /*id*/, const std::string& /*key*/,
                             const std::string& /*holder*/) {}
    /// Whether this agent holds the claim `name` from now on; if not, `reason` says why, for
    /// people: "the agent X holds it". Reported first when it is known, then after every change.
    virtual void on_claim(const std::string& /*name*/, bool /*held*/,
                          const std::string& /*reason*/) {}

   protected:
    ~Sink() = default;
  };

  virtual ~Engine() = default;
  /// "host", "etcd": a literal.
  virtual std::string_view name() const = 0;
  /// Once. Nothing is reported before it returns. The sink outlives the engine.
  virtual void start(Sink& sink) = 0;
  /// A registration of this agent, or a copy, is to be written, or has changed: `key` tells which.
  virtual void put(const Entry& registration) = 0;
  virtual void remove(std::string_view key) = 0;
  /// Tries for as long as it runs to hold `name`, which one agent has at a time; it is free again
  /// when that agent is gone. on_claim does not come before this returns. False: not supported.
  virtual bool claim(const std::string& /*name*/) { return false; }
  /// Lets others have it. on_claim does not come any more.
  virtual void unclaim(const std::string& /*name*/) {}
  /// Takes back what it wrote and closes; `done` comes once, not before this returns.
  virtual void stop(Callback<void()> done) = 0;
  /// The caller doubts what is listed: lists every place again soon.
  virtual void refresh() {}
  virtual std::vector<PlaceStatus> places() const { return {}; }
  /// Whether each of its places was listed or has turned out to be out of reach. Until then, what
  /// is missing may only be unknown.
  virtual bool is_settled() const {
    return std::ranges::none_of(
        places(), [](const PlaceStatus& place) { return place.state == PlaceState::connecting; });
  }
  /// Of the registration `key` of put(); empty: it is not written here.
  virtual std::vector<WrittenKey> keys_of(std::string_view /*key*/) const { return {}; }

  using LeasesReply = Callback<void(const LeaseTimes&)>;
  /// Asks what is left of leases that its entries have, for a person. The reply comes once, not
  /// before this returns and within kLeaseLookupMax, and has those that were answered by then;
  /// destroying the token cancels it. Null: the source does not say, and no reply comes.
  [[nodiscard]] virtual std::unique_ptr<Pending> look_up_leases(
      std::span<const std::int64_t> /*leases*/, LeasesReply /*reply*/) {
    return nullptr;
  }
  /// Members of an open object, for the status.
  virtual void write_status(json::Writer& /*out*/) const {}
};

}  // namespace outrider::registries
