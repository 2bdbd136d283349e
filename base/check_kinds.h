// SPDX-License-Identifier: Apache-2.0
// The kinds of checks: one table with what holds for every check of a kind. It is read to parse,
// write and refuse checks (agent/registry, agent/doors) and to make probers (probes, agent/checks).
//
// Both rooms keep the kinds as a std::variant with one struct for each; a struct names its row by
// `kKind`, and is_in_table_order() keeps variant and table together at compile time. probes/probe.h
// lists the places to touch to add a kind.
#pragma once

#include <iterator>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/check.h"
#include "base/tls.h"

namespace outrider {

/// When probing needs the module with libcurl (base/curl).
enum class ModuleNeed : std::uint8_t { never, with_tls, always };

struct CheckKindFacts {
  CheckKind kind;
  std::string_view name;           // the key in JSON that makes a check one of this kind
  std::string_view name_with_tls;  // the kind as users see it when the check uses TLS
  bool has_target;  // connects to an address, so it is probed; other kinds are driven by calls
  ModuleNeed module;
  std::span<const std::string_view> keys;  // further keys in JSON that not every kind takes
};

inline constexpr std::string_view kHttpKeys[] = {
    "unix_socket",   "host",        "method",        "headers", "body",
    "expect_status", "expect_body", "expect_header", "reuse",   "tls"};
inline constexpr std::string_view kGrpcKeys[] = {"target", "tls"};
inline constexpr std::string_view kTtlKeys[] = {"initial"};

inline constexpr CheckKindFacts kCheckKinds[] = {
    {.kind = CheckKind::http,
     .name = "http",
     .name_with_tls = "https",
     .has_target = true,
     .module = ModuleNeed::with_tls,
     .keys = kHttpKeys},
    {.kind = CheckKind::tcp,
     .name = "tcp",
     .name_with_tls = "tcp",
     .has_target = true,
     .module = ModuleNeed::never,
     .keys = {}},
    {.kind = CheckKind::grpc,
     .name = "grpc",
     .name_with_tls = "grpc",
     .has_target = true,
     .module = ModuleNeed::always,
     .keys = kGrpcKeys},
    {.kind = CheckKind::ttl,
     .name = "ttl",
     .name_with_tls = "ttl",
     .has_target = false,
     .module = ModuleNeed::never,
     .keys = kTtlKeys},
    {.kind = CheckKind::alias,
     .name = "alias",
     .name_with_tls = "alias",
     .has_target = false,
     .module = ModuleNeed::never,
     .keys = {}},
};

/// For a static_assert beside each variant of kinds.
template <typename... Kinds>
consteval bool is_in_table_order(std::type_identity<std::variant<Kinds...>>) {
  if (sizeof...(Kinds) != std::size(kCheckKinds)) return false;
  const CheckKindFacts* row = kCheckKinds;
  return ((row++->kind == Kinds::kKind) && ...);
}

template <typename... Kinds>
const CheckKindFacts& facts_of(const std::variant<Kinds...>& kind) {
  return kCheckKinds[kind.index()];
}

/// The kind of this name, as it is before anything is set; nothing for an unknown name.
template <typename Kind, std::size_t row = 0>
std::optional<Kind> kind_named(std::string_view name) {
  if constexpr (row < std::size(kCheckKinds)) {
    if (name == kCheckKinds[row].name || name == kCheckKinds[row].name_with_tls)
      return Kind(std::in_place_index<row>);
    return kind_named<Kind, row + 1>(name);
  }
  return std::nullopt;
}

/// Null for a kind without TLS.
template <typename... Kinds>
const TlsOptions* tls_of(const std::variant<Kinds...>& kind) {
  const auto member = [](const auto& check) -> const TlsOptions* {
    if constexpr (requires { check.tls; })
      return &check.tls;
    else
      return nullptr;
  };
  return std::visit(member, kind);
}

template <typename... Kinds>
bool uses_tls(const std::variant<Kinds...>& kind) {
  const TlsOptions* tls = tls_of(kind);
  return tls != nullptr && tls->on;
}

template <typename... Kinds>
bool needs_module(const std::variant<Kinds...>& kind) {
  const ModuleNeed need = facts_of(kind).module;
  return need == ModuleNeed::always || (need == ModuleNeed::with_tls && uses_tls(kind));
}

}  // namespace outrider
