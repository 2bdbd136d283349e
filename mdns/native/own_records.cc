// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/own_records.h"

#include <algorithm>

#include "base/assert.h"
#include "mdns/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns {
namespace {

using dns::RrType;

bool wants(RrType asked, RrType type) {
  return asked == type || asked == RrType::any;
}

}  // namespace

ClaimOnLink* Claim::on(std::uint32_t link_index) {
  for (ClaimOnLink& state : links)
    if (state.link == link_index) return &state;
  return nullptr;
}

const ClaimOnLink* Claim::on(std::uint32_t link_index) const {
  return const_cast<Claim*>(this)->on(link_index);
}

Claim& OwnRecords::add_instance(AnnouncementId id, const Announcement& wanted, Slot host) {
  auto owned = std::make_unique<Claim>();
  Claim& claim = *owned;
  claim.slot = next_++;
  claim.id = id;
  claim.wanted = wanted;
  claim.base_label = claim.label = wanted.label;
  claim.type = *type_name(wanted.type);
  claim.name = *claim.type.child(wanted.label);
  claim.host = host;
  this->claim(host)->users += 1;
  claims_.emplace(claim.slot, std::move(owned));
  index(claim);
  set_subtypes(claim, wanted.subtypes);
  return claim;
}

void OwnRecords::set_subtypes(Claim& claim, const std::vector<std::string>& subtypes) {
  unindex(claim);
  claim.subtypes.clear();
  for (const std::string& subtype : subtypes)
    claim.subtypes.push_back(*subtype_name(subtype, claim.type));
  index(claim);
}

Claim& OwnRecords::add_host(const std::string& label, std::vector<IpAddress> addresses) {
  auto owned = std::make_unique<Claim>();
  Claim& claim = *owned;
  claim.slot = next_++;
  claim.is_host = true;
  claim.base_label = claim.label = label;
  claim.name = *local_domain().child(label);
  if (addresses.size() > kOwnAddressesMax) addresses.resize(kOwnAddressesMax);
  claim.addresses = std::move(addresses);
  claims_.emplace(claim.slot, std::move(owned));
  index(claim);
  return claim;
}

Claim& OwnRecords::add_name(AnnouncementId id, const Announcement& wanted,
                            const std::string& label) {
  Claim& claim = add_host(label, wanted.addresses);
  claim.is_name = true;
  claim.id = id;
  claim.wanted = wanted;
  claim.base_label = wanted.label;
  return claim;
}

void OwnRecords::remove(Slot slot) {
  Claim* gone = claim(slot);
  OUTRIDER_ASSERT(gone != nullptr);
  unindex(*gone);
  if (!gone->is_host) claim(gone->host)->users -= 1;
  claims_.erase(slot);
}

void OwnRecords::relabel(Claim& claim, const std::string& label) {
  unindex(claim);
  claim.label = label;
  claim.name = *(claim.is_host ? local_domain() : claim.type).child(label);
  index(claim);
}

void OwnRecords::index(const Claim& claim) {
  by_name_.insert_or_assign(claim.name, claim.slot);
  if (claim.is_host) return;
  by_type_[claim.type].emplace(claim.slot, 0);
  for (std::uint16_t i = 0; i < claim.subtypes.size(); ++i)
    by_subtype_[claim.subtypes[i]].emplace(claim.slot, i);
}

void OwnRecords::unindex(const Claim& claim) {
  const auto named = by_name_.find(claim.name);
  if (named != by_name_.end() && named->second == claim.slot) by_name_.erase(named);
  const auto drop = [&](auto& map, const dns::Name& name, std::uint16_t i) {
    const auto found = map.find(name);
    if (found == map.end()) return;
    found->second.erase({claim.slot, i});
    if (found->second.empty()) map.erase(found);
  };
  if (claim.is_host) return;
  drop(by_type_, claim.type, 0);
  for (std::uint16_t i = 0; i < claim.subtypes.size(); ++i)
    drop(by_subtype_, claim.subtypes[i], i);
}

Claim* OwnRecords::claim(Slot slot) {
  const auto found = claims_.find(slot);
  return found == claims_.end() ? nullptr : found->second.get();
}

const Claim* OwnRecords::claim(Slot slot) const {
  return const_cast<OwnRecords*>(this)->claim(slot);
}

Claim* OwnRecords::claim_named(const dns::Name& name) {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : claim(found->second);
}

const Claim* OwnRecords::claim_named(const dns::Name& name) const {
  return const_cast<OwnRecords*>(this)->claim_named(name);
}

Claim* OwnRecords::host_with(const std::vector<IpAddress>& addresses) {
  for (const auto& [slot, claim] : claims_)
    if (claim->is_host && !claim->is_name && claim->addresses == addresses) return claim.get();
  return nullptr;
}

const std::vector<IpAddress>& OwnRecords::addresses_of(const Claim& host, const Link& link) const {
  return host.addresses.empty() ? link.addresses : host.addresses;
}

bool OwnRecords::belongs(const Claim& claim, const Link& link) const {
  if (claim.failed) return false;
  if (claim.is_host && !claim.is_name) {
    return std::any_of(claims_.begin(), claims_.end(), [&](const auto& item) {
      return item.second->host == claim.slot && belongs(*item.second, link);
    });
  }
  return claim.host_only() ? link.loopback : link.carries_lan || lan_on_loopback_;
}

bool OwnRecords::answers(const Claim& claim, const Link& link) const {
  const auto probed = [&](const Claim& one) {
    const ClaimOnLink* state = one.on(link.index);
    return state != nullptr && (state->phase != Phase::probing || state->defended);
  };
  if (claim.failed || !probed(claim)) return false;
  return claim.is_host || probed(*this->claim(claim.host));
}

void OwnRecords::collect_claim(const Claim& claim, RrType type, const Link& link,
                               std::vector<OwnKey>& out) const {
  const std::size_t before = out.size();
  if (claim.is_host) {
    const auto& addresses = addresses_of(claim, link);
    for (std::uint16_t i = 0; i < addresses.size(); ++i)
      if (wants(type, addresses[i].is_v4() ? RrType::a : RrType::aaaa))
        out.push_back({OwnKind::address, claim.slot, i});
  } else {
    if (wants(type, RrType::srv)) out.push_back({OwnKind::srv, claim.slot});
    if (wants(type, RrType::txt)) out.push_back({OwnKind::txt, claim.slot});
  }
  // §6.1: the name is unique to us, so we know that the type does not exist.
  if (out.size() == before || type == RrType::nsec) out.push_back({OwnKind::nsec, claim.slot});
}

void OwnRecords::collect(const dns::Question& question, const Link& link,
                         std::vector<OwnKey>& out) const {
  if (question.rr_class != dns::RrClass::in && question.rr_class != dns::RrClass::any) return;
  if (const Claim* claim = claim_named(question.name)) {
    if (answers(*claim, link)) collect_claim(*claim, question.type, link, out);
    return;
  }
  if (!wants(question.type, RrType::ptr)) return;
  if (question.name == services_name()) {
    for (const auto& [type, members] : by_type_) {
      // One PTR per type: the first instance that is announced on this link represents all.
      for (const auto& [slot, index] : members) {
        if (!answers(*claim(slot), link)) continue;
        out.push_back({OwnKind::services_ptr, slot});
        break;
      }
    }
    return;
  }
  const auto each = [&](const auto& map, OwnKind kind) {
    const auto found = map.find(question.name);
    if (found == map.end()) return;
    for (const auto& [slot, index] : found->second)
      if (answers(*claim(slot), link)) out.push_back({kind, slot, index});
  };
  each(by_type_, OwnKind::type_ptr);
  each(by_subtype_, OwnKind::subtype_ptr);
}

void OwnRecords::collect_additional(const OwnKey& key, const Link& link,
                                    std::vector<OwnKey>& out) const {
  const Claim* owner = claim(key.slot);
  if (owner == nullptr || key.kind == OwnKind::services_ptr) return;
  if (owner->is_host) {
    // RFC 6762 §6.2: the addresses of the other family, or the NSEC that denies them.
    collect_claim(*owner, RrType::any, link, out);
    out.push_back({OwnKind::nsec, owner->slot});
    return;
  }
  if (key.kind != OwnKind::srv && key.kind != OwnKind::nsec)
    out.push_back({OwnKind::srv, owner->slot});
  if (key.kind == OwnKind::txt || key.kind == OwnKind::nsec) return;
  // The TXT goes with an SRV as well, where RFC 6763 §12.2 asks for the addresses only: readers
  // that assemble an instance from one datagram (grandcat/zeroconf) take SRV and address for a
  // complete instance, and the answer to another host's SRV question would give them one without a
  // TXT.
  out.push_back({OwnKind::txt, owner->slot});
  collect_claim(*claim(owner->host), RrType::any, link, out);
  out.push_back({OwnKind::nsec, owner->slot});
  out.push_back({OwnKind::nsec, owner->host});
}

void OwnRecords::collect_all(const Claim& claim, const Link& link, std::vector<OwnKey>& out) const {
  collect_revocable(claim, link, out);
  if (!claim.is_host) out.push_back({OwnKind::services_ptr, claim.slot});
}

void OwnRecords::collect_revocable(const Claim& claim, const Link& link,
                                   std::vector<OwnKey>& out) const {
  if (!claim.is_host) out.push_back({OwnKind::type_ptr, claim.slot});
  collect_claim(claim, RrType::any, link, out);
}

void OwnRecords::collect_subtypes(const Claim& claim, std::vector<OwnKey>& out) const {
  for (std::uint16_t i = 0; i < claim.subtypes.size(); ++i)
    out.push_back({OwnKind::subtype_ptr, claim.slot, i});
}

void OwnRecords::collect_unique(const Claim& claim, const Link& link,
                                std::vector<OwnKey>& out) const {
  collect_claim(claim, RrType::any, link, out);
}

std::vector<std::string> OwnRecords::txt_of(const Claim& claim, const Link& link) const {
  std::vector<std::string> strings =
      with_address(claim.wanted.txt, addresses_of(*this->claim(claim.host), link).front());
  for (std::string& string : strings)
    if (string.size() > 255) string.resize(255);
  // RFC 6763 §6.1: a TXT record always exists, if only with one empty string.
  if (strings.empty()) strings.emplace_back();
  return strings;
}

std::optional<dns::Record> OwnRecords::record(const OwnKey& key, const Link& link) const {
  const Claim* claim = this->claim(key.slot);
  if (claim == nullptr) return std::nullopt;
  dns::Record out;
  out.name = claim->name;
  out.ttl = ttls_.other;
  out.cache_flush = !shared(key.kind);  // §10.2
  switch (key.kind) {
    case OwnKind::type_ptr:
    case OwnKind::subtype_ptr:
      if (key.kind == OwnKind::subtype_ptr && key.index >= claim->subtypes.size()) return {};
      out.name = key.kind == OwnKind::type_ptr ? claim->type : claim->subtypes[key.index];
      out.type = RrType::ptr;
      out.data = dns::NameData{claim->name};
      break;
    case OwnKind::services_ptr:
      out.name = services_name();
      out.type = RrType::ptr;
      out.data = dns::NameData{claim->type};
      break;
    case OwnKind::srv:
      out.type = RrType::srv;
      out.ttl = ttls_.host;
      out.data = dns::SrvData{claim->wanted.priority, claim->wanted.weight, claim->wanted.port,
                              this->claim(claim->host)->name};
      break;
    case OwnKind::txt:
      out.type = RrType::txt;
      out.data = dns::TxtData{txt_of(*claim, link)};
      break;
    case OwnKind::address: {
      const auto& addresses = addresses_of(*claim, link);
      if (key.index >= addresses.size()) return {};
      out.type = addresses[key.index].is_v4() ? RrType::a : RrType::aaaa;
      out.ttl = ttls_.host;
      out.data = dns::AddressData{addresses[key.index]};
      break;
    }
    case OwnKind::nsec: {
      dns::NsecData nsec{claim->name, {}};
      if (claim->is_host) {
        const auto& addresses = addresses_of(*claim, link);
        const auto has = [&](bool v4) {
          return std::any_of(addresses.begin(), addresses.end(),
                             [&](const IpAddress& a) { return a.is_v4() == v4; });
        };
        if (has(true)) nsec.types.push_back(RrType::a);
        if (has(false)) nsec.types.push_back(RrType::aaaa);
        out.ttl = ttls_.host;
      } else {
        nsec.types = {RrType::txt, RrType::srv};
      }
      out.type = RrType::nsec;
      out.data = std::move(nsec);
      break;
    }
  }
  return out;
}

std::optional<OwnKey> OwnRecords::find(const dns::Record& other, const Link& link) const {
  std::vector<OwnKey> keys;
  if (other.type == RrType::ptr) {
    const auto* target = std::get_if<dns::NameData>(&other.data);
    if (target == nullptr) return std::nullopt;
    if (other.name == services_name()) {
      const auto members = by_type_.find(target->name);
      if (members == by_type_.end()) return std::nullopt;
      for (const auto& [slot, index] : members->second)
        if (answers(*claim(slot), link)) return OwnKey{OwnKind::services_ptr, slot};
      return std::nullopt;
    }
    const Claim* claim = claim_named(target->name);
    if (claim == nullptr || claim->is_host) return std::nullopt;
    if (claim->type == other.name) return OwnKey{OwnKind::type_ptr, claim->slot};
    for (std::uint16_t i = 0; i < claim->subtypes.size(); ++i)
      if (claim->subtypes[i] == other.name) return OwnKey{OwnKind::subtype_ptr, claim->slot, i};
    return std::nullopt;
  }
  const Claim* claim = claim_named(other.name);
  if (claim == nullptr) return std::nullopt;
  collect_claim(*claim, other.type, link, keys);
  for (const OwnKey& key : keys) {
    const auto ours = record(key, link);
    if (ours && ours->same_as(other)) return key;
  }
  return std::nullopt;
}

bool OwnRecords::shared(OwnKind kind) {
  return kind == OwnKind::type_ptr || kind == OwnKind::subtype_ptr || kind == OwnKind::services_ptr;
}

std::size_t OwnRecords::estimate(const OwnKey& key) const {
  const Claim* claim = this->claim(key.slot);
  if (claim == nullptr) return 0;
  switch (key.kind) {
    case OwnKind::type_ptr:
      return 16 + claim->label.size();
    case OwnKind::subtype_ptr:
      if (key.index >= claim->subtypes.size()) return 0;
      return 15 + claim->subtypes[key.index].label(0).size();
    case OwnKind::services_ptr:
      return 14 + claim->wanted.type.size();
    case OwnKind::srv:
      return 20;
    case OwnKind::txt: {
      std::size_t bytes = 12;
      for (const std::string& string : claim->wanted.txt)
        bytes += string.size() + 1;
      return bytes;
    }
    case OwnKind::address:
      return 28;
    case OwnKind::nsec:
      return 20;
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace outrider::mdns
