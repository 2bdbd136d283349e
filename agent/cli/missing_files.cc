// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/missing_files.h"

#include <cerrno>
#include <cstring>

#include <unistd.h>

namespace outrider::cli {
namespace {

void look_at(const std::string& path, std::string_view key, const std::string& file,
             std::vector<std::string>& out) {
  if (file.empty() || ::access(file.c_str(), R_OK) == 0) return;
  out.push_back(registry::join_path(path, key) + ": " + file + ": " + std::strerror(errno));
}

void look_at_tls(const std::string& path, const TlsOptions& tls, std::vector<std::string>& out) {
  look_at(path, "ca", tls.ca_file, out);
  look_at(path, "cert", tls.cert_file, out);
  look_at(path, "key", tls.key_file, out);
}

}  // namespace

std::vector<std::string> missing_files(const Config& config) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < config.services.size(); ++i) {
    const registry::ServiceSpec& service = config.services[i];
    const std::string path = registry::join_path("services", i);
    for (std::size_t j = 0; j < service.checks.size(); ++j)
      if (const TlsOptions* tls = tls_of(service.checks[j].kind))
        look_at_tls(registry::join_path(path + ".checks", j) + ".tls", *tls, out);
    const std::pair<const char*, const std::string*> documents[] = {
        {"openapi", &service.farp->openapi},
        {"asyncapi", &service.farp->asyncapi},
        {"graphql", &service.farp->graphql}};
    for (const auto& [key, document] : documents)
      if (registry::FarpSpec::is_file(*document))
        look_at(path + ".farp", key, document->substr(std::string_view("file:").size()), out);
  }
  for (std::size_t i = 0; i < config.registries.size(); ++i) {
    const auto& options = config.registries[i].options;
    const std::string path = registry::join_path("registries", i);
    if (const auto* etcd = std::get_if<registries::etcd::Options>(&options))
      look_at(path + ".etcd", "password_file", etcd->password_file, out);
    if (const auto* consul = std::get_if<registries::consul::Options>(&options))
      look_at(path + ".consul", "token_file", consul->token_file, out);
  }
  return out;
}

}  // namespace outrider::cli
