// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/look_up.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <unistd.h>

#include "agent/cli/run/terminal.h"
#include "base/text.h"

namespace outrider::cli::beside {
namespace {

constexpr std::size_t kOutputMax = 4'096;

class OneLookUp final : public Pending {
 public:
  OneLookUp(uv::Loop& loop, Env& env, const std::string& name,
            Callback<void(std::vector<IpAddress>)> answer)
      : answer_(std::move(answer)) {
    start(loop, env, name);
    // Also where it could not be started: not before this returns.
    limit_ = env.after(process_ ? kLookUpTime : Duration::zero(), [this] { finish(); });
  }
  ~OneLookUp() override {
    if (process_) process_->kill(SIGKILL);
  }

 private:
  void start(uv::Loop& loop, Env& env, const std::string& name) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    Descriptor write_end(ends[1]);
    read_end_ = Descriptor(ends[0]);
    ::fcntl(read_end_.get(), F_SETFL, O_NONBLOCK);
    auto watch =
        env.network.watch_fd(read_end_.get(), {.readable = true}, [this](FdEvents) { read(); });
    if (!watch) return;
    watch_ = std::move(*watch);
    auto process = loop.spawn({.arguments = {"getent", "ahosts", name},
                               .environment = {},
                               .without = {},
                               .ends_with_us = true,
                               .output = write_end.get()},
                              [](uv::ExitStatus) {});
    if (process) process_ = std::move(*process);
  }

  void read() {
    std::array<char, 512> piece;
    const ssize_t size = ::read(read_end_.get(), piece.data(), piece.size());
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size > 0 && text_.size() < kOutputMax)
      text_.append(piece.data(), static_cast<std::size_t>(size));
    else
      finish();
  }

  void finish() {
    watch_.reset();
    limit_.reset();
    Callback<void(std::vector<IpAddress>)> answer = std::move(answer_);
    if (answer) answer(addresses());  // may destroy this
  }

  /// Each is there once for every type of socket.
  std::vector<IpAddress> addresses() const {
    std::vector<IpAddress> found;
    std::string_view rest = text_;
    while (auto line = take_line(rest))
      if (const auto address = IpAddress::parse(take_word(*line)))
        if (std::ranges::find(found, *address) == found.end()) found.push_back(*address);
    return found;
  }

  Callback<void(std::vector<IpAddress>)> answer_;
  Descriptor read_end_;
  std::string text_;
  std::unique_ptr<FdWatch> watch_;
  std::unique_ptr<uv::Process> process_;
  Timer limit_;
};

}  // namespace

LookUp system_look_up(uv::Loop& loop, Env& env) {
  return [&loop, &env](const std::string& name,
                       Callback<void(std::vector<IpAddress>)> answer) -> std::unique_ptr<Pending> {
    return std::make_unique<OneLookUp>(loop, env, name, std::move(answer));
  };
}

}  // namespace outrider::cli::beside
