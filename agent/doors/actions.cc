// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/actions.h"

#include <algorithm>

#include "base/json_repeated.h"
#include "base/reach.h"
#include "base/text.h"

namespace outrider::doors {
namespace {

using registry::CheckSpec;
using registry::InstancePtr;
using registry::RegistryError;

bool is_ttl(const CheckSpec& check) {
  return std::holds_alternative<TtlCheck>(check.kind);
}

/// "http", "http-2": the ids of checks that were given none.
bool has_automatic_id(const CheckSpec& check) {
  const std::string_view base = facts_of(check.kind).name;
  if (!check.id.starts_with(base)) return false;
  const std::string_view rest = std::string_view(check.id).substr(base.size());
  return rest.empty() || (rest.size() > 1 && rest.front() == '-' &&
                          rest.find_first_not_of("0123456789", 1) == std::string_view::npos);
}

std::optional<CheckAddress> only_ttl_check(const registry::Registry& registry,
                                           std::string_view instance_id) {
  const InstancePtr instance = registry.find_own(instance_id);
  if (instance == nullptr) return std::nullopt;
  std::optional<CheckAddress> found;
  for (const registry::CheckState& check : instance->checks) {
    if (!is_ttl(check.spec)) continue;
    if (found) return std::nullopt;
    found = CheckAddress{instance->id.text(), check.spec.id};
  }
  return found;
}

/// Null if there is none. Valid until the registration changes.
const registry::CheckState* check_of(const registry::Registry& registry, std::string_view id,
                                     std::string_view check_id) {
  const InstancePtr instance = registry.find_own(id);
  if (instance == nullptr) return nullptr;
  for (const registry::CheckState& check : instance->checks)
    if (check.spec.id == check_id) return &check;
  return nullptr;
}

}  // namespace

Result<json::Value, std::string> parse_body(const http::ServerRequest& request,
                                            RepeatedKeys repeated) {
  if (request.body.find_first_not_of(" \t\r\n") == std::string::npos)
    return failure(std::string("the body is empty; expected a JSON object"));
  auto value = repeated == RepeatedKeys::refused
                   ? json::parse(request.body, json::kBodyBytesMax)
                   : json::parse_repeated(request.body, json::kBodyBytesMax);
  if (value) return std::move(*value);
  const json::ParseError& error = value.error();
  std::string where;
  if (error.line > 0)
    where =
        "line " + std::to_string(error.line) + ", column " + std::to_string(error.column) + ": ";
  else if (!error.path.empty())
    where = error.path + ": ";
  return failure("malformed JSON body: " + where + error.message);
}

int status_of(RegistryError error) {
  switch (error) {
    case RegistryError::unknown_instance:
    case RegistryError::unknown_check:
      return 404;
    case RegistryError::too_many:
      return 503;
    case RegistryError::duplicate_id:
      return 409;
    case RegistryError::not_ttl:
    case RegistryError::alias_ring:
    case RegistryError::too_large:
      return 400;
  }
  OUTRIDER_UNREACHABLE();
}

http::Answer refused(RegistryError error, std::string_view path) {
  const std::string where = path.empty() ? std::string() : std::string(path) + ": ";
  return http::error_answer(status_of(error), where + registry::to_string(error));
}

std::string check_key(std::string_view instance_id, const CheckSpec& check) {
  if (!has_automatic_id(check)) return check.id;
  return "service:" + std::string(instance_id) + ':' + check.id;
}

std::optional<CheckAddress> find_check(const registry::Registry& registry, std::string_view text) {
  constexpr std::string_view kService = "service:";
  if (text.starts_with(kService)) {
    // The heartbeat of most clients: look at one instance instead of all.
    const std::string_view rest = text.substr(kService.size());
    if (check_of(registry, rest, text) != nullptr)
      return CheckAddress{std::string(rest), std::string(text)};
    if (auto only = only_ttl_check(registry, rest)) return only;
    const std::size_t colon = rest.rfind(':');
    const std::string_view id = rest.substr(0, colon);
    const std::string_view check_id = colon == rest.npos ? "" : rest.substr(colon + 1);
    const registry::CheckState* check = check_of(registry, id, check_id);
    if (check != nullptr && has_automatic_id(check->spec))
      return CheckAddress{std::string(id), std::string(check_id)};
  }
  // An id that was given is a key by itself; an automatic one ("ttl") only if one instance has it.
  const std::vector<std::string> ids = registry.with_check(text, 2);
  if (!ids.empty()) {
    const registry::CheckState* check = check_of(registry, ids.front(), text);
    if (ids.size() == 1 || !has_automatic_id(check->spec))
      return CheckAddress{ids.front(), std::string(text)};
  }
  if (const std::size_t slash = text.rfind('/'); slash != std::string_view::npos) {
    const CheckAddress address{std::string(text.substr(0, slash)),
                               std::string(text.substr(slash + 1))};
    if (check_of(registry, address.instance_id, address.check_id) != nullptr) return address;
  }
  return only_ttl_check(registry, text);
}

Control::Done report_check(Control& control, std::string_view text, CheckHealth health,
                           std::string note) {
  const auto address = find_check(control.registry(), text);
  if (!address) return failure(RegistryError::unknown_check);
  return control.renew(address->instance_id, address->check_id, health, std::move(note));
}

std::optional<std::string> forbidden_over_api(const CheckSpec& check) {
  const std::string where = "check \"" + check.id + "\": ";
  if (check.allow_remote) return where + "allow_remote is accepted in the configuration file only";
  const auto* http = std::get_if<registry::HttpCheckSpec>(&check.kind);
  if (http != nullptr && !http->unix_socket.empty())
    return where + "unix_socket is accepted in the configuration file only";
  const TlsOptions* tls = tls_of(check.kind);
  if (tls != nullptr && tls->names_files())
    return where + "TLS files are accepted in the configuration file only";
  return std::nullopt;
}

std::optional<std::string> forbidden_over_api(const registry::ServiceSpec& spec) {
  if (spec.id && spec.id->text() == registry::kNodeId)
    return "id: \"" + spec.id->text() +
           "\" is reserved for the host as a whole; choose another one";
  for (const CheckSpec& check : spec.checks)
    if (auto why = forbidden_over_api(check)) return why;
  return std::nullopt;
}

bool is_own_name(std::string_view name, const registry::HostView& host) {
  if (name.ends_with('.')) name.remove_suffix(1);
  const std::string_view full = host.name;
  for (const std::string& known :
       {host.name, std::string(full.substr(0, full.find('.'))), host.node, host.name + ".local"})
    if (!known.empty() && equal_fold(name, known)) return true;
  return false;
}

std::vector<IpAddress> addresses_of_host(const registry::HostView& host, Network& network) {
  std::vector<IpAddress> own = own_addresses(network.interfaces());
  own.insert(own.end(), host.addresses.begin(), host.addresses.end());
  for (const Prefix& prefix : host.subnets)
    own.push_back(prefix.address);
  return own;
}

std::optional<std::string> forbidden_farp(const registry::ServiceSpec& spec,
                                          std::span<const IpAddress> own) {
  if (!spec.farp->enabled) return std::nullopt;
  for (const IpAddress& address : spec.addresses) {
    const Endpoint target{address, std::max<std::uint16_t>(spec.port, 1)};
    if (const auto allowed = check_reach(target, own, Reach::this_host); !allowed)
      return "farp: " + address.to_string() + ": " + explain(allowed.error());
  }
  return std::nullopt;
}

}  // namespace outrider::doors
