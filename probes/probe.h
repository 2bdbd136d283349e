// SPDX-License-Identifier: Apache-2.0
// Active health checks. A check is configured; a probe is one run of it; an outcome is what that
// run saw; a verdict is what outcomes mean after thresholds; the runner drives checks in time.
//
//   runner ▸ schedule (when) ▸ Prober ▸ Probe (one run) ▸ Outcome ▸ Verdict (hysteresis) ▸
//   Runner::Sink
//
// One file per kind of probe: http_probe, tcp_probe, curl_module/ for https and gRPC. Heartbeats
// and aliases have no probe; the runner is told. To add a kind: a struct in check.h, a file with
// its Prober, a case in runner.cc's make_prober, scenarios in tests/probes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/callback.h"
#include "base/env.h"

namespace outrider::probes {

/// Bytes of a body that are read and kept as the last output; the rest is cut.
inline constexpr std::size_t kOutputBytesMax = 4'096;
inline constexpr std::size_t kOutcomesKept = 10;  // per check
/// Of the outcomes kept, the last one has its whole output, the older ones so much of it.
inline constexpr std::size_t kOlderOutputBytesMax = 256;
inline constexpr std::size_t kChecksMax = 32'768;

/// Network refusals are values here, not errors.
enum class OutcomeKind : std::uint8_t {
  pass,
  warn,           // HTTP 429
  fail_status,    // answered, with another status
  fail_body,      // the body or an expected header is not the expected one
  fail_identity,  // somebody else answers on this port
  fail_refused,
  fail_reset,
  fail_timeout,  // no complete answer within the timeout
  fail_unreachable,
  fail_protocol,  // not the protocol that was expected
  fail_tls,
  fail_other,
};
const char* to_string(OutcomeKind kind);

struct Outcome {
  OutcomeKind kind = OutcomeKind::fail_other;
  int status = 0;      // HTTP status, gRPC serving status; 0 if none
  Duration latency{};  // from start to verdict
  std::string output;  // for people: "HTTP 503: …", "connection refused"; ≤ kOutputBytesMax
  TimePoint at;        // when the probe ended

  bool passed() const { return kind == OutcomeKind::pass; }
  bool warned() const { return kind == OutcomeKind::warn; }
};
using OutcomeCallback = Callback<void(Outcome)>;

/// One run under way; destroying it cancels and nothing is called. The callback comes exactly once,
/// never before the function that started the probe returns, and never later than the timeout.
class Probe {
 public:
  virtual ~Probe() = default;
};

/// A check made ready to run: what all its runs share, a kept connection included. Outlives its
/// probes.
class Prober {
 public:
  virtual ~Prober() = default;
  virtual std::unique_ptr<Probe> start(Env& env, Duration timeout, OutcomeCallback callback) = 0;
  /// Closes a connection that was kept, as after a suspend.
  virtual void forget() {}
};

/// What NetErrors mean for an instance; `doing` is for people: "connect", "read".
Outcome outcome_of(NetError error, const char* doing);

}  // namespace outrider::probes
