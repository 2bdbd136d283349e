// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/etcd_engine.h"

#include <algorithm>

namespace outrider::registries::etcd {

// Agents begin at different endpoints, so that a cluster is used evenly.
EtcdEngine::EtcdEngine(Env& env, Options options, NameLookup* names)
    : env_(env),
      options_(std::move(options)),
      place_(options_.endpoints.at(0)),
      first_(env.random.below(options_.endpoints.size())),
      endpoints_(options_.endpoints),
      layouts_(make_layouts(options_.layouts)),
      since_(env.now()),
      reader_(env, options_, endpoints_, names, first_, place_, layouts_, *this),
      publisher_(env, options_, endpoints_, names, first_, layouts_, *this) {}

void EtcdEngine::start(Engine::Sink& sink) {
  sink_ = &sink;
  reader_.start();
}

void EtcdEngine::put(const Entry& registration) {
  if (options_.publish) publisher_.put(registration);
}

void EtcdEngine::remove(std::string_view key) {
  publisher_.remove(key);
}

void EtcdEngine::stop(Callback<void()> done) {
  reader_.close();
  publisher_.stop(std::move(done));
}

std::vector<PlaceStatus> EtcdEngine::places() const {
  PlaceStatus status{.place = place_,
                     .endpoint = reader_.has_ranges() ? reader_.endpoint() : publisher_.endpoint(),
                     .state = state_,
                     .reason = reason_,
                     .last_error = last_error_,
                     .since = since_,
                     .warnings = {}};
  status.read = reader_.entries();
  status.skipped = reader_.skipped();
  status.written = publisher_.written();
  status.lease = publisher_.lease();
  status.lease_time = publisher_.lease_time();
  status.revision = reader_.revision();
  if (!reader_.denial().empty())
    status.warnings.push_back("keys cannot be read: " + reader_.denial());
  if (reader_.is_full())
    status.warnings.push_back("more than " + std::to_string(kEntriesMax) +
                              " entries: the rest is left out; read narrower prefixes");
  for (std::string& refusal : publisher_.refusals())
    status.warnings.push_back(std::move(refusal));
  return {status};
}

void EtcdEngine::set_state(PlaceState state, const std::string& reason) {
  if (state != state_) since_ = env_.now();
  state_ = state;
  reason_ = reason;
  sink_->on_state(place_, state, reason);
}

void EtcdEngine::on_listed(std::vector<Entry> entries) {
  sink_->on_listed(place_, std::move(entries));
}

void EtcdEngine::on_entry(Entry entry) {
  sink_->on_sighting(std::move(entry));
}

void EtcdEngine::on_lost(const std::string& key) {
  sink_->on_lost(place_, key);
}

void EtcdEngine::on_reader_state(PlaceState state, const std::string& reason) {
  if (!reason.empty()) last_error_ = reason;
  if (state != state_ || reason != reason_) set_state(state, reason);
  if (state != PlaceState::current) return;
  publisher_.follow(reader_.endpoint());
  // Since the list before, what happened to them was not watched.
  publisher_.check_keys();
}

void EtcdEngine::on_restarted(const std::string& reason) {
  sink_->on_restarted(place_, reason);
}

void EtcdEngine::on_key(const KeyValue& kv, bool deleted) {
  publisher_.on_key(kv, deleted);
}

bool EtcdEngine::is_own(const KeyValue& kv, const std::vector<Entry>& entries) const {
  if (publisher_.is_own(kv)) return true;
  return !options_.writer.empty() && std::ranges::any_of(entries, [&](const Entry& entry) {
    return entry.writer == options_.writer;
  });
}

void EtcdEngine::on_proof() {
  publisher_.follow(reader_.endpoint());
}

void EtcdEngine::on_keepalive(const std::string& endpoint, bool answered) {
  reader_.on_elsewhere_proven(endpoint, answered);
}

bool EtcdEngine::is_watched(const std::string& key) const {
  return reader_.watches(key);
}

void EtcdEngine::on_conflict(const std::string& id, const std::string& key,
                             const std::string& holder) {
  sink_->on_conflict(id, key, holder);
}

void EtcdEngine::on_claim(const std::string& name, bool held, const std::string& reason) {
  sink_->on_claim(name, held, reason);
}

// Without anything to read, what the publisher meets is the state of the place.
void EtcdEngine::on_publisher_error(const std::string& reason) {
  if (!reason.empty()) last_error_ = reason;
  const PlaceState state = reason.empty() ? PlaceState::current : PlaceState::behind;
  if (!reader_.has_ranges() && (state_ != state || reason != reason_)) set_state(state, reason);
}

}  // namespace outrider::registries::etcd
