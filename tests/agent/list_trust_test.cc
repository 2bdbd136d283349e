// SPDX-License-Identifier: Apache-2.0
#include "agent/list_trust.h"

#include <doctest/doctest.h>

namespace outrider {
namespace {

TimePoint at(Duration since_start) {
  return TimePoint(1h + since_start);
}

TEST_CASE("single entries that are missing are believed at once") {
  ListTrust trust;
  CHECK(trust.believes({.known = 5, .listed = 1, .missing = 4}, at(0s)));
  CHECK(trust.believes({.known = 1, .listed = 0, .missing = 1}, at(0s)));
  CHECK_FALSE(trust.ask_at());
}

TEST_CASE("sudden emptiness is believed the third time") {
  ListTrust trust;
  CHECK_FALSE(trust.believes({.known = 2, .listed = 0, .missing = 2}, at(0s)));
  CHECK(trust.ask_at() == at(2s));
  // A list that came of itself is no confirmation.
  CHECK_FALSE(trust.believes({.known = 2, .listed = 0, .missing = 2}, at(1s)));
  CHECK(trust.ask_at() == at(2s));
  CHECK_FALSE(trust.believes({.known = 2, .listed = 0, .missing = 2}, at(2s)));
  CHECK(trust.ask_at() == at(10s));
  CHECK(trust.doubts());
  CHECK(trust.believes({.known = 2, .listed = 0, .missing = 2}, at(10s)));
  CHECK_FALSE(trust.doubts());
}

TEST_CASE("a service that is suddenly empty is believed the third time, whatever others have") {
  ListTrust trust;
  const ListTrust::List list{.known = 9, .listed = 7, .missing = 2, .service_emptied = true};
  CHECK_FALSE(trust.believes(list, at(0s)));
  CHECK_FALSE(trust.believes(list, at(2s)));
  CHECK(trust.ask_at() == at(10s));
  CHECK(trust.believes(list, at(10s)));
}

TEST_CASE("a list in which everything is there again ends the doubt") {
  ListTrust trust;
  CHECK_FALSE(trust.believes({.known = 3, .listed = 0, .missing = 3}, at(0s)));
  CHECK(trust.believes({.known = 3, .listed = 3, .missing = 0}, at(2s)));
  CHECK_FALSE(trust.doubts());
}

TEST_CASE("a doubt begins again if more is missing") {
  ListTrust trust;
  trust.on_restarted(at(0s), 15s);
  CHECK_FALSE(trust.believes({.known = 9, .listed = 8, .missing = 1}, at(0s)));
  CHECK_FALSE(trust.believes({.known = 9, .listed = 0, .missing = 9}, at(15s)));
  CHECK(trust.ask_at() == at(17s));
  CHECK_FALSE(trust.believes({.known = 9, .listed = 0, .missing = 9}, at(17s)));
  CHECK(trust.believes({.known = 9, .listed = 0, .missing = 9}, at(25s)));
}

TEST_CASE("in a new life of a store, owners have a TTL to come back") {
  ListTrust trust;
  trust.on_restarted(at(0s), 15s);
  CHECK_FALSE(trust.believes({.known = 9, .listed = 8, .missing = 1}, at(0s)));
  CHECK(trust.ask_at() == at(15s));
  CHECK(trust.believes({.known = 9, .listed = 8, .missing = 1}, at(15s)));
  trust.on_restarted(at(20s), 15s);
  CHECK_FALSE(trust.believes({.known = 9, .listed = 1, .missing = 8}, at(20s)));
  CHECK(trust.ask_at() == at(22s));
  CHECK_FALSE(trust.believes({.known = 9, .listed = 1, .missing = 8}, at(22s)));
  CHECK_FALSE(trust.believes({.known = 9, .listed = 1, .missing = 8}, at(30s)));
  CHECK(trust.ask_at() == at(35s));
  CHECK(trust.believes({.known = 9, .listed = 1, .missing = 8}, at(35s)));
  // Its life is not new for ever.
  CHECK(trust.believes({.known = 9, .listed = 1, .missing = 8}, at(36s)));
}

}  // namespace
}  // namespace outrider
