// SPDX-License-Identifier: Apache-2.0
// What this agent announces, as resource records. Records are not stored: each is made from its
// announcement when it is sent, for the link on which it is sent. So addresses and TXT strings
// always fit the link, and the case of names is always that of the announcement.
//
// Odd words: a claim is a unique name that we probe for and defend (an instance or a host); a host
// has the addresses that instances point to, or it is a name that was published for itself; a slot
// is the number of a claim; an OwnKey names one record of ours without holding it.
#pragma once

#include <compare>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "dns/wire/record.h"
#include "mdns/link.h"
#include "mdns/provider.h"

namespace outrider::mdns {

using Slot = std::uint32_t;
inline constexpr Slot kNoSlot = 0;

/// RFC 6762 §8: the progress of a claim on one link.
enum class Phase : std::uint8_t { probing, announcing, established };

struct ClaimOnLink {
  std::uint32_t link = 0;
  Phase phase = Phase::probing;
  unsigned sent = 0;  // probes or announcements so far
  TimePoint due{};
  bool scheduled = false;
  bool defended = false;  // probed for again after a conflict, and still answered for
};

struct Claim {
  Slot slot = kNoSlot;
  bool is_host = false;
  dns::Name name;
  std::string base_label;  // before renames
  std::string label;
  unsigned renames = 0;
  bool failed = false;  // given up: another host has the name
  /// Under this label, on some link, perhaps before an interruption: others may still know it.
  bool announced = false;
  std::vector<ClaimOnLink> links;
  std::deque<TimePoint> conflicts;  // within kConflictWindow, at most kConflictsMax
  bool slow = false;                // too many conflicts
  TimePoint not_before{};           // no probe earlier (§8.1 and §8.2)

  // Of what was published, an instance or a name:
  AnnouncementId id = 0;
  Announcement wanted;
  // Of an instance:
  dns::Name type;
  std::vector<dns::Name> subtypes;
  Slot host = kNoSlot;
  // Of a host:
  bool is_name = false;              // published for itself
  std::vector<IpAddress> addresses;  // default: those of each link
  std::size_t users = 0;             // instances that point to it

  ClaimOnLink* on(std::uint32_t link_index);
  const ClaimOnLink* on(std::uint32_t link_index) const;
  bool host_only() const { return wanted.host_only; }
};

enum class OwnKind : std::uint8_t {
  type_ptr,
  subtype_ptr,
  services_ptr,
  srv,
  txt,
  address,
  nsec,  // of either kind of claim
};

struct OwnKey {
  OwnKind kind = OwnKind::srv;
  Slot slot = kNoSlot;
  std::uint16_t index = 0;  // of the subtype or the address
  auto operator<=>(const OwnKey&) const = default;
};

class OwnRecords {
 public:
  struct Ttls {
    dns::Ttl host = 0;  // records that name a host (RFC 6762 §10)
    dns::Ttl other = 0;
  };
  explicit OwnRecords(Ttls ttls) : ttls_(ttls) {}

  Claim& add_instance(AnnouncementId id, const Announcement& wanted, Slot host);
  Claim& add_host(const std::string& label, std::vector<IpAddress> addresses);
  /// A name under this label.
  Claim& add_name(AnnouncementId id, const Announcement& wanted, const std::string& label);
  void remove(Slot slot);
  /// Replaces the subtypes.
  void set_subtypes(Claim& claim, const std::vector<std::string>& subtypes);
  /// Gives the claim another label.
  void relabel(Claim& claim, const std::string& label);

  Claim* claim(Slot slot);
  const Claim* claim(Slot slot) const;
  Claim* claim_named(const dns::Name& name);
  const Claim* claim_named(const dns::Name& name) const;
  Claim* host_with(const std::vector<IpAddress>& addresses);
  const std::map<Slot, std::unique_ptr<Claim>>& all() const { return claims_; }

  /// Whether claims for the LAN are announced on the loopback beside real links, too.
  void set_lan_on_loopback(bool on) { lan_on_loopback_ = on; }
  bool lan_on_loopback() const { return lan_on_loopback_; }
  /// True if the records of the claim are announced on this link.
  bool belongs(const Claim& claim, const Link& link) const;
  /// True once questions for its records are answered: it and its host have been probed for.
  bool answers(const Claim& claim, const Link& link) const;

  /// Records that answer the question on this link, the NSEC for a missing type included (§6.1).
  void collect(const dns::Question& question, const Link& link, std::vector<OwnKey>& out) const;
  /// Additional records of an answer (RFC 6763 §12): everything that the reader will ask for next.
  void collect_additional(const OwnKey& key, const Link& link, std::vector<OwnKey>& out) const;
  /// All that is announced for a claim (§8.3) except its subtypes, PTR first.
  void collect_all(const Claim& claim, const Link& link, std::vector<OwnKey>& out) const;
  /// The same without `services_ptr`, which must not be taken back: other hosts may announce it.
  void collect_revocable(const Claim& claim, const Link& link, std::vector<OwnKey>& out) const;
  void collect_subtypes(const Claim& claim, std::vector<OwnKey>& out) const;
  /// What is proposed in a probe (§8.2): its unique records.
  void collect_unique(const Claim& claim, const Link& link, std::vector<OwnKey>& out) const;

  std::optional<dns::Record> record(const OwnKey& key, const Link& link) const;
  /// Our record with the same name, type, class and RDATA, if there is one.
  std::optional<OwnKey> find(const dns::Record& record, const Link& link) const;
  static bool shared(OwnKind kind);
  /// The approximate size in a message, in octets.
  std::size_t estimate(const OwnKey& key) const;
  const Ttls& ttls() const { return ttls_; }

 private:
  const std::vector<IpAddress>& addresses_of(const Claim& host, const Link& link) const;
  void collect_claim(const Claim& claim, dns::RrType type, const Link& link,
                     std::vector<OwnKey>& out) const;
  std::vector<std::string> txt_of(const Claim& claim, const Link& link) const;
  void index(const Claim& claim);
  void unindex(const Claim& claim);

  static inline const dns::NameHash kOwnHash{0};  // only we add names
  Ttls ttls_;
  bool lan_on_loopback_ = true;
  Slot next_ = kNoSlot + 1;
  std::map<Slot, std::unique_ptr<Claim>> claims_;
  std::unordered_map<dns::Name, Slot, dns::NameHash> by_name_{0, kOwnHash};
  // Instances by type and by subtype, each with the index of the subtype.
  std::unordered_map<dns::Name, std::set<std::pair<Slot, std::uint16_t>>, dns::NameHash> by_type_{
      0, kOwnHash};
  std::unordered_map<dns::Name, std::set<std::pair<Slot, std::uint16_t>>, dns::NameHash>
      by_subtype_{0, kOwnHash};
};

}  // namespace outrider::mdns
