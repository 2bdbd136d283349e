// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/uv/inherited.h"
#include "base/uv/poll.h"
#include "base/uv/stream.h"

namespace outrider::uv {
namespace {

/// Connections taken in one turn, so that a flood of them does not hold the loop.
constexpr int kAcceptsMax = 16;
/// How long a listener rests when descriptors or memory have run out.
constexpr Duration kAcceptRetry = std::chrono::milliseconds(100);

/// What identifies a socket file, to remove only our own.
struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  bool operator==(const FileId&) const = default;
};

std::optional<FileId> socket_file(const std::string& path) {
  struct stat file {};
  if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return std::nullopt;
  return FileId{file.st_dev, file.st_ino};
}

bool is_abstract(const UnixPath& path) {
  return path.path.starts_with('@');
}

/// Whether no program listens on the socket file any more.
bool is_dead(const SocketAddress& address) {
  const auto probe = open_socket(AF_UNIX, SOCK_STREAM);
  return probe && ::connect(probe->get(), address.data(), address.size) != 0 &&
         errno == ECONNREFUSED;
}

/// Holds the directory of a socket file while one is taken over: otherwise two programs that start
/// together could both find the old file dead, and one would remove the other's new socket.
/// EWOULDBLOCK: another program holds it.
FileDescriptor lock_directory(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "."
                                : slash == 0               ? "/"
                                                           : path.substr(0, slash);
  FileDescriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  return {};
}

// The file is made with the mode of the socket less the umask, never more open than wanted, and
// then gets the mode itself.
Result<void, NetError> bind_file(int fd, const UnixPath& path, const ListenOptions& options) {
  const SocketAddress address(path);
  if (address.size == 0) return failure(NetError::not_available);
  // Held until the socket listens: from then on other programs see that it is alive.
  const FileDescriptor lock = lock_directory(path.path);
  if (!lock && errno == EWOULDBLOCK) return failure(NetError::in_use);
  static_cast<void>(::fchmod(fd, options.mode));
  if (::bind(fd, address.data(), address.size) != 0) {
    if (errno != EADDRINUSE) return failure(net_error(errno));
    if (!socket_file(path.path) || !is_dead(address)) return failure(NetError::in_use);
    if (::unlink(path.path.c_str()) != 0 || ::bind(fd, address.data(), address.size) != 0)
      return failure(net_error(errno));
  }
  if (::chmod(path.path.c_str(), options.mode) != 0 || ::listen(fd, options.backlog) != 0)
    return failure(net_error(errno));
  return {};
}

Result<void, NetError> bind_abstract(int fd, const UnixPath& path, const ListenOptions& options) {
  const SocketAddress address(path);
  if (address.size == 0) return failure(NetError::not_available);
  if (::bind(fd, address.data(), address.size) != 0 || ::listen(fd, options.backlog) != 0)
    return failure(net_error(errno));
  return {};
}

Result<void, NetError> bind_tcp(int fd, const Endpoint& endpoint, const ListenOptions& options) {
  // REUSEADDR lets a restarted server have its port although old connections linger.
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port && !set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1))
    return failure(net_error(errno));
  if (endpoint.address.is_v6()) set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  const SocketAddress address(endpoint);
  if (::bind(fd, address.data(), address.size) != 0 || ::listen(fd, options.backlog) != 0)
    return failure(net_error(errno));
  return {};
}

class SocketListener final : public Listener, private PollOwner {
 public:
  SocketListener(Loop::State& loop, Sink& sink) : loop_(loop), sink_(sink) {}
  ~SocketListener() override {
    if (file_ && socket_file(path_) == file_) ::unlink(path_.c_str());
  }

  Result<void, NetError> start(const ListenOptions& options) {
    const auto* path = std::get_if<UnixPath>(&options.on);
    const auto* endpoint = std::get_if<Endpoint>(&options.on);
    if (endpoint != nullptr) fd_ = InheritedSockets::of_process().find(SOCK_STREAM, *endpoint);
    if (fd_) return watch();
    auto opened =
        open_socket(path != nullptr ? AF_UNIX : family_of(endpoint->address), SOCK_STREAM);
    if (!opened) return failure(opened.error());
    fd_ = std::move(*opened);
    const auto bound = path == nullptr      ? bind_tcp(fd_.get(), *endpoint, options)
                       : is_abstract(*path) ? bind_abstract(fd_.get(), *path, options)
                                            : bind_file(fd_.get(), *path, options);
    if (!bound) return bound;
    if (path != nullptr && !is_abstract(*path)) {
      path_ = path->path;
      file_ = socket_file(path_);
    }
    return watch();
  }

  StreamAddress local() const override { return local_address(fd_.get()).to_stream_address(); }

  void set_paused(bool paused) override {
    paused_ = paused;
    update_poll();
  }

 private:
  Result<void, NetError> watch() {
    loop_.stream_polls.prepare();
    const auto polled = poll_.open(*loop_.core, fd_.get(), *this);
    if (polled) update_poll();
    return polled;
  }
  void update_poll() { poll_.set(paused_ || rest_.pending() ? 0 : UV_READABLE); }

  void on_poll(int status, int) override {
    if (status < 0) poll_.restart();
    accept();
  }

  void accept() {
    const Life::Watch watch(life_);
    loop_.budget.begin();
    for (int i = 0; i < kAcceptsMax && !paused_; ++i) {
      SocketAddress peer;
      peer.size = sizeof peer.storage;
      FileDescriptor fd(
          ::accept4(fd_.get(), peer.data(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd) {
        if (errno == EAGAIN) return;
        if (net_error(errno) == NetError::no_resources) {
          if (loop_.reserve.accept.release()) continue;
          rest(NetError::no_resources);
          return;
        }
        continue;  // a connection that broke while it waited; the next one may be well
      }
      StreamPoll poll;
      if (!poll.open(loop_.stream_polls, fd.get(), EPOLLIN)) continue;
      sink_.on_accept(std::make_unique<SocketStream>(loop_, std::move(fd), std::move(poll),
                                                     peer.to_stream_address()));
      if (watch.gone() || loop_.budget.is_spent()) return;
    }
  }

  // Connections wait in the backlog meanwhile; polling on would only turn the loop in vain.
  void rest(NetError error) {
    rest_ = loop_.timers.at(loop_.clock.now() + kAcceptRetry, [this] { update_poll(); });
    update_poll();
    sink_.on_accept_error(error);
  }

  Loop::State& loop_;
  Sink& sink_;
  FileDescriptor fd_;
  std::string path_;            // of the file that we made
  std::optional<FileId> file_;  // the file itself
  bool paused_ = false;
  Timer rest_;
  Life life_;
  Poll poll_;
};

}  // namespace

Result<std::unique_ptr<Listener>, NetError> LoopNetwork::listen(const ListenOptions& options,
                                                                Listener::Sink& sink) {
  auto listener = std::make_unique<SocketListener>(loop_, sink);
  if (const auto started = listener->start(options); !started) return failure(started.error());
  return listener;
}

}  // namespace outrider::uv
