// SPDX-License-Identifier: Apache-2.0
// Consul's agent API on top of the registry, so that programs with a Consul client register here
// and find each other without Consul.
//
// clang-format off
//   decode.cc   bodies of register calls ▸ ServiceSpec, CheckSpec; keys in any case, as in Consul
//   encode.cc   Instance ▸ catalog, agent and health entries
//   filter/     ?filter= expressions, over the rows that an endpoint answers with
//   agent.cc    /v1/agent/*
//   catalog.cc  /v1/catalog/*, /v1/health/*, /v1/status/* with blocking queries
// clang-format on
//
// Tagged addresses exist only in Consul. They travel in metadata under "tagged.NAME", so that they
// reach the agents of other hosts too; Meta does not show these keys.
#pragma once

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
Result<registry::ServiceSpec, std::string> decode_service(const json::Value& body);

struct CheckRequest {
  std::string instance_id;  // ServiceID; empty: a check of the node, which we do not support
  registry::CheckSpec check;
};
Result<CheckRequest, std::string> decode_check(const json::Value& body);

/// "10s", "1m0s", "1.5h", as Go prints them; a number is nanoseconds.
std::optional<Duration> parse_go_duration(std::string_view text);
/// A member of an object, in any case, with or without underscores.
const json::Value* member(const json::Value& object, std::string_view lower_name);

// --- encoding answers -------------------------------------------------------------------------

/// The worst of the checks as Consul names it: starting is critical, draining is maintenance.
const char* status_of(const registry::Instance& instance);
const char* status_of(CheckHealth health);
/// The preferred address; "" if none can be reached.
std::string address_of(const registry::Instance& instance, const registry::HostView& host);
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
/// The checks, and one that stands for maintenance, or for the health of an instance without any.
void encode_checks(json::Writer& out, const registry::Instance& instance,
                   const registry::HostView& host);
void encode_check(json::Writer& out, const registry::Instance& instance,
                  const registry::CheckState& check, const registry::HostView& host);

// --- shared by agent.cc and catalog.cc --------------------------------------------------------

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
/// The parameters of a blocking query on one service, or on everything ("").
Result<Api::Until, std::string> parse_blocking(Api& api, const http::ServerRequest& request,
                                               std::string service_label);
/// Adds X-Consul-Index and its companions.
http::Answer with_index(Api& api, std::string_view service_label, std::string body);

}  // namespace outrider::doors::consul
