// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/projection.h"

#include <algorithm>
#include <tuple>

namespace outrider::registry {
namespace {

using dns::Name;
using dns::RrType;

constexpr std::uint8_t kRankHost = 0, kRankSubnet = 1, kRankFar = 2, kRankWarning = 8;
constexpr std::size_t kTxtStringMax = 255;   // RFC 1035 §3.3.14
constexpr std::size_t kTxtTotalMax = 1'100;  // as mdns/provider.h allows
constexpr std::string_view kAddressMark = "{address}";
constexpr std::size_t kAddressTextMax = 41;  // "[…]" around the longest IPv6 text

/// One instance as it stands in answers.
struct Member {
  InstancePtr instance;
  std::vector<IpAddress> addresses;
  std::uint8_t rank = kRankFar;
  std::uint16_t weight = 1;  // as SRV records tell it
  std::uint16_t odds = 1;    // of the first place in an answer
  TimePoint not_after = TimePoint::max();
  bool pointed_to = true;  // by SRV and PTR records of its service: kPointersPerNameMax
};

TimePoint expiry(const Instance& instance) {
  // Stale ones have outlived their records and are served for a grace time on purpose.
  if (instance.places.empty() || instance.stale) return TimePoint::max();
  TimePoint latest = TimePoint::min();
  for (const SightedPlace& place : instance.places)
    latest = std::max(latest, place.expires);
  return latest;
}

Member member_of(const InstancePtr& instance, const HostView& host, const AnswerOrder* order) {
  const bool warning = instance->health == Health::warning;
  Member member{.instance = instance, .addresses = served_addresses(*instance, host)};
  member.not_after = expiry(*instance);
  if (!warning) member.weight = std::max<std::uint16_t>(1, instance->weight);
  member.rank = rank_of(*instance, host);
  member.odds = member.weight;
  if (order != nullptr) {
    member.rank = warning ? kRankWarning : 0;
    member.odds = order->odds(*instance);
  }
  return member;
}

/// Tags that can be labels, each once.
std::set<std::string> tag_labels(const Instance& instance) {
  std::set<std::string> labels;
  for (const std::string& tag : instance.tags)
    if (auto label = to_label(tag)) labels.insert(std::move(*label));
  return labels;
}

std::string filled(std::string text, const IpAddress& address) {
  const std::string literal =
      address.is_v6() ? '[' + address.to_string() + ']' : address.to_string();
  for (std::size_t at = 0; (at = text.find(kAddressMark, at)) != std::string::npos;)
    text.replace(at, kAddressMark.size(), literal);
  return text;
}

/// Relative names are made of labels that were checked, so that only the whole's length can fail.
Name owner_in(const Name& zone, const std::string& relative) {
  const auto prefix = Name::parse(relative);
  return (prefix ? zone.prepend(*prefix) : std::nullopt).value_or(zone);
}

/// Builds the records of one service under one of its labels.
class ServiceNames {
 public:
  ServiceNames(const ZoneProfile& profile, std::string base)
      : zone_(profile.origin), announcement_(profile.announcement), base_(std::move(base)) {}

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
    dns::TxtData txt;
    const std::string type = '_' + base_ + "._tcp";
    const IpAddress address = member.addresses.empty() ? IpAddress() : member.addresses.front();
    for (std::string& text : txt_strings(*member.instance, type, announcement_))
      txt.strings.push_back(filled(std::move(text), address));
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
  const AnnouncementProfile& announcement_;
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

/// Everything of one service under one base label, gathered before it is compared with what stood
/// there.
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
    // As long as the service is known these are, whoever is served.
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

// --- zones -----------------------------------------------------------------------------------

std::vector<IpAddress> served_addresses(const Instance& instance, const HostView& host) {
  std::vector<IpAddress> out;
  const auto add = [&](const IpAddress& address) {
    const bool scoped = address.is_v6() && address.is_link_local();
    const bool foreign_loopback = address.is_loopback() && !instance.on_this_host;
    const IpAddress plain = address.with_scope(0);
    if (!scoped && !foreign_loopback && std::find(out.begin(), out.end(), plain) == out.end())
      out.push_back(plain);
  };
  if (instance.own() && instance.addresses.empty()) {
    if (instance.scope != Scope::host)
      for (const IpAddress& address : host.addresses)
        add(address);
    if (out.empty()) add(IpAddress::loopback(IpAddress::Family::v4));
  }
  for (const PlacedAddress& placed : instance.addresses)
    add(placed.address);
  return out;
}

std::uint8_t rank_of(const Instance& instance, const HostView& host) {
  const auto near = [&](const PlacedAddress& placed) {
    return std::any_of(host.subnets.begin(), host.subnets.end(),
                       [&](const Prefix& subnet) { return subnet.contains(placed.address); });
  };
  const std::uint8_t rank =
      instance.on_this_host                                                     ? kRankHost
      : std::any_of(instance.addresses.begin(), instance.addresses.end(), near) ? kRankSubnet
                                                                                : kRankFar;
  return static_cast<std::uint8_t>(rank + (instance.health == Health::warning ? kRankWarning : 0));
}

ZoneProjection::ZoneProjection(ZoneProfile profile) : profile_(std::move(profile)) {}

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
  std::vector<Member> served, rest;
  for (const InstancePtr& instance : all) {
    const bool in =
        instance->served() && (!profile_.only_passing || instance->health == Health::passing);
    (in ? served : rest).push_back(member_of(instance, host, profile_.order));
  }
  if (served.empty() && profile_.all_unhealthy == AllUnhealthy::last_resort)
    for (auto it = rest.begin(); it != rest.end();) {
      const bool resort = it->instance->health == Health::critical && !it->instance->shadowed;
      if (resort) served.push_back(std::move(*it));
      it = resort ? rest.erase(it) : it + 1;
    }
  keep_nearest_pointers(served);
  const bool absent = !registry.knows(label) ||
                      (served.empty() && profile_.all_unhealthy == AllUnhealthy::nxdomain);
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

// --- announcements ---------------------------------------------------------------------------

namespace {

/// Keys are printable ASCII without '=' (RFC 6763 §6.4), each once, and every string fits.
class TxtBuilder {
 public:
  explicit TxtBuilder(std::vector<std::string>* left_out) : left_out_(left_out) {}

  void add(std::string_view key, std::string_view value) {
    const bool clean = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
      return c > 0x20 && c < 0x7f && c != '=';
    });
    const std::size_t marks = value.find(kAddressMark) == std::string_view::npos
                                  ? 0
                                  : kAddressTextMax - kAddressMark.size();
    const std::size_t size = key.size() + 1 + value.size();
    const bool taken = std::find(keys_.begin(), keys_.end(), key) != keys_.end();
    if (!clean || taken || size + marks > kTxtStringMax ||
        bytes_ + size + marks + 1 > kTxtTotalMax) {
      if (left_out_ != nullptr) left_out_->emplace_back(key);
      return;
    }
    bytes_ += size + marks + 1;
    keys_.emplace_back(key);
    strings_.push_back(std::string(key) + '=' + std::string(value));
  }
  void add_unless_empty(std::string_view key, std::string_view value) {
    if (!value.empty()) add(key, value);
  }
  std::vector<std::string> take() { return std::move(strings_); }

 private:
  std::vector<std::string>* left_out_;
  std::vector<std::string> strings_;
  std::vector<std::string> keys_;
  std::size_t bytes_ = 0;
};

/// A comma would cut an element in two for every reader.
std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) {
    if (text.find(',') != std::string::npos) continue;
    if (!out.empty()) out += ',';
    out += text;
  }
  return out;
}

std::string base_url(std::uint16_t port) {
  return "http://" + std::string(kAddressMark) + ':' + std::to_string(port);
}

/// Absolute URL and path of one document; readers use the one or the other.
void add_document(TxtBuilder& txt, const std::string& key, const std::string& document,
                  std::uint16_t port) {
  if (document.empty()) return;  // an empty value would mean a route to nowhere
  if (document.front() == '/') {
    txt.add(key, base_url(port) + document);
    txt.add(key + ".path", document);
    return;
  }
  txt.add(key, document);
  const std::size_t host = document.find("://");
  const std::size_t path = host == std::string::npos ? host : document.find('/', host + 3);
  if (path != std::string::npos) txt.add(key + ".path", document.substr(path));
}

void add_farp(TxtBuilder& txt, const Instance& instance, const AnnouncementProfile& profile) {
  const FarpSpec& farp = instance.farp;
  txt.add("farp.enabled", "true");
  if (instance.own()) {
    txt.add("farp.manifest", base_url(profile.farp_port != 0 ? profile.farp_port : instance.port) +
                                 farp_prefix(instance, profile.several_farp_services) +
                                 "/manifest");
  } else {
    txt.add_unless_empty("farp.manifest", farp.manifest);
  }
  for (const auto& [key, document] : {std::pair{"openapi", &farp.openapi},
                                      {"asyncapi", &farp.asyncapi},
                                      {"graphql", &farp.graphql}}) {
    const std::string name = std::string("farp.") + key;
    if (!FarpSpec::is_file(*document)) {
      add_document(txt, name, *document, instance.port);
    } else if (profile.farp_port != 0) {  // ours to serve
      txt.add(name, base_url(profile.farp_port) +
                        farp_prefix(instance, profile.several_farp_services) + "/schemas/" + key);
    }
  }
  if (farp.grpc_reflection) txt.add("farp.grpc.reflection", "true");
  // One reader takes the one key, one the other.
  txt.add_unless_empty("farp.health", farp_health_path(instance));
  txt.add_unless_empty("farp.health.path", farp_health_path(instance));
  txt.add_unless_empty("farp.capabilities", joined(farp.capabilities));
  txt.add("farp.id", instance.id.text());
  txt.add("farp.service", instance.service.text());
  txt.add("farp.status", instance.health == Health::warning ? "degraded" : "healthy");
  if (profile.compact_txt) return;
  txt.add("farp.version", "1.0.0");
  txt.add_unless_empty("farp.strategy", farp.strategy);
}

}  // namespace

std::string farp_health_path(const Instance& instance) {
  if (!instance.farp.health.empty()) return instance.farp.health;
  for (const CheckState& check : instance.checks)
    if (const auto* http = std::get_if<HttpCheckSpec>(&check.spec.kind);
        http != nullptr && http->url.starts_with('/'))
      return http->url;
  return {};
}

std::string farp_prefix(const Instance& instance, bool several) {
  return several ? "/_farp/" + instance.service.label() : "/_farp";
}

std::vector<std::string> txt_strings(const Instance& instance, std::string_view type,
                                     const AnnouncementProfile& profile,
                                     std::vector<std::string>* left_out) {
  TxtBuilder txt(left_out);
  txt.add("name", instance.service.text());
  txt.add("id", instance.id.text());
  txt.add_unless_empty("version", instance.version);
  txt.add_unless_empty("tags", joined(instance.tags));
  txt.add("mdns.service_type", type);
  if (instance.own()) txt.add_unless_empty("outrider", profile.host_cookie);
  if (instance.farp.enabled) add_farp(txt, instance, profile);
  if (instance.weight != 100) txt.add("weight", std::to_string(instance.weight));
  if (instance.protocol != "http") txt.add_unless_empty("protocol", instance.protocol);
  for (const auto& [key, value] : instance.metadata)
    txt.add(key, value);
  return txt.take();
}

constexpr std::string_view kOctopusType = "_octopus._tcp";

std::vector<AnnouncementPlan> announcements(const Instance& instance,
                                            const AnnouncementProfile& profile) {
  std::vector<AnnouncementPlan> plans;
  if (!instance.own() || !instance.served() || instance.port == 0) return plans;
  std::vector<std::string> types = {'_' + instance.service.label() + "._tcp"};
  for (const std::string& type : profile.shared_types)
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  for (const std::string& type : types) {
    AnnouncementPlan plan{.label = instance.id.label(), .type = type, .port = instance.port};
    // Octopus takes the label for the service's name; everybody else wants it to be the id.
    if (type == kOctopusType) plan.label = instance.service.label();
    plan.weight = instance.health == Health::warning ? std::uint16_t{1} : instance.weight;
    plan.txt = txt_strings(instance, type, profile, &plan.left_out);
    for (const PlacedAddress& placed : instance.addresses)
      plan.addresses.push_back(placed.address);
    plan.host_only = instance.scope == Scope::host;
    plans.push_back(std::move(plan));
  }
  return plans;
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
