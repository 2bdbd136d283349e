// SPDX-License-Identifier: Apache-2.0
// The interface of DNS-SD on the local link (RFC 6762, RFC 6763): announces services, and reports
// those that other hosts announce. There are two implementations: mdns/native (the default, without
// a daemon) and mdns/avahi (through avahi-daemon). tests/contract runs the same cases over both.
//
// Words: an announcement is ours, a sighting is another's. A published announcement is probed,
// claimed, defended, and claimed again after trouble, without further calls. Every sighting is
// complete: without a port, a TXT and at least one address it is not reported.
//
// No Sink call comes before the call that caused it has returned, and none after stop()'s `done`.
// A Sink call may publish, withdraw, browse; it may not destroy the provider.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/callback.h"
#include "base/result.h"
#include "base/time.h"
#include "mdns/txt_strings.h"

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

/// Of a service, or without a type of a name alone: `label`.local, a second name of this host at
/// `addresses`, which never is the machine's own name or that of another publication.
struct Announcement {
  std::string label;  // of an instance 1–63 octets of UTF-8, of a name letters, digits and '-'
  ServiceType type;   // empty: a name, to which `preferred`, `addresses`, `host_only` apply
  std::string preferred;  // of a name: the label to try first, which a conflict gave it before
  std::vector<std::string> subtypes;  // "_v1": RFC 6763 §7.1
  std::uint16_t port = 0;
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  /// "key=value" strings. "{address}" within one is replaced by the preferred address of the
  /// interface on which the record is sent (IPv6 in brackets), so that URLs work where they are
  /// read.
  std::vector<std::string> txt;
  /// Exactly these; default: on each interface the addresses of that interface.
  std::vector<IpAddress> addresses;
  /// Loopback only: other agents of this host see it, the LAN does not.
  bool host_only = false;

  bool is_name() const { return type.empty(); }
  bool operator==(const Announcement&) const = default;
};
/// Chosen by the caller, unique among its live announcements.
using AnnouncementId = std::uint64_t;

enum class PublishError : std::uint8_t {
  bad_label,
  bad_type,
  bad_txt,       // RFC 6763 §6
  txt_too_long,  // kTxtBytesMax
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
  TxtStrings txt;
  std::vector<SightedAddress> addresses;  // IPv4 first, global before link-local; never empty
  TimePoint expires;      // the earliest of PTR, SRV, TXT and the longest-lived address
  bool own_host = false;  // seen from this host (another agent here), by source address
  /// Sent by one of the addresses of `host`; true where the sender is unknown (Avahi).
  bool by_host = true;

  bool operator==(const Sighting&) const = default;
};

enum class LostReason : std::uint8_t { goodbye, expired, interface_down, reconfirmed, evicted };
const char* to_string(LostReason reason);

enum class ProviderState : std::uint8_t {
  starting,  // the first questions are being sent
  running,   // sockets are open on at least one interface, and the first browse round is over
  down,      // no interface, socket or daemon; the provider keeps trying
};

/// What to do when another host on the link has the name (RFC 6762 §9).
enum class ConflictPolicy : std::uint8_t { rename, fail };

class Provider {
 public:
  class Sink {
   public:
    /// Claimed and announced on at least one interface, under `label`, which differs from the
    /// wanted label after a conflict. Called again after every rename.
    virtual void on_announced(AnnouncementId id, const std::string& label) = 0;
    /// ConflictPolicy::fail: another host has the name. Only publish() tries again.
    virtual void on_conflict(AnnouncementId id) = 0;
    /// New, or anything but `expires` changed, or `expires` moved on by a refresh.
    virtual void on_sighting(const Sighting& sighting) = 0;
    /// A goodbye is reported at once, although the cache keeps it for a second (RFC 6762 §10.1).
    virtual void on_lost(const SightingKey& key, LostReason reason) = 0;
    virtual void on_state(ProviderState state, const std::string& why) = 0;

   protected:
    ~Sink() = default;
  };

  virtual ~Provider() = default;

  virtual void start(Sink& sink) = 0;

  /// Publishes, or changes what is published under `id`. A changed TXT is announced without a
  /// goodbye; a changed label, type, port or address set means a goodbye where needed and a new
  /// claim. Subtypes are changed one by one (native) or with a new claim (Avahi).
  virtual Result<void, PublishError> publish(AnnouncementId id, const Announcement& wanted) = 0;
  /// Sends a goodbye at once. For a name that is still being probed for, a process before this one
  /// may have announced it: the goodbye follows when it is clear that no other host has the name
  /// (native, within 500 ms). Unknown ids are ignored.
  virtual void withdraw(AnnouncementId id) = 0;

  /// Types to browse besides the enumerated ones (`_services._dns-sd._udp`), which are browsed
  /// without being named. Replaces the previous set. At most kBrowsedTypesMax types are browsed.
  /// Sightings of types that are new in the set, or no longer in it, are reported again.
  virtual void browse(const std::vector<ServiceType>& types) = 0;
  /// A caller waits for an answer: asks for this type now, outside the back-off, but at most once a
  /// second. A type that is not browsed otherwise is browsed for kAskLife.
  virtual void ask(const ServiceType& type) = 0;

  /// Finds the addresses of "box.local" (RFC 6762 §3). The callback is called once, within `wait`
  /// at most, with no address if there is no answer; cached addresses come with the next turn.
  /// Without a value, the link could not be asked: too many lookups wait, or the provider is down.
  /// Destroying the lookup cancels it.
  class HostLookup {
   public:
    virtual ~HostLookup() = default;
  };
  using HostCallback =
      Callback<void(std::optional<std::vector<SightedAddress>> addresses, Duration ttl)>;
  virtual std::unique_ptr<HostLookup> lookup_host(const std::string& host, Duration wait,
                                                  HostCallback callback) = 0;

  /// Sends goodbyes for everything as withdraw() does, twice 250 ms apart, then calls `done` once.
  /// Sightings are not reported as lost.
  virtual void stop(Callback<void()> done) = 0;
};

}  // namespace outrider::mdns
