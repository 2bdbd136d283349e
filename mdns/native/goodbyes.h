// SPDX-License-Identifier: Apache-2.0
// Takes back what was announced: RFC 6762 §10.1. Each goodbye is sent kGoodbyeCount times, in
// bursts. A record that has been claimed again in the meantime is left out.
//
// A claim that is withdrawn while it is probed for may have been announced by a process before this
// one, which was killed and said no goodbye. Or its name is another host's, which has not answered
// the probe yet, and whose PTR is equal to ours. Such a goodbye is in doubt: it is sent only if no
// host answers for the name within kProbeInterval of a probe.
#pragma once

#include <map>
#include <unordered_map>

#include "mdns/native/responder.h"

namespace outrider::mdns {

class Goodbyes {
 public:
  Goodbyes(const OwnRecords& own, const Links& links) : own_(own), links_(links) {}

  /// Takes back the records of the claim on one link; the first goodbye is due at `due`. The
  /// records are copied: the claim may change or go before that.
  void add(TimePoint due, const Claim& claim, const Link& link);
  /// The same on all links of the claim: in doubt if it was never announced and is still probed
  /// for. An announced one is not in doubt on a link that came back, where it is probed for again.
  void add_everywhere(TimePoint due, const Claim& claim);
  /// Takes back the addresses that the host had on the link as it was `before`, and no longer has.
  void add_lost_addresses(TimePoint due, const Claim& host, const Link& before, const Link& link);

  /// Drops what is in doubt for a name that another host answers for, or proposes other data for.
  /// On all links: the host that has a name is the same everywhere, or soon will be.
  void on_response(const Packet& packet);
  void on_probe(const Packet& packet);

  /// Drops the goodbyes of links that are gone.
  void on_links_changed();
  void run(TimePoint now, Outlet& outlet);
  std::optional<TimePoint> next_due() const;
  bool empty() const { return waiting_.empty() && doubtful_.empty(); }

 private:
  struct Goodbye {
    std::uint32_t link;
    unsigned left;
    std::vector<dns::Record> records;
  };

  struct Doubtful {
    TimePoint due{};     // of the probe, then of the goodbye
    bool asked = false;  // a probe was sent, here or for the claim
    Goodbye goodbye;
  };
  using ByLink = std::map<std::uint32_t, std::size_t>;

  Goodbye goodbye_of(const Claim& claim, const Link& link) const;
  void add(TimePoint due, Goodbye goodbye);
  void add_doubtful(TimePoint due, const Claim& claim, const ClaimOnLink& state, const Link& link);
  bool is_probed_for_again(const dns::Name& name, std::uint32_t link) const;
  Proposal proposal_of(const dns::Name& name, const Goodbye& goodbye) const;
  void settle(TimePoint now, ByLink& said, Outlet& outlet);
  bool is_ours_again(const dns::Record& record, const Link& link) const;
  void send(const Link& link, std::span<const dns::Record> records, Outlet& outlet) const;

  const OwnRecords& own_;
  const Links& links_;
  static inline const dns::NameHash kOwnHash{0};  // only we add names
  std::multimap<TimePoint, Goodbye> waiting_;     // by when they are due
  std::unordered_multimap<dns::Name, Doubtful, dns::NameHash> doubtful_{0, kOwnHash};
  TimePoint settle_at_ = TimePoint::max();  // not later than the first that is due in doubtful_
  TimePoint pause_until_{};                 // between bursts
};

}  // namespace outrider::mdns
