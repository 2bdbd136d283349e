// SPDX-License-Identifier: Apache-2.0
#include "dns/stub_server.h"

#include <algorithm>
#include <optional>

#include "dns/clients.h"
#include "dns/forwarder.h"
#include "dns/joined_hosts.h"
#include "dns/local_reverse.h"
#include "dns/query.h"
#include "dns/reply.h"
#include "dns/special_names.h"
#include "dns/tcp_clients.h"
#include "dns/waiting.h"
#include "dns/zone_answer.h"
#include "dns/zone_store.h"

namespace outrider::dns {
namespace {

/// Datagrams whose look-ups overlap.
constexpr std::size_t kBatch = 16;
constexpr Ttl kHostTtlMax = 10;  // RFC 6762 §6.7: what crosses to unicast lives briefly

/// Whether a query may wait for its answer; once it has waited it is answered with what is known.
enum class Wait : std::uint8_t { allowed, over };

bool is_transfer(RrType type) {
  return type == RrType::axfr || type == RrType::ixfr;
}

/// What fits into a record: a scope does not, and without it a link-local address is of no use.
std::vector<IpAddress> without_link_local(std::vector<IpAddress> addresses) {
  std::erase_if(addresses, [](const IpAddress& address) {
    return address.is_v6() && address.is_link_local();
  });
  return addresses;
}

Ttl host_ttl(Duration ttl) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(ttl).count();
  return static_cast<Ttl>(std::clamp<std::int64_t>(seconds, 0, kHostTtlMax));
}

}  // namespace

struct StubServer::State final : TcpClients::Sink, HeldQueries::Sink {
  /// One listen address.
  struct Port final : UdpSocket::Sink, Listener::Sink {
    Port(State& state, std::size_t number, const Endpoint& address)
        : server(state), index(number), wanted(address) {}
    void on_datagrams(std::span<const Datagram> datagrams) override {
      server.take(*this, datagrams);
    }
    void on_accept(std::unique_ptr<Stream> stream) override { server.tcp.adopt(std::move(stream)); }

    State& server;
    const std::size_t index;  // in `ports`
    const Endpoint wanted;
    std::unique_ptr<UdpSocket> udp;
    std::unique_ptr<Listener> tcp;
    bool reported = false;
    Timer retry;
  };

  State(Env& environment, StubOptions from, StubServer::Sink& to)
      : env(environment),
        options(std::move(from)),
        sink(to),
        tcp(environment, *this),
        held(environment, *this),
        clients(environment),
        answerer(environment.random.u64()),
        buffer(kMessageBytesMax) {}

  void on_tcp_query(TcpClients::Id client, const Endpoint& peer, Bytes message) override {
    ++counters.queries_tcp;
    ReturnPath path;
    path.tcp = client;
    path.peer = peer;
    process(message, path, Wait::allowed);
  }
  void on_released(Bytes message, const ReturnPath& path) override {
    process(message, path, Wait::over);
  }
  bool is_answerable(const Query& query) const override;

  void take(const Port& port, std::span<const Datagram> datagrams);
  void process(Bytes message, const ReturnPath& path, Wait wait);
  void answer(const Query& query, QueryFault fault, const ReturnPath& path, Wait wait);
  void warm_up(std::span<const Query> queries) const;
  void send(const ReturnPath& path, Bytes message);
  void finish(Reply& reply, const ReturnPath& path);

  void answer_fault(const Query& query, QueryFault fault, const ReturnPath& path);
  void answer_chaos(const Query& query, const ReturnPath& path);
  void refuse(const Query& query, const ReturnPath& path, std::string_view why);
  void refuse_client(const Query& query, const ReturnPath& path);
  void answer_busy(const Query& query, const ReturnPath& path);
  void answer_not_ready(const Query& query, const ReturnPath& path);
  void answer_zone(const LocalZone& zone, const Query& query, Bytes relative,
                   const ReturnPath& path, Wait wait);
  Duration time_to_hold(const LocalZone& zone, const Query& query, const ZoneNode* node, Wait wait);
  /// The name as asked for, or as it is spelled in the zone.
  const ZoneNode* find_node(const LocalZone& zone, const Query& query, Bytes relative) const;
  bool answer_special(const Query& query, const ReturnPath& path, Wait wait);
  bool answer_reverse(const Query& query, const ReturnPath& path);
  bool is_unicast_local(const Query& query) const;
  void answer_localhost(const Query& query, const ReturnPath& path);
  void answer_empty(const Query& query, Rcode rcode, const ReturnPath& path);
  void answer_addresses(const Query& query, std::span<const IpAddress> addresses, Ttl ttl,
                        const ReturnPath& path);
  void answer_multicast(const Query& query, const ReturnPath& path, Wait wait);
  void look_up_host(const Query& query, const ReturnPath& path);
  void forward(const Query& query, const ReturnPath& path, Wait wait);

  void bind(Port& port);
  void bind_soon(Port& port);
  Result<void, NetError> try_bind(Port& port);

  Env& env;
  StubOptions options;
  StubServer::Sink& sink;
  std::vector<std::unique_ptr<LocalZone>> zones;  // the longest origin first
  std::unique_ptr<LocalZone> reverse;
  HostNames* host_names = nullptr;
  std::vector<std::unique_ptr<JoinedHosts>> joined_hosts;  // the last is in use, if any is
  Forwarder* forwarder = nullptr;
  std::string refused_text = "not one of our names, and forwarding is off";

  std::vector<std::unique_ptr<Port>> ports;
  TcpClients tcp;
  HeldQueries held;
  WaitingQueries waiting;
  Clients clients;
  std::vector<Name> unicast_local;
  Timer closing;

  Query batch[kBatch];
  ZoneAnswerer answerer;
  std::vector<std::uint8_t> buffer;
  StubCounters counters;
};

void StubServer::State::take(const Port& port, std::span<const Datagram> datagrams) {
  counters.queries_udp += datagrams.size();
  ReturnPath path;
  path.port = port.index;
  while (!datagrams.empty()) {
    const auto some = datagrams.first(std::min(datagrams.size(), kBatch));
    datagrams = datagrams.subspan(some.size());
    QueryFault faults[kBatch];
    for (std::size_t i = 0; i < some.size(); ++i)
      faults[i] = batch[i].parse(some[i].payload);
    warm_up(std::span(batch, some.size()));
    for (std::size_t i = 0; i < some.size(); ++i) {
      path.peer = some[i].from;
      path.local = some[i].to;
      path.interface = some[i].interface;
      answer(batch[i], faults[i], path, Wait::allowed);
    }
  }
}

/// Most of what an answer costs is waiting for memory. The look-ups of datagrams that came together
/// wait at the same time: first all slots are fetched, then all nodes.
void StubServer::State::warm_up(std::span<const Query> queries) const {
  if (queries.size() < 2) return;
  for (const auto& zone : zones) {
    const ZoneStore& store = zone->store();
    std::uint64_t hashes[kBatch];
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const auto relative = ZoneAnswerer::relative(*zone, queries[i]);
      hashes[i] = relative ? store.hash(*relative) : 0;
      if (relative) store.prefetch(hashes[i]);
    }
    for (std::size_t i = 0; i < queries.size(); ++i)
      store.prefetch_node(hashes[i]);
  }
}

void StubServer::State::send(const ReturnPath& path, Bytes message) {
  if (path.tcp != 0) return tcp.reply(path.tcp, message);
  const Port& port = *ports[path.port];
  if (!port.udp) return;
  const bool wildcard = port.wanted.address.is_any();
  // A reply that cannot be sent is like one lost on the way: the client asks again.
  (void)port.udp->send(message, path.peer, wildcard ? path.local : IpAddress(),
                       wildcard ? path.interface : 0);
}

void StubServer::State::finish(Reply& reply, const ReturnPath& path) {
  reply.recursion_available = forwarder != nullptr;
  counters.count(reply);
  send(path, reply.finish());
}

void StubServer::State::answer_fault(const Query& query, QueryFault fault, const ReturnPath& path) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  switch (fault) {
    case QueryFault::none:
    case QueryFault::drop:
      OUTRIDER_UNREACHABLE();
    case QueryFault::formerr:
      reply.rcode = Rcode::formerr;
      break;
    case QueryFault::notimp:
      reply.rcode = Rcode::notimp;
      break;
    case QueryFault::badvers:
      reply.rcode = Rcode::badvers;
      break;
  }
  finish(reply, path);
}

void StubServer::State::answer_chaos(const Query& query, const ReturnPath& path) {
  if (!asks_version(query)) {
    refuse(query, path, "class CH has version.bind only");
    return;
  }
  constexpr std::string_view kVersion = "outrider " OUTRIDER_VERSION;
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  reply.authoritative = true;
  ByteWriter& out = reply.begin(kQuestionName, RrType::txt, RrClass::ch, 0);
  out.u8(static_cast<std::uint8_t>(kVersion.size()));
  out.put(as_bytes(kVersion));
  reply.end(Section::answer);
  finish(reply, path);
}

void StubServer::State::refuse(const Query& query, const ReturnPath& path, std::string_view why) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  reply.rcode = Rcode::refused;
  reply.set_extended_error(ExtendedError::not_authoritative, why);
  finish(reply, path);
}

void StubServer::State::refuse_client(const Query& query, const ReturnPath& path) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  reply.rcode = Rcode::refused;
  reply.set_extended_error(ExtendedError::prohibited, "not in dns.allow");
  finish(reply, path);
}

/// There is no room to ask elsewhere; whether the name exists is not known.
void StubServer::State::answer_busy(const Query& query, const ReturnPath& path) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  reply.rcode = Rcode::servfail;
  reply.set_extended_error(ExtendedError::other, "too many queries wait for an answer");
  finish(reply, path);
}

void StubServer::State::answer_not_ready(const Query& query, const ReturnPath& path) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  reply.rcode = Rcode::servfail;
  reply.set_extended_error(ExtendedError::not_ready, "not everything is known yet; ask again");
  finish(reply, path);
}

void StubServer::State::process(Bytes message, const ReturnPath& path, Wait wait) {
  Query query;
  const QueryFault fault = query.parse(message);
  answer(query, fault, path, wait);
}

/// Answers one query, or lets it wait.
void StubServer::State::answer(const Query& query, QueryFault fault, const ReturnPath& path,
                               Wait wait) {
  if (fault == QueryFault::drop) {
    ++counters.dropped;
    if (path.tcp != 0) tcp.no_reply(path.tcp);
    return;
  }
  if (fault != QueryFault::none) return answer_fault(query, fault, path);
  if (!clients.admit(path.peer.address)) return refuse_client(query, path);
  if (query.rr_class == RrClass::ch) return answer_chaos(query, path);
  if (query.rr_class != RrClass::in && query.rr_class != RrClass::any)
    return refuse(query, path, "no such class here");
  // RFC 1035 §4.1.1 and RFC 5936 §5: REFUSED is for the operation, whatever there is of the name.
  if (is_transfer(query.type)) return refuse(query, path, "no zone transfers");
  if (query.message.size() > kWaitingQueryBytesMax) wait = Wait::over;

  for (const auto& zone : zones) {
    const auto relative = ZoneAnswerer::relative(*zone, query);
    if (!relative) continue;
    return answer_zone(*zone, query, *relative, path, wait);
  }
  if (answer_special(query, path, wait)) return;
  if (forwarder == nullptr) return refuse(query, path, refused_text);
  forward(query, path, wait);
}

const ZoneNode* StubServer::State::find_node(const LocalZone& zone, const Query& query,
                                             Bytes relative) const {
  const ZoneNode* const asked = zone.store().find(relative);
  if (asked != nullptr || relative.empty()) return asked;
  const std::size_t origin_size = zone.origin().wire().size();
  for (const Name& name : sink.other_spellings(query.to_name(), zone.origin())) {
    const Name folded = name.lowercase();
    const Bytes wire = folded.wire();
    const ZoneNode* const node = zone.store().find(wire.first(wire.size() - origin_size));
    if (node != nullptr && node->set) return node;
  }
  return nullptr;
}

/// Of a query whose answer would be negative; the sink hears of it.
Duration StubServer::State::time_to_hold(const LocalZone& zone, const Query& query,
                                         const ZoneNode* node, Wait wait) {
  const bool may_wait = wait == Wait::allowed;
  if (node == nullptr)
    return may_wait ? sink.on_unknown_name(query.to_name(), zone.origin()) : Duration::zero();
  if (!node->set || !node->records().empty()) return Duration::zero();
  sink.on_empty_name(query.to_name(), zone.origin());
  return may_wait ? sink.until_complete() : Duration::zero();
}

void StubServer::State::answer_zone(const LocalZone& zone, const Query& query, Bytes relative,
                                    const ReturnPath& path, Wait wait) {
  const ZoneNode* node = find_node(zone, query, relative);
  const bool is_apex = relative.empty();
  const Duration time = is_apex ? Duration::zero() : time_to_hold(zone, query, node, wait);
  if (time > Duration::zero() && !held.full()) {
    ++counters.held;
    return held.hold(query, path, time);
  }
  if (node == nullptr) node = find_node(zone, query, relative);  // the sink may have brought it
  if (node == nullptr && !is_apex && sink.may_come(query.to_name(), zone.origin()))
    return answer_not_ready(query, path);
  const TimePoint now = env.now();
  if (node != nullptr) {
    ++node->asked.times;
    node->asked.last = static_cast<std::uint32_t>(now.time_since_epoch() / StoredRecord::kTick);
    node->asked.by = path.peer.address;
  }
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  answerer.write(zone, query, relative, node, now, reply);
  finish(reply, path);
}

/// False if the name is not special, or is special but not answered here.
bool StubServer::State::answer_special(const Query& query, const ReturnPath& path, Wait wait) {
  const auto use = special_use(query);
  if (!use) return false;
  switch (*use) {
    case SpecialUse::reverse:
      return answer_reverse(query, path);
    case SpecialUse::loopback:
      answer_localhost(query, path);
      return true;
    case SpecialUse::multicast:
      if (is_unicast_local(query)) return false;
      answer_multicast(query, path, wait);
      return true;
    case SpecialUse::nonexistent:
      answer_empty(query, Rcode::nxdomain, path);
      return true;
  }
  OUTRIDER_UNREACHABLE();
}

bool StubServer::State::answer_reverse(const Query& query, const ReturnPath& path) {
  const Bytes relative = query.name().first(query.name_size - 1U);
  const ZoneNode* const node = reverse ? reverse->store().find(relative) : nullptr;
  const bool ours = node != nullptr && node->set;
  const auto local = ours ? std::nullopt : local_reverse(query);
  if (!ours && (!local || local->scope != ReverseScope::host)) return false;
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  if (ours)
    answerer.write(*reverse, query, relative, node, env.now(), reply);
  else
    write_local_reverse(query, *local, reply);
  finish(reply, path);
  return true;
}

bool StubServer::State::is_unicast_local(const Query& query) const {
  if (unicast_local.empty()) return false;
  const Name name = query.to_name();
  return std::ranges::any_of(unicast_local,
                             [&name](const Name& domain) { return name.is_under(domain); });
}

void StubServer::State::answer_localhost(const Query& query, const ReturnPath& path) {
  const IpAddress addresses[] = {IpAddress::loopback(IpAddress::Family::v4),
                                 IpAddress::loopback(IpAddress::Family::v6)};
  answer_addresses(query, addresses, 3'600, path);
}

/// NODATA or NXDOMAIN without SOA: special names have no zone that we could vouch for, and clients
/// do not keep a negative answer without one (RFC 2308 §5).
void StubServer::State::answer_empty(const Query& query, Rcode rcode, const ReturnPath& path) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  reply.rcode = rcode;
  finish(reply, path);
}

/// A and AAAA records from a list; NODATA if it has none of the type.
void StubServer::State::answer_addresses(const Query& query, std::span<const IpAddress> addresses,
                                         Ttl ttl, const ReturnPath& path) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  for (const IpAddress& address : addresses) {
    const RrType type = address.is_v4() ? RrType::a : RrType::aaaa;
    if (query.type != type) continue;
    if (!reply.add(Section::answer, kQuestionName, type, RrClass::in, ttl, address.bytes())) {
      reply.truncated = true;
      break;
    }
  }
  finish(reply, path);
}

void StubServer::State::answer_multicast(const Query& query, const ReturnPath& path, Wait wait) {
  if (host_names == nullptr || !path.peer.address.is_loopback())
    return refuse(query, path, ".local belongs to multicast DNS");
  // `local` itself has no SOA: nss-mdns takes one as a sign that unicast DNS owns the domain.
  if (query.label_count == 1) return answer_empty(query, Rcode::noerror, path);
  const bool service_name = query.name()[1] == '_';  // RFC 6763 §7: no host
  if (service_name) return answer_empty(query, Rcode::nxdomain, path);
  if (wait == Wait::over || waiting.full()) return answer_busy(query, path);
  look_up_host(query, path);
}

void StubServer::State::look_up_host(const Query& query, const ReturnPath& path) {
  const std::string host = query.to_name().to_display();
  const auto place = waiting.add(query, path);
  place->token = host_names->lookup(
      host, options.host_names_wait,
      [this, place](const std::optional<std::vector<IpAddress>>& found, Duration ttl) {
        const auto done = waiting.take(place);
        Query again;
        if (again.parse(done.message) != QueryFault::none) return;
        if (!found) return answer_busy(again, done.path);
        if (found->empty()) return answer_empty(again, Rcode::nxdomain, done.path);
        answer_addresses(again, without_link_local(*found), host_ttl(ttl), done.path);
      });
}

void StubServer::State::forward(const Query& query, const ReturnPath& path, Wait wait) {
  const std::size_t limit = reply_limit(query, path.transport());
  ++counters.forwarded;
  if (const std::size_t size = forwarder->answer_now(query, limit, buffer); size > 0)
    return send(path, Bytes(buffer).first(size));
  if (wait == Wait::over || waiting.full()) return answer_busy(query, path);
  const auto place = waiting.add(query, path);
  place->token = forwarder->forward(query, limit, [this, place](Bytes message) {
    const auto done = waiting.take(place);
    send(done.path, message);
  });
}

bool StubServer::State::is_answerable(const Query& query) const {
  for (const auto& zone : zones) {
    const auto relative = ZoneAnswerer::relative(*zone, query);
    if (!relative) continue;
    const ZoneNode* const node = find_node(*zone, query, *relative);
    return node != nullptr && node->set &&
           (!node->records().empty() || sink.until_complete() == Duration::zero());
  }
  return false;
}

Result<void, NetError> StubServer::State::try_bind(Port& port) {
  UdpOptions udp;
  udp.bind = port.wanted;
  udp.reuse_port = options.share_address;
  udp.packet_info = port.wanted.address.is_any();
  udp.receive_buffer_bytes = kUdpReceiveBufferBytes;
  auto socket = env.network.open_udp(udp, port);
  if (!socket) return failure(socket.error());
  // Port 0 is the system's choice; TCP follows UDP.
  auto listener =
      env.network.listen({.on = (*socket)->local(), .reuse_port = options.share_address}, port);
  if (!listener) return failure(listener.error());
  port.udp = std::move(*socket);
  port.tcp = std::move(*listener);
  return {};
}

void StubServer::State::bind(Port& port) {
  const auto result = try_bind(port);
  if (!result) port.retry = env.after(kBindRetry, [this, &port] { bind(port); });
  if (result || !port.reported) {
    port.reported = true;
    sink.on_bind(port.wanted, result);
  }
}

/// From the loop, so that on_bind does not come before the caller returns.
void StubServer::State::bind_soon(Port& port) {
  port.retry = env.after(Duration::zero(), [this, &port] { bind(port); });
}

StubServer::StubServer(Env& env, StubOptions options, Sink& sink)
    : state_(std::make_unique<State>(env, std::move(options), sink)) {}
StubServer::~StubServer() = default;

LocalZone& StubServer::add_zone(const ZoneOptions& options) {
  ZoneOptions complete = options;
  if (complete.hash_seed == 0) complete.hash_seed = state_->env.random.u64();
  if (complete.name_server.empty())
    for (const Endpoint& address : state_->options.listen)
      complete.name_server.push_back(address.address);
  auto& zones = state_->zones;
  zones.push_back(std::make_unique<LocalZone>(complete));
  LocalZone& zone = *zones.back();
  zone.on_answerable([state = state_.get()] { state->held.recheck_soon(); });
  std::ranges::stable_sort(zones, std::greater<>(),
                           [](const auto& one) { return one->origin().wire().size(); });
  return zone;
}

LocalZone& StubServer::reverse() {
  if (!state_->reverse) {
    ZoneOptions options;
    options.hash_seed = state_->env.random.u64();
    if (!state_->zones.empty()) {
      options.ttl = state_->zones.front()->options().ttl;
      options.negative_ttl = state_->zones.front()->options().negative_ttl;
    }
    state_->reverse = std::make_unique<LocalZone>(options);
  }
  return *state_->reverse;
}

void StubServer::set_allowed(std::vector<Prefix> networks) {
  state_->clients.set_allowed(std::move(networks));
}
void StubServer::set_unicast_local(std::vector<Name> domains) {
  state_->unicast_local = std::move(domains);
}
void StubServer::set_host_names(HostNames* host_names) {
  state_->host_names = nullptr;
  if (host_names == nullptr) return;  // queries that wait go on to wait
  state_->joined_hosts.push_back(std::make_unique<JoinedHosts>(*host_names));
  state_->host_names = state_->joined_hosts.back().get();
}
void StubServer::set_forwarder(Forwarder* forwarder) {
  state_->forwarder = forwarder;
}

void StubServer::on_complete() {
  state_->held.recheck_soon();
}

void StubServer::start() {
  for (const Endpoint& address : state_->options.listen) {
    auto& ports = state_->ports;
    ports.push_back(std::make_unique<State::Port>(*state_, ports.size(), address));
    state_->bind_soon(*ports.back());
  }
}

void StubServer::resume() {
  state_->closing.reset();
  for (const auto& port : state_->ports) {
    port->udp.reset();
    state_->bind_soon(*port);
  }
}

void StubServer::pause() {
  State& state = *state_;
  state.held.release_all();
  for (const auto& port : state.ports) {
    port->retry.reset();
    port->tcp.reset();
  }
  // Datagrams sent in this turn leave at its end, and with them the sockets.
  state.closing = state.env.after(Duration::zero(), [&state] {
    for (const auto& port : state.ports)
      port->udp.reset();
  });
}

void StubServer::stop(Callback<void()> done) {
  pause();
  state_->tcp.finish(std::move(done));
}

std::vector<Endpoint> StubServer::bound() const {
  std::vector<Endpoint> all;
  for (const auto& port : state_->ports)
    if (port->udp) all.push_back(port->udp->local());
  return all;
}

const StubCounters& StubServer::counters() const {
  return state_->counters;
}

}  // namespace outrider::dns
