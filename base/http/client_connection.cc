// SPDX-License-Identifier: Apache-2.0
#include "base/http/client_connection.h"

#include "base/http/url.h"
#include "base/rounded_duration.h"
#include "base/text.h"

namespace outrider::http {
namespace {

/// Of a body that has not been handed over: more than one read of a stream.
constexpr std::size_t kPieceBytesMax = std::size_t{1} << 20;

}  // namespace

ClientConnection::ClientConnection(Env& env, Server server, NameLookup* names)
    : env_(env), server_(std::move(server)), names_(names) {}

ClientConnection::~ClientConnection() {
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void ClientConnection::send(const Exchange& exchange, Sink& sink) {
  OUTRIDER_ASSERT(!is_busy());
  ++exchange_;
  sink_ = &sink;
  deadlines_ = exchange.deadlines;
  repeatable_ = exchange.repeatable;
  to_head_ = exchange.method == "HEAD";
  request_ = write_request(exchange.method, exchange.target, server_.authority, exchange.headers,
                           exchange.body, true);
  if (stream_) return transmit();
  start();
}

void ClientConnection::close() {
  ++exchange_;
  sink_ = nullptr;
  request_ = {};
  drop();
}

void ClientConnection::drop() {
  step_ = Step::idle;
  kept_ = false;
  timer_.reset();
  pending_.reset();
  secure_ = nullptr;
  stream_.reset();
  parser_.reset();
}

void ClientConnection::arm(Duration deadline, const char* what) {
  timer_.reset();
  if (deadline == Duration::zero()) return;
  timer_ = env_.after(deadline, [this, deadline, what] {
    fail(ClientError::Kind::timeout, what + (" within " + format_rounded(deadline)));
  });
}

void ClientConnection::start() {
  step_ = Step::connecting;
  arm(deadlines_.connect, "no connection");
  if (const auto address = IpAddress::parse(server_.host)) return connect_to({*address});
  if (equal_fold(server_.host, "localhost"))
    return connect_to(
        {IpAddress::loopback(IpAddress::Family::v4), IpAddress::loopback(IpAddress::Family::v6)});
  if (names_ == nullptr) {
    timer_ = env_.after(Duration::zero(), [this] {
      fail(ClientError::Kind::network, "host names cannot be looked up", NetError::not_available);
    });
    return;
  }
  pending_ = names_->look_up(server_.host, [this](auto found) { on_found(std::move(found)); });
}

void ClientConnection::on_found(NameLookup::Found found) {
  pending_.reset();
  if (!found || found->empty())
    return fail(ClientError::Kind::network, found ? "the name has no address" : found.error(),
                NetError::not_available);
  connect_to(*found);
}

void ClientConnection::connect_to(const std::vector<IpAddress>& addresses) {
  peer_ = Endpoint{addresses[address_ % addresses.size()], server_.port};
  if (server_.tls.on) return connect_securely();
  const ConnectOptions options{.to = *peer_,
                               .from = {},
                               .opening = {},
                               .keep_alive = kKeepAliveIdle,
                               .unacknowledged_max = kUnacknowledgedMax};
  pending_ = env_.network.connect(options, [this](auto stream) {
    if (!stream) return fail(ClientError::Kind::network, to_string(stream.error()), stream.error());
    on_connected(std::move(*stream));
  });
}

void ClientConnection::connect_securely() {
  const curl::TlsConnect options{.to = *peer_,
                                 .name = IpAddress::parse(server_.host) ? "" : server_.host,
                                 .tls = server_.tls,
                                 .keep_alive = kKeepAliveIdle,
                                 .unacknowledged_max = kUnacknowledgedMax};
  pending_ = curl::connect_tls(env_, options, [this](auto stream) {
    if (!stream) return fail(ClientError::Kind::network, stream.error().text);
    secure_ = stream->get();
    on_connected(std::move(*stream));
  });
}

void ClientConnection::on_connected(std::unique_ptr<Stream> stream) {
  pending_.reset();
  stream_ = std::move(stream);
  stream_->start(*this);
  transmit();
}

void ClientConnection::transmit() {
  step_ = Step::head;
  parser_.emplace(kPieceBytesMax, to_head_);
  arm(deadlines_.head, "no answer");
  // The kernel reports a break later, in on_broken; nothing else is in the queue.
  if (!stream_->write(as_bytes(request_)))
    timer_ = env_.after(Duration::zero(),
                        [this] { lost(ClientError::Kind::network, NetError::closed); });
}

void ClientConnection::on_data(Bytes data) {
  // Not to any request: what follows an answer cannot be told from the next one.
  if (!is_busy()) return drop();
  const std::uint64_t exchange = exchange_;
  bool destroyed = false;
  destroyed_ = &destroyed;
  while (!data.empty()) {
    const bool more = take(data);
    if (destroyed) return;
    if (!more || exchange != exchange_) break;
  }
  destroyed_ = nullptr;
}

/// Feeds the parser once and hands over what came of it. False: the exchange is over.
bool ClientConnection::take(Bytes& data) {
  const std::uint64_t exchange = exchange_;
  const bool* destroyed = destroyed_;
  const auto used = parser_->feed(data);
  if (!used) {
    fail(ClientError::Kind::protocol,
         std::string("the answer is not valid HTTP/1.1: ") + to_string(used.error()));
    return false;
  }
  data = data.subspan(*used);
  if (step_ == Step::head && parser_->head_complete()) {
    step_ = Step::body;
    timer_.reset();
    const Response head = parser_->response();
    sink_->on_head(head.status, head.headers);
    if (*destroyed || exchange != exchange_) return false;
  }
  const std::string piece = parser_->take_body();
  if (step_ == Step::body) arm(deadlines_.silence, "nothing more");
  const bool complete_now = parser_->complete();
  if (!piece.empty()) {
    sink_->on_piece(piece);
    if (*destroyed || exchange != exchange_) return false;
  }
  if (!complete_now) return *used > 0;
  // Further bytes were not asked for by any request.
  const bool keep = parser_->take().keep_alive && data.empty();
  if (!keep) drop();
  complete();
  return false;
}

void ClientConnection::complete() {
  step_ = Step::idle;
  kept_ = stream_ != nullptr;
  timer_.reset();
  request_ = {};
  Sink* const sink = std::exchange(sink_, nullptr);
  sink->on_complete();
}

void ClientConnection::on_end() {
  if (is_busy() && step_ == Step::body && parser_->finish()) {
    drop();
    return complete();
  }
  lost(ClientError::Kind::protocol, NetError::closed);
}

void ClientConnection::on_broken(NetError error) {
  lost(ClientError::Kind::network, error);
}

void ClientConnection::lost(ClientError::Kind kind, NetError network) {
  if (!is_busy()) return drop();
  if (kept_ && repeatable_ && step_ == Step::head && !parser_->in_message()) {
    drop();
    return start();
  }
  fail(kind, why_lost(network), network);
}

std::string ClientConnection::why_lost(NetError network) const {
  if (step_ == Step::body) return "the connection ended within the answer";
  if (secure_ != nullptr && !secure_->reason().empty()) return secure_->reason();
  if (network != NetError::closed)
    return std::string("the connection was closed: ") + to_string(network);
  // What servers do that speak TLS and were asked in plain text.
  return server_.tls.on || kept_ ? "the connection was closed without an answer"
                                 : "the connection was closed without an answer; a server with TLS "
                                   "needs an https:// URL";
}

void ClientConnection::fail(ClientError::Kind kind, const std::string& reason, NetError network) {
  if (step_ == Step::connecting) ++address_;
  drop();
  request_ = {};
  Sink* const sink = std::exchange(sink_, nullptr);
  sink->on_failed({kind, network, reason});
}

std::unique_ptr<ClientConnection> connection_to(Env& env, std::string_view url, TlsOptions tls,
                                                NameLookup* names) {
  const auto parsed = parse_url(url);
  if (!parsed) return nullptr;
  tls.on = parsed->scheme == "https";
  return std::make_unique<ClientConnection>(
      env,
      ClientConnection::Server{parsed->host, parsed->port, parsed->authority(), std::move(tls)},
      names);
}

}  // namespace outrider::http
