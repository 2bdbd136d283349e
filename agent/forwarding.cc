// SPDX-License-Identifier: Apache-2.0
#include "agent/forwarding.h"

#include <algorithm>

#include "base/text.h"

namespace outrider {
namespace {

constexpr std::uint16_t kDnsPort = 53;

/// "fe80::1%eth0" or "[fe80::1%eth0]:53".
bool names_interface(const std::string& server) {
  return server.find('%') != std::string::npos;
}

}  // namespace

Forwarding::Forwarding(Env& env, const DnsConfig& config, ForwardParts parts, Choose choose,
                       ChooseLocal choose_local)
    : env_(env),
      config_(config),
      parts_(std::move(parts)),
      choose_(std::move(choose)),
      choose_local_(std::move(choose_local)) {}

Forwarding::~Forwarding() = default;

void Forwarding::start() {
  reload();
}

void Forwarding::reload() {
  if (resolver_) {
    resolver_->set_options(options());
  } else if (config_.forward != Choice::off && parts_.make_upstream) {
    upstream_ = parts_.make_upstream(env_);
    resolver_ = std::make_unique<dns::Resolver>(env_, *upstream_, options());
  }
  if (watches_.empty() && parts_.watch) watches_ = parts_.watch([this] { refresh(); });
  interface_watch_.reset();
  if (std::ranges::any_of(config_.upstream, names_interface))
    interface_watch_ = env_.network.watch_interfaces([this] { refresh(); });
  refresh();
}

dns::ForwardOptions Forwarding::options() const {
  dns::ForwardOptions options;
  options.cache_entries = config_.cache_entries;
  options.rebind_protection = config_.rebind_protection;
  options.rebind_exceptions = config_.rebind_exceptions;
  options.trust_ad = config_.trust_ad;
  options.own = config_.listen;
  return options;
}

const std::vector<Endpoint>& Forwarding::upstreams() const {
  static const std::vector<Endpoint> kNone;
  return resolver_ ? resolver_->upstreams() : kNone;
}

const dns::ForwardCounters& Forwarding::counters() const {
  static const dns::ForwardCounters kNone;
  return resolver_ ? resolver_->counters() : kNone;
}

bool Forwarding::is_own(const Endpoint& server) const {
  return dns::is_own(env_.network, config_.listen, server);
}

/// "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53"; with an interface only while there is one of
/// that name.
std::optional<Endpoint> Forwarding::parse_server(const std::string& text) const {
  if (const auto endpoint = Endpoint::parse(text)) return endpoint;
  const auto index_of = [this](const std::string& name) {
    const auto interfaces = env_.network.interfaces();
    const auto found = std::ranges::find(interfaces, name, &Interface::name);
    return found == interfaces.end() ? 0U : found->index;
  };
  const std::size_t end = text.starts_with('[') ? text.find("]:") : std::string::npos;
  if (end == std::string::npos) {
    const auto address = dns::parse_server_address(text, index_of);
    return address ? std::optional(Endpoint{*address, kDnsPort}) : std::nullopt;
  }
  const auto address = dns::parse_server_address(text.substr(1, end - 1), index_of);
  const auto any = Endpoint::parse("[::" + text.substr(end));
  return address && any ? std::optional(Endpoint{*address, any->port}) : std::nullopt;
}

/// `local` itself stays with mDNS even if routers hand it out as a search domain.
void Forwarding::set_unicast_local(const dns::ResolvConf& conf) {
  static const dns::Name kLocal = *dns::Name::parse("local");
  std::vector<dns::Name> domains = config_.unicast_local;
  std::ranges::copy_if(conf.search, std::back_inserter(domains), [](const dns::Name& name) {
    return name.is_under(kLocal) && name.label_count() > 1;
  });
  if (domains == unicast_local_) return;
  unicast_local_ = std::move(domains);
  choose_local_(unicast_local_);
}

std::vector<Endpoint> Forwarding::wanted_upstreams(const dns::ResolvConf& conf) const {
  std::vector<Endpoint> servers;
  for (const std::string& text : config_.upstream) {
    if (text != "system") {
      if (const auto server = parse_server(text)) servers.push_back(*server);
      continue;
    }
    const auto of_others = [this](std::vector<Endpoint> all) {
      std::erase_if(all, [this](const Endpoint& server) { return is_own(server); });
      return all;
    };
    auto system = of_others(conf.servers);
    if (system.empty() && parts_.uplink_conf) system = of_others(parts_.uplink_conf().servers);
    if (system.empty()) system = conf.servers;  // the resolver reports what is wrong with them
    servers.insert(servers.end(), system.begin(), system.end());
  }
  return servers;
}

/// Reads resolv.conf. At the start, after every change of resolv.conf, and after a reload.
void Forwarding::refresh() {
  const dns::ResolvConf conf = parts_.resolv_conf ? parts_.resolv_conf() : dns::ResolvConf();
  set_unicast_local(conf);
  system_servers_ = conf.servers;
  if (!resolver_) return;
  const bool only_us =
      !conf.servers.empty() &&
      std::ranges::all_of(conf.servers, [this](const Endpoint& server) { return is_own(server); });
  const bool wanted =
      config_.forward == Choice::on || (config_.forward == Choice::automatic && only_us);
  auto servers = wanted ? wanted_upstreams(conf) : std::vector<Endpoint>();
  const bool same = wanted == on_ && servers == given_ && conf.search == conf_.search &&
                    conf.rotate == conf_.rotate;
  conf_ = conf;
  if (same) return;
  given_ = servers;
  resolver_->set_upstreams(
      std::move(servers), conf.search,
      conf.rotate ? dns::UpstreamServers::Order::rotating : dns::UpstreamServers::Order::fixed);
  if (wanted != on_) choose_(wanted ? resolver_.get() : nullptr);
  on_ = wanted;
  env_.log.record(LogEvent::forwarding_changed,
                  {{"on", on_}, {"upstreams", join(upstreams(), " ", &Endpoint::to_string)}});
}

void Forwarding::write_status(json::Writer& out, std::uint64_t forwarded) const {
  out.member("on", on_).key("upstreams").begin_array();
  for (const Endpoint& server : upstreams())
    out.value(server.to_string());
  out.end_array().key("system").begin_array();
  for (const Endpoint& server : system_servers_)
    out.begin_object()
        .member("server", server.to_string())
        .member("own", is_own(server))
        .end_object();
  out.end_array();
  const dns::ForwardCounters& counts = counters();
  out.member("forwarded", forwarded).member("cache_hits", counts.hits);
  out.member("sent", counts.sent).member("failed", counts.failed);
  out.member("stale", counts.stale).member("blocked", counts.rebind_blocked);
  out.member("loops", counts.loops);
}

void Forwarding::write_metrics(doors::Metrics& out) const {
  const dns::ForwardCounters& counts = counters();
  const std::pair<const char*, std::uint64_t> events[] = {{"hit", counts.hits},
                                                          {"miss", counts.misses},
                                                          {"joined", counts.joined},
                                                          {"stale", counts.stale},
                                                          {"sent", counts.sent},
                                                          {"failed", counts.failed},
                                                          {"bad_answer", counts.bad_answers},
                                                          {"blocked", counts.rebind_blocked},
                                                          {"loop", counts.loops}};
  for (const auto& [event, count] : events)
    out.counter("outrider_dns_forward_total", "Forwarding, by event.", count, {{"event", event}});
}

}  // namespace outrider
