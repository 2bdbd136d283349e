// SPDX-License-Identifier: Apache-2.0
// avahi-daemon as the provider sees it, in the simulated world: daemons of one LAN know each
// other's services without a packet. They can be stopped, killed, made to hang, and their bus taken
// away; they check that no code asks for more than a real one allows.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "mdns/avahi/client.h"
#include "tests/sim/world.h"

namespace outrider::mdns::fake {

inline constexpr Duration kProbing = 750ms;
inline constexpr Duration kStartUp = 1s;        // of a daemon, until its host name is its own
inline constexpr Duration kGiveUp = 5s;         // of a resolver
inline constexpr Duration kAnswer = 1ms;        // of whatever is known
inline constexpr Duration kRemoteGoodbye = 1s;  // RFC 6762 §10.1

class FakeClient;

/// All daemons of a world.
class Lan {
 public:
  explicit Lan(sim::World& world) : world_(world) {}
  /// Something changed: everybody looks, `after` that time.
  void changed(Duration after);
  std::vector<FakeClient*> clients;

 private:
  sim::World& world_;
  std::set<TimePoint> looks_;
};

class Daemon {
 public:
  Daemon(sim::Host& host, Lan& lan) : host_(host), lan_(lan) {}

  std::unique_ptr<avahi::Client> make_client();
  /// A clean end: what was published says goodbye.
  void stop();
  void start();
  void hang(bool hangs);
  void set_bus(bool there);
  /// The next group that is published finds its name taken by a stranger.
  void refuse_next_name() { ++strangers; }

  std::string host_name() const { return host_.name() + ".local"; }
  sim::Host& host() { return host_; }
  bool up() const { return up_; }
  bool hung() const { return hung_; }
  bool bus() const { return bus_; }
  bool running() const { return up_ && running_; }

  int strangers = 0;
  std::size_t connects = 0;
  std::size_t objects_most = 0;             // of one client, ever
  std::size_t resolving_most = 0;           // that had not answered, ever
  std::vector<avahi::PublishGroup> groups;  // that were made
  std::vector<avahi::UpdateTxt> txt_updates;
  bool txt_update_too_early = false;

 private:
  void tell(avahi::Connection state);
  sim::Host& host_;
  Lan& lan_;
  bool up_ = true, running_ = true, hung_ = false, bus_ = true;
  Timer start_up_;
};

}  // namespace outrider::mdns::fake
