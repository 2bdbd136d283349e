// SPDX-License-Identifier: Apache-2.0
// The table of commands.
#include "agent/cli/commands.h"

#include <cstdio>

#include "agent/cli/agent_commands.h"
#include "agent/cli/agent_rights.h"
#include "agent/cli/host_commands.h"
#include "agent/cli/load_config.h"
#include "agent/cli/missing_files.h"
#include "agent/cli/output.h"
#include "agent/cli/run/needs.h"
#include "agent/config/config.h"
#include "base/text.h"

namespace outrider::cli {
namespace {

constexpr Flag kConfig = {
    "config", "FILE|DIR",
    "configuration file, or a directory whose *.json are merged in name order", true};
constexpr Flag kSet = {"set", "KEY=VALUE", "set one option, such as dns.ttl=10s", true};

constexpr Flag kConfigFlags[] = {kConfig, kSet};
constexpr Flag kRunFlags[] = {
    {"name", "NAME",
     "name of the service; default: that of the project (package.json, pyproject.toml, folder), or "
     "the command's; auto: the same, with the git branch as the ID"},
    {"id", "ID",
     "ID of this instance; default: made of service, host name, port and host "
     "identity"},
    {"port", "PORT",
     "port that CMD listens on; default: a free one, the same at every start, passed to it in "
     "$PORT"},
    {"address", "ADDRESS", "address that CMD listens on; default: every address"},
    {"health", "PATH", "HTTP path to probe; default: only connect to the port", false, false},
    {"openapi", "PATH", "HTTP path of CMD's OpenAPI document, for gateways", false, false},
    {"tag", "TAG", "tag of the service", true},
    {"scope", "SCOPE", "who sees it: auto, or host for this host only; default: auto"},
    {"need", "NAME[,NAME]...",
     "service to wait for before CMD starts; CMD gets NAME_HOST, NAME_PORT and NAME_URL", true},
    {"timeout", "DURATION", "how long to wait for needed services; default: 1m"},
    {"verbose", "", "on a terminal too, log every event"},
    kConfig,
    kSet,
};

int check_config(const Arguments& arguments) {
  const auto config = load_config(arguments.all("config"), arguments.all("set"));
  if (!config) return kUsage;
  if (const auto why = unreachable_check(*config)) {
    std::fprintf(stderr, "outrider: %s\n", why->c_str());
    return kUsage;
  }
  for (const std::string& missing : missing_files(*config))
    complain("warning: " + missing, kDone);
  for (const std::string& unreadable :
       unreadable_for(kAgentUser, arguments.all("config"), kUnitsFolder))
    complain("warning: " + unreadable, kDone);
  print("ok: " + counted(config->services.size(), "service") + '\n');
  return kDone;
}

int dump_config(const Arguments& arguments) {
  const auto config = load_config(arguments.all("config"), arguments.all("set"));
  if (!config) return kUsage;
  std::string text;
  json::Writer(text, json::Writer::Style::indented).value(config->tree);
  std::puts(text.c_str());
  return kDone;
}

int print_schema(const Arguments&) {
  std::puts(config_schema().c_str());
  return kDone;
}

int print_version(const Arguments&) {
  std::puts("outrider " OUTRIDER_VERSION);
  return kDone;
}

int print_help(const Arguments& arguments) {
  std::string name;
  for (const std::string& word : arguments.positional())
    name += (name.empty() ? "" : " ") + word;
  for (const Command& command : commands())
    if (command.name == name) {
      print(help(command));
      return kDone;
    }
  if (const std::string members = help_of_group(name); !name.empty() && !members.empty())
    return print(members), kDone;
  if (!name.empty())
    return complain("unknown command \"" + name + "\"; try: outrider help", kUsage);
  print(help());
  return kDone;
}

constexpr Command kCommands[] = {
    {.name = "agent",
     .arguments = "",
     .line = "run the agent in the foreground",
     .flags = kConfigFlags,
     .run = run_agent},
    {.name = "run",
     .arguments = "[--] CMD ARG...",
     .line = "run a command, and register it for as long as it runs",
     .flags = kRunFlags,
     .positional_min = 1,
     .rest = true,
     .run = run_beside},
    {.name = "services",
     .arguments = "",
     .line = "list the known services and how many of their instances are healthy",
     .flags = kServicesFlags,
     .run = list_services},
    {.name = "instances",
     .arguments = "[NAME]",
     .line = "list the instances of a service, or all instances",
     .flags = kInstancesFlags,
     .positional_max = 1,
     .run = list_instances},
    {.name = "resolve",
     .arguments = "NAME",
     .line = "select a healthy instance and print its ADDRESS:PORT",
     .flags = kResolveFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = resolve},
    {.name = "watch",
     .arguments = "[NAME]",
     .line = "print changes as they happen",
     .flags = kReadFlags,
     .positional_max = 1,
     .run = watch_changes},
    {.name = "top",
     .arguments = "",
     .line = "show the services live: failing ones first, with reasons; q quits",
     .flags = kReadFlags,
     .run = show_top},
    {.name = "wait",
     .arguments = "NAME...",
     .line = "wait until a service is healthy, or several are at the same time",
     .flags = kWaitFlags,
     .positional_min = 1,
     .positional_max = beside::kNeedsMax,
     .run = wait_for_services},
    {.name = "open",
     .arguments = "NAME",
     .line = "print the best URL of a service, after trying it, and open it in the browser",
     .flags = kOpenFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = open_service},
    {.name = "why",
     .arguments = "NAME",
     .line = "explain what DNS answers for a name, or answered in the past",
     .flags = kWhyFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = explain_name},
    {.name = "history",
     .arguments = "[NAME]",
     .line = "list recent changes, and what DNS answered because of them",
     .flags = kHistoryFlags,
     .positional_max = 1,
     .run = show_history},
    {.name = "status",
     .arguments = "[NAME]",
     .line =
         "show the agent's status, and on a terminal the services registered on this host; with "
         "NAME, that service: state, reason, and the addresses where it has answered",
     .flags = kReadFlags,
     .positional_max = 1,
     .run = print_status},
    {.name = "registries",
     .arguments = "",
     .line = "list the registries beyond the local network: state, keys written, last error",
     .flags = kReadFlags,
     .run = list_registries},
    {.name = "api",
     .arguments = "",
     .line = "list the routes of the agent's API; --json: its OpenAPI document",
     .flags = kReadFlags,
     .run = print_api},
    {.name = "register",
     .arguments = "FILE|-",
     .line = "register the services of a JSON file, and print their ids",
     .flags = kChangeFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = register_services},
    {.name = "deregister",
     .arguments = "ID",
     .line = "remove a registration",
     .flags = kChangeFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = deregister},
    {.name = "pass",
     .arguments = "CHECK [NOTE]",
     .line = "send a TTL check's heartbeat: passing; CHECK: ID, if it has one TTL check, or "
             "service:ID:CHECK",
     .flags = kChangeFlags,
     .positional_min = 1,
     .positional_max = 2,
     .run = send_pass},
    {.name = "warn",
     .arguments = "CHECK [NOTE]",
     .line = "send a TTL check's heartbeat: warning; CHECK: see pass",
     .flags = kChangeFlags,
     .positional_min = 1,
     .positional_max = 2,
     .run = send_warn},
    {.name = "fail",
     .arguments = "CHECK [NOTE]",
     .line = "send a TTL check's heartbeat: critical; CHECK: see pass",
     .flags = kChangeFlags,
     .positional_min = 1,
     .positional_max = 2,
     .run = send_fail},
    {.name = "maintenance",
     .arguments = "ID on|off [REASON]",
     .line = "take an instance out of the answers, or put it back",
     .flags = kChangeFlags,
     .positional_min = 2,
     .positional_max = 3,
     .run = set_maintenance},
    {.name = "drain",
     .arguments = "[ID [on|off]]",
     .line = "take a registration, or all of the agent's, out of the answers before a stop; off: "
             "put it "
             "back",
     .flags = kChangeFlags,
     .positional_max = 2,
     .run = drain},
    {.name = "doctor",
     .arguments = "",
     .line = "diagnose why names do not resolve on this host",
     .flags = kDoctorFlags,
     .run = doctor},
    {.name = "dns install",
     .arguments = "",
     .line = "make this host's resolver ask the agent; shows the change first, tests it afterwards",
     .flags = kDnsFlags,
     .run = dns_install},
    {.name = "dns remove",
     .arguments = "",
     .line = "undo dns install: restore exactly what was there before",
     .flags = kDnsRemoveFlags,
     .run = dns_remove},
    {.name = "dns status",
     .arguments = "",
     .line = "show whether the resolver setup is installed and works",
     .flags = kDnsStatusFlags,
     .run = dns_status},
    {.name = "farp manifest",
     .arguments = "[ID]",
     .line = "print the FARP manifest of a registration",
     .flags = kReadFlags,
     .positional_max = 1,
     .run = farp_manifest},
    {.name = "farp services",
     .arguments = "",
     .line = "list the services that speak FARP, on this host and on the network",
     .flags = kReadFlags,
     .run = farp_services},
    {.name = "farp routes",
     .arguments = "",
     .line = "show the routes that a gateway would build from these services",
     .flags = kRoutesFlags,
     .run = farp_routes},
    {.name = "farp check",
     .arguments = "URL|FILE|-",
     .line = "check a FARP manifest, field by field",
     .flags = kFarpCheckFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = farp_check},
    {.name = "example",
     .arguments = "PROGRAM",
     .line =
         "print a file that works with the agent, for haproxy, caddy, nginx, prometheus or grpc",
     .positional_min = 1,
     .positional_max = 1,
     .run = print_example},
    {.name = "completions",
     .arguments = "bash|zsh|fish",
     .line = "print a shell completion script",
     .positional_min = 1,
     .positional_max = 1,
     .run = completions},
    {.name = "config check",
     .arguments = "",
     .line = "check the configuration",
     .flags = kConfigFlags,
     .run = check_config},
    {.name = "config dump",
     .arguments = "",
     .line = "print the whole configuration, with defaults",
     .flags = kConfigFlags,
     .run = dump_config},
    {.name = "config schema",
     .arguments = "",
     .line = "print the JSON Schema of the configuration",
     .run = print_schema},
    {.name = "version", .arguments = "", .line = "print the version", .run = print_version},
    {.name = "help",
     .arguments = "[COMMAND]",
     .line = "show this help, or the options of a command",
     .positional_max = 2,
     .run = print_help},
};

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

}  // namespace outrider::cli
