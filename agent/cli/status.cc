// SPDX-License-Identifier: Apache-2.0
// `outrider status [NAME]`: the agent, and the services of this host as `outrider run` shows its
// own: state, reason, and where they are reached.
#include <algorithm>
#include <cstdio>
#include <memory>

#include <unistd.h>

#include "agent/cli/advice.h"
#include "agent/cli/agent_commands.h"
#include "agent/cli/answer.h"
#include "agent/cli/places.h"
#include "base/text.h"

namespace outrider::cli {
namespace {

void print_section(const json::Value& value, unsigned depth);

void print_member(const std::string& key, const json::Value& value, unsigned depth) {
  const std::string indent(depth * 2, ' ');
  if (value.as_object() != nullptr) {
    print(indent + tinted(key, Tint::strong) + '\n');
    return print_section(value, depth + 1);
  }
  std::string text;
  if (const json::Array* list = value.as_array()) {
    bool simple = true;
    for (const json::Value& item : *list)
      simple = simple && item.as_object() == nullptr && item.as_array() == nullptr;
    if (!simple) {
      print(indent + tinted(key, Tint::strong) + '\n');
      for (const json::Value& item : *list) {
        print_section(item, depth + 1);
        if (&item != &list->back()) print("\n");
      }
      return;
    }
    for (const json::Value& item : *list) {
      std::string one;
      json::Writer(one).value(item);
      text += (text.empty() ? "" : ", ") + (item.as_string() ? *item.as_string() : one);
    }
    if (text.empty()) text = "none";
  } else if (const std::string* content = value.as_string()) {
    text = content->empty() ? "-" : *content;
  } else {
    json::Writer(text).value(value);
  }
  std::string name = key;
  for (char& c : name)
    if (c == '_') c = ' ';
  name.resize(std::max<std::size_t>(name.size() + 1, 24 - indent.size()), ' ');
  print(indent + tinted(name, Tint::faint) + tinted(text, Tint::plain) + '\n');
}

/// Scalars first: they would otherwise appear to belong to the nested section above them.
void print_section(const json::Value& value, unsigned depth) {
  const json::Object* object = value.as_object();
  if (object == nullptr) return;
  for (const bool nested : {false, true}) {
    for (const auto& [key, content] : *object)
      if ((content.as_object() != nullptr) == nested) print_member(key, content, depth);
  }
}

/// An instance, and what is known of it.
struct Entry {
  std::shared_ptr<const json::Value> explanation;  // of its service's name
  const json::Value* about;                        // the entry of this instance there
  std::optional<Endpoint> tried;
  bool is_only = true;  // of those of its service that are shown
  beside::Places places;
  const json::Value& instance() const { return *about->find("instance"); }
};
/// At most kTrialsMax.
struct Found {
  std::vector<Entry> entries;
  bool has_more = false;
};

/// Not what a program of this host announces by itself: that is another program's matter.
bool is_registered_here(const json::Value& about) {
  const std::string source = text_at(*about.find("instance"), "source");
  return source == "own" || source == "host";
}

enum class Which : std::uint8_t { registered_here, all };
void add_entries(json::Value document, Which which, Found& found) {
  const auto explanation = std::make_shared<const json::Value>(std::move(document));
  const std::size_t before = found.entries.size();
  for (const json::Value& about : list_at(*explanation, "instances")) {
    const bool is_wanted =
        about.find("instance") != nullptr && (which == Which::all || is_registered_here(about));
    if (!is_wanted) continue;
    found.has_more = found.entries.size() == kTrialsMax;
    if (found.has_more) break;
    found.entries.push_back({explanation, &about, {}, true, {}});
  }
  const bool is_only = found.entries.size() - before == 1;
  for (std::size_t i = before; i < found.entries.size(); ++i)
    found.entries[i].is_only = is_only;
}

/// Of this host; the error is an exit code.
Result<Found, int> find_entries(AgentClient& client) {
  const auto services = get_document(client, "/v1/outrider/services");
  if (!services) return failure(services.error());
  Found found;
  std::size_t asked = 0;
  for (const json::Value& service : list_at(services->value, "services")) {
    if (number_at(service, "this_host") == 0) continue;
    found.has_more = found.has_more || ++asked > kTrialsMax;
    if (found.has_more) break;
    auto why =
        get_document(client, "/v1/outrider/why/" + http::percent_encode(text_at(service, "label")),
                     Accept::ok_and_not_found);
    if (!why) return failure(why.error());
    add_entries(std::move(why->value), Which::registered_here, found);
  }
  return found;
}

void find_places(const json::Value& status, std::vector<Entry>& entries) {
  std::vector<beside::TrialPlan> plans;
  std::vector<Entry*> tried;
  for (Entry& entry : entries) {
    auto plan = plan_for(entry.instance(), *entry.explanation, status);
    if (!plan) continue;
    entry.tried = plan->here;
    plans.push_back(std::move(*plan));
    tried.push_back(&entry);
  }
  std::vector<beside::Places> found = try_places(plans);
  for (std::size_t i = 0; i < tried.size(); ++i)
    tried[i]->places = std::move(found[i]);
}

/// "critical for 3s, check http: HTTP 503: db down"
std::string reason_of(const Entry& entry) {
  std::string reason = text_at(*entry.about, "reason");
  for (const std::string_view known : {"not in the answer: ", "in the answer: "})
    if (reason.starts_with(known)) reason.erase(0, known.size());
  return reason;
}

/// What the first check said last.
std::string check_of(const Entry& entry) {
  const json::Array& probes = list_at(*entry.about, "probes");
  if (probes.empty()) return {};
  const json::Array& recent = list_at(probes.front(), "recent");
  if (recent.empty()) return {};
  const json::Value* const latency = recent.front().find("latency_ms");
  const double* const milliseconds = latency == nullptr ? nullptr : latency->as_double();
  return beside::check_text(
      text_at(probes.front(), "kind"), text_at(recent.front(), "output"),
      std::chrono::duration_cast<Duration>(
          std::chrono::duration<double, std::milli>(milliseconds == nullptr ? 0 : *milliseconds)));
}

/// Why other hosts do not reach it; empty: they do, as far as is known.
std::string lan_limit_of(const json::Value& instance) {
  const std::string limit = text_at(instance, "limit");
  if (!limit.empty()) return limit + "; " + text_at(instance, "advice");
  return text_at(instance, "scope") == "host" ? "its scope is this host" : "";
}

std::string block_of(const Entry& entry) {
  const json::Value& instance = entry.instance();
  beside::Block block;
  block.service = text_at(instance, "service");
  if (!entry.is_only) block.service += " (" + text_at(instance, "id") + ')';
  std::vector<std::string> listen;
  for (const json::Value& on : list_at(*entry.explanation, "listen"))
    if (const std::string* text = on.as_string()) listen.push_back(*text);
  const json::Array& names = list_at(*entry.explanation, "dns");
  if (!names.empty()) block.dns_name = text_at(names.front(), "name");
  block.is_installable = can_be_installed(listen);
  const std::string health = text_at(instance, "health"), reason = reason_of(entry);
  block.health = health;
  if (reason.starts_with(health))
    block.health = reason;
  else
    block.check = reason;
  if (health == "passing") block.check = check_of(entry);
  block.places = entry.places;
  if (entry.tried) block.silent = entry.tried->to_string();
  block.lan_limit = lan_limit_of(instance);
  return beside::write_block(block);
}

void write_entry(json::Writer& out, const Entry& entry) {
  const json::Value& instance = entry.instance();
  const beside::Places& places = entry.places;
  out.begin_object().member("service", text_at(instance, "service"));
  out.member("id", text_at(instance, "id")).member("health", text_at(instance, "health"));
  out.member("since", text_at(instance, "changed")).member("reason", reason_of(entry));
  if (const std::string check = check_of(entry); !check.empty()) out.member("check", check);
  out.member("source", text_at(instance, "source"));
  if (entry.tried) out.member("tried", entry.tried->to_string());
  out.key("places").begin_object();
  const std::pair<const char*, const std::string*> known[] = {
      {"open", &places.bridge}, {"here", &places.here},         {"name", &places.name},
      {"lan", &places.lan},     {"lan_name", &places.lan_name}, {"page", &places.page}};
  for (const auto& [key, place] : known)
    if (!place->empty()) out.member(key, *place);
  out.end_object();
  if (const std::string limit = lan_limit_of(instance); !limit.empty())
    out.member("lan_limit", limit);
  out.end_object();
}

/// The members of `status`, if that is an object, and "services".
std::string json_of(const json::Value& status, const std::vector<Entry>& entries) {
  std::string text;
  json::Writer out(text);
  out.begin_object();
  if (const json::Object* members = status.as_object())
    for (const auto& [key, value] : *members)
      out.key(key).value(value);
  out.key("services").begin_array();
  for (const Entry& entry : entries)
    write_entry(out, entry);
  out.end_array().end_object();
  return text + '\n';
}

void print_blocks(const Found& found) {
  for (const Entry& entry : found.entries)
    print(block_of(entry));
  if (found.has_more) print("  and more; to list them: outrider instances\n");
}

/// The state of one service is the exit code, too.
int print_service(AgentClient& client, const std::string& name, bool as_json) {
  auto why = get_document(client, "/v1/outrider/why/" + http::percent_encode(name),
                          Accept::ok_and_not_found);
  if (!why) return why.error();
  const Exit code = exit_code_of_name(*why);
  if (code == kNotFound) return complain(text_at(why->value, "summary"), code);
  Found found;
  add_entries(std::move(why->value), Which::all, found);
  const auto status = get_document(client, "/v1/outrider/status");
  if (!status) return status.error();
  find_places(status->value, found.entries);
  if (as_json) return print_json(json_of({}, found.entries)), code;
  return print_blocks(found), code;
}

}  // namespace

int print_status(const Arguments& arguments) {
  AgentClient client(arguments.get("socket"));
  const bool as_json = arguments.has("json");
  if (!arguments.positional().empty())
    return print_service(client, arguments.positional().front(), as_json);
  const auto status = get_document(client, "/v1/outrider/status");
  if (!status) return status.error();
  if (!as_json) print_section(status->value, 0);
  // Without a terminal, this is the health check of a container: it must be quick, and must not
  // ask its program.
  if (!as_json && ::isatty(STDOUT_FILENO) != 1) return kDone;
  (void)std::fflush(stdout);  // addresses that do not answer take their time
  auto found = find_entries(client);
  if (!found) return found.error();
  find_places(status->value, found->entries);
  if (as_json) return print_json(json_of(status->value, found->entries)), kDone;
  return print_blocks(*found), kDone;
}

}  // namespace outrider::cli
