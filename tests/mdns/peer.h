// SPDX-License-Identifier: Apache-2.0
// What mDNS tests share: a provider on a simulated host that writes down what it is told, and a
// hand that puts messages on a link and reads those that are there.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "mdns/native/native_provider.h"
#include "tests/mdns/message.h"
#include "tests/sim/world.h"

namespace outrider::mdns {

class Peer final : private Provider::Sink {
 public:
  explicit Peer(sim::Host& host, NativeOptions options = {});
  ~Peer();

  NativeProvider& operator*() { return *provider_; }
  NativeProvider* operator->() { return provider_.get(); }
  sim::Host& host() { return host_; }
  /// As by a crash: no goodbye.
  void kill() { provider_.reset(); }

  std::map<AnnouncementId, std::string> announced;  // the last label of each
  std::vector<std::string> log;                     // "announced 1 hello", "sighting hello", …
  std::map<SightingKey, Sighting> sightings;        // those that are there now
  std::map<SightingKey, LostReason> lost;           // why the others are not
  std::vector<AnnouncementId> conflicts;
  ProviderState state = ProviderState::starting;
  std::string why;
  bool stopped = false;

  const Sighting* sees(const std::string& label, const ServiceType& type = "_hello._tcp") const;
  std::size_t count(const std::string& line) const;
  void stop();

 private:
  void on_announced(AnnouncementId id, const std::string& label) override;
  void on_conflict(AnnouncementId id) override;
  void on_sighting(const Sighting& sighting) override;
  void on_lost(const SightingKey& key, LostReason reason) override;
  void on_state(ProviderState state, const std::string& why) override;

  sim::Host& host_;
  std::unique_ptr<NativeProvider> provider_;
};

/// Options whose host label is unlike those of other names.
NativeOptions options_for(const std::string& host);

Announcement hello(const std::string& label = "hello", std::uint16_t port = 8080);

/// Alice on host "a" and Bob on host "b", on one LAN.
struct TwoHosts {
  using Prefixes = std::vector<std::string>;
  explicit TwoHosts(const Prefixes& alices = {"192.168.1.2/24"},
                    const Prefixes& bobs = {"192.168.1.3/24"});
  /// Alice publishes as number 1, and Bob sees it.
  void meet(const Announcement& wanted = hello());

  sim::World world;
  sim::Link& lan;
  sim::Host& a;
  sim::Host& b;
  Peer alice;
  Peer bob;

 private:
  static sim::Host& attach(sim::Host& host, sim::Link& lan, const Prefixes& prefixes);
};

/// All that parse; those that do not are a failure of the test.
std::vector<Message> messages(const sim::Link& link,
                              const std::function<bool(const Message&)>& wanted = {});

/// From port 5353 of `from` to the IPv4 group.
void inject(sim::Link& link, const std::string& from, const Sent& message,
            std::uint16_t port = 5353);

}  // namespace outrider::mdns
