// SPDX-License-Identifier: Apache-2.0
// The agents of one host follow each other over their control sockets, so that each of them answers
// for all, whatever a VPN or firewall does to multicast. It writes nothing: the others read this
// agent's stream of changes in the same way.
//
//   SiblingSockets ▸ HostEngine ▸ Sibling, one for each socket ▸ Engine::Sink
//
// Idle, it costs one wake-up for the siblings' comments, which come at the same time, and one for
// the look at who is silent.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "registries/host/sibling.h"

namespace outrider::registries {

inline constexpr std::size_t kSiblingsMax = 64;
/// After this agent itself was suspended, siblings have this long to be heard before they count as
/// silent.
inline constexpr Duration kSilenceGrace = std::chrono::seconds(1);

/// Where control sockets of agents are. Empty functions: there are none.
struct SiblingSockets {
  /// Paths that exist now.
  std::function<std::vector<std::string>()> list;
  /// Calls after sockets came or went, for as long as the token lives.
  std::function<std::unique_ptr<Pending>(std::function<void()> changed)> watch;
};

class HostEngine final : public Engine, Sibling::Sink {
 public:
  HostEngine(Env& env, SiblingSockets sockets, AgentIdentity self);

  std::string_view name() const override { return "host"; }
  void start(Engine::Sink& sink) override;
  void put(const Entry&) override {}
  void remove(std::string_view) override {}
  void stop(Callback<void()> done) override;
  bool is_settled() const override;
  void write_status(json::Writer& out) const override;

 private:
  void scan();
  void scan_soon();
  void arm();
  void check_silence();
  void on_sibling_listed(Sibling& sibling, std::vector<Entry> entries) override;
  void on_sibling_entry(Sibling& sibling, Entry entry) override;
  void on_sibling_lost(Sibling& sibling, const std::string& key) override;
  void on_sibling_state(Sibling& sibling) override;

  Env& env_;
  const SiblingSockets sockets_;
  const AgentIdentity self_;
  Engine::Sink* sink_ = nullptr;
  bool scanned_ = false;
  std::unique_ptr<Pending> watch_;
  std::map<std::string, std::unique_ptr<Sibling>> siblings_;  // by path
  Timer scan_timer_, silence_timer_, stop_timer_;
};

}  // namespace outrider::registries
