// SPDX-License-Identifier: Apache-2.0
// The FARP schema manifest as a value: what we serve, and what we read from others. Field names and
// rules follow the reference library (FARP 1.0; 1.1 adds route_table).
//
//   service ▸ Manifest ▸ write_manifest ▸ /_farp/manifest          others ▸ read_manifest ▸
//   findings
//
// Reading is tolerant: unknown fields pass, null arrays are empty ones, missing parts get their
// defaults. Judging is separate (check_manifest), so that a bad manifest can still be shown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace outrider::farp {

/// What we speak: every published reader takes 1.0.0; those of 1.0.x refuse a minor of 1.
inline constexpr std::string_view kProtocolVersion = "1.0.0";
inline constexpr std::size_t kManifestBytesMax = 1U << 20;
inline constexpr std::size_t kSchemaBytesMax = 1U << 20;
/// Larger ones are not put into a manifest but served beside it.
inline constexpr std::size_t kInlineBytesMax = 100U << 10;

struct SchemaDescriptor {
  std::string type;  // openapi asyncapi grpc graphql orpc thrift avro custom
  std::string spec_version;
  std::string location_type = "http";  // http registry inline
  std::string url;
  std::string registry_path;
  std::string content_type;
  std::optional<json::Value> inline_schema;
  std::string hash;  // see canonical.h
  std::int64_t size = 0;
};

struct EndpointPaths {
  std::string health;
  std::string metrics, openapi, asyncapi, graphql;  // paths; empty: absent
  bool grpc_reflection = false;
};

struct Routing {
  std::string strategy = "service";  // root instance service versioned custom subdomain
  std::string base_path, subdomain;
  bool strip_prefix = false;
  std::int64_t priority = 50;  // 0–100; absent reads as 50 (specification, "Routing")
};

struct InstanceMetadata {
  std::string address;  // "host:port"
  std::string status;   // starting healthy degraded unhealthy draining stopping
  std::string region, zone;
  std::int64_t weight = 100;    // 0–100
  std::int64_t started_at = 0;  // seconds since 1970
};

/// FARP 1.1.
struct RouteDescriptor {
  std::string path;
  std::vector<std::string> methods;
  std::string protocol;  // rest grpc graphql websocket sse
};

struct Manifest {
  std::string version{kProtocolVersion};
  std::string service_name, service_version, instance_id;
  std::optional<InstanceMetadata> instance;
  std::vector<SchemaDescriptor> schemas;
  std::vector<std::string> capabilities;
  EndpointPaths endpoints;
  Routing routing;
  std::vector<RouteDescriptor> route_table;
  std::int64_t updated_at = 0;  // seconds since 1970
  std::string checksum;
  std::string routes_checksum;  // FARP 1.1; read and checked, never written: see routes_checksum()
};

/// SHA-256 over the routing part as the reference library (Go) hashes it; others write an absent
/// rewrite list as [] and get another sum (`empty_rewrite`). We leave the field out of our own
/// manifests: a gateway that keeps the sum over a removal would not take our routes again.
std::string routes_checksum(const Manifest& manifest, bool empty_rewrite = false);

/// Sets checksum from the schemas' hashes.
void seal(Manifest& manifest);

void write_manifest(json::Writer& out, const Manifest& manifest);

/// A thing that a reader of the manifest would stumble over.
struct Finding {
  enum class Severity : std::uint8_t { warning, error };
  Severity severity = Severity::error;
  std::string field;  // "schemas[0].hash"
  std::string message;
};

struct ManifestReading {
  Manifest manifest;
  std::vector<Finding> findings;  // wrong types found while reading, then those of check_manifest
  bool acceptable() const;        // no finding is an error
};

/// `reader_minor`: the protocol minor of the reader in whose place we judge (0 or 1).
ManifestReading read_manifest(const json::Value& document, int reader_minor = 1);

/// The rules of the reference library's Validate, field by field.
std::vector<Finding> check_manifest(const Manifest& manifest, int reader_minor = 1);

/// "MAJOR.MINOR.PATCH" of digits with our major and at most the reader's minor.
bool compatible_version(std::string_view version, int reader_minor);

}  // namespace outrider::farp
