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

/// How many records the replies had in Answer, all together.
std::size_t write_and_read(const UpstreamAnswer& answer, const Question& asked, bool edns) {
  std::uint8_t bytes[512];
  MessageBuilder builder(bytes);
  if (!builder.add_question(asked)) return 0;
  if (edns && !builder.add_opt({.udp_size = 1'232, .dnssec_ok = true})) return 0;
  Query query;
  if (query.parse(builder.finish()) != QueryFault::none) return 0;
  static std::vector<std::uint8_t> buffer(kMessageBytesMax);
  std::size_t answers = 0;
  for (const std::size_t limit : {std::size_t{512}, std::size_t{600}, kMessageBytesMax}) {
    for (const bool stale : {false, true}) {
      const Bytes message = answer.write(query, limit, {.age = 5, .stale = stale}, buffer);
      OUTRIDER_ASSERT(message.size() <= limit);
      const auto view = MessageView::parse(message);
      OUTRIDER_ASSERT(view && view->question().name.same_case(asked.name));
      OUTRIDER_ASSERT(view->edns() && view->edns()->has_value() == edns);
      answers += view->header().answers;
      // A name may point into a TTL and change with it; clients read it with the same care.
      std::size_t records = 0;
      for (auto cursor = view->records(); cursor.next();)
        ++records;
      OUTRIDER_ASSERT(records <= std::size_t{view->header().answers} + view->header().authorities +
                                     view->header().additionals);
    }
  }
  return answers;
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
  OUTRIDER_ASSERT(write_and_read(*answer, asked, true) == 0);
  return 0;
}
