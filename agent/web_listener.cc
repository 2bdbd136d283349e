// SPDX-License-Identifier: Apache-2.0
#include "agent/web_listener.h"

#include <algorithm>
#include <utility>

#include "agent/low_port.h"

namespace outrider {

class WebListener::Port final : Listener::Sink {
 public:
  Port(WebListener& owner, const Endpoint& wanted, bridge::Entrance kind)
      : endpoint(wanted), entrance(kind), owner_(owner) {}

  bool is_open() const { return listener_ != nullptr; }
  Endpoint local() const { return std::get<Endpoint>(listener_->local()); }
  Result<void, NetError> open() {
    ListenOptions options;
    options.on = endpoint;
    options.backlog = kWebBacklog;
    auto opened = owner_.env_.network.listen(options, *this);
    if (!opened) return failure(opened.error());
    listener_ = std::move(*opened);
    return {};
  }

  const Endpoint endpoint;
  const bridge::Entrance entrance;
  std::string reason;  // why it is not open

 private:
  void on_accept(std::unique_ptr<Stream> stream) override {
    owner_.bridge_.accept(std::move(stream), entrance);
  }
  void on_accept_error(NetError error) override {
    owner_.env_.log.record(LogEvent::http_accept_failed, {{"reason", to_string(error)}});
  }

  WebListener& owner_;
  std::unique_ptr<Listener> listener_;
};

WebListener::WebListener(Env& env, doors::Control& control, const WebConfig& config,
                         std::unique_ptr<Relays> relays, bridge::Options options,
                         WhoHolds who_holds)
    : env_(env),
      who_holds_(std::move(who_holds)),
      bridge_(env, control, std::move(relays), std::move(options)) {
  for (const Endpoint& endpoint : config.listen)
    ports_.push_back(std::make_unique<Port>(*this, endpoint, bridge::Entrance::http));
  for (const Endpoint& endpoint : config.tls_listen)
    ports_.push_back(std::make_unique<Port>(*this, endpoint, bridge::Entrance::tls));
}

WebListener::~WebListener() = default;

void WebListener::start(OnPort80 on_port_80) {
  on_port_80_ = std::move(on_port_80);
  open_missing();
}

void WebListener::open_missing() {
  bool missing = false;
  for (const auto& port : ports_) {
    if (port->is_open()) continue;
    const auto opened = port->open();
    if (opened) {
      port->reason.clear();
      env_.log.record(LogEvent::web_listening, {{"address", port->local().to_string()}});
      continue;
    }
    missing = true;
    const bool logged = !port->reason.empty();
    // There is no unit for the port of TLS.
    port->reason =
        why_unbound(port->endpoint, opened.error(),
                    port->entrance == bridge::Entrance::http ? "outrider-web.socket" : nullptr);
    if (opened.error() == NetError::in_use && who_holds_)
      if (const std::string holder = who_holds_(port->endpoint); !holder.empty())
        port->reason += ", by " + holder;
    if (!logged)
      env_.log.record(LogEvent::web_listen_failed,
                      {{"address", port->endpoint.to_string()}, {"reason", port->reason}});
  }
  tell_own();
  if (missing) retry_after(interval_);
}

void WebListener::retry_after(Duration interval) {
  retry_ = env_.after(interval, [this] { open_missing(); });
  interval_ = std::min(2 * interval, kWebRetryMax);
}

void WebListener::on_changes(const registry::Changes& changes) {
  bridge_.on_changes(changes);
  if (!retry_.pending()) return;
  const auto has_left = [](const registry::Change& change) {
    return change.before && !change.after && change.before->on_this_host && !change.before->own();
  };
  if (std::ranges::any_of(changes.list, has_left)) retry_after(kWebTakeOver);
}

void WebListener::tell_own() {
  constexpr std::uint16_t kHttpPort = 80;
  std::vector<Endpoint> own;
  std::vector<IpAddress> at_80;
  for (const auto& port : ports_) {
    if (!port->is_open()) continue;
    own.push_back(port->local());
    const IpAddress& address = own.back().address;
    if (own.back().port == kHttpPort && port->entrance == bridge::Entrance::http)
      at_80.push_back(address.is_any() ? IpAddress::loopback(address.family()) : address);
  }
  bridge_.set_own(std::move(own));
  if (at_80 == at_80_) return;
  at_80_ = std::move(at_80);
  on_port_80_(at_80_);
}

void WebListener::close() {
  retry_.reset();
  ports_.clear();
}

void WebListener::finish(Callback<void()> done) {
  finished_ = std::move(done);
  end_timer_ =
      env_.after(Duration::zero(), [this, until = env_.now() + kWebEnd] { look_for_end(until); });
}

void WebListener::look_for_end(TimePoint until) {
  if (bridge_.connection_count() > 0 && env_.now() < until)
    end_timer_ = env_.after(kWebEndLook, [this, until] { look_for_end(until); });
  else
    std::exchange(finished_, nullptr)();  // may destroy this
}

void WebListener::write_status(json::Writer& out) const {
  for (const auto& [key, entrance] : {std::pair("listen", bridge::Entrance::http),
                                      std::pair("tls_listen", bridge::Entrance::tls)}) {
    out.key(key).begin_array();
    for (const auto& port : ports_)
      if (port->is_open() && port->entrance == entrance) out.value(port->local().to_string());
    out.end_array();
  }
  out.key("missing").begin_array();
  for (const auto& port : ports_)
    if (!port->is_open())
      out.begin_object()
          .member("address", port->endpoint.to_string())
          .member("reason", port->reason)
          .end_object();
  out.end_array();
  bridge_.write_status(out);
}

}  // namespace outrider
