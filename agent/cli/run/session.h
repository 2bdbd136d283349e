// SPDX-License-Identifier: Apache-2.0
// The beginning of `outrider run`, in steps that the loop carries out:
//
//   the agent has started ▸ the services of --need are there ▸ is an agent's page at web.listen? ▸
//   the program starts ▸ Screen
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/cli/run/needs.h"
#include "agent/cli/run/program.h"
#include "agent/cli/run/screen.h"

namespace outrider::cli::beside {

/// The default of --timeout.
inline constexpr Duration kNeedTime = std::chrono::seconds(60);
/// How long an agent's page may take to answer before the program starts without its bridge.
inline constexpr Duration kPageTime = std::chrono::milliseconds(500);

struct SessionPlan {
  std::vector<std::string> words;  // of the program
  registry::ServiceSpec spec;
  std::vector<std::string> needs;
  Duration need_time = kNeedTime;
};

class Session {
 public:
  using Write = std::function<void(std::string_view)>;

  /// `world` and `screen` outlive it.
  Session(RealWorld& world, SessionPlan plan, Screen& screen, Write write);
  Session(const Session&) = delete;

  /// Outlives the supervisor, whose agent has started.
  void start(Supervisor& supervisor, Program& program);
  /// What has been started is at its end.
  void end();

 private:
  void look_for_needs();
  void complain_of_needs(const NeedsNow& now);
  void look_for_page();
  void start_program(bool has_page);
  std::vector<std::string> environment(bool has_page) const;

  RealWorld& world_;
  SessionPlan plan_;
  Screen& screen_;
  Write write_;
  Supervisor* supervisor_ = nullptr;
  Program* program_ = nullptr;
  std::vector<FoundNeed> found_;
  std::string said_;  // of the needs
  bool waiting_ = false;
  Timer limit_, pause_;
  std::unique_ptr<Pending> page_;
};

}  // namespace outrider::cli::beside
