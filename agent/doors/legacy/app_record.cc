// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/legacy/app_record.h"

#include <algorithm>

#include "agent/doors/instance_json.h"
#include "agent/doors/lease.h"
#include "agent/registry/served.h"
#include "base/text.h"

namespace outrider::doors::app {
namespace {

using json::Object;
using json::Value;
using registry::Instance;
using registry::InstancePtr;

constexpr std::string_view kEnv = "env";
constexpr std::string_view kZone = "zone";
constexpr std::string_view kRegion = "region";
constexpr std::string_view kHostname = "hostname";
constexpr std::string_view kAddrs = "addrs";
constexpr std::string_view kKept[] = {kEnv, kZone, kRegion, kHostname, kAddrs};

std::string get(const registry::Metadata& metadata, std::string_view key) {
  const auto found = metadata.find(std::string(key));
  return found == metadata.end() ? std::string() : found->second;
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    if (comma != 0) out.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return out;
}

/// "http" and 192.168.1.10:8000 of "http://192.168.1.10:8000"; nothing for "rpc:aaa".
std::optional<std::pair<std::string, Endpoint>> endpoint_of(const std::string& addr) {
  const std::size_t mark = addr.find("://");
  if (mark == std::string::npos || mark == 0) return std::nullopt;
  std::string rest = addr.substr(mark + 3);
  rest = rest.substr(0, rest.find_first_of("/?"));
  const auto endpoint = Endpoint::parse(rest);
  if (!endpoint) return std::nullopt;
  return std::pair(addr.substr(0, mark), *endpoint);
}

Value text(std::string_view content) {
  return Value(std::string(content));
}

Value rows_of(const Record& record) {
  Object metadata;
  for (const auto& [key, value] : record.metadata)
    metadata.emplace_back(key, text(value));
  const std::pair<std::string_view, std::string> kept[] = {{kEnv, record.env},
                                                           {kZone, record.zone},
                                                           {kRegion, record.region},
                                                           {kHostname, record.hostname},
                                                           {kAddrs, join(record.addrs, ",")}};
  for (const auto& [key, value] : kept) {
    std::erase_if(metadata, [&key = key](const auto& member) { return member.first == key; });
    if (!value.empty()) metadata.emplace_back(std::string(key), text(value));
  }
  Object check;
  check.emplace_back("id", text(kAppLease.check));
  check.emplace_back("ttl", text(kExpiry));
  check.emplace_back("initial", text("passing"));
  json::Array checks;
  checks.emplace_back(Value(std::move(check)));

  Object rows;
  rows.emplace_back("name", text(record.appid));
  if (!record.version.empty()) rows.emplace_back("version", text(record.version));
  for (const std::string& addr : record.addrs) {
    if (const auto first = endpoint_of(addr)) {
      rows.emplace_back("protocol", text(first->first));
      rows.emplace_back("address", text(first->second.address.to_string()));
      rows.emplace_back("port", Value(std::int64_t{first->second.port}));
      break;
    }
  }
  rows.emplace_back("metadata", Value(std::move(metadata)));
  rows.emplace_back("checks", Value(std::move(checks)));
  return Value(std::move(rows));
}

std::int64_t nanoseconds(WallTime time) {
  return time.time_since_epoch().count();
}

/// The ids under which the registry may keep it: "a.b" of application "a" and "b" of "a.b"'s host
/// are one text.
std::vector<registry::InstanceId> ids_of(const Record& record) {
  const auto id = registry::InstanceId::from_foreign(id_of(record));
  if (!id) return {};
  return {*id, id->apart(label_of(record.appid) + ':' + id->text())};
}

}  // namespace

std::string id_of(const Record& record) {
  std::string id = record.appid + '.' + record.hostname;
  for (const std::string& part : {record.zone, record.env})
    if (!part.empty()) id += '.' + part;
  return id;
}

Result<void, std::string> put(Api& api, const Record& record) {
  auto spec = registry::ServiceSpec::parse(rows_of(record));
  if (!spec) return failure(spec.error().to_string());
  const registry::Registry& registry = api.control().registry();
  const InstancePtr before = find_registration(api, record);
  spec->id = before != nullptr ? before->id : first_free(registry, ids_of(record));
  if (!spec->id) return failure("invalid id, or one that others have: \"" + id_of(record) + '"');
  if (!keep_other_checks(registry, *spec))
    return failure("more than " + std::to_string(registry::kChecksPerInstanceMax) +
                   " checks with those that were registered separately");
  const auto done = api.control().put(*spec);
  if (!done) return failure(std::string(registry::to_string(done.error())));
  renew(api, record);
  set_status(api, record, record.status);
  return {};
}

InstancePtr find_registration(Api& api, const Record& record) {
  const std::string label = label_of(record.appid);
  for (const registry::InstanceId& id : ids_of(record)) {
    const InstancePtr found = api.control().registry().find_exact(id.text());
    if (found != nullptr && found->service.label() == label) return found;
  }
  return nullptr;
}

bool renew(Api& api, const Record& record) {
  const InstancePtr instance = find_registration(api, record);
  return instance != nullptr &&
         api.control().renew(instance->id.text(), kAppLease.check, CheckHealth::passing, {});
}

bool cancel(Api& api, const Record& record) {
  const InstancePtr instance = find_registration(api, record);
  return instance != nullptr && api.control().remove(instance->id.text());
}

bool set_status(Api& api, const Record& record, std::int64_t status) {
  const InstancePtr instance = find_registration(api, record);
  const bool waits = status == kWaiting;
  return instance != nullptr &&
         api.control().set_maintenance(instance->id.text(), waits, waits ? "waiting" : "");
}

Result<void, std::string> add_metadata(Api& api, const Record& record,
                                       const registry::Metadata& metadata) {
  const InstancePtr instance = find_registration(api, record);
  if (instance == nullptr) return failure("unknown instance \"" + id_of(record) + '"');
  registry::Metadata next = instance->metadata;
  for (const auto& [key, value] : metadata)
    if (std::ranges::find(kKept, key) == std::end(kKept)) next[key] = value;
  return replace_metadata(api.control(), *instance, std::move(next));
}

std::string env_of(const Instance& instance) {
  return get(instance.metadata, kEnv);
}

std::int64_t status_of(const Instance& instance) {
  return instance.served() ? kUp : kWaiting;
}

std::vector<InstancePtr> find(Api& api, std::string_view env, std::string_view appid,
                              std::int64_t status_mask) {
  std::vector<InstancePtr> found = api.control().registry().instances(label_of(appid));
  std::erase_if(found, [&](const InstancePtr& instance) {
    const std::string its_env = env_of(*instance);
    if (!env.empty() && !its_env.empty() && its_env != env) return true;
    return instance->shadowed || (status_of(*instance) & status_mask) == 0;
  });
  return found;
}

registry::Metadata own_metadata(const Instance& instance) {
  registry::Metadata metadata = instance.metadata;
  for (const std::string_view key : kKept)
    metadata.erase(std::string(key));
  // Kratos takes the instance's id from here.
  metadata.emplace("kratos.v2.serviceinstance.id", instance.id.text());
  metadata.emplace("weight", std::to_string(instance.weight));
  return metadata;
}

void write_members(json::Writer& out, const Instance& instance, const registry::HostView& host,
                   std::string_view env, std::string_view zone) {
  const std::string its_zone = get(instance.metadata, kZone);
  const std::string hostname = get(instance.metadata, kHostname);
  out.member("region", get(instance.metadata, kRegion));
  out.member("zone", its_zone.empty() ? std::string(zone) : its_zone);
  out.member("env", env).member("appid", instance.service.text());
  out.member("hostname", hostname.empty() ? instance.id.text() : hostname);
  std::vector<std::string> addrs = split(get(instance.metadata, kAddrs));
  const std::vector<IpAddress> addresses = served_addresses(instance, host);
  if (addrs.empty() && !addresses.empty())
    addrs = {instance.protocol + "://" + Endpoint{addresses.front(), instance.port}.to_string()};
  out.key("addrs").begin_array();
  for (const std::string& addr : addrs)
    out.value(addr);
  out.end_array();
  out.member("version", instance.version).member("status", status_of(instance));
  const registry::CheckState* lease = find_check_state(instance, kAppLease.check);
  const WallTime renewed = lease == nullptr ? instance.latest.wall : lease->renewed.wall;
  out.member("reg_timestamp", nanoseconds(instance.registered.wall));
  out.member("up_timestamp", nanoseconds(instance.up.wall));
  out.member("renew_timestamp", nanoseconds(renewed));
  out.member("dirty_timestamp", nanoseconds(instance.dirty.wall));
  out.member("latest_timestamp", nanoseconds(instance.latest.wall));
}

}  // namespace outrider::doors::app
