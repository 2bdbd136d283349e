// SPDX-License-Identifier: Apache-2.0
#include "agent/process/api_servers.h"

#include <cstdlib>
#include <functional>
#include <map>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/process/token_file.h"
#include "base/text_file.h"
#include "base/uv/loop.h"
#include "base/uv/system.h"

namespace outrider {
namespace {

/// An agent without DNS and mDNS on a loop of its own, with a runtime directory that is gone
/// afterwards. Changes of files are reported by the test, and not by the kernel.
struct Machine {
  std::string top = "/tmp/outrider-servers-XXXXXX";
  std::string dir;
  uv::Loop loop;
  uv::SystemRandom random;
  NullLog log;
  Env env{loop.clock(), loop.timers(), loop.network(), random, log};
  std::map<std::string, Callback<void()>> watched;
  std::unique_ptr<Agent> agent;
  std::unique_ptr<ApiServers> servers;

  explicit Machine(std::vector<std::string> sets = {}) {
    REQUIRE(::mkdtemp(top.data()) != nullptr);
    dir = top + "/run";
    ::setenv("RUNTIME_DIRECTORY", dir.c_str(), 1);
    sets.insert(sets.end(), {"dns.listen=[]", "farp.listen=[]"});
    auto config = make_config({.files = {}, .environment = {}, .sets = sets});
    REQUIRE(config.has_value());
    agent = std::make_unique<Agent>(env, std::move(*config), AgentParts{});
    servers =
        std::make_unique<ApiServers>(env, *agent, agent->config().api, dir,
                                     [this](const std::string& path, Callback<void()> changed) {
                                       watched[path] = std::move(changed);
                                       return std::make_unique<Pending>();
                                     });
    servers->start();
  }
  ~Machine() {
    servers.reset();
    agent.reset();
    ::unsetenv("RUNTIME_DIRECTORY");
    [[maybe_unused]] const int status = std::system(("rm -rf " + top).c_str());
  }

  void report(const std::string& file) { watched.at(dir + '/' + file)(); }
  bool has(const std::string& file) const {
    return ::access((dir + '/' + file).c_str(), F_OK) == 0;
  }
  /// Whether a server answers on the socket. Its server is in the same loop.
  bool answers(const std::string& file) {
    std::optional<bool> connected;
    std::unique_ptr<Stream> held;
    const auto connecting =
        loop.network().connect({.to = UnixPath{dir + '/' + file}, .from = {}, .opening = {}},
                               [&](Result<std::unique_ptr<Stream>, NetError> stream) {
                                 connected = stream.has_value();
                                 if (stream) held = std::move(*stream);
                               });
    while (!connected)
      loop.turn(true);
    if (held) clients.push_back(std::move(held));
    return *connected;
  }
  std::vector<std::unique_ptr<Stream>> clients;
};

TEST_CASE("a socket that is removed is made again, also with its directory") {
  Machine machine;
  REQUIRE(machine.answers("agent.sock"));
  ::unlink((machine.dir + "/agent.sock").c_str());
  machine.report("agent.sock");
  CHECK(machine.answers("agent.sock"));
  machine.report("agent.sock");  // nothing has changed
  CHECK(machine.answers("agent.sock"));

  ::unlink((machine.dir + "/agent.sock").c_str());
  REQUIRE(::rmdir(machine.dir.c_str()) == 0);
  machine.report("agent.sock");
  CHECK(machine.answers("agent.sock"));
  machine.clients.clear();
}

TEST_CASE("another program's file in place of the socket makes the agent take the next name") {
  Machine machine;
  ::unlink((machine.dir + "/agent.sock").c_str());
  REQUIRE(write_text_file(machine.dir + "/agent.sock", "mine").has_value());
  machine.report("agent.sock");
  CHECK(machine.answers("agent-2.sock"));
  CHECK(read_text_file(machine.dir + "/agent.sock") == "mine");
  machine.clients.clear();
}

TEST_CASE("clients stay connected when the socket is removed, up to kRetiredServersMax times") {
  Machine machine;
  for (std::size_t i = 0; i <= kRetiredServersMax + 1; ++i) {
    REQUIRE(machine.answers("agent.sock"));
    machine.loop.turn(false);
    ::unlink((machine.dir + "/agent.sock").c_str());
    machine.report("agent.sock");
  }
  struct Ended final : Stream::Sink {
    bool ended = false;
    void on_data(Bytes) override {}
    void on_end() override { ended = true; }
    void on_broken(NetError) override { ended = true; }
  };
  std::vector<Ended> sinks(machine.clients.size());
  for (std::size_t i = 0; i < sinks.size(); ++i)
    machine.clients[i]->start(sinks[i]);
  while (!sinks[1].ended)
    machine.loop.turn(true);
  CHECK(sinks[0].ended);
  CHECK_FALSE(sinks[2].ended);
  machine.clients.clear();
}

TEST_CASE("the token file is made again with the same token, and a new one in it is taken over") {
  Machine machine({"api.consul_listen=127.0.0.1:0"});
  const std::string path = machine.dir + "/token", token = read_token(path);
  REQUIRE(token.size() == kTokenBytesMin);
  ::unlink(path.c_str());
  machine.report("token");
  CHECK(read_token(path) == token);
  // Others may read it: not trusted.
  REQUIRE(::chmod(path.c_str(), 0644) == 0);
  machine.report("token");
  CHECK(read_token(path) == token);
  const std::string other(kTokenBytesMin, 'f');
  ::unlink(path.c_str());
  CHECK(settle_token(path, other).written);
  machine.report("token");
  CHECK(read_token(path) == other);
}

TEST_CASE("a token that could not be written is written when that is possible again") {
  Machine machine({"api.consul_listen=127.0.0.1:0"});
  const std::string path = machine.dir + "/token";
  REQUIRE(!read_token(path).empty());

  // Others that start while a folder is in the way have none.
  ::unlink(path.c_str());
  REQUIRE(::mkdir(path.c_str(), 0700) == 0);
  Callback<void()> changed;
  ApiServers others(machine.env, *machine.agent, machine.agent->config().api, machine.dir,
                    [&](const std::string& watched, Callback<void()> callback) {
                      if (watched == path) changed = std::move(callback);
                      return std::make_unique<Pending>();
                    });
  others.start();
  CHECK(read_token(path).empty());
  REQUIRE(::rmdir(path.c_str()) == 0);
  REQUIRE(changed);
  changed();
  CHECK(read_token(path).size() == kTokenBytesMin);
}

TEST_CASE("a token that is too long is neither used nor replaced") {
  std::string top = "/tmp/outrider-token-XXXXXX";
  REQUIRE(::mkdtemp(top.data()) != nullptr);
  const std::string path = top + "/token", mine(kTokenBytesMax, 'a');
  const auto write = [&](const std::string& text) {
    REQUIRE(write_text_file(path, text).has_value());
    ::chmod(path.c_str(), 0640);
  };
  write(mine + '\n');
  CHECK(read_token(path) == mine);
  write(mine + "b\n");
  CHECK(read_token(path).empty());
  CHECK(settle_token(path, std::string(kTokenBytesMin, 'c')).token.empty());
  CHECK(read_text_file(path) == mine + "b\n");
  ::unlink(path.c_str());
  ::rmdir(top.c_str());
}

TEST_CASE("agents that start together agree on one token") {
  std::string top = "/tmp/outrider-token-XXXXXX";
  REQUIRE(::mkdtemp(top.data()) != nullptr);
  const std::string path = top + "/token";
  constexpr int kAgents = 16, kRounds = 20;
  for (int round = 0; round < kRounds; ++round) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    for (int i = 0; i < kAgents; ++i) {
      if (::fork() != 0) continue;
      const std::string wanted(kTokenBytesMin, static_cast<char>('a' + i));
      const TokenFile settled = settle_token(path, wanted);
      const char first = settled.token.empty() ? '-' : settled.token.front();
      ::_exit(::write(ends[1], &first, 1) == 1 ? 0 : 1);
    }
    std::string answers(kAgents, '?');
    for (char& answer : answers)
      REQUIRE(::read(ends[0], &answer, 1) == 1);
    while (::wait(nullptr) > 0) {
    }
    ::close(ends[0]);
    ::close(ends[1]);
    CHECK(answers == std::string(kAgents, read_token(path).front()));
    ::unlink(path.c_str());
  }
  CHECK(::rmdir(top.c_str()) == 0);  // no drafts are left
}

TEST_CASE("what cannot be replaced by a token is tried a few times, and then there is none") {
  std::string path = "/tmp/outrider-token-XXXXXX";
  REQUIRE(::mkdtemp(path.data()) != nullptr);
  const TokenFile settled = settle_token(path, std::string(kTokenBytesMin, 'a'));
  CHECK(settled.token.empty());
  CHECK_FALSE(settled.written);
  CHECK(::access((path + '-' + std::to_string(::getpid())).c_str(), F_OK) != 0);  // no draft
  CHECK(::rmdir(path.c_str()) == 0);
}

}  // namespace
}  // namespace outrider
