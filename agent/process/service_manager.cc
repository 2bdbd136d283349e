// SPDX-License-Identifier: Apache-2.0
#include "agent/process/service_manager.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <span>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

namespace outrider {
namespace {

constexpr std::uint64_t kWatchdogMost = 3'600'000'000;  // microseconds: once an hour

std::optional<std::uint64_t> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  return parse_number<std::uint64_t>(text);
}

/// SCM_RIGHTS (unix(7)).
void put_descriptor(msghdr& header, std::span<char> control, int fd) {
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* const rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof fd);
  std::ranges::copy(std::as_bytes(std::span(&fd, 1)),
                    reinterpret_cast<std::byte*>(CMSG_DATA(rights)));
}

}  // namespace

ServiceManager::ServiceManager(Env& env) : env_(env) {
  if (const char* socket = std::getenv("NOTIFY_SOCKET")) socket_ = socket;
}

bool ServiceManager::send(const Message& message) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) return true;
  std::ranges::copy(socket_, address.sun_path);
  if (socket_.front() == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;
  iovec text{const_cast<char*>(message.state.data()), message.state.size()};
  msghdr header{};
  header.msg_name = &address;
  header.msg_namelen = length;
  header.msg_iov = &text;
  header.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof message.fd)> control{};
  if (message.fd >= 0) put_descriptor(header, control, message.fd);
  // Best effort, as in the protocol: a manager that does not listen is no reason to fail.
  const bool no_room = ::sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
                       (errno == EAGAIN || errno == ENOBUFS);
  ::close(fd);
  return !no_room;
}

/// Keeps the order of states.
void ServiceManager::send_surely(std::string state, int fd) {
  unsent_.push_back({std::move(state), fd});
  if (unsent_.size() > kNotifyUnsentMax) unsent_.pop_front();
  retry();
}

void ServiceManager::retry() {
  while (!unsent_.empty() && send(unsent_.front()))
    unsent_.pop_front();
  if (!unsent_.empty()) retry_timer_ = env_.after(kNotifyRetry, [this] { retry(); });
}

void ServiceManager::status(std::string_view text) {
  (void)send({"STATUS=" + escape_untrusted(text)});
}

/// A listening socket reports no end that the manager would have to look for (FDPOLL).
void ServiceManager::store(const std::string& name, int fd) {
  send_surely("FDSTORE=1\nFDNAME=" + name + "\nFDPOLL=0", fd);
}

void ServiceManager::unstore(const std::string& name) {
  send_surely("FDSTOREREMOVE=1\nFDNAME=" + name);
}

void ServiceManager::reloading(TimePoint now) {
  const auto microseconds =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch());
  send_surely("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds.count()));
}

void ServiceManager::extend_timeout(Duration by) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(by);
  send_surely("EXTEND_TIMEOUT_USEC=" + std::to_string(microseconds.count()));
}

std::optional<Duration> ServiceManager::watchdog_interval() {
  const auto pid = number_from_environment("WATCHDOG_PID");
  if (pid && *pid != static_cast<std::uint64_t>(::getpid())) return std::nullopt;
  const auto microseconds = number_from_environment("WATCHDOG_USEC");
  if (!microseconds || *microseconds < 2) return std::nullopt;
  // More often than asked is harmless, and the manager's "never" exceeds a Duration.
  return std::chrono::microseconds(std::min(*microseconds / 2, kWatchdogMost));
}

}  // namespace outrider
