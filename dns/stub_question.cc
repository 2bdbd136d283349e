// SPDX-License-Identifier: Apache-2.0
#include "dns/stub_question.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"

namespace outrider::dns {

std::vector<std::uint8_t> write_stub_question(std::uint16_t id, const Name& name, RrType type) {
  std::array<std::uint8_t, 512> buffer;
  MessageBuilder builder(buffer);
  builder.set_id(id);
  builder.set_flags({.recursion_desired = true});
  const bool fits = builder.add_question({.name = name, .type = type});
  OUTRIDER_ASSERT(fits);
  const Bytes message = builder.finish();
  return {message.begin(), message.end()};
}

std::optional<StubReply> read_stub_reply(Bytes message, std::uint16_t id, const Name& name) {
  const auto view = MessageView::parse(message);
  if (!view || view->header().id != id || !view->header().flags.response ||
      view->header().questions != 1 || view->question().name != name)
    return std::nullopt;
  StubReply reply;
  reply.rcode = static_cast<Rcode>(view->header().flags.rcode);
  reply.authoritative = view->header().flags.authoritative;
  auto records = view->records();
  while (auto record = records.next())
    if (const auto* data = std::get_if<AddressData>(&record->record.data);
        data != nullptr && record->section == Section::answer)
      reply.addresses.push_back(data->address);
  if (records.failed()) return std::nullopt;
  return reply;
}

std::optional<Name> name_server_of(const std::string& domain) {
  const auto name = Name::parse(domain);
  return name ? name_server_of(*name) : std::nullopt;
}

std::optional<Name> name_server_of(const Name& domain) {
  return domain.child("ns");
}

bool is_from_agent(const StubReply& reply, const IpAddress& address) {
  return reply.rcode == Rcode::noerror && reply.authoritative &&
         std::ranges::find(reply.addresses, address) != reply.addresses.end();
}

}  // namespace outrider::dns
