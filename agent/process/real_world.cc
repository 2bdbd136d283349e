// SPDX-License-Identifier: Apache-2.0
#include "agent/process/real_world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>

#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/process/port_holder.h"
#include "base/assert.h"
#include "base/text_file.h"
#include "base/uv/inherited.h"
#include "base/uv/sock_diag.h"
#include "dns/upstream_ares.h"
#include "mdns/choice/choice.h"
#include "probes/curl_loader.h"

namespace outrider {
namespace {

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "host";
  const std::string_view whole = name;
  return std::string(whole.substr(0, whole.find('.')));
}

std::uint64_t fnv(std::string_view text, std::uint64_t hash = 14'695'981'039'346'656'037U) {
  for (const char c : text)
    hash = (hash ^ static_cast<std::uint8_t>(c)) * 1'099'511'628'211U;
  return hash;
}

std::string hex(std::uint64_t value, std::size_t digits) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < digits; ++i, value >>= 4)
    out += kDigits[value & 15];
  return out;
}

/// Machine and network namespace: two containers of one machine are two hosts. Hashed, because a
/// machine id is not to be told to a network (machine-id(5)).
std::string host_cookie() {
  std::string id = read_text_file("/etc/machine-id").value_or("");
  id.resize(std::min(id.find_first_of(" \n"), id.size()));
  struct stat netns {};
  if (::stat("/proc/self/ns/net", &netns) == 0) id += '/' + std::to_string(netns.st_ino);
  return hex(fnv(id + '/' + host_name()), 12);
}

uv::LogFormat log_format(const std::string& name) {
  if (name == "text") return uv::LogFormat::text;
  if (name == "logfmt") return uv::LogFormat::logfmt;
  if (name == "journal") return uv::LogFormat::journal;
  if (name == "json") return uv::LogFormat::json;
  return uv::LogFormat::automatic;
}

mdns::NativeOptions native_options(const Config& config, const std::string& host,
                                   const std::string& cookie) {
  mdns::NativeOptions options;
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

constexpr const char* kResolvConf = "/etc/resolv.conf";
/// Where systemd-resolved writes the servers that it asks itself.
constexpr const char* kUplinkConf = "/run/systemd/resolve/resolv.conf";
dns::ResolvConf read_resolv_conf(const char* path) {
  return dns::parse_resolv_conf(read_text_file(path).value_or(""), [](const std::string& name) {
    return std::uint32_t{::if_nametoindex(name.c_str())};
  });
}

ForwardParts forward_parts(uv::Loop& loop) {
  ForwardParts parts;
  parts.make_upstream = [](Env& env) { return std::make_unique<dns::AresUpstream>(env); };
  parts.resolv_conf = [] { return read_resolv_conf(kResolvConf); };
  parts.uplink_conf = [] { return read_resolv_conf(kUplinkConf); };
  parts.watch = [&loop](const std::function<void()>& changed) {
    // resolv.conf is often a link into a directory of whoever writes it; a file that is not there
    // would be looked for again and again.
    std::set<std::string> paths = {kResolvConf};
    for (const char* const path : {kResolvConf, kUplinkConf}) {
      const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path, nullptr), std::free);
      if (real) paths.insert(real.get());
    }
    std::vector<std::unique_ptr<Pending>> watches;
    for (const std::string& path : paths)
      watches.push_back(loop.watch_file(path, changed));
    return watches;
  };
  return parts;
}

/// A check that cannot be probed would keep its service out of everything: better said at once.
std::optional<ConfigError> missing_module(const Config& config) {
  for (std::size_t i = 0; i < config.services.size(); ++i) {
    const auto& checks = config.services[i].checks;
    for (std::size_t j = 0; j < checks.size(); ++j) {
      const auto* http = std::get_if<registry::HttpCheckSpec>(&checks[j].kind);
      const bool grpc = std::holds_alternative<registry::GrpcCheckSpec>(checks[j].kind);
      std::string why;
      if ((!grpc && (http == nullptr || !http->tls.on)) || probes::have_curl_module(&why)) continue;
      const std::string at = registry::join_path(registry::join_path("services", i) + ".checks", j);
      return ConfigError{"", 0, 0, {at + (grpc ? ".grpc" : ".http"), why, ""}};
    }
  }
  return std::nullopt;
}

}  // namespace

LogLevel log_level(const std::string& name) {
  if (name == "debug") return LogLevel::debug;
  if (name == "warning") return LogLevel::warning;
  return name == "error" ? LogLevel::error : LogLevel::info;
}

RealWorld::RealWorld(const LogConfig& log)
    : log_(uv::make_stderr_log(loop_.clock(), log_format(log.format))),
      env_{loop_.clock(), loop_.timers(), loop_.network(), random_, *log_} {
  log_->set_least(log_level(log.level));
}

AgentParts RealWorld::parts(const Config& config, const std::string& own) {
  AgentParts parts;
  parts.host_name = host_name();
  parts.host_cookie = host_cookie();
  parts.who_holds = port_holder;
  parts.load = kernel_load;
  parts.forward = forward_parts(loop_);
  const std::string host = config.node.name.empty() ? parts.host_name : config.node.name;
  const std::string cookie = parts.host_cookie + own;
  if (const auto kind = provider_kind(config.mdns.provider))
    parts.make_provider = [kind = *kind, options = native_options(config, host, cookie)](Env& env) {
      return mdns::make_provider(env, kind, options);
    };
  return parts;
}

std::optional<Config> load_config(const std::vector<std::string>& paths,
                                  const std::vector<std::string>& sets) {
  ConfigSources sources;
  auto files = read_config_files(paths);
  if (!files) {
    std::fprintf(stderr, "outrider: %s\n", files.error().to_string().c_str());
    return std::nullopt;
  }
  sources.files = std::move(*files);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      sources.environment.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  sources.sets = sets;
  auto config = make_config(sources);
  if (!config) {
    std::fprintf(stderr, "outrider: %s\n", config.error().to_string().c_str());
    return std::nullopt;
  }
  if (const auto missing = missing_module(*config)) {
    std::fprintf(stderr, "outrider: %s\n", missing->to_string().c_str());
    return std::nullopt;
  }
  // What a service manager has bound for us is there to be served.
  for (const Endpoint& address : uv::InheritedSockets::of_process().datagram_addresses())
    if (std::ranges::find(config->dns.listen, address) == config->dns.listen.end())
      config->dns.listen.push_back(address);
  return std::move(*config);
}

}  // namespace outrider
