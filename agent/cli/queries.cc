// SPDX-License-Identifier: Apache-2.0
// services, instances, resolve, api, watch.
#include <cstdio>
#include <set>
#include <string>

#include <poll.h>
#include <unistd.h>

#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"
#include "agent/registry/selection.h"
#include "base/json_repeated.h"
#include "base/text.h"

namespace outrider::cli {
namespace {

/// "?a=b&c=d" from the flags that are query parameters of the same name.
std::string query_of(const Arguments& arguments, std::initializer_list<std::string_view> flags) {
  std::string out;
  for (const std::string_view flag : flags) {
    for (const std::string& value : arguments.all(flag)) {
      out += (out.empty() ? '?' : '&') + std::string(flag);
      if (!value.empty()) out += '=' + http::percent_encode(value);
    }
  }
  return out;
}

std::string shares(std::int64_t part, std::int64_t whole) {
  return std::to_string(part) + " of " + std::to_string(whole);
}

Table instance_table(const json::Array& instances) {
  Table table({"ID", "HEALTH", "ENDPOINT", "VERSION", "SOURCE", "TAGS"});
  for (const json::Value& instance : instances) {
    const std::string health = text_at(instance, "health");
    std::string source = text_at(instance, "source");
    if (source == "own") source = "here";
    if (const std::string door = text_at(instance, "door"); !door.empty()) source += ", by " + door;
    if (source == "host") source = "this host";
    if (source == "sighting") source = flag_at(instance, "this_host") ? "this host" : "network";
    if (const json::Array& places = list_at(instance, "seen_at"); !places.empty())
      if (const std::string via = text_at(places.front(), "via"); !via.empty())
        source += ", from " + via;
    std::set<std::string> missing;
    for (const json::Value& place : list_at(instance, "written_to"))
      if (text_at(place, "state") != "written") missing.insert(text_at(place, "engine"));
    for (const std::string& engine : missing)
      source += ", not in " + engine;
    if (flag_at(instance, "stale")) source += ", stale";
    if (flag_at(instance, "shadowed")) source += ", replaced";
    const std::string version = text_at(instance, "version");
    table.add({{text_at(instance, "id"), Tint::strong},
               {health, tint_of(health)},
               {endpoint_of(instance)},
               {version.empty() ? "-" : version},
               {source},
               {joined_at(instance, "tags", ",")}});
  }
  return table;
}

void print_change(const json::Value& change) {
  const json::Value* instance = change.find("instance");
  if (instance == nullptr) return;
  const std::string kind = text_at(change, "kind");
  const std::string health = kind == "removed" ? "gone" : text_at(*instance, "health");
  const Tint tint = kind == "removed" ? Tint::bad : tint_of(health);
  std::string line = kind == "added" ? "+ " : kind == "removed" ? "- " : "~ ";
  line += tinted(text_at(*instance, "service"), Tint::strong) + ' ';
  line += tinted(text_at(*instance, "id"), Tint::plain) + ' ';
  line += tinted(endpoint_of(*instance), Tint::plain) + ' ' + tinted(health, tint) + '\n';
  print(line);
}

/// False once the reader of our standard output has closed its end. While nothing changes nothing
/// is written, so no failing write would reveal it.
bool output_is_read() {
  pollfd out{STDOUT_FILENO, 0, 0};
  return ::poll(&out, 1, 0) <= 0 || (out.revents & POLLERR) == 0;
}

}  // namespace

int list_services(const Arguments& arguments) {
  const auto found =
      get_document(arguments, "/v1/outrider/services" + query_of(arguments, {"prefix", "tag"}));
  if (!found) return found.error();
  if (arguments.has("json")) return print_json(found->text), kDone;
  Table table({"SERVICE", "HEALTHY", "HERE", "TAGS"});
  for (const json::Value& service : list_at(found->value, "services")) {
    const std::int64_t known = number_at(service, "instances") + number_at(service, "dropped");
    const std::int64_t served = number_at(service, "served");
    const Tint tint = served == known ? Tint::good : served == 0 ? Tint::bad : Tint::fair;
    table.add({{text_at(service, "name"), Tint::strong},
               {shares(served, known), tint},
               {std::to_string(number_at(service, "this_host"))},
               {joined_at(service, "tags", ",")}});
  }
  if (table.empty()) return std::fputs("no services are known\n", stderr), kDone;
  return print(table.text()), kDone;
}

int list_instances(const Arguments& arguments) {
  const bool named = !arguments.positional().empty();
  const std::string name = named ? '/' + http::percent_encode(arguments.positional().front()) : "";
  AgentClient client(arguments.get("socket"));
  const auto found =
      get_document(client, "/v1/outrider/instances" + name +
                               query_of(arguments, {"passing", "tag", "version", "metadata"}));
  if (!found) return found.error();
  // A program reads from the list that it is empty.
  if (arguments.has("json")) return print_json(found->text), kDone;
  const Table table = instance_table(list_at(found->value, "instances"));
  if (!table.empty()) return print(table.text()), kDone;
  if (!named) return std::fputs("no instances match\n", stderr), kDone;
  const auto why = get_document(client, "/v1/outrider/why" + name, Accept::ok_and_not_found);
  if (!why) return why.error();
  const bool known = exit_code_of_name(*why) != kNotFound;
  return complain(known ? "no instances match" : text_at(why->value, "summary"),
                  known ? kFailed : kNotFound);
}

int resolve(const Arguments& arguments) {
  const std::string named = arguments.get("strategy");
  const auto strategy = registry::parse_strategy(named);
  if (arguments.has("strategy") && !strategy) {
    std::vector<std::string> names;
    for (const std::string_view name : registry::strategy_names())
      names.emplace_back(name);
    const std::string last = names.back();
    names.pop_back();
    return complain(
        "--strategy: expected " + join(names, ", ") + " or " + last + ", not \"" + named + '"',
        kUsage);
  }
  if (strategy == registry::Strategy::consistent_hash && arguments.get("key").empty())
    return complain("--strategy consistent_hash needs --key KEY", kUsage);
  AgentClient client(arguments.get("socket"));
  const auto found = get_selection(client, arguments.positional().front(),
                                   query_of(arguments, {"strategy", "key", "tag"}));
  if (!found) return found.error();
  if (arguments.has("json")) return print_json(found->text), kDone;
  return print(tinted(text_at(found->value, "endpoint"), Tint::plain) + '\n'), kDone;
}

namespace {

std::string in_capitals(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

}  // namespace

int print_api(const Arguments& arguments) {
  const auto found = get_document(arguments, "/openapi.json");
  if (!found) return found.error();
  if (arguments.has("json")) return print_json(found->text), kDone;
  const json::Value* paths = found->value.find("paths");
  Table table({"METHOD", "PATH", "SUMMARY"});
  if (paths != nullptr && paths->as_object() != nullptr)
    for (const auto& [path, methods] : *paths->as_object())
      if (methods.as_object() != nullptr)
        for (const auto& [method, operation] : *methods.as_object())
          table.add({{in_capitals(method)}, {path, Tint::strong}, {text_at(operation, "summary")}});
  return print(table.text()), kDone;
}

int watch_changes(const Arguments& arguments) {
  std::string target = "/v1/outrider/watch";
  if (!arguments.positional().empty())
    target += '/' + http::percent_encode(arguments.positional().front());
  const bool as_json = arguments.has("json");
  bool lagged = false;
  const int code = AgentClient(arguments.get("socket"))
                       .stream(target, [&](std::string_view event, std::string_view data) {
                         if (event.empty()) return output_is_read();
                         if (event == "lagged") return lagged = true, false;
                         if (as_json) {
                           print_json("{\"event\":\"" + std::string(event) +
                                      "\",\"data\":" + std::string(data) + "}\n");
                           return std::fflush(stdout) == 0;
                         }
                         const auto value = json::parse_repeated(data, kEventBytesMax);
                         if (!value) return false;
                         if (event == "snapshot") {
                           const Table table = instance_table(list_at(*value, "instances"));
                           if (!table.empty()) print(table.text());
                         }
                         for (const json::Value& change : list_at(*value, "changes"))
                           print_change(change);
                         return std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
                       });
  return lagged ? complain("disconnected: changes arrived faster than they were read", kFailed)
                : code;
}

}  // namespace outrider::cli
