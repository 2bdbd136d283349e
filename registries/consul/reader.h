// SPDX-License-Identifier: Apache-2.0
// Reads the services that are followed: lists each, then waits for its next change, with one
// blocking query each on a connection of its own.
//
//   greeting (/v1/agent/self) ▸ listing, a few at a time ▸ current ─ failure ▸ waiting ▸ greeting
//
// The lists of all services together are one list of the place; what a query brings afterwards is
// reported as changes. An index that is lower than before means that the servers lost their data:
// everything is listed again. An empty list proves nothing where the token may not read the agent
// itself: Consul shows it also to those without the right to read the service. What was known then
// stays, marked as stale, and the place is listed in part.
//
// All services together have room for kEntriesMax entries, in equal shares. What a service leaves
// of its share others may use until it needs it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "registries/back_off.h"
#include "registries/consul/client.h"

namespace outrider::registries::consul {

/// First lists that are under way at once.
inline constexpr std::size_t kListsAtOnce = 8;
/// Answers about one service that may come in quick succession; then one a second, for a service
/// that changes all the time, and for a server that does not wait.
inline constexpr unsigned kAnswersAtOnce = 10;
inline constexpr Duration kAnswerInterval = std::chrono::seconds(1);
/// A service whose list cannot be taken is tried again after this.
inline constexpr Duration kServiceRetry = std::chrono::minutes(1);
/// An agent that has answered nothing for this time is asked for a sign of life: its waiting
/// queries would show only after a minute that it hangs.
inline constexpr Duration kProofInterval = std::chrono::seconds(15);
/// Servers whose index goes back again within this time are left alone for a while.
inline constexpr Duration kRestartInterval = std::chrono::seconds(10);

class Reader {
 public:
  class Sink {
   public:
    virtual void on_listed(std::vector<Entry> entries) = 0;
    /// As Engine::Sink.
    virtual void on_listed_in_part(std::vector<Entry> entries, std::set<std::string> kept) = 0;
    virtual void on_entry(Entry entry) = 0;
    virtual void on_lost(const std::string& key) = 0;
    virtual void on_reader_state(PlaceState state, const std::string& reason) = 0;
    /// The servers lost their data.
    virtual void on_restarted(const std::string& reason) = 0;
    /// Whether this agent has written it; `local`: it is registered at our Consul agent.
    virtual bool is_own(const Entry& entry, bool local) const = 0;
    /// When the agent answered another request last.
    virtual TimePoint last_answer() const = 0;

   protected:
    ~Sink() = default;
  };

  Reader(Env& env, const Options& options, NameLookup* names, std::string place, Sink& sink);
  ~Reader();

  bool has_services() const { return !queries_.empty(); }
  void start();
  /// Lists again, without being behind meanwhile.
  void refresh();
  /// The agent does not answer another request: its waiting queries may wait for nothing.
  void suspect(const std::string& reason);
  void close();

  std::int64_t revision() const;
  std::size_t entries() const;
  std::size_t skipped() const;
  /// What people have to mend.
  std::vector<std::string> warnings() const;

 private:
  using Entries = std::map<std::string, Entry>;
  struct Query {
    Query(Env& env, const Options& options, NameLookup* names, std::string name)
        : service(std::move(name)), client(env, options, names) {}
    const std::string service;
    Client client;
    std::uint64_t index = 0;             // of the last answer; 0: none yet
    ListReader reading;                  // the answer that comes
    bool asked = false, listed = false;  // in this round of first lists
    bool hidden = false;                 // its last list is not believed, or there is none
    std::size_t needed = 0;              // entries that its last list had for us
    Entries known;                       // what was reported
    std::optional<Entries> fresh;        // what is to be reported
    std::size_t skipped = 0;
    std::string refusal;
    unsigned credit = kAnswersAtOnce;
    TimePoint credited;
    Timer pause;
    std::size_t needs() const;
    std::size_t left_out() const;  // for want of room
  };
  enum class Phase : std::uint8_t { idle, greeting, listing, current, waiting };

  void greet();
  void on_self(Result<Answer, Failure> result);
  void list_all();
  void ask_more();
  void ask(Query& query, std::uint64_t index);
  void on_list(Query& query, Result<Answer, Failure> result);
  void on_refused(Query& query, const std::string& reason);
  bool take(Query& query, const Answer& answer);
  void follow(Query& query);
  void on_answered(Query& query);
  void report_all();
  void report_list();
  void report(Query& query);
  void report_changes(Query& query);
  void report_in_doubt();
  void keep_emptied();
  static std::size_t losses(const Query& query);
  void report_part();
  std::size_t room_per_service() const;
  void share_out();
  void use_room();
  void prove_at(TimePoint due);
  void prove();
  std::string doubtful_services() const;
  void fall_behind(const std::string& reason);
  void drop();

  Env& env_;
  const Options& options_;
  const std::string place_;
  Sink& sink_;
  Client self_;
  std::vector<std::unique_ptr<Query>> queries_;
  Phase phase_ = Phase::idle;
  std::string doubted_;  // services whose entries are kept without being listed
  std::string node_;
  std::string denial_;  // why /v1/agent/self cannot be read
  std::optional<TimePoint> restarted_;
  TimePoint current_since_, answered_;
  BackOff back_off_;
  Timer timer_, prove_timer_;
};

}  // namespace outrider::registries::consul
