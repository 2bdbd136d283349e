// SPDX-License-Identifier: Apache-2.0
// Simulated UDP. Who gets a datagram follows Linux as measured: multicast reaches every member,
// unicast exactly one socket, the most specific bind first, then by SO_REUSEPORT hash or, without
// it, the one bound last.
#include <algorithm>

#include "base/assert.h"
#include "tests/sim/kernel.h"

namespace outrider::sim {
namespace {

constexpr std::size_t kBatchMax = 64;
constexpr std::size_t kGroupBatchMax = 1;  // of sockets that are bound to a multicast group
// Who asks for 255 hops gets them for unicast too: RFC 6762 §11.
constexpr int kUnicastHops = 64;

class SimUdpSocket final : public UdpSocket {
 public:
  SimUdpSocket(Host::Kernel& kernel, std::shared_ptr<UdpCore> core)
      : kernel_(kernel), core_(std::move(core)) {}
  ~SimUdpSocket() override {
    // What was accepted for sending leaves, as with the real one.
    for (const UdpCore::Unsent& datagram : std::exchange(core_->unsent, {}))
      kernel_.put_on_wire(*core_, datagram);
    core_->open = false;
    std::erase(kernel_.udp, core_);
  }

  Endpoint local() const override { return core_->local; }

  Result<void, NetError> send(Bytes payload, const Endpoint& to, const IpAddress& from,
                              std::uint32_t interface) override {
    if (payload.size() > kDatagramBytesMax) return failure(NetError::too_big);
    if (core_->unsent_bytes + payload.size() > kUdpSendQueueBytesMax)
      return failure(NetError::too_big);
    if (to.address.family() != core_->local.address.family()) return failure(NetError::unsupported);
    core_->unsent_bytes += payload.size();
    core_->unsent.push_back({{payload.begin(), payload.end()}, to, from, interface});
    if (!std::exchange(core_->flush_due, true))
      kernel_.schedule({}, [kernel = &kernel_, core = core_] { kernel->flush(core); });
    return {};
  }

  void set_paused(bool paused) override {
    core_->paused = paused;
    if (!paused) kernel_.queue(core_, 0, nullptr);
  }

  Result<void, NetError> join(const IpAddress& group, std::uint32_t interface) override {
    return kernel_.join(*core_, group, interface);
  }
  void leave(const IpAddress& group, std::uint32_t interface) override {
    const Nic* nic = kernel_.multicast_nic(interface, 0);
    if (nic == nullptr) return;
    std::erase(core_->memberships, UdpCore::Membership{group.with_scope(0), nic->info.index});
  }

 private:
  Host::Kernel& kernel_;
  std::shared_ptr<UdpCore> core_;
};

bool overlap(const IpAddress& a, const IpAddress& b) {
  return a.family() == b.family() && (a == b || a.is_any() || b.is_any());
}

}  // namespace

bool Host::Kernel::udp_taken(const Endpoint& local, const UdpOptions& options) const {
  return std::ranges::any_of(udp, [&](const auto& other) {
    if (other->local.port != local.port || !overlap(other->local.address, local.address))
      return false;
    const bool both_reuse_address = other->options.reuse_address && options.reuse_address;
    const bool both_reuse_port = other->options.reuse_port && options.reuse_port;
    return !both_reuse_address && !both_reuse_port;
  });
}

Result<std::unique_ptr<UdpSocket>, NetError> Host::Kernel::open_udp(const UdpOptions& options,
                                                                    UdpSocket::Sink& sink) {
  Endpoint local = options.bind;
  if (!local.address.is_any() && !local.address.is_multicast() && nic_of(local.address) == nullptr)
    return failure(NetError::not_available);
  if (local.address.scope() == 0) local.address = local.address.with_scope(options.interface);
  if (local.port != 0 && local.port < 1'024 && !privileged) return failure(NetError::denied);
  if (local.port == 0) {
    local.port = pick_port([&](std::uint16_t port) {
      return udp_taken({local.address, port}, {});
    });
    if (local.port == 0) return failure(NetError::no_resources);
  } else if (udp_taken(local, options)) {
    return failure(NetError::in_use);
  }
  auto core = std::make_shared<UdpCore>();
  core->host = &host;
  core->options = options;
  core->local = local;
  core->sink = &sink;
  for (const IpAddress& group : options.join)
    if (const auto joined = join(*core, group, options.interface); !joined)
      return failure(joined.error());
  udp.push_back(core);
  return std::make_unique<SimUdpSocket>(*this, core);
}

Result<void, NetError> Host::Kernel::join(UdpCore& core, const IpAddress& group,
                                          std::uint32_t interface) {
  if (!group.is_multicast() || group.family() != core.local.address.family())
    return failure(NetError::failed);
  const Nic* nic = multicast_nic(interface, group.scope());
  if (nic == nullptr) return failure(NetError::not_available);
  const UdpCore::Membership member{group.with_scope(0), nic->info.index};
  if (std::ranges::find(core.memberships, member) != core.memberships.end()) return {};
  if (group.is_v4() && core.memberships.size() == kMembershipsMax)
    return failure(NetError::no_resources);
  core.memberships.push_back(member);
  return {};
}

void Host::Kernel::flush(const std::shared_ptr<UdpCore>& core) {
  core->flush_due = false;
  core->unsent_bytes = 0;
  const std::vector<UdpCore::Unsent> unsent = std::exchange(core->unsent, {});
  for (const UdpCore::Unsent& datagram : unsent) {
    if (!core->open) return;
    if (const auto error = put_on_wire(*core, datagram)) core->sink->on_udp_error(*error);
  }
}

std::optional<NetError> Host::Kernel::put_on_wire(const UdpCore& core,
                                                  const UdpCore::Unsent& unsent) {
  const IpAddress& to = unsent.to.address;
  const bool multicast = to.is_multicast();
  const std::uint32_t chosen =
      unsent.interface != 0 || !multicast ? unsent.interface : core.options.interface;
  const auto way = route(to, chosen);
  if (!way) return NetError::unreachable;
  IpAddress source = way->source;
  if (!core.local.address.is_any() && !core.local.address.is_multicast())
    source = core.local.address;
  if (!unsent.from.is_any()) source = unsent.from;
  if (source.is_any() || nic_of(source) == nullptr) return NetError::not_available;

  WireDatagram datagram{
      .at = world.now(),
      .host = host.name_,
      .from = {source.with_scope(0), core.local.port},
      .to = {to.with_scope(0), unsent.to.port},
      .payload = unsent.payload,
      .hop_limit = multicast || core.options.multicast_hops == 255 ? core.options.multicast_hops
                                                                   : kUnicastHops,
  };
  const std::uint32_t index = way->nic->info.index;
  if (way->local || way->nic->info.loopback) {
    host.loopback_.transmit(std::move(datagram), {nullptr, 0}, false);
    return std::nullopt;
  }
  // A link that loses everything stands for a firewall, which drops the copies for this host, too.
  if (multicast && core.options.multicast_loopback && way->nic->link->quality.loss_percent < 100)
    schedule({}, [this, index, shared = std::make_shared<const WireDatagram>(datagram)] {
      arrive(index, shared);
    });
  way->nic->link->transmit(std::move(datagram), {&host, index}, way->routed);
  return std::nullopt;
}

void Host::Kernel::arrive(std::uint32_t interface,
                          const std::shared_ptr<const WireDatagram>& datagram) {
  const Nic* in = nic(interface);
  if (host.asleep_ || in == nullptr || !in->info.up) return;
  const Endpoint& to = datagram->to;
  if (to.address.is_multicast()) {
    const UdpCore::Membership member{to.address, interface};
    for (const auto& core : udp) {
      if (core->local.port != to.port || !overlap(core->local.address.with_scope(0), to.address))
        continue;
      if (std::ranges::find(core->memberships, member) != core->memberships.end())
        queue(core, interface, datagram);
    }
    return;
  }
  // An address of ours on any interface will do: the weak host model, as Linux has it.
  if (nic_of(to.address) == nullptr) return;
  std::vector<std::shared_ptr<UdpCore>> best;
  for (const auto& core : udp) {
    if (core->local.port != to.port || !overlap(core->local.address.with_scope(0), to.address))
      continue;
    if (core->local.address.is_any() && !best.empty() && !best.front()->local.address.is_any())
      continue;
    if (!core->local.address.is_any() && !best.empty() && best.front()->local.address.is_any())
      best.clear();
    best.push_back(core);
  }
  if (best.empty()) return;
  std::shared_ptr<UdpCore> chosen = best.back();
  if (chosen->options.reuse_port) {
    std::erase_if(best, [](const auto& core) { return !core->options.reuse_port; });
    const std::size_t flow = AddressHash{}(datagram->from) ^ AddressHash {}(to);
    chosen = best[(flow * 0x9e37'79b9'7f4a'7c15U >> 32) % best.size()];
  }
  queue(chosen, interface, datagram);
}

// Without a datagram: only sees to it that what waits is delivered.
void Host::Kernel::queue(const std::shared_ptr<UdpCore>& core, std::uint32_t interface,
                         const std::shared_ptr<const WireDatagram>& datagram) {
  if (datagram != nullptr) {
    const std::size_t set = core->options.receive_buffer_bytes;
    const std::size_t limit = set != 0 ? set : kUdpReceiveBytes;
    if (core->received_bytes + datagram->payload.size() > limit) return;
    core->received.push_back({datagram, interface});
    core->received_bytes += datagram->payload.size();
  }
  if (core->paused || core->received.empty() || std::exchange(core->delivery_due, true)) return;
  schedule({}, [this, core] { deliver(core); });
}

void Host::Kernel::deliver(const std::shared_ptr<UdpCore>& core) {
  core->delivery_due = false;
  if (!core->open || core->paused) return;
  std::vector<UdpCore::Received> batch;
  const std::size_t most = core->local.address.is_multicast() ? kGroupBatchMax : kBatchMax;
  while (!core->received.empty() && batch.size() < most) {
    core->received_bytes -= core->received.front().datagram->payload.size();
    batch.push_back(std::move(core->received.front()));
    core->received.pop_front();
  }
  if (batch.empty()) return;
  std::vector<Datagram> datagrams;
  for (const UdpCore::Received& received : batch) {
    const WireDatagram& wire = *received.datagram;
    Datagram& datagram = datagrams.emplace_back();
    datagram.payload = wire.payload;
    datagram.from = {wire.from.address.with_scope(received.interface), wire.from.port};
    if (!core->options.packet_info) continue;
    datagram.to = wire.to.address.with_scope(received.interface);
    datagram.interface = received.interface;
    datagram.hop_limit = wire.hop_limit;
  }
  core->sink->on_datagrams(datagrams);
  if (core->open) queue(core, 0, nullptr);
}

}  // namespace outrider::sim
