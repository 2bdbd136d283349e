// SPDX-License-Identifier: Apache-2.0
#include "agent/doors/etcd/long_ranges.h"

#include <doctest/doctest.h>

#include "tests/sim/world.h"

using namespace outrider;
using namespace outrider::doors::etcd;

namespace {

struct Seen {
  std::size_t begun = 0, keys = 0, ended = 0;
  std::string refused;
  bool alive = true;
};

class Answer final : public RangeAnswer {
 public:
  explicit Answer(Seen& seen) : seen_(seen) {}
  bool alive() const override { return seen_.alive; }
  void begin(const RangeResponse&) override { ++seen_.begun; }
  void add(const KeyValue&) override { ++seen_.keys; }
  void end(const RangeResponse&) override { ++seen_.ended; }
  void refuse(Error error) override { seen_.refused = error.text; }

 private:
  Seen& seen_;
};

struct Fixture {
  sim::World world{7};
  http::Clients clients{world.env()};
  LongRanges ranges{world.env(), clients};

  void answer(Seen& seen, std::size_t keys, std::size_t octets = 1) {
    const auto kv = std::make_shared<KeyValue>(KeyValue{.key = "k", .value = {}});
    kv->value = std::string(octets, 'v');
    ranges.answer({.kvs = std::vector<KeyValuePtr>(keys, kv)}, std::make_unique<Answer>(seen));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "what fits into a turn is answered at once") {
  Seen none, full;
  answer(none, 0);
  answer(full, kKeysPerTurn);
  for (const Seen* seen : {&none, &full}) {
    CHECK(seen->begun == 1);
    CHECK(seen->ended == 1);
  }
  CHECK(full.keys == kKeysPerTurn);
  CHECK(ranges.waiting() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a long answer takes a part of each turn, by keys and by octets") {
  Seen keys, octets;
  answer(keys, 3 * kKeysPerTurn);
  CHECK(keys.keys == kKeysPerTurn);
  answer(octets, 6, kEncodedPerTurn);
  CHECK(octets.keys == 1);
  CHECK(ranges.waiting() == 3 * kKeysPerTurn + 6);
  std::size_t before = keys.keys + octets.keys, most = 0;
  world.run_until(
      [&] {
        const std::size_t now = keys.keys + octets.keys;
        most = std::max(most, now - std::exchange(before, now));
        return keys.ended + octets.ended == 2;
      },
      1s);
  CHECK(most <= kKeysPerTurn);
  CHECK(keys.keys == 3 * kKeysPerTurn);
  CHECK(octets.keys == 6);
  CHECK(keys.ended + octets.ended == 2);
  CHECK(ranges.waiting() == 0);
}

TEST_CASE_FIXTURE(Fixture, "answers whose client is gone are dropped") {
  Seen gone, here;
  answer(gone, 9 * kKeysPerTurn);
  answer(here, 2 * kKeysPerTurn);
  gone.alive = false;
  world.advance(10ms);
  CHECK(gone.keys == kKeysPerTurn);
  CHECK(here.ended == 1);
  CHECK(ranges.waiting() == 0);
}

TEST_CASE_FIXTURE(Fixture, "answers that wait have a limit, and short ones are given even then") {
  Seen first, too_many, few;
  answer(first, kKeysWaitingMax);
  answer(too_many, kKeysPerTurn + 1);
  CHECK(too_many.refused == "etcdserver: too many requests");
  answer(few, 3);
  CHECK(few.ended == 1);
  world.advance(1s);
  CHECK(first.ended == 1);
  CHECK(first.keys == kKeysWaitingMax);
}
