// SPDX-License-Identifier: Apache-2.0
#include "agent/process/stored_nameservers.h"

#include "agent/process/install_record.h"
#include "base/json.h"
#include "base/text_file.h"

namespace outrider {
namespace {

const std::string* text_of(const json::Value& entry, std::string_view key) {
  const json::Value* found = entry.find(key);
  return found != nullptr ? found->as_string() : nullptr;
}

}  // namespace

std::string stored_resolv_conf(const std::string& root) {
  const auto record = find_install_record(root);
  if (!record || !*record) return {};
  const auto value = json::parse((*record)->text, kTextFileBytesMax);
  const json::Value* files = value ? value->find("files") : nullptr;
  if (files == nullptr || files->as_array() == nullptr) return {};
  for (const json::Value& entry : *files->as_array()) {
    const std::string* path = text_of(entry, "path");
    const std::string* before = text_of(entry, "before");
    if (path != nullptr && before != nullptr && *path == "/etc/resolv.conf") return *before;
  }
  return {};
}

}  // namespace outrider
