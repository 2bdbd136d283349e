// SPDX-License-Identifier: Apache-2.0
// `outrider doctor`: what stands between a program and an answer on this host, and what to do.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <unistd.h>

#include "agent/cli_answer.h"
#include "agent/cli_host.h"
#include "agent/dns_setup.h"
#include "agent/port_holder.h"
#include "agent/runtime_dir.h"
#include "agent/text_file.h"
#include "base/text.h"

namespace outrider::cli {
namespace {

enum class Level : std::uint8_t { good, note, bad };
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

struct Finding {
  Level level = Level::good;
  std::string what;
  std::string advice;  // what to do; empty where there is nothing
};
using Findings = std::vector<Finding>;

constexpr rlim_t kDescriptorsAdvised = 1'024;
/// 2024-01-01: a clock before it was never set.
constexpr std::time_t kPlausibleSince = 1'704'067'200;

// --- the agent --------------------------------------------------------------------------------

void look_at_agent(const Arguments& arguments, Findings& out) {
  if (!AgentClient(arguments.get("socket")).any_socket()) {
    out.push_back(
        {Level::bad, "no agent is running", "outrider agent, or: systemctl start outrider"});
    return;
  }
  const auto status = fetch(arguments, "/v1/outrider/status");
  if (!status) {
    out.push_back(
        {Level::bad, "an agent's socket is there, but nobody answers", "look at its log"});
    return;
  }
  out.push_back({Level::good, "agent: " + text_at(status->value, "summary"), ""});
  if (const json::Value* dns = status->value.find("dns")) {
    const json::Array& wanted = list_at(*dns, "listen");
    const std::string bound = joined_at(*dns, "bound", ", ");
    if (bound.empty() && !wanted.empty()) {
      const std::string* text = wanted.front().as_string();
      const auto endpoint = text != nullptr ? Endpoint::parse(*text) : std::nullopt;
      const std::string holder = endpoint ? port_holder(*endpoint) : std::string();
      out.push_back({Level::bad,
                     "DNS does not listen: " + joined_at(*dns, "listen", ", ") +
                         (holder.empty() ? "" : " is held by " + holder),
                     "stop what holds it, or set dns.listen"});
    } else if (!bound.empty()) {
      out.push_back({Level::good, "DNS listens on " + bound, ""});
    }
  }
  if (const json::Value* mdns = status->value.find("mdns")) {
    const std::string state = text_at(*mdns, "state");
    const std::string why = text_at(*mdns, "why");
    const Level level = state == "running" ? Level::good : Level::bad;
    out.push_back({level, "mDNS is " + state + (why.empty() ? "" : ": " + why),
                   level == Level::good ? "" : "see the interfaces below"});
    if (const std::int64_t waiting = number_at(*mdns, "waiting"); waiting > 0) {
      out.push_back({Level::note,
                     "the link is full: " + std::to_string(waiting) +
                         " registrations are answered by this host's DNS alone",
                     "let fewer programs register with this agent"});
    }
  }
}

// --- the link ---------------------------------------------------------------------------------

/// Joins the group of mDNS on one interface, as the agent does.
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

void look_at_interfaces(Findings& out) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return;
  std::vector<std::string> good;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    const std::string name = entry->ifa_name;
    if ((entry->ifa_flags & IFF_LOOPBACK) != 0 || (entry->ifa_flags & IFF_UP) == 0) continue;
    if (std::find(good.begin(), good.end(), name) != good.end()) continue;
    if ((entry->ifa_flags & IFF_MULTICAST) == 0) {
      out.push_back({Level::note, name + " does no multicast", "mDNS cannot be heard there"});
    } else if (!can_join(::if_nametoindex(name.c_str()))) {
      out.push_back({Level::bad, name + ": joining 224.0.0.251 fails",
                     "raise net.ipv4.igmp_max_memberships, or look at the firewall"});
    } else {
      good.push_back(name);
    }
  }
  ::freeifaddrs(list);
  std::string names;
  for (const std::string& name : good)
    names += (names.empty() ? "" : ", ") + name;
  if (good.empty()) {
    out.push_back({Level::note, "no interface with multicast besides loopback",
                   "services of this host are found, others are not"});
  } else {
    out.push_back({Level::good, "multicast works on " + names, ""});
  }
}

/// Sockets on UDP 5353, by the kernel's table.
std::size_t sockets_on_5353() {
  std::size_t count = 0;
  for (const char* path : {"/proc/net/udp", "/proc/net/udp6"}) {
    const std::string table = read_text_file(path).value_or("");
    std::string_view rest = table;
    while (const auto line = take_line(rest)) {
      if (line->find(":14E9 ") != std::string_view::npos) ++count;
    }
  }
  return count;
}

void look_at_other_stacks(Findings& out) {
  const std::string holder = port_holder({IpAddress::any(IpAddress::Family::v4), 5353});
  if (!holder.empty()) {
    out.push_back({Level::note, "UDP 5353 is shared with " + holder,
                   "that works; should answers be missing, let only one of them announce"});
  } else {
    out.push_back({Level::good,
                   std::to_string(sockets_on_5353()) + " sockets on UDP 5353, no other stack seen",
                   ""});
  }
}

// --- the resolver -----------------------------------------------------------------------------

struct ResolvConf {
  std::vector<std::string> nameservers, search;
  int ndots = 1;
};

ResolvConf read_resolv_conf() {
  ResolvConf conf;
  const std::string text = read_text_file("/etc/resolv.conf").value_or("");
  std::string_view rest = text;
  while (auto line = take_line(rest)) {
    const std::string_view key = take_word(*line);
    std::string_view word = take_word(*line);
    if (key == "nameserver" && !word.empty()) {
      conf.nameservers.emplace_back(word);
    } else if (key == "search" || key == "domain") {
      conf.search.clear();
      for (; !word.empty(); word = take_word(*line))
        conf.search.emplace_back(word);
    } else if (key == "options") {
      for (; !word.empty(); word = take_word(*line)) {
        if (!word.starts_with("ndots:")) continue;
        std::from_chars(word.data() + 6, word.data() + word.size(), conf.ndots);
      }
    }
  }
  return conf;
}

bool is_ours(const std::string& nameserver) {
  return nameserver == "127.0.0.55" || nameserver == "127.0.0.56";
}

void look_at_resolver(const std::vector<std::string>& domains, Findings& out) {
  for (const std::string& domain : domains) {
    const std::string name = "ns." + domain;
    if (const auto address = system_lookup(name)) {
      out.push_back({Level::good, "programs find " + name + " (" + *address + ")", ""});
    } else {
      out.push_back(
          {Level::bad, "programs do not find names under ." + domain, "outrider dns install"});
    }
  }
  const ResolvConf conf = read_resolv_conf();
  const bool any_ours = std::any_of(conf.nameservers.begin(), conf.nameservers.end(), is_ours);
  if (any_ours && conf.nameservers.size() > 1) {
    out.push_back({Level::bad, "resolv.conf lists the agent beside other nameservers",
                   "musl asks all at once and takes the first answer: list the agent alone and "
                   "set dns.forward to on"});
  }
  if (conf.ndots > 1) {
    out.push_back({Level::note,
                   "resolv.conf has ndots:" + std::to_string(conf.ndots) +
                       ": names with fewer dots are tried in every search domain first",
                   "write a final dot (hello.svc.), or lower ndots"});
  }
  for (const std::string& domain : conf.search) {
    const std::string nobody = "outrider-doctor-nobody." + domain;
    if (system_lookup(nobody + '.')) {
      out.push_back({Level::bad, "the search domain " + domain + " answers every name",
                     "wrong names will seem to exist: remove it from the search list"});
    }
  }
}

// --- the machine ------------------------------------------------------------------------------

void look_at_machine(Findings& out) {
  timex clock{};
  const int state = ::adjtimex(&clock);
  if (clock.time.tv_sec < kPlausibleSince) {
    out.push_back({Level::bad, "the clock was never set", "timestamps and TLS will be wrong"});
  } else if (state == TIME_ERROR || (clock.status & STA_UNSYNC) != 0) {
    out.push_back({Level::note, "the clock is not synchronised",
                   "nothing here depends on it but timestamps"});
  } else {
    out.push_back({Level::good, "the clock is synchronised", ""});
  }
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < kDescriptorsAdvised) {
    out.push_back({Level::bad, "only " + std::to_string(files.rlim_cur) + " open files allowed",
                   "ulimit -n 1024, or LimitNOFILE= in the unit"});
  }
}

void print_people(const Findings& findings) {
  for (const Finding& finding : findings) {
    const Tint tint = finding.level == Level::good   ? Tint::good
                      : finding.level == Level::note ? Tint::fair
                                                     : Tint::bad;
    std::string mark = to_string(finding.level);
    mark.resize(4, ' ');
    std::string text = tinted(mark, tint) + "  " + tinted(finding.what, Tint::plain) + '\n';
    if (!finding.advice.empty()) text += "      " + tinted(finding.advice, Tint::faint) + '\n';
    std::fputs(text.c_str(), stdout);
  }
}

void print_json(const Findings& findings) {
  std::string text;
  json::Writer out(text);
  out.begin_object().key("findings").begin_array();
  for (const Finding& finding : findings) {
    out.begin_object().member("level", to_string(finding.level));
    out.member("what", finding.what).member("advice", finding.advice).end_object();
  }
  out.end_array().end_object();
  cli::print_json(text + '\n');
}

}  // namespace

int doctor(const Arguments& arguments) {
  std::vector<std::string> domains = arguments.all("domain");
  if (domains.empty()) domains = {"svc"};
  Findings findings;
  look_at_agent(arguments, findings);
  look_at_interfaces(findings);
  look_at_other_stacks(findings);
  look_at_resolver(domains, findings);
  look_at_machine(findings);
  if (arguments.has("json")) {
    print_json(findings);
  } else {
    print_people(findings);
  }
  const bool bad = std::any_of(findings.begin(), findings.end(),
                               [](const Finding& finding) { return finding.level == Level::bad; });
  return bad ? kFailed : kDone;
}

}  // namespace outrider::cli
