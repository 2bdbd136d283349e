// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run/screen.h"

#include <algorithm>

#include "agent/cli/local_time.h"
#include "agent/cli/run/terminal.h"
#include "agent/doors/why.h"
#include "base/log.h"
#include "base/text.h"

namespace outrider::cli::beside {
namespace {

using registry::Health;
using registry::Instance;

/// Instances whose reasons a key shows.
constexpr std::size_t kReasonsShown = 20;

constexpr std::string_view kLeft = "not in the answer: ";

bool has_http_check(const Instance& instance) {
  return std::ranges::any_of(instance.checks, [](const registry::CheckState& check) {
    return std::holds_alternative<registry::HttpCheckSpec>(check.spec.kind) &&
           check.health == CheckHealth::passing;
  });
}

std::string clock_text(WallTime when, WallTime now) {
  const std::string text = local_text(when, now);
  return text.substr(0, text.rfind('.'));
}

bool is_url(const std::string& place) {
  return place.starts_with("http://");
}

}  // namespace

void Screen::follow(Agent& agent, std::string id, Face face) {
  is_terminal_ = face == Face::terminal;
  agent_ = &agent;
  id_ = std::move(id);
  agent.watch([this](const registry::Changes& changes) { on_changes(changes); });
}

void Screen::begin() {
  begun_ = true;
  began_ = env_.now();
  if (is_terminal_) wait_on(kFirstWaiting);
  if (const auto instance = agent_->registry().find_own(id_)) on_health(*instance);
}

void Screen::end() {
  ended_ = true;
  trial_.reset();
  interfaces_.reset();
  waiting_.reset();
  address_pause_.reset();
  name_wait_.reset();
}

void Screen::on_changes(const registry::Changes& changes) {
  if (ended_ || !begun_) return;
  for (const registry::Change& change : changes.list) {
    if (!change.any().own() || change.any().id.text() != id_) continue;
    if (const registry::InstancePtr& kept = change.kept()) on_health(*kept);
  }
}

void Screen::on_health(const Instance& instance) {
  const bool changed = std::exchange(health_, instance.health) != instance.health;
  local_name_ = instance.local_name->name;
  if (!shown_) {
    if (!usable(instance.health) || trial_ || !parts_.write) return;
    if (!awaits_name(instance)) return try_places();
    if (!name_wait_.pending()) name_wait_ = env_.after(kNameTime, [this] { try_places(); });
    return;
  }
  try_new_name();
  if (!changed || !is_terminal_) return;
  const WallTime now = env_.clock.wall();
  const bool good = instance.health == Health::passing;
  parts_.write(write_change(instance.service.text(), to_string(instance.health),
                            clock_text(now, now), good ? std::string() : reason_of(instance)));
}

bool Screen::awaits_name(const Instance& instance) const {
  return instance.local_name->wanted && local_name_.empty() && agent_->lan().announces() &&
         instance.scope == registry::Scope::lan && !agent_->host().addresses.empty();
}

void Screen::try_new_name() {
  if (!local_name_.empty() && local_name_ != tried_name_) try_places();
}

void Screen::wait_on(Duration next) {
  waiting_ = env_.after(began_ + next - env_.now(), [this, next] {
    const auto instance = agent_->registry().find_own(id_);
    if (shown_ || trial_ || !instance || usable(instance->health)) return;
    parts_.write(
        write_waiting(instance->service.text(), env_.now() - began_, reason_of(*instance)));
    wait_on(2 * next);
  });
}

void Screen::try_places() {
  name_wait_.reset();
  const auto instance = agent_->registry().find_own(id_);
  if (!instance) return;
  tried_name_ = instance->local_name->name;
  trial_ =
      std::make_unique<Trial>(env_, plan_for(*instance), parts_.look_up, [this](Places places) {
        const auto over = std::move(trial_);
        show(std::move(places));
      });
}

TrialPlan Screen::plan_for(const Instance& instance) const {
  TrialPlan plan;
  plan.label = instance.service.label();
  plan.dns_name = dns_name(instance);
  const IpAddress here = instance.addresses.empty() ? *IpAddress::parse("127.0.0.1")
                                                    : instance.addresses.front().address;
  plan.here = {here, instance.port};
  plan.speaks_http = has_http_check(instance);
  const std::vector<Endpoint>& web = agent_->config().web.listen;
  if (!web.empty())
    plan.web = web.front().address.is_any() ? Endpoint{*IpAddress::parse("127.0.0.1"), web[0].port}
                                            : web.front();
  if (instance.scope != registry::Scope::lan || instance.exposure->loopback_only) return plan;
  plan.lan_host = instance.local_name->name;
  if (!instance.addresses.empty()) {
    plan.lan = plan.here;
    return plan;
  }
  const std::vector<IpAddress> addresses = agent_->host().addresses;
  if (addresses.empty()) return plan;
  plan.lan = Endpoint{addresses.front(), instance.port};
  return plan;
}

void Screen::show(Places places) {
  const auto instance = agent_->registry().find_own(id_);
  if (!instance) return;
  const Places before = std::exchange(places_, std::move(places));
  const bool is_first = !shown_;
  if (is_first) {
    shown_ = true;
    // Another network, another address: what was shown does not work any more.
    interfaces_ = env_.network.watch_interfaces(
        [this] { address_pause_ = env_.after(kAddressPause, [this] { try_places(); }); });
  }
  Places same_but_name = before;
  same_but_name.lan_name = places_.lan_name;
  const Block block = block_for(*instance);
  if (is_first || places_ != same_but_name)
    parts_.write(is_terminal_ ? write_block(block) : write_plain(block));
  else if (places_ != before && !places_.lan_name.empty())
    parts_.write(is_terminal_ ? write_lan_line(block) : write_plain_name(block));
  try_new_name();  // one that was claimed meanwhile
}

Block Screen::block_for(const Instance& instance) const {
  Block block;
  block.service = instance.service.text();
  block.dns_name = dns_name(instance);
  block.is_installable = parts_.can_be_installed && parts_.can_be_installed(agent_->dns().listen);
  block.health = to_string(instance.health);
  block.pid = parts_.pid();
  block.places = places_;
  block.has_keys = parts_.has_keys && parts_.has_keys();
  const registry::Exposure& exposure = *instance.exposure;
  if (instance.configured_scope == registry::Scope::host)
    block.lan_limit = "--scope host keeps it on this host";
  else if (!exposure.limit.empty())
    block.lan_limit = exposure.limit + "; " + exposure.advice;
  if (instance.checks.empty()) return block;
  const registry::CheckState& check = instance.checks.front();
  const doors::CheckReport report = agent_->check_report(id_, check.spec.id);
  if (report.probes.empty()) return block;
  const doors::ProbeReport& probe = report.probes.front();
  block.check = check_text(kind_name(check.spec), probe.output, probe.latency);
  return block;
}

/// In the words of `why`.
std::string Screen::reason_of(const Instance& instance) const {
  const doors::View view = doors::view_of(*agent_);
  const doors::Findings found = doors::look_for(view, instance.service.label());
  std::string reason;
  for (const auto& line : doors::reasons_for(view, found, kReasonsShown).lines)
    if (line.id == instance.id.text()) reason = line.reason;
  if (reason.starts_with(kLeft)) reason.erase(0, kLeft.size());
  // "critical for 3s, check http: HTTP 503": the line begins with the state and the time.
  const std::string state = to_string(instance.health);
  if (reason == state) reason.clear();
  if (reason.starts_with(state + " for ")) {
    const std::size_t comma = reason.find(", ");
    reason.erase(0, comma == std::string::npos ? comma : comma + 2);
  }
  const registry::Exposure& exposure = *instance.exposure;
  if (!exposure.limit.empty())
    reason += (reason.empty() ? "" : "; ") + exposure.limit + "; " + exposure.advice;
  return reason;
}

std::string Screen::dns_name(const Instance& instance) const {
  const std::vector<std::string> domains = agent_->dns().domains;
  return instance.service.label() + '.' + (domains.empty() ? "svc" : domains.front());
}

void Screen::on_key(char key) {
  if (ended_ || !agent_->registry().find_own(id_)) return;
  Log& log = env_.log;
  switch (lower(key)) {
    case 'w':
      return write_why();
    case 'l':
      log.set_least(log.least() == LogLevel::info ? LogLevel::warning : LogLevel::info);
      return say(log.least() == LogLevel::info ? "the log is on" : "the log is off");
    case 'q':
      return write_code();
    case 'd':
      return toggle_drain();
    case Terminal::kUnread:
      return say("what was typed waits for the program; there are no keys until it reads that");
    default:  // an open set: any letter
      return say("a letter, then Enter: w why, l log, q QR code, d drain; Ctrl-C stops");
  }
}

void Screen::write_why() {
  const auto instance = agent_->registry().find_own(id_);
  const doors::View view = doors::view_of(*agent_);
  const doors::Reasons reasons =
      doors::reasons_for(view, doors::look_for(view, instance->service.label()), kReasonsShown);
  std::vector<std::pair<std::string, std::string>> lines;
  for (const auto& line : reasons.lines)
    lines.emplace_back(line.id, line.reason);
  parts_.write(write_reasons(reasons.summary, lines));
}

/// Of the address, because older phones do not find names in .local.
void Screen::write_code() {
  const std::string url = is_url(places_.lan) ? places_.lan : std::string();
  if (url.empty())
    return say(shown_ ? "no QR code: other devices do not reach the program over HTTP"
                      : "no QR code yet: the program is not healthy");
  const auto code = encode_qr(url);
  if (!code) return say("no QR code: " + escape_untrusted(code.error()));
  parts_.write('\n' + write_qr(*code) + "  " + url + '\n');
}

void Screen::toggle_drain() {
  const auto instance = agent_->registry().find_own(id_);
  (void)agent_->set_draining(id_, !instance->draining);
}

}  // namespace outrider::cli::beside
