// SPDX-License-Identifier: Apache-2.0
#include "base/http/router.h"

#include <algorithm>

#include "base/json.h"

namespace outrider::http {
namespace {

/// For clients that cannot set a header; the guard takes it.
constexpr std::string_view kToken = "token";

std::string unknown_parameter(std::string_view name, std::span<const Parameter> known,
                              std::span<const Parameter> others) {
  std::string why = "unknown parameter \"" + std::string(name) + '"';
  if (known.empty() && others.empty()) return why + "; this path takes none";
  std::vector<std::string_view> names;
  for (const auto& list : {known, others})
    for (const Parameter& parameter : list)
      names.push_back(parameter.name);
  if (const std::string_view near = json::nearest(name, names); !near.empty())
    return why + "; did you mean \"" + std::string(near) + "\"?";
  why += "; this path takes ";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) why += i + 1 == names.size() ? " and " : ", ";
    why += names[i];
  }
  return why;
}

}  // namespace

std::optional<bool> flag_of(std::string_view value) {
  if (value.empty() || value == "1" || value == "true") return true;
  if (value == "0" || value == "false") return false;
  return std::nullopt;
}

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

std::optional<std::string> wrong_parameter(const Target& target, std::span<const Parameter> known,
                                           std::span<const Parameter> others) {
  for (auto at = target.query.begin(); at != target.query.end(); ++at) {
    const auto& [name, value] = *at;
    if (name == kToken) continue;
    const Parameter* found = nullptr;
    for (const auto& list : {known, others})
      for (const Parameter& one : list)
        if (found == nullptr && one.name == name) found = &one;
    if (found == nullptr) return unknown_parameter(name, known, others);
    if (found->form == ParameterForm::flag && !flag_of(value))
      return name + " must be true or false, not \"" + value + '"';
    if (found->form == ParameterForm::list) continue;
    const bool repeated = std::any_of(target.query.begin(), at,
                                      [&](const auto& before) { return before.first == name; });
    if (repeated) return name + " may be given only once";
  }
  return std::nullopt;
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
