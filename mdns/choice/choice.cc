// SPDX-License-Identifier: Apache-2.0
#include "mdns/choice/choice.h"

#include "mdns/avahi/avahi_provider.h"
#include "mdns/choice/waiting_provider.h"
#include "mdns/limits.h"

namespace outrider::mdns {
namespace {

bool port_is_held(Env& env, std::uint16_t port) {
  struct Deaf final : UdpSocket::Sink {
    void on_datagrams(std::span<const Datagram>) override {}
  } deaf;
  UdpOptions options;
  options.bind = {kGroupV4, port};
  options.reuse_address = true;
  options.reuse_port = true;
  const auto socket = env.network.open_udp(options, deaf);
  return !socket && socket.error() == NetError::in_use;
}

}  // namespace

std::unique_ptr<Provider> make_provider(Env& env, ProviderKind kind, const NativeOptions& options) {
  const bool held = kind == ProviderKind::automatic && port_is_held(env, options.port);
  if (kind == ProviderKind::native || (kind == ProviderKind::automatic && !held))
    return make_native_provider(env, options);
  std::string why;
  auto client = avahi::load_client(env, &why);
  if (held) {
    env.log.record(LogEvent::mdns_port_held, {{"port", options.port},
                                              {"provider", client ? "avahi" : "native"},
                                              {"reason", client ? "it cannot be shared" : why}});
    // The port may become free later: the native provider keeps trying.
    if (!client) return make_native_provider(env, options);
  } else if (!client) {
    env.log.record(LogEvent::avahi_missing, {{"reason", why}});
  }
  AvahiOptions avahi;
  avahi.host = options.host;
  avahi.cookie = options.cookie;
  avahi.machine = options.machine;
  avahi.interfaces = options.interfaces;
  avahi.conflict = options.conflict;
  auto provider = make_avahi_provider(env, avahi, std::move(client), std::move(why));
  if (!held) return provider;
  return make_waiting_provider(
      env, std::move(provider),
      {.port_is_held = [&env, port = options.port] { return port_is_held(env, port); },
       .make_native = [&env, options] { return make_native_provider(env, options); }});
}

}  // namespace outrider::mdns
