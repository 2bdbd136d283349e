// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/man.h"

#include "agent/cli/cli.h"
#include "agent/config/config.h"
#include "base/log.h"
#include "base/text.h"

namespace outrider::cli {
namespace {

using registry::Row;
using registry::RowType;

/// Text escaped for mdoc, so that it neither starts an escape nor looks like a request.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c == '\\')
      out += "\\e";
    else if (c == '"')
      out += "\\(dq";
    else
      out += c;
  if (!out.empty() && (out.front() == '.' || out.front() == '\'')) out.insert(0, "\\&");
  return out;
}

/// The same in lines of at most kLineMax octets, with a final newline.
std::string wrapped(std::string_view text) {
  constexpr std::size_t kLineMax = 78;
  std::string out;
  std::string left = plain(text);
  while (left.size() > kLineMax) {
    const std::size_t space = left.rfind(' ', kLineMax);
    if (space == std::string::npos || space == 0) break;
    out += left.substr(0, space) + '\n';
    left.erase(0, space + 1);
    if (!left.empty() && (left.front() == '.' || left.front() == '\'')) left.insert(0, "\\&");
  }
  return out + left + '\n';
}

/// "Name of this host." of "name of this host". A word such as "gRPC" stays.
std::string sentence(std::string_view line) {
  std::string out(line);
  const bool plain_word = out.size() < 2 || lower(out[1]) == out[1];
  if (plain_word && out.front() >= 'a' && out.front() <= 'z')
    out.front() = static_cast<char>(out.front() - 'a' + 'A');
  return out + '.';
}

/// One argument of a macro.
std::string argument(std::string_view text) {
  return text.find(' ') == std::string_view::npos ? plain(text) : '"' + plain(text) + '"';
}

/// "--" as two minus signs, not as a dash.
std::string dashes(std::string text) {
  if (const std::size_t at = text.find("--"); at != std::string::npos)
    text.replace(at, 2, "\\-\\-");
  return text;
}

const char* type_text(const Row& row) {
  switch (row.type) {
    case RowType::boolean:
      return "true or false";
    case RowType::integer:
      return "number";
    case RowType::text:
      return "string";
    case RowType::choice:
      return "choice";
    case RowType::duration:
      return "duration";
    case RowType::text_list:
      return "list of strings";
    case RowType::integer_list:
      return "list of numbers";
    case RowType::text_map:
      return "object of strings";
    case RowType::object:
      return "object";
    case RowType::object_list:
      return "list of objects";
  }
  OUTRIDER_UNREACHABLE();
}

std::string bounds(const Row& row) {
  switch (row.type) {
    case RowType::integer:
      return std::to_string(row.min) + " to " + std::to_string(row.max);
    case RowType::duration:
      return format_duration(std::chrono::milliseconds(row.min)) + " to " +
             format_duration(std::chrono::milliseconds(row.max));
    case RowType::choice: {
      std::string out;
      for (const std::string_view choice : row.choices)
        out += (out.empty() ? "" : ", ") + std::string(choice);
      return out;
    }
    case RowType::boolean:
    case RowType::text:
    case RowType::text_list:
    case RowType::integer_list:
    case RowType::text_map:
    case RowType::object:
    case RowType::object_list:
      return {};
  }
  OUTRIDER_UNREACHABLE();
}

void write_rows(std::string& out, std::span<const Row> rows, const std::string& path) {
  for (const Row& row : rows) {
    const std::string key = path + std::string(row.key);
    const bool nested = !row.rows.empty();
    out += ".It Ic " + argument(key) + "\n" + wrapped(sentence(row.line));
    if (!nested) {
      std::string form = type_text(row);
      if (const std::string range = bounds(row); !range.empty()) form += ", " + range;
      if (row.fallback.empty())
        form += "; required";
      else if (row.fallback != "null")
        form += "; default " + std::string(row.fallback);
      out += wrapped(sentence(form));
      if (!row.reloadable) out += "A change needs a restart.\n";
    } else {
      const bool list = row.type == RowType::object_list;
      write_rows(out, row.rows, key + (list ? "[]." : "."));
    }
  }
}

}  // namespace

std::string man_commands() {
  std::string out = ".Bl -tag -width Ds\n";
  for (const Command& command : commands()) {
    out += ".It Ic " + std::string(command.name);
    if (!command.arguments.empty()) out += " Ar " + dashes(plain(command.arguments));
    out += "\n" + wrapped(sentence(command.line));
    if (command.flags.empty()) continue;
    out += ".Bl -tag -width Ds -compact\n";
    for (const Flag& flag : command.flags) {
      out += ".It Fl Fl " + std::string(flag.name);
      if (!flag.value.empty()) out += " Ar " + plain(flag.value);
      if (flag.repeated) out += " , repeatable";
      out += "\n" + wrapped(sentence(flag.line));
    }
    out += ".El\n";
  }
  return out + ".El\n";
}

std::string man_options() {
  std::string out = ".Bl -tag -width Ds\n";
  write_rows(out, config_rows(), "");
  return out + ".El\n";
}

std::string man_events() {
  std::string out = ".Bl -tag -width Ds\n";
  for (const EventSpec& spec : kEvents) {
    out += ".It Ic " + std::string(spec.name) + "\n" + wrapped(sentence(spec.meaning));
    std::string form = std::string("level ") + to_string(spec.level);
    std::string_view keys = spec.keys;
    for (const char* before = "; keys "; !keys.empty(); before = ", ")
      form += before + std::string(take_word(keys));
    out += wrapped(sentence(form));
  }
  return out + ".El\n";
}

std::string with_generated(std::string_view page, std::string_view generated) {
  constexpr std::string_view kBegin = ".\\\" BEGIN GENERATED\n";
  constexpr std::string_view kEnd = ".\\\" END GENERATED\n";
  const std::size_t begin = page.find(kBegin);
  const std::size_t end = page.find(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
  std::string out(page.substr(0, begin + kBegin.size()));
  out += generated;
  out += page.substr(end);
  return out;
}

}  // namespace outrider::cli
