// SPDX-License-Identifier: Apache-2.0
// Takes back what was announced: RFC 6762 §10.1. Each goodbye is sent kGoodbyeCount times, in
// bursts. A record that has been claimed again in the meantime is left out.
#pragma once

#include <map>

#include "mdns/native/responder.h"

namespace outrider::mdns {

class Goodbyes {
 public:
  Goodbyes(const OwnRecords& own, const Links& links) : own_(own), links_(links) {}

  /// Takes back the records of the claim on one link; the first goodbye is due at `due`. The
  /// records are copied: the claim may change or go before that.
  void add(TimePoint due, const Claim& claim, const Link& link);
  /// The same on all links of the claim if it has been announced; a link that came back, and on
  /// which it is probed for again, may have hosts that remember it.
  void add_everywhere(TimePoint due, const Claim& claim);
  /// Takes back the addresses that the host had on the link as it was `before`, and no longer has.
  void add_lost_addresses(TimePoint due, const Claim& host, const Link& before, const Link& link);

  /// Drops the goodbyes of links that are gone.
  void on_links_changed();
  void run(TimePoint now, Outlet& outlet);
  std::optional<TimePoint> next_due() const;
  bool empty() const { return waiting_.empty(); }

 private:
  struct Goodbye {
    std::uint32_t link;
    unsigned left;
    std::vector<dns::Record> records;
  };

  void add(TimePoint due, Goodbye goodbye);
  bool is_ours_again(const dns::Record& record, const Link& link) const;
  void send(const Link& link, std::span<const dns::Record> records, Outlet& outlet) const;

  const OwnRecords& own_;
  const Links& links_;
  std::multimap<TimePoint, Goodbye> waiting_;  // by when they are due
  TimePoint pause_until_{};                    // between bursts
};

}  // namespace outrider::mdns
