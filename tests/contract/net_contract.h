// SPDX-License-Identifier: Apache-2.0
// Sinks that write down what they are told, and an end of a stream that connects or accepts. For
// the contract cases.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "base/env.h"

namespace outrider::contract {

inline Endpoint endpoint(const char* text) {
  return Endpoint::parse(text).value();
}
inline IpAddress ip(const char* text) {
  return IpAddress::parse(text).value();
}

/// A UDP socket that keeps what it hears.
class Ear final : public UdpSocket::Sink {
 public:
  Ear(Env& env, const UdpOptions& options) : socket(env.network.open_udp(options, *this).value()) {}

  std::vector<std::string> heard;
  std::vector<Datagram> datagrams;  // their payloads are gone
  std::vector<NetError> errors;
  std::function<void()> on_hearing;
  std::unique_ptr<UdpSocket> socket;

  void send(std::string_view text, const Endpoint& to) {
    REQUIRE(socket->send(as_bytes(text), to).has_value());
  }

 private:
  void on_datagrams(std::span<const Datagram> arrived) override {
    for (const Datagram& datagram : arrived) {
      heard.emplace_back(as_text(datagram.payload));
      datagrams.push_back(datagram);
      datagrams.back().payload = {};
    }
    if (on_hearing) on_hearing();
  }
  void on_udp_error(NetError error) override { errors.push_back(error); }
};

/// One end of a stream: what it was told, and what it does when it is told something.
class Talker final : public Stream::Sink {
 public:
  std::unique_ptr<Stream> stream;
  std::string heard;
  bool ended = false;
  std::optional<NetError> broken;
  int drained = 0;
  std::function<void()> on_hearing, on_ending, on_breaking, on_draining;

  void take(std::unique_ptr<Stream> taken) {
    stream = std::move(taken);
    stream->start(*this);
  }
  bool say(std::string_view text) { return stream->write(as_bytes(text)).has_value(); }

 private:
  void on_data(Bytes data) override {
    heard += as_text(data);
    if (on_hearing) on_hearing();
  }
  void on_end() override {
    ended = true;
    if (on_ending) on_ending();
  }
  void on_broken(NetError error) override {
    broken = error;
    if (on_breaking) on_breaking();
  }
  void on_drained() override {
    ++drained;
    if (on_draining) on_draining();
  }
};

class Acceptor final : public Listener::Sink {
 public:
  Acceptor(Env& env, const ListenOptions& options)
      : listener(env.network.listen(options, *this).value()) {}

  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<Stream>> accepted;
  std::function<void()> on_accepting;

 private:
  void on_accept(std::unique_ptr<Stream> stream) override {
    accepted.push_back(std::move(stream));
    if (on_accepting) on_accepting();
  }
};

class Connector {
 public:
  Connector(Env& env, const StreamAddress& to, std::string_view opening = {})
      : pending(env.network.connect({to, {}, as_bytes(opening)}, [this](auto got) {
          result = std::move(got);
          if (on_done) on_done();
        })) {
    CHECK(!result);
  }
  std::optional<NetError> error() const {
    if (!result || result->has_value()) return std::nullopt;
    return result->error();
  }

  std::optional<Result<std::unique_ptr<Stream>, NetError>> result;
  std::function<void()> on_done;
  std::unique_ptr<Pending> pending;
};

/// Two talkers with a connection between them.
template <class World>
struct Pair {
  Pair(World& world, const StreamAddress& on)
      : acceptor(world.env(), {.on = on}), connector(world.env(), acceptor.listener->local()) {
    REQUIRE(world.run_until([&] { return connector.result && !acceptor.accepted.empty(); }));
    REQUIRE(connector.result->has_value());
    near.take(std::move(**connector.result));
    far.take(std::move(acceptor.accepted.front()));
  }
  Acceptor acceptor;
  Connector connector;
  Talker near, far;
};

}  // namespace outrider::contract
