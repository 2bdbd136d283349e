// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/prober.h"

#include <algorithm>
#include <tuple>

#include "base/assert.h"
#include "mdns/limits.h"
#include "mdns/native/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns {
namespace {

/// Same but for what may change without a new claim.
bool same_claim(const Announcement& a, const Announcement& b) {
  return a.label == b.label && a.type == b.type && a.addresses == b.addresses &&
         a.host_only == b.host_only;
}

/// RFC 6762 §8.2: class, then type, then the octets of the uncompressed RDATA.
using Rank = std::tuple<std::uint16_t, std::uint16_t, std::vector<std::uint8_t>>;

Rank rank_of(const dns::Record& record) {
  return {static_cast<std::uint16_t>(record.rr_class), static_cast<std::uint16_t>(record.type),
          dns::rdata_wire(record.data)};
}

}  // namespace

void Prober::publish(TimePoint now, AnnouncementId id, const Announcement& wanted,
                     const std::string& host_label) {
  if (const auto known = by_id_.find(id); known != by_id_.end()) {
    Claim& claim = *own_.claim(known->second);
    if (claim.wanted == wanted && !claim.failed) return;
    if (same_claim(claim.wanted, wanted) && !claim.failed) {
      // Not every cache knows the cache-flush bit, and at the old port nobody answers. Of these
      // records those are sent that do not stand any more, and after the new ones: nobody is left
      // with neither.
      const bool other_subtypes = claim.wanted.subtypes != wanted.subtypes;
      if (claim.wanted.port != wanted.port || other_subtypes)
        say_goodbye(now + kGoodbyeInterval, claim);
      if (other_subtypes) {
        responder_.forget(claim.slot);  // what waits there is numbered as the subtypes were
        own_.set_subtypes(claim, wanted.subtypes);
      }
      claim.wanted = wanted;
      return announce_again(now, claim);
    }
    withdraw(now, id);
  }
  Claim* host = own_.host_with(wanted.addresses);
  if (host == nullptr) {
    host = &own_.add_host(host_label, wanted.addresses);
    if (own_.claim_named(host->name) != host) own_.relabel(*host, host_label);
  }
  Claim& claim = own_.add_instance(id, wanted, host->slot);
  by_id_[id] = claim.slot;
  begin_everywhere(now, *host);
  begin_everywhere(now, claim);
}

const Claim* Prober::claim(AnnouncementId id) const {
  const auto known = by_id_.find(id);
  return known == by_id_.end() ? nullptr : own_.claim(known->second);
}

void Prober::withdraw(TimePoint now, AnnouncementId id) {
  const auto known = by_id_.find(id);
  if (known == by_id_.end()) return;
  const Slot slot = known->second;
  const Slot host = own_.claim(slot)->host;
  by_id_.erase(known);
  remove(now, slot, true);
  if (own_.claim(host)->users == 0) remove(now, host, true);
}

void Prober::withdraw_all(TimePoint now) {
  while (!by_id_.empty())
    withdraw(now, by_id_.begin()->first);
}

void Prober::remove(TimePoint now, Slot slot, bool goodbye) {
  Claim& claim = *own_.claim(slot);
  if (goodbye) say_goodbye(now, claim);
  for (ClaimOnLink& state : claim.links)
    unschedule(claim, state);
  responder_.forget(slot);
  own_.remove(slot);
}

// --- Progress -----------------------------------------------------------------------------------

void Prober::schedule(Claim& claim, ClaimOnLink& state, TimePoint due) {
  unschedule(claim, state);
  state.due = due;
  state.scheduled = true;
  due_.insert({due, claim.slot, state.link});
}

void Prober::unschedule(Claim& claim, ClaimOnLink& state) {
  if (!std::exchange(state.scheduled, false)) return;
  due_.erase({state.due, claim.slot, state.link});
}

void Prober::begin(TimePoint now, Claim& claim, const Link& link) {
  ClaimOnLink* state = claim.on(link.index);
  if (state == nullptr) {
    claim.links.push_back({link.index});
    state = &claim.links.back();
  }
  state->phase = Phase::probing;
  state->sent = 0;
  // §8.1: a random start, the same one for all that is published together, so that one datagram
  // probes for all of it.
  TimePoint& start = starts_[link.index];
  if (start <= now) start = now + random_.between(Duration::zero(), kProbeStartMax);
  schedule(claim, *state, std::max(start, claim.not_before));
}

void Prober::begin_everywhere(TimePoint now, Claim& claim) {
  for (const Link& link : links_.all)
    if (own_.belongs(claim, link) && claim.on(link.index) == nullptr) begin(now, claim, link);
}

void Prober::announce_again(TimePoint now, Claim& claim) {
  for (ClaimOnLink& state : claim.links) {
    if (state.phase == Phase::probing) continue;  // announced soon anyway, as it is then
    state.phase = Phase::announcing;
    state.sent = 0;
    schedule(claim, state, now);
  }
}

void Prober::leave_links(TimePoint now, Claim& claim) {
  for (auto state = claim.links.begin(); state != claim.links.end();) {
    const Link* link = links_.find(state->link);
    if (link != nullptr && own_.belongs(claim, *link)) {
      ++state;
      continue;
    }
    if (link != nullptr && state->phase != Phase::probing) say_goodbye(now, claim, *link);
    unschedule(claim, *state);
    state = claim.links.erase(state);
  }
}

void Prober::links_changed(TimePoint now, const LinkChange& change) {
  for (const auto& [slot, owned] : own_.all()) {
    Claim& claim = *owned;
    leave_links(now, claim);
    for (const Link& link : links_.all) {
      if (!own_.belongs(claim, link)) continue;
      ClaimOnLink* state = claim.on(link.index);
      if (state != nullptr && state->phase != Phase::probing)
        for (const Link& before : change.before)
          if (before.index == link.index) say_goodbye_to_addresses(now, claim, before, link);
      if (state == nullptr || change.fresh.contains(link.index)) {
        begin(now, claim, link);
      } else if (change.readdressed.contains(link.index) && state->phase != Phase::probing) {
        state->phase = Phase::announcing;  // §8.4: texts may carry the address
        state->sent = 0;
        schedule(claim, *state, now);
      }
    }
  }
  std::erase_if(goodbyes_,
                [&](const auto& item) { return links_.find(item.second.link) == nullptr; });
}

void Prober::step(TimePoint now, Claim& claim, ClaimOnLink& state, Batch& batch) {
  if (state.phase == Phase::probing) {
    if (now < claim.not_before) return schedule(claim, state, claim.not_before);
    if (state.sent < kProbeCount) {
      ++state.sent;
      batch.probes.push_back(claim.slot);
      return schedule(claim, state, now + kProbeInterval);
    }
    state.phase = Phase::announcing;
    state.sent = 0;
  }
  if (!claim.is_host) {
    const ClaimOnLink* host = own_.claim(claim.host)->on(state.link);
    if (host == nullptr || host->phase == Phase::probing)
      return schedule(claim, state, now + kProbeInterval);
  }
  batch.announcements.push_back(claim.slot);
  if (++state.sent < kAnnounceCount) return schedule(claim, state, now + kAnnounceInterval);
  state.phase = Phase::established;
}

void Prober::run(TimePoint now, Outlet& outlet) {
  std::map<std::uint32_t, Batch> batches;
  std::size_t burst = now < pause_until_ ? kBurst : 0;
  while (!due_.empty() && due_.begin()->at <= now) {
    if (burst == kBurst) {
      if (pause_until_ <= now) pause_until_ = now + kBurstPause;
      break;
    }
    ++burst;
    const Due due = *due_.begin();
    due_.erase(due_.begin());
    Claim& claim = *own_.claim(due.slot);
    ClaimOnLink& state = *claim.on(due.link);
    state.scheduled = false;
    step(now, claim, state, batches[due.link]);
  }
  for (const auto& [index, batch] : batches) {
    const Link* link = links_.find(index);
    if (link == nullptr) continue;
    if (!batch.probes.empty()) send_probes(*link, batch.probes, outlet);
    if (!batch.announcements.empty()) send_announcements(now, *link, batch.announcements, outlet);
  }
  run_goodbyes(now, outlet);
}

std::optional<TimePoint> Prober::next_due() const {
  std::optional<TimePoint> due;
  if (!due_.empty()) due = std::max(due_.begin()->at, pause_until_);
  if (!goodbyes_.empty()) {
    const TimePoint goodbye = std::max(goodbyes_.begin()->first, goodbye_pause_until_);
    if (!due || goodbye < *due) due = goodbye;
  }
  return due;
}

void Prober::send_probes(const Link& link, const std::vector<Slot>& slots, Outlet& outlet) {
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
    if (!link.has(family)) continue;
    Emit emit = [&](Bytes payload) { outlet.multicast(link, family, payload); };
    pack_probes(own_, link, link.payload(family), slots, emit);
  }
}

void Prober::send_announcements(TimePoint now, const Link& link, const std::vector<Slot>& slots,
                                Outlet& outlet) {
  std::vector<Group> groups;
  std::set<Slot> told;  // hosts whose addresses go along with an instance
  for (const Slot slot : slots) {
    const Claim& claim = *own_.claim(slot);
    if (claim.is_host) continue;
    Group group;
    own_.collect_all(claim, link, true, group.answers);
    own_.collect_all(*own_.claim(claim.host), link, true, group.answers);
    group.additionals = {{OwnKind::nsec, claim.host}};
    groups.push_back(std::move(group));
    // By themselves: sixteen of them would make of an instance more than fits a frame.
    Group narrower;
    own_.collect_subtypes(claim, narrower.answers);
    if (!narrower.answers.empty()) groups.push_back(std::move(narrower));
    told.insert(claim.host);
  }
  for (const Slot slot : slots) {
    const Claim& claim = *own_.claim(slot);
    if (!claim.is_host || told.contains(slot)) continue;
    Group group;
    own_.collect_all(claim, link, true, group.answers);
    groups.push_back(std::move(group));
  }
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
    if (!link.has(family)) continue;
    Emit emit = [&](Bytes payload) { outlet.multicast(link, family, payload); };
    pack_groups(own_, link, link.payload(family), groups, {}, emit);
  }
  responder_.note_sent(now, link, groups);
  for (const Slot slot : slots)
    announced(*own_.claim(slot));
}

void Prober::announced(Claim& claim) {
  claim.slow = false;
  if (claim.is_host || std::exchange(claim.told, true)) return;
  events_.push_back({claim.id, true, claim.label});
}

// --- Goodbye (§10.1) ----------------------------------------------------------------------------

void Prober::say_goodbye(TimePoint now, const Claim& claim) {
  for (const ClaimOnLink& state : claim.links) {
    const Link* link = links_.find(state.link);
    if (link != nullptr && state.phase != Phase::probing) say_goodbye(now, claim, *link);
  }
}

void Prober::say_goodbye(TimePoint now, const Claim& claim, const Link& link) {
  std::vector<OwnKey> keys;
  // Not the PTR of _services._dns-sd._udp: others may announce the same one.
  own_.collect_all(claim, link, false, keys);
  own_.collect_subtypes(claim, keys);
  Goodbye goodbye{link.index, kGoodbyeCount, {}};
  for (const OwnKey& key : keys) {
    auto record = own_.record(key, link);
    if (!record || key.kind == OwnKind::nsec) continue;
    record->ttl = 0;
    goodbye.records.push_back(std::move(*record));
  }
  goodbyes_.emplace(now, std::move(goodbye));
}

void Prober::say_goodbye_to_addresses(TimePoint now, const Claim& host, const Link& before,
                                      const Link& link) {
  if (!host.is_host || !host.addresses.empty()) return;
  const bool stays =
      std::any_of(before.addresses.begin(), before.addresses.end(), [&](const IpAddress& address) {
        return std::find(link.addresses.begin(), link.addresses.end(), address) !=
               link.addresses.end();
      });
  std::vector<OwnKey> keys;
  own_.collect_all(host, before, false, keys);
  Goodbye goodbye{link.index, kGoodbyeCount, {}};
  for (const OwnKey& key : keys) {
    auto record = own_.record(key, before);
    if (!record || key.kind != OwnKind::address || own_.find(*record, link)) continue;
    // Where none is left, the old ones are better than nothing until the new ones, which take their
    // place, have been announced. Of a family that is gone nothing will.
    const bool v4 = record->type == dns::RrType::a;
    if (!stays && link.has(v4 ? IpAddress::Family::v4 : IpAddress::Family::v6)) continue;
    record->ttl = 0;
    goodbye.records.push_back(std::move(*record));
  }
  if (!goodbye.records.empty()) goodbyes_.emplace(now, std::move(goodbye));
}

/// True if the record is one of ours, here and now.
bool Prober::stands(const dns::Record& record, const Link& link) const {
  const auto key = own_.find(record, link);
  return key && own_.belongs(*own_.claim(key->slot), link);
}

void Prober::run_goodbyes(TimePoint now, Outlet& outlet) {
  if (now < goodbye_pause_until_) return;
  std::map<std::uint32_t, std::vector<dns::Record>> records;
  for (std::size_t said = 0; !goodbyes_.empty() && goodbyes_.begin()->first <= now; ++said) {
    if (said == kBurst) {
      goodbye_pause_until_ = now + kBurstPause;
      break;
    }
    auto node = goodbyes_.extract(goodbyes_.begin());
    Goodbye& goodbye = node.mapped();
    // What has been claimed again in the meantime must not be taken back.
    const Link* link = links_.find(goodbye.link);
    std::erase_if(goodbye.records, [&](const dns::Record& record) {
      return link == nullptr || stands(record, *link);
    });
    auto& all = records[goodbye.link];
    all.insert(all.end(), goodbye.records.begin(), goodbye.records.end());
    if (--goodbye.left == 0) continue;
    node.key() = now + kGoodbyeInterval;
    goodbyes_.insert(std::move(node));
  }
  for (const auto& [index, all] : records) {
    const Link* link = links_.find(index);
    if (link == nullptr || all.empty()) continue;
    for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
      if (!link->has(family)) continue;
      Emit emit = [&](Bytes payload) { outlet.multicast(*link, family, payload); };
      pack_records(all, link->payload(family), emit);
    }
  }
}

// --- Conflicts (§8.1, §8.2, §9) -----------------------------------------------------------------

void Prober::on_query(TimePoint now, const Link& link, const Packet& packet) {
  if (packet.authorities.empty() || packet.legacy) return;
  std::map<Slot, std::vector<dns::Record>> proposed;
  for (const dns::Record& record : packet.authorities) {
    const Claim* claim = own_.claim_named(record.name);
    if (claim == nullptr) continue;
    const ClaimOnLink* state = claim->on(link.index);
    if (state != nullptr && state->phase == Phase::probing) proposed[claim->slot].push_back(record);
  }
  for (const auto& [slot, theirs] : proposed) {
    Claim& claim = *own_.claim(slot);
    if (wins(claim, link, theirs)) continue;
    // §8.2: wait a second and probe anew; the winner will have claimed the name by then.
    claim.not_before = std::max(claim.not_before, now + kProbeDeferral);
    ClaimOnLink& state = *claim.on(link.index);
    state.sent = 0;
    schedule(claim, state, claim.not_before);
  }
}

bool Prober::wins(const Claim& claim, const Link& link,
                  const std::vector<dns::Record>& theirs) const {
  std::vector<OwnKey> keys;
  own_.collect_unique(claim, link, keys);
  std::vector<Rank> ours_ranked, theirs_ranked;
  for (const OwnKey& key : keys)
    if (key.kind != OwnKind::nsec) ours_ranked.push_back(rank_of(*own_.record(key, link)));
  for (const dns::Record& record : theirs)
    theirs_ranked.push_back(rank_of(record));
  std::sort(ours_ranked.begin(), ours_ranked.end());
  std::sort(theirs_ranked.begin(), theirs_ranked.end());
  // The later one wins; equal ones are ours, come back over another link.
  return ours_ranked >= theirs_ranked;
}

bool Prober::conflicts(const Claim& claim, const ClaimOnLink& state, const Link& link,
                       const dns::Record& record) const {
  if (record.ttl == 0 || record.type == dns::RrType::nsec) return false;
  if (record.rr_class != dns::RrClass::in || own_.find(record, link)) return false;
  if (claim.is_host) {
    const auto* address = std::get_if<dns::AddressData>(&record.data);
    // Our own address of another link, or of before: a bridge or a reflector brought it back.
    if (address != nullptr && link.is_own_host(address->address)) return false;
    if (state.phase != Phase::probing && address == nullptr) return false;
    return true;
  }
  if (const auto* srv = std::get_if<dns::SrvData>(&record.data)) {
    const Claim* host = own_.claim_named(srv->target);
    // What is left of ourselves: nobody else has our host label.
    if (host != nullptr && host->is_host) return false;
  }
  // §8.1: while probing any record of the name; §9: later only another one of the same type.
  return state.phase == Phase::probing || record.type == dns::RrType::srv ||
         record.type == dns::RrType::txt;
}

void Prober::on_response(TimePoint now, const Link& link, const Packet& packet) {
  std::set<Slot> ours;  // named in this packet along with our host label: left by ourselves
  std::set<Slot> hit;
  for (const auto* section : {&packet.answers, &packet.additionals}) {
    for (const dns::Record& record : *section) {
      const Claim* claim = own_.claim_named(record.name);
      if (claim == nullptr || claim->failed) continue;
      const ClaimOnLink* state = claim->on(link.index);
      if (state == nullptr) continue;
      if (conflicts(*claim, *state, link, record))
        hit.insert(claim->slot);
      else if (record.type == dns::RrType::srv)
        ours.insert(claim->slot);
    }
  }
  for (const Slot slot : hit) {
    if (ours.contains(slot)) continue;
    Claim* claim = own_.claim(slot);
    if (claim == nullptr) continue;
    if (ClaimOnLink* state = claim->on(link.index)) conflict(now, *claim, *state);
  }
}

/// Its name goes. Where it is announced it is taken back, but not on the link on which somebody
/// else has it: there its PTR is his.
void Prober::leave_name(TimePoint now, const Claim& claim, const ClaimOnLink& lost_on) {
  for (const ClaimOnLink& state : claim.links) {
    const Link* link = links_.find(state.link);
    if (link != nullptr && &state != &lost_on && state.phase != Phase::probing)
      say_goodbye(now, claim, *link);
  }
}

void Prober::conflict(TimePoint now, Claim& claim, ClaimOnLink& state) {
  while (!claim.conflicts.empty() && now - claim.conflicts.front() > kConflictWindow)
    claim.conflicts.pop_front();
  if (state.phase != Phase::probing) {
    // §9: back to probing, silent until it is settled. Once in a window is enough: whoever is
    // there will contradict the probe, and forged records must not keep us silent for ever.
    if (!claim.conflicts.empty()) return;
    claim.conflicts.push_back(now);
    const Link* link = links_.find(state.link);
    if (link != nullptr) begin(now, claim, *link);
    return;
  }
  claim.conflicts.push_back(now);
  if (claim.conflicts.size() >= kConflictsMax) claim.slow = true;  // §8.1, until a claim succeeds
  if (claim.slow) {
    claim.conflicts.clear();
    claim.not_before = now + kConflictPause;
  }
  leave_name(now, claim, state);
  if (policy_ == ConflictPolicy::fail || claim.renames >= kRenamesMax) {
    claim.failed = !claim.is_host;
    for (ClaimOnLink& each : claim.links)
      unschedule(claim, each);
    if (!claim.is_host) {
      claim.links.clear();
      responder_.forget(claim.slot);
      events_.push_back({claim.id, false, claim.label});
      return;
    }
  }
  rename(now, claim);
}

void Prober::rename(TimePoint now, Claim& claim) {
  ++claim.renames;
  std::string label;
  unsigned number = claim.renames + 1;
  do {
    label = next_label(claim.base_label, number++);
  } while (own_.claim_named(*(claim.is_host ? local_domain() : claim.type).child(label)) !=
           nullptr);
  responder_.forget(claim.slot);
  own_.relabel(claim, label);
  claim.told = false;
  for (const Link& link : links_.all)
    if (own_.belongs(claim, link)) begin(now, claim, link);
  if (!claim.is_host) return;
  // Their SRV records have another target now.
  for (const auto& [slot, user] : own_.all())
    if (user->host == claim.slot) announce_again(now, *user);
}

}  // namespace outrider::mdns
