// SPDX-License-Identifier: Apache-2.0
// uv_echo ADDRESS:PORT
//
// The same as echo_limit over base/net.h on libuv: the difference is the cost of our loop.
#include <array>
#include <cstdio>

#include "base/uv/loop.h"

namespace {

class Echo final : public outrider::UdpSocket::Sink {
 public:
  outrider::Result<void, outrider::NetError> start(outrider::Network& network,
                                                   const outrider::Endpoint& on) {
    auto socket = network.open_udp({.bind = on, .receive_buffer_bytes = 4U << 20}, *this);
    if (!socket) return outrider::failure(socket.error());
    socket_ = std::move(*socket);
    return {};
  }

 private:
  void on_datagrams(std::span<const outrider::Datagram> datagrams) override {
    for (const outrider::Datagram& datagram : datagrams) {
      const std::size_t size = std::min(datagram.payload.size(), answer_.size());
      std::ranges::copy(datagram.payload.first(size), answer_.begin());
      if (size > 2) answer_[2] |= 0x80;
      static_cast<void>(socket_->send(outrider::Bytes(answer_).first(size), datagram.from));
    }
  }

  std::unique_ptr<outrider::UdpSocket> socket_;
  std::array<std::uint8_t, 2048> answer_{};
};

}  // namespace

int main(int argc, char** argv) {
  const auto on = argc == 2 ? outrider::Endpoint::parse(argv[1]) : std::nullopt;
  if (!on) {
    std::fprintf(stderr, "usage: uv_echo ADDRESS:PORT\n");
    return 2;
  }
  outrider::uv::Loop loop;
  Echo echo;
  if (const auto started = echo.start(loop.network(), *on); !started) {
    std::fprintf(stderr, "uv_echo: %s\n", outrider::to_string(started.error()));
    return 1;
  }
  loop.run();
}
