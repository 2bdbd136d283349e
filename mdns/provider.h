// SPDX-License-Identifier: Apache-2.0
// The promise of DNS-SD on the local link (RFC 6762, RFC 6763): say what is to be announced, hear
// what others announce. Two keep it: mdns/native (the default, no daemon) and mdns/avahi (through
// avahi-daemon). tests/contract runs the same cases over both.
//
// Words: an announcement is ours, a sighting is theirs. Publishing is a wish: it is probed,
// claimed, defended and taken up again after trouble without more calls. Every sighting is whole:
// it has a port, a TXT and at least one address, or it is not told.
//
// No Sink call comes before the call that caused it has returned, and none after stop()'s `done`.
// A Sink call may publish, withdraw, browse; it may not destroy the provider.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/callback.h"
#include "base/result.h"
#include "base/time.h"

namespace outrider::mdns {

/// "_hello._tcp": how names of the DNS-SD layer travel between rooms. RFC 6763 §4.1.2, §7.
using ServiceType = std::string;

/// TXT octets of an announcement: one datagram with its PTR, SRV, TXT and addresses must fit an
/// Ethernet frame.
inline constexpr std::size_t kTxtBytesMax = 1'100;
inline constexpr std::size_t kAnnouncementsMax = 1'024;
inline constexpr std::size_t kSubtypesMax = 16;  // of an announcement
inline constexpr std::size_t kSightingsMax = 16'384;
inline constexpr std::size_t kBrowsedTypesMax = 4'096;

struct Announcement {
  std::string label;  // instance label: 1–63 octets of UTF-8
  ServiceType type;
  std::vector<std::string> subtypes;  // "_v1": RFC 6763 §7.1
  std::uint16_t port = 0;
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  /// "key=value" strings. "{address}" within one stands for the preferred address of the interface
  /// on which the record goes out (IPv6 in brackets), so that URLs work where they are read.
  std::vector<std::string> txt;
  /// Empty: the addresses of each interface, on that interface. Else exactly these.
  std::vector<IpAddress> addresses;
  /// Loopback only: other agents of this host see it, the LAN does not.
  bool host_only = false;

  bool operator==(const Announcement&) const = default;
};
/// Chosen by the caller, unique among its live announcements.
using AnnouncementId = std::uint64_t;

enum class PublishError : std::uint8_t {
  bad_label,
  bad_type,
  bad_txt,       // against RFC 6763
  txt_too_long,  // beyond kTxtBytesMax
  too_many,      // kAnnouncementsMax
};
const char* to_string(PublishError error);

struct SightingKey {
  ServiceType type;   // lower case
  std::string label;  // as announced
  auto operator<=>(const SightingKey&) const = default;
};

struct SightedAddress {
  IpAddress address;  // link-local ones carry their scope
  std::uint32_t interface = 0;
  auto operator<=>(const SightedAddress&) const = default;
};

struct Sighting {
  SightingKey key;
  std::string host;  // SRV target, "box.local"
  std::uint16_t port = 0;
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::vector<std::string> txt;
  std::vector<SightedAddress> addresses;  // IPv4 first, global before link-local; never empty
  TimePoint expires;      // the earliest of PTR, SRV, TXT and the longest-lived address
  bool own_host = false;  // seen from this host (another agent here), by source address

  bool operator==(const Sighting&) const = default;
};

enum class LostReason : std::uint8_t { goodbye, expired, interface_down, reconfirmed, evicted };
const char* to_string(LostReason reason);

enum class ProviderState : std::uint8_t {
  starting,  // nothing heard yet, first questions going out
  running,   // sockets open on at least one interface, first browse round done
  down,      // no interface, no socket, no daemon; it tries again by itself
};

/// What to do when somebody else on the link has the name (RFC 6762 §9).
enum class ConflictPolicy : std::uint8_t { rename, fail };

class Provider {
 public:
  class Sink {
   public:
    /// Claimed and announced on at least one interface, under `label` (which differs from the
    /// wanted one after a conflict). Again after every rename.
    virtual void on_announced(AnnouncementId id, const std::string& label) = 0;
    /// The policy is to fail: the name belongs to somebody else. Published again only by publish().
    virtual void on_conflict(AnnouncementId id) = 0;
    /// New, or anything but `expires` changed, or `expires` moved on by a refresh.
    virtual void on_sighting(const Sighting& sighting) = 0;
    /// A goodbye is told at once, whatever the cache keeps (RFC 6762 §10.1 keeps it one second).
    virtual void on_lost(const SightingKey& key, LostReason reason) = 0;
    virtual void on_state(ProviderState state, const std::string& why) = 0;

   protected:
    ~Sink() = default;
  };

  virtual ~Provider() = default;

  virtual void start(Sink& sink) = 0;

  /// New, or changes what was published under `id`: TXT changes are announced without goodbye; a
  /// changed label, type, port or address set is a goodbye (where needed) and a new claim. Subtypes
  /// come and go by themselves where the provider can (native), else likewise.
  virtual Result<void, PublishError> publish(AnnouncementId id, const Announcement& wanted) = 0;
  /// Goodbye at once. Unknown ids are ignored.
  virtual void withdraw(AnnouncementId id) = 0;

  /// Types to browse besides those that `_services._dns-sd._udp` enumeration finds; replaces the
  /// set of before. Enumerated types are browsed by themselves, bounded by kBrowsedTypesMax.
  virtual void browse(const std::vector<ServiceType>& types) = 0;
  /// Somebody waits for an answer: ask for this type now, once, outside the back-off.
  virtual void ask(const ServiceType& type) = 0;
  /// A sighting that does not answer: RFC 6762 §10.4. It is asked for and lost if nobody confirms.
  virtual void reconfirm(const SightingKey& key) = 0;

  /// Addresses of "box.local" (RFC 6762 §3), within `wait` at most; empty if nobody answers. Cached
  /// ones come with the next turn. Destroying the lookup cancels it.
  class HostLookup {
   public:
    virtual ~HostLookup() = default;
  };
  using HostCallback = Callback<void(std::vector<SightedAddress> addresses, Duration ttl)>;
  virtual std::unique_ptr<HostLookup> lookup_host(const std::string& host, Duration wait,
                                                  HostCallback callback) = 0;

  /// Goodbyes for everything, twice 250 ms apart, then `done` once. Sightings end silently.
  virtual void stop(Callback<void()> done) = 0;
};

}  // namespace outrider::mdns
