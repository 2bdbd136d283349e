// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/zone.h"

#include <algorithm>
#include <tuple>

#include "agent/registry/served.h"

namespace outrider::registry {
namespace {

using dns::Name;
using dns::RrType;

/// One instance as it appears in answers.
struct Member {
  InstancePtr instance;
  std::vector<IpAddress> addresses;
  std::uint8_t rank = 0;
  std::uint16_t weight = 1;  // of SRV records
  std::uint16_t odds = 1;    // of the first place in an answer
  TimePoint not_after = TimePoint::max();
  bool pointed_to = true;  // by SRV and PTR records of its service (kPointersPerNameMax)
};

TimePoint expiry(const Instance& instance) {
  // A stale instance has outlived its records and is served for a grace time.
  if (instance.places.empty() || instance.stale) return TimePoint::max();
  TimePoint latest = TimePoint::min();
  for (const SightedPlace& place : instance.places)
    latest = std::max(latest, place.expires);
  return latest;
}

Member member_of(const InstancePtr& instance, const HostView& host, const AnswerOrder* order) {
  Member member{.instance = instance, .addresses = served_addresses(*instance, host)};
  member.not_after = expiry(*instance);
  member.weight = srv_weight(*instance);
  member.rank = rank_of(*instance, host);
  member.odds = member.weight;
  if (order != nullptr) {
    member.rank = instance->health == Health::warning ? kRankWarning : 0;
    member.odds = order->odds(*instance);
  }
  return member;
}

std::vector<Member> members_of(const std::vector<InstancePtr>& instances, const HostView& host,
                               const AnswerOrder* order) {
  std::vector<Member> members;
  members.reserve(instances.size());
  for (const InstancePtr& instance : instances)
    members.push_back(member_of(instance, host, order));
  return members;
}

/// Tags that can be labels, each once.
std::set<std::string> tag_labels(const Instance& instance) {
  std::set<std::string> labels;
  for (const std::string& tag : instance.tags)
    if (auto label = to_label(tag)) labels.insert(std::move(*label));
  return labels;
}

/// `relative` is made of checked labels, so that only the length of the whole can be wrong.
Name owner_in(const Name& zone, const std::string& relative) {
  const auto prefix = Name::parse(relative);
  return (prefix ? zone.prepend(*prefix) : std::nullopt).value_or(zone);
}

/// Builds the records of one service under one of its labels.
class ServiceNames {
 public:
  ServiceNames(const ZoneProfile& profile, std::string base)
      : zone_(profile.origin), write_txt_(profile.write_txt), base_(std::move(base)) {}

  Name owner(const std::string& relative) const { return owner_in(zone_, relative); }
  std::string relative(const std::string& prefix) const { return prefix + '.' + base_; }
  const std::string& base() const { return base_; }

  void add_addresses(const Member& member, std::vector<ZoneEntry>& out) const {
    for (const IpAddress& address : member.addresses)
      push(member, address.is_v4() ? RrType::a : RrType::aaaa,
           dns::AddressData{address.with_scope(0)}, out);
  }
  void add_srv(const Member& member, std::vector<ZoneEntry>& out) const {
    if (member.instance->port == 0 || !member.pointed_to) return;
    const auto target = name({member.instance->id.label(), base_});
    if (target)
      push(member, RrType::srv, dns::SrvData{0, member.weight, member.instance->port, *target},
           out);
  }
  void add_txt(const Member& member, std::vector<ZoneEntry>& out) const {
    const IpAddress address = member.addresses.empty() ? IpAddress() : member.addresses.front();
    dns::TxtData txt{write_txt_(*member.instance, '_' + base_ + "._tcp", address)};
    push(member, RrType::txt, std::move(txt), out);
  }
  /// RFC 6763 §4.1: the service type points to its instances.
  void add_pointer(const Member& member, std::vector<ZoneEntry>& out) const {
    if (!member.pointed_to) return;
    if (const auto target = name({member.instance->id.label(), '_' + base_, "_tcp"}))
      push(member, RrType::ptr, dns::NameData{*target}, out);
  }

 private:
  std::optional<Name> name(std::initializer_list<std::string_view> labels) const {
    const auto prefix = Name::from_labels(labels);
    return prefix ? zone_.prepend(*prefix) : std::nullopt;
  }
  static void push(const Member& member, RrType type, dns::Rdata data,
                   std::vector<ZoneEntry>& out) {
    out.push_back({type, std::move(data), member.rank, member.odds, member.not_after});
  }

  Name zone_;
  const TxtWriter& write_txt_;
  std::string base_;
};

std::string why_instance(const Instance& instance) {
  std::string out = instance.id.text() + ": " + to_string(instance.health);
  if (instance.maintenance && !instance.maintenance_reason.empty())
    out += ": " + instance.maintenance_reason;
  for (const CheckState& check : instance.checks)
    if (check.health == CheckHealth::critical && !check.output.empty())
      return out + ": " + check.output.substr(0, check.output.find_first_of("\r\n"));
  return out;
}

/// The labels of a service in a zone: its own, and for "order.rpc" in the zone "rpc" also "order".
std::set<std::string> labels_in(const std::string& label, const std::vector<InstancePtr>& all,
                                const Name& zone) {
  std::set<std::string> labels = {label};
  const std::string suffix = '.' + zone.lowercase().to_display();
  for (const InstancePtr& instance : all) {
    const std::string& text = instance->service.text();
    if (!text.ends_with(suffix)) continue;
    if (auto shorter = to_label(std::string_view(text).substr(0, text.size() - suffix.size())))
      labels.insert(std::move(*shorter));
  }
  return labels;
}

/// The names of one service under one base label.
class ServiceZone {
 public:
  ServiceZone(const ZoneProfile& profile, std::string base, std::string why,
              const std::set<std::string>* touched)
      : names_(profile, std::move(base)), why_(std::move(why)), touched_(touched) {}

  void add_known(const std::vector<InstancePtr>& all) {
    std::set<std::string> selectors;
    for (const InstancePtr& instance : all) {
      selectors.insert('_' + instance->protocol + "._tcp");
      for (const std::string& label : tag_labels(*instance))
        selectors.insert(label + "._tag");
    }
    for (const std::string& selector : selectors)
      shared_[names_.relative(selector)];
  }

  void add_served(const Member& member) {
    auto& all = shared_[names_.base()];
    names_.add_addresses(member, all);
    names_.add_srv(member, all);
    if (member.instance->port != 0) {
      auto& type = shared_['_' + names_.base() + "._tcp"];
      names_.add_srv(member, type);
      names_.add_pointer(member, type);
    }
    names_.add_srv(member, shared_[names_.relative('_' + member.instance->protocol + "._tcp")]);
    for (const std::string& label : tag_labels(*member.instance))
      add_selected(member, label + "._tag");
    if (member.instance->on_this_host) add_selected(member, "local");
    if (best_ == nullptr || better(member, *best_)) best_ = &member;
  }

  /// The instance's own names. NODATA while it is not served, and they say why.
  void add_instance(const Member& member, bool served, const ZoneSink& out) {
    const std::string& label = member.instance->id.label();
    const std::string own_name = names_.relative(label);
    const std::string sd_name = label + "._" + names_.base() + "._tcp";
    const bool described = member.instance->port != 0;
    owners_.insert(own_name);
    if (described) owners_.insert(sd_name);
    if (touched_ != nullptr && !touched_->contains(member.instance->id.text())) return;
    ZoneUpdate update{.owner = names_.owner(own_name)};
    ZoneUpdate service{.owner = names_.owner(sd_name)};
    update.stale = member.instance->stale;
    Member alone = member;
    alone.pointed_to = true;  // by its own names
    if (served) {
      names_.add_addresses(alone, update.entries);
      for (ZoneUpdate* each : {&update, &service}) {
        names_.add_srv(alone, each->entries);
        names_.add_txt(alone, each->entries);
      }
    } else {
      update.why = service.why = why_instance(*member.instance);
    }
    out(std::move(update));
    if (described) out(std::move(service));
  }

  void finish(bool stale, const ZoneSink& out) {
    // These exist for as long as the service is known.
    shared_[names_.relative("local")];
    shared_['_' + names_.base() + "._tcp"];
    auto& all = shared_[names_.base()];
    if (best_ != nullptr) names_.add_txt(*best_, all);
    for (auto& [relative, entries] : shared_) {
      owners_.insert(relative);
      out({names_.owner(relative), false, std::move(entries), why_, stale});
    }
  }

  const std::set<std::string>& owners() const { return owners_; }

 private:
  static bool better(const Member& a, const Member& b) {
    return std::tuple(a.rank, -static_cast<int>(a.weight), a.instance->id.text()) <
           std::tuple(b.rank, -static_cast<int>(b.weight), b.instance->id.text());
  }
  void add_selected(const Member& member, const std::string& selector) {
    auto& entries = shared_[names_.relative(selector)];
    names_.add_addresses(member, entries);
    names_.add_srv(member, entries);
  }

  ServiceNames names_;
  std::string why_;
  const std::set<std::string>* touched_;
  std::map<std::string, std::vector<ZoneEntry>> shared_;  // by relative name
  std::set<std::string> owners_;
  const Member* best_ = nullptr;
};

void keep_nearest_pointers(std::vector<Member>& served) {
  if (served.size() <= kPointersPerNameMax) return;
  std::ranges::stable_sort(served, {}, &Member::rank);
  for (std::size_t i = kPointersPerNameMax; i < served.size(); ++i)
    served[i].pointed_to = false;
}

}  // namespace

ZoneProjection::ZoneProjection(ZoneProfile profile) : profile_(std::move(profile)) {
  OUTRIDER_ASSERT(profile_.write_txt);
}

void ZoneProjection::begin(const Registry& registry, const HostView& host, const ZoneSink& out) {
  ZoneUpdate server{.owner = owner_in(profile_.origin, "ns")};
  for (const IpAddress& address : profile_.name_server)
    server.entries.push_back(
        {address.is_v4() ? RrType::a : RrType::aaaa, dns::AddressData{address.with_scope(0)}});
  out(std::move(server));
  for (const char* which : {"b._dns-sd._udp", "lb._dns-sd._udp"})
    out({owner_in(profile_.origin, which),
         false,
         {{RrType::ptr, dns::NameData{profile_.origin}}},
         {}});
  rebuild(registry, host, out);
}

void ZoneProjection::rebuild(const Registry& registry, const HostView& host, const ZoneSink& out) {
  for (const std::string& label : registry.services())
    service(registry, host, label, nullptr, out);
  for (const std::string& label : registry.remembered())
    service(registry, host, label, nullptr, out);
  if (types_changed_) out(list_types());
}

void ZoneProjection::update(const Registry& registry, const HostView& host, const Changes& changes,
                            const ZoneSink& out) {
  std::map<std::string, std::set<std::string>> touched;  // service ▸ ids
  for (const Change& change : changes.list)
    touched[change.any().service.label()].insert(change.any().id.text());
  for (const std::string& label : changes.forgotten)
    touched[label];
  for (const auto& [label, ids] : touched)
    service(registry, host, label, &ids, out);
  if (types_changed_ && types_.size() <= kTypesListedAtOnce) out(list_types());
}

void ZoneProjection::reorder(const Registry& registry, const HostView& host,
                             const std::vector<std::string>& labels, const ZoneSink& out) {
  const std::set<std::string> nobody;
  for (const std::string& label : labels)
    service(registry, host, label, &nobody, out);
}

void ZoneProjection::service(const Registry& registry, const HostView& host,
                             const std::string& label, const std::set<std::string>* touched,
                             const ZoneSink& out) {
  const std::vector<InstancePtr> all = registry.instances(label);
  note_type(label, std::any_of(all.begin(), all.end(), [](const auto& i) { return i->port != 0; }));
  const ServedChoice choice = choose_served(all, profile_.serving);
  std::vector<Member> served = members_of(choice.served, host, profile_.order);
  const std::vector<Member> rest = members_of(choice.rest, host, profile_.order);
  keep_nearest_pointers(served);
  const bool absent = !registry.knows(label) || choice.hidden;
  std::set<std::string> owners;
  const bool stale = !served.empty() && std::all_of(served.begin(), served.end(),
                                                    [](auto& m) { return m.instance->stale; });
  if (!absent)
    for (const std::string& base : labels_in(label, all, profile_.origin)) {
      ServiceZone zone(profile_, base, served.empty() ? registry.why(label) : "", touched);
      zone.add_known(all);
      for (const Member& member : served)
        zone.add_served(member);
      for (const Member& member : served)
        zone.add_instance(member, true, out);
      for (const Member& member : rest)
        zone.add_instance(member, false, out);
      zone.finish(stale, out);
      owners.insert(zone.owners().begin(), zone.owners().end());
    }
  auto& before = owners_[label];
  for (const std::string& relative : before)
    if (!owners.contains(relative))
      out({.owner = owner_in(profile_.origin, relative), .erase = true});
  if (owners.empty())
    owners_.erase(label);
  else
    before = std::move(owners);
}

void ZoneProjection::note_type(const std::string& label, bool listed) {
  const bool changed = listed ? types_.insert(label).second : types_.erase(label) > 0;
  types_changed_ = types_changed_ || changed;
}

ZoneUpdate ZoneProjection::list_types() {
  types_changed_ = false;
  ZoneUpdate update{.owner = owner_in(profile_.origin, "_services._dns-sd._udp")};  // RFC 6763 §9
  for (const std::string& label : types_)
    update.entries.push_back(
        {RrType::ptr, dns::NameData{owner_in(profile_.origin, '_' + label + "._tcp")}});
  return update;
}

// --- checks ----------------------------------------------------------------------------------

std::string runner_id(std::string_view instance_id, std::string_view check_id) {
  return std::string(instance_id) + '\n' + std::string(check_id);
}

std::pair<std::string, std::string> split_runner_id(std::string_view runner_id) {
  const std::size_t at = runner_id.find('\n');
  OUTRIDER_ASSERT(at != std::string_view::npos);
  return {std::string(runner_id.substr(0, at)), std::string(runner_id.substr(at + 1))};
}

}  // namespace outrider::registry
