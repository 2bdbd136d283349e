// SPDX-License-Identifier: Apache-2.0
// The agent's status and metrics: joins the sections that its parts write.
#include "agent/agent.h"
#include "agent/web_listener.h"
#include "base/wall_time.h"

namespace outrider {
namespace {

/// Instances in the status that another instance's id made the agent rename.
constexpr std::size_t kClashesReported = 16;

}  // namespace

void Agent::write_registries(json::Writer& out) const {
  engines_.write_registries(out);
  exports_.write(out);
}

void Agent::write_status(json::Writer& out) const {
  out.member("version", OUTRIDER_VERSION).member("host", registry_.host_name());
  out.member("started", format_wall_time(begun_));
  out.member("ready", readiness_.is_ready()).member("stopping", stopping());
  out.member("summary", readiness_.summary()).member("revision", registry_.revision());
  out.key("dns").begin_object();
  service_dns_.write_status(out);
  out.key("shared").begin_array();
  for (const Endpoint& address : dns_neighbours_.shared())
    out.value(address.to_string());
  out.end_array();
  out.key("forwarding").begin_object();
  forwarding_.write_status(out, service_dns_.counters().forwarded);
  out.end_object().end_object();
  out.key("mdns").begin_object();
  lan_.write_status(out);
  out.end_object().key("sources").begin_object();
  engines_.write_status(out);
  out.end_object();
  write_registries(out);
  out.key("probes").begin_object();
  checks_.write_status(out);
  out.end_object().key("heartbeats").begin_object();
  evictor_.write_status(out);
  out.end_object().key("id_clashes").begin_array();
  for (const registry::InstancePtr& instance : registry_.renamed(kClashesReported)) {
    out.begin_object().member("service", instance->service.text());
    out.member("announced_id", instance->announced_id).member("id", instance->id.text());
    out.member("host", instance->places.front().host).end_object();
  }
  out.end_array();
  if (etcd_ != nullptr) {
    out.key("etcd_door").begin_object();
    etcd_->write_status(out);
    out.key("persistence").begin_object();
    out.member("wanted", config_.api.persist);
    etcd_->door().write_persistence(out);
    out.end_object().end_object();
  }
  out.key("persistence").begin_object();
  out.member("wanted", config_.api.persist);
  persistence_.write_status(out);
  out.end_object().key("history").begin_object();
  history_file_.write_status(out);
  out.end_object();
  if (web_) {
    out.key("web").begin_object();
    web_->write_status(out);
    out.end_object();
  }
  out.key("addresses").begin_array();
  for (const IpAddress& address : host_.addresses)
    out.value(address.to_string());
  out.end_array();
}

void Agent::write_metrics(doors::Metrics& out) const {
  service_dns_.write_metrics(out);
  forwarding_.write_metrics(out);
  checks_.write_metrics(out);
  lan_.write_metrics(out);
  evictor_.write_metrics(out);
  engines_.write_metrics(out);
  exports_.write_metrics(out);
  if (etcd_ != nullptr) etcd_->write_metrics(out);
  if (web_) web_->write_metrics(out);
}

}  // namespace outrider
