// SPDX-License-Identifier: Apache-2.0
// What a filter expression may select of the rows of an endpoint, and how it may be compared: the
// tables in Consul's documentation of these endpoints. A row is the JSON that the endpoint answers
// with; what is missing in Outrider's rows (Kind, Proxy, Connect) can be selected and is empty.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace outrider::doors::consul {

/// What the rows of an endpoint are.
enum class Rows : std::uint8_t {
  catalog,  // of /v1/catalog/service and services: node and service in one flat object
  nodes,    // of /v1/catalog/nodes
  health,   // of /v1/health/service: Node, Service, Checks
  checks,   // of /v1/health/checks, node and state, and of /v1/agent/checks
  service,  // of /v1/agent/services and /v1/catalog/node-services
};

enum class FieldType : std::uint8_t { text, number, flag, texts, map, objects };

/// A field of a row: its path, where "*" stands for any key of a map, and "[]" after a name for
/// each element of a list.
struct Field {
  std::string path;
  FieldType type;
};

/// The steps of a path, in order; "[]" is one of its own.
std::vector<std::string> steps_of(std::string_view path);

/// All that can be selected of such rows.
std::vector<Field> fields_of(Rows rows);

/// The fields whose path begins with `prefix`, without it.
std::vector<Field> fields_below(const std::vector<Field>& fields, std::string_view prefix);

/// The field that a selector names, part by part; null if there is none.
const Field* find_field(const std::vector<Field>& fields, std::span<const std::string> parts);

}  // namespace outrider::doors::consul
