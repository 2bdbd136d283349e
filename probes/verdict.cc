// SPDX-License-Identifier: Apache-2.0
#include "probes/verdict.h"

#include <algorithm>

namespace outrider::probes {

const char* to_string(OutcomeKind kind) {
  switch (kind) {
    case OutcomeKind::pass:
      return "pass";
    case OutcomeKind::warn:
      return "warn";
    case OutcomeKind::fail_status:
      return "fail_status";
    case OutcomeKind::fail_body:
      return "fail_body";
    case OutcomeKind::fail_identity:
      return "fail_identity";
    case OutcomeKind::fail_refused:
      return "fail_refused";
    case OutcomeKind::fail_reset:
      return "fail_reset";
    case OutcomeKind::fail_timeout:
      return "fail_timeout";
    case OutcomeKind::fail_unreachable:
      return "fail_unreachable";
    case OutcomeKind::fail_protocol:
      return "fail_protocol";
    case OutcomeKind::fail_tls:
      return "fail_tls";
    case OutcomeKind::fail_other:
      return "fail_other";
    case OutcomeKind::not_probed:
      return "not_probed";
  }
  return "?";
}

Verdict::Verdict(const CheckThresholds& thresholds, FlapDamping damping, CheckHealth standing)
    : thresholds_(thresholds), damping_(damping), health_(standing) {
  // A threshold of 0 means 1: it takes an outcome to change the health.
  thresholds_.success_before_passing = std::max(1U, thresholds_.success_before_passing);
  thresholds_.failures_before_warning = std::max(1U, thresholds_.failures_before_warning);
  thresholds_.failures_before_critical = std::max(1U, thresholds_.failures_before_critical);
}

std::uint32_t Verdict::successes_needed() const {
  if (!answered_ever_) return 1;
  const std::uint32_t plain = thresholds_.success_before_passing;
  if (plain >= kFlapSuccessesMax) return plain;
  return std::min(plain * penalty_, kFlapSuccessesMax);
}

bool Verdict::counting() const {
  switch (health_) {
    case CheckHealth::passing:
      return failures_ > 0 || warns_ > 0;
    case CheckHealth::warning:
      return failures_ > 0 || passes_ > 0;
    case CheckHealth::starting:
      return failures_ > 0;
    case CheckHealth::critical:
      return answers_ > 0;
  }
  return false;
}

bool Verdict::step(const Outcome& outcome, TimePoint now) {
  forget_old_changes(now);
  count(outcome);
  const CheckHealth to = judge(outcome);
  answered_ever_ = answered_ever_ || answers_ > 0;
  if (to == health_) return false;
  const bool first = health_ == CheckHealth::starting;
  health_ = to;
  if (!first) note_change(now);
  return true;
}

void Verdict::count(const Outcome& outcome) {
  if (outcome.passed() || outcome.warned()) {
    passes_ = outcome.passed() ? passes_ + 1 : 0;
    warns_ = outcome.warned() ? warns_ + 1 : 0;
    ++answers_;
    failures_ = 0;
    return;
  }
  passes_ = warns_ = answers_ = 0;
  ++failures_;
  if (thresholds_.refused_is_critical && outcome.kind == OutcomeKind::fail_refused)
    failures_ = std::max(failures_, thresholds_.failures_before_critical);
}

CheckHealth Verdict::judge(const Outcome& outcome) const {
  if (failures_ >= thresholds_.failures_before_critical) return CheckHealth::critical;
  switch (health_) {
    case CheckHealth::starting:
      if (outcome.passed()) return CheckHealth::passing;
      return outcome.warned() ? CheckHealth::warning : CheckHealth::starting;
    case CheckHealth::passing:
      return std::max(failures_, warns_) >= thresholds_.failures_before_warning
                 ? CheckHealth::warning
                 : CheckHealth::passing;
    case CheckHealth::warning:
      return passes_ >= successes_needed() ? CheckHealth::passing : CheckHealth::warning;
    case CheckHealth::critical:
      if (passes_ >= successes_needed()) return CheckHealth::passing;
      return answers_ >= successes_needed() ? CheckHealth::warning : CheckHealth::critical;
  }
  return health_;
}

void Verdict::forget_old_changes(TimePoint now) {
  std::erase_if(changes_, [&](TimePoint at) { return now - at >= kFlapWindow; });
  if (changes_.empty()) penalty_ = 1;
}

void Verdict::note_change(TimePoint now) {
  if (damping_ == FlapDamping::off) return;
  if (changes_.size() > kFlapChanges) changes_.erase(changes_.begin());
  changes_.push_back(now);
  if (changes_.size() > kFlapChanges) penalty_ = std::min(penalty_ * 2, kFlapSuccessesMax);
}

void Verdict::reset_counts() {
  passes_ = warns_ = answers_ = failures_ = 0;
}

}  // namespace outrider::probes
