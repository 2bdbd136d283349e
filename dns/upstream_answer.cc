// SPDX-License-Identifier: Apache-2.0
#include "dns/upstream_answer.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/utf8.h"
#include "dns/rebinding.h"
#include "dns/wire/service_binding.h"

namespace outrider::dns {
namespace {

bool same_question(const Question& a, const Question& b) {
  return a.name == b.name && a.type == b.type && a.rr_class == b.rr_class;
}

/// Whether `bytes`, addresses of `size` octets one after another, hold a private one.
bool any_private(Bytes bytes, std::size_t size) {
  for (; bytes.size() >= size; bytes = bytes.subspan(size))
    if (is_private_answer(IpAddress::from_bytes(bytes.first(size)))) return true;
  return false;
}

/// The address hints of SVCB and HTTPS (RFC 9460 §2.2, §7.3), to which a browser may connect
/// before it has asked for any address. A client that cannot read them cannot use them either, so
/// malformed ones are let through.
bool has_private_hint(Bytes rdata) {
  BindingReader reader(rdata);
  while (const auto parameter = reader.next()) {
    if (parameter->key == BindingKey::ipv4hint && any_private(parameter->value, 4)) return true;
    if (parameter->key == BindingKey::ipv6hint && any_private(parameter->value, 16)) return true;
  }
  return false;
}

/// Whether a client that uses this record connects to a private address. Not every client checks
/// the class (musl does not), and an IPv4-mapped AAAA, which our reader keeps as bytes, makes a
/// socket reach the IPv4 address.
bool leads_to_private(const Record& record) {
  if (const auto* address = std::get_if<AddressData>(&record.data))
    return is_private_answer(address->address);
  const auto* raw = std::get_if<RawData>(&record.data);
  if (raw == nullptr) return false;
  if (record.type == RrType::a) return any_private(raw->bytes, 4);
  if (record.type == RrType::aaaa) return any_private(raw->bytes, 16);
  return (record.type == RrType::svcb || record.type == RrType::https) &&
         has_private_hint(raw->bytes);
}

bool differ_in_ttl(const SectionRecord& a, const SectionRecord& b) {
  return a.section == b.section && a.record.type == b.record.type &&
         a.record.type != RrType::rrsig && a.record.ttl != b.record.ttl &&
         a.record.name == b.record.name;
}

}  // namespace

/// A set has one TTL, the least of those that it came with (RFC 2181 §5.2).
void UpstreamAnswer::level_ttls(const MessageView& view) {
  std::map<std::tuple<Section, Name, RrType>, Ttl> sets;
  for (const bool known : {false, true}) {
    auto cursor = view.records();
    while (const auto found = cursor.next()) {
      const Record& record = found->record;
      // Signatures of several sets stand under one type.
      if (record.type == RrType::opt || record.type == RrType::rrsig) continue;
      if (found->offset >= bytes_.size()) continue;
      Ttl& least =
          sets.try_emplace({found->section, record.name, record.type}, record.ttl).first->second;
      least = std::min(least, record.ttl);
      for (std::size_t i = 0; known && i < 4; ++i)
        bytes_[found->ttl_offset + i] = static_cast<std::uint8_t>(least >> (24 - 8 * i));
    }
  }
}

void UpstreamAnswer::read_record(const SectionRecord& found, RrType asked,
                                 std::optional<Ttl>& negative) {
  const Record& record = found.record;
  if (found.section == Section::answer) {
    if (leads_to_private(record)) private_address_ = true;
    if (record.type == asked || asked == RrType::any) answers_question_ = true;
  }
  if (const auto* soa = std::get_if<SoaData>(&record.data);
      soa != nullptr && found.section == Section::authority)
    negative = std::min(record.ttl, soa->minimum);  // RFC 2308 §5
  places_.push_back(
      {static_cast<std::uint16_t>(found.offset), static_cast<std::uint16_t>(found.ttl_offset)});
  ++counts_[static_cast<std::size_t>(found.section)];
}

Result<UpstreamAnswer, WireError> UpstreamAnswer::parse(Bytes message, const Question& asked) {
  const auto view = MessageView::parse(message);
  if (!view) return failure(view.error());
  const Header& header = view->header();
  if (!header.flags.response || header.questions != 1 || !same_question(view->question(), asked))
    return failure(WireError::bad_question);
  const auto edns = view->edns();
  if (!edns) return failure(edns.error());

  UpstreamAnswer answer;
  answer.flags_ = header.flags;
  // What needs the upper bits is between us and that server: BADVERS, BADCOOKIE.
  const bool extended = *edns && (*edns)->extended_rcode != 0;
  answer.rcode_ = extended ? Rcode::servfail : static_cast<Rcode>(header.flags.rcode);
  if (*edns) {
    if (const auto why = find_explanation((*edns)->options)) {
      answer.error_ = why->code;
      answer.error_text_ = cut_text(why->text, kWhyBytesMax);
    }
  }
  std::size_t end = message.size();
  Ttl least = kTtlMax;
  std::optional<Ttl> negative;
  bool unequal = false;
  std::optional<SectionRecord> before;
  auto cursor = view->records();
  while (auto found = cursor.next()) {
    if (found->record.type == RrType::opt) {
      end = std::min(end, found->offset);  // with what follows it, which Additional may lose
      continue;
    }
    if (found->offset > end) continue;
    answer.read_record(*found, asked.type, negative);
    least = std::min(least, found->record.ttl);
    unequal = unequal || (before && differ_in_ttl(*before, *found));
    before = std::move(found);
  }
  if (cursor.failed()) return failure(cursor.error());
  answer.bytes_.assign(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(end));
  if (unequal) answer.level_ttls(*view);

  // An alias that leads to nothing is a negative answer, however long the alias holds (RFC 2308
  // §2.2.1).
  const bool nodata = answer.rcode_ == Rcode::noerror && !answer.answers_question_;
  if (answer.rcode_ == Rcode::nxdomain || nodata)
    answer.lifetime_ = std::min({negative.value_or(0), least, kNegativeTtlMax});
  else if (answer.rcode_ == Rcode::noerror)
    answer.lifetime_ = least;
  if (answer.truncated()) answer.lifetime_ = 0;
  return answer;
}

void UpstreamAnswer::block(std::string_view why) {
  const std::size_t end = places_.empty() ? bytes_.size() : places_.front().record;
  bytes_.resize(end);
  places_.clear();
  std::ranges::fill(counts_, std::uint16_t{0});
  flags_.authentic_data = false;
  lifetime_ = std::min(lifetime_, kNegativeTtlMax);
  error_ = ExtendedError::blocked;
  error_text_ = why;
}

Bytes UpstreamAnswer::write(const Query& query, std::size_t limit, Aging aging,
                            MutableBytes buffer) const {
  const std::size_t room = limit - (query.has_edns ? kOptBytes : 0);
  std::uint16_t counts[3] = {counts_[0], counts_[1], counts_[2]};
  std::size_t kept = places_.size();
  std::size_t end = bytes_.size();
  bool truncated = flags_.truncated;
  for (std::size_t section = 3; end > room && kept > 0;) {
    while (counts[section - 1] == 0)
      --section;
    --counts[section - 1];
    end = places_[--kept].record;
    if (section < 3) truncated = true;  // RFC 2181 §9
  }
  ByteWriter out(buffer.first(limit));
  out.put(Bytes(bytes_).first(end));
  std::ranges::copy(query.question, buffer.begin() + kHeaderBytes);  // with the client's case

  Flags flags = flags_;
  flags.response = true;
  flags.authoritative = false;
  flags.truncated = truncated;
  flags.recursion_desired = query.header.flags.recursion_desired;
  flags.recursion_available = true;
  // RFC 6840 §5.8: AD only for those who ask for it.
  flags.authentic_data =
      flags_.authentic_data && !aging.stale &&
      (query.header.flags.authentic_data || (query.has_edns && query.edns.dnssec_ok));
  flags.checking_disabled = query.header.flags.checking_disabled;
  flags.rcode = static_cast<std::uint8_t>(static_cast<unsigned>(rcode_) & 0xf);
  out.patch_u16(0, query.header.id);
  out.patch_u16(2, flags.to_bits());
  for (std::size_t i = 0; i < 3; ++i)
    out.patch_u16(6 + 2 * i, counts[i]);
  for (std::size_t i = 0; i < kept; ++i) {
    ByteReader old(Bytes(bytes_).subspan(places_[i].ttl, 4));
    std::uint32_t ttl = old.u32();
    if ((ttl & 0x8000'0000U) != 0) ttl = 0;  // RFC 2181 §8
    ttl = aging.stale ? kStaleTtl : ttl - std::min(ttl, aging.age);
    out.patch_u16(places_[i].ttl, static_cast<std::uint16_t>(ttl >> 16));
    out.patch_u16(places_[i].ttl + 2U, static_cast<std::uint16_t>(ttl));
  }
  if (query.has_edns) {
    const Edns edns{.udp_size = kUdpAnswerBytesMax, .dnssec_ok = query.edns.dnssec_ok};
    const auto error = aging.stale ? ExtendedError::stale_answer : error_;
    if (error)
      write_opt(out, edns, {*error, error_text_});
    else
      write_opt(out, edns);
    out.patch_u16(10, static_cast<std::uint16_t>(counts[2] + 1));
  }
  return out.written();
}

}  // namespace outrider::dns
