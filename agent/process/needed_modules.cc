// SPDX-License-Identifier: Apache-2.0
#include "agent/process/needed_modules.h"

#include <string>
#include <utility>

#include "base/curl/curl.h"
#include "base/text_file.h"
#include "probes/curl_probe.h"

namespace outrider {

std::optional<ConfigError> missing_module(const Config& config) {
  for (std::size_t i = 0; i < config.services.size(); ++i) {
    const auto& checks = config.services[i].checks;
    for (std::size_t j = 0; j < checks.size(); ++j) {
      std::string why;
      if (!needs_module(checks[j].kind) || curl::have_module(probes::kCurlChecks, &why)) continue;
      const std::string at = registry::join_path(registry::join_path("services", i) + ".checks", j);
      return ConfigError{
          "", 0, 0, {registry::join_path(at, facts_of(checks[j].kind).name), why, ""}};
    }
  }
  return std::nullopt;
}

std::optional<ConfigError> unusable_tls(const Config& config) {
  for (std::size_t i = 0; i < config.registries.size(); ++i) {
    const RegistryConfig& registry = config.registries[i];
    const TlsOptions tls = registry.tls();
    if (!tls.on) continue;
    const bool is_etcd = registry.source() == registry::Source::etcd;
    const std::string path = registry::join_path("registries", i) + (is_etcd ? ".etcd" : ".consul");
    std::string why;
    if (!curl::have_module(curl::kTlsRegistries, &why))
      return ConfigError{"", 0, 0, {path + (is_etcd ? ".endpoints" : ".address"), why, ""}};
    const std::pair<const char*, const std::string*> files[] = {
        {"ca_file", &tls.ca_file}, {"cert_file", &tls.cert_file}, {"key_file", &tls.key_file}};
    for (const auto& [key, file] : files)
      if (!file->empty())
        if (const auto text = load_text_file(*file); !text)
          return ConfigError{"", 0, 0, {path + ".tls." + key, *file + ": " + text.error(), ""}};
  }
  return std::nullopt;
}

}  // namespace outrider
