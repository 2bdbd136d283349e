// SPDX-License-Identifier: Apache-2.0
// `outrider completions bash|zsh|fish`, from the table of commands.
#include "agent/cli/completions.h"

#include <cstdio>
#include <map>
#include <set>

#include "agent/cli/host_commands.h"
#include "agent/cli/output.h"

namespace outrider::cli {
namespace {

/// "dns" of "dns install".
std::string first_word(const Command& command) {
  return std::string(command.name.substr(0, command.name.find(' ')));
}
/// "install" of "dns install"; empty for commands of one word.
std::string second_word(const Command& command) {
  const std::size_t space = command.name.find(' ');
  return space == std::string_view::npos ? "" : std::string(command.name.substr(space + 1));
}

std::string flags_of(const Command& command) {
  std::string out;
  for (const Flag& flag : command.flags)
    out += " --" + std::string(flag.name);
  return out + " --help";
}

/// In single quotes, as shells write them.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text)
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  return out + "'";
}

/// Whether the argument is the name of a service, which the agent can list.
bool wants_service(const Command& command) {
  return command.arguments == "NAME" || command.arguments == "[NAME]" ||
         command.arguments == "NAME...";
}
bool wants_file(const Flag& flag) {
  return flag.names_file &&
         (flag.value.find("FILE") != std::string_view::npos ||
          flag.value.find("DIR") != std::string_view::npos || flag.value == "PATH");
}

enum class Values : std::uint8_t { files, others };
/// "--health|--id|…": the flags with such values.
std::string flags_with(Values values) {
  std::set<std::string> names;
  for (const Command& command : commands())
    for (const Flag& flag : command.flags)
      if (!flag.value.empty() && wants_file(flag) == (values == Values::files))
        names.insert("--" + std::string(flag.name));
  std::string out;
  for (const std::string& name : names)
    out += (out.empty() ? "" : "|") + name;
  return out;
}

std::string bash() {
  std::set<std::string> words;
  std::string cases;
  for (const Command& command : commands()) {
    words.insert(first_word(command));
    cases +=
        "    " + quoted(command.name) + ")\n      options=" + quoted(flags_of(command).substr(1));
    if (wants_service(command)) cases += "\n      services=yes";
    cases += " ;;\n";
  }
  std::string groups;
  std::string all;
  for (const std::string& word : words) {
    all += (all.empty() ? "" : " ") + word;
    std::string seconds;
    for (const Command& command : commands())
      if (first_word(command) == word && !second_word(command).empty())
        seconds += (seconds.empty() ? "" : " ") + second_word(command);
    if (!seconds.empty()) groups += "    " + word + ") seconds=" + quoted(seconds) + " ;;\n";
  }
  return "# bash completion for outrider; made by `outrider completions bash`\n"
         "_outrider() {\n"
         "  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} seconds= options= "
         "services=\n"
         "  if [ \"$COMP_CWORD\" = 1 ]; then\n"
         "    COMPREPLY=($(compgen -W " +
         quoted(all) +
         " -- \"$word\")); return\n"
         "  fi\n"
         "  case $command in\n" +
         groups +
         "  esac\n"
         "  if [ -n \"$seconds\" ]; then\n"
         "    if [ \"$COMP_CWORD\" = 2 ]; then\n"
         "      COMPREPLY=($(compgen -W \"$seconds\" -- \"$word\")); return\n"
         "    fi\n"
         "    command=\"$command ${COMP_WORDS[2]}\"\n"
         "  fi\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "  case ${COMP_WORDS[COMP_CWORD-1]} in\n"
         "    " +
         flags_with(Values::files) +
         ") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
         "    " +
         flags_with(Values::others) +
         ") return ;;\n"
         "  esac\n"
         "  if [[ $word == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
         "  elif [ -n \"$services\" ]; then\n"
         "    COMPREPLY=($(compgen -W \"$(outrider services 2>/dev/null | awk 'NR > 1 { print $1 "
         "}')\""
         " -- \"$word\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -f -- \"$word\"))\n"
         "  fi\n"
         "}\n"
         "complete -F _outrider outrider\n";
}

std::string zsh() {
  std::string firsts;
  std::string cases;
  std::map<std::string, std::string> seconds;  // of the commands of two words
  std::set<std::string> listed;
  for (const Command& command : commands()) {
    const std::string word = first_word(command);
    if (listed.insert(word).second) {
      const bool group = !second_word(command).empty();
      std::string line = word + ':' + (group ? word + " …" : std::string(command.line));
      firsts += "    " + quoted(line) + '\n';
    }
    if (const std::string second = second_word(command); !second.empty())
      seconds[word] += ' ' + quoted(second + ':' + std::string(command.line));
    // The words that name the command are not its arguments.
    cases += "    " + quoted(command.name) + ") _arguments";
    for (const Flag& flag : command.flags) {
      std::string spec = (flag.repeated ? "*--" : "--") + std::string(flag.name) + '[';
      for (const char c : flag.line) {
        if (c == '[' || c == ']' || c == ':') spec += '\\';
        spec += c;
      }
      spec += ']';
      if (!flag.value.empty()) {
        spec += ':' + std::string(flag.value.substr(0, flag.value.find(':'))) + ':';
        if (wants_file(flag)) spec += "_files";
      }
      cases += ' ' + quoted(spec);
    }
    if (wants_service(command))
      cases += " '*:service:($(outrider services 2>/dev/null | awk \"NR > 1 { print \\$1 }\"))'";
    else if (!command.arguments.empty())
      cases += " '*:argument:_files'";
    cases += " ;;\n";
  }
  std::string groups;
  for (const auto& [word, list] : seconds)
    groups += "    " + word + ") seconds=(" + list.substr(1) + ") ;;\n";
  return "#compdef outrider\n"
         "# zsh completion for outrider; made by `outrider completions zsh`\n"
         "_outrider() {\n"
         "  local -a firsts seconds\n"
         "  firsts=(\n" +
         firsts +
         "  )\n"
         "  if (( CURRENT == 2 )); then _describe command firsts; return; fi\n"
         "  local command=$words[2]\n"
         "  case $command in\n" +
         groups +
         "  esac\n"
         "  if (( $#seconds )); then\n"
         "    if (( CURRENT == 3 )); then _describe command seconds; return; fi\n"
         "    command=\"$command $words[3]\"\n"
         "    shift words; (( CURRENT-- ))\n"
         "  fi\n"
         "  shift words; (( CURRENT-- ))\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "}\n"
         "_outrider \"$@\"\n";
}

std::string fish() {
  std::string out =
      "# fish completion for outrider; made by `outrider completions fish`\n"
      "complete -c outrider -f\n";
  for (const Command& command : commands()) {
    const std::string word = first_word(command);
    const std::string second = second_word(command);
    std::string condition = "__fish_seen_subcommand_from " + word;
    if (second.empty()) {
      out += "complete -c outrider -n __fish_use_subcommand -a " + word + " -d " +
             quoted(command.line) + '\n';
    } else {
      out += "complete -c outrider -n __fish_use_subcommand -a " + word + '\n';
      out += "complete -c outrider -n " + quoted(condition) + " -a " + second + " -d " +
             quoted(command.line) + '\n';
      condition += "; and __fish_seen_subcommand_from " + second;
    }
    for (const Flag& flag : command.flags) {
      out += "complete -c outrider -n " + quoted(condition) + " -l " + std::string(flag.name);
      if (!flag.value.empty()) out += wants_file(flag) ? " -r -F" : " -x";
      out += " -d " + quoted(flag.line) + '\n';
    }
    if (wants_service(command)) {
      out += "complete -c outrider -n " + quoted(condition) +
             " -a '(outrider services 2>/dev/null | tail -n +2 | string split -f1 \" \")'\n";
    }
  }
  return out;
}

}  // namespace

std::string completion_script(std::string_view shell) {
  if (shell == "bash") return bash();
  if (shell == "zsh") return zsh();
  return shell == "fish" ? fish() : std::string();
}

int completions(const Arguments& arguments) {
  const std::string script = completion_script(arguments.positional().front());
  if (script.empty()) {
    return complain("expected bash, zsh or fish, not \"" + arguments.positional().front() + '"',
                    kUsage);
  }
  std::fputs(script.c_str(), stdout);
  return kDone;
}

}  // namespace outrider::cli
