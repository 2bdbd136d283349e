// SPDX-License-Identifier: Apache-2.0
#include "mdns/avahi/discoveries.h"

#include <algorithm>

#include "base/assert.h"
#include "mdns/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns::avahi {
namespace {

std::optional<ServiceType> clean_type(const std::string& type) {
  const auto name = type_name(type);
  return name ? type_of(*name) : std::nullopt;
}

/// IPv4 first, global before link-local, then by number: the same order every time.
bool before(const SightedAddress& a, const SightedAddress& b) {
  const auto rank = [](const SightedAddress& s) {
    return std::pair(s.address.is_v6(), s.address.is_link_local());
  };
  return std::pair(rank(a), a) < std::pair(rank(b), b);
}

bool same_but_expires(const Sighting& a, const Sighting& b) {
  Sighting copy = a;
  copy.expires = b.expires;
  return copy == b;
}

}  // namespace

// --- Types --------------------------------------------------------------------------------------

void Discoveries::browse(TimePoint now, const std::vector<ServiceType>& types) {
  const std::set<ServiceType> before = std::exchange(wanted_, {});
  for (const ServiceType& type : types)
    if (const auto clean = clean_type(type)) wanted_.insert(*clean);
  choose_browsers(now);
  std::vector<ServiceType> changed;
  std::set_symmetric_difference(before.begin(), before.end(), wanted_.begin(), wanted_.end(),
                                std::back_inserter(changed));
  for (const ServiceType& type : changed)
    report_again(type);
}

void Discoveries::report_again(const ServiceType& type) {
  for (auto it = instances_.lower_bound({type, {}});
       it != instances_.end() && it->first.type == type; ++it)
    if (it->second.reported) events_.push_back(*it->second.reported);
}

bool Discoveries::has_instances(const ServiceType& type) const {
  const auto first = instances_.lower_bound({type, {}});
  return first != instances_.end() && first->first.type == type;
}

void Discoveries::ask(TimePoint now, const ServiceType& type) {
  // The daemon asks by itself for browsed types; any other type needs a browser for a while.
  const auto clean = clean_type(type);
  if (!clean || (browsers_.contains(*clean) && !asked_.contains(*clean))) return;
  if (asked_.size() >= kAskedTypesMax && !asked_.contains(*clean)) {
    const auto oldest =
        std::min_element(asked_.begin(), asked_.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    asked_.erase(oldest);
  }
  asked_[*clean] = now + kAskLife;
  choose_browsers(now);
}

/// Configured types come first when there are more than the daemon lets us browse, then those that
/// have instances: a peer may take the enumeration back for all hosts when it ends. Types that were
/// asked for never displace enumerated ones, but have kAskedTypesMax places of their own.
std::set<ServiceType> Discoveries::desired() const {
  std::set<ServiceType> out;
  const auto take = [&](const auto& types, std::size_t most, auto&& type_of_entry) {
    for (const auto& entry : types) {
      if (out.size() >= most) return;
      out.insert(type_of_entry(entry));
    }
  };
  const auto key = [](const auto& entry) { return entry.first; };
  take(wanted_, kBrowsersMax, [](const auto& type) { return type; });
  for (const auto& [type, object] : browsers_)
    if (out.size() < kBrowsersMax && has_instances(type)) out.insert(type);
  take(enumerated_, kBrowsersMax - kAskedTypesMax, key);
  take(asked_, kBrowsersMax, key);
  take(enumerated_, kBrowsersMax, key);
  return out;
}

void Discoveries::choose_browsers(TimePoint now) {
  if (!open_) return;
  if (type_browser_ == 0 && (!type_retry_ || *type_retry_ <= now)) {
    type_retry_.reset();
    type_browser_ = sender_.next_object();
    sender_.send(BrowseTypes{type_browser_});
  }
  const std::set<ServiceType> types = desired();
  for (auto it = browsers_.begin(); it != browsers_.end();) {
    if (types.contains(it->first)) {
      ++it;
      continue;
    }
    sender_.send(Free{it->second});
    const ServiceType gone = it->first;
    it = browsers_.erase(it);
    drop_type(now, gone);
  }
  for (const ServiceType& type : types) {
    const auto later = browse_retry_.find(type);
    if (browsers_.contains(type) || (later != browse_retry_.end() && later->second > now)) continue;
    if (later != browse_retry_.end()) browse_retry_.erase(later);
    const Object object = sender_.next_object();
    browsers_[type] = object;
    sender_.send(Browse{object, type});
  }
}

void Discoveries::drop_type(TimePoint now, const ServiceType& type) {
  std::vector<SightingKey> keys;
  for (auto it = instances_.lower_bound({type, {}});
       it != instances_.end() && it->first.type == type; ++it)
    keys.push_back(it->first);
  for (const SightingKey& key : keys) {
    Instance& instance = instances_.at(key);
    for (auto& [place, observation] : instance.observations)
      forget({key, place}, observation);
    observations_ -= instance.observations.size();
    instance.observations.clear();
    rebuild(now, key, LostReason::expired);
  }
}

void Discoveries::on_type(TimePoint now, const TypeChanged& change) {
  const auto type = clean_type(change.type);
  if (!type) return;
  const Place place{change.interface, change.protocol};
  if (change.there) {
    if (enumerated_.size() >= kBrowsedTypesMax && !enumerated_.contains(*type)) return;
    enumerated_[*type].insert(place);
  } else if (const auto found = enumerated_.find(*type); found != enumerated_.end()) {
    found->second.erase(place);
    if (found->second.empty()) enumerated_.erase(found);
  }
  choose_browsers(now);
}

void Discoveries::on_browser_failed(TimePoint now, const BrowserFailed& failed) {
  if (failed.object == type_browser_) {
    sender_.send(Free{type_browser_});
    type_browser_ = 0;
    type_retry_ = now + kGroupRetry;
    return;
  }
  for (auto it = browsers_.begin(); it != browsers_.end(); ++it) {
    if (it->second != failed.object) continue;
    sender_.send(Free{it->second});
    browse_retry_[it->first] = now + kGroupRetry;
    browsers_.erase(it);
    return;
  }
}

// --- Connection to the daemon -------------------------------------------------------------------

void Discoveries::open(TimePoint now) {
  if (open_) return;
  open_ = true;
  report_at_ = now + kSightingLife / 2;
  if (!instances_.empty()) stale_until_ = now + kFindAgain;
  choose_browsers(now);
}

void Discoveries::close(TimePoint now) {
  if (!open_) return;
  open_ = false;
  browsers_.clear();
  browse_retry_.clear();
  type_browser_ = 0;
  type_retry_.reset();
  enumerated_.clear();
  resolvers_.clear();
  resolving_ = 0;
  queue_.clear();
  retries_.clear();
  for (auto& [key, instance] : instances_)
    for (auto& [place, observation] : instance.observations) {
      observation.stale = true;
      observation.resolver = 0;
      observation.first_answer_due = false;
      observation.queued = 0;
      observation.retried_at.reset();
    }
  stale_until_ = now + kDaemonGone;
}

void Discoveries::drop_stale(TimePoint now) {
  std::vector<SightingKey> changed;
  for (auto& [key, instance] : instances_) {
    const std::size_t before = instance.observations.size();
    std::erase_if(instance.observations, [](const auto& entry) { return entry.second.stale; });
    observations_ -= before - instance.observations.size();
    if (before != instance.observations.size()) changed.push_back(key);
  }
  for (const SightingKey& key : changed)
    rebuild(now, key, LostReason::expired);
}

void Discoveries::on_links_changed(TimePoint now, const std::vector<Link>& links) {
  links_ = links;
  std::vector<SightingKey> keys;
  for (const auto& [key, instance] : instances_)
    keys.push_back(key);
  for (const SightingKey& key : keys)
    rebuild(now, key, LostReason::interface_down);
}

const Link* Discoveries::link(std::uint32_t index) const {
  for (const Link& link : links_)
    if (link.index == index) return &link;
  return nullptr;
}

// --- Instances ----------------------------------------------------------------------------------

Discoveries::Observation* Discoveries::find(const Spot& spot) {
  const auto instance = instances_.find(spot.first);
  if (instance == instances_.end()) return nullptr;
  const auto found = instance->second.observations.find(spot.second);
  return found == instance->second.observations.end() ? nullptr : &found->second;
}

void Discoveries::on_instance(TimePoint now, const InstanceChanged& change) {
  const auto type = clean_type(change.type);
  const bool good_label = !change.label.empty() && change.label.size() <= dns::kLabelBytesMax;
  if (!type || !good_label || !browsers_.contains(*type)) return;
  const Spot spot{{*type, change.label}, {change.interface, change.protocol}};
  if (!change.there) {
    Observation* observation = find(spot);
    if (observation == nullptr) return;
    forget(spot, *observation);
    instances_.at(spot.first).observations.erase(spot.second);
    --observations_;
    const bool link_gone = link(change.interface) == nullptr;
    return rebuild(now, spot.first, link_gone ? LostReason::interface_down : LostReason::goodbye);
  }
  Observation* observation = find(spot);
  if (observation == nullptr) {
    const bool known = instances_.contains(spot.first);
    if (observations_ >= kObservationsMax || (!known && instances_.size() >= kSightingsMax)) return;
    observation = &instances_[spot.first].observations[spot.second];
    ++observations_;
  }
  observation->local = change.local;
  observation->own = change.own || (change.local && is_own_(*type, change.label));
  observation->stale = false;
  if (observation->own) {
    release(*observation);
    return rebuild(now, spot.first, LostReason::goodbye);
  }
  want_resolved(spot);
  pump();
}

void Discoveries::on_name_lost(TimePoint now, const SightingKey& key) {
  const auto type = clean_type(key.type);
  const auto known = type ? instances_.find({*type, key.label}) : instances_.end();
  if (known == instances_.end()) return;
  for (auto& [place, observation] : known->second.observations) {
    if (!std::exchange(observation.own, false)) continue;
    observation.local = false;
    enqueue({known->first, place}, observation);
  }
  rebuild(now, SightingKey(known->first), LostReason::goodbye);
  pump();
}

void Discoveries::want_resolved(const Spot& spot) {
  Observation* observation = find(spot);
  if (observation == nullptr || observation->own || observation->resolver != 0) return;
  enqueue(spot, *observation);
}

void Discoveries::enqueue(const Spot& spot, Observation& observation) {
  if (observation.queued != 0) return;
  observation.queued = next_in_queue_++;
  queue_.emplace(observation.queued, spot);
}

/// Before an observation goes.
void Discoveries::forget(const Spot& spot, Observation& observation) {
  release(observation);
  queue_.erase(std::exchange(observation.queued, 0));
  if (observation.retried_at) retries_.erase({*observation.retried_at, spot});
  observation.retried_at.reset();
}

void Discoveries::release(Observation& observation) {
  if (observation.resolver == 0) return;
  sender_.send(Free{observation.resolver});
  resolvers_.erase(observation.resolver);
  observation.resolver = 0;
  if (std::exchange(observation.first_answer_due, false)) --resolving_;
}

void Discoveries::retry(TimePoint now, const Spot& spot, Duration after) {
  Observation& observation = *find(spot);
  if (observation.retried_at) retries_.erase({*observation.retried_at, spot});
  observation.retried_at = now + after;
  retries_.emplace(now + after, spot);
}

void Discoveries::pump() {
  while (open_ && resolving_ < kResolvingMax && !queue_.empty()) {
    const Spot spot = queue_.extract(queue_.begin()).mapped();
    Observation* observation = find(spot);
    if (observation == nullptr) continue;
    observation->queued = 0;
    if (observation->own || observation->resolver != 0) continue;
    observation->resolver = sender_.next_object();
    observation->first_answer_due = true;
    ++resolving_;
    resolvers_.emplace(observation->resolver, spot);
    sender_.send(Resolve{observation->resolver, spot.second.first, spot.second.second,
                         spot.first.label, spot.first.type, observation->any_address});
  }
}

void Discoveries::on_resolved(TimePoint now, const Resolved& resolved) {
  std::size_t octets = 0;
  for (const std::string& string : resolved.txt)
    octets += 1 + string.size();
  const auto found = resolvers_.find(resolved.object);
  if (found == resolvers_.end()) return;
  if (octets > kTxtTakenMax) {
    ++refused_texts_;
    last_refused_text_ = found->second.first;
    return on_resolve_failed(now, resolved.object);
  }
  const Spot spot = found->second;
  Observation& observation = *find(spot);
  // If the SRV changes, the daemon's resolver keeps the address of the host before.
  if (observation.answer && !observation.first_answer_due &&
      observation.answer->host != resolved.host) {
    release(observation);
    want_resolved(spot);
    return pump();
  }
  observation.answer = resolved;
  observation.retry_after = kResolveRetry;
  // The list comes in another order over D-Bus than on the wire, and not always in the same.
  std::sort(observation.answer->txt.begin(), observation.answer->txt.end());
  if (std::exchange(observation.first_answer_due, false)) --resolving_;
  if (held() > kResolversHeld) {
    release(observation);
    retry(now, spot, kResolveAgain);
  }
  rebuild(now, spot.first, LostReason::goodbye);
  pump();
}

void Discoveries::on_resolve_failed(TimePoint now, Object object) {
  const auto found = resolvers_.find(object);
  if (found == resolvers_.end()) return;
  const Spot spot = found->second;
  Observation& observation = *find(spot);
  release(observation);
  const bool had_answer = observation.answer.has_value();
  observation.answer.reset();
  if (!had_answer && !observation.any_address) {
    // Announced over IPv6 by a host that only has an IPv4 address, or the other way round.
    observation.any_address = true;
    enqueue(spot, observation);
  } else {
    observation.any_address = false;
    retry(now, spot, observation.retry_after);
    observation.retry_after = std::min(observation.retry_after * 2, kResolveRetryMax);
  }
  rebuild(now, spot.first, LostReason::expired);
  pump();
}

std::optional<Sighting> Discoveries::compose(TimePoint now, const SightingKey& key,
                                             const Instance& instance) const {
  Sighting out;
  const Observation* best = nullptr;
  bool best_on_loopback = false;
  for (const auto& [place, observation] : instance.observations) {
    const Link* on = link(place.first);
    if (observation.own) return std::nullopt;
    if (!observation.answer || on == nullptr) continue;
    const IpAddress& address = observation.answer->address;
    out.own_host = out.own_host || observation.local || on->is_own_host(address.with_scope(0));
    const SightedAddress sighted{
        address.is_v6() && address.is_link_local() ? address.with_scope(place.first) : address,
        place.first};
    if (std::find(out.addresses.begin(), out.addresses.end(), sighted) == out.addresses.end())
      out.addresses.push_back(sighted);
    if (best != nullptr && !(best_on_loopback && !on->loopback)) continue;
    best = &observation;
    best_on_loopback = on->loopback;
  }
  if (best == nullptr) return std::nullopt;
  // An instance of the LAN is on the loopback too, where its address is of no use to other hosts.
  if (!best_on_loopback)
    std::erase_if(out.addresses, [](const auto& a) { return a.address.is_loopback(); });
  std::sort(out.addresses.begin(), out.addresses.end(), before);
  if (out.addresses.empty()) return std::nullopt;
  out.key = key;
  out.host = best->answer->host;
  out.port = best->answer->port;
  out.txt = best->answer->txt;
  out.expires = now + kSightingLife;
  return out;
}

void Discoveries::rebuild(TimePoint now, const SightingKey& key, LostReason reason) {
  const auto found = instances_.find(key);
  if (found == instances_.end()) return;
  Instance& instance = found->second;
  auto next = compose(now, key, instance);
  if (next && next->port == 0) next.reset();
  if (next && (!instance.reported || !same_but_expires(*instance.reported, *next))) {
    instance.reported = *next;
    events_.push_back(std::move(*next));
  } else if (!next && instance.reported) {
    instance.reported.reset();
    events_.push_back(Lost{key, reason});
  }
  if (instance.observations.empty()) instances_.erase(found);
}

// --- Time ---------------------------------------------------------------------------------------

void Discoveries::report_again(TimePoint now) {
  report_at_ = now + kSightingLife / 2;
  for (auto& [key, instance] : instances_) {
    if (!instance.reported) continue;
    instance.reported->expires = now + kSightingLife;
    events_.push_back(*instance.reported);
  }
}

void Discoveries::run(TimePoint now) {
  if (stale_until_ && *stale_until_ <= now) {
    stale_until_.reset();
    drop_stale(now);
  }
  if (!open_) return;
  if (report_at_ <= now) report_again(now);
  std::erase_if(asked_, [&](const auto& entry) { return entry.second <= now; });
  choose_browsers(now);
  while (!retries_.empty() && retries_.begin()->first <= now) {
    const Spot spot = retries_.begin()->second;
    retries_.erase(retries_.begin());
    if (Observation* const observation = find(spot)) observation->retried_at.reset();
    want_resolved(spot);
  }
  pump();
}

std::optional<TimePoint> Discoveries::next_due() const {
  std::optional<TimePoint> due;
  const auto sooner = [&](std::optional<TimePoint> at) {
    if (at && (!due || *at < *due)) due = at;
  };
  sooner(stale_until_);
  if (!open_) return due;
  sooner(type_retry_);
  for (const auto& [type, at] : browse_retry_)
    sooner(at);
  for (const auto& [type, at] : asked_)
    sooner(at);
  if (!retries_.empty()) sooner(retries_.begin()->first);
  if (!instances_.empty()) sooner(report_at_);
  return due;
}

}  // namespace outrider::mdns::avahi
