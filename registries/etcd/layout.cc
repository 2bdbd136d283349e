// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/layout.h"

#include <algorithm>

namespace outrider::registries::etcd {

std::vector<std::unique_ptr<Layout>> make_layouts(const Layouts& layouts) {
  std::vector<std::unique_ptr<Layout>> made;
  if (layouts.kratos) made.push_back(make_kratos(*layouts.kratos));
  if (layouts.goframe) made.push_back(make_goframe(*layouts.goframe));
  if (layouts.gozero) made.push_back(make_gozero(*layouts.gozero));
  if (layouts.forge) made.push_back(make_forge(*layouts.forge));
  return made;
}

std::string as_folder(std::string_view prefix) {
  while (prefix.ends_with('/'))
    prefix.remove_suffix(1);
  return std::string(prefix) + '/';
}

std::string end_of_prefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff)
    end.pop_back();
  if (end.empty()) return std::string(1, '\0');  // to the very end
  end.back() = static_cast<char>(end.back() + 1);
  return end;
}

std::uint16_t weight_by_health(const Entry& entry) {
  return entry.health == Health::warning ? std::uint16_t{1} : entry.weight;
}

bool is_key_part(std::string_view text) {
  const bool plain =
      !text.empty() && text.find('/') == std::string_view::npos &&
      std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) <= ' '; });
  if (!plain || text.size() > kKeyBytesMax) return false;
  // JSON replaces what is not UTF-8: the key and the value would have different names.
  std::string written;
  json::Writer(written).value(text);
  const auto read = json::parse(written, json::kBodyBytesMax);
  return read && read->as_string() != nullptr && *read->as_string() == text;
}

}  // namespace outrider::registries::etcd
