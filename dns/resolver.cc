// SPDX-License-Identifier: Apache-2.0
#include "dns/resolver.h"

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <tuple>

#include "dns/local_reverse.h"
#include "dns/loop_guard.h"
#include "dns/rebinding.h"
#include "dns/reply.h"
#include "dns/wire/message_builder.h"

namespace outrider::dns {
namespace {

constexpr std::size_t kUpstreamQueryBytesMax = kHeaderBytes + kNameBytesMax + 4 + kOptBytes;

bool is_letter(std::uint8_t octet) {
  const unsigned lower = octet | 0x20U;
  return lower >= 'a' && lower <= 'z';
}

/// How often a case is drawn again that is one of the clients'. Names of few letters have few.
constexpr unsigned kCaseDrawsMax = 16;

/// The name with each letter in a case drawn at random (0x20).
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

/// Whether all letters have the same case: clients write names like that.
bool has_one_case(const Name& name) {
  const auto wire = name.wire();
  const auto is_upper = [](std::uint8_t octet) { return is_letter(octet) && (octet & 0x20) == 0; };
  const auto upper = static_cast<std::size_t>(std::count_if(wire.begin(), wire.end(), is_upper));
  return upper == 0 ||
         upper == static_cast<std::size_t>(std::count_if(wire.begin(), wire.end(), is_letter));
}

std::size_t letter_count(const Name& name) {
  const auto wire = name.wire();
  return static_cast<std::size_t>(std::count_if(wire.begin(), wire.end(), is_letter));
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

  /// One message to one server. It stays open until it is answered or the client's patience ends:
  /// a server that needs longer than kAttemptTimeout has not failed.
  struct Attempt {
    Endpoint server;
    Name sent_name;  // with the case drawn for it
    std::uint16_t id = 0;
    TimePoint sent;
    bool silent = false;  // kAttemptTimeout has passed
    std::unique_ptr<Pending> token;
  };

  struct Lookup {
    explicit Lookup(const CacheKey& of) : key(of) {}
    ~Lookup() {
      for (Waiter* const waiter : waiters)
        waiter->lookup = nullptr;
    }
    CacheKey key;
    Question asked;
    Name first_case;           // the name as the first client wrote it
    unsigned other_cases = 0;  // queries of clients who wrote it otherwise
    bool dnssec_ok = false;
    bool checking_disabled = false;
    std::list<Attempt> open;  // the oldest first
    std::vector<Endpoint> tried;
    std::size_t first_server = 0;
    TimePoint started;
    std::optional<Endpoint> odd_case;    // whose answer came in another case
    std::optional<UpstreamAnswer> poor;  // the best so far
    std::string last_error;
    std::vector<Waiter*> waiters;
    Timer retry;
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
  std::size_t refuse_unasked(const Query& query, std::size_t limit, MutableBytes to);
  bool came_back(const CacheKey& key, const Query& query) const;
  bool is_overdue(const CacheKey& key) const;
  Name draw_case_for(const Lookup& lookup) const;
  void attempt(Lookup& lookup, const Endpoint& server);
  void close(Lookup& lookup, const Attempt& attempt);
  bool has_case(Lookup& lookup, const Attempt& attempt, Bytes message);
  void note_silence(Lookup& lookup, Attempt& attempt);
  void on_silence(Lookup& lookup);
  void on_result(Lookup& lookup, Attempt& attempt, Result<Bytes, UpstreamError> result);
  void on_answer(Lookup& lookup, const Attempt& attempt, UpstreamAnswer answer);
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
  std::size_t open_messages = 0;
  LoopGuard loops;
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
  const Lookup& lookup = *found->second;
  const Bytes name = query.question.first(query.name_size);
  return letter_count(lookup.asked.name) >= kCaseLettersMin &&
         lookup.other_cases <= kCaseGuessesMax &&
         std::ranges::any_of(lookup.open, [&name](const Attempt& attempt) {
           return std::ranges::equal(attempt.sent_name.wire(), name);
         });
}

/// A case that tells a query of ours that comes back from those of clients, and that a forger has
/// to guess.
Name Resolver::State::draw_case_for(const Lookup& lookup) const {
  const auto is_clients = [&lookup](const Name& name) {
    return has_one_case(name) || name.same_case(lookup.first_case) ||
           std::ranges::any_of(lookup.waiters, [&name](const Waiter* waiter) {
             const Bytes message(waiter->message);
             return std::ranges::equal(message.subspan(kHeaderBytes, name.wire().size()),
                                       name.wire());
           });
  };
  Name drawn = draw_case(lookup.asked.name, env.random);
  for (unsigned draws = 1; draws < kCaseDrawsMax && is_clients(drawn); ++draws)
    drawn = draw_case(lookup.asked.name, env.random);
  return drawn;
}

void Resolver::State::attempt(Lookup& lookup, const Endpoint& server) {
  if (open_messages >= kOpenMessagesMax && !lookup.open.empty()) close(lookup, lookup.open.front());
  lookup.tried.push_back(server);
  ++counters.sent;
  ++open_messages;
  Attempt& attempt = lookup.open.emplace_back();
  attempt.server = server;
  attempt.sent_name = draw_case_for(lookup);
  attempt.id = env.random.u16();
  attempt.sent = env.now();

  std::uint8_t bytes[kUpstreamQueryBytesMax];
  MessageBuilder builder(bytes);
  builder.set_id(attempt.id);
  Flags flags;
  flags.recursion_desired = true;
  flags.authentic_data = options.trust_ad;  // RFC 6840 §5.7: we want to know
  flags.checking_disabled = lookup.checking_disabled;
  builder.set_flags(flags);
  builder.reserve(kOptBytes);
  const bool fits =
      builder.add_question({attempt.sent_name, lookup.asked.type, lookup.asked.rr_class}) &&
      builder.add_opt({.udp_size = kUdpAnswerBytesMax, .dnssec_ok = lookup.dnssec_ok});
  OUTRIDER_ASSERT(fits);
  const Duration left = lookup.started + kLookupMax - env.now();
  attempt.token = upstream.send(server, builder.finish(), left,
                                [this, &lookup, &attempt](Result<Bytes, UpstreamError> result) {
                                  on_result(lookup, attempt, result);
                                });
  lookup.retry = env.after(kAttemptTimeout, [this, &lookup] { on_silence(lookup); });
}

void Resolver::State::close(Lookup& lookup, const Attempt& attempt) {
  lookup.open.remove_if([&attempt](const Attempt& one) { return &one == &attempt; });
  --open_messages;
}

void Resolver::State::note_silence(Lookup& lookup, Attempt& attempt) {
  if (attempt.silent || env.now() < attempt.sent + kAttemptTimeout) return;
  attempt.silent = true;
  const char* const why = to_string(UpstreamError::timed_out);
  lookup.last_error = attempt.server.to_string() + ' ' + why;
  servers.note_silence(attempt.server, lookup.asked.name, attempt.sent, why);
}

/// No answer for kAttemptTimeout since the last message was sent.
void Resolver::State::on_silence(Lookup& lookup) {
  for (Attempt& attempt : lookup.open)
    note_silence(lookup, attempt);
  if (lookup.poor && !servers.has_untried(lookup.tried)) return give_up(lookup);
  next(lookup);
}

void Resolver::State::on_result(Lookup& lookup, Attempt& attempt,
                                Result<Bytes, UpstreamError> result) {
  const Endpoint server = attempt.server;
  if (!result) {
    note_silence(lookup, attempt);
    if (result.error() != UpstreamError::timed_out) {
      servers.note_failure(server, to_string(result.error()));
      lookup.last_error = server.to_string() + ' ' + to_string(result.error());
    }
    close(lookup, attempt);
    return next(lookup);
  }
  const auto header = MessageView::parse_header(*result);
  auto answer = UpstreamAnswer::parse(*result, lookup.asked);
  if (!answer || !header || header->id != attempt.id) {
    ++counters.bad_answers;
    lookup.last_error = server.to_string() + " gave a malformed answer";
    close(lookup, attempt);
    return next(lookup);
  }
  if (!has_case(lookup, attempt, *result)) {
    ++counters.bad_answers;
    lookup.last_error = server.to_string() + " gave an answer in another case";
    close(lookup, attempt);
    return next(lookup, server);
  }
  on_answer(lookup, attempt, std::move(*answer));
}

/// True if the question came back in the case that was drawn for it: a forger who has guessed id
/// and port must have guessed this, too. If the server's next answer to the same lookup has another
/// case again, the server folds names, and its answers are accepted from then on.
bool Resolver::State::has_case(Lookup& lookup, const Attempt& attempt, Bytes message) {
  const auto sent = attempt.sent_name.wire();
  const Bytes came =
      message.subspan(kHeaderBytes, std::min(message.size() - kHeaderBytes, sent.size()));
  if (std::ranges::equal(came, sent)) return true;
  if (servers.folds_case(attempt.server)) return true;
  if (lookup.odd_case != attempt.server) {
    lookup.odd_case = attempt.server;
    return false;
  }
  servers.note_folds_case(attempt.server);
  return true;
}

void Resolver::State::on_answer(Lookup& lookup, const Attempt& attempt, UpstreamAnswer answer) {
  servers.note_answer(attempt.server);
  if (is_poor(answer.rcode())) {
    if (!lookup.poor) lookup.poor = std::move(answer);
    close(lookup, attempt);
    // Another server may know better; asking the same one again does not help.
    if (servers.has_untried(lookup.tried)) return next(lookup);
    // Messages that are still open may yet bring a better one, until on_silence().
    return lookup.open.empty() ? give_up(lookup) : void();
  }
  loops.on_answer(lookup.asked.name, env.now());
  // One that was as slow itself shows nothing about the others.
  for (const Attempt& other : lookup.open)
    if (!attempt.silent && other.silent && other.server != attempt.server)
      servers.note_outrun(other.server, other.sent, to_string(UpstreamError::timed_out));
  if (rebinds(lookup, answer)) {
    ++counters.rebind_blocked;
    env.log.record(LogEvent::rebinding_blocked, {{"name", lookup.asked.name.to_display()}});
    answer.block("private address for a public name (rebinding protection)");
  }
  if (!options.trust_ad) answer.distrust();
  cache.put(lookup.key, answer, env.now());
  finish(lookup, &answer, {});
}

/// Asks this server, or the one whose turn it is, if there may be another message.
void Resolver::State::next(Lookup& lookup, std::optional<Endpoint> server) {
  const bool time_left = env.now() + 100ms < lookup.started + kLookupMax;
  if (lookup.tried.size() < kAttemptsMax && time_left && !servers.list().empty())
    attempt(lookup, server ? *server : servers.choose(lookup.first_server, lookup.tried));
  else if (lookup.open.empty())
    give_up(lookup);
}

void Resolver::State::give_up(Lookup& lookup) {
  // RFC 8767 §5: old data is better than none when no server gives a usable answer.
  const auto known = cache.find(lookup.key, env.now());
  if (known.answer != nullptr && (!lookup.poor || lookup.poor->rcode() == Rcode::servfail)) {
    cache.note_refresh_failed(lookup.key, env.now());
    counters.stale += lookup.waiters.size();
    const UpstreamAnswer answer = *known.answer;
    return finish(lookup, &answer, known.aging);
  }
  if (lookup.poor) {
    UpstreamAnswer answer = std::move(*lookup.poor);
    if (!options.trust_ad) answer.distrust();
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
  open_messages -= done->open.size();
  done->open.clear();
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
  const auto what_is_kept = [](const ForwardOptions& of) {
    return std::tie(of.rebind_protection, of.rebind_exceptions, of.trust_ad);
  };
  const bool changed = what_is_kept(options) != what_is_kept(state.options);
  state.options = std::move(options);
  if (changed) state.cache.clear();
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
  std::erase_if(search, [](const Name& name) { return !may_be_excepted(name); });
  state.search = std::move(search);
  state.loops.clear();
}

const std::vector<Endpoint>& Resolver::upstreams() const {
  return state_->servers.list();
}

/// Whether the lookup of this name has taken so long already that its clients were given a stale
/// answer.
bool Resolver::State::is_overdue(const CacheKey& key) const {
  const auto found = lookups.find(as_text(key.bytes()));
  return found != lookups.end() && found->second->started + kStaleAfter <= env.now();
}

/// Refuses what must not go upstream; zero if it may.
std::size_t Resolver::State::refuse_unasked(const Query& query, std::size_t limit,
                                            MutableBytes to) {
  if (!query.header.flags.recursion_desired)  // RFC 1034 §4.3.1
    return refuse(query, limit, to, Rcode::refused, ExtendedError::prohibited,
                  "the query does not ask for recursion (RD is 0), and no answer is cached");
  const auto reverse = local_reverse(query);
  if (!reverse || reverse->scope != ReverseScope::network) return 0;
  const auto is_private = [](const Endpoint& server) { return is_private_answer(server.address); };
  if (std::ranges::any_of(servers.list(), is_private)) return 0;
  Reply reply(to, query, limit);
  reply.recursion_available = true;
  write_local_reverse(query, *reverse, reply);
  return reply.finish().size();
}

std::size_t Resolver::answer_now(const Query& query, std::size_t limit, MutableBytes buffer) {
  State& state = *state_;
  const TimePoint now = state.env.now();
  if (state.servers.list().empty())
    return state.refuse(query, limit, buffer, Rcode::refused, ExtendedError::not_authoritative,
                        state.no_server);
  const CacheKey key(query);
  const auto found = state.cache.find(key, now);
  if (found.answer != nullptr &&
      (!found.aging.stale || found.refresh_failed || state.is_overdue(key))) {
    ++(found.aging.stale ? state.counters.stale : state.counters.hits);
    return found.answer->write(query, limit, found.aging, buffer).size();
  }
  if (const std::size_t size = state.refuse_unasked(query, limit, buffer); size > 0) return size;
  const bool returned = state.came_back(key, query);
  if (returned) {
    ++state.counters.loops;
    if (const auto domain = state.loops.on_return(query.to_name(), now))
      state.env.log.record(LogEvent::forwarding_looped,
                           {{"name", domain->to_display()}, {"duration", kLoopPause}});
  }
  if (returned || state.loops.refuses(query, now))
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
    const auto first = slot->first_case.wire();
    if (!std::ranges::equal(first, query.question.first(query.name_size))) ++slot->other_cases;
    token->lookup = slot.get();
    slot->waiters.push_back(token.get());
    return token;
  }
  ++state.counters.misses;
  slot = std::make_unique<State::Lookup>(key);
  State::Lookup& lookup = *slot;
  lookup.asked = {query.to_name(), query.type, query.rr_class};
  lookup.first_case = *Name::from_wire(query.question.first(query.name_size));
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
