// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/cli.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/json.h"
#include "base/result.h"

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

int usage(const std::string& message, const Command* command) {
  std::fprintf(stderr, "outrider: %s\n", message.c_str());
  if (command != nullptr)
    std::fprintf(stderr, "usage: outrider %s\n", synopsis(*command).c_str());
  else
    std::fprintf(stderr, "try: outrider help\n");
  return kUsage;
}

/// The command that the words begin with, the longest first, and how many words name it.
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
  std::string group;  // "config" alone: say what there is
  for (const Command& command : commands()) {
    names.push_back(command.name);
    if (command.name.starts_with(words[0] + ' '))
      group += (group.empty() ? "" : ", ") + std::string(command.name);
  }
  if (!group.empty()) return "which of: " + group + "?";
  std::string message = "unknown command \"" + words[0] + '"';
  const std::string_view near = json::nearest(words[0], names);
  if (!near.empty()) message += "; did you mean \"" + std::string(near) + "\"?";
  return message;
}

}  // namespace

struct Parser {
  /// An error is a sentence.
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
      return failure(std::string("something is missing"));
    // An unset variable of a script: it must not be taken for "all".
    if (!out.positional_.empty() && out.positional_[0].empty())
      return failure(std::string("the first argument is empty"));
    if (!command.rest && out.positional_.size() > command.positional_max)
      return failure("unexpected \"" + out.positional_[command.positional_max] + '"');
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
    if (!values.empty() && !flag->repeated) return flag_text(*flag) + " is there twice";
    if (flag->value.empty()) {
      if (equals != std::string_view::npos) return flag_text(*flag) + " takes no value";
      values.emplace_back();
    } else if (equals != std::string_view::npos) {
      values.emplace_back(name.substr(equals + 1));
    } else if (i + 1 < words.size()) {
      values.push_back(words[++i]);
    } else {
      return flag_text(*flag) + " needs a value";
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

std::string synopsis(const Command& command) {
  std::string out(command.name);
  for (const Flag& flag : command.flags)
    out += " [" + flag_text(flag) + ']' + (flag.repeated ? "..." : "");
  if (!command.arguments.empty()) out += ' ' + std::string(command.arguments);
  return out;
}

std::string help() {
  std::string out =
      "Outrider announces a service, watches its health and answers names of services.\n\n";
  std::size_t width = 0;
  for (const Command& command : commands())
    width = std::max(width, command.name.size() + 1 + command.arguments.size());
  for (const Command& command : commands()) {
    std::string left(command.name);
    if (!command.arguments.empty()) left += ' ' + std::string(command.arguments);
    left.resize(width, ' ');
    out += "  outrider " + left + "  " + std::string(command.line) + '\n';
  }
  return out + "\noutrider COMMAND --help tells the options of one.\n";
}

std::string help(const Command& command) {
  std::string out =
      "usage: outrider " + synopsis(command) + "\n\n" + std::string(command.line) + '\n';
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
  if (command == nullptr) return usage(unknown_command(words), nullptr);
  const auto arguments = Parser::parse(*command, std::span(words).subspan(count));
  if (!arguments) return usage(arguments.error(), command);
  if (arguments->has("help")) {
    std::fputs(help(*command).c_str(), stdout);
    return kDone;
  }
  return command->run(*arguments);
}

}  // namespace

int run(const std::vector<std::string>& words) {
  const int code = run_words(words);
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  // Half an answer is none. A reader who has gone (EPIPE) knows, and is not told.
  if (errno != 0 && errno != EPIPE)
    std::fprintf(stderr, "outrider: standard output: %s\n", std::strerror(errno));
  return code == kDone ? kFailed : code;
}

}  // namespace outrider::cli
