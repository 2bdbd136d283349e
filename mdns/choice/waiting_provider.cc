// SPDX-License-Identifier: Apache-2.0
#include "mdns/choice/waiting_provider.h"

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace outrider::mdns {
namespace {

class WaitingProvider final : public Provider, private Provider::Sink {
 public:
  WaitingProvider(Env& env, std::unique_ptr<Provider> avahi, WaitingParts parts)
      : env_(env), parts_(std::move(parts)), avahi_(std::move(avahi)), current_(avahi_.get()) {}

  void start(Provider::Sink& sink) override {
    sink_ = &sink;
    current_->start(static_cast<Provider::Sink&>(*this));
    look_later();
  }
  Result<void, PublishError> publish(AnnouncementId id, const Announcement& wanted) override {
    auto published = current_->publish(id, wanted);
    if (published && !native_) published_[id] = wanted;
    return published;
  }
  void withdraw(AnnouncementId id) override {
    published_.erase(id);
    current_->withdraw(id);
  }
  void browse(const std::vector<ServiceType>& types) override {
    browsed_ = types;
    current_->browse(types);
  }
  void ask(const ServiceType& type) override { current_->ask(type); }
  std::unique_ptr<HostLookup> lookup_host(const std::string& host, Duration wait,
                                          HostCallback callback) override {
    return current_->lookup_host(host, wait, std::move(callback));
  }
  void stop(Callback<void()> done) override {
    stopping_ = true;
    look_.reset();
    current_->stop(std::move(done));
  }

 private:
  // Of avahi_; the native provider reports to our caller directly.
  void on_announced(AnnouncementId id, const std::string& label) override {
    if (!native_) sink_->on_announced(id, label);
  }
  void on_conflict(AnnouncementId id) override {
    if (!native_) sink_->on_conflict(id);
  }
  void on_sighting(const Sighting& sighting) override {
    if (native_) return;
    seen_.insert(sighting.key);
    sink_->on_sighting(sighting);
  }
  void on_lost(const SightingKey& key, LostReason reason) override {
    if (native_) return;
    seen_.erase(key);
    sink_->on_lost(key, reason);
  }
  void on_state(ProviderState state, const std::string& why) override {
    if (native_) return;
    if (state == ProviderState::running) {
      ran_ = true;
      look_.reset();
      down_since_.reset();
    } else {
      look_later();
    }
    sink_->on_state(state, why);
  }

  void look_later() {
    if (stopping_) return;
    if (!down_since_) down_since_ = env_.now();
    if (!look_.pending()) look_ = env_.after(kPortLook, [this] { look(); });
  }

  void look() {
    const bool patient = ran_ && env_.now() - *down_since_ < kDaemonPatience;
    if (patient || parts_.port_is_held()) return look_later();
    take_over();
  }

  void take_over() {
    native_ = parts_.make_native();
    current_ = native_.get();
    env_.log.record(
        LogEvent::mdns_provider_changed,
        {{"provider", "native"}, {"reason", "the mDNS port is free, and no daemon runs"}});
    // It stays until we are destroyed: lookups may still refer to it.
    avahi_->stop([] {});
    native_->start(*sink_);
    native_->browse(browsed_);
    for (const auto& [id, wanted] : std::exchange(published_, {}))
      (void)native_->publish(id, wanted);
    // They are found again, or not: until then they are what they are when a link is down.
    for (const SightingKey& key : std::exchange(seen_, {}))
      sink_->on_lost(key, LostReason::interface_down);
  }

  Env& env_;
  WaitingParts parts_;
  std::unique_ptr<Provider> avahi_, native_;
  Provider* current_;
  Provider::Sink* sink_ = nullptr;
  std::map<AnnouncementId, Announcement> published_;  // until the native provider has them
  std::vector<ServiceType> browsed_;
  std::set<SightingKey> seen_;
  bool ran_ = false, stopping_ = false;
  std::optional<TimePoint> down_since_;
  Timer look_;
};

}  // namespace

std::unique_ptr<Provider> make_waiting_provider(Env& env, std::unique_ptr<Provider> avahi,
                                                WaitingParts parts) {
  return std::make_unique<WaitingProvider>(env, std::move(avahi), std::move(parts));
}

}  // namespace outrider::mdns
