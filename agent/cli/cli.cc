// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "agent/cli/descriptors.h"
#include "agent/cli/output.h"
#include "base/json.h"
#include "base/result.h"
#include "base/text.h"

namespace outrider::cli {
namespace {

const Flag kHelp = {"help", "", "show this help"};

const Flag* find_flag(const Command& command, std::string_view name) {
  if (name == kHelp.name) return &kHelp;
  for (const Flag& flag : command.flags)
    if (flag.name == name) return &flag;
  return nullptr;
}

std::string flag_text(const Flag& flag) {
  std::string out = "--" + std::string(flag.name);
  if (!flag.value.empty()) out += ' ' + std::string(flag.value);
  return out;
}

/// The name of the positional argument at `index`, as the synopsis writes it: "NAME".
std::string argument_name(const Command& command, std::size_t index) {
  std::string_view rest = command.arguments;
  while (!rest.empty()) {
    std::string_view word = take_word(rest);
    if (word == "[--]" || index-- > 0) continue;
    if (word.starts_with('[')) word = word.substr(1, word.find(']') - 1);
    if (word.ends_with("...")) word.remove_suffix(3);
    return std::string(word);
  }
  return "argument";
}

/// The command that `words` begin with, preferring the longest name, and how many words name it.
std::pair<const Command*, std::size_t> find_command(const std::vector<std::string>& words) {
  for (const std::size_t count : {std::size_t{2}, std::size_t{1}}) {
    if (words.size() < count) continue;
    const std::string name = count == 2 ? words[0] + ' ' + words[1] : words[0];
    for (const Command& command : commands())
      if (command.name == name) return {&command, count};
  }
  return {nullptr, 0};
}

std::string unknown_command(const std::vector<std::string>& words) {
  std::vector<std::string_view> names;
  std::vector<std::string> subcommands;  // of "config", if that is all that was typed
  for (const Command& command : commands()) {
    names.push_back(command.name);
    if (command.name.starts_with(words[0] + ' '))
      subcommands.emplace_back(command.name.substr(words[0].size() + 1));
  }
  if (!subcommands.empty()) {
    std::string message = words[0] + " needs a subcommand: ";
    for (std::size_t i = 0; i < subcommands.size(); ++i)
      message += (i == 0 ? "" : i + 1 < subcommands.size() ? ", " : " or ") + subcommands[i];
    return message;
  }
  std::string message = "unknown command \"" + words[0] + '"';
  const std::string_view near = json::nearest(words[0], names);
  if (!near.empty()) message += "; did you mean \"" + std::string(near) + "\"?";
  return message;
}

}  // namespace

struct Parser {
  /// The error is a message for the user.
  static Result<Arguments, std::string> parse(const Command& command,
                                              std::span<const std::string> words) {
    Arguments out;
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      const bool flag_like = word.size() > 1 && word[0] == '-';
      if (word == "--" || !flag_like) {
        if (word != "--") out.positional_.push_back(word);
        if (word == "--" || command.rest) {
          out.positional_.insert(out.positional_.end(),
                                 words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
          break;
        }
        continue;
      }
      if (auto error = take_flag(command, words, i, out); !error.empty())
        return failure(std::move(error));
    }
    if (out.has(kHelp.name)) return out;
    if (out.positional_.size() < command.positional_min)
      return failure("missing " + argument_name(command, out.positional_.size()));
    // Probably an unset variable in a script, which must not be taken to mean "all".
    if (!out.positional_.empty() && out.positional_[0].empty())
      return failure(argument_name(command, 0) + " is empty");
    if (!command.rest && out.positional_.size() > command.positional_max)
      return failure("unexpected argument \"" + out.positional_[command.positional_max] + '"');
    return out;
  }

 private:
  static std::string take_flag(const Command& command, std::span<const std::string> words,
                               std::size_t& i, Arguments& out) {
    std::string_view name = words[i] == "-h" ? std::string_view("--help") : words[i];
    if (!name.starts_with("--")) return "unknown option \"" + words[i] + '"';
    name.remove_prefix(2);
    const std::size_t equals = name.find('=');
    const Flag* flag = find_flag(command, name.substr(0, equals));
    if (flag == nullptr) {
      std::vector<std::string_view> known;
      for (const Flag& each : command.flags)
        known.push_back(each.name);
      const std::string_view near = json::nearest(name.substr(0, equals), known);
      return "unknown option \"--" + std::string(name.substr(0, equals)) + '"' +
             (near.empty() ? "" : "; did you mean \"--" + std::string(near) + "\"?");
    }
    auto& values = out.flags_[std::string(flag->name)];
    const std::string typed = "--" + std::string(flag->name);
    if (!values.empty() && !flag->repeated) return typed + " is given twice";
    if (flag->value.empty()) {
      if (equals != std::string_view::npos) return typed + " takes no value";
      values.emplace_back();
    } else if (equals != std::string_view::npos) {
      values.emplace_back(name.substr(equals + 1));
    } else if (i + 1 < words.size()) {
      values.push_back(words[++i]);
    } else {
      return typed + " needs a value: " + std::string(flag->value);
    }
    return {};
  }
};

std::string Arguments::get(std::string_view flag) const {
  const auto found = flags_.find(flag);
  return found == flags_.end() ? std::string() : found->second.back();
}

std::vector<std::string> Arguments::all(std::string_view flag) const {
  const auto found = flags_.find(flag);
  return found == flags_.end() ? std::vector<std::string>() : found->second;
}

std::string usage(const Command& command) {
  std::vector<std::string> parts;
  for (const Flag& flag : command.flags)
    parts.push_back('[' + flag_text(flag) + ']' + (flag.repeated ? "..." : ""));
  if (!command.arguments.empty()) parts.emplace_back(command.arguments);
  std::string out = "usage: outrider " + std::string(command.name);
  const std::size_t indent = out.size() + 1;
  std::size_t column = out.size();
  for (const std::string& part : parts) {
    const bool fits = column + 1 + part.size() <= kUsageColumns;
    if (!fits) out += '\n' + std::string(indent - 1, ' ');
    column = (fits ? column : indent - 1) + 1 + part.size();
    out += ' ' + part;
  }
  return out + '\n';
}

namespace {

/// A line for each command: "  outrider wait NAME  wait until …".
std::string lines_of(const std::vector<const Command*>& commands) {
  std::string out;
  std::size_t width = 0;
  for (const Command* command : commands)
    width = std::max(width, command->name.size() + 1 + command->arguments.size());
  for (const Command* command : commands) {
    std::string left(command->name);
    if (!command->arguments.empty()) left += ' ' + std::string(command->arguments);
    left.resize(width, ' ');
    out += "  outrider " + left + "  " + std::string(command->line) + '\n';
  }
  return out;
}

constexpr const char* kMoreHelp = "\nFor the options of a command: outrider COMMAND --help\n";

}  // namespace

std::string help() {
  std::string out =
      "Outrider announces services on the local network, probes their health, and answers their\n"
      "names over DNS.\n\n";
  std::vector<const Command*> all;
  for (const Command& command : commands())
    all.push_back(&command);
  return out + lines_of(all) + kMoreHelp;
}

std::string help_of_group(std::string_view group) {
  std::vector<const Command*> members;
  for (const Command& command : commands())
    if (command.name.starts_with(std::string(group) + ' ')) members.push_back(&command);
  return members.empty() ? std::string() : lines_of(members) + kMoreHelp;
}

std::string help(const Command& command) {
  std::string out = usage(command) + '\n' + std::string(command.line) + '\n';
  std::size_t width = 0;
  for (const Flag& flag : command.flags)
    width = std::max(width, flag_text(flag).size());
  if (!command.flags.empty()) out += '\n';
  for (const Flag& flag : command.flags) {
    std::string left = flag_text(flag);
    left.resize(width, ' ');
    out += "  " + left + "  " + std::string(flag.line) + '\n';
  }
  return out;
}

namespace {

int run_words(const std::vector<std::string>& words) {
  if (words.empty()) {
    std::fputs(help().c_str(), stderr);
    return kUsage;
  }
  if (words[0] == "--help" || words[0] == "-h") return run_words({"help"});
  if (words[0] == "--version") return run_words({"version"});
  const auto [command, count] = find_command(words);
  if (command == nullptr) {
    const bool asks = words.size() == 2 && (words[1] == "--help" || words[1] == "-h");
    if (const std::string members = help_of_group(words[0]); asks && !members.empty())
      return print(members), kDone;
    complain(unknown_command(words), kUsage);
    std::fputs("try: outrider help\n", stderr);
    return kUsage;
  }
  const auto arguments = Parser::parse(*command, std::span(words).subspan(count));
  if (!arguments) {
    complain(arguments.error(), kUsage);
    std::fputs(usage(*command).c_str(), stderr);
    return kUsage;
  }
  if (arguments->has("help")) {
    print(help(*command));
    return kDone;
  }
  if (const auto why = too_few_descriptors()) return complain(*why, kFailed);
  return command->run(*arguments);
}

}  // namespace

int run(const std::vector<std::string>& words) {
  const int code = run_words(words);
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  // Part of an answer is a failure. If the reader has closed the pipe (EPIPE), it knows.
  if (errno != 0 && errno != EPIPE)
    complain(std::string("standard output: ") + std::strerror(errno), kFailed);
  return code == kDone ? kFailed : code;
}

}  // namespace outrider::cli
