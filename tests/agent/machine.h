// SPDX-License-Identifier: Apache-2.0
// One machine of a simulated LAN: HTTP services, an agent beside them, and a client that asks its
// DNS.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "tests/sim/http_server.h"
#include "tests/sim/state_file.h"
#include "tests/sim/world.h"

namespace outrider::test {

/// What one DNS question brought.
struct Reply {
  bool came = false;
  dns::Rcode rcode = dns::Rcode::noerror;
  std::multiset<std::string> answers;       // "10.0.0.1", "100 8080 h1.hello.svc", "key=value|…"
  std::uint32_t ttl = 0;                    // the least of the answers
  std::uint32_t extended_error = 0x1'0000;  // beyond every code: there is none
  std::string why;                          // text of the extended error
  /// "NOERROR 10.0.0.1 10.0.0.2", "NODATA", "NXDOMAIN", "SILENCE".
  std::string text() const;
};

class Machine {
 public:
  static constexpr const char* kDns = "127.0.0.55:5370";

  Machine(sim::World& world, const std::string& name, const std::string& prefix);
  ~Machine();

  /// An error is what the configuration's parser says.
  std::string start(const std::string& config);
  std::string reload(const std::string& config);
  /// As kill -9: no goodbye, nothing.
  void kill() { agent_.reset(); }
  void stop();
  bool stopped() const { return stopped_; }

  Agent& agent() { return *agent_; }
  bool running() const { return agent_ != nullptr; }
  sim::Host& host() { return host_; }
  sim::HttpServer& server(std::uint16_t port);
  std::string host_name;                           // of the machine; default: as constructed
  std::string identity;                            // of the host; default: no other machine has it
  std::vector<std::string> refused_keys;           // of the last reload
  registry::Load connections;                      // what the kernel is to say
  std::optional<std::vector<Endpoint>> listeners;  // the same; nothing: it does not tell
  std::vector<std::uint16_t> program_ports;        // of what the agent has started
  sim::StateDisk* disk = nullptr;                  // where registrations are kept
  sim::StateDisk* etcd_disk = nullptr;             // where the etcd door keeps its keys
  bool has_bridge = false;                         // web.listen
  MakeEngine make_engine;                          // of configured registries
  sim::StateDisk* history = nullptr;               // where the history is kept

  /// Asks the agent's DNS and waits for the reply, at most two seconds.
  Reply ask(const std::string& name, dns::RrType type);

 private:
  std::optional<Config> parse(const std::string& text, std::string& error) const;

  sim::World& world_;
  std::string name_;
  sim::Host& host_;
  std::map<std::uint16_t, std::unique_ptr<sim::HttpServer>> servers_;
  std::unique_ptr<Agent> agent_;
  bool stopped_ = false;
};

}  // namespace outrider::test
