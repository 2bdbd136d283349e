// SPDX-License-Identifier: Apache-2.0
// Whatever a client sends, a zone's reply is well-formed, within its size, and has the question.
#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "dns/zone_answer.h"

using namespace outrider;
using namespace outrider::dns;

namespace {

LocalZone make_zone() {
  LocalZone zone({.origin = *Name::parse("svc"), .name_server = {IpAddress::v4(127, 0, 0, 55)}});
  std::vector<ZoneRecord> records;
  for (std::uint8_t i = 0; i < 40; ++i) {
    records.push_back({RrType::a, AddressData{IpAddress::v4(10, 0, 0, i)}, i});
    records.push_back({RrType::srv, SrvData{0, 1, i, *Name::parse("one.web.svc")}});
  }
  records.push_back({RrType::txt, TxtData{{std::string(255, 'x'), std::string(255, 'y')}}});
  zone.set(*Name::parse("web.svc"), records);
  zone.set(*Name::parse("one.web.svc"), {records[0]});
  zone.set(*Name::parse("_web._tcp.svc"), {{RrType::ptr, NameData{*Name::parse("one.web.svc")}}});
  zone.set(*Name::parse("job.svc"), {}, std::string(200, 'w'));
  return zone;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const LocalZone zone = make_zone();
  static ZoneAnswerer answerer(1);
  static std::vector<std::uint8_t> buffer(kMessageBytesMax);
  Query query;
  const QueryFault fault = query.parse({data, size});
  if (fault == QueryFault::drop) return 0;
  for (const Transport transport : {Transport::udp, Transport::tcp}) {
    const std::size_t limit = reply_limit(query, transport);
    Reply reply(buffer, query, limit);
    if (fault == QueryFault::none) {
      const auto relative = ZoneAnswerer::relative(zone, query);
      if (relative)
        answerer.write(zone, query, *relative, zone.store().find(*relative), TimePoint{}, reply);
    }
    const Bytes message = reply.finish();
    OUTRIDER_ASSERT(message.size() <= limit);
    const auto view = MessageView::parse(message);
    OUTRIDER_ASSERT(view && view->edns() && view->edns()->has_value() == query.has_edns);
    if (!query.question.empty())
      OUTRIDER_ASSERT(std::ranges::equal(view->question_wire(), query.question));
    auto cursor = view->records();
    while (cursor.next()) {
    }
    OUTRIDER_ASSERT(!cursor.failed());
  }
  return 0;
}
