// SPDX-License-Identifier: Apache-2.0
// Interfaces, children and files. What needs another network runs in a namespace of a child.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include <doctest/doctest.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/uv/loop.h"
#include "base/uv/netlink.h"
#include "tests/base/uv/turns.h"
#include "tests/skip.h"

namespace outrider::uv {
namespace {

const Interface* find(const std::vector<Interface>& interfaces, std::string_view name) {
  const auto at = std::ranges::find(interfaces, name, &Interface::name);
  return at == interfaces.end() ? nullptr : &*at;
}

bool has_address(const Interface& interface, std::string_view prefix) {
  return std::ranges::find(interface.addresses, *Prefix::parse(prefix)) !=
         interface.addresses.end();
}

// Runs `body` in a child with an empty network of its own. Nothing where that is not allowed;
// otherwise what the child returned.
std::optional<int> in_own_network(const std::function<int()>& body) {
  constexpr int kNotAllowed = 77;
  const pid_t child = ::fork();
  if (child == 0) {
    const uid_t user = ::getuid();
    if (::unshare(CLONE_NEWNET) != 0) {
      if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) ::_exit(kNotAllowed);
      // Root there, or the programs that we start could not change anything.
      std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
    }
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNotAllowed) return std::nullopt;
  return WEXITSTATUS(status);
}

bool run(const std::string& commands) {
  return std::system(("{ " + commands + "; } >/dev/null 2>&1").c_str()) == 0;
}

TEST_CASE("the loopback interface is there, by both ways of asking") {
  Loop loop;
  for (const auto& interfaces :
       {loop.network().interfaces(), interfaces_by_netlink().value(), interfaces_by_ioctl()}) {
    CHECK(std::ranges::is_sorted(interfaces, {}, &Interface::index));
    const Interface* lo = find(interfaces, "lo");
    REQUIRE(lo != nullptr);
    CHECK(lo->index == 1);
    CHECK(lo->up);
    CHECK(lo->loopback);
    CHECK(lo->mtu > 1500);
    CHECK(lo->kind.empty());
    CHECK(has_address(*lo, "127.0.0.1/8"));
  }
}

struct Nobody final : UdpSocket::Sink, Listener::Sink {
  void on_datagrams(std::span<const Datagram>) override {}
  void on_accept(std::unique_ptr<Stream>) override {}
};

// Numbers name the check that failed.
int reserved_ports() {
  // Root may have any port: so not as root, and with no rights in a network of its own.
  if (::setgid(65'534) != 0 || ::setuid(65'534) != 0) return 77;
  Loop loop;
  Nobody nobody;
  const Endpoint reserved{IpAddress::loopback(IpAddress::Family::v4), 80};
  const auto udp = loop.network().open_udp({.bind = reserved}, nobody);
  if (udp.has_value() || udp.error() != NetError::denied) return 1;
  const auto tcp = loop.network().listen({.on = reserved}, nobody);
  if (tcp.has_value() || tcp.error() != NetError::denied) return 2;
  return 0;
}

TEST_CASE("reserved ports are denied to those without the right") {
  const auto failed = in_own_network(reserved_ports);
  if (!failed || *failed == 77) return test::skip("no network namespace can be made here");
  CHECK(*failed == 0);
}

int links_and_addresses() {
  if (!run("ip link add br0 type bridge && ip link add d0 mtu 1400 type veth peer name d1 && "
           "ip link set d1 master br0 && ip link set d0 up && "
           "ip address add 192.0.2.7/24 dev d0 && ip address add 192.0.2.8/24 dev d0 && "
           "ip address add 2001:db8::7/64 dev d0 nodad && "
           "ip address add 2001:db8::8/64 dev d0 nodad preferred_lft 0 && "
           "ip address add 10.0.0.1 peer 10.0.0.2 dev d1"))
    return 77;
  const std::vector<Interface> all = read_interfaces();
  const Interface* d0 = find(all, "d0");
  const Interface* d1 = find(all, "d1");
  const Interface* br0 = find(all, "br0");
  if (d0 == nullptr || d1 == nullptr || br0 == nullptr) return 1;
  if (d0->kind != "veth" || br0->kind != "bridge") return 2;
  if (d0->bridge_port || !d1->bridge_port) return 3;
  if (d0->up || d1->up || br0->up || d0->mtu != 1400) return 4;  // its peer is down
  if (!has_address(*d0, "192.0.2.7/24") || !has_address(*d0, "192.0.2.8/24")) return 5;
  if (!has_address(*d0, "2001:db8::7/64") || has_address(*d0, "2001:db8::8/64")) return 6;
  if (!has_address(*d1, "10.0.0.1/32")) return 7;
  const auto local = std::ranges::find_if(d0->addresses, [](const Prefix& prefix) {
    return prefix.address.is_v6() && prefix.address.is_link_local();
  });
  if (local != d0->addresses.end() && local->address.scope() != d0->index) return 8;
  const std::vector<Interface> old_way = interfaces_by_ioctl();
  const Interface* again = find(old_way, "d0");
  if (again == nullptr || again->index != d0->index || again->mtu != 1400) return 9;
  if (!has_address(*again, "192.0.2.8/24") || !has_address(*again, "2001:db8::7/64")) return 10;
  if (has_address(*again, "2001:db8::8/64")) return 11;
  return 0;
}

TEST_CASE("kinds, bridge ports, flags and addresses of links") {
  const auto failed = in_own_network(links_and_addresses);
  if (!failed || *failed == 77) return test::skip("no network namespace can be made here");
  CHECK(*failed == 0);
}

int changes_are_told() {
  Loop loop;
  int changes = 0, others = 0;
  auto watch = loop.network().watch_interfaces([&] { ++changes; });
  std::unique_ptr<Pending> other;
  other = loop.network().watch_interfaces([&] {
    ++others;
    other.reset();
  });
  turn_idly(loop);
  if (changes != 0) return 1;
  if (!run("ip link add d0 type veth peer name d1")) return 77;
  if (!turn_until(loop, [&] { return find(loop.network().interfaces(), "d0") && changes > 0; }))
    return 2;
  const int before = changes;
  if (!run("ip link set d0 up && ip link set d1 up && ip address add 192.0.2.7/24 dev d0"))
    return 3;
  if (!turn_until(loop, [&] { return changes > before; })) return 4;
  // A storm that overflows the socket's buffer is one change more, not an error.
  if (!run(
          "for i in $(seq 1 200); do echo address add 198.51.100.$i/32 dev d0; done | ip -batch -"))
    return 5;
  const int calm = changes;
  if (!turn_until(loop, [&] { return changes > calm; })) return 6;
  const std::vector<Interface> now = loop.network().interfaces();
  if (find(now, "d0")->addresses.size() < 201 || !find(now, "d0")->up) return 7;
  if (others != 1) return 8;
  // Changes in a row are compared with pauses.
  const TimePoint begun = loop.clock().now();
  const int first = changes;
  for (int i = 1; i <= 20; ++i) {
    if (!run("ip address add 203.0.113." + std::to_string(i) + "/32 dev d0")) return 10;
    turn_idly(loop);
  }
  if (changes - first > (loop.clock().now() - begun) / kInterfacePause + 1) return 11;
  if (!turn_until(loop, [&] { return changes > first; })) return 12;
  watch.reset();
  turn_idly(loop);
  return loop.open_handles() == 0 ? 0 : 9;
}

TEST_CASE("changes of interfaces are reported") {
  const auto failed = in_own_network(changes_are_told);
  if (!failed || *failed == 77) return test::skip("no network namespace can be made here");
  CHECK(*failed == 0);
}

int connects_to_itself() {
  // Every connection leaves from this port, also one that goes to it.
  if (!run("ip link set lo up && echo 40000 40000 > /proc/sys/net/ipv4/ip_local_port_range"))
    return 77;
  Loop loop;
  std::optional<Result<std::unique_ptr<Stream>, NetError>> connected;
  const Endpoint nobody{IpAddress::loopback(IpAddress::Family::v4), 40'000};
  const auto connecting =
      loop.network().connect({.to = nobody, .from = {}, .opening = {}},
                             [&](auto result) { connected = std::move(result); });
  if (!turn_until(loop, [&] { return connected.has_value(); })) return 1;
  if (connected->has_value()) return 2;
  return connected->error() == NetError::refused ? 0 : 3;
}

TEST_CASE("a connection of a socket to itself is refused: nothing listens there") {
  const auto failed = in_own_network(connects_to_itself);
  if (!failed || *failed == 77) return test::skip("no network namespace can be made here");
  CHECK(*failed == 0);
}

// --- Children --------------------------------------------------------------------------------

ExitStatus status_of(Loop& loop, const SpawnOptions& options) {
  std::optional<ExitStatus> status;
  auto process = loop.spawn(options, [&](ExitStatus s) { status = s; });
  REQUIRE(process.has_value());
  CHECK((*process)->pid() > 0);
  CHECK_FALSE(status.has_value());
  REQUIRE(turn_until(loop, [&] { return status.has_value(); }));
  CHECK_FALSE((*process)->kill(SIGTERM));
  return *status;
}

TEST_CASE("how a child ended") {
  Loop loop;
  CHECK(status_of(loop, {{"true"}, {}}).code == 0);
  CHECK(status_of(loop, {{"sh", "-c", "exit 7"}, {}}).code == 7);
  const ExitStatus killed = status_of(loop, {{"sh", "-c", "kill -TERM $$"}, {}});
  CHECK(killed.signal == SIGTERM);
  const auto none = loop.spawn({{"/no/such/program"}, {}}, [](ExitStatus) {});
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().kind == SpawnError::Kind::not_found);
  CHECK(none.error().text.find("no such file") != std::string::npos);
  for (const char* no_program : {"/dev/null", "/"}) {
    const auto refused = loop.spawn({{no_program}, {}}, [](ExitStatus) {});
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().kind == SpawnError::Kind::not_executable);
  }
  turn_idly(loop);
  CHECK(loop.open_handles() == 0);
}

TEST_CASE("a child has our environment with the additions") {
  ::setenv("OUTRIDER_TEST_A", "ours", 1);
  ::setenv("OUTRIDER_TEST_B", "ours", 1);
  Loop loop;
  const std::string check = "[ $OUTRIDER_TEST_A$OUTRIDER_TEST_B$PORT = oursadded5000 ]";
  CHECK(status_of(loop, {{"sh", "-c", check}, {"OUTRIDER_TEST_B=added", "PORT=5000"}}).code == 0);
}

TEST_CASE("a child is killed on demand, and its callback may destroy it") {
  Loop loop;
  std::unique_ptr<Process> process;
  ExitStatus status;
  auto spawned = loop.spawn({{"sleep", "60"}, {}}, [&](ExitStatus s) {
    status = s;
    process.reset();
  });
  REQUIRE(spawned.has_value());
  process = std::move(*spawned);
  CHECK(process->kill(SIGKILL));
  CHECK(turn_until(loop, [&] { return process == nullptr; }));
  CHECK(status.signal == SIGKILL);
}

TEST_CASE("a forgotten child is not killed, and is reaped when it ends") {
  Loop loop;
  bool told = false;
  auto process = loop.spawn({{"sleep", "60"}, {}}, [&](ExitStatus) { told = true; });
  REQUIRE(process.has_value());
  const auto pid = static_cast<pid_t>((*process)->pid());
  process->reset();
  turn_idly(loop);
  CHECK(loop.open_handles() == 1);
  ::kill(pid, SIGTERM);
  CHECK(turn_until(loop, [&] { return ::kill(pid, 0) != 0; }));
  turn_idly(loop);
  CHECK_FALSE(told);
  CHECK(loop.open_handles() == 0);
}

TEST_CASE("a loop may end before a forgotten child") {
  pid_t pid = 0;
  {
    Loop loop;
    auto process = loop.spawn({{"sleep", "60"}, {}}, [](ExitStatus) {});
    REQUIRE(process.has_value());
    pid = static_cast<pid_t>((*process)->pid());
  }
  CHECK(::kill(pid, SIGKILL) == 0);
  CHECK(::waitpid(pid, nullptr, 0) == pid);
}

// --- Files -----------------------------------------------------------------------------------

class Directory {
 public:
  Directory() {
    char path[] = "/tmp/outrider_watch_XXXXXX";
    path_ = ::mkdtemp(path);
  }
  ~Directory() { run("rm -r '" + path_ + "'"); }
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path) << content;
}

TEST_CASE("a file that is created, written, replaced and removed") {
  const Directory directory;
  const std::string file = directory / "config.json";
  Loop loop;
  int calls = 0;
  const auto seen_by = [&](const std::function<void()>& act) {
    const int before = calls;
    act();
    return turn_until(loop, [&] { return calls > before; });
  };
  auto watch = loop.watch_file(file, [&] { ++calls; });
  turn_idly(loop);
  CHECK(calls == 0);
  CHECK(seen_by([&] { write_file(file, "1"); }));
  CHECK(seen_by([&] { write_file(file, "22"); }));
  CHECK(seen_by([&] {
    write_file(directory / "new", "333");
    ::rename((directory / "new").c_str(), file.c_str());
  }));
  CHECK(seen_by([&] { ::unlink(file.c_str()); }));
  CHECK(calls == 4);  // to be made empty and to be written is one change
  bool later = false;
  auto another = loop.watch_file(directory / "later", [&] { later = true; });
  write_file(directory / "other", "x");
  write_file(directory / "later", "x");
  CHECK(turn_until(loop, [&] { return later; }));
  CHECK(calls == 4);
  another.reset();
  watch.reset();
  turn_idly(loop);
  CHECK(loop.open_handles() == 0);
}

TEST_CASE("a file behind a link whose target is swapped, as in a Kubernetes volume") {
  const Directory directory;
  ::mkdir((directory / "v1").c_str(), 0755);
  ::mkdir((directory / "v2").c_str(), 0755);
  write_file(directory / "v1/config.json", "one");
  write_file(directory / "v2/config.json", "two");
  REQUIRE(::symlink("v1", (directory / "..data").c_str()) == 0);
  REQUIRE(::symlink("..data/config.json", (directory / "config.json").c_str()) == 0);
  Loop loop;
  int calls = 0;
  auto watch = loop.watch_file(directory / "config.json", [&] { ++calls; });
  REQUIRE(::symlink("v2", (directory / "..new").c_str()) == 0);
  ::rename((directory / "..new").c_str(), (directory / "..data").c_str());
  CHECK(turn_until(loop, [&] { return calls > 0; }));
}

TEST_CASE("a directory on the way that is a link, and is swapped, however far from the file") {
  const Directory directory;
  for (const char* name : {"etc", "run", "run/v1", "run/v2", "run/v1/resolve", "run/v2/resolve"})
    ::mkdir((directory / name).c_str(), 0755);
  write_file(directory / "run/v1/resolve/resolv.conf", "one");
  write_file(directory / "run/v2/resolve/resolv.conf", "two");
  REQUIRE(::symlink("v1", (directory / "run/now").c_str()) == 0);
  REQUIRE(::symlink("../run/now/resolve/resolv.conf", (directory / "etc/resolv.conf").c_str()) ==
          0);
  Loop loop;
  int calls = 0;
  auto watch = loop.watch_file(directory / "etc/resolv.conf", [&] { ++calls; });
  const auto swap = [&](const char* to) {
    const int before = calls;
    REQUIRE(::symlink(to, (directory / "run/new").c_str()) == 0);
    ::rename((directory / "run/new").c_str(), (directory / "run/now").c_str());
    return turn_until(loop, [&] { return calls > before; });
  };
  CHECK(swap("v2"));
  CHECK(swap("v1"));
  // A file that is replaced where the way ends.
  const int before = calls;
  write_file(directory / "run/v1/resolve/new", "three");
  ::rename((directory / "run/v1/resolve/new").c_str(),
           (directory / "run/v1/resolve/resolv.conf").c_str());
  CHECK(turn_until(loop, [&] { return calls > before; }));
  watch.reset();
  turn_idly(loop);
  CHECK(loop.open_handles() == 0);
}

TEST_CASE("links in a ring, and more links than are watched, are no harm") {
  const Directory directory;
  REQUIRE(::symlink("b", (directory / "a").c_str()) == 0);
  REQUIRE(::symlink("a", (directory / "b").c_str()) == 0);
  Loop loop;
  auto ring = loop.watch_file(directory / "a", [] {});
  // A link in each of thirty directories leads to the next.
  for (int i = 0; i < 30; ++i) {
    const std::string folder = directory / std::to_string(i);
    ::mkdir(folder.c_str(), 0755);
    if (i == 29)
      write_file(folder + "/file", "x");
    else
      REQUIRE(::symlink(("../" + std::to_string(i + 1) + "/file").c_str(),
                        (folder + "/file").c_str()) == 0);
  }
  auto chain = loop.watch_file(directory / "0/file", [] {});
  CHECK(loop.open_handles() <= 2 + 2 + 16);  // two of each watch, and kLinkFoldersMax
}

TEST_CASE("a file written under another name, as through a mount of it into a container") {
  const Directory directory;
  ::mkdir((directory / "etc").c_str(), 0755);
  ::mkdir((directory / "outside").c_str(), 0755);
  const std::string file = directory / "etc/resolv.conf", other = directory / "outside/resolv.conf";
  Loop loop;
  int calls = 0;
  const auto seen_by = [&](const std::function<void()>& act) {
    const int before = calls;
    act();
    return turn_until(loop, [&] { return calls > before; });
  };
  auto watch = loop.watch_file(file, [&] { ++calls; });
  CHECK(seen_by([&] { write_file(file, "1"); }));
  REQUIRE(::link(file.c_str(), other.c_str()) == 0);
  turn_idly(loop);
  CHECK(seen_by([&] { write_file(other, "22"); }));
  // The watch follows the file that has the name.
  write_file(directory / "etc/new", "333");
  CHECK(seen_by([&] { ::rename((directory / "etc/new").c_str(), file.c_str()); }));
  const int before = calls;
  bool later = false;
  auto another = loop.watch_file(directory / "etc/later", [&] { later = true; });
  write_file(other, "4444");
  write_file(directory / "etc/later", "x");
  CHECK(turn_until(loop, [&] { return later; }));
  CHECK(calls == before);
  another.reset();
  REQUIRE(::link(file.c_str(), (directory / "outside/new").c_str()) == 0);
  turn_idly(loop);
  CHECK(seen_by([&] { write_file(directory / "outside/new", "55555"); }));
  watch.reset();
  turn_idly(loop);
  CHECK(loop.open_handles() == 0);
}

TEST_CASE("everything in a watched directory counts, and the callback may end the watch") {
  const Directory directory;
  Loop loop;
  int calls = 0;
  std::unique_ptr<Pending> watch;
  watch = loop.watch_file(directory / "", [&] {
    ++calls;
    watch.reset();
  });
  write_file(directory / "10-a.json", "x");
  CHECK(turn_until(loop, [&] { return watch == nullptr; }));
  turn_idly(loop);
  CHECK(calls == 1);
}

TEST_CASE("a file in a directory that does not exist is no error") {
  const Directory directory;
  Loop loop;
  auto watch = loop.watch_file(directory / "none/config.json", [] {});
  turn_idly(loop);
  CHECK(loop.open_handles() == 0);  // looked for by a timer
}

}  // namespace
}  // namespace outrider::uv
