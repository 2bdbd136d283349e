// SPDX-License-Identifier: Apache-2.0
#include "agent/checks.h"

#include <algorithm>
#include <set>
#include <utility>

#include "agent/registry/registry.h"
#include "base/reach.h"

namespace outrider {
namespace {

using registry::Instance;
using registry::InstancePtr;

/// The health that an alias check takes from the instance that it follows.
CheckHealth alias_health(const Instance& instance) {
  switch (instance.health) {
    case registry::Health::passing:
      return CheckHealth::passing;
    case registry::Health::warning:
      return CheckHealth::warning;
    case registry::Health::starting:
      return CheckHealth::starting;
    case registry::Health::critical:
    case registry::Health::draining:
    case registry::Health::maintenance:
      return CheckHealth::critical;
  }
  OUTRIDER_UNREACHABLE();
}

/// The runner's form of a check, from the registry's and its target, if the kind has one.
struct KindMaker {
  using Kind = probes::CheckSpec::Kind;
  const std::optional<registry::CheckTarget>& target;

  Kind operator()(const registry::HttpCheckSpec& http) const {
    probes::HttpCheck check{
        .target = target->to, .path = target->path, .options = http.options, .tls = http.tls};
    check.options.host = target->host;
    return check;
  }
  Kind operator()(const registry::TcpCheckSpec&) const { return probes::TcpCheck{target->to}; }
  Kind operator()(const registry::GrpcCheckSpec& grpc) const {
    return probes::GrpcCheck{target->to, grpc.service, grpc.tls};
  }
  Kind operator()(const TtlCheck& ttl) const { return ttl; }
  Kind operator()(const AliasCheck& alias) const { return alias; }
};

probes::CheckSpec to_probes(const CheckKey& key, const registry::CheckSpec& check,
                            const std::optional<registry::CheckTarget>& target) {
  return {.key = key,
          .kind = std::visit(KindMaker{target}, check.kind),
          .timing = check.timing,
          .thresholds = check.thresholds};
}

probes::OutcomeKind outcome_kind(CheckHealth heartbeat) {
  switch (heartbeat) {
    case CheckHealth::passing:
      return probes::OutcomeKind::pass;
    case CheckHealth::warning:
      return probes::OutcomeKind::warn;
    case CheckHealth::starting:
    case CheckHealth::critical:
      return probes::OutcomeKind::fail_other;
  }
  OUTRIDER_UNREACHABLE();
}

bool is_heartbeat(const registry::CheckSpec& check) {
  return std::holds_alternative<TtlCheck>(check.kind);
}

}  // namespace

Checks::Checks(Env& env, Sink& sink) : env_(env), sink_(sink), runner_(env, *this) {}
Checks::~Checks() = default;

void Checks::add(const Instance& instance, const registry::CheckState& state) {
  const registry::CheckSpec& check = state.spec;
  const CheckKey key{instance.id.text(), check.id};
  Entry entry{.spec = check, .target = {}, .output = {}};
  std::string why;
  if (facts_of(check.kind).has_target) {
    if (auto resolved = registry::resolve_target(check, instance)) {
      entry.target = std::move(*resolved);
      why = refusal(entry);
      entry.refused = !why.empty();
    } else {
      why = resolved.error();
    }
  }
  const Entry& kept = entries_[key] = std::move(entry);
  if (why.empty()) {
    probes::CheckSpec runnable = to_probes(key, check, kept.target);
    // An alias gets its first verdict from the instance that it follows, at once.
    if (!std::holds_alternative<AliasCheck>(check.kind)) runnable.standing = state.health;
    runnable.renewed = state.renewed.at;
    if (runner_.add(runnable, &why)) return;
  }
  report_refused(key, why);
}

/// False also when the check's service has moved to another address.
bool Checks::is_same(const Entry& entry, const registry::CheckSpec& check,
                     const Instance& instance) {
  if (entry.spec != check) return false;
  if (!facts_of(check.kind).has_target) return true;
  const auto target = registry::resolve_target(check, instance);
  return target ? entry.target == *target : !entry.target;
}

std::string Checks::refusal(const Entry& entry) const {
  // Most checks go to loopback: the kernel is not asked for those.
  if (!registry::refused_target(entry.spec, *entry.target, {})) return {};
  const std::vector<IpAddress> own = own_addresses(env_.network.interfaces());
  return registry::refused_target(entry.spec, *entry.target, own).value_or(std::string());
}

void Checks::report_refused(const CheckKey& key, const std::string& why) {
  env_.log.record(LogEvent::check_refused,
                  {{"instance", key.instance}, {"check", key.check}, {"reason", why}});
  sink_.on_check(key, CheckHealth::critical, why);
}

std::vector<CheckKey> Checks::probe_now(const Instance& instance) {
  std::vector<CheckKey> probed;
  for (const registry::CheckState& check : instance.checks) {
    CheckKey key{instance.id.text(), check.spec.id};
    const auto entry = entries_.find(key);
    if (entry == entries_.end() || !entry->second.target) continue;
    runner_.probe_now(key);
    probed.push_back(std::move(key));
  }
  return probed;
}

void Checks::recheck_targets() {
  std::vector<CheckKey> keys;  // the sink may end any of them
  for (const auto& [key, entry] : entries_)
    if (entry.target) keys.push_back(key);
  for (const CheckKey& key : keys) {
    const auto at = entries_.find(key);
    if (at == entries_.end()) continue;
    Entry& entry = at->second;
    std::string why = refusal(entry);
    if (entry.refused == !why.empty()) continue;
    entry.refused = !why.empty();
    if (entry.refused)
      runner_.remove(key);
    else if (runner_.add(to_probes(key, entry.spec, entry.target), &why))
      continue;
    report_refused(key, why);
  }
}

void Checks::apply(const InstancePtr& before, const InstancePtr& after) {
  const std::string instance_id = (after ? after : before)->id.text();
  const auto registered = after && (!before || before->dirty.at != after->dirty.at)
                              ? Registered::again
                              : Registered::before;
  std::set<CheckKey> kept;
  std::vector<registry::CheckState> added;
  if (after) {
    for (const registry::CheckState& check : after->checks) {
      const CheckKey key{instance_id, check.spec.id};
      const auto entry = entries_.find(key);
      if (entry != entries_.end() && is_same(entry->second, check.spec, *after))
        kept.insert(key);
      else
        added.push_back(check);
    }
  }
  for (auto it = entries_.lower_bound({instance_id, {}});
       it != entries_.end() && it->first.instance == instance_id;) {
    if (kept.contains(it->first)) {
      update_backoff(it->first, it->second, *after, registered);
      ++it;
      continue;
    }
    runner_.remove(it->first);
    it = entries_.erase(it);
  }
  for (const registry::CheckState& check : added)
    add(*after, check);
  update_aliases(instance_id, after);
  if (const std::string& name = after ? after->short_id : before->short_id; !name.empty())
    update_aliases(name, after);
  for (const registry::CheckState& check : added)
    if (const auto* alias = std::get_if<AliasCheck>(&check.spec.kind))
      start_alias({instance_id, check.spec.id}, *alias);
}

void Checks::update_aliases(const std::string& instance_id, const InstancePtr& now) {
  const auto health = now ? alias_health(*now) : CheckHealth::critical;
  const auto known = followed_.find(instance_id);
  const bool unchanged = known != followed_.end() && known->second == health;
  if (now)
    followed_[instance_id] = health;
  else
    followed_.erase(instance_id);
  if (!unchanged) runner_.set_instance_health(instance_id, health);
}

/// Gives a new alias the health of an instance that was registered before it.
void Checks::start_alias(const CheckKey& key, const AliasCheck& alias) {
  if (const auto known = followed_.find(alias.instance_id); known != followed_.end())
    runner_.set_instance_health(alias.instance_id, known->second);
  else
    sink_.on_check(key, CheckHealth::starting,
                   "instance " + alias.instance_id + " is not registered here");
}

/// For a check that stays while its registration changed. A service that was registered again is
/// probed at its own interval again, and soon if it was critical.
void Checks::update_backoff(const CheckKey& key, Entry& entry, const Instance& instance,
                            Registered registered) {
  const bool dropped = instance.dropped && instance.id.text() != registry::kNodeId;
  const bool was_dropped = std::exchange(entry.dropped, dropped);
  if (entry.dropped && !was_dropped) slow_down(key, entry);
  if (entry.backoff != Duration::zero() && (!entry.dropped || registered == Registered::again)) {
    entry.backoff = Duration::zero();
    runner_.set_interval(key, std::nullopt);
  }
  if (registered == Registered::again && instance.health == registry::Health::critical)
    runner_.restart(key);
}

void Checks::end_all() {
  for (const auto& [key, entry] : entries_)
    runner_.remove(key);
  entries_.clear();
  followed_.clear();
}

bool Checks::renew(const CheckKey& key, CheckHealth health, std::string output) {
  probes::Outcome outcome{.kind = outcome_kind(health)};
  outcome.output = std::move(output);
  return runner_.renew(key, std::move(outcome));
}

void Checks::on_health(const CheckKey& key, CheckHealth health, const probes::Outcome& last) {
  const auto at = entries_.find(key);
  // on_outcome reports heartbeats, whether they change the health or not.
  if (at == entries_.end() || is_heartbeat(at->second.spec)) return;
  report(key, at->second, health, last.output);
}

void Checks::on_outcome(const CheckKey& key, CheckHealth health, const probes::Outcome& outcome) {
  ++outcomes_;
  failed_outcomes_ += outcome.passed() ? 0 : 1;
  if (outcome.kind == probes::OutcomeKind::fail_refused) sink_.on_refused(key);
  if (outcome.passed()) sink_.on_passed(key);
  const auto at = entries_.find(key);
  if (at == entries_.end()) return;
  Entry& entry = at->second;
  if (is_heartbeat(entry.spec)) return report(key, entry, health, outcome.output);
  if (entry.dropped) {
    // A check that passes again is probed as closely as any check that is about to change.
    if (outcome.passed())
      runner_.set_interval(key, std::nullopt);
    else
      slow_down(key, entry);
  }
  // A failing check may fail for a new reason; of a passing one only the first output is reported,
  // which replaces what an earlier check said.
  const bool first = !std::exchange(entry.probed, true);
  if ((first || !outcome.passed()) && entry.output != outcome.output)
    report(key, entry, health, outcome.output);
}

void Checks::report(const CheckKey& key, Entry& entry, CheckHealth health,
                    const std::string& output) {
  entry.output = output;
  sink_.on_check(key, health, output);  // may remove the entry
}

void Checks::slow_down(const CheckKey& key, Entry& entry) {
  const Duration usual = entry.spec.timing.interval;
  const Duration most = std::max(usual, kDroppedIntervalMax);
  entry.backoff = std::min(most, entry.backoff == Duration::zero() ? usual : entry.backoff * 2);
  runner_.set_interval(key, entry.backoff);
}

void Checks::write_status(json::Writer& out) const {
  out.member("checks", std::uint64_t{runner_.size()});
  out.member("in_flight", std::uint64_t{runner_.in_flight()});
  out.member("outcomes", outcomes_).member("failed", failed_outcomes_);
}

void Checks::write_metrics(doors::Metrics& out) const {
  out.counter("outrider_probes_total", "Probes that ended.", outcomes_);
  out.counter("outrider_probes_failed_total", "Probes that did not pass.", failed_outcomes_);
  out.gauge("outrider_checks", "Checks that are probed or renewed.",
            static_cast<double>(runner_.size()));
  out.gauge("outrider_checks_flapping", "Checks that need more passes, for changing so often.",
            static_cast<double>(runner_.flapping()));
}

}  // namespace outrider
