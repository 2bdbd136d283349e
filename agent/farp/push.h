// SPDX-License-Identifier: Apache-2.0
// Pushes our services to one FARP gateway: register, heartbeat, deregister.
//
//   waiting ─ POST /_farp/v1/register ▸ registered ─ PUT /_farp/v1/heartbeat/ID every 10 s ▸ …
//   heartbeat answered 404 ▸ register again          forget ▸ DELETE /_farp/v1/deregister/ID
//
// Gateways differ in what they acknowledge: 200 or 201, with or without a routes_checksum. We count
// only the status, so that none of them makes us register for ever.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/farp/manifest.h"
#include "agent/registry/model.h"
#include "base/env.h"
#include "base/http/url.h"

namespace outrider::farp {

inline constexpr Duration kHeartbeat = std::chrono::seconds(10);
inline constexpr Duration kPushTimeout = std::chrono::seconds(5);
inline constexpr Duration kPushRetryMin = std::chrono::seconds(2);
inline constexpr Duration kPushRetryMax = std::chrono::seconds(60);

/// What is pushed of one instance.
struct PushSubject {
  std::string id;
  std::string service;
  std::string version;
  Endpoint endpoint;
  std::string status;  // farp_status
  std::vector<std::string> tags;
  std::vector<std::pair<std::string, std::string>> metadata;
  Manifest manifest;
};

enum class PushState : std::uint8_t { waiting, registered };

class PushClient {
 public:
  /// `gateway` is "http://host:port" with a literal address; its path is put before /_farp/v1.
  PushClient(Env& env, http::Url gateway, Endpoint address);
  ~PushClient();

  /// Registers, or registers again when anything that is pushed has changed; a status that alone
  /// has changed goes out with a heartbeat. What is sent, is sent in the next turn of the loop, or
  /// when a deregistration of the same id that is under way has been answered.
  void put(PushSubject subject);
  /// Deregisters (once, best effort) if a registration was sent and not refused: a gateway may have
  /// it even if its answer was lost. The entry is gone at once; its requests outlive it, until the
  /// answer to a registration under way and then to the deregistration has come.
  void forget(const std::string& id);
  void forget_all();

  PushState state(const std::string& id) const;
  /// Why the last push failed; empty if it did not.
  const std::string& trouble() const { return trouble_; }

 private:
  struct Entry;
  using Done = std::function<void(int status)>;  // 0: no answer
  void send(Entry& entry, std::string method, std::string path, std::string body, Done done);
  void enroll(Entry& entry);
  void deregister(Entry& entry);
  void on_left(Entry& entry);
  void beat(Entry& entry);
  void retry(Entry& entry, std::string why);

  Env& env_;
  http::Url gateway_;
  Endpoint address_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  std::map<std::string, std::unique_ptr<Entry>> leaving_;  // deregistered, or about to be
  std::string trouble_;
};

}  // namespace outrider::farp
