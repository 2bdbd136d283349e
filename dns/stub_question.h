// SPDX-License-Identifier: Apache-2.0
// The question by which one recognises an agent's DNS: ns.DOMAIN, which every agent answers with
// the address that was asked, whatever is registered. Also any other question to one server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "dns/wire/name.h"
#include "dns/wire/types.h"

namespace outrider::dns {

struct StubReply {
  Rcode rcode = Rcode::servfail;
  bool authoritative = false;
  std::vector<IpAddress> addresses;  // in the answer section
};

std::vector<std::uint8_t> write_stub_question(std::uint16_t id, const Name& name, RrType type);
/// The reply to that question; nothing for any other message.
std::optional<StubReply> read_stub_reply(Bytes message, std::uint16_t id, const Name& name);

/// "ns.svc"; nothing if `domain` is too long or malformed.
std::optional<Name> name_server_of(const std::string& domain);
std::optional<Name> name_server_of(const Name& domain);
/// Whether an agent that listens on `address` has sent this.
bool is_from_agent(const StubReply& reply, const IpAddress& address);

}  // namespace outrider::dns
