// SPDX-License-Identifier: Apache-2.0
#include "registries/etcd/reader.h"

#include <algorithm>
#include <functional>

namespace outrider::registries::etcd {
namespace {

std::size_t hash_of(const std::pair<std::size_t, std::string>& place) {
  return std::hash<std::string>()(place.second) * 31 + place.first;
}

}  // namespace

Reader::Reader(Env& env, const Options& options, Endpoints& endpoints, NameLookup* names,
               std::size_t first, std::string place,
               const std::vector<std::unique_ptr<Layout>>& layouts, Sink& sink)
    : env_(env),
      options_(options),
      endpoints_(endpoints),
      place_(std::move(place)),
      sink_(sink),
      client_(env, options, endpoints, names, first),
      lease_lookup_(env, client_) {
  for (const auto& layout : layouts)
    for (std::string& prefix : layout->prefixes())
      ranges_.push_back({layout.get(), std::move(prefix)});
}

Reader::~Reader() = default;

void Reader::start() {
  if (has_ranges()) list();
}

void Reader::refresh() {
  if (phase_ != Phase::current && phase_ != Phase::opening) return;
  drop_watch();
  list();
}

void Reader::close() {
  drop_watch();
  timer_.reset();
  phase_ = Phase::idle;
  lease_lookup_.finish();
  client_.close();
}

/// Not of a server that is known not to answer.
std::unique_ptr<Pending> Reader::look_up_leases(std::span<const std::int64_t> leases,
                                                Engine::LeasesReply reply) {
  if (phase_ != Phase::current) return nullptr;
  return lease_lookup_.ask(leases, std::move(reply));
}

void Reader::drop_watch() {
  ++stream_;
  timer_.reset();
  prove_timer_.reset();
  follow_timer_.reset();
  message_.reset();
  events_.clear();
  call_.reset();
  members_call_.reset();
  watch_.reset();
  splitter_ = {};
  refusal_.clear();
  misses_ = 0;
}

// --- listing -----------------------------------------------------------------------------------

void Reader::list() {
  phase_ = Phase::listing;
  known_.clear();
  count_ = 0;
  skipped_.clear();
  full_ = false;
  listing_ = 0;
  list_revision_ = 0;
  list_page(ranges_.front().prefix, 0);
}

/// `revision` 0: the newest, which only a server with a leader knows.
void Reader::list_page(const std::string& first, std::int64_t revision) {
  const std::string end = end_of_prefix(ranges_[listing_].prefix);
  call_ = client_.call(
      "/v3/kv/range", range_request(first, end, page_keys_, revision),
      [this, first, revision](auto result) {
        const bool shorter = page_keys_ > kPageKeysOfLongValues && !result &&
                             result.error().kind == Failure::Kind::too_long;
        if (!shorter) return on_page(std::move(result), first, revision == 0);
        page_keys_ = kPageKeysOfLongValues;
        list_page(first, revision);
      },
      kPageBytesMax);
}

void Reader::on_page(Result<Answer, Failure> result, const std::string& first, bool first_page) {
  if (!result) return on_failure(result.error());
  // Each page has to begin where the one before ended, or a list would have no end.
  if (!std::ranges::all_of(result->kvs, [&](const KeyValue& kv) {
        return kv.key >= first && kv.key.starts_with(ranges_[listing_].prefix);
      })) {
    client_.rotate();
    return fall_behind("its list has keys that were not asked for");
  }
  if (first_page) {
    page_revision_ = result->revision;
    list_revision_ =
        list_revision_ == 0 ? page_revision_ : std::min(list_revision_, page_revision_);
    if (listing_ == 0) note_revision(page_revision_);
  }
  for (const KeyValue& kv : result->kvs)
    store(listing_, kv);
  if (result->kvs.size() >= page_keys_)
    return list_page(result->kvs.back().key + '\0', page_revision_);
  if (++listing_ < ranges_.size()) return list_page(ranges_[listing_].prefix, 0);
  denial_.clear();
  open_watch();
}

/// False, after telling so: the history went back.
bool Reader::note_revision(std::int64_t revision) {
  const std::int64_t before = revision_;
  revision_ = revision;
  if (revision >= before) return true;
  sink_.on_restarted("its revision went back from " + std::to_string(before) + " to " +
                     std::to_string(revision));
  return false;
}

bool Reader::is_wanted(const std::string& service) const {
  const std::vector<std::string>& wanted = options_.services;
  return wanted.empty() || std::ranges::find(wanted, service) != wanted.end();
}

std::vector<Entry> Reader::read(std::size_t range, const KeyValue& kv) {
  const Layout& layout = *ranges_[range].layout;
  skipped_.erase(hash_of({range, kv.key}));
  if (kv.key.size() > kKeyBytesMax || kv.value.size() > kValueBytesMax) {
    skip({range, kv.key});
    return {};
  }
  std::vector<Entry> entries = layout.read(kv);
  if (sink_.is_own(kv, entries)) return {};
  if (entries.empty()) skip({range, kv.key});
  std::erase_if(entries, [this](const Entry& entry) { return !is_wanted(entry.service); });
  for (Entry& entry : entries) {
    std::string key = place_ + ' ' + std::string(layout.name()) + ' ' + kv.key;
    if (!entry.key.empty()) key += ' ' + entry.key;
    entry.key = std::move(key);
    entry.place = place_;
    entry.where = {
        .key = kv.key, .endpoint = endpoint(), .lease = kv.lease, .revision = kv.mod_revision};
  }
  return entries;
}

void Reader::skip(const Place& place) {
  if (skipped_.size() < kSkippedMax) skipped_.insert(hash_of(place));
}

bool Reader::fits(const Place& place, std::size_t count) {
  if (count <= kEntriesMax) return true;
  skip(place);
  full_ = true;
  return false;
}

/// Takes the place of what stood at the key.
void Reader::store(std::size_t range, const KeyValue& kv) {
  const Place place{range, kv.key};
  std::vector<Entry> entries = read(range, kv);
  if (phase_ != Phase::current) {
    if (const auto found = known_.find(place); found != known_.end()) {
      count_ -= found->second.keys.size();
      known_.erase(found);
    }
    if (entries.empty()) return;
    if (!fits(place, count_ + entries.size())) return;
    count_ += entries.size();
    Known& known = known_[place];
    for (const Entry& entry : entries)
      known.keys.push_back(entry.key);
    known.entries = std::move(entries);
    return;
  }
  std::vector<std::string> keys;
  for (const Entry& entry : entries)
    keys.push_back(entry.key);
  const auto found = known_.find(place);
  std::vector<std::string> before =
      found != known_.end() ? found->second.keys : std::vector<std::string>();
  if (!fits(place, count_ - before.size() + keys.size())) {
    entries.clear();
    keys.clear();
  }
  count_ = count_ - before.size() + keys.size();
  if (keys.empty())
    known_.erase(place);
  else
    known_[place].keys = keys;
  for (const std::string& key : before)
    if (std::ranges::find(keys, key) == keys.end()) sink_.on_lost(key);
  for (Entry& entry : entries)
    sink_.on_entry(std::move(entry));
}

void Reader::erase(const Place& place) {
  skipped_.erase(hash_of(place));
  auto node = known_.extract(place);
  if (node.empty()) return;
  count_ -= node.mapped().keys.size();
  if (phase_ != Phase::current) return;
  if (full_ && !timer_.pending()) timer_ = env_.after(kRoomUsed, [this] { refresh(); });
  for (const std::string& key : node.mapped().keys)
    sink_.on_lost(key);
}

// --- watching ----------------------------------------------------------------------------------

void Reader::open_watch() {
  phase_ = Phase::opening;
  created_.assign(ranges_.size(), false);
  std::string body;
  for (std::size_t i = 0; i < ranges_.size(); ++i)
    body +=
        watch_request(ranges_[i].prefix, list_revision_ + 1, static_cast<unsigned>(i + 1)) + '\n';
  auto headers = client_.headers();
  headers.emplace_back("Grpc-Metadata-hasleader", "true");
  watch_ = client_.connection();
  if (!watch_) return fall_behind("only http:// and https:// URLs can be used");
  watch_->send({.target = "/v3/watch",
                .headers = std::move(headers),
                .body = std::move(body),
                .deadlines = {kConnectMax, kCallMax, {}},
                .repeatable = false},
               *this);
  timer_ = env_.after(kConnectMax + kOpenMax, [this] {
    client_.rotate();
    fall_behind("the watch was not created within 3s");
  });
}

void Reader::on_head(int status, const http::Headers&) {
  status_ = status;
}

void Reader::on_piece(std::string_view piece) {
  if (status_ != 200) {
    refusal_ += piece.substr(0, kAnswerBytesMax - std::min(kAnswerBytesMax, refusal_.size()));
    return;
  }
  splitter_.feed(piece);
  if (splitter_.size() > kStreamWaitingMax)
    return fall_behind("the watch sends more than can be followed");
  if (!follow_timer_.pending()) follow();
}

/// A portion of what the watch has sent.
void Reader::follow() {
  for (std::size_t done = 0; done < kEventsPerTurn;) {
    if (message_) {
      if (!take_events(done)) return;
      continue;
    }
    RawMessage raw = splitter_.take_message();
    if (splitter_.failed()) return fall_behind("a message of the watch is longer than 4 MiB");
    if (raw.envelope.empty()) return;
    ++done;
    if (!take(std::move(raw))) return;
  }
  follow_timer_ = env_.after(Duration::zero(), [this] { follow(); });
}

/// A part of message_; false: the watch is closed.
bool Reader::take_events(std::size_t& done) {
  const auto events = read_watch_events(events_.front());
  events_.pop_front();
  if (!events) {
    client_.rotate();
    fall_behind("the watch sends what cannot be read");
    return false;
  }
  done += events->size();
  if (!take_all(static_cast<std::size_t>(message_->number - 1), *events)) return false;
  if (!events_.empty()) return true;
  revision_ = std::max(revision_, message_->revision);
  message_.reset();
  return true;
}

bool Reader::take_all(std::size_t range, const std::vector<WatchEvent>& events) {
  const std::uint64_t stream = stream_;
  for (const WatchEvent& event : events) {
    take_event(range, event);
    if (stream != stream_) return false;
  }
  return true;
}

void Reader::on_complete() {
  if (status_ == 200) return fall_behind("the watch has ended");
  const Refusal refusal = read_refusal(status_, refusal_);
  client_.rotate();
  fall_behind("the watch was refused: " + refusal.text);
}

void Reader::on_failed(const http::ClientError& error) {
  client_.rotate();
  fall_behind(error.text);
}

bool Reader::take(RawMessage raw) {
  const std::uint64_t stream = stream_;
  auto message = read_watch_message(raw.envelope);
  if (!message || message->error) {
    client_.rotate();
    fall_behind(message ? message->reason : "the watch sends what cannot be read");
    return false;
  }
  // Before created: a watch without the right to read says both in one message. The stream itself
  // would stay open.
  if (message->canceled) {
    if (message->reason.find("ermission") != std::string::npos) denial_ = message->reason;
    fall_behind(message->compact_revision != 0 ? "what happened since the list was compacted"
                                               : "the watch was canceled: " + message->reason);
    return false;
  }
  const auto range = static_cast<std::size_t>(message->number - 1);
  if (message->number < 1 || range >= ranges_.size()) return true;  // a progress notice
  if (message->created) {
    if (message->revision < list_revision_) {
      note_revision(message->revision);
      fall_behind("its revision went back");
      return false;
    }
    created_[range] = true;
    if (std::ranges::find(created_, false) == created_.end() && phase_ == Phase::opening)
      become_current();
    return stream == stream_;
  }
  if (!raw.events.empty()) {
    message_ = std::move(message);
    events_ = std::move(raw.events);
    return true;
  }
  if (!take_all(range, message->events)) return false;
  revision_ = std::max(revision_, message->revision);
  return true;
}

void Reader::take_event(std::size_t range, const WatchEvent& event) {
  if (event.deleted)
    erase({range, event.kv.key});
  else
    store(range, event.kv);
  sink_.on_key(event.kv, event.deleted);
}

void Reader::become_current() {
  phase_ = Phase::current;
  timer_.reset();
  call_.reset();
  current_since_ = env_.now();
  std::vector<Entry> entries;
  entries.reserve(count_);
  for (auto& [place, known] : known_)
    for (Entry& entry : std::exchange(known.entries, {}))
      entries.push_back(std::move(entry));
  members_call_ = client_.call("/v3/cluster/member/list", "{}", [this](auto result) {
    if (result) endpoints_.learn(result->client_urls);
  });
  prove_later(kProofInterval);
  sink_.on_listed(std::move(entries));
  sink_.on_reader_state(PlaceState::current, "");
}

// --- doubt -------------------------------------------------------------------------------------

void Reader::prove_later(Duration delay) {
  prove_timer_ = env_.after(delay, [this] { prove(); });
}

void Reader::on_elsewhere_proven(const std::string& server, bool answered) {
  if (phase_ != Phase::current || server != endpoint() || call_) return;
  if (answered) {
    misses_ = 0;
    return prove_later(kProofInterval);
  }
  // As good as a proof that was missed.
  misses_ = std::max(misses_, 1U);
  prove();
}

bool Reader::watches(std::string_view key) const {
  return phase_ == Phase::current && std::ranges::any_of(ranges_, [&](const Range& range) {
           return key.starts_with(range.prefix);
         });
}

void Reader::prove() {
  prove_timer_.reset();
  call_ = client_.call("/v3/kv/range", count_request(ranges_.front().prefix), [this](auto result) {
    call_.reset();
    if (!result && result.error().kind == Failure::Kind::unreachable) {
      if (++misses_ < kProofsMissedMax) return prove_later(kProofAgain);
      return on_failure(result.error());
    }
    if (!result) return on_failure(result.error());
    misses_ = 0;
    if (note_revision(result->revision)) {
      prove_later(kProofInterval);
      return sink_.on_proof();
    }
    fall_behind("its revision went back");
  });
}

void Reader::on_failure(const Failure& failure) {
  if (failure.kind == Failure::Kind::denied) denial_ = failure.text;
  if (failure.kind == Failure::Kind::unreachable) client_.rotate();
  fall_behind(failure.text);
}

void Reader::fall_behind(const std::string& reason) {
  const bool was_good = phase_ == Phase::current && env_.now() - current_since_ >= kBackOffReset;
  drop_watch();
  phase_ = Phase::waiting;
  if (was_good) back_off_.reset();
  timer_ = env_.after(back_off_.next(env_.random, endpoints_.size()), [this] { list(); });
  sink_.on_reader_state(PlaceState::behind, reason);
}

}  // namespace outrider::registries::etcd
