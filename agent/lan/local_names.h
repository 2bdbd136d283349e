// SPDX-License-Identifier: Apache-2.0
// Names of services in .local: `hello.local` is a name of this host while an instance of hello that
// asks for it (`local_name`) is served here. Phones and browsers have only addresses looked up over
// mDNS, no SRV records, so `http://hello.local:8080/` needs such a name.
//
// One name stands for all instances of a service. The provider probes and defends it, and takes
// hello-2 if another host has it; the report says which name was claimed.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/registry/model.h"
#include "base/env.h"
#include "mdns/provider.h"

namespace outrider {

/// Services whose last name is remembered: they get it again when they are served again, although
/// the first one may be free by then.
inline constexpr std::size_t kLocalNamesRemembered = 1'024;

class LocalNames {
 public:
  /// The name of a registration is claimed ("hello.local") or is its own no longer (empty). Not
  /// before the call that caused it has returned, except from apply().
  using Report = std::function<void(const std::string& instance, const std::string& name)>;

  /// `provider` is null when mdns.provider is off. Everything outlives this.
  LocalNames(Env& env, mdns::Provider* provider, Report report)
      : env_(env), provider_(provider), report_(std::move(report)) {}

  /// Follows a change of a registration; `after` is null when it left the lists.
  void apply(const registry::InstancePtr& before, const registry::InstancePtr& after);
  void withdraw_all();

  /// Of the announcements that the provider speaks of, those of names.
  static bool owns(mdns::AnnouncementId id) { return id >= kFirstId; }
  void on_announced(mdns::AnnouncementId id, const std::string& label);
  void on_conflict(mdns::AnnouncementId id);

 private:
  static constexpr mdns::AnnouncementId kFirstId = mdns::AnnouncementId{1} << 32;
  struct Held {
    mdns::AnnouncementId id = 0;
    std::string label;  // claimed now or the last time
    bool published = false;
    bool claimed = false;
    std::vector<IpAddress> addresses;                     // as published
    std::map<std::string, std::vector<IpAddress>> users;  // ids of registrations
  };
  using Place = std::map<std::string, Held>::iterator;  // by label of the service

  void publish(Place place);
  void withdraw(Held& held);
  void report(const Held& held);
  Place find(mdns::AnnouncementId id);

  Env& env_;
  mdns::Provider* provider_;
  Report report_;
  std::map<std::string, Held> held_;
  mdns::AnnouncementId next_ = kFirstId;
};

}  // namespace outrider
