// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/outrider/schemas.h"

namespace outrider::doors {
namespace {

constexpr std::string_view kError = R"({
  "type": "object", "required": ["error"],
  "properties": {"error": {"type": "string", "description": "what is wrong, and what to do"}}
})";
constexpr std::string_view kDone = R"({
  "type": "object",
  "properties": {
    "note": {"type": "string", "description": "what the caller may not expect of the change"}
  }
})";
constexpr std::string_view kDocument = R"({"type": "object"})";
constexpr std::string_view kIndex = R"({
  "type": "object", "required": ["name", "version", "description", "openapi", "manual"],
  "properties": {
    "name": {"type": "string"},
    "version": {"type": "string"},
    "description": {"type": "string"},
    "openapi": {"type": "string", "description": "path of this document"},
    "manual": {"type": "string"},
    "status": {"type": "string", "description": "path of the agent's status"},
    "services": {"type": "string", "description": "path of the known services"}
  }
})";
constexpr std::string_view kStatus = R"({
  "type": "object", "required": ["registry", "api"], "additionalProperties": true,
  "properties": {
    "registry": {"type": "object", "required": ["services", "instances", "registrations"],
      "properties": {
        "services": {"type": "integer"}, "instances": {"type": "integer"},
        "registrations": {"type": "integer", "description": "of this agent"}}},
    "api": {"type": "object", "required": ["waiting", "watching"],
      "properties": {
        "waiting": {"type": "integer", "description": "blocking queries"},
        "watching": {"type": "integer", "description": "streams of changes"}}}
  }
})";
constexpr std::string_view kHealth = R"({
  "type": "string",
  "enum": ["starting", "passing", "warning", "critical", "draining", "maintenance"]
})";
constexpr std::string_view kServices = R"({
  "type": "object", "required": ["revision", "services"],
  "properties": {
    "revision": {"type": "integer"},
    "services": {"type": "array", "items": {
      "type": "object",
      "required": ["name", "label", "instances", "served", "this_host", "tags"],
      "properties": {
        "name": {"type": "string"},
        "label": {"type": "string", "description": "its name in DNS"},
        "instances": {"type": "integer"},
        "served": {"type": "integer", "description": "instances that are passing or warning"},
        "this_host": {"type": "integer", "description": "instances on this host"},
        "dropped": {"type": "integer",
          "description": "registrations that are critical for too long to be instances"},
        "tags": {"type": "array", "items": {"type": "string"}}
      }}}
  }
})";
constexpr std::string_view kInstances = R"({
  "type": "object", "required": ["revision", "instances"],
  "properties": {
    "revision": {"type": "integer"},
    "instances": {"type": "array", "items": {"$ref": "#/components/schemas/Instance"}}
  }
})";
constexpr std::string_view kInstance = R"({
  "type": "object",
  "required": ["id", "service", "version", "health", "served", "addresses", "port", "protocol",
    "tags", "metadata", "weight", "scope", "source", "this_host", "stale", "shadowed", "seen_at",
    "checks", "registered", "changed", "revision"],
  "properties": {
    "id": {"type": "string"},
    "service": {"type": "string"},
    "version": {"type": "string"},
    "health": {"$ref": "#/components/schemas/Health"},
    "served": {"type": "boolean", "description": "whether DNS may answer with it"},
    "addresses": {"type": "array", "items": {"type": "string"}},
    "port": {"type": "integer"},
    "protocol": {"type": "string"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "subtypes": {"type": "array", "items": {"type": "string"}},
    "farp": {"type": "object", "description": "if it has FARP documents for gateways",
      "properties": {
        "manifest": {"type": "string", "description": "its URL; of this agent's: farp/manifest"},
        "openapi": {"type": "string", "description": "a path of the service, or a URL"}}},
    "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    "weight": {"type": "integer"},
    "scope": {"type": "string"},
    "source": {"type": "string", "description": "own: registered with this agent"},
    "door": {"type": "string", "description": "through which its program has registered it"},
    "key": {"type": "string", "description": "where that door has it"},
    "lease": {"type": "string", "description": "id of its lease, in hexadecimal"},
    "announced_id": {"type": "string", "description": "if it is shown under another id"},
    "this_host": {"type": "boolean"},
    "stale": {"type": "boolean", "description": "its source does not answer"},
    "shadowed": {"type": "boolean", "description": "a nearer source has the same instance"},
    "limit": {"type": "string", "description": "who cannot reach it"},
    "advice": {"type": "string", "description": "how to change that"},
    "local_name": {"type": "string", "description": "name that leads to its host on the LAN"},
    "maintenance_reason": {"type": "string"},
    "seen_at": {"type": "array", "items": {
      "type": "object", "required": ["engine", "host"],
      "properties": {
        "engine": {"type": "string"}, "host": {"type": "string"},
        "via": {"type": "string", "description": "of a copy: the engine that it is from"},
        "key": {"type": "string", "description": "where the registry keeps it"},
        "endpoint": {"type": "string"},
        "lease": {"type": "string", "description": "its id, in hexadecimal"},
        "lease_left": {"type": "string", "description": "until its end; in explanations"},
        "lease_granted": {"type": "string", "description": "its whole time"},
        "lease_ended": {"type": "boolean"},
        "revision": {"type": "integer"},
        "stale": {"type": "boolean"}, "reason": {"type": "string"},
        "since": {"type": "string", "format": "date-time"},
        "until": {"type": "string", "format": "date-time"}}}},
    "written_to": {"type": "array",
      "description": "of registrations of this agent, where it writes them; not in streams",
      "items": {
      "type": "object", "required": ["engine", "key", "endpoint", "state", "lease", "revision"],
      "properties": {
        "engine": {"type": "string"}, "key": {"type": "string"}, "endpoint": {"type": "string"},
        "state": {"type": "string", "enum": ["waiting", "written", "conflict", "refused"]},
        "holder": {"type": "string", "description": "who has the key, in a conflict"},
        "reason": {"type": "string", "description": "why what is wanted is not written"},
        "lease": {"type": "string", "description": "its id, in hexadecimal"},
        "lease_left": {"type": "string", "description": "of the lease or the check, until its end"},
        "lease_granted": {"type": "string", "description": "its whole time"},
        "lease_ended": {"type": "boolean"},
        "revision": {"type": "integer"}}}},
    "unchecked": {"type": "boolean",
      "description": "true: registered on this host without checks"},
    "checks": {"type": "array", "items": {
      "type": "object", "required": ["id", "name", "kind", "health", "output", "since"],
      "properties": {
        "id": {"type": "string"}, "name": {"type": "string"}, "kind": {"type": "string"},
        "health": {"type": "string"}, "output": {"type": "string"},
        "since": {"type": "string", "format": "date-time"}}}},
    "registered": {"type": "string", "format": "date-time"},
    "changed": {"type": "string", "format": "date-time"},
    "revision": {"type": "integer"}
  }
})";
constexpr std::string_view kChecks = R"({
  "type": "object", "required": ["checks"],
  "properties": {"checks": {"type": "array", "items": {
    "type": "object",
    "required": ["check", "instance", "service", "id", "kind", "health", "output", "since"],
    "properties": {
      "check": {"type": "string", "description": "its name among all checks, for heartbeats"},
      "instance": {"type": "string"}, "service": {"type": "string"}, "id": {"type": "string"},
      "kind": {"type": "string"}, "health": {"type": "string"}, "output": {"type": "string"},
      "since": {"type": "string", "format": "date-time"},
      "interval": {"type": "string", "description": "of checks that probe"}}}}}
})";
constexpr std::string_view kProbes = R"({
  "type": "object", "required": ["instance", "service", "checks"],
  "properties": {
    "instance": {"type": "string"}, "service": {"type": "string"},
    "checks": {"type": "array", "items": {
      "type": "object", "required": ["check", "kind", "outcomes"],
      "properties": {
        "check": {"type": "string"}, "kind": {"type": "string"},
        "median_ms": {"type": "number", "description": "of what its outcomes took"},
        "outcomes": {"type": "array", "description": "newest first", "items": {
          "type": "object", "required": ["at", "kind", "passed", "latency_ms"],
          "properties": {
            "at": {"type": "string", "format": "date-time"},
            "kind": {"type": "string"}, "passed": {"type": "boolean"},
            "latency_ms": {"type": "number"}}}}}}}
  }
})";
constexpr std::string_view kActivity = R"({
  "type": "object", "required": ["at", "started", "services"],
  "properties": {
    "at": {"type": "string", "format": "date-time"},
    "started": {"type": "string", "format": "date-time", "description": "of the agent"},
    "services": {"type": "array", "items": {
      "type": "object", "required": ["label", "queries"],
      "properties": {
        "label": {"type": "string", "description": "its name in DNS"},
        "queries": {"type": "integer", "description": "for this name, up to now"},
        "asked": {"type": "string", "format": "date-time", "description": "the last one"},
        "asked_by": {"type": "string", "description": "address of the client that sent it"},
        "probe_ms": {"type": "number",
          "description": "median of the slowest check of this agent's instances"}}}}
  }
})";
constexpr std::string_view kProbed = R"({
  "type": "object", "required": ["probed"],
  "properties": {"probed": {"type": "array", "items": {"type": "string"},
    "description": "the ids of its checks; heartbeats and aliases are not probed"}}
})";
constexpr std::string_view kSelection = R"({
  "type": "object", "required": ["service", "strategy", "candidates", "endpoint",
    "url", "instance"],
  "properties": {
    "service": {"type": "string"},
    "strategy": {"type": "string"},
    "candidates": {"type": "integer", "description": "instances that it was selected from"},
    "endpoint": {"type": "string", "description": "ADDRESS:PORT"},
    "url": {"type": "string", "description": "PROTOCOL://ADDRESS:PORT"},
    "connections": {"type": "integer"},
    "rtt_ms": {"type": "number"},
    "instance": {"$ref": "#/components/schemas/Instance"}
  }
})";
constexpr std::string_view kTargets = R"({
  "type": "array", "items": {
    "type": "object", "required": ["targets", "labels"],
    "properties": {
      "targets": {"type": "array", "items": {"type": "string"}},
      "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}
})";
constexpr std::string_view kRegistered = R"({
  "type": "object", "required": ["registered"],
  "properties": {"registered": {"type": "array", "items": {"type": "string"},
    "description": "the ids, in the order of the request"}}
})";
constexpr std::string_view kRegistration = R"({
  "oneOf": [
    {"$ref": "#/components/schemas/Service"},
    {"type": "object", "required": ["services"], "additionalProperties": false,
     "properties": {"services": {"type": "array",
       "items": {"$ref": "#/components/schemas/Service"}}}}
  ]
})";
constexpr std::string_view kExplanation = R"({
  "type": "object",
  "required": ["service", "known", "at", "summary", "dns", "listen", "instances"],
  "properties": {
    "service": {"type": "string"},
    "known": {"type": "boolean"},
    "at": {"type": "string", "format": "date-time"},
    "summary": {"type": "string"},
    "dns": {"type": "array", "items": {"type": "object",
      "required": ["name", "answer", "ttl"], "additionalProperties": true,
      "properties": {"name": {"type": "string"}, "answer": {"type": "string"},
        "ttl": {"type": "string"},
        "HTTPS": {"type": "array", "items": {"type": "string"},
          "description": "of services whose protocol is https"}}}},
    "listen": {"type": "array", "items": {"type": "string"}},
    "instances": {"type": "array", "items": {"type": "object",
      "required": ["id", "in_answer", "reason", "place", "instance", "probes", "copies"],
      "properties": {
        "id": {"type": "string"}, "in_answer": {"type": "boolean"},
        "reason": {"type": "string"}, "place": {"type": "string"},
        "expires_in": {"type": "string", "description": "unless it is seen again"},
        "instance": {"$ref": "#/components/schemas/Instance"},
        "probes": {"type": "array", "items": {"type": "object"}},
        "copies": {"type": "array", "items": {
          "type": "object", "required": ["from", "to", "by"],
          "properties": {"from": {"type": "string"}, "to": {"type": "string"},
            "by": {"type": "string", "description": "who copies it, or why no agent does"}}}}}}}
  }
})";
constexpr std::string_view kHistory = R"({
  "type": "object", "required": ["since", "events"],
  "properties": {
    "since": {"type": "string", "format": "date-time"},
    "events": {"type": "array", "items": {"type": "object", "required": ["at", "kind", "reason"],
      "properties": {
        "at": {"type": "string", "format": "date-time"},
        "kind": {"type": "string", "enum": ["added", "changed", "removed", "forgotten", "host"]},
        "reason": {"type": "string"}, "service": {"type": "string"},
        "instance": {"type": "string"}, "source": {"type": "string"},
        "from": {"type": "string"}, "to": {"type": "string"},
        "addresses": {"type": "array", "items": {"type": "string"}},
        "port": {"type": "integer"}, "dns": {"type": "object"}}}}
  }
})";
constexpr std::string_view kSnapshot = R"({
  "type": "object", "required": ["revision", "instances"],
  "description": "the data of the event snapshot, the first one of a stream",
  "properties": {
    "revision": {"type": "integer"}, "agent": {"type": "string"}, "host": {"type": "string"},
    "instances": {"type": "array", "items": {"$ref": "#/components/schemas/Instance"}},
    "dropped": {"type": "array", "items": {"$ref": "#/components/schemas/Instance"},
      "description": "registrations that are critical for too long to be instances"}
  }
})";
constexpr std::string_view kChange = R"({
  "type": "object", "required": ["revision", "changes"],
  "description": "the data of the event change; its id is the revision",
  "properties": {
    "revision": {"type": "integer"},
    "changes": {"type": "array", "items": {"type": "object", "required": ["kind", "instance"],
      "properties": {
        "kind": {"type": "string", "enum": ["added", "changed", "removed"]},
        "dropped": {"type": "boolean",
          "description": "of what is removed: true if its registration stays"},
        "instance": {"$ref": "#/components/schemas/Instance"}}}},
    "ended": {"type": "array", "items": {"$ref": "#/components/schemas/Instance"},
      "description": "registrations that were dropped before, and are deregistered"}
  }
})";

constexpr std::string_view kRegistries = R"({
  "type": "object", "required": ["registries", "exports"],
  "properties": {"registries": {"type": "array", "items": {
    "type": "object",
    "required": ["kind", "publish", "keep", "unavailable", "unusable", "places", "conflicts"],
    "properties": {
      "kind": {"type": "string", "description": "etcd or consul"},
      "publish": {"type": "boolean"},
      "keep": {"type": "string", "description": "how long entries are served without it"},
      "unavailable": {"type": "string", "description": "why it is not used at all"},
      "unusable": {"type": "integer", "description": "entries that are no instance here"},
      "places": {"type": "array", "items": {
        "type": "object",
        "required": ["place", "endpoint", "state", "reason", "since", "last_error", "read",
          "skipped", "written", "lease", "revision", "doubted", "warnings"],
        "properties": {
          "place": {"type": "string"},
          "endpoint": {"type": "string", "description": "the server in use, or tried last"},
          "state": {"type": "string"}, "reason": {"type": "string"},
          "since": {"type": "string", "format": "date-time"},
          "last_error": {"type": "string"},
          "read": {"type": "integer"}, "skipped": {"type": "integer"},
          "written": {"type": "integer"},
          "lease": {"type": "string", "description": "its id, in hexadecimal"},
          "lease_left": {"type": "string", "description": "until its end"},
          "lease_granted": {"type": "string", "description": "its whole time"},
          "revision": {"type": "integer"},
          "doubted": {"type": "boolean", "description": "its last list is not believed yet"},
          "warnings": {"type": "array", "items": {"type": "string"}}}}},
      "conflicts": {"type": "array", "items": {
        "type": "object", "required": ["instance", "key", "holder"],
        "properties": {"instance": {"type": "string"}, "key": {"type": "string"},
          "holder": {"type": "string"}}}}}}},
    "exports": {"type": "array", "items": {
      "type": "object",
      "required": ["service", "from", "to", "group", "state", "reason", "instances", "left_out"],
      "properties": {
        "service": {"type": "string"}, "from": {"type": "string"}, "to": {"type": "string"},
        "group": {"type": "string", "description": "of agents that elect who copies"},
        "state": {"type": "string", "enum": ["exporting", "waiting"]},
        "reason": {"type": "string", "description": "why another agent copies it, or none"},
        "instances": {"type": "integer", "description": "copied by this agent"},
        "left_out": {"type": "integer", "description": "beyond what one agent copies"}}}}}
})";
constexpr AnswerSchema kSchemas[] = {
    {"Activity", kActivity},
    {"Change", kChange},
    {"Checks", kChecks},
    {"Document", kDocument},
    {"Done", kDone},
    {"Error", kError},
    {"Explanation", kExplanation},
    {"Health", kHealth},
    {"History", kHistory},
    {"Index", kIndex},
    {"Instance", kInstance},
    {"Instances", kInstances},
    {"Probed", kProbed},
    {"Probes", kProbes},
    {"Registered", kRegistered},
    {"Registration", kRegistration},
    {"Selection", kSelection},
    {"Services", kServices},
    {"Snapshot", kSnapshot},
    {"Registries", kRegistries},
    {"Status", kStatus},
    {"Targets", kTargets},
};

}  // namespace

std::span<const AnswerSchema> answer_schemas() {
  return kSchemas;
}

}  // namespace outrider::doors
