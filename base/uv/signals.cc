// SPDX-License-Identifier: Apache-2.0
// Signals beyond what libuv does: their origin, and signals that come before a loop exists.
#include <array>
#include <cerrno>
#include <csignal>

#include <sys/signalfd.h>
#include <unistd.h>

#include "base/uv/socket.h"
#include "base/uv/state.h"

namespace outrider::uv {
namespace {

sigset_t set_of(const std::vector<int>& signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals)
    ::sigaddset(&set, signal);
  return set;
}

void change_mask(int how, const std::vector<int>& signals) {
  const sigset_t set = set_of(signals);
  ::pthread_sigmask(how, &set, nullptr);
}

class SignalQueue final : public Pending {
 public:
  explicit SignalQueue(Callback<void(int, SignalOrigin)> callback)
      : callback_(std::move(callback)) {}

  bool start(Network& network, const std::vector<int>& signals) {
    change_mask(SIG_BLOCK, signals);
    const sigset_t set = set_of(signals);
    fd_ = FileDescriptor(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    if (!fd_) return false;
    auto watch = network.watch_fd(fd_.get(), {.readable = true}, [this](FdEvents) { read(); });
    if (!watch) return false;
    watch_ = std::move(*watch);
    return true;
  }

 private:
  void read() {
    const Life::Watch watch(life_);
    signalfd_siginfo info{};
    while (!watch.gone() && ::read(fd_.get(), &info, sizeof info) == sizeof info) {
      // The kernel itself sends those of a terminal: the interrupt key, and its hang-up.
      const bool terminal = info.ssi_code == SI_KERNEL;
      call_member(life_, callback_, static_cast<int>(info.ssi_signo),
                  terminal ? SignalOrigin::terminal : SignalOrigin::process);
    }
  }

  Callback<void(int, SignalOrigin)> callback_;
  Life life_;
  FileDescriptor fd_;
  std::unique_ptr<FdWatch> watch_;  // before the descriptor is closed
};

}  // namespace

void hold_signal(int signal) {
  change_mask(SIG_BLOCK, {signal});
}

void release_signal(int signal) {
  change_mask(SIG_UNBLOCK, {signal});
}

void suspend() {
  struct sigaction standard {
  }, before{};
  standard.sa_handler = SIG_DFL;
  ::sigaction(SIGTSTP, &standard, &before);
  sigset_t mask;
  const sigset_t one = set_of({SIGTSTP});
  ::pthread_sigmask(SIG_UNBLOCK, &one, &mask);
  (void)::raise(SIGTSTP);
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  ::sigaction(SIGTSTP, &before, nullptr);
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

std::unique_ptr<Pending> Loop::take_signals(const std::vector<int>& signals,
                                            Callback<void(int, SignalOrigin)> callback) {
  auto queue = std::make_unique<SignalQueue>(std::move(callback));
  const bool started = queue->start(network(), signals);
  OUTRIDER_ASSERT(started);
  return queue;
}

}  // namespace outrider::uv
