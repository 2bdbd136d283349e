// SPDX-License-Identifier: Apache-2.0
// Commands about this host rather than about services: dns install, remove and status, doctor,
// example, completions. Their rows are in commands.cc.
#pragma once

#include <optional>
#include <string>

#include "agent/cli/cli.h"

namespace outrider::cli {

inline constexpr Flag kDnsFlags[] = {
    {"profile", "NAME",
     "resolver setup: delegate, resolved, networkmanager, dnsmasq or plain; default: detected"},
    {"stub", "ADDRESS:PORT", "where the agent answers DNS; default: 127.0.0.55, port 53 or 5370"},
    {"domain", "NAME", "a domain that the agent answers; default: svc", true},
    {"root", "DIR", "change the files under DIR and run no commands"},
    {"yes", "", "do not ask for confirmation"},
};
inline constexpr Flag kDnsRemoveFlags[] = {
    {"root", "DIR", "change the files under DIR and run no commands"},
};
inline constexpr Flag kDnsStatusFlags[] = {
    {"domain", "NAME", "a domain that the agent answers; default: svc", true},
    {"root", "DIR", "read the files under DIR"},
    {"json", "", "print the answer as JSON"},
};
inline constexpr Flag kDoctorFlags[] = {
    {"domain", "NAME", "a domain that the agent answers; default: svc", true},
    {"json", "", "print the findings as JSON"},
    {"socket", "PATH", "the agent's socket; default: found automatically"},
};

// dns.cc
int dns_install(const Arguments& arguments);
int dns_remove(const Arguments& arguments);
int dns_status(const Arguments& arguments);
// doctor.cc
int doctor(const Arguments& arguments);
// example.cc
int print_example(const Arguments& arguments);
// completions.cc
int completions(const Arguments& arguments);

/// Resolves `name` with getaddrinfo, as other programs do: the first address, or nothing.
std::optional<std::string> system_lookup(const std::string& name);
/// The address of ns.DOMAIN as programs find it; nothing if it is not that of an agent. There are
/// networks whose nameserver has an address for every name.
std::optional<std::string> find_agent(const std::string& domain);
/// The version of the running systemd; 0 if unknown.
int systemd_version();

}  // namespace outrider::cli
