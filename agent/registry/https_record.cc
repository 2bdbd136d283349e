// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/https_record.h"

#include <algorithm>

#include "base/text.h"

namespace outrider::registry {
namespace {

/// Ids are octets by RFC 7301; those in use are visible characters.
bool is_alpn_id(std::string_view id) {
  return !id.empty() && std::ranges::all_of(id, [](char c) { return c > ' ' && c < 0x7f; });
}

std::vector<std::string> alpn_of(const Metadata& metadata) {
  const auto found = metadata.find(std::string(kAlpnKey));
  if (found == metadata.end() || found->second.size() > kAlpnBytesMax) return {};
  std::vector<std::string> ids;
  std::string_view rest = found->second;
  for (bool more = true; more;) {
    const std::size_t comma = rest.find(',');
    more = comma != std::string_view::npos;
    std::string_view id = rest.substr(0, comma);
    while (id.starts_with(' '))
      id.remove_prefix(1);
    if (!is_alpn_id(id)) return {};
    if (std::ranges::find(ids, id) == ids.end()) ids.emplace_back(id);
    if (more) rest.remove_prefix(comma + 1);
  }
  return ids;
}

}  // namespace

std::optional<dns::ServiceBinding> https_binding(const Instance& instance,
                                                 const std::vector<IpAddress>& addresses,
                                                 const dns::Name& target) {
  if (instance.port == 0 || !equal_fold(instance.protocol, "https")) return std::nullopt;
  dns::ServiceBinding binding{
      .target = target, .alpn = alpn_of(instance.metadata), .port = instance.port};
  std::size_t v4 = 0, v6 = 0;
  for (const IpAddress& address : addresses)
    if ((address.is_v4() ? v4 : v6)++ < kHintsMax) binding.hints.push_back(address.with_scope(0));
  return binding;
}

void CommonBinding::add(const Instance& instance, std::uint8_t rank) {
  if (differ_) return;
  auto binding = https_binding(instance, {}, dns::Name());
  differ_ = !binding ||
            (binding_ && (binding_->port != binding->port || binding_->alpn != binding->alpn));
  if (differ_) return;
  binding->priority = svc_priority(rank);
  if (!binding_ || binding_->priority > binding->priority) binding_ = std::move(binding);
}

std::optional<dns::ServiceBinding> CommonBinding::at(const dns::Name& owner) const {
  if (differ_ || !binding_) return std::nullopt;
  dns::ServiceBinding binding = *binding_;
  binding.target = owner;
  return binding;
}

}  // namespace outrider::registry
