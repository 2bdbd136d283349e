// SPDX-License-Identifier: Apache-2.0
// Answers of Range that take more than one turn of the loop, which also answers DNS. Each face
// encodes such an answer key by key; here it gets its turns: a part of one answer in each, the
// oldest first. Short answers are encoded at once.
#pragma once

#include <list>
#include <memory>

#include "agent/doors/etcd/rpc.h"
#include "base/env.h"
#include "base/http/clients.h"

namespace outrider::doors::etcd {

/// Keys, and octets of their values, that are encoded in one turn.
inline constexpr std::size_t kKeysPerTurn = 256;
inline constexpr std::size_t kEncodedPerTurn = 64U << 10;
/// Keys of all answers that wait; a client that asks for more gets etcd's error.
inline constexpr std::size_t kKeysWaitingMax = 256U << 10;

/// How a face encodes an answer, and gives it to its client.
class RangeAnswer {
 public:
  virtual ~RangeAnswer() = default;
  /// False: the client is gone.
  virtual bool alive() const = 0;
  virtual void begin(const RangeResponse& response) = 0;
  virtual void add(const KeyValue& kv) = 0;
  /// All keys are there: sends it.
  virtual void end(const RangeResponse& response) = 0;
  virtual void refuse(Error error) = 0;
};

class LongRanges {
 public:
  /// Both outlive it.
  LongRanges(Env& env, http::Clients& clients) : env_(env), clients_(clients) {}
  LongRanges(const LongRanges&) = delete;

  /// Now, or in later turns.
  void answer(RangeResponse response, std::unique_ptr<RangeAnswer> to);
  /// Keys of answers that wait.
  std::size_t waiting() const { return waiting_; }

 private:
  struct Job {
    RangeResponse response;
    std::unique_ptr<RangeAnswer> to;
    std::size_t next = 0;
  };
  /// True: the answer is complete.
  static bool encode_some(Job& job);
  void take_turn();

  Env& env_;
  http::Clients& clients_;
  std::list<Job> jobs_;
  std::size_t waiting_ = 0;
  Timer turn_;
};

}  // namespace outrider::doors::etcd
