// SPDX-License-Identifier: Apache-2.0
// Writes one DNS message into a caller's buffer, with name compression, without allocation. Records
// go in whole or not at all: an add that does not fit leaves the message as it was and says so.
// Sections are written in order; adding to an earlier one after a later one is our own mistake.
//
// Names are compressed in owner names and in the RDATA of the types of RFC 1035 (NS, CNAME, SOA,
// PTR). SRV and NSEC targets are compressed only in mDNS messages (RFC 6762 §18.14; elsewhere RFC
// 2782 and RFC 3597 §4 forbid it).
#pragma once

#include "base/bytes.h"
#include "dns/wire/message_view.h"
#include "dns/wire/record.h"

namespace outrider::dns {

enum class WireProfile : std::uint8_t { unicast, multicast };

class MessageBuilder {
 public:
  /// `buffer` holds at least 12 octets and at most 65 535 are used; it outlives the builder.
  MessageBuilder(MutableBytes buffer, WireProfile profile = WireProfile::unicast);

  /// Lowers (or raises, up to the buffer) how many octets may be used in all; not below size().
  void set_limit(std::size_t bytes);
  /// Keeps octets free at the end, for an OPT record that comes last.
  void reserve(std::size_t bytes);

  void set_id(std::uint16_t id);
  void set_flags(const Flags& flags);

  [[nodiscard]] bool add_question(const Question& question);
  [[nodiscard]] bool add(Section section, const Record& record);
  /// The last record, from the reserved octets. The lower bits of the RCODE are in the flags.
  [[nodiscard]] bool add_opt(const Edns& edns);

  std::size_t size() const;
  std::uint16_t count(Section section) const;

  /// Patches the counts and returns the message; more may be added afterwards.
  Bytes finish();

 private:
  static constexpr std::size_t kRemembered = 64;  // places that later names may point to
  struct Place {
    std::uint16_t offset;
    std::uint32_t hash;
  };

  struct RdataOut;

  void write_name(const Name& name, bool compress);
  bool suffix_at(std::size_t offset, Bytes suffix) const;
  bool compresses(RrType type) const;
  void write_fixed(const Name& owner, RrType type, std::uint16_t class_bits, Ttl ttl);
  /// Keeps what was written since `mark`, or takes it back with the places it remembered.
  bool commit(std::size_t mark, std::size_t places, bool fits, std::uint16_t& count);
  void enter(Section section);

  ByteWriter writer_;
  std::size_t capacity_;
  std::size_t limit_;
  std::size_t reserved_ = 0;
  WireProfile profile_;
  std::uint16_t counts_[4] = {};  // questions, then the three sections
  std::size_t section_ = 0;
  Place places_[kRemembered];
  std::size_t place_count_ = 0;
};

}  // namespace outrider::dns
