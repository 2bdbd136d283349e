// SPDX-License-Identifier: Apache-2.0
#include "dns/upstream_ares.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <optional>
#include <vector>

#include <ares.h>
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dns/limits.h"
#include "dns/wire/message_view.h"

namespace outrider::dns {
namespace {

/// Where c-ares takes an answer for complete, and what it reads at most by UDP.
constexpr int kUdpBytes = 4'096;
/// Time is kept by our own timer; this one must only never come before it.
constexpr int kNever = 600'000;

constexpr int kChannelOptions =
    ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_UDP_PORT |
    ARES_OPT_TCP_PORT | ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
    ARES_OPT_SOCK_STATE_CB | ARES_OPT_SORTLIST | ARES_OPT_EDNSPSZ | ARES_OPT_NOROTATE;

UpstreamError error_of(int status) {
  switch (status) {
    case ARES_ETIMEOUT:
      return UpstreamError::timed_out;
    case ARES_EBADRESP:
    case ARES_EFORMERR:
      return UpstreamError::broken;
    default:  // over c-ares' numbers
      return UpstreamError::unreachable;
  }
}

/// Puts the question into a datagram that has none. Some servers refuse with a header alone
/// (unbound refuses clients that it does not serve, old servers refuse EDNS); c-ares ignores
/// answers without the question that it sent, and would wait for another. Only for refusals: a
/// forger of one must have guessed id and port, and gains no more than by an ICMP error.
std::size_t with_question(MutableBytes buffer, std::size_t size, Bytes question) {
  const auto header = MessageView::parse_header(buffer.first(size));
  if (!header || !header->flags.response || header->flags.rcode == 0 || header->questions != 0 ||
      size + question.size() > buffer.size())
    return size;
  std::ranges::copy_backward(buffer.subspan(kHeaderBytes, size - kHeaderBytes),
                             buffer.begin() + static_cast<std::ptrdiff_t>(size + question.size()));
  std::ranges::copy(question, buffer.begin() + kHeaderBytes);
  buffer[5] = 1;  // QDCOUNT
  return size + question.size();
}

}  // namespace

struct AresUpstream::State {
  struct Query;

  /// One c-ares channel; carries one query or is idle.
  struct Channel {
    explicit Channel(State& of) : state(of) {}
    ~Channel() {
      query = nullptr;
      if (made) ares_destroy(channel);
    }

    bool make();
    bool aim(const Endpoint& at);
    int open_socket(int family, int type, int protocol) const;
    ssize_t receive(int fd, MutableBytes to, int flags, sockaddr* from, socklen_t* from_size);
    void on_socket(int fd, bool readable, bool writable);
    void on_ready(int fd, FdEvents events);
    void on_answer(int status, Bytes message);
    /// Keeps an answer to the query that is truncated: what there is if TCP brings no other.
    void keep_truncated(Bytes message);
    void on_tcp_timeout();
    /// Goes idle or away, unless c-ares is still at work in it.
    void rest();

    State& state;
    ares_channel channel = nullptr;
    bool made = false;
    std::optional<Endpoint> server;
    Query* query = nullptr;
    std::uint16_t id = 0;                // of the query that it carries
    std::vector<std::uint8_t> question;  // of the same
    bool worn = false;                   // not to be used again
    bool connected = false;              // by TCP
    unsigned busy = 0;                   // calls of c-ares on the stack
    std::map<int, std::unique_ptr<FdWatch>> watches;
  };

  /// The caller's token.
  struct Query final : Pending {
    ~Query() override { leave_channel(); }
    /// With the truncated answer if there is one, else with the error.
    void fail(UpstreamError error) {
      const auto message = std::move(truncated);
      if (message.empty())
        finish(failure(error));
      else
        finish(Bytes(message));
    }
    void time_out() {
      leave_channel();
      fail(UpstreamError::timed_out);
    }
    void leave_channel() {
      if (Channel* const left = std::exchange(channel, nullptr)) {
        left->query = nullptr;
        left->rest();
      }
    }
    void finish(Result<Bytes, UpstreamError> result) {
      Answer call = std::move(answer);
      timer.reset();
      call(result);  // may destroy this
    }

    Channel* channel = nullptr;
    Answer answer;
    Timer timer;
    TimePoint deadline;
    std::vector<std::uint8_t> truncated;
  };

  explicit State(Env& environment) : env(environment) { ares_library_init(ARES_LIB_INIT_ALL); }
  ~State() {
    for (auto& [key, channel] : active)
      if (channel->query != nullptr) channel->query->channel = nullptr;
    active.clear();
    idle.clear();
    ares_library_cleanup();
  }

  Channel* take_channel(const Endpoint& server);
  /// A firewall on the way that drops TCP would cost every long answer kTcpTimeout.
  bool is_tcp_blocked(const Endpoint& server) const {
    const auto found = tcp_blocked_until.find(server);
    return found != tcp_blocked_until.end() && found->second > env.now();
  }
  void note_tcp_blocked(const Endpoint& server);

  static const ares_socket_functions kSocketFunctions;
  Env& env;
  std::map<Channel*, std::unique_ptr<Channel>> active;
  std::vector<std::unique_ptr<Channel>> idle;
  std::map<Endpoint, TimePoint> tcp_blocked_until;
  Timer thinning;
};

/// What c-ares does with sockets, the channel behind it.
const ares_socket_functions AresUpstream::State::kSocketFunctions = {
    .asocket = [](int family, int type, int protocol, void* channel) -> ares_socket_t {
      return static_cast<Channel*>(channel)->open_socket(family, type, protocol);
    },
    .aclose = [](ares_socket_t fd, void*) { return ::close(fd); },
    .aconnect = [](ares_socket_t fd, const sockaddr* address, ares_socklen_t size,
                   void*) { return ::connect(fd, address, size); },
    .arecvfrom = [](ares_socket_t fd, void* data, std::size_t size, int flags, sockaddr* from,
                    ares_socklen_t* from_size, void* channel) -> ares_ssize_t {
      const MutableBytes to(static_cast<std::uint8_t*>(data), size);
      return static_cast<Channel*>(channel)->receive(fd, to, flags, from, from_size);
    },
    .asendv = [](ares_socket_t fd, const iovec* parts, int count, void*) -> ares_ssize_t {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(parts);
      message.msg_iovlen = static_cast<std::size_t>(count);
      return ::sendmsg(fd, &message, MSG_NOSIGNAL);  // a server that is gone ends no host program
    },
};

bool AresUpstream::State::Channel::make() {
  ares_options options{};
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS;
  options.timeout = kNever;
  options.tries = 1;
  options.ndots = 1;
  in_addr no_server{};
  options.servers = &no_server;
  options.nservers = 1;
  options.ndomains = 0;
  char lookups[] = "b";
  options.lookups = lookups;
  options.ednspsz = kUdpBytes;
  options.sock_state_cb_data = this;
  options.sock_state_cb = [](void* self, ares_socket_t fd, int readable, int writable) {
    static_cast<Channel*>(self)->on_socket(fd, readable != 0, writable != 0);
  };
  made = ares_init_options(&channel, &options, kChannelOptions) == ARES_SUCCESS;
  if (made) ares_set_socket_functions(channel, &kSocketFunctions, this);
  return made;
}

bool AresUpstream::State::Channel::aim(const Endpoint& at) {
  if (server == at) return true;
  ares_addr_port_node node{};
  node.udp_port = at.port;
  node.tcp_port = at.port;
  node.family = at.address.is_v4() ? AF_INET : AF_INET6;
  const Bytes bytes = at.address.bytes();
  if (at.address.is_v4()) {
    std::array<std::uint8_t, 4> octets{};
    std::ranges::copy(bytes, octets.begin());
    node.addr.addr4.s_addr = std::bit_cast<in_addr_t>(octets);  // in network order, both
  } else {
    std::ranges::copy(bytes, node.addr.addr6._S6_un._S6_u8);
  }
  if (ares_set_servers_ports(channel, &node) != ARES_SUCCESS) return false;
  server = at;
  return true;
}

/// c-ares 1.18 does not support scopes: the socket is bound to the interface of a link-local
/// server, which needs no privilege since Linux 5.7.
int AresUpstream::State::Channel::open_socket(int family, int type, int protocol) const {
  const int fd = ::socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  const int interface = static_cast<int>(server->address.scope());
  if (fd >= 0 && interface != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &interface, sizeof interface);
  return fd;
}

ssize_t AresUpstream::State::Channel::receive(int fd, MutableBytes to, int flags, sockaddr* from,
                                              socklen_t* from_size) {
  const ssize_t got = ::recvfrom(fd, to.data(), to.size(), flags, from, from_size);
  if (got < 0) return got;
  const auto size = static_cast<std::size_t>(got);
  const bool stream = from == nullptr;
  const auto header = stream ? std::nullopt : MessageView::parse_header(to.first(size));
  // After a FORMERR c-ares asks again without EDNS, once in the life of a channel, and from then on
  // thinks little of long answers. What comes by TCP is not looked into.
  if (stream || (header && header->flags.rcode == static_cast<unsigned>(Rcode::formerr)))
    worn = true;
  if (stream) return got;
  const std::size_t whole = with_question(to, size, question);
  keep_truncated(to.first(whole));
  return static_cast<ssize_t>(whole);
}

void AresUpstream::State::Channel::on_socket(int fd, bool readable, bool writable) {
  if (!readable && !writable) {
    watches.erase(fd);  // c-ares closes it next
    return;
  }
  auto& watch = watches[fd];
  if (watch) {
    watch->set({readable, writable});
    return;
  }
  auto opened = state.env.network.watch_fd(fd, {readable, writable},
                                           [this, fd](FdEvents events) { on_ready(fd, events); });
  if (opened)
    watch = std::move(*opened);
  else
    watches.erase(fd);  // the timer ends the query
}

void AresUpstream::State::Channel::on_ready(int fd, FdEvents events) {
  if (query != nullptr && !query->truncated.empty() && events.writable) connected = true;
  ++busy;
  ares_process_fd(channel, events.readable ? fd : ARES_SOCKET_BAD,
                  events.writable ? fd : ARES_SOCKET_BAD);
  --busy;
  if (query == nullptr) rest();
}

void AresUpstream::State::Channel::keep_truncated(Bytes message) {
  const auto view = MessageView::parse(message);
  if (query == nullptr || !view || view->header().id != id || !view->header().flags.response ||
      !view->header().flags.truncated || view->header().questions != 1)
    return;
  const auto same = [](std::uint8_t a, std::uint8_t b) { return fold(a) == fold(b); };
  if (!std::ranges::equal(view->question_wire(), question, same)) return;
  query->truncated.assign(message.begin(), message.end());
  worn = true;  // a connection that does not come about is not left to the next query
  connected = false;
  const TimePoint tried = state.env.now() + kTcpTimeout;
  if (state.is_tcp_blocked(*server))
    query->timer = state.env.after(Duration::zero(), [&waits = *query] { waits.time_out(); });
  else if (query->deadline < tried)
    query->timer = state.env.timers.at(query->deadline, [&waits = *query] { waits.time_out(); });
  else
    query->timer = state.env.timers.at(tried, [this] { on_tcp_timeout(); });
}

/// Silence on a connection may be about this name alone; where there is none, it is the server's.
void AresUpstream::State::Channel::on_tcp_timeout() {
  if (!connected) state.note_tcp_blocked(*server);
  query->time_out();
}

void AresUpstream::State::Channel::on_answer(int status, Bytes message) {
  if (query == nullptr) return;  // cancelled
  Query& done = *query;
  if (status == ARES_SUCCESS) {
    done.channel = nullptr;
    query = nullptr;
    done.finish(message);
    return;
  }
  // ares_send itself may end up here; the caller is notified from the loop.
  done.timer = state.env.after(Duration::zero(), [&done, error = error_of(status)] {
    done.leave_channel();
    done.fail(error);
  });
}

void AresUpstream::State::Channel::rest() {
  if (busy > 0) return;
  ++busy;
  ares_cancel(channel);  // closes the sockets, so that the next query has its own port
  --busy;
  const auto self = state.active.find(this);
  OUTRIDER_ASSERT(self != state.active.end());
  std::unique_ptr<Channel> resting = std::move(self->second);
  state.active.erase(self);
  if (!worn && state.idle.size() < kIdleChannelsMax) state.idle.push_back(std::move(resting));
  if (state.idle.size() > kIdleChannelsAtRest && !state.thinning.pending())
    state.thinning = state.env.after(kChannelsThinnedAfter, [&s = state] {
      s.idle.resize(std::min(s.idle.size(), kIdleChannelsAtRest));
#ifdef __GLIBC__
      malloc_trim(0);  // what a thousand channels took lies between other things
#endif
    });
}

void AresUpstream::State::note_tcp_blocked(const Endpoint& server) {
  std::erase_if(tcp_blocked_until, [this](const auto& one) { return one.second <= env.now(); });
  if (tcp_blocked_until.size() < kTcpBlockedMax)
    tcp_blocked_until[server] = env.now() + kTcpBlockedFor;
}

AresUpstream::State::Channel* AresUpstream::State::take_channel(const Endpoint& server) {
  std::unique_ptr<Channel> channel;
  if (!idle.empty()) {
    // One that was aimed at this server last needs no aiming.
    const auto found = std::find_if(idle.rbegin(), idle.rend(),
                                    [&server](const auto& one) { return one->server == server; });
    if (found != idle.rend()) std::swap(*found, idle.back());
    channel = std::move(idle.back());
    idle.pop_back();
  } else {
    channel = std::make_unique<Channel>(*this);
    if (!channel->make()) return nullptr;
  }
  if (!channel->aim(server)) return nullptr;
  Channel* const taken = channel.get();
  active.emplace(taken, std::move(channel));
  return taken;
}

AresUpstream::AresUpstream(Env& env) : state_(std::make_unique<State>(env)) {}
AresUpstream::~AresUpstream() = default;

std::unique_ptr<Pending> AresUpstream::send(const Endpoint& server, Bytes message, Duration timeout,
                                            Answer answer) {
  auto query = std::make_unique<State::Query>();
  State::Query& started = *query;
  started.answer = std::move(answer);
  started.deadline = state_->env.now() + timeout;
  started.timer = state_->env.timers.at(started.deadline, [&started] { started.time_out(); });
  State::Channel* const channel = state_->take_channel(server);
  if (channel == nullptr) {
    started.timer = state_->env.after(
        Duration::zero(), [&started] { started.finish(failure(UpstreamError::unreachable)); });
    return query;
  }
  started.channel = channel;
  channel->query = &started;
  if (const auto sent = MessageView::parse(message)) {
    const Bytes question = sent->question_wire();
    channel->id = sent->header().id;
    channel->question.assign(question.begin(), question.end());
  }
  ++channel->busy;
  ares_send(
      channel->channel, message.data(), static_cast<int>(message.size()),
      [](void* self, int status, int, unsigned char* bytes, int size) {
        const auto length = static_cast<std::size_t>(std::max(size, 0));
        static_cast<State::Channel*>(self)->on_answer(status, {bytes, length});
      },
      channel);
  --channel->busy;
  return query;
}

std::size_t AresUpstream::idle_channels() const {
  return state_->idle.size();
}

}  // namespace outrider::dns
