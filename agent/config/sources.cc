// SPDX-License-Identifier: Apache-2.0
// Where the configuration comes from: files, the environment and --set, merged into one tree.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "agent/config/comments.h"
#include "agent/config/config.h"
#include "agent/config/read.h"
#include "base/text.h"
#include "base/text_file.h"

namespace outrider {
namespace {

using json::Value;
using registry::Row;
using registry::RowType;

tl::unexpected<ConfigError> refuse(std::string source, std::string expected,
                                   std::string nearest = {}) {
  return failure(
      ConfigError{std::move(source), 0, 0, {"", std::move(expected), std::move(nearest)}});
}

json::Object& object_of(Value& value) {
  return std::get<json::Object>(value.data());
}

Value* find_member(Value& value, std::string_view key) {
  for (auto& [name, content] : object_of(value))
    if (name == key) return &content;
  return nullptr;
}

void merge(Value& into, const Value& from, std::string_view key) {
  if (into.as_object() && from.as_object()) {
    for (const auto& [name, content] : *from.as_object())
      if (Value* there = find_member(into, name))
        merge(*there, content, name);
      else
        object_of(into).emplace_back(name, content);
    return;
  }
  if (key == "services" && into.as_array() && from.as_array()) {
    auto& list = std::get<json::Array>(into.data());
    list.insert(list.end(), from.as_array()->begin(), from.as_array()->end());
    return;
  }
  into = from;
}

/// The row of an option such as "dns.ttl"; null if there is none.
const Row* find_option(std::string_view section, std::string_view key) {
  for (const Row& outer : config_rows())
    if (outer.key == section && outer.type == RowType::object)
      for (const Row& row : outer.rows)
        if (row.key == key) return &row;
  return nullptr;
}

/// The option whose name is most like `name`; empty if none is.
std::string nearest_option(std::string_view name) {
  std::vector<std::string> all;
  for (const Row& outer : config_rows())
    if (outer.type == RowType::object)
      for (const Row& inner : outer.rows)
        all.push_back(std::string(outer.key) + '.' + std::string(inner.key));
  const std::vector<std::string_view> names(all.begin(), all.end());
  return std::string(json::nearest(name, names));
}

/// "OUTRIDER_DNS_TTL" of "dns.ttl".
std::string variable_of(std::string_view option) {
  std::string name = "OUTRIDER_";
  for (const char c : option)
    name += c == '.' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

/// "svc,lan", "svc, lan": the elements of a list.
Value list_of(std::string_view text) {
  json::Array list;
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view element = text.substr(0, comma);
    element.remove_prefix(std::min(element.find_first_not_of(' '), element.size()));
    element = element.substr(0, element.find_last_not_of(' ') + 1);
    list.emplace_back(Value::Data(std::string(element)));
    if (comma == std::string_view::npos) return Value(Value::Data(std::move(list)));
    text.remove_prefix(comma + 1);
  }
}

/// The value that `text` from the command line or the environment means for an option.
Value from_text(const Row& row, const std::string& text) {
  if (row.type == RowType::text_list && text.find(',') != std::string::npos &&
      !text.starts_with('['))
    return list_of(text);
  const bool structured = row.type == RowType::boolean || row.type == RowType::integer ||
                          (row.type == RowType::text_list && text.starts_with('[')) ||
                          (row.fallback == "null" && text == "null");
  if (structured)
    if (auto value = json::parse(text, json::kBodyBytesMax)) return *value;
  return Value(Value::Data(text));
}

Value tree_of(std::string_view section, std::string_view key, Value value) {
  json::Object inner, outer;
  inner.emplace_back(std::string(key), std::move(value));
  outer.emplace_back(std::string(section), Value(Value::Data(std::move(inner))));
  return Value(Value::Data(std::move(outer)));
}

/// One file, environment variable or --set.
struct Source {
  std::string name;
  Value value;
};
using Level = std::vector<Source>;

/// "services[2].id" without its numbers: merging moves the elements of a list.
std::string shape_of(std::string path) {
  std::erase_if(path, [](char c) { return c >= '0' && c <= '9'; });
  return path;
}

/// The error of a merged level with the name of the source that causes it: the first that has the
/// same error alone, or else the one with which the error comes up.
ConfigError blame(const Value& before, const Level& level, const registry::SpecError& error) {
  for (const Source& source : level)
    if (auto alone = read_config(source.value);
        !alone && alone.error().expected == error.expected &&
        shape_of(alone.error().path) == shape_of(error.path))
      return {source.name, 0, 0, alone.error()};
  Value tree = before;
  std::string culprit;
  for (const Source& source : level) {
    merge(tree, source.value, {});
    const auto together = read_config(tree);
    const bool same = !together && together.error().expected == error.expected;
    if (!same) culprit.clear();
    if (same && culprit.empty()) culprit = source.name;
  }
  return {culprit, 0, 0, error};
}

/// Merges all sources of a level into `tree`, and judges the result: what one source of the level
/// says may need what another one says.
Result<void, ConfigError> add(Value& tree, const Level& level) {
  for (const Source& source : level)
    if (!source.value.as_object())
      return refuse(source.name,
                    std::string("expected an object, not ") + source.value.type_name());
  const Value before = tree;
  for (const Source& source : level)
    merge(tree, source.value, {});
  if (level.empty()) return {};
  if (const auto together = read_config(tree); !together)
    return failure(blame(before, level, together.error()));
  return {};
}

Result<Level, ConfigError> read_files(const std::vector<ConfigText>& files) {
  Level level;
  for (const ConfigText& file : files) {
    const std::string text = without_comments(file.text);
    auto value = json::parse(text, json::kConfigBytesMax);
    const bool blank = text.find_first_not_of(" \t\r\n") == std::string::npos;
    if (!value && blank && text.size() <= json::kConfigBytesMax)
      return refuse(file.file, "the file is empty; expected a JSON object");
    if (!value)
      return failure(ConfigError{file.file,
                                 value.error().line,
                                 value.error().column,
                                 {value.error().path, value.error().message, ""}});
    level.push_back({file.file, std::move(*value)});
  }
  return level;
}

Result<Level, ConfigError> read_environment(
    const std::vector<std::pair<std::string, std::string>>& variables) {
  constexpr std::string_view kPrefix = "OUTRIDER_";
  Level level;
  for (const auto& [name, text] : variables) {
    if (!name.starts_with(kPrefix)) continue;
    const std::string rest = lowered(std::string_view(name).substr(kPrefix.size()));
    const std::size_t cut = rest.find('_');
    const std::string section = rest.substr(0, cut);
    const bool known = std::any_of(config_rows().begin(), config_rows().end(), [&](const Row& row) {
      return row.key == section && row.type == RowType::object;
    });
    // Other programs may use variables with this prefix. Only those that begin with a section of
    // the configuration are options.
    if (cut == std::string::npos || !known) continue;
    const std::string key = rest.substr(cut + 1);
    const Row* row = find_option(section, key);
    if (row == nullptr) {
      const std::string near = nearest_option(section + '.' + key);
      return refuse(name, "no such option: " + section + '.' + key,
                    near.empty() ? "" : variable_of(near));
    }
    level.push_back({name, tree_of(section, key, from_text(*row, text))});
  }
  return level;
}

Result<Source, ConfigError> read_set(const std::string& set) {
  const std::size_t equals = set.find('=');
  std::string name = "--set " + set.substr(0, equals);
  const std::size_t dot = set.find('.');
  if (set.substr(0, set.find_first_of("=.[")) == "services")
    return refuse("--set " + set, "services can only be defined in files");
  if (dot == std::string::npos || dot > equals)
    return refuse("--set " + set, "expected SECTION.KEY=VALUE");
  const std::string section = set.substr(0, dot), key = set.substr(0, equals).substr(dot + 1);
  const Row* row = find_option(section, key);
  if (row == nullptr) return refuse(name, "no such option", nearest_option(set.substr(0, equals)));
  if (equals == std::string::npos) return refuse(name, "missing value; expected " + set + "=VALUE");
  return Source{std::move(name), tree_of(section, key, from_text(*row, set.substr(equals + 1)))};
}

Result<Level, ConfigError> read_sets(const std::vector<std::string>& sets) {
  Level level;
  for (const std::string& set : sets) {
    auto source = read_set(set);
    if (!source) return failure(std::move(source.error()));
    level.push_back(std::move(*source));
  }
  return level;
}

/// Its *.json, in name order. Hidden files are other programs': drafts of editors, and the folders
/// of a Kubernetes volume.
Result<std::vector<std::string>, ConfigError> files_of_folder(const std::string& path) {
  constexpr std::string_view kSuffix = ".json";
  const auto names = list_folder(path);
  if (!names) return refuse(path, std::strerror(errno));
  std::vector<std::string> found;
  for (const std::string& name : *names)
    if (name.size() > kSuffix.size() && name.ends_with(kSuffix) && !name.starts_with('.'))
      found.push_back(path.ends_with('/') ? path + name : path + '/' + name);
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

Result<Config, ConfigError> make_config(const ConfigSources& sources) {
  Value tree(Value::Data(json::Object{}));
  for (const auto& level : {read_files(sources.files), read_environment(sources.environment),
                            read_sets(sources.sets)}) {
    if (!level) return failure(level.error());
    if (auto added = add(tree, *level); !added) return failure(std::move(added.error()));
  }
  auto config = read_config(tree);
  if (!config) return failure(ConfigError{"", 0, 0, config.error()});
  return std::move(*config);
}

Result<std::vector<ConfigText>, ConfigError> read_config_files(
    const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!is_folder(path)) {
      files.push_back(path);
      continue;
    }
    const auto found = files_of_folder(path);
    if (!found) return failure(found.error());
    files.insert(files.end(), found->begin(), found->end());
  }
  if (files.size() > kConfigFilesMax)
    return refuse("", "more than " + std::to_string(kConfigFilesMax) + " configuration files");
  std::vector<ConfigText> texts;
  for (const std::string& file : files) {
    auto text = load_text_file(file);
    if (!text) return refuse(file, text.error());
    texts.push_back({file, std::move(*text)});
  }
  return texts;
}

}  // namespace outrider
