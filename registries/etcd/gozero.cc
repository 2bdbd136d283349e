// SPDX-License-Identifier: Apache-2.0
// KEY/NUMBER = HOST:PORT
//
// There is no common root, so the keys to read are configured. KEY is NAME.rpc, ENV/NAME.rpc or
// NAMESPACE.NAME.rpc by convention: the service is KEY without ".rpc". go-zero writes the number of
// its lease; an agent has one lease for several registrations, and writes a number that follows
// from its identity and the id, so that a new lease takes over the key of the old one.
#include <algorithm>

#include "base/text.h"
#include "registries/etcd/layout.h"

namespace outrider::registries::etcd {
namespace {

constexpr std::string_view kSuffix = ".rpc";

/// FNV-1a, without the sign: go-zero has signed numbers here.
std::uint64_t number_of(std::string_view writer, std::string_view id) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325U;
  const auto take = [&](std::string_view text) {
    for (const char c : text)
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100'0000'01b3U;
  };
  take(writer);
  take(std::string_view("\0", 1));
  take(id);
  return hash >> 1;
}

std::string_view service_of(std::string_view key) {
  const bool named = key.size() > kSuffix.size() && key.ends_with(kSuffix);
  return named ? key.substr(0, key.size() - kSuffix.size()) : key;
}

class Gozero final : public Layout {
 public:
  explicit Gozero(GozeroLayout options) : options_(std::move(options)) {}

  std::string_view name() const override { return "gozero"; }
  bool names_writer() const override { return true; }
  std::vector<std::string> prefixes() const override {
    std::vector<std::string> prefixes;
    for (const std::string& key : options_.keys)
      if (prefixes.size() < kGozeroKeysMax) prefixes.push_back(as_folder(key));
    return prefixes;
  }

  std::vector<Entry> read(const KeyValue& kv) const override {
    const std::size_t slash = kv.key.rfind('/');
    const auto endpoint = Endpoint::parse(kv.value);
    if (slash == std::string::npos || slash == 0 || !endpoint || endpoint->port == 0) return {};
    const std::string key = kv.key.substr(0, slash);
    // A longer key that begins alike is another service's.
    if (std::ranges::find(options_.keys, key) == options_.keys.end()) return {};
    Entry entry;
    entry.service = service_of(key.starts_with('/') ? key.substr(1) : key);
    entry.protocol = "grpc";
    entry.port = endpoint->port;
    entry.addresses = {endpoint->address};
    entry.metadata.emplace("gozero.key", key);
    return {std::move(entry)};
  }

  std::optional<KeyValue> write(const Entry& entry, const std::string& writer,
                                std::int64_t) const override {
    // There is no room for the mark.
    if (entry.metadata.contains(std::string(kViaMark))) return std::nullopt;
    const std::vector<IpAddress> addresses = public_addresses(entry);
    if (addresses.empty() || !is_key_part(entry.service)) return std::nullopt;
    std::string key = entry.service;
    if (std::ranges::find(options_.keys, key) == options_.keys.end()) {
      if (!options_.space.empty()) key.insert(0, options_.space + '.');
      if (!key.ends_with(kSuffix)) key += kSuffix;
      if (!options_.env.empty()) key.insert(0, options_.env + '/');
    }
    return KeyValue{.key = key + '/' + std::to_string(number_of(writer, entry.id)),
                    .value = Endpoint{addresses.front(), entry.port}.to_string()};
  }

 private:
  const GozeroLayout options_;
};

}  // namespace

std::unique_ptr<Layout> make_gozero(GozeroLayout options) {
  for (std::string& key : options.keys)
    while (key.ends_with('/'))
      key.pop_back();
  std::erase(options.keys, "");
  return std::make_unique<Gozero>(std::move(options));
}

}  // namespace outrider::registries::etcd
