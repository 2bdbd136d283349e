// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/zone.h"

#include <algorithm>
#include <tuple>

#include "agent/registry/describe.h"
#include "agent/registry/https_record.h"
#include "agent/registry/name_grammar.h"
#include "agent/registry/served.h"

namespace outrider::registry {
namespace {

using dns::Name;
using dns::RrType;

/// One instance as it appears in answers.
struct ZoneInstance {
  InstancePtr instance;
  std::vector<IpAddress> addresses;
  std::uint8_t rank = 0;
  std::uint16_t weight = 1;  // of SRV records
  std::uint16_t odds = 1;    // of the first place in an answer
  TimePoint not_after = TimePoint::max();
  bool pointed_to = true;  // by SRV and PTR records of its service (kPointersPerNameMax)
  bool bound = true;       // by HTTPS and SVCB records (kBindingsPerNameMax)
  bool has_address() const { return !addresses.empty(); }
};

TimePoint expiry(const Instance& instance) {
  // A stale instance has outlived its records and is served for a grace time.
  if (instance.places.empty() || instance.stale) return TimePoint::max();
  TimePoint latest = TimePoint::min();
  for (const SightedPlace& place : instance.places)
    latest = std::max(latest, place.expires);
  return latest;
}

ZoneInstance zone_instance(const InstancePtr& instance, const HostView& host,
                           const AnswerOrder* order) {
  ZoneInstance item{.instance = instance, .addresses = served_addresses(*instance, host)};
  item.not_after = expiry(*instance);
  item.weight = srv_weight(*instance);
  const AnswerPlace place = answer_place(*instance, host, order);
  item.rank = place.rank;
  item.odds = place.odds;
  return item;
}

std::vector<ZoneInstance> zone_instances(const std::vector<InstancePtr>& instances,
                                         const HostView& host, const AnswerOrder* order) {
  std::vector<ZoneInstance> items;
  items.reserve(instances.size());
  for (const InstancePtr& instance : instances)
    items.push_back(zone_instance(instance, host, order));
  return items;
}

/// Nothing for a name that is too long in this zone (RFC 1035 §2.3.4), which then does not exist.
std::optional<Name> owner_in(const Name& zone, const std::string& relative) {
  const auto prefix = Name::parse(relative);
  return prefix ? zone.prepend(*prefix) : std::nullopt;
}

/// Makes names and records of one service under one of its labels.
class ServiceNames {
 public:
  ServiceNames(const ZoneProfile& profile, std::string base)
      : zone_(profile.origin), write_txt_(profile.write_txt), base_(std::move(base)) {}

  std::optional<Name> owner(const std::string& relative) const { return owner_in(zone_, relative); }
  /// Whether the name has an owner. Its parts are labels, which have no escapes.
  bool fits(std::string_view relative) const {
    return relative.size() + 1 + zone_.wire().size() <= dns::kNameBytesMax;
  }
  std::string relative(NameForm form, std::string_view selector = {}) const {
    return write_name(form, base_, selector);
  }
  const std::string& base() const { return base_; }

  void add_addresses(const ZoneInstance& item, std::vector<ZoneEntry>& out) const {
    for (const IpAddress& address : item.addresses)
      push(item, address.is_v4() ? RrType::a : RrType::aaaa,
           dns::AddressData{address.with_scope(0)}, out);
  }
  /// What SRV records of the instance point to; nothing without a port.
  std::optional<Name> srv_target(const ZoneInstance& item) const {
    return item.instance->port == 0 ? std::nullopt : name({item.instance->id.label(), base_});
  }
  static void add_srv(const ZoneInstance& item, const std::optional<Name>& target,
                      std::vector<ZoneEntry>& out) {
    if (target && item.pointed_to)
      push(item, RrType::srv, dns::SrvData{0, item.weight, item.instance->port, *target}, out);
  }
  static void add_bindings(const ZoneInstance& item, const std::optional<Name>& target,
                           std::vector<ZoneEntry>& out) {
    if (!item.bound || !target) return;
    auto binding = https_binding(*item.instance, item.addresses, *target);
    if (!binding) return;
    binding->priority = svc_priority(item.rank);
    push(item, RrType::https, encode(*binding), out);
    binding->port_is_mandatory = true;
    push(item, RrType::svcb, encode(*binding), out);
  }
  void add_txt(const ZoneInstance& item, std::vector<ZoneEntry>& out) const {
    const IpAddress address = item.addresses.empty() ? IpAddress() : item.addresses.front();
    dns::TxtData txt{write_txt_(*item.instance, relative(NameForm::type), address)};
    push(item, RrType::txt, std::move(txt), out);
  }
  /// RFC 6763 §4.1: the service type points to its instances.
  void add_pointer(const ZoneInstance& item, std::vector<ZoneEntry>& out) const {
    if (!item.pointed_to) return;
    if (const auto target = name({item.instance->id.label(), '_' + base_, "_tcp"}))
      push(item, RrType::ptr, dns::NameData{*target}, out);
  }

 private:
  std::optional<Name> name(std::initializer_list<std::string_view> labels) const {
    const auto prefix = Name::from_labels(labels);
    return prefix ? zone_.prepend(*prefix) : std::nullopt;
  }
  static void push(const ZoneInstance& item, RrType type, ZoneData data,
                   std::vector<ZoneEntry>& out) {
    out.push_back({type, std::move(data), item.rank, item.odds, item.not_after});
  }

  Name zone_;
  const TxtWriter& write_txt_;
  std::string base_;
};

std::string why_instance(const ZoneInstance& item) {
  const Instance& instance = *item.instance;
  if (instance.served() && !item.has_address())
    return instance.id.text() + ": " + to_string(instance.health) +
           ", but DNS cannot give out its link-local addresses";
  return describe_state(instance);
}

/// The names of one service under one base label. Names that several instances share are collected
/// and given out by finish(); the names of one instance are given out at once.
class ServiceZone {
 public:
  ServiceZone(const ZoneProfile& profile, std::string base, std::string why,
              const std::set<std::string>* touched)
      : names_(profile, std::move(base)),
        why_(std::move(why)),
        touched_(touched),
        whole_(shared_[names_.base()]),
        type_(shared_[names_.relative(NameForm::type)]) {}

  /// Names by tag and protocol exist for every known instance, served or not.
  void add_known(const std::vector<InstancePtr>& all) {
    for (const InstancePtr& instance : all) {
      of_protocol(instance->protocol);
      for (const std::string& label : tag_labels(*instance))
        shared_[names_.relative(NameForm::tag, label)];
    }
  }

  /// So many instances will be added as served.
  void expect(std::size_t served) {
    whole_.reserve(2 * served + 1);
    type_.reserve(2 * served);
  }

  /// Clients connect to the bridge of this host, which chooses among the instances.
  void add_bridge(const std::vector<IpAddress>& addresses) {
    bridged_ = true;
    for (const IpAddress& address : addresses)
      whole_.push_back({.type = address.is_v4() ? RrType::a : RrType::aaaa,
                        .data = dns::AddressData{address.with_scope(0)}});
  }

  void add_served(const ZoneInstance& item) {
    const std::optional<Name> target = names_.srv_target(item);
    if (!bridged_) names_.add_addresses(item, whole_);
    names_.add_srv(item, target, whole_);
    names_.add_bindings(item, target, whole_);
    common_[names_.base()].add(*item.instance, item.rank);
    if (target) {
      names_.add_srv(item, target, type_);
      names_.add_pointer(item, type_);
    }
    names_.add_srv(item, target, of_protocol(item.instance->protocol));
    for (const std::string& label : tag_labels(*item.instance))
      add_selected(item, target, names_.relative(NameForm::tag, label));
    if (item.instance->on_this_host) add_selected(item, target, names_.relative(NameForm::local));
    if (best_ == nullptr || better(item, *best_)) best_ = &item;
  }

  void add_own_names(const ZoneInstance& item, const ZoneSink& out) {
    std::optional<OwnNames> own = begin_own_names(item);
    if (!own) return;
    ZoneInstance alone = item;
    alone.pointed_to = alone.bound = true;  // the limits are those of shared names
    names_.add_addresses(alone, own->plain.entries);
    const std::optional<Name> target = names_.srv_target(item);
    names_.add_bindings(alone, target, own->plain.entries);
    for (ZoneUpdate* each : {&own->plain, &own->typed}) {
      names_.add_srv(alone, target, each->entries);
      names_.add_txt(alone, each->entries);
    }
    own->give(out);
  }

  /// NODATA, with the reason why the instance is not served.
  void add_empty_own_names(const ZoneInstance& item, const ZoneSink& out) {
    std::optional<OwnNames> own = begin_own_names(item);
    if (!own) return;
    own->plain.why = own->typed.why = why_instance(item);
    own->give(out);
  }

  void finish(bool stale, const ZoneSink& out) {
    shared_[names_.relative(NameForm::local)];  // exists for as long as the service is known
    if (best_ != nullptr) names_.add_txt(*best_, whole_);
    for (auto& [relative, entries] : shared_) {
      const auto owner = names_.owner(relative);
      if (!owner) continue;
      owners_.push_back(relative);
      add_common_binding(relative, *owner, entries);
      out({.owner = *owner, .entries = std::move(entries), .why = why_, .stale = stale});
    }
  }

  /// The relative names that exist. They are taken from it.
  std::vector<std::string> take_owners() { return std::move(owners_); }

 private:
  struct OwnNames {
    ZoneUpdate plain;  // ID.NAME
    ZoneUpdate typed;  // ID._NAME._tcp, of instances with a port
    bool has_typed = false;
    void give(const ZoneSink& out) {
      out(std::move(plain));
      if (has_typed) out(std::move(typed));
    }
  };
  /// Nothing if the change does not touch the instance, or its names are too long.
  std::optional<OwnNames> begin_own_names(const ZoneInstance& item) {
    const std::string& label = item.instance->id.label();
    const std::string plain = names_.relative(NameForm::instance, label);
    const std::string typed = names_.relative(NameForm::typed_instance, label);
    if (!names_.fits(plain)) return std::nullopt;
    const bool has_typed = item.instance->port != 0 && names_.fits(typed);
    owners_.push_back(plain);
    if (has_typed) owners_.push_back(typed);
    if (touched_ != nullptr && !touched_->contains(item.instance->id.text())) return std::nullopt;
    const Name owner = names_.owner(plain).value();
    return OwnNames{.plain = {.owner = owner, .stale = item.instance->stale},
                    .typed = {.owner = has_typed ? names_.owner(typed).value() : owner},
                    .has_typed = has_typed};
  }
  static bool better(const ZoneInstance& a, const ZoneInstance& b) {
    return std::tuple(a.rank, -static_cast<int>(a.weight), a.instance->id.text()) <
           std::tuple(b.rank, -static_cast<int>(b.weight), b.instance->id.text());
  }
  void add_selected(const ZoneInstance& item, const std::optional<Name>& target,
                    const std::string& relative) {
    auto& entries = shared_[relative];
    names_.add_addresses(item, entries);
    names_.add_srv(item, target, entries);
    names_.add_bindings(item, target, entries);
    common_[relative].add(*item.instance, item.rank);
  }
  void add_common_binding(const std::string& relative, const Name& owner,
                          std::vector<ZoneEntry>& out) {
    const auto found = common_.find(relative);
    if (found == common_.end() || (bridged_ && relative == names_.base())) return;
    auto binding = found->second.at(owner);
    if (!binding) return;
    out.push_back({.type = RrType::https, .data = encode(*binding)});
    binding->port_is_mandatory = true;
    out.push_back({.type = RrType::svcb, .data = encode(*binding)});
  }
  /// Nearly all instances of a service have one protocol.
  std::vector<ZoneEntry>& of_protocol(const std::string& protocol) {
    if (last_protocol_ == nullptr || *last_protocol_ != protocol) {
      last_protocol_ = &protocol;
      of_last_ = &shared_[names_.relative(NameForm::protocol, protocol)];
    }
    return *of_last_;
  }

  ServiceNames names_;
  std::map<std::string, CommonBinding> common_;  // by relative name
  std::string why_;
  const std::set<std::string>* touched_;
  std::map<std::string, std::vector<ZoneEntry>> shared_;  // by relative name
  std::vector<ZoneEntry>&whole_, &type_;                  // of NAME and of _NAME._tcp, in shared_
  const std::string* last_protocol_ = nullptr;
  std::vector<ZoneEntry>* of_last_ = nullptr;
  std::vector<std::string> owners_;
  const ZoneInstance* best_ = nullptr;
  bool bridged_ = false;
};

void keep_nearest_pointers(std::vector<ZoneInstance>& served) {
  if (served.size() <= kBindingsPerNameMax) return;
  std::ranges::stable_sort(served, {}, &ZoneInstance::rank);
  for (std::size_t i = kBindingsPerNameMax; i < served.size(); ++i) {
    served[i].bound = false;
    served[i].pointed_to = i < kPointersPerNameMax;
  }
}

}  // namespace

AnswerPlace answer_place(const Instance& instance, const HostView& host, const AnswerOrder* order) {
  if (order == nullptr) return {rank_of(instance, host), srv_weight(instance)};
  const std::uint8_t rank = instance.health == Health::warning ? kRankWarning : 0;
  return {rank, order->odds(instance)};
}

ZoneProjection::ZoneProjection(ZoneProfile profile) : profile_(std::move(profile)) {
  OUTRIDER_ASSERT(profile_.write_txt);
}

void ZoneProjection::begin(const Registry& registry, const HostView& host, const ZoneSink& out) {
  if (const auto owner = owner_in(profile_.origin, "ns")) {
    ZoneUpdate server{.owner = *owner};
    for (const IpAddress& address : profile_.name_server)
      server.entries.push_back(
          {address.is_v4() ? RrType::a : RrType::aaaa, dns::AddressData{address.with_scope(0)}});
    out(std::move(server));
  }
  for (const char* which : {"b._dns-sd._udp", "lb._dns-sd._udp"})
    if (const auto owner = owner_in(profile_.origin, which))
      out({.owner = *owner, .entries = {{RrType::ptr, dns::NameData{profile_.origin}}}});
  rebuild(registry, host, out);
}

void ZoneProjection::rebuild(const Registry& registry, const HostView& host, const ZoneSink& out) {
  for (const std::string& label : registry.services())
    service(registry, host, label, nullptr, out);
  for (const std::string& label : registry.remembered())
    service(registry, host, label, nullptr, out);
  if (types_changed_) list_types(out);
}

void ZoneProjection::update(const Registry& registry, const HostView& host, const Changes& changes,
                            const ZoneSink& out) {
  std::map<std::string, std::set<std::string>> touched;  // service ▸ ids
  for (const Change& change : changes.list)
    touched[change.any().service.label()].insert(change.any().id.text());
  for (const Forgotten& gone : changes.forgotten)
    touched[gone.label];
  for (const auto& [label, ids] : touched)
    service(registry, host, label, &ids, out);
  if (types_changed_ && types_.size() <= kTypesListedAtOnce) list_types(out);
}

void ZoneProjection::reorder(const Registry& registry, const HostView& host,
                             const std::vector<std::string>& labels, const ZoneSink& out) {
  const std::set<std::string> none;
  for (const std::string& label : labels)
    service(registry, host, label, &none, out);
}

void ZoneProjection::service(const Registry& registry, const HostView& host,
                             const std::string& label, const std::set<std::string>* touched,
                             const ZoneSink& out) {
  const std::vector<InstancePtr> all = registry.instances(label);
  note_type(label, std::any_of(all.begin(), all.end(), [](const auto& i) { return i->port != 0; }));
  const ServedChoice choice = choose_served(all, profile_.serving);
  std::vector<ZoneInstance> served = zone_instances(choice.served, host, profile_.order);
  std::vector<ZoneInstance> rest = zone_instances(choice.rest, host, profile_.order);
  // An SRV record needs an address. A link-local one is of no use without its interface.
  const auto lost = std::ranges::stable_partition(served, &ZoneInstance::has_address);
  const bool unreachable = !served.empty() && lost.begin() == served.begin();
  std::ranges::move(lost, std::back_inserter(rest));
  served.erase(lost.begin(), lost.end());
  const std::string why = unreachable      ? why_instance(rest.back())
                          : served.empty() ? registry.why(label)
                                           : std::string();
  keep_nearest_pointers(served);
  const bool absent = !registry.knows(label) || choice.hidden;
  std::vector<std::string> owners;
  const bool stale = !served.empty() && std::all_of(served.begin(), served.end(),
                                                    [](auto& m) { return m.instance->stale; });
  const std::string domain = profile_.origin.lowercase().to_display();
  const bool bridged = !served.empty() && is_bridged(label, choice.served, profile_.bridged);
  if (!absent)
    for (const std::string& base : labels_in(domain, label, all)) {
      ServiceZone zone(profile_, base, why, touched);
      zone.add_known(all);
      zone.expect(served.size());
      if (bridged) zone.add_bridge(profile_.bridged->addresses);
      for (const ZoneInstance& item : served)
        zone.add_served(item);
      for (const ZoneInstance& item : served)
        zone.add_own_names(item, out);
      for (const ZoneInstance& item : rest)
        zone.add_empty_own_names(item, out);
      zone.finish(stale, out);
      std::ranges::move(zone.take_owners(), std::back_inserter(owners));
    }
  std::ranges::sort(owners);
  owners.erase(std::ranges::unique(owners).begin(), owners.end());
  auto& before = owners_[label];
  std::vector<std::string> gone;
  std::ranges::set_difference(before, owners, std::back_inserter(gone));
  for (const std::string& relative : gone)
    out({.owner = owner_in(profile_.origin, relative).value(), .erase = true});
  owners.shrink_to_fit();
  if (owners.empty())
    owners_.erase(label);
  else
    before = std::move(owners);
}

void ZoneProjection::note_type(const std::string& label, bool listed) {
  const bool changed = listed ? types_.insert(label).second : types_.erase(label) > 0;
  types_changed_ = types_changed_ || changed;
}

void ZoneProjection::list_types(const ZoneSink& out) {
  types_changed_ = false;
  const auto owner = owner_in(profile_.origin, "_services._dns-sd._udp");  // RFC 6763 §9
  if (!owner) return;
  ZoneUpdate update{.owner = *owner};
  for (const std::string& label : types_)
    if (const auto type = owner_in(profile_.origin, write_name(NameForm::type, label)))
      update.entries.push_back({RrType::ptr, dns::NameData{*type}});
  out(std::move(update));
}

}  // namespace outrider::registry
