// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/stub_query.h"

#include <algorithm>

#include "agent/cli/machine.h"

namespace outrider::cli {
namespace {

constexpr int kTries = 2;
constexpr Duration kPatience = std::chrono::seconds(1);

struct Reader final : UdpSocket::Sink {
  Machine& machine;
  const dns::Name& name;
  std::uint16_t id = 0;
  std::optional<dns::StubReply> reply;

  Reader(Machine& m, const dns::Name& n) : machine(m), name(n) {}
  void on_datagrams(std::span<const Datagram> datagrams) override {
    for (const Datagram& datagram : datagrams)
      if (!reply) reply = dns::read_stub_reply(datagram.payload, id, name);
    if (reply) machine.loop.stop();
  }
  void on_udp_error(NetError) override { machine.loop.stop(); }  // no server listens there
};

}  // namespace

std::optional<dns::StubReply> query(const Endpoint& server, const dns::Name& name,
                                    dns::RrType type) {
  for (int i = 0; i < kTries; ++i) {
    Machine machine;
    Reader reader(machine, name);
    reader.id = static_cast<std::uint16_t>(machine.random.u64());
    const auto any = IpAddress::any(server.address.family());
    const auto socket = machine.env.network.open_udp({.bind = {any, 0}}, reader);
    if (!socket || !(*socket)->send(dns::write_stub_question(reader.id, name, type), server))
      return {};
    const Timer patience = machine.env.after(kPatience, [&] { machine.loop.stop(); });
    machine.loop.run();
    if (reader.reply) return std::move(reader.reply);
  }
  return std::nullopt;
}

bool agent_answers(const Endpoint& server, const std::vector<std::string>& domains) {
  return std::ranges::all_of(domains, [&](const std::string& domain) {
    const auto name = dns::name_server_of(domain);
    if (!name) return false;
    const auto type = server.address.is_v4() ? dns::RrType::a : dns::RrType::aaaa;
    const auto reply = query(server, *name, type);
    return reply && dns::is_from_agent(*reply, server.address);
  });
}

bool resolves_other_names(const Endpoint& server) {
  const auto reply = query(server, dns::Name(), dns::RrType::ns);
  return reply && reply->rcode == dns::Rcode::noerror;
}

}  // namespace outrider::cli
