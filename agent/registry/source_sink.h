// SPDX-License-Identifier: Apache-2.0
// What every source of instances that others registered reports, in the registry's terms: the local
// link (Lan) and the engines (Engines). Agent receives it.
//
// Calls come from the loop, after the source's start() has returned. The agent puts the report into
// the registry before the call returns; DNS and the other readers follow at the end of the turn of
// the loop, mere refreshes within a second. A callback does not destroy the source.
#pragma once

#include <string>

#include "agent/registry/registry.h"

namespace outrider {

class SourceSink {
 public:
  /// An instance is new at this place, has changed, or was refreshed.
  virtual void on_seen(registry::Sighting sighting) = 0;
  /// The instance has left this place. Unknown places are ignored.
  virtual void on_gone(const std::string& place_key) = 0;
  /// The source lost its connection to this place and does not know whether the instance is still
  /// there. The registry serves it for the time that `how` gives, unless it is seen again.
  virtual void on_stale(const std::string& place_key, const registry::StaleFor& how) = 0;
  /// is_settled() of the source may have changed.
  virtual void on_source_state() = 0;

 protected:
  ~SourceSink() = default;
};

}  // namespace outrider
