// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <set>

#include <doctest/doctest.h>
#include <unistd.h>

namespace outrider::cli {
namespace {

/// The first line that the command writes to standard error.
std::string error_of(const std::vector<std::string>& words) {
  std::FILE* const file = std::tmpfile();
  REQUIRE(file != nullptr);
  std::fflush(stderr);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(::fileno(file), STDERR_FILENO);
  run(words);
  std::fflush(stderr);
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  std::rewind(file);
  std::array<char, 512> line{};
  const bool any = std::fgets(line.data(), line.size(), file) != nullptr;
  std::fclose(file);
  return any ? std::string(line.data()) : std::string();
}

TEST_CASE("every command has a unique name, a description and a function") {
  std::set<std::string_view> names;
  for (const Command& command : commands()) {
    CAPTURE(command.name);
    CHECK(names.insert(command.name).second);
    CHECK_FALSE(command.line.empty());
    CHECK(static_cast<bool>(command.run));
    CHECK(help(command).find(command.line) != std::string::npos);
    for (const Flag& flag : command.flags)
      CHECK_FALSE(flag.line.empty());
  }
  CHECK(help().find("outrider agent") != std::string::npos);
}

TEST_CASE("mistakes on the command line exit with 2") {
  using Words = std::vector<std::string>;
  for (const Words& words : {Words{},
                             Words{"agnet"},
                             Words{"config"},
                             Words{"agent", "--confg", "x"},
                             Words{"agent", "--config"},
                             Words{"agent", "x"},
                             Words{"run"},
                             Words{"version", "-x"},
                             Words{"run", "--name", "a", "--name", "b", "--", "true"},
                             Words{"help", "nothing"},
                             Words{"config", "check", "--set", "dns.ttl=x"},
                             Words{"run", "--port", "0", "--", "true"},
                             Words{"run", "--name", "a/b", "--", "true"},
                             Words{"example", "x"},
                             Words{"example"},
                             Words{"why", ""},
                             Words{"instances", ""},
                             Words{"drain", ""},
                             Words{"run", "--", ""},
                             Words{"dns", "remove", "--domain", "svc"}}) {
    CAPTURE(words.size());
    CHECK(run(words) == kUsage);
  }
  CHECK(run({"config", "check", "--set=dns.ttl=9s"}) == kDone);
  CHECK(run({"agent", "--help"}) == kDone);
}

TEST_CASE("an error names what was typed, or what is missing") {
  CHECK(error_of({"why"}) == "outrider: missing NAME\n");
  CHECK(error_of({"run", "--"}) == "outrider: missing CMD\n");
  CHECK(error_of({"maintenance", "a-1"}) == "outrider: missing on|off\n");
  CHECK(error_of({"drain", ""}) == "outrider: ID is empty\n");
  CHECK(error_of({"version", "x"}) == "outrider: unexpected argument \"x\"\n");
  CHECK(error_of({"dns"}) == "outrider: dns needs a subcommand: install, remove or status\n");
  CHECK(error_of({"agnet"}) == "outrider: unknown command \"agnet\"; did you mean \"agent\"?\n");
  CHECK(error_of({"agent", "--config"}) == "outrider: --config needs a value: FILE|DIR\n");
  CHECK(error_of({"run", "--id", "a", "--id", "b"}) == "outrider: --id is given twice\n");
  CHECK(error_of({"run", "--health", "x", "true"}).starts_with("outrider: --health: expected"));
  // In the root, which gives it no name.
  std::array<char, 4096> folder{};
  REQUIRE(::getcwd(folder.data(), folder.size()) != nullptr);
  REQUIRE(::chdir("/") == 0);
  CHECK(error_of({"run", "--", "_"}).find("choose one with --name") != std::string::npos);
  REQUIRE(::chdir(folder.data()) == 0);
  CHECK(error_of({"run", "--need", "", "--", "true"}).find("--need") != std::string::npos);
  CHECK(error_of({"run", "--timeout", "x", "--", "true"}).find("30s") != std::string::npos);
}

TEST_CASE("values are checked before an agent is asked") {
  const std::pair<std::vector<std::string>, std::string> rows[] = {
      {{"history", "--last", "abc"}, "--last: expected 1 to 1000, not \"abc\""},
      {{"history", "--last", "0"}, "--last: expected 1 to 1000, not \"0\""},
      {{"history", "--last", "5000"}, "--last: expected 1 to 1000, not \"5000\""},
      {{"history", "--last="}, "--last: expected 1 to 1000, not \"\""},
      {{"resolve", "a", "--strategy", "foo"},
       "--strategy: expected round_robin, random, weighted, least_connections, p2c or "
       "consistent_hash, not \"foo\""},
      {{"resolve", "a", "--strategy", "consistent_hash"},
       "--strategy consistent_hash needs --key KEY"},
      {{"farp", "routes", "--gateway", "foo"},
       "--gateway: expected bastion, forge, octopus or spec, not \"foo\""},
      {{"farp", "check", "/nonexistent/manifest"},
       "/nonexistent/manifest: neither a readable file nor an http URL"},
      {{"maintenance", "a", "maybe"}, "expected on or off, not \"maybe\""},
      {{"drain", "a", "maybe"}, "expected on or off, not \"maybe\""}};
  for (const auto& [words, message] : rows) {
    CHECK(error_of(words) == "outrider: " + message + '\n');
    CHECK(run(words) == kUsage);
  }
  CHECK(error_of({"status", "--socket", "/nonexistent/agent.sock"}) ==
        "outrider: no agent answers on /nonexistent/agent.sock: No such file or directory\n");
}

TEST_CASE("a relative path in OUTRIDER_API_SOCKET is an error, not another agent") {
  ::setenv("OUTRIDER_API_SOCKET", "rel/agent.sock", 1);
  CHECK(error_of({"status"}) ==
        "outrider: OUTRIDER_API_SOCKET: expected an absolute path, not \"rel/agent.sock\"\n");
  CHECK(run({"status"}) == kUsage);
  CHECK(run({"watch"}) == kUsage);
  ::unsetenv("OUTRIDER_API_SOCKET");
}

TEST_CASE("a group of commands lists its members on request") {
  for (const char* group : {"dns", "config", "farp"}) {
    CAPTURE(group);
    CHECK(run({"help", group}) == kDone);
    CHECK(run({group, "--help"}) == kDone);
    CHECK(run({group, "-h"}) == kDone);
    CHECK(run({group}) == kUsage);
  }
  CHECK(help_of_group("dns").starts_with("  outrider dns install   make"));
  CHECK(help_of_group("config").find("outrider config schema") != std::string::npos);
  CHECK(help_of_group("dn").empty());
  CHECK(help_of_group("").empty());
}

TEST_CASE("usage lines fit on a terminal") {
  for (const Command& command : commands()) {
    const std::string text = usage(command);
    CAPTURE(text);
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
      CHECK(end - begin <= kUsageColumns);
    CHECK(begin == text.size());
  }
}

TEST_CASE("config check warns about files that are missing") {
  char name[] = "/tmp/outrider-cli-XXXXXX";
  const int fd = ::mkstemp(name);
  REQUIRE(fd >= 0);
  const std::string_view text =
      R"({"services": [{"name": "a", "port": 1, "farp": {"openapi": "file:/nonexistent/api"}}]})";
  REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  ::close(fd);
  CHECK(error_of({"config", "check", "--config", name}) ==
        "outrider: warning: services[0].farp.openapi: /nonexistent/api: No such file or "
        "directory\n");
  CHECK(run({"config", "check", "--config", name}) == kDone);
  ::unlink(name);
}

}  // namespace
}  // namespace outrider::cli
