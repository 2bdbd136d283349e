// SPDX-License-Identifier: Apache-2.0
// Queries that wait, each as a copy of its message with the way back to its client.
//
//   WaitingQueries  for an answer from elsewhere: a host on the LAN, an upstream server
//   HeldQueries     for a name of ours that does not exist, or has no records: until it has some,
//                   or the time is up
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "base/env.h"
#include "dns/limits.h"
#include "dns/query.h"
#include "dns/reply.h"
#include "dns/tcp_clients.h"

namespace outrider::dns {

/// The way back to a client.
struct ReturnPath {
  std::size_t port = 0;    // UDP: which of the server's listen addresses
  TcpClients::Id tcp = 0;  // zero: UDP
  Endpoint peer;
  IpAddress local;
  std::uint32_t interface = 0;

  Transport transport() const { return tcp == 0 ? Transport::udp : Transport::tcp; }
};

class WaitingQueries {
 public:
  struct Entry {
    ReturnPath path;
    std::vector<std::uint8_t> message;
    std::unique_ptr<Pending> token;  // of what it waits for
  };
  using Place = std::list<Entry>::iterator;  // valid until it is taken

  bool full() const { return entries_.size() >= kWaitingQueriesMax; }
  Place add(const Query& query, const ReturnPath& path);
  Entry take(Place place);

 private:
  std::list<Entry> entries_;
};

class HeldQueries {
 public:
  class Sink {
   public:
    /// Whether the name of the question is set by now, with records unless it will have none. A
    /// name that exists only for the names below it may be half of one change: that is no reason to
    /// answer yet.
    virtual bool is_answerable(const Query& query) const = 0;
    /// The hold is over: answer with what is known. The bytes are valid during the call.
    virtual void on_released(Bytes message, const ReturnPath& path) = 0;

   protected:
    ~Sink() = default;
  };

  HeldQueries(Env& env, Sink& sink) : env_(env), sink_(sink) {}

  bool full() const { return entries_.size() >= kHeldQueriesMax; }
  void hold(const Query& query, const ReturnPath& path, Duration time);
  /// Releases the queries that can be answered. Not from within this call but in the next turn: the
  /// change of which a new name is a part may not be complete.
  void recheck_soon();
  void release_all();

 private:
  struct Entry {
    ReturnPath path;
    std::vector<std::uint8_t> message;
    Timer timer;
  };
  using Place = std::list<Entry>::iterator;

  void release(Place place);
  void recheck();

  Env& env_;
  Sink& sink_;
  std::list<Entry> entries_;
  Timer recheck_;
};

}  // namespace outrider::dns
