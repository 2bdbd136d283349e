// SPDX-License-Identifier: Apache-2.0
#include "agent/exposure_watch.h"

#include "agent/registry/exposure.h"

namespace outrider {
namespace {

bool serves(CheckHealth health) {
  return health == CheckHealth::passing || health == CheckHealth::warning;
}

}  // namespace

registry::Exposure ExposureWatch::of(const registry::ServiceSpec& spec) const {
  if (!parts_.listeners || spec.port == 0 || !spec.addresses.empty()) return {};
  const auto listeners = parts_.listeners();
  return listeners ? registry::exposure_of(spec.port, spec.scope, *listeners)
                   : registry::Exposure();
}

std::optional<registry::Exposure> ExposureWatch::look(const registry::Instance& instance) const {
  if (!parts_.listeners || instance.port == 0 || !instance.addresses.empty()) return std::nullopt;
  const auto listeners = parts_.listeners();
  if (!listeners) return std::nullopt;
  return registry::exposure_of(instance.port, instance.configured_scope, *listeners);
}

std::optional<registry::Exposure> ExposureWatch::on_verdict(const registry::Instance& instance,
                                                            const std::string& check_id,
                                                            CheckHealth health) const {
  if (!serves(health)) return std::nullopt;
  for (const registry::CheckState& check : instance.checks)
    if (check.spec.id == check_id && check.health == health) return std::nullopt;
  return look(instance);
}

std::optional<registry::Exposure> ExposureWatch::on_passed(
    const registry::Instance& instance) const {
  if (*instance.exposure == registry::Exposure()) return std::nullopt;
  return look(instance);
}

std::optional<registry::Exposure> ExposureWatch::on_refused(const registry::Instance& instance) {
  if (instance.port == 0 || instance.served()) return std::nullopt;
  const Sockets& sockets = recent_sockets();
  if (sockets.listeners && instance.addresses.empty()) {
    registry::Exposure apart = registry::exposure_apart(instance.port, *sockets.listeners);
    if (!apart.limit.empty()) return apart;
  }
  if (sockets.program_ports.empty()) return std::nullopt;
  return registry::exposure_elsewhere(instance.port, sockets.program_ports);
}

const ExposureWatch::Sockets& ExposureWatch::recent_sockets() {
  if (sockets_ && env_.now() - sockets_->at < kProgramPortsPace) return *sockets_;
  Sockets& sockets = sockets_.emplace();
  sockets.at = env_.now();
  if (parts_.listeners) sockets.listeners = parts_.listeners();
  if (parts_.program_ports) sockets.program_ports = parts_.program_ports();
  return sockets;
}

}  // namespace outrider
