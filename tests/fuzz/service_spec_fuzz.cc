// SPDX-License-Identifier: Apache-2.0
// A registration from any door: what is taken is written in full, and read back the same.
#include "agent/registry/model.h"
#include "agent/registry/target.h"
#include "base/assert.h"

using namespace outrider;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  if (const auto url = registry::parse_check_url(text))
    OUTRIDER_ASSERT(url->path.starts_with('/'));
  else
    OUTRIDER_ASSERT(!url.error().empty());
  static_cast<void>(registry::parse_check_address(text));

  const auto document = json::parse(text, json::kBodyBytesMax);
  if (!document) return 0;
  const auto spec = registry::ServiceSpec::parse(*document);
  if (!spec) {
    OUTRIDER_ASSERT(!spec.error().to_string().empty());
    return 0;
  }
  std::string written;
  json::Writer writer(written);
  registry::write(writer, *spec);
  const auto again = json::parse(written, json::kConfigBytesMax);
  OUTRIDER_ASSERT(again.has_value());
  const auto same = registry::ServiceSpec::parse(*again);
  OUTRIDER_ASSERT(same.has_value() && *same == *spec);
  return 0;
}
