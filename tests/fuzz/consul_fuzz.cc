// SPDX-License-Identifier: Apache-2.0
// Consul's register bodies and filter expressions: whatever is accepted is a specification that can
// be written and read again, and a filter that decides.
#include "agent/doors/consul/consul.h"
#include "agent/doors/consul/filter.h"
#include "base/assert.h"

using namespace outrider;
using namespace outrider::doors;

namespace {

const registry::Instance& sample() {
  static const registry::Instance instance = [] {
    registry::Instance made{.id = *registry::InstanceId::from_foreign("web-1"),
                            .service = *registry::ServiceName::parse("web")};
    made.tags = {"a", "version=1"};
    made.metadata = {{"region", "us-west"}, {"tagged.http", "http://10.0.0.1:80 80"}};
    made.port = 80;
    made.protocol = "http";
    return made;
  }();
  return instance;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  if (const auto filter = consul::Filter::parse(text)) {
    const bool first = filter->wants(sample(), {});
    OUTRIDER_ASSERT(filter->wants(sample(), {}) == first);
  }
  if (const auto duration = consul::parse_go_duration(text))
    OUTRIDER_ASSERT(*duration >= Duration::zero());
  const auto body = json::parse(text, json::kBodyBytesMax);
  if (!body) return 0;
  if (const auto spec = consul::decode_service(*body)) {
    OUTRIDER_ASSERT(spec->id.has_value());
    std::string written;
    json::Writer out(written);
    registry::write(out, *spec);
    OUTRIDER_ASSERT(json::parse(written, json::kConfigBytesMax).has_value());
  } else {
    OUTRIDER_ASSERT(!spec.error().empty());
  }
  if (const auto check = consul::decode_check(*body)) OUTRIDER_ASSERT(!check->check.id.empty());
  return 0;
}
