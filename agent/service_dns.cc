// SPDX-License-Identifier: Apache-2.0
#include "agent/service_dns.h"

#include <algorithm>

#include "agent/registry/name_grammar.h"

namespace outrider {
namespace {

/// How long after the begin of this turn the next rebuild may come, when one of `size` has begun at
/// `begun`: ten times what it took, so that a slow machine has nine tenths of its time for the
/// rest. By the wall clock, since the other one stands still within a turn.
Duration rest_after(std::size_t size, const Env& env, WallTime begun) {
  const Duration took = std::max<Duration>(Duration::zero(), env.clock.wall() - begun);
  return std::min(kPaceMost, std::max<Duration>(size * kRebuildPace, 10 * took));
}

dns::ZoneRecord to_dns(registry::ZoneEntry&& entry) {
  dns::Rdata data =
      std::visit([](auto& kind) -> dns::Rdata { return std::move(kind); }, entry.data);
  return {entry.type, std::move(data), entry.rank, entry.weight, entry.not_after};
}

/// "hello.svc.svc" in the zone "svc": a search list made it, so no host on the link has to be
/// asked.
bool repeats_zone(const dns::Name& name, const dns::Name& zone) {
  const std::size_t depth = zone.label_count();
  if (name.label_count() < 2 * depth) return false;
  for (std::size_t i = 0; i < depth; ++i)
    if (name.label(name.label_count() - 2 * depth + i) != zone.label(i)) return false;
  return true;
}

/// The label of the service that a name in `zone` asks for; none if there can be no such service.
std::optional<std::string> service_of(const dns::Name& name, const dns::Name& zone) {
  if (name.label_count() <= zone.label_count() || repeats_zone(name, zone)) return std::nullopt;
  const std::string asked = registry::read_name(name, zone).service;
  const auto label = registry::to_label(asked, registry::kServiceLabelBytesMax);
  return label ? std::optional(*label) : std::nullopt;
}

}  // namespace

ServiceDns::ServiceDns(Env& env, const DnsConfig& config, const registry::Registry& registry,
                       dns::HostNames* link_hosts, Sink& sink)
    : env_(env),
      config_(config),
      registry_(registry),
      sink_(sink),
      server_(env, {.listen = config.listen}, *this),
      reverse_(config.domains.empty() ? dns::Name() : config.domains.front()) {
  if (link_hosts != nullptr) server_.set_host_names(link_hosts);
  server_.set_allowed(config.allow);
  for (const dns::Name& domain : config.domains) {
    dns::LocalZone& zone = server_.add_zone({.origin = domain,
                                             .ttl = config.ttl,
                                             .negative_ttl = config.negative_ttl,
                                             .answers = config.answers});
    zones_.push_back({&zone, registry::ZoneProjection(zone_profile(domain))});
  }
}

ServiceDns::~ServiceDns() = default;

registry::ZoneProfile ServiceDns::zone_profile(const dns::Name& domain) {
  registry::ZoneProfile profile{.origin = domain, .serving = config_.serving};
  for (const Endpoint& endpoint : config_.listen)
    if (!endpoint.address.is_any()) profile.name_server.push_back(endpoint.address);
  profile.write_txt = [this](const auto& instance, std::string_view type, const auto& address) {
    return farp::write_txt_at(instance, type, announcement_, address);
  };
  profile.order = order();
  profile.bridged = &bridged_;
  return profile;
}

void ServiceDns::start(const registry::HostView& host) {
  host_ = host;
  applied_ = registry_.revision();
  for (Zone& zone : zones_)
    zone.projection.begin(registry_, host, into(*zone.zone));
  server_.start();
  sampling_ = config_.order == DnsOrder::p2c && !zones_.empty();
  if (sampling_) sample_load();
}

void ServiceDns::set_bridged(registry::Bridged bridged) {
  bridged_ = std::move(bridged);
  rebuild(host_);
}

void ServiceDns::stop(Callback<void()> done) {
  sampling_ = false;
  pace_timer_.reset();
  load_timer_.reset();
  paced_.clear();
  server_.stop(std::move(done));
  bound_.clear();
}

void ServiceDns::pause() {
  server_.pause();
  bound_.clear();
}

void ServiceDns::apply(const registry::Changes& changes) {
  applied_ = std::max(applied_, changes.revision);
  registry::Changes due;
  due.forgotten = changes.forgotten;
  for (const registry::Change& change : changes.list) {
    const auto paced = paced_.find(change.any().service.label());
    if (paced != paced_.end() && paced->second.next > env_.now())
      paced->second.waiting.list.push_back(change);
    else
      due.list.push_back(change);
  }
  take_turns(due);
  leave_one_large(due);
  const WallTime begun = env_.clock.wall();
  set_services(due);
  for (const registry::Change& change : due.list) {
    const std::string& label = change.any().service.label();
    const std::size_t size = registry_.instance_count(label);
    if (size > kUnpacedInstances) paced_[label].next = env_.now() + rest_after(size, env_, begun);
  }
  arm();
  sample_load_soon();
}

/// Adds what has waited long enough.
void ServiceDns::take_turns(registry::Changes& due) {
  for (auto it = paced_.begin(); it != paced_.end();) {
    if (it->second.next > env_.now()) {
      ++it;
      continue;
    }
    due.append(std::move(it->second.waiting));
    it = paced_.erase(it);
  }
}

/// Of several large services, one is rebuilt now and the others in later turns: queries are
/// answered in between.
void ServiceDns::leave_one_large(registry::Changes& due) {
  std::string first;
  std::erase_if(due.list, [&](const registry::Change& change) {
    const std::string& label = change.any().service.label();
    if (registry_.instance_count(label) <= kUnpacedInstances || label == first) return false;
    if (first.empty()) {
      first = label;
      return false;
    }
    Paced& paced = paced_[label];
    paced.next = env_.now();
    paced.waiting.list.push_back(change);
    return true;
  });
}

void ServiceDns::set_services(const registry::Changes& changes) {
  if (zones_.empty()) return;
  for (Zone& zone : zones_)
    zone.projection.update(registry_, host_, changes, into(*zone.zone));
  reverse_.update(registry_, host_, changes, into(server_.reverse()));
  if (next_types_ <= env_.now()) list_types();
}

void ServiceDns::list_types() {
  for (Zone& zone : zones_) {
    if (!zone.projection.types_changed()) continue;
    const WallTime begun = env_.clock.wall();
    zone.projection.list_types(into(*zone.zone));
    next_types_ = env_.now() + rest_after(zone.projection.types(), env_, begun);
  }
}

/// A change may have brought a choice where there was none.
void ServiceDns::sample_load_soon() {
  if (sampling_ && !load_timer_.pending())
    load_timer_ = env_.after(kLoadSample, [this] { sample_load(); });
}

void ServiceDns::sample_load() {
  const std::vector<Endpoint> endpoints = registry::LoadOrder::endpoints(registry_, host_);
  load_timer_.reset();
  if (!endpoints.empty()) sample_load_soon();
  const registry::Load load = endpoints.empty() ? registry::Load() : sink_.on_load(endpoints);
  const auto changed = order_.sample(registry_, host_, load, env_.now());
  for (Zone& zone : zones_)
    zone.projection.reorder(registry_, host_, changed, into(*zone.zone));
}

void ServiceDns::arm() {
  std::optional<TimePoint> due;
  for (const auto& [label, paced] : paced_)
    due = std::min(due.value_or(paced.next), paced.next);
  for (const Zone& zone : zones_)
    if (zone.projection.types_changed()) due = std::min(due.value_or(next_types_), next_types_);
  if (!due)
    pace_timer_.reset();
  else if (!pace_timer_.pending() || pace_timer_.due() != *due)
    pace_timer_ = env_.timers.at(*due, [this] { apply({}); });
}

void ServiceDns::rebuild(const registry::HostView& host) {
  host_ = host;
  applied_ = registry_.revision();
  paced_.clear();
  for (Zone& zone : zones_)
    zone.projection.rebuild(registry_, host, into(*zone.zone));
  if (!zones_.empty()) reverse_.rebuild(registry_, host, into(server_.reverse()));
  sample_load_soon();
}

registry::ZoneSink ServiceDns::into(dns::LocalZone& zone) {
  return [&zone](registry::ZoneUpdate update) { set(zone, std::move(update)); };
}

void ServiceDns::set(dns::LocalZone& zone, registry::ZoneUpdate update) {
  if (update.erase) {
    zone.erase(update.owner);
    return;
  }
  std::vector<dns::ZoneRecord> records;
  records.reserve(update.entries.size());
  for (registry::ZoneEntry& entry : update.entries)
    records.push_back(to_dns(std::move(entry)));
  zone.set(update.owner, std::move(records), std::move(update.why), update.stale);
}

dns::LocalZone::Asked ServiceDns::asked(std::string_view service_label) const {
  dns::LocalZone::Asked sum;
  const auto relative = dns::Name::parse(service_label);
  if (!relative) return sum;
  for (const Zone& zone : zones_) {
    const auto name = zone.zone->origin().prepend(*relative);
    if (!name) continue;
    const auto asked = zone.zone->asked(*name);
    if (asked.times == 0) continue;
    sum.times += asked.times;
    if (asked.last < sum.last) continue;
    sum.last = asked.last;
    sum.by = asked.by;
  }
  return sum;
}

std::size_t ServiceDns::name_count() const {
  std::size_t count = 0;
  for (const Zone& zone : zones_)
    count += zone.zone->name_count();
  return count;
}

void ServiceDns::on_bind(const Endpoint& address, Result<void, NetError> result) {
  tried_[address] = result.has_value();
  std::erase(bound_, address);
  if (result) bound_.push_back(address);
  sink_.on_dns_bind(address, result);
}

Duration ServiceDns::on_unknown_name(const dns::Name& name, const dns::Name& zone) {
  const auto service = service_of(name, zone);
  if (!service) return Duration::zero();
  if (!registry_.knows(*service)) return sink_.on_unknown_service(*service);
  return std::max(sink_.until_settled(), is_behind(*service) ? kPaceMost : Duration::zero());
}

bool ServiceDns::may_come(const dns::Name& name, const dns::Name& zone) const {
  const auto service = service_of(name, zone);
  return service && (sink_.until_settled() > Duration::zero() || is_behind(*service));
}

/// The registry has changes of the service that are not in the zones yet: they come at the end of
/// this turn, or are paced.
bool ServiceDns::is_behind(const std::string& label) const {
  if (registry_.service_revision(label) > applied_) return true;
  const auto paced = paced_.find(label);
  return paced != paced_.end() && !paced->second.waiting.empty();
}

std::vector<dns::Name> ServiceDns::other_spellings(const dns::Name& name, const dns::Name& zone) {
  std::vector<dns::Name> names;
  for (const std::string& spelling : registry::other_spellings(name, zone, registry_)) {
    const auto relative = dns::Name::parse(spelling);
    if (const auto whole = relative ? zone.prepend(*relative) : std::nullopt)
      names.push_back(*whole);
  }
  return names;
}

/// The last instance left: it may only have been out of reach, so the query is a reason to ask.
void ServiceDns::on_empty_name(const dns::Name& name, const dns::Name& zone) {
  const std::string asked = registry::read_name(name, zone).service;
  const auto service = registry::to_label(asked, registry::kServiceLabelBytesMax);
  if (service && registry_.knows(*service) && registry_.instance_count(*service) == 0)
    static_cast<void>(sink_.on_unknown_service(*service));
}

void ServiceDns::write_status(json::Writer& out) const {
  out.key("listen").begin_array();
  for (const Endpoint& endpoint : config_.listen)
    out.value(endpoint.to_string());
  out.end_array().key("bound").begin_array();
  for (const Endpoint& endpoint : bound_)
    out.value(endpoint.to_string());
  out.end_array().member("names", std::uint64_t{name_count()});
  const dns::StubCounters& counts = counters();
  out.member("queries_udp", counts.queries_udp).member("queries_tcp", counts.queries_tcp);
  out.member("answers", counts.answers).member("nodata", counts.nodata);
  out.member("nxdomain", counts.nxdomain).member("refused", counts.refused);
  out.member("formerr", counts.formerr).member("dropped", counts.dropped);
}

void ServiceDns::write_metrics(doors::Metrics& out) const {
  const dns::StubCounters& counts = counters();
  constexpr std::string_view kQueries = "outrider_dns_queries_total";
  constexpr std::string_view kQueriesHelp = "DNS questions by transport.";
  out.counter(kQueries, kQueriesHelp, counts.queries_udp, {{"transport", "udp"}});
  out.counter(kQueries, kQueriesHelp, counts.queries_tcp, {{"transport", "tcp"}});
  const std::pair<const char*, std::uint64_t> kinds[] = {
      {"answer", counts.answers},  {"nodata", counts.nodata},     {"nxdomain", counts.nxdomain},
      {"refused", counts.refused}, {"formerr", counts.formerr},   {"notimp", counts.notimp},
      {"badvers", counts.badvers}, {"servfail", counts.servfail}, {"truncated", counts.truncated},
      {"dropped", counts.dropped}};
  for (const auto& [kind, count] : kinds)
    out.counter("outrider_dns_replies_total", "DNS replies by kind.", count, {{"kind", kind}});
  out.gauge("outrider_dns_names", "Names in our zones.", static_cast<double>(name_count()));
  out.gauge("outrider_dns_bound", "Addresses that DNS listens on.",
            static_cast<double>(bound_.size()));
}

}  // namespace outrider
