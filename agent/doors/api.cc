// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/api.h"

#include <algorithm>
#include <array>
#include <map>

#include "agent/doors/instance_json.h"

namespace outrider::doors {
namespace {

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
  registry::Changes news{.revision = changes.revision, .list = {}, .forgotten = {}};
  std::copy_if(changes.list.begin(), changes.list.end(), std::back_inserter(news.list),
               [](const registry::Change& change) { return change.news(); });
  return news;
}

}  // namespace

struct Api::Waiter {
  Until until;
  http::Exchange exchange;
  Render render, unchanged;
  Timer timeout;
};

struct Api::Watcher {
  WatchFilter filter;
  http::EventStream stream;
};

Api::Api(Env& env, Control& control, ApiOptions options)
    : env_(env),
      control_(control),
      options_(std::move(options)),
      router_(*this, "outrider-agent(8)"),
      selector_(env.random) {
  add_outrider_routes(*this);
  add_consul_agent_routes(*this);
  add_consul_catalog_routes(*this);
  if (options_.article) add_article_routes(*this);
  if (options_.bilibili) add_bilibili_routes(*this);
}

Api::~Api() = default;

void Api::on_request(const http::ServerRequest& request, http::Exchange exchange) {
  router_.route(request, std::move(exchange));
}

std::uint64_t Api::index_of(std::string_view service_label) const {
  const registry::Registry& registry = control_.registry();
  return 1 +
         (service_label.empty() ? registry.revision() : registry.service_revision(service_label));
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
  waiters_.push_back(std::make_unique<Waiter>(
      Waiter{std::move(until), std::move(exchange), std::move(render), std::move(unchanged), {}}));
  const auto position = std::prev(waiters_.end());
  Waiter& waiter = **position;
  if (!waiter.exchange.wait([this, position] { waiters_.erase(position); })) {
    waiters_.erase(position);
    return;
  }
  waiter.timeout = env_.after(waiter.until.wait, [this, position] {
    const auto done = std::move(*position);
    waiters_.erase(position);
    done->exchange.answer(done->unchanged ? done->unchanged() : done->render());
  });
}

void Api::on_changes(const registry::Changes& changes) {
  registry::Changes news = news_of(changes);
  if (news.list.empty() && changes.forgotten.empty()) return;
  answer_waiters();
  if (news.list.empty()) return;
  feed_watchers(news);
  history_.push_back(std::move(news));
  if (history_.size() > kHistoryMax) history_.pop_front();
}

void Api::answer_waiters() {
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    if (!passed((*at)->until)) {
      ++at;
      continue;
    }
    const auto done = std::move(*at);
    at = waiters_.erase(at);
    done->exchange.answer(done->render());
  }
}

void Api::feed_watchers(const registry::Changes& news) {
  const registry::HostView host = control_.host();
  std::map<WatchFilter, std::string> events;  // most streams want the same
  for (auto at = watchers_.begin(); at != watchers_.end();) {
    const auto [text, fresh] = events.try_emplace((*at)->filter);
    if (fresh) {
      const std::string data = changes_json(news, (*at)->filter, host);
      if (!data.empty()) text->second = event("change", news.revision, data);
    }
    if (text->second.empty() || (*at)->stream.send(text->second))
      ++at;
    else
      at = watchers_.erase(at);
  }
}

void Api::begin_watch(WatchFilter filter, std::optional<std::uint64_t> since,
                      http::Exchange exchange) {
  watchers_.push_back(std::make_unique<Watcher>());
  const auto position = std::prev(watchers_.end());
  if (!exchange.wait([this, position] { watchers_.erase(position); })) {
    watchers_.erase(position);
    return;
  }
  Watcher& watcher = **position;
  watcher.filter = std::move(filter);
  watcher.stream = exchange.begin_stream();

  const registry::Registry& registry = control_.registry();
  const std::uint64_t now = registry.revision();
  const registry::HostView host = control_.host();
  const bool can_resume =
      since && *since <= now &&
      (*since == now || (!history_.empty() && history_.front().revision <= *since + 1));
  if (can_resume) {
    std::string missed = ": resumed\n\n";
    for (const registry::Changes& changes : history_) {
      if (changes.revision <= *since) continue;
      const std::string data = changes_json(changes, watcher.filter, host);
      if (!data.empty()) missed += event("change", changes.revision, data);
    }
    watcher.stream.send(missed);
  } else {
    watcher.stream.send(event("snapshot", now, snapshot_json(control_, watcher.filter)));
  }
  if (!comment_timer_.pending()) comment();
}

void Api::comment() {
  Duration left = kStreamComment - env_.clock.wall().time_since_epoch() % kStreamComment;
  if (left < 1s) left += kStreamComment;  // the clocks differ a little
  comment_timer_ = env_.after(left, [this] {
    std::erase_if(watchers_, [](const auto& watcher) { return !watcher->stream.send(":\n\n"); });
    if (!watchers_.empty()) comment();
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
  }
  control_.write_metrics(out);
}

}  // namespace outrider::doors
