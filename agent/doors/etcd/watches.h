// SPDX-License-Identifier: Apache-2.0
// Watches: streams of clients, each with any number of watches on ranges of keys.
//
//   WatchStream::create ▸ Watch at a revision ▸ wake() ▸ (a few streams a turn) ▸ WatchSink
//
// A watch is a position in the store's history, so a client that reads slowly costs nothing: it is
// served from where it is when it has room again, and canceled as compacted if that is forgotten by
// then. Only what show() has released is sent: what is on disk.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>

#include "agent/doors/etcd/rpc.h"
#include "agent/doors/etcd/store.h"
#include "base/env.h"

namespace outrider::doors::etcd {

/// The faces limit streams, as they limit connections.
inline constexpr std::size_t kWatchesPerStreamMax = 256;
inline constexpr std::size_t kWatchesMax = 8'192;
/// Streams that are served in one turn of the loop, and octets of events in one response, after
/// which no further stream is served in the turn; one revision is never cut.
inline constexpr std::size_t kWatchStreamsPerTurn = 64;
inline constexpr std::size_t kResponseBytesMax = 256U << 10;
/// How often a watch that asked for it reports the revision while nothing happens, as in etcd.
inline constexpr Duration kProgressInterval = std::chrono::minutes(10);
/// Of a response that belongs to no watch.
inline constexpr std::int64_t kNoWatch = -1;

class Watches {
 public:
  struct Owner {
    Callback<Header(std::int64_t revision)> header;
    /// A watch on this range begins. False: not before create_awaiting() is called.
    Callback<bool(const KeyRange&)> prepare;
  };
  /// `store` outlives it.
  Watches(Env& env, const Store& store, Owner owner);
  /// Ends every stream.
  ~Watches();
  Watches(const Watches&) = delete;

  std::unique_ptr<WatchStream> open(WatchSink& sink);
  /// What happened up to this revision may be sent.
  void show(std::int64_t revision);
  /// Begins watches that had to wait.
  void create_awaiting();
  std::int64_t shown() const { return shown_; }
  std::size_t streams() const { return streams_.size(); }
  std::size_t watches() const { return watches_; }

 private:
  class Stream;
  friend class Stream;
  struct Watch {
    KeyRange range;
    std::int64_t next = 0;  // the first revision that it has not been sent
    bool wants_puts = true, wants_deletions = true;
    bool prev_kv = false, progress = false;
  };

  struct Awaiting {
    Stream* stream;
    WatchCreateRequest request;
  };

  void wake();
  void serve();
  void tell_progress();

  Env& env_;
  const Store& store_;
  Owner owner_;
  std::int64_t shown_;
  std::size_t watches_ = 0;
  std::list<Stream*> streams_;  // those that are served next first
  std::size_t to_serve_ = 0;    // of them, since the last wake()
  std::size_t sent_ = 0;        // octets of events, in this turn
  std::list<Awaiting> awaiting_;
  Timer serve_, progress_;
};

}  // namespace outrider::doors::etcd
