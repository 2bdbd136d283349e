// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"

#include <array>
#include <cstdio>
#include <set>

#include <doctest/doctest.h>
#include <unistd.h>

namespace outrider::cli {
namespace {

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
  for (const Words& words :
       {Words{}, Words{"agnet"}, Words{"config"}, Words{"agent", "--confg", "x"},
        Words{"agent", "--config"}, Words{"agent", "x"}, Words{"run"}, Words{"version", "-x"},
        Words{"run", "--name", "a", "--name", "b", "--", "true"}, Words{"help", "nothing"},
        Words{"config", "check", "--set", "dns.ttl=x"}, Words{"run", "--port", "0", "--", "true"},
        Words{"run", "--name", "a/b", "--", "true"}, Words{"why", ""}, Words{"instances", ""},
        Words{"drain", ""}, Words{"run", "--", ""}, Words{"dns", "remove", "--domain", "svc"}}) {
    CAPTURE(words.size());
    CHECK(run(words) == kUsage);
  }
  CHECK(run({"config", "check", "--set=dns.ttl=9s"}) == kDone);
  CHECK(run({"agent", "--help"}) == kDone);
}

TEST_CASE("an error names what was typed, or what is missing") {
  const auto error_of = [](const std::vector<std::string>& words) {
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
  };
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
  CHECK(error_of({"run", "--", "_"}).find("choose one with --name") != std::string::npos);
}

}  // namespace
}  // namespace outrider::cli
