// SPDX-License-Identifier: Apache-2.0
// The table of commands.
#include "agent/cli/commands.h"

#include <cstdio>

#include "agent/cli/agent_commands.h"
#include "agent/cli/host_commands.h"
#include "agent/config/config.h"
#include "agent/process/real_world.h"

namespace outrider::cli {
namespace {

constexpr Flag kConfig = {"config", "FILE|DIR", "configuration; a directory's *.json in name order",
                          true};
constexpr Flag kSet = {"set", "KEY=VALUE", "one option, such as dns.ttl=10s", true};

constexpr Flag kConfigFlags[] = {kConfig, kSet};
constexpr Flag kRunFlags[] = {
    {"name", "NAME", "the service; absent: the command's name"},
    {"id", "ID", "this instance; absent: from service, host name and port"},
    {"port", "PORT", "what CMD listens on; absent: a free one, told in $PORT"},
    {"address", "ADDRESS", "what CMD listens on; absent: every address"},
    {"health", "PATH", "HTTP path to probe; absent: the port is connected to"},
    {"openapi", "PATH", "path of the OpenAPI document, for gateways"},
    {"tag", "TAG", "a tag of the service", true},
    kConfig,
    kSet,
};

int check_config(const Arguments& arguments) {
  const auto config = load_config(arguments.all("config"), arguments.all("set"));
  if (!config) return kUsage;
  std::printf("ok: %zu services\n", config->services.size());
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
      std::fputs(help(command).c_str(), stdout);
      return kDone;
    }
  std::fputs(help().c_str(), stdout);
  return name.empty() ? kDone : kUsage;
}

constexpr Command kCommands[] = {
    {.name = "agent",
     .arguments = "",
     .line = "the sidecar, in the foreground",
     .flags = kConfigFlags,
     .run = run_agent},
    {.name = "run",
     .arguments = "[--] CMD ARG...",
     .line = "starts CMD, registers it, stops with it",
     .flags = kRunFlags,
     .positional_min = 1,
     .rest = true,
     .run = run_beside},
    {.name = "services",
     .arguments = "",
     .line = "every service that is known here, with how many are healthy",
     .flags = kServicesFlags,
     .run = list_services},
    {.name = "instances",
     .arguments = "[NAME]",
     .line = "the instances of a service, or all",
     .flags = kInstancesFlags,
     .positional_max = 1,
     .run = list_instances},
    {.name = "resolve",
     .arguments = "NAME",
     .line = "picks one healthy instance and prints ADDRESS:PORT",
     .flags = kResolveFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = resolve},
    {.name = "watch",
     .arguments = "[NAME]",
     .line = "prints changes as they come",
     .flags = kAskFlags,
     .positional_max = 1,
     .run = watch},
    {.name = "why",
     .arguments = "NAME",
     .line = "what DNS answers for a name, and why",
     .flags = kAskFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = why},
    {.name = "status",
     .arguments = "",
     .line = "how the agent is",
     .flags = kAskFlags,
     .run = status},
    {.name = "register",
     .arguments = "FILE|-",
     .line = "registers the service, or services, of a JSON file",
     .flags = kTellFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = register_services},
    {.name = "deregister",
     .arguments = "ID",
     .line = "takes an instance out for good",
     .flags = kTellFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = deregister},
    {.name = "pass",
     .arguments = "CHECK [NOTE]",
     .line = "heartbeat of a TTL check: all is well",
     .flags = kTellFlags,
     .positional_min = 1,
     .positional_max = 2,
     .run = pass},
    {.name = "warn",
     .arguments = "CHECK [NOTE]",
     .line = "heartbeat of a TTL check: works, but not well",
     .flags = kTellFlags,
     .positional_min = 1,
     .positional_max = 2,
     .run = warn},
    {.name = "fail",
     .arguments = "CHECK [NOTE]",
     .line = "heartbeat of a TTL check: does not work",
     .flags = kTellFlags,
     .positional_min = 1,
     .positional_max = 2,
     .run = fail},
    {.name = "maintenance",
     .arguments = "ID on|off [REASON]",
     .line = "takes an instance out of the answers for a while",
     .flags = kTellFlags,
     .positional_min = 2,
     .positional_max = 3,
     .run = maintenance},
    {.name = "drain",
     .arguments = "[ID]",
     .line = "takes an instance, or all of this agent, out of the answers before a stop",
     .flags = kTellFlags,
     .positional_max = 1,
     .run = drain},
    {.name = "doctor",
     .arguments = "",
     .line = "what stands between programs and answers on this host, and what to do",
     .flags = kDoctorFlags,
     .run = doctor},
    {.name = "dns install",
     .arguments = "",
     .line = "makes this host's resolver ask the agent; shows the change and tests it",
     .flags = kDnsFlags,
     .run = dns_install},
    {.name = "dns remove",
     .arguments = "",
     .line = "puts back exactly what was there before",
     .flags = kDnsRemoveFlags,
     .run = dns_remove},
    {.name = "dns status",
     .arguments = "",
     .line = "whether that is installed, and whether names are found",
     .flags = kDnsStatusFlags,
     .run = dns_status},
    {.name = "farp manifest",
     .arguments = "[ID]",
     .line = "the FARP manifest of a registration",
     .flags = kAskFlags,
     .positional_max = 1,
     .run = farp_manifest},
    {.name = "farp services",
     .arguments = "",
     .line = "the services that speak FARP, here and on the network",
     .flags = kAskFlags,
     .run = farp_services},
    {.name = "farp routes",
     .arguments = "",
     .line = "the route table that a gateway would build from them",
     .flags = kRoutesFlags,
     .run = farp_routes},
    {.name = "farp check",
     .arguments = "URL|FILE|-",
     .line = "says what is wrong with a manifest, field by field",
     .flags = kFarpCheckFlags,
     .positional_min = 1,
     .positional_max = 1,
     .run = farp_check},
    {.name = "completions",
     .arguments = "bash|zsh|fish",
     .line = "prints a script that completes command lines",
     .positional_min = 1,
     .positional_max = 1,
     .run = completions},
    {.name = "config check",
     .arguments = "",
     .line = "says whether the configuration is right",
     .flags = kConfigFlags,
     .run = check_config},
    {.name = "config dump",
     .arguments = "",
     .line = "prints it whole, with defaults",
     .flags = kConfigFlags,
     .run = dump_config},
    {.name = "config schema",
     .arguments = "",
     .line = "prints its JSON Schema",
     .run = print_schema},
    {.name = "version", .arguments = "", .line = "prints the version", .run = print_version},
    {.name = "help",
     .arguments = "[COMMAND]",
     .line = "prints this, or the options of one",
     .positional_max = 2,
     .run = print_help},
};

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

}  // namespace outrider::cli
