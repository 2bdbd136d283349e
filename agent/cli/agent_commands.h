// SPDX-License-Identifier: Apache-2.0
// The commands that talk to a running agent over its socket. Their rows are in commands.cc.
#pragma once

#include "agent/cli/cli.h"

namespace outrider::cli {

inline constexpr Flag kJson = {"json", "", "print the answer as JSON"};
inline constexpr Flag kSocket = {"socket", "PATH",
                                 "the agent's socket; default: found automatically"};

inline constexpr Flag kReadFlags[] = {kJson, kSocket};
inline constexpr Flag kChangeFlags[] = {kSocket};
inline constexpr Flag kServicesFlags[] = {
    {"prefix", "TEXT", "only services whose names begin with TEXT"},
    {"tag", "TAG", "only instances with this tag", true},
    kJson,
    kSocket,
};
inline constexpr Flag kInstancesFlags[] = {
    {"passing", "", "only passing instances"},
    {"tag", "TAG", "only instances with this tag", true},
    {"version", "VERSION", "only instances of this version"},
    {"metadata", "KEY=VALUE", "only instances with this metadata", true},
    kJson,
    kSocket,
};
inline constexpr Flag kResolveFlags[] = {
    {"strategy", "STRATEGY",
     "how to select: round_robin, random, weighted, least_connections, p2c or consistent_hash"},
    {"key", "KEY", "for consistent_hash: equal keys select the same instance"},
    {"tag", "TAG", "only instances with this tag", true},
    kJson,
    kSocket,
};

inline constexpr Flag kWhyFlags[] = {
    {"at", "TIME", "explain what DNS answered then: 12:03:10, a time of RFC 3339, or 5m (ago)"},
    kJson,
    kSocket,
};
inline constexpr Flag kHistoryFlags[] = {
    {"last", "N", "at most the last N changes; default: 100"},
    kJson,
    kSocket,
};

inline constexpr Flag kWaitFlags[] = {
    {"count", "N", "wait for N healthy instances of each; default: 1"},
    {"timeout", "DURATION", "how long to wait for all; 0s: for ever; default: 1m"},
    kJson,
    kSocket,
};
inline constexpr Flag kOpenFlags[] = {
    {"print", "", "only print the address"},
    {"qr", "", "print a QR code of the address on the local network"},
    kJson,
    kSocket,
};

inline constexpr Flag kRoutesFlags[] = {
    {"gateway", "NAME", "whose rules to apply: bastion, forge, octopus or spec; default: bastion"},
    kJson,
    kSocket,
};
inline constexpr Flag kFarpCheckFlags[] = {
    {"reader", "1.0|1.1", "apply the rules of a reader of this version; default: 1.1"},
    {"json", "", "print the findings as JSON"},
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
int print_api(const Arguments& arguments);
int list_registries(const Arguments& arguments);
int watch_changes(const Arguments& arguments);
// live_commands.cc
int show_top(const Arguments& arguments);
int wait_for_services(const Arguments& arguments);
int open_service(const Arguments& arguments);
// status.cc
int print_status(const Arguments& arguments);
// why.cc
int explain_name(const Arguments& arguments);
// history.cc
int show_history(const Arguments& arguments);
// changes.cc
int register_services(const Arguments& arguments);
int deregister(const Arguments& arguments);
int send_pass(const Arguments& arguments);
int send_warn(const Arguments& arguments);
int send_fail(const Arguments& arguments);
int set_maintenance(const Arguments& arguments);
int drain(const Arguments& arguments);

}  // namespace outrider::cli
