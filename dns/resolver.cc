// SPDX-License-Identifier: Apache-2.0
#include "dns/resolver.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "dns/reply.h"
#include "dns/wire/message_builder.h"

namespace outrider::dns {
namespace {

/// With fewer letters an equal case may be chance (2^-12).
constexpr std::size_t kCaseLettersMin = 12;
constexpr std::size_t kUpstreamQueryBytesMax = kHeaderBytes + kNameBytesMax + 4 + kOptBytes;

bool is_letter(std::uint8_t octet) {
  const unsigned lower = octet | 0x20U;
  return lower >= 'a' && lower <= 'z';
}

/// The name with each letter in a case drawn for it (0x20). It is more for a forger to guess, and
/// lets us recognize a query of ours that comes back.
Name draw_case(const Name& name, Random& random) {
  std::uint8_t bytes[kNameBytesMax];
  const auto wire = name.wire();
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < wire.size(); ++i) {
    if (i % 64 == 0) bits = random.u64();
    bytes[i] = wire[i];
    if (is_letter(wire[i]) && (bits >> i % 64 & 1) != 0) bytes[i] ^= 0x20;
  }
  return *Name::from_wire(Bytes(bytes, wire.size()));
}

std::size_t letter_count(const Name& name) {
  const auto wire = name.wire();
  return static_cast<std::size_t>(std::count_if(wire.begin(), wire.end(), is_letter));
}

/// Domains that are no part of the public DNS: RFC 6762 appendix G, RFC 8375, RFC 6761.
bool is_private_domain(const Name& name) {
  static const Name kHomeArpa = *Name::parse("home.arpa");
  if (name.label_count() < 2 || name.is_under(kHomeArpa)) return true;
  const Name last = *Name::from_labels({name.label(name.label_count() - 1)});
  static const Name kPrivate[] = {*Name::parse("internal"), *Name::parse("intranet"),
                                  *Name::parse("private"),  *Name::parse("corp"),
                                  *Name::parse("home"),     *Name::parse("lan"),
                                  *Name::parse("test"),     *Name::parse("localhost")};
  return std::ranges::find(kPrivate, last) != std::end(kPrivate);
}

/// RCODEs that another server may do better than.
bool is_poor(Rcode rcode) {
  return rcode != Rcode::noerror && rcode != Rcode::nxdomain;
}

}  // namespace

const char* to_string(UpstreamError error) {
  switch (error) {
    case UpstreamError::timed_out:
      return "timed out";
    case UpstreamError::unreachable:
      return "unreachable";
    case UpstreamError::broken:
      return "malformed answer";
  }
  OUTRIDER_UNREACHABLE();
}

struct Resolver::State {
  struct Lookup;

  /// The token of one waiting query.
  struct Waiter final : Pending {
    ~Waiter() override {
      if (lookup != nullptr) std::erase(lookup->waiters, this);
    }
    Lookup* lookup = nullptr;
    std::vector<std::uint8_t> message;
    std::size_t limit = 0;
    Answer answer;
  };

  struct Lookup {
    explicit Lookup(const CacheKey& of) : key(of) {}
    ~Lookup() {
      for (Waiter* const waiter : waiters)
        waiter->lookup = nullptr;
    }
    CacheKey key;
    Question asked;
    bool dnssec_ok = false;
    bool checking_disabled = false;
    Name sent_name;  // with the case drawn for the attempt at hand
    std::uint16_t id = 0;
    unsigned attempts = 0;
    std::vector<Endpoint> tried;
    std::size_t first_server = 0;
    TimePoint started;
    std::optional<Endpoint> odd_case;    // whose answer came in another case
    std::optional<UpstreamAnswer> poor;  // the best so far
    std::string last_error;
    std::vector<Waiter*> waiters;
    std::unique_ptr<Pending> sent;
    Timer stale;
  };

  State(Env& environment, Upstream& to, ForwardOptions from)
      : env(environment),
        upstream(to),
        options(std::move(from)),
        servers(environment),
        cache(options.cache_entries, environment.random.u64()),
        buffer(kMessageBytesMax) {}

  std::size_t refuse(const Query& query, std::size_t limit, MutableBytes to, Rcode rcode,
                     ExtendedError error, std::string_view why);
  bool came_back(const CacheKey& key, const Query& query) const;
  void attempt(Lookup& lookup, const Endpoint& server);
  bool has_case(Lookup& lookup, const Endpoint& server, Bytes message);
  void on_result(Lookup& lookup, const Endpoint& server, Result<Bytes, UpstreamError> result);
  void on_answer(Lookup& lookup, const Endpoint& server, UpstreamAnswer answer);
  void next(Lookup& lookup, std::optional<Endpoint> server = {});
  void give_up(Lookup& lookup);
  bool rebinds(const Lookup& lookup, const UpstreamAnswer& answer) const;

  /// Ends the lookup and answers all its waiters, from `answer` or with SERVFAIL.
  void finish(Lookup& lookup, const UpstreamAnswer* answer, UpstreamAnswer::Aging aging);
  void answer_all(std::vector<Waiter*> waiters, const UpstreamAnswer* answer,
                  UpstreamAnswer::Aging aging, const std::string& why);

  static std::string index(const CacheKey& key) { return std::string(as_text(key.bytes())); }

  Env& env;
  Upstream& upstream;
  ForwardOptions options;
  UpstreamServers servers;
  std::vector<Name> search;
  Cache cache;
  std::map<std::string, std::unique_ptr<Lookup>, std::less<>> lookups;
  TimePoint loop_until{};
  std::string no_server = "no upstream server is known";
  std::vector<std::uint8_t> buffer;
  ForwardCounters counters;
};

std::size_t Resolver::State::refuse(const Query& query, std::size_t limit, MutableBytes to,
                                    Rcode rcode, ExtendedError error, std::string_view why) {
  Reply reply(to, query, limit);
  reply.recursion_available = true;
  reply.rcode = rcode;
  reply.set_extended_error(error, why);
  return reply.finish().size();
}

/// True if this is a query of ours that is on its way upstream, not yet answered.
bool Resolver::State::came_back(const CacheKey& key, const Query& query) const {
  const auto found = lookups.find(as_text(key.bytes()));
  if (found == lookups.end()) return false;
  const Name& sent = found->second->sent_name;
  return std::ranges::equal(sent.wire(), query.question.first(query.name_size)) &&
         letter_count(sent) >= kCaseLettersMin;
}

void Resolver::State::attempt(Lookup& lookup, const Endpoint& server) {
  lookup.tried.push_back(server);
  ++lookup.attempts;
  ++counters.sent;
  lookup.id = env.random.u16();
  lookup.sent_name = draw_case(lookup.asked.name, env.random);

  std::uint8_t bytes[kUpstreamQueryBytesMax];
  MessageBuilder builder(bytes);
  builder.set_id(lookup.id);
  Flags flags;
  flags.recursion_desired = true;
  flags.authentic_data = true;  // RFC 6840 §5.7: we want to know; clients get it if they ask
  flags.checking_disabled = lookup.checking_disabled;
  builder.set_flags(flags);
  builder.reserve(kOptBytes);
  const bool fits =
      builder.add_question({lookup.sent_name, lookup.asked.type, lookup.asked.rr_class}) &&
      builder.add_opt({.udp_size = kUdpAnswerBytesMax, .dnssec_ok = lookup.dnssec_ok});
  OUTRIDER_ASSERT(fits);
  const Duration left = lookup.started + kLookupMax - env.now();
  lookup.sent = upstream.send(server, builder.finish(), std::min(left, kAttemptTimeout),
                              [this, &lookup, server](Result<Bytes, UpstreamError> result) {
                                on_result(lookup, server, result);
                              });
}

void Resolver::State::on_result(Lookup& lookup, const Endpoint& server,
                                Result<Bytes, UpstreamError> result) {
  if (!result) {
    servers.note_failure(server, to_string(result.error()));
    lookup.last_error = server.to_string() + ' ' + to_string(result.error());
    return next(lookup);
  }
  const auto header = MessageView::parse_header(*result);
  auto answer = UpstreamAnswer::parse(*result, lookup.asked);
  if (!answer || !header || header->id != lookup.id) {
    ++counters.bad_answers;
    lookup.last_error = server.to_string() + " gave a malformed answer";
    return next(lookup);
  }
  if (!has_case(lookup, server, *result)) {
    ++counters.bad_answers;
    lookup.last_error = server.to_string() + " gave an answer in another case";
    return next(lookup, server);
  }
  on_answer(lookup, server, std::move(*answer));
}

/// True if the question came back in the case that was drawn for it: a forger who has guessed id
/// and port must have guessed this, too. If the server's next answer to the same lookup has another
/// case again, the server folds names, and its answers are accepted from then on.
bool Resolver::State::has_case(Lookup& lookup, const Endpoint& server, Bytes message) {
  const auto sent = lookup.sent_name.wire();
  const Bytes came =
      message.subspan(kHeaderBytes, std::min(message.size() - kHeaderBytes, sent.size()));
  if (std::ranges::equal(came, sent)) return true;
  if (servers.folds_case(server)) return true;
  if (lookup.odd_case != server) {
    lookup.odd_case = server;
    return false;
  }
  servers.note_folds_case(server);
  return true;
}

void Resolver::State::on_answer(Lookup& lookup, const Endpoint& server, UpstreamAnswer answer) {
  servers.note_answer(server);
  if (is_poor(answer.rcode())) {
    if (!lookup.poor) lookup.poor = std::move(answer);
    // Another server may know better; asking the same one again does not help.
    return servers.has_untried(lookup.tried) ? next(lookup) : give_up(lookup);
  }
  if (rebinds(lookup, answer)) {
    ++counters.rebind_blocked;
    env.log.record(LogEvent::rebinding_blocked, {{"name", lookup.asked.name.to_display()}});
    answer.block("private address for a public name (rebinding protection)");
  }
  cache.put(lookup.key, answer, env.now());
  finish(lookup, &answer, {});
}

/// Asks this server, or the one whose turn it is, if there may be another message.
void Resolver::State::next(Lookup& lookup, std::optional<Endpoint> server) {
  const bool time_left = env.now() + 100ms < lookup.started + kLookupMax;
  if (lookup.attempts < kAttemptsMax && time_left && !servers.list().empty())
    attempt(lookup, server ? *server : servers.choose(lookup.first_server, lookup.tried));
  else
    give_up(lookup);
}

void Resolver::State::give_up(Lookup& lookup) {
  // RFC 8767 §5: old data is better than none when no server gives a usable answer.
  const auto known = cache.find(lookup.key, env.now());
  if (known.answer != nullptr && (!lookup.poor || lookup.poor->rcode() == Rcode::servfail)) {
    counters.stale += lookup.waiters.size();
    const UpstreamAnswer answer = *known.answer;
    return finish(lookup, &answer, known.aging);
  }
  if (lookup.poor) {
    const UpstreamAnswer answer = std::move(*lookup.poor);
    return finish(lookup, &answer, {});
  }
  ++counters.failed;
  finish(lookup, nullptr, {});
}

void Resolver::State::finish(Lookup& lookup, const UpstreamAnswer* answer,
                             UpstreamAnswer::Aging aging) {
  const auto entry = lookups.find(index(lookup.key));
  OUTRIDER_ASSERT(entry != lookups.end());
  const std::unique_ptr<Lookup> done = std::move(entry->second);
  lookups.erase(entry);
  answer_all(std::exchange(done->waiters, {}), answer, aging, done->last_error);
}

void Resolver::State::answer_all(std::vector<Waiter*> waiters, const UpstreamAnswer* answer,
                                 UpstreamAnswer::Aging aging, const std::string& why) {
  // All are detached first: a callback may destroy tokens.
  struct Let {
    std::vector<std::uint8_t> message;
    std::size_t limit;
    Answer answer;
  };
  std::vector<Let> let;
  for (Waiter* const waiter : waiters) {
    waiter->lookup = nullptr;
    let.push_back({std::move(waiter->message), waiter->limit, std::move(waiter->answer)});
  }
  const std::string text = "no upstream server answers: " + why;
  for (Let& one : let) {
    Query query;
    if (query.parse(one.message) != QueryFault::none) continue;
    if (answer != nullptr) {
      one.answer(answer->write(query, one.limit, aging, buffer));
    } else {
      const std::size_t size = refuse(query, one.limit, buffer, Rcode::servfail,
                                      ExtendedError::no_reachable_authority, text);
      one.answer(Bytes(buffer).first(size));
    }
  }
}

bool Resolver::State::rebinds(const Lookup& lookup, const UpstreamAnswer& answer) const {
  if (!options.rebind_protection || !answer.has_private_address()) return false;
  const Name& name = lookup.asked.name;
  const auto covers = [&name](const Name& domain) { return name.is_under(domain); };
  return !is_private_domain(name) && !std::ranges::any_of(options.rebind_exceptions, covers) &&
         !std::ranges::any_of(search, covers);
}

Resolver::Resolver(Env& env, Upstream& upstream, ForwardOptions options)
    : state_(std::make_unique<State>(env, upstream, std::move(options))) {}
Resolver::~Resolver() = default;

void Resolver::set_options(ForwardOptions options) {
  State& state = *state_;
  const bool guard_changed =
      std::tie(options.rebind_protection, options.rebind_exceptions) !=
      std::tie(state.options.rebind_protection, state.options.rebind_exceptions);
  state.options = std::move(options);
  if (guard_changed) state.cache.clear();
  state.cache.set_entries(state.options.cache_entries);
}

void Resolver::set_upstreams(std::vector<Endpoint> servers, std::vector<Name> search,
                             UpstreamServers::Order order) {
  State& state = *state_;
  state.no_server = "no upstream server is known";
  std::erase_if(servers, [&state](const Endpoint& server) {
    const bool ours = is_own(state.env.network, state.options.own, server);
    if (ours) {
      state.no_server = "the only upstream server is this agent itself";
      state.env.log.record(LogEvent::upstream_skipped,
                           {{"peer", server.to_string()}, {"reason", "it is this agent"}});
    }
    return ours;
  });
  state.servers.set(std::move(servers), order);
  // A search domain of one label would be a whole top-level domain.
  std::erase_if(search, [](const Name& name) { return name.label_count() < 2; });
  state.search = std::move(search);
  state.loop_until = {};
}

const std::vector<Endpoint>& Resolver::upstreams() const {
  return state_->servers.list();
}

std::size_t Resolver::answer_now(const Query& query, std::size_t limit, MutableBytes buffer) {
  State& state = *state_;
  const TimePoint now = state.env.now();
  if (state.servers.list().empty())
    return state.refuse(query, limit, buffer, Rcode::refused, ExtendedError::not_authoritative,
                        state.no_server);
  const CacheKey key(query);
  const auto found = state.cache.find(key, now);
  if (found.answer != nullptr && (!found.aging.stale || state.servers.all_failing())) {
    ++(found.aging.stale ? state.counters.stale : state.counters.hits);
    return found.answer->write(query, limit, found.aging, buffer).size();
  }
  if (state.came_back(key, query)) {
    ++state.counters.loops;
    if (state.loop_until <= now)
      state.env.log.record(LogEvent::forwarding_looped,
                           {{"name", query.to_name().to_display()}, {"duration", kLoopPause}});
    state.loop_until = now + kLoopPause;
  }
  if (state.loop_until > now)
    return state.refuse(query, limit, buffer, Rcode::refused, ExtendedError::prohibited,
                        "our own query came back: an upstream server forwards to this agent");
  if (state.lookups.size() >= kLookupsMax && !state.lookups.contains(as_text(key.bytes())))
    return state.refuse(query, limit, buffer, Rcode::servfail, ExtendedError::other,
                        "too many lookups are on their way");
  return 0;
}

std::unique_ptr<Pending> Resolver::forward(const Query& query, std::size_t limit, Answer answer) {
  State& state = *state_;
  OUTRIDER_ASSERT(!state.servers.list().empty());
  const CacheKey key(query);
  auto token = std::make_unique<State::Waiter>();
  token->message.assign(query.message.begin(), query.message.end());
  token->limit = limit;
  token->answer = std::move(answer);
  auto& slot = state.lookups[State::index(key)];
  if (slot) {
    ++state.counters.joined;
    token->lookup = slot.get();
    slot->waiters.push_back(token.get());
    return token;
  }
  ++state.counters.misses;
  slot = std::make_unique<State::Lookup>(key);
  State::Lookup& lookup = *slot;
  lookup.asked = {query.to_name(), query.type, query.rr_class};
  lookup.dnssec_ok = query.has_edns && query.edns.dnssec_ok;
  lookup.checking_disabled = query.header.flags.checking_disabled;
  lookup.started = state.env.now();
  lookup.first_server = state.servers.next_start();
  token->lookup = &lookup;
  lookup.waiters.push_back(token.get());
  if (state.cache.find(key, lookup.started).answer != nullptr) {
    lookup.stale = state.env.after(kStaleAfter, [&state, &lookup] {
      const auto known = state.cache.find(lookup.key, state.env.now());
      if (known.answer == nullptr) return;
      state.counters.stale += lookup.waiters.size();
      state.answer_all(std::exchange(lookup.waiters, {}), known.answer, known.aging, {});
    });
  }
  state.attempt(lookup, state.servers.choose(lookup.first_server, lookup.tried));
  return token;
}

const ForwardCounters& Resolver::counters() const {
  return state_->counters;
}
std::size_t Resolver::cached() const {
  return state_->cache.size();
}
std::size_t Resolver::lookups() const {
  return state_->lookups.size();
}

}  // namespace outrider::dns
