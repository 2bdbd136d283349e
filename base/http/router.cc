// SPDX-License-Identifier: Apache-2.0
#include "base/http/router.h"

#include <algorithm>

namespace outrider::http {

std::string_view fixed_part(std::string_view pattern) {
  return pattern.substr(0, pattern.find('{'));
}

std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
  const std::string_view prefix = fixed_part(pattern);
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  const bool takes_rest = prefix.size() != pattern.size();
  if (path.empty() == takes_rest) return std::nullopt;
  return path;
}

Answer unknown_path(std::string_view documentation) {
  return error_answer(404, "unknown path; see " + std::string(documentation));
}

Answer method_not_allowed(std::span<const std::string_view> methods) {
  std::vector<std::string_view> once;
  for (const std::string_view method : methods)
    if (std::find(once.begin(), once.end(), method) == once.end()) once.push_back(method);
  std::string allow, use;
  for (const std::string_view method : once) {
    if (!allow.empty()) allow += ", ", use += " or ";
    allow += method, use += method;
  }
  Answer answer = error_answer(405, "method not allowed; use " + use);
  answer.headers.emplace_back("Allow", std::move(allow));
  return answer;
}

}  // namespace outrider::http
