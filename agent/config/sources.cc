// SPDX-License-Identifier: Apache-2.0
// Where the configuration comes from: files, the environment and --set, merged into one tree.
#include <algorithm>
#include <iterator>

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

/// The value that `text` from the command line or the environment means for an option.
Value from_text(const Row& row, const std::string& text) {
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

/// Merges `source` into `tree`. It must be valid alone, so that an error names this source, and
/// together with those before it, which finds ids that are used twice.
Result<void, ConfigError> add(Value& tree, const Value& source, const std::string& name) {
  if (!source.as_object())
    return refuse(name, std::string("expected an object, not ") + source.type_name());
  if (auto alone = read_config(source); !alone)
    return failure(ConfigError{name, 0, 0, alone.error()});
  merge(tree, source, {});
  if (auto together = read_config(tree); !together)
    return failure(ConfigError{name, 0, 0, together.error()});
  return {};
}

Result<void, ConfigError> add_environment(Value& tree, const std::string& name,
                                          const std::string& text) {
  constexpr std::string_view kPrefix = "OUTRIDER_";
  if (!name.starts_with(kPrefix)) return {};
  const std::string rest = lowered(std::string_view(name).substr(kPrefix.size()));
  const std::size_t cut = rest.find('_');
  const std::string section = rest.substr(0, cut);
  const bool known = std::any_of(config_rows().begin(), config_rows().end(), [&](const Row& row) {
    return row.key == section && row.type == RowType::object;
  });
  // Other programs may use variables with this prefix. Only those that begin with a section of the
  // configuration are options.
  if (cut == std::string::npos || !known) return {};
  const std::string key = rest.substr(cut + 1);
  const Row* row = find_option(section, key);
  if (row == nullptr) return refuse(name, "no such option: " + section + '.' + key);
  return add(tree, tree_of(section, key, from_text(*row, text)), name);
}

Result<void, ConfigError> add_set(Value& tree, const std::string& set) {
  const std::size_t equals = set.find('=');
  const std::string name = "--set " + set.substr(0, equals);
  const std::size_t dot = set.find('.');
  if (equals == std::string::npos || dot == std::string::npos || dot > equals)
    return refuse("--set " + set, "expected SECTION.KEY=VALUE");
  const std::string section = set.substr(0, dot), key = set.substr(dot + 1, equals - dot - 1);
  const Row* row = find_option(section, key);
  if (row == nullptr) {
    std::vector<std::string> all;
    for (const Row& outer : config_rows())
      if (outer.type == RowType::object)
        for (const Row& inner : outer.rows)
          all.push_back(std::string(outer.key) + '.' + std::string(inner.key));
    const std::vector<std::string_view> names(all.begin(), all.end());
    return refuse(name, "no such option", std::string(json::nearest(section + '.' + key, names)));
  }
  return add(tree, tree_of(section, key, from_text(*row, set.substr(equals + 1))), name);
}

}  // namespace

Result<Config, ConfigError> make_config(const ConfigSources& sources) {
  Value tree(Value::Data(json::Object{}));
  for (const ConfigText& file : sources.files) {
    const auto value = json::parse(file.text, json::kConfigBytesMax);
    if (!value)
      return failure(ConfigError{file.file,
                                 value.error().line,
                                 value.error().column,
                                 {value.error().path, value.error().message, ""}});
    if (auto added = add(tree, *value, file.file); !added) return failure(added.error());
  }
  for (const auto& [name, text] : sources.environment)
    if (auto added = add_environment(tree, name, text); !added) return failure(added.error());
  for (const std::string& set : sources.sets)
    if (auto added = add_set(tree, set); !added) return failure(added.error());
  auto config = read_config(tree);
  if (!config) return failure(ConfigError{"", 0, 0, config.error()});
  return std::move(*config);
}

Result<std::vector<ConfigText>, ConfigError> read_config_files(
    const std::vector<std::string>& paths) {
  constexpr std::string_view kSuffix = ".json";
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!is_folder(path)) {
      files.push_back(path);
      continue;
    }
    const auto names = list_folder(path);
    if (!names) return refuse(path, "cannot be read");
    std::vector<std::string> found;
    for (const std::string& name : *names)
      if (name.size() > kSuffix.size() && name.ends_with(kSuffix))
        found.push_back(path.ends_with('/') ? path + name : path + '/' + name);
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  if (files.size() > kConfigFilesMax)
    return refuse("", "more than " + std::to_string(kConfigFilesMax) + " configuration files");
  std::vector<ConfigText> texts;
  for (const std::string& file : files) {
    auto text = read_text_file(file);
    if (!text) return refuse(file, "cannot be read");
    texts.push_back({file, std::move(*text)});
  }
  return texts;
}

}  // namespace outrider
