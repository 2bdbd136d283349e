// SPDX-License-Identifier: Apache-2.0
// The routes of the agent's own API: /v1/outrider/*, /metrics, /healthz, /openapi.json.
#include "agent/doors/outrider/handlers.h"

namespace outrider::doors {
namespace {

using http::Effect;
using http::Parameter;

constexpr auto kFlag = http::ParameterForm::flag;
constexpr auto kList = http::ParameterForm::list;
constexpr auto kNone = http::kNoParameters;
constexpr std::string_view kNoBody;

constexpr Parameter kSearch[] = {
    {"prefix", "only services whose name begins with this text"},
    {"name", "only this service"},
    {"service", "the same as name"},
    {"version", "only instances of this version"},
    {"tag", "only instances with this tag; if repeated, with all of them", kList},
    {"metadata", "KEY=VALUE; only instances with this metadata; if repeated, with all of it",
     kList},
    {"healthy", "only passing and warning instances that have an address", kFlag},
    {"passing", "only passing instances that have an address", kFlag},
};
constexpr Parameter kSelection[] = {
    {"strategy", "round_robin, random, weighted, least_connections, p2c or consistent_hash"},
    {"key", "what consistent_hash hashes, such as a user's id"},
    {"version", "only instances of this version"},
    {"tag", "only instances with this tag; if repeated, with all of them", kList},
    {"metadata", "KEY=VALUE; only instances with this metadata; if repeated, with all of it",
     kList},
    {"passing", "only passing instances that have an address", kFlag},
};
constexpr Parameter kTargets[] = {
    {"all", "unhealthy instances too", kFlag},
    {"prefix", "only services whose name begins with this text"},
    {"name", "only this service"},
    {"service", "the same as name"},
    {"version", "only instances of this version"},
    {"tag", "only instances with this tag; if repeated, with all of them", kList},
    {"metadata", "KEY=VALUE; only instances with this metadata; if repeated, with all of it",
     kList},
    {"passing", "only passing instances that have an address", kFlag},
};
constexpr Parameter kWatch[] = {
    {"name", "only this service"},
    {"source", "own: only registrations of this agent"},
    {"since", "the revision to resume from, as the header Last-Event-ID"},
    {"list", "each event is the whole list of instances, narrowed by what follows", kFlag},
    {"version", "only instances of this version"},
    {"tag", "only instances with this tag; if repeated, with all of them", kList},
    {"metadata", "KEY=VALUE; only instances with this metadata; if repeated, with all of it",
     kList},
    {"healthy", "only passing and warning instances that have an address", kFlag},
    {"passing", "only passing instances that have an address", kFlag},
};
constexpr Parameter kMoment[] = {
    {"at", "the moment to explain: a time of RFC 3339, or how long ago (5m); default: now"},
};
constexpr Parameter kEvents[] = {
    {"last", "maximum number of events (the latest); default: 100"},
};
constexpr Parameter kPage[] = {
    {"service", "the service that the status page opens"},
};
constexpr Parameter kQr[] = {
    {"text", "what the code says, such as a URL; at most 300 bytes"},
};
constexpr Parameter kManifest[] = {
    {"id", "the instance; default: the only one with FARP"},
};
constexpr Parameter kGateway[] = {
    {"gateway", "the kind of gateway that reads the routes; default: bastion"},
};
constexpr Parameter kNote[] = {
    {"note", "the output of the check, for people"},
};
constexpr Parameter kMaintenance[] = {
    {"enable", "true or false; required", kFlag},
    {"reason", "why, for people"},
};
constexpr Parameter kDrain[] = {
    {"enable", "false takes the instance back into service; default: true", kFlag},
};

constexpr Route kRoutes[] = {
    {"GET", "/", show_index, Effect::reads,
     "Show the status page to a browser (Accept: text/html), and describe the API to programs; "
     "/NAME shows that service: a page, or text (curl) or JSON to programs",
     kPage, kNoBody, "Index"},
    {"GET", "/openapi.json", show_openapi, Effect::reads,
     "Describe this API for programs, in OpenAPI 3.0", kNone, kNoBody, "Document"},
    {"GET", "/healthz", show_liveness, Effect::reads, "Check that the agent is alive", kNone,
     kNoBody, "text/plain"},
    {"GET", "/metrics", show_metrics, Effect::reads, "Show metrics in Prometheus' text format",
     kNone, kNoBody, "text/plain"},
    {"GET", "/v1/outrider/status", show_status, Effect::reads, "Show the agent's status", kNone,
     kNoBody, "Status"},
    {"GET", "/v1/outrider/registries", show_registries, Effect::reads,
     "Show the registries beyond the local network", kNone, kNoBody, "Registries"},
    {"GET", "/v1/outrider/services", list_services, Effect::reads,
     "List services with counts of their instances", kSearch, kNoBody, "Services"},
    {"GET", "/v1/outrider/instances", list_instances, Effect::reads, "List instances", kSearch,
     kNoBody, "Instances"},
    {"GET", "/v1/outrider/instances/{service}", list_instances, Effect::reads,
     "List the instances of a service", kSearch, kNoBody, "Instances"},
    {"GET", "/v1/outrider/checks", list_checks, Effect::reads,
     "List the checks of this agent's registrations", kNone, kNoBody, "Checks"},
    {"GET", "/v1/outrider/probes/{id}", show_probes, Effect::reads,
     "Show what the last 60 probes of each check of an instance saw", kNone, kNoBody, "Probes"},
    {"GET", "/v1/outrider/activity", list_activity, Effect::reads,
     "List how often DNS was asked for each service, and how long its probes take", kNone, kNoBody,
     "Activity"},
    {"GET", "/v1/outrider/qr", show_qr, Effect::reads, "Show a text as a QR code", kQr, kNoBody,
     "image/svg+xml"},
    {"GET", "/v1/outrider/select/{service}", select_instance, Effect::reads,
     "Select one healthy instance of a service", kSelection, kNoBody, "Selection"},
    {"GET", "/v1/outrider/why/{name}", explain_name, Effect::reads,
     "Explain what DNS answers for a name, or answered in the past, instance by instance", kMoment,
     kNoBody, "Explanation"},
    {"GET", "/v1/outrider/history", list_history, Effect::reads,
     "List recent changes of all services, and what DNS answered because of them", kEvents, kNoBody,
     "History"},
    {"GET", "/v1/outrider/history/{name}", list_history, Effect::reads,
     "List recent changes of a name, and what DNS answered because of them", kEvents, kNoBody,
     "History"},
    {"GET", "/v1/outrider/farp/manifest", show_farp_manifest, Effect::reads,
     "Show the FARP manifest of an instance", kManifest, kNoBody, "Document"},
    {"GET", "/v1/outrider/farp/services", list_farp_services, Effect::reads,
     "List services that announce FARP", kNone, kNoBody, "Document"},
    {"GET", "/v1/outrider/farp/routes", list_farp_routes, Effect::reads,
     "List the routes that a gateway makes from FARP", kGateway, kNoBody, "Document"},
    {"GET", "/v1/outrider/http_sd", list_scrape_targets, Effect::reads,
     "List targets for Prometheus' HTTP service discovery", kTargets, kNoBody, "Targets"},
    {"GET", "/v1/outrider/watch", watch_services, Effect::reads,
     "Stream changes as server-sent events", kWatch, kNoBody, "text/event-stream"},
    {"GET", "/v1/outrider/watch/{service}", watch_services, Effect::reads,
     "Stream changes of a service as server-sent events", kWatch, kNoBody, "text/event-stream"},

    {"PUT", "/v1/outrider/register", register_services, Effect::changes,
     "Register a service, or several", kNone,
     "a service in the form of the configuration, or {\"services\": [...]} with several",
     "Registered", "Registration"},
    {"PUT", "/v1/outrider/deregister/{id}", deregister_instance, Effect::changes,
     "Deregister an instance", kNone, kNoBody, "Done"},
    {"PUT", "/v1/outrider/check/pass/{check}", pass_check, Effect::changes,
     "Report a heartbeat check as passing", kNote, kNoBody, "Done"},
    {"PUT", "/v1/outrider/check/warn/{check}", warn_check, Effect::changes,
     "Report a heartbeat check as warning", kNote, kNoBody, "Done"},
    {"PUT", "/v1/outrider/check/fail/{check}", fail_check, Effect::changes,
     "Report a heartbeat check as critical", kNote, kNoBody, "Done"},
    {"PUT", "/v1/outrider/probe/{id}", probe_now, Effect::changes,
     "Probe all checks of an instance now", kNone, kNoBody, "Probed"},
    {"PUT", "/v1/outrider/maintenance/{id}", set_maintenance, Effect::changes,
     "Put an instance into maintenance, or back into service", kMaintenance, kNoBody, "Done"},
    {"PUT", "/v1/outrider/drain", drain_all, Effect::changes,
     "Drain every registration of this agent", kNone, kNoBody, "Done"},
    {"PUT", "/v1/outrider/drain/{id}", drain_instance, Effect::changes,
     "Drain an instance, or take it back into service", kDrain, kNoBody, "Done"},
};

}  // namespace

void add_outrider_routes(Api& api) {
  api.router().add(kRoutes, http::refuse_other_parameters);
}

}  // namespace outrider::doors
