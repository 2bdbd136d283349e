// SPDX-License-Identifier: Apache-2.0
// What is read from any answer is within the limits, and what is written for such an entry is read
// again as the same instance.
#include "base/assert.h"
#include "base/bytes.h"
#include "registries/consul/locks.h"
#include "registries/consul/messages.h"

using namespace outrider;
using namespace outrider::registries;
using namespace outrider::registries::consul;

namespace {

/// What Consul shows of a registration.
std::string shown(std::string registration) {
  registration.replace(registration.find("\"Name\""), 6, "\"Service\"");
  return R"([{"Node":{"Node":"n"},"Checks":[],"Service":)" + registration + "}]";
}

void write_again(const Entry& entry) {
  const auto made = register_request(entry, "me", std::chrono::seconds(15));
  if (!made) return;
  const auto again = read_list(shown(made->body));
  OUTRIDER_ASSERT(again && again->entries.size() == 1);
  const Entry& read = again->entries.front();
  OUTRIDER_ASSERT(read.service == entry.service && read.id == entry.id && read.port == entry.port);
  OUTRIDER_ASSERT(read.writer == "me" && read.weight == entry.weight);
  for (const auto& [key, value] : read.metadata)
    OUTRIDER_ASSERT(entry.metadata.contains(key));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = as_text({data, size});
  if (const auto list = read_list(text))
    for (const Entry& entry : list->entries) {
      OUTRIDER_ASSERT(!entry.service.empty() && !entry.id.empty() && entry.port != 0);
      OUTRIDER_ASSERT(!entry.addresses.empty() && entry.weight != 0 && !entry.protocol.empty());
      OUTRIDER_ASSERT(entry.tags.size() <= kTagsPerEntryMax);
      OUTRIDER_ASSERT(entry.metadata.size() <= kMetadataPerEntryMax);
      OUTRIDER_ASSERT(entry.checks.size() <= kChecksPerEntryMax);
      write_again(entry);
    }
  static_cast<void>(read_registered(text));
  static_cast<void>(read_node(text));
  if (const auto locks = read_locks(text))
    for (const Lock& lock : *locks)
      OUTRIDER_ASSERT(lock.holder.size() <= kHolderBytesMax);
  static_cast<void>(read_session(text));
  OUTRIDER_ASSERT(read_index(text) >= 1);
  OUTRIDER_ASSERT(!read_refusal(500, text).empty());
  return 0;
}
