// SPDX-License-Identifier: Apache-2.0
// A client of the doors in the simulator: sends bytes, collects bytes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/env.h"
#include "tests/sim/world.h"

namespace outrider::test {

inline const UnixPath kSocket{"/run/outrider/agent.sock"};

class Client final : Stream::Sink {
 public:
  Client(sim::World& world, StreamAddress to = kSocket) : Client(world, world.env(), to) {}
  Client(sim::World& world, Env& from, StreamAddress to) : world_(world) {
    ConnectOptions options;
    options.to = std::move(to);
    connecting_ = from.network.connect(options, [this](auto stream) {
      refused_ = !stream.has_value();
      if (refused_) return;
      stream_ = std::move(*stream);
      stream_->start(*this);
    });
    world_.run_until([this] { return stream_ != nullptr || refused_; }, 1s);
  }

  void send(std::string_view bytes) {
    REQUIRE(stream_ != nullptr);
    REQUIRE(stream_->write(as_bytes(bytes)).has_value());
  }
  /// Sends, and what has come back when all is quiet for a moment.
  std::string ask(std::string_view bytes) {
    send(bytes);
    world_.advance(50ms);
    return take();
  }
  std::string take() { return std::exchange(received_, {}); }
  void finish() { stream_->finish(); }
  void close() { stream_.reset(); }
  void set_paused(bool paused) { stream_->set_paused(paused); }
  bool ended() const { return ended_; }

 private:
  void on_data(Bytes data) override { received_ += as_text(data); }
  void on_end() override { ended_ = true; }
  void on_broken(NetError) override { ended_ = true; }

  sim::World& world_;
  std::unique_ptr<Pending> connecting_;
  std::unique_ptr<Stream> stream_;
  std::string received_;
  bool refused_ = false;
  bool ended_ = false;
};

/// "200", or "" where there is no status line.
inline std::string status_of(std::string_view answer) {
  return answer.starts_with("HTTP/1.1 ") ? std::string(answer.substr(9, 3)) : std::string();
}
inline std::string body_of(std::string_view answer) {
  const std::size_t at = answer.find("\r\n\r\n");
  return at == std::string_view::npos ? std::string() : std::string(answer.substr(at + 4));
}

}  // namespace outrider::test
