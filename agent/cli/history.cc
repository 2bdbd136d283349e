// SPDX-License-Identifier: Apache-2.0
// `outrider history [NAME]`: recent changes, and what DNS answered because of them.
#include <cstdio>

#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"
#include "agent/cli/local_time.h"
#include "base/wall_time.h"

namespace outrider::cli {
namespace {

/// Addresses of one answer that are shown.
constexpr std::size_t kAddressesShown = 3;

std::string local_at(const json::Value& value, std::string_view key, WallTime now) {
  const auto when = parse_wall_time(text_at(value, key));
  return when ? local_text(*when, now) : "-";
}

Cell change_cell(const json::Value& event) {
  const std::string kind = text_at(event, "kind");
  if (kind == "host" || kind == "forgotten") return {kind, Tint::faint};
  const std::string from = text_at(event, "from"), to = text_at(event, "to");
  const Tint tint = kind == "removed" ? Tint::bad : tint_of(to);
  return {from == to ? to : from + " -> " + to, tint};
}

Cell answer_cell(const json::Value& event) {
  const json::Value* const dns = event.find("dns");
  if (dns == nullptr) return {"-"};
  const std::string answer = text_at(*dns, "answer");
  if (answer != "NOERROR") return {answer, Tint::bad};
  std::string text;
  std::size_t count = 0;
  for (const std::string_view key : {"A", "AAAA", "SRV"}) {
    if (key == "SRV" && count > 0) break;  // for names without addresses
    for (const json::Value& data : list_at(*dns, key))
      if (data.as_string() != nullptr && ++count <= kAddressesShown)
        text += (text.empty() ? "" : ", ") + *data.as_string();
  }
  if (count > kAddressesShown) text += " and " + std::to_string(count - kAddressesShown) + " more";
  return {text.empty() ? answer : text, Tint::good};
}

}  // namespace

int show_history(const Arguments& arguments) {
  const bool named = !arguments.positional().empty();
  std::string target = "/v1/outrider/history";
  if (named) target += '/' + http::percent_encode(arguments.positional().front());
  if (arguments.has("last")) target += "?last=" + http::percent_encode(arguments.get("last"));
  const auto found = get_document(arguments, target);
  if (!found) return found.error();
  if (arguments.has("json")) return print_json(found->text), kDone;
  const WallTime now = wall_now();
  Table table(
      {"TIME", named ? "INSTANCE" : "SERVICE/INSTANCE", "CHANGE", "ENDPOINT", "ANSWER", "REASON"});
  for (const json::Value& event : list_at(found->value, "events")) {
    std::string who = text_at(event, "instance");
    if (!named && event.find("service") != nullptr)
      who = text_at(event, "service") + (who.empty() ? "" : '/' + who);
    table.add({{local_at(event, "at", now), Tint::faint},
               {who.empty() ? "-" : who, Tint::strong},
               change_cell(event),
               {endpoint_of(event)},
               answer_cell(event),
               {text_at(event, "reason")}});
  }
  const std::string since = local_at(found->value, "since", now);
  if (table.empty())
    return std::fputs(("nothing has changed since " + since + '\n').c_str(), stderr), kDone;
  return print(table.text()), kDone;
}

}  // namespace outrider::cli
