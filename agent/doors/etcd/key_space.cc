// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/key_space.h"

#include <algorithm>

namespace outrider::doors::etcd {
namespace {

namespace layouts = registries::etcd;

constexpr std::string_view kSuffix = ".rpc/";

/// "prod/order.rpc/" or "order.rpc/".
struct GozeroName {
  std::string env;   // empty: none
  std::string name;  // "order.rpc"
};
GozeroName split_root(std::string_view root) {
  root.remove_suffix(1);
  const std::size_t slash = root.rfind('/');
  if (slash == std::string_view::npos) return {{}, std::string(root)};
  return {std::string(root.substr(0, slash)), std::string(root.substr(slash + 1))};
}

std::string folder_of(std::string_view key) {
  return std::string(key.substr(0, key.rfind('/') + 1));
}

}  // namespace

KeySpace::KeySpace(layouts::Layouts layouts) : options_(std::move(layouts)) {
  if (options_.kratos)
    layouts_[layouts::as_folder(options_.kratos->prefix)] = layouts::make_kratos(*options_.kratos);
  if (options_.goframe)
    layouts_[layouts::as_folder(options_.goframe->prefix)] =
        layouts::make_goframe(*options_.goframe);
  if (options_.forge)
    layouts_[layouts::as_folder(options_.forge->prefix)] = layouts::make_forge(*options_.forge);
  for (const auto& [root, layout] : layouts_)
    fixed_.insert(root);
}

/// One service each: "order.rpc/", "prod/order.rpc/", or what the configuration lists.
bool KeySpace::is_gozero_root(std::string_view root) const {
  if (!options_.gozero || root.size() < 2 || root.size() > layouts::kKeyBytesMax) return false;
  const std::string_view key = root.substr(0, root.size() - 1);
  const auto& listed = options_.gozero->keys;
  if (std::ranges::find(listed, key) != listed.end()) return true;
  return root.ends_with(kSuffix) && root.size() > kSuffix.size() && !root.starts_with('/') &&
         std::ranges::count(key, '/') <= 1 && key.find("/.rpc") == std::string_view::npos;
}

std::optional<std::string> KeySpace::root_of(std::string_view key) const {
  for (const auto& [root, layout] : layouts_)
    if (key.starts_with(root)) return root;
  std::string folder = folder_of(key);
  if (folder.empty() || !is_gozero_root(folder)) return std::nullopt;
  return folder;
}

std::vector<std::string> KeySpace::roots_in(const KeyRange& range) const {
  std::vector<std::string> roots;
  for (const auto& [root, layout] : layouts_)
    if (range.meets_prefix(root)) roots.push_back(root);
  const std::string folder = folder_of(range.first);
  if (!folder.empty() && is_gozero_root(folder) && !layouts_.contains(folder))
    roots.push_back(folder);
  return roots;
}

const layouts::Layout* KeySpace::layout_of(const std::string& root) {
  const auto known = layouts_.find(root);
  if (known != layouts_.end()) return known->second.get();
  if (!has_room()) return nullptr;
  const auto [env, name] = split_root(root);
  const std::string key = root.substr(0, root.size() - 1);
  // Read: this very key. Written: the service's own name, in its environment.
  layouts::GozeroLayout options{.keys = {key}, .env = env, .space = {}};
  return (layouts_[root] = layouts::make_gozero(std::move(options))).get();
}

std::vector<std::string> KeySpace::single_roots() const {
  std::vector<std::string> roots;
  for (const auto& [root, layout] : layouts_)
    if (!fixed_.contains(root)) roots.push_back(root);
  return roots;
}

KeySpace::Single KeySpace::single_of(const std::string& root) const {
  if (fixed_.contains(root)) return {};
  const auto without_suffix = [](std::string_view key) {
    constexpr std::string_view kRpc = ".rpc";
    if (key.size() > kRpc.size() && key.ends_with(kRpc)) key.remove_suffix(kRpc.size());
    return std::string(key);
  };
  return {without_suffix(std::string_view(root).substr(0, root.size() - 1)),
          without_suffix(split_root(root).name)};
}

std::string KeySpace::describe() const {
  std::string text;
  for (const std::string& root : fixed_)
    text += (text.empty() ? "" : ", ") + root;
  if (options_.gozero) text += text.empty() ? "NAME.rpc/" : ", NAME.rpc/";
  return text;
}

}  // namespace outrider::doors::etcd
