// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/check_rules.h"

#include <algorithm>

#include "agent/registry/rows.h"

namespace outrider::registry {
namespace {

/// Letters, digits, and these marks.
bool consists_of(std::string_view text, std::string_view marks) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           marks.find(c) != std::string_view::npos;
  });
}

/// Of every kind that has a target.
constexpr std::string_view kProbeKeys[] = {"interval",
                                           "timeout",
                                           "start_interval",
                                           "start_timeout",
                                           "edge_interval",
                                           "success_before_passing",
                                           "failures_before_warning",
                                           "failures_before_critical",
                                           "refused_is_critical",
                                           "allow_remote"};

bool takes(const CheckKindFacts& kind, std::string_view key) {
  return (kind.has_target && std::ranges::find(kProbeKeys, key) != std::end(kProbeKeys)) ||
         std::ranges::find(kind.keys, key) != kind.keys.end();
}

/// Where nothing is probed, one heartbeat decides. Earlier versions wrote that into their files.
constexpr std::string_view kThresholds[] = {"success_before_passing", "failures_before_warning",
                                            "failures_before_critical"};

/// True if the value was given, not filled in, and says more than what holds anyway.
bool is_given(const json::Value& rows, const Row& row) {
  const json::Value& given = *rows.find(row.key);
  std::string value;
  json::Writer(value).value(given);
  // "1m" is 60s: earlier versions wrote that into their files, too.
  if (const std::string* text = given.as_string(); text != nullptr && row.type == RowType::duration)
    if (const auto duration = parse_duration(*text);
        duration && duration == parse_duration(row.fallback.substr(1, row.fallback.size() - 2)))
      return false;
  const bool is_threshold = std::ranges::find(kThresholds, row.key) != std::end(kThresholds);
  return value != row.fallback && !(is_threshold && value == "1");
}

/// "http, grpc": the kinds for which `included` holds.
template <typename Predicate>
std::string kind_names(Predicate included) {
  std::string names;
  for (const CheckKindFacts& kind : kCheckKinds)
    if (included(kind)) names.append(names.empty() ? "" : ", ").append(kind.name);
  return names;
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && consists_of(text, "!#$%&'*+-.^_`|~");
}

bool is_authority(std::string_view text) {
  return consists_of(text, "-._:[]");
}

Result<CheckKindFacts, SpecError> kind_given(const json::Value& rows, std::string_view path) {
  const auto given = [&](const CheckKindFacts& kind) { return !absent(rows, kind.name); };
  const auto count = std::count_if(std::begin(kCheckKinds), std::end(kCheckKinds), given);
  if (count == 1) return *std::find_if(std::begin(kCheckKinds), std::end(kCheckKinds), given);
  const std::string all = kind_names([](const CheckKindFacts&) { return true; });
  return failure(
      SpecError{std::string(path),
                count == 0 ? "expected one of " + all : "only one of " + all + " is possible",
                {}});
}

std::optional<SpecError> wrong_for_kind(CheckKind kind, const json::Value& rows,
                                        std::string_view path) {
  for (const Row& row : check_rows()) {
    const auto takes_key = [&](const CheckKindFacts& facts) { return takes(facts, row.key); };
    const std::string takers = kind_names(takes_key);
    if (takers.empty() || takes_key(kCheckKinds[static_cast<std::size_t>(kind)])) continue;
    if (is_given(rows, row))
      return SpecError{join_path(path, row.key), "only for checks of kind " + takers, {}};
  }
  return std::nullopt;
}

std::optional<SpecError> wrong_tls(const TlsOptions& tls, std::string_view path) {
  const std::string at = join_path(path, "tls");
  if (!consists_of(tls.server_name, "-._"))
    return SpecError{join_path(at, "server_name"), "expected a host name", {}};
  if (!tls.key_file.empty() && tls.cert_file.empty())
    return SpecError{join_path(at, "key"), "needs a cert", {}};
  return std::nullopt;
}

}  // namespace outrider::registry
