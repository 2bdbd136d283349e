// SPDX-License-Identifier: Apache-2.0
// How frameworks keep instances in etcd: rows that registries and the etcd door share.
#pragma once

#include "agent/registry/rows.h"
#include "registries/etcd/options.h"

namespace outrider {

inline constexpr registry::Row kKratos[] = {
    {.key = "prefix",
     .type = registry::RowType::text,
     .fallback = "\"/microservices\"",
     .min = 1,
     .max = registries::etcd::kPrefixBytesMax,
     .line = "keys are PREFIX/NAME/ID"},
};
inline constexpr registry::Row kGoframe[] = {
    {.key = "prefix",
     .type = registry::RowType::text,
     .fallback = "\"/service\"",
     .min = 1,
     .max = registries::etcd::kPrefixBytesMax,
     .line = "keys are PREFIX/DEPLOYMENT/NAMESPACE/NAME/VERSION/ENDPOINTS"},
    {.key = "deployment",
     .type = registry::RowType::text,
     .fallback = "\"default\"",
     .min = 1,
     .max = 63,
     .line = "where registrations are written"},
    {.key = "namespace",
     .type = registry::RowType::text,
     .fallback = "\"default\"",
     .min = 1,
     .max = 63,
     .line = "where registrations are written"},
    {.key = "version",
     .type = registry::RowType::text,
     .fallback = "\"latest\"",
     .min = 1,
     .max = 63,
     .line = "where registrations are written; clients that ask for a name alone look at latest"},
};
inline constexpr registry::Row kGozero[] = {
    {.key = "keys",
     .type = registry::RowType::text_list,
     .fallback = "[]",
     .max = registries::etcd::kGozeroKeysMax,
     .line = "keys to read, such as \"order.rpc\" or \"prod/order.rpc\"; the service is the key "
             "without .rpc"},
    {.key = "env",
     .type = registry::RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 63,
     .line = "write registrations as ENV/NAME.rpc"},
    {.key = "namespace",
     .type = registry::RowType::text,
     .fallback = "null",
     .min = 1,
     .max = 63,
     .line = "write registrations as NAMESPACE.NAME.rpc"},
};
inline constexpr registry::Row kForge[] = {
    {.key = "prefix",
     .type = registry::RowType::text,
     .fallback = "\"/services\"",
     .min = 1,
     .max = registries::etcd::kPrefixBytesMax,
     .line = "keys are PREFIX/NAME/ID"},
};
inline constexpr registry::Row kLayouts[] = {
    {.key = "kratos",
     .type = registry::RowType::object,
     .fallback = "null",
     .line = "as Kratos programs have it",
     .rows = kKratos},
    {.key = "goframe",
     .type = registry::RowType::object,
     .fallback = "null",
     .line = "as GoFrame programs have it",
     .rows = kGoframe},
    {.key = "gozero",
     .type = registry::RowType::object,
     .fallback = "null",
     .line = "as go-zero programs have it",
     .rows = kGozero},
    {.key = "forge",
     .type = registry::RowType::object,
     .fallback = "null",
     .line = "as Forge programs have it",
     .rows = kForge},
};

}  // namespace outrider
