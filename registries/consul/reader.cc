// SPDX-License-Identifier: Apache-2.0
#include "registries/consul/reader.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace outrider::registries::consul {

Reader::Reader(Env& env, const Options& options, NameLookup* names, std::string place, Sink& sink)
    : env_(env),
      options_(options),
      place_(std::move(place)),
      sink_(sink),
      self_(env, options, names) {
  std::set<std::string> services;
  for (const std::string& service : options.services)
    if (queries_.size() < kServicesMax && services.insert(service).second)
      queries_.push_back(std::make_unique<Query>(env, options, names, service));
}

Reader::~Reader() = default;

void Reader::start() {
  if (has_services()) greet();
}

void Reader::refresh() {
  if (phase_ != Phase::current) return;
  drop();
  list_all();
}

void Reader::suspect(const std::string& reason) {
  if (phase_ == Phase::current) fall_behind(reason);
}

void Reader::close() {
  drop();
  phase_ = Phase::idle;
}

void Reader::drop() {
  timer_.reset();
  prove_timer_.reset();
  self_.close();
  for (const auto& query : queries_) {
    query->client.close();
    query->pause.reset();
    query->asked = query->listed = false;
    query->fresh.reset();
  }
}

std::int64_t Reader::revision() const {
  std::uint64_t newest = 0;
  for (const auto& query : queries_)
    newest = std::max(newest, query->index);
  return static_cast<std::int64_t>(newest);
}

std::size_t Reader::entries() const {
  std::size_t count = 0;
  for (const auto& query : queries_)
    count += query->known.size();
  return count;
}

std::size_t Reader::skipped() const {
  std::size_t count = 0;
  for (const auto& query : queries_)
    count += query->skipped + query->left_out();
  return count;
}

std::vector<std::string> Reader::warnings() const {
  std::vector<std::string> texts;
  if (!denial_.empty())
    texts.push_back(
        "the token may not read /v1/agent/self (" + denial_ +
        "), so that empty lists are not believed: Consul also shows them without service:read");
  for (const auto& query : queries_)
    if (const std::size_t left_out = query->left_out(); left_out > 0)
      texts.push_back(counted(left_out, "instance") + " of " + query->service +
                      " left out: all services together have room for " +
                      counted(kEntriesMax, "instance") + "; follow fewer services");
  for (const auto& query : queries_) {
    if (!query->hidden) continue;
    const std::string kept =
        query->known.empty()
            ? std::string()
            : "; " + counted(query->known.size(), "instance") + " known before kept for a while";
    texts.push_back(query->refusal.empty()
                        ? "the list of " + query->service + " is empty, or hidden from this token" +
                              kept
                        : query->service + " cannot be read: " + query->refusal + kept);
  }
  return texts;
}

// --- asking --------------------------------------------------------------------------------------

void Reader::greet() {
  phase_ = Phase::greeting;
  self_.call({.target = std::string(kSelfTarget), .body = {}},
             [this](auto result) { on_self(std::move(result)); });
}

void Reader::on_self(Result<Answer, Failure> result) {
  self_.close();
  denial_.clear();
  if (result)
    node_ = read_node(result->body);
  else if (result.error().kind == Failure::Kind::denied && result.error().status != 0)
    denial_ = result.error().text;
  else if (result.error().kind != Failure::Kind::refused)
    return fall_behind(result.error().text);
  list_all();
}

void Reader::list_all() {
  phase_ = Phase::listing;
  ask_more();
}

void Reader::ask_more() {
  auto under_way = static_cast<std::size_t>(std::ranges::count_if(
      queries_, [](const auto& query) { return query->asked && !query->listed; }));
  for (const auto& query : queries_) {
    if (query->asked) continue;
    if (under_way++ == kListsAtOnce) return;
    query->asked = true;
    ask(*query, 0);
  }
}

/// Index 0 is answered at once.
void Reader::ask(Query& query, std::uint64_t index) {
  // A connection that is closed within a wait is a sign of a restart: everything is listed again.
  query.reading = {};
  query.client.call({.target = list_target(query.service, index),
                     .body = {},
                     .answer_max = index == 0 ? kCallMax : kListMax,
                     .bytes_max = kListBytesMax,
                     .repeatable = index == 0,
                     .on_piece = [&query](std::string_view piece) { query.reading.feed(piece); }},
                    [this, &query](auto result) { on_list(query, std::move(result)); });
}

/// Waits for the next change, sooner or later.
void Reader::follow(Query& query) {
  const auto earned = (env_.now() - query.credited) / kAnswerInterval;
  query.credited += earned * kAnswerInterval;
  query.credit = static_cast<unsigned>(
      std::min<std::int64_t>(query.credit + std::int64_t{earned}, kAnswersAtOnce));
  if (query.credit > 0) {
    --query.credit;
    return ask(query, query.index);
  }
  query.pause = env_.timers.at(query.credited + kAnswerInterval, [this, &query] { follow(query); });
}

void Reader::on_list(Query& query, Result<Answer, Failure> result) {
  if (!result) {
    if (result.error().kind == Failure::Kind::refused)
      return on_refused(query, result.error().text);
    return fall_behind(result.error().text);
  }
  if (result->index < query.index) {
    const std::string reason = "its index went back from " + std::to_string(query.index) + " to " +
                               std::to_string(result->index);
    const bool waited = query.listed;
    const bool known = restarted_ && env_.now() - *restarted_ < kRestartInterval;
    for (const auto& each : queries_)
      each->index = 0;
    if (waited && known) return fall_behind(reason + ", again");
    if (!known) sink_.on_restarted(reason);
    restarted_ = env_.now();
    // The others wait for an index that is still to come.
    if (waited) {
      drop();
      return list_all();
    }
  }
  answered_ = env_.now();
  query.index = result->index;
  query.refusal.clear();
  if (!take(query, *result))
    return fall_behind("an answer that cannot be read: " + query.reading.beginning());
  follow(query);
  on_answered(query);
}

void Reader::on_refused(Query& query, const std::string& reason) {
  query.refusal = reason;
  query.hidden = true;
  query.fresh.reset();
  query.pause = env_.after(kServiceRetry, [this, &query] { ask(query, 0); });
  on_answered(query);
}

/// False: it is no list.
bool Reader::take(Query& query, const Answer& answer) {
  auto list = query.reading.finish();
  if (!list) return false;
  query.skipped = list->skipped;
  query.hidden =
      list->entries.empty() && list->skipped == 0 && (!denial_.empty() || answer.filtered);
  if (query.hidden) {
    query.fresh.reset();
    return true;
  }
  Entries& fresh = query.fresh.emplace();
  for (Entry& entry : list->entries) {
    const bool local = !node_.empty() && entry.key == node_ + '/' + entry.id;
    if (sink_.is_own(entry, local)) continue;
    entry.key = place_ + ' ' + query.service + ' ' + entry.key;
    entry.place = place_;
    entry.where.endpoint = options_.address;
    std::string key = entry.key;
    fresh.insert_or_assign(std::move(key), std::move(entry));
  }
  query.needed = fresh.size();
  share_out();
  return true;
}

// --- the limit -----------------------------------------------------------------------------------

/// What it has; or had, for as long as that is kept.
std::size_t Reader::Query::needs() const {
  return hidden ? known.size() : needed;
}

std::size_t Reader::Query::left_out() const {
  const std::size_t held = fresh ? fresh->size() : known.size();
  return needs() > held ? needs() - held : 0;
}

/// What services leave of their equal shares is shared by those that need more. So none has less
/// than its share, whatever the others have.
std::size_t Reader::room_per_service() const {
  std::vector<std::size_t> needs;
  for (const auto& query : queries_)
    needs.push_back(query->needs());
  std::ranges::sort(needs);
  std::size_t room = kEntriesMax, services = needs.size();
  for (const std::size_t need : needs) {
    const std::size_t share = room / services--;
    if (need > share) return share;
    room -= need;
  }
  return kEntriesMax;
}

/// Those with the first keys stay: the same ones in each list.
void Reader::share_out() {
  const std::size_t room = room_per_service();
  for (const auto& query : queries_) {
    // What is known from an earlier round is still to be listed.
    if (phase_ != Phase::current && !query->fresh) continue;
    Entries& held = query->fresh ? *query->fresh : query->known;
    while (held.size() > room) {
      const auto last = std::prev(held.end());
      if (!query->fresh) sink_.on_lost(last->first);
      held.erase(last);
    }
  }
}

/// Entries that were left out come only with a list.
void Reader::use_room() {
  const std::size_t room = room_per_service();
  const bool usable = std::ranges::any_of(queries_, [&](const auto& query) {
    return query->left_out() > 0 && query->known.size() < room;
  });
  if (usable && !timer_.pending()) timer_ = env_.after(kRoomUsed, [this] { refresh(); });
}

void Reader::on_answered(Query& query) {
  query.listed = true;
  if (phase_ == Phase::current) return report(query);
  ask_more();
  if (std::ranges::all_of(queries_, [](const auto& each) { return each->listed; })) report_all();
}

// --- a sign of life ------------------------------------------------------------------------------

void Reader::prove_at(TimePoint due) {
  prove_timer_ = env_.timers.at(due, [this] { prove(); });
}

void Reader::prove() {
  const TimePoint due = std::max(answered_, sink_.last_answer()) + kProofInterval;
  if (env_.now() < due) return prove_at(due);
  self_.call({.target = std::string(kSelfTarget), .body = {}}, [this](auto result) {
    if (!result && result.error().kind == Failure::Kind::unreachable && result.error().status == 0)
      return fall_behind(result.error().text);
    answered_ = env_.now();
    prove_at(answered_ + kProofInterval);
  });
}

// --- reporting -----------------------------------------------------------------------------------

/// The first lists of all services are there.
void Reader::report_all() {
  phase_ = Phase::current;
  current_since_ = env_.now();
  answered_ = env_.now();
  prove_at(answered_ + kProofInterval);
  keep_emptied();
  share_out();
  if (doubtful_services().empty())
    report_list();
  else
    report_in_doubt();
  use_room();
}

void Reader::report_list() {
  doubted_.clear();
  std::vector<Entry> entries;
  for (const auto& query : queries_) {
    if (query->fresh) query->known = std::move(*query->fresh);
    query->fresh.reset();
    for (const auto& [key, entry] : query->known)
      entries.push_back(entry);
  }
  sink_.on_listed(std::move(entries));
  sink_.on_reader_state(PlaceState::current, "");
}

void Reader::report(Query& query) {
  keep_emptied();
  const bool emptied = query.fresh && query.fresh->empty() && query.known.size() >= 2;
  const std::string doubtful = doubtful_services();
  // Suddenly nothing, or everything again: as a list, so that the sink judges whether to believe
  // it.
  if (emptied || (doubtful.empty() && !doubted_.empty()))
    report_list();
  else if (doubted_ != doubtful)
    report_in_doubt();
  else if (!doubted_.empty() && losses(query) >= 2)
    report_part();
  else
    report_changes(query);
  use_room();
}

/// Entries that its new list lacks.
std::size_t Reader::losses(const Query& query) {
  if (!query.fresh) return 0;
  return static_cast<std::size_t>(std::ranges::count_if(
      query.known, [&](const auto& each) { return !query.fresh->contains(each.first); }));
}

/// Beside a service that cannot be read, another one that is suddenly empty is likely to be hidden,
/// too: it is kept until a later answer.
void Reader::keep_emptied() {
  if (doubtful_services().empty()) return;
  for (const auto& query : queries_)
    if (query->fresh && query->fresh->empty() && query->known.size() >= 2) {
      query->hidden = true;
      query->fresh.reset();
    }
}

/// Services whose entries are kept without being listed.
std::string Reader::doubtful_services() const {
  std::string services;
  for (const auto& query : queries_)
    if (query->hidden && !query->known.empty())
      services += (services.empty() ? "" : ", ") + query->service;
  return services;
}

/// What is kept is stale.
void Reader::report_in_doubt() {
  doubted_ = doubtful_services();
  sink_.on_reader_state(PlaceState::behind,
                        "what is known of " + doubted_ + " cannot be read any more");
  report_part();
}

/// What can be read, as one list: the sink judges what is missing in it.
void Reader::report_part() {
  std::vector<Entry> entries;
  std::set<std::string> kept;
  for (const auto& query : queries_) {
    if (query->fresh) query->known = std::move(*query->fresh);
    query->fresh.reset();
    for (const auto& [key, entry] : query->known)
      if (query->hidden)
        kept.insert(key);
      else
        entries.push_back(entry);
  }
  sink_.on_listed_in_part(std::move(entries), std::move(kept));
}

void Reader::report_changes(Query& query) {
  if (!query.fresh) return;
  const Entries before = std::exchange(query.known, std::move(*query.fresh));
  query.fresh.reset();
  for (const auto& [key, entry] : before)
    if (!query.known.contains(key)) sink_.on_lost(key);
  for (const auto& [key, entry] : query.known)
    if (const auto found = before.find(key); found == before.end() || found->second != entry)
      sink_.on_entry(entry);
}

void Reader::fall_behind(const std::string& reason) {
  const bool was_good = phase_ == Phase::current && env_.now() - current_since_ >= kBackOffReset;
  drop();
  phase_ = Phase::waiting;
  if (was_good) back_off_.reset();
  timer_ = env_.after(back_off_.next(env_.random, 1), [this] { greet(); });
  sink_.on_reader_state(PlaceState::behind, reason);
}

}  // namespace outrider::registries::consul
