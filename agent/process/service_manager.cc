// SPDX-License-Identifier: Apache-2.0
#include "agent/process/service_manager.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

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

}  // namespace

ServiceManager::ServiceManager(Env& env) : env_(env) {
  if (const char* socket = std::getenv("NOTIFY_SOCKET")) socket_ = socket;
}

bool ServiceManager::send(const std::string& state) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) return true;
  std::ranges::copy(socket_, address.sun_path);
  if (socket_.front() == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return true;
  // Best effort, as in the protocol: a manager that does not listen is no reason to fail.
  const bool no_room = ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&address), length) < 0 &&
                       (errno == EAGAIN || errno == ENOBUFS);
  ::close(fd);
  return !no_room;
}

/// Keeps the order of states.
void ServiceManager::send_surely(std::string state) {
  unsent_.push_back(std::move(state));
  if (unsent_.size() > kNotifyUnsentMax) unsent_.pop_front();
  retry();
}

void ServiceManager::retry() {
  while (!unsent_.empty() && send(unsent_.front()))
    unsent_.pop_front();
  if (!unsent_.empty()) retry_timer_ = env_.after(kNotifyRetry, [this] { retry(); });
}

void ServiceManager::status(std::string_view text) {
  (void)send("STATUS=" + escape_untrusted(text));
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
