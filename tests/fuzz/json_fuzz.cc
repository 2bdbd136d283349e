// SPDX-License-Identifier: Apache-2.0
// Whatever is accepted can be written, and what is written is accepted and written the same.
#include "base/assert.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/json_scan.h"

using namespace outrider;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  const auto parsed = json::parse(text, json::kConfigBytesMax);
  const auto fault = json::find_fault(text);
  if (!parsed) {
    OUTRIDER_ASSERT(!parsed.error().message.empty());
    return 0;
  }
  OUTRIDER_ASSERT(!fault);
  std::string once, twice;
  json::Writer(once).value(*parsed);
  const auto again = json::parse(once, 8 * json::kConfigBytesMax);
  OUTRIDER_ASSERT(again.has_value());
  json::Writer(twice).value(*again);
  OUTRIDER_ASSERT(once == twice);
  return 0;
}
