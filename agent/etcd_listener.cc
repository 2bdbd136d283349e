// SPDX-License-Identifier: Apache-2.0
#include "agent/etcd_listener.h"

#include "base/hash.h"

namespace outrider {
namespace {

doors::etcd::DoorOptions door_options(const ApiConfig& config, const std::string& writer) {
  doors::etcd::DoorOptions options;
  options.layouts = config.etcd_layouts;
  options.writer = writer;
  options.tcp_checked = config.etcd_tcp_checked;
  // Never 0, which is left out of answers.
  options.cluster_id = fnv1a("cluster " + writer) | 1U;
  options.member_id = fnv1a("member " + writer) | 1U;
  return options;
}

}  // namespace

EtcdListener::EtcdListener(Env& env, doors::Control& control, http::Clients& clients,
                           const ApiConfig& config, Parts parts)
    : env_(env),
      clients_(clients),
      host_names_(config.host_names),
      who_holds_(std::move(parts.who_holds)),
      door_(env, control, std::move(parts.state), door_options(config, parts.writer)),
      gateway_(env, clients, door_),
      missing_(config.etcd_listen) {}

void EtcdListener::start() {
  std::string why;
  if (const http2::Library* library = http2::load_library(&why))
    grpc_.emplace(env_, clients_, *library, door_);
  else
    env_.log.record(LogEvent::api_grpc_missing, {{"reason", why}});
  open_missing();
}

void EtcdListener::stop(Callback<void()> done) {
  missing_.clear();
  retry_.reset();
  servers_.clear();
  if (!grpc_) return done();
  grpc_->stop(std::move(done));
}

void EtcdListener::open_missing() {
  std::erase_if(missing_, [this](const Endpoint& endpoint) { return open(endpoint); });
  logged_ = !missing_.empty();
  if (logged_) retry_ = env_.after(kEtcdListenRetry, [this] { open_missing(); });
}

std::vector<EtcdListener::Figures> EtcdListener::figures() const {
  const doors::etcd::EtcdDoor::Counts has = door_.counts();
  std::uint64_t requests = gateway_.counters().requests, refused = gateway_.counters().refused;
  std::uint64_t connections = 0, streams = gateway_.watching();
  for (const auto& server : servers_)
    connections += server->connection_count();
  if (grpc_) {
    requests += grpc_->counters().messages;
    refused += grpc_->counters().refused;
    connections += grpc_->connection_count();
    streams += grpc_->stream_count();
  }
  return {
      {"own_keys", "Keys that clients have put as instances.", has.own_keys},
      {"shown_keys", "Keys that show other instances.", has.shown_keys},
      {"scratch_keys", "Other keys of clients.", has.scratch_keys},
      {"leases", "Leases of clients.", has.leases},
      {"watches", "Watches of clients.", has.watches},
      {"streams", "Calls that are under way, most of them streams.", streams},
      {"connections", "Connections of clients.", connections},
      {"requests", "Messages and requests of clients.", requests, true},
      {"refused", "Calls that were answered with an error.", refused, true},
  };
}

void EtcdListener::write_status(json::Writer& out) const {
  out.key("listen").begin_array();
  for (const auto& server : servers_)
    out.value(to_string(server->local()));
  out.end_array().key("missing").begin_array();
  for (const Endpoint& endpoint : missing_)
    out.value(endpoint.to_string());
  out.end_array().member("grpc", grpc_.has_value());
  for (const Figures& each : figures())
    out.member(each.name, each.value);
}

void EtcdListener::write_metrics(doors::Metrics& out) const {
  for (const Figures& each : figures()) {
    const std::string name = "outrider_etcd_door_" + std::string(each.name);
    if (each.counts)
      out.counter(name + "_total", each.help, each.value);
    else
      out.gauge(name, each.help, static_cast<double>(each.value));
  }
}

bool EtcdListener::open(const Endpoint& endpoint) {
  http::ServerOptions options;
  options.on = endpoint;
  options.clients = &clients_;
  doors::etcd::Gateway::prepare(options);
  if (grpc_) options.http2 = &grpc_->acceptor();
  options.guard.host_names = host_names_;
  // etcd's clients have no token of ours. Host and Origin are checked, so that no page gets in.
  options.guard.open_prefixes.emplace_back("/");
  auto server = std::make_unique<http::Server>(env_, std::move(options), gateway_);
  if (const auto opened = server->start(); !opened) {
    if (logged_) return false;
    std::string reason = to_string(opened.error());
    if (opened.error() == NetError::in_use && who_holds_)
      if (const std::string holder = who_holds_(endpoint); !holder.empty())
        reason += ", by " + holder;
    env_.log.record(LogEvent::api_listen_failed,
                    {{"address", endpoint.to_string()}, {"reason", reason}});
    return false;
  }
  env_.log.record(LogEvent::api_listening, {{"address", to_string(server->local())}});
  servers_.push_back(std::move(server));
  if (!std::exchange(started_, true)) door_.start();
  return true;
}

}  // namespace outrider
