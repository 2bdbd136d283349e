// SPDX-License-Identifier: Apache-2.0
#include "dns/wire/message_builder.h"

#include <algorithm>

#include "dns/wire/rdata.h"

namespace outrider::dns {
namespace {

std::uint32_t mix(std::uint32_t hash, Bytes label) {
  for (const std::uint8_t octet : label)
    hash = (hash ^ octet) * 0x0100'0193U;
  return hash;
}

}  // namespace

/// What encode_rdata writes through.
struct MessageBuilder::RdataOut {
  MessageBuilder& builder;
  bool compress;
  void u8(std::uint8_t value) { builder.writer_.u8(value); }
  void u16(std::uint16_t value) { builder.writer_.u16(value); }
  void u32(std::uint32_t value) { builder.writer_.u32(value); }
  void put(Bytes bytes) { builder.writer_.put(bytes); }
  void name(const Name& name) { builder.write_name(name, compress); }
};

MessageBuilder::MessageBuilder(MutableBytes buffer, WireProfile profile)
    : writer_(buffer.first(std::min(buffer.size(), kMessageBytesMax))),
      capacity_(std::min(buffer.size(), kMessageBytesMax)),
      limit_(capacity_),
      profile_(profile) {
  OUTRIDER_ASSERT(capacity_ >= kHeaderBytes);
  for (int i = 0; i < 6; ++i)
    writer_.u16(0);
}

void MessageBuilder::set_limit(std::size_t bytes) {
  limit_ = std::clamp(bytes, writer_.size(), capacity_);
}

void MessageBuilder::reserve(std::size_t bytes) {
  reserved_ = bytes;
}

void MessageBuilder::set_id(std::uint16_t id) {
  writer_.patch_u16(0, id);
}

void MessageBuilder::set_flags(const Flags& flags) {
  writer_.patch_u16(2, flags.to_bits());
}

bool MessageBuilder::commit(std::size_t mark, std::size_t places, bool fits, std::uint16_t& count) {
  if (writer_.ok() && fits && count < 0xffff) {
    ++count;
    return true;
  }
  writer_.rollback(mark);
  place_count_ = places;
  return false;
}

void MessageBuilder::enter(Section section) {
  const std::size_t number = static_cast<std::size_t>(section) + 1;
  OUTRIDER_ASSERT(number >= section_);
  section_ = number;
}

bool MessageBuilder::add_question(const Question& question) {
  OUTRIDER_ASSERT(section_ == 0);
  const std::size_t mark = writer_.size(), places = place_count_;
  write_name(question.name, true);
  writer_.u16(static_cast<std::uint16_t>(question.type));
  writer_.u16(static_cast<std::uint16_t>(static_cast<unsigned>(question.rr_class) |
                                         (question.unicast_response ? kUnicastResponseBit : 0U)));
  return commit(mark, places, writer_.size() + reserved_ <= limit_, counts_[0]);
}

bool MessageBuilder::compresses(RrType type) const {
  switch (type) {
    case RrType::ns:
    case RrType::cname:
    case RrType::soa:
    case RrType::ptr:
      return true;
    case RrType::srv:
    case RrType::nsec:
      return profile_ == WireProfile::multicast;  // RFC 6762 §18.14
    case RrType::a:
    case RrType::hinfo:
    case RrType::mx:
    case RrType::txt:
    case RrType::aaaa:
    case RrType::dname:
    case RrType::opt:
    case RrType::ds:
    case RrType::rrsig:
    case RrType::dnskey:
    case RrType::svcb:
    case RrType::https:
    case RrType::ixfr:
    case RrType::axfr:
    case RrType::any:
      return false;
  }
  return false;
}

void MessageBuilder::write_fixed(const Name& owner, RrType type, std::uint16_t class_bits,
                                 Ttl ttl) {
  write_name(owner, true);
  writer_.u16(static_cast<std::uint16_t>(type));
  writer_.u16(class_bits);
  writer_.u32(ttl);
  writer_.u16(0);  // RDLENGTH, patched
}

bool MessageBuilder::add(Section section, const Record& record) {
  enter(section);
  const std::size_t mark = writer_.size(), places = place_count_;
  write_fixed(record.name, record.type,
              static_cast<std::uint16_t>(static_cast<unsigned>(record.rr_class) |
                                         (record.cache_flush ? kCacheFlushBit : 0U)),
              record.ttl);
  const std::size_t start = writer_.size();
  RdataOut out{*this, compresses(record.type)};
  encode_rdata(record.data, out);
  if (writer_.ok())
    writer_.patch_u16(start - 2, static_cast<std::uint16_t>(writer_.size() - start));
  return commit(mark, places, writer_.size() + reserved_ <= limit_, counts_[section_]);
}

bool MessageBuilder::add_opt(const Edns& edns) {
  enter(Section::additional);
  const std::size_t mark = writer_.size();
  write_opt(writer_, edns);
  if (!commit(mark, place_count_, writer_.size() <= limit_, counts_[section_])) return false;
  reserved_ = 0;
  return true;
}

std::size_t MessageBuilder::size() const {
  return writer_.size();
}

std::uint16_t MessageBuilder::count(Section section) const {
  return counts_[static_cast<std::size_t>(section) + 1];
}

Bytes MessageBuilder::finish() {
  for (std::size_t i = 0; i < 4; ++i)
    writer_.patch_u16(4 + 2 * i, counts_[i]);
  return writer_.written();
}

/// True if the name that begins at `offset` of what was written is `suffix`, byte for byte: names
/// keep their case, so that an owner name is spelled the same everywhere.
bool MessageBuilder::suffix_at(std::size_t offset, Bytes suffix) const {
  const Bytes written = writer_.written();
  for (std::size_t i = 0;;) {
    while ((written[offset] & 0xc0) == 0xc0)
      offset = (written[offset] & 0x3fU) << 8 | written[offset + 1];
    const std::size_t length = written[offset];
    if (length != suffix[i]) return false;
    if (length == 0) return true;
    if (!std::ranges::equal(written.subspan(offset + 1, length), suffix.subspan(i + 1, length)))
      return false;
    offset += length + 1;
    i += length + 1;
  }
}

void MessageBuilder::write_name(const Name& name, bool compress) {
  const Bytes wire = name.wire();
  std::uint8_t labels[kNameBytesMax / 2 + 1];
  std::uint32_t hashes[kNameBytesMax / 2 + 1];
  std::size_t count = 0;
  for (std::size_t i = 0; wire[i] != 0; i += wire[i] + 1U)
    labels[count++] = static_cast<std::uint8_t>(i);
  std::uint32_t hash = 0x811c'9dc5U;
  for (std::size_t n = count; n-- > 0;)  // from the right, so that each suffix has its hash
    hashes[n] = hash = mix(hash, wire.subspan(labels[n], wire[labels[n]] + 1U));

  const std::size_t start = writer_.size();
  const std::size_t known = place_count_;
  for (std::size_t n = 0; n < count; ++n) {
    for (std::size_t p = 0; compress && p < known; ++p) {
      if (places_[p].hash != hashes[n] || !suffix_at(places_[p].offset, wire.subspan(labels[n])))
        continue;
      write_pointer(writer_, places_[p].offset);
      return;
    }
    const std::size_t here = start + labels[n];
    writer_.put(wire.subspan(labels[n], wire[labels[n]] + 1U));
    if (writer_.ok() && here <= kPointerReach && place_count_ < kRemembered)
      places_[place_count_++] = {static_cast<std::uint16_t>(here), hashes[n]};
  }
  writer_.u8(0);
}

}  // namespace outrider::dns
