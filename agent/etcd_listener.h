// SPDX-License-Identifier: Apache-2.0
// The etcd door of an agent on its ports (api.etcd_listen). A port that cannot be had, because a
// real etcd has it, is tried again. Clients of gRPC and of the JSON gateway use the same port. What
// an earlier run has kept is registered when the first port is ours: until then its clients talk to
// another server.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/config/config.h"
#include "agent/doors/etcd/etcd_door.h"
#include "agent/doors/etcd/gateway.h"
#include "agent/doors/etcd/grpc_face.h"
#include "base/http/server.h"

namespace outrider {

/// The interval at which ports that could not be had are tried again.
inline constexpr Duration kEtcdListenRetry = std::chrono::seconds(5);

class EtcdListener {
 public:
  struct Parts {
    std::unique_ptr<StateFile> state;  // null: nothing is kept over a restart
    std::string writer;                // this agent, in the keys of its registrations
    std::function<std::string(const Endpoint&)> who_holds;  // optional
  };
  /// All outlive it.
  EtcdListener(Env& env, doors::Control& control, http::Clients& clients, const ApiConfig& config,
               Parts parts);
  void start();
  /// At the end of Agent::apply.
  void on_changes(const registry::Changes& changes) { door_.on_changes(changes); }
  /// The agent drains: what clients of the door have put is not taken back.
  void freeze() { door_.freeze(); }
  /// Takes no further clients, and ends what those of gRPC still do, within http2::kDrainTime.
  /// `done` may destroy this, and is perhaps called during the call.
  void stop(Callback<void()> done);
  const doors::etcd::EtcdDoor& door() const { return door_; }
  /// Members of an open object.
  void write_status(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const;

 private:
  /// What the door has, and what its clients do.
  struct Figures {
    std::string_view name, help;
    std::uint64_t value = 0;
    bool counts = false;  // else it is a gauge
  };
  std::vector<Figures> figures() const;
  bool open(const Endpoint& endpoint);
  void open_missing();

  Env& env_;
  http::Clients& clients_;
  const std::vector<std::string> host_names_;
  std::function<std::string(const Endpoint&)> who_holds_;
  doors::etcd::EtcdDoor door_;
  doors::etcd::Gateway gateway_;
  std::optional<doors::etcd::GrpcFace> grpc_;  // if the module is there
  std::vector<Endpoint> missing_;
  bool started_ = false, logged_ = false;
  Timer retry_;
  std::vector<std::unique_ptr<http::Server>> servers_;
};

}  // namespace outrider
