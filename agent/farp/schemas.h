// SPDX-License-Identifier: Apache-2.0
// The schemas of our own services, as last fetched. Pure: the fetcher puts documents in, manifest
// and endpoints take them out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/farp/manifest.h"
#include "base/json.h"
#include "base/time.h"

namespace outrider::farp {

enum class SchemaType : std::uint8_t { openapi, asyncapi, graphql };
const char* to_string(SchemaType type);
std::optional<SchemaType> parse_schema_type(std::string_view text);

struct Schema {
  SchemaType type = SchemaType::openapi;
  std::string spec_version;  // "3.1.0"
  std::string content_type;  // of `document`
  std::string document;      // as served on /_farp/schemas/TYPE
  std::string hash;          // see canonical.h
  WallTime fetched;
};

/// Reads what a service answered. OpenAPI and AsyncAPI must be JSON objects that name their
/// version; GraphQL is either SDL text or the JSON of an introspection. Nothing else is a schema;
/// then the error says why.
Result<Schema, std::string> read_schema_document(SchemaType type, std::string_view body,
                                                 WallTime fetched);

class SchemaStore {
 public:
  /// True if hash or version differ from what was there.
  bool put(std::string_view instance_id, Schema schema);
  /// Keeps the last good document; the reason is for people.
  void fail(std::string_view instance_id, SchemaType type, std::string why);
  void forget(std::string_view instance_id);

  const Schema* find(std::string_view instance_id, SchemaType type) const;
  /// In the order of SchemaType.
  std::vector<const Schema*> of(std::string_view instance_id) const;
  /// Why the last attempt failed; empty if it did not.
  std::string trouble(std::string_view instance_id, SchemaType type) const;

 private:
  struct Entry {
    std::optional<Schema> schema;
    std::string trouble;
  };
  using Key = std::pair<std::string, SchemaType>;
  std::map<Key, Entry, std::less<>> entries_;
};

}  // namespace outrider::farp
