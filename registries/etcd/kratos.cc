// SPDX-License-Identifier: Apache-2.0
// PREFIX/NAME/ID = {"id","name","version","metadata":{…}|null,"endpoints":["http://10.0.0.1:80",…]}
//
// The name in the value counts, not the one in the key. An endpoint's scheme is its protocol, with
// an "s" for TLS; clients before v2.5.0 wrote ?isSecure=true instead. An entry has one port here:
// that of the first endpoint; the whole list stays in its metadata if there are others.
#include <algorithm>

#include "base/json_members.h"
#include "base/text.h"
#include "registries/etcd/layout.h"

namespace outrider::registries::etcd {
namespace {

constexpr std::string_view kEndpointsKey = "kratos.endpoints";

struct Target {
  std::string scheme;
  Endpoint endpoint;
};

std::optional<Target> parse_target(std::string_view url) {
  const std::size_t end = url.find("://");
  if (end == std::string_view::npos || end == 0 || end > 16) return std::nullopt;
  Target target{.scheme = lowered(url.substr(0, end)), .endpoint = {}};
  url.remove_prefix(end + 3);
  const std::size_t tail = std::min(url.find_first_of("/?"), url.size());
  const auto endpoint = Endpoint::parse(url.substr(0, tail));
  if (!endpoint || endpoint->port == 0) return std::nullopt;
  target.endpoint = *endpoint;
  const bool secure = url.substr(tail).find("isSecure=true") != std::string_view::npos;
  if (secure && (target.scheme == "http" || target.scheme == "grpc")) target.scheme += 's';
  return target;
}

class Kratos final : public Layout {
 public:
  explicit Kratos(KratosLayout options) : folder_(as_folder(options.prefix)) {}

  std::string_view name() const override { return "kratos"; }
  std::vector<std::string> prefixes() const override { return {folder_}; }

  std::vector<Entry> read(const KeyValue& kv) const override {
    const auto document = json::parse_foreign(kv.value, kValueBytesMax);
    if (!document) return {};
    Entry entry;
    entry.service = text_at(*document, "name");
    entry.id = text_at(*document, "id");
    entry.version = text_at(*document, "version");
    const json::Value* list = document->find("endpoints");
    const json::Array* endpoints = list != nullptr ? list->as_array() : nullptr;
    if (entry.service.empty() || endpoints == nullptr) return {};
    read_metadata(document->find("metadata"), entry);
    bool others = false;
    std::vector<std::string> urls;
    for (const json::Value& each : *endpoints) {
      if (each.as_string() == nullptr || urls.size() == kEndpointsPerEntryMax) continue;
      urls.push_back(*each.as_string());
      const auto target = parse_target(urls.back());
      if (!target) continue;
      if (entry.port == 0) {
        entry.protocol = target->scheme;
        entry.port = target->endpoint.port;
      }
      if (target->scheme == entry.protocol && target->endpoint.port == entry.port)
        entry.addresses.push_back(target->endpoint.address);
      else
        others = true;
    }
    if (entry.port == 0) return {};
    if (others) entry.metadata.emplace(kEndpointsKey, join(urls, " "));
    return {std::move(entry)};
  }

  std::optional<KeyValue> write(const Entry& entry, const std::string& writer,
                                std::int64_t) const override {
    const std::vector<IpAddress> addresses = public_addresses(entry);
    if (addresses.empty() || !is_key_part(entry.service) || !is_key_part(entry.id))
      return std::nullopt;
    KeyValue kv{.key = folder_ + entry.service + '/' + entry.id, .value = {}};
    json::Writer out(kv.value);
    out.begin_object().member("id", entry.id).member("name", entry.service);
    out.member("version", entry.version).key("metadata").begin_object();
    for (const auto& [key, value] : entry.metadata)
      if (key != "weight" && key != kWriterMark) out.member(key, value);
    out.member("weight", std::to_string(weight_by_health(entry)));
    if (!writer.empty()) out.member(kWriterMark, writer);
    out.end_object().key("endpoints").begin_array();
    const std::string protocol = entry.protocol.empty() ? "http" : entry.protocol;
    for (const IpAddress& address : addresses)
      out.value(protocol + "://" + Endpoint{address, entry.port}.to_string());
    out.end_array().end_object();
    return kv;
  }

 private:
  const std::string folder_;
};

}  // namespace

std::unique_ptr<Layout> make_kratos(KratosLayout options) {
  return std::make_unique<Kratos>(std::move(options));
}

}  // namespace outrider::registries::etcd
