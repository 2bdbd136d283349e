// SPDX-License-Identifier: Apache-2.0
// `outrider history [NAME]`: recent changes, and what DNS answered because of them.
#include <algorithm>
#include <cstdio>

#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"
#include "agent/cli/local_time.h"
#include "base/text.h"
#include "base/wall_time.h"

namespace outrider::cli {
namespace {

/// The most that an agent lists.
constexpr std::size_t kEventsMax = 1'000;
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

/// Whether any event is more than a change of the host, which every name's history has.
bool mentions_service(const json::Value& history) {
  return std::ranges::any_of(list_at(history, "events"), [](const json::Value& event) {
    return text_at(event, "kind") != "host";
  });
}

}  // namespace

int show_history(const Arguments& arguments) {
  const bool named = !arguments.positional().empty();
  if (arguments.has("last"))
    if (const auto last = parse_number<std::size_t>(arguments.get("last"));
        !last || *last == 0 || *last > kEventsMax)
      return complain("--last: expected 1 to " + std::to_string(kEventsMax) + ", not \"" +
                          arguments.get("last") + '"',
                      kUsage);
  std::string target = "/v1/outrider/history";
  if (named) target += '/' + http::percent_encode(arguments.positional().front());
  if (arguments.has("last")) target += "?last=" + http::percent_encode(arguments.get("last"));
  const auto found = get_document(arguments, target);
  if (!found) return found.error();
  if (named && !mentions_service(found->value)) {
    const auto known = get_document(
        arguments, "/v1/outrider/why/" + http::percent_encode(arguments.positional().front()),
        Accept::ok_and_not_found);
    if (!known) return known.error();
    if (known->status == 404) return complain(text_at(known->value, "summary"), kNotFound);
  }
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
