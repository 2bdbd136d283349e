// SPDX-License-Identifier: Apache-2.0
// ZoneProjection: Changes ▸ names to set and to erase in one DNS zone (DESIGN §4.3). Pure.
//
//   Changes ▸ update ▸ choose_served ▸ records of each name ▸ ZoneSink ▸ dns::LocalZone
//
// A change costs the names of its own service, and of the instances only those that it touches.
// The structs mirror dns/local_zone.h without including it; agent/service_dns.cc translates. What
// TXT records say is handed in (TxtWriter). name_grammar.h reads the names that are made here: to
// add a form, add it in both.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "agent/registry/host_view.h"
#include "agent/registry/registry.h"
#include "agent/registry/serving_rules.h"
#include "dns/wire/record.h"

namespace outrider::registry {

/// Replaces nearness as the order of the instances of a service.
class AnswerOrder {
 public:
  /// Odds of being named first among all passing instances.
  virtual std::uint16_t odds(const Instance& instance) const = 0;

 protected:
  ~AnswerOrder() = default;
};

/// Where an instance stands in answers: the least rank first, within a rank by odds of being first.
struct AnswerPlace {
  std::uint8_t rank = 0;
  std::uint16_t odds = 1;
};
/// `order` as in ZoneProfile.
AnswerPlace answer_place(const Instance& instance, const HostView& host, const AnswerOrder* order);

/// The strings of an instance's TXT record under a service type ("_hello._tcp"); `address` is where
/// it is reached.
using TxtWriter = std::function<std::vector<std::string>(
    const Instance& instance, std::string_view type, const IpAddress& address)>;

struct ZoneProfile {
  dns::Name origin;
  ServingRules serving;
  std::vector<IpAddress> name_server;  // addresses of ns.ORIGIN
  TxtWriter write_txt;
  const AnswerOrder* order = nullptr;  // none: the nearest first
  const Bridged* bridged = nullptr;    // as it is at each update
};

/// The kinds of RDATA that services have. dns::Rdata holds more, and is twice as large: while the
/// names of a service with thousands of instances are made, that is megabytes.
/// HTTPS and SVCB are encoded already.
using ZoneData =
    std::variant<dns::AddressData, dns::NameData, dns::SrvData, dns::TxtData, dns::RawData>;

struct ZoneEntry {
  dns::RrType type = dns::RrType::a;
  ZoneData data;
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

/// Receives each name as it is made, so that those of ten thousand instances are never in memory
/// together.
using ZoneSink = std::function<void(ZoneUpdate)>;

/// SRV and PTR records of one name: a larger set fits into no message (RFC 1035 §4.2.2). The
/// nearest instances get them.
inline constexpr std::size_t kPointersPerNameMax = 1'024;
/// HTTPS and SVCB records of one name, which are larger.
inline constexpr std::size_t kBindingsPerNameMax = 128;

/// update() sets the list of all services (RFC 6763 §9) up to this length; beyond it the caller
/// decides when, with list_types().
inline constexpr std::size_t kTypesListedAtOnce = 64;

/// Remembers which names it has set for each service.
class ZoneProjection {
 public:
  explicit ZoneProjection(ZoneProfile profile);

  /// Sets everything, with the names that exist whatever is registered: ns, and b and lb of DNS-SD
  /// (RFC 6763 §11).
  void begin(const Registry& registry, const HostView& host, const ZoneSink& out);
  /// Sets the names that `changes` touch, and only these.
  void update(const Registry& registry, const HostView& host, const Changes& changes,
              const ZoneSink& out);
  /// Sets everything of every service: the addresses of this host changed, or what TXT records say.
  void rebuild(const Registry& registry, const HostView& host, const ZoneSink& out);
  /// Sets the names that all instances of these services share: their order has changed.
  void reorder(const Registry& registry, const HostView& host,
               const std::vector<std::string>& labels, const ZoneSink& out);

  /// True while the list of services differs from the one that was set last.
  bool types_changed() const { return types_changed_; }
  std::size_t types() const { return types_.size(); }
  void list_types(const ZoneSink& out);

 private:
  void service(const Registry& registry, const HostView& host, const std::string& label,
               const std::set<std::string>* touched, const ZoneSink& out);
  void note_type(const std::string& label, bool listed);

  ZoneProfile profile_;
  std::map<std::string, std::vector<std::string>> owners_;  // service ▸ relative names
  std::set<std::string> types_;                             // services that are listed for DNS-SD
  bool types_changed_ = false;
};

}  // namespace outrider::registry
