// SPDX-License-Identifier: Apache-2.0
// `outrider registries`: the registries beyond the local network.
#include <cstdio>

#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"

namespace outrider::cli {
namespace {

Tint tint_of_state(const std::string& state) {
  return state == "current" ? Tint::good : state == "connecting" ? Tint::fair : Tint::bad;
}

/// What people have to know beside the table, a line each.
std::string remarks(const json::Value& registry) {
  std::string text;
  const auto add = [&](const std::string& line) { text += tinted(line, Tint::fair) + '\n'; };
  const std::string kind = text_at(registry, "kind");
  for (const json::Value& place : list_at(registry, "places")) {
    const std::string at = kind + ' ' + text_at(place, "place") + ": ";
    if (const std::string reason = text_at(place, "reason"); !reason.empty()) add(at + reason);
    if (const std::string error = text_at(place, "last_error"); !error.empty())
      add(at + "last error: " + error);
    if (flag_at(place, "doubted"))
      add(at + "suddenly lacks entries; they are kept until it has confirmed that");
    for (const json::Value& warning : list_at(place, "warnings"))
      if (warning.as_string() != nullptr) add(at + *warning.as_string());
  }
  for (const json::Value& conflict : list_at(registry, "conflicts"))
    add(kind + ": " + text_at(conflict, "key") + " of " + text_at(conflict, "instance") +
        " is held by " + text_at(conflict, "holder"));
  return text;
}

/// What is copied between them; empty if nothing is.
std::string exports_text(const json::Value& document) {
  Table table({"EXPORT", "FROM", "TO", "STATE", "INSTANCES"});
  std::string text;
  for (const json::Value& each : list_at(document, "exports")) {
    const bool held = text_at(each, "state") == "exporting";
    table.add({{text_at(each, "service"), Tint::strong},
               {text_at(each, "from")},
               {text_at(each, "to")},
               {text_at(each, "state"), held ? Tint::good : Tint::plain},
               {held ? std::to_string(number_at(each, "instances")) : "-"}});
    if (const std::string reason = text_at(each, "reason"); !reason.empty())
      text += tinted(text_at(each, "service") + " to " + text_at(each, "to") + ": " + reason,
                     Tint::fair) +
              '\n';
  }
  return table.empty() ? text : '\n' + table.text() + text;
}

}  // namespace

int list_registries(const Arguments& arguments) {
  const auto found = get_document(arguments, "/v1/outrider/registries");
  if (!found) return found.error();
  if (arguments.has("json")) return print_json(found->text), kDone;
  Table table({"REGISTRY", "ENDPOINT", "STATE", "READ", "WRITTEN", "LEASE", "KEPT"});
  std::string text;
  for (const json::Value& registry : list_at(found->value, "registries")) {
    const std::string kind = text_at(registry, "kind");
    const bool publishes = flag_at(registry, "publish");
    if (const std::string why = text_at(registry, "unavailable"); !why.empty())
      table.add(
          {{kind, Tint::strong}, {"-"}, {"unavailable", Tint::bad}, {"-"}, {"-"}, {"-"}, {"-"}}),
          text += tinted(kind + ": " + why, Tint::fair) + '\n';
    for (const json::Value& place : list_at(registry, "places")) {
      const std::string state = text_at(place, "state");
      const std::string left = text_at(place, "lease_left");
      table.add({{kind, Tint::strong},
                 {text_at(place, "endpoint")},
                 {state, tint_of_state(state)},
                 {std::to_string(number_at(place, "read"))},
                 {publishes ? std::to_string(number_at(place, "written")) : "read only"},
                 {left.empty() ? "-" : left + " of " + text_at(place, "lease_granted")},
                 {text_at(registry, "keep")}});
    }
    text += remarks(registry);
  }
  if (table.empty()) return std::fputs("no registries are configured\n", stderr), kDone;
  return print(table.text() + text + exports_text(found->value)), kDone;
}

}  // namespace outrider::cli
