// SPDX-License-Identifier: Apache-2.0
#include "agent/checks.h"

#include <algorithm>
#include <set>
#include <utility>

#include "probes/target.h"

namespace outrider {
namespace {

using registry::CheckHealth;
using registry::Instance;

/// What an alias check is told of the instance that it follows.
probes::Health alias_health(const Instance& instance) {
  switch (instance.health) {
    case registry::Health::passing:
      return probes::Health::passing;
    case registry::Health::warning:
      return probes::Health::warning;
    case registry::Health::starting:
      return probes::Health::starting;
    case registry::Health::critical:
    case registry::Health::draining:
    case registry::Health::maintenance:
      return probes::Health::critical;
  }
  OUTRIDER_UNREACHABLE();
}

/// The runner's form of a check whose target is known.
struct KindMaker {
  const registry::CheckTarget& target;

  decltype(probes::CheckSpec::kind) operator()(const registry::HttpCheckSpec& http) const {
    probes::HttpCheck out{.target = target.to, .host = target.host};
    out.method = http.method;
    out.path = target.path;
    out.headers = http.headers;
    out.body = http.body;
    out.expect_status = http.expect_status;
    out.expect_body = http.expect_body;
    out.expect_header = http.expect_header;
    out.reuse = http.reuse;
    out.tls = target.tls;
    out.tls_verify = http.tls.verify;
    out.tls_ca_file = http.tls.ca_file;
    out.tls_server_name = http.tls.server_name;
    out.tls_cert_file = http.tls.cert_file;
    out.tls_key_file = http.tls.key_file;
    return out;
  }
  decltype(probes::CheckSpec::kind) operator()(const registry::TcpCheckSpec&) const {
    return probes::TcpCheck{target.to};
  }
  decltype(probes::CheckSpec::kind) operator()(const registry::GrpcCheckSpec& grpc) const {
    probes::GrpcCheck out{.target = target.to, .service = grpc.service};
    out.tls = grpc.tls.on;
    out.tls_verify = grpc.tls.verify;
    out.tls_ca_file = grpc.tls.ca_file;
    out.tls_server_name = grpc.tls.server_name;
    out.tls_cert_file = grpc.tls.cert_file;
    out.tls_key_file = grpc.tls.key_file;
    return out;
  }
  decltype(probes::CheckSpec::kind) operator()(const registry::TtlCheckSpec& ttl) const {
    return probes::TtlCheck{ttl.ttl};
  }
  decltype(probes::CheckSpec::kind) operator()(const registry::AliasCheckSpec& alias) const {
    return probes::AliasCheck{alias.instance_id};
  }
};

bool has_target(const registry::CheckSpec& check) {
  return !std::holds_alternative<registry::TtlCheckSpec>(check.kind) &&
         !std::holds_alternative<registry::AliasCheckSpec>(check.kind);
}

probes::CheckSpec to_probes(const std::string& id, const registry::CheckSpec& check,
                            const registry::CheckTarget& target) {
  probes::CheckSpec out{.id = id, .kind = std::visit(KindMaker{target}, check.kind)};
  out.timing = {.interval = check.interval,
                .timeout = check.timeout,
                .start_interval = check.start_interval,
                .start_timeout = check.start_timeout,
                .edge_interval = check.edge_interval};
  out.thresholds = {.success_before_passing = check.success_before_passing,
                    .failures_before_warning = check.failures_before_warning,
                    .failures_before_critical = check.failures_before_critical,
                    .refused_is_critical = check.refused_is_critical};
  return out;
}

}  // namespace

CheckHealth to_registry(probes::Health health) {
  switch (health) {
    case probes::Health::passing:
      return CheckHealth::passing;
    case probes::Health::warning:
      return CheckHealth::warning;
    case probes::Health::starting:
      return CheckHealth::starting;
    case probes::Health::critical:
      return CheckHealth::critical;
  }
  OUTRIDER_UNREACHABLE();
}

Checks::Checks(Env& env, Sink& sink) : env_(env), sink_(sink), runner_(env, *this) {}
Checks::~Checks() = default;

void Checks::add(const Instance& instance, const registry::CheckSpec& check) {
  const std::string id = registry::runner_id(instance.id.text(), check.id);
  Held held{.spec = check, .target = {}, .output = {}};
  std::string why;
  if (has_target(check)) {
    if (auto resolved = registry::resolve_target(check, instance)) {
      held.target = std::move(*resolved);
      held.has_target = true;
      why = refusal(held);
      held.refused = !why.empty();
    } else {
      why = resolved.error();
    }
  }
  const auto& kept = held_[id] = std::move(held);
  if (why.empty() && runner_.add(to_probes(id, check, kept.target), &why)) return;
  refuse(id, why);
}

/// False also when the check follows a service that has moved.
bool Checks::same(const Held& held, const registry::CheckSpec& check, const Instance& instance) {
  if (held.spec != check) return false;
  if (!has_target(check)) return true;
  const auto target = registry::resolve_target(check, instance);
  return target.has_value() == held.has_target && (!target || *target == held.target);
}

/// Why the target may not be probed; empty: it may.
std::string Checks::refusal(const Held& held) const {
  const auto own = probes::own_addresses(env_.network.interfaces());
  const auto allowed = probes::check_target(held.target.to, own, held.spec.allow_remote);
  return allowed ? std::string()
                 : to_string(held.target.to) + ": " + probes::explain(allowed.error());
}

/// Not probed, and said to be so.
void Checks::refuse(const std::string& id, const std::string& why) {
  const auto [instance_id, check_id] = registry::split_runner_id(id);
  env_.log.warn("check_refused", {{"instance", instance_id}, {"check", check_id}, {"why", why}});
  sink_.on_check(instance_id, check_id, CheckHealth::critical, why);
}

std::vector<std::string> Checks::probe_now(const Instance& instance) {
  std::vector<std::string> looked_at;
  for (const registry::CheckState& check : instance.checks) {
    const std::string id = registry::runner_id(instance.id.text(), check.spec.id);
    const auto held = held_.find(id);
    if (held == held_.end() || !held->second.has_target) continue;
    runner_.look_now(id);
    looked_at.push_back(check.spec.id);
  }
  return looked_at;
}

void Checks::look_at_host() {
  std::vector<std::string> ids;  // the sink may end any of them
  for (const auto& [id, held] : held_)
    if (held.has_target) ids.push_back(id);
  for (const std::string& id : ids) {
    const auto at = held_.find(id);
    if (at == held_.end()) continue;
    Held& held = at->second;
    std::string why = refusal(held);
    if (held.refused == !why.empty()) continue;
    held.refused = !why.empty();
    if (held.refused)
      runner_.remove(id);
    else if (runner_.add(to_probes(id, held.spec, held.target), &why))
      continue;
    refuse(id, why);
  }
}

void Checks::apply(const registry::InstancePtr& before, const registry::InstancePtr& after) {
  const Instance& any = after ? *after : *before;
  const std::string instance_id = any.id.text();
  const bool anew = after && (!before || before->dirty.at != after->dirty.at);
  std::set<std::string> stay;
  std::vector<registry::CheckSpec> fresh;
  if (after) {
    for (const registry::CheckState& check : after->checks) {
      const std::string id = registry::runner_id(instance_id, check.spec.id);
      const auto held = held_.find(id);
      if (held != held_.end() && same(held->second, check.spec, *after))
        stay.insert(id);
      else
        fresh.push_back(check.spec);
    }
  }
  const std::string prefix = registry::runner_id(instance_id, "");
  for (auto it = held_.lower_bound(prefix); it != held_.end() && it->first.starts_with(prefix);) {
    if (stay.contains(it->first)) {
      follow(it->first, it->second, *after, anew);
      ++it;
      continue;
    }
    runner_.remove(it->first);
    it = held_.erase(it);
  }
  for (const registry::CheckSpec& check : fresh)
    add(any, check);
  tell_aliases(instance_id, after);
  // An alias that is new has heard nothing yet of an instance that has been there before.
  for (const registry::CheckSpec& check : fresh) {
    const auto* alias = std::get_if<registry::AliasCheckSpec>(&check.kind);
    if (alias == nullptr) continue;
    if (const auto known = health_.find(alias->instance_id); known != health_.end())
      runner_.instance_health(alias->instance_id, known->second);
    else
      sink_.on_check(instance_id, check.id, CheckHealth::starting,
                     "instance " + alias->instance_id + " is not registered here");
  }
}

void Checks::tell_aliases(const std::string& instance_id, const registry::InstancePtr& now) {
  const auto health = now ? alias_health(*now) : probes::Health::critical;
  const auto known = health_.find(instance_id);
  const bool told = known != health_.end() && known->second == health;
  if (now)
    health_[instance_id] = health;
  else
    health_.erase(instance_id);
  if (!told) runner_.instance_health(instance_id, health);
}

/// A check that stays, after its registration changed. `anew`: it was registered again, by somebody
/// who expects to be looked at.
void Checks::follow(const std::string& id, Held& held, const Instance& instance, bool anew) {
  const bool was_dropped = std::exchange(held.dropped, instance.dropped);
  if (held.dropped && !was_dropped) slow_down(id, held);
  if (held.backoff != Duration::zero() && (!held.dropped || anew)) {
    held.backoff = Duration::zero();
    runner_.set_interval(id, std::nullopt);
  }
  if (anew && instance.health == registry::Health::critical) runner_.restart(id);
}

void Checks::end_all() {
  for (const auto& [id, held] : held_)
    runner_.remove(id);
  held_.clear();
  health_.clear();
}

bool Checks::renew(const std::string& instance_id, const std::string& check_id, CheckHealth health,
                   std::string output) {
  probes::Outcome outcome{.kind = health == CheckHealth::passing ? probes::OutcomeKind::pass
                                  : health == CheckHealth::warning
                                      ? probes::OutcomeKind::warn
                                      : probes::OutcomeKind::fail_other};
  outcome.output = std::move(output);
  outcome.at = env_.now();
  return runner_.renew(registry::runner_id(instance_id, check_id), std::move(outcome));
}

void Checks::on_health(const std::string& id, probes::Health health, const probes::Outcome& last) {
  const auto held = held_.find(id);
  if (held == held_.end()) return;
  held->second.output = last.output;
  const auto [instance_id, check_id] = registry::split_runner_id(id);
  sink_.on_check(instance_id, check_id, to_registry(health), last.output);
}

void Checks::on_outcome(const std::string& id, const probes::Outcome& outcome) {
  ++outcomes_;
  failed_outcomes_ += outcome.passed() ? 0 : 1;
  if (outcome.kind == probes::OutcomeKind::fail_refused) {
    const auto [instance_id, check_id] = registry::split_runner_id(id);
    sink_.on_refused(instance_id, check_id);
  }
  const auto found = held_.find(id);
  if (found == held_.end()) return;
  Held& held = found->second;
  if (held.dropped) {
    // What comes back is looked at as closely as anything that is about to change.
    if (outcome.passed())
      runner_.set_interval(id, std::nullopt);
    else
      slow_down(id, held);
  }
  if (outcome.passed()) return;
  // What is failing may fail differently now; what passes is not worth a word.
  if (held.output == outcome.output) return;
  const auto status = runner_.status(id);
  if (!status) return;
  held.output = outcome.output;
  const auto [instance_id, check_id] = registry::split_runner_id(id);
  sink_.on_check(instance_id, check_id, to_registry(status->health), outcome.output);
}

void Checks::slow_down(const std::string& id, Held& held) {
  const Duration usual = held.spec.interval;
  const Duration most = std::max(usual, kDroppedIntervalMax);
  held.backoff = std::min(most, held.backoff == Duration::zero() ? usual : held.backoff * 2);
  runner_.set_interval(id, held.backoff);
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
