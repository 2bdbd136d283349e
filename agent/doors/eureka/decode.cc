// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/doors/actions.h"
#include "agent/doors/eureka/eureka.h"
#include "base/text.h"

namespace outrider::doors::eureka {
namespace {

using json::Object;
using json::Value;
using registry::HostView;

constexpr std::string_view kStatuses[] = {kUp, "DOWN", "STARTING", "OUT_OF_SERVICE", kUnknown};

Value text(std::string_view content) {
  return Value(std::string(content));
}

/// Empty if absent, null, or no plain value.
std::string text_of(const Value& object, std::string_view key) {
  const Value* found = object.find(key);
  return found == nullptr ? std::string() : plain_text(*found).value_or(std::string());
}

struct Port {
  std::int64_t number = 0;
  bool enabled = false;
};

/// {"$": 8080, "@enabled": "true"}, as Netflix's clients write it, with a boolean as others do, or
/// the number alone.
Result<Port, std::string> port_of(const Value& instance, std::string_view key, bool is_enabled) {
  const Value* found = instance.find(key);
  if (found == nullptr || found->is_null()) return Port{};
  Port port;
  port.enabled = is_enabled;
  std::string number;
  if (found->as_object() != nullptr) {
    number = text_of(*found, "$");
    if (const std::string flag = text_of(*found, "@enabled"); !flag.empty())
      port.enabled = equal_fold(flag, "true");
  } else {
    number = plain_text(*found).value_or("");
  }
  const auto parsed = parse_number<std::uint16_t>(number);
  if (!parsed)
    return failure(std::string(key) + ": expected {\"$\": NUMBER, \"@enabled\": \"true\"}");
  port.number = *parsed;
  return port;
}

/// What the registry keeps of an instance besides its description, while it is read.
struct Reading {
  const Value& instance;
  const HostView& host;
  Object rows = {}, metadata = {};

  void keep(std::string_view name, std::string_view content) {
    metadata.emplace_back(kept_key(name), text(content));
  }
  std::string get(std::string_view key) const { return text_of(instance, key); }
};

/// Why the body is none; empty if it has what Netflix's server asks for, too.
std::string missing_in(const Value& instance, std::string_view app) {
  for (const char* key : {"hostName", "ipAddr", "app"})
    if (text_of(instance, key).empty())
      return std::string("missing instance.") + key + ": expected a string";
  const Value* center = instance.find("dataCenterInfo");
  if (center == nullptr || center->as_object() == nullptr || text_of(*center, "name").empty())
    return "missing instance.dataCenterInfo.name: expected \"MyOwn\" or another name";
  const std::string named = text_of(instance, "app");
  if (label_of(named) != label_of(app))
    return "instance.app is \"" + named + "\", but the path has \"" + std::string(app) + '"';
  return {};
}

/// The address, and the name if that says more.
void read_place(Reading& reading) {
  const std::string name = reading.get("hostName"), address = reading.get("ipAddr");
  const bool own_name = is_own_name(name, reading.host);
  const auto parsed = IpAddress::parse(address);
  // A Java program on Debian finds 127.0.1.1 under the name of its host.
  const bool means_host = address == "0.0.0.0" || address == "::" ||
                          is_own_name(address, reading.host) ||
                          (own_name && parsed && parsed->is_loopback());
  if (!means_host) reading.rows.emplace_back("address", text(address));
  if (!own_name && name != address) reading.keep(kHostName, name);
}

std::string read_ports(Reading& reading) {
  const auto plain = port_of(reading.instance, "port", true);
  if (!plain) return plain.error();
  const auto secure = port_of(reading.instance, "securePort", false);
  if (!secure) return secure.error();
  const bool secure_alone = secure->enabled && !plain->enabled;
  reading.rows.emplace_back("port", Value(secure_alone ? secure->number : plain->number));
  if (secure_alone) reading.rows.emplace_back("protocol", text("https"));
  if (secure->enabled && !secure_alone) reading.keep(kSecurePort, std::to_string(secure->number));
  return {};
}

/// Below the instance's own address only the path is kept: it is shorter, and true for hosts that
/// do not know this host's name.
void read_urls(Reading& reading) {
  const std::string name = lowered(reading.get("hostName")), address = reading.get("ipAddr");
  for (const std::string_view key : kUrls) {
    const std::string url = reading.get(key);
    if (url.empty()) continue;
    const std::size_t scheme = url.find("://");
    const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
    const std::size_t slash = std::min(url.find('/', begin), url.size());
    const std::string authority = lowered(url.substr(begin, slash - begin));
    bool own = false;
    for (const char* port : {"port", "securePort"})
      if (const auto parsed = port_of(reading.instance, port, true))
        for (const std::string& host : {name, address})
          own = own || authority == host + ':' + std::to_string(parsed->number);
    const std::string path = own ? url.substr(slash) : url;
    if (path != "/" && !path.empty()) reading.keep(key, path);
  }
}

std::string read_metadata(Reading& reading) {
  const Value* given = reading.instance.find("metadata");
  if (given == nullptr || given->is_null()) return {};
  if (given->as_object() == nullptr) return "instance.metadata: expected an object of strings";
  for (const auto& [key, value] : *given->as_object()) {
    if (key == "@class" || value.is_null()) continue;
    const auto content = plain_text(value);
    if (!content) return "instance.metadata." + key + ": expected a string";
    if (key.starts_with(kKeptPrefix))
      return "instance.metadata: keys may not begin with \"eureka.\"";
    if (key == "version" && !content->empty()) reading.rows.emplace_back(key, text(*content));
    reading.metadata.emplace_back(key, text(*content));
  }
  return {};
}

Duration lease_of(const Value& instance) {
  const Value* lease = instance.find("leaseInfo");
  const auto seconds = lease == nullptr
                           ? std::nullopt
                           : parse_number<std::int64_t>(text_of(*lease, "durationInSecs"));
  if (!seconds || *seconds <= 0) return kLeaseDefault;
  const std::int64_t most = kLeaseMax / std::chrono::seconds(1);
  return std::clamp<Duration>(std::chrono::seconds(std::min(*seconds, most)), kLeaseMin, kLeaseMax);
}

Value checks_of(Duration lease, std::string_view status) {
  const auto check = [&](std::string_view id, std::string_view name, bool passes,
                         std::string_view deregister) {
    Object rows;
    rows.emplace_back("id", text(id));
    rows.emplace_back("name", text(name));
    rows.emplace_back("ttl", text(format_duration(lease)));
    rows.emplace_back("initial", text(passes ? "passing" : "critical"));
    rows.emplace_back("deregister_critical_after", text(deregister));
    return Value(std::move(rows));
  };
  json::Array checks;
  checks.push_back(check(kEurekaLease.check, "Eureka lease", true, "1s"));
  // A program that renews and says that it is down stays registered.
  checks.push_back(check(kStatusCheck, "Eureka status", status == kUp, "0s"));
  return Value(std::move(checks));
}

}  // namespace

std::optional<std::string_view> parse_status(std::string_view text) {
  for (const std::string_view status : kStatuses)
    if (equal_fold(text, status)) return status;
  return std::nullopt;
}

std::optional<std::string_view> status_in(std::string_view text, std::string_view beginning) {
  if (!text.starts_with(beginning)) return std::nullopt;
  return parse_status(text.substr(beginning.size()));
}

std::optional<std::string> plain_text(const Value& value) {
  if (const std::string* content = value.as_string()) return *content;
  if (value.is_null() || value.as_array() != nullptr || value.as_object() != nullptr)
    return std::nullopt;
  std::string content;
  json::Writer(content).value(value);
  return content;
}

Result<Registration, std::string> decode_registration(const Value& body, std::string_view app,
                                                      const HostView& host) {
  const Value* instance = body.find("instance");
  if (instance == nullptr || instance->as_object() == nullptr)
    return failure(std::string("expected {\"instance\": {…}}"));
  std::string wrong = missing_in(*instance, app);
  if (!wrong.empty()) return failure(wrong);
  std::string id = text_of(*instance, "instanceId");
  if (id.empty()) id = text_of(*instance, "hostName");
  const auto instance_id = registry::InstanceId::from_foreign(id);
  if (!instance_id) return failure("instance.instanceId: invalid id \"" + id + '"');
  const std::string said = text_of(*instance, "status");
  const auto status = parse_status(said.empty() ? kUp : std::string_view(said));
  if (!status)
    return failure(
        "instance.status: expected UP, DOWN, STARTING, OUT_OF_SERVICE or UNKNOWN, not \"" + said +
        '"');

  Reading reading{*instance, host};
  const std::string name = lowered(app);
  reading.rows.emplace_back("name", text(name));
  read_place(reading);
  wrong = read_ports(reading);
  if (!wrong.empty()) return failure(wrong);
  if (const std::string vip = reading.get(kVip); !vip.empty() && vip != name)
    reading.keep(kVip, vip);
  read_urls(reading);
  wrong = read_metadata(reading);
  if (!wrong.empty()) return failure(wrong);
  if (!reading.metadata.empty())
    reading.rows.emplace_back("metadata", Value(std::move(reading.metadata)));
  reading.rows.emplace_back("checks", checks_of(lease_of(*instance), *status));
  auto spec = registry::ServiceSpec::parse(Value(std::move(reading.rows)));
  if (!spec) return failure(spec.error().to_string());
  spec->id = *instance_id;
  if (const auto why = forbidden_over_api(*spec)) return failure(*why);
  return Registration{std::move(id), std::move(*spec), *status};
}

}  // namespace outrider::doors::eureka
