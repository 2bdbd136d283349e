// SPDX-License-Identifier: Apache-2.0
// An answer from upstream as it is cached and sent to clients: its own bytes without OPT, and where
// its records and TTLs begin. Nothing is decoded and encoded again, so that types unknown to us
// pass through (RFC 3597).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "dns/limits.h"
#include "dns/query.h"
#include "dns/wire/message_view.h"

namespace outrider::dns {

class UpstreamAnswer {
 public:
  /// Checks the whole message: header, question against the one asked (case-blind), every record.
  static Result<UpstreamAnswer, WireError> parse(Bytes message, const Question& asked);

  Rcode rcode() const { return rcode_; }
  bool truncated() const { return flags_.truncated; }

  /// How long it may be kept: the least TTL, or for NXDOMAIN and NODATA what the SOA says (RFC 2308
  /// §5), at most kTtlMax and kNegativeTtlMax. Zero: not at all.
  Ttl lifetime() const { return lifetime_; }

  /// A record that leads to an address that no public name has: private, loopback, link-local.
  bool has_private_address() const { return private_address_; }
  /// Takes every record out: NODATA that says why.
  void block(std::string_view why);
  /// Clears AD: the server that says that the answer is validated is not trusted.
  void distrust() { flags_.authentic_data = false; }

  /// Octets in memory, roughly.
  std::size_t weight() const { return bytes_.size() + places_.size() * sizeof(Place) + 128; }

  struct Aging {
    std::uint32_t age = 0;  // seconds taken off every TTL
    bool stale = false;     // every TTL becomes kStaleTtl (RFC 8767 §4)
  };
  /// The reply to `query`, within `limit`: its id, its question, our OPT, TTLs aged. Records that
  /// do not fit are left out from the end, whole; TC unless only Additional was cut.
  Bytes write(const Query& query, std::size_t limit, Aging aging, MutableBytes buffer) const;

 private:
  struct Place {
    std::uint16_t record;  // where a record begins
    std::uint16_t ttl;
  };

  void read_record(const SectionRecord& found, RrType asked, std::optional<Ttl>& negative);
  void level_ttls(const MessageView& view);

  std::vector<std::uint8_t> bytes_;  // header, question, records; the OPT is gone
  std::vector<Place> places_;
  std::uint16_t counts_[3] = {};
  Flags flags_;
  Rcode rcode_ = Rcode::noerror;
  Ttl lifetime_ = 0;
  bool answers_question_ = false;  // with a record of the type that was asked for
  bool private_address_ = false;
  std::optional<ExtendedError> error_;  // RFC 8914
  std::string error_text_;
};

}  // namespace outrider::dns
