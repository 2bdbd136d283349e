// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <algorithm>

#include "mdns/link.h"

namespace outrider {
namespace {

/// Patterns with '!' in front exclude.
mdns::LinkChoice link_choice(const NodeConfig& node) {
  mdns::LinkChoice choice{.ipv4 = node.ipv4, .ipv6 = node.ipv6};
  for (const std::string& pattern : node.interfaces)
    if (pattern.starts_with('!'))
      choice.exclude.push_back(pattern.substr(1));
    else if (pattern != "auto")
      choice.include.push_back(pattern);
  return choice;
}

/// The host as others see it: addresses of the links that we speak on, in their order.
registry::HostView view_of(const std::string& name, const std::vector<Interface>& interfaces,
                           const NodeConfig& node) {
  registry::HostView view{.name = name, .addresses = {}, .subnets = {}};
  for (const mdns::Link& link : mdns::choose_links(interfaces, link_choice(node))) {
    if (link.loopback) continue;
    for (const IpAddress& address : link.addresses)
      if (!(address.is_v6() && address.is_link_local())) view.addresses.push_back(address);
  }
  for (const Interface& interface : interfaces)
    if (interface.up && !interface.loopback)
      view.subnets.insert(view.subnets.end(), interface.addresses.begin(),
                          interface.addresses.end());
  return view;
}

std::vector<std::string> wanted_types(const MdnsConfig& mdns) {
  std::vector<std::string> types = mdns.browse;
  types.insert(types.end(), mdns.shared_types.begin(), mdns.shared_types.end());
  return types;
}

bool has_own(const registry::Changes& changes) {
  return !changes.ended.empty() ||
         std::any_of(changes.list.begin(), changes.list.end(),
                     [](const registry::Change& change) { return change.any().own(); });
}

}  // namespace

Agent::Agent(Env& env, Config config, AgentParts parts)
    : env_(env),
      config_(std::move(config)),
      parts_(std::move(parts)),
      registry_(config_.node.name.empty() ? parts_.host_name : config_.node.name,
                registry::first_revision(env_.clock.wall())),
      provider_(parts_.make_provider ? parts_.make_provider(env_) : nullptr),
      reader_(wanted_types(config_.mdns), parts_.host_cookie),
      forwarding_(env_, config_.dns, std::move(parts_.forward),
                  [this](dns::Forwarder* forwarder) { service_dns_.set_forwarder(forwarder); }),
      service_dns_(env_, config_.dns, registry_, provider_.get(), *this),
      checks_(env_, *this),
      farp_(env_, config_.farp, registry_),
      announcer_(env_, registry_, provider_.get(), announcement_profile()),
      heartbeats_(env_.random) {}

Agent::~Agent() = default;

farp::AnnouncementProfile Agent::announcement_profile() const {
  farp::AnnouncementProfile profile;
  profile.shared_types = config_.mdns.shared_types;
  profile.host_cookie = parts_.host_cookie;
  profile.compact_txt = config_.farp.compact_txt;
  profile.farp_port = farp_.port();
  profile.several_farp_services = farp_.several();
  return profile;
}

// --- start -----------------------------------------------------------------------------------

void Agent::start() {
  OUTRIDER_ASSERT(!started_);
  started_ = true;
  host_ = view_of(registry_.host_name(), env_.network.interfaces(), config_.node);
  interface_watch_ = env_.network.watch_interfaces([this] { look_at_host(); });
  const farp::AnnouncementProfile profile = announcement_profile();
  farp_.set_host(host_);
  farp_.set_profile(profile);
  service_dns_.set_announcement(profile);
  service_dns_.start(host_);
  forwarding_.start();
  if (provider_) {
    provider_->start(*this);
    provider_->browse(wanted_types(config_.mdns));
  } else {
    link_state_ = mdns::ProviderState::down;
    link_why_ = "mdns.provider is off";
  }
  for (const registry::ServiceSpec& spec : config_.services)
    if (const auto id = put(spec))
      configured_.push_back(*id);
    else
      env_.log.error("registration_refused",
                     {{"service", spec.name.text()}, {"why", to_string(id.error())}});
  ready_timer_ = env_.after(kReadyPatience, [this] {
    ready_waited_ = true;
    check_ready();
  });
  check_ready();
}

/// Addresses came or went. mDNS follows by itself; DNS answers and announcements' URLs are ours.
void Agent::look_at_host() {
  checks_.look_at_host();
  auto next = view_of(registry_.host_name(), env_.network.interfaces(), config_.node);
  if (next == host_) return;
  host_ = std::move(next);
  env_.log.info("addresses_changed", {{"addresses", host_.addresses.size()}});
  farp_.set_host(host_);
  service_dns_.rebuild(host_);
  tell_summary();
}

void Agent::when_ready(Callback<void()> callback) {
  ready_callback_ = std::move(callback);
  if (started_) check_ready();
}

void Agent::check_ready() {
  if (ready_ || !started_ || stopping_) return;
  const bool link = link_state_ == mdns::ProviderState::running || !provider_ || ready_waited_;
  if (!service_dns_.tried_all() || !link) return;
  if (config_.lifecycle.ready_when_healthy) {
    const auto own = registry_.own();
    if (!std::all_of(own.begin(), own.end(), [](const auto& i) { return i->served(); })) return;
  }
  ready_ = true;
  ready_timer_.reset();
  env_.log.info("ready", {{"host", registry_.host_name()}, {"state", summary()}});
  if (auto callback = std::exchange(ready_callback_, nullptr)) callback();
}

// --- changes ---------------------------------------------------------------------------------

/// Changes are spread in the order in which the registry made them: sightings that wait for the end
/// of the turn go first, and what checks and watchers cause while others are spread comes after.
void Agent::apply(registry::Changes changes) {
  flush_timer_.reset();
  if (!later_.empty()) todo_.push_back(std::exchange(later_, {}));
  if (!changes.empty()) todo_.push_back(std::move(changes));
  if (spreading_) return;
  spreading_ = true;
  while (!todo_.empty()) {
    const registry::Changes next = std::move(todo_.front());
    todo_.pop_front();
    spread(next);
  }
  spreading_ = false;
  arm_expiry();
  check_ready();
  tell_summary();
}

void Agent::spread(const registry::Changes& changes) {
  service_dns_.apply(changes);
  if (has_own(changes)) {
    // Before anything is announced: the TXT says where the endpoints are.
    if (farp_.apply(changes)) announce_again();
    for (const registry::InstancePtr& ended : changes.ended)
      checks_.apply(ended, nullptr);
    for (const registry::Change& change : changes.list) {
      if (!change.any().own()) continue;
      checks_.apply(change.before, change.kept());
      announcer_.apply(change.before, change.after);
      follow_heartbeats(change);
    }
  }
  for (const registry::Change& change : changes.list)
    log_change(change);
  for (const Watcher& watcher : watchers_)
    watcher(changes);
}

/// Where FARP endpoints are has changed for all.
void Agent::announce_again() {
  const farp::AnnouncementProfile profile = announcement_profile();
  farp_.set_profile(profile);
  service_dns_.set_announcement(profile);
  service_dns_.rebuild(host_);
  announcer_.set_profile(profile);
  for (const registry::InstancePtr& instance : registry_.own())
    announcer_.apply(instance, instance);
}

void Agent::log_change(const registry::Change& change) {
  const registry::Instance& any = change.any();
  if (!change.before || !change.after) {
    env_.log.info(change.after ? "instance_added" : "instance_removed",
                  {{"service", any.service.text()},
                   {"id", any.id.text()},
                   {"source", to_string(any.source)},
                   {"health", to_string(any.health)}});
  } else if (change.before->health != change.after->health) {
    env_.log.info("health_changed", {{"service", any.service.text()},
                                     {"id", any.id.text()},
                                     {"from", to_string(change.before->health)},
                                     {"to", to_string(change.after->health)}});
  }
}

void Agent::arm_expiry() {
  const auto arm = [this](Timer& timer, std::optional<TimePoint> due, void (Agent::*action)()) {
    if (!due || stopping_)
      timer.reset();
    else if (!timer.pending() || timer.due() != *due)
      timer = env_.timers.at(*due, [this, action] { (this->*action)(); });
  };
  arm(expiry_timer_, registry_.next_expiry(), &Agent::expire);
  auto silence = registry_.next_silence();
  if (silence) silence = std::max(*silence, next_eviction_);
  arm(eviction_timer_, silence, &Agent::evict);
}

void Agent::expire() {
  apply(registry_.expire(now()));
  for (auto it = stale_.begin(); it != stale_.end();) {
    const mdns::SightingKey key = *it++;
    if (!registry_.has_place(SightingReader::place_key(key))) forget_sighting(key);
  }
}

/// One round: a few of those who stopped renewing, unless it looks as if we had stopped hearing.
void Agent::evict() {
  next_eviction_ = env_.now() + registry::kEvictionRound;
  const auto silent = registry_.silent_heartbeats(env_.now());
  const auto before = heartbeats_.protection();
  const auto chosen = heartbeats_.choose(silent, env_.now());
  if (heartbeats_.protection() != before)
    env_.log.warn("eviction", {{"silent", silent.size()},
                               {"evicted", chosen.size()},
                               {"protection", to_string(heartbeats_.protection())}});
  registry::Changes changes;
  for (const std::string& id : chosen)
    if (auto dropped = registry_.drop(id, now())) changes.append(std::move(*dropped));
  apply(std::move(changes));
}

void Agent::follow_heartbeats(const registry::Change& change) {
  const std::string& id = change.any().id.text();
  if (!change.after) return heartbeats_.remove(id);
  std::optional<Duration> ttl;
  for (const registry::CheckState& check : change.after->checks)
    if (const auto* kind = std::get_if<registry::TtlCheckSpec>(&check.spec.kind)) ttl = kind->ttl;
  if (!ttl)
    heartbeats_.remove(id);
  else if (!change.before || change.before->dirty.at != change.after->dirty.at)
    heartbeats_.add(id, *ttl, env_.now());
}

/// Sightings come in datagrams full; their changes are spread once a turn. Mere refreshes can wait
/// longer: they only move the bound on TTLs.
void Agent::apply_later(registry::Changes changes) {
  if (changes.empty()) return;
  const bool news = std::any_of(changes.list.begin(), changes.list.end(),
                                [](const registry::Change& change) { return change.news(); });
  later_.append(std::move(changes));
  const TimePoint due = news ? env_.now() : env_.now() + kRefreshDelay;
  if (flush_timer_.pending() && flush_timer_.due() <= due) return;
  flush_timer_ = env_.timers.at(due, [this] { apply({}); });
}

void Agent::on_check(const std::string& instance_id, const std::string& check_id,
                     registry::CheckHealth health, const std::string& output) {
  if (auto changes = registry_.set_check(instance_id, check_id, health, output, now()))
    apply(std::move(*changes));
}

// --- the link --------------------------------------------------------------------------------

void Agent::on_sighting(const mdns::Sighting& sighting) {
  stale_.erase(sighting.key);
  farp_.see(sighting);
  auto read = reader_.read(sighting);
  if (read)
    apply_later(registry_.see(std::move(*read), now()));
  else
    apply_later(registry_.lose(SightingReader::place_key(sighting.key), now()));
}

void Agent::on_lost(const mdns::SightingKey& key, mdns::LostReason reason) {
  ++lost_by_reason_[static_cast<std::size_t>(reason)];
  const std::string place = SightingReader::place_key(key);
  switch (reason) {
    case mdns::LostReason::interface_down:
      // Nobody said goodbye: our side of the link is what went.
      if (!registry_.has_place(place)) return forget_sighting(key);
      stale_.insert(key);
      apply_later(registry_.go_stale(place, now()));
      return;
    case mdns::LostReason::goodbye:
    case mdns::LostReason::expired:
    case mdns::LostReason::reconfirmed:
    case mdns::LostReason::evicted:
      forget_sighting(key);
      apply_later(registry_.lose(place, now()));
      return;
  }
}

void Agent::forget_sighting(const mdns::SightingKey& key) {
  stale_.erase(key);
  reader_.forget(key);
  farp_.lose(key);
}

void Agent::on_announced(mdns::AnnouncementId id, const std::string& label) {
  announcer_.on_announced(id, label);
}

void Agent::on_conflict(mdns::AnnouncementId id) {
  announcer_.on_conflict(id);
}

void Agent::on_state(mdns::ProviderState state, const std::string& why) {
  if (state != link_state_ && state == mdns::ProviderState::down)
    env_.log.warn("mdns_down", {{"why", why}});
  link_state_ = state;
  link_why_ = why;
  check_ready();
}

void Agent::on_dns_bind(const Endpoint& address, Result<void, NetError> result) {
  if (result) {
    env_.log.info("dns_listening", {{"address", address.to_string()}});
  } else {
    const std::string holder = parts_.who_holds ? parts_.who_holds(address) : std::string();
    env_.log.error("dns_bind_failed", {{"address", address.to_string()},
                                       {"why", to_string(result.error())},
                                       {"held_by", holder.empty() ? "unknown" : holder},
                                       {"retry", dns::kBindRetry}});
  }
  check_ready();
  tell_summary();
}

Duration Agent::on_unknown_service(const std::string& label) {
  if (!provider_ || link_state_ == mdns::ProviderState::down) return Duration::zero();
  provider_->ask('_' + label + "._tcp");
  return link_state_ == mdns::ProviderState::starting ? std::max(config_.dns.hold, kFirstRoundHold)
                                                      : config_.dns.hold;
}

// --- the end ---------------------------------------------------------------------------------

/// Until nobody has its address any more, which an operator or we take out of DNS. What fails is
/// not waited for.
Duration Agent::drain_left(const registry::Instance& instance) const {
  if (instance.served()) return config_.drain_time();
  const bool taken_out = instance.draining || instance.maintenance;
  if (!taken_out || instance.up.at == TimePoint{}) return Duration::zero();
  return std::max(Duration::zero(), instance.latest.at + config_.drain_time() - env_.now());
}

void Agent::stop(Callback<void()> done, Callback<void()> after_drain) {
  OUTRIDER_ASSERT(!stopping_);
  Duration wait{};
  for (const registry::InstancePtr& instance : registry_.own()) {
    const Duration left = drain_left(*instance);
    wait = std::max(wait, left);
    if (left == Duration::zero()) continue;
    // It may be gone already: a service manager stops us when the service has crashed, and starts
    // it again when we have ended.
    const auto looked_at = checks_.probe_now(*instance);
    for (const std::string& check : looked_at)
      drained_for_.emplace(instance->id.text(), check);
    if (looked_at.empty()) drained_for_.emplace(instance->id.text(), "");
  }
  drain_all();
  stopping_ = true;
  farp_.leave();
  stopped_callback_ = std::move(done);
  after_drain_ = std::move(after_drain);
  ready_timer_.reset();
  expiry_timer_.reset();
  eviction_timer_.reset();
  env_.log.info("draining", {{"for", wait}});
  drain_timer_ = env_.after(wait, [this] { close(); });
}

void Agent::on_refused(const std::string& instance_id, const std::string& check_id) {
  if (drained_for_.erase({instance_id, check_id}) > 0 && drained_for_.empty()) hurry();
}

void Agent::hurry() {
  if (stopping_ && !closing_) drain_timer_ = env_.after(Duration::zero(), [this] { close(); });
}

void Agent::close() {
  closing_ = true;
  if (auto callback = std::exchange(after_drain_, nullptr)) callback();
  checks_.end_all();
  announcer_.withdraw_all();
  const auto finish = [this] {
    service_dns_.stop();
    farp_.close();
    interface_watch_.reset();
    flush_timer_.reset();
    summary_timer_.reset();
    env_.log.info("stopped");
    // Last: the owner may destroy us in it.
    auto callback = std::exchange(stopped_callback_, nullptr);
    callback();
  };
  if (provider_)
    provider_->stop(finish);
  else
    drain_timer_ = env_.after(Duration::zero(), finish);
}

// --- reload ----------------------------------------------------------------------------------

std::vector<std::string> Agent::reload(Config next) {
  std::vector<std::string> refused = not_reloadable(config_, next);
  if (!refused.empty() || stopping_) return refused;
  std::vector<std::string> wanted, leaving;
  for (const registry::ServiceSpec& spec : next.services)
    wanted.push_back((spec.id ? *spec.id : automatic_id(spec, registry_.host_name())).text());
  std::ranges::copy_if(configured_, std::back_inserter(leaving), [&](const std::string& id) {
    return std::ranges::find(wanted, id) == wanted.end();
  });
  // Others register here too, so a right configuration may still not fit. All or nothing.
  if (const auto fits = registry_.would_take(next.services, leaving); !fits) {
    env_.log.error("registration_refused", {{"why", to_string(fits.error())}});
    return {"services"};
  }
  for (const std::string& id : leaving)
    (void)remove(id);
  std::vector<const registry::ServiceSpec*> news;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    // What somebody has deregistered by hand comes back.
    const bool there = registry_.find_own(wanted[i]) != nullptr;
    const auto same = [&](const registry::ServiceSpec& spec) { return spec == next.services[i]; };
    if (there && std::any_of(config_.services.begin(), config_.services.end(), same)) continue;
    news.push_back(&next.services[i]);
  }
  // would_take() has said that all are taken, but not in which order: while those that it follows
  // are still as they were, one may seem to follow itself.
  while (std::erase_if(news, [this](const auto* spec) { return put(*spec).has_value(); }) > 0) {
  }
  configured_ = std::move(wanted);
  const bool types_changed = config_.mdns.shared_types != next.mdns.shared_types ||
                             config_.mdns.browse != next.mdns.browse;
  // The parts that hold a reference to config_.dns see the new values from here on.
  config_ = std::move(next);
  if (types_changed) {
    reader_.set_wanted_types(wanted_types(config_.mdns));
    const farp::AnnouncementProfile profile = announcement_profile();
    farp_.set_profile(profile);
    announcer_.set_profile(profile);
    if (provider_) provider_->browse(wanted_types(config_.mdns));
    for (const registry::InstancePtr& instance : registry_.own())
      announcer_.apply(instance, instance);
  }
  forwarding_.reload();
  env_.log.info("reloaded", {{"services", config_.services.size()}});
  tell_summary();
  return {};
}

// --- summary ---------------------------------------------------------------------------------

std::string Agent::summary() const {
  const auto own = registry_.own();
  const auto served =
      std::count_if(own.begin(), own.end(), [](const auto& i) { return i->served(); });
  std::string out = std::to_string(registry_.service_count()) + " services, " +
                    std::to_string(registry_.instance_count()) +
                    " instances; own: " + std::to_string(served) + " of " +
                    std::to_string(own.size()) + " served; DNS ";
  if (service_dns_.bound().empty()) return out + "not bound";
  out += "on";
  for (const Endpoint& endpoint : service_dns_.bound())
    out += ' ' + endpoint.to_string();
  return out;
}

void Agent::on_summary(std::function<void(const std::string&)> callback) {
  summary_callback_ = std::move(callback);
  tell_summary();
}

void Agent::tell_summary() {
  if (!summary_callback_ || summary_timer_.pending()) return;
  std::string text = summary();
  if (text == last_summary_) return;
  last_summary_ = std::move(text);
  summary_callback_(last_summary_);
  summary_timer_ = env_.after(1s, [this] {
    summary_timer_.reset();
    tell_summary();
  });
}

}  // namespace outrider
