// SPDX-License-Identifier: Apache-2.0
// What the dialects share: bodies of requests, errors of the registry as answers, names of checks
// across instances, heartbeats, and what may not be registered over the API.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/doors/control.h"
#include "base/http/router.h"
#include "base/net.h"

namespace outrider::doors {

/// The body as JSON. The error is a sentence for a 400.
enum class RepeatedKeys : std::uint8_t {
  refused,     // keys that differ only by case, too
  last_counts  // keys that differ only by case are different
};
Result<json::Value, std::string> parse_body(const http::ServerRequest& request,
                                            RepeatedKeys repeated = RepeatedKeys::refused);

/// The HTTP status of an error.
int status_of(registry::RegistryError error);
/// {"error": …} with that status. `path` is that of the refused part of the body; empty: all of it.
http::Answer refused(registry::RegistryError error, std::string_view path = {});

/// A name that is unique among all checks of the agent, as Consul's clients need it:
/// "service:INSTANCE:CHECK" for checks with an automatic id, else the id that was given.
std::string check_key(std::string_view instance_id, const registry::CheckSpec& check);

struct CheckAddress {
  std::string instance_id, check_id;
};
/// By check_key, by "INSTANCE/CHECK", or by a check's own id if only one instance has it. An
/// instance's id alone, or "service:INSTANCE", means its only TTL check.
std::optional<CheckAddress> find_check(const registry::Registry& registry, std::string_view text);

/// A heartbeat for the check that `text` names, as find_check reads it.
Control::Done report_check(Control& control, std::string_view text, CheckHealth health,
                           std::string note);

/// A program may register over the API what it serves and how that is probed, but may not point
/// the agent at files, other sockets or other hosts. Returns a sentence if the description does.
std::optional<std::string> forbidden_over_api(const registry::ServiceSpec& spec);
std::optional<std::string> forbidden_over_api(const registry::CheckSpec& check);
/// Whether a client means this host: Spring and Steeltoe register the host's name where other
/// clients register an address.
bool is_own_name(std::string_view name, const registry::HostView& host);
/// The addresses of this host, as far as the agent and the system know them.
std::vector<IpAddress> addresses_of_host(const registry::HostView& host, Network& network);
/// A sentence if its FARP documents, which are fetched from the addresses of the registration,
/// would come from another host.
std::optional<std::string> forbidden_farp(const registry::ServiceSpec& spec,
                                          std::span<const IpAddress> own);

}  // namespace outrider::doors
