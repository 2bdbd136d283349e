// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/api.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "agent/doors/consul/consul.h"
#include "agent/doors/eureka/eureka.h"
#include "agent/doors/instance_json.h"
#include "agent/doors/page/page.h"
#include "base/hash.h"

namespace outrider::doors {
namespace {

/// After this time no further waiter is answered in a turn: the answers may be short, and yet take
/// long to make.
constexpr Duration kTurnTimeMax = std::chrono::milliseconds(1);

/// One server-sent event; `data` is one line of JSON.
std::string event(std::string_view name, std::uint64_t revision, std::string_view data) {
  std::string out = "event: ";
  out += name;
  out += "\nid: " + std::to_string(revision) + "\ndata: ";
  out += data;
  out += "\n\n";
  return out;
}

/// Without refreshes of sightings, which move expiry times and nothing that a client can see.
registry::Changes news_of(const registry::Changes& changes) {
  registry::Changes news{
      .revision = changes.revision, .list = {}, .ended = changes.ended, .forgotten = {}};
  std::copy_if(changes.list.begin(), changes.list.end(), std::back_inserter(news.list),
               [](const registry::Change& change) { return change.news(); });
  return news;
}

/// Answers to these name instances of the whole network.
bool lists_the_network(const http::ServerRequest& request) {
  const std::string_view path = request.path;
  constexpr std::string_view kPrefixes[] = {
      "/v1/catalog/",
      "/v1/health/",
      "/v1/outrider/services",
      "/v1/outrider/select/",
      "/v1/outrider/instances",
      "/v1/outrider/http_sd",
      "/discovery/fetch",
      "/discovery/poll",
      "/api/fetch",
  };
  if (path.starts_with("/v1/outrider/watch")) return request.target.has("list");
  if (path.starts_with("/eureka/")) return !http::is_mutating(request.method);
  return std::ranges::any_of(kPrefixes,
                             [&](std::string_view prefix) { return path.starts_with(prefix); });
}

}  // namespace

struct Api::Held {
  http::ServerRequest request;
  http::Exchange exchange;
};

struct Api::Asking {
  http::Exchange exchange;
  WithLeases answer;
  std::unique_ptr<Pending> reply;
};

struct Api::Waiter {
  Until until;
  http::Exchange exchange;
  Render render, unchanged;
  Timer timeout;
  bool timed_out = false;
};

struct Api::Job {
  http::Exchange exchange;
  Step step;
};

struct Api::Watcher {
  bool awaits_snapshot() const { return snapshot_due || snapshot != nullptr; }
  /// Writes a portion of the snapshot, and makes `text` the event when it is whole.
  bool write_snapshot(const Control& control, std::string& text);
  /// Adds a portion of what was missed to `text`. True: that was the last one.
  bool write_missed(const registry::HostView& host, std::string& text);

  /// For a list: whether it may be another one after these changes.
  bool may_differ(const registry::Changes& news) const;

  WatchFilter filter;
  std::optional<Search> list;        // instead of the filter: whole lists, no changes
  std::optional<std::uint64_t> was;  // hash of the list that was sent last
  http::EventStream stream;
  std::deque<RecentChanges> missed;          // before it resumed, and not written yet
  bool snapshot_due = false;                 // it is begun when no other is being written
  std::unique_ptr<SnapshotWriter> snapshot;  // that is being written
  std::vector<std::shared_ptr<const std::string>> unsent;  // shared with other watchers
};

bool Api::Watcher::write_snapshot(const Control& control, std::string& text) {
  if (snapshot == nullptr) {
    snapshot_due = false;
    snapshot =
        list ? std::make_unique<SnapshotWriter>(control, find_instances(control.registry(), *list))
             : std::make_unique<SnapshotWriter>(control, filter);
  }
  if (!snapshot->write(kRowsPerTurn)) return false;
  const std::string& whole = snapshot->text();
  if (!list) {
    text = event("snapshot", snapshot->revision(), whole);
  } else {
    // The revision, which comes first, also counts changes of other services.
    const std::uint64_t hash = fnv1a(std::string_view(whole).substr(whole.find(',')));
    if (was != hash) text = event("list", snapshot->revision(), whole);
    was = hash;
  }
  snapshot.reset();
  return true;
}

bool Api::Watcher::may_differ(const registry::Changes& news) const {
  const bool all = list->name.empty() && !list->meaning;
  return all || std::ranges::any_of(news.list, [&](const registry::Change& change) {
           return change.any().service.label() == list->name;
         });
}

bool Api::Watcher::write_missed(const registry::HostView& host, std::string& text) {
  for (std::size_t left = kRowsPerTurn; left > 0 && !missed.empty(); missed.pop_front()) {
    const registry::Changes& changes = *missed.front();
    const std::string data = changes_json(changes, filter, host);
    if (!data.empty()) text += event("change", changes.revision, data);
    left -= std::min(left, changes.list.size());
  }
  return missed.empty();
}

Api::Api(Env& env, Control& control, ApiOptions options)
    : env_(env),
      control_(control),
      options_(std::move(options)),
      router_(*this, "outrider-api(7), or /openapi.json"),
      selector_(env.random),
      settle_until_(env.now() + kSettleWait) {
  router_.before_changes([this](http::Exchange& exchange) {
    if (exchange.is_hurried()) return;
    const std::uint64_t before = control_.registry().revision();
    exchange.hold_answer([this, before](http::Exchange held, http::Answer answer) {
      // A heartbeat that changes no state waits for nothing, and is not to fail for a full disk.
      if (control_.registry().revision() == before) return held.answer(std::move(answer));
      answer_when_kept(std::move(held), std::move(answer));
    });
  });
  add_outrider_routes(*this);
  add_consul_agent_routes(*this);
  add_consul_catalog_routes(*this);
  add_consul_node_routes(*this);
  add_consul_about_routes(*this);
  if (options_.article) add_article_routes(*this);
  if (options_.bilibili) add_bilibili_routes(*this);
  if (options_.eureka) add_eureka_routes(*this);
}

Api::~Api() = default;

void Api::on_request(const http::ServerRequest& request, http::Exchange exchange) {
  if (auto refusal = consul::refuse_unsupported(*this, request.path))
    return exchange.answer(std::move(*refusal));
  if (auto path = options_.eureka ? eureka::canonical_path(request.path) : std::nullopt) {
    http::ServerRequest same = request;
    same.path = std::move(*path);
    return on_request(same, std::move(exchange));
  }
  if (!exchange.is_hurried() && !is_settled() && lists_the_network(request))
    return hold(request, std::move(exchange));
  if (const auto service = page::service_asked_for(*this, request))
    return page::answer_for(*this, request, *service, std::move(exchange));
  router_.route(request, std::move(exchange));
}

/// As DNS does: a client that connects right after the agent's start would take a list that is not
/// complete yet for the departure of all that is missing.
void Api::hold(const http::ServerRequest& request, http::Exchange exchange) {
  held_.push_back(std::make_unique<Held>(Held{request, std::move(exchange)}));
  const auto position = std::prev(held_.end());
  if (!(*position)->exchange.wait([this, position] { held_.erase(position); })) {
    held_.erase(position);
    return;
  }
  if (!held_timer_.pending()) held_timer_ = env_.after(kSettleLook, [this] { release_held(); });
}

bool Api::is_settled() const {
  return env_.now() >= settle_until_ || control_.is_settled();
}

void Api::release_held() {
  while (is_settled() && !held_.empty()) {
    const auto held = std::move(held_.front());
    held_.pop_front();
    router_.route(held->request, std::move(held->exchange));
  }
  if (!held_.empty()) held_timer_ = env_.after(kSettleLook, [this] { release_held(); });
}

void Api::answer_when_kept(http::Exchange exchange, http::Answer answer) {
  if (answer.status >= 400) return exchange.answer(std::move(answer));
  control_.when_kept([exchange = std::move(exchange),
                      answer = std::move(answer)](const std::string& why_not) mutable {
    if (why_not.empty()) return exchange.answer(std::move(answer));
    exchange.answer(http::error_answer(
        500, "in effect, but it will not survive a restart of the agent: " + why_not));
  });
}

std::uint64_t Api::index_of(std::string_view service_label) const {
  const registry::Registry& registry = control_.registry();
  return 1 +
         (service_label.empty() ? registry.revision() : registry.service_revision(service_label));
}

/// A change that makes no difference to the waiter is passed over: it waits for the next one.
bool Api::is_due(Waiter& waiter) const {
  Until& until = waiter.until;
  if (!passed(until)) return false;
  if (!until.differs || until.differs()) return true;
  for (Until::Key& key : until.keys)
    key.index = index_of(key.service_label);
  return false;
}

// An index from the future comes from an earlier run of the agent: it has passed too.
bool Api::passed(const Until& until) const {
  return std::any_of(until.keys.begin(), until.keys.end(), [&](const Until::Key& key) {
    return key.index == 0 || key.index != index_of(key.service_label);
  });
}

void Api::answer_when(Until until, http::Exchange exchange, Render render) {
  answer_when(std::move(until), std::move(exchange), std::move(render), {});
}

void Api::answer_when(Until until, http::Exchange exchange, Render render, Render unchanged) {
  if (until.wait <= Duration::zero() || passed(until)) return exchange.answer(render());
  waiters_.push_back(std::make_unique<Waiter>(Waiter{
      std::move(until), std::move(exchange), std::move(render), std::move(unchanged), {}, false}));
  const auto position = std::prev(waiters_.end());
  Waiter& waiter = **position;
  if (!waiter.exchange.wait([this, position] { waiters_.erase(position); })) {
    waiters_.erase(position);
    return;
  }
  waiter.timeout = env_.after(waiter.until.wait, [this, &waiter] {
    waiter.timed_out = true;
    serve_soon();
  });
}

void Api::on_changes(const registry::Changes& changes) {
  registry::Changes news = news_of(changes);
  const auto size_of = [](const registry::Changes& some) {
    return some.list.size() + some.ended.size();
  };
  if (size_of(news) == 0 && changes.forgotten.empty() && changes.node == nullptr) return;
  serve_soon();
  if (size_of(news) == 0) return;
  queue_events(news);
  recent_size_ += size_of(news);
  recent_.push_back({env_.now(), std::make_shared<const registry::Changes>(std::move(news))});
  for (; recent_size_ > kRecentChangesMax; recent_.pop_front())
    recent_size_ -= size_of(*recent_.front().changes);
}

/// A few clients in each turn: there may be hundreds, and their answers long.
void Api::serve_soon() {
  if (serve_timer_.pending()) return;
  serve_timer_ = env_.after(Duration::zero(), [this] {
    const bool answered_all = answer_waiters();
    const bool fed_all = feed_watchers();
    if (!answered_all || !fed_all) serve_soon();
  });
}

/// False: there are more.
bool Api::answer_waiters() {
  std::size_t answers = 0, bytes = 0;
  // By the wall clock, since the other one stands still within a turn.
  const WallTime begun = env_.clock.wall();
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    const bool changed = is_due(**at);
    if (!changed && !(*at)->timed_out) {
      ++at;
      continue;
    }
    const bool spent = answers > 0 && env_.clock.wall() - begun >= kTurnTimeMax;
    if (answers == kAnswersPerTurn || bytes >= http::kTurnBytesMax || spent) return false;
    ++answers;
    const auto done = std::move(*at);
    at = waiters_.erase(at);
    http::Answer answer = changed || !done->unchanged ? done->render() : done->unchanged();
    bytes += answer.body.size();
    done->exchange.answer(std::move(answer));
  }
  return true;
}

void Api::answer_in_turns(http::Exchange exchange, Step step, IfGone if_gone) {
  if (!exchange.can_wait()) {  // too many do already
    auto answer = step();
    while (!answer)
      answer = step();
    return exchange.answer(std::move(*answer));
  }
  jobs_.push_back(std::make_unique<Job>(Job{std::move(exchange), std::move(step)}));
  const auto job = std::prev(jobs_.end());
  const auto on_gone = [this, job, if_gone] {
    if (if_gone == IfGone::stop) jobs_.erase(job);
  };
  if (!(*job)->exchange.wait(on_gone)) {
    jobs_.erase(job);
    return;
  }
  if (!step_timer_.pending()) step_timer_ = env_.after(Duration::zero(), [this] { run_step(); });
}

void Api::answer_list(http::Exchange exchange, List list) {
  struct Writing {
    explicit Writing(List what) : list(std::move(what)) {}
    List list;
    http::Answer answer;
    json::Writer out{answer.body};
    std::size_t next = 0;
  };
  const bool few = list.instances.size() <= kRowsAtOnce;
  auto writing = std::make_unique<Writing>(std::move(list));
  writing->list.begin(writing->out);
  Step step = [writing = std::move(writing)]() -> std::optional<http::Answer> {
    const auto& instances = writing->list.instances;
    for (std::size_t i = 0; i < kRowsPerTurn && writing->next < instances.size(); ++i)
      writing->list.row(writing->out, *instances[writing->next++]);
    if (writing->next < instances.size()) return std::nullopt;
    writing->list.end(writing->out);
    writing->answer.body += '\n';
    return std::move(writing->answer);
  };
  if (few) return exchange.answer(*step());
  answer_in_turns(std::move(exchange), std::move(step));
}

void Api::answer_with_leases(const std::vector<LeaseName>& leases, http::Exchange exchange,
                             WithLeases answer) {
  if (leases.empty() || !exchange.can_wait()) return answer(std::move(exchange), {});
  asking_.push_back(
      std::make_unique<Asking>(Asking{std::move(exchange), std::move(answer), nullptr}));
  const auto position = std::prev(asking_.end());
  const auto finish = [this, position](LeaseTimes times) {
    const auto done = std::move(*position);
    asking_.erase(position);
    done->answer(std::move(done->exchange), std::move(times));
  };
  (*position)->reply = control_.look_up_leases(leases, finish);
  if ((*position)->reply == nullptr) return finish({});
  if (!(*position)->exchange.wait([this, position] { asking_.erase(position); }))
    asking_.erase(position);
}

void Api::run_step() {
  if (jobs_.empty()) return;
  if (auto answer = jobs_.front()->step()) {
    const auto done = std::move(jobs_.front());
    jobs_.pop_front();
    done->exchange.answer(std::move(*answer));
  } else {
    jobs_.splice(jobs_.end(), jobs_, jobs_.begin());
  }
  if (!jobs_.empty()) step_timer_ = env_.after(Duration::zero(), [this] { run_step(); });
}

void Api::queue_events(const registry::Changes& news) {
  const registry::HostView host = control_.host();
  std::map<WatchFilter, std::shared_ptr<const std::string>> events;  // most want the same
  for (const auto& watcher : watchers_) {
    if (watcher->snapshot_due) continue;  // which will have it
    if (watcher->list) {
      watcher->snapshot_due = watcher->may_differ(news);
      continue;
    }
    const auto [text, fresh] = events.try_emplace(watcher->filter);
    if (fresh) {
      const std::string data = changes_json(news, watcher->filter, host);
      if (!data.empty())
        text->second = std::make_shared<const std::string>(event("change", news.revision, data));
    }
    if (text->second != nullptr) watcher->unsent.push_back(text->second);
  }
}

/// False: there are more. A watcher that was fed goes to the end of the line.
bool Api::feed_watchers() {
  std::size_t fed = 0, bytes = 0;
  bool fed_all = true, may_catch_up = true;  // one watcher in a turn
  const registry::HostView host = control_.host();
  auto at = watchers_.begin();
  for (std::size_t left = watchers_.size(); left > 0; --left) {
    const auto here = at++;
    Watcher& watcher = **here;
    std::string text;
    if (watcher.awaits_snapshot() || !watcher.missed.empty()) {
      // One portion in a turn for all, and one snapshot after the other.
      if (!std::exchange(may_catch_up, false)) {
        fed_all = false;
        continue;
      }
      const bool done = watcher.awaits_snapshot() ? watcher.write_snapshot(control_, text)
                                                  : watcher.write_missed(host, text);
      if (!done) {
        fed_all = false;
        if (!text.empty() && !watcher.stream.send(text)) watchers_.erase(here);
        continue;
      }
      if (watcher.awaits_snapshot()) fed_all = false;  // the list has changed meanwhile
    } else if (watcher.unsent.empty()) {
      continue;
    } else if (fed++ == kStreamsPerTurn || bytes >= http::kTurnBytesMax) {
      return false;
    }
    for (const auto& event : std::exchange(watcher.unsent, {}))
      text += *event;
    if (text.empty()) continue;
    bytes += text.size();
    if (watcher.stream.send(text))
      watchers_.splice(watchers_.end(), watchers_, here);
    else
      watchers_.erase(here);
  }
  return fed_all;
}

/// Null: too many wait already, and the client has been told.
Api::Watcher* Api::add_watcher(http::Exchange exchange) {
  watchers_.push_back(std::make_unique<Watcher>());
  const auto position = std::prev(watchers_.end());
  if (!exchange.wait([this, position] { watchers_.erase(position); })) {
    watchers_.erase(position);
    return nullptr;
  }
  if (!comment_timer_.pending()) comment();
  (*position)->stream = exchange.begin_stream();
  return position->get();
}

void Api::begin_snapshot(Watcher& watcher) {
  std::string text;
  watcher.snapshot_due = true;
  if (control_.registry().instance_count() > kRowsAtOnce)
    serve_soon();
  else if (watcher.write_snapshot(control_, text))
    watcher.stream.send(text);
}

void Api::begin_list_watch(Search search, http::Exchange exchange) {
  Watcher* watcher = add_watcher(std::move(exchange));
  if (watcher == nullptr) return;
  watcher->list = std::move(search);
  begin_snapshot(*watcher);
}

void Api::begin_watch(WatchFilter filter, std::optional<std::uint64_t> since,
                      http::Exchange exchange) {
  Watcher* added = add_watcher(std::move(exchange));
  if (added == nullptr) return;
  Watcher& watcher = *added;
  watcher.filter = std::move(filter);
  std::string text;
  if (auto missed = since ? changes_since(*since) : std::nullopt) {
    text = ": resumed\n\n";
    watcher.missed = std::move(*missed);
    if (watcher.missed.size() > kRowsAtOnce || !watcher.write_missed(control_.host(), text))
      serve_soon();
    watcher.stream.send(text);
  } else {
    begin_snapshot(watcher);
  }
}

std::optional<std::deque<Api::RecentChanges>> Api::changes_since(std::uint64_t revision) const {
  const std::uint64_t now = control_.registry().revision();
  if (revision == now) return std::deque<RecentChanges>();
  if (revision > now || recent_.empty() || recent_.front().changes->revision > revision + 1)
    return std::nullopt;
  std::deque<RecentChanges> later;
  for (const Recent& recent : recent_)
    if (recent.changes->revision > revision) later.push_back(recent.changes);
  return later;
}

std::vector<Api::RecentChanges> Api::changes_after(TimePoint after) const {
  std::vector<RecentChanges> later;
  for (const Recent& recent : recent_)
    if (recent.at > after) later.push_back(recent.changes);
  return later;
}

void Api::comment() {
  Duration left = kStreamComment - env_.clock.wall().time_since_epoch() % kStreamComment;
  if (left < 1s) left += kStreamComment;  // the clocks differ a little
  comment_timer_ = env_.after(left, [this] {
    if (watchers_.empty()) return;
    const auto text = std::make_shared<const std::string>(":\n\n");
    for (const auto& watcher : watchers_)
      watcher->unsent.push_back(text);
    serve_soon();
    comment();
  });
}

void Api::write_metrics(Metrics& out) const {
  const registry::Registry& registry = control_.registry();
  out.gauge("outrider_build_info", "Always 1; the version is a label.", 1,
            {{"version", OUTRIDER_VERSION}});
  out.gauge("outrider_registry_services", "Services with at least one instance.",
            static_cast<double>(registry.service_count()));
  out.counter("outrider_registry_changes_total", "Changes of the registry.", registry.changes());
  out.counter("outrider_registry_refused_sightings_total",
              "Instances seen on the network that were refused because there are too many.",
              registry.refused_sightings());
  std::map<registry::Health, std::array<std::size_t, 2>> known;  // own, seen
  std::size_t stale = 0;
  for (const std::string& label : registry.services())
    for (const registry::InstancePtr& instance : registry.instances(label)) {
      ++known[instance->health][instance->own() ? 0 : 1];
      stale += instance->stale ? 1 : 0;
    }
  for (const registry::Health health :
       {registry::Health::passing, registry::Health::warning, registry::Health::starting,
        registry::Health::critical, registry::Health::draining, registry::Health::maintenance})
    for (const std::size_t whose : {0U, 1U})
      out.gauge("outrider_registry_instances", "Known instances by health and source.",
                static_cast<double>(known[health][whose]),
                {{"health", to_string(health)}, {"source", whose == 0 ? "own" : "seen"}});
  out.gauge("outrider_registry_stale", "Instances that are served although their link is down.",
            static_cast<double>(stale));
  out.gauge("outrider_api_waiting", "Blocking queries that wait.",
            static_cast<double>(waiters_.size()));
  out.gauge("outrider_api_watching", "Open watch streams.", static_cast<double>(watchers_.size()));
  for (const http::Server* server : servers_) {
    const http::ServerCounters& counters = server->counters();
    const std::string on = to_string(server->local());
    out.counter("outrider_api_connections_total", "Connections accepted.", counters.connections,
                {{"listener", on}});
    out.counter("outrider_api_connections_refused_total", "Connections refused: too many.",
                counters.connections_refused, {{"listener", on}});
    out.counter("outrider_api_requests_total", "Requests read.", counters.requests,
                {{"listener", on}});
    out.counter("outrider_api_requests_malformed_total", "Requests that were not HTTP/1.1.",
                counters.requests_malformed, {{"listener", on}});
    out.counter("outrider_api_requests_refused_total", "Requests refused by the guard.",
                counters.requests_refused, {{"listener", on}});
    out.counter("outrider_api_streams_lagged_total",
                "Streams ended because the client fell behind.", counters.streams_lagged,
                {{"listener", on}});
    out.counter("outrider_api_connections_evicted_total",
                "Idle connections closed to make room for new ones.", counters.connections_evicted,
                {{"listener", on}});
    out.counter("outrider_api_clients_lagged_total",
                "Connections closed because too much waited for all clients.",
                counters.clients_lagged, {{"listener", on}});
  }
  if (!servers_.empty())
    out.gauge("outrider_http_unread_bytes",
              "Answers that clients have not read yet, FARP included.",
              static_cast<double>(servers_.front()->clients().queued()));
  control_.write_metrics(out);
}

}  // namespace outrider::doors
