// SPDX-License-Identifier: Apache-2.0
// Every event that is logged, declared once: its name, its level, the keys that it may have, and
// what it means. The manual lists them from here (outrider-agent.8).
//
// A key has the same meaning everywhere:
//   service, instance, check   what the event is about
//   address                    a local socket address or path
//   peer                       the other end: a client, server or gateway
//   source                     where an instance was learnt
//   reason                     why it happened
//   hint                       what to do about it
//   duration                   how long it took, or how long until the next try
//
// To add an event: an enumerator, its row, and OUTRIDER_WRITE_MAN=1 for the manual
// (tests/agent/cli/man_test.cc).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace outrider {

enum class LogLevel : std::uint8_t { debug, info, warning, error };

enum class LogEvent : std::uint8_t {
  // the agent
  agent_ready,
  agent_draining,
  agent_stopped,
  config_reloaded,
  config_refused,
  program_exited,
  program_stopping,
  program_killed,
  state_restored,
  state_unreadable,
  state_failed,
  state_recovered,
  history_unreadable,
  history_failed,
  history_recovered,
  host_changed,
  // what is known
  instance_added,
  instance_removed,
  health_changed,
  health_failed,
  registration_refused,
  exposure_limited,
  exposure_restored,
  id_clash,
  names_meet,
  heartbeats_evicted,
  source_changed,
  source_failed,
  export_changed,
  // checks
  check_refused,
  check_not_probed,
  probes_resumed,
  // DNS
  dns_listening,
  dns_bind_failed,
  dns_shared,
  dns_client_refused,
  forwarding_changed,
  forwarding_looped,
  upstream_failed,
  upstream_recovered,
  upstream_skipped,
  upstream_case_folded,
  rebinding_blocked,
  // mDNS
  mdns_announced,
  mdns_renamed,
  mdns_host_renamed,
  mdns_name_lost,
  mdns_local_name_claimed,
  mdns_local_name_lost,
  mdns_local_name_refused,
  mdns_publish_refused,
  mdns_link_full,
  mdns_txt_shortened,
  mdns_txt_refused,
  mdns_link_failed,
  mdns_socket_failed,
  mdns_resumed,
  mdns_port_held,
  mdns_provider_changed,
  avahi_missing,
  avahi_connected,
  avahi_disconnected,
  avahi_browse_failed,
  avahi_publish_refused,
  avahi_abandoned,
  // the API
  api_listening,
  api_listen_failed,
  api_directory_refused,
  api_token_written,
  api_token_failed,
  api_file_lost,
  api_grpc_missing,
  http_accept_failed,
  http_refused,
  http_answered,
  http_stream_opened,
  http_client_lagged,
  http2_violation,
  grpc_answered,
  // the bridge
  web_listening,
  web_listen_failed,
  bridge_connected,
  bridge_refused,
  // FARP
  farp_listening,
  farp_listen_failed,
  farp_closed,
  farp_pushed,
  farp_push_failed,
  farp_manifest_failed,
  farp_schema_failed,
  farp_file_failed,
  // the log
  log_lost,
  log_suppressed,
};

struct EventSpec {
  LogEvent event;
  std::string_view name;
  LogLevel level;
  std::string_view keys;     // separated by spaces; a field with another key is our mistake
  std::string_view meaning;  // for the manual
};

inline constexpr std::array kEvents = std::to_array<EventSpec>({
#define EVENT(name, ...) {LogEvent::name, #name, LogLevel::__VA_ARGS__}
    EVENT(agent_ready, info, "host state",
          "sockets are bound and the first round of browsing is over"),
    EVENT(agent_draining, info, "duration",
          "registrations have left DNS; the agent keeps answering for this long"),
    EVENT(agent_stopped, info, "", "everything is closed"),
    EVENT(config_reloaded, info, "services", "a new configuration has taken effect"),
    EVENT(config_refused, error, "options reason", "a new configuration was not applied"),
    EVENT(program_exited, info, "status", "the program of outrider run has exited"),
    EVENT(
        program_stopping, info, "signal processes duration reason",
        "the program of outrider run, or what it has left behind, is asked to end; after this time "
        "it is killed"),
    EVENT(program_killed, warning, "processes reason",
          "processes of outrider run that did not end are killed"),
    EVENT(state_restored, info, "file registrations",
          "registrations of an earlier run are registered again"),
    EVENT(state_unreadable, error, "file reason kept",
          "registrations of an earlier run cannot be read; the file is kept under another name"),
    EVENT(state_failed, warning, "file reason",
          "registrations made over the API cannot be kept over a restart"),
    EVENT(state_recovered, info, "file", "registrations are kept over a restart again"),
    EVENT(history_unreadable, warning, "file reason kept",
          "the history of an earlier run cannot be used; the file is kept under another name"),
    EVENT(history_failed, warning, "file reason", "the history cannot be kept over a restart"),
    EVENT(history_recovered, info, "file", "the history is kept over a restart again"),
    EVENT(host_changed, info, "addresses", "the host has other addresses than before"),

    EVENT(instance_added, info, "service instance source health", "an instance became known"),
    EVENT(instance_removed, info, "service instance source health", "an instance is gone"),
    EVENT(health_changed, info, "service instance source from to",
          "the health of an instance changed, but not to critical"),
    EVENT(health_failed, warning, "service instance source from to check target reason",
          "the health of an instance became critical"),
    EVENT(registration_refused, error, "service reason",
          "a service of the configuration cannot be registered"),
    EVENT(
        exposure_limited, warning, "service instance reason hint",
        "clients cannot reach a registration as configured: its program listens on loopback only, "
        "or on another port"),
    EVENT(exposure_restored, info, "service instance reason hint",
          "clients reach a registration again as configured"),
    EVENT(id_clash, warning, "service announced instance peer",
          "an instance is shown under another id than announced, because another one has that id"),
    EVENT(names_meet, warning, "service other instance name",
          "two services are written differently and have one name in DNS"),
    EVENT(heartbeats_evicted, warning, "silent evicted protection",
          "registrations without heartbeats are removed, or protected because there are too many"),
    EVENT(
        source_changed, info, "source peer state reason",
        "a registry answers; or an agent of this host is followed, does not answer, or has ended"),
    EVENT(source_failed, warning, "source peer state reason",
          "a registry does not answer (behind), has lost its data (restarted), is not believed "
          "(doubted), or holds another program's entry where ours is to be (conflict)"),
    EVENT(export_changed, info, "service from to state reason",
          "this agent begins or ceases to copy a service from one registry to another"),

    EVENT(check_refused, warning, "instance check reason", "a check cannot be run"),
    EVENT(check_not_probed, warning, "instance check reason",
          "a probe could not be made, which says nothing about the service: its health stays"),
    EVENT(probes_resumed, info, "duration", "the host was suspended; thresholds start again"),

    EVENT(dns_listening, info, "address", "DNS is answered on this address"),
    EVENT(dns_bind_failed, error, "address reason holder duration",
          "DNS cannot be answered there; the next try is after this time"),
    EVENT(dns_shared, info, "address holder",
          "another user's agent answers DNS there, for every program of this host"),
    EVENT(dns_client_refused, warning, "peer reason",
          "a client that is neither on this host nor in dns.allow was refused"),
    EVENT(forwarding_changed, info, "on upstreams", "forwarding or its servers have changed"),
    EVENT(forwarding_looped, error, "name duration",
          "forwarded queries below this domain came back; it is refused for this long"),
    EVENT(upstream_failed, warning, "peer reason", "a server does not answer and is asked last"),
    EVENT(upstream_recovered, info, "peer", "that server answers again"),
    EVENT(upstream_skipped, warning, "peer reason", "a server is not used"),
    EVENT(upstream_case_folded, info, "peer",
          "a server changes the case of names, which is then not used to verify its answers"),
    EVENT(rebinding_blocked, warning, "name", "a private address was removed from an answer"),

    EVENT(mdns_announced, info, "instance type", "a registration is announced"),
    EVENT(mdns_renamed, warning, "instance type label",
          "another host has the name; the registration is announced under a new one"),
    EVENT(mdns_host_renamed, info, "before label",
          "another host has the host name; instances are announced on a new one"),
    EVENT(mdns_name_lost, error, "instance type label",
          "another host has the name; the registration is not announced"),
    EVENT(mdns_local_name_claimed, info, "service name",
          "the service's name in .local leads to this host"),
    EVENT(mdns_local_name_lost, warning, "service",
          "other hosts have the names that were tried; the service has none in .local"),
    EVENT(mdns_local_name_refused, warning, "service reason",
          "the service cannot have a name in .local"),
    EVENT(mdns_publish_refused, error, "instance type reason",
          "a registration cannot be announced"),
    EVENT(mdns_link_full, warning, "announcements",
          "no room for more announcements; only this host's DNS answers for later ones"),
    EVENT(mdns_txt_shortened, warning, "instance type keys",
          "keys were left out of the TXT record, which would be too long"),
    EVENT(mdns_txt_refused, warning, "instance type count",
          "the TXT record of another host is too long, so its instance is unknown; at most one "
          "line a minute"),
    EVENT(mdns_link_failed, warning, "reason", "mDNS does not work at present"),
    EVENT(mdns_socket_failed, warning, "interface family reason",
          "no mDNS on this interface and address family"),
    EVENT(mdns_resumed, info, "duration", "the host was suspended; everything is asked again"),
    EVENT(mdns_port_held, warning, "port provider reason",
          "another program keeps the mDNS port to itself"),
    EVENT(mdns_provider_changed, info, "provider reason",
          "another implementation speaks mDNS from now on"),
    EVENT(avahi_missing, error, "reason", "avahi-daemon is to be used but cannot be"),
    EVENT(avahi_connected, info, "", "connected to avahi-daemon"),
    EVENT(avahi_disconnected, warning, "reason", "no connection to avahi-daemon"),
    EVENT(avahi_browse_failed, warning, "reason", "avahi-daemon cannot browse a type"),
    EVENT(avahi_publish_refused, error, "announcement reason",
          "avahi-daemon does not accept an announcement"),
    EVENT(avahi_abandoned, warning, "duration",
          "avahi-daemon did not answer while the agent was stopping"),

    EVENT(api_listening, info, "address", "the API is served on this socket"),
    EVENT(api_listen_failed, warning, "address reason", "the API cannot be served there"),
    EVENT(api_directory_refused, warning, "directory",
          "the runtime directory belongs to another user or is open to others"),
    EVENT(api_token_written, info, "file", "the file with the token for loopback TCP"),
    EVENT(api_token_failed, warning, "file", "that file cannot be written"),
    EVENT(api_file_lost, warning, "file",
          "the socket or the token file was removed or replaced; it is made again"),
    EVENT(api_grpc_missing, warning, "reason",
          "clients of etcd can only use the JSON gateway of api.etcd_listen"),
    EVENT(http_accept_failed, warning, "reason", "a connection cannot be accepted"),
    EVENT(http_refused, warning, "request peer reason", "a request was refused"),
    EVENT(http_answered, debug, "request status pid uid peer", "a request was answered"),
    EVENT(http_stream_opened, debug, "request peer", "a stream of events was opened"),
    EVENT(http_client_lagged, info, "request peer bytes",
          "a client was disconnected because it does not read its answers"),
    EVENT(http2_violation, warning, "peer reason",
          "a client broke HTTP/2 or sent too many frames without use, and was disconnected"),
    EVENT(grpc_answered, debug, "request status peer reason", "a gRPC call was answered"),

    EVENT(web_listening, info, "address", "services are reached by URLs on this address"),
    EVENT(web_listen_failed, info, "address reason",
          "another program or agent has this address; it is tried again"),
    EVENT(bridge_connected, debug, "service instance address peer",
          "a connection to a service was passed on to an instance"),
    EVENT(bridge_refused, debug, "service status peer reason",
          "a connection could not be passed on"),

    EVENT(farp_listening, info, "address", "FARP is served on this address"),
    EVENT(farp_listen_failed, warning, "address reason duration",
          "FARP cannot be served on this address; the next try is after this time"),
    EVENT(farp_closed, info, "", "no registration needs the FARP port any more"),
    EVENT(farp_pushed, info, "instance peer", "a gateway accepted a registration"),
    EVENT(farp_push_failed, warning, "instance peer reason duration",
          "a gateway did not accept it; the next try is after this time"),
    EVENT(farp_manifest_failed, info, "instance reason", "another host's manifest is not used"),
    EVENT(farp_schema_failed, warning, "instance type reason duration",
          "an API description cannot be fetched; the next try is after this time"),
    EVENT(farp_file_failed, error, "instance file reason",
          "an API description cannot be read from its file"),

    EVENT(log_lost, warning, "lines",
          "lines that could not be written, because nothing read the log"),
    EVENT(log_suppressed, warning, "of lines", "lines of one event were left out, being too many"),
#undef EVENT
});

constexpr const EventSpec& spec_of(LogEvent event) {
  return kEvents[static_cast<std::size_t>(event)];
}

/// Whether the table is in the order of the enumerators, and complete.
constexpr bool events_are_in_order() {
  for (std::size_t i = 0; i < kEvents.size(); ++i)
    if (kEvents[i].event != static_cast<LogEvent>(i)) return false;
  return spec_of(LogEvent::log_suppressed).event == LogEvent::log_suppressed &&
         kEvents.back().event == LogEvent::log_suppressed;
}
static_assert(events_are_in_order());

}  // namespace outrider
