// SPDX-License-Identifier: Apache-2.0
#include "tests/mdns/peer.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "mdns/native/service_name.h"

namespace outrider::mdns {

Peer::Peer(sim::Host& host, NativeOptions options)
    : host_(host), provider_(make_native_provider(host.env(), options)) {
  provider_->start(*this);
}

Peer::~Peer() = default;

void Peer::on_announced(AnnouncementId id, const std::string& label) {
  announced[id] = label;
  log.push_back("announced " + label);
}
void Peer::on_conflict(AnnouncementId id) {
  conflicts.push_back(id);
  log.push_back("conflict");
}
void Peer::on_sighting(const Sighting& sighting) {
  CHECK_FALSE(sighting.addresses.empty());
  CHECK(sighting.port != 0);
  sightings[sighting.key] = sighting;
  log.push_back("sighting " + sighting.key.label);
}
void Peer::on_lost(const SightingKey& key, LostReason reason) {
  CHECK(sightings.erase(key) == 1);
  lost[key] = reason;
  log.push_back("lost " + key.label + " " + to_string(reason));
}
void Peer::on_state(ProviderState now, const std::string& reason) {
  state = now;
  why = reason;
}

const Sighting* Peer::sees(const std::string& label, const ServiceType& type) const {
  const auto found = sightings.find({type, label});
  return found == sightings.end() ? nullptr : &found->second;
}

std::size_t Peer::count(const std::string& line) const {
  return static_cast<std::size_t>(std::count(log.begin(), log.end(), line));
}

void Peer::stop() {
  provider_->stop([this] { stopped = true; });
}

NativeOptions options_for(const std::string& host) {
  NativeOptions options;
  options.host = host;
  options.cookie = "cookie of " + host;
  return options;
}

Announcement hello(const std::string& label, std::uint16_t port) {
  Announcement out;
  out.label = label;
  out.type = "_hello._tcp";
  out.port = port;
  out.txt = {"version=1", "farp.enabled=true"};
  return out;
}

const dns::Record* Message::find(const std::string& owner, dns::RrType type) const {
  const dns::Name wanted = mdns::name(owner);
  for (const auto* section : {&answers, &authorities, &additionals})
    for (const dns::Record& record : *section)
      if (record.type == type && record.name == wanted) return &record;
  return nullptr;
}

std::vector<Message> messages(const sim::Link& link,
                              const std::function<bool(const Message&)>& wanted) {
  std::vector<Message> out;
  for (const sim::WireDatagram& datagram : link.capture()) {
    const auto view = dns::MessageView::parse(datagram.payload);
    if (datagram.host.empty() && !view) continue;  // injected damage
    REQUIRE(view.has_value());
    Message message{datagram.at,
                    datagram.host,
                    datagram.from,
                    datagram.to,
                    datagram.hop_limit,
                    datagram.payload.size(),
                    view->header(),
                    view->questions(),
                    {},
                    {},
                    {}};
    auto records = view->records();
    if (datagram.host.empty()) records.skip_bad_rdata();
    while (auto record = records.next()) {
      auto& section = record->section == dns::Section::answer      ? message.answers
                      : record->section == dns::Section::authority ? message.authorities
                                                                   : message.additionals;
      section.push_back(record->record);
    }
    CHECK((datagram.host.empty() || !records.failed()));
    if (!wanted || wanted(message)) out.push_back(std::move(message));
  }
  return out;
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
  for (const dns::Question& q : message.questions)
    REQUIRE(builder.add_question(q));
  for (const dns::Record& record : message.answers)
    REQUIRE(builder.add(dns::Section::answer, record));
  for (const dns::Record& record : message.authorities)
    REQUIRE(builder.add(dns::Section::authority, record));
  for (const dns::Record& record : message.additionals)
    REQUIRE(builder.add(dns::Section::additional, record));
  const Bytes bytes = builder.finish();
  return {bytes.begin(), bytes.end()};
}

void inject(sim::Link& link, const std::string& from, const Sent& message, std::uint16_t port) {
  const auto bytes = encode(message);
  link.inject({*IpAddress::parse(from), port}, {IpAddress::v4(224, 0, 0, 251), 5353}, bytes);
}

dns::Name name(const std::string& text) {
  const auto parsed = dns::Name::parse(text);
  REQUIRE(parsed.has_value());
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
    for (const dns::Record* record : all) {
      if (record->type == dns::RrType::a &&
          record->name.same_case(std::get<dns::SrvData>(its_srv->data).target))
        its_address = record;
    }
    if (its_address != nullptr) found.emplace_back(target.label(0));
  }
  return found;
}

}  // namespace outrider::mdns
