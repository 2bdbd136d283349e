// SPDX-License-Identifier: Apache-2.0
#include "agent/farp/schemas.h"

#include <array>

#include "agent/farp/canonical.h"
#include "base/assert.h"

namespace outrider::farp {
namespace {

constexpr std::array kTypes{SchemaType::openapi, SchemaType::asyncapi, SchemaType::graphql};
/// The edition of the GraphQL language that every server of today understands.
constexpr const char* kGraphqlEdition = "2021-10";

Result<Schema, std::string> read_described(SchemaType type, const json::Value& document) {
  const json::Value* version = document.find(to_string(type));
  if (type == SchemaType::openapi && version == nullptr) version = document.find("swagger");
  if (document.as_object() == nullptr || version == nullptr || version->as_string() == nullptr) {
    return failure(std::string("no ") + to_string(type) + " document: no \"" + to_string(type) +
                   "\" member");
  }
  Schema schema;
  schema.spec_version = *version->as_string();
  if (schema.spec_version.empty()) return failure(std::string("an empty version"));
  return schema;
}

Result<Schema, std::string> read_introspection(const json::Value& document) {
  const json::Value* data = document.find("data");
  if (data == nullptr || data->find("__schema") == nullptr)
    return failure(std::string("neither SDL nor the answer to an introspection"));
  Schema schema;
  schema.spec_version = kGraphqlEdition;
  return schema;
}

bool looks_like_sdl(std::string_view body) {
  for (const std::string_view word : {"type ", "schema ", "schema{", "interface ", "extend "})
    if (body.find(word) != std::string_view::npos) return body.find('{') != std::string_view::npos;
  return false;
}

}  // namespace

const char* to_string(SchemaType type) {
  switch (type) {
    case SchemaType::openapi:
      return "openapi";
    case SchemaType::asyncapi:
      return "asyncapi";
    case SchemaType::graphql:
      return "graphql";
  }
  OUTRIDER_UNREACHABLE();
}

std::optional<SchemaType> parse_schema_type(std::string_view text) {
  for (const SchemaType type : kTypes)
    if (text == to_string(type)) return type;
  return std::nullopt;
}

Result<Schema, std::string> read_schema_document(SchemaType type, std::string_view body,
                                                 WallTime fetched) {
  if (body.size() > kSchemaBytesMax) return failure(std::string("larger than 1 MiB"));
  const auto document = json::parse_foreign(body, kSchemaBytesMax);
  Result<Schema, std::string> schema;
  json::Value hashed;
  if (document) {
    schema = type == SchemaType::graphql ? read_introspection(*document)
                                         : read_described(type, *document);
    hashed = *document;
  } else if (type == SchemaType::graphql && looks_like_sdl(body)) {
    // SDL is text; a JSON reader of the manifest sees it as one string, and so does the hash.
    schema->spec_version = kGraphqlEdition;
    schema->content_type = "application/graphql";
    hashed = json::Value(json::Value::Data(std::string(body)));
  } else {
    return failure("not JSON: " + document.error().message);
  }
  if (!schema) return schema;
  if (schema->content_type.empty()) schema->content_type = "application/json";
  schema->type = type;
  schema->document = std::string(body);
  schema->hash = schema_hash(hashed);
  schema->fetched = fetched;
  return schema;
}

bool SchemaStore::put(std::string_view instance_id, Schema schema) {
  Entry& entry = entries_[Key(instance_id, schema.type)];
  entry.trouble.clear();
  const bool changed = !entry.schema || entry.schema->hash != schema.hash ||
                       entry.schema->spec_version != schema.spec_version;
  entry.schema = std::move(schema);
  return changed;
}

void SchemaStore::fail(std::string_view instance_id, SchemaType type, std::string why) {
  entries_[Key(instance_id, type)].trouble = std::move(why);
}

void SchemaStore::forget(std::string_view instance_id) {
  for (const SchemaType type : kTypes)
    entries_.erase(Key(instance_id, type));
}

const Schema* SchemaStore::find(std::string_view instance_id, SchemaType type) const {
  const auto found = entries_.find(Key(instance_id, type));
  return found == entries_.end() || !found->second.schema ? nullptr : &*found->second.schema;
}

std::vector<const Schema*> SchemaStore::of(std::string_view instance_id) const {
  std::vector<const Schema*> schemas;
  for (const SchemaType type : kTypes)
    if (const Schema* schema = find(instance_id, type)) schemas.push_back(schema);
  return schemas;
}

std::string SchemaStore::trouble(std::string_view instance_id, SchemaType type) const {
  const auto found = entries_.find(Key(instance_id, type));
  return found == entries_.end() ? std::string() : found->second.trouble;
}

}  // namespace outrider::farp
