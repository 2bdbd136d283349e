// SPDX-License-Identifier: Apache-2.0
// The configuration of an agent, typed and immutable.
//
//   files ▸ OUTRIDER_* environment ▸ --set    merged in this order into one tree (sources.cc)
//                                             and judged after each of the three, not in between
//   tree ▸ rows of rows.cc                    checked and completed with defaults
//   completed tree ▸ Config                   typed, with the checks that rows cannot express
//   (read.cc)
//
// To add an option: a row in rows.cc, a member here, its reading in read.cc, a case in
// tests/agent/config, and OUTRIDER_WRITE_MAN=1 for outrider.json.5 (tests/agent/cli/man_test.cc).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "agent/registry/registry.h"
#include "agent/registry/rows.h"
#include "agent/registry/selection.h"
#include "agent/registry/serving_rules.h"
#include "base/json.h"
#include "base/net.h"
#include "dns/wire/name.h"
#include "registries/consul/options.h"
#include "registries/etcd/options.h"

namespace outrider {

inline constexpr std::size_t kConfigFilesMax = 256;
inline constexpr std::size_t kListenMax = 16;
inline constexpr std::size_t kDomainsMax = 16;
inline constexpr std::size_t kWebNamesMax = 64;
inline constexpr std::size_t kRebindExceptionsMax = 64;
inline constexpr std::size_t kUnicastLocalMax = 64;
inline constexpr std::size_t kAllowedNetworksMax = 64;
inline constexpr std::size_t kApiHostNamesMax = 16;
inline constexpr std::size_t kRegistriesMax = 8;
inline constexpr std::size_t kExportRulesMax = 16;
inline constexpr std::size_t kExportNamesMax = 64;  // of one rule
inline constexpr std::size_t kEtcdTcpCheckedMax = 64;
/// How long entries of a registry that cannot be reached are still served, if nothing is said.
inline constexpr Duration kKeepDefault = std::chrono::minutes(10);

enum class Choice : std::uint8_t { automatic, on, off };
enum class DnsOrder : std::uint8_t { near, p2c };
enum class MdnsProvider : std::uint8_t { automatic, native, avahi, off };

struct NodeConfig {
  std::string name;                     // empty: the system's host name
  std::vector<std::string> interfaces;  // globs; "!glob" excludes; empty: by kind of link
  bool ipv4 = true, ipv6 = true;
};
struct DnsConfig {
  std::vector<Endpoint> listen;
  std::vector<Prefix> allow;  // clients besides this host
  std::vector<dns::Name> domains;
  std::uint32_t ttl = 5, negative_ttl = 2;  // seconds
  std::size_t answers = 8;
  registry::ServingRules serving;
  DnsOrder order = DnsOrder::near;
  Choice forward = Choice::automatic;
  std::vector<std::string> upstream;
  std::size_t cache_entries = 10'000;
  Duration hold{};
  std::vector<dns::Name> unicast_local;
  bool trust_ad = false;
  bool rebind_protection = true;
  std::vector<dns::Name> rebind_exceptions;
};
struct MdnsConfig {
  MdnsProvider provider = MdnsProvider::automatic;
  std::vector<std::string> shared_types;
  std::vector<std::string> browse;
  bool short_ttl = true;
  bool rename = true;  // on a conflict; otherwise give up
  std::uint16_t port = 5353;
};
struct ApiConfig {
  bool on = true;
  std::string socket;  // empty: the usual path
  std::vector<Endpoint> consul_listen;
  std::vector<std::string> host_names;  // of requests to consul_listen, besides loopback ones
  bool token = true;                    // for changes over consul_listen
  bool persist = true;
  std::string history_file;  // empty: the history ends with the agent
  bool article = false, bilibili = false, eureka = false;
  std::vector<Endpoint> etcd_listen;
  registries::etcd::Layouts etcd_layouts;     // below which prefixes it has instances
  std::vector<std::string> etcd_tcp_checked;  // prefixes of keys
};
struct WebConfig {
  std::vector<Endpoint> listen, tls_listen;
  registry::Strategy strategy = registry::Strategy::round_robin;
  std::optional<registry::Locality> locality;  // nothing: by what the agent is for
  std::vector<std::string> names;              // labels of services, or "*"
};
struct FarpConfig {
  std::vector<Endpoint> listen;  // empty: automatic
  bool on = true;
  std::vector<std::string> gateways;  // http URLs with literal addresses
  bool compact_txt = false;
  bool read = false;  // fetch other hosts' manifests
};
struct LifecycleConfig {
  Duration drain{};  // zero and drain_auto: from the DNS TTL
  bool drain_auto = true;
  bool ready_when_healthy = false;
};
struct LogConfig {
  std::string level, format;
};

/// A registry beyond the link. The default stands for the agents of this host, which are found.
struct RegistryConfig {
  std::variant<std::monostate, registries::etcd::Options, registries::consul::Options> options;
  /// How long its entries are served while it cannot be reached; Duration::max(): for ever.
  Duration keep = registry::kStaleGrace;
  bool operator==(const RegistryConfig&) const = default;

  registry::Source source() const;
  bool publishes() const;
  /// On if one of its servers has an https URL.
  TlsOptions tls() const;
  /// Owners write their entries again within this time.
  Duration ttl() const;
};

/// Services that are copied from one source to another: `sighting` stands for mDNS.
struct ExportRule {
  registry::Source from = registry::Source::etcd, to = registry::Source::sighting;
  std::vector<registry::ServiceName> names;
  /// Agents with the same one elect who copies: those of one link.
  std::string group;
  bool operator==(const ExportRule&) const = default;
};

struct Config {
  NodeConfig node;
  DnsConfig dns;
  MdnsConfig mdns;
  ApiConfig api;
  WebConfig web;
  FarpConfig farp;
  LifecycleConfig lifecycle;
  LogConfig log;
  std::vector<RegistryConfig> registries;
  std::vector<ExportRule> exports;
  std::vector<registry::ServiceSpec> services;
  json::Value tree;  // as `config dump` prints it

  /// How long to keep answering after the goodbye, until all clients' copies have expired.
  Duration drain_time() const;
};

struct ConfigError {
  std::string file;  // or "OUTRIDER_DNS_TTL", "--set dns.ttl"; empty: all sources together
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
  std::vector<std::string> sets;  // "dns.ttl=10s"; lists as "a,b" or in JSON
};

/// Merges objects member by member and appends "services". Any other value of a later source
/// replaces that of an earlier one.
Result<Config, ConfigError> make_config(const ConfigSources& sources);

/// Reads `paths`: regular files, or directories, whose *.json are read in name order, without
/// hidden ones.
Result<std::vector<ConfigText>, ConfigError> read_config_files(
    const std::vector<std::string>& paths);

/// Keys such as "dns.listen" whose values differ and that need a restart.
std::vector<std::string> not_reloadable(const Config& now, const Config& next);

std::span<const registry::Row> config_rows();
/// JSON Schema of the whole configuration.
std::string config_schema();

}  // namespace outrider
