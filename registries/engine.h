// SPDX-License-Identifier: Apache-2.0
// What connects the agent to a source of instances beyond the LAN: agents of this host (host/).
// An engine reads foreign entries and reports them to its sink; it writes the agent's own
// registrations, and nothing else, so that two sources never feed each other.
//
//   source ▸ engine ▸ on_listed, on_sighting, on_lost ▸ agent/engines ▸ Registry ▸ Agent::apply
//   Agent::apply ▸ agent/engines ▸ put, remove ▸ engine ▸ source
//
//   engine.h      this promise, in types of base alone
//   host/         agents of this host, over their control sockets
//
// A *place* is where an engine heard of entries: a socket, a server. It lists them as a whole
// first, then reports changes; when it cannot tell any more, it is `behind` and its entries are
// stale.
//
// To add an engine: see CONTRIBUTING.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/callback.h"
#include "base/health.h"
#include "base/json.h"

namespace outrider::registries {

/// A check of an entry, for people: who asks why it is not healthy.
struct Check {
  std::string id, name;
  std::string kind;  // "http", "tcp", …
  CheckHealth health = CheckHealth::starting;
  std::string output;
  bool operator==(const Check&) const = default;
};

/// One instance as an engine reads or writes it.
struct Entry {
  std::string key;    // unique in its engine; of registrations: the id
  std::string place;  // where the engine heard of it
  std::string service, id, version;
  std::uint16_t port = 0;
  std::vector<IpAddress> addresses;
  std::string protocol;
  std::vector<std::string> tags, subtypes;
  std::map<std::string, std::string> metadata;
  std::uint16_t weight = 100;
  Health health = Health::passing;
  std::string maintenance_reason;
  std::vector<Check> checks;
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

class Engine {
 public:
  class Sink {
   public:
    /// Everything that is at a place: entries that were reported before and are not in it, left.
    virtual void on_listed(const std::string& place, std::vector<Entry> entries) = 0;
    /// An entry is new or has changed.
    virtual void on_sighting(Entry entry) = 0;
    virtual void on_lost(const std::string& place, const std::string& key) = 0;
    /// `reason` is for people.
    virtual void on_state(const std::string& place, PlaceState state,
                          const std::string& reason) = 0;

   protected:
    ~Sink() = default;
  };

  virtual ~Engine() = default;
  /// Once. Nothing is reported before it returns. The sink outlives the engine.
  virtual void start(Sink& sink) = 0;
  /// A registration of this agent is to be written, or has changed.
  virtual void put(const Entry& registration) = 0;
  virtual void remove(std::string_view id) = 0;
  /// Takes back what it wrote and closes; `done` comes once, not before this returns.
  virtual void stop(Callback<void()> done) = 0;
  /// Members of an open object, for the status.
  virtual void write_status(json::Writer& out) const = 0;
};

}  // namespace outrider::registries
