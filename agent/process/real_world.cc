// SPDX-License-Identifier: Apache-2.0
#include "agent/process/real_world.h"

#include <algorithm>
#include <memory>

#include <net/if.h>
#include <unistd.h>

#include "agent/process/host_identity.h"
#include "agent/process/identity_record.h"
#include "agent/process/port_holder.h"
#include "agent/process/program_ports.h"
#include "agent/process/runtime_dir.h"
#include "agent/process/state_dir.h"
#include "agent/process/stored_nameservers.h"
#include "base/assert.h"
#include "base/text_file.h"
#include "base/uv/relay.h"
#include "base/uv/sock_diag.h"
#include "base/uv/state_file.h"
#include "dns/upstream_ares.h"
#include "mdns/choice/choice.h"
#include "registries/consul/consul_engine.h"
#include "registries/etcd/etcd_engine.h"

namespace outrider {
namespace {

constexpr const char* kHosts = "/etc/hosts";

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "host";
  const std::string_view whole = name;
  return std::string(whole.substr(0, whole.find('.')));
}

mdns::NativeOptions native_options(const Config& config, const std::string& host,
                                   const std::string& cookie, const std::string& machine) {
  mdns::NativeOptions options;
  options.machine = machine;
  options.host = host;
  options.cookie = cookie;
  options.interfaces = link_choice(config.node);
  options.ttl = config.mdns.short_ttl ? mdns::TtlProfile::short_lived : mdns::TtlProfile::rfc;
  options.conflict = config.mdns.rename ? mdns::ConflictPolicy::rename : mdns::ConflictPolicy::fail;
  options.port = config.mdns.port;
  return options;
}

std::optional<mdns::ProviderKind> provider_kind(MdnsProvider provider) {
  switch (provider) {
    case MdnsProvider::automatic:
      return mdns::ProviderKind::automatic;
    case MdnsProvider::native:
      return mdns::ProviderKind::native;
    case MdnsProvider::avahi:
      return mdns::ProviderKind::avahi;
    case MdnsProvider::off:
      return std::nullopt;
  }
  OUTRIDER_UNREACHABLE();
}

registry::Load kernel_load(std::span<const Endpoint> endpoints) {
  registry::Load load;
  if (const auto counts = uv::count_sockets(endpoints))
    for (const auto& [endpoint, count] : *counts)
      load[endpoint] = {count.connections, count.rtt};
  return load;
}

std::optional<std::vector<Endpoint>> kernel_listeners() {
  const auto sockets = uv::list_listeners();
  if (!sockets) return std::nullopt;
  std::vector<Endpoint> listeners;
  for (const uv::TcpListener& socket : *sockets)
    listeners.push_back(socket.local);
  return listeners;
}

constexpr const char* kResolvConf = "/etc/resolv.conf";
/// Where systemd-resolved writes its own upstream servers.
constexpr const char* kUplinkConf = "/run/systemd/resolve/resolv.conf";
dns::ResolvConf parse_resolv_conf(const std::string& text) {
  return dns::parse_resolv_conf(
      text, [](const std::string& name) { return std::uint32_t{::if_nametoindex(name.c_str())}; });
}
dns::ResolvConf read_resolv_conf(const char* path) {
  return parse_resolv_conf(read_text_file(path).value_or(""));
}

ForwardParts forward_parts(uv::Loop& loop) {
  ForwardParts parts;
  parts.make_upstream = [](Env& env) { return std::make_unique<dns::AresUpstream>(env); };
  parts.resolv_conf = [] { return read_resolv_conf(kResolvConf); };
  parts.uplink_conf = [] {
    dns::ResolvConf conf = read_resolv_conf(kUplinkConf);
    if (conf.servers.empty()) conf = parse_resolv_conf(stored_resolv_conf("/"));
    return conf;
  };
  parts.watch = [&loop](const std::function<void()>& changed) {
    std::vector<std::unique_ptr<Pending>> watches;
    watches.push_back(loop.watch_file(kResolvConf, changed));
    // A missing directory would be polled for.
    if (::access(kUplinkConf, F_OK) == 0) watches.push_back(loop.watch_file(kUplinkConf, changed));
    return watches;
  };
  return parts;
}

}  // namespace

LogLevel log_level(const std::string& name) {
  if (name == "debug") return LogLevel::debug;
  if (name == "warning") return LogLevel::warning;
  return name == "error" ? LogLevel::error : LogLevel::info;
}

uv::LogFormat log_format(const std::string& name) {
  if (name == "text") return uv::LogFormat::text;
  if (name == "logfmt") return uv::LogFormat::logfmt;
  if (name == "journal") return uv::LogFormat::journal;
  if (name == "json") return uv::LogFormat::json;
  return uv::LogFormat::automatic;
}

RealWorld::Ground RealWorld::ground_of_process(const LogConfig& log) {
  RealWorld::Ground ground;
  ground.loop = std::make_unique<uv::Loop>();
  ground.log = uv::make_stderr_log(ground.loop->clock(), log_format(log.format));
  ground.log->set_least(log_level(log.level));
  ground.state_dir = state_dir();
  ground.runtime_dir = runtime_dir();
  ground.make_runtime_dir = MakeRuntimeDir::yes;
  return ground;
}

RealWorld::RealWorld(const LogConfig& log) : RealWorld(ground_of_process(log)) {}
RealWorld::RealWorld(Ground ground)
    : ground_(std::move(ground)),
      env_{loop().clock(), loop().timers(), loop().network(), random_, *ground_.log} {}

/// The identity stays what it is in this process. With it is kept which cards the host has, also
/// those that come later. A kept record is used in any case: agents that keep nothing, as those of
/// `outrider run`, have the same identity.
std::string RealWorld::settle_host_identity(Keep keep) {
  const std::string path = identity_path(ground_.state_dir);
  const auto settle = [path, keep] {
    const auto text = path.empty() ? std::nullopt : read_text_file(path);
    const auto kept = text ? read_identity(*text) : std::nullopt;
    IdentityRecord record = settle_identity(read_host_facts(), kept);
    // A directory that cannot be written is reported with the registrations.
    if (keep == Keep::yes && !path.empty() && record != kept)
      (void)uv::write_state(path, StateFile::Write::replace, write_identity(record));
    return record.identity;
  };
  if (keep == Keep::yes && !path.empty())
    card_watch_ = loop().network().watch_interfaces([settle] { (void)settle(); });
  return settle();
}

MakeEngine RealWorld::engine_maker(const Config& config, const ForwardParts& forward) {
  host_lookup_ = std::make_unique<HostLookup>(
      env_, HostLookupParts{.hosts = [] { return read_text_file(kHosts).value_or(""); },
                            .resolv_conf = forward.resolv_conf,
                            .uplink_conf = forward.uplink_conf,
                            .make_upstream = forward.make_upstream,
                            .own = config.dns.listen});
  return [names = host_lookup_.get()](Env& env, const RegistryConfig& registry,
                                      const std::string& writer) {
    std::unique_ptr<registries::Engine> engine;
    if (const auto* given = std::get_if<registries::etcd::Options>(&registry.options)) {
      registries::etcd::Options options = *given;
      options.writer = writer;
      engine = std::make_unique<registries::etcd::EtcdEngine>(env, std::move(options), names);
    } else if (const auto* local = std::get_if<registries::consul::Options>(&registry.options)) {
      registries::consul::Options options = *local;
      options.writer = writer;
      engine = std::make_unique<registries::consul::ConsulEngine>(env, std::move(options), names);
    }
    return engine;
  };
}

void RealWorld::take_over_state(const std::string& earlier, const std::string& own) {
  if (ground_.state_dir.empty()) return;
  for (const auto path_of : {state_path, etcd_state_path})
    uv::take_over_state_file(path_of(ground_.state_dir, earlier), path_of(ground_.state_dir, own));
}

AgentParts RealWorld::parts(const Config& config, const std::string& own) {
  AgentParts parts;
  parts.host_name = host_name();
  const HostFacts facts = read_host_facts();
  parts.host_identity = settle_host_identity(config.api.persist ? Keep::yes : Keep::no);
  parts.namespace_identity = namespace_identity(facts);
  parts.who_holds = port_holder;
  parts.load = kernel_load;
  parts.exposure = {kernel_listeners, program_ports};
  parts.siblings = sibling_sockets(loop(), ground_.runtime_dir, ground_.make_runtime_dir);
  parts.relays = uv::make_relays();
  parts.forward = forward_parts(loop());
  parts.make_engine = engine_maker(config, parts.forward);
  if (config.api.persist)
    if (std::string path = state_path(ground_.state_dir, own); !path.empty())
      parts.state = uv::make_state_file(loop(), std::move(path));
  if (config.api.persist && !config.api.etcd_listen.empty())
    if (std::string path = etcd_state_path(ground_.state_dir, own); !path.empty())
      parts.etcd_state = uv::make_state_file(loop(), std::move(path));
  if (!config.api.history_file.empty())
    parts.history = uv::make_state_file(loop(), config.api.history_file);
  const std::string host = config.node.name.empty() ? parts.host_name : config.node.name;
  const std::string cookie = parts.host_identity + own;
  parts.writer = registry::host_text({host, parts.host_identity}) + own;
  if (const auto kind = provider_kind(config.mdns.provider))
    parts.make_provider =
        [kind = *kind, options = native_options(config, host, cookie, parts.host_name)](Env& env) {
          return mdns::make_provider(env, kind, options);
        };
  return parts;
}

}  // namespace outrider
