// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <algorithm>

#include "agent/low_port.h"
#include "agent/registry/dropped.h"
#include "agent/registry/target.h"
#include "agent/web_listener.h"

namespace outrider {
namespace {

bool concerns_own(const registry::Changes& changes) {
  return !changes.ended.empty() ||
         std::ranges::any_of(changes.list,
                             [](const registry::Change& change) { return change.any().own(); });
}

std::string id_of(const registry::ServiceSpec& spec, const registry::HostId& host) {
  return (spec.id ? *spec.id : automatic_id(spec, host)).text();
}

std::vector<std::string> ids_of(const std::vector<registry::ServiceSpec>& services,
                                const registry::HostId& host) {
  std::vector<std::string> ids;
  for (const registry::ServiceSpec& spec : services)
    ids.push_back(id_of(spec, host));
  return ids;
}

}  // namespace

Agent::Agent(Env& env, Config config, AgentParts parts)
    : env_(env),
      config_(std::move(config)),
      parts_(std::move(parts)),
      registry_(registry::HostId{config_.node.name.empty() ? parts_.host_name : config_.node.name,
                                 parts_.host_identity},
                registry::first_revision(env_.clock.wall())),
      history_file_(env_, history_, registry_, std::move(parts_.history)),
      clients_(env_),
      farp_(env_, config_.farp, registry_, clients_),
      lan_(env_, config_.mdns, registry_,
           parts_.make_provider ? parts_.make_provider(env_) : nullptr, announcement_profile(),
           *this),
      engines_(env_, registry_, *this),
      settling_(env_, lan_, engines_),
      exports_(env_, registry_, engines_, lan_.announcer()),
      forwarding_(
          env_, config_.dns, std::move(parts_.forward),
          [this](dns::Forwarder* forwarder) { service_dns_.set_forwarder(forwarder); },
          [this](const auto& domains) { service_dns_.set_unicast_local(domains); }),
      service_dns_(env_, config_.dns, registry_, lan_.host_names(), *this),
      dns_neighbours_(env_,
                      config_.dns.domains.empty() ? dns::Name() : config_.dns.domains.front()),
      checks_(env_, *this),
      exposure_watch_(env_, std::move(parts_.exposure)),
      evictor_(env_, registry_,
               [this](registry::Changes changes) {
                 apply(std::move(changes));
                 lan_.forget_expired();
               }),
      persistence_(env_, registry_, std::move(parts_.state)),
      readiness_(env_, config_.lifecycle, registry_, lan_, service_dns_),
      farewell_(env_, registry_, checks_, *this) {
  farp_.on_port_changed([this] { announce_again(); });
  if (!config_.api.etcd_listen.empty())
    etcd_ = std::make_unique<EtcdListener>(
        env_, *this, clients_, config_.api,
        EtcdListener::Parts{std::move(parts_.etcd_state), parts_.writer, parts_.who_holds});
  if (parts_.relays && !(config_.web.listen.empty() && config_.web.tls_listen.empty()))
    web_ = std::make_unique<WebListener>(
        env_, *this, config_.web, std::move(parts_.relays),
        bridge::Options{
            .strategy = config_.web.strategy,
            .locality = config_.web.locality.value_or(registry::Locality::prefer),
            .tls_port =
                config_.web.tls_listen.empty() ? std::uint16_t{0} : config_.web.tls_listen[0].port,
            .ask_for = [this](const std::string& label) { return on_unknown_service(label); }},
        parts_.who_holds);
  engines_.set_maker(std::move(parts_.make_engine), std::move(parts_.writer));
  if (!parts_.siblings.list) return;
  identity_ = {std::to_string(env_.random.u64()), parts_.namespace_identity};
  engines_.add(std::make_unique<registries::HostEngine>(
      env_, std::move(parts_.siblings),
      registries::AgentIdentity{identity_.agent, identity_.host}));
}

Agent::~Agent() = default;

farp::AnnouncementProfile Agent::announcement_profile() const {
  farp::AnnouncementProfile profile;
  profile.shared_types = config_.mdns.shared_types;
  profile.host_text = registry::host_text(registry_.host());
  profile.compact_txt = config_.farp.compact_txt;
  profile.farp_port = farp_.port();
  profile.has_endpoints = config_.farp.on;
  return profile;
}

// --- start -----------------------------------------------------------------------------------

void Agent::start() {
  OUTRIDER_ASSERT(!interface_watch_);
  const std::vector<Interface> interfaces = env_.network.interfaces();
  host_ = host_view(registry_.host_name(), interfaces, config_.node);
  host_.node = node_name(registry_.host());
  history_.begin({host_, dns().listen}, now());
  history_file_.start({host_, dns().listen}, now());
  lan_.set_interfaces(interfaces);
  interface_watch_ = env_.network.watch_interfaces([this] { on_interfaces_changed(); });
  const farp::AnnouncementProfile profile = announcement_profile();
  farp_.set_host(host_);
  farp_.set_profile(profile);
  service_dns_.set_announcement(profile);
  service_dns_.start(host_);
  forwarding_.start();
  lan_.start();
  engines_.set_host(host_, interfaces);
  exports_.set_rules(config_.exports);
  engines_.start(config_.registries);
  begun_ = env_.clock.wall();
  put_configured();
  if (etcd_) etcd_->start();
  if (web_)
    web_->start([this](std::vector<IpAddress> addresses) {
      service_dns_.set_bridged({std::move(addresses), config_.web.names});
      note_surroundings();
    });
  readiness_.start();
  settling_.start([this] {
    apply({});  // what the sources reported in this turn
    service_dns_.on_settled();
  });
}

/// Then what an earlier run has kept of clients' registrations: the configuration goes first.
void Agent::put_configured() {
  const std::vector<std::string> ids = ids_of(config_.services, registry_.host());
  persistence_.set_configured(ids);
  registry_.hold(ids);
  persistence_.start([this](std::vector<Persistence::Saved> saved) {
    if (started_) return restore(std::move(saved));
    saved_ = std::move(saved);
  });
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const registry::ServiceSpec& spec = config_.services[i];
    const auto kept = std::ranges::find(saved_, ids[i], &Persistence::Saved::id);
    if (const auto id = put(spec, kept == saved_.end() ? nullptr : &kept->kept))
      configured_.push_back(*id);
    else
      log_refused(spec, id.error());
  }
  started_ = true;
  restore(std::exchange(saved_, {}));
}

void Agent::restore(std::vector<Persistence::Saved> saved) {
  for (const Persistence::Saved& one : saved) {
    if (const auto known = registry_.find_exact(one.id)) {
      // The configuration's, or registered while another process had the file.
      if (one.id == registry::kNodeId && known->checks.empty() && one.spec) {
        (void)put(*one.spec, &one.kept);
        continue;
      }
      if (one.kept.maintenance && !known->maintenance)
        (void)set_maintenance(one.id, true, one.kept.maintenance_reason);
      continue;
    }
    if (!one.spec) {  // a door registers it again, or it is no longer configured
      if (kept_for_doors_.size() < kSavedMax) kept_for_doors_.emplace(one.id, one.kept);
      continue;
    }
    if (const auto id = put(*one.spec, &one.kept); !id) log_refused(*one.spec, id.error());
  }
}

/// Addresses came or went. mDNS follows by itself; DNS answers and FARP's URLs follow here.
void Agent::on_interfaces_changed() {
  checks_.recheck_targets();
  const std::vector<Interface> interfaces = env_.network.interfaces();
  lan_.set_interfaces(interfaces);
  auto next = host_view(registry_.host_name(), interfaces, config_.node);
  next.node = host_.node;
  if (next == host_) return;
  host_ = std::move(next);
  env_.log.record(LogEvent::host_changed, {{"addresses", host_.addresses.size()}});
  farp_.set_host(host_);
  engines_.set_host(host_, interfaces);
  service_dns_.rebuild(host_);
  note_surroundings();
  apply(registry_.readdress(now()));
}

void Agent::note_surroundings() {
  history_.see({host_, dns().listen}, now());
  history_file_.touch();
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
  evictor_.arm();
  readiness_.update();
}

/// Sightings come in datagrams full; their changes are spread once a turn. Mere refreshes can wait
/// longer: they only move the bound on TTLs.
void Agent::apply_later(registry::Changes changes) {
  if (changes.empty()) return;
  const bool news = std::ranges::any_of(changes.list, &registry::Change::news);
  later_.append(std::move(changes));
  const TimePoint due = news ? env_.now() : env_.now() + kRefreshDelay;
  if (flush_timer_.pending() && flush_timer_.due() <= due) return;
  flush_timer_ = env_.timers.at(due, [this] { apply({}); });
}

void Agent::spread(const registry::Changes& changes) {
  service_dns_.apply(changes);
  history_.add(changes, registry_, now());
  history_file_.touch();
  if (changes.node) {
    checks_.apply(changes.node_before, changes.node);
    persistence_.touch(registry::kNodeId);
  }
  if (concerns_own(changes)) spread_own(changes);
  exports_.apply(changes);
  for (const registry::Change& change : changes.list)
    log_change(change);
  if (etcd_) etcd_->on_changes(changes);
  if (web_) web_->on_changes(changes);
  for (const Watcher& watcher : watchers_)
    watcher(changes);
}

void Agent::spread_own(const registry::Changes& changes) {
  // Before anything is announced: the TXT says where the endpoints are.
  farp_.apply(changes);
  for (const registry::InstancePtr& ended : changes.ended) {
    checks_.apply(ended, nullptr);
    persistence_.touch(ended->id.text());
  }
  for (const registry::Change& change : changes.list) {
    if (!change.any().own()) continue;
    checks_.apply(change.before, change.kept());
    // Before the link: what remote programs have cached of it lives longest.
    engines_.apply(change);
    lan_.apply(change);
    evictor_.apply(change);
    persistence_.touch(change.any().id.text());
  }
}

/// The place of the FARP endpoints has changed, which every registration mentions.
void Agent::announce_again() {
  const farp::AnnouncementProfile profile = announcement_profile();
  farp_.set_profile(profile);
  service_dns_.set_announcement(profile);
  service_dns_.rebuild(host_);
  lan_.set_profile(profile);
}

void Agent::log_change(const registry::Change& change) {
  const registry::Instance& any = change.any();
  // It was critical before; what is new, and for people to know, is that it is listed no longer.
  if (change.before && change.dropped)
    env_.log.record(LogEvent::health_failed, {{"service", any.service.text()},
                                              {"instance", any.id.text()},
                                              {"source", to_string(any.source)},
                                              {"from", to_string(any.health)},
                                              {"to", "deregistered"},
                                              {"reason", registry::why_dropped(*change.dropped)}});
  const std::string limit_before = change.before ? change.before->exposure->limit : std::string();
  if (change.after && change.after->exposure->limit != limit_before)
    env_.log.record(
        any.exposure->limit.empty() ? LogEvent::exposure_restored : LogEvent::exposure_limited,
        {{"service", any.service.text()},
         {"instance", any.id.text()},
         {"reason", any.exposure->limit},
         {"hint", any.exposure->advice}});
  if (!change.before || !change.after) {
    env_.log.record(change.after ? LogEvent::instance_added : LogEvent::instance_removed,
                    {{"service", any.service.text()},
                     {"instance", any.id.text()},
                     {"source", to_string(any.source)},
                     {"health", to_string(any.health)}});
    if (change.after) log_names(any);
  } else if (change.before->health != change.after->health) {
    log_health(*change.before, *change.after);
  }
}

/// What people have to know of a new instance's names.
void Agent::log_names(const registry::Instance& instance) {
  if (const std::string other = registry_.other_spelling(instance); !other.empty())
    env_.log.record(LogEvent::names_meet, {{"service", instance.service.text()},
                                           {"other", other},
                                           {"instance", instance.id.text()},
                                           {"name", instance.service.label()}});
  if (!instance.renamed()) return;
  env_.log.record(LogEvent::id_clash, {{"service", instance.service.text()},
                                       {"announced", instance.announced_id},
                                       {"instance", instance.id.text()},
                                       {"peer", instance.places.front().host}});
}

void Agent::log_health(const registry::Instance& before, const registry::Instance& after) {
  if (after.health != registry::Health::critical)
    return env_.log.record(LogEvent::health_changed, {{"service", after.service.text()},
                                                      {"instance", after.id.text()},
                                                      {"source", to_string(after.source)},
                                                      {"from", to_string(before.health)},
                                                      {"to", to_string(after.health)}});
  const auto failed =
      std::ranges::find(after.checks, CheckHealth::critical, &registry::CheckState::health);
  if (failed == after.checks.end())  // a sighting: its host does not announce which check failed
    return env_.log.record(LogEvent::health_failed, {{"service", after.service.text()},
                                                     {"instance", after.id.text()},
                                                     {"source", to_string(after.source)},
                                                     {"from", to_string(before.health)}});
  const auto target = registry::resolve_target(failed->spec, after);
  env_.log.record(LogEvent::health_failed, {{"service", after.service.text()},
                                            {"instance", after.id.text()},
                                            {"source", to_string(after.source)},
                                            {"from", to_string(before.health)},
                                            {"check", failed->spec.id},
                                            {"target", target ? to_string(target->to) : "-"},
                                            {"reason", failed->output}});
}

// --- from the parts --------------------------------------------------------------------------

void Agent::on_check(const CheckKey& check, CheckHealth health, const std::string& output) {
  // First: what is about to be served must not be announced more widely than it can be reached.
  if (const auto instance = registry_.find_own(check.instance))
    set_exposure(check.instance, exposure_watch_.on_verdict(*instance, check.check, health));
  if (auto changes = registry_.set_check(check.instance, check.check, health, output, now()))
    apply(std::move(*changes));
}

void Agent::on_refused(const CheckKey& check) {
  if (const auto instance = registry_.find_own(check.instance))
    set_exposure(check.instance, exposure_watch_.on_refused(*instance));
  farewell_.on_refused(check);
}

void Agent::on_passed(const CheckKey& check) {
  if (const auto instance = registry_.find_own(check.instance))
    set_exposure(check.instance, exposure_watch_.on_passed(*instance));
}

void Agent::set_exposure(const std::string& instance_id,
                         std::optional<registry::Exposure> exposure) {
  if (!exposure) return;
  if (auto changes = registry_.set_exposure(instance_id, std::move(*exposure), now()))
    apply(std::move(*changes));
}

void Agent::on_local_name(const std::string& instance, const std::string& name) {
  if (auto changes = registry_.set_local_name(instance, name, now())) apply(std::move(*changes));
}

void Agent::on_seen(registry::Sighting sighting) {
  apply_later(registry_.see(std::move(sighting), now()));
}

void Agent::on_gone(const std::string& place_key) {
  apply_later(registry_.lose(place_key, now()));
}

void Agent::on_stale(const std::string& place_key, const registry::StaleFor& how) {
  apply_later(registry_.go_stale(place_key, now(), how));
}

void Agent::on_dns_bind(const Endpoint& address, Result<void, NetError> result) {
  if (result) {
    dns_neighbours_.forget(address);
    env_.log.record(LogEvent::dns_listening, {{"address", address.to_string()}});
  } else if (result.error() == NetError::in_use) {
    dns_neighbours_.ask(address, [this, address](bool is_agent) {
      if (!is_agent) return report_unbound(address, NetError::in_use);
      env_.log.record(LogEvent::dns_shared,
                      {{"address", address.to_string()}, {"holder", holder_of(address)}});
      note_surroundings();
    });
  } else {
    report_unbound(address, result.error());
  }
  note_surroundings();
  readiness_.update();
}

void Agent::report_unbound(const Endpoint& address, NetError error) {
  env_.log.record(LogEvent::dns_bind_failed,
                  {{"address", address.to_string()},
                   {"reason", why_unbound(address, error, "outrider-dns.socket")},
                   {"holder", holder_of(address)},
                   {"duration", dns::kBindRetry}});
}

std::string Agent::holder_of(const Endpoint& address) const {
  const std::string holder = parts_.who_holds ? parts_.who_holds(address) : std::string();
  return holder.empty() ? "unknown" : holder;
}

Duration Agent::on_unknown_service(const std::string& label) {
  return std::max(lan_.ask(label, config_.dns.hold), settling_.hold());
}

// --- stop ------------------------------------------------------------------------------------

void Agent::stop(Callback<void()> done, Callback<void()> after_drain) {
  farewell_.begin(config_.drain_time(), std::move(after_drain), std::move(done));
}

void Agent::pause_dns() {
  service_dns_.pause();
  note_surroundings();
}

void Agent::resume_dns() {
  if (!farewell_.has_closed()) service_dns_.resume();
}

void Agent::on_drain() {
  readiness_.give_up();
  if (etcd_) etcd_->freeze();
  drain_all();
  exports_.stop();
  evictor_.stop();
  farp_.leave();
}

void Agent::on_close() {
  checks_.end_all();
  persistence_.flush_renewals();
  engines_.stop(
      [this] { persistence_.when_kept([this](const std::string&) { close_sockets(); }); });
}

void Agent::close_sockets() {
  if (web_) web_->close();
  if (etcd_)
    return etcd_->stop([this] {
      etcd_.reset();
      close_sockets();
    });
  lan_.stop([this] {
    settling_.stop();
    service_dns_.stop([this] { finish_history(); });
    note_surroundings();
    farp_.close();
    interface_watch_.reset();
    flush_timer_.reset();
    readiness_.close();
  });
}

void Agent::finish_history() {
  history_file_.finish([this] {
    if (!web_) return farewell_.finish();
    // Requests that are under way end as if nothing happened.
    web_->finish([this] {
      web_.reset();
      farewell_.finish();
    });
  });
}

// --- reload ----------------------------------------------------------------------------------

std::vector<std::string> Agent::reload(Config next) {
  std::vector<std::string> refused = not_reloadable(config_, next);
  if (!refused.empty() || stopping()) return refused;
  std::vector<std::string> wanted = ids_of(next.services, registry_.host()), leaving;
  std::ranges::copy_if(configured_, std::back_inserter(leaving), [&](const std::string& id) {
    return std::ranges::find(wanted, id) == wanted.end();
  });
  // Clients register here too, so a valid configuration may still not fit. All or nothing.
  if (const auto fits = registry_.would_take(next.services, leaving); !fits) {
    env_.log.record(LogEvent::registration_refused, {{"reason", to_string(fits.error())}});
    return {"services"};
  }
  for (const std::string& id : leaving)
    if (registry_.find_exact(id)) (void)remove(id);  // else a client has deregistered it
  registry_.hold(wanted);
  put_changed(next.services);
  configured_ = std::move(wanted);
  persistence_.set_configured(configured_);
  const bool types_changed = config_.mdns.shared_types != next.mdns.shared_types ||
                             config_.mdns.browse != next.mdns.browse;
  // The parts hold references to sections of config_ and see the new values from here on.
  config_ = std::move(next);
  if (types_changed) {
    const farp::AnnouncementProfile profile = announcement_profile();
    farp_.set_profile(profile);
    lan_.browse();
    lan_.set_profile(profile);
  }
  engines_.reload(config_.registries);
  if (!stopping()) exports_.set_rules(config_.exports);
  farp_.reload();
  service_dns_.reload();
  forwarding_.reload();
  env_.log.record(LogEvent::config_reloaded, {{"services", config_.services.size()}});
  readiness_.update();
  return {};
}

/// Registers the services of a new configuration that differ from the current one, or that a client
/// has deregistered meanwhile.
void Agent::put_changed(const std::vector<registry::ServiceSpec>& services) {
  const std::vector<std::string> ids = ids_of(services, registry_.host());
  std::vector<const registry::ServiceSpec*> changed;
  for (std::size_t i = 0; i < services.size(); ++i) {
    const bool same = std::ranges::find(config_.services, services[i]) != config_.services.end();
    if (!same || registry_.find_exact(ids[i]) == nullptr) changed.push_back(&services[i]);
  }
  // would_take() has confirmed that all fit, but not in which order: while the instances that a
  // service follows are still the old ones, it may seem to follow itself.
  while (!changed.empty()) {
    if (std::erase_if(changed,
                      [this](const auto* spec) { return put(*spec, nullptr).has_value(); }))
      continue;
    // Two ids with one DNS label that change places: in no order do they fit beside each other.
    const registry::ServiceSpec& spec = *changed.front();
    if (const std::string id = id_of(spec, registry_.host()); registry_.find_exact(id)) {
      (void)remove(id);
      continue;
    }
    if (const auto id = put(spec, nullptr); !id) log_refused(spec, id.error());
    changed.erase(changed.begin());
  }
}

void Agent::log_refused(const registry::ServiceSpec& spec, registry::RegistryError error) {
  env_.log.record(LogEvent::registration_refused,
                  {{"service", spec.name.text()}, {"reason", to_string(error)}});
}

}  // namespace outrider
