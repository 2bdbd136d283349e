// SPDX-License-Identifier: Apache-2.0
#include "mdns/avahi/avahi_provider.h"

#include <algorithm>
#include <map>

#include "base/assert.h"
#include "mdns/avahi/discoveries.h"
#include "mdns/avahi/publications.h"
#include "mdns/limits.h"
#include "mdns/service_name.h"

namespace outrider::mdns {
namespace {

using namespace avahi;

class Avahi final : public Provider, private Client::Sink, private Sender {
 public:
  Avahi(Env& env, const AvahiOptions& options, std::unique_ptr<Client> client, std::string why)
      : env_(env),
        choice_(options.interfaces),
        client_(std::move(client)),
        why_(std::move(why)),
        publications_(*this,
                      {options.host, options.cookie, options.machine,
                       !choice_.include.empty() || !choice_.exclude.empty(), options.conflict}),
        discoveries_(*this, [this](const ServiceType& type, const std::string& label) {
          return publications_.is_own(type, label);
        }) {}

  void start(Provider::Sink& sink) override;
  Result<void, PublishError> publish(AnnouncementId id, const Announcement& wanted) override;
  void withdraw(AnnouncementId id) override;
  void browse(const std::vector<ServiceType>& types) override;
  void ask(const ServiceType& type) override;
  std::unique_ptr<HostLookup> lookup_host(const std::string& host, Duration wait,
                                          HostCallback callback) override;
  void stop(Callback<void()> done) override;

 private:
  class Lookup final : public HostLookup {
   public:
    Lookup(Avahi& avahi, std::uint64_t id) : avahi_(avahi), id_(id) {}
    ~Lookup() override { avahi_.forget(id_); }

   private:
    Avahi& avahi_;
    std::uint64_t id_;
  };
  struct Waiter {
    HostCallback callback;
    std::string host;  // empty: the daemon is not asked
    TimePoint until;
  };
  /// A host that is looked up, for all of its waiters.
  struct HostAsked {
    std::vector<Object> objects;  // that have not failed
    std::vector<SightedAddress> addresses;
    TimePoint until = TimePoint::max();  // after the first family has been found
    std::size_t waiters = 0;
  };
  bool is_over(const Waiter& waiter) const;

  void send(Command command) override;
  void on_events(std::vector<Event> events) override;
  void on_event(const ConnectionChanged& change);
  void on_event(const GroupChanged& change) { publications_.on_group(env_.now(), change); }
  void on_event(const TypeChanged& change) { discoveries_.on_type(env_.now(), change); }
  void on_event(const InstanceChanged& change) { discoveries_.on_instance(env_.now(), change); }
  void on_event(const BrowserFailed& failed);
  void on_event(const Resolved& resolved) { discoveries_.on_resolved(env_.now(), resolved); }
  void on_event(const HostResolved& resolved);
  void on_event(const ResolveFailed& failed);
  void on_event(const Idle&);

  void connect();
  void on_connection_failed(const std::string& why);
  void update_links();
  void later() {
    timer_ = env_.timers.at(env_.now(), [this] { turn(); });
  }
  void turn();
  void arm();
  void update_state();
  void log_refused_texts();
  void deliver();
  void deliver_lookups();
  void forget(std::uint64_t id);
  void refuse_lookups();
  HostAsked* asked_with(Object object);
  void finish_stop();

  Env& env_;
  LinkChoice choice_;
  std::unique_ptr<Client> client_;
  std::string why_;  // why we are down, while we are
  Provider::Sink* sink_ = nullptr;
  Publications publications_;
  Discoveries discoveries_;
  std::vector<Link> links_;
  std::unique_ptr<Pending> interface_watch_;
  std::optional<Connection> connection_;
  bool overrun_ = false;
  Duration reconnect_after_ = kReconnectFirst;
  std::optional<TimePoint> answer_by_;    // what was sent has not been carried out yet
  std::optional<TimePoint> first_round_;  // then we are running
  bool hangs_ = false;
  ProviderState state_ = ProviderState::starting;
  std::string reported_why_;
  bool reported_state_ = false;
  std::uint64_t logged_texts_ = 0;  // of Discoveries::refused_texts()
  TimePoint log_texts_at_{};
  std::map<std::uint64_t, Waiter> waiters_;
  std::map<std::string, HostAsked> hosts_;  // at most kHostsAskedMax
  std::uint64_t next_waiter_ = 1;
  bool stopping_ = false;
  Callback<void()> stopped_;
  Timer timer_;
  Timer reconnect_;
  Timer stop_timer_;
};

// --- The connection -----------------------------------------------------------------------------

void Avahi::start(Provider::Sink& sink) {
  OUTRIDER_ASSERT(sink_ == nullptr);
  sink_ = &sink;
  interface_watch_ = env_.network.watch_interfaces([this] {
    update_links();
    turn();
  });
  update_links();
  if (client_) connect();
  later();
}

void Avahi::connect() {
  overrun_ = false;
  answer_by_.reset();
  client_->connect(*this);
}

void Avahi::on_connection_failed(const std::string& why) {
  if (connection_ != Connection::failed || why != why_)
    env_.log.record(LogEvent::avahi_disconnected, {{"reason", why}});
  why_ = why;
  connection_ = Connection::failed;
  hangs_ = false;
  answer_by_.reset();
  first_round_.reset();
  publications_.close();
  discoveries_.close(env_.now());
  refuse_lookups();
  reconnect_ = env_.after(reconnect_after_, [this] { connect(); });
  reconnect_after_ = std::min(reconnect_after_ * 2, kReconnectMax);
}

void Avahi::on_event(const ConnectionChanged& change) {
  const TimePoint now = env_.now();
  switch (change.state) {
    case Connection::waiting:
      why_ = change.why;
      publications_.close();
      discoveries_.close(now);
      break;
    case Connection::registering:
      publications_.pause();
      discoveries_.open(now);
      break;
    case Connection::running:
      if (connection_ != Connection::running) env_.log.record(LogEvent::avahi_connected);
      reconnect_after_ = kReconnectFirst;
      discoveries_.open(now);
      publications_.open(now);
      if (!first_round_) first_round_ = now + kFirstRound;
      break;
    case Connection::failed:
      return on_connection_failed(change.why);
  }
  connection_ = change.state;
}

void Avahi::send(Command command) {
  if (!client_ || overrun_) return;
  // Handled at the end of the turn: the caller is in the middle of something.
  if (!client_->send(std::move(command))) overrun_ = true;
  if (!answer_by_) answer_by_ = env_.now() + kAnswerPatience;
}

void Avahi::on_event(const BrowserFailed& failed) {
  env_.log.record(LogEvent::avahi_browse_failed, {{"reason", failed.why}});
  discoveries_.on_browser_failed(env_.now(), failed);
}

void Avahi::on_event(const Idle&) {
  answer_by_.reset();
  hangs_ = false;
}

void Avahi::on_events(std::vector<Event> events) {
  if (stopping_) return;
  for (const Event& event : events)
    std::visit([this](const auto& e) { on_event(e); }, event);
  turn();
}

// --- Turns --------------------------------------------------------------------------------------

void Avahi::update_links() {
  auto links = choose_links(env_.network.interfaces(), choice_);
  if (links == links_) return;
  links_ = std::move(links);
  publications_.on_links_changed(env_.now(), links_);
  discoveries_.on_links_changed(env_.now(), links_);
}

void Avahi::turn() {
  const TimePoint now = env_.now();
  if (stopping_) {
    deliver_lookups();
    return arm();
  }
  publications_.run(now);
  discoveries_.run(now);
  if (overrun_ && connection_ != Connection::failed)
    on_connection_failed("avahi-daemon does not answer");
  if (answer_by_ && *answer_by_ <= now) hangs_ = true;
  log_refused_texts();
  update_state();
  deliver();
  arm();
}

void Avahi::log_refused_texts() {
  const std::uint64_t count = discoveries_.refused_texts();
  if (count == logged_texts_ || env_.now() < log_texts_at_) return;
  logged_texts_ = count;
  log_texts_at_ = env_.now() + kRefusedTextsLogged;
  const SightingKey& key = discoveries_.last_refused_text();
  env_.log.record(LogEvent::mdns_txt_refused,
                  {{"instance", key.label}, {"type", key.type}, {"count", count}});
}

void Avahi::arm() {
  std::optional<TimePoint> due;
  const auto sooner = [&](std::optional<TimePoint> at) {
    if (at && (!due || *at < *due)) due = at;
  };
  if (!stopping_) {
    sooner(publications_.next_due());
    sooner(discoveries_.next_due());
    if (!hangs_) sooner(answer_by_);
    if (first_round_ && *first_round_ > env_.now()) sooner(first_round_);
    if (overrun_ && connection_ != Connection::failed) sooner(env_.now());
  }
  for (const auto& [id, waiter] : waiters_)
    sooner(is_over(waiter) ? env_.now() : std::min(waiter.until, hosts_.at(waiter.host).until));
  if (!due) return timer_.reset();
  if (timer_.pending() && timer_.due() == *due) return;
  timer_ = env_.timers.at(*due, [this] { turn(); });
}

void Avahi::update_state() {
  if (sink_ == nullptr) return;
  ProviderState next = ProviderState::starting;
  std::string why;
  if (!client_ || connection_ == Connection::failed || connection_ == Connection::waiting) {
    next = ProviderState::down;
    why = why_;
  } else if (hangs_) {
    next = ProviderState::down;
    why = "avahi-daemon does not answer";
  } else if (first_round_ && *first_round_ <= env_.now()) {
    next = ProviderState::running;
    why = "through avahi-daemon";
  }
  if (next == state_ && why == reported_why_ && reported_state_) return;
  // A daemon that restarts is reported as down until it runs, without `starting` in between.
  if (next == ProviderState::starting && state_ != ProviderState::starting) return;
  state_ = next;
  reported_why_ = why;
  reported_state_ = true;
  sink_->on_state(state_, why);
}

void Avahi::deliver() {
  // What a Sink call starts is only noted and sent; its events come with a later turn.
  for (const Publications::Event& event : publications_.take_events()) {
    if (!publications_.has(event.id)) continue;
    switch (event.outcome) {
      case Publications::Outcome::announced:
        sink_->on_announced(event.id, event.text);
        break;
      case Publications::Outcome::conflict:
        sink_->on_conflict(event.id);
        break;
      case Publications::Outcome::refused:
        env_.log.record(LogEvent::avahi_publish_refused,
                        {{"announcement", event.id}, {"reason", event.text}});
        break;
    }
  }
  for (const SightingKey& name : publications_.take_lost_names())
    discoveries_.on_name_lost(env_.now(), name);
  for (const Discoveries::Event& event : discoveries_.take_events()) {
    if (stopping_) return;
    if (const auto* sighting = std::get_if<Sighting>(&event)) {
      sink_->on_sighting(*sighting);
    } else {
      const auto& lost = std::get<Discoveries::Lost>(event);
      sink_->on_lost(lost.key, lost.reason);
    }
  }
  deliver_lookups();
}

// --- Hosts --------------------------------------------------------------------------------------

std::unique_ptr<Provider::HostLookup> Avahi::lookup_host(const std::string& host, Duration wait,
                                                         HostCallback callback) {
  const std::uint64_t id = next_waiter_++;
  Waiter& waiter = waiters_[id];
  waiter.callback = std::move(callback);
  waiter.until = env_.now() + wait;
  const auto name = host_name(host);
  const bool up = connection_ == Connection::running || connection_ == Connection::registering;
  std::string text = name ? name->lowercase().to_string() : std::string();
  if (text.ends_with('.')) text.pop_back();
  const auto asked = hosts_.find(text);
  if (name && up && !stopping_ && (asked != hosts_.end() || hosts_.size() < kHostsAskedMax)) {
    waiter.host = text;
    HostAsked& shared = hosts_[text];
    ++shared.waiters;
    if (asked == hosts_.end()) {
      for (const Family family : {Family::v4, Family::v6}) {
        shared.objects.push_back(next_object());
        send(ResolveHost{shared.objects.back(), text, family});
      }
    }
  }
  arm();
  return std::make_unique<Lookup>(*this, id);
}

bool Avahi::is_over(const Waiter& waiter) const {
  if (waiter.host.empty() || waiter.until <= env_.now()) return true;
  const HostAsked& asked = hosts_.at(waiter.host);
  return asked.objects.empty() || asked.until <= env_.now();
}

Avahi::HostAsked* Avahi::asked_with(Object object) {
  for (auto& [host, asked] : hosts_)
    if (std::erase(asked.objects, object) > 0) return &asked;
  return nullptr;
}

void Avahi::on_event(const HostResolved& resolved) {
  HostAsked* const asked = asked_with(resolved.object);
  if (asked == nullptr) return;
  send(Free{resolved.object});
  const IpAddress& address = resolved.address;
  asked->addresses.push_back({address.is_v6() && address.is_link_local()
                                  ? address.with_scope(resolved.interface)
                                  : address,
                              resolved.interface});
  asked->until = std::min(asked->until, env_.now() + kSecondFamily);
}

void Avahi::on_event(const ResolveFailed& failed) {
  if (asked_with(failed.object) != nullptr) return send(Free{failed.object});
  discoveries_.on_resolve_failed(env_.now(), failed.object);
}

void Avahi::deliver_lookups() {
  std::vector<std::uint64_t> ready;
  for (const auto& [id, waiter] : waiters_)
    if (is_over(waiter)) ready.push_back(id);
  for (const std::uint64_t id : ready) {
    const auto found = waiters_.find(id);
    if (found == waiters_.end()) continue;
    std::optional<std::vector<SightedAddress>> addresses;
    if (!found->second.host.empty()) {
      addresses = hosts_.at(found->second.host).addresses;
      std::sort(addresses->begin(), addresses->end());
    }
    HostCallback callback = std::move(found->second.callback);
    forget(id);
    const Duration ttl = !addresses || addresses->empty() ? Duration::zero() : kHostTtl;
    callback(std::move(addresses), ttl);
  }
}

void Avahi::forget(std::uint64_t id) {
  const auto found = waiters_.find(id);
  if (found == waiters_.end()) return;
  const auto asked = hosts_.find(found->second.host);
  waiters_.erase(found);
  if (asked == hosts_.end() || --asked->second.waiters > 0) return;
  for (const Object object : asked->second.objects)
    send(Free{object});
  hosts_.erase(asked);
}

/// The daemon is gone: nothing is known about the hosts.
void Avahi::refuse_lookups() {
  for (auto& [id, waiter] : waiters_)
    waiter.host.clear();
  hosts_.clear();
}

// --- The promise --------------------------------------------------------------------------------

Result<void, PublishError> Avahi::publish(AnnouncementId id, const Announcement& wanted) {
  if (const auto error = publications_.check(id, wanted)) return failure(*error);
  if (stopping_) return {};
  publications_.publish(env_.now(), id, wanted);
  arm();
  return {};
}

void Avahi::withdraw(AnnouncementId id) {
  if (stopping_) return;
  publications_.withdraw(id);
  arm();
}

void Avahi::browse(const std::vector<ServiceType>& types) {
  if (stopping_) return;
  discoveries_.browse(env_.now(), types);
  later();
}

void Avahi::ask(const ServiceType& type) {
  if (stopping_) return;
  discoveries_.ask(env_.now(), type);
  later();
}

void Avahi::stop(Callback<void()> done) {
  if (stopping_) return;
  stopped_ = std::move(done);
  publications_.withdraw_all();
  stopping_ = true;
  interface_watch_.reset();
  reconnect_.reset();
  refuse_lookups();
  arm();
  if (!client_) {
    stop_timer_ = env_.timers.at(env_.now(), [this] { finish_stop(); });
    return;
  }
  stop_timer_ = env_.after(kStopPatience, [this] {
    env_.log.record(LogEvent::avahi_abandoned, {{"duration", kStopPatience}});
    finish_stop();
  });
  client_->disconnect([this] { finish_stop(); });
}

void Avahi::finish_stop() {
  if (!stopped_) return;
  timer_.reset();
  stop_timer_.reset();
  // Last: the owner may destroy us in it.
  auto done = std::exchange(stopped_, nullptr);
  done();
}

}  // namespace

std::unique_ptr<Provider> make_avahi_provider(Env& env, const AvahiOptions& options,
                                              std::unique_ptr<avahi::Client> client,
                                              std::string why) {
  return std::make_unique<Avahi>(env, options, std::move(client), std::move(why));
}

}  // namespace outrider::mdns
