// SPDX-License-Identifier: Apache-2.0
// What any layout reads from any key and value is within the limits, and what is written for such
// an entry is read again as the same instance. The key goes up to the first line feed.
#include "base/assert.h"
#include "base/bytes.h"
#include "registries/etcd/layout.h"

using namespace outrider;
using namespace outrider::registries;
using namespace outrider::registries::etcd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kLayouts = make_layouts(
      {KratosLayout{}, GoframeLayout{}, GozeroLayout{.keys = {"order.rpc", "a"}}, ForgeLayout{}});
  const std::string_view text = as_text({data, size});
  const std::size_t end = std::min(text.find('\n'), text.size());
  const KeyValue kv{.key = std::string(text.substr(0, end)),
                    .value = std::string(text.substr(std::min(end + 1, text.size())))};
  for (const auto& layout : kLayouts)
    for (const Entry& entry : layout->read(kv)) {
      OUTRIDER_ASSERT(!entry.service.empty() && entry.port != 0 && !entry.addresses.empty());
      OUTRIDER_ASSERT(entry.addresses.size() <= kEndpointsPerEntryMax);
      OUTRIDER_ASSERT(entry.tags.size() <= kTagsPerEntryMax);
      OUTRIDER_ASSERT(entry.metadata.size() <= kMetadataPerEntryMax + 3);
      for (const auto& other : kLayouts) {
        const auto written = other->write(entry, "me", 1);
        if (!written || other->name() == "gozero") continue;
        const auto again = other->read(*written);
        OUTRIDER_ASSERT(again.size() == 1);
        OUTRIDER_ASSERT(again[0].service == entry.service && again[0].port == entry.port);
        OUTRIDER_ASSERT(again[0].writer == "me");
      }
    }
  return 0;
}
