// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/reverse.h"

#include <algorithm>

#include "agent/registry/name_grammar.h"
#include "agent/registry/served.h"

namespace outrider::registry {

dns::Name reverse_name(const IpAddress& address) {
  std::string text = address.is_v4() ? "in-addr.arpa" : "ip6.arpa";
  for (const std::uint8_t byte : address.bytes()) {
    if (address.is_v4()) {
      text = std::to_string(byte) + '.' + text;
      continue;
    }
    constexpr char kDigits[] = "0123456789abcdef";
    const std::string nibbles = {kDigits[byte & 15], '.', kDigits[byte >> 4], '.'};
    text = nibbles + text;
  }
  const auto name = dns::Name::parse(text);
  OUTRIDER_ASSERT(name.has_value());
  return *name;
}

void ReverseProjection::refresh(const Registry& registry, const HostView& host,
                                const std::string& label, std::set<IpAddress>& touched) {
  std::vector<Pair> pairs;
  for (const InstancePtr& instance : registry.instances(label)) {
    if (!instance->served()) continue;
    for (const IpAddress& address : served_addresses(*instance, host))
      // 127.0.0.1 is "localhost" for every program.
      if (!address.is_loopback())
        pairs.emplace_back(address, write_name(NameForm::instance, label, instance->id.label()));
  }
  std::ranges::sort(pairs);
  pairs.erase(std::ranges::unique(pairs).begin(), pairs.end());
  pairs.shrink_to_fit();
  auto& before = by_service_[label];
  for (const Pair& pair : before)
    if (!std::ranges::binary_search(pairs, pair)) {
      all_.erase(pair);
      touched.insert(pair.first);
    }
  for (const Pair& pair : pairs)
    if (!std::ranges::binary_search(before, pair)) {
      all_.insert(pair);
      touched.insert(pair.first);
    }
  before = std::move(pairs);
  if (before.empty()) by_service_.erase(label);
}

void ReverseProjection::set(const std::set<IpAddress>& touched, const ZoneSink& out) const {
  for (const IpAddress& address : touched) {
    ZoneUpdate update{.owner = reverse_name(address)};
    for (auto at = all_.lower_bound({address, ""});
         at != all_.end() && at->first == address && update.entries.size() < kReverseNamesMax;
         ++at) {
      const auto prefix = dns::Name::parse(at->second);
      const auto name = prefix ? origin_.prepend(*prefix) : std::nullopt;
      if (name) update.entries.push_back({dns::RrType::ptr, dns::NameData{*name}});
    }
    update.erase = update.entries.empty();
    out(std::move(update));
  }
}

void ReverseProjection::update(const Registry& registry, const HostView& host,
                               const Changes& changes, const ZoneSink& out) {
  std::set<std::string> labels;
  for (const Change& change : changes.list)
    if (change.news()) labels.insert(change.any().service.label());
  std::set<IpAddress> touched;
  for (const std::string& label : labels)
    refresh(registry, host, label, touched);
  set(touched, out);
}

void ReverseProjection::rebuild(const Registry& registry, const HostView& host,
                                const ZoneSink& out) {
  std::set<IpAddress> touched;
  std::set<std::string> labels;
  for (const auto& [label, pairs] : by_service_)
    labels.insert(label);
  for (const std::string& label : registry.services())
    labels.insert(label);
  for (const std::string& label : labels)
    refresh(registry, host, label, touched);
  set(touched, out);
}

}  // namespace outrider::registry
