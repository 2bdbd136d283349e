// SPDX-License-Identifier: Apache-2.0
// TCP and Unix streams alike, on StreamPolls. Not on libuv's own streams: those raise SIGPIPE in a
// host program, cannot bind before connecting to a Unix path, and drop connections when descriptors
// run out.
#pragma once

#include <vector>

#include "base/net.h"
#include "base/uv/socket.h"
#include "base/uv/state.h"
#include "base/uv/stream_poll.h"

namespace outrider::uv {

/// Unsent bytes that a stream keeps room for after a burst.
inline constexpr std::size_t kStreamIdleQueueBytes = 64 * 1024;

class SocketStream final : public Stream, private StreamPoll::Owner {
 public:
  /// A connected socket, and what polls it. `opened`: something was written to it already.
  SocketStream(Loop::State& loop, FileDescriptor fd, StreamPoll poll, StreamAddress peer,
               bool opened = false);

  /// What it consists of, for what carries its bytes on without it (relay.h). It is of no more use,
  /// and may be in the middle of a callback, which must destroy it.
  struct Parts {
    Loop::State& loop;
    FileDescriptor fd;
    StreamPoll poll;
    std::vector<std::uint8_t> unsent;
    bool internet, ended, finishing, broken;
    int writes;  // so far, counted to two: from the second one on it is not delayed
  };
  Parts release();

  void start(Sink& sink) override;
  Result<void, NetError> write(Bytes data) override;
  std::size_t unsent_bytes() const override { return unsent_.size() - sent_; }
  void finish() override;
  void reset_on_destroy() override;
  void set_paused(bool paused) override;
  StreamAddress local() const override;
  StreamAddress peer() const override { return peer_; }
  std::optional<PeerCredentials> peer_credentials() const override;

 private:
  void on_ready(std::uint32_t events) override;
  void read(bool is_last);
  /// What the kernel took; 0 when it takes nothing now, or after a break.
  std::size_t send(Bytes data);
  void undelay();
  void send_unsent();
  void shut_down();
  void break_later(NetError error);
  void deliver_break();
  void update_poll();
  bool is_broken() const { return broken_.has_value(); }

  Loop::State& loop_;
  Sink* sink_ = nullptr;
  FileDescriptor fd_;
  StreamAddress peer_;
  bool paused_ = false;
  bool ended_ = false;      // the peer has finished, and the sink was told
  bool read_all_ = false;   // the peer has finished, and nothing is left to read
  bool finishing_ = false;  // finish() was called
  int writes_;              // counted to two
  std::optional<NetError> broken_;

  std::vector<std::uint8_t> unsent_;
  std::size_t sent_ = 0;  // leading bytes of unsent_ that have left

  Timer break_report_;
  Life life_;
  StreamPoll poll_;
};

}  // namespace outrider::uv
