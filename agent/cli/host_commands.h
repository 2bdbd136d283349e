// SPDX-License-Identifier: Apache-2.0
// Commands about this host rather than about services: dns install, remove and status, doctor,
// completions. Rows for them are in commands.cc.
#pragma once

#include <optional>
#include <string>

#include "agent/cli/cli.h"

namespace outrider::cli {

inline constexpr Flag kDnsFlags[] = {
    {"profile", "NAME", "delegate, resolved, networkmanager, dnsmasq or plain; absent: found out"},
    {"stub", "ADDRESS:PORT", "where the agent answers; absent: 127.0.0.55:5370"},
    {"domain", "NAME", "a domain that the agent answers; absent: svc", true},
    {"root", "DIR", "work on the files under DIR and run nothing"},
    {"yes", "", "do not ask"},
};
inline constexpr Flag kDnsRemoveFlags[] = {
    {"root", "DIR", "work on the files under DIR and run nothing"},
};
inline constexpr Flag kDnsStatusFlags[] = {
    {"domain", "NAME", "a domain that the agent answers; absent: svc", true},
    {"root", "DIR", "look at the files under DIR"},
    {"json", "", "the same as JSON, for programs"},
};
inline constexpr Flag kDoctorFlags[] = {
    {"domain", "NAME", "a domain that the agent answers; absent: svc", true},
    {"json", "", "the findings as JSON, for programs"},
    {"socket", "PATH", "the agent's socket; absent: found by itself"},
};

// dns.cc
int dns_install(const Arguments& arguments);
int dns_remove(const Arguments& arguments);
int dns_status(const Arguments& arguments);
// doctor.cc
int doctor(const Arguments& arguments);
// completions.cc
int completions(const Arguments& arguments);

/// Whether getaddrinfo, as every program has it, finds `name`; the first address if it does.
std::optional<std::string> system_lookup(const std::string& name);
/// The number that systemd says it is; 0 where it does not.
int systemd_version();

}  // namespace outrider::cli
