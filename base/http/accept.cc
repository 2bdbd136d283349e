// SPDX-License-Identifier: Apache-2.0
#include "base/http/accept.h"

#include <algorithm>
#include <string>

#include "base/text.h"

namespace outrider::http {
namespace {

/// Thousandths, "0.5" being 500; 1000 where there is none, 0 where it is malformed.
int weight_of(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::size_t end = std::min(parameters.find(';'), parameters.size());
    const std::string_view one = without_blanks(parameters.substr(0, end));
    parameters.remove_prefix(std::min(end + 1, parameters.size()));
    if (one.size() < 3 || lower(one[0]) != 'q' || one[1] != '=') continue;
    const std::string_view value = one.substr(2);
    if (value.front() == '1') return 1000;
    std::string digits(value.size() > 2 ? value.substr(2, 3) : std::string_view());
    digits.resize(3, '0');
    return value.front() == '0' ? parse_number<int>(digits).value_or(0) : 0;
  }
  return 1000;
}

}  // namespace

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

Form preferred_form(std::string_view accept) {
  int page = 0, json = 0;
  while (!accept.empty()) {
    const std::size_t end = std::min(accept.find(','), accept.size());
    const std::string_view one = accept.substr(0, end);
    accept.remove_prefix(std::min(end + 1, accept.size()));
    const std::size_t semicolon = std::min(one.find(';'), one.size());
    const std::string_view type = without_blanks(one.substr(0, semicolon));
    const std::string_view rest = one.substr(std::min(semicolon + 1, one.size()));
    if (equal_fold(type, "text/html")) page = weight_of(rest);
    if (equal_fold(type, "application/json")) json = weight_of(rest);
  }
  if (json > page) return Form::json;
  return page > 0 ? Form::page : Form::text;
}

}  // namespace outrider::http
