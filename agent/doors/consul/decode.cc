// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "agent/doors/actions.h"
#include "agent/doors/consul/consul.h"
#include "base/text.h"

namespace outrider::doors::consul {
namespace {

using json::Object;
using json::Value;

Value text(std::string_view content) {
  return Value(std::string(content));
}
Value integer(std::int64_t content) {
  return Value(content);
}

std::string flat_name(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '_') continue;
    out += lower(c);
  }
  return out;
}

/// The text of a member; empty if absent or null. Another type is an error, described in `wrong`.
std::string text_of(const Value& object, std::string_view name, std::string& wrong) {
  const Value* found = member(object, name);
  if (found == nullptr || found->is_null()) return {};
  if (const std::string* content = found->as_string()) return *content;
  wrong = std::string(name) + ": expected a string, got " + found->type_name();
  return {};
}

bool flag_of(const Value& object, std::string_view name) {
  const Value* found = member(object, name);
  return found != nullptr && found->as_bool() != nullptr && *found->as_bool();
}

/// A duration in the form of the configuration; nothing if absent or empty.
std::optional<std::string> duration_of(const Value& object, std::string_view name,
                                       std::string& wrong) {
  const Value* found = member(object, name);
  if (found == nullptr || found->is_null()) return std::nullopt;
  std::optional<Duration> duration;
  if (const std::string* content = found->as_string()) {
    if (content->empty()) return std::nullopt;
    duration = parse_go_duration(*content);
  } else if (const std::int64_t* nanoseconds = found->as_int()) {
    duration = Duration(*nanoseconds);
  }
  if (!duration || *duration < Duration::zero()) {
    wrong = std::string(name) + ": expected a duration such as \"10s\"";
    return std::nullopt;
  }
  return format_duration(*duration - *duration % std::chrono::milliseconds(1));
}

void add_text(Object& out, std::string key, const std::string& content) {
  if (!content.empty()) out.emplace_back(std::move(key), text(content));
}

void add_count(Object& out, std::string key, const Value& from, std::string_view name) {
  const Value* found = member(from, name);
  if (found != nullptr && found->as_int() != nullptr && *found->as_int() > 0)
    out.emplace_back(std::move(key), integer(*found->as_int()));
}

/// Whether an object says nothing, as Go's clients write a structure that is not set.
bool is_blank(const Value& value) {
  if (value.is_null()) return true;
  if (const std::string* content = value.as_string()) return content->empty();
  if (const bool* flag = value.as_bool()) return !*flag;
  if (const std::int64_t* number = value.as_int()) return *number == 0;
  if (const json::Array* list = value.as_array()) return list->empty();
  const Object* object = value.as_object();
  return object != nullptr &&
         std::ranges::all_of(*object, [](const auto& member) { return is_blank(member.second); });
}

/// What a check is read with: how the service says that it is reached.
struct Place {
  const registry::HostView& host;
  std::string address;  // empty: the host's
};

/// The target of a check without the host's own name in it: "http://box:8000/x", "box:8000".
std::string without_own_name(std::string target, const Place& place) {
  const std::size_t scheme = target.find("://");
  const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t end = std::min(target.find_first_of(":/?", begin), target.size());
  if (!is_own_name(std::string_view(target).substr(begin, end - begin), place.host)) return target;
  std::string literal = place.address.empty() ? "localhost" : place.address;
  if (literal.find(':') != std::string::npos) literal = '[' + literal + ']';
  return target.replace(begin, end - begin, literal);
}

/// Header is a map of lists; the first value of each is used.
Object headers_of(const Value& check) {
  Object headers;
  const Value* found = member(check, "header");
  if (found == nullptr || found->as_object() == nullptr) return headers;
  for (const auto& [key, values] : *found->as_object()) {
    if (const std::string* one = values.as_string()) {
      headers.emplace_back(key, text(*one));
    } else if (const json::Array* list = values.as_array(); list != nullptr && !list->empty()) {
      if (const std::string* first = list->front().as_string())
        headers.emplace_back(key, text(*first));
    }
  }
  return headers;
}

Object tls_of(const Value& check, std::string& wrong) {
  Object tls;
  if (flag_of(check, "tlsskipverify")) tls.emplace_back("verify", Value(false));
  add_text(tls, "server_name", text_of(check, "tlsservername", wrong));
  return tls;
}

void decode_http(const Value& check, const std::string& given, const Place& place, Object& out,
                 std::string& wrong) {
  const std::string url = without_own_name(given, place);
  out.emplace_back("http", text(url));
  const std::size_t scheme = given.find("://");
  if (url != given && scheme != given.npos) {  // the program may want to be asked under its name
    const std::size_t begin = scheme + 3;
    out.emplace_back("host", text(given.substr(begin, given.find_first_of("/?", begin) - begin)));
  }
  add_text(out, "method", text_of(check, "method", wrong));
  add_text(out, "body", text_of(check, "body", wrong));
  if (Object headers = headers_of(check); !headers.empty())
    out.emplace_back("headers", Value(std::move(headers)));
  if (Object tls = tls_of(check, wrong); !tls.empty() && url.starts_with("https:"))
    out.emplace_back("tls", Value(std::move(tls)));
}

void decode_grpc(const Value& check, const std::string& target, Object& out, std::string& wrong) {
  const std::size_t slash = target.find('/');
  out.emplace_back("grpc", text(slash == std::string::npos ? "" : target.substr(slash + 1)));
  out.emplace_back("target", text(target.substr(0, slash)));
  if (flag_of(check, "grpcusetls")) out.emplace_back("tls", Value(tls_of(check, wrong)));
}

void decode_ttl(const Value& check, const std::string& ttl, Object& out, std::string& wrong) {
  const auto duration = parse_go_duration(ttl);
  if (!duration || *duration <= Duration::zero()) {
    wrong = "ttl: expected a duration such as \"20s\"";
    return;
  }
  out.emplace_back("ttl", text(format_duration(*duration)));
  const std::string status = text_of(check, "status", wrong);
  out.emplace_back("initial", text(status.empty() ? "critical" : status));
}

std::string decode_kind(const Value& check, const Place& place, Object& out) {
  std::string wrong;
  for (const char* name : {"args", "scriptargs", "script", "dockercontainerid", "shell"}) {
    const Value* found = member(check, name);
    if (found != nullptr && !found->is_null() && found->as_bool() == nullptr) {
      const std::string* one = found->as_string();
      const json::Array* list = found->as_array();
      if ((one != nullptr && one->empty()) || (list != nullptr && list->empty())) continue;
      return "checks that run commands are not accepted";
    }
  }
  for (const char* name : {"udp", "h2ping", "osservice"})
    if (!text_of(check, name, wrong).empty())
      return std::string("checks of kind ") + name + " are not supported";
  const std::string http = text_of(check, "http", wrong);
  const std::string tcp = text_of(check, "tcp", wrong);
  const std::string grpc = text_of(check, "grpc", wrong);
  const std::string ttl = text_of(check, "ttl", wrong);
  const std::string alias = text_of(check, "aliasservice", wrong);
  if (!wrong.empty()) return wrong;
  if (!http.empty())
    decode_http(check, http, place, out, wrong);
  else if (!tcp.empty())
    out.emplace_back("tcp", text(without_own_name(tcp, place)));
  else if (!grpc.empty())
    decode_grpc(check, without_own_name(grpc, place), out, wrong);
  else if (!ttl.empty())
    decode_ttl(check, ttl, out, wrong);
  else if (!alias.empty())
    out.emplace_back("alias", text(alias));
  else
    return "a check needs one of HTTP, TCP, GRPC, TTL, AliasService";
  return wrong;
}

/// A check definition in the form of the configuration. An error is described in `wrong`.
Value check_rows(const Value& check, const Place& place, const std::string& default_id,
                 std::string& wrong) {
  Object out;
  wrong = decode_kind(check, place, out);
  if (!wrong.empty()) return {};
  std::string id = text_of(check, "checkid", wrong);
  if (id.empty()) id = text_of(check, "id", wrong);
  out.emplace_back("id", text(id.empty() ? default_id : id));
  add_text(out, "name", text_of(check, "name", wrong));
  add_text(out, "notes", text_of(check, "notes", wrong));
  const auto has = [&out](std::string_view key) {
    return std::ranges::any_of(out, [&](const auto& row) { return row.first == key; });
  };
  const bool probes = !has("ttl");
  for (const char* key : {"interval", "timeout"})
    if (const auto duration = duration_of(check, key, wrong); duration && probes)
      out.emplace_back(key, text(*duration));
  const bool has_target = probes && !has("alias");
  if (has_target && wrong.empty() && !has("interval"))
    wrong = "Interval must be > 0 for HTTP, TCP and gRPC checks";
  const auto deregister = duration_of(check, "deregistercriticalserviceafter", wrong);
  out.emplace_back("deregister_critical_after", text(deregister.value_or("0s")));
  if (probes) {
    add_count(out, "success_before_passing", check, "successbeforepassing");
    add_count(out, "failures_before_warning", check, "failuresbeforewarning");
    add_count(out, "failures_before_critical", check, "failuresbeforecritical");
  }
  return Value(std::move(out));
}

std::string decode_checks(const Value& body, const Place& place, const std::string& id,
                          Object& out) {
  std::vector<const Value*> checks;
  if (const Value* one = member(body, "check");
      one != nullptr && one->as_object() != nullptr && !is_blank(*one)) {
    checks.push_back(one);
  }
  if (const Value* many = member(body, "checks"); many != nullptr && many->as_array() != nullptr) {
    for (const Value& check : *many->as_array())
      if (!check.is_null()) checks.push_back(&check);
  }
  json::Array rows;
  for (const Value* check : checks) {
    // As Consul numbers them: a single check has no number.
    const std::string default_id =
        "service:" + id + (checks.size() == 1 ? "" : ':' + std::to_string(rows.size() + 1));
    std::string wrong;
    rows.push_back(check_rows(*check, place, default_id, wrong));
    if (!wrong.empty()) return wrong;
  }
  if (!rows.empty()) out.emplace_back("checks", Value(std::move(rows)));
  return {};
}

/// How agents write "outrider.via" in Consul (registries/consul/messages.h).
constexpr std::string_view kCopyMark = "outrider_x2Evia";

/// Tags and metadata. The version comes from where the frameworks put it; tagged addresses become
/// metadata.
std::string decode_labels(const Value& body, Object& out) {
  json::Array tags;
  Object metadata;
  std::string version;
  if (const Value* list = member(body, "tags"); list != nullptr && list->as_array() != nullptr) {
    for (const Value& tag : *list->as_array()) {
      const std::string* content = tag.as_string();
      if (content == nullptr) return "tags: expected strings";
      if (content->starts_with("version=")) version = content->substr(8);
      tags.push_back(tag);
    }
  }
  if (const Value* map = member(body, "meta"); map != nullptr && map->as_object() != nullptr) {
    for (const auto& [key, value] : *map->as_object()) {
      if (value.as_string() == nullptr) return "meta: expected strings";
      if (key.starts_with(kTaggedPrefix)) return "meta: keys may not begin with \"tagged.\"";
      if (key == kCopyMark)
        return "meta: what an agent has copied from elsewhere is not registered at another agent, "
               "which would announce it as its own";
      if (key == "version") version = *value.as_string();
      metadata.emplace_back(key, value);
    }
  }
  std::string protocol;
  const Value* tagged = member(body, "taggedaddresses");
  if (tagged != nullptr && tagged->as_object() != nullptr) {
    for (const auto& [name, entry] : *tagged->as_object()) {
      std::string wrong;
      const std::string address = text_of(entry, "address", wrong);
      const Value* port = member(entry, "port");
      const std::int64_t number = port != nullptr && port->as_int() ? *port->as_int() : 0;
      metadata.emplace_back(std::string(kTaggedPrefix) + name,
                            text(address + ' ' + std::to_string(number)));
      if (name == "grpc" || name == "grpcs") protocol = "grpc";
    }
    if (member(*tagged, "http") != nullptr || member(*tagged, "https") != nullptr) protocol.clear();
  }
  add_text(out, "version", version);
  add_text(out, "protocol", protocol);
  if (!tags.empty()) out.emplace_back("tags", Value(std::move(tags)));
  if (!metadata.empty()) out.emplace_back("metadata", Value(std::move(metadata)));
  return {};
}

/// The address that was given; empty for the host's own, which may change.
std::string address_in(const Value& body, const registry::HostView& host, std::string& wrong) {
  const std::string address = text_of(body, "address", wrong);
  if (address == "0.0.0.0" || address == "::" || is_own_name(address, host)) return {};
  return address == "localhost" ? "127.0.0.1" : address;
}

std::string decode_place(const Value& body, const Place& place, Object& out) {
  add_text(out, "address", place.address);
  if (const Value* port = member(body, "port"); port != nullptr && !port->is_null())
    out.emplace_back("port", *port);
  if (const Value* weights = member(body, "weights"); weights != nullptr) {
    if (const Value* passing = member(*weights, "passing");
        passing != nullptr && passing->as_int() != nullptr) {
      out.emplace_back("weight", *passing);
    }
  }
  return {};
}

}  // namespace

const Value* member(const Value& object, std::string_view lower_name) {
  if (object.as_object() == nullptr) return nullptr;
  // Of several, the last counts, as in Go.
  for (auto at = object.as_object()->rbegin(); at != object.as_object()->rend(); ++at)
    if (flat_name(at->first) == lower_name) return &at->second;
  return nullptr;
}

std::optional<Duration> parse_go_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    double nanoseconds;
  };
  // Longer names first, so that "ms" is not read as "m".
  constexpr std::array<Unit, 7> kUnits = {
      {{"ns", 1}, {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}}};
  if (text == "0") return Duration::zero();
  double total = 0;
  bool any = false;
  while (!text.empty()) {
    double count = 0;
    const auto end =
        std::from_chars(text.data(), text.data() + text.size(), count, std::chars_format::fixed);
    if (end.ec != std::errc() || !(count >= 0)) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end.ptr - text.data()));
    const Unit* unit = nullptr;
    for (const Unit& known : kUnits) {
      if (text.starts_with(known.name)) {
        unit = &known;
        break;
      }
    }
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(unit->name.size());
    total += count * unit->nanoseconds;
    any = true;
    if (total > 3e17) return std::nullopt;  // ten years
  }
  if (!any) return std::nullopt;
  return Duration(static_cast<Duration::rep>(std::llround(total)));
}

Result<registry::ServiceSpec, std::string> decode_service(const Value& body,
                                                          const registry::HostView& host) {
  if (body.as_object() == nullptr) return failure(std::string("expected an object"));
  std::string wrong;
  const std::string name = text_of(body, "name", wrong);
  std::string id = text_of(body, "id", wrong);
  const std::string kind = text_of(body, "kind", wrong);
  const std::string socket = text_of(body, "socketpath", wrong);
  const Place place{host, address_in(body, host, wrong)};
  if (!wrong.empty()) return failure(wrong);
  if (name.empty()) return failure(std::string("Missing service name"));
  if (!kind.empty() && kind != "typical")
    return failure("services of kind \"" + kind + "\" are not supported");
  if (!socket.empty()) return failure(std::string("SocketPath is not supported"));
  for (const char* part : {"connect", "proxy"})
    if (const Value* found = member(body, part); found != nullptr && !is_blank(*found))
      return failure(std::string(part) + ": Connect is not supported");
  if (id.empty()) id = name;
  // Consul's ids are any text ("web-v1-10.0.0.1:8080"); ours are DNS labels too.
  const auto instance_id = registry::InstanceId::from_foreign(id);
  if (!instance_id) return failure("invalid id \"" + id + '"');

  Object rows;
  rows.emplace_back("name", text(name));
  wrong = decode_place(body, place, rows);
  if (wrong.empty()) wrong = decode_labels(body, rows);
  if (wrong.empty()) wrong = decode_checks(body, place, id, rows);
  if (!wrong.empty()) return failure(wrong);
  auto spec = registry::ServiceSpec::parse(Value(std::move(rows)));
  if (!spec) return failure(spec.error().to_string());
  spec->id = *instance_id;
  if (const auto why = forbidden_over_api(*spec)) return failure(*why);
  return std::move(*spec);
}

Result<CheckRequest, std::string> decode_check(const Value& body, const registry::HostView& host) {
  if (body.as_object() == nullptr) return failure(std::string("expected an object"));
  std::string wrong;
  CheckRequest request;
  request.instance_id = text_of(body, "serviceid", wrong);
  std::string id = text_of(body, "checkid", wrong);
  if (id.empty()) id = text_of(body, "id", wrong);
  if (id.empty()) id = text_of(body, "name", wrong);
  if (!wrong.empty()) return failure(wrong);
  if (id.empty()) return failure(std::string("Missing check name"));
  const bool of_node = request.instance_id.empty();
  if (of_node) request.instance_id = registry::kNodeId;
  // Older clients nest the definition.
  const Value* nested = member(body, "definition");
  const Value& definition = nested != nullptr && nested->as_object() != nullptr ? *nested : body;
  const Value rows = check_rows(definition, {host, {}}, id, wrong);
  if (!wrong.empty()) return failure(wrong);
  auto check = registry::ServiceSpec::parse_check(rows);
  if (!check) return failure(check.error().to_string());
  check->id = id;
  if (const auto why = forbidden_over_api(*check)) return failure(*why);
  if (of_node) check->deregister_critical_after = Duration::zero();  // there is nothing to drop
  request.check = std::move(*check);
  return request;
}

}  // namespace outrider::doors::consul
