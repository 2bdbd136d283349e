// SPDX-License-Identifier: Apache-2.0
// The kernel's sockets in our words: owned descriptors, addresses to and fro, errno to NetError.
#pragma once

#include <utility>

#include <sys/socket.h>
#include <sys/un.h>

#include "base/net.h"

namespace outrider::uv {

NetError net_error(int error_number);

/// A descriptor that closes itself.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~FileDescriptor() { reset(); }

  void reset();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Any socket address, ready for a system call.
struct SocketAddress {
  SocketAddress() = default;
  explicit SocketAddress(const Endpoint& endpoint);
  /// Size 0 when the path is empty or too long.
  explicit SocketAddress(const UnixPath& path);
  explicit SocketAddress(const StreamAddress& address);

  StreamAddress to_stream_address() const;
  sockaddr* data() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&storage); }

  sockaddr_storage storage{};
  socklen_t size = 0;
};

/// Writes an Internet address into `to`, which holds a sockaddr_storage's room; returns its size.
socklen_t store_endpoint(const Endpoint& endpoint, sockaddr_storage& to);
Endpoint load_endpoint(const sockaddr_storage& from);
inline int family_of(const IpAddress& address) {
  return address.is_v4() ? AF_INET : AF_INET6;
}

/// Non-blocking and close-on-exec.
Result<FileDescriptor, NetError> open_socket(int family, int type);
/// False and errno on failure.
bool set_option(int fd, int level, int name, int value);
SocketAddress local_address(int fd);

}  // namespace outrider::uv
