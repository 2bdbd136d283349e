// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/publisher.h"

#include <algorithm>

#include "base/assert.h"
#include "base/text.h"
#include "mdns/limits.h"
#include "mdns/native/conflict.h"
#include "mdns/native/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns {
namespace {

/// Whether all is equal that cannot change without a new claim.
bool same_claim(const Announcement& a, const Announcement& b) {
  return a.label == b.label && a.type == b.type && a.addresses == b.addresses &&
         a.host_only == b.host_only;
}

}  // namespace

void Publisher::publish(TimePoint now, AnnouncementId id, const Announcement& wanted,
                        const std::string& host_label) {
  if (const auto known = by_id_.find(id); known != by_id_.end()) {
    Claim& claim = *own_.claim(known->second);
    if (claim.wanted == wanted && !claim.failed) return;
    if (same_claim(claim.wanted, wanted) && !claim.failed) {
      // Not every cache obeys the cache-flush bit, and the old port no longer answers. The goodbye
      // leaves out what is still announced, and follows the new records so that no cache is left
      // with neither.
      const bool other_subtypes = claim.wanted.subtypes != wanted.subtypes;
      if (claim.wanted.port != wanted.port || other_subtypes)
        goodbyes_.add_everywhere(now + kGoodbyeInterval, claim);
      if (other_subtypes) {
        responder_.forget(claim.slot);  // waiting answers refer to the old numbers of subtypes
        own_.set_subtypes(claim, wanted.subtypes);
      }
      claim.wanted = wanted;
      return announce_again(now, claim);
    }
    withdraw(now, id);
  }
  if (wanted.is_name())
    add_name(now, id, wanted);
  else
    add_instance(now, id, wanted, host_label);
}

void Publisher::add_instance(TimePoint now, AnnouncementId id, const Announcement& wanted,
                             const std::string& host_label) {
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

void Publisher::add_name(TimePoint now, AnnouncementId id, const Announcement& wanted) {
  const std::string& first = wanted.preferred.empty() ? wanted.label : wanted.preferred;
  const std::string label = free_label(first, wanted.label, 2,
                                       [this](const std::string& each) { return is_taken(each); });
  Claim& claim = own_.add_name(id, wanted, label);
  by_id_[id] = claim.slot;
  begin_everywhere(now, claim);
}

bool Publisher::is_taken(const std::string& label) const {
  return equal_fold(label, machine_) || own_.claim_named(*local_domain().child(label)) != nullptr;
}

const Claim* Publisher::claim(AnnouncementId id) const {
  const auto known = by_id_.find(id);
  return known == by_id_.end() ? nullptr : own_.claim(known->second);
}

void Publisher::withdraw(TimePoint now, AnnouncementId id) {
  const auto known = by_id_.find(id);
  if (known == by_id_.end()) return;
  const Slot slot = known->second;
  const Slot host = own_.claim(slot)->host;
  by_id_.erase(known);
  remove(now, slot);
  if (host != kNoSlot && own_.claim(host)->users == 0) remove(now, host);
}

void Publisher::withdraw_all(TimePoint now) {
  while (!by_id_.empty())
    withdraw(now, by_id_.begin()->first);
}

void Publisher::remove(TimePoint now, Slot slot) {
  Claim& claim = *own_.claim(slot);
  goodbyes_.add_everywhere(now, claim);
  for (ClaimOnLink& state : claim.links)
    unschedule(claim, state);
  responder_.forget(slot);
  own_.remove(slot);
}

// --- Progress -----------------------------------------------------------------------------------

void Publisher::schedule(Claim& claim, ClaimOnLink& state, TimePoint due) {
  unschedule(claim, state);
  state.due = due;
  state.scheduled = true;
  due_.insert({due, claim.slot, state.link});
}

void Publisher::unschedule(Claim& claim, ClaimOnLink& state) {
  if (!std::exchange(state.scheduled, false)) return;
  due_.erase({state.due, claim.slot, state.link});
}

void Publisher::begin(TimePoint now, Claim& claim, const Link& link) {
  ClaimOnLink* state = claim.on(link.index);
  if (state == nullptr) {
    claim.links.push_back({link.index});
    state = &claim.links.back();
  }
  state->phase = Phase::probing;
  state->sent = 0;
  state->defended = false;
  // §8.1: a random start, shared by all claims that are published together, so that one datagram
  // probes for all of them.
  TimePoint& start = starts_[link.index];
  if (start <= now) start = now + random_.between(Duration::zero(), kProbeStartMax);
  schedule(claim, *state, std::max(start, claim.not_before));
}

void Publisher::begin_everywhere(TimePoint now, Claim& claim) {
  for (const Link& link : links_.all)
    if (own_.belongs(claim, link) && claim.on(link.index) == nullptr) begin(now, claim, link);
}

void Publisher::announce_again(TimePoint now, Claim& claim) {
  for (ClaimOnLink& state : claim.links) {
    if (state.phase == Phase::probing) continue;  // will be announced with the new data
    state.phase = Phase::announcing;
    state.sent = 0;
    schedule(claim, state, now);
  }
}

void Publisher::leave_links(TimePoint now, Claim& claim) {
  for (auto state = claim.links.begin(); state != claim.links.end();) {
    const Link* link = links_.find(state->link);
    if (link != nullptr && own_.belongs(claim, *link)) {
      ++state;
      continue;
    }
    if (link != nullptr && claim.announced) goodbyes_.add(now, claim, *link);
    unschedule(claim, *state);
    state = claim.links.erase(state);
  }
}

void Publisher::on_links_changed(TimePoint now, const LinkChange& change) {
  for (const auto& [slot, owned] : own_.all()) {
    Claim& claim = *owned;
    leave_links(now, claim);
    for (const Link& link : links_.all) {
      if (!own_.belongs(claim, link)) continue;
      ClaimOnLink* state = claim.on(link.index);
      if (state != nullptr && state->phase != Phase::probing)
        for (const Link& before : change.before)
          if (before.index == link.index) goodbyes_.add_lost_addresses(now, claim, before, link);
      if (state == nullptr || change.fresh.contains(link.index)) {
        begin(now, claim, link);
      } else if (change.readdressed.contains(link.index) && state->phase != Phase::probing) {
        state->phase = Phase::announcing;  // §8.4: a TXT may contain the address
        state->sent = 0;
        schedule(claim, *state, now);
      }
    }
  }
  std::erase_if(starts_, [&](const auto& item) { return links_.find(item.first) == nullptr; });
  goodbyes_.on_links_changed();
}

void Publisher::announce_again(TimePoint now, const Link& link) {
  for (const auto& [slot, claim] : own_.all()) {
    ClaimOnLink* state = claim->on(link.index);
    if (state == nullptr || state->phase != Phase::established) continue;
    state->phase = Phase::announcing;
    state->sent = 0;
    schedule(*claim, *state, now + random_.between(kSharedDelayMin, kSharedDelayMax));
  }
}

void Publisher::step(TimePoint now, Claim& claim, ClaimOnLink& state, Batch& batch) {
  if (state.phase == Phase::probing) {
    if (now < claim.not_before) return schedule(claim, state, claim.not_before);
    if (state.sent < kProbeCount) {
      ++state.sent;
      batch.probes.push_back(claim.slot);
      return schedule(claim, state, now + kProbeInterval);
    }
    state.phase = Phase::announcing;
    state.sent = 0;
    state.defended = false;
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

void Publisher::run(TimePoint now, Outlet& outlet) {
  std::map<std::uint32_t, Batch> batches;
  std::map<std::uint32_t, std::size_t> burst;  // by link: each has neighbours of its own
  while (now >= pause_until_ && !due_.empty() && due_.begin()->at <= now) {
    const Due due = *due_.begin();
    if (burst[due.link]++ == kBurst) {
      pause_until_ = now + kBurstPause;
      break;
    }
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
  goodbyes_.run(now, outlet);
}

std::optional<TimePoint> Publisher::next_due() const {
  std::optional<TimePoint> due;
  if (!due_.empty()) due = std::max(due_.begin()->at, pause_until_);
  const auto goodbye = goodbyes_.next_due();
  if (goodbye && (!due || *goodbye < *due)) due = goodbye;
  return due;
}

void Publisher::send_probes(const Link& link, const std::vector<Slot>& slots, Outlet& outlet) {
  std::vector<Proposal> proposals;
  for (const Slot slot : slots)
    proposals.push_back({own_.claim(slot)->name, proposal(own_, *own_.claim(slot), link)});
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
    if (!link.has(family)) continue;
    Emit emit = [&](Bytes payload) { outlet.multicast(link, family, payload); };
    pack_probes(proposals, link.payload(family), emit);
  }
}

void Publisher::send_announcements(TimePoint now, const Link& link, const std::vector<Slot>& slots,
                                   Outlet& outlet) {
  std::vector<Group> groups;
  std::set<Slot> covered;  // hosts whose addresses go along with an instance
  for (const Slot slot : slots) {
    const Claim& claim = *own_.claim(slot);
    if (claim.is_host) continue;
    Group group;
    own_.collect_all(claim, link, group.answers);
    own_.collect_all(*own_.claim(claim.host), link, group.answers);
    group.additionals = {{OwnKind::nsec, claim.host}};
    groups.push_back(std::move(group));
    // In a group of their own: sixteen subtypes would push an instance past one frame.
    Group subtypes;
    own_.collect_subtypes(claim, subtypes.answers);
    if (!subtypes.answers.empty()) groups.push_back(std::move(subtypes));
    covered.insert(claim.host);
  }
  for (const Slot slot : slots) {
    const Claim& claim = *own_.claim(slot);
    if (!claim.is_host || covered.contains(slot)) continue;
    Group group;
    own_.collect_all(claim, link, group.answers);
    groups.push_back(std::move(group));
  }
  for (const auto family : {IpAddress::Family::v4, IpAddress::Family::v6}) {
    if (!link.has(family)) continue;
    Emit emit = [&](Bytes payload) { outlet.multicast(link, family, payload); };
    pack_groups(own_, link, link.payload(family), groups, {}, emit);
  }
  responder_.note_sent(now, link, groups);
  for (const Slot slot : slots)
    note_announced(*own_.claim(slot));
}

void Publisher::note_announced(Claim& claim) {
  claim.slow = false;
  if (std::exchange(claim.announced, true) || (claim.is_host && !claim.is_name)) return;
  events_.push_back({claim.id, Outcome::announced, claim.label});
}

// --- Conflicts (§8.1, §8.2, §9) -----------------------------------------------------------------

void Publisher::on_query(TimePoint now, const Link& link, const Packet& packet) {
  if (packet.authorities.empty() || packet.legacy) return;
  goodbyes_.on_probe(packet);
  std::map<Slot, std::vector<dns::Record>> proposed;
  for (const dns::Record& record : packet.authorities) {
    const Claim* claim = own_.claim_named(record.name);
    if (claim == nullptr) continue;
    const ClaimOnLink* state = claim->on(link.index);
    if (state != nullptr && state->phase == Phase::probing) proposed[claim->slot].push_back(record);
  }
  for (const auto& [slot, theirs] : proposed) {
    Claim& claim = *own_.claim(slot);
    // Equal data is our own probe, returned over another link.
    if (compare_proposals(proposal(own_, claim, link), theirs) >= 0) continue;
    // §8.2: wait a second and probe again; the winner will have claimed the name by then.
    claim.not_before = std::max(claim.not_before, now + kProbeDeferral);
    ClaimOnLink& state = *claim.on(link.index);
    state.sent = 0;
    schedule(claim, state, claim.not_before);
  }
}

void Publisher::on_response(TimePoint now, const Link& link, const Packet& packet) {
  goodbyes_.on_response(packet);
  std::set<Slot> ours;  // this packet has their SRV with our host label: a leftover of ourselves
  std::set<Slot> hit;
  for (const auto* section : {&packet.answers, &packet.additionals}) {
    for (const dns::Record& record : *section) {
      const Claim* claim = own_.claim_named(record.name);
      if (claim == nullptr || claim->failed) continue;
      const ClaimOnLink* state = claim->on(link.index);
      if (state == nullptr) continue;
      if (conflicts(own_, *claim, state->phase, link, record))
        hit.insert(claim->slot);
      else if (record.type == dns::RrType::srv)
        ours.insert(claim->slot);
    }
  }
  for (const Slot slot : hit) {
    if (ours.contains(slot)) continue;
    Claim* claim = own_.claim(slot);
    if (claim == nullptr) continue;
    if (ClaimOnLink* state = claim->on(link.index)) resolve_conflict(now, *claim, *state);
  }
}

/// Takes the name back wherever it is announced, but not on the link on which another host has it:
/// there the PTR belongs to that host.
void Publisher::leave_name(TimePoint now, const Claim& claim, const ClaimOnLink& lost_on) {
  for (const ClaimOnLink& state : claim.links) {
    const Link* link = links_.find(state.link);
    if (link != nullptr && &state != &lost_on && claim.announced) goodbyes_.add(now, claim, *link);
  }
}

void Publisher::resolve_conflict(TimePoint now, Claim& claim, ClaimOnLink& state) {
  while (!claim.conflicts.empty() && now - claim.conflicts.front() > kConflictWindow)
    claim.conflicts.pop_front();
  if (state.phase != Phase::probing) {
    // §9: back to probing, at every conflict. A real owner contradicts the probe. After the first
    // conflict of a window we keep answering meanwhile: forged records must not silence us.
    const bool again = !claim.conflicts.empty();
    if (claim.conflicts.size() < kConflictsMax) claim.conflicts.push_back(now);
    const Link* link = links_.find(state.link);
    if (link == nullptr) return;
    begin(now, claim, *link);
    state.defended = again;
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
    claim.failed = !claim.is_host || claim.is_name;
    for (ClaimOnLink& each : claim.links)
      unschedule(claim, each);
    if (claim.failed) {
      claim.links.clear();
      responder_.forget(claim.slot);
      events_.push_back({claim.id, Outcome::conflict, claim.label});
      return;
    }
  }
  rename(now, claim);
}

void Publisher::rename(TimePoint now, Claim& claim) {
  ++claim.renames;
  const std::string before = claim.label;
  const unsigned number = claim.renames + 1;
  const std::string label =
      free_label(next_label(claim.base_label, number), claim.base_label, number + 1,
                 [&](const std::string& each) {
                   return claim.is_host ? is_taken(each)
                                        : own_.claim_named(*claim.type.child(each)) != nullptr;
                 });
  responder_.forget(claim.slot);
  own_.relabel(claim, label);
  claim.announced = false;
  for (const Link& link : links_.all)
    if (own_.belongs(claim, link)) begin(now, claim, link);
  if (!claim.is_host || claim.is_name) return;
  events_.push_back({0, Outcome::host_renamed, label, before});
  // The SRV records of its instances have a new target.
  for (const auto& [slot, user] : own_.all())
    if (user->host == claim.slot) announce_again(now, *user);
}

}  // namespace outrider::mdns
