// SPDX-License-Identifier: Apache-2.0
// Every option of the configuration, once. Durations are bounded in milliseconds.
#include "agent/config/config.h"

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
     .line = "name of this host in ids and host labels; auto: the system's"},
    {.key = "interfaces",
     .type = RowType::text_list,
     .fallback = "[\"auto\"]",
     .max = 64,
     .reloadable = false,
     .line = "names or globs of interfaces for mDNS, \"!glob\" excludes; auto: by kind of link"},
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
     .line = "addresses of the DNS stub, UDP and TCP; [] turns it off"},
    {.key = "domains",
     .type = RowType::text_list,
     .fallback = "[\"svc\"]",
     .max = kDomainsMax,
     .reloadable = false,
     .line = "domains that services stand in"},
    {.key = "ttl",
     .type = RowType::duration,
     .fallback = "\"5s\"",
     .max = 60'000,
     .reloadable = false,
     .line = "TTL of answers, whole seconds"},
    {.key = "negative_ttl",
     .type = RowType::duration,
     .fallback = "\"2s\"",
     .max = 60'000,
     .reloadable = false,
     .line = "TTL of negative answers, whole seconds"},
    {.key = "answers",
     .type = RowType::integer,
     .fallback = "8",
     .max = 1'024,
     .reloadable = false,
     .line = "addresses in one answer; 0: all"},
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
     .line = "leave out instances that are warning"},
    {.key = "order",
     .type = RowType::choice,
     .fallback = "\"near\"",
     .reloadable = false,
     .line = "who is named first: near: this host, its subnets, the rest; p2c: by connections and "
             "round-trip times",
     .choices = kOrders},
    {.key = "forward",
     .type = RowType::choice,
     .fallback = "\"auto\"",
     .line = "forward other names upstream; auto: only if we are the host's only name server",
     .choices = kForward},
    {.key = "upstream",
     .type = RowType::text_list,
     .fallback = "[\"system\"]",
     .max = kListenMax,
     .line = "name servers to forward to; system: those of resolv.conf"},
    {.key = "cache_entries",
     .type = RowType::integer,
     .fallback = "10000",
     .max = 1'000'000,
     .line = "upstream answers that are kept"},
    {.key = "hold",
     .type = RowType::duration,
     .fallback = "\"300ms\"",
     .max = 5'000,
     .line = "how long a question for an unknown name waits for the LAN to answer"},
    {.key = "rebind_protection",
     .type = RowType::boolean,
     .fallback = "true",
     .line = "refuse private addresses in upstream answers"},
    {.key = "rebind_exceptions",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = kRebindExceptionsMax,
     .line = "domains whose names may have private addresses; the search domains may, too"},
};

constexpr Row kMdns[] = {
    {.key = "provider",
     .type = RowType::choice,
     .fallback = "\"auto\"",
     .reloadable = false,
     .line = "who speaks mDNS; auto: we do, avahi where port 5353 cannot be shared",
     .choices = kProviders},
    {.key = "domain",
     .type = RowType::text,
     .fallback = "\"local\"",
     .min = 1,
     .max = 5,
     .reloadable = false,
     .line = "only \"local\" (RFC 6762 §3)"},
    {.key = "shared_types",
     .type = RowType::text_list,
     .fallback = "[\"_farp._tcp\"]",
     .max = 8,
     .line = "service types that every registration is announced under besides its own"},
    {.key = "browse",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = 64,
     .line = "service types whose instances are taken also without our TXT keys"},
    {.key = "ttl",
     .type = RowType::choice,
     .fallback = "\"short\"",
     .reloadable = false,
     .line = "record TTLs: short finds a dead host within 20 s, rfc is RFC 6762 §10",
     .choices = kTtls},
    {.key = "conflict",
     .type = RowType::choice,
     .fallback = "\"rename\"",
     .reloadable = false,
     .line = "when the label belongs to somebody else",
     .choices = kConflict},
    {.key = "port",
     .type = RowType::integer,
     .fallback = "5353",
     .min = 1,
     .max = 65'535,
     .reloadable = false,
     .line = "another port talks to nobody but agents set to the same"},
};

constexpr Row kApi[] = {
    {.key = "socket",
     .type = RowType::text,
     .fallback = "\"auto\"",
     .min = 1,
     .max = 107,
     .reloadable = false,
     .line = "Unix socket of the control API; auto: in the run-time directory"},
    {.key = "consul_listen",
     .type = RowType::text_list,
     .fallback = "null",
     .max = 4,
     .reloadable = false,
     .line = "loopback addresses that speak Consul's agent API"},
    {.key = "token",
     .type = RowType::boolean,
     .fallback = "true",
     .reloadable = false,
     .line = "changes over consul_listen need the token; false: everybody on this host may"},
    {.key = "article",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "also serve POST /api/register, /api/fetch and their kin"},
    {.key = "bilibili",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "also serve /discovery/* as bilibili's discovery does"},
};

constexpr Row kFarp[] = {
    {.key = "listen",
     .type = RowType::text_list,
     .fallback = "[\"auto\"]",
     .max = 4,
     .reloadable = false,
     .line =
         "addresses of /_farp/*; auto: 5371 or a free port if a service has \"farp\"; [] is off"},
    {.key = "gateways",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = 8,
     .reloadable = false,
     .line = "gateways to push to, such as \"http://192.168.1.1:8080\" (literal addresses)"},
    {.key = "compact_txt",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "leave out TXT keys that no known reader looks at (farp.version, farp.strategy)"},
    {.key = "read",
     .type = RowType::boolean,
     .fallback = "false",
     .reloadable = false,
     .line = "fetch the manifests that others announce, from their own addresses only"},
};

constexpr Row kLifecycle[] = {
    {.key = "drain",
     .type = RowType::text,
     .fallback = "\"auto\"",
     .min = 1,
     .max = 32,
     .line = "how long to go on answering after the goodbye; auto: DNS TTL, at least 2s, plus 1s"},
    {.key = "ready",
     .type = RowType::choice,
     .fallback = "\"bound\"",
     .reloadable = false,
     .line = "when systemd is told READY: sockets bound, or every registration healthy",
     .choices = kReady},
};

constexpr Row kLog[] = {
    {.key = "level",
     .type = RowType::choice,
     .fallback = "\"info\"",
     .line = "least level that is logged",
     .choices = kLevels},
    {.key = "format",
     .type = RowType::choice,
     .fallback = "\"auto\"",
     .reloadable = false,
     .line = "auto: text on a terminal, journal under systemd, else logfmt",
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
       .line = "the DNS stub",
       .rows = kDns},
      {.key = "mdns",
       .type = RowType::object,
       .fallback = "{}",
       .line = "the local link",
       .rows = kMdns},
      {.key = "api",
       .type = RowType::object,
       .fallback = "{}",
       .line = "the control API",
       .rows = kApi},
      {.key = "farp",
       .type = RowType::object,
       .fallback = "{}",
       .line = "endpoints for gateways",
       .rows = kFarp},
      {.key = "lifecycle",
       .type = RowType::object,
       .fallback = "{}",
       .line = "start and stop",
       .rows = kLifecycle},
      {.key = "log", .type = RowType::object, .fallback = "{}", .line = "the log", .rows = kLog},
      {.key = "services",
       .type = RowType::object_list,
       .fallback = "[]",
       .max = registry::kRegistrationsMax,
       .line = "what to register",
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
