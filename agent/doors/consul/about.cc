// SPDX-License-Identifier: Apache-2.0
// /v1/agent/self and its like, /v1/status/*: what the agent says of itself.
#include "agent/doors/consul/consul.h"
#include "agent/registry/served.h"

namespace outrider::doors {
namespace {

using namespace consul;

void write_member(json::Writer& out, const registry::HostView& host) {
  out.begin_object().member("Name", own_node(host)).member("Addr", own_address(host));
  out.member("Port", 0).key("Tags").begin_object().member("role", "node").end_object();
  out.member("Status", 1).member("ProtocolMin", 1).member("ProtocolMax", 5);
  out.member("ProtocolCur", 2).member("DelegateMin", 2).member("DelegateMax", 5);
  out.member("DelegateCur", 4).end_object();
}

void show_agent(Api& api, http::Call call) {
  const registry::HostView host = api.control().host();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().key("Config").begin_object();
  out.member("Datacenter", api.options().datacenter);
  out.member("PrimaryDatacenter", api.options().datacenter);
  out.member("NodeName", own_node(host)).member("NodeID", "").member("Server", false);
  out.member("Revision", "").member("Version", OUTRIDER_VERSION).end_object();
  out.key("DebugConfig").begin_object().end_object();
  out.key("Coord").null().key("Member");
  write_member(out, host);
  out.key("Stats").begin_object().end_object();
  out.key("Meta").begin_object().end_object().end_object();
  call.exchange.answer(std::move(answer));
}

/// This agent alone; there are no members over a WAN.
void list_members(Api& api, http::Call call) {
  const auto wan = parse_flag(call.request.target, "wan");
  if (!wan) return call.exchange.answer(text_error(400, wan.error()));
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_array();
  if (!*wan) write_member(out, api.control().host());
  out.end_array();
  call.exchange.answer(std::move(answer));
}

void show_version(Api&, http::Call call) {
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().member("SHA", "").member("BuildDate", "");
  out.member("HumanVersion", OUTRIDER_VERSION).member("FIPS", "").end_object();
  call.exchange.answer(std::move(answer));
}

void show_host(Api& api, http::Call call) {
  const registry::HostView host = api.control().host();
  http::Answer answer;
  json::Writer out(answer.body);
  out.begin_object().key("Host").begin_object();
  out.member("hostname", host.name).member("os", "linux").end_object();
  for (const char* part : {"CPU", "Memory", "Disk"})
    out.key(part).null();
  out.member("CollectionTime",
             std::int64_t{api.control().now().wall.time_since_epoch() / Duration(1)});
  out.key("Errors").null().end_object();
  call.exchange.answer(std::move(answer));
}

void show_metrics(Api& api, http::Call call) {
  Metrics all;
  api.write_metrics(all);
  const std::string_view format = call.request.target.get("format");
  if (format == "prometheus") return call.exchange.answer(http::text_answer(200, all.text()));
  if (!format.empty())
    return call.exchange.answer(
        text_error(400, "Invalid format: expected prometheus, or none for JSON"));
  call.exchange.answer(http::json_answer(all.json(format_wall_time(api.control().now().wall))));
}

void show_leader(Api&, http::Call call) {
  call.exchange.answer(http::json_answer("\"127.0.0.1:8300\""));
}

void list_peers(Api&, http::Call call) {
  call.exchange.answer(http::json_answer("[\"127.0.0.1:8300\"]"));
}

// --- routes -----------------------------------------------------------------------------------

using http::Effect;
using http::Parameter;

constexpr Parameter kMembers[] = {
    {"wan", "members over a WAN: none"},
};
constexpr Parameter kMetrics[] = {
    {"format", "prometheus: Prometheus' text format; default: JSON"},
};

constexpr Route kRoutes[] = {
    {"GET", "/v1/agent/self", show_agent, Effect::reads, "Show the agent's name and version",
     http::kNoParameters, kNoBody, "ConsulSelf"},
    {"GET", "/v1/agent/members", list_members, Effect::reads, "List members: this agent", kMembers,
     kNoBody, "ConsulMembers"},
    {"GET", "/v1/agent/version", show_version, Effect::reads, "Show the agent's version",
     http::kNoParameters, kNoBody, "ConsulVersion"},
    {"GET", "/v1/agent/host", show_host, Effect::reads, "Show the name of the host",
     http::kNoParameters, kNoBody, "Document"},
    {"GET", "/v1/agent/metrics", show_metrics, Effect::reads, "Show metrics", kMetrics, kNoBody,
     "ConsulMetrics"},
    {"GET", "/v1/status/leader", show_leader, Effect::reads, "Show a leader, for old clients",
     http::kNoParameters, kNoBody, "ConsulText"},
    {"GET", "/v1/status/peers", list_peers, Effect::reads, "List servers, for old clients",
     http::kNoParameters, kNoBody, "ConsulTexts"},
};

}  // namespace

void add_consul_about_routes(Api& api) {
  api.router().add(kRoutes, consul::refuse_parameters);
}

}  // namespace outrider::doors
