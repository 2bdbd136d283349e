// SPDX-License-Identifier: Apache-2.0
#include "agent/engines.h"

#include <algorithm>

namespace outrider {

using registries::PlaceState;

void Engines::add(std::unique_ptr<registries::Engine> engine) {
  slots_.push_back(std::make_unique<EngineSlot>(env_, sink_,
                                                EntryReader{.source = registry::Source::host},
                                                RegistryConfig{}, std::move(engine)));
}

void Engines::set_maker(MakeEngine make, std::string writer) {
  make_ = std::move(make);
  writer_ = std::move(writer);
}

EngineSlot& Engines::make_slot(const RegistryConfig& config) {
  auto engine = make_ ? make_(env_, config, writer_) : nullptr;
  if (!engine)
    env_.log.record(LogEvent::source_failed, {{"source", to_string(config.source())},
                                              {"state", "unavailable"},
                                              {"reason", "this build has no client for it"}});
  EntryReader reader{.source = config.source(), .own_addresses = own_addresses_, .writer = writer_};
  slots_.push_back(
      std::make_unique<EngineSlot>(env_, sink_, std::move(reader), config, std::move(engine)));
  slots_.back()->set_on_claim(on_claim_);
  return *slots_.back();
}

void Engines::start(const std::vector<RegistryConfig>& registries) {
  for (const RegistryConfig& config : registries)
    make_slot(config);
  start_waiting();
}

/// Not before the engines that are replaced have withdrawn what they wrote: their successors write
/// the same keys.
void Engines::start_waiting() {
  if (!leaving_.empty() || stopping_) return;
  leave_timer_.reset();
  for (const auto& slot : slots_)
    if (!slot->is_started()) start_slot(*slot);
}

void Engines::start_slot(EngineSlot& slot) {
  slot.start();
  if (slot.engine() == nullptr) return;
  if (const auto extra = extras_.find(slot.source()); extra != extras_.end()) {
    for (const std::string& name : extra->second.claims)
      (void)slot.engine()->claim(name);
    for (const auto& [key, copy] : extra->second.copies)
      slot.engine()->put(copy);
  }
  if (!slot.publishes()) return;
  for (const auto& [id, entry] : written_)
    slot.engine()->put(entry);
}

registries::Engine* Engines::running(registry::Source source) {
  for (const auto& slot : slots_)
    if (slot->source() == source && slot->is_started()) return slot->engine();
  return nullptr;
}

bool Engines::are_settled() const {
  return std::ranges::all_of(slots_, [](const auto& slot) { return slot->is_settled(); });
}

void Engines::claim(registry::Source at, const std::string& name) {
  extras_[at].claims.insert(name);
  if (registries::Engine* const engine = running(at)) (void)engine->claim(name);
}

void Engines::unclaim(registry::Source at, const std::string& name) {
  extras_[at].claims.erase(name);
  if (registries::Engine* const engine = running(at)) engine->unclaim(name);
}

void Engines::put_copy(registry::Source to, const registries::Entry& copy) {
  const auto [known, fresh] = extras_[to].copies.try_emplace(copy.key, copy);
  if (!fresh && known->second == copy) return;
  known->second = copy;
  if (registries::Engine* const engine = running(to)) engine->put(copy);
}

void Engines::remove_copy(registry::Source to, const std::string& key) {
  if (extras_[to].copies.erase(key) == 0) return;
  if (registries::Engine* const engine = running(to)) engine->remove(key);
}

void Engines::reload(const std::vector<RegistryConfig>& registries) {
  std::vector<RegistryConfig> fresh;
  std::vector<std::unique_ptr<EngineSlot>> old = std::exchange(slots_, {});
  const auto take = [&](const auto& fits) -> std::unique_ptr<EngineSlot> {
    const auto found = std::ranges::find_if(
        old, [&](const std::unique_ptr<EngineSlot>& slot) { return slot && fits(*slot); });
    return found == old.end() ? nullptr : std::move(*found);
  };
  if (auto host =
          take([](const EngineSlot& slot) { return slot.source() == registry::Source::host; }))
    slots_.push_back(std::move(host));
  for (const RegistryConfig& config : registries)
    if (auto same = take([&](const EngineSlot& slot) { return slot.has_options_of(config); })) {
      same->set_keep(config.keep);
      slots_.push_back(std::move(same));
    } else {
      fresh.push_back(config);
    }
  for (const RegistryConfig& config : fresh) {
    auto before = take([&](const EngineSlot& slot) { return slot.source() == config.source(); });
    EngineSlot& slot = make_slot(config);
    if (!before) continue;
    slot.inherit(before->retire(slot.engine() != nullptr));
    retire(std::move(before));
  }
  for (auto& slot : old) {
    if (!slot) continue;
    (void)slot->retire(false);
    retire(std::move(slot));
  }
  start_waiting();
}

void Engines::retire(std::unique_ptr<EngineSlot> slot) {
  if (slot->engine() == nullptr || !slot->is_started()) return;
  const registry::Source source = slot->source();
  const std::uint64_t number = next_leaving_++;
  // Its sink stays for as long as it may report.
  registries::Engine& engine = *slot->engine();
  leaving_.emplace(number, slot->take_engine());
  retired_.emplace(number, std::move(slot));
  if (!leave_timer_.pending())
    leave_timer_ = env_.after(kWithdrawMax, [this] {
      leaving_.clear();
      retired_.clear();
      start_waiting();
    });
  engine.stop([this, number] {
    left_.push_back(number);
    // Not in the callback of the engine that goes.
    left_timer_ = env_.after(Duration::zero(), [this] { forget_left(); });
  });
  // With its lease, its claims end.
  if (const auto extra = extras_.find(source); extra != extras_.end() && on_claim_)
    for (const std::string& name : std::set(extra->second.claims))
      on_claim_(source, name, false, "its configuration has changed");
}

void Engines::forget_left() {
  for (const std::uint64_t number : std::exchange(left_, {})) {
    leaving_.erase(number);
    retired_.erase(number);
  }
  start_waiting();
}

void Engines::apply(const registry::Change& change) {
  const registry::Instance& any = change.any();
  if (!any.own()) return;
  publish(any.id.text(), change.after ? to_entry(*change.after, host_) : std::nullopt);
}

void Engines::publish(const std::string& id, std::optional<registries::Entry> wanted) {
  const auto known = written_.find(id);
  if (!wanted) {
    if (known == written_.end()) return;
    written_.erase(known);
    for (const auto& slot : slots_)
      if (slot->publishes() && slot->is_started()) slot->engine()->remove(id);
    return;
  }
  if (known != written_.end() && known->second == *wanted) return;
  const registries::Entry& entry = written_[id] = std::move(*wanted);
  for (const auto& slot : slots_)
    if (slot->publishes() && slot->is_started()) slot->engine()->put(entry);
}

void Engines::set_host(const registry::HostView& host, const std::vector<Interface>& interfaces) {
  host_ = host;
  own_addresses_.clear();
  for (const Interface& interface : interfaces)
    for (const Prefix& prefix : interface.addresses)
      own_addresses_.insert(prefix.address.with_scope(0));
  for (const auto& slot : slots_)
    slot->set_own_addresses(own_addresses_);
  for (const registry::InstancePtr& own : registry_.own())
    publish(own->id.text(), own->dropped ? std::nullopt : to_entry(*own, host_));
}

void Engines::stop(Callback<void()> done) {
  stopping_ = true;
  done_ = std::move(done);
  leaving_.clear();
  retired_.clear();
  leave_timer_ = env_.after(kWithdrawMax, [this] { close(); });
  std::vector<registries::Engine*> engines;
  for (const auto& slot : slots_)
    if (slot->engine() != nullptr && slot->is_started()) engines.push_back(slot->engine());
  if (engines.empty()) {
    done_timer_ = env_.after(Duration::zero(), [this] { close(); });
    return;
  }
  const auto left = std::make_shared<std::size_t>(engines.size());
  for (registries::Engine* const engine : engines)
    engine->stop([this, left] {
      if (--*left > 0) return;
      // Not in the callback of the engine that closes.
      done_timer_ = env_.after(Duration::zero(), [this] { close(); });
    });
}

void Engines::close() {
  leave_timer_.reset();
  done_timer_.reset();
  slots_.clear();
  if (auto done = std::exchange(done_, nullptr)) done();
}

namespace {

/// A question about leases to several places.
struct LeaseQuestion final : Pending {
  doors::LeaseTimes found;
  doors::Control::LeasesReply reply;
  std::vector<std::unique_ptr<Pending>> open;
  std::size_t left = 0;
};

}  // namespace

std::unique_ptr<Pending> Engines::look_up_leases(const std::vector<doors::LeaseName>& leases,
                                                 doors::Control::LeasesReply reply) {
  std::map<std::string, std::vector<std::int64_t>> places;
  for (const doors::LeaseName& name : leases)
    places[name.place].push_back(name.lease);
  auto question = std::make_unique<LeaseQuestion>();
  question->reply = std::move(reply);
  for (const auto& [place, ids] : places) {
    const auto slot = std::ranges::find_if(slots_, [&](const std::unique_ptr<EngineSlot>& each) {
      return each->engine() != nullptr && each->has_place(place);
    });
    if (slot == slots_.end()) continue;
    // The question owns the token, so that it is there whenever the reply comes.
    auto token = (*slot)->engine()->look_up_leases(
        ids, [asked = question.get(), place](const registries::LeaseTimes& times) {
          for (const auto& [lease, time] : times)
            asked->found.emplace(doors::LeaseName{place, lease}, time);
          if (--asked->left > 0) return;
          // The reply may destroy the question.
          auto done = std::move(asked->reply);
          done(std::move(asked->found));
        });
    if (!token) continue;
    ++question->left;
    question->open.push_back(std::move(token));
  }
  return question->left > 0 ? std::move(question) : nullptr;
}

std::vector<doors::WrittenPlace> Engines::written_places(const registry::Instance& instance) const {
  std::vector<doors::WrittenPlace> places;
  const std::string id = instance.id.text();
  if (!instance.own() || !written_.contains(id)) return places;
  for (const auto& slot : slots_)
    slot->add_written(id, places);
  return places;
}

void Engines::write_status(json::Writer& out) const {
  for (const auto& slot : slots_)
    if (slot->engine() != nullptr) slot->engine()->write_status(out);
}

void Engines::write_registries(json::Writer& out) const {
  out.key("registries").begin_array();
  for (const auto& slot : slots_) {
    if (slot->source() == registry::Source::host) continue;
    out.begin_object();
    slot->write(out);
    out.end_object();
  }
  out.end_array();
}

void Engines::write_metrics(doors::Metrics& out) const {
  for (const auto& slot : slots_)
    if (slot->source() != registry::Source::host) slot->write_metrics(out);
}

}  // namespace outrider
