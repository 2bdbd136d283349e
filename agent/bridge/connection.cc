// SPDX-License-Identifier: Apache-2.0
#include "agent/bridge/connection.h"

#include <algorithm>
#include <set>

#include "agent/bridge/client_hello.h"
#include "agent/bridge/host.h"
#include "agent/doors/why.h"
#include "base/http/refusal.h"
#include "base/text.h"

namespace outrider::bridge {
namespace {

/// Safe methods without a body (RFC 9110 §9.2.1): sending them twice does what sending them once
/// does. A client that waits for "100 Continue" or changes the protocol is about to send more.
bool is_repeatable(const http::RequestHead& head) {
  if (head.method != "GET" && head.method != "HEAD" && head.method != "OPTIONS") return false;
  const std::string_view length = head.headers.get("Content-Length");
  return (length.empty() || length == "0") && !head.headers.has("Transfer-Encoding") &&
         !head.headers.has("Upgrade") && !head.headers.has("Expect");
}

std::string explain_head_error(http::Error error) {
  if (error != http::Error::method) return http::explain_refusal(error);
  return "unknown method; the bridge passes on every registered method but CONNECT";
}

IpAddress address_of(const StreamAddress& peer) {
  const auto* endpoint = std::get_if<Endpoint>(&peer);
  return endpoint != nullptr ? endpoint->address : IpAddress::loopback(IpAddress::Family::v4);
}

}  // namespace

/// The instance, while its answer is waited for.
class Connection::Upstream final : Stream::Sink {
 public:
  Upstream(Connection& connection, std::unique_ptr<Stream> connected)
      : stream(std::move(connected)), connection_(connection) {}
  void start() { stream->start(*this); }
  /// What was sent is to have no effect, as far as that is possible.
  void abort() { stream->reset_on_destroy(); }

  std::unique_ptr<Stream> stream;

 private:
  void on_data(Bytes data) override { connection_.answer_came(data); }
  void on_end() override { connection_.fail_waiting("it closed the connection without an answer"); }
  void on_broken(NetError error) override { connection_.fail_waiting(to_string(error)); }

  Connection& connection_;
};

Connection::Connection(Bridge& bridge, std::unique_ptr<Stream> client, Entrance entrance)
    : bridge_(bridge),
      client_(std::move(client)),
      address_(address_of(client_->peer())),
      entrance_(entrance),
      request_(std::make_unique<Request>()) {}

Connection::~Connection() {
  if (target_) bridge_.targets_.uncount(target_->endpoint);
  if (relay_) bridge_.counters_.bytes += relay_->bytes();
}

void Connection::start(Position position) {
  position_ = position;
  set_deadline(kHeadTime);
  client_->start(*this);
}

void Connection::set_deadline(Duration after) {
  timer_ = bridge_.env_.after(after, [this] { on_deadline(); });
}

void Connection::on_deadline() {
  switch (phase_) {
    case Phase::head:
      if (request_->bytes.empty()) return bridge_.drop(*this);  // opened ahead, and not used
      return refuse_head(
          408, "the head of the request did not come within " + format_duration(kHeadTime));
    case Phase::held:
      return connect();
    case Phase::connecting:
      connecting_.reset();
      return fail_attempt("it does not answer");
    case Phase::lingering:
      return bridge_.drop(*this);
    case Phase::waiting:
    case Phase::relaying:
      return;
  }
}

void Connection::enter(Phase phase) {
  if (is_fresh()) bridge_.on_head(*this);
  phase_ = phase;
}

// --- The head ---------------------------------------------------------------------------------

void Connection::on_data(Bytes data) {
  switch (phase_) {
    case Phase::head:
      request_->bytes += as_text(data);
      return entrance_ == Entrance::tls ? read_tls() : read_http(data);
    case Phase::waiting:
      return pass_on(data);
    case Phase::held:
    case Phase::connecting:
    case Phase::relaying:
    case Phase::lingering:
      return;
  }
}

void Connection::read_http(Bytes data) {
  const auto complete = request_->parser.feed(data);
  if (!complete)
    return refuse_head(http::status_of(complete.error()), explain_head_error(complete.error()));
  if (*complete) take_head(request_->parser.take());
}

void Connection::take_head(http::RequestHead head) {
  client_->set_paused(true);
  request_->form = http::preferred_form(head.headers.get("Accept"));
  request_->repeatable = head.bytes == request_->bytes.size() && is_repeatable(head);
  request_->method = std::move(head.method);
  go_to(head.headers.get("Host"));
}

void Connection::read_tls() {
  const auto name = read_server_name(as_bytes(request_->bytes));
  if (name) {
    client_->set_paused(true);
    // Nothing but the greeting was sent, which another instance can be greeted with.
    request_->repeatable = true;
    return go_to(*name);
  }
  if (name.error() == HelloError::cut_short && request_->bytes.size() < kHelloBytesMax) return;
  const bool unnamed = name.error() == HelloError::no_name;
  refuse_head(unnamed ? 421 : 400,
              unnamed ? "the TLS greeting names no server" : "this is no TLS greeting");
}

void Connection::refuse_head(int status, std::string why) {
  refuse({.status = status, .service = {}, .why = std::move(why), .lines = {}});
}

void Connection::go_to(std::string_view host) {
  Host meant = read_host(host, bridge_.domains());
  switch (meant.kind) {
    case Host::Kind::page:
      if (entrance_ == Entrance::http) return bridge_.give_to_page(*this);
      [[fallthrough]];
    case Host::Kind::other: {
      const std::string domain =
          bridge_.domains().empty() ? std::string() : " or NAME." + bridge_.domains().front();
      return refuse_head(421, (host.empty() ? std::string("the request names no host")
                                            : '"' + std::string(host) + "\" is no service") +
                                  "; services are reached as NAME.localhost" + domain);
    }
    case Host::Kind::service:
      request_->name = std::move(meant.name);
      return hold();
  }
}

/// A service that is not known yet is asked for, as for a DNS query.
void Connection::hold() {
  const auto& ask_for = bridge_.options_.ask_for;
  // What the choice remembers of a name spares looking it up for each connection.
  if (ask_for && !bridge_.targets_.has_next(request_->name, {})) {
    const doors::Findings found = bridge_.targets_.look_for(request_->name);
    const auto label =
        registry::to_label(found.name.meaning.service, registry::kServiceLabelBytesMax);
    const bool certain = found.service_known && bridge_.control_.is_settled();
    const Duration patience = certain || !label ? Duration::zero() : ask_for(*label);
    if (patience > Duration::zero()) {
      enter(Phase::held);
      return set_deadline(patience);
    }
  }
  connect();
}

// --- The instance -----------------------------------------------------------------------------

void Connection::connect() {
  timer_.reset();
  Request& request = *request_;
  if (entrance_ == Entrance::http && bridge_.targets_.speaks_https(request.name))
    return refuse_https();
  std::optional<Target> next;
  if (request.tried.size() < kAttemptsMax)
    next = bridge_.targets_.next(request.name, request.tried, address_);
  if (!next) return give_up();
  if (!request.tried.empty()) ++bridge_.counters_.repeated;
  enter(Phase::connecting);
  target_ = std::move(next);
  bridge_.targets_.count(target_->endpoint);
  request.tried.push_back(target_->endpoint);
  ConnectOptions options;
  options.to = target_->endpoint;
  options.opening = as_bytes(request.bytes);
  if (!target_->endpoint.address.is_loopback()) {
    options.keep_alive = kKeepAlive;
    options.unacknowledged_max = kUnacknowledged;
  }
  const bool last = request.tried.size() == kAttemptsMax || target_->last;
  set_deadline(last ? kLastConnectTime : kConnectTime);
  connecting_ = bridge_.env_.network.connect(
      options, [this](auto result) { on_connected(std::move(result)); });
}

void Connection::on_connected(Result<std::unique_ptr<Stream>, NetError> result) {
  connecting_.reset();
  timer_.reset();
  if (!result) return fail_attempt(to_string(result.error()));
  upstream_ = std::make_unique<Upstream>(*this, std::move(*result));
  enter(Phase::waiting);
  upstream_->start();
  if (client_ended_) return pass_on_end();
  client_->set_paused(false);
}

void Connection::pass_on_end() {
  if (entrance_ == Entrance::tls) return relay({}, {});
  upstream_->stream->finish();
}

/// More of the request, or the next one.
void Connection::pass_on(Bytes data) {
  request_->repeatable = false;
  request_->passed_on += data.size();
  if (entrance_ == Entrance::tls || request_->passed_on > kWaitingBytesMax) return relay(data, {});
  bridge_.counters_.bytes += data.size();
  (void)upstream_->stream->write(data);  // a break is reported to fail_waiting
}

/// The instance has the request, and will not answer it.
void Connection::fail_waiting(std::string reason) {
  if (request_->repeatable) return fail_attempt(std::move(reason));
  Refusal refusal{.status = 502, .service = request_->name, .why = {}, .lines = {}};
  refusal.why = target_->instance + " may have begun to obey the request, and was lost before it " +
                "answered; only GET, HEAD and OPTIONS without a body go to another instance";
  refusal.lines.emplace_back(target_->instance, target_->endpoint.to_string() + ": " + reason);
  bridge_.targets_.shun(target_->endpoint);
  upstream_.reset();
  refuse(std::move(refusal));
}

/// The next instance, or the end.
void Connection::fail_attempt(std::string reason) {
  client_->set_paused(true);
  request_->failures.emplace_back(target_->instance, target_->endpoint.to_string() + ": " + reason);
  bridge_.targets_.shun(target_->endpoint);
  bridge_.targets_.uncount(target_->endpoint);
  target_.reset();
  upstream_.reset();
  connect();
}

void Connection::give_up() {
  const Request& request = *request_;
  const doors::View view = doors::view_of(bridge_.control_);
  const doors::Findings found = bridge_.targets_.look_for(request.name);
  Refusal refusal{.status = 404, .service = request.name, .why = {}, .lines = {}};
  if (!request.failures.empty()) {
    refusal.status = 502;
    std::set<std::string_view> tried;  // perhaps at several addresses
    for (const auto& [instance, reason] : request.failures)
      tried.insert(instance);
    refusal.why = tried.size() == 1
                      ? "the one instance of " + request.name + " that is served cannot be reached"
                      : "none of the " + counted(tried.size(), "instance") + " of " + request.name +
                            " that were tried can be reached";
    refusal.lines = request.failures;
    return refuse(std::move(refusal));
  }
  if (bridge_.targets_.is_loop(request.name)) {
    refusal.status = 508;
    refusal.why = "the instance of " + request.name +
                  " is registered at the address of this bridge; register the port that the "
                  "program listens on";
    return refuse(std::move(refusal));
  }
  if (bridge_.targets_.is_off_link(request.name)) {
    refusal.status = 502;
    refusal.why = request.name +
                  " is announced at no address of the link where it was announced; the bridge "
                  "follows mDNS to no other one";
    return refuse(std::move(refusal));
  }
  doors::Reasons reasons = doors::reasons_for(view, found, kLinesMax);
  if (found.known) refusal.status = 503;
  refusal.why = std::move(reasons.summary);
  if (!found.known && !bridge_.control_.is_settled()) {
    refusal.status = 503;
    refusal.why += " The agent has just started and does not know everything yet.";
  }
  if (bridge_.targets_.is_kept_here(request.name, found))
    refusal.why += " While " + found.name.meaning.service +
                   " is registered on this host, it is looked for on this host only "
                   "(web.locality is strict).";
  for (auto& [id, reason] : reasons.lines)
    refusal.lines.emplace_back(std::move(id), std::move(reason));
  refuse(std::move(refusal));
}

/// It would take the request for a broken greeting, and hang up.
void Connection::refuse_https() {
  const std::uint16_t port = bridge_.options_.tls_port;
  refuse({.status = 502,
          .service = request_->name,
          .why = request_->name + " speaks https, and this is http; " +
                 (port != 0 ? "open https://" + request_->name +
                                  ".localhost:" + std::to_string(port) + '/'
                            : "with web.tls_listen, the bridge passes https on"),
          .lines = {}});
}

void Connection::answer_came(Bytes data) {
  client_->set_paused(true);
  relay({}, data);
}

void Connection::relay(Bytes from_client, Bytes from_instance) {
  enter(Phase::relaying);
  timer_.reset();
  ++bridge_.counters_.bridged;
  bridge_.counters_.bytes += request_->bytes.size();
  // The texts cost more than a connection should if no client reads them.
  if (bridge_.env_.log.least() == LogLevel::debug)
    bridge_.env_.log.record(LogEvent::bridge_connected, {{"service", request_->name},
                                                         {"instance", target_->instance},
                                                         {"address", target_->endpoint.to_string()},
                                                         {"peer", address_.to_string()}});
  request_.reset();
  RelayEnd client{std::move(client_), client_ended_, from_client};
  RelayEnd instance{std::move(upstream_->stream), false, from_instance};
  relay_ = bridge_.relays_->start(std::move(client), std::move(instance), *this);
  upstream_.reset();  // perhaps the caller
}

// --- The end ----------------------------------------------------------------------------------

void Connection::on_end() {
  switch (phase_) {
    case Phase::head:
      if (request_->bytes.empty()) return bridge_.drop(*this);
      return refuse_head(400, "the client ended before the head of its request was complete");
    case Phase::waiting:
      client_ended_ = true;
      return pass_on_end();
    case Phase::lingering:
      return bridge_.drop(*this);
    case Phase::held:
    case Phase::connecting:
    case Phase::relaying:
      client_ended_ = true;
      return;
  }
}

void Connection::on_broken(NetError) {
  if (upstream_ != nullptr) upstream_->abort();
  bridge_.drop(*this);
}

void Connection::on_relay_end() {
  bridge_.drop(*this);
}

void Connection::refuse(Refusal refusal) {
  ++bridge_.counters_.refused[static_cast<std::size_t>(refusal.status / 100)];
  bridge_.env_.log.record(LogEvent::bridge_refused, {{"service", refusal.service},
                                                     {"status", refusal.status},
                                                     {"peer", address_.to_string()},
                                                     {"reason", refusal.why}});
  const std::string text =
      entrance_ == Entrance::http
          ? write_refusal(refusal, request_->form, request_->method == "HEAD")
          : write_alert(refusal.status == 421 || refusal.status == 404 ? Alert::unrecognized_name
                        : refusal.status == 400                        ? Alert::decode_error
                                                                       : Alert::internal_error);
  enter(Phase::lingering);
  (void)client_->write(as_bytes(text));  // a break is reported to on_broken
  client_->finish();
  client_->set_paused(false);
  set_deadline(kLinger);
}

/// `critical`: ids of instances that have just become critical.
void Connection::on_changes(const std::vector<std::string>& critical) {
  if (phase_ == Phase::held) {
    const bool known = bridge_.targets_.look_for(request_->name).service_known;
    if (bridge_.targets_.has_next(request_->name, {}) || (known && bridge_.control_.is_settled()))
      connect();
    return;
  }
  if (phase_ != Phase::waiting || !request_->repeatable ||
      std::ranges::count(critical, target_->instance) == 0)
    return;
  // Without another one, it may still come back.
  if (request_->tried.size() == kAttemptsMax ||
      !bridge_.targets_.has_next(request_->name, request_->tried))
    return;
  upstream_->abort();
  fail_attempt("it became critical before it answered");
}

bool Connection::is_idle_for_long() {
  if (phase_ != Phase::relaying && phase_ != Phase::waiting) return false;
  const std::uint64_t now = bytes();
  idle_looks_ = std::exchange(bytes_seen_, now) == now ? idle_looks_ + 1 : 0;
  return idle_looks_ * kIdleLook >= kIdleTime;
}

}  // namespace outrider::bridge
