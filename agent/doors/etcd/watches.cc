// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/watches.h"

#include <algorithm>
#include <utility>

namespace outrider::doors::etcd {

class Watches::Stream final : public WatchStream {
 public:
  Stream(Watches& all, WatchSink& sink) : all_(&all), sink_(sink) {
    at_ = all.streams_.insert(all.streams_.end(), this);
  }
  ~Stream() override {
    if (gone_ != nullptr) *gone_ = true;
    if (all_ == nullptr) return;
    all_->watches_ -= watches_.size();
    all_->streams_.erase(at_);
    if (awaiting_ > 0)
      all_->awaiting_.remove_if([this](const Awaiting& each) { return each.stream == this; });
  }

  void create(WatchCreateRequest request) override {
    if (all_ == nullptr) return;
    // In the order of the requests.
    if (awaiting_ > 0) return await(std::move(request));
    begin(std::move(request));
  }
  /// May destroy this.
  void begin_awaited(WatchCreateRequest request) {
    --awaiting_;
    begin(std::move(request));
  }
  void cancel(WatchCancelRequest request) override;
  void progress() override;
  void resume() override {
    blocked_ = false;
    if (all_ != nullptr) all_->wake();
  }

  /// The Watches are destroyed; this may be destroyed by it.
  void end() {
    all_ = nullptr;
    sink_.on_watch_end({Code::unavailable, "etcdserver: server stopped"});
  }
  /// Sends what is new, as far as the client has room. May destroy this.
  void serve();
  /// To watches that asked for it. May destroy this.
  void tell_progress();
  void move_to_end() { all_->streams_.splice(all_->streams_.end(), all_->streams_, at_); }

 private:
  enum class Sent : std::uint8_t { all, blocked, gone };
  void begin(WatchCreateRequest request);
  void await(WatchCreateRequest request);
  bool stop_awaiting(std::int64_t id);
  bool has_room() const {
    return watches_.size() + awaiting_ < kWatchesPerStreamMax &&
           all_->watches_ + all_->awaiting_.size() < kWatchesMax;
  }
  void refuse(std::string reason);
  Sent serve(std::int64_t id, Watch& watch);
  Sent send(WatchResponse response);
  WatchResponse response_for(std::int64_t id, std::int64_t revision) {
    return {
        .header = all_->owner_.header(revision), .watch_id = id, .cancel_reason = {}, .events = {}};
  }

  Watches* all_;  // null: destroyed
  WatchSink& sink_;
  std::list<Stream*>::iterator at_;
  std::map<std::int64_t, Watch> watches_;
  std::size_t awaiting_ = 0;  // of Watches::awaiting_
  std::int64_t next_id_ = 0;
  bool blocked_ = false;
  bool progress_due_ = false;
  bool* gone_ = nullptr;  // of a send() that is under way
};

Watches::Stream::Sent Watches::Stream::send(WatchResponse response) {
  bool gone = false;
  bool* const outer = std::exchange(gone_, &gone);
  const bool more = sink_.on_watch_response(std::move(response));
  if (gone) {
    if (outer != nullptr) *outer = true;
    return Sent::gone;
  }
  gone_ = outer;
  if (!more) blocked_ = true;
  return blocked_ ? Sent::blocked : Sent::all;
}

/// As etcd does: created and canceled at once.
void Watches::Stream::refuse(std::string reason) {
  WatchResponse response = response_for(kNoWatch, all_->shown_);
  response.created = response.canceled = true;
  response.cancel_reason = std::move(reason);
  (void)send(std::move(response));
}

void Watches::Stream::await(WatchCreateRequest request) {
  if (!has_room()) return refuse("etcdserver: too many watches");
  ++awaiting_;
  all_->awaiting_.push_back({this, std::move(request)});
}

/// Of a watch whose client has picked the id.
bool Watches::Stream::stop_awaiting(std::int64_t id) {
  if (awaiting_ == 0 || id == 0) return false;
  const std::size_t stopped = all_->awaiting_.remove_if(
      [&](const Awaiting& each) { return each.stream == this && each.request.watch_id == id; });
  awaiting_ -= stopped;
  return stopped > 0;
}

void Watches::Stream::begin(WatchCreateRequest request) {
  if (!has_room()) return refuse("etcdserver: too many watches");
  if (request.fragment)
    return refuse(
        "etcdserver: fragments are not supported here: the events of one revision come in one "
        "response; watch without the fragment option");
  KeyRange range{request.key, request.range_end};
  // No key at all means all keys, as in etcd.
  if (range.first.empty()) range.first = std::string(1, '\0');
  if (!all_->owner_.prepare(range)) return await(std::move(request));
  std::int64_t id = request.watch_id;
  if (id == 0) {
    while (watches_.contains(next_id_))
      ++next_id_;
    id = next_id_++;
  } else if (id < 0 || watches_.contains(id)) {
    return refuse("mvcc: duplicate watch ID provided on the WatchStream");
  }
  Watch watch{.range = std::move(range)};
  watch.next = request.start_revision > 0 ? request.start_revision : all_->shown_ + 1;
  for (const WatchCreateRequest::Filter filter : request.filters) {
    if (filter == WatchCreateRequest::Filter::no_put) watch.wants_puts = false;
    if (filter == WatchCreateRequest::Filter::no_delete) watch.wants_deletions = false;
  }
  watch.prev_kv = request.prev_kv;
  watch.progress = request.progress_notify;
  WatchResponse response = response_for(id, all_->shown_);
  response.created = true;
  if (request.progress_notify && !all_->progress_.pending()) all_->tell_progress();
  watches_.emplace(id, std::move(watch));
  ++all_->watches_;
  if (send(std::move(response)) != Sent::gone) all_->wake();
}

void Watches::Stream::cancel(WatchCancelRequest request) {
  if (all_ == nullptr) return;
  const bool begun = watches_.erase(request.watch_id) > 0;
  // One that is not there is not answered, as in etcd.
  if (!begun && !stop_awaiting(request.watch_id)) return;
  if (begun) --all_->watches_;
  WatchResponse response = response_for(request.watch_id, all_->shown_);
  response.canceled = true;
  (void)send(std::move(response));
}

void Watches::Stream::progress() {
  if (all_ == nullptr) return;
  progress_due_ = true;
  all_->wake();
}

void Watches::Stream::serve() {
  std::vector<std::int64_t> ids;
  for (const auto& [id, watch] : watches_)
    if (watch.next <= all_->shown_) ids.push_back(id);
  for (const std::int64_t id : ids) {
    if (blocked_) return;
    const auto watch = watches_.find(id);
    if (watch == watches_.end()) continue;
    if (serve(id, watch->second) == Sent::gone) return;
    if (all_ == nullptr) return;
  }
  if (blocked_ || !std::exchange(progress_due_, false)) return;
  (void)send(response_for(kNoWatch, all_->shown_));
}

Watches::Stream::Sent Watches::Stream::serve(std::int64_t id, Watch& watch) {
  const Store& store = all_->store_;
  if (watch.next < store.compact_revision()) {
    // The header has no revision, as etcd's has none then.
    WatchResponse response = response_for(id, 0);
    response.canceled = true;
    response.compact_revision = store.compact_revision();
    response.cancel_reason = "etcdserver: mvcc: required revision has been compacted";
    watches_.erase(id);
    --all_->watches_;
    return send(std::move(response));
  }
  const auto& history = store.history();
  auto at = std::ranges::lower_bound(history, watch.next, {}, &Store::Revision::number);
  while (watch.next <= all_->shown_) {
    WatchResponse response;
    std::size_t bytes = 0;
    for (; at != history.end() && at->number <= all_->shown_ && bytes < kResponseBytesMax; ++at) {
      for (const Event& event : at->events) {
        const bool put = event.type == Event::Type::put;
        if (!(put ? watch.wants_puts : watch.wants_deletions)) continue;
        if (!watch.range.contains(event.kv->key)) continue;
        response.events.push_back(event);
        if (!watch.prev_kv) response.events.back().prev_kv = nullptr;
        bytes += event.kv->key.size() + event.kv->value.size();
      }
      watch.next = at->number + 1;
    }
    const bool done = at == history.end() || at->number > all_->shown_;
    if (done) watch.next = all_->shown_ + 1;
    if (response.events.empty()) continue;
    response.header = all_->owner_.header(watch.next - 1);
    response.watch_id = id;
    all_->sent_ += bytes;
    const Sent sent = send(std::move(response));
    if (sent != Sent::all) return sent;
    if (all_ == nullptr || !watches_.contains(id)) return Sent::all;
  }
  return Sent::all;
}

void Watches::Stream::tell_progress() {
  for (const auto& [id, watch] : watches_)
    if (watch.progress && !blocked_ && watch.next > all_->shown_)
      if (send(response_for(id, all_->shown_)) == Sent::gone) return;
}

Watches::Watches(Env& env, const Store& store, Owner owner)
    : env_(env), store_(store), owner_(std::move(owner)), shown_(store.revision()) {}

Watches::~Watches() {
  while (!streams_.empty()) {
    Stream* const stream = streams_.front();
    streams_.pop_front();
    stream->end();
  }
}

std::unique_ptr<WatchStream> Watches::open(WatchSink& sink) {
  return std::make_unique<Stream>(*this, sink);
}

void Watches::show(std::int64_t revision) {
  if (revision <= shown_) return;
  shown_ = revision;
  if (!streams_.empty()) wake();
}

void Watches::wake() {
  to_serve_ = streams_.size();
  if (!serve_.pending()) serve_ = env_.after(Duration::zero(), [this] { serve(); });
}

void Watches::create_awaiting() {
  for (std::size_t left = awaiting_.size(); left > 0 && !awaiting_.empty(); --left) {
    Awaiting next = std::move(awaiting_.front());
    awaiting_.pop_front();
    next.stream->begin_awaited(std::move(next.request));
  }
}

/// A few in each turn, which also answers DNS.
void Watches::serve() {
  sent_ = 0;
  for (std::size_t i = 0;
       i < kWatchStreamsPerTurn && sent_ < kResponseBytesMax && to_serve_ > 0 && !streams_.empty();
       ++i) {
    --to_serve_;
    Stream* const stream = streams_.front();
    stream->move_to_end();
    stream->serve();
  }
  if (to_serve_ > 0 && !streams_.empty() && !serve_.pending())
    serve_ = env_.after(Duration::zero(), [this] { serve(); });
}

void Watches::tell_progress() {
  progress_ = env_.after(kProgressInterval, [this] {
    const std::vector<Stream*> streams(streams_.begin(), streams_.end());
    for (Stream* const stream : streams)
      if (std::ranges::find(streams_, stream) != streams_.end()) stream->tell_progress();
    if (watches_ > 0) tell_progress();
  });
}

}  // namespace outrider::doors::etcd
