// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/history.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "base/utf8.h"

namespace outrider::registry {
namespace {

/// What is allocated now. Frames and states are shared by entries and are counted once.
class Bytes {
 public:
  class Part {
   public:
    Part(Bytes& all, std::size_t count) : all_(&all), count_(count) { all_->total_ += count_; }
    ~Part() {
      if (all_ != nullptr) all_->total_ -= count_;
    }
    Part(Part&& other) noexcept : all_(std::exchange(other.all_, nullptr)), count_(other.count_) {}
    Part& operator=(Part&&) = delete;

   private:
    Bytes* all_;
    std::size_t count_;
  };
  std::size_t total() const { return total_; }

 private:
  std::size_t total_ = 0;
};

/// Everything of an instance that seldom changes.
struct Frame {
  InstancePtr instance;
  Bytes::Part counted;
};

using FramePtr = std::shared_ptr<const Frame>;

struct State {
  struct Check {
    CheckHealth health = CheckHealth::starting;
    std::string output;
    Moment since;
  };
  FramePtr frame;
  Health health = Health::starting;
  bool maintenance = false, draining = false, stale = false, shadowed = false;
  std::string maintenance_reason;
  std::vector<Check> checks;  // in the order of the frame's
  Moment up, latest;
  std::uint64_t revision = 0;
  Bytes::Part counted;
};

using StatePtr = std::shared_ptr<const State>;

struct Entry {
  WallTime at{};
  std::string label = {};
  StatePtr before = nullptr, after = nullptr;
  std::string note_before = {};
  std::string note_after = {};  // if this took the last instance
  bool known_before = false;
  std::unique_ptr<const Surroundings> surroundings_before = nullptr;
  std::optional<Bytes::Part> counted = std::nullopt;
};

/// An allocation has a head, and is rounded up.
constexpr std::size_t kAllocation = 16;
/// A node of a map, besides key and value.
constexpr std::size_t kNode = 40 + kAllocation;

std::size_t bytes_of(const std::string& text) {
  static const std::size_t kInside = std::string().capacity();
  return text.capacity() > kInside ? text.capacity() + kAllocation : 0;
}
template <class T>
std::size_t bytes_of(const std::vector<T>& list) {
  return list.empty() ? 0 : list.capacity() * sizeof(T) + kAllocation;
}
std::size_t bytes_of_texts(const std::vector<std::string>& texts) {
  std::size_t bytes = bytes_of(texts);
  for (const std::string& text : texts)
    bytes += bytes_of(text);
  return bytes;
}

std::size_t bytes_of(const CheckSpec& check) {
  std::size_t bytes = bytes_of(check.id) + bytes_of(check.name) + bytes_of(check.notes);
  if (const auto* http = std::get_if<HttpCheckSpec>(&check.kind)) {
    bytes += bytes_of(http->url) + bytes_of(http->unix_socket) + bytes_of(http->options.body);
    for (const auto& [name, value] : http->options.headers)
      bytes += 2 * sizeof(std::string) + bytes_of(name) + bytes_of(value);
  }
  if (const auto* tcp = std::get_if<TcpCheckSpec>(&check.kind)) bytes += bytes_of(tcp->target);
  return bytes;
}

/// What instances share is counted for each: it may be the last one that holds it.
template <typename T>
std::size_t bytes_of(const Shared<T>& shared, std::initializer_list<const std::string*> texts) {
  if (shared == Shared<T>()) return 0;
  std::size_t bytes = sizeof(T) + 2 * kAllocation;
  for (const std::string* text : texts)
    bytes += bytes_of(*text);
  return bytes;
}

std::size_t bytes_of(const Shared<FarpSpec>& farp) {
  return bytes_of(farp, {&farp->openapi, &farp->asyncapi, &farp->graphql, &farp->strategy,
                         &farp->health, &farp->manifest}) +
         bytes_of_texts(farp->capabilities);
}

std::size_t bytes_of(const Instance& i) {
  std::size_t bytes = sizeof(Instance) + 2 * kAllocation;
  for (const std::string* text :
       {&i.version, &i.protocol, &i.short_id, &i.announced_id, &i.maintenance_reason, &i.id.text(),
        &i.id.label(), &i.service.text(), &i.service.label()})
    bytes += bytes_of(*text);
  bytes += bytes_of(i.farp) + bytes_of(i.exposure, {&i.exposure->limit, &i.exposure->advice}) +
           bytes_of(i.stated, {&i.stated->identity, &i.stated->node}) +
           bytes_of(i.local_name, {&i.local_name->name});
  bytes += bytes_of_texts(i.tags) + bytes_of_texts(i.subtypes) + bytes_of_texts(i.flags);
  bytes += bytes_of(i.addresses);
  for (const auto& [key, value] : i.metadata)
    bytes += kNode + 2 * sizeof(std::string) + bytes_of(key) + bytes_of(value);
  bytes += bytes_of(i.places) + bytes_of(i.checks);
  for (const SightedPlace& place : i.places)
    bytes += bytes_of(place.key) + bytes_of(place.host) +
             bytes_of(place.detail, {&place.detail->key, &place.detail->endpoint}) +
             bytes_of(place.stale, {&place.stale->reason});
  for (const CheckState& check : i.checks)
    bytes += bytes_of(check.spec) + bytes_of(check.output);
  return bytes;
}

std::size_t bytes_of(const Surroundings& seen) {
  return sizeof(Surroundings) + kAllocation + bytes_of(seen.host.name) + bytes_of(seen.host.node) +
         bytes_of(seen.host.addresses) + bytes_of(seen.host.subnets) + bytes_of_texts(seen.listen);
}

/// Whether `instance` differs from the frame only in what a state holds. When a record expires is
/// not remembered: TTLs are those of the present.
bool fits(const Instance& frame, const Instance& instance) {
  const auto same_place = [](const SightedPlace& a, const SightedPlace& b) {
    return a.key == b.key && a.engine == b.engine && a.host == b.host;
  };
  return frame.description() == instance.description() && frame.addresses == instance.addresses &&
         frame.id == instance.id && frame.service.text() == instance.service.text() &&
         frame.scope == instance.scope && frame.configured_scope == instance.configured_scope &&
         frame.exposure == instance.exposure && frame.source == instance.source &&
         frame.announced_id == instance.announced_id && frame.stated == instance.stated &&
         frame.local_name == instance.local_name && frame.on_this_host == instance.on_this_host &&
         frame.registered == instance.registered &&
         std::ranges::equal(frame.places, instance.places, same_place) &&
         std::ranges::equal(frame.checks, instance.checks,
                            [](const auto& a, const auto& b) { return a.spec == b.spec; });
}

std::string key_of(const Instance& instance) {
  return instance.service.label() + ' ' + instance.id.text();
}

}  // namespace

struct History::Store {
  explicit Store(std::size_t most) : bytes_max(most) {}

  std::size_t bytes_max;
  Bytes bytes;  // outlives what it counts
  std::deque<Entry> entries;
  Place first = 0;
  WallTime since{};
  Surroundings surroundings;  // now
  /// The newest state of each instance that an entry has as its `after`, by service and id.
  struct Newest {
    StatePtr state;
    Bytes::Part counted;
  };
  std::map<std::string, Newest> newest;

  StatePtr state_of(const std::string& key, const Instance& instance);
  StatePtr known_state(const std::string& key, const Instance& instance);
  void add(const Change& change, std::string note_after, WallTime at);
  void push(Entry entry);
  void drop_oldest();
};

History::History(std::size_t bytes_max) : store_(std::make_unique<Store>(bytes_max)) {}
History::~History() = default;

std::size_t History::bytes() const {
  return store_->bytes.total();
}
std::size_t History::entries() const {
  return store_->entries.size();
}
History::Place History::oldest() const {
  return store_->first;
}
History::Place History::newest() const {
  return store_->first + store_->entries.size();
}
WallTime History::since() const {
  return store_->since;
}
WallTime History::since(Place place) const {
  if (place == store_->first) return store_->since;
  return std::max(store_->since, store_->entries[place - 1 - store_->first].at);
}

// --- writing ---------------------------------------------------------------------------------

void History::begin(Surroundings surroundings, Moment now) {
  store_->first = newest();
  store_->entries.clear();
  store_->newest.clear();
  store_->surroundings = std::move(surroundings);
  store_->since = now.wall;
}

StatePtr History::Store::state_of(const std::string& key, const Instance& instance) {
  const auto found = newest.find(key);
  FramePtr frame;
  if (found != newest.end() && fits(*found->second.state->frame->instance, instance))
    frame = found->second.state->frame;
  if (!frame) {
    auto kept = std::make_shared<Instance>(instance);
    for (CheckState& check : kept->checks)
      check.output = {};
    const std::size_t size = bytes_of(*kept) + sizeof(Frame) + kAllocation;
    frame = std::make_shared<const Frame>(Frame{std::move(kept), {bytes, size}});
  }
  std::vector<State::Check> checks;
  checks.reserve(instance.checks.size());
  std::size_t size = sizeof(State) + 2 * kAllocation + bytes_of(instance.maintenance_reason);
  for (const CheckState& check : instance.checks) {
    checks.push_back(
        {check.health, std::string(cut_text(check.output, kPastOutputBytesMax)), check.since});
    size += bytes_of(checks.back().output);
  }
  size += bytes_of(checks);
  return std::make_shared<const State>(State{.frame = std::move(frame),
                                             .health = instance.health,
                                             .maintenance = instance.maintenance,
                                             .draining = instance.draining,
                                             .stale = instance.stale,
                                             .shadowed = instance.shadowed,
                                             .maintenance_reason = instance.maintenance_reason,
                                             .checks = std::move(checks),
                                             .up = instance.up,
                                             .latest = instance.latest,
                                             .revision = instance.revision,
                                             .counted = {bytes, size}});
}

/// The state after the last change of the instance, if the history has that change. What checks
/// have said since then is not a change, and no answer quotes it.
StatePtr History::Store::known_state(const std::string& key, const Instance& instance) {
  const auto found = newest.find(key);
  return found == newest.end() ? state_of(key, instance) : found->second.state;
}

void History::Store::add(const Change& change, std::string note_after, WallTime at) {
  const std::string key = key_of(change.any());
  Entry entry{.at = at,
              .label = change.any().service.label(),
              .before = change.before ? known_state(key, *change.before) : nullptr,
              .note_before = change.note_before,
              .note_after = std::move(note_after),
              .known_before = change.known_before};
  if (change.after) {
    entry.after = state_of(key, *change.after);
    const std::size_t size = kNode + sizeof(key) + sizeof(Newest) + bytes_of(key);
    const auto [known, fresh] = newest.try_emplace(key, Newest{entry.after, {bytes, size}});
    if (!fresh) known->second.state = entry.after;
  } else {
    newest.erase(key);
  }
  push(std::move(entry));
}

void History::add(const Changes& changes, const Registry& registry, Moment now) {
  for (const Change& change : changes.list) {
    // Addresses of this host are in the surroundings.
    if (!change.news() || change.readdressed) continue;
    const std::string& label = change.any().service.label();
    const bool last = !change.after && registry.instance_count(label) == 0;
    store_->add(change, last ? registry.note(label) : std::string(), now.wall);
  }
  for (const Forgotten& gone : changes.forgotten)
    forget(gone.label, gone.note, now.wall);
}

void History::replay(const Change& change, std::string note_after, WallTime at) {
  store_->add(change, change.after ? std::string() : std::move(note_after), at);
}

void History::forget(const std::string& label, std::string note_before, WallTime at) {
  store_->push(
      {.at = at, .label = label, .note_before = std::move(note_before), .known_before = true});
}

void History::see(const Surroundings& surroundings, Moment now) {
  if (surroundings == store_->surroundings) return;
  Entry entry{.at = now.wall};
  entry.surroundings_before =
      std::make_unique<const Surroundings>(std::exchange(store_->surroundings, surroundings));
  store_->push(std::move(entry));
}

void History::Store::push(Entry entry) {
  std::size_t size = sizeof(Entry) + bytes_of(entry.label) + bytes_of(entry.note_before) +
                     bytes_of(entry.note_after);
  if (entry.surroundings_before) size += bytes_of(*entry.surroundings_before);
  entry.counted.emplace(bytes, size);
  entries.push_back(std::move(entry));
  while (bytes.total() > bytes_max && !entries.empty())
    drop_oldest();
}

void History::Store::drop_oldest() {
  const Entry& oldest = entries.front();
  since = std::max(since, oldest.at);
  if (oldest.after) {
    const auto found = newest.find(key_of(*oldest.after->frame->instance));
    if (found != newest.end() && found->second.state == oldest.after) newest.erase(found);
  }
  entries.pop_front();
  ++first;
}

// --- reading ---------------------------------------------------------------------------------

namespace {

InstancePtr instance_of(const State& state) {
  auto instance = std::make_shared<Instance>(*state.frame->instance);
  instance->health = state.health;
  instance->maintenance = state.maintenance;
  instance->maintenance_reason = state.maintenance_reason;
  instance->draining = state.draining;
  instance->stale = state.stale;
  instance->shadowed = state.shadowed;
  instance->up = state.up;
  instance->latest = state.latest;
  instance->revision = state.revision;
  for (std::size_t i = 0; i < state.checks.size(); ++i) {
    CheckState& check = instance->checks[i];
    check.health = state.checks[i].health;
    check.output = state.checks[i].output;
    check.since = state.checks[i].since;
  }
  return instance;
}

/// One of the past: kept as an instance, or to be made from a state.
struct Known {
  InstancePtr instance;
  StatePtr state;  // null: `instance` is given
};
using KnownById = std::map<std::string, Known>;  // by the label of the id

void undo(const Entry& entry, KnownById& instances) {
  if (entry.after) instances.erase(entry.after->frame->instance->id.label());
  if (entry.before) instances[entry.before->frame->instance->id.label()] = {nullptr, entry.before};
}

}  // namespace

std::optional<History::Place> History::place_at(WallTime when) const {
  if (when < store_->since) return std::nullopt;
  // From the end: the clock of the wall may have been set back in between.
  std::size_t count = store_->entries.size();
  while (count > 0 && store_->entries[count - 1].at > when)
    --count;
  return store_->first + count;
}

History::Past History::past(Place place, const Registry& now,
                            const std::optional<std::vector<std::string>>& labels) const {
  struct Service {
    KnownById instances;
    bool known = false;
    std::string note;
  };
  std::set<std::string> wanted;
  if (labels) {
    wanted.insert(labels->begin(), labels->end());
  } else {
    for (const auto& list : {now.services(), now.remembered()})
      wanted.insert(list.begin(), list.end());
    for (Place at = place; at < newest(); ++at)
      if (!label(at).empty()) wanted.insert(label(at));
  }
  std::map<std::string, Service, std::less<>> services;
  for (const std::string& label : wanted) {
    Service& service = services[label];
    service.known = now.knows(label);
    service.note = now.note(label);
    for (const InstancePtr& instance : now.instances(label)) {
      const auto newest = store_->newest.find(key_of(*instance));
      if (newest == store_->newest.end())
        service.instances[instance->id.label()] = {instance, nullptr};
      else
        service.instances[newest->second.state->frame->instance->id.label()] = {
            nullptr, newest->second.state};
    }
  }
  Surroundings surroundings = store_->surroundings;
  for (Place at = newest(); at > place; --at) {
    const Entry& entry = store_->entries[at - 1 - store_->first];
    if (entry.surroundings_before) surroundings = *entry.surroundings_before;
    const auto service = services.find(entry.label);
    if (service == services.end()) continue;
    undo(entry, service->second.instances);
    service->second.known = entry.known_before;
    service->second.note = entry.note_before;
  }
  std::vector<PastService> all;
  for (auto& [label, service] : services) {
    PastService past{.label = label, .known = service.known, .note = std::move(service.note)};
    for (const auto& [id, known] : service.instances)
      past.instances.push_back(known.state ? instance_of(*known.state) : known.instance);
    all.push_back(std::move(past));
  }
  return {Registry::of_past(now.host(), std::move(all)), std::move(surroundings)};
}

History::Event History::event(Place place) const {
  const Entry& entry = store_->entries[place - store_->first];
  return {entry.at,
          entry.label,
          entry.before ? instance_of(*entry.before) : nullptr,
          entry.after ? instance_of(*entry.after) : nullptr,
          entry.note_before,
          entry.note_after,
          entry.known_before};
}

Surroundings History::surroundings_after(Place place) const {
  for (Place later = place + 1; later < newest(); ++later)
    if (const auto& before = store_->entries[later - store_->first].surroundings_before)
      return *before;
  return store_->surroundings;
}

bool History::concerns(Place place, const NameMeaning& meaning) const {
  const Entry& entry = store_->entries[place - store_->first];
  if (!entry.before && !entry.after) return true;
  const auto meant = [&](const StatePtr& state) {
    return state && means(meaning, *state->frame->instance);
  };
  return meant(entry.before) || meant(entry.after);
}

const std::string& History::label(Place place) const {
  return store_->entries[place - store_->first].label;
}

}  // namespace outrider::registry
