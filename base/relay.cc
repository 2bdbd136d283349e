// SPDX-License-Identifier: Apache-2.0
#include "base/relay.h"

#include "base/assert.h"

namespace outrider {
namespace {

class CopyRelay final : public Relay {
 public:
  CopyRelay(Env& env, RelayEnd a, RelayEnd b, Sink& sink)
      : env_(env), sink_(sink), a_(*this, std::move(a)), b_(*this, std::move(b)) {
    a_.other = &b_;
    b_.other = &a_;
    if (!a.read.empty()) a_.on_data(a.read);
    if (!b.read.empty()) b_.on_data(b.read);
    a_.start();
    b_.start();
    end_if_done();
  }
  ~CopyRelay() override {
    if (done_) return;
    a_.stream->reset_on_destroy();
    b_.stream->reset_on_destroy();
  }
  std::uint64_t bytes() const override { return bytes_; }

 private:
  struct Side final : Stream::Sink {
    Side(CopyRelay& owner, RelayEnd end)
        : relay(owner), stream(std::move(end.stream)), ended(end.ended) {}

    void start() {
      stream->start(*this);
      if (ended) other->stream->finish();
      pause_if_full();
    }
    /// Reads on only while the other stream keeps up.
    void pause_if_full() {
      stream->set_paused(other->stream->unsent_bytes() >= kRelayQueueBytesMax);
    }

    void on_data(Bytes data) override {
      relay.bytes_ += data.size();
      if (!other->stream->write(data)) return relay.break_off();
      pause_if_full();
    }
    void on_end() override {
      ended = true;
      other->stream->finish();
      relay.end_if_done();
    }
    void on_broken(NetError) override { relay.break_off(); }
    void on_drained() override {
      other->pause_if_full();
      relay.end_if_done();
    }

    CopyRelay& relay;
    std::unique_ptr<Stream> stream;
    Side* other = nullptr;
    bool ended;
  };

  void end_if_done() {
    if (!a_.ended || !b_.ended) return;
    if (a_.stream->unsent_bytes() > 0 || b_.stream->unsent_bytes() > 0) return;
    done_ = true;
    tell_end();
  }
  void break_off() { tell_end(); }
  /// In a turn of its own, since a stream may be in the middle of a call.
  void tell_end() {
    a_.stream->set_paused(true);
    b_.stream->set_paused(true);
    if (!report_.pending())
      report_ = env_.after(Duration::zero(), [this] { sink_.on_relay_end(); });
  }

  Env& env_;
  Sink& sink_;
  Side a_, b_;
  bool done_ = false;
  std::uint64_t bytes_ = 0;
  Timer report_;
};

class CopyRelays final : public Relays {
 public:
  explicit CopyRelays(Env& env) : env_(env) {}
  std::unique_ptr<Relay> start(RelayEnd a, RelayEnd b, Relay::Sink& sink) override {
    return std::make_unique<CopyRelay>(env_, std::move(a), std::move(b), sink);
  }

 private:
  Env& env_;
};

}  // namespace

std::unique_ptr<Relays> copy_relays(Env& env) {
  return std::make_unique<CopyRelays>(env);
}

}  // namespace outrider
