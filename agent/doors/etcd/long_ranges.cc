// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/long_ranges.h"

#include <utility>

namespace outrider::doors::etcd {
namespace {

/// What finding a key costs, in octets of an answer: after a long range no other begins in this
/// turn.
constexpr std::size_t kOctetsPerKey = 16;

}  // namespace

bool LongRanges::encode_some(Job& job) {
  const auto& kvs = job.response.kvs;
  if (job.next == 0) job.to->begin(job.response);
  std::size_t keys = 0, octets = 0;
  for (; job.next < kvs.size() && keys < kKeysPerTurn && octets < kEncodedPerTurn; ++keys) {
    const KeyValue& kv = *kvs[job.next++];
    job.to->add(kv);
    octets += kv.key.size() + kv.value.size();
  }
  if (job.next < kvs.size()) return false;
  job.to->end(job.response);
  return true;
}

void LongRanges::answer(RangeResponse response, std::unique_ptr<RangeAnswer> to) {
  const std::size_t keys = response.kvs.size();
  Job job{std::move(response), std::move(to)};
  if (encode_some(job)) return;
  if (waiting_ + keys > kKeysWaitingMax)
    return job.to->refuse({Code::resource_exhausted, "etcdserver: too many requests"});
  clients_.charge(keys * kOctetsPerKey);
  waiting_ += keys;
  jobs_.push_back(std::move(job));
  if (!turn_.pending()) turn_ = env_.after(Duration::zero(), [this] { take_turn(); });
}

void LongRanges::take_turn() {
  Job& job = jobs_.front();
  if (!job.to->alive() || encode_some(job)) {
    waiting_ -= job.response.kvs.size();
    jobs_.pop_front();
  }
  if (!jobs_.empty()) turn_ = env_.after(Duration::zero(), [this] { take_turn(); });
}

}  // namespace outrider::doors::etcd
