// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "tests/sim/kernel.h"

namespace outrider::sim {
namespace {

// Not zero, so that nobody takes a default TimePoint for "now".
constexpr TimePoint kStart = TimePoint{} + 1h;
// 2026-01-31T09:30:00Z
constexpr WallTime kWallStart{Duration(1'769'851'800s)};

std::string event_of(const std::string& line) {
  const std::size_t from = line.find(' ') + 1;
  return line.substr(from, line.find(' ', from) - from);
}

}  // namespace

// --- log ---------------------------------------------------------------------------------------

void CapturedLog::write(LogEvent event, Fields fields) {
  if (lines_.size() == kLogLinesMax)
    lines_.erase(lines_.begin(), lines_.begin() + kLogLinesMax / 2);
  std::string line = to_string(spec_of(event).level);
  line.append(" ").append(spec_of(event).name);
  for (const LogField& field : fields)
    line.append(" ").append(field.key).append("=").append(escape_untrusted(field.value));
  lines_.push_back(std::move(line));
}

std::size_t CapturedLog::count(std::string_view event) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(lines_, [&](const auto& line) { return event_of(line) == event; }));
}

std::string CapturedLog::last(std::string_view event) const {
  for (auto line = lines_.rbegin(); line != lines_.rend(); ++line)
    if (event_of(*line) == event) return *line;
  return {};
}

// --- host: time ----------------------------------------------------------------------------------

TimePoint Host::now() const {
  return (asleep_ ? asleep_since_ : world_.now()) - suspended_;
}

WallTime Host::HostClock::wall() const {
  return host_.world_.wall() + host_.wall_step_;
}

void Host::sleep() {
  if (asleep_) return;
  asleep_ = true;
  asleep_since_ = world_.now();
}

void Host::wake() {
  if (!asleep_) return;
  suspended_ += world_.now() - asleep_since_;
  asleep_ = false;
  kernel_->changed();
  go_on();
}

void Host::go_on() {
  asleep_ = false;
  std::vector<Callback<void()>> events = std::exchange(kernel_->asleep_events, {});
  for (Callback<void()>& event : events)
    kernel_->schedule({}, std::move(event));
}

// --- world -----------------------------------------------------------------------------------

World::World(std::uint64_t seed) : seed_(seed), now_(kStart), random_(seed) {}

World::~World() {
  const std::string left = leftovers();
  if (left.empty()) return;
  std::fprintf(stderr, "left over at the end of the simulated world:\n%s", left.c_str());
  std::abort();
}

WallTime World::wall() const {
  return kWallStart + (now_ - kStart);
}

Host& World::host(std::string_view name) {
  for (const auto& host : hosts_)
    if (host->name() == name) return *host;
  // A seed of its own: another host in the world does not change what this one draws.
  SeededRandom mixer(seed_ * 1'000'003 + hosts_.size());
  hosts_.push_back(std::make_unique<Host>(*this, std::string(name), mixer.u64()));
  return *hosts_.back();
}

Link& World::link(std::string_view name) {
  for (const auto& link : links_)
    if (link->name() == name) return *link;
  links_.push_back(std::make_unique<Link>(*this, std::string(name)));
  return *links_.back();
}

void World::schedule(Duration delay, Callback<void()> event) {
  wire_.emplace(std::pair(now_ + delay, sequence_++), std::move(event));
}

Host* World::owner_of(const IpAddress& address) {
  if (address.is_link_local() || address.is_loopback()) return nullptr;
  for (const auto& host : hosts_)
    if (host->kernel().nic_of(address) != nullptr) return host.get();
  return nullptr;
}

std::optional<TimePoint> World::next_event() const {
  std::optional<TimePoint> next;
  if (!wire_.empty()) next = wire_.begin()->first.first;
  for (const auto& host : hosts_) {
    if (host->asleep_) continue;
    const auto due = host->timers_.next_due();
    if (due && (!next || *due + host->suspended_ < *next)) next = *due + host->suspended_;
  }
  return next;
}

void World::turn() {
  for (std::size_t i = 0; i < hosts_.size(); ++i)
    if (!hosts_[i]->asleep_) hosts_[i]->timers_.run_due(hosts_[i]->now());

  // What these events schedule for this very instant waits for the next turn.
  const std::uint64_t scheduled_before = sequence_;
  while (!wire_.empty()) {
    const auto first = wire_.begin();
    if (first->first.first > now_ || first->first.second >= scheduled_before) break;
    Callback<void()> event = std::move(first->second);
    wire_.erase(first);
    event();
  }
}

bool World::step_until(TimePoint end, const std::function<bool()>& stop) {
  std::size_t at_this_instant = 0;
  for (std::size_t turns = 0; !stop(); ++turns) {
    const auto next = next_event();
    if (!next || *next > end) return false;
    if (*next > now_) at_this_instant = 0;
    now_ = std::max(now_, *next);
    if (turns == kTurnsMax || ++at_this_instant == kTurnsAtOneInstantMax)
      throw std::runtime_error("the simulated world does not come to rest: something runs away");
    turn();
  }
  return true;
}

void World::advance(Duration duration) {
  const TimePoint end = now_ + duration;
  step_until(end, [] { return false; });
  now_ = end;
}

bool World::settle(Duration most) {
  return step_until(now_ + most, [this] {
    const auto next = next_event();
    return wire_.empty() && (!next || *next > now_);
  });
}

bool World::run_until(const std::function<bool()>& done, Duration most) {
  const TimePoint end = now_ + most;
  if (step_until(end, done)) return true;
  now_ = end;
  return done();
}

std::string World::leftovers() const {
  std::string all;
  for (const auto& host : hosts_)
    all += host->leftovers();
  return all;
}

}  // namespace outrider::sim
