// SPDX-License-Identifier: Apache-2.0
// The commands that ask a running agent over its socket. Rows for them are in commands.cc.
#pragma once

#include "agent/cli/cli.h"

namespace outrider::cli {

inline constexpr Flag kJson = {"json", "", "the answer as JSON, for programs"};
inline constexpr Flag kSocket = {"socket", "PATH", "the agent's socket; absent: found by itself"};

inline constexpr Flag kAskFlags[] = {kJson, kSocket};
inline constexpr Flag kTellFlags[] = {kSocket};
inline constexpr Flag kServicesFlags[] = {
    {"prefix", "TEXT", "only services whose names begin so"},
    {"tag", "TAG", "only instances with this tag", true},
    kJson,
    kSocket,
};
inline constexpr Flag kInstancesFlags[] = {
    {"passing", "", "only healthy ones"},
    {"tag", "TAG", "only with this tag", true},
    {"version", "VERSION", "only of this version"},
    {"metadata", "KEY=VALUE", "only with this metadata", true},
    kJson,
    kSocket,
};
inline constexpr Flag kResolveFlags[] = {
    {"strategy", "STRATEGY",
     "round_robin, random, weighted, least_connections, p2c or consistent_hash"},
    {"key", "KEY", "for consistent_hash: equal keys give equal instances"},
    {"tag", "TAG", "only with this tag", true},
    kJson,
    kSocket,
};

inline constexpr Flag kRoutesFlags[] = {
    {"gateway", "NAME", "bastion (as without it), forge, octopus or spec"},
    kJson,
    kSocket,
};
inline constexpr Flag kFarpCheckFlags[] = {
    {"reader", "1.0|1.1", "by the rules of a reader of that version; 1.1 as without it"},
    {"json", "", "the findings as JSON, for programs"},
};

// farp.cc
int farp_manifest(const Arguments& arguments);
int farp_services(const Arguments& arguments);
int farp_routes(const Arguments& arguments);
int farp_check(const Arguments& arguments);
// queries.cc
int list_services(const Arguments& arguments);
int list_instances(const Arguments& arguments);
int resolve(const Arguments& arguments);
int status(const Arguments& arguments);
int watch(const Arguments& arguments);
// why.cc
int why(const Arguments& arguments);
// changes.cc
int register_services(const Arguments& arguments);
int deregister(const Arguments& arguments);
int pass(const Arguments& arguments);
int warn(const Arguments& arguments);
int fail(const Arguments& arguments);
int maintenance(const Arguments& arguments);
int drain(const Arguments& arguments);

}  // namespace outrider::cli
