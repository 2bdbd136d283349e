// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/doors/eureka/eureka.h"
#include "base/text.h"

namespace outrider::doors::eureka {
namespace {

using registry::CheckState;
using registry::Health;
using registry::HostView;
using registry::Instance;

std::int64_t milliseconds(const registry::Moment& moment) {
  return std::chrono::floor<std::chrono::milliseconds>(moment.wall.time_since_epoch()).count();
}

std::string_view overridden_status_of(const Instance& instance) {
  const bool out = instance.maintenance || instance.draining ||
                   instance.health == Health::maintenance || instance.health == Health::draining;
  if (!out) return kUnknown;
  return status_in(instance.maintenance_reason, kOverridden).value_or("OUT_OF_SERVICE");
}

void encode_port(json::Writer& out, std::string_view key, std::uint16_t port, bool enabled) {
  out.key(key).begin_object().member("$", static_cast<unsigned>(port));
  out.member("@enabled", enabled ? "true" : "false").end_object();
}

/// Ports, and URLs below them.
void encode_contact(json::Writer& out, const Instance& instance, const std::string& host_name) {
  constexpr std::uint16_t kHttpsPort = 443;
  const std::uint16_t secure = secure_port_of(instance);
  const bool secure_alone = secure != 0 && secure == instance.port;
  encode_port(out, "port", instance.port, !secure_alone);
  encode_port(out, "securePort", secure == 0 ? kHttpsPort : secure, secure != 0);
  const bool v6 = host_name.find(':') != std::string::npos;
  const std::string authority = v6 ? '[' + host_name + ']' : host_name;
  const std::string plain_base =
      (secure_alone ? "https://" : "http://") + authority + ':' + std::to_string(instance.port);
  const std::string secure_base = "https://" + authority + ':' + std::to_string(secure);
  for (const std::string_view key : kUrls) {
    std::string url = kept_text(instance, key);
    if (url.empty() && key == kUrls[0]) url = "/";
    if (url.starts_with('/')) url = (key == kUrls[3] ? secure_base : plain_base) + url;
    if (!url.empty()) out.member(key, url);
  }
}

void encode_lease(json::Writer& out, const Instance& instance) {
  const CheckState* lease = find_check_state(instance, kEurekaLease.check);
  const TtlCheck* ttl = lease == nullptr ? nullptr : std::get_if<TtlCheck>(&lease->spec.kind);
  const std::int64_t seconds =
      (ttl == nullptr ? kLeaseDefault : Duration(ttl->ttl)) / std::chrono::seconds(1);
  out.key("leaseInfo").begin_object();
  out.member("renewalIntervalInSecs", std::max<std::int64_t>(1, seconds / 3));
  out.member("durationInSecs", seconds);
  out.member("registrationTimestamp", milliseconds(instance.registered));
  out.member("lastRenewalTimestamp",
             milliseconds(lease == nullptr ? instance.latest : lease->renewed));
  out.member("evictionTimestamp", 0);
  out.member("serviceUpTimestamp", milliseconds(instance.up)).end_object();
}

void encode_metadata(json::Writer& out, const Instance& instance) {
  out.key("metadata").begin_object();
  for (const auto& [key, value] : instance.metadata)
    if (!key.starts_with(kKeptPrefix)) out.member(key, value);
  if (!instance.version.empty() && !instance.metadata.contains("version"))
    out.member("version", instance.version);
  out.end_object();
}

std::string_view name_of(Action action) {
  switch (action) {
    case Action::added:
      return "ADDED";
    case Action::modified:
      return "MODIFIED";
    case Action::deleted:
      return "DELETED";
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace

std::string app_name(const registry::ServiceName& service) {
  std::string name = service.text();
  for (char& c : name)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
  return name;
}

std::string_view status_of(const Instance& instance) {
  if (const std::string_view status = overridden_status_of(instance); status != kUnknown)
    return status;
  switch (instance.health) {
    case Health::passing:
    case Health::warning:
      return kUp;
    case Health::starting:
      return "STARTING";
    case Health::critical:
      break;
    case Health::draining:
    case Health::maintenance:
      return "OUT_OF_SERVICE";
  }
  const CheckState* said = find_check_state(instance, kStatusCheck);
  const auto status = said == nullptr ? std::nullopt : status_in(said->output, kReported);
  return status && *status != kUp ? *status : "DOWN";
}

std::string kept_text(const Instance& instance, std::string_view name) {
  const auto found = instance.metadata.find(kept_key(name));
  return found == instance.metadata.end() ? std::string() : found->second;
}

std::string instance_id_of(const Instance& instance) {
  const std::string kept = kept_text(instance, kInstanceId);
  return kept.empty() || instance.renamed() ? instance.id.text() : kept;
}

std::string vip_of(const Instance& instance) {
  const std::string kept = kept_text(instance, kVip);
  return kept.empty() ? instance.service.text() : kept;
}

std::uint16_t secure_port_of(const Instance& instance) {
  if (instance.protocol == "https") return instance.port;
  return parse_number<std::uint16_t>(kept_text(instance, kSecurePort)).value_or(0);
}

void encode_instance(json::Writer& out, const Instance& instance, const HostView& host,
                     std::string_view app, Action action) {
  const std::string address = address_of(instance, host);
  const std::string kept_name = kept_text(instance, kHostName);
  const std::string& host_name = kept_name.empty() ? address : kept_name;
  out.begin_object().member("instanceId", instance_id_of(instance));
  out.member("hostName", host_name).member("app", app).member("ipAddr", address);
  out.member("status", status_of(instance));
  out.member("overriddenStatus", overridden_status_of(instance));
  encode_contact(out, instance, host_name);
  out.member("countryId", 1).key("dataCenterInfo").begin_object();
  out.member("@class", "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo");
  out.member("name", "MyOwn").end_object();
  encode_lease(out, instance);
  encode_metadata(out, instance);
  out.member("vipAddress", vip_of(instance));
  if (secure_port_of(instance) != 0) out.member("secureVipAddress", vip_of(instance));
  out.member("isCoordinatingDiscoveryServer", "false");
  out.member("lastUpdatedTimestamp", std::to_string(milliseconds(instance.latest)));
  out.member("lastDirtyTimestamp", std::to_string(milliseconds(instance.dirty)));
  out.member("actionType", name_of(action)).end_object();
}

}  // namespace outrider::doors::eureka
