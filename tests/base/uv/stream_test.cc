// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/uv/loop.h"
#include "base/uv/socket.h"
#include "base/uv/stream_poll.h"
#include "tests/base/uv/turns.h"

namespace outrider::uv {
namespace {

const IpAddress kLoopback4 = IpAddress::loopback(IpAddress::Family::v4);
const IpAddress kLoopback6 = IpAddress::loopback(IpAddress::Family::v6);

struct Talker final : Stream::Sink {
  std::unique_ptr<Stream> stream;
  std::string data;
  int ends = 0;
  int drains = 0;
  std::vector<NetError> breaks;
  std::function<void()> on_anything;

  void on_data(Bytes bytes) override {
    data += as_text(bytes);
    if (on_anything) on_anything();
  }
  void on_end() override {
    ++ends;
    if (on_anything) on_anything();
  }
  void on_broken(NetError error) override {
    breaks.push_back(error);
    if (on_anything) on_anything();
  }
  void on_drained() override { ++drains; }

  void take(std::unique_ptr<Stream> taken) {
    stream = std::move(taken);
    stream->start(*this);
  }
  void write(std::string_view text) { REQUIRE(stream->write(as_bytes(text)).has_value()); }
};

struct Door final : Listener::Sink {
  std::unique_ptr<Listener> listener;
  std::vector<std::unique_ptr<Stream>> accepted;
  std::vector<NetError> errors;
  std::function<void()> on_anything;

  void on_accept(std::unique_ptr<Stream> stream) override {
    accepted.push_back(std::move(stream));
    if (on_anything) on_anything();
  }
  void on_accept_error(NetError error) override { errors.push_back(error); }

  void open(Loop& loop, ListenOptions options) {
    auto opened = loop.network().listen(options, *this);
    REQUIRE(opened.has_value());
    listener = std::move(*opened);
  }
};

// A directory of its own, gone at the end.
class Directory {
 public:
  Directory() {
    char path[] = "/tmp/outrider_uv_XXXXXX";
    path_ = ::mkdtemp(path);
  }
  ~Directory() {
    for (const std::string& file : files_)
      ::unlink(file.c_str());
    ::rmdir(path_.c_str());
  }
  std::string file(const std::string& name) {
    files_.push_back(path_ + '/' + name);
    return files_.back();
  }

 private:
  std::string path_;
  std::vector<std::string> files_;
};

struct Pair {
  Talker client, server;
};

// Two ends of one connection, both started.
void connect(Loop& loop, const StreamAddress& on, Pair& pair, Door& door) {
  door.open(loop, {.on = on});
  std::unique_ptr<Stream> client;
  auto pending = loop.network().connect({.to = door.listener->local()}, [&](auto result) {
    REQUIRE(result.has_value());
    client = std::move(*result);
  });
  CHECK(client == nullptr);
  REQUIRE(turn_until(loop, [&] { return client != nullptr && !door.accepted.empty(); }));
  pair.client.take(std::move(client));
  pair.server.take(std::move(door.accepted.front()));
  door.accepted.clear();
}

NetError connect_error(Loop& loop, const ConnectOptions& options) {
  std::optional<NetError> error;
  auto pending = loop.network().connect(options, [&](auto result) {
    REQUIRE_FALSE(result.has_value());
    error = result.error();
  });
  CHECK_FALSE(error.has_value());
  REQUIRE(turn_until(loop, [&] { return error.has_value(); }));
  return *error;
}

/// An option of the connected socket that has this local address; -1 if there is none.
int option_of(const StreamAddress& local, int level, int name) {
  for (int fd = 3; fd < 1'024; ++fd) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    if (local_address(fd).to_stream_address() != local) continue;
    int value = -1;
    size = sizeof value;
    ::getsockopt(fd, level, name, &value, &size);
    return value;
  }
  return -1;
}

TEST_CASE("the kernel looks after a silent peer, and after bytes without acknowledgement") {
  for (const IpAddress& address : {kLoopback4, kLoopback6}) {
    Loop loop;
    Door door;
    door.open(loop, {.on = Endpoint{address, 0}});
    const auto connected = [&](ConnectOptions options) {
      options.to = door.listener->local();
      std::unique_ptr<Stream> stream;
      const auto pending =
          loop.network().connect(options, [&](auto result) { stream = std::move(result.value()); });
      REQUIRE(turn_until(loop, [&] { return stream != nullptr; }));
      return stream;
    };
    const auto plain = connected({});
    CHECK(option_of(plain->local(), SOL_SOCKET, SO_KEEPALIVE) == 0);
    CHECK(option_of(plain->local(), IPPROTO_TCP, TCP_USER_TIMEOUT) == 0);
    const auto watched = connected({.keep_alive = 15s, .unacknowledged_max = 1'500us});
    CHECK(option_of(watched->local(), SOL_SOCKET, SO_KEEPALIVE) == 1);
    CHECK(option_of(watched->local(), IPPROTO_TCP, TCP_KEEPIDLE) == 15);
    CHECK(option_of(watched->local(), IPPROTO_TCP, TCP_KEEPINTVL) == 5);
    CHECK(option_of(watched->local(), IPPROTO_TCP, TCP_KEEPCNT) == 3);
    CHECK(option_of(watched->local(), IPPROTO_TCP, TCP_USER_TIMEOUT) == 2);
  }
}

TEST_CASE("bytes go both ways, and each side ends on its own") {
  Directory directory;
  for (const StreamAddress& on : std::vector<StreamAddress>{
           Endpoint{kLoopback4, 0}, Endpoint{kLoopback6, 0}, UnixPath{directory.file("a")},
           UnixPath{"@outrider-test-" + std::to_string(::getpid())}}) {
    CAPTURE(to_string(on));
    Loop loop;
    Door door;
    Pair pair;
    connect(loop, on, pair, door);
    pair.client.write("question");
    CHECK(turn_until(loop, [&] { return pair.server.data == "question"; }));
    pair.client.stream->finish();
    CHECK(pair.client.stream->write(as_bytes("more")).error() == NetError::closed);
    CHECK(turn_until(loop, [&] { return pair.server.ends == 1; }));
    pair.server.write("answer");
    CHECK(turn_until(loop, [&] { return pair.client.data == "answer"; }));
    pair.server.stream.reset();
    CHECK(turn_until(loop, [&] { return pair.client.ends == 1; }));
    CHECK(pair.client.breaks.empty());
    CHECK(pair.server.breaks.empty());
    CHECK(pair.client.stream->peer() == door.listener->local());
  }
}

TEST_CASE("addresses of both ends") {
  Loop loop;
  Door door;
  Pair pair;
  connect(loop, Endpoint{kLoopback4, 0}, pair, door);
  CHECK(pair.client.stream->local() == pair.server.stream->peer());
  CHECK(pair.client.stream->peer() == pair.server.stream->local());
  CHECK_FALSE(pair.client.stream->peer_credentials().has_value());
}

TEST_CASE("a Unix peer shows its credentials") {
  Directory directory;
  Loop loop;
  Door door;
  Pair pair;
  connect(loop, UnixPath{directory.file("s")}, pair, door);
  const auto credentials = pair.server.stream->peer_credentials();
  REQUIRE(credentials.has_value());
  CHECK(credentials->pid == ::getpid());
  CHECK(credentials->uid == ::getuid());
  CHECK(credentials->gid == ::getgid());
}

TEST_CASE("a connection leaves from the address that is asked for") {
  Loop loop;
  Door door;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}});
  std::unique_ptr<Stream> client;
  const IpAddress from = IpAddress::v4(127, 9, 8, 7);
  auto pending = loop.network().connect({.to = door.listener->local(), .from = from},
                                        [&](auto result) { client = std::move(*result); });
  REQUIRE(turn_until(loop, [&] { return client != nullptr && !door.accepted.empty(); }));
  CHECK(std::get<Endpoint>(door.accepted[0]->peer()).address == from);
  CHECK(connect_error(loop, {.to = door.listener->local(), .from = IpAddress::v4(192, 0, 2, 1)}) ==
        NetError::not_available);
}

TEST_CASE("connections that fail") {
  Directory directory;
  Loop loop;
  Door door;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}});
  const StreamAddress nobody = door.listener->local();
  door.listener.reset();
  CHECK(connect_error(loop, {.to = nobody}) == NetError::refused);
  CHECK(connect_error(loop, {.to = UnixPath{directory.file("none")}}) == NetError::not_available);
  CHECK(connect_error(loop, {.to = UnixPath{""}}) == NetError::not_available);
  CHECK(connect_error(loop, {.to = UnixPath{std::string(200, 'x')}}) == NetError::not_available);
  turn_idly(loop);
  CHECK(loop.open_handles() == 0);
}

TEST_CASE("a connection that is cancelled never calls back") {
  Loop loop;
  Door door;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}});
  bool called = false;
  auto pending =
      loop.network().connect({.to = door.listener->local()}, [&](auto) { called = true; });
  auto doomed = loop.network().connect({.to = UnixPath{""}}, [&](auto) { called = true; });
  pending.reset();
  doomed.reset();
  turn_idly(loop);
  CHECK_FALSE(called);
  door.accepted.clear();
  turn_idly(loop);
  CHECK(loop.open_handles() == 1);
}

TEST_CASE("a connect callback may destroy its token") {
  Loop loop;
  Door door;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}});
  bool called = false;
  std::unique_ptr<Pending> pending;
  pending = loop.network().connect({.to = door.listener->local()}, [&](auto) {
    pending.reset();
    called = true;
  });
  CHECK(turn_until(loop, [&] { return called; }));
  std::unique_ptr<Pending> failing;
  called = false;
  failing = loop.network().connect({.to = UnixPath{""}}, [&](auto) {
    failing.reset();
    called = true;
  });
  CHECK(turn_until(loop, [&] { return called; }));
}

TEST_CASE("what the kernel does not take waits, is bounded, and drains") {
  Loop loop;
  Door door;
  Pair pair;
  connect(loop, Endpoint{kLoopback4, 0}, pair, door);
  pair.server.stream->set_paused(true);
  const std::string chunk(64 * 1024, 'x');
  std::size_t written = 0;
  while (true) {
    const auto result = pair.client.stream->write(as_bytes(chunk));
    if (!result) {
      CHECK(result.error() == NetError::too_big);
      break;
    }
    written += chunk.size();
  }
  CHECK(pair.client.stream->unsent_bytes() <= kStreamUnsentBytesMax);
  CHECK(pair.client.stream->unsent_bytes() > kStreamUnsentBytesMax - chunk.size());
  CHECK(pair.client.drains == 0);
  turn_idly(loop);
  CHECK(pair.server.data.empty());
  pair.server.stream->set_paused(false);
  pair.client.stream->finish();
  CHECK(turn_until(loop, [&] { return pair.server.ends == 1; }));
  CHECK(pair.server.data.size() == written);
  CHECK(pair.client.drains == 1);
  CHECK(pair.client.stream->unsent_bytes() == 0);
}

TEST_CASE("a write that the kernel takes at once does not tell that it has drained") {
  Loop loop;
  Door door;
  Pair pair;
  connect(loop, Endpoint{kLoopback4, 0}, pair, door);
  pair.client.write("x");
  CHECK(pair.client.stream->unsent_bytes() == 0);
  CHECK(turn_until(loop, [&] { return pair.server.data == "x"; }));
  CHECK(pair.client.drains == 0);
}

TEST_CASE("urgent data on the way to the end loses nothing but itself") {
  Loop loop;
  Door door;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}});
  const FileDescriptor raw(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketAddress to(door.listener->local());
  REQUIRE(::connect(raw.get(), to.data(), to.size) == 0);
  REQUIRE(turn_until(loop, [&] { return !door.accepted.empty(); }));
  // All of it is there before the stream reads anything.
  REQUIRE(::send(raw.get(), "before", 6, MSG_NOSIGNAL) == 6);
  REQUIRE(::send(raw.get(), "!", 1, MSG_NOSIGNAL | MSG_OOB) == 1);
  REQUIRE(::send(raw.get(), "after", 5, MSG_NOSIGNAL) == 5);
  REQUIRE(::shutdown(raw.get(), SHUT_WR) == 0);
  Talker server;
  server.take(std::move(door.accepted.front()));
  CHECK(turn_until(loop, [&] { return server.ends == 1; }));
  CHECK(server.data == "beforeafter");
  CHECK(server.breaks.empty());
}

TEST_CASE("a reset is a break, and bytes before it are still delivered") {
  Loop loop;
  Door door;
  Pair pair;
  connect(loop, Endpoint{kLoopback4, 0}, pair, door);
  pair.client.write("last words");
  pair.client.stream->reset_on_destroy();
  pair.client.stream.reset();
  CHECK(turn_until(loop, [&] { return !pair.server.breaks.empty(); }));
  CHECK(pair.server.data == "last words");
  CHECK(pair.server.breaks == std::vector{NetError::reset});
  CHECK(pair.server.ends == 0);
  CHECK(pair.server.stream->write(as_bytes("x")).error() == NetError::closed);
  turn_idly(loop);
  CHECK(pair.server.breaks.size() == 1);
}

TEST_CASE("writing to a peer that is gone breaks the stream and raises no SIGPIPE") {
  Directory directory;
  std::signal(SIGPIPE, SIG_DFL);  // a host program may not ignore it
  for (const StreamAddress& on :
       std::vector<StreamAddress>{Endpoint{kLoopback4, 0}, UnixPath{directory.file("p")}}) {
    Loop loop;
    Door door;
    Pair pair;
    connect(loop, on, pair, door);
    pair.server.stream->set_paused(true);
    pair.client.stream->reset_on_destroy();
    pair.client.stream.reset();
    turn_idly(loop);
    for (int i = 0; i < 3 && pair.server.breaks.empty(); ++i) {
      static_cast<void>(pair.server.stream->write(as_bytes("anybody there?")));
      if (i == 0) CHECK(pair.server.breaks.empty());  // told later, never inside write()
    }
    CHECK(turn_until(loop, [&] { return pair.server.breaks.size() == 1; }));
    CHECK(pair.server.breaks[0] == NetError::reset);
  }
}

TEST_CASE("a break before start is reported after it") {
  Loop loop;
  Door door;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}});
  std::unique_ptr<Stream> client;
  auto pending = loop.network().connect({.to = door.listener->local()},
                                        [&](auto result) { client = std::move(*result); });
  REQUIRE(turn_until(loop, [&] { return client != nullptr && !door.accepted.empty(); }));
  door.accepted[0]->reset_on_destroy();
  door.accepted.clear();
  static_cast<void>(client->write(as_bytes("x")));
  turn_idly(loop);
  Talker talker;
  talker.take(std::move(client));
  CHECK(talker.breaks.empty());
  CHECK(turn_until(loop, [&] { return talker.breaks.size() == 1; }));
}

TEST_CASE("a stream may be destroyed in each of its callbacks") {
  for (const int what : {0, 1, 2}) {
    Loop loop;
    Door door;
    Pair pair;
    connect(loop, Endpoint{kLoopback4, 0}, pair, door);
    pair.server.on_anything = [&] { pair.server.stream.reset(); };
    if (what == 0) pair.client.write("data");
    if (what == 1) pair.client.stream->finish();
    if (what == 2) {
      pair.client.stream->reset_on_destroy();
      pair.client.stream.reset();
    }
    CHECK(turn_until(loop, [&] { return pair.server.stream == nullptr; }));
    turn_idly(loop);
    door.listener.reset();
    pair.client.stream.reset();
    turn_idly(loop);
    CHECK(loop.open_handles() == 0);
  }
}

// Turns until a timer of `length` is due: few if nothing else wakes the loop.
int turns_during(Loop& loop, Duration length) {
  bool over = false;
  const Timer end = loop.timers().at(loop.clock().now() + length, [&] { over = true; });
  int turns = 0;
  for (; !over; ++turns)
    loop.turn(true);
  return turns;
}

// A port whose connections never come to be: its backlog is full.
class FullPort {
 public:
  FullPort() {
    const SocketAddress any(Endpoint{kLoopback4, 0});
    REQUIRE(::bind(listener_.get(), any.data(), any.size) == 0);
    REQUIRE(::listen(listener_.get(), 0) == 0);
    const SocketAddress address = local_address(listener_.get());
    static_cast<void>(::connect(waiting_.get(), address.data(), address.size));
  }
  StreamAddress address() const { return local_address(listener_.get()).to_stream_address(); }

 private:
  FileDescriptor listener_ = std::move(*open_socket(AF_INET, SOCK_STREAM));
  FileDescriptor waiting_ = std::move(*open_socket(AF_INET, SOCK_STREAM));
};

TEST_CASE("what a descriptor was ready for is not taken for its successor's") {
  const FullPort full;
  Loop loop;
  Door door;
  Pair first, second;
  connect(loop, Endpoint{kLoopback4, 0}, first, door);
  connect(loop, Endpoint{kLoopback4, 0}, second, door);
  // Both break in one turn. Whoever is told first ends the other, and puts a connection that does
  // not come to be in its place: the same descriptor, and ready in this very turn.
  std::unique_ptr<Pending> pending;
  bool called = false;
  const auto replace = [&](Talker& other) {
    return [&] {
      if (pending != nullptr) return;
      other.stream.reset();
      pending = loop.network().connect({.to = full.address()}, [&](auto) { called = true; });
    };
  };
  first.client.on_anything = replace(second.client);
  second.client.on_anything = replace(first.client);
  for (Pair* pair : {&first, &second}) {
    pair->server.stream->reset_on_destroy();
    pair->server.stream.reset();
  }
  CHECK(turn_until(loop, [&] { return pending != nullptr; }));
  turn_idly(loop);
  CHECK(first.client.breaks.size() + second.client.breaks.size() == 1);
  CHECK_FALSE(called);
}

TEST_CASE("more streams that are ready than one turn tells of all get their turn") {
  constexpr std::size_t kStreams = kStreamEventsMax + 44;
  Loop loop;
  Door door;
  door.open(loop, {.on = UnixPath{"@outrider-many-" + std::to_string(::getpid())}, .backlog = 512});
  std::vector<std::unique_ptr<Pending>> pending;
  std::vector<Talker> clients(kStreams);
  for (Talker& client : clients)
    pending.push_back(loop.network().connect(
        {.to = door.listener->local()}, [&](auto result) { client.take(std::move(*result)); }));
  REQUIRE(turn_until(loop, [&] { return door.accepted.size() == kStreams; }));
  REQUIRE(turn_until(loop, [&] { return clients.back().stream != nullptr; }));
  for (const auto& stream : door.accepted)
    REQUIRE(stream->write(as_bytes("x")));
  CHECK(turn_until(loop, [&] {
    return std::ranges::all_of(clients, [](const Talker& client) { return client.data == "x"; });
  }));
}

TEST_CASE("streams whose data cost much are read over several turns, each in its turn") {
  constexpr std::size_t kStreams = 12;
  Loop loop;
  Door door;
  door.open(loop, {.on = UnixPath{"@outrider-dear-" + std::to_string(::getpid())}});
  std::vector<std::unique_ptr<Pending>> pending;
  std::vector<std::unique_ptr<Stream>> clients;
  for (std::size_t i = 0; i < kStreams; ++i)
    pending.push_back(loop.network().connect({.to = door.listener->local()}, [&](auto result) {
      clients.push_back(std::move(*result));
    }));
  REQUIRE(turn_until(
      loop, [&] { return door.accepted.size() == kStreams && clients.size() == kStreams; }));
  std::vector<Talker> servers(kStreams);
  std::size_t reads = 0;
  // They never fall silent: what was read is followed by more.
  for (std::size_t i = 0; i < kStreams; ++i) {
    servers[i].on_anything = [&, i] {
      ++reads;
      spend_turn();
      REQUIRE(clients[i]->write(as_bytes("x")));
    };
    servers[i].take(std::move(door.accepted[i]));
    REQUIRE(clients[i]->write(as_bytes("x")));
  }
  for (std::size_t turns = 0; reads < kStreams * 3 && turns < kStreams * 10; ++turns) {
    const std::size_t before = reads;
    loop.turn(true);
    CHECK(reads - before <= 1);
  }
  CHECK(reads == kStreams * 3);
  for (const Talker& server : servers)
    CHECK(server.data.size() == 3);
}

TEST_CASE("a stream that ends while it waits for its turn is not called") {
  Loop loop;
  Door door;
  Pair first, second;
  connect(loop, Endpoint{kLoopback4, 0}, first, door);
  connect(loop, Endpoint{kLoopback4, 0}, second, door);
  // Both are ready at once. The one that is read first spends the turn and ends the other.
  const auto end = [](Pair& other) {
    return [&other] {
      other.server.stream.reset();
      spend_turn();
    };
  };
  first.server.on_anything = end(second);
  second.server.on_anything = end(first);
  first.client.write("x");
  second.client.write("x");
  CHECK(
      turn_until(loop, [&] { return !first.server.data.empty() || !second.server.data.empty(); }));
  turn_idly(loop);
  CHECK(first.server.data.size() + second.server.data.size() == 1);
}

TEST_CASE("connections whose arrival costs much are accepted one a turn") {
  constexpr std::size_t kClients = 8;
  Loop loop;
  Door door;
  door.open(loop, {.on = UnixPath{"@outrider-slow-" + std::to_string(::getpid())}});
  door.on_anything = [] { spend_turn(); };
  std::vector<std::unique_ptr<Pending>> pending;
  for (std::size_t i = 0; i < kClients; ++i)
    pending.push_back(loop.network().connect({.to = door.listener->local()}, [](auto) {}));
  for (std::size_t turns = 0; door.accepted.size() < kClients && turns < kClients * 2; ++turns) {
    const std::size_t before = door.accepted.size();
    loop.turn(true);
    CHECK(door.accepted.size() - before <= 1);
  }
  CHECK(door.accepted.size() == kClients);
}

TEST_CASE("a stream that no reader empties does not wake the loop, whatever its peer does") {
  Loop loop;
  Door door;
  Pair pair;
  connect(loop, Endpoint{kLoopback4, 0}, pair, door);
  pair.server.stream->set_paused(true);
  pair.client.write("last words");
  CHECK(turns_during(loop, 20ms) < 6);
  pair.client.stream->reset_on_destroy();
  pair.client.stream.reset();
  CHECK(turns_during(loop, 20ms) < 6);
  CHECK(pair.server.data.empty());
  pair.server.stream->set_paused(false);
  CHECK(turn_until(loop, [&] { return pair.server.breaks.size() == 1; }));
  CHECK(pair.server.data == "last words");
  CHECK(turns_during(loop, 20ms) < 6);
}

TEST_CASE("a copy of a socket in a forked program does not wake us after we have closed it") {
  Loop loop;
  Door door;
  Pair pair;
  connect(loop, Endpoint{kLoopback4, 0}, pair, door);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  pair.client.stream.reset();
  pair.server.write("is anybody there?");
  CHECK(turns_during(loop, 20ms) < 6);
  CHECK(pair.server.breaks.empty());  // the copy keeps the connection
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(turn_until(loop, [&] { return pair.server.breaks.size() == 1; }));
}

TEST_CASE("a listener may be destroyed while it accepts") {
  Loop loop;
  Door door;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}});
  door.on_anything = [&] { door.listener.reset(); };
  int ended = 0;
  std::vector<std::unique_ptr<Pending>> pending;
  for (int i = 0; i < 3; ++i)
    pending.push_back(
        loop.network().connect({.to = door.listener->local()}, [&](auto) { ++ended; }));
  CHECK(turn_until(loop, [&] { return ended == 3; }));
  CHECK(door.accepted.size() == 1);
}

TEST_CASE("a paused listener accepts nothing until it goes on") {
  Loop loop;
  Door door;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}});
  door.listener->set_paused(true);
  bool connected = false;
  auto pending =
      loop.network().connect({.to = door.listener->local()}, [&](auto) { connected = true; });
  CHECK(turn_until(loop, [&] { return connected; }));
  turn_idly(loop);
  CHECK(door.accepted.empty());
  door.listener->set_paused(false);
  CHECK(turn_until(loop, [&] { return door.accepted.size() == 1; }));
}

TEST_CASE("ports in use, shared, and on addresses that are not ours") {
  Loop loop;
  Door door, other;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}, .reuse_port = true});
  const StreamAddress taken = door.listener->local();
  const auto refused = loop.network().listen({.on = taken}, other);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == NetError::in_use);
  other.open(loop, {.on = taken, .reuse_port = true});
  const auto foreign =
      loop.network().listen({.on = Endpoint{IpAddress::v4(192, 0, 2, 1), 0}}, other);
  REQUIRE_FALSE(foreign.has_value());
  CHECK(foreign.error() == NetError::not_available);
}

TEST_CASE("a socket file has its mode, is removed at the end, and a dead one is taken over") {
  Directory directory;
  const std::string path = directory.file("sock");
  const mode_t mask = ::umask(0077);
  struct stat file {};
  Loop loop;
  {
    Door door, second;
    door.open(loop, {.on = UnixPath{path}, .mode = 0660});
    CHECK(door.listener->local() == StreamAddress(UnixPath{path}));
    REQUIRE(::lstat(path.c_str(), &file) == 0);
    CHECK((file.st_mode & 0777) == 0660);
    const auto live = loop.network().listen({.on = UnixPath{path}}, second);
    REQUIRE_FALSE(live.has_value());
    CHECK(live.error() == NetError::in_use);
  }
  CHECK(::lstat(path.c_str(), &file) != 0);

  // What a killed program leaves behind.
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(dead, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::close(dead);
  Door heir;
  heir.open(loop, {.on = UnixPath{path}});
  bool connected = false;
  auto pending = loop.network().connect({.to = UnixPath{path}},
                                        [&](auto result) { connected = result.has_value(); });
  CHECK(turn_until(loop, [&] { return connected; }));
  // A file that has been put in our place is not ours to remove.
  ::unlink(path.c_str());
  ::close(::open(path.c_str(), O_CREAT | O_WRONLY, 0600));
  heir.listener.reset();
  CHECK(::lstat(path.c_str(), &file) == 0);
  // Nor is a file that never was a socket.
  const auto not_socket = loop.network().listen({.on = UnixPath{path}}, heir);
  REQUIRE_FALSE(not_socket.has_value());
  CHECK(not_socket.error() == NetError::in_use);
  const auto nowhere = loop.network().listen({.on = UnixPath{path + "/none/sock"}}, heir);
  REQUIRE_FALSE(nowhere.has_value());
  CHECK(nowhere.error() == NetError::not_available);
  ::umask(mask);
}

TEST_CASE("out of descriptors: the listener says so, rests, and goes on by itself") {
  Loop loop;
  Door door;
  door.open(loop, {.on = Endpoint{kLoopback4, 0}});
  std::vector<int> clients;
  const auto to = std::get<Endpoint>(door.listener->local());
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(to.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < 2; ++i) {
    clients.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(clients.back(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const rlimit none{static_cast<rlim_t>(clients.back()) + 1, before.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &none);
  CHECK(turn_until(loop, [&] { return !door.errors.empty(); }));
  CHECK(door.errors == std::vector{NetError::no_resources});
  CHECK(door.accepted.size() == 1);  // on the descriptor that is held back
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(turn_until(loop, [&] { return door.accepted.size() == 2; }));
  for (const int fd : clients)
    ::close(fd);
}

TEST_CASE("a descriptor of another library is watched, level-triggered, and let go") {
  Loop loop;
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  int reads = 0, writes = 0;
  std::unique_ptr<FdWatch> watch;
  auto opened = loop.network().watch_fd(ends[0], {.readable = true}, [&](FdEvents events) {
    reads += events.readable ? 1 : 0;
    writes += events.writable ? 1 : 0;
    if (reads == 3) watch.reset();
  });
  REQUIRE(opened.has_value());
  watch = std::move(*opened);
  turn_idly(loop);
  CHECK(reads == 0);
  watch->set({.writable = true});
  CHECK(turn_until(loop, [&] { return writes > 1; }));
  watch->set({});
  const int writes_before = writes;
  turn_idly(loop);
  CHECK(writes == writes_before);
  watch->set({.readable = true});
  REQUIRE(::write(ends[1], "x", 1) == 1);
  CHECK(turn_until(loop, [&] { return watch == nullptr; }));  // it never reads: called again
  turn_idly(loop);
  CHECK(reads == 3);
  CHECK(loop.open_handles() == 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("a hang-up is reported to who waits to read") {
  Loop loop;
  int ends[2];
  REQUIRE(::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
  bool told = false;
  auto watch = loop.network().watch_fd(ends[0], {.readable = true}, [&](FdEvents) { told = true; });
  ::close(ends[1]);
  CHECK(turn_until(loop, [&] { return told; }));
  watch->reset();
  ::close(ends[0]);
}

}  // namespace
}  // namespace outrider::uv
