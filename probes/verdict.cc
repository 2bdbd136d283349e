// SPDX-License-Identifier: Apache-2.0
#include "probes/verdict.h"

#include <algorithm>

namespace outrider::probes {

const char* to_string(Health health) {
  switch (health) {
    case Health::passing:
      return "passing";
    case Health::warning:
      return "warning";
    case Health::starting:
      return "starting";
    case Health::critical:
      return "critical";
  }
  return "?";
}

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
  }
  return "?";
}

Verdict::Verdict(const Thresholds& thresholds) : thresholds_(thresholds) {
  // A threshold of none means the same as one: an outcome must come before it can count.
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
    case Health::passing:
      return failures_ > 0 || warns_ > 0;
    case Health::warning:
      return failures_ > 0 || passes_ > 0;
    case Health::starting:
      return failures_ > 0;
    case Health::critical:
      return answers_ > 0;
  }
  return false;
}

bool Verdict::step(const Outcome& outcome, TimePoint now) {
  forget_old_changes(now);
  count(outcome);
  const Health to = judge(outcome);
  answered_ever_ = answered_ever_ || answers_ > 0;
  if (to == health_) return false;
  const bool first = health_ == Health::starting;
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

Health Verdict::judge(const Outcome& outcome) const {
  if (failures_ >= thresholds_.failures_before_critical) return Health::critical;
  switch (health_) {
    case Health::starting:
      if (outcome.passed()) return Health::passing;
      return outcome.warned() ? Health::warning : Health::starting;
    case Health::passing:
      return std::max(failures_, warns_) >= thresholds_.failures_before_warning ? Health::warning
                                                                                : Health::passing;
    case Health::warning:
      return passes_ >= successes_needed() ? Health::passing : Health::warning;
    case Health::critical:
      if (passes_ >= successes_needed()) return Health::passing;
      return answers_ >= successes_needed() ? Health::warning : Health::critical;
  }
  return health_;
}

void Verdict::forget_old_changes(TimePoint now) {
  std::erase_if(changes_, [&](TimePoint at) { return now - at >= kFlapWindow; });
  if (changes_.empty()) penalty_ = 1;
}

void Verdict::note_change(TimePoint now) {
  if (!thresholds_.damp_flapping) return;
  if (changes_.size() > kFlapChanges) changes_.erase(changes_.begin());
  changes_.push_back(now);
  if (changes_.size() > kFlapChanges) penalty_ = std::min(penalty_ * 2, kFlapSuccessesMax);
}

void Verdict::reset_counts() {
  passes_ = warns_ = answers_ = failures_ = 0;
}

}  // namespace outrider::probes
