// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/instances.h"

#include <algorithm>

#include "agent/doors/actions.h"
#include "agent/registry/served.h"
#include "agent/registry/target.h"

namespace outrider::doors::etcd {
namespace {

using registries::Entry;
using registry::InstancePtr;

/// As long as checks can have it.
constexpr Duration kNeverEnds = std::chrono::hours(24 * 365);

Error invalid(std::string text) {
  return {Code::invalid_argument, std::move(text)};
}

std::string_view report_of(CheckHealth health) {
  return health == CheckHealth::passing ? "its client keeps the lease alive"
                                        : "its client says so in the key";
}

/// In the form of the configuration, which has the rules for what may be registered. The name comes
/// later: other programs' names are wider.
json::Value rows_of(const Entry& entry) {
  using json::Value;
  json::Object rows;
  rows.emplace_back("name", Value(std::string("instance")));
  json::Array addresses;
  for (const IpAddress& address : entry.addresses)
    if (!address.is_any()) addresses.emplace_back(address.with_scope(0).to_string());
  if (!addresses.empty()) rows.emplace_back("address", Value(std::move(addresses)));
  rows.emplace_back("port", Value(std::int64_t{entry.port}));
  if (!entry.protocol.empty()) rows.emplace_back("protocol", Value(entry.protocol));
  if (!entry.version.empty()) rows.emplace_back("version", Value(entry.version));
  rows.emplace_back("weight", Value(std::int64_t{entry.weight}));
  json::Array tags;
  for (const std::string& tag : entry.tags)
    tags.emplace_back(tag);
  rows.emplace_back("tags", Value(std::move(tags)));
  json::Object metadata;
  for (const auto& [key, value] : entry.metadata)
    metadata.emplace_back(key, Value(value));
  rows.emplace_back("metadata", Value(std::move(metadata)));
  return Value(std::move(rows));
}

/// As entries without an id get it elsewhere: stable over restarts of the program, as the number of
/// its lease is not.
std::string id_text_of(const Entry& entry, const registry::ServiceName& name) {
  if (!entry.id.empty()) return entry.id;
  const std::string address =
      entry.addresses.empty() ? "auto" : entry.addresses.front().to_string();
  return name.label() + '-' + address + '-' + std::to_string(entry.port);
}

}  // namespace

Instances::Instances(Env& env, Control& control, Store& store, Leases& leases,
                     std::vector<OwnChange>& changed, Options options)
    : env_(env),
      control_(control),
      store_(store),
      leases_(leases),
      changed_(changed),
      options_(std::move(options)),
      space_(options_.layouts) {}

// --- own keys ----------------------------------------------------------------------------------

bool Instances::is_shown(std::string_view key) const {
  if (!is_instance(key) || is_own(key)) return false;
  // What a client put with a lease in an earlier life may not be known as its own any more, after
  // another configuration or of a damaged file: it must be able to put it again.
  const KeyValuePtr kv = store_.find(key);
  return kv != nullptr && kv->lease == 0;
}

const std::string* Instances::value_of(std::string_view key) const {
  const auto found = own_.find(key);
  return found == own_.end() ? nullptr : &found->second.value;
}

std::vector<std::string> Instances::own_in(const KeyRange& range) const {
  std::vector<std::string> keys;
  for (auto at = own_.lower_bound(range.first); at != own_.end(); ++at) {
    if (!range.contains(at->first)) break;
    keys.push_back(at->first);
  }
  return keys;
}

Result<Instances::Wanted, Error> Instances::read(const std::string& key, const std::string& value,
                                                 std::int64_t lease) {
  const std::string root = space_.root_of(key).value_or("");
  if (!take_root(root))
    return failure(Error{Code::resource_exhausted, "etcdserver: too many kinds of keys NAME.rpc/"});
  const registries::etcd::Layout* const layout = space_.layout_of(root);
  const std::vector<Entry> entries = layout->read({.key = key, .value = value});
  if (entries.empty())
    return failure(invalid("etcdserver: the value of \"" + key + "\" is no instance as \"" +
                           std::string(layout->name()) +
                           "\" programs write it, and that is all that is kept below " + root));
  Wanted wanted;
  for (const Entry& entry : entries) {
    auto spec = spec_of(entry, key, lease);
    if (!spec) return failure(std::move(spec.error()));
    wanted.health = std::max(wanted.health, check_health_of(entry.health));
    wanted.specs.push_back(std::move(*spec));
  }
  for (registry::ServiceSpec& spec : wanted.specs)
    add_checks(spec, key, lease, wanted.health);
  return wanted;
}

Result<registry::ServiceSpec, Error> Instances::spec_of(const Entry& entry, const std::string& key,
                                                        std::int64_t lease) {
  auto name = registry::ServiceName::from_foreign(entry.service);
  auto id = name ? registry::InstanceId::from_foreign(id_text_of(entry, *name)) : std::nullopt;
  if (!id) return failure(invalid("etcdserver: \"" + key + "\" has no usable name or id"));
  auto spec = registry::ServiceSpec::parse(rows_of(entry));
  if (!spec) return failure(invalid("etcdserver: \"" + key + "\": " + spec.error().to_string()));
  if (const auto why = forbidden_over_api(*spec))
    return failure(invalid("etcdserver: \"" + key + "\": " + *why));
  spec->name = std::move(*name);
  spec->id = id_for(*spec, *id, key);
  // Another agent of this host, which announces it itself.
  if (!entry.writer.empty()) spec->scope = registry::Scope::host;
  spec->door = registry::DoorPlace{.door = "etcd", .key = key, .lease = lease};
  return std::move(*spec);
}

/// Its own id, unless a registration has it that did not come with this key.
registry::InstanceId Instances::id_for(const registry::ServiceSpec& spec,
                                       const registry::InstanceId& id,
                                       const std::string& key) const {
  const auto holder = of_id_.find(id.text());
  if (holder != of_id_.end()) return holder->second == key ? id : id.apart(key);
  if (control_.registry().find_exact(id.text()) != nullptr) return id.apart(key);
  for (const InstancePtr& other : control_.registry().instances(spec.name.label()))
    if (other->own() && other->id.label() == id.label() && other->id != id) return id.apart(key);
  return id;
}

void Instances::add_checks(registry::ServiceSpec& spec, const std::string& key, std::int64_t lease,
                           CheckHealth health) const {
  const Lease* const held = leases_.find(lease);
  if (held != nullptr || health != CheckHealth::passing) {
    const Duration ttl = held != nullptr && held->ttl < kNeverEnds / std::chrono::seconds(1)
                             ? std::chrono::seconds(held->ttl) + kLeaseCheckSlack
                             : kNeverEnds;
    registry::CheckSpec check;
    check.id = kLeaseCheck;
    check.name = "lease in etcd";
    check.kind = TtlCheck{ttl};
    check.initial = health;
    check.deregister_critical_after = Duration::zero();  // the lease ends it
    spec.checks.push_back(std::move(check));
  }
  const auto covers = [&](const std::string& prefix) { return key.starts_with(prefix); };
  if (spec.port == 0 || std::ranges::none_of(options_.tcp_checked, covers)) return;
  json::Object rows;
  rows.emplace_back("id", json::Value(std::string("tcp")));
  rows.emplace_back("tcp", json::Value(std::string("auto")));
  auto check = registry::ServiceSpec::parse_check(json::Value(std::move(rows)));
  OUTRIDER_ASSERT(check.has_value());
  check->deregister_critical_after = Duration::zero();
  spec.checks.push_back(std::move(*check));
}

std::optional<Error> Instances::judge(const std::string& key, const std::string& value,
                                      std::int64_t lease) {
  const auto wanted = read(key, value, lease);
  if (!wanted) return wanted.error();
  const std::string* const before = value_of(key);
  const std::size_t freed = before != nullptr ? key.size() + before->size() : 0;
  if (own_bytes_ - freed + key.size() + value.size() > kOwnBytesMax)
    return Error{Code::resource_exhausted, "etcdserver: mvcc: database space exceeded"};
  const auto own = addresses_of_host(control_.host(), env_.network);
  for (const registry::ServiceSpec& spec : wanted->specs)
    if (const auto why = registry::unreachable_check(spec, own))
      return invalid("etcdserver: \"" + key + "\": " + *why);
  if (const auto takes = control_.would_take(wanted->specs); !takes)
    return Error{Code::resource_exhausted,
                 "etcdserver: \"" + key + "\": " + registry::to_string(takes.error())};
  return std::nullopt;
}

Result<void, Error> Instances::put(const std::string& key, const std::string& value,
                                   std::int64_t lease) {
  const auto result = enroll(key, value, lease);
  if (!result) {
    remove(key);
    return result;
  }
  changed_.push_back({.key = key, .value = value, .lease = lease, .gone = false});
  fresh_.insert(key);
  sync_dirty();
  return result;
}

/// Registers what a key holds.
Result<void, Error> Instances::enroll(const std::string& key, const std::string& value,
                                      std::int64_t lease) {
  auto wanted = read(key, value, lease);
  if (!wanted) return failure(std::move(wanted.error()));
  leases_.attach(key, lease);
  forget_bytes(key);
  own_bytes_ += key.size() + value.size();
  Own& own = own_[key];
  ++busy_;
  own.root = space_.root_of(key).value_or("");
  own.value = value;
  own.health = wanted->health;
  const std::vector<std::string> before = std::exchange(own.ids, {});
  Result<void, Error> result;
  for (const registry::ServiceSpec& spec : wanted->specs) {
    const auto id = control_.put(spec);
    if (!id) {
      result = failure(Error{Code::resource_exhausted,
                             "etcdserver: \"" + key + "\": " + registry::to_string(id.error())});
      continue;
    }
    own.ids.push_back(*id);
    of_id_[*id] = key;
    own_of_label_[spec.name.label()].insert(key);
    own.labels.insert(spec.name.label());
    dirty_.insert(spec.name.label());
  }
  renew(key);
  for (const std::string& id : before)
    if (std::ranges::find(own.ids, id) == own.ids.end()) leave(id);
  --busy_;
  returning_.erase(key);
  return result;
}

void Instances::renew(const std::string& key) {
  const auto own = own_.find(key);
  if (own == own_.end()) return;
  ++busy_;
  for (const std::string& id : own->second.ids)
    (void)control_.renew(id, kLeaseCheck, own->second.health,
                         std::string(report_of(own->second.health)));
  --busy_;
  sync_dirty();
}

/// A registration of ours ends.
void Instances::leave(const std::string& id) {
  const InstancePtr instance = control_.registry().find_exact(id);
  of_id_.erase(id);
  if (instance == nullptr) return;
  dirty_.insert(instance->service.label());
  (void)control_.remove(id);
}

void Instances::remove(const std::string& key) {
  const auto own = own_.find(key);
  if (own == own_.end()) return;
  ++busy_;
  for (const std::string& id : own->second.ids)
    leave(id);
  --busy_;
  forget(key);
  sync_dirty();
}

void Instances::forget_bytes(const std::string& key) {
  if (const std::string* const value = value_of(key)) own_bytes_ -= key.size() + value->size();
}

/// Its registrations are gone already.
void Instances::forget(const std::string& key) {
  forget_bytes(key);
  const auto own = own_.extract(key);
  for (const std::string& label : own ? own.mapped().labels : std::set<std::string>()) {
    std::set<std::string>& keys = own_of_label_[label];
    keys.erase(key);
    if (keys.empty()) own_of_label_.erase(label);
  }
  leases_.attach(key, 0);
  store_.remove(key);
  changed_.push_back({.key = key, .value = {}, .lease = 0, .gone = true});
}

// --- shown keys --------------------------------------------------------------------------------

/// The service that a root has alone; nothing: it has all, or its name is none.
std::optional<registry::ServiceName> Instances::service_of(const std::string& root) const {
  const KeySpace::Single single = space_.single_of(root);
  return single.read.empty() ? std::nullopt : registry::ServiceName::from_foreign(single.read);
}

/// Whether keys below it are shown or put, or are watched for.
bool Instances::is_needed(const std::string& root) const {
  if (watched_.contains(root)) return true;
  const auto is_below = [&](const std::string& key) { return key.starts_with(root); };
  const auto name = service_of(root);
  const auto shown = name ? shown_.find(name->label()) : shown_.end();
  if (shown != shown_.end() && std::ranges::any_of(shown->second, is_below)) return true;
  const auto own = own_.lower_bound(root);
  return own != own_.end() && is_below(own->first);
}

/// A name of go-zero whose place another one may have; "": none.
std::string Instances::idle_root() const {
  const std::vector<std::string> roots = space_.single_roots();
  const auto idle =
      std::ranges::find_if_not(roots, [this](const std::string& root) { return is_needed(root); });
  return idle == roots.end() ? std::string() : *idle;
}

/// False: there is no room for another name of go-zero.
bool Instances::take_root(const std::string& root) {
  if (space_.layout_of(root) != nullptr) return true;
  const std::string idle = idle_root();
  if (idle.empty()) return false;
  space_.drop(idle);
  arriving_.erase(idle);
  roots_.erase(idle);
  return space_.layout_of(root) != nullptr;
}

bool Instances::has_room_for(const KeyRange& range) const {
  return std::ranges::all_of(space_.roots_in(range), [&](const std::string& root) {
    if (roots_.contains(root) || space_.has_room()) return true;
    const auto name = service_of(root);
    return !name || !control_.registry().knows(name->label()) || !idle_root().empty();
  });
}

void Instances::show(const KeyRange& range, Asked asked) {
  const std::size_t before = roots_.size();
  for (const std::string& root : space_.roots_in(range)) {
    const bool all_services = space_.single_of(root).read.empty();
    const auto name = service_of(root);
    if (!all_services && asked == Asked::to_watch && take_root(root)) watched_.insert(root);
    if (roots_.contains(root)) continue;
    // A name that was asked for once, and is no service, is not remembered: there are too many.
    const bool worth = all_services || asked == Asked::to_watch ||
                       (name && control_.registry().knows(name->label()));
    if (!worth || !take_root(root)) continue;
    roots_.insert(root);
    arriving_.insert(root);
    if (all_services)
      std::ranges::move(control_.registry().services(), std::back_inserter(backlog_));
    else if (name)
      backlog_.push_back(name->label());
  }
  if (roots_.size() > before) show_more(kShownPerTurn);
}

void Instances::show_more(std::size_t instances) {
  if (busy_ > 0) return;
  for (std::size_t done = 0; !backlog_.empty() && done < instances;) {
    const std::string label = std::move(backlog_.back());
    backlog_.pop_back();
    sync(label);
    const auto shown = shown_.find(label);
    done += 1 + (shown == shown_.end() ? 0 : shown->second.size());
  }
  if (backlog_.empty()) arriving_.clear();
}

bool Instances::is_showing(const KeyRange& range) const {
  return !arriving_.empty() &&
         std::ranges::any_of(space_.roots_in(range),
                             [&](const std::string& root) { return arriving_.contains(root); });
}

std::size_t Instances::shown_count() const {
  std::size_t count = 0;
  for (const auto& [label, keys] : shown_)
    count += keys.size();
  return count;
}

void Instances::on_changes(const registry::Changes& changes) {
  if (frozen_) return;
  for (const registry::Change& change : changes.list) {
    if (!change.news()) continue;
    const registry::Instance& any = change.any();
    dirty_.insert(any.service.label());
    if (change.before && change.before->service.label() != any.service.label())
      dirty_.insert(change.before->service.label());
    if (busy_ > 0 || !any.own()) continue;
    // Another client of the agent, or the agent, has ended the registration.
    const auto key = of_id_.find(any.id.text());
    if (key == of_id_.end() || control_.registry().find_exact(any.id.text()) != nullptr) continue;
    auto& ids = own_[key->second].ids;
    std::erase(ids, any.id.text());
    const std::string left = key->second;
    of_id_.erase(key);
    if (ids.empty()) forget(left);
  }
  if (busy_ == 0) sync_dirty();
}

void Instances::sync_dirty() {
  if (busy_ > 0) return;
  for (const std::string& label : std::exchange(dirty_, {}))
    sync(label);
  fresh_.clear();
}

void Instances::sync(const std::string& label) {
  sync_own(label);
  const std::map<std::string, std::string> wanted = wanted_of(label);
  std::set<std::string>& shown = shown_[label];
  for (auto at = shown.begin(); at != shown.end();) {
    if (wanted.contains(*at)) {
      ++at;
      continue;
    }
    if (!own_.contains(*at)) store_.remove(*at);
    at = shown.erase(at);
  }
  for (const auto& [key, value] : wanted) {
    shown.insert(key);
    returning_.erase(key);
    const KeyValuePtr known = store_.find(key);
    if (known == nullptr || known->value != value) store_.put(key, value, 0);
  }
  if (shown.empty()) shown_.erase(label);
}

void Instances::sync_own(const std::string& label) {
  const auto keys = own_of_label_.find(label);
  if (keys == own_of_label_.end()) return;
  for (const std::string& key : keys->second) {
    const Own& own = own_.find(key)->second;
    const bool served = frozen_ || std::ranges::any_of(own.ids, [&](const std::string& id) {
                          const InstancePtr instance = control_.registry().find_exact(id);
                          return instance != nullptr && instance->served();
                        });
    const KeyValuePtr known = store_.find(key);
    const std::int64_t lease = leases_.lease_of(key);
    if (!served)
      store_.remove(key);
    else if (known == nullptr || fresh_.contains(key) || known->value != own.value ||
             known->lease != lease)
      store_.put(key, own.value, lease);
  }
}

/// Keys and values of all served instances of a service, but for own keys.
std::map<std::string, std::string> Instances::wanted_of(const std::string& label) {
  std::map<std::string, std::string> wanted;
  if (roots_.empty()) return wanted;
  const std::vector<InstancePtr> served =
      choose_served(control_.registry().instances(label), control_.dns().serving).served;
  for (const std::string& root : roots_) {
    if (!space_.single_of(root).read.empty()) {
      const auto name = service_of(root);
      if (!name || name->label() != label) continue;
    }
    for (const InstancePtr& instance : served) {
      const auto own = instance->own() ? of_id_.find(instance->id.text()) : of_id_.end();
      if (own != of_id_.end() && own_.find(own->second)->second.root == root) continue;
      auto kv = write(root, *instance);
      if (kv && kv->key.starts_with(root) && !own_.contains(kv->key))
        wanted.try_emplace(std::move(kv->key), std::move(kv->value));
    }
  }
  return wanted;
}

std::optional<registries::etcd::KeyValue> Instances::write(const std::string& root,
                                                           const registry::Instance& instance) {
  if (instance.port == 0) return std::nullopt;
  Entry entry{.key = instance.id.text()};
  const std::string single = space_.single_of(root).written;
  entry.service = single.empty() ? instance.service.text() : single;
  entry.id = instance.id.text();
  entry.version = instance.version;
  entry.port = instance.port;
  entry.addresses = served_addresses(instance, control_.host());
  // The clients of the door are on this host, too.
  entry.host_only = std::ranges::all_of(entry.addresses, &IpAddress::is_loopback);
  entry.protocol = instance.protocol;
  entry.tags = instance.tags;
  entry.metadata = instance.metadata;
  entry.weight = instance.weight;
  entry.health = instance.health;
  std::string writer;
  if (instance.own())
    writer = options_.writer;
  else if (!instance.stated->identity.empty())
    writer = registry::host_text({instance.stated->node, instance.stated->identity});
  // Not the time now: a key changes when its instance does.
  const auto since = instance.registered.wall.time_since_epoch();
  return space_.layout_of(root)->write(entry, writer,
                                       std::chrono::floor<std::chrono::seconds>(since).count());
}

// --- after a restart ---------------------------------------------------------------------------

void Instances::restore(const std::map<std::string, OwnChange>& own) {
  // Own keys first, so that they are not taken for shown ones.
  for (const auto& [key, change] : own)
    if (const auto root = space_.root_of(key)) {
      own_[key] = {.root = *root, .value = change.value, .ids = {}};
      own_bytes_ += key.size() + change.value.size();
    }
  for (const auto& [key, kv] : store_.keys()) {
    const auto root = space_.root_of(key);
    if (!root || own_.contains(key) || space_.layout_of(*root) == nullptr) continue;
    roots_.insert(*root);
    returning_.insert(key);
  }
  for (const auto& [key, change] : own) {
    if (!own_.contains(key)) continue;
    const bool has_lease = change.lease == 0 || leases_.find(change.lease) != nullptr;
    if (has_lease && enroll(key, change.value, change.lease)) continue;
    for (const std::string& id : std::vector<std::string>(own_[key].ids))
      leave(id);
    forget(key);
  }
  for (std::string& label : control_.registry().services())
    dirty_.insert(std::move(label));
  sync_dirty();
}

void Instances::end_return() {
  for (const std::string& key : std::exchange(returning_, {}))
    if (!own_.contains(key)) store_.remove(key);
}

}  // namespace outrider::doors::etcd
