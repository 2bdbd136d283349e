// SPDX-License-Identifier: Apache-2.0
// Every record that is read can be written in either profile and reads back the same.
#include <vector>

#include "base/assert.h"
#include "dns/wire/message_builder.h"
#include "dns/wire/message_view.h"

using namespace outrider;
using namespace outrider::dns;

namespace {

void write_and_read(const std::vector<SectionRecord>& records, WireProfile profile) {
  std::vector<std::uint8_t> buffer(65'535);
  MessageBuilder builder(buffer, profile);
  for (const SectionRecord& found : records)
    if (!builder.add(found.section, found.record)) return;  // compression was better than ours
  const auto view = MessageView::parse(builder.finish());
  OUTRIDER_ASSERT(view.has_value());
  auto cursor = view->records();
  for (const SectionRecord& found : records) {
    const auto again = cursor.next();
    OUTRIDER_ASSERT(again && again->section == found.section);
    OUTRIDER_ASSERT(again->record.same_as(found.record) && again->record.ttl == found.record.ttl);
    OUTRIDER_ASSERT(again->record.name.same_case(found.record.name));
    OUTRIDER_ASSERT(!to_string(again->record).empty());
  }
  OUTRIDER_ASSERT(!cursor.next() && !cursor.failed());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto view = MessageView::parse({data, size});
  if (!view) return 0;
  const auto edns = view->edns();
  OUTRIDER_ASSERT(view->questions().size() == view->header().questions);
  std::vector<SectionRecord> records;
  auto cursor = view->records();
  while (auto next = cursor.next())
    records.push_back(std::move(*next));
  if (cursor.failed()) return 0;
  OUTRIDER_ASSERT(edns || edns.error() != WireError::short_header);
  write_and_read(records, WireProfile::unicast);
  write_and_read(records, WireProfile::multicast);
  return 0;
}
