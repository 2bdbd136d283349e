// SPDX-License-Identifier: Apache-2.0
// The configuration, DESIGN §4.2: JSON files, merged in order ▸ OUTRIDER_* environment ▸ --set ▸
// one checked tree ▸ Config, typed and immutable. Options are rows in rows.cc; to add one:
// a row there, a member here, its reading in read.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/registry/rows.h"
#include "agent/registry/serving_rules.h"
#include "base/json.h"
#include "base/net.h"
#include "dns/wire/name.h"

namespace outrider {

inline constexpr std::size_t kConfigFilesMax = 256;
inline constexpr std::size_t kListenMax = 16;
inline constexpr std::size_t kDomainsMax = 16;
inline constexpr std::size_t kRebindExceptionsMax = 64;

enum class Choice : std::uint8_t { automatic, on, off };
enum class DnsOrder : std::uint8_t { near, p2c };
enum class MdnsProvider : std::uint8_t { automatic, native, avahi, off };

struct NodeConfig {
  std::string name;                     // empty: the host's
  std::vector<std::string> interfaces;  // globs; "!glob" excludes; empty: by kind of link
  bool ipv4 = true, ipv6 = true;
};
struct DnsConfig {
  std::vector<Endpoint> listen;
  std::vector<dns::Name> domains;
  std::uint32_t ttl = 5, negative_ttl = 2;  // seconds
  std::size_t answers = 8;
  registry::ServingRules serving;
  DnsOrder order = DnsOrder::near;
  Choice forward = Choice::automatic;
  std::vector<std::string> upstream;
  std::size_t cache_entries = 10'000;
  Duration hold{};
  bool rebind_protection = true;
  std::vector<dns::Name> rebind_exceptions;
};
struct MdnsConfig {
  MdnsProvider provider = MdnsProvider::automatic;
  std::vector<std::string> shared_types;
  std::vector<std::string> browse;
  bool short_ttl = true;
  bool rename = true;  // on a conflict; else give up
  std::uint16_t port = 5353;
};
struct ApiConfig {
  bool on = true;
  std::string socket;  // empty: the usual place
  std::vector<Endpoint> consul_listen;
  bool token = true;  // for changes over consul_listen
  bool article = false, bilibili = false;
};
struct FarpConfig {
  std::vector<Endpoint> listen;  // empty: automatic
  bool on = true;
  std::vector<std::string> gateways;  // http URLs with literal addresses
  bool compact_txt = false;
  bool read = false;  // fetch the manifests of others
};
struct LifecycleConfig {
  Duration drain{};  // zero and drain_auto: from the DNS TTL
  bool drain_auto = true;
  bool ready_when_healthy = false;
};
struct LogConfig {
  std::string level, format;
};

struct Config {
  NodeConfig node;
  DnsConfig dns;
  MdnsConfig mdns;
  ApiConfig api;
  FarpConfig farp;
  LifecycleConfig lifecycle;
  LogConfig log;
  std::vector<registry::ServiceSpec> services;
  json::Value tree;  // as `config dump` shows it

  /// How long after the goodbye we go on answering: everybody's copy of the address has expired.
  Duration drain_time() const;
};

struct ConfigError {
  std::string file;  // or "OUTRIDER_DNS_TTL", "--set dns.ttl"; empty: the whole
  std::size_t line = 0, column = 0;
  registry::SpecError spec;
  /// "/etc/x.json:3:7: expected ',' or '}'", "x.json: services[0].prot: unknown key; …"
  std::string to_string() const;
};

struct ConfigText {
  std::string file;
  std::string text;
};
struct ConfigSources {
  std::vector<ConfigText> files;  // in the order in which they are merged
  std::vector<std::pair<std::string, std::string>> environment;
  std::vector<std::string> sets;  // "dns.ttl=10s"
};

/// Objects are merged member by member, "services" are put one after another, everything else of a
/// later source replaces what an earlier one said.
Result<Config, ConfigError> make_config(const ConfigSources& sources);

/// Reads `paths` (files, or directories whose *.json are taken in name order).
Result<std::vector<ConfigText>, ConfigError> read_config_files(
    const std::vector<std::string>& paths);

/// Keys (such as "dns.listen") that differ and need a restart.
std::vector<std::string> not_reloadable(const Config& now, const Config& next);

std::span<const registry::Row> config_rows();
/// JSON Schema of the whole.
std::string config_schema();

}  // namespace outrider
