// SPDX-License-Identifier: Apache-2.0
// What the registry was like at any moment of the recent past, for `why --at` and `history`. Pure.
//
//   Agent::spread ▸ add ▸ entries ▸ (beyond the limit the oldest goes)
//   Agent ▸ see ▸ the same, for what is not in the registry: addresses of this host, DNS sockets
//   history_line.h, the same as lines of text  (file ▸ replay, forget, see)
//   place_at(time) ▸ past(place) ▸ a Registry to read ▸ who is served, zone, why, as for the
//   present
//
// The entries are an undo log. Each holds what its change has replaced, so that the state at a
// moment is the present one with all later entries undone. What never changes costs nothing, and
// when the oldest entry goes, the history begins later and stays exact.
//
// An instance of the past is a frame (an instance as the registry had it) and what differs from it:
// health, checks, flags. A flapping check costs a few hundred octets a change.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/registry/host_view.h"
#include "agent/registry/name_grammar.h"
#include "agent/registry/registry.h"

namespace outrider::registry {

/// Memory of a history, as far as it is allocated for it: entries with their texts, and the
/// instances that it keeps.
inline constexpr std::size_t kHistoryBytesMax = 1U << 20;
/// Octets of a check's output that are remembered. An extended error has fewer.
inline constexpr std::size_t kPastOutputBytesMax = 512;

/// What DNS answers depend on besides the registry.
struct Surroundings {
  HostView host;
  std::vector<std::string> listen;  // addresses that DNS is bound to
  bool operator==(const Surroundings&) const = default;
};

class History {
 public:
  explicit History(std::size_t bytes_max = kHistoryBytesMax);
  ~History();
  History(const History&) = delete;

  /// Nothing is known of the time before this. Forgets what was added earlier.
  void begin(Surroundings surroundings, Moment now);
  /// `changes` are in DNS from `now` on. `registry` is the one that made them.
  void add(const Changes& changes, const Registry& registry, Moment now);
  /// Notes the surroundings, if they differ from before.
  void see(const Surroundings& surroundings, Moment now);

  /// A moment between two changes: the number of the entry that comes next.
  using Place = std::uint64_t;
  Place oldest() const;
  Place newest() const;
  /// Nothing for times before since().
  std::optional<Place> place_at(WallTime when) const;
  /// From when on everything is known.
  WallTime since() const;
  /// The same if the history began at `place`.
  WallTime since(Place place) const;

  struct Past {
    Registry registry;
    Surroundings surroundings;
  };
  /// The registry as it was. `now` is the present one. `labels` are the services to look at;
  /// without it, all.
  Past past(Place place, const Registry& now,
            const std::optional<std::vector<std::string>>& labels) const;

  struct Event {
    WallTime at{};
    std::string label;          // of the service; empty: the surroundings changed
    InstancePtr before, after;  // both null: the name was forgotten
    std::string note_before;    // as in Change
    std::string note_after;     // if this took the last instance
    bool known_before = true;
  };
  /// What happened between `place` and the next one; oldest() <= place < newest().
  Event event(Place place) const;
  const std::string& label(Place place) const;
  /// Whether a name with this meaning has, before or after the event at `place`, the instance that
  /// changed. True if the service was forgotten.
  bool concerns(Place place, const NameMeaning& meaning) const;
  Surroundings surroundings_after(Place place) const;

  // For history_line.h, which plays what an earlier run has written.
  void replay(const Change& change, std::string note_after, WallTime at);
  /// The name was remembered, with this note, and is no longer.
  void forget(const std::string& label, std::string note_before, WallTime at);

  std::size_t bytes() const;
  std::size_t entries() const;

 private:
  struct Store;
  std::unique_ptr<Store> store_;
};

}  // namespace outrider::registry
