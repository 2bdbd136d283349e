// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/session.h"

#include "agent/cli/output.h"
#include "base/log.h"
#include "base/text.h"

namespace outrider::cli::beside {

Session::Session(RealWorld& world, SessionPlan plan, Screen& screen, Write write)
    : world_(world), plan_(std::move(plan)), screen_(screen), write_(std::move(write)) {}

void Session::start(Supervisor& supervisor, Program& program) {
  supervisor_ = &supervisor;
  program_ = &program;
  if (plan_.needs.empty()) return look_for_page();
  waiting_ = true;
  limit_ = world_.env().after(plan_.need_time, [this] {
    complain_of_needs(beside::look_for_needs(doors::view_of(supervisor_->agent()), plan_.needs));
  });
  // Not in the middle of a change.
  supervisor.agent().watch([this](const registry::Changes&) {
    if (waiting_) pause_ = world_.env().after(Duration::zero(), [this] { look_for_needs(); });
  });
  pause_ = world_.env().after(Duration::zero(), [this] { look_for_needs(); });
}

void Session::end() {
  waiting_ = false;
  limit_.reset();
  pause_.reset();
  page_.reset();
  screen_.end();
}

void Session::look_for_needs() {
  if (!waiting_ || program_->is_stopping()) return;
  NeedsNow now = beside::look_for_needs(doors::view_of(supervisor_->agent()), plan_.needs);
  if (now.missing.empty()) {
    waiting_ = false;
    limit_.reset();
    found_ = std::move(now.found);
    return look_for_page();
  }
  const std::string names = join(now.missing, ", ", &NeedsNow::Missing::name);
  if (names == said_) return;
  said_ = names;
  std::string text = "outrider: waiting for " + escape_untrusted(names);
  if (now.missing.size() == 1) text += ": " + escape_untrusted(now.missing[0].why);
  if (write_) write_(text + '\n');
}

void Session::complain_of_needs(const NeedsNow& now) {
  waiting_ = false;
  if (program_->is_stopping()) return;
  bool known = true;
  for (const NeedsNow::Missing& missing : now.missing) {
    known = known && missing.known;
    complain("--need " + missing.name + ": not there after " + format_duration(plan_.need_time) +
                 ": " + missing.why,
             kFailed);
  }
  program_->give_up(known ? kFailed : kNotFound);
}

void Session::look_for_page() {
  const std::vector<Endpoint>& web = supervisor_->agent().config().web.listen;
  if (web.empty() || web.front().address.is_any()) return start_program(false);
  page_ = beside::look_for_page(world_.env(), web.front(), kPageTime,
                                [this](bool found) { start_program(found); });
}

void Session::start_program(bool has_page) {
  if (program_->is_stopping()) return;
  Agent& agent = supervisor_->agent();
  // Registered only now: clients do not wait for a program that waits itself.
  if (!plan_.needs.empty())
    if (const auto put = agent.put(plan_.spec); !put) {
      complain("cannot register " + plan_.spec.name.text() + ": " + to_string(put.error()),
               kFailed);
      return program_->give_up(kFailed);
    }
  if (program_->start(plan_.words, environment(has_page))) screen_.begin();
}

std::vector<std::string> Session::environment(bool has_page) const {
  const std::string port = std::to_string(plan_.spec.port);
  const Endpoint own{
      plan_.spec.addresses.empty() ? *IpAddress::parse("127.0.0.1") : plan_.spec.addresses.front(),
      plan_.spec.port};
  std::string url = "http://" + own.to_string();
  if (has_page)
    url = "http://" + plan_.spec.name.label() +
          ".localhost:" + std::to_string(supervisor_->agent().config().web.listen.front().port);
  std::vector<std::string> variables = variables_of(found_);
  variables.push_back("PORT=" + port);
  variables.push_back("OUTRIDER_NAME=" + plan_.spec.name.text());
  variables.push_back("OUTRIDER_URL=" + url);
  if (const std::string socket = supervisor_->socket(); !socket.empty())
    variables.push_back("OUTRIDER_SOCKET=" + socket);
  return variables;
}

}  // namespace outrider::cli::beside
