// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/completions.h"

#include <cstdio>
#include <cstdlib>

#include <doctest/doctest.h>

#include "agent/cli/answer.h"
#include "agent/cli/cli.h"
#include "agent/cli/client.h"
#include "tests/skip.h"

using namespace outrider::cli;

namespace {

/// What a shell says of a script's syntax; -1 where the shell is not there.
int check_syntax(const char* shell, const std::string& script) {
  if (std::system((std::string("command -v ") + shell + " >/dev/null 2>&1").c_str()) != 0)
    return -1;
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
      for (const Flag& flag : command.flags)
        CHECK(script.find(flag.name) != std::string::npos);
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

TEST_CASE("no shell completes file names where a path is one of HTTP") {
  const std::string fish = completion_script("fish");
  for (const char* flag :
       {" -l health -x", " -l openapi -x", " -l socket -r -F", " -l config -r -F"})
    CHECK(fish.find(flag) != std::string::npos);
  const std::string bash =
      completion_script("bash") +
      "try() { COMP_WORDS=(outrider \"$@\"); COMP_CWORD=$#; COMPREPLY=(); _outrider;"
      " echo \"${#COMPREPLY[@]}\"; }\n"
      "cd / || exit 1\n"
      "[ \"$(try run --health '')\" = 0 ] || exit 2\n"
      "[ \"$(try run --openapi '')\" = 0 ] || exit 3\n"
      "[ \"$(try top --socket '')\" != 0 ] || exit 4\n"
      "[ \"$(try why --socket '')\" != 0 ] || exit 5\n";
  std::FILE* shell = ::popen("bash --norc", "w");
  REQUIRE(shell != nullptr);
  std::fputs(bash.c_str(), shell);
  CHECK(::pclose(shell) == 0);
  const std::string zsh = completion_script("zsh");
  CHECK(zsh.find("PATH:_files") != std::string::npos);
  CHECK(zsh.find("HTTP path to probe; default\\: only connect to the port]:PATH:'") !=
        std::string::npos);
}

TEST_CASE("zsh completes commands, second words and options") {
  if (check_syntax("zsh", "") < 0) return outrider::test::skip("zsh is not installed");
  // What the script calls on, printing what it is given.
  const std::string script =
      "_describe() { local -a list=(\"${(@P)2}\"); print -r -- ${list%%:*}; }\n"
      "_arguments() { print -r -- $words[1] $CURRENT $1; }\n"
      "try() { words=(outrider \"$@\"); CURRENT=$#words; _outrider; }\n"
      "words=(outrider ''); CURRENT=2\n" +
      completion_script("zsh") +
      "[[ \"$(try wh)\" == *' why history '* ]] || exit 1\n"
      "[[ \"$(try config '')\" == 'check dump schema' ]] || exit 2\n"
      "[[ \"$(try config check --c)\" == 'check 2 '*config* ]] || exit 3\n"
      "[[ \"$(try why '')\" == 'why 2 --at'* ]] || exit 4\n";
  std::FILE* zsh = ::popen("zsh -f >/dev/null", "w");
  REQUIRE(zsh != nullptr);
  std::fputs(script.c_str(), zsh);
  CHECK(::pclose(zsh) == 0);
}

TEST_CASE("JSON on a terminal: what the terminal would obey is escaped, the rest stays") {
  CHECK(shown_json("{\"a\":\"caf\xc3\xa9 \\u001b \xc2\xa0 \xe2\x80\xa8\"}") ==
        "{\"a\":\"caf\xc3\xa9 \\u001b \xc2\xa0 \xe2\x80\xa8\"}");
  CHECK(shown_json("\x7f|\xc2\x80|\xc2\x9b|\xc2\x9f") == "\\u007f|\\u0080|\\u009b|\\u009f");
  CHECK(shown_json("\xd8\x9c|\xe2\x80\x8f|\xe2\x80\xae|\xe2\x81\xa6|\xe2\x81\xa9") ==
        "\\u061c|\\u200f|\\u202e|\\u2066|\\u2069");
  CHECK(shown_json("\xc2") == "\xc2");
}
