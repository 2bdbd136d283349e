// SPDX-License-Identifier: Apache-2.0
// What the registry means to the rest of the house, as pure functions:
//
//   (a) ZoneProjection  Changes ▸ names to set and to erase in one DNS zone (facts: names and
//                       answers; DESIGN §4.3)
//   (b) announcements   a registration ▸ what to say of it on the local link (TXT for FARP)
//   (c) checks          a registration ▸ what to probe, with targets resolved
//
// The structs mirror those of dns/local_zone.h, mdns/provider.h and probes/check.h without leaning
// on these rooms; agent/*.cc translates them one to one.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/registry/registry.h"
#include "dns/wire/record.h"

namespace outrider::registry {

/// The host as others see it.
struct HostView {
  std::string name;  // of the machine
  /// Addresses of usable interfaces, preferred first; no loopback, no link-local IPv6.
  std::vector<IpAddress> addresses;
  /// Subnets of interfaces that are up.
  std::vector<Prefix> subnets;
  bool operator==(const HostView&) const = default;
};

/// What is the same in everything that is said of our registrations.
struct AnnouncementProfile {
  std::vector<std::string> shared_types = {"_farp._tcp"};
  /// Port of our own FARP endpoints; 0: they are on the service's port.
  std::uint16_t farp_port = 0;
  /// More than one FARP service has its endpoints there: each has a path of its own.
  bool several_farp_services = false;
  bool compact_txt = false;  // leave out the FARP keys that no known reader looks at
  std::string host_cookie;   // tells agents of one host from others; TXT key "outrider"
};

// --- (a) zones -------------------------------------------------------------------------------

enum class AllUnhealthy : std::uint8_t { nodata, last_resort, nxdomain };

/// Puts instances of a service into an order of its own instead of nearness.
class AnswerOrder {
 public:
  /// Odds of being named first among all that are passing.
  virtual std::uint16_t odds(const Instance& instance) const = 0;

 protected:
  ~AnswerOrder() = default;
};

struct ZoneProfile {
  dns::Name origin;
  AllUnhealthy all_unhealthy = AllUnhealthy::nodata;
  bool only_passing = false;           // leave out warning ones
  std::vector<IpAddress> name_server;  // addresses of ns.ORIGIN
  AnnouncementProfile announcement;    // for TXT records
  const AnswerOrder* order = nullptr;  // none: the nearest first
};

struct ZoneEntry {
  dns::RrType type = dns::RrType::a;
  dns::Rdata data;
  std::uint8_t rank = 0;
  std::uint16_t weight = 1;
  TimePoint not_after = TimePoint::max();
  bool operator==(const ZoneEntry&) const = default;
};
struct ZoneUpdate {
  dns::Name owner;
  bool erase = false;
  std::vector<ZoneEntry> entries;
  std::string why;
  bool stale = false;
};

/// Is handed each name when it is made: those of ten thousand instances never stand side by side.
using ZoneSink = std::function<void(ZoneUpdate)>;

/// SRV and PTR records of one name: a larger set fits into no message (RFC 1035 §4.2.2). Those of
/// the nearest instances are taken.
inline constexpr std::size_t kPointersPerNameMax = 1'024;

/// The list of all services (RFC 6763 §9) goes with every change as long as it is no longer than
/// this; a longer one when it is asked for by list_types().
inline constexpr std::size_t kTypesListedAtOnce = 64;

/// Remembers which names it has set for each service, so that a change costs its own names alone.
class ZoneProjection {
 public:
  explicit ZoneProjection(ZoneProfile profile);
  /// Takes effect for what is set from now on; rebuild() sets everything.
  void set_announcement(AnnouncementProfile announcement) {
    profile_.announcement = std::move(announcement);
  }

  /// Names that stand whatever is registered: ns, DNS-SD's b and lb (RFC 6763 §11).
  void begin(const Registry& registry, const HostView& host, const ZoneSink& out);
  /// The names touched by `changes`, and only these.
  void update(const Registry& registry, const HostView& host, const Changes& changes,
              const ZoneSink& out);
  /// Everything of every service anew: the addresses of this host changed.
  void rebuild(const Registry& registry, const HostView& host, const ZoneSink& out);

  /// The names that all instances of these services share: their order has changed.
  void reorder(const Registry& registry, const HostView& host,
               const std::vector<std::string>& labels, const ZoneSink& out);

  /// True while the list of services differs from the one that was set last.
  bool types_changed() const { return types_changed_; }
  std::size_t types() const { return types_.size(); }
  ZoneUpdate list_types();

 private:
  void service(const Registry& registry, const HostView& host, const std::string& label,
               const std::set<std::string>* touched, const ZoneSink& out);
  void note_type(const std::string& label, bool listed);

  ZoneProfile profile_;
  std::unordered_map<std::string, std::set<std::string>> owners_;  // service ▸ relative names
  std::set<std::string> types_;  // services that are listed for DNS-SD
  bool types_changed_ = false;
};

/// The addresses that stand for an instance in unicast DNS: never fe80::, loopback only for
/// instances of this host.
std::vector<IpAddress> served_addresses(const Instance& instance, const HostView& host);
/// 0 this host, 1 same subnet, 2 the rest; +8 when warning.
std::uint8_t rank_of(const Instance& instance, const HostView& host);

// --- (b) announcements -----------------------------------------------------------------------

struct AnnouncementPlan {
  std::string label;
  std::string type;
  std::uint16_t port = 0;
  std::uint16_t weight = 0;
  std::vector<std::string> txt;  // "{address}" as in mdns::Announcement
  std::vector<IpAddress> addresses;
  bool host_only = false;
  std::vector<std::string> left_out;  // metadata keys that do not fit into a TXT
  bool operator==(const AnnouncementPlan&) const = default;
};
/// What a gateway probes: farp.health, else the path of the first HTTP check; empty if neither.
std::string farp_health_path(const Instance& instance);
/// "/_farp", or "/_farp/SERVICE" where several share one port.
std::string farp_prefix(const Instance& instance, bool several);
/// Empty unless the instance is a registration that is served.
std::vector<AnnouncementPlan> announcements(const Instance& instance,
                                            const AnnouncementProfile& profile);
/// TXT strings for one type; "{address}" where a URL needs our address.
std::vector<std::string> txt_strings(const Instance& instance, std::string_view type,
                                     const AnnouncementProfile& profile,
                                     std::vector<std::string>* left_out = nullptr);

// --- (c) checks ------------------------------------------------------------------------------

/// The id of a check in the one runner of the agent: "INSTANCE\nCHECK".
std::string runner_id(std::string_view instance_id, std::string_view check_id);
std::pair<std::string, std::string> split_runner_id(std::string_view runner_id);

}  // namespace outrider::registry
