// SPDX-License-Identifier: Apache-2.0
// Reads any text as the lines of a history file. What could be read is shown for every moment, and
// written again it is read again.
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/registry/history_line.h"
#include "base/assert.h"

using namespace outrider;
using namespace outrider::registry;

namespace {

constexpr Moment kNow{TimePoint(std::chrono::hours(1)), WallTime(std::chrono::hours(500'000))};

bool read(std::string_view text, HistoryReader& reader) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1);
    if (!reader.read(text.substr(0, end))) return false;
    text.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text = std::string(reinterpret_cast<const char*>(data), size) + '\n';
  History history;
  HistoryReader reader(history, kNow);
  if (!read(text, reader)) return 0;
  reader.end({});
  const Registry nothing("box");
  for (History::Place place = history.oldest(); place <= history.newest(); ++place)
    (void)history.past(place, nothing, std::nullopt);
  std::string again;
  HistoryHead head(history, history.oldest(), nothing);
  while (head.write(again, 2) == 2) {
  }
  for (History::Place place = history.oldest(); place < history.newest(); ++place)
    again += history_line(history, place, nothing);
  History second;
  HistoryReader second_reader(second, kNow);
  OUTRIDER_ASSERT(read(again, second_reader));
  return 0;
}
