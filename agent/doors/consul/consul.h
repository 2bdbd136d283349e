// SPDX-License-Identifier: Apache-2.0
// Consul's agent API on top of the registry, so that programs with a Consul client register here
// and find each other without Consul.
//
// clang-format off
//   decode.cc   bodies of register calls ▸ ServiceSpec, CheckSpec; keys in any case, as in Consul
//   encode.cc   Instance ▸ catalog, agent and health entries
//   filter/     ?filter= expressions, over the rows that an endpoint answers with
//   blocking.cc parameters of queries, index headers
//   agent.cc    /v1/agent/* for services and checks
//   about.cc    /v1/agent/* for the agent itself, /v1/status/*
//   catalog.cc  /v1/catalog/*, /v1/health/* for services, with blocking queries
//   nodes.cc    the same for hosts
//   absent.cc   what the agent does not have: 501
// clang-format on
//
// Tagged addresses exist only in Consul. They travel in metadata under "tagged.NAME", so that they
// reach the agents of other hosts too; Meta does not show these keys.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/doors/api.h"
#include "agent/doors/consul/filter/filter.h"

namespace outrider::doors::consul {

inline constexpr std::string_view kTaggedPrefix = "tagged.";

// --- decoding requests ------------------------------------------------------------------------

/// An error is a sentence for a 400.
Result<registry::ServiceSpec, std::string> decode_service(const json::Value& body,
                                                          const registry::HostView& host);

struct CheckRequest {
  std::string instance_id;  // ServiceID; kNodeId for a check without
  registry::CheckSpec check;
};
Result<CheckRequest, std::string> decode_check(const json::Value& body,
                                               const registry::HostView& host);

/// "10s", "1m0s", "1.5h", as Go prints them; a number is nanoseconds.
std::optional<Duration> parse_go_duration(std::string_view text);
/// A member of an object, in any case, with or without underscores; of several, the last one.
const json::Value* member(const json::Value& object, std::string_view lower_name);

// --- encoding answers -------------------------------------------------------------------------

/// The worst of the checks as Consul names it: starting is critical, draining is maintenance.
const char* status_of(const registry::Instance& instance);
const char* status_of(CheckHealth health);
/// The first address of this host, as clients of Consul are shown it.
std::string own_address(const registry::HostView& host);
std::vector<std::string> tags_of(const registry::Instance& instance);
registry::Metadata meta_of(const registry::Instance& instance);

/// The "Service" object of agent and health answers.
void encode_service(json::Writer& out, const registry::Instance& instance,
                    const registry::HostView& host);
/// The flattened object of /v1/catalog/service.
void encode_catalog_service(json::Writer& out, const registry::Instance& instance,
                            const registry::HostView& host, std::string_view datacenter);
void encode_node(json::Writer& out, std::string_view name, std::string_view address,
                 std::string_view datacenter);
/// The body of /v1/agent/service, with a hash by which a client notices that it has changed.
struct HashedService {
  std::string body, hash;
};
HashedService encode_hashed_service(const registry::Instance& instance,
                                    const registry::HostView& host, std::string_view datacenter);

/// A check as Consul lists it.
struct CheckEntry {
  std::string id, name = {}, notes = {}, output = {}, type = {};
  const char* status = "passing";
  std::string interval = {}, timeout = {};
};
/// All checks of an instance, the same for every endpoint: its own, one that represents the health
/// of a sighting whose host tells less than that, and one for maintenance.
std::vector<CheckEntry> checks_of(const registry::Instance& instance);
/// Those of this host as a whole, which is kNodeId in the registry.
std::vector<CheckEntry> node_checks_of(const registry::Instance& node);
/// `instance` is the node for a check of the node.
void encode_check(json::Writer& out, const CheckEntry& check, const registry::Instance& instance,
                  const registry::HostView& host);
/// The array of checks that decide about an instance: for registrations those of `node` too.
void encode_checks(json::Writer& out, const registry::Instance& instance,
                   const registry::Instance& node, const registry::HostView& host);

// --- shared by the files of the routes --------------------------------------------------------

/// ?filter= of a request, for such rows. Answers 400 and returns nothing if it is malformed.
std::optional<Filter> parse_filter_of(http::Call& call, Rows rows);
/// Whether ?node-meta= narrows to hosts with metadata. No host here has any.
bool asks_for_node_meta(const http::Target& target);

/// Writes a row of an array, or of an object with `key`, if the filter wants it.
template <class Encode>
void write_row(json::Writer& out, const Filter& filter, std::string_view key, Encode encode) {
  if (filter.all()) {
    if (!key.empty()) out.key(key);
    return encode(out);
  }
  std::string row;
  json::Writer writer(row);
  encode(writer);
  if (!filter.wants(row)) return;
  if (!key.empty()) out.key(key);
  out.written(row);
}
template <class Encode>
void write_row(json::Writer& out, const Filter& filter, Encode encode) {
  write_row(out, filter, {}, encode);
}

/// An error as plain text, as Consul sends it.
http::Answer text_error(int status, std::string_view why);
/// As Go's strconv.ParseBool reads it.
std::optional<bool> parse_go_bool(std::string_view text);
/// A flag of the query: set without a value, or with one that parse_go_bool takes. The error is a
/// sentence.
Result<bool, std::string> parse_flag(const http::Target& target, std::string_view key);
/// How long a blocking query waits, with jitter: ?wait=, or the default if absent or 0.
Result<Duration, std::string> parse_wait(Api& api, const http::Target& target);
/// The parameters of a blocking query on one service, or on everything ("").
Result<Api::Until, std::string> parse_blocking(Api& api, const http::ServerRequest& request,
                                               std::string service_label);
/// 400 for parameters that the route does not have, and for those that ask for another datacenter,
/// namespace or partition: an answer would be another one than the one wanted. For Router::add.
std::optional<http::Answer> refuse_parameters(Api& api, const http::ServerRequest& request,
                                              const Route& route);
/// Adds X-Consul-Index and its companions.
http::Answer with_index(Api& api, std::string_view service_label, std::string body);

/// Answers a question about everything; `body` makes the body when the query is answered, and
/// `nothing` is the body for a client that asks for hosts with metadata.
template <class Body>
void answer_for_everything(Api& api, http::Call call, Rows rows, std::string_view nothing,
                           Body body) {
  auto until = parse_blocking(api, call.request, {});
  if (!until) return call.exchange.answer(text_error(400, until.error()));
  auto filter = parse_filter_of(call, rows);
  if (!filter) return;
  const bool none = asks_for_node_meta(call.request.target);
  api.answer_when(std::move(*until), std::move(call.exchange),
                  [&api, none, nothing, filter = std::move(*filter), body = std::move(body)] {
                    return with_index(api, {}, none ? std::string(nothing) : body(api, filter));
                  });
}

/// Instances of all services.
std::vector<registry::InstancePtr> all_instances(const registry::Registry& registry);
/// This host in the registry, which holds its checks and maintenance.
registry::InstancePtr node_in(const registry::Registry& registry);

/// 501 for the parts of Consul that the agent does not have: key-value store, sessions, and so on.
/// It has an index, so that no client takes the answer for a malformed one.
std::optional<http::Answer> refuse_unsupported(Api& api, std::string_view path);

/// In rows of routes.
inline constexpr std::string_view kNoBody, kNoForm;

/// The parameters of a list that is about everything.
inline constexpr http::Parameter kBlocking[] = {
    {"filter", "only entries that match this expression"},
    {"node-meta", "KEY:VALUE: only hosts with this metadata, of which there are none",
     http::ParameterForm::list},
    {"index", "wait until X-Consul-Index differs from this"},
};

/// The parameters of every route. Clients send them from their settings, whatever they ask for.
inline constexpr http::Parameter kCommonParameters[] = {
    {"dc", "the datacenter; of catalog and health, any but the agent's is an error"},
    {"ns", "the namespace; any but default is an error"},
    {"partition", "the partition; any but default is an error"},
    {"near", "_agent: the nearest instances first, where instances are listed"},
    {"wait", "how long a query with index or hash waits at most, such as 30s; default: 5m"},
    {"stale", "changes nothing: the agent answers by itself"},
    {"consistent", "the same"},
    {"cached", "the same"},
    {"merge-central-config", "changes nothing: there is none"},
    {"pretty", "changes nothing"},
};

}  // namespace outrider::doors::consul
