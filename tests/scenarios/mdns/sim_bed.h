// SPDX-License-Identifier: Apache-2.0
// A simulated link with a tester and, as the device, the native provider.
#pragma once

#include <map>
#include <memory>

#include "tests/mdns/peer.h"
#include "tests/scenarios/mdns/play.h"

namespace outrider::mdns {

class SimBed final : public Bed {
 public:
  explicit SimBed(std::uint64_t seed);

  Env& env() override { return world_.host("tester").env(); }
  void run_until(const std::function<bool()>& done, TimePoint end) override {
    (void)world_.run_until(done, end - world_.now());
  }
  Duration slack() const override { return 2ms; }  // the way over the link, there and back
  bool simulated() const override { return true; }
  std::string device(const std::vector<std::string>& words) override;

 private:
  using Words = std::vector<std::string>;
  struct Agent {
    sim::Host* host = nullptr;
    NativeOptions options;
    std::unique_ptr<Peer> peer;
    std::map<std::string, AnnouncementId> ids;
  };

  Agent& agent(const std::string& name);
  Peer& started(Agent& agent);
  std::string on(Agent& agent, const std::string& verb, const Words& words);
  std::string on_host(sim::Host& host, const std::string& verb, const Words& words);
  std::string publish(Agent& agent, const Words& words);
  std::string rename(Agent& agent, const Words& words);
  std::string sees(Agent& agent, const Words& words);
  std::string options(Agent& agent, const Words& words);

  sim::World world_;
  std::map<std::string, Agent> agents_;  // "" is the device
  AnnouncementId next_id_ = 1;
};

}  // namespace outrider::mdns
