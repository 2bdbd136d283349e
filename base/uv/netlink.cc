// SPDX-License-Identifier: Apache-2.0
#include "base/uv/netlink.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace outrider::uv {
namespace {

constexpr std::size_t kDumpBufferBytes = 32 * 1024;
/// The kernel marks a dump that a change ran into; after so many it is taken as it is.
constexpr int kDumpAttempts = 4;

template <class T>
T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
T number(const rtattr& attribute) {
  return RTA_PAYLOAD(&attribute) >= sizeof(T) ? load<T>(RTA_DATA(&attribute)) : T{};
}

std::string text(const rtattr& attribute) {
  const auto* data = static_cast<const char*>(RTA_DATA(&attribute));
  return std::string(data, ::strnlen(data, RTA_PAYLOAD(&attribute)));
}

template <class Visit>
void each_attribute(const void* first, std::size_t bytes, Visit visit) {
  auto left = static_cast<int>(bytes);
  for (auto* a = static_cast<const rtattr*>(first); RTA_OK(a, left); a = RTA_NEXT(a, left))
    visit(*a);
}

struct Request {
  nlmsghdr header;
  ifinfomsg family;  // ifaddrmsg is shorter and begins alike
  rtattr attribute;
  std::uint32_t filter;
};

/// Calls visit(const nlmsghdr&) for each message of a dump. EINTR: a change came in between.
template <class Visit>
int dump(int fd, std::uint16_t type, Visit visit) {
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.attribute.rta_type = IFLA_EXT_MASK;
  request.attribute.rta_len = RTA_LENGTH(sizeof request.filter);
  request.filter = RTEXT_FILTER_SKIP_STATS;
  if (type == RTM_GETADDR) request.header.nlmsg_len = NLMSG_LENGTH(sizeof(ifaddrmsg));
  if (::send(fd, &request, request.header.nlmsg_len, 0) < 0) return errno;

  std::vector<std::uint8_t> buffer(kDumpBufferBytes);
  bool interrupted = false;
  while (true) {
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    auto left = static_cast<unsigned>(got);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(m, left);
         m = NLMSG_NEXT(m, left)) {
      if ((m->nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (m->nlmsg_type == NLMSG_DONE) return interrupted ? EINTR : 0;
      if (m->nlmsg_type == NLMSG_ERROR) return EIO;
      visit(*m);
    }
  }
}

void read_link_info(const rtattr& info, Interface& interface) {
  each_attribute(RTA_DATA(&info), RTA_PAYLOAD(&info), [&](const rtattr& a) {
    if (a.rta_type == IFLA_INFO_KIND) interface.kind = text(a);
    if (a.rta_type == IFLA_INFO_SLAVE_KIND) interface.bridge_port = text(a) == "bridge";
  });
}

void read_link(const nlmsghdr& message, std::vector<Interface>& interfaces) {
  if (message.nlmsg_type != RTM_NEWLINK || message.nlmsg_len < NLMSG_LENGTH(sizeof(ifinfomsg)))
    return;
  const auto link = load<ifinfomsg>(NLMSG_DATA(&message));
  Interface interface;
  interface.index = static_cast<std::uint32_t>(link.ifi_index);
  interface.up = (link.ifi_flags & IFF_UP) != 0 && (link.ifi_flags & IFF_RUNNING) != 0;
  interface.loopback = (link.ifi_flags & IFF_LOOPBACK) != 0;
  interface.multicast = (link.ifi_flags & IFF_MULTICAST) != 0;
  interface.point_to_point = (link.ifi_flags & IFF_POINTOPOINT) != 0;
  each_attribute(static_cast<const char*>(NLMSG_DATA(&message)) + NLMSG_ALIGN(sizeof link),
                 IFLA_PAYLOAD(&message), [&](const rtattr& a) {
                   if (a.rta_type == IFLA_IFNAME) interface.name = text(a);
                   if (a.rta_type == IFLA_MTU) interface.mtu = number<std::uint32_t>(a);
                   if (a.rta_type == IFLA_LINKINFO) read_link_info(a, interface);
                 });
  interfaces.push_back(std::move(interface));
}

void read_address(const nlmsghdr& message, std::vector<Interface>& interfaces) {
  if (message.nlmsg_type != RTM_NEWADDR || message.nlmsg_len < NLMSG_LENGTH(sizeof(ifaddrmsg)))
    return;
  const auto head = load<ifaddrmsg>(NLMSG_DATA(&message));
  if (head.ifa_family != AF_INET && head.ifa_family != AF_INET6) return;
  const std::size_t size = head.ifa_family == AF_INET ? 4 : 16;
  std::uint32_t flags = head.ifa_flags;
  Bytes address, local;
  each_attribute(
      static_cast<const char*>(NLMSG_DATA(&message)) + NLMSG_ALIGN(sizeof head),
      IFA_PAYLOAD(&message), [&](const rtattr& a) {
        if (a.rta_type == IFA_FLAGS) flags = number<std::uint32_t>(a);
        const Bytes bytes{static_cast<const std::uint8_t*>(RTA_DATA(&a)), RTA_PAYLOAD(&a)};
        if (bytes.size() != size) return;
        if (a.rta_type == IFA_ADDRESS) address = bytes;
        if (a.rta_type == IFA_LOCAL) local = bytes;
      });
  // On point-to-point links ADDRESS is the other end and LOCAL is ours.
  if (!local.empty()) address = local;
  const bool tentative = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
  if (address.empty() || tentative || (flags & (IFA_F_DEPRECATED | IFA_F_DADFAILED)) != 0) return;
  const auto at = std::ranges::find(interfaces, head.ifa_index, &Interface::index);
  if (at == interfaces.end()) return;
  at->addresses.push_back({IpAddress::from_bytes(address, head.ifa_index), head.ifa_prefixlen});
}

}  // namespace

std::optional<std::vector<Interface>> interfaces_by_netlink() {
  const FileDescriptor fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return std::nullopt;
  // The kernel answers within the call; the bound only keeps a broken one from holding the loop.
  constexpr timeval kBound{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kBound, sizeof kBound);
  std::vector<Interface> interfaces;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    interfaces.clear();
    const int links = dump(fd.get(), RTM_GETLINK,
                           [&](const nlmsghdr& message) { read_link(message, interfaces); });
    if (links != 0 && links != EINTR) return std::nullopt;
    const int addresses = dump(fd.get(), RTM_GETADDR,
                               [&](const nlmsghdr& message) { read_address(message, interfaces); });
    if (addresses != 0 && addresses != EINTR) return std::nullopt;
    if (links == 0 && addresses == 0) break;
  }
  std::ranges::sort(interfaces, {}, &Interface::index);
  return interfaces;
}

std::vector<Interface> read_interfaces() {
  if (auto interfaces = interfaces_by_netlink()) return *std::move(interfaces);
  return interfaces_by_ioctl();
}

// --- ResumeHint ------------------------------------------------------------------------------

void ResumeHint::start(Core& core) {
  fd_ = FileDescriptor(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!fd_) return;
  arm();
  if (poll_.open(core, fd_.get(), *this)) poll_.set(UV_READABLE);
}

void ResumeHint::arm() {
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<time_t>::max();
  // ECANCELED means armed, too: the clock was set just before.
  static_cast<void>(
      ::timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr));
}

void ResumeHint::on_poll(int status, int) {
  if (status < 0) return;
  std::uint64_t expired = 0;
  static_cast<void>(::read(fd_.get(), &expired, sizeof expired));  // fails with ECANCELED
  arm();
  callback_();
}

// --- InterfaceMonitor ------------------------------------------------------------------------

InterfaceMonitor::InterfaceMonitor(Loop::State& loop)
    : loop_(loop), suspended_(loop.clock.suspended()), resume_([this] {
        if (!comparison_.pending() || comparison_.due() > loop_.clock.now())
          compare_after(Duration::zero());
      }) {
  resume_.start(*loop_.core);
  // Listening comes before the first look, so that nothing falls between the two.
  const bool notified = open();
  known_ = read_interfaces();
  if (!notified) compare_after(kInterfacePoll);
}

bool InterfaceMonitor::open() {
  FileDescriptor fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  if (!fd || ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return false;
  fd_ = std::move(fd);
  if (!poll_.open(*loop_.core, fd_.get(), *this)) return false;
  poll_.set(UV_READABLE);
  return true;
}

// The content of the messages is ignored: each is a hint to compare. So a message that is lost for
// lack of buffer space (ENOBUFS) is as good as one received.
void InterfaceMonitor::on_poll(int status, int) {
  if (status < 0) poll_.restart();
  const MutableBytes buffer = loop_.read_buffer();
  while (true) {
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno != ENOBUFS && errno != EINTR) break;
  }
  poll_.set(UV_READABLE);
  if (!comparison_.pending())
    compare_after(std::max(Duration::zero(), rested_ - loop_.clock.now()));
}

void InterfaceMonitor::compare_after(Duration delay) {
  comparison_ = loop_.timers.at(loop_.clock.now() + delay, [this] { compare(); });
}

void InterfaceMonitor::compare() {
  if (!poll_) compare_after(kInterfacePoll);
  std::vector<Interface> now = read_interfaces();
  rested_ = loop_.clock.now() + kInterfacePause;
  const Duration suspended = loop_.clock.suspended();
  if (now == known_ && suspended == suspended_) return;
  known_ = std::move(now);
  suspended_ = suspended;
  const Life::Watch watch(life_);
  const std::vector<Watcher*> watchers = watchers_;
  for (Watcher* watcher : watchers) {
    if (std::ranges::find(watchers_, watcher) == watchers_.end()) continue;
    watcher->on_change();
    if (watch.gone()) return;
  }
}

void InterfaceMonitor::end_if_unused() {
  if (watchers_.empty()) loop_.interface_monitor.reset();
}

void InterfaceMonitor::remove(Watcher& watcher) {
  std::erase(watchers_, &watcher);
  end_if_unused();
}

namespace {

class InterfaceWatch final : public Pending, private InterfaceMonitor::Watcher {
 public:
  InterfaceWatch(InterfaceMonitor& monitor, Callback<void()> callback)
      : monitor_(monitor), callback_(std::move(callback)) {
    monitor_.add(*this);
  }
  ~InterfaceWatch() override { monitor_.remove(*this); }

 private:
  void on_change() override { call_member(life_, callback_); }

  InterfaceMonitor& monitor_;
  Callback<void()> callback_;
  Life life_;
};

}  // namespace

std::vector<Interface> LoopNetwork::interfaces() {
  return read_interfaces();
}

std::unique_ptr<Pending> LoopNetwork::watch_interfaces(Callback<void()> callback) {
  if (!loop_.interface_monitor) loop_.interface_monitor = std::make_unique<InterfaceMonitor>(loop_);
  InterfaceMonitor& monitor = *loop_.interface_monitor;
  // Without memory for a watch, the monitor goes as well.
  const struct Guard {
    InterfaceMonitor& monitor;
    ~Guard() { monitor.end_if_unused(); }
  } guard{monitor};
  return std::make_unique<InterfaceWatch>(monitor, std::move(callback));
}

}  // namespace outrider::uv
