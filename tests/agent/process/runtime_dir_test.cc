// SPDX-License-Identifier: Apache-2.0
#include "agent/process/runtime_dir.h"

#include <cstdlib>
#include <optional>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/process/sibling_sockets.h"
#include "agent/process/state_dir.h"
#include "tests/skip.h"

namespace outrider {
namespace {

/// A folder with the runtime directories of a user and of the host.
struct Directories {
  std::string path = "/tmp/outrider-runtime-XXXXXX";
  std::string own, system;
  Directories() {
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    own = path + "/own";
    system = path + "/system";
    ::mkdir(own.c_str(), 0755);
    ::mkdir(system.c_str(), 0755);
  }
  ~Directories() { [[maybe_unused]] const int status = std::system(("rm -r " + path).c_str()); }

  std::string socket(const std::string& file) const {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    file.copy(address.sun_path, sizeof address.sun_path - 1);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::close(fd);
    return file;
  }
};

TEST_CASE("folders of agents are watched up to their limit, missing ones where they would appear") {
  const Directories at;
  CHECK(folders_to_watch(at.own, at.system) == std::set<std::string>{at.own, at.system});
  CHECK(folders_to_watch(at.own + "/a/b", at.path + "/later") ==
        std::set<std::string>{at.own, at.path});
  for (std::size_t i = 0; i < kSocketFoldersMax; ++i)
    ::mkdir((at.system + "/agent-" + std::to_string(i)).c_str(), 0755);
  const auto folders = folders_to_watch(at.own, at.system);
  CHECK(folders.size() == kSocketFoldersMax);
  CHECK(folders.contains(at.own));
  CHECK(folders.contains(at.system));
}

TEST_CASE("sockets of this user come first, then those of the host, then those beside services") {
  const Directories at;
  CHECK(look_for_sockets(at.own, at.system).sockets.empty());
  for (const char* name : {"/orders", "/billing", "/empty"})
    ::mkdir((at.system + name).c_str(), 0755);
  const std::string billing = at.socket(at.system + "/billing/agent.sock"),
                    orders = at.socket(at.system + "/orders/agent.sock"),
                    host = at.socket(at.system + "/agent.sock"),
                    second = at.socket(at.own + "/agent-2.sock"),
                    first = at.socket(at.own + "/agent.sock");
  at.socket(at.own + "/other.sock");
  const auto found = look_for_sockets(at.own, at.system);
  CHECK(found.sockets == std::vector<std::string>{first, second, host, billing, orders});
  CHECK(found.closed.empty());
  // The agent beside a service has its own directory below the host's.
  CHECK(look_for_sockets(at.system + "/orders", at.system).sockets ==
        std::vector<std::string>{orders, host, billing});
  CHECK(look_for_sockets(at.system, at.system).sockets ==
        std::vector<std::string>{host, billing, orders});
}

TEST_CASE("only kNamedAgentsMax folders are looked into") {
  const Directories at;
  for (std::size_t i = 0; i <= kNamedAgentsMax; ++i) {
    const std::string folder = at.system + '/' + std::to_string(100 + i);
    ::mkdir(folder.c_str(), 0755);
    at.socket(folder + "/agent.sock");
  }
  CHECK(look_for_sockets(at.own, at.system).sockets.size() == kNamedAgentsMax);
}

TEST_CASE("only kSocketsMax agents of one user are looked for") {
  const Directories at;
  for (unsigned number = 1; number <= kSocketsMax + 1; ++number)
    at.socket(socket_path(at.own, number));
  CHECK(look_for_sockets(at.own, at.system).sockets.size() == kSocketsMax);
}

TEST_CASE("a directory that this user may not enter is distinguished from one without an agent") {
  const Directories at;
  at.socket(at.system + "/agent.sock");
  REQUIRE(::chmod(at.system.c_str(), 0700) == 0);
  if (::geteuid() != 0) ::chmod(at.system.c_str(), 0000);
  ::chmod(at.path.c_str(), 0755);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::geteuid() == 0 && ::setresuid(65'534, 65'534, 65'534) != 0) ::_exit(2);
    const auto found = look_for_sockets(at.own, at.system);
    ::_exit(found.sockets.empty() && found.closed == std::vector<std::string>{at.system} ? 0 : 1);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  CHECK(status == 0);
  ::chmod(at.system.c_str(), 0700);
}

/// An environment variable for one scope; null: unset.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* now = std::getenv(name); now != nullptr) before_ = now;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) { value != nullptr ? ::setenv(name_, value, 1) : ::unsetenv(name_); }
  const char* name_;
  std::optional<std::string> before_;
};

/// Whether root can give a directory away here.
bool may_give_away(const std::string& path) {
  return ::geteuid() == 0 && ::chown(path.c_str(), 65'534, 65'534) == 0;
}

TEST_CASE("the runtime directory is in the user's own, not in one that sudo has handed on") {
  const Directories at;
  const Variable service("RUNTIME_DIRECTORY", nullptr), user("XDG_RUNTIME_DIR", at.own.c_str());
  CHECK(runtime_dir() == at.own + "/outrider");
  if (!may_give_away(at.own)) return test::skip("root can give away no directory here");
  CHECK(runtime_dir() == kSystemRuntimeDir);
  // The service manager's word counts, whoever owns it.
  const Variable given("RUNTIME_DIRECTORY", at.own.c_str());
  CHECK(runtime_dir() == at.own);
}

TEST_CASE("an empty directory that root has left in that of a user is replaced, another is not") {
  const Directories at;
  const std::string path = at.own + "/outrider";
  REQUIRE(::mkdir(path.c_str(), 0750) == 0);
  ::chmod(at.path.c_str(), 0755);
  if (!may_give_away(at.own)) return test::skip("root can give away no directory here");
  const auto as_user = [&] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      if (::setresuid(65'534, 65'534, 65'534) != 0) ::_exit(2);
      ::_exit(make_runtime_dir(path) ? 0 : 1);
    }
    int status = -1;
    ::waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
  };
  at.socket(path + "/agent.sock");
  CHECK(as_user() == 1);
  ::unlink((path + "/agent.sock").c_str());
  CHECK(as_user() == 0);
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK(info.st_uid == 65'534);
}

TEST_CASE("sockets in a directory that another user can write to are passed over") {
  const Directories at;
  at.socket(at.own + "/agent.sock");
  const std::string host = at.socket(at.system + "/agent.sock"), link = at.path + "/link";
  const auto passed_over = [&](const std::string& own) {
    const auto found = look_for_sockets(own, at.system);
    CHECK(found.sockets == std::vector<std::string>{host});
    return found.passed_over;
  };
  const auto text = [](const std::string& own, const std::string& why) {
    return "agents in " + own + " are not used: that directory " + why;
  };
  CHECK(look_for_sockets(at.own, at.system).passed_over.empty());
  for (const auto& [mode, why] :
       {std::pair(0777, "is writable for all users"), std::pair(01777, "is writable for all users"),
        std::pair(0770, "is writable for its group")}) {
    REQUIRE(::chmod(at.own.c_str(), static_cast<mode_t>(mode)) == 0);
    CHECK(passed_over(at.own) == text(at.own, why));
    CHECK_FALSE(make_runtime_dir(at.own));
  }
  REQUIRE(::chmod(at.own.c_str(), 0750) == 0);
  CHECK(make_runtime_dir(at.own));
  REQUIRE(::symlink(at.own.c_str(), link.c_str()) == 0);
  CHECK(passed_over(link) == text(link, "is a symbolic link"));
  CHECK_FALSE(make_runtime_dir(link));
  // Those of the host belong to the user of its agents, for all users.
  ::chmod(at.system.c_str(), 0770);
  CHECK(look_for_sockets(at.system, at.system).passed_over.empty());
  if (!may_give_away(at.own)) return test::skip("root can give away no directory here");
  CHECK(passed_over(at.own) == text(at.own, "belongs to the user with id 65534"));
  REQUIRE(::chown(at.system.c_str(), 65'534, 65'534) == 0);
  CHECK(look_for_sockets(at.system, at.system).sockets == std::vector<std::string>{host});
}

TEST_CASE("a directory of root is used by other users") {
  const Directories at;
  const std::string own = at.socket(at.own + "/agent.sock");
  ::chmod(at.path.c_str(), 0755);
  if (::geteuid() != 0) return test::skip("only root can try it");
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::setresuid(65'534, 65'534, 65'534) != 0) ::_exit(2);
    ::_exit(look_for_sockets(at.own, at.system).sockets == std::vector<std::string>{own} ? 0 : 1);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("state is kept in the home of the user that the agent runs as") {
  const Directories at;
  const Variable service("STATE_DIRECTORY", nullptr), user("XDG_STATE_HOME", nullptr),
      home("HOME", at.own.c_str()), sudo("SUDO_UID", "65534");
  const std::string mine = at.own + "/.local/state/outrider/";
  CHECK(state_path(state_dir(), "") == mine + "registrations.jsonl");
  CHECK(identity_path(state_dir()) == mine + "identity.json");
  CHECK(state_path("/x", "/a.json") != state_path("/x", "/b.json"));
  if (!may_give_away(at.own)) return test::skip("root can give away no directory here");
  CHECK_FALSE(identity_path(state_dir()).starts_with(at.own));
  const Variable state("XDG_STATE_HOME", at.own.c_str());
  CHECK_FALSE(identity_path(state_dir()).starts_with(at.own));
  // Without sudo a home of another user is meant: that of a container's volume.
  const Variable direct("SUDO_UID", nullptr);
  CHECK(identity_path(state_dir()) == at.own + "/outrider/identity.json");
}

}  // namespace
}  // namespace outrider
