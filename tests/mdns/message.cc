// SPDX-License-Identifier: Apache-2.0
#include "tests/mdns/message.h"

#include <algorithm>
#include <stdexcept>

namespace outrider::mdns {

const dns::Record* Message::find(const std::string& owner, dns::RrType type) const {
  const dns::Name wanted = mdns::name(owner);
  for (const auto* section : {&answers, &authorities, &additionals})
    for (const dns::Record& record : *section)
      if (record.type == type && record.name == wanted) return &record;
  return nullptr;
}

std::optional<Message> decode(Bytes payload, bool lenient) {
  const auto view = dns::MessageView::parse(payload);
  if (!view) return std::nullopt;
  Message message;
  message.bytes = payload.size();
  message.header = view->header();
  message.questions = view->questions();
  auto records = view->records();
  if (lenient) records.skip_bad_rdata();
  while (auto record = records.next()) {
    auto& section = record->section == dns::Section::answer      ? message.answers
                    : record->section == dns::Section::authority ? message.authorities
                                                                 : message.additionals;
    section.push_back(std::move(record->record));
  }
  if (records.failed() && !lenient) return std::nullopt;
  return message;
}

bool is_probe(const Message& message) {
  return !message.response() && !message.authorities.empty();
}

bool asks(const Message& message, const std::string& owner) {
  return !message.response() && message.authorities.empty() &&
         std::any_of(message.questions.begin(), message.questions.end(),
                     [&](const dns::Question& q) { return q.name == name(owner); });
}

std::vector<std::uint8_t> encode(const Sent& message) {
  std::vector<std::uint8_t> buffer(9'000);
  dns::MessageBuilder builder(buffer, dns::WireProfile::multicast);
  builder.set_id(message.id);
  builder.set_flags(message.flags);
  const auto must = [](bool fits) {
    if (!fits) throw std::length_error("the message is too long for one datagram");
  };
  for (const dns::Question& q : message.questions)
    must(builder.add_question(q));
  for (const dns::Record& record : message.answers)
    must(builder.add(dns::Section::answer, record));
  for (const dns::Record& record : message.authorities)
    must(builder.add(dns::Section::authority, record));
  for (const dns::Record& record : message.additionals)
    must(builder.add(dns::Section::additional, record));
  const Bytes bytes = builder.finish();
  return {bytes.begin(), bytes.end()};
}

dns::Name name(const std::string& text) {
  const auto parsed = dns::Name::parse(text);
  if (!parsed) throw std::invalid_argument("no name: " + text);
  return *parsed;
}

dns::Question question(const std::string& owner, dns::RrType type, bool unicast) {
  return {name(owner), type, dns::RrClass::in, unicast};
}

dns::Record ptr(const std::string& owner, const std::string& target, dns::Ttl ttl) {
  return {name(owner), dns::RrType::ptr, dns::RrClass::in, false, ttl, dns::NameData{name(target)}};
}
dns::Record srv(const std::string& owner, const std::string& target, std::uint16_t port,
                dns::Ttl ttl) {
  return {name(owner),
          dns::RrType::srv,
          dns::RrClass::in,
          true,
          ttl,
          dns::SrvData{0, 0, port, name(target)}};
}
dns::Record txt(const std::string& owner, std::vector<std::string> strings, dns::Ttl ttl) {
  return {
      name(owner), dns::RrType::txt, dns::RrClass::in, true, ttl, dns::TxtData{std::move(strings)}};
}
dns::Record address(const std::string& owner, const std::string& text, dns::Ttl ttl) {
  const IpAddress parsed = *IpAddress::parse(text);
  return {name(owner),
          parsed.is_v4() ? dns::RrType::a : dns::RrType::aaaa,
          dns::RrClass::in,
          true,
          ttl,
          dns::AddressData{parsed}};
}

Sent instance(const std::string& label, const std::string& type, const std::string& host,
              const std::string& address_text, std::uint16_t port, dns::Ttl ttl) {
  Sent out;
  out.flags.response = out.flags.authoritative = true;
  const std::string type_text = type + ".local.";
  const std::string full = label + "." + type_text;
  out.answers = {ptr(type_text, full, ttl), srv(full, host, port, ttl),
                 txt(full, {"from=" + label}, ttl), address(host, address_text, ttl)};
  return out;
}

std::vector<std::string> assemble_per_packet(const Message& message, const std::string& type) {
  std::vector<std::string> found;
  std::vector<const dns::Record*> all;
  for (const auto* section : {&message.answers, &message.additionals})
    for (const dns::Record& record : *section)
      all.push_back(&record);
  for (const dns::Record* pointer : all) {
    if (pointer->type != dns::RrType::ptr || !pointer->name.same_case(name(type + ".local.")))
      continue;
    const dns::Name target = std::get<dns::NameData>(pointer->data).name;
    const dns::Record *its_srv = nullptr, *its_txt = nullptr, *its_address = nullptr;
    for (const dns::Record* record : all) {
      if (!record->name.same_case(target) || record->ttl == 0) continue;
      if (record->type == dns::RrType::srv) its_srv = record;
      if (record->type == dns::RrType::txt) its_txt = record;
    }
    if (its_srv == nullptr || its_txt == nullptr) continue;
    for (const dns::Record* record : all)
      if (record->type == dns::RrType::a &&
          record->name.same_case(std::get<dns::SrvData>(its_srv->data).target))
        its_address = record;
    if (its_address != nullptr) found.emplace_back(target.label(0));
  }
  return found;
}

}  // namespace outrider::mdns
