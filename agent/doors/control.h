// SPDX-License-Identifier: Apache-2.0
// What the API can ask of the agent: read everything, change registrations, nothing else. Agent
// implements it (agent/control.cc) and reports changes with Api::on_changes; tests implement it
// with a bare Registry.
//
// A change goes through Registry ▸ Changes ▸ Agent::apply before the call returns, so a read that
// follows sees it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/metrics.h"
#include "agent/registry/host_view.h"
#include "agent/registry/registry.h"
#include "agent/registry/selection.h"
#include "agent/registry/serving_rules.h"
#include "agent/registry/zone.h"
#include "base/callback.h"
#include "base/json.h"
#include "base/lease_time.h"
#include "base/net.h"

namespace outrider::registry {
class History;
}

namespace outrider::doors {

/// One run of a check, for people.
struct ProbeReport {
  WallTime wall{};
  bool passed = false;
  std::string kind;    // "pass", "fail_refused"
  std::string output;  // "HTTP 503: …"
  Duration latency{};
};

/// The same without words.
struct ProbeTick {
  WallTime wall{};
  bool passed = false;
  std::string_view kind;  // a literal
  Duration latency{};
};

struct CheckReport {
  std::vector<ProbeReport> probes;  // newest first
  std::vector<ProbeTick> ticks;     // the same and those before them
  std::uint32_t successes = 0;      // in a row, up to now
  std::uint32_t failures = 0;
  bool flapping = false;
  std::optional<Duration> next;  // until the next probe
};

/// The settings of the local DNS that `why` needs.
struct DnsView {
  std::vector<std::string> domains;  // "svc"
  std::vector<std::string> listen;   // "127.0.0.55:5370"; empty: DNS is not answering
  Duration ttl = std::chrono::seconds(5);
  std::size_t answers = 8;
  registry::ServingRules serving;
  const registry::AnswerOrder* order = nullptr;  // none: the nearest first
  const registry::Bridged* bridged = nullptr;    // names with the addresses of the bridge; or none
};

/// What agents of one host tell each other apart by.
struct AgentIdentity {
  std::string agent;  // of this process, and no other; empty: not told
  std::string host;   // machine and network namespace
};

/// A foreign instance that the configuration has copied from one source to another ("mdns",
/// "etcd").
struct CopyView {
  std::string_view from, to;
  std::string by;  // who copies it, or why no agent does, for people
};

/// Where a registration of this agent is written beyond the link.
struct WrittenPlace {
  std::string_view engine;  // "etcd"
  std::string key, endpoint;
  std::int64_t lease = 0, revision = 0;  // 0: that registry has no such thing
  std::optional<LeaseTime> lease_time;   // as this agent reckons
  std::string_view state;                // "waiting", "written", "conflict", "refused"
  std::string reason;                    // who holds the key, or why it is not written
};

/// A lease in a registry beyond the link.
struct LeaseName {
  std::string place;       // SightedPlace::host
  std::int64_t lease = 0;  // its id
  auto operator<=>(const LeaseName&) const = default;
};
using LeaseTimes = std::map<LeaseName, LeaseTime>;

class Control {
 public:
  virtual AgentIdentity identity() const { return {}; }
  virtual const registry::Registry& registry() const = 0;
  virtual registry::Moment now() const = 0;
  /// False while the first round of questions to the network is not over: what is listed may be
  /// only a part.
  virtual bool is_settled() const { return true; }
  virtual registry::HostView host() const = 0;
  virtual DnsView dns() const = 0;
  /// Null: the past is not remembered.
  virtual const registry::History* history() const { return nullptr; }

  using Done = Result<void, registry::RegistryError>;
  /// Returns the id of the instance, which is chosen here if the spec has none.
  virtual Result<std::string, registry::RegistryError> put(const registry::ServiceSpec& spec) = 0;
  /// Whether put() would take all of `specs`.
  virtual Done would_take(std::span<const registry::ServiceSpec> specs) const {
    return registry().would_take(specs, {});
  }
  // Checks and maintenance of the host as a whole: those of registry::kNodeId.
  virtual Done remove(std::string_view id) = 0;
  virtual Done put_check(std::string_view id, const registry::CheckSpec& check) = 0;
  virtual Done remove_check(std::string_view id, std::string_view check_id) = 0;
  /// A heartbeat, for TTL checks only.
  virtual Done renew(std::string_view id, std::string_view check_id, CheckHealth health,
                     std::string output) = 0;
  virtual Done set_maintenance(std::string_view id, bool on, std::string reason) = 0;
  virtual Done set_draining(std::string_view id, bool on) = 0;
  /// Drains every registration, as before the agent stops.
  virtual void drain_all() = 0;

  using KeptCallback = Callback<void(const std::string& why_not)>;
  /// Called with an empty text when all changes so far will survive the end of the agent, or are
  /// not meant to; else with the reason. May call before it returns.
  virtual void when_kept(KeptCallback callback) { callback({}); }

  virtual CheckReport check_report(std::string_view id, std::string_view check_id) const = 0;
  /// The median of what the remembered probes of a check took; nothing if it has none.
  virtual std::optional<Duration> probe_time(std::string_view /*id*/,
                                             std::string_view /*check_id*/) const {
    return std::nullopt;
  }
  /// Probes now instead of at the next due time; returns the ids of the checks that are probed.
  virtual Result<std::vector<std::string>, registry::RegistryError> probe_now(
      std::string_view /*id*/) {
    return failure(registry::RegistryError::unknown_instance);
  }
  /// How often DNS was asked for the service's own name, and when and by which client last.
  struct Asked {
    std::uint64_t times = 0;
    std::optional<WallTime> last;
    IpAddress by;
  };
  virtual Asked asked(std::string_view /*service_label*/) const { return {}; }
  /// When the agent began to run.
  virtual WallTime started() const { return {}; }
  /// Connections and round-trip times from the kernel; empty if it does not report them.
  virtual registry::Load load(std::span<const Endpoint> endpoints) const = 0;
  /// Writes members into an open object: "dns", "mdns", "probes", … of `outrider status`.
  virtual void write_status(json::Writer& out) const = 0;
  virtual void write_metrics(Metrics& out) const = 0;
  /// "registries" of an open object: those beyond the link, with their places; and "exports", what
  /// is copied between them.
  virtual void write_registries(json::Writer& out) const {
    out.key("registries").begin_array().end_array();
    out.key("exports").begin_array().end_array();
  }

  virtual std::vector<CopyView> copies_of(const registry::Instance& /*instance*/) const {
    return {};
  }
  /// Empty for what others have registered.
  virtual std::vector<WrittenPlace> written_places(const registry::Instance& /*instance*/) const {
    return {};
  }
  using LeasesReply = Callback<void(LeaseTimes)>;
  /// Asks registries what is left of leases. The reply comes once, not before this returns and
  /// within 300 ms, with those that were answered by then; destroying the token cancels it. Null:
  /// none of these registries says, and no reply comes.
  [[nodiscard]] virtual std::unique_ptr<Pending> look_up_leases(
      const std::vector<LeaseName>& /*leases*/, LeasesReply /*reply*/) {
    return nullptr;
  }

  // FARP, as JSON.
  /// The manifest of an instance (empty: of the only registration that has FARP); nothing if there
  /// is none, or `id` is empty and several have it.
  virtual std::optional<std::string> farp_manifest(std::string_view id) const = 0;
  /// Makes a document a portion with each call; nothing until it is complete. Not called after
  /// that, nor after this object.
  using Document = Callback<std::optional<std::string>()>;
  virtual Document farp_services() const = 0;
  /// The routes that a kind of gateway makes (empty: bastion); nothing for an unknown kind.
  virtual std::optional<Document> farp_routes(std::string_view gateway) const = 0;

 protected:
  ~Control() = default;
};

}  // namespace outrider::doors
