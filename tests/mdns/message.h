// SPDX-License-Identifier: Apache-2.0
// mDNS messages as tests read and write them: whole, with their records in sections. Nothing here
// knows whether they went over a simulated link or a real one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/time.h"
#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"

namespace outrider::mdns {

/// A message that was on the wire.
struct Message {
  TimePoint at;
  std::string host;
  Endpoint from, to;
  int hop_limit = 0;
  std::size_t bytes = 0;
  dns::Header header;
  std::vector<dns::Question> questions;
  std::vector<dns::Record> answers, authorities, additionals;

  bool response() const { return header.flags.response; }
  const dns::Record* find(const std::string& name, dns::RrType type) const;
};
/// Nothing if it does not parse. With `lenient`, records whose RDATA is damaged are left out.
std::optional<Message> decode(Bytes payload, bool lenient = false);
bool is_probe(const Message& message);
bool asks(const Message& message, const std::string& name);

struct Sent {
  std::uint16_t id = 0;
  dns::Flags flags;
  std::vector<dns::Question> questions;
  std::vector<dns::Record> answers, authorities, additionals;
};
std::vector<std::uint8_t> encode(const Sent& message);

/// A name that does not parse is a mistake of the test: it throws.
dns::Name name(const std::string& text);
dns::Question question(const std::string& owner, dns::RrType type, bool unicast = false);
dns::Record ptr(const std::string& owner, const std::string& target, dns::Ttl ttl = 75);
dns::Record srv(const std::string& owner, const std::string& target, std::uint16_t port,
                dns::Ttl ttl = 20);
dns::Record txt(const std::string& owner, std::vector<std::string> strings, dns::Ttl ttl = 75);
dns::Record address(const std::string& owner, const std::string& text, dns::Ttl ttl = 20);
/// A whole instance in one response, as peers announce it.
Sent instance(const std::string& label, const std::string& type, const std::string& host,
              const std::string& address_text, std::uint16_t port, dns::Ttl ttl = 75);

/// Every zeroconf.v1 reader of Go: an instance is there only if one message holds its PTR or is
/// asked by name, SRV, TXT, and an address whose owner is the SRV target byte for byte. Returns
/// the labels found in the message for `type`.
std::vector<std::string> assemble_per_packet(const Message& message, const std::string& type);

}  // namespace outrider::mdns
