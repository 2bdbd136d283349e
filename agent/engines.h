// SPDX-License-Identifier: Apache-2.0
// The sources of instances beyond the link: translates between the registry and the engines of
// registries/, which know neither it nor each other.
//
//   registries::Engine ▸ on_listed, on_sighting, on_lost, on_state ▸ SourceSink ▸ Registry
//
// When a place is behind, its entries become stale and the registry serves them for kStaleGrace;
// those that were leaving are gone at once.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/registry/source_sink.h"
#include "base/env.h"
#include "registries/engine.h"

namespace outrider {

class Engines final : registries::Engine::Sink {
 public:
  /// `sink` outlives it.
  Engines(Env& env, SourceSink& sink) : env_(env), sink_(sink) {}

  /// Before start().
  void add(std::unique_ptr<registries::Engine> engine) { engines_.push_back(std::move(engine)); }
  void start();
  /// Closes all at once. What they reported stays in the registry.
  void close() { engines_.clear(); }
  /// Members of an open object.
  void write_status(json::Writer& out) const;

 private:
  void on_listed(const std::string& place, std::vector<registries::Entry> entries) override;
  void on_sighting(registries::Entry entry) override;
  void on_lost(const std::string& place, const std::string& key) override;
  void on_state(const std::string& place, registries::PlaceState state,
                const std::string& reason) override;

  /// Whether an entry was on its way out when its place was heard last.
  using Keys = std::map<std::string, bool>;

  Env& env_;
  SourceSink& sink_;
  std::vector<std::unique_ptr<registries::Engine>> engines_;
  std::map<std::string, Keys> places_;
};

}  // namespace outrider
