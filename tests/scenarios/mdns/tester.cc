// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <stdexcept>

#include "mdns/limits.h"
#include "mdns/native/limits.h"
#include "tests/scenarios/mdns/play.h"

namespace outrider::mdns {
namespace {

constexpr std::size_t kReceiveBufferBytes = 1U << 20;

std::uint32_t index_of(Env& env, const std::string& name) {
  for (const Interface& interface : env.network.interfaces())
    if (interface.name == name) return interface.index;
  throw std::runtime_error("the tester has no interface " + name);
}

bool has_v6(Env& env, std::uint32_t index) {
  for (const Interface& interface : env.network.interfaces())
    if (interface.index == index)
      return std::any_of(interface.addresses.begin(), interface.addresses.end(),
                         [](const Prefix& prefix) { return prefix.address.is_v6(); });
  return false;
}

}  // namespace

class Tester::Ear final : private UdpSocket::Sink {
 public:
  Ear(Tester& tester, IpAddress::Family family, std::uint16_t port) : tester_(tester), port_(port) {
    UdpOptions options;
    options.bind = {IpAddress::any(family), port};
    options.reuse_address = options.reuse_port = true;
    options.packet_info = true;
    options.interface = tester.interface_;
    if (port == kMdnsPort)
      options.join = {family == IpAddress::Family::v4 ? kGroupV4
                                                      : kGroupV6.with_scope(tester.interface_)};
    options.multicast_hops = kHopLimit;
    options.multicast_loopback = false;
    options.receive_buffer_bytes = kReceiveBufferBytes;
    auto socket = tester.env_.network.open_udp(options, *this);
    if (!socket)
      throw std::runtime_error("the tester's port " + std::to_string(port) + ": " +
                               to_string(socket.error()));
    socket_ = std::move(*socket);
  }

  std::uint16_t port() const { return port_; }
  void send(Bytes payload, const Endpoint& to, const IpAddress& from) {
    if (const auto sent = socket_->send(payload, to, from, tester_.interface_); !sent)
      throw std::runtime_error(std::string("the tester cannot send: ") + to_string(sent.error()));
  }

 private:
  void on_datagrams(std::span<const Datagram> datagrams) override {
    for (const Datagram& datagram : datagrams) {
      auto message = decode(datagram.payload);
      if (!message) {
        ++tester_.damaged_;
        continue;
      }
      message->at = tester_.env_.now();
      message->from = datagram.from;
      message->to = {datagram.to, port_};
      message->hop_limit = datagram.hop_limit;
      tester_.heard_.push_back(std::move(*message));
    }
  }

  Tester& tester_;
  std::uint16_t port_;
  std::unique_ptr<UdpSocket> socket_;
};

Tester::Tester(Env& env) : env_(env), interface_(index_of(env, kTesterInterface)) {
  ears_.push_back(std::make_unique<Ear>(*this, IpAddress::Family::v4, kMdnsPort));
  if (has_v6(env, interface_))
    ears_.push_back(std::make_unique<Ear>(*this, IpAddress::Family::v6, kMdnsPort));
}

Tester::~Tester() = default;

Tester::Ear& Tester::ear(std::uint16_t port) {
  for (const auto& ear : ears_)
    if (ear->port() == port) return *ear;
  ears_.push_back(std::make_unique<Ear>(*this, IpAddress::Family::v4, port));
  return *ears_.back();
}

void Tester::send(const Sent& message, const IpAddress& from, std::uint16_t port,
                  const Endpoint& to) {
  const auto bytes = encode(message);
  ear(port).send(bytes, to, from);
}

}  // namespace outrider::mdns
