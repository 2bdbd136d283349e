// SPDX-License-Identifier: Apache-2.0
// Every option of the configuration, declared once; those of registries in registry_rows.cc. Bounds
// of durations are milliseconds.
#include "agent/config/config.h"
#include "agent/config/layout_rows.h"
#include "agent/config/read.h"
#include "agent/registry/registry.h"

namespace outrider {
namespace {

using registry::Row;
using registry::RowType;

constexpr std::string_view kAllUnhealthy[] = {"nodata", "last_resort", "nxdomain"};
constexpr std::string_view kForward[] = {"auto", "on", "off"};
constexpr std::string_view kProviders[] = {"auto", "native", "avahi", "off"};
constexpr std::string_view kTtls[] = {"short", "rfc"};
constexpr std::string_view kConflict[] = {"rename", "fail"};
constexpr std::string_view kReady[] = {"bound", "healthy"};
constexpr std::string_view kLevels[] = {"debug", "info", "warning", "error"};
constexpr std::string_view kFormats[] = {"auto", "text", "logfmt", "journal", "json"};

constexpr Row kNode[] = {
    {.key = "name",
     .type = RowType::text,
     .fallback = "\"auto\"",
     .min = 1,
     .max = 253,
     .reloadable = false,
     .line = "name of this host in ids and host labels; auto: the system's host name"},
    {.key = "interfaces",
     .type = RowType::text_list,
     .fallback = "[\"auto\"]",
     .max = 64,
     .reloadable = false,
     .line = "interfaces for mDNS, as names or globs; \"!glob\" excludes; auto: chosen by kind of "
             "link"},
    {.key = "ipv4",
     .type = RowType::boolean,
     .fallback = "true",
     .reloadable = false,
     .line = "announce and browse over IPv4"},
    {.key = "ipv6",
     .type = RowType::boolean,
     .fallback = "true",
     .reloadable = false,
     .line = "announce and browse over IPv6"},
};

constexpr std::string_view kOrders[] = {"near", "p2c"};

constexpr Row kDns[] = {
    {.key = "listen",
     .type = RowType::text_list,
     .fallback = "[\"127.0.0.55:5370\"]",
     .max = kListenMax,
     .reloadable = false,
     .line = "addresses on which DNS is answered, UDP and TCP, as ADDRESS[:PORT]; default port: "
             "53; [] turns DNS off"},
    {.key = "allow",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kAllowedNetworksMax,
     .line = "networks whose clients are answered, besides this host, such as \"172.17.0.0/16\""},
    {.key = "domains",
     .type = RowType::text_list,
     .fallback = "[\"svc\"]",
     .max = kDomainsMax,
     .reloadable = false,
     .line = "domains under which services are answered"},
    {.key = "ttl",
     .type = RowType::duration,
     .fallback = "\"5s\"",
     .max = 60'000,
     .reloadable = false,
     .line = "TTL of answers, in whole seconds"},
    {.key = "negative_ttl",
     .type = RowType::duration,
     .fallback = "\"2s\"",
     .max = 60'000,
     .reloadable = false,
     .line = "TTL of negative answers, in whole seconds"},
    {.key = "answers",
     .type = RowType::integer,
     .fallback = "8",
     .max = 1'024,
     .reloadable = false,
     .line = "maximum number of records in an A, AAAA, HTTPS or SVCB answer; 0: no maximum"},
    {.key = "all_unhealthy",
     .type = RowType::choice,
     .fallback = "\"nodata\"",
     .reloadable = false,
     .line = "answer when no instance is healthy",
     .choices = kAllUnhealthy},
    {.key = "only_passing",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "leave out instances whose health is warning"},
    {.key = "order",
     .type = RowType::choice,
     .fallback = "\"near\"",
     .reloadable = false,
     .line = "order of addresses; near: this host first, then its subnets, then the rest; p2c: by "
             "number of connections and round-trip time",
     .choices = kOrders},
    {.key = "forward",
     .type = RowType::choice,
     .fallback = "\"auto\"",
     .line = "forward other names upstream; auto: only if the agent is the only nameserver in "
             "resolv.conf",
     .choices = kForward},
    {.key = "upstream",
     .type = RowType::text_list,
     .fallback = "[\"system\"]",
     .max = kListenMax,
     .line = "nameservers to forward to; system: those in resolv.conf"},
    {.key = "unicast_local",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kUnicastLocalMax,
     .line =
         "domains below \"local\" that are forwarded instead of looked up over mDNS, in addition "
         "to the search domains"},
    {.key = "trust_ad",
     .type = RowType::boolean,
     .fallback = "false",
     .line = "pass on the AD flag of upstream answers; for servers that validate and a trusted "
             "network"},
    {.key = "cache_entries",
     .type = RowType::integer,
     .fallback = "10000",
     .max = 1'000'000,
     .line = "maximum number of cached upstream answers"},
    {.key = "hold",
     .type = RowType::duration,
     .fallback = "\"300ms\"",
     .max = 5'000,
     .line = "how long a query for an unknown name waits for an answer from the LAN"},
    {.key = "rebind_protection",
     .type = RowType::boolean,
     .fallback = "true",
     .line = "remove private addresses from upstream answers"},
    {.key = "rebind_exceptions",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kRebindExceptionsMax,
     .line = "domains whose names may have private addresses, in addition to the search domains"},
};

constexpr Row kMdns[] = {
    {.key = "provider",
     .type = RowType::choice,
     .fallback = "\"auto\"",
     .reloadable = false,
     .line =
         "what speaks mDNS; auto: the agent itself, or avahi-daemon if port 5353 cannot be shared",
     .choices = kProviders},
    {.key = "domain",
     .type = RowType::text,
     .fallback = "\"local\"",
     .min = 1,
     .max = 5,
     .reloadable = false,
     .line = "domain of mDNS; only \"local\" is possible (RFC 6762 §3)"},
    {.key = "shared_types",
     .type = RowType::text_list,
     .fallback = "[\"_farp._tcp\"]",
     .max = 8,
     .line = "service types under which every registration is announced, besides its own"},
    {.key = "browse",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = 64,
     .line = "service types whose instances are used even without Outrider's TXT keys"},
    {.key = "ttl",
     .type = RowType::choice,
     .fallback = "\"short\"",
     .reloadable = false,
     .line =
         "record TTLs of the native provider; short: a host that died is gone within 20 s, also "
         "from the browse lists of other programs; rfc: as in RFC 6762 §10",
     .choices = kTtls},
    {.key = "conflict",
     .type = RowType::choice,
     .fallback = "\"rename\"",
     .reloadable = false,
     .line = "what to do if another host owns the instance's label",
     .choices = kConflict},
    {.key = "port",
     .type = RowType::integer,
     .fallback = "5353",
     .min = 1,
     .max = 65'535,
     .reloadable = false,
     .line =
         "UDP port of mDNS; with another port only agents with the same setting find each other"},
};

constexpr Row kApi[] = {
    {.key = "socket",
     .type = RowType::text,
     .fallback = "\"auto\"",
     .min = 1,
     .max = 107,
     .reloadable = false,
     .line = "Unix socket of the control API; auto: in the runtime directory; off: no API"},
    {.key = "consul_listen",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = 4,
     .reloadable = false,
     .line = "loopback addresses on which Consul's agent API is served"},
    {.key = "host_names",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kApiHostNamesMax,
     .reloadable = false,
     .line = "names besides localhost that requests to consul_listen may have in their Host field, "
             "such as consul"},
    {.key = "token",
     .type = RowType::boolean,
     .fallback = "true",
     .reloadable = false,
     .line = "changes over consul_listen need the token; false: any user of this host can make "
             "changes"},
    {.key = "persist",
     .type = RowType::boolean,
     .fallback = "true",
     .reloadable = false,
     .line = "keep registrations made over the API, and maintenance, over a restart of the agent"},
    {.key = "history_file",
     .type = RowType::text,
     .fallback = "\"off\"",
     .min = 1,
     .max = 4'096,
     .reloadable = false,
     .line = "file that keeps the history over restarts of the agent, such as "
             "/var/lib/outrider/history.jsonl, at most 4 MiB; off: the history ends with the "
             "agent"},
    {.key = "article",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "also serve POST /api/register, /api/fetch and the other paths of that dialect"},
    {.key = "bilibili",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "also serve /discovery/*, as bilibili's discovery does"},
    {.key = "eureka",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "also serve /eureka/* and /eureka/v2/*, as Netflix's Eureka does, in JSON"},
    {.key = "etcd_listen",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = 4,
     .reloadable = false,
     .line = "loopback addresses on which programs find what they expect of etcd, such as "
             "\"127.0.0.1:2379\"; this port has no authentication"},
    {.key = "etcd_layouts",
     .type = RowType::object,
     .fallback = "null",
     .reloadable = false,
     .line = "how programs on etcd_listen write instances; null: all four, at their usual prefixes",
     .rows = kLayouts},
    {.key = "etcd_tcp_checks",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kEtcdTcpCheckedMax,
     .reloadable = false,
     .line = "beginnings of keys, such as \"/microservices/\", whose registrations get a TCP "
             "check besides their lease"},
};

constexpr Row kFarp[] = {
    {.key = "listen",
     .type = RowType::text_list,
     .fallback = "[\"auto\"]",
     .max = 4,
     .reloadable = false,
     .line = "addresses of /_farp/*; auto: port 5371 or a free one, if a service has \"farp\"; []: "
             "off"},
    {.key = "gateways",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = 8,
     .reloadable = false,
     .line = "gateways to push to, with literal addresses, such as \"http://192.168.1.1:8080\""},
    {.key = "compact_txt",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "leave out TXT keys that no known reader uses (farp.version, farp.strategy)"},
    {.key = "read",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "fetch the manifests that other hosts announce, from their own addresses only"},
};

constexpr std::string_view kStrategies[] = {"round_robin",       "random", "weighted",
                                            "least_connections", "p2c",    "consistent_hash"};

constexpr std::string_view kLocalities[] = {"auto", "any", "prefer", "strict"};

constexpr Row kWeb[] = {
    {.key = "listen",
     .type = RowType::text_list,
     .fallback = "[\"127.0.0.1:5380\"]",
     .max = kListenMax,
     .reloadable = false,
     .line = "addresses on which services are reached as http://NAME.localhost, as ADDRESS[:PORT]; "
             "default port: 5380; [] turns it off"},
    {.key = "tls_listen",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kListenMax,
     .reloadable = false,
     .line = "addresses on which services are reached by the server name of TLS, which passes "
             "through; default port: 5443"},
    {.key = "allow_remote",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "accept addresses in listen and tls_listen that other hosts can reach"},
    {.key = "names",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kWebNamesMax,
     .reloadable = false,
     .line = "services whose names in DNS have the address of the bridge while it has port 80; "
             "\"*\": all; those with the metadata bridge=true have it anyway"},
    {.key = "strategy",
     .type = RowType::choice,
     .fallback = "\"round_robin\"",
     .reloadable = false,
     .line = "how the instance for a connection is chosen; the key of consistent_hash is the "
             "client's address",
     .choices = kStrategies},
    {.key = "locality",
     .type = RowType::choice,
     .fallback = "\"auto\"",
     .reloadable = false,
     .line = "prefer: instances on this host come before others; strict: a service that is "
             "registered on this host is reached on this host only, even while it fails; any: all "
             "count the same; auto: strict in `outrider run`, prefer in other agents",
     .choices = kLocalities},
};

constexpr Row kLifecycle[] = {
    {.key = "drain",
     .type = RowType::text,
     .fallback = "\"auto\"",
     .min = 1,
     .max = 32,
     .line = "how long to keep answering after the goodbye; auto: DNS TTL (at least 2s) plus 1s"},
    {.key = "ready",
     .type = RowType::choice,
     .fallback = "\"bound\"",
     .reloadable = false,
     .line = "when to report READY to systemd; bound: sockets are bound; healthy: all services "
             "are, too",
     .choices = kReady},
};

constexpr Row kLog[] = {
    {.key = "level",
     .type = RowType::choice,
     .fallback = "\"info\"",
     .line = "minimum level to log",
     .choices = kLevels},
    {.key = "format",
     .type = RowType::choice,
     .fallback = "\"auto\"",
     .reloadable = false,
     .line = "log format; auto: text on a terminal, journal under systemd, otherwise logfmt",
     .choices = kFormats},
};

}  // namespace

std::span<const Row> config_rows() {
  static const Row kRows[] = {
      {.key = "node",
       .type = RowType::object,
       .fallback = "{}",
       .line = "this host",
       .rows = kNode},
      {.key = "dns",
       .type = RowType::object,
       .fallback = "{}",
       .line = "answering DNS",
       .rows = kDns},
      {.key = "mdns",
       .type = RowType::object,
       .fallback = "{}",
       .line = "mDNS on the local network",
       .rows = kMdns},
      {.key = "api",
       .type = RowType::object,
       .fallback = "{}",
       .line = "the control API",
       .rows = kApi},
      {.key = "web",
       .type = RowType::object,
       .fallback = "{}",
       .line = "services by URL, without DNS",
       .rows = kWeb},
      {.key = "farp",
       .type = RowType::object,
       .fallback = "{}",
       .line = "FARP: endpoints for gateways",
       .rows = kFarp},
      {.key = "lifecycle",
       .type = RowType::object,
       .fallback = "{}",
       .line = "starting and stopping",
       .rows = kLifecycle},
      {.key = "log", .type = RowType::object, .fallback = "{}", .line = "logging", .rows = kLog},
      {.key = "registries",
       .type = RowType::object_list,
       .fallback = "[]",
       .max = kRegistriesMax,
       .line = "registries beyond the local network, to read and to write; each object has one "
               "member",
       .rows = registry_rows()},
      {.key = "export",
       .type = RowType::object_list,
       .fallback = "[]",
       .max = kExportRulesMax,
       .line = "services to copy between mDNS, etcd and Consul; copies are marked, and never "
               "copied again",
       .rows = export_rows()},
      {.key = "services",
       .type = RowType::object_list,
       .fallback = "[]",
       .max = registry::kRegistrationsMax,
       .line = "services to register",
       .rows = registry::service_rows()},
  };
  return kRows;
}

std::string config_schema() {
  std::string out;
  json::Writer writer(out, json::Writer::Style::indented);
  writer.begin_object();
  writer.member("$schema", "https://json-schema.org/draft/2020-12/schema");
  writer.member("title", "Outrider configuration").member("type", "object");
  registry::write_schema(writer, config_rows());
  writer.end_object();
  return out;
}

}  // namespace outrider
