// SPDX-License-Identifier: Apache-2.0
#include "probes/tcp_probe.h"

namespace outrider::probes {
namespace {

class TcpRun final : public Probe {
 public:
  TcpRun(const StreamAddress& target, Env& env, Duration timeout, OutcomeCallback callback)
      : env_(env),
        callback_(std::move(callback)),
        started_(env.now()),
        timeout_(env.after(timeout,
                           [this] {
                             finish({.kind = OutcomeKind::fail_timeout,
                                     .output = "timeout: no connection"});
                           })),
        connecting_(env.network.connect({.to = target, .from = {}}, [this](auto connected) {
          if (!connected) return finish(outcome_of(connected.error(), "connect"));
          // Closed with FIN: a reset makes some servers log an error at every probe.
          finish({.kind = OutcomeKind::pass, .output = "connected"});
        })) {}

 private:
  void finish(Outcome outcome) {
    timeout_.reset();
    connecting_.reset();
    outcome.at = env_.now();
    outcome.latency = outcome.at - started_;
    OutcomeCallback callback = std::move(callback_);
    callback(std::move(outcome));  // may destroy this
  }

  Env& env_;
  OutcomeCallback callback_;
  TimePoint started_;
  Timer timeout_;
  std::unique_ptr<Pending> connecting_;
};

class TcpProber final : public Prober {
 public:
  explicit TcpProber(const TcpCheck& check) : target_(check.target) {}
  std::unique_ptr<Probe> start(Env& env, Duration timeout, OutcomeCallback callback) override {
    return std::make_unique<TcpRun>(target_, env, timeout, std::move(callback));
  }

 private:
  StreamAddress target_;
};

}  // namespace

std::unique_ptr<Prober> make_tcp_prober(const TcpCheck& check) {
  return std::make_unique<TcpProber>(check);
}

}  // namespace outrider::probes
