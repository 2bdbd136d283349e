// SPDX-License-Identifier: Apache-2.0
#include "base/uv/udp.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include <netinet/ip.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/uv/inherited.h"

namespace outrider::uv {
namespace {

constexpr std::size_t kFarBytes = kUdpBatch * UdpArea::kFar;

void set_receive_buffer(int fd, std::size_t bytes) {
  const int size = static_cast<int>(std::min<std::size_t>(bytes, 1U << 30));
  // FORCE exceeds net.core.rmem_max but needs a privilege; the other is capped silently.
  if (!set_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, size))
    set_option(fd, SOL_SOCKET, SO_RCVBUF, size);
}

bool set_packet_info(int fd, bool v4) {
  return v4 ? set_option(fd, IPPROTO_IP, IP_PKTINFO, 1) && set_option(fd, IPPROTO_IP, IP_RECVTTL, 1)
            : set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) &&
                  set_option(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
}

bool set_multicast(int fd, bool v4, const UdpOptions& options) {
  const int hops = options.multicast_hops;
  const int loopback = options.multicast_loopback ? 1 : 0;
  // Without the ALL switch a socket would also get what other sockets of the host have joined. Best
  // effort: older kernels lack that of IPv6, and qemu-user lacks both.
  if (v4) {
    ip_mreqn interface {};
    interface.imr_ifindex = static_cast<int>(options.interface);
    set_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    return set_option(fd, IPPROTO_IP, IP_MULTICAST_TTL, hops) &&
           set_option(fd, IPPROTO_IP, IP_MULTICAST_LOOP, loopback) &&
           (options.interface == 0 ||
            ::setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof interface) == 0);
  }
  set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
  return set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hops) &&
         set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, loopback) &&
         (options.interface == 0 ||
          set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, static_cast<int>(options.interface)));
}

// RFC 6762 §11 asks for 255 in unicast responses too.
bool set_unicast_hops(int fd, bool v4, int hops) {
  if (hops != 255) return true;
  return v4 ? set_option(fd, IPPROTO_IP, IP_TTL, hops)
            : set_option(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, hops);
}

/// Sockets that are bound to one multicast group with SO_REUSEPORT are also one group to the
/// kernel. Even if early demultiplexing finds that only one of them has joined on the interface,
/// Linux (seen in 6.18) picks one of them by hash, and datagrams end up in the socket of another
/// interface. A socket that is bound to its interface is not picked for another. Best effort:
/// kernels before 5.7 require a capability and do not have the bug.
void keep_to_interface(int fd, const UdpOptions& options) {
  if (options.interface == 0 || !options.bind.address.is_multicast()) return;
  set_option(fd, SOL_SOCKET, SO_BINDTOIFINDEX, static_cast<int>(options.interface));
}

Result<FileDescriptor, NetError> bound_socket(const UdpOptions& options) {
  const bool v4 = options.bind.address.is_v4();
  FileDescriptor inherited = InheritedSockets::of_process().find(SOCK_DGRAM, options.bind);
  if (inherited) {
    if (options.packet_info && !set_packet_info(inherited.get(), v4))
      return failure(net_error(errno));
    return inherited;
  }
  auto opened = open_socket(family_of(options.bind.address), SOCK_DGRAM);
  if (!opened) return opened;
  const int fd = opened->get();
  if (options.reuse_address && !set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1))
    return failure(net_error(errno));
  if (options.reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1))
    return failure(net_error(errno));
  if (!v4 && !set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) return failure(net_error(errno));
  if (options.receive_buffer_bytes != 0) set_receive_buffer(fd, options.receive_buffer_bytes);
  if (options.packet_info && !set_packet_info(fd, v4)) return failure(net_error(errno));
  if (!set_multicast(fd, v4, options) || !set_unicast_hops(fd, v4, options.multicast_hops))
    return failure(net_error(errno));
  keep_to_interface(fd, options);

  Endpoint bind = options.bind;
  if (bind.address.scope() == 0) bind.address = bind.address.with_scope(options.interface);
  const SocketAddress address(bind);
  if (::bind(fd, address.data(), address.size) != 0) return failure(net_error(errno));
  return opened;
}

group_req group_request(const IpAddress& group, std::uint32_t interface) {
  group_req request{};
  request.gr_interface = interface;
  store_endpoint({group, 0}, request.gr_group);
  return request;
}

int level_of(const IpAddress& address) {
  return address.is_v4() ? IPPROTO_IP : IPPROTO_IPV6;
}

template <class T>
T control_data(const cmsghdr* header) {
  T value;
  std::memcpy(&value, CMSG_DATA(header), sizeof value);
  return value;
}

void read_control(msghdr& message, Datagram& datagram) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      const auto info = control_data<in_pktinfo>(c);
      datagram.to =
          IpAddress::from_bytes({reinterpret_cast<const std::uint8_t*>(&info.ipi_addr), 4});
      datagram.interface = static_cast<std::uint32_t>(info.ipi_ifindex);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      const auto info = control_data<in6_pktinfo>(c);
      datagram.to = IpAddress::from_bytes({info.ipi6_addr.s6_addr, 16}, info.ipi6_ifindex);
      datagram.interface = info.ipi6_ifindex;
    } else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
               (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
      datagram.hop_limit = control_data<int>(c);
    }
  }
}

// Source address and interface of one outgoing datagram; the size of the control data.
std::size_t write_control(UdpArea::Control& control, const IpAddress& from, std::uint32_t interface,
                          bool v4) {
  if (from.is_any() && interface == 0) return 0;
  auto* header = reinterpret_cast<cmsghdr*>(control.bytes.data());
  const auto put = [&](int level, int type, const auto& info) {
    header->cmsg_level = level;
    header->cmsg_type = type;
    header->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
  };
  if (v4) {
    in_pktinfo info{};
    info.ipi_ifindex = static_cast<int>(interface);
    if (!from.is_any()) std::memcpy(&info.ipi_spec_dst, from.bytes().data(), 4);
    return put(IPPROTO_IP, IP_PKTINFO, info);
  }
  in6_pktinfo info{};
  info.ipi6_ifindex = interface;
  if (!from.is_any()) std::memcpy(&info.ipi6_addr, from.bytes().data(), 16);
  return put(IPPROTO_IPV6, IPV6_PKTINFO, info);
}

}  // namespace

// --- UdpArea ---------------------------------------------------------------------------------

UdpArea::UdpArea() {
  void* mapping = ::mmap(nullptr, kFarBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    // As operator new does: the agent's handler says so and aborts.
    if (const auto handler = std::get_new_handler(); handler != nullptr) handler();
    throw std::bad_alloc();
  }
  // Huge pages would make 2 MiB resident for one large datagram.
  ::madvise(mapping, kFarBytes, MADV_NOHUGEPAGE);
  far_ = static_cast<std::uint8_t*>(mapping);
  for (std::size_t i = 0; i < kUdpBatch; ++i) {
    in_bytes_[i] = {iovec{near_[i].data(), kNear}, iovec{far_ + i * kFar + kNear, kFar - kNear}};
    in_[i].msg_hdr.msg_iov = in_bytes_[i].data();
    in_[i].msg_hdr.msg_iovlen = in_bytes_[i].size();
    in_[i].msg_hdr.msg_name = &in_from_[i];
    out[i].msg_hdr.msg_iov = &out_bytes[i];
    out[i].msg_hdr.msg_iovlen = 1;
    out[i].msg_hdr.msg_name = &out_to[i];
  }
}

UdpArea::~UdpArea() {
  ::munmap(far_, kFarBytes);
}

int UdpArea::receive(int fd, bool packet_info, std::size_t most) {
  // Only what the kernel wrote into last time: a lone query does not pay for a batch of headers.
  const std::size_t stale = packet_info == packet_info_ ? used_ : kUdpBatch;
  for (std::size_t i = 0; i < stale; ++i) {
    msghdr& header = in_[i].msg_hdr;
    header.msg_namelen = sizeof in_from_[i];
    header.msg_control = packet_info ? in_control_[i].bytes.data() : nullptr;
    header.msg_controllen = packet_info ? kControl : 0;
  }
  int count;
  do {
    count = ::recvmmsg(fd, in_.data(), static_cast<unsigned>(most), MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  packet_info_ = packet_info;
  used_ = static_cast<std::size_t>(std::max(count, 0));
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
  return count;
}

std::span<const Datagram> UdpArea::datagrams() {
  for (std::size_t i = 0; i < used_; ++i) {
    mmsghdr& message = in_[i];
    std::size_t size = message.msg_len;
    std::uint8_t* payload = near_[i].data();
    if (size > kNear) {
      payload = far_ + i * kFar;
      std::memcpy(payload, near_[i].data(), kNear);
      far_touched_ = true;
    }
    datagrams_[i] = {.payload = {payload, size}, .from = load_endpoint(in_from_[i])};
    if (packet_info_) read_control(message.msg_hdr, datagrams_[i]);
  }
  return {datagrams_.data(), used_};
}

void UdpArea::release() {
  if (far_touched_) ::madvise(far_, kFarBytes, MADV_DONTNEED);
  far_touched_ = false;
}

// --- UdpPort ---------------------------------------------------------------------------------

UdpPort::UdpPort(Loop::State& loop, FileDescriptor fd, const UdpOptions& options, Sink& sink)
    : loop_(loop),
      sink_(sink),
      fd_(std::move(fd)),
      local_(load_endpoint(local_address(fd_.get()).storage)),
      packet_info_(options.packet_info),
      batch_(options.bind.address.is_multicast() ? 1 : kUdpBatch),
      rounds_(options.bind.address.is_multicast() ? kUdpGroupRounds : kUdpBurstRounds) {}

UdpPort::~UdpPort() {
  // What was accepted for sending leaves, as far as it can without waiting: a goodbye, say.
  if (!queue_.empty()) flush();
  if (in_unsent_) std::erase(loop_.unsent, this);
}

Result<void, NetError> UdpPort::start() {
  const auto opened = poll_.open(*loop_.core, fd_.get(), *this);
  if (opened) update_poll();
  return opened;
}

UdpArea& UdpPort::area() {
  if (!loop_.udp_area) loop_.udp_area = std::make_unique<UdpArea>();
  return *loop_.udp_area;
}

void UdpPort::update_poll() {
  poll_.set((paused_ ? 0 : UV_READABLE) | (waits_writable_ ? UV_WRITABLE : 0));
}

void UdpPort::on_poll(int status, int events) {
  if (status < 0) {
    // Fetching the error makes the socket usable again.
    poll_.restart();
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) report(net_error(error));
    update_poll();
    return;
  }
  if ((events & UV_WRITABLE) != 0) {
    waits_writable_ = false;
    flush();
    update_poll();
  }
  if ((events & UV_READABLE) != 0 && !paused_) receive();
}

void UdpPort::receive() {
  const Life::Watch watch(life_);
  loop_.budget.begin();
  for (int round = 0; round < rounds_; ++round) {
    UdpArea& buffers = area();
    const int count = buffers.receive(fd_.get(), packet_info_, batch_);
    if (count < 0) report(net_error(errno));
    if (count <= 0) break;
    const bool burst = static_cast<std::size_t>(count) >= kUdpBurst;
    if (burst) poll_.set(0);
    sink_.on_datagrams(buffers.datagrams());
    buffers.release();
    if (watch.gone()) return;
    if (!queue_.empty()) flush();
    const bool more = burst || static_cast<std::size_t>(count) == batch_;
    if (!more || paused_ || loop_.budget.is_spent()) break;
  }
  update_poll();
}

Result<void, NetError> UdpPort::send(Bytes payload, const Endpoint& to, const IpAddress& from,
                                     std::uint32_t interface) {
  if (payload.size() > kDatagramBytesMax || queue_.size() - sent_ >= kUdpSendQueueMax ||
      waiting_bytes() + payload.size() > kUdpSendQueueBytesMax)
    return failure(NetError::too_big);
  if (to.address.family() != local_.address.family()) return failure(NetError::unsupported);
  OUTRIDER_ASSERT(from.is_any() || from.family() == to.address.family());
  queue_.push_back({queue_bytes_.size(), payload.size(), to, from, interface});
  queue_bytes_.insert(queue_bytes_.end(), payload.begin(), payload.end());
  if (!in_unsent_ && !waits_writable_) {
    loop_.unsent.push_back(this);
    in_unsent_ = true;
  }
  return {};
}

void UdpPort::turn_ends() {
  in_unsent_ = false;
  if (!queue_.empty()) flush();
}

std::size_t UdpPort::waiting_bytes() const {
  return sent_ < queue_.size() ? queue_bytes_.size() - queue_[sent_].offset : 0;
}

void UdpPort::flush() {
  while (sent_ < queue_.size())
    if (!send_batch()) break;
  forget_sent();
  if (!queue_.empty() && !waits_writable_) {
    waits_writable_ = true;
    if (poll_) update_poll();
  }
}

// False when the kernel takes nothing for now.
bool UdpPort::send_batch() {
  UdpArea& buffers = area();
  const std::size_t count = std::min(queue_.size() - sent_, kUdpBatch);
  const bool v4 = local_.address.is_v4();
  for (std::size_t i = 0; i < count; ++i) {
    const Queued& queued = queue_[sent_ + i];
    buffers.out_bytes[i] = {queue_bytes_.data() + queued.offset, queued.size};
    msghdr& header = buffers.out[i].msg_hdr;
    header.msg_namelen = store_endpoint(queued.to, buffers.out_to[i]);
    header.msg_controllen =
        write_control(buffers.out_control[i], queued.from, queued.interface, v4);
    header.msg_control = header.msg_controllen == 0 ? nullptr : buffers.out_control[i].bytes.data();
  }
  const int taken = ::sendmmsg(fd_.get(), buffers.out.data(), static_cast<unsigned>(count),
                               MSG_DONTWAIT | MSG_NOSIGNAL);
  if (taken >= 0) {
    sent_ += static_cast<std::size_t>(taken);
    return true;
  }
  if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
  if (errno != EINTR) refuse_first(errno);
  return true;
}

void UdpPort::refuse_first(int error_number) {
  report(net_error(error_number));
  // This call only reported the refusal of an earlier datagram; this one is still to be sent.
  if (error_number != ECONNREFUSED) ++sent_;
}

void UdpPort::forget_sent() {
  if (sent_ == queue_.size()) {
    queue_.clear();
    queue_bytes_.clear();
    sent_ = 0;
    if (queue_bytes_.capacity() > kUdpIdleQueueBytes) {
      queue_bytes_.shrink_to_fit();
      queue_.shrink_to_fit();
    }
  } else if (sent_ > queue_.size() / 2) {
    // Moving only when more than half has left keeps the cost of a byte constant.
    const std::size_t bytes = queue_[sent_].offset;
    queue_bytes_.erase(queue_bytes_.begin(),
                       queue_bytes_.begin() + static_cast<std::ptrdiff_t>(bytes));
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(sent_));
    for (Queued& queued : queue_)
      queued.offset -= bytes;
    sent_ = 0;
  }
}

void UdpPort::report(NetError error) {
  if (errors_.size() >= kUdpErrorsMax) return;
  errors_.push_back(error);
  if (!error_report_.pending())
    error_report_ = loop_.timers.at(loop_.clock.now(), [this] { deliver_errors(); });
}

void UdpPort::deliver_errors() {
  const Life::Watch watch(life_);
  const std::vector<NetError> errors = std::exchange(errors_, {});
  for (const NetError error : errors) {
    sink_.on_udp_error(error);
    if (watch.gone()) return;
  }
}

void UdpPort::set_paused(bool paused) {
  paused_ = paused;
  update_poll();
}

Result<void, NetError> UdpPort::join(const IpAddress& group, std::uint32_t interface) {
  const group_req request = group_request(group, interface);
  if (::setsockopt(fd_.get(), level_of(group), MCAST_JOIN_GROUP, &request, sizeof request) != 0 &&
      errno != EADDRINUSE)  // joined already
    return failure(net_error(errno));
  return {};
}

void UdpPort::leave(const IpAddress& group, std::uint32_t interface) {
  const group_req request = group_request(group, interface);
  // Fails when the group was never joined or the interface is gone: either way it is left.
  static_cast<void>(
      ::setsockopt(fd_.get(), level_of(group), MCAST_LEAVE_GROUP, &request, sizeof request));
}

Result<std::unique_ptr<UdpSocket>, NetError> LoopNetwork::open_udp(const UdpOptions& options,
                                                                   UdpSocket::Sink& sink) {
  auto fd = bound_socket(options);
  if (!fd) return failure(fd.error());
  auto port = std::make_unique<UdpPort>(loop_, std::move(*fd), options, sink);
  for (const IpAddress& group : options.join)
    if (const auto joined = port->join(group, options.interface); !joined)
      return failure(joined.error());
  if (const auto started = port->start(); !started) return failure(started.error());
  return port;
}

}  // namespace outrider::uv
