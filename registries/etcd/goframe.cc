// SPDX-License-Identifier: Apache-2.0
// PREFIX/DEPLOYMENT/NAMESPACE/NAME/VERSION/HOST:PORT,HOST:PORT =
// {"protocol":"http","insecure":true}
//
// The value is the metadata, of any JSON types, or empty. Entries have no id of their own, so each
// endpoint of a key is an instance; those of an agent carry the id of the registration, and their
// endpoints are its addresses. GoFrame splits an endpoint at ":" and panics unless that makes two
// parts: IPv6 is never written.
#include <algorithm>

#include "base/json_members.h"
#include "base/text.h"
#include "registries/etcd/layout.h"

namespace outrider::registries::etcd {
namespace {

constexpr std::size_t kParts = 5;  // below the prefix

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

class Goframe final : public Layout {
 public:
  explicit Goframe(GoframeLayout options)
      : options_(std::move(options)), folder_(as_folder(options_.prefix)) {}

  std::string_view name() const override { return "goframe"; }
  std::vector<std::string> prefixes() const override { return {folder_}; }

  std::vector<Entry> read(const KeyValue& kv) const override {
    if (!kv.key.starts_with(folder_)) return {};
    const auto parts = split(std::string_view(kv.key).substr(folder_.size()), '/');
    if (parts.size() < kParts) return {};
    Entry common;
    common.service = parts[2];
    if (parts[3] != "latest") common.version = parts[3];
    std::string id;
    if (!kv.value.empty()) {
      const auto metadata = json::parse_foreign(kv.value, kValueBytesMax);
      if (!metadata || metadata->as_object() == nullptr) return {};
      read_metadata(&*metadata, common);
      id = text_at(*metadata, kIdMark);
    }
    take_protocol(common);
    if (parts[0] != "default") common.metadata.emplace("goframe.deployment", parts[0]);
    if (parts[1] != "default") common.metadata.emplace("goframe.namespace", parts[1]);
    return id.empty() ? one_each(common, parts[4]) : one_with_id(common, id, parts[4]);
  }

  std::optional<KeyValue> write(const Entry& entry, const std::string& writer,
                                std::int64_t) const override {
    std::string endpoints;
    for (const IpAddress& address : public_addresses(entry))
      if (address.is_v4())
        endpoints += (endpoints.empty() ? "" : ",") + Endpoint{address, entry.port}.to_string();
    if (endpoints.empty() || !is_key_part(entry.service)) return std::nullopt;
    KeyValue kv{.key = folder_ + options_.deployment + '/' + options_.space + '/' + entry.service +
                       '/' + options_.version + '/' + endpoints,
                .value = {}};
    const bool tls = entry.protocol == "https" || entry.protocol == "grpcs";
    json::Writer out(kv.value);
    out.begin_object().member("insecure", !tls).member("outrider.id", entry.id);
    if (!writer.empty()) out.member(kWriterMark, writer);
    out.member("protocol", entry.protocol.empty() ? "http" : entry.protocol);
    if (!entry.version.empty()) out.member("version", entry.version);
    out.member("weight", weight_by_health(entry));
    for (const auto& [key, value] : entry.metadata)
      if (!is_known(key)) out.member(key, value);
    out.end_object();
    return kv;
  }

 private:
  static bool is_known(std::string_view key) {
    return key == "insecure" || key == "protocol" || key == "weight" || key == "version" ||
           key == kWriterMark || key == kIdMark;
  }

  static void take_protocol(Entry& entry) {
    const auto take = [&](const char* key) {
      auto node = entry.metadata.extract(key);
      return node.empty() ? std::string() : std::move(node.mapped());
    };
    entry.protocol = take("protocol");
    if (entry.protocol.empty()) entry.protocol = "http";
    const bool tls = take("insecure") == "false";
    if (tls && (entry.protocol == "http" || entry.protocol == "grpc")) entry.protocol += 's';
    if (!entry.writer.empty()) entry.version = take("version");
  }

  static std::vector<Entry> one_each(const Entry& common, std::string_view endpoints) {
    std::vector<Entry> entries;
    for (const std::string_view text : split(endpoints, ',')) {
      const auto endpoint = Endpoint::parse(text);
      if (!endpoint || endpoint->port == 0 || entries.size() == kEndpointsPerEntryMax) continue;
      Entry entry = common;
      entry.key = endpoint->to_string();
      if (std::ranges::find(entries, entry.key, &Entry::key) != entries.end()) continue;
      entry.port = endpoint->port;
      entry.addresses = {endpoint->address};
      entries.push_back(std::move(entry));
    }
    return entries;
  }

  static std::vector<Entry> one_with_id(Entry entry, const std::string& id,
                                        std::string_view endpoints) {
    entry.id = id;
    for (const std::string_view text : split(endpoints, ',')) {
      const auto endpoint = Endpoint::parse(text);
      if (!endpoint || endpoint->port == 0 || entry.addresses.size() == kEndpointsPerEntryMax)
        continue;
      if (entry.port == 0) entry.port = endpoint->port;
      if (entry.port == endpoint->port) entry.addresses.push_back(endpoint->address);
    }
    if (entry.port == 0) return {};
    return {std::move(entry)};
  }

  const GoframeLayout options_;
  const std::string folder_;
};

}  // namespace

std::unique_ptr<Layout> make_goframe(GoframeLayout options) {
  return std::make_unique<Goframe>(std::move(options));
}

}  // namespace outrider::registries::etcd
