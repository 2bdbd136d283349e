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

constexpr std::pair<std::string_view, std::string_view> kOnlyFor[] = {
    {"target", "grpc"},      {"unix_socket", "http"},   {"host", "http"},
    {"method", "http"},      {"headers", "http"},       {"body", "http"},
    {"expect_body", "http"}, {"expect_status", "http"}, {"expect_header", "http"},
    {"reuse", "http"},       {"tls", "http, grpc"},     {"initial", "ttl"}};

/// Said, and not just filled in.
bool is_said(const json::Value& rows, std::string_view key) {
  const auto row = std::find_if(check_rows().begin(), check_rows().end(),
                                [&](const Row& each) { return each.key == key; });
  std::string value;
  json::Writer(value).value(*rows.find(key));
  return value != row->fallback;
}

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && consists_of(text, "!#$%&'*+-.^_`|~");
}

bool is_authority(std::string_view text) {
  return consists_of(text, "-._:[]");
}

std::optional<SpecError> wrong_for_kind(std::string_view kind, const json::Value& rows,
                                        std::string_view path) {
  for (const auto& [key, kinds] : kOnlyFor)
    if (kinds.find(kind) == std::string_view::npos && is_said(rows, key))
      return SpecError{join_path(path, key), "only for checks of kind " + std::string(kinds), {}};
  return std::nullopt;
}

std::optional<SpecError> wrong_tls(const TlsSpec& tls, std::string_view path) {
  const std::string at = join_path(path, "tls");
  if (!consists_of(tls.server_name, "-._"))
    return SpecError{join_path(at, "server_name"), "expected a host name", {}};
  if (!tls.key_file.empty() && tls.cert_file.empty())
    return SpecError{join_path(at, "key"), "needs a cert", {}};
  return std::nullopt;
}

}  // namespace outrider::registry
