// SPDX-License-Identifier: Apache-2.0
// The forms of Consul's answers and of the definitions that its clients send.
#include "agent/doors/outrider/schemas.h"

namespace outrider::doors {
namespace {

constexpr std::string_view kMeta = R"({
  "type": "object", "additionalProperties": {"type": "string"}
})";
constexpr std::string_view kStatus = R"({
  "type": "string", "enum": ["passing", "warning", "critical", "maintenance"]
})";
constexpr std::string_view kTaggedAddresses = R"({
  "type": "object", "additionalProperties": {
    "type": "object", "required": ["Address", "Port"],
    "properties": {"Address": {"type": "string"}, "Port": {"type": "integer"}}}
})";
constexpr std::string_view kWeights = R"({
  "type": "object", "required": ["Passing", "Warning"],
  "properties": {"Passing": {"type": "integer"}, "Warning": {"type": "integer"}}
})";
constexpr std::string_view kService = R"({
  "type": "object",
  "required": ["ID", "Service", "Tags", "Address", "Port", "TaggedAddresses", "Meta", "Weights",
    "EnableTagOverride"],
  "properties": {
    "ID": {"type": "string"},
    "Service": {"type": "string", "description": "its name"},
    "Tags": {"type": "array", "items": {"type": "string"}},
    "Address": {"type": "string"}, "Port": {"type": "integer"},
    "TaggedAddresses": {"$ref": "#/components/schemas/ConsulTaggedAddresses"},
    "Meta": {"$ref": "#/components/schemas/ConsulMeta"},
    "Weights": {"$ref": "#/components/schemas/ConsulWeights"},
    "EnableTagOverride": {"type": "boolean"},
    "CreateIndex": {"type": "integer"}, "ModifyIndex": {"type": "integer"},
    "Datacenter": {"type": "string", "description": "of one service of this agent alone"},
    "ContentHash": {"type": "string", "description": "the same; what ?hash= takes"}
  }
})";
constexpr std::string_view kCheck = R"({
  "type": "object",
  "required": ["Node", "CheckID", "Name", "Status", "Notes", "Output", "ServiceID", "ServiceName",
    "ServiceTags", "Type"],
  "properties": {
    "Node": {"type": "string"}, "CheckID": {"type": "string"}, "Name": {"type": "string"},
    "Status": {"$ref": "#/components/schemas/ConsulStatus"},
    "Notes": {"type": "string"}, "Output": {"type": "string"},
    "ServiceID": {"type": "string", "description": "empty: a check of the node"},
    "ServiceName": {"type": "string"},
    "ServiceTags": {"type": "array", "items": {"type": "string"}},
    "Type": {"type": "string"}, "Interval": {"type": "string"}, "Timeout": {"type": "string"},
    "ExposedPort": {"type": "integer"}, "Definition": {"type": "object"},
    "CreateIndex": {"type": "integer"}, "ModifyIndex": {"type": "integer"}
  }
})";
constexpr std::string_view kNode = R"({
  "type": "object", "required": ["ID", "Node", "Address", "Datacenter", "TaggedAddresses", "Meta"],
  "properties": {
    "ID": {"type": "string"}, "Node": {"type": "string", "description": "its name"},
    "Address": {"type": "string"}, "Datacenter": {"type": "string"},
    "TaggedAddresses": {"$ref": "#/components/schemas/ConsulMeta"},
    "Meta": {"$ref": "#/components/schemas/ConsulMeta"},
    "CreateIndex": {"type": "integer"}, "ModifyIndex": {"type": "integer"}
  }
})";
constexpr std::string_view kHealthEntries = R"({
  "type": "array", "items": {
    "type": "object", "required": ["Node", "Service", "Checks"],
    "properties": {
      "Node": {"$ref": "#/components/schemas/ConsulNode"},
      "Service": {"$ref": "#/components/schemas/ConsulService"},
      "Checks": {"$ref": "#/components/schemas/ConsulChecks"}}}
})";
constexpr std::string_view kCatalogServices = R"({
  "type": "array", "items": {
    "type": "object",
    "required": ["ID", "Node", "Address", "Datacenter", "ServiceID", "ServiceName",
      "ServiceAddress", "ServicePort", "ServiceTags", "ServiceMeta"],
    "properties": {
      "ID": {"type": "string"}, "Node": {"type": "string"}, "Address": {"type": "string"},
      "Datacenter": {"type": "string"},
      "TaggedAddresses": {"$ref": "#/components/schemas/ConsulMeta"},
      "NodeMeta": {"$ref": "#/components/schemas/ConsulMeta"},
      "ServiceID": {"type": "string"}, "ServiceName": {"type": "string"},
      "ServiceAddress": {"type": "string"}, "ServicePort": {"type": "integer"},
      "ServiceTags": {"type": "array", "items": {"type": "string"}},
      "ServiceMeta": {"$ref": "#/components/schemas/ConsulMeta"},
      "ServiceTaggedAddresses": {"$ref": "#/components/schemas/ConsulTaggedAddresses"},
      "ServiceWeights": {"$ref": "#/components/schemas/ConsulWeights"},
      "ServiceEnableTagOverride": {"type": "boolean"},
      "CreateIndex": {"type": "integer"}, "ModifyIndex": {"type": "integer"}}}
})";
constexpr std::string_view kServiceNames = R"({
  "type": "object", "description": "the tags of each service, by its name",
  "additionalProperties": {"type": "array", "items": {"type": "string"}}
})";
constexpr std::string_view kServicesById = R"({
  "type": "object", "additionalProperties": {"$ref": "#/components/schemas/ConsulService"}
})";
constexpr std::string_view kChecks = R"({
  "type": "array", "items": {"$ref": "#/components/schemas/ConsulCheck"}
})";
constexpr std::string_view kChecksById = R"({
  "type": "object", "additionalProperties": {"$ref": "#/components/schemas/ConsulCheck"}
})";
constexpr std::string_view kServiceHealth = R"({
  "type": "object", "required": ["AggregatedStatus", "Service", "Checks"],
  "properties": {
    "AggregatedStatus": {"$ref": "#/components/schemas/ConsulStatus"},
    "Service": {"$ref": "#/components/schemas/ConsulService"},
    "Checks": {"$ref": "#/components/schemas/ConsulChecks"}}
})";
constexpr std::string_view kServiceHealths = R"({
  "type": "array", "items": {"$ref": "#/components/schemas/ConsulServiceHealth"}
})";
constexpr std::string_view kNodes = R"({
  "type": "array", "items": {"$ref": "#/components/schemas/ConsulNode"}
})";
constexpr std::string_view kNodeWithMap = R"({
  "type": "object", "nullable": true, "description": "null: no such host",
  "required": ["Node", "Services"],
  "properties": {
    "Node": {"$ref": "#/components/schemas/ConsulNode"},
    "Services": {"$ref": "#/components/schemas/ConsulServicesById"}}
})";
constexpr std::string_view kNodeWithList = R"({
  "type": "object", "required": ["Node", "Services"],
  "properties": {
    "Node": {"nullable": true, "description": "null: no such host",
      "allOf": [{"$ref": "#/components/schemas/ConsulNode"}]},
    "Services": {"type": "array", "items": {"$ref": "#/components/schemas/ConsulService"}}}
})";
constexpr std::string_view kSelf = R"({
  "type": "object", "required": ["Config", "Member"], "additionalProperties": true,
  "properties": {
    "Config": {"type": "object",
      "required": ["Datacenter", "NodeName", "Server", "Version"], "additionalProperties": true,
      "properties": {"Datacenter": {"type": "string"}, "NodeName": {"type": "string"},
        "Server": {"type": "boolean"}, "Version": {"type": "string"}}},
    "Member": {"$ref": "#/components/schemas/ConsulMember"}}
})";
constexpr std::string_view kMember = R"({
  "type": "object", "required": ["Name", "Addr", "Port", "Tags", "Status"],
  "properties": {
    "Name": {"type": "string"}, "Addr": {"type": "string"}, "Port": {"type": "integer"},
    "Tags": {"$ref": "#/components/schemas/ConsulMeta"}, "Status": {"type": "integer"},
    "ProtocolMin": {"type": "integer"}, "ProtocolMax": {"type": "integer"},
    "ProtocolCur": {"type": "integer"}, "DelegateMin": {"type": "integer"},
    "DelegateMax": {"type": "integer"}, "DelegateCur": {"type": "integer"}}
})";
constexpr std::string_view kMembers = R"({
  "type": "array", "items": {"$ref": "#/components/schemas/ConsulMember"}
})";
constexpr std::string_view kVersion = R"({
  "type": "object", "required": ["HumanVersion"],
  "properties": {"SHA": {"type": "string"}, "BuildDate": {"type": "string"},
    "HumanVersion": {"type": "string"}, "FIPS": {"type": "string"}}
})";
constexpr std::string_view kMetrics = R"({
  "type": "object", "required": ["Timestamp", "Gauges", "Counters"], "additionalProperties": true,
  "properties": {"Timestamp": {"type": "string"},
    "Gauges": {"type": "array", "items": {"type": "object"}},
    "Counters": {"type": "array", "items": {"type": "object"}}}
})";
constexpr std::string_view kTexts = R"({"type": "array", "items": {"type": "string"}})";
constexpr std::string_view kText = R"({"type": "string"})";
constexpr std::string_view kServiceDefinition = R"({
  "type": "object", "required": ["Name"], "additionalProperties": true,
  "description": "keys in any case; ids that are not given are the name",
  "properties": {
    "ID": {"type": "string"}, "Name": {"type": "string"},
    "Tags": {"type": "array", "nullable": true, "items": {"type": "string"}},
    "Address": {"type": "string", "description": "default: the addresses of this host"},
    "Port": {"type": "integer"},
    "Meta": {"type": "object", "nullable": true, "additionalProperties": {"type": "string"}},
    "TaggedAddresses": {"type": "object", "nullable": true},
    "Weights": {"type": "object", "nullable": true},
    "Check": {"nullable": true, "allOf": [{"$ref": "#/components/schemas/ConsulCheckDefinition"}]},
    "Checks": {"type": "array", "nullable": true,
      "items": {"$ref": "#/components/schemas/ConsulCheckDefinition"}}}
})";
constexpr std::string_view kCheckDefinition = R"({
  "type": "object", "additionalProperties": true,
  "description": "one of HTTP, TCP, GRPC, TTL and AliasService; keys in any case",
  "properties": {
    "CheckID": {"type": "string"}, "Name": {"type": "string"}, "Notes": {"type": "string"},
    "ServiceID": {"type": "string"},
    "HTTP": {"type": "string"}, "Method": {"type": "string"}, "Body": {"type": "string"},
    "Header": {"type": "object", "nullable": true},
    "TCP": {"type": "string"}, "GRPC": {"type": "string"}, "GRPCUseTLS": {"type": "boolean"},
    "TLSSkipVerify": {"type": "boolean"}, "TLSServerName": {"type": "string"},
    "TTL": {"type": "string"}, "AliasService": {"type": "string"},
    "Interval": {"type": "string"}, "Timeout": {"type": "string"}, "Status": {"type": "string"},
    "SuccessBeforePassing": {"type": "integer"}, "FailuresBeforeWarning": {"type": "integer"},
    "FailuresBeforeCritical": {"type": "integer"},
    "DeregisterCriticalServiceAfter": {"type": "string"}}
})";
constexpr std::string_view kCheckUpdate = R"({
  "type": "object", "required": ["Status"], "additionalProperties": true,
  "properties": {
    "Status": {"type": "string", "enum": ["passing", "warning", "critical"]},
    "Output": {"type": "string"}}
})";

constexpr AnswerSchema kSchemas[] = {
    {"ConsulCatalogServices", kCatalogServices},
    {"ConsulCheck", kCheck},
    {"ConsulCheckDefinition", kCheckDefinition},
    {"ConsulCheckUpdate", kCheckUpdate},
    {"ConsulChecks", kChecks},
    {"ConsulChecksById", kChecksById},
    {"ConsulHealthEntries", kHealthEntries},
    {"ConsulMember", kMember},
    {"ConsulMembers", kMembers},
    {"ConsulMeta", kMeta},
    {"ConsulMetrics", kMetrics},
    {"ConsulNode", kNode},
    {"ConsulNodeWithList", kNodeWithList},
    {"ConsulNodeWithMap", kNodeWithMap},
    {"ConsulNodes", kNodes},
    {"ConsulSelf", kSelf},
    {"ConsulService", kService},
    {"ConsulServiceDefinition", kServiceDefinition},
    {"ConsulServiceHealth", kServiceHealth},
    {"ConsulServiceHealths", kServiceHealths},
    {"ConsulServiceNames", kServiceNames},
    {"ConsulServicesById", kServicesById},
    {"ConsulStatus", kStatus},
    {"ConsulTaggedAddresses", kTaggedAddresses},
    {"ConsulText", kText},
    {"ConsulTexts", kTexts},
    {"ConsulVersion", kVersion},
    {"ConsulWeights", kWeights},
};

}  // namespace

std::span<const AnswerSchema> consul_schemas() {
  return kSchemas;
}

}  // namespace outrider::doors
