// SPDX-License-Identifier: Apache-2.0
// The command line, all from one table: parsing, help, completions and outrider.1.
//
//   main.cc ▸ run() here ▸ a row of commands.cc ▸ its function:
//     agent_command, run_command              the agent, in this process
//     queries, why, history, changes, farp    one request to a running agent (client, answer)
//     live_commands, status                   a stream of it; addresses that are tried (places)
//     dns, dns_setup, doctor, completions     this host
//
// To add a command: a row in commands.cc, a function in the file of its subject, its declaration in
// agent_commands.h or host_commands.h, and OUTRIDER_WRITE_MAN=1 to bring outrider.1 up to date
// (tests/agent/cli/man_test.cc).
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace outrider::cli {

/// DESIGN §4.1.
enum Exit : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kNoAgent = 3,
  kNotFound = 4,
  kNotPermitted = 5
};

struct Flag {
  std::string_view name;   // "config": --config
  std::string_view value;  // "FILE"; empty: the flag takes no value
  std::string_view line;
  bool repeated = false;
  bool names_file = true;  // a PATH is one of a file, which shells complete
};

class Arguments {
 public:
  bool has(std::string_view flag) const { return flags_.find(flag) != flags_.end(); }
  /// The last value given; empty if none.
  std::string get(std::string_view flag) const;
  std::vector<std::string> all(std::string_view flag) const;
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  friend struct Parser;
  std::map<std::string, std::vector<std::string>, std::less<>> flags_;
  std::vector<std::string> positional_;
};

struct Command {
  std::string_view name;       // "config check": one or two words
  std::string_view arguments;  // as in the synopsis: "NAME", "[--] CMD ARG..."
  std::string_view line;
  std::span<const Flag> flags;
  std::size_t positional_min = 0, positional_max = 0;
  /// Everything after the first positional argument is positional too: it is another program's
  /// command line.
  bool rest = false;
  int (*run)(const Arguments&) = nullptr;
};

std::span<const Command> commands();

/// "usage: outrider agent [--config FILE]... [--set KEY=VALUE]...", in lines of kUsageColumns.
inline constexpr std::size_t kUsageColumns = 80;
std::string usage(const Command& command);
std::string help();
std::string help(const Command& command);
/// The subcommands of "dns"; empty if `group` is not the first word of any.
std::string help_of_group(std::string_view group);

/// Finds and runs the command, prints errors to stderr and returns the exit code.
int run(const std::vector<std::string>& words);

}  // namespace outrider::cli
