// SPDX-License-Identifier: Apache-2.0
// Options of registries beyond the LAN, and of what is copied between sources. Bounds of durations
// are milliseconds.
#include "agent/config/layout_rows.h"
#include "agent/config/read.h"
#include "registries/limits.h"

namespace outrider {
namespace {

using registry::Row;
using registry::RowType;

constexpr Row kKeep = {
    .key = "keep",
    .type = RowType::text,
    .fallback = "\"10m\"",
    .min = 1,
    .max = 32,
    .line = "how long its entries are served while it cannot be reached: a duration, or forever",
};
constexpr Row kTls[] = {
    {.key = "ca_file",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 4'096,
     .line =
         "file with the CA certificates to trust, read at each connection like the others; null: "
         "the system's"},
    {.key = "cert_file",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 4'096,
     .line = "client certificate, with those between it and its CA"},
    {.key = "key_file",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 4'096,
     .line = "key of the client certificate, without a passphrase; null: it is in cert_file"},
    {.key = "server_name",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 253,
     .line = "name that the server's certificate must have; null: the host of the URL"},
};
constexpr Row kEtcd[] = {
    {.key = "endpoints",
     .type = RowType::text_list,
     .max = registries::etcd::kEndpointsMax,
     .line = "servers of the cluster, such as \"http://10.0.0.5:2379\"; https as well"},
    {.key = "ttl",
     .type = RowType::duration,
     .fallback = "\"15s\"",
     .min = registries::kTtlMin / std::chrono::milliseconds(1),
     .max = registries::kTtlMax / std::chrono::milliseconds(1),
     .line = "lease of registrations: they are gone so long after the agent died"},
    {.key = "publish",
     .type = RowType::boolean,
     .fallback = "true",
     .line = "write this agent's registrations, in every layout; false: only read"},
    kKeep,
    {.key = "layouts",
     .type = RowType::object,
     .line = "how entries are written; at least one",
     .rows = kLayouts},
    {.key = "services",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = registries::etcd::kServicesMax,
     .line = "services to read; empty: all, as far as they fit"},
    {.key = "user",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 256,
     .line = "user name; null: no authentication"},
    {.key = "password_file",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 4'096,
     .line = "file whose first line is the user's password"},
    {.key = "tls",
     .type = RowType::object,
     .fallback = "null",
     .line = "TLS settings for https URLs; null: the system's authorities, no client certificate; "
             "with a user, etcd 3.4 refuses client certificates that have a common name",
     .rows = kTls},
};
constexpr Row kConsul[] = {
    {.key = "address",
     .type = RowType::text,
     .fallback = "\"http://127.0.0.1:8500\"",
     .min = 1,
     .max = 256,
     .line = "the local Consul agent; an http or https URL"},
    {.key = "services",
     .type = RowType::text_list,
     .fallback = "[]",
     .max = registries::consul::kServicesMax,
     .line = "services to read, each over a connection of its own; others are not read"},
    {.key = "ttl",
     .type = RowType::duration,
     .fallback = "\"15s\"",
     .min = registries::kTtlMin / std::chrono::milliseconds(1),
     .max = registries::kTtlMax / std::chrono::milliseconds(1),
     .line = "TTL of the check of each registration, which the agent renews after a half of it, or "
             "after a third of a short one"},
    {.key = "publish",
     .type = RowType::boolean,
     .fallback = "true",
     .line = "write this agent's registrations; false: only read"},
    kKeep,
    {.key = "token_file",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 4'096,
     .line = "file whose first line is the token; it is read again when Consul refuses the token"},
    {.key = "tls",
     .type = RowType::object,
     .fallback = "null",
     .line = "TLS settings for https URLs; null: the system's authorities, no client certificate",
     .rows = kTls},
};
constexpr Row kRegistry[] = {
    {.key = "etcd",
     .type = RowType::object,
     .fallback = "null",
     .line = "an etcd cluster (3.4 or later, over its JSON gateway)",
     .rows = kEtcd},
    {.key = "consul",
     .type = RowType::object,
     .fallback = "null",
     .line = "the Consul agent of this host",
     .rows = kConsul},
};

constexpr std::string_view kExportSides[] = {"mdns", "etcd", "consul"};
constexpr Row kExport[] = {
    {.key = "from",
     .type = RowType::choice,
     .line = "where the instances are read; own registrations and copies are left out",
     .choices = kExportSides},
    {.key = "to",
     .type = RowType::choice,
     .line = "where they are written, for as long as they are healthy",
     .choices = kExportSides},
    {.key = "names",
     .type = RowType::text_list,
     .max = kExportNamesMax,
     .line = "services to copy, at least one"},
    {.key = "group",
     .type = RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 63,
     .line = "one agent of each group copies a service: agents of another link need another group"},
};

}  // namespace

std::span<const Row> registry_rows() {
  return kRegistry;
}

std::span<const Row> export_rows() {
  return kExport;
}

}  // namespace outrider
