// SPDX-License-Identifier: Apache-2.0
// Links, interfaces, routes, and what of a host is neither UDP nor a stream.
#include "tests/sim/kernel.h"

#include <algorithm>

#include "base/assert.h"

namespace outrider::sim {
namespace {

IpAddress without_scope(const IpAddress& address) {
  return address.with_scope(0);
}

Prefix parse_prefix(const std::string& text, std::uint32_t index) {
  const auto prefix = Prefix::parse(text);
  OUTRIDER_ASSERT(prefix.has_value());
  return {prefix->address.with_scope(index), prefix->length};
}

class SimNetwork final : public Network {
 public:
  explicit SimNetwork(Host::Kernel& kernel) : kernel_(kernel) {}

  Result<std::unique_ptr<UdpSocket>, NetError> open_udp(const UdpOptions& options,
                                                        UdpSocket::Sink& sink) override {
    return kernel_.open_udp(options, sink);
  }
  std::unique_ptr<Pending> connect(const ConnectOptions& options,
                                   ConnectCallback callback) override {
    return kernel_.connect(options, std::move(callback));
  }
  Result<std::unique_ptr<Listener>, NetError> listen(const ListenOptions& options,
                                                     Listener::Sink& sink) override {
    return kernel_.listen(options, sink);
  }
  Result<std::unique_ptr<FdWatch>, NetError> watch_fd(int, FdEvents,
                                                      Callback<void(FdEvents)>) override {
    return failure(NetError::unsupported);
  }
  std::vector<Interface> interfaces() override {
    std::vector<Interface> all;
    for (const Nic& nic : kernel_.nics)
      all.push_back(nic.info);
    return all;
  }
  std::unique_ptr<Pending> watch_interfaces(Callback<void()> callback) override;

 private:
  Host::Kernel& kernel_;
};

class Watch final : public Pending {
 public:
  Watch(Host::Kernel& kernel, std::shared_ptr<WatchCore> core)
      : kernel_(kernel), core_(std::move(core)) {}
  ~Watch() override {
    core_->open = false;
    std::erase(kernel_.watches, core_);
  }

 private:
  Host::Kernel& kernel_;
  std::shared_ptr<WatchCore> core_;
};

std::unique_ptr<Pending> SimNetwork::watch_interfaces(Callback<void()> callback) {
  auto core = std::make_shared<WatchCore>();
  core->callback = std::move(callback);
  kernel_.watches.push_back(core);
  return std::make_unique<Watch>(kernel_, core);
}

}  // namespace

// --- link --------------------------------------------------------------------------------------

void Link::set_up(bool up) {
  if (up_ == up) return;
  up_ = up;
  for (const Port& port : ports_)
    port.host->kernel().refresh_up();
}

void Link::inject(const Endpoint& from, const Endpoint& to, Bytes payload, int hop_limit) {
  transmit({.at = world_.now(),
            .host = {},
            .from = from,
            .to = to,
            .payload = {payload.begin(), payload.end()},
            .hop_limit = hop_limit},
           {nullptr, 0}, false);
}

Host* Link::find(const IpAddress& address) const {
  for (const Port& port : ports_) {
    const Nic* nic = port.host->kernel().nic_of(without_scope(address));
    if (nic != nullptr && nic->link == this) return port.host;
  }
  return nullptr;
}

void Link::transmit(WireDatagram datagram, Port sender, bool routed) {
  if (capture_.size() == kCaptureMax)
    capture_.erase(capture_.begin(), capture_.begin() + kCaptureMax / 2);
  capture_.push_back(datagram);
  if (!up_ || (filter_ && !filter_(datagram))) return;
  const auto shared = std::make_shared<const WireDatagram>(std::move(datagram));
  const IpAddress& to = shared->to.address;
  if (routed) {
    // A router somewhere: it takes as long as the link, and the far end sees its own interface.
    Host* owner = world_.owner_of(to);
    const Nic* nic = owner == nullptr ? nullptr : owner->kernel().nic_of(to);
    if (nic != nullptr) carry({owner, nic->info.index}, shared);
    return;
  }
  for (const Port& port : ports_) {
    if (port == sender) continue;
    const Nic* owner = to.is_multicast() ? nullptr : port.host->kernel().nic_of(without_scope(to));
    const bool loopback = this == &port.host->loopback();
    if (to.is_multicast() || loopback || (owner != nullptr && owner->link == this))
      carry(port, shared);
  }
}

void Link::carry(const Port& to, const std::shared_ptr<const WireDatagram>& datagram) {
  SeededRandom& random = world_.random();
  // Always the same number of draws, so that one knob does not shift the effect of another.
  const bool lost = random.below(100) < quality.loss_percent;
  const bool twice = random.below(100) < quality.duplicate_percent;
  const bool late = random.below(100) < quality.reorder_percent;
  const Duration jitter = random.between({}, quality.jitter);
  if (lost) return;
  const Duration delay = quality.delay + jitter + (late ? quality.reorder_by : Duration{});
  for (int copy = 0; copy < (twice ? 2 : 1); ++copy)
    world_.schedule(delay, [to, datagram] { to.host->kernel().arrive(to.interface, datagram); });
}

// --- host: interfaces ----------------------------------------------------------------------------

Host::Host(World& world, std::string name, std::uint64_t seed)
    : world_(world),
      name_(std::move(name)),
      loopback_(world, "lo of " + name_),
      clock_(*this),
      random_(seed),
      kernel_(std::make_unique<Kernel>(world, *this)),
      env_{clock_, timers_, *(kernel_->network = std::make_unique<SimNetwork>(*kernel_)), random_,
           log_} {
  loopback_.quality.delay = {};
  attach("lo", loopback_, {"127.0.0.1/8", "::1/128"});
  change("lo", [](Interface& lo) {
    lo.loopback = true;
    lo.multicast = false;
    lo.mtu = 65'536;
  });
}

Host::~Host() = default;

std::uint32_t Host::attach(const std::string& interface, Link& link,
                           const std::vector<std::string>& prefixes) {
  const std::uint32_t index = kernel_->next_index++;
  Nic nic;
  nic.info = {.index = index, .name = interface, .up = link.up(), .multicast = true};
  for (const std::string& prefix : prefixes)
    nic.info.addresses.push_back(parse_prefix(prefix, index));
  nic.link = &link;
  kernel_->nics.push_back(std::move(nic));
  link.ports_.push_back({this, index});
  kernel_->changed();
  return index;
}

void Host::detach(const std::string& interface) {
  const Nic& nic = kernel_->nic(interface);
  const std::uint32_t index = nic.info.index;
  std::erase(nic.link->ports_, Link::Port{this, index});
  std::erase_if(kernel_->nics, [&](const Nic& other) { return other.info.index == index; });
  for (const auto& socket : kernel_->udp)
    std::erase_if(socket->memberships,
                  [&](const auto& member) { return member.interface == index; });
  kernel_->changed();
}

void Host::add_address(const std::string& interface, const std::string& prefix) {
  Interface& info = kernel_->nic(interface).info;
  info.addresses.push_back(parse_prefix(prefix, info.index));
  kernel_->changed();
}

void Host::remove_address(const std::string& interface, const std::string& address) {
  Interface& info = kernel_->nic(interface).info;
  const auto parsed = IpAddress::parse(address);
  OUTRIDER_ASSERT(parsed.has_value());
  const IpAddress wanted = parsed->with_scope(info.index);
  std::erase_if(info.addresses, [&](const Prefix& has) { return has.address == wanted; });
  kernel_->changed();
}

void Host::set_up(const std::string& interface, bool up) {
  kernel_->nic(interface).admin_up = up;
  kernel_->refresh_up();
}

void Host::change(const std::string& interface, const std::function<void(Interface&)>& edit) {
  edit(kernel_->nic(interface).info);
  kernel_->changed();
}

void Host::set_default_route(const std::string& interface) {
  kernel_->default_route = interface;
}

// --- host: trouble -----------------------------------------------------------------------------

void Host::set_fault(std::uint16_t tcp_port, Fault fault) {
  kernel_->faults.insert(kernel_->faults.begin(), {Endpoint{{}, tcp_port}, fault});
}

void Host::set_fault(const UnixPath& path, Fault fault) {
  kernel_->faults.insert(kernel_->faults.begin(), {path, fault});
}

void Host::set_privileged(bool privileged) {
  kernel_->privileged = privileged;
}

void Host::leave_dead_socket(const std::string& path) {
  kernel_->dead_sockets.push_back(path);
}

void Host::set_credentials(const PeerCredentials& credentials) {
  kernel_->credentials = credentials;
}

std::string Host::leftovers() const {
  std::string all;
  const auto line = [&](const std::string& what) { all += "  " + name_ + ": " + what + '\n'; };
  for (const auto& core : kernel_->udp)
    line("udp socket " + core->local.to_string());
  for (const auto& core : kernel_->listeners)
    line("listener " + to_string(core->local));
  for (const auto& core : kernel_->connects)
    line("connect to " + to_string(core->options.to));
  for (std::size_t i = 0; i < kernel_->streams.size(); ++i)
    line("stream");
  for (std::size_t i = 0; i < kernel_->watches.size(); ++i)
    line("interface watch");
  if (timers_.size() > 0) line(std::to_string(timers_.size()) + " timers");
  return all;
}

// --- kernel ------------------------------------------------------------------------------------

void Host::Kernel::schedule(Duration delay, Callback<void()> event) {
  world.schedule(delay, [this, event = std::move(event)]() mutable {
    if (host.asleep_)
      asleep_events.push_back(std::move(event));
    else
      event();
  });
}

Nic* Host::Kernel::nic(std::uint32_t index) {
  const auto found = std::ranges::find(nics, index, [](const Nic& nic) { return nic.info.index; });
  return found == nics.end() ? nullptr : &*found;
}

Nic& Host::Kernel::nic(const std::string& name) {
  const auto found = std::ranges::find(nics, name, [](const Nic& nic) { return nic.info.name; });
  OUTRIDER_ASSERT(found != nics.end());
  return *found;
}

const Nic* Host::Kernel::nic_of(const IpAddress& address) const {
  for (const Nic& nic : nics) {
    if (!nic.info.up) continue;
    // The whole of 127.0.0.0/8 is this host.
    if (nic.info.loopback && address.is_loopback()) return &nic;
    if (address.scope() != 0 && address.scope() != nic.info.index) continue;
    for (const Prefix& prefix : nic.info.addresses)
      if (without_scope(prefix.address) == without_scope(address)) return &nic;
  }
  return nullptr;
}

void Host::Kernel::changed() {
  if (std::exchange(change_due, true)) return;
  schedule({}, [this] {
    change_due = false;
    // A callback may end any watch, its own too.
    const auto all = watches;
    for (const auto& watch : all) {
      if (!watch->open) continue;
      Callback<void()> callback = std::move(watch->callback);
      callback();
      watch->callback = std::move(callback);
    }
  });
}

void Host::Kernel::refresh_up() {
  for (Nic& nic : nics) {
    const bool up = nic.admin_up && nic.link->up();
    if (std::exchange(nic.info.up, up) != up) changed();
  }
}

IpAddress Host::Kernel::source_on(const Nic& nic, const IpAddress& to) const {
  // RFC 6724 rule 2, as far as it matters here: scopes should agree.
  const bool want_link_local = to.is_v6() && (to.is_link_local() || to.is_multicast());
  const IpAddress* best = nullptr;
  for (const Prefix& prefix : nic.info.addresses) {
    if (prefix.address.family() != to.family()) continue;
    const bool fits =
        to.is_v4() ? prefix.contains(to) : prefix.address.is_link_local() == want_link_local;
    if (fits) return prefix.address;
    if (best == nullptr) best = &prefix.address;
  }
  return best == nullptr ? IpAddress::any(to.family()) : *best;
}

const Nic* Host::Kernel::multicast_nic(std::uint32_t interface, std::uint32_t scope) const {
  const std::uint32_t wanted = interface != 0 ? interface : scope;
  for (const Nic& nic : nics)
    if (wanted != 0 ? nic.info.index == wanted : nic.info.up && nic.info.multicast) return &nic;
  return nullptr;
}

std::optional<Route> Host::Kernel::route(const IpAddress& to, std::uint32_t interface) const {
  Route route;
  if (to.is_multicast()) {
    route.nic = multicast_nic(interface, to.scope());
    if (route.nic == nullptr || !route.nic->info.up) return std::nullopt;
    route.source = source_on(*route.nic, to);
    return route;
  }
  if (nic_of(to) != nullptr) {
    route.nic = &nics.front();
    route.source = to;
    route.local = true;
    return route;
  }
  const std::uint32_t wanted = interface != 0 ? interface : to.scope();
  for (const Nic& nic : nics) {
    if (!nic.info.up || nic.info.loopback || (wanted != 0 && nic.info.index != wanted)) continue;
    const bool on_link = std::ranges::any_of(
        nic.info.addresses, [&](const Prefix& prefix) { return prefix.contains(to); });
    const bool routed = !on_link && nic.info.name == default_route && !to.is_link_local();
    if (!on_link && !routed) continue;
    route = {&nic, source_on(nic, to), false, routed};
    if (on_link) return route;
  }
  if (route.nic == nullptr || route.source.is_any()) return std::nullopt;
  return route;
}

}  // namespace outrider::sim
