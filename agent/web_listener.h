// SPDX-License-Identifier: Apache-2.0
// The ports of the bridge (web.listen, web.tls_listen). A port that another program or another
// agent of this host has is tried again, less and less often: on a host with many agents, all but
// one wait. When instances of another agent leave, that agent may have ended.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/bridge/bridge.h"
#include "agent/config/config.h"

namespace outrider {

/// The first interval at which ports that could not be opened are tried again; it doubles up to the
/// second one.
inline constexpr Duration kWebRetry = std::chrono::seconds(5);
inline constexpr Duration kWebRetryMax = std::chrono::minutes(1);
/// After instances of another agent of this host have left, the interval begins with this.
inline constexpr Duration kWebTakeOver = std::chrono::milliseconds(250);
/// Connections that the kernel holds until they are accepted; it caps this (net.core.somaxconn).
inline constexpr int kWebBacklog = 4'096;
/// How long an agent that ends waits for connections through the bridge, at these intervals.
inline constexpr Duration kWebEnd = std::chrono::milliseconds(500);
inline constexpr Duration kWebEndLook = std::chrono::milliseconds(10);

class WebListener {
 public:
  /// "pid 812 (nginx)": the process that holds an address; optional.
  using WhoHolds = std::function<std::string(const Endpoint&)>;
  /// Called with the addresses whose port 80 it has, when these change.
  using OnPort80 = std::function<void(std::vector<IpAddress>)>;

  /// All outlive it.
  WebListener(Env& env, doors::Control& control, const WebConfig& config,
              std::unique_ptr<Relays> relays, bridge::Options options, WhoHolds who_holds);
  ~WebListener();

  void start(OnPort80 on_port_80);
  /// Takes no further connections. A port that systemd holds too keeps them for the next agent.
  void close();
  /// After close(): calls `done` when the connections have ended, or after kWebEnd. It may destroy
  /// this.
  void finish(Callback<void()> done);
  bridge::Bridge& bridge() { return bridge_; }
  void on_changes(const registry::Changes& changes);

  void write_status(json::Writer& out) const;
  void write_metrics(doors::Metrics& out) const { bridge_.write_metrics(out); }

 private:
  class Port;
  void open_missing();
  void retry_after(Duration interval);
  void tell_own();
  void look_for_end(TimePoint until);

  Env& env_;
  WhoHolds who_holds_;
  OnPort80 on_port_80_;
  std::vector<IpAddress> at_80_;
  bridge::Bridge bridge_;
  std::vector<std::unique_ptr<Port>> ports_;
  Duration interval_ = kWebRetry;
  Timer retry_;
  Callback<void()> finished_;
  Timer end_timer_;
};

}  // namespace outrider
