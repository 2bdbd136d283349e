// SPDX-License-Identifier: Apache-2.0
// The HTTP API: its dialects, blocking queries and streams of changes.
//
// clang-format off
//   http::Server ▸ Api::on_request ▸ http::Router ▸ the function of the route ▸ Control ▸ Registry
//   Agent::apply ▸ Api::on_changes ▸ blocking queries (answer_when) and streams (begin_watch)
//
//   outrider/       our own API: /v1/outrider/*, /metrics, /healthz
//   consul/         Consul's agent API
//   eureka/         Netflix Eureka's REST API
//   page/           the status page, for people: page.html
//   legacy/         two older discovery services: article.cc and bilibili.cc
//   etcd/           no dialect but a door of its own: etcd_door.h
//   control.h       what the API may ask of the agent
//   actions.h       what the dialects share
//   lease.h         registrations that their programs renew
//   instance_json.h instances as our JSON, searches
//   findings.h      what a name means to DNS, now or at another moment (past.h)
//   why.h           why DNS answers a name as it does
// clang-format on
//
// A dialect translates to and from the registry and keeps no state about services.
//
// To add a route:
//   1. a function `void verb_noun(Api&, http::Call)` that answers it, in the dialect's folder; for
//      our own API also its declaration in outrider/handlers.h
//   2. a row in the dialect's table: method, pattern, function, effect, summary, parameters, body.
//      If another pattern fits the same path, the more specific row comes first
//   3. what it needs of the agent, if anything: a function of Control, in Agent and in the tests'
//      BareAgent
//   4. tests/agent/doors, man/outrider-agent.8
// A GET that changes something has Effect::changes in its row: HEAD and browsers are refused then.
//
// To add a dialect:
//   1. a folder or file here, with a table and add_NAME_routes(); the source in meson.build
//   2. its declaration at the end of this file and a call in Api::Api; if it is off by default, a
//      flag in ApiOptions, an option in agent/config and its path in agent/process/api_servers.cc
//   3. tests/agent/doors, man/outrider-agent.8
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "agent/doors/control.h"
#include "agent/doors/instance_json.h"
#include "base/http/router.h"

namespace outrider::doors {

/// Changes of instances that are kept for clients that resume a stream; a client further behind is
/// sent a snapshot. Each keeps two instances in memory that may be gone.
inline constexpr std::size_t kRecentChangesMax = 1'024;
/// How often streams get a comment, so that dead clients are noticed and middleboxes keep them
/// open. All agents of a host send them at the same time, so that those who follow each other wake
/// once.
inline constexpr Duration kStreamComment = std::chrono::seconds(25);
/// How long a blocking query waits: by default and at most, as in Consul.
inline constexpr Duration kWaitDefault = std::chrono::minutes(5);
inline constexpr Duration kWaitMax = std::chrono::minutes(10);

/// Of one turn of the loop, which also answers DNS: blocking queries that are answered, streams
/// that are fed, and services of one request that are registered.
inline constexpr std::size_t kAnswersPerTurn = 16;
inline constexpr std::size_t kStreamsPerTurn = 64;
inline constexpr std::size_t kRegistrationsPerTurn = 16;
/// Instances of long lists that are written in one turn; shorter lists are written at once.
inline constexpr std::size_t kRowsPerTurn = 256;
inline constexpr std::size_t kRowsAtOnce = 64;

/// For this long after the start, requests for lists of instances are held while the agent does not
/// know the network yet; and how often that is looked at.
inline constexpr Duration kSettleWait = std::chrono::seconds(1);
inline constexpr Duration kSettleLook = std::chrono::milliseconds(10);

struct ApiOptions {
  std::string datacenter = "dc1";  // as Consul's clients see it
  bool article = false;            // /api/*
  bool bilibili = false;           // /discovery/*
  bool eureka = false;             // /eureka/*
};

class Api final : public http::Handler {
 public:
  Api(Env& env, Control& control, ApiOptions options);
  ~Api();
  Api(const Api&) = delete;

  void on_request(const http::ServerRequest& request, http::Exchange exchange) override;
  /// Answers blocking queries and feeds streams, in the turns that follow. Called at the end of
  /// Agent::apply.
  void on_changes(const registry::Changes& changes);
  /// For metrics; the servers belong to the caller and outlive the Api or are taken out before.
  void add_server(const http::Server& server) { servers_.push_back(&server); }
  void remove_server(const http::Server& server) { std::erase(servers_, &server); }

  // --- for the dialects ------------------------------------------------------------------------

  /// What a blocking query waits for: that the index of any key differs from the given one. An
  /// index is a revision of the registry plus one; 1 means that nothing was ever registered, so
  /// that the very first change is above it. A given index of 0 answers at once. With `differs`,
  /// the change must also make a difference to what is answered.
  struct Until {
    struct Key {
      std::string service_label;  // empty: any change
      std::uint64_t index = 0;
    };
    std::vector<Key> keys;
    Duration wait{};
    Callback<bool()> differs = nullptr;
  };
  using Render = Callback<http::Answer()>;
  /// Answers with `render` now, as soon as the index has passed, or at the end of the wait.
  void answer_when(Until until, http::Exchange exchange, Render render);
  /// The same; `unchanged` answers if nothing has changed by the end of the wait.
  void answer_when(Until until, http::Exchange exchange, Render render, Render unchanged);
  /// Grows with every change, also over restarts of the agent.
  std::uint64_t index_of(std::string_view service_label) const;
  bool passed(const Until& until) const;

  Env& env() { return env_; }
  Control& control() { return control_; }
  http::Router<Api>& router() { return router_; }
  const ApiOptions& options() const { return options_; }
  registry::Selector& selector() { return selector_; }

  /// Runs `step` in later turns of the loop until it returns the answer; in each turn one step for
  /// all requests together. Where too many clients wait already, all steps run before the call
  /// returns. If the client leaves first, `step` is not run again, unless it must finish.
  using Step = Callback<std::optional<http::Answer>()>;
  enum class IfGone : std::uint8_t { stop, finish };
  void answer_in_turns(http::Exchange exchange, Step step, IfGone if_gone = IfGone::stop);

  /// A document about many instances, as they are at the time of the call.
  struct List {
    std::vector<registry::InstancePtr> instances;
    Callback<void(json::Writer&)> begin;
    Callback<void(json::Writer&, const registry::Instance&)> row;
    Callback<void(json::Writer&)> end;
  };
  /// Writes a long list in several turns.
  void answer_list(http::Exchange exchange, List list);

  using WithLeases = Callback<void(http::Exchange, LeaseTimes)>;
  /// Calls `answer` with what is left of the leases, as far as their registries say it in time: now
  /// if there is nothing to wait for. If the client leaves first, it is not called.
  void answer_with_leases(const std::vector<LeaseName>& leases, http::Exchange exchange,
                          WithLeases answer);

  using RecentChanges = std::shared_ptr<const registry::Changes>;  // shared with those that resume
  /// The changes later than `after`, as far as they are remembered, oldest first.
  std::vector<RecentChanges> changes_after(TimePoint after) const;

  void begin_watch(WatchFilter filter, std::optional<std::uint64_t> since, http::Exchange exchange);
  /// Sends all that `search` wants now, and again after each change of it.
  void begin_list_watch(Search search, http::Exchange exchange);
  void write_metrics(Metrics& out) const;
  std::size_t waiting() const { return waiters_.size(); }
  std::size_t watching() const { return watchers_.size(); }
  /// Requests that wait for answers of registries.
  std::size_t asking() const { return asking_.size(); }

 private:
  struct Held;
  struct Asking;
  struct Waiter;
  struct Watcher;
  struct Job;
  using Waiters = std::list<std::unique_ptr<Waiter>>;
  using Watchers = std::list<std::unique_ptr<Watcher>>;
  struct Recent {
    TimePoint at;
    RecentChanges changes;
  };

  void hold(const http::ServerRequest& request, http::Exchange exchange);
  void release_held();
  bool is_settled() const;
  bool is_due(Waiter& waiter) const;
  /// Answers when what the request has changed is on disk, if changes are kept there.
  void answer_when_kept(http::Exchange exchange, http::Answer answer);
  void serve_soon();
  bool answer_waiters();
  bool feed_watchers();
  void run_step();
  void queue_events(const registry::Changes& news);
  Watcher* add_watcher(http::Exchange exchange);
  void begin_snapshot(Watcher& watcher);
  /// Everything after `revision`, oldest first; nothing if that is not known any more.
  std::optional<std::deque<RecentChanges>> changes_since(std::uint64_t revision) const;
  void comment();

  Env& env_;
  Control& control_;
  ApiOptions options_;
  http::Router<Api> router_;
  registry::Selector selector_;
  Waiters waiters_;
  Watchers watchers_;
  std::list<std::unique_ptr<Job>> jobs_;   // the next one first
  std::list<std::unique_ptr<Held>> held_;  // the oldest first
  std::list<std::unique_ptr<Asking>> asking_;
  Timer held_timer_;
  TimePoint settle_until_;
  Timer step_timer_;
  Timer serve_timer_;            // waiters or watchers are to be served
  std::deque<Recent> recent_;    // without refreshes of sightings
  std::size_t recent_size_ = 0;  // changes of instances in it
  Timer comment_timer_;
  std::vector<const http::Server*> servers_;
};

using Route = http::Route<Api>;

// One for each dialect.
void add_outrider_routes(Api& api);
void add_consul_agent_routes(Api& api);
void add_consul_catalog_routes(Api& api);
void add_consul_node_routes(Api& api);
void add_consul_about_routes(Api& api);
void add_article_routes(Api& api);
void add_bilibili_routes(Api& api);
void add_eureka_routes(Api& api);

}  // namespace outrider::doors
