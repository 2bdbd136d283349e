// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"

#include <set>

#include <doctest/doctest.h>

namespace outrider::cli {
namespace {

TEST_CASE("the table of commands is in order") {
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

TEST_CASE("mistakes on the command line end with 2") {
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

}  // namespace
}  // namespace outrider::cli
