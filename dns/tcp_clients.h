// SPDX-License-Identifier: Apache-2.0
// The TCP side of the stub server: framing, pipelining and its bounds (RFC 1035 §4.2.2, RFC 7766).
// Answers may come in any order; a client is read only as fast as it takes its answers.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/env.h"
#include "dns/limits.h"

namespace outrider::dns {

class TcpClients {
 public:
  using Id = std::uint64_t;

  class Sink {
   public:
    /// Each query gets one reply() or no_reply(), at once or later.
    virtual void on_tcp_query(Id client, const Endpoint& peer, Bytes message) = 0;

   protected:
    ~Sink() = default;
  };

  TcpClients(Env& env, Sink& sink);
  ~TcpClients();

  /// If there are already kTcpClientsMax, the one that has been idle longest is closed.
  void adopt(std::unique_ptr<Stream> stream);
  /// Ignored if the client has disconnected.
  void reply(Id client, Bytes message);
  void no_reply(Id client);
  /// Each client is closed once its answers in flight are sent. One that has just connected and has
  /// not asked yet may ask once within kTcpFirstQueryMax: closing a connection with a query unread
  /// resets it. `done` comes when all are closed, after kTcpFirstQueryMax at the latest, and not
  /// before this returns.
  void finish(Callback<void()> done);

  std::size_t size() const { return clients_.size(); }

 private:
  struct Client;

  void take(Client& client);
  void settle(Client& client);
  void watch_idle(Client& client, TimePoint due);
  bool make_room();
  void drop(Id client);
  void finish_after(Duration time);

  Env& env_;
  Sink& sink_;
  Id next_ = 1;
  std::unordered_map<Id, std::unique_ptr<Client>> clients_;
  std::vector<std::uint8_t> frame_;
  Callback<void()> finished_;
  Timer finish_timer_;
};

}  // namespace outrider::dns
