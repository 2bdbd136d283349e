// SPDX-License-Identifier: Apache-2.0
// UDP by recvmmsg and sendmmsg on a uv_poll. A lone query costs three system calls: epoll_wait,
// recvmmsg, sendmmsg. Once warm, no datagram allocates.
#pragma once

#include <array>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/net.h"
#include "base/uv/poll.h"
#include "base/uv/socket.h"
#include "base/uv/state.h"

namespace outrider::uv {

inline constexpr std::size_t kUdpBatch = 64;
/// If at least this many datagrams arrive at once, a socket leaves the epoll set until it has
/// answered them: while it is in the set, the kernel notifies epoll of each datagram that leaves,
/// because there is room for sending again. That costs an eighth of an answer, and two more system
/// calls avoid it.
inline constexpr std::size_t kUdpBurst = 16;
/// How often a socket reads again in one turn while bursts arrive, before other sockets do.
inline constexpr int kUdpBurstRounds = 4;
/// Datagrams that a socket of a multicast group reads in one turn, one at a time. Any host of the
/// link can send them, and one may cost as much as hundreds of queries.
inline constexpr int kUdpGroupRounds = 16;
/// Refusals that wait for on_udp_error in one socket; further ones are not reported.
inline constexpr std::size_t kUdpErrorsMax = 64;
/// Datagrams that may wait for sending in one socket, whatever their size.
inline constexpr std::size_t kUdpSendQueueMax = 65'536;
/// Room for queued payloads that a socket keeps after a burst.
inline constexpr std::size_t kUdpIdleQueueBytes = 128 * 1024;

/// The buffers of one recvmmsg or sendmmsg.
///
/// A datagram of up to kNear bytes lies in a dense array. The rest of a larger one is received
/// into its slot of a mapping whose pages exist only once touched; its head is then copied in front
/// of it. So 64 datagrams of 64 KiB fit, and a quiet program pays for a page.
class UdpArea {
 public:
  UdpArea();
  ~UdpArea();
  UdpArea(const UdpArea&) = delete;
  UdpArea& operator=(const UdpArea&) = delete;

  /// Returns the number of datagrams, 0 when there are none, -1 with errno.
  int receive(int fd, bool packet_info, std::size_t most);
  /// The datagrams of the last receive().
  std::span<const Datagram> datagrams();
  /// Gives back the pages of large datagrams; their payloads are invalid afterwards.
  void release();

  static constexpr std::size_t kNear = 2048;
  static constexpr std::size_t kFar = 64 * 1024;
  static constexpr std::size_t kControl = CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int));
  struct alignas(cmsghdr) Control {
    std::array<std::uint8_t, kControl> bytes;
  };

  // For sending, filled by the socket.
  std::array<mmsghdr, kUdpBatch> out{};
  std::array<iovec, kUdpBatch> out_bytes{};
  std::array<sockaddr_storage, kUdpBatch> out_to{};
  std::array<Control, kUdpBatch> out_control{};

 private:
  std::array<mmsghdr, kUdpBatch> in_{};
  std::array<std::array<iovec, 2>, kUdpBatch> in_bytes_{};
  std::array<sockaddr_storage, kUdpBatch> in_from_{};
  std::array<Control, kUdpBatch> in_control_{};
  std::array<Datagram, kUdpBatch> datagrams_{};
  std::array<std::array<std::uint8_t, kNear>, kUdpBatch> near_;
  std::size_t used_ = kUdpBatch;  // leading headers that the kernel has written into
  bool packet_info_ = false;
  std::uint8_t* far_ = nullptr;
  bool far_touched_ = false;
};

class UdpPort final : public UdpSocket, private PollOwner {
 public:
  UdpPort(Loop::State& loop, FileDescriptor fd, const UdpOptions& options, Sink& sink);
  ~UdpPort() override;
  /// Starts receiving.
  Result<void, NetError> start();

  Endpoint local() const override { return local_; }
  Result<void, NetError> send(Bytes payload, const Endpoint& to, const IpAddress& from,
                              std::uint32_t interface) override;
  void set_paused(bool paused) override;
  Result<void, NetError> join(const IpAddress& group, std::uint32_t interface) override;
  void leave(const IpAddress& group, std::uint32_t interface) override;

  /// Sends what is queued, as far as the kernel takes it. Never calls back.
  void flush();
  void turn_ends();

 private:
  struct Queued {
    std::size_t offset;
    std::size_t size;
    Endpoint to;
    IpAddress from;
    std::uint32_t interface;
  };

  void on_poll(int status, int events) override;
  void receive();
  bool send_batch();
  void refuse_first(int error_number);
  void forget_sent();
  std::size_t waiting_bytes() const;
  void report(NetError error);
  void deliver_errors();
  void update_poll();
  UdpArea& area();

  Loop::State& loop_;
  Sink& sink_;
  FileDescriptor fd_;
  Endpoint local_;
  bool packet_info_;
  std::size_t batch_;  // datagrams of one round, and rounds of one turn
  int rounds_;
  bool paused_ = false;
  bool waits_writable_ = false;

  std::vector<std::uint8_t> queue_bytes_;
  std::vector<Queued> queue_;
  std::size_t sent_ = 0;    // leading entries of queue_ that have left
  bool in_unsent_ = false;  // known to Loop::State::unsent

  std::vector<NetError> errors_;
  Timer error_report_;
  Life life_;
  Poll poll_;
};

}  // namespace outrider::uv
