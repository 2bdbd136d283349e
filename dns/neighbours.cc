// SPDX-License-Identifier: Apache-2.0
#include "dns/neighbours.h"

#include "dns/stub_question.h"

namespace outrider::dns {

class Neighbours::Question final : UdpSocket::Sink {
 public:
  Question(Neighbours& owner, const Endpoint& address, Answer callback)
      : answer(std::move(callback)), owner_(owner), address_(address) {
    Env& env = owner_.env_;
    id_ = static_cast<std::uint16_t>(env.random.below(0x1'0000));
    auto socket = env.network.open_udp({.bind = {IpAddress::any(address.address.family()), 0}},
                                       static_cast<UdpSocket::Sink&>(*this));
    const auto type = address.address.is_v4() ? RrType::a : RrType::aaaa;
    const bool sent =
        socket && owner_.name_ &&
        (*socket)->send(write_stub_question(id_, *owner_.name_, type), address).has_value();
    if (socket) socket_ = std::move(*socket);
    timer_ = env.after(sent ? kNeighbourPatience : Duration::zero(), [this] { finish(); });
  }

  Answer answer;

 private:
  void on_datagrams(std::span<const Datagram> datagrams) override {
    for (const Datagram& datagram : datagrams) {
      if (datagram.from != address_ || is_agent_) continue;
      const auto reply = read_stub_reply(datagram.payload, id_, *owner_.name_);
      if (!reply) continue;
      is_agent_ = is_from_agent(*reply, address_.address);
      // Not from here: it destroys the socket.
      timer_ = owner_.env_.after(Duration::zero(), [this] { finish(); });
    }
  }

  void finish() { owner_.finish(Endpoint(address_), is_agent_); }

  Neighbours& owner_;
  const Endpoint address_;
  std::uint16_t id_ = 0;
  bool is_agent_ = false;
  std::unique_ptr<UdpSocket> socket_;
  Timer timer_;
};

Neighbours::Neighbours(Env& env, const Name& domain) : env_(env), name_(name_server_of(domain)) {}

Neighbours::~Neighbours() = default;

void Neighbours::ask(const Endpoint& address, Answer answer) {
  shared_.erase(address);
  questions_[address] = std::make_unique<Question>(*this, address, std::move(answer));
}

void Neighbours::forget(const Endpoint& address) {
  shared_.erase(address);
  questions_.erase(address);
}

void Neighbours::finish(const Endpoint& address, bool is_agent) {
  if (is_agent) shared_.insert(address);
  auto question = questions_.extract(address);
  question.mapped()->answer(is_agent);
}

}  // namespace outrider::dns
