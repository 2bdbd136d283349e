// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/endpoints.h"

#include "base/address.h"
#include "base/http/url.h"
#include "base/text.h"

namespace outrider::registries::etcd {
namespace {

/// Whether the URL leads to this host, whichever host it is read on.
bool is_local(const http::Url& url) {
  std::string_view host = url.host;
  if (host.ends_with('.')) host.remove_suffix(1);
  constexpr std::string_view kLocalhost = "localhost";
  const std::size_t rest = host.size() - std::min(host.size(), kLocalhost.size());
  if (equal_fold(host.substr(rest), kLocalhost)) return rest == 0 || host[rest - 1] == '.';
  if (host.starts_with("::ffff:")) host.remove_prefix(7);  // RFC 4291 §2.5.5.2
  const auto address = IpAddress::parse(host);
  return address && (address->is_loopback() || address->is_any());
}

}  // namespace

Endpoints::Endpoints(std::vector<std::string> configured) : configured_(std::move(configured)) {
  if (configured_.size() > kEndpointsMax) configured_.resize(kEndpointsMax);
  for (const std::string& text : configured_)
    if (const auto url = http::parse_url(text)) {
      only_https_ = only_https_ || url->scheme == "https";
      allow_local_ = allow_local_ || is_local(*url);
    }
}

bool Endpoints::may_learn(const std::string& text) const {
  const auto url = http::parse_url(text);
  return url && (!only_https_ || url->scheme == "https") && (allow_local_ || !is_local(*url));
}

void Endpoints::learn(const std::vector<std::string>& urls) {
  for (const std::string& url : urls) {
    const bool known = is_configured(url) || std::ranges::find(learned_, url) != learned_.end();
    if (!known && size() < kEndpointsMax && may_learn(url)) learned_.push_back(url);
  }
}

bool Endpoints::accepts(const std::string& url, std::string_view cluster_id) {
  if (cluster_id.empty()) return true;
  if (is_configured(url)) {
    cluster_id_ = cluster_id;
    return true;
  }
  return cluster_id_.empty() || cluster_id == cluster_id_;
}

}  // namespace outrider::registries::etcd
