// SPDX-License-Identifier: Apache-2.0
// The promises of the network. base/uv keeps them with the kernel, tests/sim with a simulated one;
// tests/contract runs the same cases over both.
//
// Rules that hold for everything here:
// - The object (or token) owns the right to be called back: destroying it cancels, closes, and no
//   callback comes afterwards. A callback may destroy the object that calls it.
// - No callback runs before the call that started the work has returned. Failures that are known
//   at once either come as the Result of the call or wait for the next turn of the loop.
// - A Sink must outlive the object that it is given to. Bytes in a callback are valid during it.
// - Everything happens on one thread, in turns of one loop; the clock does not advance during a
// turn.
// - A stop is graceful where that is documented; a destruction is immediate.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/callback.h"
#include "base/result.h"
#include "base/time.h"

namespace outrider {

enum class NetError : std::uint8_t {
  in_use,         // the address or port is taken
  denied,         // no permission (a port below 1024, a socket file)
  not_available,  // the address, interface or path does not exist here
  refused,        // no program listens there
  reset,          // the peer tore the connection down
  timed_out,      // the kernel gave up
  unreachable,    // no route, host or network down
  too_big,        // the datagram does not fit, or a queue is full
  no_resources,   // out of descriptors, buffers or memory
  closed,         // closed on our side or by the peer in an orderly way
  unsupported,    // this network does not do that
  failed,         // anything else
};
const char* to_string(NetError error);

// --- UDP -------------------------------------------------------------------------------------

struct Datagram {
  Bytes payload;                // may be empty: zero-length datagrams are delivered
  Endpoint from;                // link-local senders carry their scope
  IpAddress to;                 // destination address; any() unless UdpOptions::packet_info
  std::uint32_t interface = 0;  // index of the arriving interface; 0 unless packet_info
  int hop_limit = -1;           // IP TTL or hop limit on arrival; -1 unless packet_info
};

struct UdpOptions {
  Endpoint bind;                   // port 0: the system picks
  bool reuse_address = false;      // SO_REUSEADDR
  bool reuse_port = false;         // SO_REUSEPORT
  bool packet_info = false;        // fill Datagram::to, interface, hop_limit; allow SendOptions
  std::uint32_t interface = 0;     // outgoing multicast interface, and the one joined on
  std::vector<IpAddress> join;     // multicast groups
  int multicast_hops = 1;          // RFC 6762 §11 wants 255
  bool multicast_loopback = true;  // other sockets of this host receive what we multicast
  std::size_t receive_buffer_bytes = 0;  // 0: the system's default
};

/// Largest payload that a socket delivers; longer datagrams are cut and counted as truncated by
/// the receiver's own length checks. 64 KiB less the IP and UDP headers never is cut.
inline constexpr std::size_t kDatagramBytesMax = 65'507;
/// Payload bytes that may wait for sending in one socket; beyond that send() returns too_big.
inline constexpr std::size_t kUdpSendQueueBytesMax = 4U << 20;

class UdpSocket {
 public:
  class Sink {
   public:
    /// Datagrams that arrived together, in order; at least one, at most 64.
    virtual void on_datagrams(std::span<const Datagram> datagrams) = 0;
    /// An error that the kernel reports asynchronously, such as a refused earlier send. The
    /// socket stays usable.
    virtual void on_udp_error(NetError) {}

   protected:
    ~Sink() = default;
  };

  virtual ~UdpSocket() = default;
  virtual Endpoint local() const = 0;

  /// Copies the datagram before it returns and sends it no later than the end of this turn of the
  /// loop; those sent while on_datagrams runs leave together. A datagram that the kernel does not
  /// take now waits; one that it refuses is dropped and reported to on_udp_error. `from` and
  /// `interface` (both optional, packet_info sockets only) fix the source address and interface.
  virtual Result<void, NetError> send(Bytes payload, const Endpoint& to, const IpAddress& from = {},
                                      std::uint32_t interface = 0) = 0;

  /// As long as it is paused nothing is delivered; the kernel queues what it can.
  virtual void set_paused(bool paused) = 0;

  /// On an already bound socket. Joining twice is not an error.
  virtual Result<void, NetError> join(const IpAddress& group, std::uint32_t interface) = 0;
  virtual void leave(const IpAddress& group, std::uint32_t interface) = 0;
};

// --- Streams: TCP and Unix sockets -----------------------------------------------------------

struct UnixPath {
  std::string path;  // a leading '@' means the abstract namespace
  auto operator<=>(const UnixPath&) const = default;
};
using StreamAddress = std::variant<Endpoint, UnixPath>;
std::string to_string(const StreamAddress& address);

/// Bytes that may wait in one stream; beyond that write() fails.
inline constexpr std::size_t kStreamUnsentBytesMax = 4U << 20;

struct PeerCredentials {
  std::int64_t pid = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

/// Destroying a stream closes it at once; what was not sent is lost. Reading starts with start().
class Stream {
 public:
  class Sink {
   public:
    virtual void on_data(Bytes data) = 0;
    /// The peer has finished sending; writing may go on. At most once, nothing read after it.
    virtual void on_end() = 0;
    /// The stream broke. Nothing comes after it.
    virtual void on_broken(NetError error) = 0;
    /// Everything written so far has been handed to the kernel. Not called for each write: only
    /// when unsent_bytes() has gone back to zero after being above it at the end of a write().
    virtual void on_drained() {}

   protected:
    ~Sink() = default;
  };

  virtual ~Stream() = default;

  /// Once, before any data is delivered or lost; `sink` must outlive the stream or be replaced.
  virtual void start(Sink& sink) = 0;
  /// Copies. too_big: unsent_bytes() would pass kStreamUnsentBytesMax, nothing was taken.
  /// closed: after finish() or a break. Breaks noticed by the write come later, to on_broken.
  virtual Result<void, NetError> write(Bytes data) = 0;
  virtual std::size_t unsent_bytes() const = 0;
  /// Half-close: FIN after all that was written.
  virtual void finish() = 0;
  /// Destruction will send RST instead of FIN (TCP), so that no TIME_WAIT stays behind: for probes.
  virtual void reset_on_destroy() = 0;
  virtual void set_paused(bool paused) = 0;

  virtual StreamAddress local() const = 0;
  virtual StreamAddress peer() const = 0;
  /// Unix sockets only (SO_PEERCRED).
  virtual std::optional<PeerCredentials> peer_credentials() const = 0;
};

/// An unfinished start of something: destroying it cancels.
class Pending {
 public:
  virtual ~Pending() = default;
};

struct ConnectOptions {
  StreamAddress to;
  std::optional<IpAddress> from;  // TCP: the local address
  // Written before anything else, as by a write() in the callback; but if the connection succeeds
  // at once, as on one host, together with it. A client that speaks first should use this: the peer
  // wakes up only once. Valid during the call. too_big: longer than kStreamUnsentBytesMax.
  Bytes opening;
  // TCP: a peer that has been silent for so long is asked whether it is still there (SO_KEEPALIVE);
  // three questions without an answer, a third of that apart, break the stream. Zero: never asked.
  Duration keep_alive{};
  // TCP: what was sent must be acknowledged within this, or the stream breaks (TCP_USER_TIMEOUT,
  // RFC 5482). Zero: the system's own patience, minutes.
  Duration unacknowledged_max{};
};
using ConnectCallback = Callback<void(Result<std::unique_ptr<Stream>, NetError>)>;

struct ListenOptions {
  StreamAddress on;         // a Unix path that is a dead socket is taken over, a live one is in_use
  bool reuse_port = false;  // TCP
  int backlog = 128;
  std::uint32_t mode = 0660;  // permissions of a Unix socket file
};

/// Destroying it closes it and, for a Unix socket that it made, removes the file.
class Listener {
 public:
  class Sink {
   public:
    virtual void on_accept(std::unique_ptr<Stream> stream) = 0;
    /// Out of descriptors, for example; the listener recovers on its own.
    virtual void on_accept_error(NetError) {}

   protected:
    ~Sink() = default;
  };
  virtual ~Listener() = default;
  virtual StreamAddress local() const = 0;
  virtual void set_paused(bool paused) = 0;
};

// --- Descriptors of other libraries ----------------------------------------------------------

struct FdEvents {
  bool readable = false;
  bool writable = false;
};
/// Calls while the descriptor is ready (level-triggered); errors and hang-ups are reported as both.
class FdWatch {
 public:
  virtual ~FdWatch() = default;
  virtual void set(FdEvents interest) = 0;
};

// --- Interfaces ------------------------------------------------------------------------------

struct Interface {
  std::uint32_t index = 0;
  std::string name;
  std::string kind;               // IFLA_INFO_KIND: "veth", "bridge", "tun", …; "" for hardware
  std::vector<Prefix> addresses;  // in the kernel's order; tentative and deprecated ones left out
  std::uint32_t mtu = 1500;
  bool up = false;  // IFF_UP and IFF_RUNNING
  bool loopback = false;
  bool multicast = false;  // IFF_MULTICAST
  bool point_to_point = false;
  bool bridge_port = false;  // has a bridge as its master

  bool operator==(const Interface&) const = default;
};

class Network {
 public:
  virtual ~Network() = default;

  virtual Result<std::unique_ptr<UdpSocket>, NetError> open_udp(const UdpOptions& options,
                                                                UdpSocket::Sink& sink) = 0;
  virtual std::unique_ptr<Pending> connect(const ConnectOptions& options,
                                           ConnectCallback callback) = 0;
  virtual Result<std::unique_ptr<Listener>, NetError> listen(const ListenOptions& options,
                                                             Listener::Sink& sink) = 0;
  /// unsupported in the simulator.
  virtual Result<std::unique_ptr<FdWatch>, NetError> watch_fd(
      int fd, FdEvents interest, Callback<void(FdEvents)> callback) = 0;

  /// All interfaces as they are now, by index.
  virtual std::vector<Interface> interfaces() = 0;
  /// Calls after every change of what interfaces() says (of one turn: once), and after a suspend.
  virtual std::unique_ptr<Pending> watch_interfaces(Callback<void()> callback) = 0;
};

}  // namespace outrider
