// SPDX-License-Identifier: Apache-2.0
// Reads what other programs keep in a cluster: lists all prefixes, then follows them with one
// watch.
//
//   listing ▸ opening (the watch) ▸ current ─ canceled, error, end, silence ▸ waiting ▸ listing
//
// Nothing is reported before the watch stands: what was listed and what has happened since then is
// one list. A watch can be blind without a word: behind a member without a leader (the header
// hasleader makes that an error), on a revision that is still to come (the cluster was wiped), and
// after its cancel, when the stream stays open.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "registries/etcd/client.h"
#include "registries/etcd/lease_lookup.h"

namespace outrider::registries::etcd {

/// Keys that are counted as left out.
inline constexpr std::size_t kSkippedMax = 65'536;
/// A server that has shown for so long nothing that can be believed is asked, and again after no
/// answer. Where the publisher has its keepalives answered by the same server, that is never.
inline constexpr Duration kProofInterval = std::chrono::seconds(10);
inline constexpr Duration kProofAgain = std::chrono::seconds(1);
inline constexpr unsigned kProofsMissedMax = 2;
/// Events, and other messages of the watch, that are read in one turn of the loop: queries of DNS
/// are answered in between.
inline constexpr std::size_t kEventsPerTurn = 64;
/// Octets of the watch that wait for their turn. With more, it is quicker to list again.
inline constexpr std::size_t kStreamWaitingMax = 8U << 20;
/// For all watches of a stream to be created.
inline constexpr Duration kOpenMax = std::chrono::seconds(2);

class Reader final : http::ClientConnection::Sink {
 public:
  class Sink {
   public:
    virtual void on_listed(std::vector<Entry> entries) = 0;
    virtual void on_entry(Entry entry) = 0;
    virtual void on_lost(const std::string& key) = 0;
    virtual void on_reader_state(PlaceState state, const std::string& reason) = 0;
    /// The history of the cluster went back.
    virtual void on_restarted(const std::string& reason) = 0;
    /// Something happened to a key; the value of a deleted one is empty.
    virtual void on_key(const KeyValue& kv, bool deleted) = 0;
    /// Whether this agent has written it.
    virtual bool is_own(const KeyValue& kv, const std::vector<Entry>& entries) const = 0;
    /// The server was asked on purpose, and has a leader.
    virtual void on_proof() = 0;

   protected:
    ~Sink() = default;
  };

  Reader(Env& env, const Options& options, Endpoints& endpoints, NameLookup* names,
         std::size_t first, std::string place, const std::vector<std::unique_ptr<Layout>>& layouts,
         Sink& sink);
  ~Reader();

  /// False: no layout has anything to read.
  bool has_ranges() const { return !ranges_.empty(); }
  void start();
  /// Lists again, without being behind meanwhile.
  void refresh();
  /// Another call to this server has just shown that it has a leader, or was not answered.
  void on_elsewhere_proven(const std::string& endpoint, bool answered);
  /// Whether what happens to this key is reported now.
  bool watches(std::string_view key) const;
  /// As Engine::look_up_leases.
  std::unique_ptr<Pending> look_up_leases(std::span<const std::int64_t> leases,
                                          Engine::LeasesReply reply);
  void close();

  const std::string& endpoint() const { return client_.endpoint(); }
  std::int64_t revision() const { return revision_; }
  std::size_t entries() const { return count_; }
  std::size_t skipped() const { return skipped_.size(); }
  /// Whether some of these were left out because of kEntriesMax.
  bool is_full() const { return full_; }
  /// What the user may not do; empty if nothing is known.
  const std::string& denial() const { return denial_; }

 private:
  struct Range {
    const Layout* layout;
    std::string prefix;
  };
  /// Of a range, a key.
  using Place = std::pair<std::size_t, std::string>;
  enum class Phase : std::uint8_t { idle, listing, opening, current, waiting };

  void list();
  void list_page(const std::string& first, std::int64_t revision);
  void on_page(Result<Answer, Failure> result, const std::string& first, bool first_page);
  bool note_revision(std::int64_t revision);
  void open_watch();
  void on_head(int status, const http::Headers& headers) override;
  void on_piece(std::string_view piece) override;
  void on_complete() override;
  void on_failed(const http::ClientError& error) override;
  void follow();
  bool take_events(std::size_t& done);
  /// False: the watch is closed.
  bool take(RawMessage raw);
  bool take_all(std::size_t range, const std::vector<WatchEvent>& events);
  void take_event(std::size_t range, const WatchEvent& event);
  void store(std::size_t range, const KeyValue& kv);
  bool fits(const Place& place, std::size_t count);
  void skip(const Place& place);
  void erase(const Place& place);
  bool is_wanted(const std::string& service) const;
  std::vector<Entry> read(std::size_t range, const KeyValue& kv);
  void become_current();
  void prove_later(Duration delay);
  void prove();
  void on_failure(const Failure& failure);
  void fall_behind(const std::string& reason);
  void drop_watch();

  Env& env_;
  const Options& options_;
  Endpoints& endpoints_;
  const std::string place_;
  Sink& sink_;
  Client client_;
  LeaseLookup lease_lookup_;
  std::vector<Range> ranges_;
  Phase phase_ = Phase::idle;
  BackOff back_off_;
  std::size_t listing_ = 0;         // the range
  std::int64_t list_revision_ = 0;  // smallest of all ranges
  std::int64_t page_revision_ = 0;
  std::int64_t revision_ = 0;  // largest seen
  struct Known {
    std::vector<std::string> keys;  // of entries
    std::vector<Entry> entries;     // until it is current
  };
  std::map<Place, Known> known_;
  std::size_t count_ = 0;
  std::set<std::size_t> skipped_;  // hashes of the places that are left out
  bool full_ = false;
  std::size_t page_keys_ = kPageKeys;
  std::string denial_;
  std::vector<bool> created_;
  int status_ = 0;
  std::string refusal_;
  ObjectSplitter splitter_;
  /// The message whose events are read.
  std::optional<WatchMessage> message_;
  std::deque<std::string> events_;  // of it, still to be read
  unsigned misses_ = 0;
  std::uint64_t stream_ = 0;  // of this many watches
  TimePoint current_since_;
  Timer timer_, prove_timer_, follow_timer_;
  std::unique_ptr<Pending> call_, members_call_;
  std::unique_ptr<http::ClientConnection> watch_;
};

}  // namespace outrider::registries::etcd
