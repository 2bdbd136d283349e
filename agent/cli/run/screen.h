// SPDX-License-Identifier: Apache-2.0
// What a person sees of `outrider run`: while the program starts, what is waited for; once it is
// healthy, where it is reached; from then on each change of its health with the reason, in the
// words of `why`. Without a terminal, one line says where it is reached; the log has the rest.
//
//   Agent::watch ▸ on_changes ▸ (first passing) Trial ▸ write_block
//                             ▸ (later) write_change
//   Terminal ▸ on_key ▸ reasons, log, QR code, drain
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/agent.h"
#include "agent/cli/run/trial.h"

namespace outrider::cli::beside {

/// What is waited for is written after this, and then each time that twice as much has passed.
inline constexpr Duration kFirstWaiting = std::chrono::seconds(2);
/// After a change of the host's addresses, until they are tried.
inline constexpr Duration kAddressPause = std::chrono::seconds(1);
/// How long the block waits for the name in .local, which is claimed within 1 s unless another host
/// has it. A later one is shown by itself.
inline constexpr Duration kNameTime = std::chrono::milliseconds(1'500);

class Screen {
 public:
  struct Parts {
    std::function<void(std::string_view)> write;  // empty: nothing is written
    std::function<std::int64_t()> pid;            // of the program; 0: it does not run
    LookUp look_up;                               // optional
    std::function<bool()> has_keys;               // optional
    /// Whether `outrider dns install` works with an agent that listens there; optional.
    std::function<bool(const std::vector<std::string>&)> can_be_installed;
  };

  Screen(Env& env, Parts parts) : env_(env), parts_(std::move(parts)) {}
  Screen(const Screen&) = delete;

  /// Outlives the agent, which calls it for its lifetime. `id` is that of the registration.
  enum class Face : std::uint8_t { plain, terminal };
  void follow(Agent& agent, std::string id, Face face);
  /// The program has been started.
  void begin();
  /// The program or the agent ends.
  void end();
  void on_key(char key);
  const Places& places() const { return places_; }

 private:
  void on_changes(const registry::Changes& changes);
  void on_health(const registry::Instance& instance);
  bool awaits_name(const registry::Instance& instance) const;
  void try_new_name();
  void wait_on(Duration next);
  void try_places();
  void show(Places places);
  TrialPlan plan_for(const registry::Instance& instance) const;
  Block block_for(const registry::Instance& instance) const;
  std::string reason_of(const registry::Instance& instance) const;
  std::string dns_name(const registry::Instance& instance) const;
  void write_why();
  void write_code();
  void toggle_drain();
  void say(const std::string& line) { parts_.write("  " + line + '\n'); }

  Env& env_;
  Parts parts_;
  Agent* agent_ = nullptr;
  std::string id_;
  TimePoint began_{};
  bool is_terminal_ = false;
  bool begun_ = false, ended_ = false;
  bool shown_ = false;  // the block has been
  registry::Health health_ = registry::Health::starting;
  Places places_;
  std::string local_name_;  // of the registration, and as it was when the places were tried
  std::string tried_name_;
  std::unique_ptr<Trial> trial_;
  std::unique_ptr<Pending> interfaces_;
  Timer waiting_, address_pause_, name_wait_;
};

}  // namespace outrider::cli::beside
