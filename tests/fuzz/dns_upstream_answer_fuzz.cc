// SPDX-License-Identifier: Apache-2.0
// Whatever an upstream answers, what a client gets of it is well-formed, within its size, and has
// the client's question.
#include <vector>

#include "base/assert.h"
#include "dns/upstream_answer.h"
#include "dns/wire/message_builder.h"

using namespace outrider;
using namespace outrider::dns;

namespace {

void write_and_read(const UpstreamAnswer& answer, const Question& asked, bool edns) {
  std::uint8_t bytes[512];
  MessageBuilder builder(bytes);
  if (!builder.add_question(asked)) return;
  if (edns && !builder.add_opt({.udp_size = 1'232, .dnssec_ok = true})) return;
  Query query;
  if (query.parse(builder.finish()) != QueryFault::none) return;
  static std::vector<std::uint8_t> buffer(kMessageBytesMax);
  for (const std::size_t limit : {std::size_t{512}, std::size_t{600}, kMessageBytesMax}) {
    for (const bool stale : {false, true}) {
      const Bytes message = answer.write(query, limit, {.age = 5, .stale = stale}, buffer);
      OUTRIDER_ASSERT(message.size() <= limit);
      const auto view = MessageView::parse(message);
      OUTRIDER_ASSERT(view && view->question().name.same_case(asked.name));
      OUTRIDER_ASSERT(view->edns() && view->edns()->has_value() == edns);
      // A name may point into a TTL and change with it; it is read with the same care by whoever
      // gets it.
      std::size_t records = 0;
      for (auto cursor = view->records(); cursor.next();)
        ++records;
      OUTRIDER_ASSERT(records <= std::size_t{view->header().answers} + view->header().authorities +
                                     view->header().additionals);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto view = MessageView::parse({data, size});
  if (!view || view->header().questions == 0) return 0;
  Question asked = view->question();
  auto answer = UpstreamAnswer::parse({data, size}, asked);
  if (!answer) return 0;
  asked.name = asked.name.lowercase();
  for (const bool edns : {false, true})
    write_and_read(*answer, asked, edns);
  answer->block("because");
  OUTRIDER_ASSERT(!answer->has_answer());
  write_and_read(*answer, asked, true);
  return 0;
}
