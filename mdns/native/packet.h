// SPDX-License-Identifier: Apache-2.0
// The receiver: checks and parses a datagram once; afterwards it is a query or a response.
#pragma once

#include <optional>
#include <vector>

#include "base/net.h"
#include "dns/wire/message_view.h"

namespace outrider::mdns {

struct Link;

struct Packet {
  Endpoint from;
  IpAddress::Family family = IpAddress::Family::v4;
  std::uint16_t id = 0;
  bool response = false;
  bool truncated = false;
  bool legacy = false;     // §6.7: a query whose source port is not 5353
  bool from_here = false;  // the source is an address of this host
  std::vector<dns::Question> questions;
  std::vector<dns::Record> answers;      // of a query: known answers (§7.1)
  std::vector<dns::Record> authorities;  // of a query: what is probed for (§8.2)
  std::vector<dns::Record> additionals;
};

enum class Drop : std::uint8_t {
  empty,      // zero octets
  malformed,  // in any part: nothing of it is used
  opcode,     // §18.3, §18.11: other opcodes and response codes
  port,       // §11: a response from another port than 5353
  off_link,   // §11
};
const char* to_string(Drop drop);

/// `port` is the port of the group: 5353 except in tests.
Result<Packet, Drop> parse_packet(const Datagram& datagram, const Link& link, std::uint16_t port);

}  // namespace outrider::mdns
