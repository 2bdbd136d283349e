// SPDX-License-Identifier: Apache-2.0
// Netflix Eureka's REST API on top of the registry, so that programs with an Eureka client (Spring
// Cloud, eureka-js-client) register here and find each other without an Eureka server. Served only
// with api.eureka, below /eureka/ and, the same, below /eureka/v2/.
//
// clang-format off
//   decode.cc  bodies of registrations ▸ Registration
//   leases.cc  register, renew, cancel, override a status, change metadata
//   encode.cc  Instance ▸ instanceInfo, as Netflix's server writes it
//   apps.cc    lists, what has changed lately, and the routes
// clang-format on
//
// An application is a service, its name in upper case. A lease is a heartbeat check (kEurekaLease)
// with the duration that the client asks for: when it ends, the registration goes. What the client
// says of itself is a second check, kStatusCheck, which is critical for every status but UP. An
// overridden status is maintenance, with the status in its reason.
//
// What only Eureka has (the name of the host, VIP addresses, URLs) travels in metadata below
// kKeptPrefix, so that it reaches other hosts too; the metadata that clients are shown does not
// have these keys. The data center, the country and the names of groups are not kept.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "agent/doors/api.h"
#include "agent/doors/lease.h"

namespace outrider::doors::eureka {

/// Of a client that asks for none, and the bounds of what it may ask for.
inline constexpr Duration kLeaseDefault = std::chrono::seconds(90);
inline constexpr Duration kLeaseMin = std::chrono::seconds(3);
inline constexpr Duration kLeaseMax = std::chrono::hours(1);
/// How far back the list of changes goes, as in Netflix's server. It is shorter when the agent has
/// seen more than kRecentChangesMax changes since: clients notice by the hash and take everything.
inline constexpr Duration kDeltaWindow = std::chrono::minutes(3);

inline constexpr std::string_view kStatusCheck = "eureka-status";
inline constexpr std::string_view kKeptPrefix = "eureka.";
/// Keys of metadata, behind the prefix.
inline constexpr std::string_view kInstanceId = "instanceId";  // if the registry has another one
inline constexpr std::string_view kHostName = "hostName";
inline constexpr std::string_view kVip = "vipAddress";
inline constexpr std::string_view kSecurePort = "securePort";  // besides a plain one
/// As clients have sent them; below the instance's own address only the path.
inline constexpr std::string_view kUrls[] = {"homePageUrl", "statusPageUrl", "healthCheckUrl",
                                             "secureHealthCheckUrl"};

inline constexpr std::string_view kUp = "UP";
inline constexpr std::string_view kUnknown = "UNKNOWN";
/// Before a status, in the output of kStatusCheck and in the reason of maintenance.
inline constexpr std::string_view kReported = "reported as ";
inline constexpr std::string_view kOverridden = "status overridden with ";
/// UP, DOWN, STARTING, OUT_OF_SERVICE or UNKNOWN, in any case; nothing for another text.
std::optional<std::string_view> parse_status(std::string_view text);
/// The status in a text of ours that begins like this; nothing for another text.
std::optional<std::string_view> status_in(std::string_view text, std::string_view beginning);

// --- decoding requests ------------------------------------------------------------------------

struct Registration {
  std::string instance_id;     // as the client calls it
  registry::ServiceSpec spec;  // with that id
  std::string_view status;     // what the client says of itself
};
/// A body for the application of the path. An error is a sentence for a 400.
Result<Registration, std::string> decode_registration(const json::Value& body, std::string_view app,
                                                      const registry::HostView& host);
/// Text, a number or a flag, as text; nothing for any other value.
std::optional<std::string> plain_text(const json::Value& value);
/// The key under which the registry keeps one of the above.
inline std::string kept_key(std::string_view name) {
  return std::string(kKeptPrefix) += name;
}

// --- encoding answers -------------------------------------------------------------------------

/// "ORDERS": the name of an application.
std::string app_name(const registry::ServiceName& service);
std::string_view status_of(const registry::Instance& instance);
/// As metadata keeps one of the above; empty if it does not.
std::string kept_text(const registry::Instance& instance, std::string_view name);
/// The id that the client has registered, or else the registry's.
std::string instance_id_of(const registry::Instance& instance);
std::string vip_of(const registry::Instance& instance);
/// The port for TLS; 0: none.
std::uint16_t secure_port_of(const registry::Instance& instance);

enum class Action : std::uint8_t { added, modified, deleted };
/// `app` is its application's name.
void encode_instance(json::Writer& out, const registry::Instance& instance,
                     const registry::HostView& host, std::string_view app, Action action);

// --- shared by the files of the routes --------------------------------------------------------

/// Of PUT. The first two belong to …/status, also when its override ends; all but the first to a
/// renewal.
inline constexpr http::Parameter kChange[] = {
    {"value", "of …/status: UP, DOWN, STARTING or OUT_OF_SERVICE"},
    {"lastDirtyTimestamp",
     "of a renewal: when the program last changed; if that is news, the answer is 404"},
    {"status", "of a renewal: what the program says of itself"},
    {"overriddenstatus", "of a renewal: ignored"},
};
inline constexpr auto kOverride = std::span(kChange).first(2);
inline constexpr auto kRenewal = std::span(kChange).subspan(1);

/// "ORDERS/box:orders:8080" of a path, with what is behind them.
struct PathOfInstance {
  enum class Part : std::uint8_t { whole, status, metadata };
  std::string app, id;
  Part part = Part::whole;
};
/// `rest` is the part of the path behind /eureka/apps/. Without an id if it has none.
PathOfInstance read_path(std::string_view rest);
/// The registration of this agent with this application and id; null if there is none.
registry::InstancePtr find_registration(const registry::Registry& registry, std::string_view app,
                                        std::string_view id);

void register_instance(Api& api, http::Call call);
/// PUT: renewal, status, metadata.
void change_instance(Api& api, http::Call call);
/// DELETE: the instance, or its overridden status.
void cancel(Api& api, http::Call call);

/// /eureka/… for /eureka/v2/… and for paths with a slash at the end; nothing if `path` is neither.
std::optional<std::string> canonical_path(std::string_view path);

}  // namespace outrider::doors::eureka
