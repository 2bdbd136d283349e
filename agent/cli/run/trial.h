// SPDX-License-Identifier: Apache-2.0
// Finds out where a program is reached: every address that is shown has answered before, from here,
// under the name in it.
//
//   the program at its own address ▸ the LAN's address and name ▸ the name in DNS, as this host's
//   resolver finds it ▸ the page ▸ the bridge
//
// What speaks HTTP answers each of these with the same status; of others, it counts that they can
// be connected to. A dev server that refuses names that it does not know, and a bridge that does
// not know the service yet, do not.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/cli/run/block.h"
#include "base/env.h"
#include "base/http/client.h"

namespace outrider::cli::beside {

/// For one request, and for everything together.
inline constexpr Duration kRequestTime = std::chrono::seconds(2);
inline constexpr Duration kTrialTime = std::chrono::seconds(4);
/// Another agent's bridge hears of the service within a second.
inline constexpr unsigned kBridgeAttempts = 4;
inline constexpr Duration kBridgePause = std::chrono::milliseconds(500);

struct TrialPlan {
  std::string label;            // "hello"
  std::string dns_name;         // "hello.svc"
  Endpoint here;                // of the program, on this host
  std::optional<Endpoint> lan;  // the same for other hosts
  std::string lan_host;         // "hello.local"; empty: none
  std::optional<Endpoint> web;  // where the bridge and the page are
  bool speaks_http = false;     // a health check has shown that
  /// Its protocol is https. What it says is not asked: its certificate is a matter of the browser.
  bool speaks_tls = false;
  std::optional<Endpoint> web_tls;  // where the bridge is for TLS
};

/// Addresses of a name that are tried.
inline constexpr std::size_t kAddressesTried = 4;

/// Asks this host's resolver, as programs do: addresses, the preferred one first; none: not found.
/// The callback is called once, not before this returns.
using LookUp = std::function<std::unique_ptr<Pending>(
    const std::string& name, Callback<void(std::vector<IpAddress>)> answer)>;

/// Whether an agent's page is at `web`. The callback is called once, within `limit`, not before
/// this returns.
std::unique_ptr<Pending> look_for_page(Env& env, const Endpoint& web, Duration limit,
                                       Callback<void(bool)> found);

class Trial {
 public:
  /// `done` is called once, not before the constructor has returned, within kTrialTime. `env`
  /// outlives this. Destroying it cancels. `look_up` may be empty.
  Trial(Env& env, TrialPlan plan, LookUp look_up, Callback<void(Places)> done);

 private:
  enum class Speaks : std::uint8_t { nothing, http, something };
  /// What a server said.
  struct Answer {
    Speaks speaks = Speaks::nothing;
    http::Response response;
  };
  struct Question {
    Endpoint to;
    std::string host;  // Host header; empty: that of `to`
    std::string path = "/";
  };
  void ask(Question question, Callback<void(Answer)> then);
  void on_here(const Answer& answer);
  void try_lan();
  void try_name();
  void try_address(std::vector<IpAddress> left);
  void try_page(const std::string& path);
  void on_page(const std::string& path);
  void try_bridge();
  void try_tls_bridge();
  bool is_same(const Answer& answer) const;
  std::string url(const std::string& host, std::uint16_t port) const;
  /// One of the parts is over.
  void leave();
  void finish();

  Env& env_;
  TrialPlan plan_;
  LookUp look_up_;
  Callback<void(Places)> done_;
  Places places_;
  Speaks speaks_ = Speaks::nothing;
  int status_ = 0;
  unsigned left_ = 0;  // parts under way
  unsigned bridge_attempts_ = 0;
  std::vector<std::unique_ptr<Pending>> requests_;
  Timer deadline_, pause_;
};

}  // namespace outrider::cli::beside
