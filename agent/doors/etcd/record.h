// SPDX-License-Identifier: Apache-2.0
// What the door keeps over a restart, as lines of its journal. Pure.
//
//   {"begin":REVISION}                      where the whole begins: the first line of it
//   {"key":…,"value":…,"create":…}          a key as it was then
//   {"revision":…,"events":[…],"own":[…],"leases":[…]}   everything that changed together
//
// Keys and values are base64, since they are octets; ids of leases are texts, since they have 63
// bits. What a client has put is kept apart from what is shown of it, for an instance that drains
// is not shown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/doors/etcd/rpc.h"

namespace outrider::doors::etcd {

/// What a client has put to be an instance; gone: it has left.
struct OwnChange {
  std::string key, value;
  std::int64_t lease = 0;
  bool gone = false;
  bool operator==(const OwnChange&) const = default;
};
struct LeaseChange {
  std::int64_t id = 0, ttl = 0;
  bool gone = false;
  bool operator==(const LeaseChange&) const = default;
};

struct Record {
  std::optional<std::int64_t> begin;
  KeyValuePtr base;
  std::int64_t revision = 0;  // of the events
  std::vector<Event> events;  // without values before
  std::vector<OwnChange> own;
  std::vector<LeaseChange> leases;

  bool empty() const {
    return !begin && base == nullptr && events.empty() && own.empty() && leases.empty();
  }
};

/// Without the end of the line.
std::string write_record(const Record& record);
/// Nothing if it is no such line.
std::optional<Record> read_record(std::string_view line);

}  // namespace outrider::doors::etcd
