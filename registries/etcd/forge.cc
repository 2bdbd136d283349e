// SPDX-License-Identifier: Apache-2.0
// PREFIX/NAME/ID = {"id","name","version","address","port","tags":[…],"metadata":{…},
//                   "status":"passing|warning|critical|unknown","last_heartbeat":SECONDS}
//
// Forge skips what it cannot read, and so is done here. One address; the protocol is
// metadata.scheme, http without it.
#include "base/json_members.h"
#include "registries/etcd/layout.h"

namespace outrider::registries::etcd {
namespace {

constexpr std::string_view kSchemeKey = "scheme";

/// Whether a status that Forge does not know is right cannot be told: usable, but with a mark.
Health health_of(std::string_view status) {
  if (status == "critical") return Health::critical;
  return status == "passing" || status.empty() ? Health::passing : Health::warning;
}

class Forge final : public Layout {
 public:
  explicit Forge(const ForgeLayout& options) : folder_(as_folder(options.prefix)) {}

  std::string_view name() const override { return "forge"; }
  std::vector<std::string> prefixes() const override { return {folder_}; }

  std::vector<Entry> read(const KeyValue& kv) const override {
    const auto document = json::parse_foreign(kv.value, kValueBytesMax);
    if (!document) return {};
    Entry entry;
    entry.service = text_at(*document, "name");
    entry.id = text_at(*document, "id");
    entry.version = text_at(*document, "version");
    const auto address = IpAddress::parse(text_at(*document, "address"));
    const std::int64_t port = number_at(*document, "port");
    if (entry.service.empty() || !address || port < 1 || port > 0xffff) return {};
    entry.addresses = {*address};
    entry.port = static_cast<std::uint16_t>(port);
    entry.tags = read_tags(list_at(*document, "tags"));
    read_metadata(document->find("metadata"), entry);
    const auto scheme = entry.metadata.find(std::string(kSchemeKey));
    entry.protocol = scheme != entry.metadata.end() ? scheme->second : "http";
    if (!entry.writer.empty()) entry.metadata.erase(std::string(kSchemeKey));
    entry.health = health_of(text_at(*document, "status"));
    return {std::move(entry)};
  }

  std::optional<KeyValue> write(const Entry& entry, const std::string& writer,
                                std::int64_t unix_seconds) const override {
    const std::vector<IpAddress> addresses = public_addresses(entry);
    if (addresses.empty() || !is_key_part(entry.service) || !is_key_part(entry.id))
      return std::nullopt;
    KeyValue kv{.key = folder_ + entry.service + '/' + entry.id, .value = {}};
    json::Writer out(kv.value);
    out.begin_object().member("id", entry.id).member("name", entry.service);
    out.member("version", entry.version).member("address", addresses.front().to_string());
    out.member("port", entry.port).key("tags").begin_array();
    for (const std::string& tag : entry.tags)
      out.value(tag);
    out.end_array().key("metadata").begin_object();
    for (const auto& [key, value] : entry.metadata)
      if (key != kWriterMark && key != "weight" && key != kSchemeKey) out.member(key, value);
    out.member(kSchemeKey, entry.protocol.empty() ? "http" : entry.protocol);
    out.member("weight", std::to_string(weight_by_health(entry)));
    if (!writer.empty()) out.member(kWriterMark, writer);
    out.end_object().member("status", status_of(entry.health));
    out.member("last_heartbeat", unix_seconds).end_object();
    return kv;
  }

 private:
  const std::string folder_;
};

}  // namespace

std::unique_ptr<Layout> make_forge(ForgeLayout options) {
  return std::make_unique<Forge>(options);
}

}  // namespace outrider::registries::etcd
