// SPDX-License-Identifier: Apache-2.0
#include "dns/stub_server.h"

#include <algorithm>
#include <list>
#include <optional>

#include "dns/forwarder.h"
#include "dns/query.h"
#include "dns/reply.h"
#include "dns/tcp_clients.h"
#include "dns/zone_answer.h"
#include "dns/zone_store.h"

namespace outrider::dns {
namespace {

/// Datagrams whose look-ups overlap.
constexpr std::size_t kBatch = 16;
constexpr Ttl kHostTtlMax = 10;  // RFC 6762 §6.7: what crosses to unicast lives briefly

/// "version.bind." and "version.server." in class CH (RFC 4892 §2).
bool asks_version(const Query& query) {
  static const Name kVersionBind = *Name::parse("version.bind");
  static const Name kVersionServer = *Name::parse("version.server");
  const bool txt = query.type == RrType::txt || query.type == RrType::any;
  return txt && (std::ranges::equal(query.name(), kVersionBind.wire()) ||
                 std::ranges::equal(query.name(), kVersionServer.wire()));
}

bool ends_in(const Query& query, std::string_view last_label) {
  if (query.label_count == 0) return false;
  const std::size_t begin = query.tail_begin(1);
  return as_text(query.name().subspan(begin + 1, query.name()[begin])) == last_label;
}

bool is_transfer(RrType type) {
  return type == RrType::axfr || type == RrType::ixfr;
}

}  // namespace

struct StubServer::State final : TcpClients::Sink {
  /// One listen address.
  struct Port final : UdpSocket::Sink, Listener::Sink {
    Port(State& state, const Endpoint& address) : server(state), wanted(address) {}
    void on_datagrams(std::span<const Datagram> datagrams) override {
      server.take(*this, datagrams);
    }
    void on_accept(std::unique_ptr<Stream> stream) override { server.tcp.adopt(std::move(stream)); }

    State& server;
    const Endpoint wanted;
    std::unique_ptr<UdpSocket> udp;
    std::unique_ptr<Listener> tcp;
    bool told = false;
    Timer retry;
  };

  /// The way back to a client.
  struct Path {
    Port* port = nullptr;
    TcpClients::Id tcp = 0;  // zero: UDP
    Endpoint peer;
    IpAddress local;
    std::uint32_t interface = 0;

    Transport transport() const { return tcp == 0 ? Transport::udp : Transport::tcp; }
  };

  /// A query that waits.
  struct Waiting {
    Path path;
    std::vector<std::uint8_t> message;
    Timer timer;
    std::unique_ptr<Pending> token;
  };
  using WaitingList = std::list<Waiting>;

  State(Env& environment, StubOptions from, StubServer::Sink& to)
      : env(environment),
        options(std::move(from)),
        sink(to),
        tcp(environment, *this),
        answerer(environment.random.u64()),
        buffer(kMessageBytesMax) {}

  void on_tcp_query(TcpClients::Id client, const Endpoint& peer, Bytes message) override {
    ++counters.queries_tcp;
    Path path;
    path.tcp = client;
    path.peer = peer;
    process(message, path, true);
  }
  void take(Port& port, std::span<const Datagram> datagrams);
  void process(Bytes message, const Path& path, bool may_wait);
  void answer(const Query& query, QueryFault fault, const Path& path, bool may_wait);
  void warm_up(std::span<const Query> queries) const;
  void send(const Path& path, Bytes message);
  void count(const Reply& reply);
  void finish(Reply& reply, const Path& path);

  void answer_fault(const Query& query, QueryFault fault, const Path& path);
  void answer_chaos(const Query& query, const Path& path);
  void refuse(const Query& query, const Path& path, std::string_view why);
  void answer_busy(const Query& query, const Path& path);
  void answer_zone(const LocalZone& zone, const Query& query, Bytes relative, const Path& path,
                   bool may_wait);
  bool answer_special(const Query& query, const Path& path, bool may_wait);
  void answer_localhost(const Query& query, const Path& path);
  void answer_addresses(const Query& query, std::span<const IpAddress> addresses, Ttl ttl,
                        bool exists, const Path& path);
  void look_up_host(const Query& query, const Path& path, bool may_wait);
  void forward(const Query& query, const Path& path, bool may_wait);

  WaitingList::iterator wait(WaitingList& list, const Query& query, const Path& path);
  void hold(const Query& query, const Path& path, Duration time);
  void answer_held(WaitingList::iterator held);
  void recheck_held();

  void bind(Port& port);
  Result<void, NetError> try_bind(Port& port);

  Env& env;
  StubOptions options;
  StubServer::Sink& sink;
  std::vector<std::unique_ptr<LocalZone>> zones;  // the longest origin first
  std::unique_ptr<LocalZone> reverse;
  HostNames* host_names = nullptr;
  Forwarder* forwarder = nullptr;
  std::string refused_text = "not one of our names, and forwarding is off";

  std::vector<std::unique_ptr<Port>> ports;
  TcpClients tcp;
  WaitingList held;
  WaitingList waiting;
  Timer recheck;
  Timer closing;

  Query batch[kBatch];
  ZoneAnswerer answerer;
  std::vector<std::uint8_t> buffer;
  StubCounters counters;
};

void StubServer::State::take(Port& port, std::span<const Datagram> datagrams) {
  counters.queries_udp += datagrams.size();
  Path path;
  path.port = &port;
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
      answer(batch[i], faults[i], path, true);
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

void StubServer::State::send(const Path& path, Bytes message) {
  if (path.tcp != 0) {
    tcp.reply(path.tcp, message);
  } else if (path.port->udp) {
    const bool wildcard = path.port->wanted.address.is_any();
    // A reply that cannot be sent is like one lost on the way: the client asks again.
    (void)path.port->udp->send(message, path.peer, wildcard ? path.local : IpAddress(),
                               wildcard ? path.interface : 0);
  }
}

void StubServer::State::count(const Reply& reply) {
  if (reply.truncated) ++counters.truncated;
  switch (reply.rcode) {
    case Rcode::noerror:
      ++(reply.has(Section::answer) || reply.truncated ? counters.answers : counters.nodata);
      break;
    case Rcode::formerr:
      ++counters.formerr;
      break;
    case Rcode::servfail:
      ++counters.servfail;
      break;
    case Rcode::nxdomain:
      ++counters.nxdomain;
      break;
    case Rcode::notimp:
      ++counters.notimp;
      break;
    case Rcode::refused:
      ++counters.refused;
      break;
    case Rcode::badvers:
      ++counters.badvers;
      break;
  }
}

void StubServer::State::finish(Reply& reply, const Path& path) {
  reply.recursion_available = forwarder != nullptr;
  count(reply);
  send(path, reply.finish());
}

void StubServer::State::answer_fault(const Query& query, QueryFault fault, const Path& path) {
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

void StubServer::State::answer_chaos(const Query& query, const Path& path) {
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

void StubServer::State::refuse(const Query& query, const Path& path, std::string_view why) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  reply.rcode = Rcode::refused;
  reply.set_extended_error(ExtendedError::not_authoritative, why);
  finish(reply, path);
}

/// Nobody can be asked now; whether the name exists is not known.
void StubServer::State::answer_busy(const Query& query, const Path& path) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  reply.rcode = Rcode::servfail;
  reply.set_extended_error(ExtendedError::other, "too many queries wait for an answer");
  finish(reply, path);
}

void StubServer::State::process(Bytes message, const Path& path, bool may_wait) {
  Query query;
  const QueryFault fault = query.parse(message);
  answer(query, fault, path, may_wait);
}

/// One query, to its reply or to a place where it waits.
void StubServer::State::answer(const Query& query, QueryFault fault, const Path& path,
                               bool may_wait) {
  if (fault == QueryFault::drop) {
    ++counters.dropped;
    if (path.tcp != 0) tcp.no_reply(path.tcp);
    return;
  }
  if (fault != QueryFault::none) return answer_fault(query, fault, path);
  if (query.rr_class == RrClass::ch) return answer_chaos(query, path);
  if (query.rr_class != RrClass::in && query.rr_class != RrClass::any)
    return refuse(query, path, "no such class here");
  // RFC 1035 §4.1.1 and RFC 5936 §5: REFUSED is for the operation, whatever there is of the name.
  if (is_transfer(query.type)) return refuse(query, path, "no zone transfers");
  may_wait = may_wait && query.message.size() <= kWaitingQueryBytesMax;

  for (const auto& zone : zones) {
    const auto relative = ZoneAnswerer::relative(*zone, query);
    if (!relative) continue;
    return answer_zone(*zone, query, *relative, path, may_wait);
  }
  if (answer_special(query, path, may_wait)) return;
  if (forwarder == nullptr) return refuse(query, path, refused_text);
  forward(query, path, may_wait);
}

void StubServer::State::answer_zone(const LocalZone& zone, const Query& query, Bytes relative,
                                    const Path& path, bool may_wait) {
  const ZoneNode* node = zone.store().find(relative);
  if (node == nullptr && !relative.empty() && may_wait) {
    const Duration time = sink.on_unknown_name(query.to_name(), zone.origin());
    if (time > Duration::zero() && held.size() < kHeldQueriesMax) return hold(query, path, time);
    node = zone.store().find(relative);  // the sink may have brought it
  }
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  answerer.write(zone, query, relative, node, env.now(), reply);
  finish(reply, path);
}

/// Names that have a meaning of their own. False if this is none of them.
bool StubServer::State::answer_special(const Query& query, const Path& path, bool may_wait) {
  if (ends_in(query, "arpa") && reverse) {
    const Bytes relative = query.name().first(query.name_size - 1U);
    const ZoneNode* const node = reverse->store().find(relative);
    if (node == nullptr || !node->set) return false;
    Reply reply(buffer, query, reply_limit(query, path.transport()));
    answerer.write(*reverse, query, relative, node, env.now(), reply);
    finish(reply, path);
    return true;
  }
  if (ends_in(query, "localhost")) {  // RFC 6761 §6.3
    answer_localhost(query, path);
    return true;
  }
  if (ends_in(query, "local")) {  // RFC 6762 §22.1: never sent upstream
    if (host_names != nullptr && path.peer.address.is_loopback())
      look_up_host(query, path, may_wait);
    else
      refuse(query, path, ".local belongs to multicast DNS");
    return true;
  }
  if (ends_in(query, "invalid") || ends_in(query, "onion")) {  // RFC 6761 §6.4, RFC 7686 §2
    answer_addresses(query, {}, 0, false, path);
    return true;
  }
  return false;
}

void StubServer::State::answer_localhost(const Query& query, const Path& path) {
  const IpAddress addresses[] = {IpAddress::loopback(IpAddress::Family::v4),
                                 IpAddress::loopback(IpAddress::Family::v6)};
  answer_addresses(query, addresses, 3'600, true, path);
}

/// A and AAAA from a list. Without SOA: these names have no zone that we could vouch for, and a
/// negative answer without one is not kept (RFC 2308 §5).
void StubServer::State::answer_addresses(const Query& query, std::span<const IpAddress> addresses,
                                         Ttl ttl, bool exists, const Path& path) {
  Reply reply(buffer, query, reply_limit(query, path.transport()));
  if (!exists) reply.rcode = Rcode::nxdomain;
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

void StubServer::State::look_up_host(const Query& query, const Path& path, bool may_wait) {
  // `local` itself has no SOA: nss-mdns takes one as a sign that unicast DNS owns the domain.
  if (query.label_count == 1) return answer_addresses(query, {}, 0, true, path);
  const bool service_name = query.name()[1] == '_';  // RFC 6763 §7: no host
  if (service_name) return answer_addresses(query, {}, 0, false, path);
  if (!may_wait || waiting.size() >= kWaitingQueriesMax) return answer_busy(query, path);
  const std::string host = query.to_name().to_display();
  const auto entry = wait(waiting, query, path);
  entry->token = host_names->lookup(
      host, options.host_names_wait,
      [this, entry](const std::vector<IpAddress>& found, Duration ttl) {
        std::vector<IpAddress> usable;
        for (const IpAddress& address : found) {
          // A scope does not fit into a record, and without it fe80:: is of no use.
          if (!(address.is_v6() && address.is_link_local())) usable.push_back(address);
        }
        const Waiting done = std::move(*entry);
        waiting.erase(entry);
        const auto seconds = std::chrono::floor<std::chrono::seconds>(ttl).count();
        const auto kept = static_cast<Ttl>(std::clamp<std::int64_t>(seconds, 0, kHostTtlMax));
        Query again;
        if (again.parse(done.message) == QueryFault::none)
          answer_addresses(again, usable, kept, !found.empty(), done.path);
      });
}

void StubServer::State::forward(const Query& query, const Path& path, bool may_wait) {
  const std::size_t limit = reply_limit(query, path.transport());
  ++counters.forwarded;
  if (const std::size_t size = forwarder->answer_now(query, limit, buffer); size > 0)
    return send(path, Bytes(buffer).first(size));
  if (!may_wait || waiting.size() >= kWaitingQueriesMax) return answer_busy(query, path);
  const auto entry = wait(waiting, query, path);
  entry->token = forwarder->forward(query, limit, [this, entry](Bytes message) {
    const Waiting done = std::move(*entry);
    waiting.erase(entry);
    send(done.path, message);
  });
}

StubServer::State::WaitingList::iterator StubServer::State::wait(WaitingList& list,
                                                                 const Query& query,
                                                                 const Path& path) {
  list.emplace_back();
  list.back().path = path;
  list.back().message.assign(query.message.begin(), query.message.end());
  return std::prev(list.end());
}

void StubServer::State::hold(const Query& query, const Path& path, Duration time) {
  ++counters.held;
  const auto entry = wait(held, query, path);
  entry->timer = env.after(time, [this, entry] { answer_held(entry); });
}

void StubServer::State::answer_held(WaitingList::iterator entry) {
  const Waiting done = std::move(*entry);
  held.erase(entry);
  process(done.message, done.path, false);
}

/// Once a turn in which names came: whose name is there now gets its answer. A name that exists
/// only for what stands below it may be half of one change; it goes on waiting.
void StubServer::State::recheck_held() {
  for (auto entry = held.begin(); entry != held.end();) {
    const auto at = entry++;
    Query query;
    if (query.parse(at->message) != QueryFault::none) continue;
    for (const auto& zone : zones) {
      const auto relative = ZoneAnswerer::relative(*zone, query);
      if (!relative) continue;
      const ZoneNode* const node = zone->store().find(*relative);
      if (node != nullptr && node->set) answer_held(at);
      break;
    }
  }
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
  if (result || !port.told) {
    port.told = true;
    sink.on_bind(port.wanted, result);
  }
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
  zone.on_new_name([state = state_.get()] {
    // Not now: the change of which this is a part may not be complete.
    if (state->held.empty() || state->recheck.pending()) return;
    state->recheck = state->env.after(Duration::zero(), [state] { state->recheck_held(); });
  });
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

void StubServer::set_host_names(HostNames* host_names) {
  state_->host_names = host_names;
}
void StubServer::set_forwarder(Forwarder* forwarder) {
  state_->forwarder = forwarder;
}

void StubServer::start() {
  for (const Endpoint& address : state_->options.listen) {
    state_->ports.push_back(std::make_unique<State::Port>(*state_, address));
    State::Port& port = *state_->ports.back();
    // From the loop, so that on_bind does not come before this call returns.
    port.retry = state_->env.after(Duration::zero(), [this, &port] { state_->bind(port); });
  }
}

void StubServer::stop() {
  State& state = *state_;
  while (!state.held.empty())
    state.answer_held(state.held.begin());
  for (const auto& port : state.ports) {
    port->retry.reset();
    port->tcp.reset();
  }
  state.tcp.finish();
  // Datagrams sent in this turn leave at its end, and with them the sockets.
  state.closing = state.env.after(Duration::zero(), [&state] {
    for (const auto& port : state.ports)
      port->udp.reset();
  });
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
