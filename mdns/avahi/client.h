// SPDX-License-Identifier: Apache-2.0
// The interface over libavahi-client: plain values both ways, no call blocks. The module
// mdns/avahi/module implements it with a thread of its own, because every call of the library waits
// for D-Bus; tests/mdns/fake_avahi implements it for the simulator.
//
// Flow: the provider sends Commands ▸ the client carries them out in order, one connection to the
// daemon at a time ▸ Events come back in batches, in turns of the main loop.
//
// Odd words: an object is something that the daemon keeps for us: an entry group (an announcement),
// a browser or a resolver. The provider chooses its number and never uses one twice.
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/callback.h"
#include "base/env.h"
#include "mdns/provider.h"

namespace outrider::mdns::avahi {

/// The default limits of the daemon: entries-per-entry-group-max, objects-per-client-max.
inline constexpr std::size_t kEntriesPerGroupMax = 32;
inline constexpr std::size_t kObjectsMax = 1'024;
/// How the objects are divided.
inline constexpr std::size_t kGroupsMax = 256;
inline constexpr std::size_t kBrowsersMax = 256;    // and one for the enumeration of types
inline constexpr std::size_t kResolvingMax = 64;    // that wait for their first answer
inline constexpr std::size_t kResolversHeld = 384;  // that report changes; the rest asks again
inline constexpr std::size_t kHostsAskedMax = 16;   // one object a family
static_assert(kGroupsMax + kBrowsersMax + 1 + kResolvingMax + kResolversHeld + 2 * kHostsAskedMax <=
              kObjectsMax);
/// What may wait between the main loop and the thread, either way.
inline constexpr std::size_t kCommandsMax = 4'096;
inline constexpr std::size_t kEventsMax = 4'096;

using Object = std::uint64_t;
using Family = IpAddress::Family;

// --- Commands -----------------------------------------------------------------------------------

struct ServiceEntry {
  std::uint32_t interface = 0;  // default: all
  std::string label;
  ServiceType type;
  std::vector<std::string> subtypes;
  std::string host;  // default: the daemon's
  std::uint16_t port = 0;
  std::vector<std::string> txt;
  bool operator==(const ServiceEntry&) const = default;
};
struct AddressEntry {
  std::uint32_t interface = 0;
  std::string host;
  IpAddress address;
  bool operator==(const AddressEntry&) const = default;
};
/// At most kEntriesPerGroupMax entries; each subtype counts as one.
struct PublishGroup {
  Object object = 0;
  std::vector<AddressEntry> addresses;
  std::vector<ServiceEntry> services;
};
/// Only while the group is established: earlier, Avahi takes its own probes for another host's.
struct UpdateTxt {
  Object object = 0;
  std::vector<ServiceEntry> services;
};
struct BrowseTypes {
  Object object = 0;
};
struct Browse {
  Object object = 0;
  ServiceType type;
};
struct Resolve {
  Object object = 0;
  std::uint32_t interface = 0;
  Family protocol = Family::v4;
  std::string label;
  ServiceType type;
  bool any_address = false;  // else addresses of the protocol's family only
};
struct ResolveHost {
  Object object = 0;
  std::string host;
  Family family = Family::v4;
};
struct Free {
  Object object = 0;
};
using Command =
    std::variant<PublishGroup, UpdateTxt, BrowseTypes, Browse, Resolve, ResolveHost, Free>;

// --- Events -------------------------------------------------------------------------------------

enum class Connection : std::uint8_t {
  waiting,      // for the daemon; the bus is available
  registering,  // the daemon claims its host name: browsing works, groups must be created again
  running,
  failed,  // all objects are gone; connect() again
};
struct ConnectionChanged {
  Connection state = Connection::waiting;
  std::string why;
};
enum class GroupState : std::uint8_t { registering, established, collision, failed };
struct GroupChanged {
  Object object = 0;
  GroupState state = GroupState::registering;
  std::string why;
};
struct TypeChanged {
  bool there = false;
  std::uint32_t interface = 0;
  Family protocol = Family::v4;
  ServiceType type;
};
struct InstanceChanged {
  Object browser = 0;
  bool there = false;
  std::uint32_t interface = 0;
  Family protocol = Family::v4;
  std::string label;
  ServiceType type;
  bool local = false;  // announced by the daemon of this host
  bool own = false;    // by this client
};
struct BrowserFailed {
  Object object = 0;
  std::string why;
};
/// The first answer, and each answer that differs from the previous one.
struct Resolved {
  Object object = 0;
  std::string host;
  IpAddress address;
  std::uint16_t port = 0;
  std::vector<std::string> txt;
};
struct HostResolved {
  Object object = 0;
  IpAddress address;
  std::uint32_t interface = 0;
};
/// From either kind of resolver: there is no answer, or no longer. No more events follow.
struct ResolveFailed {
  Object object = 0;
};
/// Every command sent so far has been carried out: the daemon responds.
struct Idle {};
using Event = std::variant<ConnectionChanged, GroupChanged, TypeChanged, InstanceChanged,
                           BrowserFailed, Resolved, HostResolved, ResolveFailed, Idle>;

class Client {
 public:
  class Sink {
   public:
    /// In the order of arrival; never from within a call to the client. May connect() and send(),
    /// but not destroy the client.
    virtual void on_events(std::vector<Event> events) = 0;

   protected:
    ~Sink() = default;
  };

  /// Does not wait for the library; the daemon notices by itself.
  virtual ~Client() = default;
  /// Replaces the connection: the objects, commands and events of the previous one are dropped.
  virtual void connect(Sink& sink) = 0;
  /// False: kCommandsMax commands are waiting, and this one was dropped.
  virtual bool send(Command command) = 0;
  /// After all commands so far: leaves the daemon, which sends our goodbyes, then calls `done`.
  virtual void disconnect(Callback<void()> done) = 0;
};

/// From the module; null with the reason in `why` if it is not available.
std::unique_ptr<Client> load_client(Env& env, std::string* why);

}  // namespace outrider::mdns::avahi
