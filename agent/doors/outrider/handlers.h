// SPDX-License-Identifier: Apache-2.0
// The agent's own API. routes.cc is its table of contents; the functions below answer one route
// each.
//
// clang-format off
//   services.cc    what is known, and registering, withdrawing and draining
//   selection.cc   one instance for a client, targets for Prometheus
//   checks.cc      checks of this agent's registrations, and heartbeats
//   watch.cc       the stream of changes
//   document.cc    what this API is, for people and programs; schemas.h has the forms of answers
//   farp.cc        FARP manifests and gateways' routes
//   status.cc      the agent itself: status, metrics, liveness, why
//   probes.cc      what is seen over time: outcomes of probes, questions to DNS
//   history.cc     what happened, and why at a moment of the past
// clang-format on
#pragma once

#include <optional>

#include "agent/doors/api.h"
#include "agent/doors/instance_json.h"
#include "agent/doors/why.h"

namespace outrider::doors {

/// The search in the query, for the service that the path names, if it names one. Answers 400 and
/// returns nothing if the search is malformed.
std::optional<Search> parse_search(Api& api, http::Call& call);
/// "{}", or the error with its status, for a request about the registration with this id.
void answer_done(const Control::Done& done, std::string_view id, http::Exchange exchange);

// services.cc
void list_services(Api& api, http::Call call);
void list_instances(Api& api, http::Call call);
void register_services(Api& api, http::Call call);
void deregister_instance(Api& api, http::Call call);
void set_maintenance(Api& api, http::Call call);
void drain_instance(Api& api, http::Call call);
void drain_all(Api& api, http::Call call);

// selection.cc
void select_instance(Api& api, http::Call call);
void list_scrape_targets(Api& api, http::Call call);

// checks.cc
void list_checks(Api& api, http::Call call);
void pass_check(Api& api, http::Call call);
void warn_check(Api& api, http::Call call);
void fail_check(Api& api, http::Call call);

// watch.cc
void watch_services(Api& api, http::Call call);

// farp.cc
void show_farp_manifest(Api& api, http::Call call);
void list_farp_services(Api& api, http::Call call);
void list_farp_routes(Api& api, http::Call call);

// status.cc
void show_liveness(Api& api, http::Call call);
void show_metrics(Api& api, http::Call call);
void show_status(Api& api, http::Call call);
void show_registries(Api& api, http::Call call);
void explain_name(Api& api, http::Call call);
/// At once, or in turns if there are many instances.
void answer_explanation(Api& api, http::Exchange exchange, Explaining explaining);

// document.cc
/// OpenAPI 3.0.
std::string openapi_document(const std::vector<http::Router<Api>::Table>& tables);
void show_index(Api& api, http::Call call);
void show_openapi(Api& api, http::Call call);
void show_qr(Api& api, http::Call call);

// probes.cc
void show_probes(Api& api, http::Call call);
void probe_now(Api& api, http::Call call);
void list_activity(Api& api, http::Call call);

// history.cc
/// Events of one answer: the default and the maximum of ?last=, and how many are written in one
/// loop iteration.
inline constexpr std::size_t kEventsDefault = 100;
inline constexpr std::size_t kEventsMax = 1'000;
inline constexpr std::size_t kEventsAtOnce = 8;
void list_history(Api& api, http::Call call);
void explain_past(Api& api, http::Call call);

}  // namespace outrider::doors
