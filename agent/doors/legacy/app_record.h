// SPDX-License-Identifier: Apache-2.0
// What the dialects of bilibili.cc and article.cc have in common. A registration is an application
// (appid) of an environment, with one instance for each host name, a list of addresses, and
// renewals that keep it. In the registry it is a service with one heartbeat check; metadata keeps
// what the registry has no field for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/api.h"

namespace outrider::doors::app {

/// Clients renew every 30 s; after three missed renewals the instance expires.
inline constexpr const char* kExpiry = "90s";

/// Bits; a fetch asks for 1, 2 or 3.
enum : std::int64_t { kUp = 1, kWaiting = 2 };

struct Record {
  std::string env, appid, hostname, region, zone, version;
  std::vector<std::string> addrs;  // "http://192.168.1.10:8000"
  registry::Metadata metadata;
  std::int64_t status = kUp;
};

/// The id of the instance, by which clients tell instances of an application apart. The registry
/// has the same unless another application's instance has that.
std::string id_of(const Record& record);
/// Null if the instance is unknown.
registry::InstancePtr find_registration(Api& api, const Record& record);
/// Registers the instance, or changes its registration. An error is a sentence.
Result<void, std::string> put(Api& api, const Record& record);
/// These return false if the instance is unknown.
bool renew(Api& api, const Record& record);
bool cancel(Api& api, const Record& record);
bool set_status(Api& api, const Record& record, std::int64_t status);
/// Adds to the metadata of a registration; what is there under the same key is replaced. The error
/// is a sentence.
Result<void, std::string> add_metadata(Api& api, const Record& record,
                                       const registry::Metadata& metadata);

/// Instances of an application; those of other sources belong to every environment. An empty `env`
/// stands for all.
std::vector<registry::InstancePtr> find(Api& api, std::string_view env, std::string_view appid,
                                        std::int64_t status_mask);
std::int64_t status_of(const registry::Instance& instance);
/// The environment that an instance was registered in; empty: every one.
std::string env_of(const registry::Instance& instance);
/// The members region, zone, env, appid, hostname, addrs, version, status and the timestamps, into
/// an open object. `zone` is used for an instance without one.
void write_members(json::Writer& out, const registry::Instance& instance,
                   const registry::HostView& host, std::string_view env, std::string_view zone);
registry::Metadata own_metadata(const registry::Instance& instance);

}  // namespace outrider::doors::app
