// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/manifest.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/farp/canonical.h"

namespace outrider::farp {
namespace {

constexpr std::array<std::string_view, 8> kSchemaTypes{"openapi", "asyncapi", "grpc", "graphql",
                                                       "orpc",    "thrift",   "avro", "custom"};
constexpr std::array<std::string_view, 6> kStrategies{"root",      "instance", "service",
                                                      "versioned", "custom",   "subdomain"};
constexpr std::array<std::string_view, 6> kStatuses{"starting",  "healthy",  "degraded",
                                                    "unhealthy", "draining", "stopping"};
constexpr std::array<std::string_view, 5> kProtocols{"rest", "grpc", "graphql", "websocket", "sse"};

template <std::size_t n>
bool one_of(std::string_view text, const std::array<std::string_view, n>& choices) {
  return std::ranges::find(choices, text) != choices.end();
}

// Reads members of one object and notes those of a wrong type. Null counts as absent: Go writes it
// for empty slices.
class Fields {
 public:
  Fields(const json::Value* object, std::string path, std::vector<Finding>& findings)
      : object_(object), path_(std::move(path)), findings_(findings) {
    if (object_ != nullptr && !object_->is_null() && object_->as_object() == nullptr) {
      wrong("", "an object", *object_);
      object_ = nullptr;
    }
  }

  const json::Value* find(std::string_view key) const {
    const json::Value* value = object_ == nullptr ? nullptr : object_->find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  bool present() const { return object_ != nullptr && !object_->is_null(); }

  void read(std::string_view key, std::string& into) {
    const json::Value* value = find(key);
    if (value == nullptr) return;
    if (const auto* text = value->as_string())
      into = *text;
    else
      wrong(key, "a string", *value);
  }
  void read(std::string_view key, std::int64_t& into) {
    const json::Value* value = find(key);
    if (value == nullptr) return;
    if (const auto* number = value->as_int())
      into = *number;
    else
      wrong(key, "an integer", *value);
  }
  void read(std::string_view key, bool& into) {
    const json::Value* value = find(key);
    if (value == nullptr) return;
    if (const auto* flag = value->as_bool())
      into = *flag;
    else
      wrong(key, "a boolean", *value);
  }
  void read(std::string_view key, std::vector<std::string>& into) {
    each(key, [&](const json::Value& element, const std::string& at) {
      if (const auto* text = element.as_string())
        into.push_back(*text);
      else
        findings_.push_back({Finding::Severity::error, at, mismatch("a string", element)});
    });
  }

  template <class Visit>
  void each(std::string_view key, Visit visit) {
    const json::Value* value = find(key);
    if (value == nullptr) return;
    const json::Array* array = value->as_array();
    if (array == nullptr) return wrong(key, "an array", *value);
    for (std::size_t i = 0; i < array->size(); ++i)
      visit((*array)[i], at(key) + '[' + std::to_string(i) + ']');
  }

  Fields child(std::string_view key) { return {find(key), at(key), findings_}; }
  Fields element(const json::Value& value, const std::string& path) {
    return {&value, path, findings_};
  }

  std::string at(std::string_view key) const {
    if (path_.empty() || key.empty()) return path_ + std::string(key);
    return path_ + '.' + std::string(key);
  }

 private:
  static std::string mismatch(const char* expected, const json::Value& value) {
    return std::string("expected ") + expected + ", got " + value.type_name();
  }
  void wrong(std::string_view key, const char* expected, const json::Value& value) {
    findings_.push_back({Finding::Severity::error, at(key), mismatch(expected, value)});
  }

  const json::Value* object_;
  std::string path_;
  std::vector<Finding>& findings_;
};

SchemaDescriptor read_schema(Fields fields) {
  SchemaDescriptor schema;
  schema.location_type.clear();
  fields.read("type", schema.type);
  fields.read("spec_version", schema.spec_version);
  fields.read("content_type", schema.content_type);
  fields.read("hash", schema.hash);
  fields.read("size", schema.size);
  Fields location = fields.child("location");
  location.read("type", schema.location_type);
  location.read("url", schema.url);
  location.read("registry_path", schema.registry_path);
  if (const json::Value* inlined = fields.find("inline_schema")) schema.inline_schema = *inlined;
  return schema;
}

InstanceMetadata read_instance(Fields fields) {
  InstanceMetadata instance;
  fields.read("address", instance.address);
  fields.read("status", instance.status);
  fields.read("region", instance.region);
  fields.read("zone", instance.zone);
  fields.read("weight", instance.weight);
  fields.read("started_at", instance.started_at);
  return instance;
}

void read_endpoints(Fields fields, EndpointPaths& endpoints) {
  fields.read("health", endpoints.health);
  fields.read("metrics", endpoints.metrics);
  fields.read("openapi", endpoints.openapi);
  fields.read("asyncapi", endpoints.asyncapi);
  fields.read("graphql", endpoints.graphql);
  fields.read("grpc_reflection", endpoints.grpc_reflection);
}

void read_routing(Fields fields, Routing& routing) {
  fields.read("strategy", routing.strategy);
  fields.read("base_path", routing.base_path);
  fields.read("subdomain", routing.subdomain);
  fields.read("strip_prefix", routing.strip_prefix);
  fields.read("priority", routing.priority);
}

// Collects findings; the methods read like the rules.
class Checker {
 public:
  void error(std::string field, std::string message) {
    findings.push_back({Finding::Severity::error, std::move(field), std::move(message)});
  }
  void warning(std::string field, std::string message) {
    findings.push_back({Finding::Severity::warning, std::move(field), std::move(message)});
  }
  void not_empty(const std::string& value, std::string field) {
    if (value.empty()) error(std::move(field), "must not be empty");
  }
  std::vector<Finding> findings;
};

void check_schema(Checker& check, const SchemaDescriptor& schema, const std::string& path) {
  if (!one_of(schema.type, kSchemaTypes))
    check.error(path + ".type", "unknown schema type \"" + schema.type + '"');
  check.not_empty(schema.spec_version, path + ".spec_version");
  check.not_empty(schema.content_type, path + ".content_type");
  if (schema.location_type == "http") {
    check.not_empty(schema.url, path + ".location.url");
  } else if (schema.location_type == "registry") {
    check.not_empty(schema.registry_path, path + ".location.registry_path");
  } else if (schema.location_type != "inline") {
    check.error(path + ".location.type",
                "must be http, registry or inline, not \"" + schema.location_type + '"');
  }
  if ((schema.location_type == "inline") != schema.inline_schema.has_value())
    check.error(path + ".inline_schema", "must be there if and only if location.type is inline");
  if (schema.hash.size() != 64) {
    check.error(path + ".hash", "must be 64 hex digits, got " + std::to_string(schema.hash.size()));
  } else if (schema.hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
    check.warning(path + ".hash", "should be lower-case hex digits");
  } else if (schema.location_type == "inline" && schema.inline_schema &&
             schema_hash(*schema.inline_schema) != schema.hash) {
    check.warning(path + ".hash", "does not match inline_schema (no common canonical form exists)");
  }
  if (schema.size < 0) check.error(path + ".size", "must not be negative");
}

void check_routing(Checker& check, const Routing& routing) {
  if (!one_of(routing.strategy, kStrategies))
    check.error("routing.strategy", "unknown strategy \"" + routing.strategy + '"');
  if (routing.strategy == "custom") check.not_empty(routing.base_path, "routing.base_path");
  if (routing.strategy == "subdomain") check.not_empty(routing.subdomain, "routing.subdomain");
  if (routing.priority < 0 || routing.priority > 100)
    check.error("routing.priority", "must be 0 to 100, got " + std::to_string(routing.priority));
}

void check_instance(Checker& check, const InstanceMetadata& instance) {
  check.not_empty(instance.address, "instance.address");
  if (instance.weight < 0 || instance.weight > 100)
    check.error("instance.weight", "must be 0 to 100, got " + std::to_string(instance.weight));
  if (!one_of(instance.status, kStatuses))
    check.warning("instance.status", "unknown status \"" + instance.status + '"');
}

void check_checksum(Checker& check, const Manifest& manifest) {
  const std::string& routes = manifest.routes_checksum;
  if (!routes.empty() && routes != routes_checksum(manifest) &&
      routes != routes_checksum(manifest, true)) {
    check.warning("routes_checksum", "does not match the routes");
  }
  if (manifest.checksum.empty()) return;
  std::vector<TypedHash> hashes;
  for (const SchemaDescriptor& schema : manifest.schemas)
    hashes.push_back({schema.type, schema.hash});
  if (manifest_checksum(std::move(hashes)) != manifest.checksum)
    check.warning("checksum", "does not match the schemas' hashes");
}

void write_schema(json::Writer& out, const SchemaDescriptor& schema) {
  out.begin_object();
  out.member("type", schema.type).member("spec_version", schema.spec_version);
  out.key("location").begin_object().member("type", schema.location_type);
  if (!schema.url.empty()) out.member("url", schema.url);
  if (!schema.registry_path.empty()) out.member("registry_path", schema.registry_path);
  out.end_object().member("content_type", schema.content_type);
  if (schema.inline_schema) out.member("inline_schema", *schema.inline_schema);
  out.member("hash", schema.hash).member("size", schema.size).end_object();
}

void write_if(json::Writer& out, std::string_view key, const std::string& value) {
  if (!value.empty()) out.member(key, value);
}

void write_endpoints(json::Writer& out, const EndpointPaths& endpoints) {
  out.key("endpoints").begin_object().member("health", endpoints.health);
  write_if(out, "metrics", endpoints.metrics);
  write_if(out, "openapi", endpoints.openapi);
  write_if(out, "asyncapi", endpoints.asyncapi);
  write_if(out, "graphql", endpoints.graphql);
  if (endpoints.grpc_reflection) out.member("grpc_reflection", true);
  out.end_object();
}

void write_routing(json::Writer& out, const Routing& routing) {
  out.key("routing").begin_object().member("strategy", routing.strategy);
  write_if(out, "base_path", routing.base_path);
  write_if(out, "subdomain", routing.subdomain);
  if (routing.strip_prefix) out.member("strip_prefix", true);
  out.member("priority", routing.priority).end_object();
}

void write_instance(json::Writer& out, const InstanceMetadata& instance) {
  out.key("instance").begin_object().member("address", instance.address);
  write_if(out, "region", instance.region);
  write_if(out, "zone", instance.zone);
  out.member("weight", instance.weight).member("status", instance.status);
  out.member("started_at", instance.started_at).end_object();
}

}  // namespace

std::string routes_checksum(const Manifest& manifest, bool empty_rewrite) {
  std::vector<RouteDescriptor> routes = manifest.route_table;
  for (RouteDescriptor& route : routes)
    std::ranges::sort(route.methods);
  std::ranges::sort(routes, {}, [](const RouteDescriptor& route) {
    return std::pair(std::string_view(route.path), std::string_view(route.protocol));
  });
  std::string text;
  json::Writer out(text);
  out.begin_object().member("strategy", manifest.routing.strategy);
  out.member("base_path", manifest.routing.base_path);
  out.member("subdomain", manifest.routing.subdomain).key("rewrite");
  empty_rewrite ? out.begin_array().end_array() : out.null();
  out.member("strip_prefix", manifest.routing.strip_prefix).key("routes").begin_array();
  for (const RouteDescriptor& route : routes) {
    out.begin_object().member("path", route.path).key("methods").begin_array();
    for (const std::string& method : route.methods)
      out.value(method);
    out.end_array().member("protocol", route.protocol).end_object();
  }
  out.end_array().member("health", manifest.endpoints.health);
  out.member("graphql", manifest.endpoints.graphql).member("openapi", manifest.endpoints.openapi);
  out.member("asyncapi", manifest.endpoints.asyncapi).end_object();
  return sha256_hex(text);
}

void seal(Manifest& manifest) {
  std::vector<TypedHash> hashes;
  for (const SchemaDescriptor& schema : manifest.schemas)
    hashes.push_back({schema.type, schema.hash});
  manifest.checksum = manifest_checksum(std::move(hashes));
}

void write_manifest(json::Writer& out, const Manifest& manifest) {
  out.begin_object().member("version", manifest.version);
  out.member("service_name", manifest.service_name);
  out.member("service_version", manifest.service_version);
  out.member("instance_id", manifest.instance_id);
  if (manifest.instance) write_instance(out, *manifest.instance);
  out.key("schemas").begin_array();
  for (const SchemaDescriptor& schema : manifest.schemas)
    write_schema(out, schema);
  out.end_array().key("capabilities").begin_array();
  for (const std::string& capability : manifest.capabilities)
    out.value(capability);
  out.end_array();
  write_endpoints(out, manifest.endpoints);
  write_routing(out, manifest.routing);
  if (!manifest.route_table.empty()) {
    out.key("route_table").begin_array();
    for (const RouteDescriptor& route : manifest.route_table) {
      out.begin_object().member("path", route.path).key("methods").begin_array();
      for (const std::string& method : route.methods)
        out.value(method);
      out.end_array().member("protocol", route.protocol).end_object();
    }
    out.end_array();
  }
  out.member("updated_at", manifest.updated_at).member("checksum", manifest.checksum).end_object();
}

bool ManifestReading::acceptable() const {
  return std::ranges::none_of(
      findings, [](const Finding& f) { return f.severity == Finding::Severity::error; });
}

ManifestReading read_manifest(const json::Value& document, int reader_minor) {
  ManifestReading reading;
  Manifest& manifest = reading.manifest;
  manifest.version.clear();
  Fields fields(&document, "", reading.findings);
  fields.read("version", manifest.version);
  fields.read("service_name", manifest.service_name);
  fields.read("service_version", manifest.service_version);
  fields.read("instance_id", manifest.instance_id);
  fields.read("capabilities", manifest.capabilities);
  fields.read("updated_at", manifest.updated_at);
  fields.read("checksum", manifest.checksum);
  fields.read("routes_checksum", manifest.routes_checksum);
  if (Fields instance = fields.child("instance"); instance.present())
    manifest.instance = read_instance(instance);
  fields.each("schemas", [&](const json::Value& value, const std::string& at) {
    manifest.schemas.push_back(read_schema(fields.element(value, at)));
  });
  read_endpoints(fields.child("endpoints"), manifest.endpoints);
  read_routing(fields.child("routing"), manifest.routing);
  fields.each("route_table", [&](const json::Value& value, const std::string& at) {
    Fields entry = fields.element(value, at);
    RouteDescriptor route;
    entry.read("path", route.path);
    entry.read("methods", route.methods);
    entry.read("protocol", route.protocol);
    manifest.route_table.push_back(std::move(route));
  });
  std::ranges::move(check_manifest(manifest, reader_minor), std::back_inserter(reading.findings));
  return reading;
}

std::vector<Finding> check_manifest(const Manifest& manifest, int reader_minor) {
  Checker check;
  if (!compatible_version(manifest.version, reader_minor)) {
    const std::string expected = "1." + std::to_string(reader_minor) + ".x";
    check.error("version", manifest.version.empty()
                               ? "missing; expected " + expected
                               : '"' + manifest.version + "\" is not compatible with " + expected);
  }
  check.not_empty(manifest.service_name, "service_name");
  check.not_empty(manifest.instance_id, "instance_id");
  check.not_empty(manifest.endpoints.health, "endpoints.health");
  if (manifest.instance) check_instance(check, *manifest.instance);
  check_routing(check, manifest.routing);
  for (std::size_t i = 0; i < manifest.schemas.size(); ++i) {
    const std::string path = "schemas[" + std::to_string(i) + ']';
    check_schema(check, manifest.schemas[i], path);
    // Two schemas of one type leave the order of the checksum undefined.
    const auto same = [&](const SchemaDescriptor& s) { return s.type == manifest.schemas[i].type; };
    const auto end = manifest.schemas.begin() + static_cast<std::ptrdiff_t>(i);
    if (std::any_of(manifest.schemas.begin(), end, same))
      check.warning(path + ".type", "second schema of type \"" + manifest.schemas[i].type + '"');
  }
  for (std::size_t i = 0; i < manifest.route_table.size(); ++i) {
    const std::string path = "route_table[" + std::to_string(i) + ']';
    check.not_empty(manifest.route_table[i].path, path + ".path");
    if (!one_of(manifest.route_table[i].protocol, kProtocols))
      check.error(path + ".protocol", "unknown protocol");
  }
  check_checksum(check, manifest);
  return check.findings;
}

bool compatible_version(std::string_view version, int reader_minor) {
  std::array<int, 3> parts{};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto [end, error] =
        std::from_chars(version.data(), version.data() + version.size(), parts[i]);
    if (error != std::errc() || version[0] == '-') return false;
    version.remove_prefix(static_cast<std::size_t>(end - version.data()));
    if (i == 2) return version.empty() && parts[0] == 1 && parts[1] <= reader_minor;
    if (version.empty() || version[0] != '.') return false;
    version.remove_prefix(1);
  }
  return false;
}

}  // namespace outrider::farp
