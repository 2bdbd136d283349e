// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/consul_engine.h"

namespace outrider::registries::consul {

ConsulEngine::ConsulEngine(Env& env, Options options, NameLookup* names)
    : env_(env),
      options_(std::move(options)),
      since_(env.now()),
      reader_(env, options_, names, options_.address, *this),
      publisher_(env, options_, names, *this),
      claims_(env, options_, names, *this) {}

void ConsulEngine::start(Engine::Sink& sink) {
  sink_ = &sink;
  reader_.start();
}

void ConsulEngine::put(const Entry& registration) {
  if (!options_.publish) return;
  if (!is_copy(registration)) return publisher_.put(registration);
  Entry copy = registration;
  copy.metadata[std::string(kIdMark)] = copy.id;
  copy.id = copies_[copy.key] = copy_id(copy.key);
  publisher_.put(copy);
}

void ConsulEngine::remove(std::string_view key) {
  const auto copy = copies_.find(key);
  if (copy == copies_.end()) return publisher_.remove(key, key);
  publisher_.remove(copy->second, key);
  copies_.erase(copy);
}

void ConsulEngine::stop(Callback<void()> done) {
  reader_.close();
  // What was done under a claim ends before it.
  publisher_.stop([this, done = std::move(done)]() mutable { claims_.stop(std::move(done)); });
}

std::vector<PlaceStatus> ConsulEngine::places() const {
  PlaceStatus status{.place = options_.address,
                     .endpoint = options_.address,
                     .state = state_,
                     .reason = reason_,
                     .last_error = last_error_,
                     .since = since_,
                     .warnings = reader_.warnings()};
  status.read = reader_.entries();
  status.skipped = reader_.skipped();
  status.written = publisher_.written();
  status.revision = reader_.revision();
  for (std::string& warning : publisher_.warnings())
    status.warnings.push_back(std::move(warning));
  for (std::string& warning : claims_.warnings())
    status.warnings.push_back(std::move(warning));
  return {status};
}

void ConsulEngine::set_state(PlaceState state, const std::string& reason) {
  if (state == state_ && reason == reason_) return;
  if (state != state_) since_ = env_.now();
  state_ = state;
  reason_ = reason;
  sink_->on_state(options_.address, state, reason);
}

void ConsulEngine::on_listed(std::vector<Entry> entries) {
  sink_->on_listed(options_.address, std::move(entries));
}

void ConsulEngine::on_listed_in_part(std::vector<Entry> entries, std::set<std::string> kept) {
  sink_->on_listed_in_part(options_.address, std::move(entries), std::move(kept));
}

void ConsulEngine::on_entry(Entry entry) {
  sink_->on_sighting(std::move(entry));
}

void ConsulEngine::on_lost(const std::string& key) {
  sink_->on_lost(options_.address, key);
}

void ConsulEngine::on_reader_state(PlaceState state, const std::string& reason) {
  if (!reason.empty()) last_error_ = reason;
  if (state == PlaceState::current) {
    publisher_.hurry();
    claims_.hurry();
  }
  set_state(state, reason);
}

void ConsulEngine::on_restarted(const std::string& reason) {
  sink_->on_restarted(options_.address, reason);
}

/// Without a mark, an id belongs to one Consul agent.
bool ConsulEngine::is_own(const Entry& entry, bool local) const {
  if (!options_.writer.empty()) return entry.writer == options_.writer;
  return local && publisher_.is_registered(entry.id);
}

void ConsulEngine::on_claim(const std::string& name, bool held, const std::string& reason) {
  sink_->on_claim(name, held, reason);
}

void ConsulEngine::on_conflict(const std::string& id, const std::string& key,
                               const std::string& holder) {
  sink_->on_conflict(id, key, holder);
}

// Without anything to read, what the publisher meets is the state of the place.
void ConsulEngine::on_publisher_error(const std::string& reason) {
  if (!reason.empty()) last_error_ = reason;
  if (reader_.has_services()) return;
  set_state(reason.empty() ? PlaceState::current : PlaceState::behind, reason);
}

}  // namespace outrider::registries::consul
