// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/native_provider.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/assert.h"
#include "base/rounded_duration.h"
#include "mdns/native/echoes.h"
#include "mdns/native/limits.h"
#include "mdns/native/own_voice.h"
#include "mdns/native/querier.h"
#include "mdns/service_name.h"

namespace outrider::mdns {
namespace {

using Family = IpAddress::Family;

OwnRecords::Ttls ttls_of(TtlProfile profile) {
  switch (profile) {
    case TtlProfile::short_lived:
      return {kShortHostTtl, kShortOtherTtl};
    case TtlProfile::rfc:
      return {kRfcHostTtl, kRfcOtherTtl};
  }
  OUTRIDER_UNREACHABLE();
}

class Native final : public NativeProvider, private Outlet {
 public:
  Native(Env& env, const NativeOptions& options)
      : env_(env),
        options_(options),
        host_label_(host_label(options.host, options.cookie)),
        own_(ttls_of(options.ttl)),
        responder_(own_, links_, env.random),
        publisher_(own_, responder_, links_, env.random, options.conflict, options.machine),
        querier_(links_, env.random, &own_) {}

  void start(Sink& sink) override;
  Result<void, PublishError> publish(AnnouncementId id, const Announcement& wanted) override;
  void withdraw(AnnouncementId id) override;
  void browse(const std::vector<ServiceType>& types) override;
  void ask(const ServiceType& type) override;
  std::unique_ptr<HostLookup> lookup_host(const std::string& host, Duration wait,
                                          HostCallback callback) override;
  void stop(Callback<void()> done) override;
  NativeCounters counters() const override;
  std::string host() const override { return host_label_ + ".local"; }

 private:
  /// One per link and family, bound to the group and not to the wildcard address. Multicast reaches
  /// every socket that has joined, but unicast to port 5353 reaches only one of the wildcard
  /// sockets, and that one should be the responder that the host already has.
  class Port final : private UdpSocket::Sink {
   public:
    Port(Native& native, std::uint32_t link, Family family)
        : native_(native), link_(link), family_(family) {}
    std::optional<NetError> open();
    void send(Bytes payload, const Endpoint& to, const Link& link);
    std::uint32_t link() const { return link_; }
    Family family() const { return family_; }

   private:
    void on_datagrams(std::span<const Datagram> datagrams) override {
      native_.on_datagrams(link_, datagrams);
    }
    Native& native_;
    std::uint32_t link_;
    Family family_;
    std::unique_ptr<UdpSocket> socket_;
  };

  class Lookup final : public HostLookup {
   public:
    Lookup(Native& native, std::uint64_t id) : native_(native), id_(id) {}
    ~Lookup() override;

   private:
    Native& native_;
    std::uint64_t id_;
  };
  /// Of a link: when another host was last heard, and when our announcements were last repeated
  /// because of a silence.
  struct Hearing {
    TimePoint heard{};
    TimePoint announced = TimePoint::min();
  };
  struct HostWaiter {
    HostCallback callback;
    std::optional<HostAnswer> answer;  // delivered in the next turn
    bool refused = false;              // the link is not asked
  };

  Endpoint group(Family family) const {
    return {family == Family::v4 ? kGroupV4 : kGroupV6, options_.port};
  }
  void multicast(const Link& link, Family family, Bytes payload) override;
  void unicast(const Link& link, const Endpoint& to, Bytes payload) override;
  Port* port(std::uint32_t link, Family family);

  void update_links();
  void open_ports();
  void report_unopened(const Link& link, Family family, NetError error);
  void on_datagrams(std::uint32_t link, std::span<const Datagram> datagrams);
  void turn();
  void on_heard(TimePoint now, const Link& link);
  void run_machines(TimePoint now);
  void on_resume(TimePoint now);
  void arm();
  void update_state();
  std::string describe_state() const;
  void log_refused_texts();
  void deliver();
  void deliver(Querier::Event& event);
  void finish_stop();
  bool is_ours(const Claim& host) const;

  Env& env_;
  NativeOptions options_;
  std::string host_label_;
  Sink* sink_ = nullptr;
  Links links_;
  OwnRecords own_;
  Responder responder_;
  Publisher publisher_;
  Querier querier_;
  Echoes echoes_;
  OwnVoice own_voice_;
  NativeCounters counters_;
  std::uint64_t logged_texts_ = 0;  // of Querier::refused_texts()
  TimePoint log_texts_at_{};
  std::map<std::uint32_t, Hearing> hearing_;  // of links that there are
  std::vector<std::unique_ptr<Port>> ports_;
  std::unique_ptr<Pending> interface_watch_;
  std::unordered_map<std::uint64_t, HostWaiter> waiters_;
  std::uint64_t next_lookup_ = 1;
  ProviderState state_ = ProviderState::starting;
  std::map<std::pair<std::uint32_t, Family>, NetError> unopened_;  // by link; logged once
  std::optional<TimePoint> first_round_;
  Duration suspended_{};
  bool stopping_ = false;
  bool reported_state_ = false;
  bool links_changed_ = false;  // since the last report
  Callback<void()> stopped_;
  Timer timer_;
  Timer reopen_;
};

// --- Sockets ------------------------------------------------------------------------------------

std::optional<NetError> Native::Port::open() {
  const Endpoint bind = native_.group(family_);
  UdpOptions options;
  options.bind = bind;
  if (family_ == Family::v6) options.bind.address = bind.address.with_scope(link_);
  options.reuse_address = true;
  options.reuse_port = true;
  options.packet_info = true;
  options.interface = link_;
  options.join = {bind.address};
  options.multicast_hops = kHopLimit;
  auto socket = native_.env_.network.open_udp(options, *this);
  if (!socket) return socket.error();
  socket_ = std::move(*socket);
  return std::nullopt;
}

void Native::Port::send(Bytes payload, const Endpoint& to, const Link& link) {
  if (!socket_) return;
  if (!socket_->send(payload, to, link.source(family_), link_)) ++native_.counters_.dropped;
}

Native::Port* Native::port(std::uint32_t link, Family family) {
  for (const auto& port : ports_)
    if (port->link() == link && port->family() == family) return port.get();
  return nullptr;
}

void Native::multicast(const Link& link, Family family, Bytes payload) {
  Port* out = port(link.index, family);
  if (out == nullptr) return;
  echoes_.expect(env_.now(), link.index, family, payload);
  own_voice_.on_sent(env_.now(), link);
  Endpoint to = group(family);
  if (family == Family::v6) to.address = to.address.with_scope(link.index);
  out->send(payload, to, link);
  ++counters_.sent;
  counters_.sent_bytes += payload.size();
}

void Native::unicast(const Link& link, const Endpoint& to, Bytes payload) {
  Port* out = port(link.index, to.address.family());
  if (out == nullptr) return;
  out->send(payload, to, link);
  ++counters_.sent;
  counters_.sent_bytes += payload.size();
}

void Native::open_ports() {
  const auto before = std::exchange(unopened_, {});
  std::erase_if(ports_, [&](const auto& port) {
    const Link* link = links_.find(port->link());
    return link == nullptr || !link->has(port->family());
  });
  for (Link& link : links_.all) {
    for (const Family family : {Family::v4, Family::v6}) {
      if (!link.has(family) || port(link.index, family) != nullptr) continue;
      auto fresh = std::make_unique<Port>(*this, link.index, family);
      if (const auto error = fresh->open()) {
        const auto entry = unopened_.emplace(std::pair(link.index, family), *error).first;
        const auto old = before.find(entry->first);
        if (old == before.end() || old->second != *error) report_unopened(link, family, *error);
        (family == Family::v4 ? link.v4 : link.v6) = false;
        continue;
      }
      ports_.push_back(std::move(fresh));
    }
  }
  std::erase_if(links_.all, [](const Link& link) { return !link.v4 && !link.v6; });
  if (unopened_.empty()) return reopen_.reset();
  reopen_ = env_.after(kReopenInterval, [this] {
    update_links();
    turn();
  });
}

void Native::report_unopened(const Link& link, Family family, NetError error) {
  env_.log.record(LogEvent::mdns_socket_failed, {{"interface", link.name},
                                                 {"family", family == Family::v4 ? "ipv4" : "ipv6"},
                                                 {"reason", to_string(error)}});
}

// --- Interfaces and sleep -----------------------------------------------------------------------

void Native::update_links() {
  if (stopping_) return;
  const TimePoint now = env_.now();
  Publisher::LinkChange change{links_.all, {}, {}};
  const std::vector<Link>& before = change.before;
  bool new_family = false;
  links_.all = choose_links(env_.network.interfaces(), options_.interfaces);
  open_ports();
  for (const Link& link : links_.all) {
    const auto old = std::find_if(before.begin(), before.end(),
                                  [&](const Link& b) { return b.index == link.index; });
    if (old == before.end()) {
      change.fresh.insert(link.index);
      continue;
    }
    const bool common =
        std::any_of(link.addresses.begin(), link.addresses.end(), [&](const IpAddress& address) {
          return std::find(old->addresses.begin(), old->addresses.end(), address) !=
                 old->addresses.end();
        });
    const bool family = (link.v4 && !old->v4) || (link.v6 && !old->v6);
    // §8.3, §13: if none of the old addresses is left, it may be another network. A second family
    // (IPv6 after duplicate address detection) leads to the same hosts: what is claimed stays so.
    if (!common)
      change.fresh.insert(link.index);
    else if (family || link.addresses != old->addresses)
      change.readdressed.insert(link.index);
    new_family = new_family || family;
  }
  for (const Link& old : before) {
    if (links_.find(old.index) != nullptr) continue;
    responder_.drop_link(old.index);
    querier_.drop_link(now, old.index);
    hearing_.erase(old.index);
    own_voice_.drop_link(old.index);
  }
  if (links_.all == before) return;
  links_changed_ = true;
  publisher_.on_links_changed(now, change);
  if (!change.fresh.empty() || new_family) querier_.restart(now);
}

/// After a resume the machine may be on another network, and its timers have slept too. Every turn
/// checks for it; the interface watch makes sure that a turn comes.
void Native::on_resume(TimePoint now) {
  env_.log.record(LogEvent::mdns_resumed,
                  {{"duration", format_rounded(env_.clock.suspended() - suspended_)}});
  suspended_ = env_.clock.suspended();
  update_links();
  Publisher::LinkChange change{links_.all, {}, {}};
  for (const Link& link : links_.all)
    change.fresh.insert(link.index);
  publisher_.on_links_changed(now, change);
  querier_.on_resume(now);
}

// --- Turns --------------------------------------------------------------------------------------

void Native::on_datagrams(std::uint32_t index, std::span<const Datagram> datagrams) {
  const TimePoint now = env_.now();
  if (env_.clock.suspended() > suspended_) on_resume(now);
  const Link* link = links_.find(index);
  if (link == nullptr) return;
  for (const Datagram& datagram : datagrams) {
    ++counters_.received;
    if (datagram.interface != 0 && datagram.interface != index) continue;
    const auto packet = parse_packet(datagram, *link, options_.port);
    if (!packet) {
      ++counters_.dropped;
      continue;
    }
    if (echoes_.take(now, *link, *packet, datagram.payload)) {
      ++counters_.echoes;
      if (own_voice_.on_heard(now, *link)) publisher_.announce_again(now, *link);
      continue;
    }
    if (!packet->from_here) on_heard(now, *link);
    if (packet->response) {
      publisher_.on_response(now, *link, *packet);
      responder_.on_response(now, *link, *packet);
      if (!stopping_) querier_.on_response(now, *link, *packet);
    } else {
      publisher_.on_query(now, *link, *packet);
      responder_.on_query(now, *link, *packet, *this);
      querier_.on_query(now, *link, *packet);
    }
  }
  turn();
}

/// Another host is heard. If records of other hosts expired in a silence before, the link was
/// interrupted, and ours have expired there too.
void Native::on_heard(TimePoint now, const Link& link) {
  Hearing& hearing = hearing_[link.index];
  const auto expired = querier_.last_expired(link.index);
  if (expired && *expired > hearing.heard + kSilence && *expired > hearing.announced &&
      now > hearing.announced + kAnnounceAgainAfter) {
    hearing.announced = now;
    publisher_.announce_again(now, link);
  }
  hearing.heard = now;
}

void Native::run_machines(TimePoint now) {
  if (const bool needed = own_voice_.needs_loopback(now, links_);
      needed != own_.lan_on_loopback() && !stopping_) {
    own_.set_lan_on_loopback(needed);
    publisher_.on_links_changed(now, {links_.all, {}, {}});
  }
  publisher_.run(now, *this);
  responder_.run(now, *this);
  if (stopping_) return;
  querier_.run(now, *this);
  if (!first_round_ && querier_.has_asked()) first_round_ = now + kFirstRound;
  log_refused_texts();
}

void Native::log_refused_texts() {
  const std::uint64_t count = querier_.refused_texts();
  if (count == logged_texts_ || env_.now() < log_texts_at_) return;
  logged_texts_ = count;
  log_texts_at_ = env_.now() + kRefusedTextsLogged;
  if (const auto key = key_of(querier_.last_refused_text()))
    env_.log.record(LogEvent::mdns_txt_refused,
                    {{"instance", key->label}, {"type", key->type}, {"count", count}});
}

void Native::turn() {
  const TimePoint now = env_.now();
  if (env_.clock.suspended() > suspended_) on_resume(now);
  run_machines(now);
  update_state();
  deliver();
  arm();
  // Datagrams leave at the end of the turn; the sockets must live until then.
  if (stopping_ && !publisher_.saying_goodbye())
    timer_ = env_.timers.at(now, [this] { finish_stop(); });
}

void Native::arm() {
  std::optional<TimePoint> due;
  const auto sooner = [&](std::optional<TimePoint> at) {
    if (at && (!due || *at < *due)) due = at;
  };
  sooner(publisher_.next_due());
  sooner(responder_.next_due());
  if (!stopping_) sooner(own_voice_.next_due());
  if (!stopping_) sooner(querier_.next_due());
  if (!stopping_ && state_ == ProviderState::starting) sooner(first_round_);
  for (const auto& [id, waiter] : waiters_)
    if (waiter.answer) sooner(env_.now());
  if (!due) return timer_.reset();
  if (timer_.pending() && timer_.due() == *due) return;
  timer_ = env_.timers.at(*due, [this] { turn(); });
}

void Native::update_state() {
  if (stopping_ || sink_ == nullptr) return;
  ProviderState next = ProviderState::starting;
  if (ports_.empty())
    next = ProviderState::down;
  else if (first_round_ && *first_round_ <= env_.now())
    next = ProviderState::running;
  if (next == state_ && reported_state_ && !links_changed_) return;
  state_ = next;
  reported_state_ = true;
  links_changed_ = false;
  sink_->on_state(state_, describe_state());
}

/// What the state is due to: the interfaces by name, which may change while it stays.
std::string Native::describe_state() const {
  if (state_ == ProviderState::starting) return {};
  if (state_ == ProviderState::down && !unopened_.empty())
    return "UDP port " + std::to_string(options_.port) + ": " +
           to_string(unopened_.begin()->second);
  if (state_ == ProviderState::down) return "no interface with multicast and an address";
  std::string names;
  for (const Link& link : links_.all)
    if (!link.loopback) names += (names.empty() ? "" : ", ") + link.name;
  return names.empty() ? "no network, only agents of this host" : names;
}

void Native::deliver() {
  // What a Sink call starts is only noted by the state machines and happens in a later turn.
  for (const Publisher::Event& event : publisher_.take_events()) {
    if (event.outcome == Publisher::Outcome::host_renamed) {
      env_.log.record(LogEvent::mdns_host_renamed,
                      {{"before", event.before}, {"label", event.label}});
      continue;
    }
    const Claim* claim = publisher_.claim(event.id);
    if (claim == nullptr) continue;
    // While the name was ours, its records were ignored; now ask who has it.
    const bool announced = event.outcome == Publisher::Outcome::announced;
    if (!claim->is_name && (!announced || event.label != claim->base_label))
      querier_.ask_again(env_.now(), claim->type);
    if (announced)
      sink_->on_announced(event.id, event.label);
    else
      sink_->on_conflict(event.id);
  }
  if (!stopping_)
    for (Querier::Event& event : querier_.take_events())
      deliver(event);
  std::vector<std::uint64_t> ready;
  for (const auto& [id, waiter] : waiters_)
    if (waiter.answer) ready.push_back(id);
  for (const std::uint64_t id : ready) {
    const auto found = waiters_.find(id);
    if (found == waiters_.end()) continue;
    HostWaiter waiter = std::move(found->second);
    waiters_.erase(found);
    if (waiter.refused)
      waiter.callback(std::nullopt, Duration::zero());
    else
      waiter.callback(std::move(waiter.answer->addresses), waiter.answer->ttl);
  }
}

void Native::deliver(Querier::Event& event) {
  if (const auto* sighted = std::get_if<Sighted>(&event)) {
    sink_->on_sighting(sighted->sighting);
  } else if (const auto* lost = std::get_if<Lost>(&event)) {
    sink_->on_lost(lost->key, lost->reason);
  } else if (auto* answer = std::get_if<HostAnswer>(&event)) {
    const auto found = waiters_.find(answer->lookup);
    if (found != waiters_.end()) found->second.answer = std::move(*answer);
  }
}

// --- The promise --------------------------------------------------------------------------------

void Native::start(Sink& sink) {
  OUTRIDER_ASSERT(sink_ == nullptr);
  sink_ = &sink;
  suspended_ = env_.clock.suspended();
  interface_watch_ = env_.network.watch_interfaces([this] {
    update_links();
    turn();
  });
  update_links();
  querier_.browse(env_.now(), {});
  timer_ = env_.timers.at(env_.now(), [this] { turn(); });
}

Result<void, PublishError> Native::publish(AnnouncementId id, const Announcement& wanted) {
  if (const auto error = check(wanted)) return failure(*error);
  if (!publisher_.has(id) && publisher_.size() >= kAnnouncementsMax)
    return failure(PublishError::too_many);
  if (stopping_) return {};
  // Its host must not have addresses of the LAN, which the loopback publishes for everything else.
  Announcement placed = wanted;
  if (placed.host_only && placed.addresses.empty())
    placed.addresses = {IpAddress::loopback(IpAddress::Family::v4)};
  publisher_.publish(env_.now(), id, placed,
                     host_label(options_.host, options_.cookie, placed.addresses));
  arm();
  return {};
}

void Native::withdraw(AnnouncementId id) {
  if (stopping_) return;
  publisher_.withdraw(env_.now(), id);
  arm();
}

void Native::browse(const std::vector<ServiceType>& types) {
  if (stopping_) return;
  querier_.browse(env_.now(), types);
  arm();
}

void Native::ask(const ServiceType& type) {
  if (stopping_) return;
  querier_.ask(env_.now(), type);
  arm();
}

Native::Lookup::~Lookup() {
  if (native_.waiters_.erase(id_) > 0) native_.querier_.cancel_lookup(id_);
}

/// Whether the host has this name: of one that was published for itself only once it is claimed.
bool Native::is_ours(const Claim& host) const {
  return host.is_host && (!host.is_name || std::ranges::any_of(links_.all, [&](const Link& link) {
           return own_.answers(host, link);
         }));
}

std::unique_ptr<Provider::HostLookup> Native::lookup_host(const std::string& host, Duration wait,
                                                          HostCallback callback) {
  const std::uint64_t id = next_lookup_++;
  HostWaiter& waiter = waiters_[id];
  waiter.callback = std::move(callback);
  const TimePoint now = env_.now();
  const auto name = host_name(host);
  if (!name) {
    waiter.answer = HostAnswer{id, {}, Duration::zero()};
  } else if (stopping_ || ports_.empty() || !querier_.lookup_host(now, id, *name, now + wait)) {
    waiter.answer = HostAnswer{id, {}, Duration::zero()};
    waiter.refused = true;
  } else if (const Claim* own = own_.claim_named(*name); own != nullptr && is_ours(*own)) {
    waiter.answer = HostAnswer{id, {}, std::chrono::seconds(own_.ttls().host)};
    for (const Link& link : links_.all)
      for (const IpAddress& address : own->addresses.empty() ? link.addresses : own->addresses)
        if (link.carries_lan) waiter.answer->addresses.push_back({address, link.index});
    querier_.cancel_lookup(id);
  }
  arm();
  return std::make_unique<Lookup>(*this, id);
}

void Native::stop(Callback<void()> done) {
  if (stopping_) return;
  stopped_ = std::move(done);
  publisher_.withdraw_all(env_.now());
  stopping_ = true;
  interface_watch_.reset();
  reopen_.reset();
  timer_ = env_.timers.at(env_.now(), [this] { turn(); });
}

void Native::finish_stop() {
  if (!stopped_) return;
  timer_.reset();
  ports_.clear();
  // Last: the owner may destroy us in it.
  auto done = std::exchange(stopped_, nullptr);
  done();
}

NativeCounters Native::counters() const {
  NativeCounters out = counters_;
  out.cached_records = querier_.cache().size();
  out.cached_bytes = querier_.cache().bytes();
  out.refused_texts = querier_.refused_texts();
  return out;
}

}  // namespace

std::unique_ptr<NativeProvider> make_native_provider(Env& env, const NativeOptions& options) {
  return std::make_unique<Native>(env, options);
}

}  // namespace outrider::mdns
