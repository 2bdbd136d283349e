// SPDX-License-Identifier: Apache-2.0
// Asks the kernel where the programs of registrations listen: before they are announced, at each
// change to a verdict that serves them, and, while something is wrong, with each of their probes.
// Nothing is polled; what it costs is one netlink dump for each question.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "agent/registry/registry.h"
#include "base/env.h"

namespace outrider {

/// While programs refuse connections, the kernel is asked this often at most; what it answers is
/// used for all of them.
inline constexpr Duration kProgramPortsPace = std::chrono::milliseconds(500);

struct ExposureParts {
  /// TCP sockets of this host that listen; nothing when the kernel does not tell. Empty: not asked.
  std::function<std::optional<std::vector<Endpoint>>()> listeners;
  /// TCP ports on which the programs that this process has started listen, in order.
  std::function<std::vector<std::uint16_t>()> program_ports;
};

class ExposureWatch {
 public:
  ExposureWatch(Env& env, ExposureParts parts) : env_(env), parts_(std::move(parts)) {}

  /// For a registration that is about to be made.
  registry::Exposure of(const registry::ServiceSpec& spec) const;
  /// A check is about to have this verdict. Nothing: the kernel need not be asked.
  std::optional<registry::Exposure> on_verdict(const registry::Instance& instance,
                                               const std::string& check_id,
                                               CheckHealth health) const;
  /// A probe passed.
  std::optional<registry::Exposure> on_passed(const registry::Instance& instance) const;
  /// A probe found no listener.
  std::optional<registry::Exposure> on_refused(const registry::Instance& instance);

 private:
  /// What the kernel said of all programs.
  struct Sockets {
    TimePoint at;
    std::optional<std::vector<Endpoint>> listeners;
    std::vector<std::uint16_t> program_ports;
  };
  std::optional<registry::Exposure> look(const registry::Instance& instance) const;
  const Sockets& recent_sockets();

  Env& env_;
  ExposureParts parts_;
  std::optional<Sockets> sockets_;
};

}  // namespace outrider
