// SPDX-License-Identifier: Apache-2.0
#include "probes/verdict.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "base/random.h"

using namespace outrider;
using namespace outrider::probes;

namespace {

/// p pass, w warn, f fail, r refused.
Outcome outcome(char letter) {
  Outcome o;
  if (letter == 'p') o.kind = OutcomeKind::pass;
  if (letter == 'w') o.kind = OutcomeKind::warn;
  if (letter == 'f') o.kind = OutcomeKind::fail_status;
  if (letter == 'r') o.kind = OutcomeKind::fail_refused;
  return o;
}

char letter(CheckHealth health) {
  switch (health) {
    case CheckHealth::passing:
      return 'P';
    case CheckHealth::warning:
      return 'W';
    case CheckHealth::starting:
      return 'S';
    case CheckHealth::critical:
      return 'C';
  }
  return '?';
}

/// Feeds outcomes `gap` apart; the health after each. A blank is a minute of quiet.
std::string run(Verdict& verdict, std::string_view outcomes, Duration gap = 10s,
                TimePoint start = {}) {
  std::string healths;
  TimePoint now = start;
  for (const char c : outcomes) {
    if (c == ' ') {
      now += 60s;
      continue;
    }
    const CheckHealth before = verdict.health();
    const bool changed = verdict.step(outcome(c), now);
    CHECK(changed == (before != verdict.health()));
    healths += letter(verdict.health());
    now += gap;
  }
  return healths;
}
std::string run(const CheckThresholds& thresholds, std::string_view outcomes) {
  Verdict verdict(thresholds);
  return run(verdict, outcomes);
}

}  // namespace

TEST_CASE("every transition of health") {
  // Defaults: 2 passes, 1 failure to warning, 3 to critical.
  struct Row {
    const char* name;
    const char* outcomes;
    const char* healths;
  };
  const Row rows[] = {
      {"starting ▸ passing at the first pass", "p", "P"},
      {"starting ▸ warning at the first warn", "w", "W"},
      {"starting stays while failures count", "ff", "SS"},
      {"starting ▸ passing after failures", "ffp", "SSP"},
      {"starting ▸ critical", "fff", "SSC"},
      {"passing stays", "ppp", "PPP"},
      {"passing ▸ warning by a failure", "pf", "PW"},
      {"passing ▸ warning by a warn", "pw", "PW"},
      {"warning ▸ passing", "pfpp", "PWWP"},
      {"warning ▸ passing needs passes in a row", "pfpfpp", "PWWWWP"},
      {"warning stays under warns", "pwwwww", "PWWWWW"},
      {"warning ▸ critical", "pfff", "PWWC"},
      {"a warn resets failures", "pffwffw", "PWWWWWW"},
      {"critical stays", "pfffff", "PWWCCC"},
      {"critical ▸ passing", "pfffpp", "PWWCCP"},
      {"critical ▸ passing needs passes in a row", "pfffpfpp", "PWWCCCCP"},
      {"critical ▸ warning by warns", "pfffww", "PWWCCW"},
      {"critical ▸ warning by a warn and a pass", "pfffwpp", "PWWCCWP"},
      {"critical ▸ warning by a pass and a warn", "pfffpw", "PWWCCW"},
      {"critical ▸ passing at the first pass ever", "fffp", "SSCP"},
      {"critical ▸ warning at the first warn ever", "fffwp", "SSCWW"},
      {"critical by failures in a row only", "pfffppffpfff", "PWWCCPWWWWWC"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    CHECK(run(CheckThresholds{}, row.outcomes) == row.healths);
  }
}

TEST_CASE("thresholds both ways and for warning") {
  CHECK(run({.success_before_passing = 1, .failures_before_critical = 1}, "pfpfp") == "PCPCP");
  CHECK(run({.success_before_passing = 3}, "pfffppp") == "PWWCCCP");
  CHECK(run({.failures_before_warning = 2, .failures_before_critical = 4}, "pffff") == "PPWWC");
  CHECK(run({.failures_before_warning = 2}, "pwpwwp") == "PPPPWW");
  CHECK(run({.failures_before_warning = 5, .failures_before_critical = 2}, "pff") == "PPC");
  // None means one.
  CHECK(run({0, 0, 0}, "pfp") == "PCP");
}

TEST_CASE("refused is critical at once, by choice") {
  CHECK(run({.refused_is_critical = true}, "prpp") == "PCCP");
  CHECK(run({.refused_is_critical = true}, "r") == "C");
  CHECK(run({.refused_is_critical = true}, "pf") == "PW");
  CHECK(run({.refused_is_critical = false}, "pr") == "PW");
}

TEST_CASE("counting says when to look again soon") {
  Verdict verdict({.failures_before_warning = 2});
  CHECK_FALSE(verdict.counting());
  run(verdict, "p");
  CHECK_FALSE(verdict.counting());
  run(verdict, "f");
  CHECK(verdict.counting());
  run(verdict, "f");
  CHECK(verdict.health() == CheckHealth::warning);
  CHECK(verdict.counting());
  run(verdict, "f");
  CHECK(verdict.health() == CheckHealth::critical);
  CHECK_FALSE(verdict.counting());
  run(verdict, "p");
  CHECK(verdict.counting());
  run(verdict, "p");
  CHECK(verdict.health() == CheckHealth::passing);
  CHECK_FALSE(verdict.counting());
  run(verdict, "ww");
  CHECK(verdict.health() == CheckHealth::warning);
  CHECK_FALSE(verdict.counting());  // steady
}

TEST_CASE("flapping doubles what recovery takes, until it is quiet") {
  const CheckThresholds quick{.success_before_passing = 1, .failures_before_critical = 1};
  Verdict verdict(quick);
  // The first verdict is no change; six changes are let go.
  CHECK(run(verdict, "pfpfpfp", 1s) == "PCPCPCP");
  CHECK_FALSE(verdict.flapping());
  CHECK(run(verdict, "f", 1s, TimePoint(7s)) == "C");
  CHECK(verdict.flapping());
  CHECK(verdict.successes_needed() == 2);
  CHECK(run(verdict, "ppf", 1s, TimePoint(8s)) == "CPC");
  CHECK(verdict.successes_needed() == 8);
  CHECK(run(verdict, "pppppppp", 1s, TimePoint(11s)) == "CCCCCCCP");
  CHECK(verdict.successes_needed() == kFlapSuccessesMax);
  // A minute after the last change all is forgotten.
  CHECK(run(verdict, "p", 1s, TimePoint(18s + kFlapWindow)) == "P");
  CHECK_FALSE(verdict.flapping());
  CHECK(verdict.successes_needed() == 1);

  Verdict undamped(quick, FlapDamping::off);
  CHECK(run(undamped, "pfpfpfpfpfpfpfp", 1s) == "PCPCPCPCPCPCPCP");

  Verdict slow({.success_before_passing = 10});
  CHECK(slow.successes_needed() == 1);
  run(slow, "p");
  CHECK(slow.successes_needed() == 10);
}

TEST_CASE("after a suspend counts are forgotten, health is not") {
  Verdict verdict(CheckThresholds{});
  run(verdict, "pff");
  verdict.reset_counts();
  CHECK(verdict.health() == CheckHealth::warning);
  CHECK(verdict.failures() == 0);
  CHECK_FALSE(verdict.counting());
  CHECK(run(verdict, "fff") == "WWC");
  run(verdict, "p");
  verdict.reset_counts();
  CHECK(run(verdict, "pp") == "CP");
}

TEST_CASE("whatever comes, the rules hold") {
  SeededRandom random(3);
  for (int round = 0; round < 300; ++round) {
    const CheckThresholds t{static_cast<std::uint32_t>(random.below(5)),
                            static_cast<std::uint32_t>(random.below(5)),
                            static_cast<std::uint32_t>(random.below(5)), random.below(2) == 0};
    const auto damping = random.below(2) == 0 ? FlapDamping::on : FlapDamping::off;
    Verdict verdict(t, damping);
    TimePoint now;
    std::uint32_t fails = 0, passes = 0;
    for (int i = 0; i < 200; ++i) {
      const char c = "pwfr"[random.below(4) & random.below(4)];
      const bool failed = c == 'f' || c == 'r';
      const CheckHealth before = verdict.health();
      verdict.step(outcome(c), now);
      now += random.between(0s, 20s);
      fails = failed ? fails + 1 : 0;
      passes = c == 'p' ? passes + 1 : 0;

      if (fails >= std::max(1U, t.failures_before_critical))
        REQUIRE(verdict.health() == CheckHealth::critical);
      if (passes >= kFlapSuccessesMax) REQUIRE(verdict.health() == CheckHealth::passing);
      if (verdict.health() == CheckHealth::critical && before != CheckHealth::critical)
        REQUIRE(failed);
      if (failed) REQUIRE(verdict.health() >= before);
      if (c == 'p') REQUIRE(verdict.health() <= before);
      REQUIRE((verdict.health() == CheckHealth::starting ? before == CheckHealth::starting : true));
      REQUIRE(verdict.successes_needed() <= kFlapSuccessesMax);
    }
  }
}
