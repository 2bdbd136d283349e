// SPDX-License-Identifier: Apache-2.0
// Active health checks. A check is configured; a probe is one run of it; an outcome is what that
// run saw; a verdict is what outcomes mean after thresholds; the runner drives checks over time.
//
//   runner ▸ schedule (when) ▸ Prober ▸ Probe (one run) ▸ Outcome ▸ Verdict (hysteresis) ▸
//   Runner::Sink
//
// One file per kind of probe: http_probe, tcp_probe, curl_probe for https and gRPC. Heartbeats
// and aliases have no probe: the caller gives the runner their outcomes.
//
// To add a kind of check, KIND (after 1 and 2 the compiler reports what is missing in 3 to 7, but
// not the rows):
//   1. base/check.h            a value in CheckKind
//   2. base/check_kinds.h      its row: name, has_target, module, keys
//   3. agent/registry/model.h  KindCheckSpec, as configured, and its place in CheckSpec::Kind
//   4. agent/registry/         spec_rows.cc its keys; check_spec.cc reader and writer; target.cc
//   5. probes/check.{h,cc}     KindCheck, ready to run, its place in CheckSpec::Kind, wrong()
//   6. probes/kind_probe.*     its Prober (meson.build), called in runner.cc's ProberMaker
//   7. agent/checks.cc         KindMaker: from the one struct to the other
//   8. agent/doors/consul/decode.cc, if Consul has the kind too
//   9. tests/probes, tests/agent/registry/spec_test.cc
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/callback.h"
#include "base/env.h"

namespace outrider::probes {

/// Bytes of a body that are read and kept as the last output; the rest is dropped.
inline constexpr std::size_t kOutputBytesMax = 4'096;
inline constexpr std::size_t kOutcomesKept = 10;  // per check
/// Of each check, what is kept of more outcomes than that, for a picture of its recent past.
inline constexpr std::size_t kTicksKept = 60;
/// The newest outcome keeps its whole output, the older ones this much of it.
inline constexpr std::size_t kOlderOutputBytesMax = 256;
inline constexpr std::size_t kChecksMax = 32'768;

/// Network refusals are values here, not errors.
enum class OutcomeKind : std::uint8_t {
  pass,
  warn,           // HTTP 429
  fail_status,    // answered, with another status
  fail_body,      // the body or an expected header is not the expected one
  fail_identity,  // another service answers on this port
  fail_refused,
  fail_reset,
  fail_timeout,  // no complete answer within the timeout
  fail_unreachable,
  fail_protocol,  // not the protocol that was expected
  fail_tls,
  fail_other,
  /// No outcome: this process had no descriptor or memory left for the probe, which says nothing
  /// about the service. The runner tries again and keeps the health.
  not_probed,
};
const char* to_string(OutcomeKind kind);

struct Outcome {
  OutcomeKind kind = OutcomeKind::fail_other;
  int status = 0;      // HTTP status, gRPC serving status; 0 if none
  Duration latency{};  // from start to verdict
  std::string output;  // for people: "HTTP 503: …", "connection refused"; ≤ kOutputBytesMax
  TimePoint at;        // when the probe ended

  bool passed() const { return kind == OutcomeKind::pass; }
  bool probed() const { return kind != OutcomeKind::not_probed; }
  bool warned() const { return kind == OutcomeKind::warn; }
};
/// An outcome without its words.
struct Tick {
  TimePoint at;  // to a tenth of a second
  Duration latency{};
  OutcomeKind kind = OutcomeKind::fail_other;
};
using OutcomeCallback = Callback<void(Outcome)>;

/// One run in flight; destroying it cancels the run and its callback. The callback is called once,
/// never before the function that started the probe returns, and never later than the timeout.
class Probe {
 public:
  virtual ~Probe() = default;
};

/// What all runs of one check share, including a kept connection. Outlives its probes.
class Prober {
 public:
  virtual ~Prober() = default;
  virtual std::unique_ptr<Probe> start(Env& env, Duration timeout, OutcomeCallback callback) = 0;
  /// Closes a kept connection, after a suspend for example.
  virtual void forget() {}
};

/// What NetErrors mean for an instance; `doing` is for people: "connect", "read".
Outcome outcome_of(NetError error, const char* doing);

}  // namespace outrider::probes
