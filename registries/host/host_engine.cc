// SPDX-License-Identifier: Apache-2.0
#include "registries/host/host_engine.h"

#include <algorithm>
#include <set>

namespace outrider::registries {

HostEngine::HostEngine(Env& env, SiblingSockets sockets, AgentIdentity self)
    : env_(env), sockets_(std::move(sockets)), self_(std::move(self)) {}

void HostEngine::start(Engine::Sink& sink) {
  sink_ = &sink;
  if (!sockets_.list) return;
  if (sockets_.watch) watch_ = sockets_.watch([this] { scan_soon(); });
  scan_soon();
}

void HostEngine::scan_soon() {
  if (!scan_timer_.pending()) scan_timer_ = env_.after(Duration::zero(), [this] { scan(); });
}

void HostEngine::scan() {
  scanned_ = true;
  std::set<std::string> paths;
  for (std::string& path : sockets_.list())
    if (paths.size() < kSiblingsMax) paths.insert(std::move(path));
  std::vector<std::string> gone;
  for (auto at = siblings_.begin(); at != siblings_.end();) {
    // A process can run on without its socket file.
    if (paths.contains(at->first) || at->second->state() == PlaceState::current) {
      ++at;
      continue;
    }
    gone.push_back(at->first);
    at = siblings_.erase(at);
  }
  for (const std::string& path : gone)
    sink_->on_state(path, PlaceState::gone, "its socket is gone");
  for (const std::string& path : paths) {
    auto& sibling = siblings_[path];
    if (sibling)
      sibling->retry();
    else
      sibling = std::make_unique<Sibling>(env_, path, self_, static_cast<Sibling::Sink&>(*this));
  }
}

void HostEngine::stop(Callback<void()> done) {
  watch_.reset();
  scan_timer_.reset();
  silence_timer_.reset();
  siblings_.clear();
  stop_timer_ = env_.after(Duration::zero(), std::move(done));
}

/// One timer for all: the agents send their comments at the same time.
void HostEngine::arm() {
  std::optional<TimePoint> due;
  for (const auto& [path, sibling] : siblings_)
    if (const auto silent = sibling->silent_at()) due = std::min(due.value_or(*silent), *silent);
  if (!due || silence_timer_.pending()) return;
  silence_timer_ = env_.timers.at(*due, [this, at = *due] {
    silence_timer_.reset();
    // Late means that this process stood still, and what was sent meanwhile is not read yet.
    if (env_.now() - at > kSilenceGrace) {
      silence_timer_ = env_.after(kSilenceGrace, [this] { check_silence(); });
      return;
    }
    check_silence();
  });
}

void HostEngine::check_silence() {
  silence_timer_.reset();
  for (const auto& [path, sibling] : siblings_)
    sibling->check_silence();
  arm();
}

void HostEngine::on_sibling_listed(Sibling& sibling, std::vector<Entry> entries) {
  sink_->on_listed(sibling.path(), std::move(entries));
}

void HostEngine::on_sibling_entry(Sibling&, Entry entry) {
  sink_->on_sighting(std::move(entry));
}

void HostEngine::on_sibling_lost(Sibling& sibling, const std::string& key) {
  sink_->on_lost(sibling.path(), key);
}

void HostEngine::on_sibling_state(Sibling& sibling) {
  if (!sibling.is_ignored()) sink_->on_state(sibling.path(), sibling.state(), sibling.reason());
  // Its socket file may have left before it ended.
  if (sibling.state() == PlaceState::behind) scan_soon();
  arm();
}

bool HostEngine::is_settled() const {
  if (!sockets_.list) return true;
  return scanned_ && std::ranges::none_of(siblings_, [](const auto& each) {
           return each.second->state() == PlaceState::connecting;
         });
}

void HostEngine::write_status(json::Writer& out) const {
  out.key("siblings").begin_array();
  for (const auto& [path, sibling] : siblings_) {
    if (sibling->is_ignored()) continue;
    out.begin_object().member("socket", path).member("pid", sibling->pid());
    out.member("state", to_string(sink_->shown_state(path, sibling->state())));
    out.member("reason", sibling->reason());
    out.member("silent", sibling->is_silent());
    out.end_object();
  }
  out.end_array();
}

}  // namespace outrider::registries
