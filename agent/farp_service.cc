// SPDX-License-Identifier: Apache-2.0
#include "agent/farp_service.h"

#include <algorithm>

#include "agent/farp/announcements.h"
#include "agent/farp/txt.h"
#include "agent/farp/txt_writer.h"
#include "base/text_file.h"
#include "mdns/service_name.h"

namespace outrider {
namespace {

bool has_farp(const registry::InstancePtr& instance) {
  return instance && instance->own() && instance->farp->enabled;
}

void write_strings(json::Writer& out, std::string_view key, const std::vector<std::string>& list) {
  out.key(key).begin_array();
  for (const std::string& text : list)
    out.value(text);
  out.end_array();
}

}  // namespace

// What a gateway would read of one sighting. There may be thousands, and it is read when asked for.
struct FarpService::Seen {
  Endpoint endpoint;
  mdns::TxtStrings txt;

  farp::RouteSource source(const mdns::SightingKey& key) const {
    farp::RouteSource out;
    out.label = key.label;
    out.endpoint = endpoint;
    out.txt = farp::read_txt(farp::TxtMap::parse(txt.strings(), farp::TxtRules::forge));
    // Gateways take the name from the type where the TXT has none.
    out.service = out.txt.name.empty() ? mdns::bare_type(key.type) : out.txt.name;
    return out;
  }
};

FarpService::FarpService(Env& env, const FarpConfig& config, const registry::Registry& registry,
                         http::Clients& clients)
    : env_(env),
      config_(config),
      registry_(registry),
      clients_(clients),
      endpoints_(registry, schemas_),
      fetcher_(env, schemas_, *this),
      reader_(env) {
  for (const std::string& text : config.gateways) {
    // The configuration has checked both already.
    const auto url = http::parse_url(text);
    const auto address = url ? IpAddress::parse(url->host) : std::nullopt;
    if (!address) continue;
    gateways_.push_back(
        std::make_unique<farp::PushClient>(env, *url, Endpoint{*address, url->port}));
  }
}

FarpService::~FarpService() = default;

// --- our own services ------------------------------------------------------------------------

void FarpService::set_host(const registry::HostView& host) {
  if (host == host_) return;
  host_ = host;
  push_all();
}

void FarpService::apply(const registry::Changes& changes) {
  // An id that moves to another service ends and begins in one set of changes: the last word
  // counts.
  std::map<std::string, registry::InstancePtr> touched;
  for (const registry::InstancePtr& ended : changes.ended)
    if (has_farp(ended)) touched[ended->id.text()] = nullptr;
  for (const registry::Change& change : changes.list)
    if (has_farp(change.before) || has_farp(change.after))
      touched[change.any().id.text()] = has_farp(change.kept()) ? change.kept() : nullptr;
  for (const auto& [id, instance] : touched)
    if (instance)
      farp_ids_.insert(id);
    else
      farp_ids_.erase(id);
  if (farp_ids_.empty())
    stop_listening();
  else if (servers_.empty() && unbound_.empty())
    listen();
  for (const auto& [id, instance] : touched) {
    if (!instance) {
      forget(id);
      continue;
    }
    follow_files(*instance);
    fetcher_.watch(*instance);
    push(*instance);
  }
}

void FarpService::forget(const std::string& instance_id) {
  fetcher_.forget(instance_id);
  std::erase_if(files_, [&](const auto& file) { return file.first.first == instance_id; });
  for (const auto& gateway : gateways_)
    gateway->forget(instance_id);
}

// --- schemas in files, which only the configuration can name -----------------------------------

void FarpService::reload() {
  for (const auto& [document, path] : files_)
    read_later(document.first, document.second);
}

/// Files are read when they are named, and on reload, but not when health changes: reading blocks
/// the loop.
void FarpService::follow_files(const registry::Instance& instance) {
  using farp::SchemaType;
  const std::pair<SchemaType, const std::string*> documents[] = {
      {SchemaType::openapi, &instance.farp->openapi},
      {SchemaType::asyncapi, &instance.farp->asyncapi},
      {SchemaType::graphql, &instance.farp->graphql}};
  for (const auto& [type, path] : documents) {
    const SchemaKey key{instance.id.text(), type};
    if (!registry::FarpSpec::is_file(*path)) {
      files_.erase(key);
      continue;
    }
    std::string& known = files_[key];
    if (known == *path) continue;
    known = *path;
    read_later(key.first, type);
  }
}

void FarpService::read_later(const std::string& instance_id, farp::SchemaType type) {
  unread_.emplace_back(instance_id, type);
  if (!read_timer_.pending()) read_timer_ = env_.after(0s, [this] { read_next_file(); });
}

/// One in each turn of the loop.
void FarpService::read_next_file() {
  const SchemaKey next = std::move(unread_.front());
  unread_.pop_front();
  if (!unread_.empty()) read_timer_ = env_.after(0s, [this] { read_next_file(); });
  const auto instance = registry_.find_own(next.first);
  if (instance && files_.contains(next)) read_file(*instance, next.second);
}

void FarpService::read_file(const registry::Instance& instance, farp::SchemaType type) {
  const std::string& id = instance.id.text();
  const std::string& file = files_.at({id, type});
  const auto text = read_text_file(file.substr(std::string_view("file:").size()));
  const farp::Schema* known = schemas_.find(id, type);
  if (text && known != nullptr && known->document == *text && schemas_.trouble(id, type).empty())
    return;
  Result<farp::Schema, std::string> schema = failure(std::string("cannot be read"));
  if (text) schema = farp::read_schema_document(type, *text, env_.clock.wall());
  if (schema) {
    if (schemas_.put(id, std::move(*schema))) push(instance);
    return;
  }
  if (schemas_.trouble(id, type) == schema.error()) return;  // reported already
  env_.log.record(LogEvent::farp_file_failed,
                  {{"instance", id}, {"file", file}, {"reason", schema.error()}});
  schemas_.fail(id, type, schema.error());
}

// --- gateways --------------------------------------------------------------------------------

void FarpService::on_schema(const std::string& instance_id) {
  if (const auto instance = registry_.find_own(instance_id)) push(*instance);
}

void FarpService::push(const registry::Instance& instance) {
  if (leaving_ || instance.farp->strategy == "pull") return;
  for (const auto& gateway : gateways_) {
    // A gateway that was sent nothing has nothing to forget; heartbeats report unhealthy instances.
    if (!instance.served() && gateway->state(instance.id.text()) == farp::PushState::waiting) {
      gateway->forget(instance.id.text());
      continue;
    }
    farp::PushSubject subject;
    subject.id = instance.id.text();
    subject.service = instance.service.text();
    subject.version = instance.version;
    const farp::Vantage from = vantage();
    subject.endpoint = {
        instance.addresses.empty() ? from.address : instance.addresses.front().address,
        instance.port};
    subject.status = farp::farp_status(instance.health);
    subject.tags = instance.tags;
    subject.metadata.assign(instance.metadata.begin(), instance.metadata.end());
    subject.manifest = farp::build_manifest(instance, schemas_, from);
    gateway->put(std::move(subject));
  }
}

void FarpService::push_all() {
  for (const std::string& id : farp_ids_)
    if (const auto instance = registry_.find_own(id)) push(*instance);
}

farp::Vantage FarpService::vantage() const {
  farp::Vantage from{IpAddress::loopback(IpAddress::Family::v4), port_};
  if (!host_.addresses.empty()) from.address = host_.addresses.front();
  return from;
}

// --- the endpoints for the LAN -----------------------------------------------------------------

void FarpService::listen() {
  if (!config_.on || leaving_) return;
  if (config_.listen.empty())
    listen_anywhere();
  else
    unbound_ = config_.listen;
  retry_unbound();
}

/// With IPv4 on the usual port or a free one, and with IPv6 on the same.
void FarpService::listen_anywhere() {
  const Endpoint usual{IpAddress::any(IpAddress::Family::v4), kFarpPort};
  if (!listen_on(usual) && !listen_on({usual.address, 0})) unbound_.push_back(usual);
  const Endpoint v6{IpAddress::any(IpAddress::Family::v6), port_ != 0 ? port_ : kFarpPort};
  // Hosts without IPv6 go without.
  if (const auto done = listen_on(v6); !done && done.error() == NetError::in_use)
    unbound_.push_back(v6);
}

void FarpService::retry_unbound() {
  std::erase_if(unbound_, [this](const Endpoint& endpoint) {
    const auto done = listen_on(endpoint);
    if (!done && complained_.insert(endpoint).second)
      env_.log.record(LogEvent::farp_listen_failed, {{"address", endpoint.to_string()},
                                                     {"reason", to_string(done.error())},
                                                     {"duration", kFarpListenRetry}});
    return done.has_value();
  });
  if (!unbound_.empty()) listen_retry_ = env_.after(kFarpListenRetry, [this] { retry_unbound(); });
}

Result<void, NetError> FarpService::listen_on(const Endpoint& endpoint) {
  http::Handler& handler = *this;
  http::ServerOptions options;
  options.on = endpoint;
  options.guard.public_reading = true;
  options.clients = &clients_;
  auto server = std::make_unique<http::Server>(env_, options, handler);
  if (auto started = server->start(); !started) return started;
  complained_.erase(endpoint);
  env_.log.record(LogEvent::farp_listening, {{"address", to_string(server->local())}});
  const std::uint16_t port = std::get<Endpoint>(server->local()).port;
  servers_.push_back(std::move(server));
  // One port is announced: that of the first that could be bound.
  if (port_ == 0) set_port(port);
  return {};
}

void FarpService::stop_listening() {
  listen_retry_.reset();
  unbound_.clear();
  complained_.clear();
  if (servers_.empty()) return;
  servers_.clear();
  env_.log.record(LogEvent::farp_closed);
  set_port(0);
}

void FarpService::set_port(std::uint16_t port) {
  port_ = port;
  if (port_changed_) port_changed_();
  if (port != 0) push_all();
}

void FarpService::on_request(const http::ServerRequest& request, http::Exchange exchange) {
  farp::Vantage from = vantage();
  // As the asker reached us, for that it can reach again; a scope would mean nothing to it.
  const auto& local = request.caller.local;
  if (local && !local->address.is_link_local()) from.address = local->address;
  if (local) from.farp_port = local->port;
  farp::EndpointAnswer answer = endpoints_.answer(request.method, request.path, from);
  http::Answer http;
  http.status = answer.status;
  http.content_type = std::move(answer.content_type);
  http.body = std::move(answer.body);
  exchange.answer(std::move(http));
}

void FarpService::leave() {
  leaving_ = true;
  for (const auto& gateway : gateways_)
    gateway->forget_all();
}

void FarpService::close() {
  listen_retry_.reset();
  read_timer_.reset();
  gateways_.clear();
  servers_.clear();
}

// --- what is on the link ---------------------------------------------------------------------

void FarpService::see(const mdns::Sighting& sighting) {
  OUTRIDER_ASSERT(!sighting.addresses.empty());
  if (config_.read) {
    std::vector<IpAddress> addresses;
    for (const mdns::SightedAddress& at : sighting.addresses)
      addresses.push_back(at.address);
    const auto txt =
        farp::read_txt(farp::TxtMap::parse(sighting.txt.strings(), farp::TxtRules::forge));
    reader_.watch(sighting.key.type + ' ' + sighting.key.label, txt.manifest, addresses);
  }
  seen_[sighting.key] = {{sighting.addresses.front().address, sighting.port}, sighting.txt};
}

void FarpService::lose(const mdns::SightingKey& key) {
  seen_.erase(key);
  reader_.forget(key.type + ' ' + key.label);
}

farp::RouteSource FarpService::own_source(const registry::Instance& instance,
                                          std::string_view type) const {
  farp::RouteSource source;
  const farp::Vantage from = vantage();
  source.service = instance.service.text();
  source.label = farp::announced_label(instance, type);
  source.endpoint = {instance.addresses.empty() ? from.address : instance.addresses.front().address,
                     instance.port};
  const std::vector<std::string> txt =
      farp::write_txt_at(instance, type, profile_, source.endpoint.address);
  source.txt = farp::read_txt(farp::TxtMap::parse(txt, farp::TxtRules::forge));
  if (instance.farp->enabled && port_ != 0)
    source.manifest = farp::build_manifest(instance, schemas_, from);
  return source;
}

/// What a gateway of this kind would find, gathered in portions: of the services at the time of its
/// making, those that are still there.
class FarpService::Sources {
 public:
  Sources(const FarpService& service, farp::Gateway gateway)
      : service_(service), octopus_(gateway == farp::Gateway::octopus) {
    const auto& shared = service.profile_.shared_types;
    if (!octopus_ || std::ranges::find(shared, farp::kOctopusType) != shared.end())
      own_ = service.registry_.own();
    for (const auto& [key, seen] : service.seen_)
      if (octopus_ == (key.type == farp::kOctopusType)) keys_.push_back(key);
  }

  /// True: complete.
  bool gather() {
    for (std::size_t i = 0; i < kFarpSourcesPerTurn && next_ < own_.size() + keys_.size(); ++i) {
      const std::size_t at = next_++;
      if (at < own_.size())
        add_own(*own_[at]);
      else
        add_seen(keys_[at - own_.size()]);
    }
    return next_ == own_.size() + keys_.size();
  }
  std::vector<farp::RouteSource> take() { return std::move(list_); }

 private:
  void add_own(const registry::Instance& instance) {
    if (!instance.served() || instance.port == 0) return;
    list_.push_back(service_.own_source(instance, octopus_
                                                      ? std::string(farp::kOctopusType)
                                                      : '_' + instance.service.label() + "._tcp"));
    listed_.emplace(list_.back().service, list_.back().endpoint);
  }
  void add_seen(const mdns::SightingKey& key) {
    const auto seen = service_.seen_.find(key);
    if (seen == service_.seen_.end()) return;
    farp::RouteSource source = seen->second.source(key);
    // Otherwise met under another type, or a ghost.
    if (!listed_.emplace(source.service, source.endpoint).second) return;
    if (const auto* read = service_.reader_.find(key.type + ' ' + key.label))
      source.manifest = read->manifest;
    list_.push_back(std::move(source));
  }

  const FarpService& service_;
  const bool octopus_;
  std::vector<registry::InstancePtr> own_;
  std::vector<mdns::SightingKey> keys_;
  std::size_t next_ = 0;  // of the own ones, then of the others
  std::set<std::pair<std::string, Endpoint>> listed_;
  std::vector<farp::RouteSource> list_;
};

// --- for the doors ---------------------------------------------------------------------------

std::optional<std::string> FarpService::manifest(std::string_view instance_id) const {
  registry::InstancePtr found;
  if (!instance_id.empty())
    found = registry_.find_own(instance_id);
  else if (farp_ids_.size() == 1)
    found = registry_.find_exact(*farp_ids_.begin());
  if (!has_farp(found)) return std::nullopt;
  std::string text;
  json::Writer out(text, json::Writer::Style::indented);
  farp::write_manifest(out, farp::build_manifest(*found, schemas_, vantage()));
  return text;
}

namespace {

std::string write_services(const std::vector<farp::RouteSource>& sources) {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("services").begin_array();
  for (const farp::RouteSource& source : sources) {
    if (!source.txt.enabled) continue;
    out.begin_object().member("service", source.service).member("label", source.label);
    out.member("id", source.txt.id).member("version", source.txt.version);
    out.member("endpoint", source.endpoint.to_string());
    out.member("manifest", farp::with_reachable_host(source.txt.manifest, source.endpoint.address));
    out.member("openapi", farp::with_reachable_host(source.txt.openapi, source.endpoint.address));
    out.member("health", source.txt.health);
    write_strings(out, "capabilities", source.txt.capabilities);
    out.member("manifest_read", source.manifest.has_value()).end_object();
  }
  out.end_array().end_object();
  return text;
}

std::string write_routes(farp::Gateway gateway, const std::vector<farp::RouteSource>& sources) {
  std::string text;
  json::Writer out(text);
  out.begin_object().member("gateway", farp::to_string(gateway)).key("routes").begin_array();
  for (const farp::Route& route : farp::build_routes(gateway, sources)) {
    out.begin_object().member("id", route.id).member("path", route.path);
    write_strings(out, "methods", route.methods);
    out.member("protocol", route.protocol).member("service", route.service);
    write_strings(out, "targets", route.targets);
    out.member("priority", route.priority).member("strip_prefix", route.strip_prefix);
    out.member("health_path", route.health_path).member("why", route.why).end_object();
  }
  out.end_array().end_object();
  return text;
}

}  // namespace

FarpService::Document FarpService::services() const {
  return [sources = std::make_unique<Sources>(
              *this, farp::Gateway::spec)]() -> std::optional<std::string> {
    if (!sources->gather()) return std::nullopt;
    return write_services(sources->take());
  };
}

FarpService::Document FarpService::routes(farp::Gateway gateway) const {
  return [gateway,
          sources = std::make_unique<Sources>(*this, gateway)]() -> std::optional<std::string> {
    if (!sources->gather()) return std::nullopt;
    return write_routes(gateway, sources->take());
  };
}

}  // namespace outrider
