// SPDX-License-Identifier: Apache-2.0
// `outrider doctor`: finds out why names do not resolve on this host, and says what to do.
#include <algorithm>
#include <cerrno>
#include <ctime>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <unistd.h>

#include "agent/cli/advice.h"
#include "agent/cli/answer.h"
#include "agent/cli/dns_setup.h"
#include "agent/cli/finding.h"
#include "agent/cli/host_commands.h"
#include "agent/cli/own_multicast.h"
#include "agent/cli/stub_query.h"
#include "agent/cli/units.h"
#include "agent/low_port.h"
#include "agent/process/port_holder.h"
#include "base/text.h"
#include "base/text_file.h"
#include "dns/resolv_conf.h"

namespace outrider::cli {
namespace {

const char* to_string(Level level) {
  switch (level) {
    case Level::good:
      return "ok";
    case Level::note:
      return "note";
    case Level::bad:
      return "bad";
  }
  OUTRIDER_UNREACHABLE();
}

constexpr rlim_t kDescriptorsAdvised = 1'024;
/// 2024-01-01: a clock that shows an earlier date was never set.
constexpr std::time_t kPlausibleSince = 1'704'067'200;

// --- the agent --------------------------------------------------------------------------------

/// What the agent reports about its DNS; later findings depend on it.
struct AgentDns {
  std::vector<Endpoint> bound;  // where it listens
  bool forwards = false;        // it forwards, and has an upstream server
};

/// For an agent that may not have a port below 1024; empty for other ports.
std::string for_low_port(const Endpoint& address, const char* socket) {
  if (!is_low_port(address.port)) return {};
  const std::string command = low_port_command(look_at_units("/"), socket);
  return command.empty() ? std::string() : "run: " + command;
}

AgentDns examine_dns(const json::Value& dns, Findings& out) {
  AgentDns known;
  const json::Array& wanted = list_at(dns, "listen");
  const std::string bound = joined_at(dns, "bound", ", ");
  const std::string shared = joined_at(dns, "shared", ", ");
  if (bound.empty() && !shared.empty()) {
    out.push_back({Level::good, "another user's agent answers DNS on " + shared, ""});
  } else if (bound.empty() && !wanted.empty()) {
    const std::string* text = wanted.front().as_string();
    const auto endpoint = text != nullptr ? Endpoint::parse(*text) : std::nullopt;
    const std::string holder = endpoint ? port_holder(*endpoint) : std::string();
    const std::string low =
        endpoint && holder.empty() ? for_low_port(*endpoint, kDnsSocketUnit) : "";
    out.push_back({Level::bad,
                   "DNS is not listening on " + joined_at(dns, "listen", ", ") +
                       (holder.empty() ? "" : ", which is in use by " + holder),
                   !low.empty()     ? low
                   : holder.empty() ? "see the agent's log for the reason, or set dns.listen"
                                    : "stop that program, or set dns.listen"});
  } else if (!bound.empty()) {
    out.push_back({Level::good, "DNS listens on " + bound, ""});
  }
  for (const char* list : {"bound", "shared"})
    for (const json::Value& each : list_at(dns, list)) {
      const auto endpoint = Endpoint::parse(each.as_string() != nullptr ? *each.as_string() : "");
      if (endpoint) known.bound.push_back(*endpoint);
    }
  if (const json::Value* forwarding = dns.find("forwarding"))
    known.forwards = flag_at(*forwarding, "on") && !list_at(*forwarding, "upstreams").empty();
  return known;
}

/// Registrations that clients do not reach as configured.
void examine_exposure(const Arguments& arguments, Findings& out) {
  const auto found = get_document(arguments, "/v1/outrider/instances");
  if (!found) return;
  for (const json::Value& instance : list_at(found->value, "instances"))
    if (const std::string limit = text_at(instance, "limit"); !limit.empty())
      out.push_back(
          {Level::note, text_at(instance, "id") + ": " + limit, text_at(instance, "advice")});
}

/// Stopped by a signal (proc_pid_stat(5)); false for a process that is not seen from here. The
/// agent itself notices it only when a comment is missing in its stream of changes.
bool is_suspended(std::int64_t pid) {
  const std::string stat =
      read_text_file("/proc/" + std::to_string(pid) + "/stat").value_or(std::string());
  const std::size_t name = stat.rfind(") ");
  return name != std::string::npos && stat.compare(name + 2, 2, "T ") == 0;
}

/// A process that shares the DNS address and does not run keeps its part of the queries.
void examine_siblings(const json::Value& status, Findings& out) {
  const json::Value* sources = status.find("sources");
  if (sources == nullptr) return;
  for (const json::Value& sibling : list_at(*sources, "siblings")) {
    const std::int64_t number = number_at(sibling, "pid");
    if (!flag_at(sibling, "silent") && !is_suspended(number)) continue;
    const std::string pid = std::to_string(number);
    out.push_back({Level::bad,
                   "the agent with pid " + pid + " does not answer on " +
                       text_at(sibling, "socket") +
                       "; if it shares the DNS address, its part of the queries is lost",
                   "if it is suspended, run kill -CONT " + pid + "; else stop it"});
  }
}

void examine_ids(const json::Value& status, Findings& out) {
  for (const json::Value& clash : list_at(status, "id_clashes"))
    out.push_back({Level::note,
                   text_at(clash, "host") + " announces " + text_at(clash, "service") +
                       " with the id " + text_at(clash, "announced_id") +
                       ", which another instance has: it is shown as " + text_at(clash, "id"),
                   "both are served; give each instance an id of its own to know them by it"});
}

/// Registries that cannot be reached, cannot be read, lost their data, or hold our keys for others.
void examine_registries(const json::Value& status, Findings& out) {
  for (const json::Value& registry : list_at(status, "registries")) {
    const std::string kind = text_at(registry, "kind");
    if (const std::string why = text_at(registry, "unavailable"); !why.empty())
      out.push_back({Level::bad, kind + " is configured, but " + why,
                     "remove it from \"registries\", or use a build that has it"});
    for (const json::Value& place : list_at(registry, "places")) {
      const std::string at = kind + " at " + text_at(place, "endpoint");
      const std::string state = text_at(place, "state"), reason = text_at(place, "reason");
      const std::string says = at + " is " + state + (reason.empty() ? "" : ": " + reason);
      if (state == "current")
        out.push_back({Level::good, says, ""});
      else
        out.push_back({Level::bad, says,
                       "check its address, and that it runs; entries are served for " +
                           text_at(registry, "keep")});
      if (flag_at(place, "doubted"))
        out.push_back({Level::note, at + " suddenly lacks entries that it had",
                       "if its data was lost, programs have to register again; if rights were "
                       "taken away, give them back"});
      for (const json::Value& warning : list_at(place, "warnings"))
        if (warning.as_string() != nullptr)
          out.push_back({Level::bad, at + ": " + *warning.as_string(), ""});
    }
    for (const json::Value& conflict : list_at(registry, "conflicts"))
      out.push_back({Level::bad,
                     "the key " + text_at(conflict, "key") + " of " +
                         text_at(conflict, "instance") + " is held by " +
                         text_at(conflict, "holder"),
                     "give the registration another id, or stop the other program"});
  }
}

/// Whether what programs have registered outlives the agent. `what`: the subject of a sentence.
void examine_kept(const json::Value* kept, const std::string& what, Findings& out) {
  if (kept == nullptr || !flag_at(*kept, "wanted")) return;
  const std::string lost = what + " are lost when the agent restarts: ";
  if (const std::string failure = text_at(*kept, "failure"); flag_at(*kept, "held"))
    out.push_back({Level::note, lost + failure,
                   "give each agent a configuration file of its own; their registrations are then "
                   "kept apart"});
  else if (!failure.empty())
    out.push_back({Level::bad, lost + failure,
                   "let the agent's user write there and free disk space, or set XDG_STATE_HOME "
                   "(StateDirectory= in a unit) to another directory"});
  else if (text_at(*kept, "file").empty())
    out.push_back({Level::note, lost + "no state directory is known, because HOME is not set",
                   "set XDG_STATE_HOME (StateDirectory= in a unit), or api.persist to false"});
  if (const std::string aside = joined_at(*kept, "unreadable", ", "); !aside.empty())
    out.push_back({Level::note, "saved registrations could not be read, and are kept in " + aside,
                   "register again what is missing, then delete the file"});
}

/// Another agent of the host may well have the port: its bridge reaches the same services.
void examine_web(const json::Value& status, Findings& out) {
  const json::Value* web = status.find("web");
  if (web == nullptr) return;
  if (const std::string at = joined_at(*web, "listen", ", "); !at.empty())
    out.push_back({Level::good, "services are reached as http://NAME.localhost on " + at, ""});
  if (const std::string at = joined_at(*web, "tls_listen", ", "); !at.empty())
    out.push_back({Level::good, "services are reached as https://NAME.localhost on " + at, ""});
  for (const json::Value& missing : list_at(*web, "missing")) {
    const std::string reason = text_at(missing, "reason");
    const auto address = Endpoint::parse(text_at(missing, "address"));
    const bool denied = reason.find(kWebSocketUnit) != std::string::npos;
    const std::string low = address && denied ? for_low_port(*address, kWebSocketUnit) : "";
    out.push_back(
        {Level::note,
         "services are not reached by URL on " + text_at(missing, "address") + ": " + reason,
         !low.empty() ? low
         : denied     ? "set web.listen to a port of 1024 or above"
                      : "if another agent has it, use that one; else set web.listen to "
                        "another port"});
  }
}

/// What a DNS question tells of an agent that answers no other: to ask it needs no permission.
AgentDns examine_dns_alone(const std::vector<std::string>& domains, Findings& out) {
  AgentDns known;
  for (const char* place : {kPlainStub, kUsualStub}) {
    const Endpoint stub = *Endpoint::parse(place);
    if (!agent_answers(stub, domains)) continue;
    known.bound.push_back(stub);
    known.forwards = known.forwards || resolves_other_names(stub);
    out.push_back({Level::good, std::string("an agent answers DNS on ") + place, ""});
  }
  return known;
}

AgentDns examine_agent(const Arguments& arguments, const std::vector<std::string>& domains,
                       const dns_setup::Host& host, Findings& out) {
  AgentClient client(arguments.get("socket"), AgentClient::Complaints::kept);
  if (!client.passed_over().empty())
    out.push_back({Level::bad, client.passed_over(),
                   "let its owner remove it, or set XDG_RUNTIME_DIR to a directory of your own"});
  if (!client.any_agent()) {
    AgentDns known = examine_dns_alone(domains, out);
    out.push_back({Level::bad,
                   known.bound.empty() ? "no agent is running" : "no agent of this user is running",
                   known.bound.empty() ? start_advice(host.profile) : "run: outrider agent"});
    return known;
  }
  const auto status = get_document(client, "/v1/outrider/status");
  if (!status) {
    const bool denied = status.error() == kNotPermitted;
    const Denial denial = denied ? client.denial() : Denial{client.complaint(), "see its log"};
    out.push_back({Level::bad, denial.what, denial.advice});
    return examine_dns_alone(domains, out);
  }
  AgentDns known;
  out.push_back({Level::good, "agent: " + text_at(status->value, "summary"), ""});
  if (const json::Value* dns = status->value.find("dns")) known = examine_dns(*dns, out);
  examine_exposure(arguments, out);
  examine_siblings(status->value, out);
  examine_ids(status->value, out);
  examine_registries(status->value, out);
  examine_kept(status->value.find("persistence"), "registrations made over the API", out);
  if (const json::Value* door = status->value.find("etcd_door"))
    examine_kept(door->find("persistence"), "keys written to the etcd port", out);
  examine_web(status->value, out);
  if (const json::Value* mdns = status->value.find("mdns")) {
    const std::string state = text_at(*mdns, "state");
    const std::string why = text_at(*mdns, "why");
    const Level level = state == "running" ? Level::good : Level::bad;
    out.push_back({level, "mDNS is " + state + (why.empty() ? "" : ": " + why),
                   level == Level::good ? "" : "see the findings on interfaces and UDP 5353"});
    if (const std::int64_t waiting = number_at(*mdns, "waiting"); waiting > 0) {
      out.push_back({Level::note,
                     "no room to announce " +
                         counted(static_cast<std::uint64_t>(waiting), "registration") +
                         " over mDNS; only this host's DNS answers for them",
                     "register fewer services with this agent"});
    }
  }
  return known;
}

// --- the link ---------------------------------------------------------------------------------

/// Whether joining the mDNS group works on an interface. The agent joins the same way.
bool can_join(unsigned index) {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  ip_mreqn group{};
  ::inet_pton(AF_INET, "224.0.0.251", &group.imr_multiaddr);
  group.imr_ifindex = static_cast<int>(index);
  const bool joined = ::setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0;
  ::close(fd);
  return joined;
}

void examine_interfaces(Findings& out) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return;
  std::vector<std::string> good;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    const std::string name = entry->ifa_name;
    if ((entry->ifa_flags & IFF_LOOPBACK) != 0 || (entry->ifa_flags & IFF_UP) == 0) continue;
    if (std::find(good.begin(), good.end(), name) != good.end()) continue;
    if ((entry->ifa_flags & IFF_RUNNING) == 0) {
      out.push_back({Level::note, name + " has no carrier",
                     "plug the cable in, or join the network; mDNS does not work there"});
    } else if ((entry->ifa_flags & IFF_MULTICAST) == 0) {
      out.push_back({Level::note, name + " has no multicast", "mDNS does not work there"});
    } else if (!can_join(::if_nametoindex(name.c_str()))) {
      out.push_back({Level::bad, name + ": joining the mDNS group 224.0.0.251 failed",
                     "raise net.ipv4.igmp_max_memberships, or check the firewall"});
    } else if (!hears_own_multicast(::if_nametoindex(name.c_str()))) {
      out.push_back({Level::bad,
                     name + ": mDNS is sent, never heard: something drops UDP port 5353",
                     "allow UDP port 5353 to and from 224.0.0.251 in the firewall; agents of this "
                     "host find each other all the same"});
    } else {
      good.push_back(name);
    }
  }
  ::freeifaddrs(list);
  std::string names;
  for (const std::string& name : good)
    names += (names.empty() ? "" : ", ") + name;
  if (good.empty()) {
    out.push_back({Level::note, "no interface with multicast and a carrier other than loopback",
                   "only services of this host are found"});
  } else {
    out.push_back({Level::good, "multicast works on " + names, ""});
  }
}

/// Counts sockets on UDP 5353 in the kernel's table.
std::size_t sockets_on_5353() {
  std::size_t count = 0;
  for (const char* path : {"/proc/net/udp", "/proc/net/udp6"}) {
    const std::string table = read_text_file(path).value_or("");
    std::string_view rest = table;
    while (const auto line = take_line(rest))
      if (line->find(":14E9 ") != std::string_view::npos) ++count;
  }
  return count;
}

/// Whether the agent can bind UDP 5353 beside the present sockets. A program that has not set
/// SO_REUSEADDR keeps it to itself.
bool can_share_5353() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* group = nullptr;
  if (::getaddrinfo("224.0.0.251", "5353", &hints, &group) != 0) return true;
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  bool held = false;
  if (fd >= 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    held = ::bind(fd, group->ai_addr, group->ai_addrlen) != 0 && errno == EADDRINUSE;
    ::close(fd);
  }
  ::freeaddrinfo(group);
  return !held;
}

void examine_mdns_port(Findings& out) {
  const std::string holder = port_holder({IpAddress::any(IpAddress::Family::v4), 5353});
  if (!can_share_5353()) {
    out.push_back({Level::bad,
                   "UDP 5353 is held by " + (holder.empty() ? "a program" : holder) +
                       ", which does not share it",
                   "stop it; if it is avahi-daemon, set disallow-other-stacks=no in its "
                   "configuration, or set mdns.provider to avahi"});
  } else if (!holder.empty()) {
    out.push_back({Level::note, "UDP 5353 is shared with " + holder,
                   "this works; if answers are missing, let only one of the two announce"});
  } else {
    out.push_back(
        {Level::good,
         counted(sockets_on_5353(), "socket") + " on UDP 5353, no other mDNS responder found", ""});
  }
}

// --- the resolver -----------------------------------------------------------------------------

dns::ResolvConf read_resolv_conf() {
  return dns::parse_resolv_conf(
      read_text_file("/etc/resolv.conf").value_or(""),
      [](const std::string& name) { return std::uint32_t{::if_nametoindex(name.c_str())}; });
}

bool is_ours(const AgentDns& dns, const IpAddress& nameserver) {
  return nameserver == IpAddress::v4(127, 0, 0, 55) || nameserver == IpAddress::v4(127, 0, 0, 56) ||
         std::ranges::find(dns.bound, nameserver, &Endpoint::address) != dns.bound.end();
}

/// Whether an agent answers on port 53 of one of these nameservers.
bool any_answers(const dns::ResolvConf& conf, const std::vector<std::string>& domains) {
  return std::ranges::any_of(conf.servers, [&](const Endpoint& server) {
    return agent_answers({server.address, 53}, domains);
  });
}

void examine_nameservers(const dns::ResolvConf& conf, const std::vector<std::string>& domains,
                         const AgentDns& dns, const dns_setup::Host& host, Findings& out) {
  const auto ours = std::ranges::count_if(
      conf.servers, [&](const Endpoint& each) { return is_ours(dns, each.address); });
  if (ours == 0) return;
  if (static_cast<std::size_t>(ours) < conf.servers.size()) {
    const bool plain = host.profile == dns_setup::Profile::plain;
    out.push_back({Level::bad, "resolv.conf lists the agent and other nameservers",
                   "musl asks all of them at once and takes the first answer; " +
                       (plain ? "run: " + as_root("outrider dns install")
                              : std::string("list only the agent, and set dns.forward to on"))});
  } else if (!any_answers(conf, domains)) {
    const auto installed = dns_setup::installed("/");
    out.push_back(
        {Level::bad,
         "resolv.conf names only the agent, which does not answer there: no name resolves on this "
         "host, not only those under ." +
             domains.front(),
         start_advice(dns_setup::Profile::plain) +
             (installed && *installed
                  ? "; or go back to the nameservers of before: " + as_root("outrider dns remove")
                  : "")});
  } else if (!dns.bound.empty() && !dns.forwards) {
    out.push_back(
        {Level::bad,
         "the agent is the only nameserver in resolv.conf but has no upstream: other names "
         "(such as example.com) do not resolve",
         "set dns.upstream to the nameservers of this network, and dns.forward to on"});
  }
}

std::string install_command(const std::string& stub, const std::string& domain) {
  return as_root("outrider dns install" + (stub.empty() ? std::string() : " --stub " + stub) +
                 (domain == "svc" ? std::string() : " --domain " + domain));
}

/// What makes the resolver of this host ask the agent for a domain.
std::string resolver_advice(const std::string& domain, const AgentDns& dns,
                            const dns_setup::Host& host) {
  if (dns.bound.empty()) return "first make the agent run and its DNS listen";
  if (!host.profile)
    return host.why + ": configure that program to ask " + dns.bound.front().to_string() +
           " for names under " + domain;
  const bool plain = host.profile == dns_setup::Profile::plain;
  const auto found = std::ranges::find_if(
      dns.bound, [plain](const Endpoint& bound) { return !plain || bound.port == 53; });
  if (found == dns.bound.end())
    // Agents of one host answer for each other, so that this one may keep running.
    return "no agent listens on port 53, and resolv.conf cannot name another one; " +
           start_advice(host.profile) + "; then: " + install_command({}, domain);
  const std::string stub = found->to_string();
  return "run: " +
         install_command(stub == (plain ? kPlainStub : kUsualStub) ? std::string() : stub, domain);
}

void examine_resolver(const std::vector<std::string>& domains, const AgentDns& dns,
                      const dns_setup::Host& host, Findings& out) {
  const auto installed = dns_setup::installed("/");
  if (!installed) out.push_back({Level::bad, installed.error(), ""});
  if (installed && *installed) {
    if (!dns_setup::in_effect("/", **installed))
      out.push_back({Level::note, "another program has overwritten what dns install changed",
                     "if that happens often, configure that program instead"});
    else if (auto gap = gap_at_boot(look_at_units("/"), (*installed)->profile))
      out.push_back({Level::bad, std::move(gap->what), std::move(gap->advice)});
  }
  for (const std::string& domain : domains) {
    const std::string name = "ns." + domain;
    if (const auto address = find_agent(domain))
      out.push_back({Level::good, "programs resolve " + name + " (" + *address + ")", ""});
    else
      out.push_back({Level::bad, "programs do not resolve names under ." + domain,
                     resolver_advice(domain, dns, host)});
  }
  const dns::ResolvConf conf = read_resolv_conf();
  examine_nameservers(conf, domains, dns, host, out);
  if (conf.ndots > 1) {
    out.push_back({Level::note,
                   "resolv.conf has ndots:" + std::to_string(conf.ndots) +
                       ": names with fewer dots are first tried in every search domain",
                   "write a final dot (hello.svc.), or lower ndots"});
  }
  for (const dns::Name& name : conf.search) {
    if (system_lookup("outrider-doctor-nobody." + name.to_string())) {
      out.push_back({Level::bad, "the search domain " + name.to_display() + " answers every name",
                     "misspelt names seem to exist: remove it from the search list"});
    }
  }
}

// --- the machine ------------------------------------------------------------------------------

void examine_machine(Findings& out) {
  timex clock{};
  const int state = ::adjtimex(&clock);
  if (clock.time.tv_sec < kPlausibleSince)
    out.push_back({Level::bad, "the clock was never set", "timestamps and TLS will be wrong"});
  else if (state == TIME_ERROR || (clock.status & STA_UNSYNC) != 0)
    out.push_back({Level::note, "the clock is not synchronised", "only timestamps depend on it"});
  else
    out.push_back({Level::good, "the clock is synchronised", ""});
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < kDescriptorsAdvised) {
    out.push_back({Level::bad, "the limit is " + counted(files.rlim_cur, "open file"),
                   "raise it with ulimit -n 1024, or LimitNOFILE=1024 in the unit"});
  }
}

void print_findings(const Findings& findings) {
  for (const Finding& finding : findings) {
    const Tint tint = finding.level == Level::good   ? Tint::good
                      : finding.level == Level::note ? Tint::fair
                                                     : Tint::bad;
    std::string mark = to_string(finding.level);
    mark.resize(4, ' ');
    std::string text = tinted(mark, tint) + "  " + tinted(finding.what, Tint::plain) + '\n';
    if (!finding.advice.empty()) text += "      " + tinted(finding.advice, Tint::faint) + '\n';
    print(text);
  }
}

void print_findings_json(const Findings& findings) {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("findings").begin_array();
  for (const Finding& finding : findings) {
    out.begin_object().member("level", to_string(finding.level));
    out.member("what", finding.what).member("advice", finding.advice).end_object();
  }
  out.end_array().end_object();
  print_json(text + '\n');
}

}  // namespace

int doctor(const Arguments& arguments) {
  std::vector<std::string> domains = arguments.all("domain");
  if (domains.empty()) domains = {"svc"};
  Findings findings;
  const dns_setup::Host host = dns_setup::look_at("/", systemd_version());
  const AgentDns dns = examine_agent(arguments, domains, host, findings);
  examine_units(findings);
  examine_interfaces(findings);
  examine_mdns_port(findings);
  examine_resolver(domains, dns, host, findings);
  examine_machine(findings);
  if (arguments.has("json"))
    print_findings_json(findings);
  else
    print_findings(findings);
  const bool bad = std::any_of(findings.begin(), findings.end(),
                               [](const Finding& finding) { return finding.level == Level::bad; });
  return bad ? kFailed : kDone;
}

}  // namespace outrider::cli
