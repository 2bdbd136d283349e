// SPDX-License-Identifier: Apache-2.0
// What Consul has and the agent does not. Clients ask for some of it whether they need it or not;
// an error with a status makes them wait before they ask again, where an empty answer makes their
// watches ask without end.
#include <algorithm>

#include "agent/doors/consul/consul.h"

namespace outrider::doors::consul {
namespace {

struct Absent {
  std::string_view path;  // with everything below it
  std::string_view what;
};

constexpr Absent kAbsent[] = {
    {"/v1/kv", "The key-value store is"},
    {"/v1/session", "Sessions are"},
    {"/v1/event", "Events are"},
    {"/v1/txn", "Transactions are"},
    {"/v1/query", "Prepared queries are"},
    {"/v1/acl", "ACLs are"},
    {"/v1/coordinate", "Network coordinates are"},
    {"/v1/operator", "Operator commands are"},
    {"/v1/connect", "Connect is"},
    {"/v1/agent/connect", "Connect is"},
    {"/v1/catalog/connect", "Connect is"},
    {"/v1/health/connect", "Connect is"},
    {"/v1/health/ingress", "Connect is"},
    {"/v1/catalog/gateway-services", "Connect is"},
    {"/v1/discovery-chain", "Connect is"},
    {"/v1/exported-services", "Peering is"},
    {"/v1/imported-services", "Peering is"},
    {"/v1/peering", "Peering is"},
    {"/v1/peerings", "Peering is"},
    {"/v1/config", "Configuration entries are"},
    {"/v1/snapshot", "Snapshots are"},
    {"/v1/internal", "Consul's own user interface is"},
    {"/v1/namespace", "Namespaces are"},
    {"/v1/namespaces", "Namespaces are"},
    {"/v1/partition", "Partitions are"},
    {"/v1/partitions", "Partitions are"},
    {"/v1/agent/token", "ACLs are"},
    {"/v1/agent/join", "A cluster of agents is"},
    {"/v1/agent/leave", "A cluster of agents is"},
    {"/v1/agent/force-leave", "A cluster of agents is"},
    {"/v1/agent/reload", "Reloading over the API is"},
    {"/v1/agent/monitor", "Streaming the log is"},
    {"/v1/catalog/register", "Writing to the catalog is"},
    {"/v1/catalog/deregister", "Writing to the catalog is"},
};

}  // namespace

std::optional<http::Answer> refuse_unsupported(Api& api, std::string_view path) {
  if (!path.starts_with("/v1/")) return std::nullopt;
  const auto found = std::ranges::find_if(kAbsent, [&](const Absent& absent) {
    if (!path.starts_with(absent.path)) return false;
    return path.size() == absent.path.size() || path[absent.path.size()] == '/';
  });
  if (found == std::end(kAbsent)) return std::nullopt;
  http::Answer answer = with_index(api, {}, {});
  answer.status = 501;
  answer.content_type = "text/plain; charset=utf-8";
  answer.body = std::string(found->what) +
                " not supported: this is an Outrider agent, which has Consul's API for services "
                "and health checks only. Register with /v1/agent/service/register, find with "
                "/v1/health/service/NAME.\n";
  return answer;
}

}  // namespace outrider::doors::consul
