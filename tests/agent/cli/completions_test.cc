// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>

#include <doctest/doctest.h>

#include "agent/cli.h"
#include "agent/cli_client.h"
#include "agent/cli_completions.h"

using namespace outrider::cli;

namespace {

/// What a shell says of a script's syntax; -1 where the shell is not there.
int check_syntax(const char* shell, const std::string& script) {
  if (std::system((std::string("command -v ") + shell + " >/dev/null 2>&1").c_str()) != 0) {
    return -1;
  }
  std::FILE* pipe = ::popen((std::string(shell) + " -n /dev/stdin").c_str(), "w");
  REQUIRE(pipe != nullptr);
  std::fputs(script.c_str(), pipe);
  return ::pclose(pipe);
}

}  // namespace

TEST_CASE("completions know every command and every option, and are good shell") {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    CAPTURE(shell);
    const std::string script = completion_script(shell);
    for (const Command& command : commands()) {
      CAPTURE(command.name);
      const std::string_view last = command.name.substr(command.name.rfind(' ') + 1);
      CHECK(script.find(last) != std::string::npos);
      for (const Flag& flag : command.flags) {
        CHECK(script.find(flag.name) != std::string::npos);
      }
    }
    CHECK(check_syntax(shell, script) <= 0);
  }
  CHECK(completion_script("tcsh").empty());
}

TEST_CASE("bash completes commands, second words and options") {
  const std::string script =
      completion_script("bash") +
      "try() { COMP_WORDS=(outrider \"$@\"); COMP_CWORD=$#; COMPREPLY=(); _outrider;"
      " echo \"${COMPREPLY[*]}\"; }\n"
      "[ \"$(try why)\" = why ] || exit 1\n"
      "[ \"$(try config ch)\" = check ] || exit 2\n"
      "[ \"$(try dns install --pro)\" = --profile ] || exit 3\n"
      "[ \"$(try resolve --str)\" = --strategy ] || exit 4\n";
  std::FILE* bash = ::popen("bash --norc", "w");
  REQUIRE(bash != nullptr);
  std::fputs(script.c_str(), bash);
  CHECK(::pclose(bash) == 0);
}

TEST_CASE("percent-encoding of path parts") {
  CHECK(encode("hello-1.svc_~") == "hello-1.svc_~");
  CHECK(encode("a/b c:%\xc3\xa4") == "a%2Fb%20c%3A%25%C3%A4");
}
