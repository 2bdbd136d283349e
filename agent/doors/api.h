// SPDX-License-Identifier: Apache-2.0
// Everything that is asked for over HTTP, and who waits for what.
//
//   http::Server ▸ Api::on_request ▸ http::Router ▸ one file a dialect ▸ Control ▸ Registry
//   Agent::apply ▸ Api::on_changes ▸ blocking queries (wait) and streams (watch)
//
// Dialects: ours (/v1/outrider/*, outrider/routes.cc), Consul's agent API (consul/), the
// article's (article.cc) and bilibili's discovery (bilibili.cc). Each is a translation onto the
// same registry and keeps no state about services.
// To add a dialect: a file with add_NAME_routes(), a call in Api::Api.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "agent/doors/control.h"
#include "base/http/router.h"

namespace outrider::doors {

/// Changes that a watcher can resume behind; one that is further behind gets a snapshot.
inline constexpr std::size_t kHistoryMax = 1'024;
/// A comment in quiet streams, so that dead clients and middle boxes are noticed.
inline constexpr Duration kStreamComment = std::chrono::seconds(25);
/// Blocking queries: default, most, and added at random, as Consul has them.
inline constexpr Duration kWaitDefault = std::chrono::minutes(5);
inline constexpr Duration kWaitMax = std::chrono::minutes(10);

struct ApiOptions {
  std::string datacenter = "dc1";  // what Consul's clients are told
  bool article = false;            // /api/*
  bool bilibili = false;           // /discovery/*
};

class Api final : public http::Handler {
 public:
  Api(Env& env, Control& control, ApiOptions options);
  ~Api();
  Api(const Api&) = delete;

  void on_request(const http::ServerRequest& request, http::Exchange exchange) override;
  /// Wakes who waits for it. Called at the end of Agent::apply.
  void on_changes(const registry::Changes& changes);
  /// For metrics; the servers belong to the caller and outlive the Api or are taken out before.
  void add_server(const http::Server& server) { servers_.push_back(&server); }

  // --- for the dialects ------------------------------------------------------------------------

  /// What a blocking query waits for: that the index of any key is another than the one given. An
  /// index is a revision of the registry plus one: 1 is "never heard of", so that the very first
  /// change is above it; 0 given answers at once.
  struct Until {
    struct Key {
      std::string service_label;  // empty: any change
      std::uint64_t index = 0;
    };
    std::vector<Key> keys;
    Duration wait{};
  };
  using Render = Callback<http::Answer()>;
  /// Answers with `render` now or as soon as the index has passed, at the latest after the wait.
  void answer_when(Until until, http::Exchange exchange, Render render);
  /// The same, with an answer of its own when nothing happened in time.
  void answer_when(Until until, http::Exchange exchange, Render render, Render unchanged);
  /// Grows with every change, over restarts of the agent too.
  std::uint64_t index_of(std::string_view service_label) const;
  bool passed(const Until& until) const;

  Env& env() { return env_; }
  Control& control() { return control_; }
  http::Router& router() { return router_; }
  const ApiOptions& options() const { return options_; }
  registry::Selector& selector() { return selector_; }

  void begin_watch(std::string service_label, std::optional<std::uint64_t> since,
                   http::Exchange exchange);
  void write_metrics(Metrics& out) const;
  std::size_t waiting() const { return waiters_.size(); }
  std::size_t watching() const { return watchers_.size(); }

 private:
  struct Waiter;
  struct Watcher;
  using Waiters = std::list<std::unique_ptr<Waiter>>;
  using Watchers = std::list<std::unique_ptr<Watcher>>;

  void comment();

  Env& env_;
  Control& control_;
  ApiOptions options_;
  http::Router router_;
  registry::Selector selector_;
  Waiters waiters_;
  Watchers watchers_;
  std::deque<registry::Changes> history_;
  Timer comment_timer_;
  std::vector<const http::Server*> servers_;
};

// One for each dialect.
void add_outrider_routes(Api& api);
void add_consul_agent_routes(Api& api);
void add_consul_catalog_routes(Api& api);
void add_article_routes(Api& api);
void add_bilibili_routes(Api& api);

}  // namespace outrider::doors
