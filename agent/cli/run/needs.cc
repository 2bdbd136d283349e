// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/needs.h"

#include <algorithm>

#include "agent/doors/why.h"
#include "agent/registry/served.h"
#include "base/text.h"

namespace outrider::cli::beside {
namespace {

bool is_variable_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// The first instance of an answer that has a port and an address.
std::optional<FoundNeed> usable_one(const doors::View& view, const doors::Findings& found) {
  if (found.last_resort) return std::nullopt;
  for (const registry::InstancePtr& instance : found.answered) {
    const std::vector<IpAddress> addresses = served_addresses(*instance, view.host);
    if (instance->port == 0 || addresses.empty()) continue;
    return FoundNeed{{}, instance, Endpoint{addresses.front(), instance->port}};
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<std::string>, std::string> parse_names(const std::vector<std::string>& values) {
  std::vector<std::string> names;
  for (std::string_view list : values) {
    while (true) {
      const std::size_t comma = list.find(',');
      const std::string name(list.substr(0, comma));
      if (name.empty()) return failure(std::string("expected the name of a service"));
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
      if (comma == std::string_view::npos) break;
      list.remove_prefix(comma + 1);
    }
  }
  if (names.size() > kNeedsMax)
    return failure("at most " + std::to_string(kNeedsMax) + " services");
  return names;
}

Result<std::vector<std::string>, std::string> parse_needs(const std::vector<std::string>& values) {
  auto names = parse_names(values);
  if (!names) return failure("--need: " + names.error());
  for (std::size_t i = 0; i < names->size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (const std::string &a = (*names)[j], &b = (*names)[i];
          variable_name(a) == variable_name(b))
        return failure("--need: " + a + " and " + b + " would share the variable " +
                       variable_name(a) + "_HOST");
  return names;
}

NeedsNow look_for_needs(const doors::View& view, const std::vector<std::string>& names) {
  NeedsNow now;
  for (const std::string& name : names) {
    const doors::Findings found = doors::look_for(view, name);
    if (auto one = usable_one(view, found)) {
      one->name = name;
      now.found.push_back(std::move(*one));
      continue;
    }
    const doors::Reasons reasons = doors::reasons_for(view, found, 1);
    std::string why = reasons.summary;
    if (!reasons.lines.empty()) why += ' ' + reasons.lines[0].id + ": " + reasons.lines[0].reason;
    now.missing.push_back({name, std::move(why), !found.meant.empty()});
  }
  return now;
}

std::string variable_name(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    out += is_variable_character(c) ? c : '_';
  }
  // A shell's variable begins with no digit.
  if (!out.empty() && out.front() >= '0' && out.front() <= '9') out.insert(0, "_");
  return out;
}

std::string url_of(const registry::Instance& instance, const Endpoint& endpoint) {
  const std::string& protocol = instance.protocol;
  return (protocol.empty() ? "tcp" : protocol) + "://" + endpoint.to_string();
}

std::vector<std::string> variables_of(const std::vector<FoundNeed>& needs) {
  std::vector<std::string> variables;
  for (const FoundNeed& need : needs) {
    const std::string name = variable_name(need.name);
    variables.push_back(name + "_HOST=" + need.endpoint.address.to_string());
    variables.push_back(name + "_PORT=" + std::to_string(need.endpoint.port));
    variables.push_back(name + "_URL=" + url_of(*need.instance, need.endpoint));
  }
  return variables;
}

}  // namespace outrider::cli::beside
