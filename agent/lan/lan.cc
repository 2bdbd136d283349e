// SPDX-License-Identifier: Apache-2.0
#include "agent/lan/lan.h"

#include <algorithm>

namespace outrider {
namespace {

std::vector<std::string> wanted_types(const MdnsConfig& config) {
  std::vector<std::string> types = config.browse;
  types.insert(types.end(), config.shared_types.begin(), config.shared_types.end());
  return types;
}

const char* to_string(mdns::ProviderState state) {
  switch (state) {
    case mdns::ProviderState::starting:
      return "starting";
    case mdns::ProviderState::running:
      return "running";
    case mdns::ProviderState::down:
      return "down";
  }
  OUTRIDER_UNREACHABLE();
}

}  // namespace

mdns::LinkChoice link_choice(const NodeConfig& node) {
  mdns::LinkChoice choice{.ipv4 = node.ipv4, .ipv6 = node.ipv6};
  for (const std::string& pattern : node.interfaces)
    if (pattern.starts_with('!'))
      choice.exclude.push_back(pattern.substr(1));
    else if (pattern != "auto")
      choice.include.push_back(pattern);
  return choice;
}

registry::HostView host_view(const std::string& name, const std::vector<Interface>& interfaces,
                             const NodeConfig& node) {
  registry::HostView view{.name = name, .addresses = {}, .subnets = {}, .interfaces = {}};
  for (const mdns::Link& link : mdns::choose_links(interfaces, link_choice(node))) {
    if (link.loopback) continue;
    for (const IpAddress& address : link.addresses)
      if (!(address.is_v6() && address.is_link_local())) view.addresses.push_back(address);
  }
  for (const Interface& interface : interfaces)
    if (interface.up && !interface.loopback)
      for (const Prefix& subnet : interface.addresses) {
        view.subnets.push_back(subnet);
        view.interfaces.push_back(interface.index);
      }
  return view;
}

std::unique_ptr<Pending> LinkHosts::lookup(const std::string& host, Duration wait, Answer answer) {
  struct Lookup final : Pending {
    std::unique_ptr<mdns::Provider::HostLookup> token;
  };
  auto lookup = std::make_unique<Lookup>();
  lookup->token = provider_.lookup_host(
      host, wait,
      [answer = std::move(answer)](std::optional<std::vector<mdns::SightedAddress>> seen,
                                   Duration ttl) mutable {
        if (!seen) return answer(std::nullopt, Duration::zero());
        std::vector<IpAddress> addresses;
        for (const mdns::SightedAddress& each : *seen)
          // A link-local address is useless without its scope, which DNS cannot express.
          if (!(each.address.is_v6() && each.address.is_link_local()))
            addresses.push_back(each.address.with_scope(0));
        answer(addresses, ttl);
      });
  return lookup;
}

Lan::Lan(Env& env, const MdnsConfig& config, const registry::Registry& registry,
         std::unique_ptr<mdns::Provider> provider, const farp::AnnouncementProfile& profile,
         Sink& sink)
    : env_(env),
      config_(config),
      registry_(registry),
      sink_(sink),
      provider_(std::move(provider)),
      reader_(wanted_types(config)),
      announcer_(env, registry, provider_.get(), profile),
      local_names_(env, provider_.get(),
                   [this](const std::string& instance, const std::string& name) {
                     sink_.on_local_name(instance, name);
                   }) {
  if (provider_) host_names_.emplace(*provider_);
}

void Lan::start() {
  if (provider_) {
    provider_->start(*this);
    provider_->browse(wanted_types(config_));
  } else {
    state_ = mdns::ProviderState::down;
    why_ = "mdns.provider is off";
  }
}

void Lan::stop(Callback<void()> done) {
  local_names_.withdraw_all();
  announcer_.withdraw_all();
  if (provider_)
    provider_->stop(std::move(done));
  else
    stop_timer_ = env_.after(Duration::zero(), std::move(done));
}

void Lan::apply(const registry::Change& change) {
  announcer_.apply(change.before, change.after);
  local_names_.apply(change.before, change.after);
}

void Lan::set_profile(const farp::AnnouncementProfile& profile) {
  announcer_.set_profile(profile);
  for (const registry::InstancePtr& instance : registry_.own())
    announcer_.apply(instance, instance);
}

void Lan::set_interfaces(const std::vector<Interface>& interfaces) {
  std::set<IpAddress> addresses;
  for (const Interface& interface : interfaces)
    for (const Prefix& prefix : interface.addresses)
      addresses.insert(prefix.address.with_scope(0));
  reader_.set_own_addresses(std::move(addresses));
}

void Lan::browse() {
  reader_.set_wanted_types(wanted_types(config_));
  if (provider_) provider_->browse(wanted_types(config_));
}

Duration Lan::ask(const std::string& service_label, Duration hold) {
  if (!provider_ || state_ == mdns::ProviderState::down) return Duration::zero();
  provider_->ask('_' + service_label + "._tcp");
  return hold;
}

void Lan::forget_expired() {
  for (auto it = stale_.begin(); it != stale_.end();) {
    const mdns::SightingKey key = *it++;
    if (!registry_.has_place(SightingReader::place_key(key))) forget(key);
  }
}

void Lan::forget(const mdns::SightingKey& key) {
  stale_.erase(key);
  reader_.forget(key);
  sink_.on_link_lost(key);
}

// --- from the provider -----------------------------------------------------------------------

void Lan::on_announced(mdns::AnnouncementId id, const std::string& label) {
  if (LocalNames::owns(id)) return local_names_.on_announced(id, label);
  announcer_.on_announced(id, label);
}

void Lan::on_conflict(mdns::AnnouncementId id) {
  if (LocalNames::owns(id)) return local_names_.on_conflict(id);
  announcer_.on_conflict(id);
}

void Lan::on_sighting(const mdns::Sighting& sighting) {
  stale_.erase(sighting.key);
  sink_.on_link_sighting(sighting);
  if (auto read = reader_.read(sighting))
    sink_.on_seen(std::move(*read));
  else
    sink_.on_gone(SightingReader::place_key(sighting.key));
}

void Lan::on_lost(const mdns::SightingKey& key, mdns::LostReason reason) {
  ++lost_[static_cast<std::size_t>(reason)];
  const std::string place = SightingReader::place_key(key);
  switch (reason) {
    case mdns::LostReason::interface_down:
      // The peer said no goodbye: it was our side that left the link.
      if (!registry_.has_place(place)) return forget(key);
      stale_.insert(key);
      sink_.on_stale(place, {});
      return;
    case mdns::LostReason::goodbye:
    case mdns::LostReason::expired:
    case mdns::LostReason::reconfirmed:
    case mdns::LostReason::evicted:
      forget(key);
      sink_.on_gone(place);
      return;
  }
}

void Lan::on_state(mdns::ProviderState state, const std::string& why) {
  if (state != state_ && state == mdns::ProviderState::down)
    env_.log.record(LogEvent::mdns_link_failed, {{"reason", why}});
  state_ = state;
  why_ = why;
  sink_.on_source_state();
}

// --- reporting -------------------------------------------------------------------------------

void Lan::write_status(json::Writer& out) const {
  out.member("state", to_string(state_)).member("why", why_);
  out.member("announcements", std::uint64_t{announcer_.size()});
  out.member("waiting", std::uint64_t{announcer_.waiting()});
  out.member("sightings_ignored", reader_.ignored());
  out.member("sightings_malformed", reader_.malformed());
  out.member("sightings_refused", registry_.refused_sightings());
  out.key("live").begin_array();
  for (const registry::InstancePtr& instance : registry_.own())
    for (const Announcer::Live& live : announcer_.live(instance->id.text())) {
      out.begin_object().member("instance", instance->id.text()).member("type", live.type);
      out.member("label", live.label).member("announced", live.announced);
      out.member("conflict", live.conflict).end_object();
    }
  out.end_array();
}

void Lan::write_metrics(doors::Metrics& out) const {
  out.gauge("outrider_mdns_running", "1 while mDNS runs on at least one interface.",
            state_ == mdns::ProviderState::running ? 1 : 0);
  out.gauge("outrider_announcements", "mDNS announcements of registrations.",
            static_cast<double>(announcer_.size()));
  out.gauge("outrider_announcements_waiting",
            "Registrations that are not announced because the link is full.",
            static_cast<double>(announcer_.waiting()));
  for (std::size_t i = 0; i < lost_.size(); ++i)
    out.counter("outrider_sightings_lost_total", "Sightings lost, by reason.", lost_[i],
                {{"reason", to_string(static_cast<mdns::LostReason>(i))}});
  out.counter("outrider_sightings_malformed_total", "Sightings without a usable name or id.",
              reader_.malformed());
}

}  // namespace outrider
