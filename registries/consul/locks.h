// SPDX-License-Identifier: Apache-2.0
// Requests and answers of Consul's sessions and of the keys that a session locks (/v1/session/…,
// /v1/kv/…), pure.
//
// A claim NAME is the key "outrider/NAME"; its value is the agent that holds it. The key is deleted
// with the session that holds it. Consul ends a session between one and two TTLs after its last
// renewal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace outrider::registries::consul {

/// The shortest that Consul takes for a session.
inline constexpr Duration kSessionTtlMin = std::chrono::seconds(10);
/// What Consul's servers wait before another session can have a key whose session has ended.
inline constexpr Duration kLockDelay = std::chrono::seconds(1);
inline constexpr std::size_t kHolderBytesMax = 128;  // shown of a claim's value
/// The list of all claims of all agents.
inline constexpr std::size_t kLocksBytesMax = 4U << 20;

inline constexpr std::string_view kSessionTarget = "/v1/session/create";
std::string session_request(const std::string& writer, Duration ttl);
std::string renew_target(const std::string& session);
std::string destroy_target(const std::string& session);
/// To lock it, with the holder as the body.
std::string acquire_target(const std::string& claim, const std::string& session);
std::string lock_target(const std::string& claim);
/// To delete it if it is as it was at `revision`.
std::string release_target(const std::string& claim, std::uint64_t revision);
/// Index 0 is answered at once; another one when a claim has changed.
std::string locks_target(std::uint64_t index);

struct Lock {
  std::string claim;
  std::string session;  // empty: no agent holds it
  std::string holder;   // for people
  std::uint64_t revision = 0;
};
/// Nothing if it is no list.
std::optional<std::vector<Lock>> read_locks(std::string_view body);
/// The id of a new session; empty if there is none.
std::string read_session(std::string_view body);
/// Whether the session has the key now.
bool read_acquired(std::string_view body);

/// Whether this says that the source has no sessions at all.
bool is_without_sessions(int status);
/// Whether an answer of 5xx says that the session has ended.
bool is_unknown_session(int status, std::string_view text);

}  // namespace outrider::registries::consul
