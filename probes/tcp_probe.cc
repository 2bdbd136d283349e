// SPDX-License-Identifier: Apache-2.0
#include "probes/tcp_probe.h"

namespace outrider::probes {
namespace {

/// A connection that has served its purpose: finished, and open until the server finishes too.
class Closing final : public Stream::Sink {
 public:
  Closing(Env& env, std::unique_ptr<Stream> stream)
      : stream_(std::move(stream)), timer_(env.after(kTcpCloseWait, [this] { close(); })) {
    stream_->start(*this);
    stream_->finish();
  }

 private:
  void on_data(Bytes data) override {
    read_ += data.size();
    if (read_ > kTcpGreetingBytesMax) close();
  }
  void on_end() override { close(); }
  void on_broken(NetError) override { close(); }
  void close() {
    timer_.reset();
    stream_.reset();
  }

  std::unique_ptr<Stream> stream_;
  Timer timer_;
  std::size_t read_ = 0;
};

class TcpRun final : public Probe {
 public:
  TcpRun(const StreamAddress& target, Env& env, Duration timeout, std::unique_ptr<Closing>& closing,
         OutcomeCallback callback)
      : env_(env),
        callback_(std::move(callback)),
        started_(env.now()),
        timeout_(env.after(timeout,
                           [this] {
                             finish({.kind = OutcomeKind::fail_timeout,
                                     .output = "timeout: no connection"});
                           })),
        connecting_(
            env.network.connect({.to = target, .from = {}}, [this, &closing](auto connected) {
              if (!connected) return finish(outcome_of(connected.error(), "connect"));
              // Closed with FIN: a reset makes some servers log an error at every probe.
              closing = std::make_unique<Closing>(env_, std::move(*connected));
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
    return std::make_unique<TcpRun>(target_, env, timeout, closing_, std::move(callback));
  }
  void forget() override { closing_.reset(); }

 private:
  StreamAddress target_;
  std::unique_ptr<Closing> closing_;  // of the last probe
};

}  // namespace

std::unique_ptr<Prober> make_tcp_prober(const TcpCheck& check) {
  return std::make_unique<TcpProber>(check);
}

}  // namespace outrider::probes
