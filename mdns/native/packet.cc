// SPDX-License-Identifier: Apache-2.0
#include "mdns/native/packet.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "mdns/link.h"
#include "mdns/native/limits.h"

namespace outrider::mdns {
namespace {

/// §11: a datagram to the group is from the link. Any other must come from a neighbour: an address
/// within a prefix of the interface, with the full hop count.
bool on_link(const Datagram& datagram, const Link& link) {
  if (datagram.to.is_multicast() || datagram.to.is_any()) return true;
  if (datagram.hop_limit >= 0 && datagram.hop_limit != kHopLimit) return false;
  return link.is_neighbour(datagram.from.address);
}

bool read_records(const dns::MessageView& view, Packet& packet) {
  std::size_t count = 0;
  auto records = view.records();
  records.skip_bad_rdata();  // python3-zeroconf 0.47 sends such NSEC records
  while (auto record = records.next()) {
    if (++count > kPacketRecordsMax) return true;
    switch (record->section) {
      case dns::Section::answer:
        packet.answers.push_back(std::move(record->record));
        break;
      case dns::Section::authority:
        packet.authorities.push_back(std::move(record->record));
        break;
      case dns::Section::additional:
        packet.additionals.push_back(std::move(record->record));
        break;
    }
  }
  return !records.failed();
}

/// A question asked twice is answered once; its answers are not collected twice either. Of other
/// classes there is nothing to answer.
void drop_repeated(std::vector<dns::Question>& questions) {
  std::erase_if(questions, [](const dns::Question& question) {
    return question.rr_class != dns::RrClass::in && question.rr_class != dns::RrClass::any;
  });
  if (questions.size() < 2) return;
  const auto before = [](const dns::Question* a, const dns::Question* b) {
    return std::tie(a->type, a->rr_class, a->unicast_response, a->name) <
           std::tie(b->type, b->rr_class, b->unicast_response, b->name);
  };
  std::set<const dns::Question*, decltype(before)> seen(before);
  std::vector<dns::Question> once;
  for (const dns::Question& question : questions)
    if (seen.insert(&question).second) once.push_back(question);
  questions = std::move(once);
}

}  // namespace

const char* to_string(Drop drop) {
  switch (drop) {
    case Drop::empty:
      return "empty";
    case Drop::malformed:
      return "malformed";
    case Drop::opcode:
      return "opcode";
    case Drop::port:
      return "port";
    case Drop::off_link:
      return "off_link";
  }
  OUTRIDER_UNREACHABLE();
}

Result<Packet, Drop> parse_packet(const Datagram& datagram, const Link& link, std::uint16_t port) {
  if (datagram.payload.empty()) return failure(Drop::empty);
  if (!on_link(datagram, link)) return failure(Drop::off_link);
  const auto view = dns::MessageView::parse(datagram.payload);
  if (!view) return failure(Drop::malformed);
  const dns::Header& header = view->header();
  if (header.flags.opcode != dns::Opcode::query || header.flags.rcode != 0)
    return failure(Drop::opcode);

  Packet packet;
  packet.from = datagram.from;
  packet.family = datagram.from.address.family();
  packet.id = header.id;
  packet.response = header.flags.response;
  packet.truncated = header.flags.truncated;
  packet.legacy = datagram.from.port != port;
  packet.from_here = link.is_own_host(datagram.from.address);
  if (packet.response && packet.legacy) return failure(Drop::port);
  // §6.7 and §5.4: unicast answers are sent to neighbours only; otherwise we would be a reflector
  // for forged sources.
  if (packet.legacy && !link.is_neighbour(datagram.from.address)) return failure(Drop::off_link);

  if (!packet.response) {
    packet.questions = view->questions();
    if (packet.questions.size() > kPacketQuestionsMax) packet.questions.resize(kPacketQuestionsMax);
    drop_repeated(packet.questions);
  }
  if (!read_records(*view, packet)) return failure(Drop::malformed);
  return packet;
}

}  // namespace outrider::mdns
