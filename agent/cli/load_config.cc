// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/load_config.h"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include "agent/process/needed_modules.h"
#include "agent/registry/target.h"
#include "base/reach.h"
#include "base/uv/inherited.h"
#include "base/uv/netlink.h"

namespace outrider::cli {
namespace {

Variables environment() {
  Variables variables;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos)
      variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

}  // namespace

std::optional<std::string> unreachable_check(const Config& config) {
  const std::vector<IpAddress> own = own_addresses(uv::read_interfaces());
  for (std::size_t i = 0; i < config.services.size(); ++i)
    if (auto why = registry::unreachable_check(config.services[i], own))
      return registry::join_path("services", i) + ": " + *why;
  return std::nullopt;
}

Result<Config, std::string> read_whole_config(const std::vector<std::string>& paths,
                                              const std::vector<std::string>& sets) {
  auto config = read_whole_config(paths, sets, environment());
  if (!config) return config;
  // Sockets that a service manager has bound for the agent are meant to be served.
  for (const Endpoint& address : uv::InheritedSockets::of_process().datagram_addresses())
    if (std::ranges::find(config->dns.listen, address) == config->dns.listen.end())
      config->dns.listen.push_back(address);
  return config;
}

Result<Config, std::string> read_whole_config(const std::vector<std::string>& paths,
                                              const std::vector<std::string>& sets,
                                              Variables variables) {
  auto files = read_config_files(paths);
  if (!files) return failure(files.error().to_string());
  auto config =
      make_config({.files = std::move(*files), .environment = std::move(variables), .sets = sets});
  if (!config) return failure(config.error().to_string());
  if (const auto missing = missing_module(*config)) return failure(missing->to_string());
  if (const auto unusable = unusable_tls(*config)) return failure(unusable->to_string());
  return std::move(*config);
}

std::optional<Config> load_config(const std::vector<std::string>& paths,
                                  const std::vector<std::string>& sets) {
  auto config = read_whole_config(paths, sets);
  if (config) return std::move(*config);
  std::fprintf(stderr, "outrider: %s\n", config.error().c_str());
  return std::nullopt;
}

}  // namespace outrider::cli
