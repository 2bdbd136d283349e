// SPDX-License-Identifier: Apache-2.0
// outrider dns install | remove | status
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/cli/advice.h"
#include "agent/cli/dns_setup.h"
#include "agent/cli/host_commands.h"
#include "agent/cli/machine.h"
#include "agent/cli/output.h"
#include "agent/cli/stub_query.h"
#include "agent/cli/tool.h"
#include "agent/cli/units.h"
#include "base/address.h"
#include "base/json.h"
#include "base/text.h"

namespace outrider::cli {
namespace {

using dns_setup::Host;
using dns_setup::Plan;
using dns_setup::Wish;

/// False if one of them failed.
bool run_commands(const std::string& root, const std::vector<std::vector<std::string>>& commands) {
  bool all = true;
  for (const auto& command : commands)
    if (root != "/") {
      print("not run (--root): " + join(command, " ") + '\n');
    } else if (run_tool(command)) {
      print("ran: " + join(command, " ") + '\n');
    } else {
      complain("failed; run it by hand: " + join(command, " "), kFailed);
      all = false;
    }
  return all;
}

std::vector<std::string> domains_of(const Arguments& arguments) {
  std::vector<std::string> domains = arguments.all("domain");
  if (domains.empty()) domains = {"svc"};
  return domains;
}

std::string root_of(const Arguments& arguments) {
  std::string root = arguments.get("root");
  while (root.size() > 1 && root.ends_with('/'))
    root.pop_back();
  return root.empty() ? "/" : root;
}

/// --yes, or "y" typed on a terminal.
bool confirmed(const Arguments& arguments) {
  if (arguments.has("yes")) return true;
  std::fflush(stdout);  // the diff comes before the question
  if (::isatty(STDIN_FILENO) != 1) {
    complain("nothing was changed; add --yes to make this change", kFailed);
    return false;
  }
  std::fputs("Make this change? [y/N] ", stderr);
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

Host look_at(const std::string& root) {
  return dns_setup::look_at(root, root == "/" ? systemd_version() : 0);
}

int status_json(const std::string& root, const std::optional<Plan>& plan,
                const std::vector<std::string>& domains) {
  const Host host = look_at(root);
  std::string text;
  json::Writer out(text, json::Writer::Style::indented);
  out.begin_object().member("installed", plan.has_value()).key("profile");
  const auto profile = plan ? std::optional(plan->profile) : host.profile;
  if (profile)
    out.value(to_string(*profile));
  else
    out.null();
  out.member("why", host.why).key("files").begin_array();
  if (plan)
    for (const dns_setup::FileChange& file : plan->files)
      out.value(file.path);
  out.end_array().member("untouched", plan && dns_setup::untouched(root, *plan));
  out.key("not_enabled").begin_array();
  if (const auto gap =
          plan && root == "/" ? gap_at_boot(look_at_units("/"), plan->profile) : std::nullopt)
    for (const std::string& unit : gap->units)
      out.value(unit);
  out.end_array();
  bool good = true;
  out.key("lookups").begin_array();
  for (const std::string& domain : root == "/" ? domains : std::vector<std::string>()) {
    const auto address = find_agent(domain);
    good = good && address;
    out.begin_object().member("name", "ns." + domain).member("address", address.value_or(""));
    out.end_object();
  }
  out.end_array().end_object();
  print(text + '\n');
  return good ? kDone : kFailed;
}

/// --stub, or where an agent answers now, or where one would.
Result<Endpoint, int> choose_stub(const Arguments& arguments, dns_setup::Profile profile,
                                  const std::vector<std::string>& domains) {
  const std::string text = arguments.get("stub");
  if (!text.empty()) {
    const auto stub = Endpoint::parse(text);
    if (stub && stub->port != 0) return *stub;
    return failure(int{complain("--stub: expected ADDRESS:PORT, not \"" + text + '"', kUsage)});
  }
  const Endpoint usual = *Endpoint::parse(kUsualStub), plain = *Endpoint::parse(kPlainStub);
  if (profile == dns_setup::Profile::plain) return plain;
  return !arguments.has("root") && !agent_answers(usual, domains) && agent_answers(plain, domains)
             ? plain
             : usual;
}

/// Applies the plan; where another program has changed what is installed, on top of what is left
/// when that is undone, so that `dns remove` restores a file without the agent.
Result<void, std::string> apply_afresh(const Host& host, const Plan& plan, const Wish& wish,
                                       bool undo_first) {
  if (!undo_first) return dns_setup::apply(host, plan);
  const auto undone = dns_setup::undo(host.root);
  if (!undone) return failure(undone.error());
  for (const std::string& note : undone->notes)
    print("note: " + note + '\n');
  const Host now = look_at(host.root);
  const auto again = dns_setup::plan(now, plan.profile, wish);
  if (!again) return failure(again.error());
  return dns_setup::apply(now, *again);
}

int complain_of_silence(const Endpoint& stub, dns_setup::Profile profile) {
  return complain("nothing was changed, because no agent answers on " + stub.to_string() + "; " +
                      start_advice(profile),
                  kFailed);
}

/// Whether names of the world resolve now, by one of the nameservers of resolv.conf.
bool others_resolve(const Host& host, const Endpoint& stub) {
  constexpr std::size_t kNameserversMax = 3;  // as many as the C library asks
  std::size_t asked = 0;
  return std::ranges::any_of(host.nameservers, [&](const std::string& text) {
    const auto address = IpAddress::parse(text);
    return address && *address != stub.address && ++asked <= kNameserversMax &&
           resolves_other_names({*address, 53});
  });
}

/// Asks again until it is true, for a few seconds: resolvers take a moment to read their files.
template <class Question>
bool soon(Question question) {
  constexpr int kTimes = 15;
  constexpr Duration kPause = std::chrono::milliseconds(200);
  for (int i = 0; i < kTimes; ++i) {
    if (question()) return true;
    rest(kPause);
  }
  return false;
}

/// Looks up ns.DOMAIN, which the agent answers whatever is registered.
bool test_lookup(const std::vector<std::string>& domains) {
  bool good = true;
  for (const std::string& domain : domains) {
    const std::string name = "ns." + domain;
    const auto address = find_agent(domain);
    if (address) {
      print(tinted("ok", Tint::good) + "  " + name + " resolves to " +
            tinted(*address, Tint::plain) + '\n');
    } else {
      print(tinted("no", Tint::bad) + "  " + name +
            " does not resolve: check that the agent is running and listens there\n");
      good = false;
    }
  }
  return good;
}

/// After the change: programs find the agent, and other names where they did before. `forwards`:
/// that need not be tested.
bool prove(const Wish& wish, bool forwards) {
  (void)soon([&] {
    return std::ranges::all_of(
        wish.domains, [](const std::string& domain) { return find_agent(domain).has_value(); });
  });
  if (!test_lookup(wish.domains)) return false;
  if (forwards || soon([&] { return resolves_other_names(wish.stub); })) return true;
  print(tinted("no", Tint::bad) +
        "  other names do not resolve: the agent does not forward them; set dns.forward to auto, "
        "and dns.upstream to [\"system\"] or to nameservers that answer\n");
  return false;
}

/// Keeps back the signals that would end the command between a change and its proof. What came
/// takes effect when it is destroyed.
class HeldSignals {
 public:
  HeldSignals() { ::pthread_sigmask(SIG_BLOCK, &signals_, &before_); }
  ~HeldSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;

  bool came() const {
    sigset_t pending;
    ::sigpending(&pending);
    return std::ranges::any_of(kSignals, [&](int signal) {
      return ::sigismember(&pending, signal) == 1 && ::sigismember(&before_, signal) == 0;
    });
  }

 private:
  static constexpr int kSignals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

  const sigset_t signals_ = [] {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : kSignals)
      ::sigaddset(&set, signal);
    return set;
  }();
  sigset_t before_{};
};

int put_back(const std::string& root, std::string why) {
  const auto undone = dns_setup::undo(root);
  if (!undone)
    return complain(undone.error() + "; to restore the previous files, run: outrider dns remove",
                    kFailed);
  run_commands(root, undone->commands);
  why += "; ";
  why += undone->notes.empty() ? "every file is as it was before" : join(undone->notes, "; ");
  return complain(why, kFailed);
}

}  // namespace

std::optional<std::string> system_lookup(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return std::nullopt;
  std::array<char, NI_MAXHOST> text{};
  std::optional<std::string> address;
  if (::getnameinfo(found->ai_addr, found->ai_addrlen, text.data(), text.size(), nullptr, 0,
                    NI_NUMERICHOST) == 0) {
    address = text.data();
  }
  ::freeaddrinfo(found);
  return address;
}

std::optional<std::string> find_agent(const std::string& domain) {
  const auto text = system_lookup("ns." + domain);
  const auto address = text ? IpAddress::parse(*text) : std::nullopt;
  if (!address) return std::nullopt;
  for (const std::uint16_t port :
       {Endpoint::parse(kPlainStub)->port, Endpoint::parse(kUsualStub)->port})
    if (agent_answers({*address, port}, {domain})) return text;
  // On another port. A nameserver of the network that has an address for every name does not make
  // one up on this host.
  return address->is_loopback() ? text : std::nullopt;
}

int systemd_version() {
  const std::string text = output_of_tool({"systemctl", "--version"});
  int version = 0;
  if (std::sscanf(text.c_str(), "systemd %d", &version) != 1) return 0;
  return version;
}

int dns_install(const Arguments& arguments) {
  const std::string root = root_of(arguments);
  const Host host = look_at(root);
  auto profile = host.profile;
  if (arguments.has("profile")) {
    profile = dns_setup::parse_profile(arguments.get("profile"));
    if (!profile)
      return complain(
          "--profile: expected delegate, resolved, networkmanager, dnsmasq or plain, "
          "not \"" +
              arguments.get("profile") + '"',
          kUsage);
  }
  if (!profile) return complain(host.why, kFailed);
  const std::vector<std::string> domains = domains_of(arguments);
  for (const std::string& domain : domains)
    if (!dns_setup::is_domain(domain))
      return complain("--domain: expected a domain such as svc, not \"" + domain + '"', kUsage);
  const auto stub = choose_stub(arguments, *profile, domains);
  if (!stub) return stub.error();
  const auto before = dns_setup::installed(root);
  if (!before) return complain(before.error(), kFailed);
  if (*before && dns_setup::untouched(root, **before))
    return complain("already installed; to change it, run first: outrider dns remove", kFailed);

  const Wish wish{*stub, domains};
  const auto plan = dns_setup::plan(host, *profile, wish);
  if (!plan) return complain(plan.error(), kFailed);
  print(std::string("profile ") + to_string(*profile) + ": " + host.why + "\n\n");
  print(dns_setup::diff(*plan) + '\n');
  for (const std::string& note : plan->notes)
    print("note: " + note + '\n');
  // Before anything is changed.
  if (root == "/" && !agent_answers(*stub, domains)) return complain_of_silence(*stub, *profile);
  if (root == "/" && ::geteuid() != 0)
    return complain("nothing was changed, because only root can; run it again with sudo",
                    kNotPermitted);
  if (!confirmed(arguments)) return kFailed;
  const bool resolved_before = root == "/" && others_resolve(host, *stub);
  const HeldSignals held;
  if (const auto written = apply_afresh(host, *plan, wish, before->has_value()); !written)
    return complain(written.error(), kFailed);
  run_commands(root, plan->commands);
  if (root != "/") return kDone;
  const bool forwards = *profile != dns_setup::Profile::plain || !resolved_before;
  const bool proven = !held.came() && prove(wish, forwards);
  if (held.came()) return put_back(root, "interrupted");
  if (!proven) return put_back(root, "the test failed");
  if (const auto gap = gap_at_boot(look_at_units("/"), *profile))
    print("note: " + gap->what + "; " + gap->advice + '\n');
  return kDone;
}

int dns_remove(const Arguments& arguments) {
  const std::string root = root_of(arguments);
  if (const auto plan = dns_setup::installed(root);
      root == "/" && ::geteuid() != 0 && plan && *plan)
    return complain("nothing was changed, because only root can; run it again with sudo",
                    kNotPermitted);
  const auto undone = dns_setup::undo(root);
  if (!undone) return complain(undone.error(), kFailed);
  if (undone->notes.empty())
    print("removed; every file is as it was before\n");
  else
    print("removed; " + join(undone->notes, "; ") + '\n');
  return run_commands(root, undone->commands) ? kDone : kFailed;
}

int dns_status(const Arguments& arguments) {
  const std::string root = root_of(arguments);
  const auto plan = dns_setup::installed(root);
  if (!plan) return complain(plan.error(), kFailed);
  if (arguments.has("json")) return status_json(root, *plan, domains_of(arguments));
  if (!*plan) {
    const Host host = look_at(root);
    print(host.profile ? std::string("not installed; dns install would use profile ") +
                             to_string(*host.profile) + " (" + tinted(host.why, Tint::plain) + ")\n"
                       : "not installed; dns install finds no profile for this host (" +
                             tinted(host.why, Tint::plain) + ")\n");
  } else {
    print(std::string("installed: ") + to_string((*plan)->profile) + '\n');
    for (const dns_setup::FileChange& file : (*plan)->files)
      print("  " + file.path + '\n');
    if (!dns_setup::in_effect(root, **plan))
      print(tinted("another program has overwritten it; run: " + as_root("outrider dns install"),
                   Tint::bad) +
            '\n');
    else if (!dns_setup::untouched(root, **plan))
      print(tinted("changed since installation", Tint::bad) + '\n');
  }
  if (root != "/") return kDone;
  if (*plan)
    if (const auto gap = gap_at_boot(look_at_units("/"), (*plan)->profile))
      print(tinted(gap->what + "; " + gap->advice, Tint::bad) + '\n');
  return test_lookup(domains_of(arguments)) ? kDone : kFailed;
}

}  // namespace outrider::cli
