// SPDX-License-Identifier: Apache-2.0
#include "agent/evictor.h"

#include <algorithm>

namespace outrider {

Evictor::Evictor(Env& env, registry::Registry& registry, Apply apply)
    : env_(env), registry_(registry), apply_(std::move(apply)), heartbeats_(env.random) {}

void Evictor::apply(const registry::Change& change) {
  const std::string& id = change.any().id.text();
  if (!change.after) return heartbeats_.remove(id);
  // Of several heartbeats the slowest counts: until its time is over, the program may be well.
  std::optional<Duration> ttl;
  for (const registry::CheckState& check : change.after->checks)
    if (const auto* kind = std::get_if<TtlCheck>(&check.spec.kind))
      ttl = std::max(ttl.value_or(Duration::zero()), Duration(kind->ttl));
  if (!ttl)
    heartbeats_.remove(id);
  else if (!change.before || change.before->dirty.at != change.after->dirty.at)
    heartbeats_.add(id, *ttl, env_.now());
}

void Evictor::on_heartbeat(std::string_view instance_id) {
  heartbeats_.renew(instance_id, env_.now());
}

void Evictor::arm() {
  set(expiry_timer_, registry_.next_expiry(), &Evictor::expire);
  auto silence = registry_.next_silence();
  if (silence) silence = std::max(*silence, next_eviction_);
  set(eviction_timer_, silence, &Evictor::evict);
}

void Evictor::set(Timer& timer, std::optional<TimePoint> due, void (Evictor::*action)()) {
  if (!due || stopped_)
    timer.reset();
  else if (!timer.pending() || timer.due() != *due)
    timer = env_.timers.at(*due, [this, action] { (this->*action)(); });
}

void Evictor::stop() {
  stopped_ = true;
  expiry_timer_.reset();
  eviction_timer_.reset();
}

void Evictor::expire() {
  apply_(registry_.expire(now()));
}

/// One round: drops a few of the registrations that stopped renewing, unless it looks as if the
/// agent had stopped hearing them.
void Evictor::evict() {
  next_eviction_ = env_.now() + registry::kEvictionRound;
  const auto silent = registry_.silent_heartbeats(env_.now());
  const auto before = heartbeats_.protection();
  const auto chosen = heartbeats_.choose(silent, env_.now());
  if (heartbeats_.protection() != before)
    env_.log.record(LogEvent::heartbeats_evicted,
                    {{"silent", silent.size()},
                     {"evicted", chosen.size()},
                     {"protection", to_string(heartbeats_.protection())}});
  registry::Changes changes;
  for (const std::string& id : chosen)
    if (auto dropped = registry_.drop(id, now())) changes.append(std::move(*dropped));
  apply_(std::move(changes));
}

void Evictor::write_status(json::Writer& out) const {
  out.member("count", std::uint64_t{heartbeats_.size()});
  out.member("lost_percent", heartbeats_.loss_percent());
  out.member("protection", to_string(heartbeats_.protection()));
}

void Evictor::write_metrics(doors::Metrics& out) const {
  out.gauge("outrider_heartbeats", "Registrations that renew by heartbeat.",
            static_cast<double>(heartbeats_.size()));
  out.gauge("outrider_heartbeats_protected", "1 while silent heartbeats are not evicted.",
            heartbeats_.protection() == registry::Heartbeats::Protection::none ? 0 : 1);
}

}  // namespace outrider
