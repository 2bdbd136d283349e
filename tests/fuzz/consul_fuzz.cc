// SPDX-License-Identifier: Apache-2.0
// Consul's register bodies and filter expressions: whatever is accepted is a specification that can
// be written and read again, and a filter that decides.
#include "agent/doors/consul/consul.h"
#include "agent/doors/consul/filter/filter.h"
#include "base/assert.h"

using namespace outrider;
using namespace outrider::doors;

namespace {

constexpr std::string_view kRow = R"({"Node":{"Node":"box","Meta":{}},"Service":{"ID":"web-1",
  "Service":"web","Tags":["a","version=1"],"Port":80,"Meta":{"region":"us-west"}},
  "Checks":[{"CheckID":"a","Status":"passing"},{"CheckID":"b","Status":"warning"}]})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  if (const auto filter = consul::Filter::parse(text, consul::Rows::health)) {
    const bool first = filter->wants(kRow);
    OUTRIDER_ASSERT(filter->wants(kRow) == first);
  } else {
    OUTRIDER_ASSERT(!filter.error().empty());
  }
  if (const auto duration = consul::parse_go_duration(text))
    OUTRIDER_ASSERT(*duration >= Duration::zero());
  const auto body = json::parse(text, json::kBodyBytesMax);
  if (!body) return 0;
  if (const auto spec = consul::decode_service(*body, {})) {
    OUTRIDER_ASSERT(spec->id.has_value());
    std::string written;
    json::Writer out(written);
    registry::write(out, *spec);
    OUTRIDER_ASSERT(json::parse(written, json::kConfigBytesMax).has_value());
  } else {
    OUTRIDER_ASSERT(!spec.error().empty());
  }
  if (const auto check = consul::decode_check(*body, {})) OUTRIDER_ASSERT(!check->check.id.empty());
  return 0;
}
